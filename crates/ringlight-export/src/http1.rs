//! OTLP over HTTP with protobuf.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight_model::Signal;
use ringlight_otlp::response::{ExportResponse, Status as RpcStatus};

use crate::config::{EndpointError, OtlpConfig};
use crate::secret::Headers;
use crate::{RESPONSE_BYTES_MAX, USER_AGENT, failure, takes_open_spans};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Sends batches as OTLP over HTTP/1.1 with protobuf bodies.
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
    client: Client<HttpConnector, Full<Bytes>>,
}

struct Target {
    uri: Uri,
    /// The address is the signal's own, used as it is, and does not end as those for the signal
    /// usually do.
    is_unusual: bool,
}

impl OtlpHttpExporter {
    /// An exporter to this destination. Connects to nothing yet.
    ///
    /// # Errors
    /// An endpoint is not an `http://` address, or asks for TLS, which this build does not have; a
    /// header cannot be sent.
    pub fn new(config: &OtlpConfig) -> Result<Self, EndpointError> {
        let target = |signal: Signal| {
            let (endpoint, is_own) = config.endpoint_of(signal)?;
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
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(TCP_KEEPALIVE));
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
            name: format!("{} (OTLP/HTTP)", config.main_endpoint()?),
            is_one_backend,
            targets,
            headers: config.request_headers()?,
            client,
        })
    }

    fn request(&self, batch: &EncodedBatch, with: HeaderMap) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(batch.bytes.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.targets[batch.signal as usize].uri.clone();
        *request.headers_mut() = with;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
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
        let headers = self.headers.current().await?;
        let secret = headers.secret().cloned();
        let result = self.send(batch, headers.all).await;
        self.headers.judged(secret.as_ref(), result).await
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
        batch: EncodedBatch,
        headers: HeaderMap,
    ) -> Result<ExportOutcome, ExportError> {
        let response = self
            .client
            .request(self.request(&batch, headers))
            .await
            .map_err(failure::unreachable)?;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, RESPONSE_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
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
        let answer = read(&Response::from_parts(head, body), SystemTime::now());
        match answer {
            Err(ExportError::Unsupported { reason })
                if self.targets[batch.signal as usize].is_unusual =>
            {
                Err(ExportError::Unsupported {
                    reason: format!(
                        "{reason}; hint: the endpoint of a single signal is used as it is, add `{}`",
                        path(batch.signal)
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
    let is_protobuf = response.headers().get(header::CONTENT_TYPE) == Some(&PROTOBUF);
    let text_of = |name| {
        let value = response.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    if status.is_success() {
        // A success that is empty or cannot be understood counts as delivered.
        let understood = if is_protobuf {
            ExportResponse::from_protobuf(response.body()).unwrap_or_default()
        } else {
            ExportResponse::default()
        };
        return Ok(ExportOutcome {
            rejected: understood.rejected,
            message: (!understood.message.is_empty()).then_some(understood.message),
            takes_open_spans: takes_open_spans(response.headers()),
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
    let text = if is_protobuf {
        RpcStatus::from_protobuf(response.body())
            .map(|status| status.message)
            .unwrap_or_default()
    } else {
        String::from_utf8_lossy(response.body()).into_owned()
    };
    let text = if text.trim().is_empty() {
        reason_phrase(status).to_owned()
    } else {
        text
    };
    Err(failure::of_http(status, &text, after))
}

fn reason_phrase(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("no reason given")
}
