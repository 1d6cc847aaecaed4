//! What the agent remembers, in SQLite.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use tracing::Span;

use crate::Role;
use crate::status::failed;

/// Messages kept; older ones are forgotten.
const MESSAGES_MAX: i64 = 2_000;

/// Terms of a question that are looked for.
const TERMS_MAX: usize = 12;

/// Why memory could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// SQLite refused.
    #[error("memory: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The thread that used SQLite panicked or was stopped.
    #[error("memory: the operation did not finish")]
    Unfinished,
}

/// Something remembered that bears on a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// Who said it.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// Messages of all sessions, found again by their words. Cheap to clone; all clones share one
/// connection, and operations wait for each other.
#[derive(Debug, Clone)]
pub struct Memory {
    connection: Arc<Mutex<Connection>>,
}

impl Memory {
    /// Opens the memory at `path`, creating it if there is none.
    ///
    /// # Errors
    /// The file is no SQLite database, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS messages (
                 id INTEGER PRIMARY KEY,
                 session TEXT NOT NULL,
                 role TEXT NOT NULL,
                 content TEXT NOT NULL
             ) STRICT;
             CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(content);",
        )?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Remembers a message.
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
    ) -> Result<(), MemoryError> {
        let (session, content) = (session.to_owned(), content.to_owned());
        self.sqlite("INSERT", "messages", move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO messages (session, role, content) VALUES (?1, ?2, ?3)",
                params![session, role.as_str(), content],
            )?;
            let id = transaction.last_insert_rowid();
            transaction.execute(
                "INSERT INTO words (rowid, content) VALUES (?1, ?2)",
                params![id, content],
            )?;
            let forgotten = id - MESSAGES_MAX;
            transaction.execute("DELETE FROM messages WHERE id <= ?1", [forgotten])?;
            transaction.execute("DELETE FROM words WHERE rowid <= ?1", [forgotten])?;
            transaction.commit()?;
            Ok(((), 1))
        })
        .await
        .inspect_err(failed)
    }

    /// Recalls what bears most on `question`, best first, at most `limit` messages.
    ///
    /// # Errors
    /// Memory could not be read.
    #[tracing::instrument(
        name = "memory.recall",
        skip_all,
        fields(
            session.id = session,
            recall.limit = limit,
            recall.found,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub async fn recall(
        &self,
        session: &str,
        question: &str,
        limit: u32,
    ) -> Result<Vec<Recalled>, MemoryError> {
        let Some(expression) = search_expression(question) else {
            Span::current().record("recall.found", 0);
            return Ok(Vec::new());
        };
        let session = session.to_owned();
        let found = self
            .sqlite("SELECT", "words", move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT messages.role, messages.content
                     FROM words JOIN messages ON messages.id = words.rowid
                     WHERE words.content MATCH ?1
                     ORDER BY messages.session = ?2 DESC, bm25(words), messages.id DESC
                     LIMIT ?3",
                )?;
                let found = statement
                    .query_map(params![expression, session, limit], |row| {
                        Ok(Recalled {
                            role: row.get(0)?,
                            content: row.get(1)?,
                        })
                    })?
                    .collect::<Result<Vec<_>, _>>()?;
                let rows = found.len();
                Ok((found, rows))
            })
            .await
            .inspect_err(failed)?;
        Span::current().record("recall.found", found.len());
        Ok(found)
    }

    /// Runs `work` on a thread that may block, in a span of its own that begins once the connection
    /// is free, so that it shows SQLite's time and not the queue's.
    async fn sqlite<T: Send + 'static>(
        &self,
        operation: &'static str,
        table: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<(T, usize), rusqlite::Error> + Send + 'static,
    ) -> Result<T, MemoryError> {
        let connection = Arc::clone(&self.connection);
        let parent = Span::current();
        let done = tokio::task::spawn_blocking(move || {
            // A panic inside an operation rolled its transaction back; the connection is usable.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let span = tracing::info_span!(
                parent: &parent,
                "memory.sqlite",
                otel.kind = "client",
                db.system.name = "sqlite",
                db.operation.name = operation,
                db.collection.name = table,
                db.response.returned_rows = tracing::field::Empty,
            );
            let _entered = span.enter();
            let (value, rows) = work(&mut connection)
                .inspect_err(|error| tracing::error!(%error, "SQLite refused"))?;
            span.record("db.response.returned_rows", rows);
            Ok::<T, rusqlite::Error>(value)
        })
        .await
        .map_err(|_| MemoryError::Unfinished)?;
        Ok(done?)
    }
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

    #[tokio::test]
    async fn what_was_remembered_is_recalled_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("memory.db");
        let memory = Memory::open(&path).unwrap();
        memory
            .remember("a", Role::User, "the cache must flush before storage")
            .await
            .unwrap();
        memory
            .remember("b", Role::Assistant, "billing has 42 lines")
            .await
            .unwrap();
        drop(memory);
        let memory = Memory::open(&path).unwrap();
        let found = memory
            .recall("b", "what about the cache?", 5)
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].role, "user");
        assert!(found[0].content.contains("flush"));
    }

    #[tokio::test]
    async fn a_question_is_never_read_as_a_search_expression() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::open(&directory.path().join("memory.db")).unwrap();
        for question in [
            "\" OR 1=1 --",
            "NEAR(",
            "content:*",
            "",
            "a b c",
            "AND AND AND NOTE",
        ] {
            memory.recall("a", question, 5).await.unwrap();
        }
    }

    #[test]
    fn a_search_expression_quotes_words() {
        assert_eq!(
            search_expression("Where is `open_cache` NEAR it?").as_deref(),
            Some("\"Where\" OR \"open_cache\" OR \"NEAR\"")
        );
        assert_eq!(search_expression("a b"), None);
    }
}
