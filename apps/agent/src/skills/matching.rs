//! Which skill a question calls for.

use tracing::Span;

use super::registry::Skill;
use super::{SkillError, Skills, key_of};
use crate::memory::Collection;
use crate::status::failed;
use crate::{LlmClient, MemoryError};

/// Candidates of each way of matching.
const CANDIDATES_MAX: usize = 4;

/// A question that is less similar to a skill has nothing to do with it.
const SIMILARITY_MIN: f32 = 0.2;

/// How much a skill that is new weighs, 0..=1.
pub(super) const WEIGHT_FIRST: f64 = 0.5;

/// Weakens the difference between the first ranks, as reciprocal rank fusion does.
const RANK_SMOOTHING: f64 = 10.0;

impl Skills {
    /// The skill that fits `question` best, if any does: by its words, by its `embedding` if there
    /// is one, and by how it has proved itself.
    ///
    /// # Errors
    /// The skills' vectors could not be read.
    #[tracing::instrument(
        name = "skill.match",
        skip_all,
        fields(
            skill.strategy = if embedding.is_some() { "hybrid" } else { "words" },
            skill.candidates,
            skill.name,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn matching(
        &self,
        question: &str,
        embedding: Option<&[f32]>,
    ) -> Result<Option<Skill>, MemoryError> {
        let by_words = self.search_words(question);
        let by_vector = match embedding {
            Some(embedding) => self.search_vectors(embedding).await.inspect_err(failed)?,
            None => Vec::new(),
        };
        let loaded = self.loaded();
        let rank = |ranking: &[String], name: &str| {
            let place = ranking.iter().position(|other| other == name);
            place.map_or(0.0, |place| 1.0 / (RANK_SMOOTHING + place as f64))
        };
        let candidates: Vec<(f64, &Skill)> = loaded
            .skills
            .iter()
            .map(|skill| {
                let weight = loaded.weights.get(&skill.name).copied();
                let ranks = rank(&by_words, &skill.name) + rank(&by_vector, &skill.name);
                (ranks * (0.5 + weight.unwrap_or(WEIGHT_FIRST)), skill)
            })
            .filter(|(score, _)| *score > 0.0)
            .collect();
        let best = candidates
            .iter()
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, skill)| (*skill).clone());
        let span = Span::current();
        span.record("skill.candidates", candidates.len());
        if let Some(best) = &best {
            span.record("skill.name", best.name.as_str());
        }
        Ok(best)
    }

    /// The names of the skills that share words with the question, the best first.
    #[tracing::instrument(
        name = "skill.bm25_search",
        skip_all,
        fields(search.bytes = question.len(), search.documents, search.matches)
    )]
    fn search_words(&self, question: &str) -> Vec<String> {
        let loaded = self.loaded();
        let found = loaded.words.search(question, CANDIDATES_MAX);
        let span = Span::current();
        span.record("search.documents", loaded.skills.len());
        span.record("search.matches", found.len());
        found
            .into_iter()
            .map(|(place, _)| loaded.skills[place].name.clone())
            .collect()
    }

    /// The names of the skills whose vectors are near, the nearest first.
    #[tracing::instrument(
        name = "skill.qdrant_match",
        skip_all,
        fields(
            vector.dimensions = embedding.len(),
            search.matches,
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn search_vectors(&self, embedding: &[f32]) -> Result<Vec<String>, MemoryError> {
        let near = self
            .memory
            .nearest_vectors(Collection::Skills, embedding, CANDIDATES_MAX)
            .await
            .inspect_err(failed)?;
        let loaded = self.loaded();
        let names: Vec<String> = near
            .into_iter()
            .filter(|(_, similarity)| *similarity >= SIMILARITY_MIN)
            .filter_map(|(key, _)| {
                let known = loaded
                    .skills
                    .iter()
                    .find(|skill| key_of(&skill.name) == key);
                known.map(|skill| skill.name.clone())
            })
            .collect();
        Span::current().record("search.matches", names.len());
        Ok(names)
    }

    /// Has the vectors be those of `skills`: embeds them, and drops what is left of others.
    #[tracing::instrument(
        name = "skill.matcher_sync",
        skip_all,
        fields(
            skill.count = skills.len(),
            skill.removed,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn sync_matcher(
        &self,
        llm: &LlmClient,
        skills: &[Skill],
    ) -> Result<(), SkillError> {
        let texts: Vec<String> = skills.iter().map(Skill::text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = llm.embed(&texts).await.inspect_err(failed)?;
        let keys: Vec<i64> = skills.iter().map(|skill| key_of(&skill.name)).collect();
        let memory = &self.memory;
        memory
            .upsert_vectors(
                Collection::Skills,
                keys.iter().copied().zip(vectors).collect(),
            )
            .await
            .inspect_err(failed)?;
        let removed = memory
            .retain_vectors(Collection::Skills, keys)
            .await
            .inspect_err(failed)?;
        Span::current().record("skill.removed", removed);
        Ok(())
    }
}
