//! How small and how large settings may be: for the list of settings, by which files are checked, and for all who read
//! variables.

use std::time::Duration;

/// What delays, timeouts and intervals may be, in milliseconds; zero as well where it turns something off.
pub(super) const WAIT_MS_LEAST: u64 = 1;
pub(super) const WAIT_MS_MOST: u64 = 3_600_000;
pub(crate) const WAIT_LEAST: Duration = Duration::from_millis(WAIT_MS_LEAST);
pub(crate) const WAIT_MOST: Duration = Duration::from_millis(WAIT_MS_MOST);

/// Records in a batch.
pub(super) const BATCH_RECORDS_LEAST: u64 = 1;
pub(super) const BATCH_RECORDS_MOST: u64 = 1_000_000;

/// Bytes of a file of log lines, and files that are kept besides the one that is written to.
pub(super) const LOG_FILE_BYTES_LEAST: u64 = 64 << 10;
pub(super) const LOG_FILES_KEPT_MOST: u64 = 10_000;

/// Bytes of a trace file, and of all in its directory.
pub(super) const TRACE_BYTES_LEAST: u64 = 64 << 10;

/// Bytes that are kept for a destination, and for how long.
pub(super) const SPOOL_BYTES_LEAST: u64 = 1 << 20;
pub(super) const SPOOL_AGE_LEAST: Duration = Duration::from_secs(60);
pub(super) const SPOOL_AGE_MOST: Duration = Duration::from_secs(365 * 86_400);
