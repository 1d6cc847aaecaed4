//! Asking a running backend, and the parts of its answers that are needed here.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use http::header::HOST;
use http::uri::Authority;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use ringlight_app_harness::with_causes;
use serde::{Deserialize, Deserializer};
use tokio::net::TcpStream;

use crate::error::{CliError, Exit};

/// How long one answer may take, from the connection to its last byte.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest answer that is read: about twice what the largest trace takes as JSON.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// How often, and after how long, a backend that is busy is asked again.
const BUSY_TRIES: u32 = 30;
const BUSY_PAUSE: Duration = Duration::from_secs(1);

type Connection = SendRequest<Empty<Bytes>>;

/// The API of one backend, asked one question after the other.
pub(super) struct Api {
    backend: Authority,
    /// The connection of the last answer, which may have been closed since.
    kept: Option<Connection>,
}

impl Api {
    pub(super) fn new(backend: Authority) -> Self {
        Self {
            backend,
            kept: None,
        }
    }

    /// `http://HOST:PORT`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.backend)
    }

    /// What the backend says of itself.
    pub(super) async fn status(&mut self) -> Result<Status, CliError> {
        let answer = self.found("/api/v1/status").await?;
        self.read(&answer)
    }

    /// The services that spans are stored of.
    pub(super) async fn services(&mut self) -> Result<Vec<String>, CliError> {
        let answer = self.found("/api/v1/services").await?;
        let found: Services = self.read(&answer)?;
        let with_spans = found.services.into_iter().filter(|s| s.span_count > 0);
        Ok(with_spans.map(|service| service.name).collect())
    }

    /// A page of traces; `query` is what follows `?`.
    pub(super) async fn traces(&mut self, query: &str) -> Result<Page, CliError> {
        let answer = self.found(&format!("/api/v1/traces?{query}")).await?;
        self.read(&answer)
    }

    /// The JSON of a whole trace, a [`Trace`]; `None` if it was deleted meanwhile.
    pub(super) async fn trace(&mut self, id: &str) -> Result<Option<Bytes>, CliError> {
        let path = format!("/api/v1/traces/{id}");
        match self.ask(&path).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, answer) => self.checked(&path, status, answer).map(Some),
        }
    }

    /// Reads what the API answered.
    pub(super) fn read<'a, T: Deserialize<'a>>(&self, answer: &'a [u8]) -> Result<T, CliError> {
        serde_json::from_slice(answer).map_err(|error| {
            CliError::new(
                Exit::Usage,
                format!("what answers at {} is no Ringlight: {error}", self.url()),
            )
            .with_hint("name the address for the browser that `ringlight up` prints, with `--url`")
        })
    }

    async fn found(&mut self, path: &str) -> Result<Bytes, CliError> {
        let (status, answer) = self.ask(path).await?;
        self.checked(path, status, answer)
    }

    fn checked(&self, path: &str, status: StatusCode, answer: Bytes) -> Result<Bytes, CliError> {
        if status.is_success() {
            return Ok(answer);
        }
        let path = path.split('?').next().unwrap_or_default();
        let refusal = serde_json::from_slice(&answer).unwrap_or_else(|_| Refusal {
            error: RefusalDetail {
                message: status.to_string(),
                hint: String::new(),
            },
        });
        let RefusalDetail { message, hint } = refusal.error;
        let error = CliError::new(
            Exit::Usage,
            format!("{}{path} is not answered: {message}", self.url()),
        );
        Err(error.with_hint(if hint.is_empty() {
            "name the address for the browser that `ringlight up` prints, with `--url`".to_owned()
        } else {
            hint
        }))
    }

    /// Asks until the backend is not busy.
    async fn ask(&mut self, path: &str) -> Result<(StatusCode, Bytes), CliError> {
        for _ in 1..BUSY_TRIES {
            let (status, answer) = self.ask_once(path).await?;
            if status != StatusCode::SERVICE_UNAVAILABLE {
                return Ok((status, answer));
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        self.ask_once(path).await
    }

    async fn ask_once(&mut self, path: &str) -> Result<(StatusCode, Bytes), CliError> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(path)).await;
        let reason = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(reason)) => reason,
            Err(_) => format!("nothing for {} s", ANSWER_TIMEOUT.as_secs()),
        };
        let message = format!("no backend answers at {}: {reason}", self.url());
        Err(CliError::new(Exit::Usage, message).with_hint(
            "start one with `ringlight up`, or name the address that it prints with `--url`",
        ))
    }

    async fn exchange(&mut self, path: &str) -> Result<(StatusCode, Bytes), String> {
        if let Some(mut kept) = self.kept.take()
            && let Ok(answer) = self.exchange_on(&mut kept, path).await
        {
            self.kept = Some(kept);
            return Ok(answer);
        }
        let mut new = self.connect().await?;
        let answer = self.exchange_on(&mut new, path).await?;
        self.kept = Some(new);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Connection, String> {
        let host = self.backend.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = self.backend.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|error| error.to_string())?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| with_causes(&error))?;
        // Ends with the sender; an error of it is the error of a request as well.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn exchange_on(
        &self,
        connection: &mut Connection,
        path: &str,
    ) -> Result<(StatusCode, Bytes), String> {
        connection
            .ready()
            .await
            .map_err(|error| with_causes(&error))?;
        let request = Request::get(path)
            .header(HOST, self.backend.as_str())
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let response = connection
            .send_request(request)
            .await
            .map_err(|error| with_causes(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let answer = body.collect().await.map_err(|error| error.to_string())?;
        Ok((status, answer.to_bytes()))
    }
}

/// A value as it stands in the query of an address.
pub(super) fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "%{byte:02x}");
        text
    })
}

#[derive(Debug, Deserialize)]
struct Refusal {
    error: RefusalDetail,
}

#[derive(Debug, Deserialize)]
struct RefusalDetail {
    message: String,
    hint: String,
}

/// `/api/v1/status`.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    /// The run of the backend that goes on.
    pub(super) run_id: u64,
}

#[derive(Debug, Deserialize)]
struct Services {
    services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    name: String,
    span_count: u64,
}

/// `/api/v1/traces`.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) traces: Vec<FoundTrace>,
    /// The `cursor` of the next page.
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FoundTrace {
    pub(super) trace_id: String,
}

/// `/api/v1/traces/{trace_id}`.
#[derive(Debug, Deserialize)]
pub(super) struct Trace<'a> {
    #[serde(borrow)]
    pub(super) resources: Vec<Resource<'a>>,
    #[serde(borrow)]
    pub(super) spans: Vec<Span<'a>>,
    /// Spans behind these that did not fit into the answer.
    pub(super) spans_left_out: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Resource<'a> {
    #[serde(borrow)]
    pub(super) service: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Span<'a> {
    pub(super) span_id: &'a str,
    /// Empty for a root.
    pub(super) parent_span_id: &'a str,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(deserialize_with = "number")]
    pub(super) start_unix_nano: u64,
    pub(super) duration_nano: u64,
    /// `ended`, `in_progress` or `lost`.
    pub(super) state: &'a str,
    #[serde(borrow)]
    pub(super) status: SpanStatus<'a>,
    /// Index into the trace's resources.
    pub(super) resource: usize,
    #[serde(borrow)]
    pub(super) attributes: Vec<Attribute<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SpanStatus<'a> {
    /// `ok`, `error` or `unset`.
    pub(super) code: &'a str,
}

#[derive(Debug, Deserialize)]
pub(super) struct Attribute<'a> {
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(super) value_type: &'a str,
    pub(super) value: serde_json::Value,
}

impl Span<'_> {
    /// When it ended, or was last heard of.
    pub(super) fn end_unix_nano(&self) -> u64 {
        self.start_unix_nano.saturating_add(self.duration_nano)
    }

    pub(super) fn attribute(&self, key: &str) -> Option<&Attribute<'_>> {
        self.attributes
            .iter()
            .find(|attribute| attribute.key == key)
    }
}

/// Times are text, since JavaScript rounds large numbers.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
