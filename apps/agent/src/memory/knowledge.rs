//! What was learned, looked up for a question: facts of the graph, and what several sessions share.

use std::collections::BTreeSet;

use rusqlite::params;
use tracing::Span;

use super::{Memory, MemoryError};
use crate::status::failed;

/// Steps from a question's terms to a fact.
const DEPTH_MAX: usize = 2;

/// Sessions that must be interested in a topic for it to be shared.
const SESSIONS_MIN: u32 = 2;

/// Topics that are shared at most.
const TOPICS_MAX: i64 = 50;

impl Memory {
    /// Facts of the graph that are near to `terms`, breadth first, at most `limit`.
    ///
    /// # Errors
    /// Memory could not be read.
    pub(crate) async fn facts_about(
        &self,
        terms: Vec<String>,
        limit: usize,
    ) -> Result<Vec<String>, MemoryError> {
        self.sqlite("SELECT", "relations", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT subject, predicate, object FROM relations
                 WHERE subject = ?1 OR object = ?1 ORDER BY weight DESC LIMIT ?2",
            )?;
            let mut facts = Vec::new();
            let mut seen: BTreeSet<String> = terms.iter().cloned().collect();
            let mut frontier = terms;
            for _ in 0..DEPTH_MAX {
                let mut next = Vec::new();
                for term in &frontier {
                    let rows = statement.query_map(params![term, limit as i64], |row| {
                        Ok([row.get(0)?, row.get(1)?, row.get::<_, String>(2)?])
                    })?;
                    for row in rows {
                        let [subject, predicate, object] = row?;
                        let fact = format!("{subject} {predicate} {object}");
                        if facts.len() < limit && !facts.contains(&fact) {
                            facts.push(fact);
                        }
                        for reached in [subject, object] {
                            if seen.insert(reached.clone()) {
                                next.push(reached);
                            }
                        }
                    }
                }
                frontier = next;
            }
            let rows = facts.len();
            Ok((facts, rows))
        })
        .await
    }

    /// Brings together what several sessions have in common, and returns how many topics these are.
    ///
    /// # Errors
    /// Memory could not be used.
    #[tracing::instrument(
        name = "memory.cross_session",
        skip_all,
        fields(cross_session.topics, otel.status_code, otel.status_message)
    )]
    pub(crate) async fn consolidate_sessions(&self) -> Result<usize, MemoryError> {
        let topics = self
            .sqlite("INSERT", "shared", |connection| {
                let transaction = connection.transaction()?;
                let topics = transaction.execute(
                    "INSERT OR REPLACE INTO shared (topic, content)
                     SELECT value, count(DISTINCT session) || ' users ask about ' || value
                     FROM persona WHERE key = 'interest'
                     GROUP BY value HAVING count(DISTINCT session) >= ?1",
                    [SESSIONS_MIN],
                )?;
                transaction.execute(
                    "DELETE FROM shared WHERE rowid IN (
                         SELECT rowid FROM shared ORDER BY rowid DESC LIMIT -1 OFFSET ?1)",
                    [TOPICS_MAX],
                )?;
                transaction.commit()?;
                Ok((topics, topics))
            })
            .await
            .inspect_err(failed)?;
        Span::current().record("cross_session.topics", topics);
        Ok(topics)
    }

    /// What several sessions have in common that `terms` name.
    ///
    /// # Errors
    /// Memory could not be read.
    pub(crate) async fn shared_about(
        &self,
        terms: Vec<String>,
        limit: usize,
    ) -> Result<Vec<String>, MemoryError> {
        self.sqlite("SELECT", "shared", move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT content FROM shared WHERE topic = ?1")?;
            let mut found = Vec::new();
            for term in terms {
                for row in statement.query_map([term], |row| row.get(0))? {
                    found.push(row?);
                }
            }
            found.truncate(limit);
            let rows = found.len();
            Ok((found, rows))
        })
        .await
    }
}

/// The words of a question that may name something, each once, and for `open_cache` its parts too.
pub(crate) fn terms(question: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let words = question
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| word.len() > 3);
    for word in words {
        let parts = word.contains('_').then(|| word.split('_'));
        for term in std::iter::once(word).chain(parts.into_iter().flatten()) {
            if !found.iter().any(|known| known == term) {
                found.push(term.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_parts_are_terms() {
        assert_eq!(
            terms("Where is `open_cache`, in cache?"),
            ["Where", "open_cache", "open", "cache"]
        );
    }
}
