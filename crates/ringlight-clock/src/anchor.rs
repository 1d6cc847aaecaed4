//! The anchor in use, read by everyone and renewed by one thread at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::Pair;

/// How readings become times.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    /// A reading...
    pub(crate) ticks: u64,
    /// ... and the time it was taken at.
    pub(crate) unix_nano: u64,
    /// Nanoseconds a tick, in 2^-32.
    pub(crate) per_tick: u64,
    /// Where the measurement of the speed began.
    pub(crate) base: Pair,
    /// Nanoseconds until the next renewal.
    pub(crate) renew_nano: u64,
}

/// The current anchor, under a sequence lock: a reader that meets a writer reads again.
#[derive(Debug)]
pub(crate) struct Anchors {
    /// Odd while the three words below are being written.
    sequence: AtomicU64,
    ticks: AtomicU64,
    unix_nano: AtomicU64,
    per_tick: AtomicU64,
    /// The writer's copy, and the lock that makes it one writer.
    latest: Mutex<Anchor>,
}

/// The right to publish a new anchor.
pub(crate) struct Renewal<'a> {
    latest: MutexGuard<'a, Anchor>,
}

impl std::ops::Deref for Renewal<'_> {
    type Target = Anchor;

    fn deref(&self) -> &Anchor {
        &self.latest
    }
}

impl std::ops::DerefMut for Renewal<'_> {
    fn deref_mut(&mut self) -> &mut Anchor {
        &mut self.latest
    }
}

impl Anchors {
    pub(crate) fn new(anchor: Anchor) -> Self {
        Self {
            sequence: AtomicU64::new(0),
            ticks: AtomicU64::new(anchor.ticks),
            unix_nano: AtomicU64::new(anchor.unix_nano),
            per_tick: AtomicU64::new(anchor.per_tick),
            latest: Mutex::new(anchor),
        }
    }

    /// Ticks, time and speed that belong together.
    #[inline]
    pub(crate) fn current(&self) -> (u64, u64, u64) {
        loop {
            // Pairs with the last store of `publish`: the words of a finished anchor are seen.
            let before = self.sequence.load(Ordering::Acquire);
            // Each pairs with its store in `publish`: whoever sees a word of the next anchor sees
            // the odd sequence stored before it, in the load after these.
            let ticks = self.ticks.load(Ordering::Acquire);
            let unix_nano = self.unix_nano.load(Ordering::Acquire);
            let per_tick = self.per_tick.load(Ordering::Acquire);
            // Relaxed: it cannot come before the loads above, which acquire.
            let after = self.sequence.load(Ordering::Relaxed);
            if before == after && before.is_multiple_of(2) {
                return (ticks, unix_nano, per_tick);
            }
            std::hint::spin_loop();
        }
    }

    /// The speed alone; any recent one will do.
    #[inline]
    pub(crate) fn per_tick(&self) -> u64 {
        // Relaxed: one word, used alone.
        self.per_tick.load(Ordering::Relaxed)
    }

    /// The right to renew, unless another thread has it.
    pub(crate) fn begin(&self) -> Option<Renewal<'_>> {
        let latest = match self.latest.try_lock() {
            Ok(latest) => latest,
            // Nothing panics under the lock.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Renewal { latest })
    }

    /// Makes the anchor current.
    pub(crate) fn publish(&self, renewal: Renewal<'_>) {
        let anchor = &*renewal;
        // Relaxed: writers come one after the other, by the lock the caller holds.
        let sequence = self.sequence.load(Ordering::Relaxed);
        // Relaxed: the stores below release it.
        self.sequence.store(sequence + 1, Ordering::Relaxed);
        // For the pairing see `current`.
        self.ticks.store(anchor.ticks, Ordering::Release);
        self.unix_nano.store(anchor.unix_nano, Ordering::Release);
        self.per_tick.store(anchor.per_tick, Ordering::Release);
        self.sequence.store(sequence + 2, Ordering::Release);
    }
}
