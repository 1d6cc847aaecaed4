//! OTLP/gRPC: unary calls over HTTP/2 (`PROTOCOL-HTTP2.md` of gRPC).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::{Body, Frame};
use ringlight_model::Signal;
use ringlight_otlp::response::ExportResponse;

use super::Receiver;
use super::body::{self, Encoding};
use super::memory::Buffer;
use super::process::{self, Format, Received, Refused};
use crate::state::{Listener, RefusalReason};

/// One byte says whether the message is compressed, four how long it is.
const PREFIX_BYTES: usize = 5;

/// The signal of a gRPC method.
fn signal(path: &str) -> Option<Signal> {
    match path.strip_prefix("/opentelemetry.proto.collector.")? {
        "trace.v1.TraceService/Export" => Some(Signal::Traces),
        "logs.v1.LogsService/Export" => Some(Signal::Logs),
        "metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        "profiles.v1development.ProfilesService/Export" => Some(Signal::Profiles),
        _ => None,
    }
}

/// Whether a request says it is gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value
        .and_then(|value| value.strip_prefix("application/grpc"))
        .is_some_and(|rest| {
            let format = rest.split(';').next().unwrap_or_default().trim();
            format.is_empty() || format.eq_ignore_ascii_case("+proto")
        })
}

/// Answers one request.
pub(super) async fn answer<B>(
    receiver: &Receiver,
    peer: SocketAddr,
    request: Request<B>,
) -> Response<GrpcBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    let speaks_grpc = is_grpc(request.headers()) && request.version() == Version::HTTP_2;
    match export(receiver, request).await {
        Ok(response) => succeed(&response),
        Err(refused) => {
            receiver.refuse(Listener::Grpc, peer, &refused);
            if speaks_grpc {
                return refuse_headers(&refused).map(|()| GrpcBody::default());
            }
            let json = refused.status().to_json();
            let mut response = Response::new(GrpcBody {
                data: Some(json.into()),
                trailers: None,
            });
            *response.status_mut() = refused.http_status();
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
    }
}

async fn export<B>(receiver: &Receiver, request: Request<B>) -> Result<ExportResponse, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (head, mut body) = request.into_parts();
    if !is_grpc(&head.headers) || head.version != Version::HTTP_2 {
        return Err(Refused::new(
            RefusalReason::WrongProtocol,
            format!(
                "`{} {}` is not gRPC, which this port speaks: send OTLP/HTTP to port {}, or use \
                 the protocol grpc",
                head.method,
                head.uri.path(),
                receiver.inner.addresses.http.port()
            ),
        ));
    }
    let path = head.uri.path();
    let Some(signal) = signal(path).filter(|_| head.method == Method::POST) else {
        return Err(Refused::new(
            RefusalReason::UnknownPath,
            format!("no such method `{path}`"),
        ));
    };
    let declared = encoding(&head.headers)?;
    let config = &receiver.inner.config;
    let max = config.request_bytes_max;
    let memory = &receiver.inner.memory;
    let body = body::collect(&mut body, memory, max + PREFIX_BYTES, config.body_timeout)
        .await
        .map_err(|error| process::refused_body(error, max))?;
    let (body, encoding) = message(body, declared, max)?;
    let received = Received {
        signal,
        format: Format::Protobuf,
        encoding,
        body,
        batch_id: process::batch_id(&head.headers),
    };
    process::take(receiver, received).await
}

/// How messages may be compressed.
fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Refused> {
    match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(None),
        Some(name) => Encoding::from_name(name).map(Some).ok_or_else(|| {
            Refused::new(
                RefusalReason::Encoding,
                format!(
                    "encoding `{}` is not supported: use gzip or zstd, or none",
                    String::from_utf8_lossy(name)
                ),
            )
        }),
    }
}

/// Takes the prefix off the only message of a call; says how it is compressed, if it is.
fn message(
    mut body: Buffer,
    encoding: Option<Encoding>,
    max: usize,
) -> Result<(Buffer, Option<Encoding>), Refused> {
    let Some(&[flag, a, b, c, d]) = body.as_slice().first_chunk() else {
        return Err(Refused::new(
            RefusalReason::Incomplete,
            "call ends before its message begins",
        ));
    };
    let encoding = match flag {
        0 => None,
        1 if encoding.is_some() => encoding,
        1 => {
            return Err(Refused::new(
                RefusalReason::Encoding,
                "message is compressed but `grpc-encoding` does not say how",
            ));
        }
        _ => {
            return Err(Refused::new(
                RefusalReason::Undecodable,
                format!("compression flag is {flag}, may be 0 or 1"),
            ));
        }
    };
    let declared = u32::from_be_bytes([a, b, c, d]) as usize;
    if declared > max {
        return Err(process::refused_body(body::BodyError::TooLarge, max));
    }
    body.skip(PREFIX_BYTES);
    let length = body.as_slice().len();
    if length < declared {
        return Err(Refused::new(
            RefusalReason::Incomplete,
            format!("message has {length} bytes of {declared} it declares"),
        ));
    }
    if length > declared {
        return Err(Refused::new(
            RefusalReason::Undecodable,
            "call has more than one message",
        ));
    }
    Ok((body, encoding))
}

fn succeed(response: &ExportResponse) -> Response<GrpcBody> {
    let message = response.to_protobuf();
    let mut data = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    data.put_u8(0);
    // Our own messages are a few hundred bytes.
    data.put_u32(message.len() as u32);
    data.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(GrpcBody {
        data: Some(data.freeze()),
        trailers: Some(trailers),
    });
    common_headers(response.headers_mut());
    response
}

/// The answer to a call that is refused: everything is in the headers.
pub(super) fn refuse_headers(refused: &Refused) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    common_headers(headers);
    headers.insert("grpc-status", HeaderValue::from(refused.code()));
    let text = |text: String| HeaderValue::try_from(text).ok();
    if let Some(message) = text(percent_encode(&refused.message)) {
        headers.insert("grpc-message", message);
    }
    if let Some(details) = text(refused.status().to_details_bin()) {
        headers.insert("grpc-status-details-bin", details);
    }
    response
}

fn common_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(
        "grpc-accept-encoding",
        HeaderValue::from_static("identity,gzip,zstd"),
    );
    headers.insert(process::TAKES, process::OPEN_SPANS);
}

/// The form of `grpc-message`: everything but plain printable ASCII is percent-encoded.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// At most one message, then at most one set of trailers.
#[derive(Debug, Default)]
pub(super) struct GrpcBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for GrpcBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.data.take() {
            Some(data) => Some(Frame::data(data)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_known_by_its_content_type() {
        let check = |value: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(is_grpc(&headers), expected, "{value}");
        };
        check("application/grpc", true);
        check("application/grpc+proto", true);
        check("application/grpc; charset=utf-8", true);
        check("application/grpc+json", false);
        check("application/grpc-web", false);
        check("application/x-protobuf", false);
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encode("50% of café\n"), "50%25 of caf%C3%A9%0A");
    }
}
