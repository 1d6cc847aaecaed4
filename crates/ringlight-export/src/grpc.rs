//! OTLP over gRPC.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight_model::Signal;
use ringlight_otlp::response::ExportResponse;

use crate::body::{Encoder, Format, RESPONSE_BYTES_MAX, RequestBody, collect, endless};
use crate::compress::{GRPC_ACCEPTED, Unreadable, decompress};
use crate::config::OtlpConfig;
use crate::connect::{Connector, Peer, Sign};
use crate::endpoint::{Endpoint, EndpointError};
use crate::http2::Http2;
use crate::secret::Headers;
use crate::status::{Code, Status};
use crate::{USER_AGENT, failure, takes_open_spans};

/// Sends batches as OTLP over gRPC.
///
/// It connects with the first batch, not when it is built, and again after the connection was lost.
/// A connection on which an attempt was given up (no answer in time) is not used again.
pub struct OtlpGrpcExporter {
    name: String,
    /// Whether spans and log records go to the same one.
    is_one_backend: bool,
    /// One for each signal; those with the same host share a connection.
    targets: [Target; Signal::ALL.len()],
    headers: Headers,
    encoder: Encoder,
    connections: Vec<Connection>,
}

struct Target {
    uri: Uri,
    connection: usize,
}

struct Connection {
    origin: String,
    peer: Arc<Peer>,
    http2: Http2<Message>,
}

impl OtlpGrpcExporter {
    /// An exporter to this destination. Connects to nothing yet.
    ///
    /// # Errors
    /// An endpoint is not an address, or asks for TLS in a build without the feature `tls`; a header cannot
    /// be sent.
    pub fn new(config: &OtlpConfig) -> Result<Self, EndpointError> {
        let name = format!("{} (OTLP/gRPC)", config.main_endpoint()?.shown_origin());
        let mut connections: Vec<Connection> = Vec::new();
        let mut target = |signal: Signal| {
            let (endpoint, _) = config.endpoint_of(signal)?;
            let origin = endpoint.origin();
            let known = connections.iter().position(|known| known.origin == origin);
            let connection = match known {
                Some(index) => index,
                None => {
                    connections.push(Connection::new(&endpoint, config, &name)?);
                    connections.len() - 1
                }
            };
            let uri = Uri::builder()
                .scheme(endpoint.scheme())
                .authority(endpoint.authority.clone())
                .path_and_query(PathAndQuery::from_static(path(signal)))
                .build()
                .map_err(|error| invalid(&endpoint, &error))?;
            Ok(Target { uri, connection })
        };
        let targets = [
            target(Signal::Traces)?,
            target(Signal::Logs)?,
            target(Signal::Metrics)?,
            target(Signal::Profiles)?,
        ];
        Ok(Self {
            name,
            is_one_backend: config.is_one_backend(|_, endpoint, _| endpoint.shown_origin())?,
            targets,
            headers: config.request_headers()?,
            encoder: Encoder::new(Format::Protobuf, config.compression_of_requests()),
            connections,
        })
    }

    /// The number of the host of a signal: below that of the signals.
    pub(crate) fn host(&self, signal: Signal) -> usize {
        self.targets[signal as usize].connection
    }

    /// Whether the other side of a signal seemed to speak HTTP, but not gRPC, when it was last asked.
    pub(crate) fn sign(&self, signal: Signal) -> Sign {
        self.connections[self.host(signal)].peer.sign()
    }

    fn request(
        &self,
        batch: &EncodedBatch,
        body: RequestBody,
        with: HeaderMap,
    ) -> Request<Message> {
        let mut request = Request::new(Message::new(body.bytes, body.encoding.is_some()));
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = self.targets[batch.signal as usize].uri.clone();
        *request.headers_mut() = with;
        let headers = request.headers_mut();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert(
            "grpc-accept-encoding",
            HeaderValue::from_static(GRPC_ACCEPTED),
        );
        if let Some(encoding) = body.encoding {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding));
        }
        // An instance id that no header can carry comes from the user; the batch goes without.
        if let Ok(id) = HeaderValue::from_str(&batch.id.to_string()) {
            headers.insert("ringlight-batch-id", id);
        }
        request
    }
}

/// The header with the name of the compression, of requests and of answers.
const GRPC_ENCODING: &str = "grpc-encoding";

impl Connection {
    fn new(endpoint: &Endpoint, config: &OtlpConfig, name: &str) -> Result<Self, EndpointError> {
        let origin = endpoint.origin();
        let uri: Uri = (origin.parse()).map_err(|error| invalid(endpoint, &error))?;
        let peer = Arc::new(Peer::default());
        let connector = Connector::new().watch(Arc::clone(&peer));
        #[cfg(feature = "tls")]
        let connector = if endpoint.is_tls {
            // HTTP/1.1 is offered as well, so that a server without HTTP/2 says so.
            connector.tls(Arc::new(config.tls(&[b"h2", b"http/1.1"], name)))
        } else {
            connector
        };
        #[cfg(not(feature = "tls"))]
        let _ = (config, name);
        Ok(Self {
            origin,
            peer,
            http2: Http2::new(uri, connector),
        })
    }
}

fn invalid(endpoint: &Endpoint, reason: &dyn fmt::Display) -> EndpointError {
    EndpointError::Invalid {
        endpoint: endpoint.to_string(),
        reason: reason.to_string(),
    }
}

impl fmt::Debug for OtlpGrpcExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OtlpGrpcExporter").field(&self.name).finish()
    }
}

impl Exporter for OtlpGrpcExporter {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let body = self.encoder.body(&batch).await?;
        let wire_bytes = (FRAMING_BYTES + body.bytes.len()) as u64;
        let headers = self.headers.current().await?;
        let secret = headers.secret().cloned();
        let request = self.request(&batch, body, headers.all);
        let target = &self.targets[batch.signal as usize];
        let connection = &self.connections[target.connection];
        let outcome = match connection.http2.send(request).await {
            Ok((response, attempt)) => {
                if is_plain_http(&response) {
                    connection.peer.set(Sign::HttpOnly);
                }
                let outcome = read(response).await;
                attempt.done();
                outcome
            }
            Err(error) => Err(failure::lost(error, connection.peer.farewell())),
        };
        let outcome = self.headers.judged(secret.as_ref(), outcome).await?;
        Ok(ExportOutcome {
            wire_bytes,
            ..outcome
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn reports_open_spans(&self) -> bool {
        self.is_one_backend
    }
}

const fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Profiles => {
            "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
        }
    }
}

/// Reads the answer: gRPC puts the status into the trailers, or into the headers where there is no
/// body.
async fn read(response: Response<Incoming>) -> Result<ExportOutcome, ExportError> {
    let takes_open_spans = takes_open_spans(response.headers());
    if let Some(status) = Status::of(response.headers()) {
        return of_status(&status, &[]);
    }
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Err(failure::of_http(response.status(), "", None));
    }
    if response.status() != StatusCode::OK {
        let code = failure::grpc_code_of_http(response.status());
        let message = format!("HTTP status {}", response.status().as_u16());
        return Err(failure::of_grpc(code, &message, None));
    }
    let encoding = response.headers().get(GRPC_ENCODING).cloned();
    let body = collect(response.into_body()).await?;
    let status = body.trailers().and_then(Status::of);
    let message = unframed(body.to_bytes(), encoding.as_ref())?;
    match status {
        Some(status) => of_status(&status, &message).map(|outcome| ExportOutcome {
            takes_open_spans,
            ..outcome
        }),
        // The specification counts a success that cannot be understood as delivered, but a stream
        // that ends without a status was cut off.
        None => Err(ExportError::Unreachable {
            reason: "the response ended without a status".to_owned(),
            source: None,
        }),
    }
}

fn of_status(status: &Status, body: &[u8]) -> Result<ExportOutcome, ExportError> {
    if status.code != Code::Ok {
        let after = status.details.as_ref().and_then(|s| s.retry_after);
        return Err(failure::of_grpc(status.code, &status.message, after));
    }
    let response = ExportResponse::from_protobuf(body).unwrap_or_default();
    Ok(ExportOutcome {
        rejected: response.rejected,
        message: (!response.message.is_empty()).then_some(response.message),
        ..ExportOutcome::default()
    })
}

/// The message of an answer, which is empty where it cannot be understood.
fn unframed(body: Bytes, encoding: Option<&HeaderValue>) -> Result<Bytes, ExportError> {
    let encoding = match body.first() {
        Some(0) => None,
        Some(1) => encoding.map(HeaderValue::as_bytes),
        _ => return Ok(Bytes::new()),
    };
    if body.len() < FRAMING_BYTES {
        return Ok(Bytes::new());
    }
    match decompress(encoding, body.slice(FRAMING_BYTES..), RESPONSE_BYTES_MAX) {
        Ok(message) => Ok(message),
        Err(Unreadable::Garbled) => Ok(Bytes::new()),
        Err(Unreadable::TooLarge) => Err(endless()),
    }
}

/// A byte that says whether the message is compressed, and four with its length.
const FRAMING_BYTES: usize = 5;

/// Whether this is how a server answers that speaks HTTP/2 and knows nothing of gRPC.
fn is_plain_http(response: &Response<Incoming>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
    !is_grpc && matches!(response.status().as_u16(), 404 | 405 | 415)
}

/// One gRPC message: five bytes of framing, then the encoded request as it is.
struct Message {
    frames: VecDeque<Bytes>,
}

impl Message {
    fn new(message: Bytes, is_compressed: bool) -> Self {
        let mut framing = BytesMut::with_capacity(FRAMING_BYTES);
        framing.put_u8(u8::from(is_compressed));
        // Requests are limited to 64 MiB.
        framing.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        Self {
            frames: VecDeque::from([framing.freeze(), message]),
        }
    }
}

impl http_body::Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.frames.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.frames.iter().map(|bytes| bytes.len() as u64).sum())
    }
}
