//! Asking the model, over HTTP.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ringlight_app_harness::with_causes;
use tracing::Span;

use crate::propagation;
use crate::status::failed;
use crate::{ChatRequest, ChatResponse, ErrorResponse, Message, ToolDefinition, Usage};

/// How often a question is sent at most.
const ATTEMPTS_MAX: u32 = 4;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A completion that took longer is reported as slow.
const SLOW: Duration = Duration::from_millis(1_500);

/// The largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why the model gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// The address is none.
    #[error("`{url}` is no URL of a model: {reason}; write for example `http://127.0.0.1:8080/v1`")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model could not be reached, or the connection broke.
    #[error("the model cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the model did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The provider answered with an error.
    #[error("the model answered {status}: {message}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// What the provider wrote.
        message: String,
    },
    /// The answer is no completion.
    #[error("the model's answer cannot be read: {0}")]
    Answer(String),
}

impl LlmError {
    /// Whether asking again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Url { .. } | Self::Answer(_) => false,
        }
    }

    /// The value of `error.type`.
    fn kind(&self) -> String {
        match self {
            Self::Status { status, .. } => status.as_u16().to_string(),
            Self::Url { .. } => "url".to_owned(),
            Self::Unreachable(_) => "connection".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::Answer(_) => "decode".to_owned(),
        }
    }
}

/// What the model said, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The message.
    pub message: Message,
    /// Tokens read and written.
    pub usage: Usage,
}

/// A client of one model. Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub struct LlmClient {
    client: Client<HttpConnector, Full<Bytes>>,
    completions: Uri,
    model: String,
}

impl LlmClient {
    /// A client of the model `model` behind `url`, such as `http://127.0.0.1:8080/v1`.
    ///
    /// # Errors
    /// `url` is no `http://` URL.
    pub fn new(url: &str, model: &str) -> Result<Self, LlmError> {
        let wrong = |reason: String| LlmError::Url {
            url: url.to_owned(),
            reason,
        };
        let completions: Uri = format!("{}/chat/completions", url.trim_end_matches('/'))
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        if completions.scheme_str() != Some("http") || completions.host().is_none() {
            return Err(wrong("it must begin with `http://`".to_owned()));
        }
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            completions,
            model: model.to_owned(),
        })
    }

    /// The model that is asked.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Asks the model for the next message of a conversation, again if it is busy or failed.
    ///
    /// # Errors
    /// No answer, after the last attempt.
    #[tracing::instrument(
        name = "llm.chat",
        skip_all,
        fields(
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = "stand-in",
            gen_ai.request.model = self.model,
            gen_ai.response.model,
            gen_ai.response.finish_reasons,
            gen_ai.usage.input_tokens,
            gen_ai.usage.output_tokens,
            llm.attempts,
        )
    )]
    pub async fn chat(
        &self,
        messages: &[Message],
        tools: &[ToolDefinition],
    ) -> Result<Completion, LlmError> {
        let started = Instant::now();
        let request = ChatRequest {
            model: self.model.clone(),
            messages: messages.to_vec(),
            tools: tools.to_vec(),
        };
        let body = serde_json::to_vec(&request)
            .map(Bytes::from)
            .map_err(|error| LlmError::Answer(error.to_string()))?;
        let mut attempts = 1;
        let mut outcome = self.http_request(body.clone(), attempts).await;
        while let Err(error) = &outcome
            && error.is_retryable()
            && attempts < ATTEMPTS_MAX
        {
            attempts += 1;
            outcome = self.retry(body.clone(), attempts, error).await;
        }
        let span = Span::current();
        span.record("llm.attempts", attempts);
        let response = outcome
            .inspect_err(|error| tracing::error!(%error, attempts, "the model gave no answer"))?;
        let usage = response.usage;
        span.record("gen_ai.response.model", response.model.as_str());
        span.record("gen_ai.usage.input_tokens", usage.prompt_tokens);
        span.record("gen_ai.usage.output_tokens", usage.completion_tokens);
        let Some(choice) = response.choices.into_iter().next() else {
            tracing::error!("the model's answer has no choices");
            return Err(LlmError::Answer("it has no choices".to_owned()));
        };
        span.record(
            "gen_ai.response.finish_reasons",
            choice.finish_reason.as_str(),
        );
        let took = started.elapsed();
        if took > SLOW {
            tracing::warn!(
                duration_ms = took.as_millis() as u64,
                attempts,
                gen_ai.request.model = self.model,
                gen_ai.usage.input_tokens = usage.prompt_tokens,
                gen_ai.usage.output_tokens = usage.completion_tokens,
                "the model is slow"
            );
        }
        Ok(Completion {
            message: choice.message,
            usage,
        })
    }

    /// One more attempt. The client does not wait by itself before it asks again: it tells the
    /// server by `Prefer: wait` (RFC 7240) that the request may be held until there is room, which
    /// the server knows better.
    #[tracing::instrument(
        name = "llm.retry",
        skip_all,
        fields(retry.attempt = attempt, error.type = cause.kind())
    )]
    async fn retry(
        &self,
        body: Bytes,
        attempt: u32,
        cause: &LlmError,
    ) -> Result<ChatResponse, LlmError> {
        tracing::warn!(
            cause = %cause,
            attempt,
            gen_ai.request.model = self.model,
            "asking the model again"
        );
        self.http_request(body, attempt).await
    }

    #[tracing::instrument(
        name = "llm.http_request",
        skip_all,
        fields(
            otel.kind = "client",
            http.request.method = "POST",
            url.full = %self.completions,
            server.address = self.completions.host(),
            server.port = self.completions.port_u16(),
            http.request.body.size = body.len(),
            http.request.resend_count = (attempt > 1).then(|| attempt - 1),
            http.response.status_code,
            http.response.body.size,
            error.type,
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn http_request(&self, body: Bytes, attempt: u32) -> Result<ChatResponse, LlmError> {
        let span = Span::current();
        let exchanged = tokio::time::timeout(TIMEOUT, self.exchange(body, attempt))
            .await
            .unwrap_or(Err(LlmError::Timeout));
        if let Err(error) = &exchanged {
            // The attempt failed; whether that is an error to be logged is for the caller to say.
            span.record("error.type", error.kind());
            failed(error);
        }
        exchanged
    }

    async fn exchange(&self, body: Bytes, attempt: u32) -> Result<ChatResponse, LlmError> {
        let span = Span::current();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.completions.clone();
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
        serde_json::from_slice(&answer).map_err(|error| LlmError::Answer(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_says_what_to_write() {
        for url in ["https://example.org/v1", "127.0.0.1:80", "http://", "x y"] {
            let message = LlmClient::new(url, "m").unwrap_err().to_string();
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
        let client = LlmClient::new(&format!("http://127.0.0.1:{port}/v1"), "m").unwrap();
        let error = client.chat(&[], &[]).await.unwrap_err();
        assert!(matches!(error, LlmError::Unreachable(_)), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
