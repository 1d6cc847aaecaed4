//! The catalogue: the runs of a data directory.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::StoreError;
use crate::directory::CATALOGUE_FILE;
use crate::slice::{APPLICATION_ID, FORMAT, database_error};

/// Runs that are kept; of older ones that still have data only the number is known.
const RUNS_MAX: i64 = 1000;

/// A run as the catalogue knows it.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) id: u64,
    pub(crate) command: String,
    pub(crate) started_unix_nano: u64,
    pub(crate) ended_unix_nano: Option<u64>,
}

/// The catalogue's file.
#[derive(Debug)]
pub(crate) struct Catalogue {
    connection: Connection,
}

impl Catalogue {
    /// Opens the catalogue of a data directory, creating it if there is none. One that is damaged
    /// is put aside: it holds no telemetry, only the names of runs.
    pub(crate) fn open(directory: &Path) -> Result<(Self, bool), StoreError> {
        let path = directory.join(CATALOGUE_FILE);
        match Self::open_file(&path) {
            Ok(catalogue) => Ok((catalogue, false)),
            Err(StoreError::Database { source, .. })
                if matches!(
                    source.code(),
                    Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
                ) =>
            {
                let aside = directory.join(format!("{CATALOGUE_FILE}.damaged"));
                std::fs::rename(&path, &aside).map_err(|source| StoreError::Io {
                    action: "put aside damaged",
                    path: path.clone(),
                    source,
                })?;
                for suffix in ["-wal", "-shm"] {
                    let _ =
                        std::fs::remove_file(directory.join(format!("{CATALOGUE_FILE}{suffix}")));
                }
                Ok((Self::open_file(&path)?, true))
            }
            Err(error) => Err(error),
        }
    }

    fn open_file(path: &Path) -> Result<Self, StoreError> {
        let error = database_error("open", path);
        let connection = Connection::open(path).map_err(&error)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -64;",
            )
            .map_err(&error)?;
        let found: u32 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(&error)?;
        if found > FORMAT {
            return Err(StoreError::NewerFormat {
                path: path.to_owned(),
                found,
                supported: FORMAT,
            });
        }
        if (1..FORMAT).contains(&found) {
            let sql = format!("PRAGMA user_version = {FORMAT}");
            connection.execute_batch(&sql).map_err(&error)?;
        }
        if found == 0 {
            connection
                .execute_batch(&format!(
                    "BEGIN IMMEDIATE;
                     PRAGMA application_id = {APPLICATION_ID};
                     PRAGMA user_version = {FORMAT};
                     CREATE TABLE run (
                         id INTEGER PRIMARY KEY AUTOINCREMENT,
                         command TEXT NOT NULL,
                         started_unix_nano INTEGER NOT NULL,
                         ended_unix_nano INTEGER);
                     COMMIT;"
                ))
                .map_err(&error)?;
        }
        Ok(Self { connection })
    }

    /// All runs, oldest first.
    pub(crate) fn runs(&self) -> Result<Vec<RunRow>, rusqlite::Error> {
        let mut statement = self.connection.prepare(
            "SELECT id, command, started_unix_nano, ended_unix_nano FROM run ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(RunRow {
                id: row.get::<_, i64>(0)?.cast_unsigned(),
                command: row.get(1)?,
                started_unix_nano: row.get::<_, i64>(2)?.cast_unsigned(),
                ended_unix_nano: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
            })
        })?;
        rows.collect()
    }

    /// Begins a run with a number above `above`, and gives its number.
    pub(crate) fn begin_run(
        &self,
        above: u64,
        command: &str,
        started_unix_nano: u64,
    ) -> Result<u64, rusqlite::Error> {
        let last: Option<i64> =
            self.connection
                .query_row("SELECT max(id) FROM run", [], |row| row.get(0))?;
        let id = last.unwrap_or(0).max(above.cast_signed()) + 1;
        self.connection.execute(
            "INSERT INTO run (id, command, started_unix_nano) VALUES (?1, ?2, ?3)",
            params![id, command, started_unix_nano.cast_signed()],
        )?;
        self.connection
            .execute("DELETE FROM run WHERE id <= ?1", [id - RUNS_MAX])?;
        Ok(id.cast_unsigned())
    }

    /// Ends a run.
    pub(crate) fn end_run(&self, id: u64, ended_unix_nano: u64) -> Result<(), rusqlite::Error> {
        self.connection.execute(
            "UPDATE run SET ended_unix_nano = ?2 WHERE id = ?1",
            params![id.cast_signed(), ended_unix_nano.cast_signed()],
        )?;
        Ok(())
    }
}
