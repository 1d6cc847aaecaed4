//! Connections: in the clear, or with TLS.

use std::error::Error as StdError;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
#[cfg(feature = "tls")]
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
#[cfg(feature = "tls")]
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

#[cfg(feature = "tls")]
use crate::tls::Tls;

/// For the name, the connection and the handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    #[cfg(feature = "tls")]
    tls: Option<Arc<Tls>>,
    peer: Option<Arc<Peer>>,
}

/// What the other side of the last connection for gRPC let be known of itself.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// A [`Sign`]. `Relaxed`: the failure that it explains comes through a channel, later, and is what it
    /// is read after.
    sign: AtomicU8,
    /// The words of TLS in which the connection ended, which HTTP/2 keeps to itself.
    #[cfg(feature = "tls")]
    farewell: Mutex<Option<String>>,
}

/// Whether an endpoint for gRPC speaks HTTP alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Nothing says so.
    None = 0,
    /// It closed the connection at the first words of HTTP/2 and said nothing: a server that speaks HTTP/1
    /// may do that, as hyper does, and so may one that is about to end.
    Silence = 1,
    /// It said something that only a server for HTTP says.
    HttpOnly = 2,
}

impl Peer {
    pub(crate) fn sign(&self) -> Sign {
        match self.sign.load(Ordering::Relaxed) {
            0 => Sign::None,
            1 => Sign::Silence,
            _ => Sign::HttpOnly,
        }
    }

    pub(crate) fn set(&self, sign: Sign) {
        self.sign.store(sign as u8, Ordering::Relaxed);
    }

    #[cfg(feature = "tls")]
    fn set_farewell(&self, words: Option<String>) {
        // It is only ever replaced as a whole.
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    #[cfg(feature = "tls")]
    pub(crate) fn farewell(&self) -> Option<String> {
        let farewell = self.farewell.lock();
        farewell.unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) const fn farewell(&self) -> Option<String> {
        None
    }
}

impl Connector {
    /// Connections in the clear.
    pub(crate) fn new() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        Self {
            tcp,
            #[cfg(feature = "tls")]
            tls: None,
            peer: None,
        }
    }

    /// Connections with TLS to `https` addresses.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(mut self, tls: Arc<Tls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connections for gRPC: notes when the other side turns out to speak HTTP/1 alone.
    pub(crate) fn watch(mut self, peer: Arc<Peer>) -> Self {
        self.peer = Some(peer);
        self
    }

    /// A connection to an address, in time.
    pub(crate) async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, BoxError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.reach(uri)).await {
            Ok(connected) => connected,
            Err(_) => Err("no connection within 5 s".into()),
        }
    }

    async fn reach(self, uri: Uri) -> Result<TokioIo<Stream>, BoxError> {
        if let Some(peer) = &self.peer {
            peer.set(Sign::None);
            #[cfg(feature = "tls")]
            peer.set_farewell(None);
        }
        let mut tcp = self.tcp;
        let stream = tcp.call(uri.clone()).await?.into_inner();
        let io = Io::Plain(stream);
        #[cfg(feature = "tls")]
        let io = match (io, &self.tls) {
            (Io::Plain(stream), Some(tls)) if uri.scheme() == Some(&Scheme::HTTPS) => {
                handshake(stream, tls, &uri, self.peer.as_deref()).await?
            }
            (io, _) => io,
        };
        let watch = self.peer.map(Watch::new);
        Ok(TokioIo::new(Stream {
            io,
            watch,
            write_failed: None,
        }))
    }
}

#[cfg(feature = "tls")]
async fn handshake(
    stream: TcpStream,
    tls: &Tls,
    uri: &Uri,
    peer: Option<&Peer>,
) -> Result<Io, BoxError> {
    let config = tls.client_config().await?;
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = rustls_pki_types::ServerName::try_from(host.to_owned())?;
    let connector = tokio_rustls::TlsConnector::from(config);
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(crate::tls::explained_handshake)?;
    // Chosen by a server that was offered HTTP/2 as well.
    if stream.get_ref().1.alpn_protocol() == Some(b"http/1.1")
        && let Some(peer) = peer
    {
        peer.set(Sign::HttpOnly);
        return Err(NOT_GRPC.into());
    }
    Ok(Io::Tls(Box::new(stream)))
}

const NOT_GRPC: &str = "the server speaks HTTP/1, not gRPC";

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection.
pub(crate) struct Stream {
    io: Io,
    watch: Option<Watch>,
    /// Why nothing can be written, while what the other side had to say about it is waited for.
    write_failed: Option<io::Error>,
}

enum Io {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Looks at what a peer says first.
struct Watch {
    peer: Arc<Peer>,
    /// Bytes of [`Watch::HTTP_1`] that were said so far; `None` once it is something else.
    said: Option<usize>,
}

/// How servers in Python answer to a version of HTTP they do not know: as HTTP/0.9, a page and nothing else.
const PAGE: u8 = b'<';

impl Watch {
    /// How an answer begins that is not HTTP/2, which begins with the length of a frame.
    const HTTP_1: &[u8] = b"HTTP/1.";

    const fn new(peer: Arc<Peer>) -> Self {
        Self {
            peer,
            said: Some(0),
        }
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            self.ended();
        }
        for byte in bytes {
            let Some(said) = &mut self.said else {
                break;
            };
            let is_page = *said == 0 && *byte == PAGE;
            if !is_page && Self::HTTP_1[*said] != *byte {
                self.said = None;
                break;
            }
            *said += 1;
            if is_page || *said == Self::HTTP_1.len() {
                self.peer.set(Sign::HttpOnly);
                return Err(io::Error::other(NOT_GRPC));
            }
        }
        Ok(())
    }

    /// The connection is over.
    fn ended(&self) {
        if self.said == Some(0) {
            self.peer.set(Sign::Silence);
        }
    }
}

macro_rules! io {
    ($self:ident, $method:ident $(, $argument:expr)*) => {
        match &mut $self.io {
            Io::Plain(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "tls")]
            Io::Tls(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl Stream {
    fn read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = io!(self, poll_read, context, buffer);
        #[cfg(feature = "tls")]
        let read = read.map_err(|error| {
            let error = crate::tls::explained(error);
            if let Some(watch) = &self.watch
                && error.get_ref().is_some()
            {
                watch.peer.set_farewell(Some(error.to_string()));
            }
            error
        });
        read
    }

    /// The error of a write. A server that does not like our certificate says why and closes the connection,
    /// and a write may come upon that first: under TLS, what there is to read is waited for, which after a
    /// failed write is the end at the latest.
    fn write_error(&mut self, context: &mut Context<'_>, error: io::Error) -> Poll<io::Error> {
        #[cfg(feature = "tls")]
        if matches!(self.io, Io::Tls(_)) {
            let mut room = [0; 64];
            match self.read(context, &mut ReadBuf::new(&mut room)) {
                Poll::Ready(Err(said)) if said.get_ref().is_some() => return Poll::Ready(said),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    self.write_failed = Some(error);
                    return Poll::Pending;
                }
            }
        }
        #[cfg(not(feature = "tls"))]
        let _ = context;
        if let Some(watch) = &self.watch {
            watch.ended();
        }
        Poll::Ready(error)
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = match self.write_failed.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => write(self, context),
        };
        match written {
            Poll::Ready(Err(error)) => self.write_error(context, error).map(Err),
            written => written,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.read(context, buffer);
        match (&read, &mut self.watch) {
            (Poll::Ready(Ok(())), Some(watch)) => watch.look(&buffer.filled()[before..])?,
            // That TLS found something wrong is no silence.
            (Poll::Ready(Err(error)), Some(watch)) if error.kind() != ErrorKind::InvalidData => {
                watch.ended();
            }
            _ => {}
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| {
            io!(stream, poll_write, context, bytes)
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        io!(self, poll_flush, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        io!(self, poll_shutdown, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| {
            io!(stream, poll_write_vectored, context, slices)
        })
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
