//! Summaries of conversations that became too long.

use rusqlite::params;
use tracing::Span;

use super::{Memory, MemoryError};
use crate::status::failed;
use crate::{LlmError, Message, Role, Router};

/// What the model is asked for; the conversation follows.
pub(crate) const SUMMARIZE: &str = "Summarize this conversation:";

/// Summaries kept of a session.
const SUMMARIES_MAX: i64 = 4;

/// Messages that are worth a summary.
const MESSAGES_MIN: usize = 6;

/// The most of a message that is summarized, in bytes.
const MESSAGE_BYTES_MAX: usize = 160;

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SummarizeError {
    /// The model did not answer.
    #[error(transparent)]
    Llm(#[from] LlmError),
    /// It could not be stored.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl Memory {
    /// Whether a conversation is to be compacted: it is long enough, and not just what the last
    /// summary says already.
    ///
    /// # Errors
    /// Memory could not be read.
    #[tracing::instrument(
        name = "memory.compaction_probe",
        skip_all,
        fields(
            session.id = session,
            compaction.messages = messages.len(),
            compaction.eligible,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn compaction_probe(
        &self,
        session: &str,
        messages: &[Message],
    ) -> Result<bool, MemoryError> {
        let last = self.summaries(session, 1).await.inspect_err(failed)?;
        let is_eligible = messages.len() >= MESSAGES_MIN
            && !last.first().is_some_and(|summary| {
                messages
                    .iter()
                    .filter_map(|message| message.content.as_deref())
                    .all(|content| summary.contains(content))
            });
        Span::current().record("compaction.eligible", is_eligible);
        Ok(is_eligible)
    }

    /// Has the model summarize a part of the session's conversation, and keeps what it says.
    ///
    /// # Errors
    /// The model gave no summary, or it could not be stored.
    #[tracing::instrument(
        name = "memory.summarize",
        skip_all,
        fields(
            session.id = session,
            summary.messages = messages.len(),
            summary.bytes,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn summarize(
        &self,
        session: &str,
        llm: &Router,
        messages: &[Message],
    ) -> Result<(), SummarizeError> {
        let conversation: String = messages
            .iter()
            .filter_map(|message| {
                let content = message.content.as_deref()?;
                let end = content.floor_char_boundary(MESSAGE_BYTES_MAX);
                Some(format!("\n{}: {}", message.role.as_str(), &content[..end]))
            })
            .collect();
        let request = Message::text(Role::User, format!("{SUMMARIZE}{conversation}"));
        let completion = llm.chat(&[request], &[], None).await.inspect_err(failed)?;
        let summary = completion.message.content.unwrap_or_default();
        Span::current().record("summary.bytes", summary.len());
        let session = session.to_owned();
        self.sqlite("INSERT", "summaries", move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO summaries (session, content) VALUES (?1, ?2)",
                params![session, summary],
            )?;
            transaction.execute(
                "DELETE FROM summaries WHERE session = ?1 AND id <= (
                     SELECT id FROM summaries WHERE session = ?1
                     ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![session, SUMMARIES_MAX],
            )?;
            transaction.commit()?;
            Ok(((), 1))
        })
        .await
        .inspect_err(failed)?;
        Ok(())
    }

    /// The session's latest summaries, the newest first.
    ///
    /// # Errors
    /// Memory could not be read.
    pub(crate) async fn summaries(
        &self,
        session: &str,
        limit: u32,
    ) -> Result<Vec<String>, MemoryError> {
        let session = session.to_owned();
        self.sqlite("SELECT", "summaries", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT content FROM summaries WHERE session = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let found = statement
                .query_map(params![session, limit], |row| row.get(0))?
                .collect::<Result<Vec<String>, _>>()?;
            let rows = found.len();
            Ok((found, rows))
        })
        .await
    }
}
