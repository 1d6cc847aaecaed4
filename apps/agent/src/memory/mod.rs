//! What the agent remembers, in SQLite.

mod admission;
mod consolidation;
mod extraction;
mod forgetting;
mod history;
mod knowledge;
mod recall;
mod summaries;
mod vectors;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use tracing::Span;

pub(crate) use admission::Admission;
pub(crate) use knowledge::terms;
pub use recall::Recalled;
pub(crate) use summaries::SUMMARIZE;
pub(crate) use vectors::Collection;

/// Everything is bounded: memories and vectors by [`forgetting`], the others where they are written.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS memories (
        id INTEGER PRIMARY KEY,
        session TEXT NOT NULL,
        role TEXT NOT NULL,
        content TEXT NOT NULL,
        importance REAL NOT NULL,
        recalled INTEGER NOT NULL DEFAULT 0,
        extracted INTEGER NOT NULL DEFAULT 0,
        created_unix_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS memories_said ON memories (session, content);
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(content);
    CREATE TABLE IF NOT EXISTS vectors (
        collection TEXT NOT NULL,
        key INTEGER NOT NULL,
        embedding BLOB NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS history (
        id INTEGER PRIMARY KEY,
        session TEXT NOT NULL,
        role TEXT NOT NULL,
        content TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS history_session ON history (session);
    CREATE TABLE IF NOT EXISTS summaries (
        id INTEGER PRIMARY KEY,
        session TEXT NOT NULL,
        content TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS relations (
        subject TEXT NOT NULL,
        predicate TEXT NOT NULL,
        object TEXT NOT NULL,
        weight INTEGER NOT NULL,
        PRIMARY KEY (subject, predicate, object)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS persona (
        session TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (session, key)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS shared (
        topic TEXT PRIMARY KEY,
        content TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS skills (
        name TEXT PRIMARY KEY,
        weight REAL NOT NULL
    ) STRICT;";

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

/// What all sessions remember: messages found again by their words and their embeddings, summaries,
/// and what was learned from them. Cheap to clone; all clones share one connection, and operations
/// wait for each other.
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
        connection.execute_batch(SCHEMA)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs `work` on a thread that may block, in a span of its own that begins once the connection
    /// is free, so that it shows SQLite's time and not the queue's. `work` returns what it found and
    /// how many rows that are.
    pub(crate) async fn sqlite<T: Send + 'static>(
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

/// Milliseconds since 1970, as they are stored.
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
