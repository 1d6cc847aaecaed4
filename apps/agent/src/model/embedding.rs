//! Embeddings of the stand-in model.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use tracing::{Instrument as _, Span};

use super::ProviderError;
use crate::{Embedding, EmbeddingRequest, EmbeddingResponse, Message, Role, Usage, propagation};

/// The model that embeds.
pub const EMBEDDING_MODEL: &str = "stand-in-embed";

/// Numbers of an embedding.
const DIMENSIONS: usize = 64;

/// Texts embedded by one request at most.
const TEXTS_MAX: usize = 64;

const THINKING: Duration = Duration::from_millis(4);

pub(super) async fn embeddings(headers: HeaderMap, body: axum::body::Bytes) -> Response {
    let span = propagation::continue_trace(&headers, || {
        tracing::info_span!(
            "POST /v1/embeddings",
            otel.kind = "server",
            http.request.method = "POST",
            http.route = "/v1/embeddings",
            http.request.body.size = body.len(),
            http.response.status_code = tracing::field::Empty,
        )
    });
    async {
        let response = match answer(&body).await {
            Ok(embeddings) => Json(embeddings).into_response(),
            Err(refused) => refused.into_response(),
        };
        Span::current().record("http.response.status_code", response.status().as_u16());
        response
    }
    .instrument(span)
    .await
}

async fn answer(body: &[u8]) -> Result<EmbeddingResponse, ProviderError> {
    let request: EmbeddingRequest =
        serde_json::from_slice(body).map_err(|error| ProviderError::Request(error.to_string()))?;
    if request.model != EMBEDDING_MODEL {
        return Err(ProviderError::UnknownModel(request.model));
    }
    if request.input.len() > TEXTS_MAX {
        return Err(ProviderError::Request(format!(
            "at most {TEXTS_MAX} texts at a time"
        )));
    }
    let tokens = request
        .input
        .iter()
        .map(|text| Message::text(Role::User, text.as_str()).tokens())
        .sum();
    tokio::time::sleep(THINKING).await;
    Ok(EmbeddingResponse {
        data: request
            .input
            .iter()
            .enumerate()
            .map(|(index, text)| Embedding {
                index,
                embedding: embed(text),
            })
            .collect(),
        usage: Usage {
            prompt_tokens: tokens,
            completion_tokens: 0,
            total_tokens: tokens,
        },
    })
}

/// The vector of a text: each of its words is hashed to a dimension and a sign, and the sum has the
/// length one. Texts that share words are near to each other.
fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 2)
    {
        let mut hasher = DefaultHasher::new();
        word.to_lowercase().hash(&mut hasher);
        let hash = hasher.finish();
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        vector[(hash % DIMENSIONS as u64) as usize] += sign;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        for x in &mut vector {
            *x /= length;
        }
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_share_words_are_nearer() {
        let dot =
            |a: &str, b: &str| -> f32 { embed(a).iter().zip(embed(b)).map(|(a, b)| a * b).sum() };
        let question = "what about the cache and its limits";
        assert!((dot(question, question) - 1.0).abs() < 1e-5);
        assert!(dot(question, "the cache has limits") > dot(question, "billing sends invoices"));
        assert_eq!(embed("").iter().sum::<f32>(), 0.0);
    }
}
