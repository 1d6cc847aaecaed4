//! One provider's model: requests, and asking again.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ringlight_app_harness::with_causes;
use tracing::Span;

use super::error::TIMEOUT;
use super::stream::StreamedAnswer;
use super::{LlmError, Provider};
use crate::ErrorResponse;
use crate::propagation;
use crate::status::failed;

/// How often a question is sent at most.
const ATTEMPTS_MAX: u32 = 4;

/// The largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A client of one model of one provider. Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub struct LlmClient {
    client: Client<HttpConnector, Full<Bytes>>,
    completions: Uri,
    embeddings: Uri,
    pub(super) provider: Provider,
    pub(super) model: String,
}

/// A request that may be sent several times.
pub(super) struct Question<'a> {
    /// Where to.
    pub(super) uri: &'a Uri,
    /// What, as JSON.
    pub(super) body: Bytes,
    /// Where the pieces of an answer go that comes piece by piece.
    pub(super) streamed: Option<&'a mut StreamedAnswer>,
}

impl LlmClient {
    /// A client of `provider`'s model `model` behind `url`, such as `http://127.0.0.1:8080/v1`.
    ///
    /// # Errors
    /// `url` is no `http://` URL.
    pub fn new(url: &str, provider: Provider, model: &str) -> Result<Self, LlmError> {
        let wrong = |reason: String| LlmError::Url {
            url: url.to_owned(),
            reason,
        };
        let endpoint = |path: &str| -> Result<Uri, LlmError> {
            let uri: Uri = format!("{}/{path}", url.trim_end_matches('/'))
                .parse()
                .map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
            if uri.scheme_str() != Some("http") || uri.host().is_none() {
                return Err(wrong("it must begin with `http://`".to_owned()));
            }
            Ok(uri)
        };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            completions: endpoint("chat/completions")?,
            embeddings: endpoint("embeddings")?,
            provider,
            model: model.to_owned(),
        })
    }

    /// The model that is asked.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Who runs it.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    pub(super) fn completions(&self) -> &Uri {
        &self.completions
    }

    pub(super) fn embeddings(&self) -> &Uri {
        &self.embeddings
    }

    /// Asks, and asks again if the model is busy or failed and has said nothing yet. Returns the
    /// answer with how many attempts it took, which the current span's `llm.attempts` tells too.
    pub(super) async fn ask(&self, mut question: Question<'_>) -> Result<(Bytes, u32), LlmError> {
        let mut attempts = 1;
        let mut outcome = self.http_request(&mut question, attempts).await;
        while let Err(error) = &outcome
            && error.is_retryable()
            && attempts < ATTEMPTS_MAX
            && question.streamed.as_ref().is_none_or(|s| s.is_empty())
        {
            attempts += 1;
            outcome = self.retry(&mut question, attempts, error).await;
        }
        Span::current().record("llm.attempts", attempts);
        let answer = outcome
            .inspect_err(|error| tracing::error!(%error, attempts, "the model gave no answer"))?;
        Ok((answer, attempts))
    }

    /// One more attempt. The client does not wait by itself before it asks again: it tells the
    /// server by `Prefer: wait` (RFC 7240) that the request may be held until there is room, which
    /// the server knows better.
    #[tracing::instrument(
        name = "llm.retry",
        skip_all,
        fields(
            gen_ai.provider.name = self.provider.as_str(),
            retry.attempt = attempt,
            error.type = cause.kind(),
        )
    )]
    async fn retry(
        &self,
        question: &mut Question<'_>,
        attempt: u32,
        cause: &LlmError,
    ) -> Result<Bytes, LlmError> {
        tracing::warn!(
            cause = %cause,
            attempt,
            gen_ai.request.model = self.model,
            "asking the model again"
        );
        self.http_request(question, attempt).await
    }

    #[tracing::instrument(
        name = "llm.http_request",
        skip_all,
        fields(
            otel.kind = "client",
            http.request.method = "POST",
            url.full = %question.uri,
            server.address = question.uri.host(),
            server.port = question.uri.port_u16(),
            http.request.body.size = question.body.len(),
            http.request.resend_count = (attempt > 1).then(|| attempt - 1),
            http.response.status_code,
            http.response.body.size,
            error.type,
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn http_request(
        &self,
        question: &mut Question<'_>,
        attempt: u32,
    ) -> Result<Bytes, LlmError> {
        let span = Span::current();
        let exchanged = tokio::time::timeout(TIMEOUT, self.exchange(question, attempt))
            .await
            .unwrap_or(Err(LlmError::Timeout));
        if let Err(error) = &exchanged {
            // The attempt failed; whether that is an error to be logged is for the caller to say.
            span.record("error.type", error.kind());
            failed(error);
        }
        exchanged
    }

    async fn exchange(&self, question: &mut Question<'_>, attempt: u32) -> Result<Bytes, LlmError> {
        let span = Span::current();
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = question.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if attempt > 1 {
            headers.insert("prefer", HeaderValue::from_static("wait=10"));
        }
        propagation::inject(headers);
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| LlmError::Unreachable(with_causes(&error)))?;
        let status = response.status();
        span.record("http.response.status_code", status.as_u16());
        if let Some(streamed) = &mut question.streamed
            && status.is_success()
        {
            let bytes = read_stream(response, streamed).await?;
            span.record("http.response.body.size", bytes);
            return Ok(Bytes::new());
        }
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| LlmError::Unreachable(error.to_string()))?
            .to_bytes();
        span.record("http.response.body.size", answer.len());
        if !status.is_success() {
            let message = serde_json::from_slice::<ErrorResponse>(&answer)
                .map_or_else(|_| "no reason given".to_owned(), |said| said.error.message);
            return Err(LlmError::Status { status, message });
        }
        Ok(answer)
    }
}

/// Hands the pieces of an answer on as they come, and returns how many bytes they were.
async fn read_stream(
    response: Response<Incoming>,
    streamed: &mut StreamedAnswer,
) -> Result<usize, LlmError> {
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| LlmError::Unreachable(with_causes(&error)))?;
        let Some(piece) = frame.data_ref() else {
            continue;
        };
        bytes += piece.len();
        if bytes > ANSWER_BYTES_MAX {
            return Err(LlmError::Answer("the stream does not end".to_owned()));
        }
        streamed.take(piece).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_says_what_to_write() {
        for url in ["https://example.org/v1", "127.0.0.1:80", "http://", "x y"] {
            let message = LlmClient::new(url, Provider::Ollama, "m")
                .unwrap_err()
                .to_string();
            assert!(message.contains("write for example `http://"), "{message}");
        }
    }

    #[tokio::test]
    async fn an_unreachable_model_is_tried_again_and_then_an_error() {
        // A port that was just free and is not listened on.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let url = format!("http://127.0.0.1:{port}/v1");
        let client = LlmClient::new(&url, Provider::Ollama, "m").unwrap();
        let error = client.chat(&[], &[]).await.unwrap_err();
        assert!(matches!(error, LlmError::Unreachable(_)), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
