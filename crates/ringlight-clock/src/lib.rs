//! Time for spans: a monotonic clock, anchored to the wall clock.
//!
//! A [`Reading`] is whatever is cheapest to read: the processor's time-stamp counter where the
//! kernel uses it for its own clocks, else the monotonic clock of the standard library. A reading
//! becomes a time, and the difference of two a duration, by an *anchor*: what the counter, the
//! monotonic clock and the wall clock showed at one moment, and how fast the counter runs. Whoever has a
//! thread for it [keeps](Clock::keep) the anchor, which is renewed about once a second; one that nobody
//! has kept for two seconds is renewed by the thread that reads the clock then.
//!
//! It guarantees that
//! - a duration is the difference of two monotonic readings: setting the wall clock while it runs
//!   changes nothing;
//! - times follow the wall clock within a second or two;
//! - a [reading](Clock::reading) and a [time](Clock::now) cost no system call, take no lock and wait for
//!   no other thread, not even for one that is stopped while it renews the anchor.
//!
//! # Accuracy
//! The speed of the counter is measured against the monotonic clock, at first for a fraction of a
//! millisecond (error below 10^-4), then over ever longer times up to a minute (below 10^-8). Where
//! the kernel stops trusting the counter, this clock stops within a minute.
//!
//! It must not know anything else of Ringlight.
//!
//! The one use of `unsafe` is the instruction that reads the counter.
#![deny(unsafe_code)]

mod anchor;
mod source;
mod sync;

#[cfg(test)]
#[cfg(not(ringlight_loom))]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anchor::{Anchor, Anchors};
pub use source::{ManualTime, wall_unix_nano};
use source::{Pair, Source};

/// Set in readings of the monotonic clock, which a counter of 4 GHz reaches after 73 years.
const MONOTONIC: u64 = 1 << 63;
/// Nanoseconds between renewals of the anchor, once it is settled and if somebody keeps it; readers wait
/// twice as long.
const RENEW_NANO: u64 = 1_000_000_000;
/// The first renewal, while the counter's speed is known only roughly; the next come after twice as
/// long each.
const RENEW_FIRST_NANO: u64 = 4_000_000;
/// The counter's speed is measured over at least half of this once the clock is that old.
const BASE_NANO: u64 = 60_000_000_000;

/// A raw reading of a [`Clock`]; means something only to the clock it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading(u64);

impl Reading {
    /// A reading from its bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, to be kept somewhere.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

/// A reading and the time it was taken at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The reading, for durations.
    pub reading: Reading,
    /// The time, Unix nanoseconds.
    pub unix_nano: u64,
}

/// A clock. All of it works on shared references, from any thread.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    /// Whether readings are of the counter. Turned off, once, by the thread that finds the kernel
    /// does not trust it any more. `Relaxed`: a reading says itself what it is of.
    counts: AtomicBool,
    anchors: Anchors,
    /// The reading after which who keeps the anchor is to renew it, and the one after which readers are,
    /// since nobody does; `Relaxed`, since being late or early by a reading does not matter. In the terms
    /// of the readings of the moment.
    keep_after: AtomicU64,
    renew_after: AtomicU64,
}

impl Clock {
    /// The best clock this system has.
    #[must_use]
    pub fn system() -> Self {
        Self::new(
            Source::System(Instant::now()),
            source::kernel_trusts_counter(),
        )
    }

    /// A clock on the standard library's monotonic clock, whatever else there is.
    #[must_use]
    pub fn monotonic() -> Self {
        Self::new(Source::System(Instant::now()), false)
    }

    /// A clock that shows what it is told, for tests.
    #[must_use]
    pub fn manual(time: ManualTime) -> Self {
        Self::new(Source::Manual(time), false)
    }

    fn new(source: Source, counts: bool) -> Self {
        let base = source.pair(counts);
        let per_tick = if counts {
            source.measure(&base)
        } else {
            1 << 32
        };
        let clock = Self {
            counts: AtomicBool::new(counts),
            anchors: Anchors::new(Anchor {
                ticks: base.ticks,
                unix_nano: base.unix_nano,
                per_tick,
                base,
                renew_nano: RENEW_FIRST_NANO,
            }),
            keep_after: AtomicU64::new(0),
            renew_after: AtomicU64::new(0),
            source,
        };
        clock.renew();
        clock
    }

    /// A raw reading.
    #[inline]
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading(self.source.ticks(self.counts.load(Ordering::Relaxed)))
    }

    /// A reading and the time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Moment {
        let mut reading = self.reading();
        if reading.0 >= self.renew_after.load(Ordering::Relaxed) {
            self.renew();
            // The renewal may have changed what is read.
            reading = self.reading();
        }
        let (ticks, unix_nano, per_tick) = self.anchors.current();
        let passed = scale(reading.0.saturating_sub(ticks), per_tick);
        Moment {
            reading,
            unix_nano: unix_nano.saturating_add(passed),
        }
    }

    /// Renews the anchor if it is time to, so that those who read the clock do not have to: it takes some
    /// system calls. To be called now and then, from any thread; it costs a reading where there is nothing
    /// to do.
    pub fn keep(&self) {
        if self.reading().0 >= self.keep_after.load(Ordering::Relaxed) {
            self.renew();
        }
    }

    /// Nanoseconds from one reading to another, zero if that is negative. `None` if the clock has
    /// changed what it reads in between, so that the two have nothing to do with each other.
    #[inline]
    #[must_use]
    pub fn nanos_between(&self, start: Reading, end: Reading) -> Option<u64> {
        if (start.0 ^ end.0) & MONOTONIC != 0 {
            return None;
        }
        let ticks = end.0.saturating_sub(start.0);
        if end.0 & MONOTONIC != 0 {
            return Some(ticks);
        }
        Some(scale(ticks, self.anchors.per_tick()))
    }

    #[cold]
    fn renew(&self) {
        // One thread at a time; the others go on with the anchor there is.
        let Some(mut anchor) = self.anchors.begin() else {
            return;
        };
        let mut counts = self.counts.load(Ordering::Relaxed);
        let age = self
            .source
            .monotonic_nano()
            .saturating_sub(anchor.base.monotonic_nano);
        if counts && age >= BASE_NANO && !source::kernel_trusts_counter() {
            counts = false;
            self.counts.store(false, Ordering::Relaxed);
        }
        let pair = self.source.pair(counts);
        if counts {
            anchor.per_tick = pair.per_tick_since(&anchor.base).unwrap_or(anchor.per_tick);
            if age >= BASE_NANO {
                anchor.base = pair.clone();
            }
        } else {
            anchor.per_tick = 1 << 32;
        }
        anchor.ticks = pair.ticks;
        anchor.unix_nano = pair.unix_nano;
        anchor.renew_nano = (anchor.renew_nano * 2).min(RENEW_NANO);
        let renew_ticks =
            (u128::from(anchor.renew_nano) << 32) / u128::from(anchor.per_tick.max(1));
        let after = |times| pair.ticks.saturating_add(times * renew_ticks as u64);
        self.anchors.publish(anchor);
        self.keep_after.store(after(1), Ordering::Relaxed);
        self.renew_after.store(after(2), Ordering::Relaxed);
    }
}

/// Ticks to nanoseconds by a factor in 2^-32.
#[inline]
const fn scale(ticks: u64, per_tick: u64) -> u64 {
    ((ticks as u128 * per_tick as u128) >> 32) as u64
}

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
