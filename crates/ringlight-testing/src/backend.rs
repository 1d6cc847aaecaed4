//! The backend: a server on a thread of its own, and its script.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use ringlight_model::Signal;
use ringlight_otlp::response::{ExportResponse, Status};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::{Code, Received, Reply, Seen};

/// How long [`Backend::wait_for`] waits before it fails the test. Long, since it is only reached
/// when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A scripted OTLP backend on a port of the loopback interface. It stops when dropped.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    go_away: watch::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    script: VecDeque<Reply>,
    default: Reply,
    reports: Reply,
    seen: Seen,
}

impl Default for State {
    fn default() -> Self {
        Self {
            script: VecDeque::new(),
            default: Reply::Ok,
            reports: Reply::Ok,
            seen: Seen::default(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

impl Backend {
    /// Starts a backend on a free port.
    ///
    /// # Panics
    /// If the system has no port to give.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Starts a backend at an address, for instance where another one was.
    ///
    /// # Panics
    /// If the address is in use.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("the address is free");
        listener
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = watch::channel(false);
        let (go_away, going_away) = watch::channel(());
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime starts")
                    .block_on(serve(listener, shared, stopped, going_away));
            }
        });
        Self {
            address,
            shared,
            stop,
            go_away,
            thread: Some(thread),
        }
    }

    /// An address on which nobody listens.
    #[must_use]
    pub fn nobody() -> SocketAddr {
        let backend = Self::start();
        backend.address
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers to the next requests with data, in this order, before the default applies.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.change(|state| state.script.extend(replies));
    }

    /// The answer to requests with data once the script is through; [`Reply::Ok`] unless set.
    pub fn set_default(&self, reply: Reply) {
        self.shared.change(|state| state.default = reply);
    }

    /// The answer to metrics, that is to a client's reports; [`Reply::Ok`] unless set.
    pub fn set_reports(&self, reply: Reply) {
        self.shared.change(|state| state.reports = reply);
    }

    /// Everything seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.shared.lock().seen.clone()
    }

    /// Waits until what was seen fulfils the condition, and returns it.
    ///
    /// # Panics
    /// If that takes longer than [`PATIENCE`].
    pub fn wait_for(&self, condition: impl Fn(&Seen) -> bool) -> Seen {
        let until = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !condition(&state.seen) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain; seen: {:?}", state.seen);
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.seen.clone()
    }

    /// Asks the clients to take their next requests to another connection, as a server does before
    /// it restarts: by `GOAWAY` over HTTP/2, by closing after the answer over HTTP/1. Requests it has
    /// are answered, and it goes on listening.
    pub fn go_away(&self) {
        self.go_away.send_replace(());
    }

    /// Stops listening, closes every connection, and returns what was seen.
    pub fn stop(mut self) -> Seen {
        self.end();
        self.seen()
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.end();
    }
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
async fn serve(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
    going_away: watch::Receiver<()>,
) {
    let listener = TcpListener::from_std(listener).expect("a runtime takes a socket");
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let index = shared.change(|state| {
                    state.seen.connections += 1;
                    state.seen.connections - 1
                });
                let mut going_away = going_away.clone();
                going_away.mark_unchanged();
                connections.spawn(connection(stream, index, Arc::clone(&shared), going_away));
            }
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    index: usize,
    shared: Arc<Shared>,
    mut going_away: watch::Receiver<()>,
) {
    let kill = Arc::new(Notify::new());
    let service = hyper::service::service_fn({
        let kill = Arc::clone(&kill);
        move |request| answer(request, index, Arc::clone(&shared), Arc::clone(&kill))
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let mut serving = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How a client leaves is its own business.
        _ = serving.as_mut() => return,
        () = kill.notified() => return,
        _ = going_away.changed() => serving.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = serving => {}
        () = kill.notified() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: usize,
    shared: Arc<Shared>,
    kill: Arc<Notify>,
) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let is_grpc = head
        .headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let Some(signal) = signal_of(head.uri.path()) else {
        return Ok(http_reply(StatusCode::NOT_FOUND, None));
    };
    let mut body = body.collect().await?.to_bytes();
    if is_grpc {
        // One message: a byte for compression, four for the length.
        body.advance(5.min(body.len()));
    }
    let reply = shared.change(|state| {
        let reply = if signal == Signal::Metrics {
            state.reports.clone()
        } else {
            let next = state.script.pop_front();
            next.unwrap_or_else(|| state.default.clone())
        };
        state.seen.hanging += usize::from(reply == Reply::Hang);
        reply
    });
    if let Reply::Delayed(delay) = reply {
        tokio::time::sleep(delay).await;
    }
    let received = Received {
        signal,
        is_grpc,
        headers: head.headers,
        body,
        reply: reply.clone(),
        connection,
    };
    shared.change(|state| state.seen.requests.push(received));
    if matches!(reply, Reply::Reset | Reply::TakeAndReset) {
        kill.notify_one();
    }
    if matches!(reply, Reply::Reset | Reply::TakeAndReset | Reply::Hang) {
        std::future::pending::<()>().await;
    }
    if reply == Reply::Cut {
        let mut response = taken(vec![0; 64], is_grpc);
        let head = VecDeque::from([Frame::data(Bytes::from_static(b"\0\0\0"))]);
        response.headers_mut().insert("content-length", 64.into());
        *response.body_mut() = Frames {
            frames: head,
            kill: Some(kill),
        }
        .boxed_unsync();
        return Ok(response);
    }
    Ok(respond(&reply, is_grpc))
}

fn signal_of(path: &str) -> Option<Signal> {
    Some(match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        path if path.ends_with("/v1/traces") => Signal::Traces,
        path if path.ends_with("/v1/logs") => Signal::Logs,
        path if path.ends_with("/v1/metrics") => Signal::Metrics,
        _ => return None,
    })
}

fn respond(reply: &Reply, is_grpc: bool) -> Response<Body> {
    match reply {
        Reply::Partial { rejected, message } => {
            let response = ExportResponse {
                rejected: u64::try_from(*rejected).unwrap_or(0),
                message: (*message).to_owned(),
            };
            taken(response.to_protobuf(), is_grpc)
        }
        Reply::Garbage => taken(b"\xff\xff\xffnot a response".to_vec(), is_grpc),
        Reply::Huge(bytes) => taken(vec![0; *bytes], is_grpc),
        Reply::Grpc(code, delay) if is_grpc => grpc_status(*code, "as the script says", *delay),
        Reply::GrpcMessage(code, message) if is_grpc => grpc_status(*code, message, None),
        Reply::Grpc(..) | Reply::GrpcMessage(..) => {
            http_reply(StatusCode::SERVICE_UNAVAILABLE, None)
        }
        Reply::Http(status, retry_after) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::IM_A_TEAPOT);
            let header = retry_after.as_deref().map(|value| ("retry-after", value));
            http_reply(status, header)
        }
        Reply::Redirect(location) => {
            http_reply(StatusCode::TEMPORARY_REDIRECT, Some(("location", location)))
        }
        _ => taken(Vec::new(), is_grpc),
    }
}

/// Success with this message.
fn taken(message: Vec<u8>, is_grpc: bool) -> Response<Body> {
    if !is_grpc {
        let mut response = Response::new(full(message));
        set(
            response.headers_mut(),
            "content-type",
            "application/x-protobuf",
        );
        return response;
    }
    let mut framed = vec![0];
    framed.extend_from_slice(
        &u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    framed.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    set(&mut trailers, "grpc-status", "0");
    let frames = [Frame::data(Bytes::from(framed)), Frame::trailers(trailers)];
    let body = Frames {
        frames: frames.into_iter().collect(),
        kill: None,
    };
    let mut response = Response::new(body.boxed_unsync());
    set(response.headers_mut(), "content-type", "application/grpc");
    response
}

fn grpc_status(code: Code, message: &str, delay: Option<Duration>) -> Response<Body> {
    let mut response = Response::new(full(Vec::new()));
    let headers = response.headers_mut();
    set(headers, "content-type", "application/grpc");
    set(headers, "grpc-status", &code.0.to_string());
    set(headers, "grpc-message", message);
    if delay.is_some() {
        let status = Status {
            code: code.0,
            message: message.to_owned(),
            retry_after: delay,
        };
        set(
            headers,
            "grpc-status-details-bin",
            &base64(&status.to_protobuf()),
        );
    }
    response
}

fn http_reply(status: StatusCode, header: Option<(&'static str, &str)>) -> Response<Body> {
    let mut response = Response::new(full(b"as the script says".to_vec()));
    *response.status_mut() = status;
    if let Some((name, value)) = header {
        set(response.headers_mut(), name, value);
    }
    response
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).boxed_unsync()
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, value.parse().expect("a header value is visible text"));
}

/// A body whose frames are all there already, and then perhaps the end of the connection.
struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    kill: Option<Arc<Notify>>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match (self.frames.pop_front(), &self.kill) {
            (None, Some(kill)) => {
                kill.notify_one();
                Poll::Pending
            }
            (frame, _) => Poll::Ready(frame.map(Ok)),
        }
    }
}

/// Base64 without padding, as gRPC writes binary headers.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(word);
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 0x3f;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}
