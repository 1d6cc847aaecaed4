//! Time: a monotonic clock, anchored to the wall clock.
//!
//! A duration is always the difference of two monotonic readings, so it stays right when the wall
//! clock is set while a span is open. The offset between the two clocks is taken anew about once a
//! second, by whichever thread notices first, so that times follow the wall clock over days.

#[cfg(test)]
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How long an offset is used before it is taken anew.
const ANCHOR_NANOS: u64 = 1_000_000_000;

/// A monotonic reading and the wall-clock time it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Nanoseconds since the clock was made.
    pub(crate) monotonic_nano: u64,
    /// Unix nanoseconds.
    pub(crate) unix_nano: u64,
}

/// The clock of one subscriber.
#[derive(Debug)]
pub(crate) struct Clock {
    source: Source,
    /// Wall minus monotonic time. Written by the thread that anchors; a reader may use the one
    /// before, which is as good as a reading a moment earlier: `Relaxed` suffices.
    offset_nano: AtomicU64,
    /// The monotonic reading after which the offset is taken anew. `Relaxed`: two threads that both
    /// anchor do the same work twice, no more.
    anchor_after_nano: AtomicU64,
}

#[derive(Debug)]
enum Source {
    System(Instant),
    #[cfg(test)]
    Manual(ManualClock),
}

/// A clock that stands still until it is told otherwise.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct ManualClock(Arc<ManualTimes>);

#[cfg(test)]
#[derive(Debug, Default)]
struct ManualTimes {
    monotonic_nano: AtomicU64,
    unix_nano: AtomicU64,
}

impl Clock {
    /// A clock on the system's monotonic and wall clocks.
    pub(crate) fn system() -> Self {
        Self::new(Source::System(Instant::now()))
    }

    /// A clock that shows what `times` is set to.
    #[cfg(test)]
    pub(crate) fn manual(times: ManualClock) -> Self {
        Self::new(Source::Manual(times))
    }

    fn new(source: Source) -> Self {
        let clock = Self {
            source,
            offset_nano: AtomicU64::new(0),
            anchor_after_nano: AtomicU64::new(0),
        };
        clock.anchor(clock.monotonic_nano());
        clock
    }

    /// The monotonic reading alone, for the end of a span.
    #[inline]
    pub(crate) fn monotonic_nano(&self) -> u64 {
        match &self.source {
            Source::System(start) => {
                let passed = start.elapsed();
                // Not `as_nanos`: its 128 bits cost more than they are worth in 584 years.
                passed.as_secs() * 1_000_000_000 + u64::from(passed.subsec_nanos())
            }
            #[cfg(test)]
            Source::Manual(times) => times.0.monotonic_nano.load(Ordering::Relaxed),
        }
    }

    /// Now.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        let monotonic_nano = self.monotonic_nano();
        if monotonic_nano >= self.anchor_after_nano.load(Ordering::Relaxed) {
            self.anchor(monotonic_nano);
        }
        Moment {
            monotonic_nano,
            unix_nano: monotonic_nano.wrapping_add(self.offset_nano.load(Ordering::Relaxed)),
        }
    }

    #[cold]
    fn anchor(&self, monotonic_nano: u64) {
        let unix_nano = match &self.source {
            // Before 1970 or after 2554 the clock is wrong anyway.
            Source::System(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|passed| u64::try_from(passed.as_nanos()).ok())
                .unwrap_or(0),
            #[cfg(test)]
            Source::Manual(times) => times.0.unix_nano.load(Ordering::Relaxed),
        };
        self.offset_nano
            .store(unix_nano.wrapping_sub(monotonic_nano), Ordering::Relaxed);
        self.anchor_after_nano
            .store(monotonic_nano + ANCHOR_NANOS, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl ManualClock {
    /// Sets the wall clock; monotonic time is not touched.
    pub(crate) fn set_wall(&self, unix_nano: u64) {
        self.0.unix_nano.store(unix_nano, Ordering::Relaxed);
    }

    /// Lets time pass on both clocks.
    pub(crate) fn pass(&self, nanos: u64) {
        self.0.monotonic_nano.fetch_add(nanos, Ordering::Relaxed);
        self.0.unix_nano.fetch_add(nanos, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn times_follow_the_wall_clock_and_durations_do_not() {
        let times = ManualClock::default();
        times.set_wall(10 * HOUR);
        let clock = Clock::manual(times.clone());
        let start = clock.now();
        assert_eq!(start.unix_nano, 10 * HOUR);

        times.pass(5);
        times.set_wall(9 * HOUR);
        assert_eq!(clock.monotonic_nano() - start.monotonic_nano, 5);

        times.pass(2 * ANCHOR_NANOS);
        let end = clock.now();
        assert_eq!(
            end.monotonic_nano - start.monotonic_nano,
            5 + 2 * ANCHOR_NANOS
        );
        assert_eq!(end.unix_nano, 9 * HOUR + 2 * ANCHOR_NANOS);
    }

    #[test]
    fn the_system_clock_is_near_the_wall_clock() {
        let before = SystemTime::now();
        let now = Clock::system().now().unix_nano;
        let after = SystemTime::now();
        let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_nanos();
        assert!((nanos(before)..=nanos(after)).contains(&u128::from(now)));
    }
}
