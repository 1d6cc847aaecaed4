//! What can go wrong, by family of operations.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringlight_model::DecodeError;
use rusqlite::ErrorCode;

/// Opening or reading a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A field of the configuration is outside its range.
    #[error("`{field}` is `{value}`, allowed is {allowed}")]
    Config {
        /// The field of [`StoreConfig`](crate::StoreConfig).
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// Another process has the data directory open.
    #[error("data directory `{}` is in use by {}", path.display(), describe_holder(*pid))]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that has it open, if it said so.
        pid: Option<u32>,
    },
    /// The directory holds files of something else.
    #[error("directory `{}` is not empty and not a data directory of this program", path.display())]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory was written by a newer version.
    #[error(
        "data directory `{}` has format {found}, this version reads up to {supported}",
        path.display()
    )]
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest format this version knows.
        supported: u32,
    },
    /// There is no room.
    #[error("the disk of `{}` is full", path.display())]
    DiskFull {
        /// The data directory.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A database operation failed.
    #[error("cannot {action} `{}`", path.display())]
    Database {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: DatabaseError,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread {
        /// Why it failed.
        source: std::io::Error,
    },
}

/// What SQLite said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(rusqlite::Error);

impl DatabaseError {
    pub(crate) fn new(error: rusqlite::Error) -> Self {
        Self(error)
    }

    pub(crate) fn code(&self) -> Option<ErrorCode> {
        self.0.sqlite_error_code()
    }
}

/// Whether an error of a database in `directory` says that there is no room.
pub(crate) fn is_disk_full(error: &rusqlite::Error, directory: &Path) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => true,
        // SQLite says this of a broken disk, too.
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => !has_room(directory),
        _ => false,
    }
}

impl StoreError {
    /// [`StoreError::DiskFull`] if that is what is behind this error, else the error itself.
    pub(crate) fn or_disk_full(self, directory: &Path) -> Self {
        if self.is_lack_of_room(directory) {
            Self::DiskFull {
                path: directory.to_owned(),
            }
        } else {
            self
        }
    }

    pub(crate) fn is_lack_of_room(&self, directory: &Path) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            ),
            Self::Database { source, .. } => is_disk_full(&source.0, directory),
            _ => false,
        }
    }

    /// What to do about it, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { pid: Some(pid), .. } => Some(format!(
                "stop process {pid}, or choose another directory with `--data-dir`"
            )),
            Self::Locked { pid: None, .. } | Self::ForeignDirectory { .. } => {
                Some("choose another directory with `--data-dir`".to_owned())
            }
            Self::NewerFormat { .. } => {
                Some("use the newer version, or another directory with `--data-dir`".to_owned())
            }
            Self::DiskFull { .. } => {
                Some("make room on the disk, or choose another one with `--data-dir`".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether the disk has the room that opening takes: two databases, each with a log and an index.
/// True where that cannot be found out.
#[cfg(unix)]
fn has_room(directory: &Path) -> bool {
    const ROOM_BYTES_MIN: u64 = 256 * 1024;
    rustix::fs::statvfs(directory).map_or(true, |disk| {
        disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_BYTES_MIN
    })
}

#[cfg(not(unix))]
fn has_room(_directory: &Path) -> bool {
    true
}

fn describe_holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

fn describe_kind(kind: Option<&str>) -> String {
    kind.map_or_else(String::new, |kind| {
        let article = if kind.starts_with('e') { "an" } else { "a" };
        format!(" that is {article} {}", kind.replace('_', " "))
    })
}

fn describe_unit(unit: Option<&str>) -> String {
    match unit {
        None => String::new(),
        Some("") => " without a unit".to_owned(),
        Some(unit) => format!(" in `{unit}`"),
    }
}

/// A request was not stored. Nothing of it was, except where the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// More arrives than can be written. Send it again later.
    #[error("store is overloaded, try again in {} s", retry_after.as_secs())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The disk is full. Send it again when there is room.
    #[error("disk is full, nothing more can be stored in `{}`", path.display())]
    DiskFull {
        /// The data directory.
        path: PathBuf,
        /// When to try again.
        retry_after: Duration,
    },
    /// The request does not decode.
    #[error("request does not decode")]
    Decode(#[source] DecodeError),
    /// The signal is not stored by this version.
    #[error("{0} are not stored")]
    UnsupportedSignal(ringlight_model::Signal),
    /// Writing failed. After a failed sync it is unknown whether the request survives; sending it
    /// again is safe, duplicates are recognized.
    #[error("cannot write to `{}`: {message}", path.display())]
    Write {
        /// The data directory.
        path: PathBuf,
        /// Why it failed.
        message: String,
    },
    /// The store is closed.
    #[error("store is closed")]
    Closed,
}

/// A search was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The query is of the other signal.
    #[error("query is for {found}, not for {expected}")]
    WrongSignal {
        /// What the search is about.
        expected: crate::query::QuerySignal,
        /// What the query was parsed for.
        found: crate::query::QuerySignal,
    },
    /// The cursor is not one this store gave.
    #[error("cursor `{cursor}` is not one that was given by an earlier page")]
    Cursor {
        /// The cursor.
        cursor: String,
    },
    /// There is no metric of the name, or none of the kind and unit asked for.
    #[error("nothing is stored of a metric `{name}`{}{}", describe_kind(kind.as_deref()), describe_unit(unit.as_deref()))]
    NoSuchMetric {
        /// The name.
        name: String,
        /// The kind asked for.
        kind: Option<String>,
        /// The unit asked for.
        unit: Option<String>,
    },
    /// Metrics of the kind cannot be aggregated so.
    #[error("a {} has no `{asked}`", kind.as_str())]
    Aggregation {
        /// What was asked for.
        asked: crate::Aggregation,
        /// What the metric is.
        kind: ringlight_model::MetricKind,
        /// What could be asked for.
        allowed: &'static [crate::Aggregation],
    },
    /// The time asked for has too many windows.
    #[error("there are {windows} steps in this time, at most {windows_max} are answered")]
    TooManyWindows {
        /// How many.
        windows: u64,
        /// How many there may be.
        windows_max: u64,
    },
    /// What is asked for takes too much memory.
    #[error("the answer would be too large")]
    TooMuch,
    /// Its [`Cancel`](crate::Cancel) said so.
    #[error("search was cancelled")]
    Cancelled,
}
