//! What is written, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::TraceFileFormat;

/// Reads counters, on the thread that writes.
pub trait CounterSource: Send {
    /// Calls `each` with the name, the unit and the value of each counter.
    fn read(&mut self, each: &mut dyn FnMut(&str, &str, f64));
}

/// What is written, and where. The defaults are those of [`new`](Self::new).
#[non_exhaustive]
pub struct TraceFileConfig {
    /// Where files are made; the directory is made as well. Files are called by session and time:
    /// `{session}_{20261130T014500.123Z}.json`.
    pub directory: PathBuf,
    /// What tells this process from others in their names. Default: the process's number and one at random, since the first
    /// process of every container has the same number: `1-8f3a02c4`.
    pub session: String,
    /// What the process is called. Default: nothing.
    pub process: String,
    /// Default: JSON.
    pub format: TraceFileFormat,
    /// Whether fields of spans and log records are in the files. Default: yes.
    pub include_args: bool,
    /// Bytes after which another file is begun, at least 64 KiB. Default: 64 MiB.
    pub file_bytes_max: u64,
    /// Time after which another file is begun, at least a second. Default: an hour.
    pub file_time_max: Duration,
    /// Bytes that all such files in the directory may have, whatever process they are of: the oldest are deleted.
    /// Default: 1 GiB.
    pub directory_bytes_max: u64,
    /// Default: none; by way of `ringlight`, CPU, memory, threads and open files on Linux, and the messages in channels.
    pub counters: Option<Box<dyn CounterSource>>,
    /// How often counters are read. Default: a second; by way of `ringlight`, what `system_metrics_interval_secs` of its file
    /// says where the code opens no trace file.
    pub counter_interval: Duration,
    /// Is told what a person should know, on the thread that writes. One that panics is as good as one that has spoken.
    /// Default: nobody is.
    pub on_notice: Arc<dyn Fn(&TraceFileNotice) + Send + Sync>,
}

impl TraceFileConfig {
    /// Files in this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            session: format!("{}-{:08x}", std::process::id(), fastrand::u32(..)),
            process: String::new(),
            format: TraceFileFormat::default(),
            include_args: true,
            file_bytes_max: 64 << 20,
            file_time_max: Duration::from_secs(3600),
            directory_bytes_max: 1 << 30,
            counters: None,
            counter_interval: Duration::from_secs(1),
            on_notice: Arc::new(|_| {}),
        }
    }
}

impl From<PathBuf> for TraceFileConfig {
    fn from(directory: PathBuf) -> Self {
        Self::new(directory)
    }
}

impl From<&Path> for TraceFileConfig {
    fn from(directory: &Path) -> Self {
        Self::new(directory)
    }
}

impl From<&str> for TraceFileConfig {
    fn from(directory: &str) -> Self {
        Self::new(directory)
    }
}

impl fmt::Debug for TraceFileConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceFileConfig")
            .field("directory", &self.directory)
            .field("session", &self.session)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Why no trace file is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceFileError {
    /// The directory cannot be made, or no file in it.
    #[error("cannot write trace files in {}: {source}", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system has no thread to give.
    #[error("cannot start the thread that writes trace files: {0}")]
    Thread(#[source] std::io::Error),
}

/// What a person should know of trace files. Its text says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum TraceFileNotice {
    /// Events cannot be written. It is said once, until they can be again, and at most once a minute.
    Failing {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Events are missing, and others are written, or it is the end. It is said at once, then every minute while it goes
    /// on, once it is over, and at the end.
    Lost {
        /// How many, since it was said last.
        events: u64,
    },
}

impl fmt::Display for TraceFileNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing { path, error } => write!(
                f,
                "cannot write the trace file {}: {error}; everything else goes on, and so does this once it can; hint: \
                 is the disk full?",
                path.display()
            ),
            Self::Lost { events } => write!(
                f,
                "{events} events are missing in the trace files, since they could not be written in time"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_containers_have_different_sessions() {
        let session = || TraceFileConfig::new("traces").session;
        assert!(session().starts_with(&format!("{}-", std::process::id())));
        assert_ne!(session(), session());
    }
}
