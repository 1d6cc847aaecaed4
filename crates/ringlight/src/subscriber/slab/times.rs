//! When a span began and ends, and who was in it for how long.

use ringlight_clock::{Clock, Reading};

use super::Slot;
use super::slot::{END, START};
use crate::sync::Ordering;

/// The first slice of a span is yet to say who opened it.
#[cfg(feature = "profiling")]
const UNSAID: u64 = 1 << 63;

impl Slot {
    /// Sets the end, now, for a span that is closing.
    #[inline]
    pub(in super::super) fn end(&self, clock: &Clock) {
        self.set_word(END, self.now(clock));
    }

    /// What the clock of the span shows, Unix nanoseconds: as long after its start as has passed since,
    /// whatever the wall clock was set to meanwhile.
    #[inline]
    pub(in super::super) fn now(&self, clock: &Clock) -> u64 {
        self.time_of(clock, clock.reading())
    }

    /// The same for what the clock read a moment ago.
    #[inline]
    pub(in super::super) fn time_of(&self, clock: &Clock, reading: Reading) -> u64 {
        // Relaxed, as with words.
        let started = Reading::from_bits(self.started.load(Ordering::Relaxed));
        let start = self.word(START);
        let duration = clock.nanos_between(started, reading);
        // Without a common clock for start and now, the wall clock has to do.
        let duration = duration.unwrap_or_else(|| clock.now().unix_nano.saturating_sub(start));
        start.saturating_add(duration)
    }

    /// Nanoseconds from the start to the end, for a span that is closing.
    #[cfg(feature = "profiling")]
    pub(in super::super) fn duration(&self) -> u64 {
        self.word(END).saturating_sub(self.word(START))
    }

    /// Adds to the time that threads were in the span; for whoever holds it.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(in super::super) fn add_busy(&self, nanos: u64) {
        // Relaxed: whoever drops the last reference sees what was done under all of them.
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// That time, for whoever closes the span; none is left for the next one.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(in super::super) fn take_busy(&self) -> u64 {
        // Relaxed, both: the slot is ours.
        let nanos = self.busy_nanos.load(Ordering::Relaxed);
        self.busy_nanos.store(0, Ordering::Relaxed);
        nanos
    }

    /// Says which thread opened the span, whose id nobody else knows yet; zero if that is not to be said.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(in super::super) fn set_opener(&self, thread: u64) {
        // Relaxed: whoever is given the id to use it elsewhere is given this with it.
        self.opener.store(thread | UNSAID, Ordering::Relaxed);
    }

    /// Which thread opened the span, for the first who asks; `None` for others.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(in super::super) fn take_opener(&self) -> Option<u64> {
        // Relaxed, both: it is used alone. Of two threads that leave the span for the first time at once, both may have
        // it, and both say the same.
        let opener = self.opener.load(Ordering::Relaxed);
        if opener == 0 {
            return None;
        }
        self.opener.store(0, Ordering::Relaxed);
        Some(opener & !UNSAID)
    }
}
