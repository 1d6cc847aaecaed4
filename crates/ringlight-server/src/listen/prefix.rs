//! The first bytes of a connection: which protocol they begin, without losing them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The content type of a TLS handshake record, and the major version that follows it.
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
    Tls,
}

/// Reads as much as it takes to tell the protocol; `None` if the peer closes before that.
pub(super) async fn detect(
    mut stream: TcpStream,
) -> io::Result<Option<(Protocol, Prefixed<TcpStream>)>> {
    let mut prefix = [0; HTTP2_PREFACE.len()];
    let mut length = 0;
    loop {
        let read = stream.read(&mut prefix[length..]).await?;
        if read == 0 {
            return Ok(None);
        }
        length += read;
        if let Some(protocol) = protocol(&prefix[..length]) {
            let stream = Prefixed {
                prefix,
                length,
                replayed: 0,
                inner: stream,
            };
            return Ok(Some((protocol, stream)));
        }
    }
}

/// The protocol that begins with `prefix`; `None` if more bytes are needed.
fn protocol(prefix: &[u8]) -> Option<Protocol> {
    if prefix == HTTP2_PREFACE {
        Some(Protocol::Http2)
    } else if prefix.starts_with(&TLS_HANDSHAKE) {
        Some(Protocol::Tls)
    } else if HTTP2_PREFACE.starts_with(prefix) || TLS_HANDSHAKE.starts_with(prefix) {
        None
    } else {
        // Whatever else it is, the HTTP/1 parser says so.
        Some(Protocol::Http1)
    }
}

/// A stream of which the first bytes have been read already.
#[derive(Debug)]
pub(super) struct Prefixed<S> {
    prefix: [u8; HTTP2_PREFACE.len()],
    /// Bytes of `prefix` that were read.
    length: usize,
    /// Bytes of `prefix` that were handed on, at most `length`.
    replayed: usize,
    inner: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.replayed < self.length {
            let end = self.length.min(self.replayed + buf.remaining());
            buf.put_slice(&self.prefix[self.replayed..end]);
            self.replayed = end;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_apart_by_as_few_bytes_as_needed() {
        let check = |prefix: &[u8], expected| assert_eq!(protocol(prefix), expected);
        check(b"P", None);
        check(b"PO", Some(Protocol::Http1));
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None);
        check(HTTP2_PREFACE, Some(Protocol::Http2));
        check(&[0x16], None);
        check(&[0x16, 3, 1], Some(Protocol::Tls));
        check(&[0x16, 7], Some(Protocol::Http1));
        check(b"GET / HTTP/1.1", Some(Protocol::Http1));
        check(&[0xff], Some(Protocol::Http1));
    }
}
