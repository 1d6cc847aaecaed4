//! A completion that comes token by token.

use std::time::Instant;

use ringlight::channel::mpsc;
use tracing::Span;

use super::chat::body_of;
use super::client::Question;
use super::sse::SseParser;
use super::{Completion, LlmClient, LlmError};
use crate::{
    ChatChunk, ChatRequest, ChatResponse, Choice, Message, Role, StreamOptions, ToolDefinition,
};

/// What a stream ends with.
const DONE: &str = "[DONE]";

/// An answer that is put together from its pieces, while its text is handed on.
#[derive(Debug)]
pub(super) struct StreamedAnswer {
    parser: SseParser,
    /// Where the text goes. Whoever listens may stop to; the answer is put together all the same.
    tokens: mpsc::Sender<String>,
    response: ChatResponse,
    chunks: u64,
    is_done: bool,
}

impl StreamedAnswer {
    fn new(tokens: mpsc::Sender<String>) -> Self {
        Self {
            parser: SseParser::default(),
            tokens,
            response: ChatResponse::default(),
            chunks: 0,
            is_done: false,
        }
    }

    /// Whether nothing has come yet.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// Takes the next piece of the stream.
    pub(super) async fn take(&mut self, piece: &[u8]) -> Result<(), LlmError> {
        let events = self
            .parser
            .push(piece)
            .map_err(|error| LlmError::Answer(error.to_string()))?;
        for event in events {
            if event == DONE {
                self.is_done = true;
                continue;
            }
            let chunk: ChatChunk = serde_json::from_str(&event)
                .map_err(|error| LlmError::Answer(error.to_string()))?;
            self.chunks += 1;
            let text = self.add(chunk);
            if !text.is_empty() {
                let _ = self.tokens.send(text).await;
            }
        }
        Ok(())
    }

    /// Adds what a chunk says, and returns its text.
    fn add(&mut self, chunk: ChatChunk) -> String {
        self.response.id = chunk.id;
        self.response.model = chunk.model;
        if let Some(usage) = chunk.usage {
            self.response.usage = usage;
        }
        let mut text = String::new();
        for part in chunk.choices {
            let choice = match self.response.choices.first_mut() {
                Some(choice) => choice,
                None => {
                    let message = Message {
                        content: None,
                        ..Message::text(Role::Assistant, "")
                    };
                    self.response.choices.push(Choice {
                        index: part.index,
                        message,
                        finish_reason: String::new(),
                    });
                    // It was just put there.
                    &mut self.response.choices[0]
                }
            };
            if let Some(content) = part.delta.content {
                choice
                    .message
                    .content
                    .get_or_insert_default()
                    .push_str(&content);
                text.push_str(&content);
            }
            choice.message.tool_calls.extend(part.delta.tool_calls);
            if let Some(reason) = part.finish_reason {
                choice.finish_reason = reason;
            }
        }
        text
    }

    fn finish(self) -> Result<ChatResponse, LlmError> {
        if self.is_done {
            Ok(self.response)
        } else {
            Err(LlmError::Unreachable(
                "the stream broke off before its end".to_owned(),
            ))
        }
    }
}

impl LlmClient {
    /// As [`Self::chat`], and sends the text of the answer to `tokens` as it comes. What was said is in no span.
    ///
    /// # Errors
    /// No answer, after the last attempt, or one that broke off.
    #[ringlight::instrument(
        name = "llm.chat_stream",
        skip(self, tools, tokens),
        redact(messages),
        fields(
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = self.provider.as_str(),
            gen_ai.request.model = self.model,
            gen_ai.response.model,
            gen_ai.response.finish_reasons,
            gen_ai.usage.input_tokens,
            gen_ai.usage.output_tokens,
            llm.attempts,
            llm.stream.chunks,
        )
    )]
    pub async fn chat_stream(
        &self,
        messages: &[Message],
        tools: &[ToolDefinition],
        tokens: mpsc::Sender<String>,
    ) -> Result<Completion, LlmError> {
        let started = Instant::now();
        let request = ChatRequest {
            model: self.model.clone(),
            messages: messages.to_vec(),
            tools: tools.to_vec(),
            stream: true,
            stream_options: Some(StreamOptions {
                include_usage: true,
            }),
            ..ChatRequest::default()
        };
        let mut streamed = StreamedAnswer::new(tokens);
        let question = Question {
            uri: self.completions(),
            body: body_of(&request)?,
            streamed: Some(&mut streamed),
        };
        let (_, attempts) = self.ask(question).await?;
        Span::current().record("llm.stream.chunks", streamed.chunks);
        let response = streamed
            .finish()
            .inspect_err(|error| tracing::error!(%error, "the model's answer is not whole"))?;
        self.completion(response, attempts, started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take_all(pieces: &[&str]) -> (Result<ChatResponse, LlmError>, Vec<String>) {
        let (tokens, mut heard) = mpsc::channel(16);
        let mut streamed = StreamedAnswer::new(tokens);
        for piece in pieces {
            streamed.take(piece.as_bytes()).await.unwrap();
        }
        let response = streamed.finish();
        let mut texts = Vec::new();
        while let Some(text) = heard.recv().await {
            texts.push(text);
        }
        (response, texts)
    }

    const FIRST: &str = "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";
    const LAST: &str = "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\
        \"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}],\
        \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";

    #[tokio::test]
    async fn an_answer_is_put_together_and_its_text_handed_on() {
        let (response, texts) = take_all(&[FIRST, LAST, "data: [DONE]\n\n"]).await;
        let response = response.unwrap();
        assert_eq!(
            response.choices[0].message.content.as_deref(),
            Some("Hello")
        );
        assert_eq!(response.choices[0].finish_reason, "stop");
        assert_eq!(response.usage.total_tokens, 5);
        assert_eq!(texts, ["Hel", "lo"]);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_none() {
        let (response, texts) = take_all(&[FIRST]).await;
        assert!(matches!(response, Err(LlmError::Unreachable(_))));
        assert_eq!(texts, ["Hel"]);
    }
}
