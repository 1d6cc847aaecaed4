//! The backend: a server on a thread of its own, and its script.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use ringlight_model::Signal;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::answer::{Body, Wire, cut, http_reply, respond};
use crate::request::{format_of, signal_of, whole};
use crate::{Received, Reply, Seen, TlsSetup};

/// How long [`Backend::wait_for`] waits before it fails the test. Long, since it is only reached
/// when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A scripted OTLP backend on a port of the loopback interface. It stops when dropped.
pub struct Backend {
    address: SocketAddr,
    is_tls: bool,
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

/// What a backend speaks.
#[derive(Debug, Clone, Default)]
pub struct Speech {
    /// With TLS, then.
    pub tls: Option<TlsSetup>,
    /// HTTP/1 alone, so no gRPC.
    pub is_http1_only: bool,
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
    pub fn start_at(address: SocketAddr) -> Self {
        Self::start_speaking(address, &Speech::default())
    }

    /// Starts a backend with TLS on a free port.
    ///
    /// # Panics
    /// If the system has no port to give.
    #[must_use]
    pub fn start_tls(tls: TlsSetup) -> Self {
        let speech = Speech {
            tls: Some(tls),
            is_http1_only: false,
        };
        Self::start_speaking(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &speech)
    }

    /// Starts a backend at an address that speaks so.
    ///
    /// # Panics
    /// If the address is in use.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn start_speaking(address: SocketAddr, speech: &Speech) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("the address is free");
        listener
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let server = Server {
            shared: Arc::new(Shared::default()),
            is_http1_only: speech.is_http1_only,
            tls: (speech.tls.as_ref())
                .map(|tls| TlsAcceptor::from(tls.server_config(speech.is_http1_only))),
        };
        let shared = Arc::clone(&server.shared);
        let (stop, stopped) = watch::channel(false);
        let (go_away, going_away) = watch::channel(());
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts")
                .block_on(serve(listener, server, stopped, going_away));
        });
        Self {
            address,
            is_tls: speech.tls.is_some(),
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

    /// `http://` or `https://` and where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
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

/// What every connection shares.
#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    is_http1_only: bool,
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
async fn serve(
    listener: std::net::TcpListener,
    server: Server,
    mut stopped: watch::Receiver<bool>,
    going_away: watch::Receiver<()>,
) {
    let listener = TcpListener::from_std(listener).expect("a runtime takes a socket");
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let index = server.shared.change(|state| {
                    state.seen.connections += 1;
                    state.seen.connections - 1
                });
                let mut going_away = going_away.clone();
                going_away.mark_unchanged();
                connections.spawn(connection(stream, index, server.clone(), going_away));
            }
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Who is at the other side of a connection.
#[derive(Clone)]
struct Client {
    connection: usize,
    certificate: Option<Bytes>,
}

async fn connection(
    stream: TcpStream,
    connection: usize,
    server: Server,
    going_away: watch::Receiver<()>,
) {
    let mut client = Client {
        connection,
        certificate: None,
    };
    let Some(tls) = &server.tls else {
        return speak(stream, client, server, going_away).await;
    };
    // A client that does not like the certificate leaves.
    if let Ok(stream) = tls.accept(stream).await {
        let certificates = stream.get_ref().1.peer_certificates();
        let first = certificates.and_then(|certificates| certificates.first());
        client.certificate = first.map(|certificate| Bytes::copy_from_slice(certificate));
        speak(stream, client, server, going_away).await;
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    server: Server,
    mut going_away: watch::Receiver<()>,
) {
    let kill = Arc::new(Notify::new());
    let service = hyper::service::service_fn({
        let (kill, shared) = (Arc::clone(&kill), server.shared);
        move |request| {
            answer(
                request,
                client.clone(),
                Arc::clone(&shared),
                Arc::clone(&kill),
            )
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if server.is_http1_only {
        builder = builder.http1_only();
    }
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
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
    client: Client,
    shared: Arc<Shared>,
    kill: Arc<Notify>,
) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let Some(signal) = signal_of(head.uri.path()) else {
        return Ok(http_reply(StatusCode::NOT_FOUND, None));
    };
    let format = format_of(&head.headers);
    let body = body.collect().await?.to_bytes();
    let wire_bytes = body.len();
    let (body, compression) = whole(body, format, signal, &head.headers);
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
        format,
        compression,
        headers: head.headers,
        body,
        wire_bytes,
        reply: reply.clone(),
        connection: client.connection,
        client_certificate: client.certificate,
    };
    shared.change(|state| state.seen.requests.push(received));
    if matches!(reply, Reply::Reset | Reply::TakeAndReset) {
        kill.notify_one();
    }
    if matches!(reply, Reply::Reset | Reply::TakeAndReset | Reply::Hang) {
        std::future::pending::<()>().await;
    }
    let wire = Wire { format, signal };
    if reply == Reply::Cut {
        return Ok(cut(wire, kill));
    }
    Ok(respond(&reply, wire))
}
