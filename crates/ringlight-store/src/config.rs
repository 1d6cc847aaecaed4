//! What a store needs to know before it opens.

use std::path::PathBuf;
use std::time::Duration;

/// The size limit and the retention are kept to the precision of a slice, which is this part of
/// them.
const SLICES: u32 = 16;
const SLICE_AGE_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// How a store is opened. [`StoreConfig::new`] gives the defaults; every field may be changed.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The directory of the store. Created if missing, with access for its owner only.
    pub data_dir: PathBuf,
    /// How long records are kept after they arrived. Default 7 days. Whole time slices are deleted,
    /// so a record may stay up to a sixteenth of this (at most six hours) longer.
    pub retention: Duration,
    /// Bytes the store may take on disk; the oldest time slices go first. Default 4 GiB, at least
    /// 16 MiB. The slice being written is never deleted, so the limit may be exceeded for a moment
    /// by a sixteenth of it.
    pub size_limit_bytes: u64,
    /// The command line that opens the store; shown as the name of the run.
    pub command: String,
    /// Records of a signal after which they are sealed into a block. Default 8192: packing more
    /// saves little, and a search would have to read more at once. From 64 to 65 536.
    pub block_records: usize,
    /// Age after which records are sealed although there are fewer, provided that they are an eighth
    /// of them or came in 512 requests; sixty times as old they are sealed however few they are.
    /// Default 10 s. Until then they are durable in the intake and answered from memory, so this
    /// only bounds how much is decoded again at the next start; sealing sooner would make many small
    /// blocks.
    pub block_age: Duration,
    /// Bytes of memory for records that are not sealed yet, requests being decoded included.
    /// Default 64 MiB. A quarter of it in one signal is sealed at once; what would go beyond it is
    /// refused with [`IngestError::Overloaded`], and then everything is sealed at once.
    ///
    /// [`IngestError::Overloaded`]: crate::IngestError::Overloaded
    pub head_bytes_max: usize,
    /// Series of metrics that are kept: a metric with a resource, a scope and attributes. Default
    /// 100 000, at least 1. They are in memory, in 64 MiB at most. When there are as many, those that nothing
    /// has come of for the longest time, and not for a quarter of an hour, make room for new ones and cannot
    /// be found any more ([`StoreStats::series_forgotten`](crate::StoreStats::series_forgotten)); where there
    /// are none, points of new ones are refused with
    /// [`RejectReason::TooManySeries`](ringlight_model::RejectReason::TooManySeries).
    pub series_max: usize,
    /// What an acknowledged request survives. Default [`Durability::PowerLoss`].
    pub durability: Durability,
}

/// What an acknowledged request survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The loss of power: the log is synced before a request is acknowledged. One sync serves all
    /// requests that wait for it, so the cost does not grow with the rate.
    #[default]
    PowerLoss,
    /// The end of the process, `kill -9` included, but not of the machine: nothing is synced before
    /// a request is acknowledged. A power loss costs the newest requests, never the store.
    ProcessDeath,
}

impl StoreConfig {
    /// The defaults, for a directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            size_limit_bytes: 4 << 30,
            command: String::new(),
            block_records: 8192,
            block_age: Duration::from_secs(10),
            head_bytes_max: 64 << 20,
            series_max: 100_000,
            durability: Durability::default(),
        }
    }

    /// The size at which a slice ends.
    pub(crate) const fn slice_bytes_max(&self) -> u64 {
        self.size_limit_bytes / SLICES as u64
    }

    /// The age at which a slice ends.
    pub(crate) fn slice_age_max(&self) -> Duration {
        (self.retention / SLICES).clamp(Duration::from_secs(1), SLICE_AGE_MAX)
    }

    /// Checks every field against its range.
    pub(crate) fn validate(&self) -> Result<(), crate::StoreError> {
        let invalid = |field: &'static str, value: String, allowed: &'static str| {
            Err(crate::StoreError::Config {
                field,
                value,
                allowed,
            })
        };
        if self.data_dir.as_os_str().is_empty() {
            return invalid("data_dir", String::new(), "a path");
        }
        if self.retention < Duration::from_secs(60) {
            return invalid(
                "retention",
                format!("{}s", self.retention.as_secs_f64()),
                "at least one minute",
            );
        }
        if self.size_limit_bytes < 16 << 20 {
            return invalid(
                "size_limit_bytes",
                self.size_limit_bytes.to_string(),
                "at least 16 MiB",
            );
        }
        if !(64..=65_536).contains(&self.block_records) {
            return invalid(
                "block_records",
                self.block_records.to_string(),
                "64 to 65536",
            );
        }
        if self.head_bytes_max < 1 << 20 {
            return invalid(
                "head_bytes_max",
                self.head_bytes_max.to_string(),
                "at least 1 MiB",
            );
        }
        if self.series_max == 0 {
            return invalid("series_max", "0".to_owned(), "at least 1");
        }
        Ok(())
    }
}
