//! What is read: the counter, the system's clocks, or what a test says.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::MONOTONIC;

/// Monotonic nanoseconds the first measurement of the counter's speed takes.
const MEASURE_NANO: u64 = 300_000;

#[derive(Debug)]
pub(crate) enum Source {
    /// The system's clocks; the instant is where monotonic time begins.
    System(Instant),
    Manual(ManualTime),
}

/// What all clocks showed at the same moment, as nearly as can be told.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The reading: of the counter, or of the monotonic clock in its place.
    pub(crate) ticks: u64,
    pub(crate) monotonic_nano: u64,
    pub(crate) unix_nano: u64,
}

/// The time of a clock that stands still until it is told otherwise. Clones show the same time.
///
/// All accesses are `Relaxed`: a time says nothing about other memory, and a test that sets the
/// clock in one thread and reads it in another has an order of its own.
#[derive(Debug, Clone, Default)]
pub struct ManualTime(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    monotonic_nano: AtomicU64,
    unix_nano: AtomicU64,
}

impl ManualTime {
    /// Sets the wall clock; monotonic time is not touched.
    pub fn set_wall(&self, unix_nano: u64) {
        self.0.unix_nano.store(unix_nano, Ordering::Relaxed);
    }

    /// Lets time pass on both clocks.
    pub fn pass(&self, nanos: u64) {
        self.0.monotonic_nano.fetch_add(nanos, Ordering::Relaxed);
        self.0.unix_nano.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How often the calling thread has read the monotonic time of any clock of this kind, with which a test can say what
    /// something costs.
    #[must_use]
    pub fn readings_here() -> u64 {
        READINGS.get()
    }

    fn read(&self) -> u64 {
        READINGS.set(READINGS.get() + 1);
        self.0.monotonic_nano.load(Ordering::Relaxed)
    }
}

thread_local! {
    /// How often the thread has read a monotonic time that is set by hand.
    static READINGS: Cell<u64> = const { Cell::new(0) };
}

impl Source {
    #[inline]
    pub(crate) fn monotonic_nano(&self) -> u64 {
        match self {
            Self::System(start) => {
                let passed = start.elapsed();
                // Not `as_nanos`: its 128 bits cost more than they are worth in 584 years.
                passed.as_secs() * 1_000_000_000 + u64::from(passed.subsec_nanos())
            }
            Self::Manual(time) => time.read(),
        }
    }

    fn unix_nano(&self) -> u64 {
        match self {
            Self::System(_) => wall_unix_nano(),
            Self::Manual(time) => time.0.unix_nano.load(Ordering::Relaxed),
        }
    }

    /// A raw reading.
    #[inline]
    pub(crate) fn ticks(&self, counts: bool) -> u64 {
        if counts {
            counter()
        } else {
            self.monotonic_nano() | MONOTONIC
        }
    }

    /// All clocks at once: the best of a few tries, the one least disturbed.
    pub(crate) fn pair(&self, counts: bool) -> Pair {
        let attempt = || {
            let before = self.ticks(counts);
            let (monotonic_nano, unix_nano) = (self.monotonic_nano(), self.unix_nano());
            let took = self.ticks(counts).saturating_sub(before);
            let pair = Pair {
                ticks: before + took / 2,
                monotonic_nano,
                unix_nano,
            };
            (took, pair)
        };
        let (mut least, mut best) = attempt();
        for _ in 0..3 {
            let (took, pair) = attempt();
            if took < least {
                (least, best) = (took, pair);
            }
        }
        best
    }

    /// A first measurement of the counter's speed.
    pub(crate) fn measure(&self, base: &Pair) -> u64 {
        loop {
            let pair = self.pair(true);
            if pair.monotonic_nano.saturating_sub(base.monotonic_nano) >= MEASURE_NANO
                && let Some(per_tick) = pair.per_tick_since(base)
            {
                return per_tick;
            }
            std::hint::spin_loop();
        }
    }
}

/// What the system's wall clock shows, in nanoseconds since 1970; zero before that and after 2554,
/// where it is wrong anyway. For a time that stands alone: it may go backwards.
#[must_use]
pub fn wall_unix_nano() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|passed| u64::try_from(passed.as_nanos()).ok())
        .unwrap_or(0)
}

impl Pair {
    /// Nanoseconds a tick in 2^-32, measured since `base`; `None` if the counter did not move.
    pub(crate) fn per_tick_since(&self, base: &Self) -> Option<u64> {
        let ticks = self.ticks.checked_sub(base.ticks).filter(|t| *t > 0)?;
        let nanos = self.monotonic_nano.checked_sub(base.monotonic_nano)?;
        let per_tick = (u128::from(nanos) << 32) / u128::from(ticks);
        u64::try_from(per_tick).ok().filter(|p| *p > 0)
    }
}

/// Whether the kernel itself keeps time by the counter: it then runs at one speed on all processors
/// and in all states of sleep.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) fn kernel_trusts_counter() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|source| source.trim() == "tsc")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) const fn kernel_trusts_counter() -> bool {
    false
}

/// The processor's time-stamp counter.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(unsafe_code, reason = "reading the counter is what this crate is for")]
#[inline]
pub(crate) fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it reads a register and touches no
    // memory. A process that forbids it to itself (`PR_SET_TSC`) is stopped by the standard
    // library's clocks just as well, which read the counter, too, where the kernel trusts it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) const fn counter() -> u64 {
    0
}
