//! Counters that a snapshot reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts up from zero.
///
/// `Relaxed` throughout: each counter is right by itself, and nothing else is read by what it says. A
/// snapshot of several may show one of them a moment before another.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Time added up, in nanoseconds: enough for 584 years. `Relaxed` as in [`Counter`].
#[derive(Debug, Default)]
pub(super) struct TimeCounter(AtomicU64);

impl TimeCounter {
    pub(super) fn add(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}
