//! A completion that comes in one piece.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::Span;

use super::client::Question;
use super::{LlmClient, LlmError};
use crate::{ChatRequest, ChatResponse, Message, ToolDefinition, Usage};

/// A completion that took longer is reported as slow.
const SLOW: Duration = Duration::from_millis(1_500);

/// What the model said, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The message.
    pub message: Message,
    /// Tokens read and written.
    pub usage: Usage,
}

impl LlmClient {
    /// Asks the model for the next message of a conversation, again if it is busy or failed.
    ///
    /// # Errors
    /// No answer, after the last attempt.
    #[tracing::instrument(
        name = "llm.chat",
        skip_all,
        fields(
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = self.provider.as_str(),
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
            ..ChatRequest::default()
        };
        let question = Question {
            uri: self.completions(),
            body: body_of(&request)?,
            streamed: None,
        };
        let (answer, attempts) = self.ask(question).await?;
        let response: ChatResponse = serde_json::from_slice(&answer)
            .map_err(|error| LlmError::Answer(error.to_string()))
            .inspect_err(|error| tracing::error!(%error, "the model's answer cannot be read"))?;
        self.completion(response, attempts, started.elapsed())
    }

    /// What a response says. The current span has to declare `gen_ai.response.model`,
    /// `gen_ai.response.finish_reasons` and the usage.
    pub(super) fn completion(
        &self,
        response: ChatResponse,
        attempts: u32,
        took: Duration,
    ) -> Result<Completion, LlmError> {
        let span = Span::current();
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
}

pub(super) fn body_of<T: serde::Serialize>(request: &T) -> Result<Bytes, LlmError> {
    serde_json::to_vec(request)
        .map(Bytes::from)
        .map_err(|error| LlmError::Answer(error.to_string()))
}
