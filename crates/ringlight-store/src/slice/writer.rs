//! Writing to a slice.

use std::path::Path;

use ringlight_model::Signal;
use rusqlite::{Connection, OpenFlags, params};

use super::{APPLICATION_ID, FORMAT, database_error, file_name, section_id};
use crate::block::{BlockInfo, SealedBlock};
use crate::steps::{Step, reached};
use crate::{Durability, StoreConfig, StoreError};

const SCHEMA: &str = "
    CREATE TABLE slice (created_unix_nano INTEGER NOT NULL);
    CREATE TABLE intake_traces (
        seq INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        received_unix_nano INTEGER NOT NULL,
        length INTEGER NOT NULL,
        request BLOB NOT NULL);
    CREATE TABLE intake_logs (
        seq INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        received_unix_nano INTEGER NOT NULL,
        length INTEGER NOT NULL,
        request BLOB NOT NULL);
    CREATE TABLE intake_metrics (
        seq INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        received_unix_nano INTEGER NOT NULL,
        length INTEGER NOT NULL,
        request BLOB NOT NULL);
    CREATE TABLE batch (seq INTEGER PRIMARY KEY, id BLOB NOT NULL);
    CREATE TABLE block (id INTEGER PRIMARY KEY, info BLOB NOT NULL);
    CREATE TABLE section (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
";

/// A request in the intake.
#[derive(Debug)]
pub(crate) struct IntakeRow {
    pub(crate) seq: u64,
    pub(crate) run: u64,
    pub(crate) received_unix_nano: u64,
    pub(crate) length: usize,
    pub(crate) request: Vec<u8>,
}

fn intake_table(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "intake_logs",
        Signal::Metrics => "intake_metrics",
        _ => "intake_traces",
    }
}

/// What a slice held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct SliceContents {
    /// Blocks in the order they were sealed; `None` for one whose entry is damaged.
    pub(crate) blocks: Vec<(u64, Option<BlockInfo>)>,
    /// The newest request the slice ever held.
    pub(crate) last_seq: u64,
    /// Requests that are not sealed yet.
    pub(crate) intake_rows: u64,
}

const PAGE_BYTES: u64 = 8192;

/// Bytes after which the log is brought into the file: a quarter of a slice, at most 16 MiB. What
/// is deleted before, as most of the intake is, need not be brought in.
fn log_bytes_max(config: &StoreConfig) -> u64 {
    (config.slice_bytes_max() / 4).clamp(64 * PAGE_BYTES, 16 << 20)
}

fn is_without_tables(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| {
        Ok(row.get::<_, i64>(0)? == 0)
    })
}

// Sets how the file is written, and creates the tables if asked to and there are none.
fn prepare(
    connection: &Connection,
    config: &StoreConfig,
    create_at_unix_nano: Option<u64>,
) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES};
         PRAGMA journal_mode = WAL;
         PRAGMA wal_autocheckpoint = {};
         PRAGMA journal_size_limit = {};
         PRAGMA cache_size = -2048;
         PRAGMA busy_timeout = 5000;",
        log_bytes_max(config) / PAGE_BYTES,
        log_bytes_max(config),
    ))?;
    if let Some(created) = create_at_unix_nano
        && is_without_tables(connection)?
    {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {FORMAT};
             {SCHEMA}
             INSERT INTO slice VALUES ({});
             COMMIT;",
            created.cast_signed()
        ))?;
    }
    Ok(())
}

// What a slice of an earlier format lacks.
fn upgrade() -> String {
    format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS intake_metrics (
            seq INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            received_unix_nano INTEGER NOT NULL,
            length INTEGER NOT NULL,
            request BLOB NOT NULL);
         PRAGMA user_version = {FORMAT};
         COMMIT;"
    )
}

/// Whether a slice was never finished: the process ended between creating the file and committing
/// its tables. Nothing was ever stored in it.
pub(crate) fn is_unfinished(directory: &Path, id: u32) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(directory.join(file_name(id)), flags)
        .is_ok_and(|connection| is_without_tables(&connection).unwrap_or(false))
}

/// The only connection that writes to a slice.
#[derive(Debug)]
pub(crate) struct SliceWriter {
    connection: Connection,
    next_block: u64,
    durability: Durability,
}

impl SliceWriter {
    /// Opens the file of a slice, creating it first if asked to. Gives when it was created, too.
    pub(crate) fn open(
        config: &StoreConfig,
        id: u32,
        create_at_unix_nano: Option<u64>,
    ) -> Result<(Self, u64), StoreError> {
        let path = config.data_dir.join(file_name(id));
        let error = database_error("open", &path);
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create_at_unix_nano.is_some() {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let connection = Connection::open_with_flags(&path, flags).map_err(&error)?;
        // Before anything is changed.
        let found: u32 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(&error)?;
        if found > FORMAT {
            return Err(StoreError::NewerFormat {
                path,
                found,
                supported: FORMAT,
            });
        }
        prepare(&connection, config, create_at_unix_nano).map_err(&error)?;
        if (1..FORMAT).contains(&found) {
            connection.execute_batch(&upgrade()).map_err(&error)?;
        }
        let created: i64 = connection
            .query_row("SELECT created_unix_nano FROM slice", [], |row| row.get(0))
            .map_err(&error)?;
        let last: Option<i64> = connection
            .query_row("SELECT max(id) FROM block", [], |row| row.get(0))
            .map_err(&error)?;
        let writer = Self {
            connection,
            next_block: last.map_or(1, |last| last.cast_unsigned() + 1),
            durability: config.durability,
        };
        Ok((writer, created.cast_unsigned()))
    }

    /// Reads the index of the slice.
    pub(crate) fn contents(&self) -> Result<SliceContents, rusqlite::Error> {
        let mut contents = SliceContents::default();
        let mut statement = self
            .connection
            .prepare("SELECT id, info FROM block ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get::<_, i64>(0)?.cast_unsigned();
            let info = BlockInfo::read(row.get_ref(1)?.as_blob()?).ok();
            if let Some(info) = &info {
                contents.last_seq = contents.last_seq.max(info.last_seq);
            }
            contents.blocks.push((id, info));
        }
        for table in ["intake_traces", "intake_logs", "intake_metrics"] {
            let (count, last): (i64, Option<i64>) = self.connection.query_row(
                &format!("SELECT count(*), max(seq) FROM {table}"),
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            contents.intake_rows += count.cast_unsigned();
            contents.last_seq = contents.last_seq.max(last.unwrap_or(0).cast_unsigned());
        }
        let last: Option<i64> =
            self.connection
                .query_row("SELECT max(seq) FROM batch", [], |row| row.get(0))?;
        contents.last_seq = contents.last_seq.max(last.unwrap_or(0).cast_unsigned());
        Ok(contents)
    }

    /// Batch ids, newest first, up to a number of them.
    pub(crate) fn batches(&self, count_max: usize) -> Result<Vec<u128>, rusqlite::Error> {
        let mut statement = self
            .connection
            .prepare("SELECT id FROM batch ORDER BY seq DESC LIMIT ?1")?;
        let rows = statement.query_map([count_max as i64], |row| {
            let bytes = row.get_ref(0)?.as_blob()?;
            Ok(bytes.try_into().map_or(0, u128::from_le_bytes))
        })?;
        rows.collect()
    }

    /// Requests of a signal that are not sealed, in order.
    pub(crate) fn intake(
        &self,
        signal: Signal,
        mut each: impl FnMut(IntakeRow),
    ) -> Result<(), rusqlite::Error> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT seq, run, received_unix_nano, length, request FROM {} ORDER BY seq",
            intake_table(signal)
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(IntakeRow {
                seq: row.get::<_, i64>(0)?.cast_unsigned(),
                run: row.get::<_, i64>(1)?.cast_unsigned(),
                received_unix_nano: row.get::<_, i64>(2)?.cast_unsigned(),
                length: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
                request: row.get(4)?,
            });
        }
        Ok(())
    }

    /// Begins a transaction whose commit is durable.
    pub(crate) fn begin(&self) -> Result<(), rusqlite::Error> {
        let synchronous = match self.durability {
            Durability::PowerLoss => "FULL",
            Durability::ProcessDeath => "NORMAL",
        };
        self.begin_with(synchronous)
    }

    fn begin_with(&self, synchronous: &str) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; BEGIN IMMEDIATE;"
        ))
    }

    pub(crate) fn insert_intake(
        &self,
        signal: Signal,
        row: &IntakeRow,
    ) -> Result<(), rusqlite::Error> {
        let sql = match signal {
            Signal::Logs => "INSERT INTO intake_logs VALUES (?1, ?2, ?3, ?4, ?5)",
            Signal::Metrics => "INSERT INTO intake_metrics VALUES (?1, ?2, ?3, ?4, ?5)",
            _ => "INSERT INTO intake_traces VALUES (?1, ?2, ?3, ?4, ?5)",
        };
        self.connection.prepare_cached(sql)?.execute(params![
            row.seq.cast_signed(),
            row.run.cast_signed(),
            row.received_unix_nano.cast_signed(),
            row.length as i64,
            row.request
        ])?;
        Ok(())
    }

    pub(crate) fn insert_batch(&self, seq: u64, batch: u128) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("INSERT INTO batch VALUES (?1, ?2)")?
            .execute(params![seq.cast_signed(), batch.to_le_bytes()])?;
        Ok(())
    }

    pub(crate) fn commit(&self) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("COMMIT")
    }

    /// Ends a transaction that failed. One that SQLite ended by itself needs nothing.
    pub(crate) fn rollback(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Writes a block and deletes the requests it was made from, in one transaction; old batch ids
    /// are forgotten with them. Gives the block's number.
    ///
    /// It need not be synced: if it is lost, the requests it replaces are not.
    pub(crate) fn insert_block(
        &mut self,
        block: &SealedBlock,
        forget_batches_until: u64,
    ) -> Result<u64, rusqlite::Error> {
        let id = self.next_block;
        self.begin_with("NORMAL")?;
        reached(Step::Begun);
        let result = self.insert_block_parts(id, block, forget_batches_until);
        if let Err(error) = result.and_then(|()| self.commit()) {
            self.rollback();
            return Err(error);
        }
        self.next_block += 1;
        Ok(id)
    }

    fn insert_block_parts(
        &self,
        id: u64,
        block: &SealedBlock,
        forget_batches_until: u64,
    ) -> Result<(), rusqlite::Error> {
        let connection = &self.connection;
        connection
            .prepare_cached("INSERT INTO block VALUES (?1, ?2)")?
            .execute(params![id.cast_signed(), block.info.write()])?;
        let mut insert = connection.prepare_cached("INSERT INTO section VALUES (?1, ?2)")?;
        for (section, data) in &block.sections {
            insert.execute(params![section_id(id, *section), data])?;
        }
        reached(Step::Written);
        let (first, last) = (block.info.first_seq, block.info.last_seq);
        let delete = match block.info.signal {
            Signal::Logs => "DELETE FROM intake_logs WHERE seq BETWEEN ?1 AND ?2",
            Signal::Metrics => "DELETE FROM intake_metrics WHERE seq BETWEEN ?1 AND ?2",
            _ => "DELETE FROM intake_traces WHERE seq BETWEEN ?1 AND ?2",
        };
        connection
            .prepare_cached(delete)?
            .execute(params![first.cast_signed(), last.cast_signed()])?;
        connection
            .prepare_cached("DELETE FROM batch WHERE seq <= ?1")?
            .execute([forget_batches_until.cast_signed()])?;
        reached(Step::Cleared);
        Ok(())
    }

    /// Brings the log into the file, as far as readers allow.
    pub(crate) fn checkpoint(&self) {
        // It is only an optimization: what is not brought in now is brought in at the next opening.
        let _ = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Bounds the file, as a full disk would.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        let sql = format!("PRAGMA max_page_count = {pages}");
        self.connection.query_row(&sql, [], |_| Ok(())).unwrap();
    }

    #[cfg(test)]
    pub(crate) fn page_count(&self) -> u32 {
        self.connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap()
    }
}
