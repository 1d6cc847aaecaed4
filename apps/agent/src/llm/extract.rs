//! Structured extraction: an answer that keeps to a schema.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::Span;

use super::chat::body_of;
use super::client::Question;
use super::{LlmClient, LlmError};
use crate::{ChatRequest, ChatResponse, Message, Role};

impl LlmClient {
    /// What `text` says of what `schema` describes; `name` names the schema.
    ///
    /// # Errors
    /// The model did not answer, or not as the schema says.
    #[tracing::instrument(
        name = "llm.extract",
        skip_all,
        fields(
            gen_ai.operation.name = "chat",
            gen_ai.output.type = "json",
            gen_ai.provider.name = self.provider.as_str(),
            gen_ai.request.model = self.model,
            gen_ai.usage.input_tokens,
            gen_ai.usage.output_tokens,
            extract.schema = name,
            llm.attempts,
        )
    )]
    pub async fn extract<T: DeserializeOwned>(
        &self,
        name: &str,
        schema: Value,
        text: &str,
    ) -> Result<T, LlmError> {
        let instructions = "Extract from the text what the schema describes, and nothing else.";
        let request = ChatRequest {
            model: self.model.clone(),
            messages: vec![
                Message::text(Role::System, instructions),
                Message::text(Role::User, text),
            ],
            response_format: Some(json!({
                "type": "json_schema",
                "json_schema": {"name": name, "schema": schema, "strict": true},
            })),
            ..ChatRequest::default()
        };
        let question = Question {
            uri: self.completions(),
            body: body_of(&request)?,
            streamed: None,
        };
        let (answer, _) = self.ask(question).await?;
        read(&answer).inspect_err(|error| tracing::error!(%error, "nothing could be extracted"))
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, LlmError> {
    let unreadable = |error: serde_json::Error| LlmError::Answer(error.to_string());
    let response: ChatResponse = serde_json::from_slice(answer).map_err(unreadable)?;
    let span = Span::current();
    span.record("gen_ai.usage.input_tokens", response.usage.prompt_tokens);
    span.record(
        "gen_ai.usage.output_tokens",
        response.usage.completion_tokens,
    );
    let content = response
        .choices
        .into_iter()
        .next()
        .and_then(|choice| choice.message.content)
        .ok_or_else(|| LlmError::Answer("it is empty".to_owned()))?;
    serde_json::from_str(&content).map_err(unreadable)
}
