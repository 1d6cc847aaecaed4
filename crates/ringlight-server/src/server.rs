//! Starting and ending a server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringlight_store::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::status::Status;
use crate::api::{self, Context};
use crate::config::ServerConfig;
use crate::error::{Holder, ServerError};
use crate::forward::Forward;
use crate::listen::{self, Connections};
use crate::otlp::Receiver;
use crate::state::{Listener, ServerState};

/// How long whoever has a port is given to say who it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of that answer that are read.
const PROBE_BYTES_MAX: u64 = 1024 * 1024;

/// The addresses a server listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub grpc: SocketAddr,
    /// OTLP over HTTP.
    pub http: SocketAddr,
    /// The UI and the API.
    pub ui: SocketAddr,
}

/// A running server. Dropping it ends it at once; [`shutdown`](Self::shutdown) lets requests that
/// are under way finish first.
#[derive(Debug)]
pub struct Server {
    context: Arc<Context>,
    stop: watch::Sender<bool>,
    // Aborted when dropped.
    tasks: JoinSet<()>,
}

/// The ports of a server to be. Clients may connect already, and are answered once it
/// [serves](Self::serve). Dropping it frees the ports.
pub struct BoundServer {
    config: ServerConfig,
    grpc: TcpListener,
    http: TcpListener,
    ui: TcpListener,
    addresses: Addresses,
    forward: Option<Arc<dyn Forward>>,
}

impl BoundServer {
    /// Where it is going to listen.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Has what it takes passed on as well.
    #[must_use]
    pub fn forward(mut self, forward: Arc<dyn Forward>) -> Self {
        self.forward = Some(forward);
        self
    }

    /// Serves all three ports on the current runtime.
    ///
    /// # Errors
    /// When the receivers' configuration is out of range.
    pub fn serve(self, store: Arc<Store>) -> Result<Server, ServerError> {
        let Self {
            config,
            grpc,
            http,
            ui,
            addresses,
            forward,
        } = self;
        let state = Arc::new(ServerState::new());
        let intake = Arc::clone(&store);
        let receiver = Receiver::new(
            intake,
            Arc::clone(&state),
            addresses,
            forward.clone(),
            config.receiver.clone(),
        )?;
        let context = Context::new(store, state, addresses, forward, &config);
        let context = Arc::new(context);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (for_grpc, stop_grpc) = (receiver.clone(), stopping.clone());
        tasks.spawn(async move { for_grpc.serve_grpc(grpc, stop_grpc).await });
        let stop_http = stopping.clone();
        tasks.spawn(async move { receiver.serve_http(http, stop_http).await });
        tasks.spawn(serve_ui(ui, Arc::clone(&context), config, stopping));
        Ok(Server {
            context,
            stop,
            tasks,
        })
    }
}

impl fmt::Debug for BoundServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundServer")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds all three ports. Apart from [`start`](Self::start) for who opens the store only when
    /// there are ports to serve it on.
    ///
    /// # Errors
    /// When the configuration is out of range, or a port cannot be bound; then none is.
    pub async fn bind(config: ServerConfig) -> Result<BoundServer, ServerError> {
        config.validate()?;
        let (grpc, grpc_address) = bind(Listener::Grpc, &config).await?;
        let (http, http_address) = bind(Listener::Http, &config).await?;
        let (ui, ui_address) = bind(Listener::Ui, &config).await?;
        Ok(BoundServer {
            config,
            grpc,
            http,
            ui,
            addresses: Addresses {
                grpc: grpc_address,
                http: http_address,
                ui: ui_address,
            },
            forward: None,
        })
    }

    /// Binds all three ports, then serves them on the current runtime.
    ///
    /// # Errors
    /// When the configuration is out of range, or a port cannot be bound; then none is served.
    pub async fn start(config: ServerConfig, store: Arc<Store>) -> Result<Self, ServerError> {
        Self::bind(config).await?.serve(store)
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.context.addresses
    }

    /// What `GET /api/v1/status` answers. Asks the store, which may take a moment.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.context)
    }

    /// Accepts nothing more and lets requests under way finish within the receivers'
    /// [`drain_timeout`](crate::ReceiverConfig::drain_timeout), then ends them.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn serve_ui(
    listener: TcpListener,
    context: Arc<Context>,
    config: ServerConfig,
    stop: watch::Receiver<bool>,
) {
    let connections = Connections {
        listener: Listener::Ui,
        state: Arc::clone(&context.state),
        connections_max: config.receiver.connections_max,
        head_timeout: config.receiver.head_timeout,
        drain_timeout: config.receiver.drain_timeout,
    };
    let router = api::router(context);
    listen::serve(listener, connections, stop, move |request, peer| {
        let router = router.clone();
        async move { api::answer(router, request, peer).await }
    })
    .await;
}

async fn bind(
    listener: Listener,
    config: &ServerConfig,
) -> Result<(TcpListener, SocketAddr), ServerError> {
    let address = config.address(listener);
    let failed = |source| ServerError::Bind {
        listener,
        address,
        source,
    };
    match TcpListener::bind(address).await {
        Ok(bound) => {
            let address = bound.local_addr().map_err(failed)?;
            Ok((bound, address))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ServerError::PortInUse {
            listener,
            address,
            holder: holder(address, config.ui).await,
        }),
        Err(error) => Err(failed(error)),
    }
}

/// Who has the address, if it is a Ringlight: its UI says so, on this port or on the usual one.
async fn holder(address: SocketAddr, ui: SocketAddr) -> Option<Holder> {
    let mut asked: Vec<SocketAddr> = vec![ui, address, ServerConfig::default().ui];
    asked.dedup();
    for ui in asked {
        let answer = tokio::time::timeout(PROBE_TIMEOUT, ask_for_status(ui)).await;
        let Ok(Ok(answer)) = answer else {
            continue;
        };
        if let Some(holder) = holder_of(&answer, address) {
            return Some(holder);
        }
    }
    None
}

async fn ask_for_status(ui: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(ui).await?;
    let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {ui}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(PROBE_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

/// Reads the holder from an HTTP answer, if it is a status and mentions the address.
fn holder_of(answer: &[u8], address: SocketAddr) -> Option<Holder> {
    let head_end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let status: serde_json::Value = serde_json::from_slice(&answer[head_end + 4..]).ok()?;
    let listen = status.get("listen")?.as_object()?;
    let holds = listen.values().any(|held| {
        held.as_str()
            .and_then(|held| held.parse::<SocketAddr>().ok())
            .is_some_and(|held| held.port() == address.port())
    });
    holds.then_some(())?;
    Some(Holder {
        pid: u32::try_from(status.get("pid")?.as_u64()?).ok()?,
        data_dir: status.get("data_dir")?.as_str()?.to_owned(),
        ui: format!("http://{}", listen.get("ui")?.as_str()?),
    })
}
