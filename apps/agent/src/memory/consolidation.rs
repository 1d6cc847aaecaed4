//! What memory does beside the turns: it learns from what was said, brings alike together, and
//! forgets.

use std::time::SystemTime;

use rusqlite::params;
use tracing::Span;

use super::vectors::{similarity, vector_of};
use super::{Memory, MemoryError};
use crate::LlmClient;
use crate::status::failed;

/// Two memories that are as similar say the same.
const SIMILARITY_MIN: f32 = 0.9;

/// Memories compared with each other in one go, the newest ones.
const COMPARED_MAX: u32 = 128;

/// Messages learned from in one go.
const LEARNED_MAX: u32 = 16;

/// The most that is learned from in one go, in bytes.
const LEARNED_BYTES_MAX: usize = 2_000;

/// A memory that may be brought together with another.
#[derive(Debug, Clone, PartialEq)]
struct Alike {
    id: i64,
    session: String,
    role: String,
    importance: f64,
    recalled: u32,
    vector: Vec<f32>,
}

impl Memory {
    /// One round of keeping memory in order: learn, share, bring together, forget. What the model
    /// does not answer is left for the next round.
    ///
    /// # Errors
    /// Memory could not be used.
    #[tracing::instrument(
        name = "memory.consolidation_loop",
        skip_all,
        fields(
            consolidation.messages,
            consolidation.merged,
            consolidation.forgotten,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn consolidation_loop(&self, llm: &LlmClient) -> Result<(), MemoryError> {
        let span = Span::current();
        let learned = self.learn(llm).await.inspect_err(failed)?;
        span.record("consolidation.messages", learned);
        self.consolidate_sessions().await.inspect_err(failed)?;
        let merged = self.consolidate().await.inspect_err(failed)?;
        span.record("consolidation.merged", merged);
        let forgotten = self.forget(SystemTime::now()).await.inspect_err(failed)?;
        span.record("consolidation.forgotten", forgotten);
        tracing::info!(learned, merged, forgotten, "memory is in order");
        Ok(())
    }

    /// Learns from what was said since the last time: relations from all of it, and facts about the
    /// one who spoke last.
    async fn learn(&self, llm: &LlmClient) -> Result<usize, MemoryError> {
        let said = self.take_new_messages().await?;
        let Some((session, _)) = said.last().cloned() else {
            return Ok(0);
        };
        let text = |of: &dyn Fn(&str) -> bool| {
            let mut text = String::new();
            for (_, content) in said.iter().filter(|(session, _)| of(session)) {
                text.push_str(content);
                text.push('\n');
            }
            text.truncate(text.floor_char_boundary(LEARNED_BYTES_MAX));
            text
        };
        if let Err(error) = self.graph_extract(llm, &text(&|_| true)).await {
            tracing::warn!(cause = %error, "no relations are learned this time");
        }
        let own = text(&|other| other == session);
        if let Err(error) = self.persona_extract(llm, &session, &own).await {
            tracing::warn!(cause = %error, "no facts are learned this time");
        }
        Ok(said.len())
    }

    /// The newest messages that were not learned from yet, with their sessions; older ones are
    /// passed over.
    async fn take_new_messages(&self) -> Result<Vec<(String, String)>, MemoryError> {
        self.sqlite("UPDATE", "memories", |connection| {
            let transaction = connection.transaction()?;
            let mut said = transaction
                .prepare_cached(
                    "SELECT session, content FROM memories WHERE extracted = 0
                     ORDER BY id DESC LIMIT ?1",
                )?
                .query_map([LEARNED_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<_>, _>>()?;
            transaction.execute("UPDATE memories SET extracted = 1 WHERE extracted = 0", [])?;
            transaction.commit()?;
            said.reverse();
            let rows = said.len();
            Ok((said, rows))
        })
        .await
    }

    /// Brings together memories of a session that say the same: the newer one stays, and is as
    /// important as both. Returns how many went.
    ///
    /// # Errors
    /// Memory could not be used.
    #[tracing::instrument(
        name = "memory.consolidation",
        skip_all,
        fields(
            consolidation.compared,
            consolidation.merged,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn consolidate(&self) -> Result<usize, MemoryError> {
        let newest = self.newest_memories().await.inspect_err(failed)?;
        let span = Span::current();
        span.record("consolidation.compared", newest.len());
        let (kept, gone) = merged(newest);
        let count = gone.len();
        span.record("consolidation.merged", count);
        if count > 0 {
            self.sqlite("UPDATE", "memories", move |connection| {
                let transaction = connection.transaction()?;
                for alike in &kept {
                    transaction.execute(
                        "UPDATE memories SET importance = ?2, recalled = ?3 WHERE id = ?1",
                        params![alike.id, alike.importance, alike.recalled],
                    )?;
                }
                transaction.commit()?;
                Ok(((), kept.len()))
            })
            .await
            .inspect_err(failed)?;
            self.delete_memories(gone).await.inspect_err(failed)?;
        }
        Ok(count)
    }

    async fn newest_memories(&self) -> Result<Vec<Alike>, MemoryError> {
        self.sqlite("SELECT", "memories", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, session, role, importance, recalled, embedding
                 FROM memories JOIN vectors ON collection = 'memories' AND key = id
                 ORDER BY id DESC LIMIT ?1",
            )?;
            let newest = statement
                .query_map([COMPARED_MAX], |row| {
                    Ok(Alike {
                        id: row.get(0)?,
                        session: row.get(1)?,
                        role: row.get(2)?,
                        importance: row.get(3)?,
                        recalled: row.get(4)?,
                        vector: vector_of(row.get_ref(5)?.as_blob()?),
                    })
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let rows = newest.len();
            Ok((newest, rows))
        })
        .await
    }
}

/// Of memories, the newest first: those that took others in, and the ids of those that went.
fn merged(newest: Vec<Alike>) -> (Vec<Alike>, Vec<i64>) {
    let mut kept: Vec<(Alike, bool)> = Vec::new();
    let mut gone = Vec::new();
    for older in newest {
        let same = kept.iter_mut().find(|(newer, _)| {
            newer.session == older.session
                && newer.role == older.role
                && similarity(&newer.vector, &older.vector) >= SIMILARITY_MIN
        });
        match same {
            Some((newer, has_merged)) => {
                newer.importance = newer.importance.max(older.importance);
                newer.recalled = newer.recalled.saturating_add(older.recalled);
                *has_merged = true;
                gone.push(older.id);
            }
            None => kept.push((older, false)),
        }
    }
    let changed = kept
        .into_iter()
        .filter_map(|(alike, has_merged)| has_merged.then_some(alike))
        .collect();
    (changed, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(id: i64, session: &str, importance: f64, vector: [f32; 2]) -> Alike {
        Alike {
            id,
            session: session.to_owned(),
            role: "user".to_owned(),
            importance,
            recalled: 1,
            vector: vector.to_vec(),
        }
    }

    #[test]
    fn alike_of_one_session_become_one_with_the_importance_of_both() {
        let (kept, gone) = merged(vec![
            memory(9, "a", 0.4, [1.0, 0.0]),
            memory(8, "b", 0.4, [1.0, 0.0]),
            memory(7, "a", 0.4, [0.0, 1.0]),
            memory(6, "a", 1.0, [0.99, 0.05]),
        ]);
        assert_eq!(gone, [6]);
        assert_eq!(kept.len(), 1);
        assert_eq!(
            (kept[0].id, kept[0].importance, kept[0].recalled),
            (9, 1.0, 2)
        );
    }
}
