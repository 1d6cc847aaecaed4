//! Time slices: one SQLite file each, with an intake and blocks.

mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::block::section::{Section, Unpacker};
use crate::codec::Corrupt;
use crate::state::lock;
use crate::{DatabaseError, StoreError};

pub(crate) use writer::{IntakeRow, SliceContents, SliceWriter, is_unfinished};

/// Format of the files, in `PRAGMA user_version`. Formats 1 to 3 are read, and are 4 once they are
/// opened: they get the intake of metrics they lack, and the blocks say their version themselves.
pub(crate) const FORMAT: u32 = 4;
/// `RngL`, in `PRAGMA application_id`.
pub(crate) const APPLICATION_ID: u32 = 0x526e_674c;

/// Sections of a block have row ids from `block * SECTIONS` on.
const SECTIONS: i64 = 16;

/// Idle connections kept for reading, a slice.
const READERS_IDLE_MAX: usize = 2;

/// A slice as readers see it.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) id: u32,
    path: PathBuf,
    pub(crate) created_unix_nano: u64,
    /// Bytes of the file and of its log, brought up to date by the writer now and then.
    file_bytes: AtomicU64,
    log_bytes: AtomicU64,
    readers: Mutex<Vec<SliceReader>>,
}

/// A connection for reading, with what it takes to unpack what is read.
struct SliceReader {
    connection: Connection,
    unpacker: Unpacker,
}

impl std::fmt::Debug for SliceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.connection.fmt(f)
    }
}

/// A section could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// The name of a slice's file.
pub(crate) fn file_name(id: u32) -> String {
    format!("slice-{id:08}.db")
}

/// The slice a file name belongs to.
pub(crate) fn parse_file_name(name: &str) -> Option<u32> {
    name.strip_prefix("slice-")?
        .strip_suffix(".db")?
        .parse()
        .ok()
}

pub(crate) fn database_error(
    action: &'static str,
    path: &Path,
) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Database {
        action,
        path: path.clone(),
        source: DatabaseError::new(source),
    }
}

impl Slice {
    pub(crate) fn new(directory: &Path, id: u32, created_unix_nano: u64) -> Self {
        let slice = Self {
            id,
            path: directory.join(file_name(id)),
            created_unix_nano,
            file_bytes: AtomicU64::new(0),
            log_bytes: AtomicU64::new(0),
            readers: Mutex::new(Vec::new()),
        };
        slice.measure();
        slice
    }

    /// Bytes on disk when it was last measured.
    pub(crate) fn bytes(&self) -> u64 {
        self.file_bytes() + self.log_bytes.load(Ordering::Relaxed)
    }

    /// The same without the log, which comes and goes.
    pub(crate) fn file_bytes(&self) -> u64 {
        // Relaxed: a number for people and for the size limit, nothing else depends on it.
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Measures the bytes on disk.
    pub(crate) fn measure(&self) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let [file, log, index] = self.files().map(|path| size(&path));
        self.file_bytes.store(file, Ordering::Relaxed);
        self.log_bytes.store(log + index, Ordering::Relaxed);
    }

    fn files(&self) -> [PathBuf; 3] {
        ["", "-wal", "-shm"].map(|suffix| {
            let mut name = self.path.clone().into_os_string();
            name.push(suffix);
            name.into()
        })
    }

    /// Deletes the files. A search that still reads them goes on doing so.
    pub(crate) fn unlink(&self) {
        self.lock_readers().clear();
        for path in self.files() {
            // A file that is not there needs no deleting; one that cannot be deleted is found again
            // at the next start.
            let _ = std::fs::remove_file(path);
        }
    }

    fn lock_readers(&self) -> MutexGuard<'_, Vec<SliceReader>> {
        lock(&self.readers)
    }

    fn with_reader<R>(
        &self,
        read: impl FnOnce(&mut SliceReader) -> Result<R, ReadError>,
    ) -> Result<R, ReadError> {
        let idle = self.lock_readers().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.open_reader()?,
        };
        let result = read(&mut reader);
        let mut idle = self.lock_readers();
        if result.is_ok() && idle.len() < READERS_IDLE_MAX {
            idle.push(reader);
        }
        result
    }

    fn open_reader(&self) -> Result<SliceReader, rusqlite::Error> {
        // Opened for writing, as a log left behind must be brought in; nothing else is written.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.execute_batch(
            "PRAGMA query_only = ON; PRAGMA cache_size = -128; PRAGMA busy_timeout = 1000;",
        )?;
        Ok(SliceReader {
            connection,
            unpacker: Unpacker::default(),
        })
    }

    /// The bytes of a section; empty if the block has none of the kind.
    pub(crate) fn section(&self, block: u64, section: Section) -> Result<Vec<u8>, ReadError> {
        self.with_reader(|reader| {
            let id = section_id(block, section);
            let unpacker = &mut reader.unpacker;
            let unpacked = reader
                .connection
                .prepare_cached("SELECT data FROM section WHERE id = ?1")?
                .query_row([id], |row| Ok(unpacker.unpack(row.get_ref(0)?.as_blob()?)))
                .optional()?;
            match unpacked {
                Some(bytes) => Ok(bytes?),
                None => Ok(Vec::new()),
            }
        })
    }
}

fn section_id(block: u64, section: Section) -> i64 {
    block.cast_signed() * SECTIONS + section as i64
}
