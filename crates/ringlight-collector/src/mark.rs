//! The mark on threads that belong to the pipeline.
//!
//! What the pipeline's own threads record (an HTTP client that logs, for instance) must not enter
//! the pipeline, or one export would cause the next.

use std::cell::Cell;

thread_local! {
    static IN_PIPELINE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the current thread belongs to a pipeline. Nothing may be recorded there, and nothing on
/// it may wait for the pipeline.
#[inline]
#[must_use]
pub fn in_pipeline() -> bool {
    // A thread whose locals are gone is ending; pipeline threads record nothing then either.
    IN_PIPELINE.try_with(Cell::get).unwrap_or(false)
}

/// Marks the current thread for the rest of its life as one of a pipeline's, such as those that sinks and
/// exporters start.
pub fn mark_thread() {
    let _ = IN_PIPELINE.try_with(|mark| mark.set(true));
}
