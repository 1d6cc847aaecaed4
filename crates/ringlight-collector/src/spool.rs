//! What is kept on disk until it can be sent: settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringlight_spool::{Disk, Spool, SpoolError, SystemDisk};

use crate::config::{CollectorConfigError, duration, number};

/// Which batches go to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SpoolMode {
    /// Those that cannot be sent: the destination does not answer, asks to wait, or takes less than there is; and
    /// those that are left at the end. The default. When the process is killed, what was in memory is lost:
    /// what is in the rings and in the batch that is being filled, and, while the destination answers, what
    /// waits for it in its queue.
    #[default]
    Overflow,
    /// All of them, before they are sent. When the process is killed, what is in the rings and in the batch that
    /// is being filled is lost; what a flush returned for is not.
    Always,
}

/// A directory in which batches wait until they can be sent, also for the next process.
///
/// Every destination has a log of its own there for each signal, and one for audit records. Files are for their owner alone.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// The directory, which is made if there is none. One process at a time can have it.
    pub dir: PathBuf,
    /// Which batches go there. Default: those that cannot be sent.
    pub mode: SpoolMode,
    /// Bytes on disk for one destination, or one of the places it sends signals to, about. At least 1 MiB, default
    /// 1 GiB. When there are more, the oldest are dropped and counted, audit records last.
    pub bytes_max: u64,
    /// What has waited for longer is dropped and counted. 1 min to 1 year, default 3 days.
    pub age_max: Duration,
    /// Bytes in a second, at most, that are sent of what an earlier process or an outage left, so that a
    /// backend that comes back is not run over. At least 1 KiB, default 16 MiB. New batches go first and are not
    /// limited.
    pub drain_bytes_per_second: u64,
    /// Whether batches count as kept only when the disk has them (`fsync`), so that they survive a loss of power.
    /// Default: yes. Without, they survive the process.
    pub sync: bool,
    /// The file system. Default: that of the operating system.
    pub disk: Arc<dyn Disk>,
}

impl SpoolConfig {
    /// The defaults, in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            mode: SpoolMode::Overflow,
            bytes_max: 1 << 30,
            age_max: Duration::from_secs(3 * 24 * 3600),
            drain_bytes_per_second: 16 << 20,
            sync: true,
            disk: Arc::new(SystemDisk),
        }
    }

    /// Whether the directory can be used now. A pipeline that starts with it finds out again.
    ///
    /// # Errors
    /// Another process has it, or it cannot be used.
    pub fn probe(&self) -> Result<(), SpoolError> {
        self.open().map(drop)
    }

    pub(crate) fn open(&self) -> Result<Spool, SpoolError> {
        Spool::open_on(Arc::clone(&self.disk), &self.dir)
    }

    pub(crate) fn validate(&self) -> Result<(), CollectorConfigError> {
        const MINUTE: Duration = Duration::from_secs(60);
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        number(
            "spool.bytes_max",
            bytes(self.bytes_max),
            1 << 20..=usize::MAX,
        )?;
        duration("spool.age_max", self.age_max, MINUTE..=YEAR)?;
        let rate = bytes(self.drain_bytes_per_second);
        number("spool.drain_bytes_per_second", rate, 1024..=usize::MAX)
    }
}

impl From<PathBuf> for SpoolConfig {
    fn from(dir: PathBuf) -> Self {
        Self::new(dir)
    }
}

impl From<&Path> for SpoolConfig {
    fn from(dir: &Path) -> Self {
        Self::new(dir)
    }
}

impl From<&str> for SpoolConfig {
    fn from(dir: &str) -> Self {
        Self::new(dir)
    }
}

impl From<String> for SpoolConfig {
    fn from(dir: String) -> Self {
        Self::new(dir)
    }
}
