//! What recording costs, measured now and then.
//!
//! A thread is told by its ring, once in some thousand records, to measure the next span and the next log
//! record. It does so by doing what it was about to do through the very functions that `tracing` calls,
//! between two readings of the clock, from which the cost of a reading is subtracted:
//!
//! - a span is opened, by an attempt that found the note and had not done anything yet;
//! - its id says that it is measured, so that recording to it and closing it are, too;
//! - before it is closed, it is entered and left once more, for the times the application did.
//!
//! Two such measurements are on trial and do not count, before the one that does: after a pause the first one
//! would say half as much again, since this code is not in the processor's caches then.
//!
//! No other record pays for it: that there is a note is seen in a byte that was looked at before, and
//! that an id is a measured one in bits that were.

use std::hint::black_box;
use std::sync::Arc;

use ringlight_clock::{Clock, Reading};
use ringlight_collector::{Measured, Meter};
use tracing_core::span::Attributes;
use tracing_core::{Event, Subscriber};

#[cfg(feature = "otel")]
use crate::uncounted::uncounted;

use super::RinglightSubscriber;
#[cfg(feature = "otel")]
use super::shared::is_in_use;
use super::slab::SlotId;
use super::thread::{Notes, Thread, with_thread};

/// Has the calling thread measure the next span and the next log record, now and then.
pub(super) fn note_next() {
    with_thread(Thread::note_look);
}

/// Between two readings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    began: Reading,
    ended: Reading,
}

/// What `run` takes.
///
/// Inlined, so that both readings stand right at the call: this is called seldom, and code that had to be
/// fetched from afar in between would count as a cost of recording. For the same reason nothing is added up
/// before all that belongs together has been timed.
#[inline(always)]
#[expect(clippy::inline_always, reason = "see above")]
pub(super) fn time<R>(clock: &Clock, run: impl FnOnce() -> R) -> (R, Time) {
    let began = clock.reading();
    let result = run();
    let ended = clock.reading();
    (result, Time { began, ended })
}

/// Measures with a subscriber's clock.
#[derive(Debug)]
pub(super) struct Stopwatch {
    meter: Arc<Meter>,
    /// Nanoseconds between two readings with nothing in between.
    reading_nano: u64,
}

impl Stopwatch {
    pub(super) fn new(meter: Arc<Meter>, clock: &Clock) -> Self {
        const TRIES: usize = 101;
        let mut nanos: [u64; TRIES] = std::array::from_fn(|_| {
            let began = clock.reading();
            clock.nanos_between(began, clock.reading()).unwrap_or(0)
        });
        nanos.sort_unstable();
        Self {
            meter,
            reading_nano: nanos[TRIES / 2],
        }
    }

    /// Adds up what was timed.
    #[inline(never)]
    pub(super) fn add(&self, clock: &Clock, part: Measured, time: Time) {
        // A clock that has changed what it reads has measured nothing.
        if let Some(nanos) = clock.nanos_between(time.began, time.ended) {
            self.meter
                .add(part, nanos.saturating_sub(self.reading_nano));
        }
    }
}

impl RinglightSubscriber {
    /// Itself as `tracing` calls it, so that what is measured is the code that always runs, which is in
    /// the processor's caches, and not a copy of it.
    fn as_called(&self) -> &dyn Subscriber {
        black_box(self)
    }

    /// Sees to what is noted for a span that is about to be opened; its id if that has been done.
    #[cold]
    pub(super) fn see_to_span(
        &self,
        thread: &Thread,
        attributes: &Attributes<'_>,
        may_measure: bool,
    ) -> Option<SlotId> {
        self.make_sure(thread, attributes.metadata());
        if !thread.take_note(Notes::MEASURE_SPAN) || !may_measure || !self.outputs.spans {
            return None;
        }
        let this = self.as_called();
        let is_trial = thread.is_trial(Notes::MEASURE_SPAN);
        let open = || this.new_span(attributes);
        let clock = self.slab.clock();
        let (id, opened) = time(clock, open);
        if is_trial {
            thread.note(Notes::MEASURE_SPAN);
        } else {
            self.stopwatch.add(clock, Measured::Open, opened);
        }
        let id = SlotId::from_u64(id.into_u64());
        let slot = self.slab.slot(id).filter(|_| id.is_sampled());
        Some(slot.map_or(id, |slot| slot.mark_measured(id, is_trial)))
    }

    /// Sees to what is noted for an event; whether it has been recorded.
    #[cold]
    pub(super) fn see_to_log(&self, thread: &Thread, event: &Event<'_>) -> bool {
        self.make_sure(thread, event.metadata());
        if !thread.take_note(Notes::MEASURE_LOG) || !self.outputs.logs {
            return false;
        }
        let this = self.as_called();
        let is_trial = thread.is_trial(Notes::MEASURE_LOG);
        let log = || this.event(event);
        let clock = self.slab.clock();
        let ((), logged) = time(clock, log);
        if is_trial {
            thread.note(Notes::MEASURE_LOG);
        } else {
            self.stopwatch.add(clock, Measured::Log, logged);
        }
        true
    }

    /// Gives up a reference to a span that is measured; whether it has closed.
    #[cold]
    pub(super) fn close_measured(&self, id: SlotId) -> bool {
        let Some(slot) = self.slab.slot(id) else {
            return false;
        };
        if !slot.drop_reference(id) {
            return false;
        }
        #[cfg(feature = "otel")]
        if is_in_use() {
            uncounted(|| self.shared.forget(id));
        }
        let is_trial = id.is_trial();
        // This was the last reference. It is given up below, under the id the span would have had.
        let id = slot.unmark_measured(id).to_span_id();
        let (this, clock) = (self.as_called(), self.slab.clock());
        let enter = || {
            this.enter(&id);
            this.exit(&id);
        };
        // A span that is left while the thread unwinds fails.
        let entered = (!std::thread::panicking()).then(|| {
            with_thread(|thread| thread.note(Notes::REHEARSAL));
            let ((), entered) = time(clock, enter);
            with_thread(|thread| thread.take_note(Notes::REHEARSAL));
            entered
        });
        let (is_closed, closed) = time(clock, || this.try_close(id.clone()));
        if !is_trial {
            if let Some(entered) = entered {
                self.stopwatch.add(clock, Measured::Enter, entered);
            }
            self.stopwatch.add(clock, Measured::Close, closed);
        }
        is_closed
    }
}
