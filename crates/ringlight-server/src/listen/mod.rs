//! Listeners: accept connections within bounds, tell protocols apart, stop gracefully.

mod prefix;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::state::{Listener, RefusalReason, ServerState};
use prefix::Protocol;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Requests one HTTP/2 connection may have open at a time.
const STREAMS_MAX: u32 = 64;
/// Bytes of one HTTP/2 frame. A batch of telemetry is some hundred kilobytes: in frames of the
/// usual 16 KiB it costs the client a system call for each, and a seventh of what sending costs it.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// Bytes a peer may send ahead on one request, and on one connection.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of the headers of one request.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of one HTTP/1 connection that wait to be taken: beside what the requests of all of them
/// may take together, so it has to be little.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(60);

/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// Which listener this is.
    pub(crate) listener: Listener,
    /// Where refused connections are counted.
    pub(crate) state: Arc<ServerState>,
    /// Connections open at a time; further ones are closed at once.
    pub(crate) connections_max: usize,
    /// How long a connection may stay without a complete request head.
    pub(crate) head_timeout: Duration,
    /// How long running requests may take to end once the server stops.
    pub(crate) drain_timeout: Duration,
}

/// Accepts connections and answers their requests, HTTP/1.1 and HTTP/2, until `stop` becomes true
/// or its sender is gone; then lets running requests end within the drain timeout.
pub(crate) async fn serve<H, F, B>(
    listener: TcpListener,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(connections.connections_max));
    // Ends the connections with this function, whenever and however that ends.
    let mut tasks = JoinSet::new();
    while let Some((stream, peer)) = accept(&listener, &mut stop).await {
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            let detail = format!("{} connections are open", connections.connections_max);
            connections.refuse(peer, RefusalReason::Connections, &detail);
            continue;
        };
        let connections = connections.clone();
        let (stop, handler) = (stop.clone(), handler.clone());
        tasks.spawn(async move {
            connection(stream, peer, &connections, stop, handler).await;
            drop(permit);
        });
    }
    drop(listener);
    let all_done = async { while tasks.join_next().await.is_some() {} };
    // What is not done by then ends with `tasks`.
    let _ = tokio::time::timeout(connections.drain_timeout, all_done).await;
}

/// The next connection; `None` when it is time to stop.
async fn accept(
    listener: &TcpListener,
    stop: &mut watch::Receiver<bool>,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            () = stopped(stop) => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            // The connection is gone already, or descriptors ran out; then trying again at once
            // would spin.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Waits until it is time to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is a reason to stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Connections {
    fn refuse(&self, peer: SocketAddr, reason: RefusalReason, detail: &str) {
        self.state.refuse(self.listener, peer, reason, detail);
    }
}

async fn connection<H, F, B>(
    stream: TcpStream,
    peer: SocketAddr,
    connections: &Connections,
    mut stop: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    // Only a matter of latency, so a failure is no reason to refuse the connection.
    let _ = stream.set_nodelay(true);
    let detecting = tokio::time::timeout(connections.head_timeout, prefix::detect(stream));
    let detected = tokio::select! {
        // First, so that a request which has begun to arrive is answered.
        biased;
        detected = detecting => detected,
        // Browsers open connections ahead of need; nothing was asked on this one.
        () = stopped(&mut stop) => return,
    };
    let Ok(Ok(Some((protocol, stream)))) = detected else {
        return;
    };
    let io = TokioIo::new(stream);
    let service = service_fn(move |request| {
        let answer = handler(request, peer);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = match protocol {
        Protocol::Tls => {
            let detail = "a TLS handshake came, but this port speaks plain text: \
                          use http:// instead of https://";
            connections.refuse(peer, RefusalReason::Tls, detail);
            return;
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_frame_size(FRAME_BYTES_MAX)
                .max_header_list_size(HEAD_BYTES_MAX)
                .keep_alive_interval(PING_INTERVAL)
                .serve_connection(io, service);
            drive(connection, stop, |connection| {
                connection.graceful_shutdown()
            })
            .await
        }
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(connections.head_timeout)
                .max_buf_size(READ_BYTES_MAX)
                .serve_connection(io, service);
            drive(connection, stop, |connection| {
                connection.graceful_shutdown()
            })
            .await
        }
    };
    if served.is_err_and(|error| error.is_parse()) {
        let detail = "what came is not HTTP";
        connections.refuse(peer, RefusalReason::WrongProtocol, detail);
    }
}

/// Runs a connection to its end, which comes after the current requests once `stop` says so.
async fn drive<C: Future>(
    connection: C,
    mut stop: watch::Receiver<bool>,
    shut_down: impl FnOnce(Pin<&mut C>),
) -> C::Output {
    tokio::pin!(connection);
    tokio::select! {
        output = connection.as_mut() => return output,
        () = stopped(&mut stop) => shut_down(connection.as_mut()),
    }
    connection.await
}
