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

/// Runs `body` as if the thread were one of a pipeline's: nothing is recorded of it.
pub fn within_pipeline<R>(body: impl FnOnce() -> R) -> R {
    with_mark(true, body)
}

/// Runs `body` as if the thread were none of a pipeline's: for what a watching thread has to say in the log of
/// the application that it watches.
pub fn outside_pipeline<R>(body: impl FnOnce() -> R) -> R {
    with_mark(false, body)
}

fn with_mark<R>(mark: bool, body: impl FnOnce() -> R) -> R {
    /// Puts back what was before, also when `body` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            replace(self.0);
        }
    }
    fn replace(mark: bool) -> bool {
        let replace = |is_marked: &Cell<bool>| is_marked.replace(mark);
        IN_PIPELINE.try_with(replace).unwrap_or(false)
    }
    let _restore = Restore(replace(mark));
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_thread_may_speak_up() {
        let thread = std::thread::spawn(|| {
            mark_thread();
            assert!(!outside_pipeline(in_pipeline));
            assert!(in_pipeline());
        });
        thread.join().unwrap();
        outside_pipeline(|| ());
        assert!(!in_pipeline() && within_pipeline(in_pipeline) && !in_pipeline());
    }
}
