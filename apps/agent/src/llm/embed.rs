//! Embeddings: texts as vectors.

use tracing::Span;

use super::chat::body_of;
use super::client::Question;
use super::{LlmClient, LlmError};
use crate::{EmbeddingRequest, EmbeddingResponse};

impl LlmClient {
    /// The embeddings of `texts`, in their order.
    ///
    /// # Errors
    /// The model did not answer, or not with as many embeddings as there are texts.
    #[tracing::instrument(
        name = "llm.embed",
        skip_all,
        fields(
            gen_ai.operation.name = "embeddings",
            gen_ai.provider.name = self.provider.as_str(),
            gen_ai.request.model = crate::model::EMBEDDING_MODEL,
            gen_ai.usage.input_tokens,
            gen_ai.embeddings.dimension.count,
            embed.texts = texts.len(),
            llm.attempts,
        )
    )]
    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, LlmError> {
        let request = EmbeddingRequest {
            model: crate::model::EMBEDDING_MODEL.to_owned(),
            input: texts.iter().map(|text| (*text).to_owned()).collect(),
        };
        let question = Question {
            uri: self.embeddings(),
            body: body_of(&request)?,
            streamed: None,
        };
        let (answer, _) = self.ask(question).await?;
        let response: EmbeddingResponse =
            serde_json::from_slice(&answer).map_err(|error| LlmError::Answer(error.to_string()))?;
        if response.data.len() != texts.len() {
            return Err(LlmError::Answer(format!(
                "it has {} embeddings for {} texts",
                response.data.len(),
                texts.len()
            )));
        }
        let span = Span::current();
        span.record("gen_ai.usage.input_tokens", response.usage.prompt_tokens);
        let mut data = response.data;
        data.sort_by_key(|embedding| embedding.index);
        let vectors: Vec<Vec<f32>> = data.into_iter().map(|one| one.embedding).collect();
        span.record(
            "gen_ai.embeddings.dimension.count",
            vectors.first().map_or(0, Vec::len),
        );
        Ok(vectors)
    }
}
