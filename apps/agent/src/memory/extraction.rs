//! Learning from what was said: relations between things, and facts about who asks.

use rusqlite::params;
use serde::Deserialize;
use serde_json::json;
use tracing::Span;

use super::{Memory, MemoryError};
use crate::status::failed;
use crate::{LlmClient, LlmError};

/// Relations kept; the weakest are dropped first.
const RELATIONS_MAX: i64 = 300;

/// Facts kept of a session; a key has one value.
const FACTS_MAX: usize = 8;

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtractError {
    /// The model did not answer.
    #[error(transparent)]
    Llm(#[from] LlmError),
    /// It could not be stored.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

#[derive(Debug, Deserialize)]
struct Relations {
    relations: Vec<Relation>,
}

#[derive(Debug, Deserialize)]
struct Relation {
    subject: String,
    predicate: String,
    object: String,
}

#[derive(Debug, Deserialize)]
struct Persona {
    facts: Vec<Fact>,
}

#[derive(Debug, Deserialize)]
struct Fact {
    key: String,
    value: String,
}

impl Memory {
    /// Has the model find who has to do with whom in `text`, and adds it to the graph.
    ///
    /// # Errors
    /// The model gave no answer, or it could not be stored.
    #[tracing::instrument(
        name = "memory.graph_extract",
        skip_all,
        fields(
            extract.bytes = text.len(),
            graph.relations,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn graph_extract(
        &self,
        llm: &LlmClient,
        text: &str,
    ) -> Result<usize, ExtractError> {
        let name = |description: &str| json!({"type": "string", "description": description});
        let schema = json!({"type": "object", "required": ["relations"], "properties": {
            "relations": {"type": "array", "items": {
                "type": "object",
                "required": ["subject", "predicate", "object"],
                "properties": {
                    "subject": name("a part of the code"),
                    "predicate": name("what it does"),
                    "object": name("to which other part"),
                },
            }},
        }});
        let found: Relations = llm
            .extract("relations", schema, text)
            .await
            .inspect_err(failed)?;
        let count = found.relations.len();
        Span::current().record("graph.relations", count);
        self.sqlite("INSERT", "relations", move |connection| {
            let transaction = connection.transaction()?;
            for relation in &found.relations {
                transaction.execute(
                    "INSERT INTO relations (subject, predicate, object, weight)
                     VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT DO UPDATE SET weight = weight + 1",
                    params![relation.subject, relation.predicate, relation.object],
                )?;
            }
            transaction.execute(
                "DELETE FROM relations WHERE rowid IN (
                     SELECT rowid FROM relations ORDER BY weight DESC, rowid DESC
                     LIMIT -1 OFFSET ?1)",
                [RELATIONS_MAX],
            )?;
            transaction.commit()?;
            Ok(((), count))
        })
        .await
        .inspect_err(failed)?;
        Ok(count)
    }

    /// Has the model find facts about the session's user in `text`, and keeps them.
    ///
    /// # Errors
    /// The model gave no answer, or it could not be stored.
    #[tracing::instrument(
        name = "memory.persona_extract",
        skip_all,
        fields(
            session.id = session,
            extract.bytes = text.len(),
            persona.facts,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn persona_extract(
        &self,
        llm: &LlmClient,
        session: &str,
        text: &str,
    ) -> Result<usize, ExtractError> {
        let schema = json!({"type": "object", "required": ["facts"], "properties": {
            "facts": {"type": "array", "items": {
                "type": "object",
                "required": ["key", "value"],
                "properties": {"key": {"type": "string"}, "value": {"type": "string"}},
            }},
        }});
        let found: Persona = llm
            .extract("persona", schema, text)
            .await
            .inspect_err(failed)?;
        let facts: Vec<Fact> = found.facts.into_iter().take(FACTS_MAX).collect();
        let count = facts.len();
        Span::current().record("persona.facts", count);
        let session = session.to_owned();
        self.sqlite("INSERT", "persona", move |connection| {
            let transaction = connection.transaction()?;
            for fact in &facts {
                transaction.execute(
                    "INSERT OR REPLACE INTO persona (session, key, value) VALUES (?1, ?2, ?3)",
                    params![session, fact.key, fact.value],
                )?;
            }
            transaction.execute(
                "DELETE FROM persona WHERE session = ?1 AND rowid IN (
                     SELECT rowid FROM persona WHERE session = ?1 ORDER BY rowid DESC
                     LIMIT -1 OFFSET ?2)",
                params![session, FACTS_MAX as i64],
            )?;
            transaction.commit()?;
            Ok(((), count))
        })
        .await
        .inspect_err(failed)?;
        Ok(count)
    }
}
