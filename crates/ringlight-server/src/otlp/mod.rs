//! The OTLP receivers: gRPC and HTTP in, records into the store, and an answer that says exactly
//! what became of them.
//!
//! A request is read whole, within a memory budget that all requests share; then a thread that may
//! block decompresses it, turns JSON into protobuf, checks every record once and hands the bytes to
//! an [`Intake`]. The answer is sent when the intake has committed them. Whatever is refused is
//! counted by reason, and the last refusals are kept for the API to show.
//!
//! gRPC is answered by our own few lines over HTTP/2 and not by tonic's server: a request must not
//! allocate what its prefix merely declares, must be decompressed off the runtime's threads and
//! within the shared budget, and one that is too large must be RESOURCE_EXHAUSTED. tonic's unary
//! server decides all three for itself, otherwise.

mod body;
mod config;
mod grpc;
mod http;
mod memory;
mod process;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use ringlight_store::{Ingest, IngestError, IngestReceipt, Store};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::forward::Forward;
use crate::listen::{self, Connections};
use crate::server::Addresses;
use crate::state::{Listener, RefusalReason, ServerState};
pub use config::{ReceiverConfig, ReceiverConfigError};

/// Where requests go once they are known to be good: the store, or a stand-in for it in tests.
pub trait Intake: Send + Sync + 'static {
    /// Takes a request; returns once its records are safe. Blocks.
    ///
    /// # Errors
    /// When nothing of it was taken.
    fn ingest(&self, ingest: Ingest<'_>) -> Result<IngestReceipt, IngestError>;

    /// Shows the spans of a request, which are still open, to searches, in place of what the same source
    /// had shown before.
    fn show_open(&self, source: u64, request: &[u8]);
}

impl Intake for Store {
    fn ingest(&self, ingest: Ingest<'_>) -> Result<IngestReceipt, IngestError> {
        Self::ingest(self, ingest)
    }

    fn show_open(&self, source: u64, request: &[u8]) {
        // It decoded when it was taken; a store that is closed is not searched any more.
        let _ = Self::show_open(self, source, request);
    }
}

/// The OTLP receivers: what the gRPC and the HTTP listener share.
#[derive(Clone)]
pub struct Receiver {
    inner: Arc<Inner>,
}

struct Inner {
    intake: Arc<dyn Intake>,
    /// Gets what was taken as well.
    forward: Option<Arc<dyn Forward>>,
    state: Arc<ServerState>,
    /// Where it listens, for the senders that come to the wrong port.
    addresses: Addresses,
    config: ReceiverConfig,
    memory: memory::Memory,
    /// One permit for each request being worked on.
    requests: Arc<Semaphore>,
    /// A place for each request being decompressed and decoded.
    turns: memory::Turns,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// A receiver that hands what it gets to `intake`, and what that has taken to `forward`, and counts it in `state`. Who
    /// comes to the wrong port is told the right one of `addresses`.
    ///
    /// # Errors
    /// When a field of the configuration is out of range.
    pub fn new(
        intake: Arc<dyn Intake>,
        state: Arc<ServerState>,
        addresses: Addresses,
        forward: Option<Arc<dyn Forward>>,
        config: ReceiverConfig,
    ) -> Result<Self, ReceiverConfigError> {
        config.validate()?;
        Ok(Self {
            inner: Arc::new(Inner {
                intake,
                forward,
                state,
                addresses,
                memory: memory::Memory::new(config.memory_bytes_max),
                requests: Arc::new(Semaphore::new(config.requests_max)),
                turns: memory::Turns::new(processors()),
                config,
            }),
        })
    }

    /// Serves OTLP/gRPC on `listener` until `stop` becomes true or its sender is gone, then lets
    /// running requests end.
    pub async fn serve_grpc(&self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let receiver = self.clone();
        let connections = self.connections(Listener::Grpc);
        listen::serve(listener, connections, stop, move |request, peer| {
            let receiver = receiver.clone();
            async move { grpc::answer(&receiver, peer, request).await }
        })
        .await;
    }

    /// Serves OTLP/HTTP on `listener` until `stop` becomes true or its sender is gone, then lets
    /// running requests end.
    pub async fn serve_http(&self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let receiver = self.clone();
        let connections = self.connections(Listener::Http);
        listen::serve(listener, connections, stop, move |request, peer| {
            let receiver = receiver.clone();
            async move { http::answer(&receiver, peer, request).await }
        })
        .await;
    }

    fn connections(&self, listener: Listener) -> Connections {
        Connections {
            listener,
            state: Arc::clone(&self.inner.state),
            connections_max: self.inner.config.connections_max,
            head_timeout: self.inner.config.head_timeout,
            drain_timeout: self.inner.config.drain_timeout,
        }
    }

    fn refuse(&self, listener: Listener, peer: SocketAddr, refused: &process::Refused) {
        self.inner
            .state
            .refuse(listener, peer, refused.reason, &refused.message);
    }
}

/// Refuses a gRPC call on another port than those of the receivers: what a gRPC client understands.
pub(crate) fn refuse_grpc(reason: RefusalReason, message: String) -> ::http::Response<()> {
    grpc::refuse_headers(&process::Refused::new(reason, message))
}

/// Processors this process may use; two where the system does not say.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
