//! The conversation of each session, so that it can go on after a restart.

use rusqlite::params;

use super::{Memory, MemoryError};
use crate::{Message, Role};

/// Messages kept of a session's conversation.
const MESSAGES_MAX: i64 = 24;

impl Memory {
    /// Appends a message to the session's conversation.
    ///
    /// # Errors
    /// It could not be stored.
    pub(crate) async fn append_history(
        &self,
        session: &str,
        role: Role,
        content: &str,
    ) -> Result<(), MemoryError> {
        let (session, content) = (session.to_owned(), content.to_owned());
        self.sqlite("INSERT", "history", move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO history (session, role, content) VALUES (?1, ?2, ?3)",
                params![session, role.as_str(), content],
            )?;
            transaction.execute(
                "DELETE FROM history WHERE session = ?1 AND id <= (
                     SELECT id FROM history WHERE session = ?1
                     ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![session, MESSAGES_MAX],
            )?;
            transaction.commit()?;
            Ok(((), 1))
        })
        .await
    }

    /// The session's conversation, oldest message first.
    ///
    /// # Errors
    /// It could not be read.
    pub(crate) async fn history(&self, session: &str) -> Result<Vec<Message>, MemoryError> {
        let session = session.to_owned();
        self.sqlite("SELECT", "history", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT role, content FROM history WHERE session = ?1 ORDER BY id",
            )?;
            let messages = statement
                .query_map([session], |row| {
                    let role: String = row.get(0)?;
                    let role = if role == "user" {
                        Role::User
                    } else {
                        Role::Assistant
                    };
                    Ok(Message::text(role, row.get::<_, String>(1)?))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let rows = messages.len();
            Ok((messages, rows))
        })
        .await
    }

    /// Ends the session's conversation.
    ///
    /// # Errors
    /// It could not be removed.
    pub(crate) async fn clear_history(&self, session: &str) -> Result<(), MemoryError> {
        let session = session.to_owned();
        self.sqlite("DELETE", "history", move |connection| {
            let rows = connection.execute("DELETE FROM history WHERE session = ?1", [session])?;
            Ok(((), rows))
        })
        .await
    }
}
