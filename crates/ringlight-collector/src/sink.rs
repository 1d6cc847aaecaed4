//! Local consumers of records, such as the formatter of log lines.

use ringlight_model::CallsiteRegistry;

use crate::record::Record;

/// Sees every record as it comes out of the rings, on the collector's thread.
///
/// A sink may write to a terminal or a file; while it waits, nothing is drained, so it should
/// buffer and write in [`flush`](Self::flush).
pub trait RecordSink: Send {
    /// One record. Nothing of it may be kept.
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry);

    /// Called after every pass over the rings that showed it a record, before a flush of the
    /// pipeline is answered, and before the pipeline ends.
    fn flush(&mut self);
}
