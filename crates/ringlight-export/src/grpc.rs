//! OTLP over gRPC.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight_model::Signal;
use ringlight_otlp::response::{ExportResponse, Status as RpcStatus};
use tonic::Code;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint as ChannelEndpoint};
use tower::Service;

use crate::config::{EndpointError, OtlpConfig};
use crate::secret::Headers;
use crate::{RESPONSE_BYTES_MAX, USER_AGENT, failure, takes_open_spans};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

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
    connections: Mutex<Vec<Connection>>,
}

struct Target {
    uri: Uri,
    connection: usize,
}

struct Connection {
    endpoint: ChannelEndpoint,
    channel: Option<Channel>,
    /// Counts the channels there were, so that giving one up twice does not hit its successor.
    generation: u64,
}

impl OtlpGrpcExporter {
    /// An exporter to this destination. Connects to nothing yet.
    ///
    /// # Errors
    /// An endpoint is not an `http://` address, or asks for TLS, which this build does not have; a
    /// header cannot be sent.
    pub fn new(config: &OtlpConfig) -> Result<Self, EndpointError> {
        let mut connections: Vec<(String, Connection)> = Vec::new();
        let mut target = |signal: Signal| {
            let (endpoint, _) = config.endpoint_of(signal)?;
            let origin = endpoint.origin();
            let invalid = |error: &dyn fmt::Display| EndpointError::Invalid {
                endpoint: endpoint.to_string(),
                reason: error.to_string(),
            };
            let known = connections.iter().position(|(known, _)| *known == origin);
            let connection = match known {
                Some(index) => index,
                None => {
                    let channel = ChannelEndpoint::from_shared(origin.clone())
                        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
                        .map_err(|error| invalid(&error))?
                        .connect_timeout(CONNECT_TIMEOUT)
                        .tcp_nodelay(true)
                        .tcp_keepalive(Some(TCP_KEEPALIVE));
                    connections.push((
                        origin.clone(),
                        Connection {
                            endpoint: channel,
                            channel: None,
                            generation: 0,
                        },
                    ));
                    connections.len() - 1
                }
            };
            let uri = Uri::builder()
                .scheme("http")
                .authority(endpoint.authority.clone())
                .path_and_query(PathAndQuery::from_static(path(signal)))
                .build()
                .map_err(|error| invalid(&error))?;
            Ok(Target { uri, connection })
        };
        let targets = [
            target(Signal::Traces)?,
            target(Signal::Logs)?,
            target(Signal::Metrics)?,
            target(Signal::Profiles)?,
        ];
        Ok(Self {
            name: format!("{} (OTLP/gRPC)", config.main_endpoint()?.shown_origin()),
            is_one_backend: config.is_one_backend(|_, endpoint, _| endpoint.shown_origin())?,
            targets,
            headers: config.request_headers()?,
            connections: Mutex::new(connections.into_iter().map(|(_, c)| c).collect()),
        })
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing under the lock leaves it half changed.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self, index: usize) -> (Channel, GiveUp<'_>) {
        let mut connections = self.connections();
        let connection = &mut connections[index];
        let channel = connection
            .channel
            .get_or_insert_with(|| connection.endpoint.connect_lazy())
            .clone();
        let give_up = GiveUp {
            exporter: self,
            index,
            generation: connection.generation,
            armed: true,
        };
        (channel, give_up)
    }

    fn request(&self, batch: &EncodedBatch, with: HeaderMap) -> Request<Body> {
        let mut request = Request::new(Body::new(Message::new(batch.bytes.clone())));
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = self.targets[batch.signal as usize].uri.clone();
        *request.headers_mut() = with;
        let headers = request.headers_mut();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        // An instance id that no header can carry comes from the user; the batch goes without.
        if let Ok(id) = HeaderValue::from_str(&batch.id.to_string()) {
            headers.insert("ringlight-batch-id", id);
        }
        request
    }
}

impl fmt::Debug for OtlpGrpcExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OtlpGrpcExporter").field(&self.name).finish()
    }
}

impl Exporter for OtlpGrpcExporter {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let headers = self.headers.current().await?;
        let secret = headers.secret().cloned();
        let request = self.request(&batch, headers.all);
        let target = &self.targets[batch.signal as usize];
        let (mut channel, mut give_up) = self.channel(target.connection);
        // A channel that cannot even take a request is beyond repair: its worker went down with the
        // runtime it was made on.
        std::future::poll_fn(|context| channel.poll_ready(context))
            .await
            .map_err(failure::unreachable)?;
        let outcome = match channel.call(request).await {
            Ok(response) => read(response).await,
            Err(error) => Err(failure::unreachable(error)),
        };
        give_up.armed = false;
        self.headers.judged(secret.as_ref(), outcome).await
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn reports_open_spans(&self) -> bool {
        self.is_one_backend
    }
}

/// Gives a connection up when an attempt on it is abandoned: it may be dead without knowing.
struct GiveUp<'a> {
    exporter: &'a OtlpGrpcExporter,
    index: usize,
    generation: u64,
    armed: bool,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let mut connections = self.exporter.connections();
        let connection = &mut connections[self.index];
        if connection.generation == self.generation {
            connection.generation += 1;
            connection.channel = None;
        }
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
async fn read(response: Response<Body>) -> Result<ExportOutcome, ExportError> {
    let takes_open_spans = takes_open_spans(response.headers());
    if let Some(status) = tonic::Status::from_header_map(response.headers()) {
        return of_status(&status, &[]);
    }
    if response.status() != StatusCode::OK {
        let code = failure::grpc_code_of_http(response.status());
        let message = format!("HTTP status {}", response.status().as_u16());
        return Err(failure::of_grpc(code, &message, None));
    }
    let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX);
    let body = match body.collect().await {
        Ok(body) => body,
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(ExportError::Permanent {
                reason: format!("the response has more than {RESPONSE_BYTES_MAX} bytes"),
            });
        }
        Err(error) => {
            return Err(ExportError::Unreachable {
                reason: format!("the connection was lost during the response: {error}"),
                source: Some(error),
            });
        }
    };
    let status = body.trailers().and_then(tonic::Status::from_header_map);
    let message = body.to_bytes();
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

fn of_status(status: &tonic::Status, body: &[u8]) -> Result<ExportOutcome, ExportError> {
    if status.code() != Code::Ok {
        let after = RpcStatus::from_protobuf(status.details()).and_then(|s| s.retry_after);
        return Err(failure::of_grpc(status.code(), status.message(), after));
    }
    let response = match body {
        // Not compressed: we do not ask for it.
        [0, _, _, _, _, message @ ..] => ExportResponse::from_protobuf(message),
        _ => None,
    };
    let response = response.unwrap_or_default();
    Ok(ExportOutcome {
        rejected: response.rejected,
        message: (!response.message.is_empty()).then_some(response.message),
        takes_open_spans: false,
    })
}

/// One gRPC message: five bytes of framing, then the encoded request as it is.
struct Message {
    frames: VecDeque<Bytes>,
}

impl Message {
    fn new(message: Bytes) -> Self {
        let mut framing = BytesMut::with_capacity(5);
        framing.put_u8(0);
        // Batches are limited to 60 MiB.
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
