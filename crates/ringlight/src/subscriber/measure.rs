//! What recording costs, measured now and then.
//!
//! A thread is told by its ring, once in some hundred records, to measure the next span and the next log
//! record. It does so by doing what it was about to do through the very functions that `tracing` calls,
//! between two readings of the clock, from which the cost of a reading is subtracted:
//!
//! - a span is opened, by an attempt that found the note and had not done anything yet;
//! - its id says that it is measured, so that recording to it and closing it are, too;
//! - before it is closed, it is entered and left once more, for the times the application did.
//!
//! No other record pays for it: that there is a note is seen in a byte that was looked at before, and
//! that an id is a measured one in bits that were.

use std::hint::black_box;
use std::sync::Arc;

use ringlight_clock::{Clock, Reading};
use ringlight_collector::{Measured, Meter};
use tracing_core::span::Attributes;
use tracing_core::{Event, Subscriber};

use super::RinglightSubscriber;
#[cfg(feature = "otel")]
use super::shared::is_in_use;
use super::slab::SlotId;
use super::thread::{Notes, Thread, with_thread};

/// Has the calling thread measure the next span and the next log record.
pub(super) fn note_next() {
    with_thread(|thread| thread.note(Notes::MEASURE_SPAN.and(Notes::MEASURE_LOG)));
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

    pub(super) fn stop(&self, clock: &Clock, began: Reading, part: Measured) {
        // A clock that has changed what it reads has measured nothing.
        if let Some(nanos) = clock.nanos_between(began, clock.reading()) {
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
        let began = self.slab.clock().reading();
        let id = self.as_called().new_span(attributes);
        self.stopwatch
            .stop(self.slab.clock(), began, Measured::Open);
        let id = SlotId::from_u64(id.into_u64());
        let slot = self.slab.slot(id).filter(|_| id.is_sampled());
        Some(slot.map_or(id, |slot| slot.mark_measured(id)))
    }

    /// Sees to what is noted for an event; whether it has been recorded.
    #[cold]
    pub(super) fn see_to_log(&self, thread: &Thread, event: &Event<'_>) -> bool {
        self.make_sure(thread, event.metadata());
        if !thread.take_note(Notes::MEASURE_LOG) || !self.outputs.logs {
            return false;
        }
        let began = self.slab.clock().reading();
        self.as_called().event(event);
        self.stopwatch.stop(self.slab.clock(), began, Measured::Log);
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
        // This was the last reference. It is given up below, under the id the span would have had.
        let id = slot.unmark_measured(id);
        #[cfg(feature = "otel")]
        if is_in_use() {
            self.shared.forget(id.measured());
        }
        let id = id.to_span_id();
        let this = self.as_called();
        // A span that is left while the thread unwinds fails.
        if !std::thread::panicking() {
            let began = self.slab.clock().reading();
            this.enter(&id);
            this.exit(&id);
            self.stopwatch
                .stop(self.slab.clock(), began, Measured::Enter);
        }
        let began = self.slab.clock().reading();
        let is_closed = this.try_close(id);
        self.stopwatch
            .stop(self.slab.clock(), began, Measured::Close);
        is_closed
    }
}
