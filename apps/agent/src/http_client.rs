//! Short HTTP exchanges with services other than the model: chat services, and pages.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ringlight_app_harness::with_causes;
use serde_json::Value;

use crate::propagation;

/// How long one exchange may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// What is asked for is no address.
    #[error("`{0}` is no address")]
    Address(String),
    /// The service could not be reached, or the connection broke.
    #[error("the service cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the service did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The service refused.
    #[error("the service answered {0}")]
    Status(StatusCode),
    /// The answer is not what the service is known to say.
    #[error("the service's answer cannot be read: {0}")]
    Answer(String),
}

/// A client of one service. Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    client: Client<HttpConnector, Full<Bytes>>,
    /// `http://HOST:PORT`, without a path.
    origin: String,
}

impl HttpClient {
    /// A client of the service that `url` leads to; its path is left out.
    pub(crate) fn new(url: &str) -> Result<Self, HttpError> {
        let wrong = || HttpError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            origin: format!("http://{authority}"),
        })
    }

    /// Fetches what is at `path`.
    pub(crate) async fn fetch(&self, path: &str) -> Result<(StatusCode, Bytes), HttpError> {
        self.exchange(Method::GET, path, None, None).await
    }

    /// Sends one request, with a JSON body if there is one, and reads the answer.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&'static str>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let uri: Uri = format!("{}{path}", self.origin)
            .parse()
            .map_err(|_| HttpError::Address(path.to_owned()))?;
        let content = body.map_or_else(String::new, Value::to_string);
        let mut request = Request::new(Full::new(Bytes::from(content)));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        propagation::inject(headers);
        tokio::time::timeout(TIMEOUT, self.send(request))
            .await
            .unwrap_or(Err(HttpError::Timeout))
    }

    /// As [`Self::exchange`], for services that answer with JSON and tell errors by the status.
    pub(crate) async fn exchange_json(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&'static str>,
        body: Option<&Value>,
    ) -> Result<Value, HttpError> {
        let (status, answer) = self.exchange(method, path, authorization, body).await?;
        if !status.is_success() {
            return Err(HttpError::Status(status));
        }
        serde_json::from_slice(&answer).map_err(|error| HttpError::Answer(error.to_string()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), HttpError> {
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| HttpError::Unreachable(with_causes(&error)))?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| HttpError::Unreachable(error.to_string()))?
            .to_bytes();
        Ok((status, answer))
    }
}
