//! OTLP/HTTP: protobuf and JSON on one port (opentelemetry-proto, `docs/specification.md`,
//! "OTLP/HTTP").

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use http_body_util::Full;
use ringlight_model::Signal;

use super::body::{self, BodyError, Encoding};
use super::process::{self, Format, Received, Refused};
use super::{Receiver, grpc};
use crate::state::{Listener, RefusalReason};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The signal of a path.
fn signal(path: &str) -> Option<Signal> {
    match path {
        "/v1/traces" => Some(Signal::Traces),
        "/v1/logs" => Some(Signal::Logs),
        "/v1/metrics" => Some(Signal::Metrics),
        "/v1development/profiles" => Some(Signal::Profiles),
        _ => None,
    }
}

/// Answers one request.
pub(super) async fn answer<B>(
    receiver: &Receiver,
    peer: SocketAddr,
    request: Request<B>,
) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let format = format(request.headers());
    let is_grpc = grpc::is_grpc(request.headers());
    let path_signal = signal(request.uri().path());
    match export(receiver, request).await {
        Ok(response) => {
            let signal = path_signal.unwrap_or(Signal::Traces);
            respond(format, response.to_protobuf(), || response.to_json(signal))
        }
        Err(refused) => {
            receiver.refuse(Listener::Http, peer, &refused);
            if is_grpc {
                // A gRPC client only understands gRPC.
                return grpc::refuse_headers(&refused).map(|()| Full::default());
            }
            refuse(format, &refused)
        }
    }
}

async fn export<B>(
    receiver: &Receiver,
    request: Request<B>,
) -> Result<ringlight_otlp::response::ExportResponse, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (head, mut body) = request.into_parts();
    if grpc::is_grpc(&head.headers) {
        return Err(Refused::new(
            RefusalReason::WrongProtocol,
            format!(
                "this port speaks OTLP/HTTP: send gRPC to port {}, or use the protocol \
                 http/protobuf",
                receiver.inner.addresses.grpc.port()
            ),
        ));
    }
    let path = head.uri.path();
    let Some(signal) = signal(path) else {
        return Err(Refused::new(
            RefusalReason::UnknownPath,
            format!(
                "no such path `{path}`: this port takes POST /v1/traces, /v1/logs, /v1/metrics \
                 and /v1development/profiles"
            ),
        ));
    };
    if head.method != Method::POST {
        return Err(Refused::new(
            RefusalReason::Method,
            format!(
                "`{}` is not allowed for `{path}`, only POST is",
                head.method
            ),
        ));
    }
    let Some(format) = format(&head.headers) else {
        let given = head.headers.get(CONTENT_TYPE);
        return Err(Refused::new(
            RefusalReason::ContentType,
            format!(
                "content type {} is not OTLP: use {PROTOBUF} or {JSON}",
                describe(given)
            ),
        ));
    };
    let encoding = encoding(&head.headers)?;
    let config = &receiver.inner.config;
    let max = config.request_bytes_max;
    let collected = body::collect(&mut body, &receiver.inner.memory, max, config.body_timeout);
    let collected = match collected.await {
        Ok(collected) => collected,
        Err(error) => {
            if matches!(error, BodyError::TooLarge | BodyError::Memory) {
                body::drain(&mut body, max, config.body_timeout).await;
            }
            return Err(process::refused_body(error, max));
        }
    };
    let received = Received {
        signal,
        format,
        encoding,
        body: collected,
        batch_id: process::batch_id(&head.headers),
    };
    process::take(receiver, received).await
}

/// The format a request says it has. Parameters such as a character set are of no concern.
fn format(headers: &HeaderMap) -> Option<Format> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    if essence.eq_ignore_ascii_case(PROTOBUF) {
        Some(Format::Protobuf)
    } else if essence.eq_ignore_ascii_case(JSON) {
        Some(Format::Json)
    } else {
        None
    }
}

/// How the body is compressed, if it is. Several encodings on top of each other are refused: each would
/// multiply what a few bytes can grow to.
fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Refused> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        let names = value.to_str().unwrap_or("unreadable").split(',');
        for name in names.map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            let known = if name.eq_ignore_ascii_case("x-gzip") {
                Some(Encoding::Gzip)
            } else {
                Encoding::from_name(name.as_bytes())
            };
            if known.is_none() || found.is_some() {
                return Err(Refused::new(
                    RefusalReason::Encoding,
                    format!(
                        "content encoding {} is not supported: use gzip or zstd, once, or none",
                        describe(Some(value))
                    ),
                ));
            }
            found = known;
        }
    }
    Ok(found)
}

fn describe(value: Option<&HeaderValue>) -> String {
    match value.map(HeaderValue::to_str) {
        None => "(none)".to_owned(),
        Some(Ok(text)) => format!("`{text}`"),
        Some(Err(_)) => "(unreadable)".to_owned(),
    }
}

/// An answer in the format of the request; JSON where that is unknown, since people read it then.
fn respond(
    format: Option<Format>,
    protobuf: Vec<u8>,
    json: impl FnOnce() -> String,
) -> Response<Full<Bytes>> {
    let (content_type, body) = match format {
        Some(Format::Protobuf) => (PROTOBUF, Bytes::from(protobuf)),
        Some(Format::Json) | None => (JSON, Bytes::from(json())),
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(process::TAKES, process::OPEN_SPANS);
    response
}

fn refuse(format: Option<Format>, refused: &Refused) -> Response<Full<Bytes>> {
    let status = refused.status();
    let mut response = respond(format, status.to_protobuf(), || status.to_json());
    *response.status_mut() = refused.http_status();
    if let Some(after) = refused.retry_after {
        // Whole seconds, and never "at once".
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if refused.reason == RefusalReason::Method {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}
