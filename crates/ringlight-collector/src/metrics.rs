//! The ledger under the names the span collector's requirements use.

/// Views of one destination's ledger, and of the attempts behind it, at one moment.
///
/// There is no second set of books: each number is read from the ledger's accounts or from the
/// counters that stand beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CollectorMetrics {
    /// Spans handed over: the ledger's `submitted`.
    pub spans_submitted: u64,
    /// How often a producer looked for room in its ring and found none, whatever came of it. Each look
    /// counts, so that a record that waited in vain counts more than once.
    pub full_ring_events: u64,
    /// How often a producer tried again after it had waited for room.
    pub reserve_retries: u64,
    /// Spans taken out of the rings.
    pub spans_consumed: u64,
    /// Spans the destination took: the ledger's `exported`.
    pub spans_exported: u64,
    /// Attempts that failed, those that were repeated among them.
    pub export_errors: u64,
    /// Batches the destination took.
    pub batches_exported: u64,
    /// Batches being sent, or waiting to be sent again.
    pub inflight_exports: u64,
}
