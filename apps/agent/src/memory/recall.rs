//! Remembering messages, and recalling what bears on a question.

use std::collections::HashMap;
use std::time::SystemTime;

use rusqlite::params;
use tracing::Span;

use super::{Collection, Memory, MemoryError, unix_ms};
use crate::Role;
use crate::status::failed;

/// Terms of a question that are looked for.
const TERMS_MAX: usize = 12;

/// Weakens the difference between the first ranks, as reciprocal rank fusion does.
const RANK_SMOOTHING: f64 = 60.0;

/// How much being said in the same session counts, as a rank's score does.
const SAME_SESSION: f64 = 0.01;

/// Something remembered that bears on a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// Who said it.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A candidate with its key and whether it is of the session that asks.
type Candidate = (i64, bool, Recalled);

impl Memory {
    /// Remembers a message: its words, and its embedding if there is one.
    ///
    /// # Errors
    /// It could not be stored.
    #[tracing::instrument(
        name = "memory.remember",
        skip_all,
        fields(
            session.id = session,
            message.role = role.as_str(),
            message.bytes = content.len(),
            otel.status_code,
            otel.status_message,
        )
    )]
    pub async fn remember(
        &self,
        session: &str,
        role: Role,
        content: &str,
        importance: f64,
        embedding: Option<&[f32]>,
    ) -> Result<(), MemoryError> {
        let (session, content) = (session.to_owned(), content.to_owned());
        let created = unix_ms(SystemTime::now());
        let id = self
            .sqlite("INSERT", "memories", move |connection| {
                let transaction = connection.transaction()?;
                transaction.execute(
                    "INSERT INTO memories (session, role, content, importance, created_unix_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![session, role.as_str(), content, importance, created],
                )?;
                let id = transaction.last_insert_rowid();
                transaction.execute(
                    "INSERT INTO words (rowid, content) VALUES (?1, ?2)",
                    params![id, content],
                )?;
                transaction.commit()?;
                Ok((id, 1))
            })
            .await
            .inspect_err(failed)?;
        if let Some(embedding) = embedding {
            self.upsert_vectors(Collection::Memories, vec![(id, embedding.to_vec())])
                .await
                .inspect_err(failed)?;
        }
        Ok(())
    }

    /// Recalls what bears most on `question`, best first, at most `limit` messages: those that share
    /// its words and, with its `embedding`, those that are near to it.
    ///
    /// # Errors
    /// Memory could not be read.
    #[tracing::instrument(
        name = "memory.recall",
        skip_all,
        fields(
            session.id = session,
            recall.limit = limit,
            recall.strategy = if embedding.is_some() { "words and vectors" } else { "words" },
            recall.found,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub async fn recall(
        &self,
        session: &str,
        question: &str,
        embedding: Option<&[f32]>,
        limit: u32,
    ) -> Result<Vec<Recalled>, MemoryError> {
        let found = self
            .find(session, question, embedding, limit as usize)
            .await
            .inspect_err(failed)?;
        Span::current().record("recall.found", found.len());
        Ok(found)
    }

    async fn find(
        &self,
        session: &str,
        question: &str,
        embedding: Option<&[f32]>,
        limit: usize,
    ) -> Result<Vec<Recalled>, MemoryError> {
        // Each way finds more than is wanted, since they are put together afterwards.
        let mut ranked = Vec::new();
        if let Some(expression) = search_expression(question) {
            ranked.push(self.find_words(expression, 2 * limit).await?);
        }
        if let Some(embedding) = embedding {
            let near = self
                .nearest_vectors(Collection::Memories, embedding, 2 * limit)
                .await?;
            ranked.push(near.into_iter().map(|(id, _)| id).collect());
        }
        let scores = fused(&ranked);
        if scores.is_empty() {
            return Ok(Vec::new());
        }
        let mut candidates = self.load(session, scores.keys().copied().collect()).await?;
        let score = |(id, is_own, _): &Candidate| {
            scores.get(id).copied().unwrap_or_default()
                + f64::from(u8::from(*is_own)) * SAME_SESSION
        };
        candidates.sort_by(|a, b| score(b).total_cmp(&score(a)).then(b.0.cmp(&a.0)));
        candidates.truncate(limit);
        Ok(candidates.into_iter().map(|(_, _, said)| said).collect())
    }

    async fn find_words(&self, expression: String, limit: usize) -> Result<Vec<i64>, MemoryError> {
        self.sqlite("SELECT", "words", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT rowid FROM words WHERE content MATCH ?1
                 ORDER BY bm25(words), rowid DESC LIMIT ?2",
            )?;
            let found = statement
                .query_map(params![expression, limit as i64], |row| row.get(0))?
                .collect::<Result<Vec<i64>, _>>()?;
            let rows = found.len();
            Ok((found, rows))
        })
        .await
    }

    /// Loads memories, and counts that they were recalled, which makes them last longer.
    async fn load(&self, session: &str, ids: Vec<i64>) -> Result<Vec<Candidate>, MemoryError> {
        let session = session.to_owned();
        self.sqlite("UPDATE", "memories", move |connection| {
            let transaction = connection.transaction()?;
            let mut found = Vec::with_capacity(ids.len());
            {
                let mut statement = transaction.prepare_cached(
                    "UPDATE memories SET recalled = recalled + 1 WHERE id = ?1
                     RETURNING id, session = ?2, role, content",
                )?;
                for id in ids {
                    let rows = statement.query_map(params![id, session], |row| {
                        let said = Recalled {
                            role: row.get(2)?,
                            content: row.get(3)?,
                        };
                        Ok((row.get(0)?, row.get(1)?, said))
                    })?;
                    for row in rows {
                        found.push(row?);
                    }
                }
            }
            transaction.commit()?;
            let rows = found.len();
            Ok((found, rows))
        })
        .await
    }
}

/// Several rankings as one, by reciprocal rank fusion: each adds 1 / (60 + rank).
pub(crate) fn fused(rankings: &[Vec<i64>]) -> HashMap<i64, f64> {
    let mut scores = HashMap::new();
    for ranking in rankings {
        for (rank, id) in ranking.iter().enumerate() {
            *scores.entry(*id).or_insert(0.0) += 1.0 / (RANK_SMOOTHING + rank as f64);
        }
    }
    scores
}

/// The question as an FTS5 expression: any of its words, each quoted so that none is an operator.
fn search_expression(question: &str) -> Option<String> {
    let terms: Vec<String> = question
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| word.len() > 3)
        .take(TERMS_MAX)
        .map(|word| format!("\"{word}\""))
        .collect();
    (!terms.is_empty()).then(|| terms.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_expression_quotes_words() {
        assert_eq!(
            search_expression("Where is `open_cache` NEAR it?").as_deref(),
            Some("\"Where\" OR \"open_cache\" OR \"NEAR\"")
        );
        assert_eq!(search_expression("a b"), None);
    }

    #[test]
    fn what_both_rankings_find_comes_first() {
        let scores = fused(&[vec![1, 2, 3], vec![4, 3]]);
        let best = scores.iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        assert_eq!(*best.0, 3);
        assert!(scores[&1] > scores[&2]);
    }
}
