//! When threads are in spans, where that is asked for: how long a span was busy, and the slices that a local trace file
//! shows.
//!
//! A thread reads the clock when it enters a span and when it leaves it, and keeps the former beside the span in its
//! own list. When it leaves, the time in between is added up in the span's slot, since another thread may enter the
//! span next; a slice goes into the thread's ring at once.

use ringlight_clock::Reading;
use ringlight_collector::Recorder;
use ringlight_collector::record::Slice;
use ringlight_model::CallsiteId;

use crate::uncounted::uncounted;

use super::RinglightSubscriber;
use super::attention::set_timed;
use super::numbers::Numbers;
use super::slab::{Slot, SlotId};
use super::thread::{Thread, with_thread};

/// The attributes, as `tracing-opentelemetry` calls them.
const NAMES: [&str; 2] = ["busy_ns", "idle_ns"];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Times {
    /// How long each span was busy, and how long it was not, as its attributes.
    pub(crate) busy: bool,
    /// When threads were in it, for sinks.
    pub(crate) slices: bool,
}

/// How it is done.
#[derive(Debug)]
pub(super) struct Timing {
    busy: Option<Numbers>,
    slices: bool,
}

impl Timing {
    /// `None` if nothing is asked for.
    pub(super) fn new(times: Times, recorder: &Recorder) -> Option<Self> {
        if times == Times::default() {
            return None;
        }
        if times.slices {
            recorder.tell_threads();
        }
        set_timed();
        Some(Self {
            busy: times.busy.then(|| Numbers::new(&NAMES)),
            slices: times.slices,
        })
    }
}

impl RinglightSubscriber {
    /// Notes who opened a span, whose id nobody else knows yet, if the thread is in its parent: the first slice of it says
    /// whence it came.
    #[inline]
    pub(super) fn time_opened(&self, id: SlotId) {
        if !self.timing.as_ref().is_some_and(|timing| timing.slices) || !id.is_sampled() {
            return;
        }
        let Some(slot) = self.slab.slot(id) else {
            return;
        };
        let parent = slot.parent();
        let is_in = |thread: &Thread| thread.entered.since(self.number, parent).is_some();
        let is_in_parent = parent != SlotId::NO_PARENT && with_thread(is_in);
        slot.set_opener(match is_in_parent {
            // It gives the thread its ring, if this is the first that is heard of it.
            true => uncounted(|| self.recorder.thread_number()),
            false => 0,
        });
    }

    /// Notes when a span was entered, which has just happened.
    #[inline]
    pub(super) fn time_entered(&self, id: SlotId) {
        if self.timing.is_some() && id.is_sampled() {
            let now = self.slab.clock().reading();
            with_thread(|thread| thread.entered.set_since(id, now.to_bits()));
        }
    }

    /// Sees to the time that the thread was in a span, which it is about to leave.
    #[inline]
    pub(super) fn time_left(&self, id: SlotId) {
        let Some(timing) = self.timing.as_ref().filter(|_| id.is_sampled()) else {
            return;
        };
        let since = with_thread(|thread| thread.entered.since(self.number, id));
        let Some((since, slot)) = since.map(Reading::from_bits).zip(self.slab.slot(id)) else {
            return;
        };
        let clock = self.slab.clock();
        // Where the two have no clock in common, it is not known how long it was.
        let Some(nanos) = clock.nanos_between(since, clock.reading()) else {
            return;
        };
        if with_thread(|thread| thread.is_rehearsing()) {
            return;
        }
        if timing.busy.is_some() {
            slot.add_busy(nanos);
        }
        if timing.slices {
            let context = slot.context();
            let start_unix_nano = slot.time_of(clock, since);
            let opener = slot.take_opener();
            let slice = Slice {
                callsite: CallsiteId::new(slot.callsite()),
                trace_id: context.trace_id(),
                span_id: context.span_id(),
                thread: 0,
                is_first: opener.is_some(),
                opened_by: opener.unwrap_or(0),
                start_unix_nano,
                end_unix_nano: start_unix_nano.saturating_add(nanos),
            };
            uncounted(|| self.recorder.record_slice(&slice));
        }
    }

    /// How long a span that is closing was busy, and how long it was not.
    #[inline]
    pub(super) fn times_of(&self, slot: &Slot) -> Option<(&Numbers, [i64; 2])> {
        let names = self.timing.as_ref()?.busy.as_ref()?;
        let busy = slot.take_busy();
        // Two threads may be in it at once.
        let idle = slot.duration().saturating_sub(busy);
        let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        Some((names, [nanos(busy), nanos(idle)]))
    }
}
