//! OTLP over HTTP, as protobuf or as JSON.

use std::fmt;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight_model::Signal;
use ringlight_otlp::response::{ExportResponse, Status as RpcStatus};

use crate::body::{Encoder, Format, RESPONSE_BYTES_MAX, RequestBody, collect, endless};
use crate::compress::{ACCEPTED, Unreadable, decompress};
use crate::config::OtlpConfig;
use crate::connect::Connector;
use crate::endpoint::EndpointError;
use crate::secret::Headers;
use crate::{USER_AGENT, failure, takes_open_spans};

const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Sends batches as OTLP over HTTP/1.1 with protobuf or JSON bodies.
///
/// Connections are opened when they are needed and kept for the next batch. Redirects are not
/// followed: they would carry the headers to another host.
pub struct OtlpHttpExporter {
    name: String,
    /// Whether spans and log records go to the same one.
    is_one_backend: bool,
    /// One for each signal.
    targets: [Target; Signal::ALL.len()],
    headers: Headers,
    encoder: Encoder,
    client: Client<Connector, Full<Bytes>>,
}

struct Target {
    uri: Uri,
    /// The address is the signal's own, used as it is, and does not end as those for the signal
    /// usually do.
    is_unusual: bool,
}

impl OtlpHttpExporter {
    /// An exporter to this destination, with protobuf bodies. Connects to nothing yet.
    ///
    /// # Errors
    /// An endpoint is not an address, or asks for TLS in a build without the feature `tls`; a header cannot
    /// be sent.
    pub fn new(config: &OtlpConfig) -> Result<Self, EndpointError> {
        Self::build(config, Format::Protobuf, false)
    }

    /// An exporter to this destination, with JSON bodies (`http/json`). Connects to nothing yet.
    ///
    /// JSON takes several times the bytes of protobuf, and the time to write it. Reports, which are metrics,
    /// stay protobuf.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn json(config: &OtlpConfig) -> Result<Self, EndpointError> {
        Self::build(config, Format::Json, false)
    }

    /// For endpoints that were meant for gRPC, whose paths mean nothing.
    pub(crate) fn instead_of_grpc(config: &OtlpConfig) -> Result<Self, EndpointError> {
        Self::build(config, Format::Protobuf, true)
    }

    fn build(
        config: &OtlpConfig,
        format: Format,
        is_instead_of_grpc: bool,
    ) -> Result<Self, EndpointError> {
        let target = |signal: Signal| {
            let (endpoint, is_own) = config.endpoint_of(signal)?;
            let is_own = is_own && !(is_instead_of_grpc && endpoint.path == "/");
            let address = endpoint.with_suffix(if is_own { "" } else { path(signal) });
            let uri = address.parse().map_err(|error| EndpointError::Invalid {
                endpoint: endpoint.to_string(),
                reason: format!("{error}"),
            })?;
            Ok(Target {
                is_unusual: is_own && !endpoint.to_string().ends_with(path(signal)),
                uri,
            })
        };
        let targets = [
            target(Signal::Traces)?,
            target(Signal::Logs)?,
            target(Signal::Metrics)?,
            target(Signal::Profiles)?,
        ];
        let name = format!("{} (OTLP/HTTP)", config.main_endpoint()?);
        let connector = Connector::new();
        #[cfg(feature = "tls")]
        let connector = connector.tls(Arc::new(config.tls(&[b"http/1.1"], &name)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        let is_one_backend = config.is_one_backend(|signal, endpoint, is_own| {
            let address = endpoint.to_string();
            let base = address.strip_suffix(path(signal)).filter(|_| is_own);
            base.map_or(address.clone(), str::to_owned)
        })?;
        Ok(Self {
            name,
            is_one_backend,
            targets,
            headers: config.request_headers()?,
            encoder: Encoder::new(format, config.compression_of_requests()),
            client,
        })
    }

    fn request(
        &self,
        batch: &EncodedBatch,
        body: RequestBody,
        with: HeaderMap,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body.bytes));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.targets[batch.signal as usize].uri.clone();
        *request.headers_mut() = with;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let content_type = match body.format {
            Format::Protobuf => PROTOBUF,
            Format::Json => JSON,
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(encoding) = body.encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        // An instance id that no header can carry comes from the user; the batch goes without.
        if let Ok(id) = HeaderValue::from_str(&batch.id.to_string()) {
            headers.insert("ringlight-batch-id", id);
        }
        request
    }
}

impl fmt::Debug for OtlpHttpExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OtlpHttpExporter").field(&self.name).finish()
    }
}

impl Exporter for OtlpHttpExporter {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let body = self.encoder.body(&batch).await?;
        let (wire_bytes, left_out) = (body.bytes.len() as u64, body.left_out);
        let headers = self.headers.current().await?;
        let secret = headers.secret().cloned();
        let result = self
            .send(batch.signal, self.request(&batch, body, headers.all))
            .await;
        let outcome = self.headers.judged(secret.as_ref(), result).await?;
        Ok(RequestBody::outcome(wire_bytes, left_out, outcome))
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn reports_open_spans(&self) -> bool {
        self.is_one_backend
    }
}

impl OtlpHttpExporter {
    async fn send(
        &self,
        signal: Signal,
        request: Request<Full<Bytes>>,
    ) -> Result<ExportOutcome, ExportError> {
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| failure::lost(error, None))?;
        let (head, body) = response.into_parts();
        let encoding = head.headers.get(header::CONTENT_ENCODING);
        let encoding = encoding.map(HeaderValue::as_bytes);
        let body = collect(body).await?.to_bytes();
        let body = match decompress(encoding, body, RESPONSE_BYTES_MAX) {
            Ok(body) => body,
            // As if there were none: the status says what became of the batch.
            Err(Unreadable::Garbled) => Bytes::new(),
            Err(Unreadable::TooLarge) => return Err(endless()),
        };
        let answer = read(&Response::from_parts(head, body), SystemTime::now());
        match answer {
            Err(ExportError::Unsupported { reason })
                if self.targets[signal as usize].is_unusual =>
            {
                Err(ExportError::Unsupported {
                    reason: format!(
                        "{reason}; hint: the endpoint of a single signal is used as it is, add `{}`",
                        path(signal)
                    ),
                })
            }
            answer => answer,
        }
    }
}

const fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/v1/traces",
        Signal::Logs => "/v1/logs",
        Signal::Metrics => "/v1/metrics",
        Signal::Profiles => "/v1development/profiles",
    }
}

fn read(response: &Response<Bytes>, now: SystemTime) -> Result<ExportOutcome, ExportError> {
    let status = response.status();
    let format = format_of(response);
    let text_of = |name| {
        let value = response.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    if status.is_success() {
        // A success that is empty or cannot be understood counts as delivered.
        let understood = match format {
            Some(Format::Protobuf) => ExportResponse::from_protobuf(response.body()),
            Some(Format::Json) => ExportResponse::from_json(response.body()),
            None => None,
        };
        let understood = understood.unwrap_or_default();
        return Ok(ExportOutcome {
            rejected: understood.rejected,
            message: (!understood.message.is_empty()).then_some(understood.message),
            takes_open_spans: takes_open_spans(response.headers()),
            ..ExportOutcome::default()
        });
    }
    if status.is_redirection() {
        let place = text_of(header::LOCATION).unwrap_or("elsewhere");
        // What follows may be a token.
        let place = place.split('?').next().unwrap_or_default();
        let text = format!("redirects to {place}, which is not followed");
        return Err(failure::of_http(status, &text, None));
    }
    let after = text_of(header::RETRY_AFTER).and_then(|value| failure::retry_after(value, now));
    let plain = || String::from_utf8_lossy(response.body()).into_owned();
    let text = match format {
        Some(Format::Protobuf) => {
            let status = RpcStatus::from_protobuf(response.body());
            status.map(|status| status.message).unwrap_or_default()
        }
        Some(Format::Json) => {
            let status = RpcStatus::from_json(response.body());
            let message = status.map(|status| status.message);
            // What is an object of the server's own says more than the name of its status.
            message
                .filter(|message| !message.is_empty())
                .unwrap_or_else(plain)
        }
        None => plain(),
    };
    let text = if text.trim().is_empty() {
        reason_phrase(status).to_owned()
    } else {
        text
    };
    Err(failure::of_http(status, &text, after))
}

/// What the body of an answer is, as it says.
fn format_of(response: &Response<Bytes>) -> Option<Format> {
    let value = response
        .headers()
        .get(header::CONTENT_TYPE)?
        .to_str()
        .ok()?;
    match value.split(';').next()?.trim() {
        PROTOBUF => Some(Format::Protobuf),
        JSON => Some(Format::Json),
        _ => None,
    }
}

fn reason_phrase(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("no reason given")
}
