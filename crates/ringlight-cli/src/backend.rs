//! The backend: the store and the server before it.

use std::net::SocketAddr;
use std::sync::Arc;

use ringlight_app_harness::with_causes;
use ringlight_server::{
    Addresses, ClientStatus, Forward, Listener, Server, ServerConfig, ServerError,
};
use ringlight_store::{InstanceStored, Store, StoreConfig, StoreError, StoreStats};
use serde::Serialize;

use crate::config::BackendConfig;
use crate::error::{CliError, Exit};
use crate::forward::{Forwarder, Left};

/// A backend that runs.
pub(crate) struct Backend {
    store: Arc<Store>,
    server: Server,
    forward: Option<Arc<Forwarder>>,
}

/// Where a backend is, as printed with `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    url: String,
    otlp_grpc: String,
    otlp_http: String,
    data_dir: String,
    run: String,
    pid: u32,
}

impl Backend {
    /// Starts to listen and opens the store. `command` names the run.
    ///
    /// The ports come first: without them nothing is written, no run and no directory.
    pub(crate) async fn start(config: &BackendConfig, command: String) -> Result<Self, CliError> {
        let server_config = ServerConfig {
            grpc: config.grpc,
            http: config.http,
            ui: config.ui,
            ..ServerConfig::default()
        };
        let bound = Server::bind(server_config)
            .await
            .map_err(|error| server_error(&error))?;
        let store_config = StoreConfig {
            retention: config.retention,
            size_limit_bytes: config.size_limit_bytes,
            command,
            ..StoreConfig::new(&config.data_dir)
        };
        let opened = tokio::task::spawn_blocking(move || {
            Store::open(
                store_config,
                Arc::new(ringlight_otlp::OtlpDecoder::default()),
            )
        });
        let store = match opened.await {
            Ok(Ok(store)) => Arc::new(store),
            Ok(Err(error)) => return Err(store_error(&error)),
            Err(error) => return Err(CliError::new(Exit::Failure, error.to_string())),
        };
        // After the store, which has made the directory its own.
        let forward = config.forward.as_ref();
        let forward = forward.map(|forward| Forwarder::start(forward, &config.data_dir));
        let forward = match forward.transpose() {
            Ok(forward) => forward,
            Err(error) => {
                close(store).await;
                return Err(error);
            }
        };
        let bound = match &forward {
            Some(forward) => bound.forward(Arc::clone(forward) as Arc<dyn Forward>),
            None => bound,
        };
        match bound.serve(Arc::clone(&store)) {
            Ok(server) => Ok(Self {
                store,
                server,
                forward,
            }),
            Err(error) => {
                close(store).await;
                Err(server_error(&error))
            }
        }
    }

    /// The one address to open in a browser.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addresses().ui)
    }

    pub(crate) fn addresses(&self) -> Addresses {
        self.server.addresses()
    }

    pub(crate) fn stats(&self) -> StoreStats {
        self.store.stats()
    }

    /// What every client has stored since the backend was started.
    pub(crate) fn stored(&self) -> Vec<InstanceStored> {
        self.store.stored_by_instance()
    }

    /// What clients themselves reported of their records.
    pub(crate) fn client_reports(&self) -> Vec<ClientStatus> {
        self.server.status().clients
    }

    pub(crate) fn ready(&self) -> Ready {
        let addresses = self.addresses();
        Ready {
            url: self.url(),
            otlp_grpc: http_url(addresses.grpc),
            otlp_http: http_url(addresses.http),
            data_dir: self.store.data_dir().display().to_string(),
            run: self.store.run_id().to_string(),
            pid: std::process::id(),
        }
    }

    /// Where everything is passed on to.
    pub(crate) fn forwards_to(&self) -> Option<&str> {
        self.forward.as_ref().map(|forward| forward.destination())
    }

    /// Stops listening, lets requests that have begun finish, passes on what is on its way for a moment, and closes the store.
    /// Says what is left to be passed on.
    pub(crate) async fn stop(self) -> Option<Left> {
        self.server.shutdown().await;
        let left = match self.forward {
            Some(forward) => tokio::task::spawn_blocking(move || forward.stop())
                .await
                .ok(),
            None => None,
        };
        close(self.store).await;
        left
    }
}

pub(crate) fn http_url(address: SocketAddr) -> String {
    format!("http://{address}")
}

async fn close(store: Arc<Store>) {
    // Closing joins threads and writes to the disk. A panic in there has been reported by itself.
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
}

fn store_error(error: &StoreError) -> CliError {
    let described = CliError::new(Exit::Data, with_causes(error));
    match error.hint() {
        Some(hint) => described.with_hint(hint),
        None => described.with_hint(
            "check the directory's rights and the room on its disk, or choose another with \
             `--data-dir`",
        ),
    }
}

fn server_error(error: &ServerError) -> CliError {
    let described = CliError::new(Exit::Listen, with_causes(error));
    let ports = "choose other ports with `--grpc-port`, `--http-port`, `--ui-port`";
    match error {
        ServerError::PortInUse {
            listener, holder, ..
        } => {
            let flag = match listener {
                Listener::Grpc => "--grpc-port",
                Listener::Http => "--http-port",
                Listener::Ui => "--ui-port",
            };
            let free = match holder {
                Some(holder) => format!("open {}, stop process {}", holder.ui, holder.pid),
                None => "stop the program that has it (`ss -ltnp` shows which)".to_owned(),
            };
            described.with_hint(format!("{free}, or choose another port with `{flag}`"))
        }
        _ => described.with_hint(error.hint().unwrap_or_else(|| ports.to_owned())),
    }
}
