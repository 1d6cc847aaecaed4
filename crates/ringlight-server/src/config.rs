//! What a server needs to know before it starts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::error::ServerError;
use crate::otlp::ReceiverConfig;
use crate::state::Listener;

/// How a server is started. [`ServerConfig::default`] is what `ringlight up` uses; every field may
/// be changed. A port of 0 lets the system choose.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where OTLP over gRPC is received. Default `127.0.0.1:4317`. Loopback only.
    pub grpc: SocketAddr,
    /// Where OTLP over HTTP is received. Default `127.0.0.1:4318`. Loopback only.
    pub http: SocketAddr,
    /// Where the UI and the API are served. Default `127.0.0.1:4320`. Loopback only.
    pub ui: SocketAddr,
    /// Bounds of the receivers. Those of connections hold for the UI's port as well.
    pub receiver: ReceiverConfig,
    /// API requests that search the store at once. Default 4: more would only take turns on the
    /// processors. Others wait, see `query_wait`. From 1 to 256.
    pub queries_max: usize,
    /// Time an API request waits for its turn. Default 10 s; then it is refused with 503.
    pub query_wait: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            grpc: local(4317),
            http: local(4318),
            ui: local(4320),
            receiver: ReceiverConfig::default(),
            queries_max: 4,
            query_wait: Duration::from_secs(10),
        }
    }
}

impl ServerConfig {
    /// The address of a listener.
    pub(crate) const fn address(&self, listener: Listener) -> SocketAddr {
        match listener {
            Listener::Grpc => self.grpc,
            Listener::Http => self.http,
            Listener::Ui => self.ui,
        }
    }

    /// Checks the fields that the receivers do not check.
    pub(crate) fn validate(&self) -> Result<(), ServerError> {
        for listener in [Listener::Grpc, Listener::Http, Listener::Ui] {
            let address = self.address(listener);
            if !address.ip().is_loopback() {
                return Err(ServerError::NotLoopback { listener, address });
            }
        }
        if !(1..=256).contains(&self.queries_max) {
            return Err(ServerError::Config {
                field: "queries_max",
                value: self.queries_max,
                allowed: "1 to 256",
            });
        }
        Ok(())
    }
}
