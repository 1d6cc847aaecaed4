//! The `tracing` subscriber: from macros to records.
//!
//! A span costs the application what has to be known while it is open and one copy when it closes:
//!
//! - **opening** takes a free slot, writes the fields into it as the bytes they will be exported
//!   from, draws ids and reads the clock once;
//! - **entering and leaving** push and pop a thread's list of spans; no clock is read, no lock taken;
//! - **closing** reads the clock and copies header and items into the closing thread's ring.
//!
//! An event is built in a buffer of its thread and goes into the ring at once, with the ids of the
//! span it happened in.
//!
//! Nothing here allocates once a thread has its slots, its ring and its buffer.

mod callsite;
mod ids;
mod late;
mod log;
pub(crate) mod panics;
mod scratch;
mod slab;
mod stack;
mod thread;
mod visit;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use ringlight_clock::Clock;
use ringlight_collector::record::{Head, ItemWriter};
use ringlight_collector::{Recorder, in_pipeline};
use ringlight_model::{
    CallsiteId, CallsiteRegistry, Limits, Signal, SpanId, SpanKind, StatusCode, TraceId,
};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};

use crate::filter::Filter;
use crate::sync::unpoisoned;

use callsite::{address, describe};
use panics::PANICKED;
pub(crate) use slab::OPEN_SPANS_MAX;
use slab::{Slab, Slot, SlotId, SpanContext};
use stack::Left;
use thread::{Thread, with_thread};
use visit::{FieldVisitor, RecordLimits};

/// Bytes of an error event's or a panic's message that become its span's status message.
const STATUS_MESSAGE_BYTES_MAX: usize = 512;
/// W3C trace flag: sampled.
const SAMPLED: u8 = 1;

/// Records spans and events of the `tracing` macros into a pipeline.
///
/// Made by [`builder`](crate::builder) and [`init`](crate::init). It is a whole
/// [`Subscriber`], not a layer: nothing lies between it and the macros.
#[derive(Debug)]
pub struct RinglightSubscriber {
    /// Tells subscribers of one process apart.
    number: u64,
    slab: Arc<Slab>,
    clock: Clock,
    recorder: Recorder,
    callsites: Arc<CallsiteRegistry>,
    /// What `Span::current()` needs to name a callsite again.
    metadata: RwLock<HashMap<u64, &'static Metadata<'static>>>,
    filter: Filter,
    limits: RecordLimits,
    outputs: Outputs,
    warnings: Warnings,
}

/// What leaves the process, and so what needs recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// Somebody takes spans.
    pub(crate) spans: bool,
    /// Somebody takes log records.
    pub(crate) logs: bool,
    /// Log records name the spans around them.
    pub(crate) scope_paths: bool,
}

/// Things said once.
#[derive(Debug, Default)]
struct Warnings {
    left_out_of_order: AtomicBool,
    too_many_open: AtomicBool,
}

impl RinglightSubscriber {
    pub(crate) fn new(
        recorder: Recorder,
        callsites: Arc<CallsiteRegistry>,
        clock: Clock,
        filter: Filter,
        limits: &Limits,
        outputs: Outputs,
    ) -> Self {
        // Relaxed: only the uniqueness of the number matters.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            slab: Arc::new(Slab::new()),
            clock,
            recorder,
            callsites,
            metadata: RwLock::default(),
            filter,
            limits: RecordLimits {
                attributes_max: limits.attributes_max,
                text_bytes_max: limits.text_bytes_max,
            },
            outputs,
            warnings: Warnings::default(),
        }
    }

    /// Registers a callsite whose record is about to be made, if that may not have happened yet.
    ///
    /// `tracing` has one thread register a callsite; others that meet it in the meantime ask
    /// [`enabled`](Subscriber::enabled) and go on. Their records must not come out of the rings as
    /// those of an unknown callsite.
    #[inline]
    fn make_sure(&self, thread: Option<&Thread>, metadata: &'static Metadata<'static>) {
        if thread.is_none_or(Thread::take_unsure) {
            self.register(metadata);
        }
    }

    #[cold]
    fn register(&self, metadata: &'static Metadata<'static>) {
        let address = address(metadata);
        self.callsites
            .register(CallsiteId::new(address), || describe(metadata));
        unpoisoned(self.metadata.write()).insert(address, metadata);
    }

    /// Opens a span; [`SlotId::NONE`] when it cannot be recorded.
    #[inline]
    fn open(&self, thread: Option<&Thread>, attributes: &Attributes<'_>) -> SlotId {
        self.make_sure(thread, attributes.metadata());
        let taken = match thread {
            Some(thread) => thread.take_slot(self.number, &self.slab),
            None => self.take_slot_without_thread(),
        };
        let Some((index, slot)) = taken.and_then(|i| Some((i, self.slab.slot_at(i)?))) else {
            self.too_many_open();
            return SlotId::NONE;
        };
        let unpublished = Unpublished {
            subscriber: self,
            thread,
            index,
            slot,
        };

        // What comes from the parent is written down before the fields are visited, so that nothing
        // has to be kept meanwhile.
        let parent = if attributes.is_contextual() {
            self.current(thread).or_else(|| {
                let remote = thread.and_then(Thread::remote_parent)?;
                Some((SlotId::REMOTE, remote))
            })
        } else {
            attributes.parent().and_then(|id| self.explicit(id))
        };
        let is_root = parent.is_none();
        slot.open(address(attributes.metadata()), parent);

        let mut head = Head::span(SpanKind::Internal, StatusCode::Unset, SAMPLED);
        let mut items = slot.items_unpublished();
        if self.outputs.spans {
            let mut visitor = FieldVisitor::new(items, &self.limits);
            attributes.record(&mut visitor);
            let (dropped, cut) = visitor.losses();
            items = visitor.into_words();
            if dropped > 0 || cut > 0 {
                head = head.with_dropped(dropped).with_cut(cut);
            }
        }
        items.finish();

        let now = self.clock.now();
        let draw = || next_id(thread, now.unix_nano);
        if is_root {
            slot.set_trace(draw(), draw());
        }
        std::mem::forget(unpublished);
        slot.publish(index, head, draw(), now)
    }

    /// The span the thread is in.
    #[inline]
    fn current(&self, thread: Option<&Thread>) -> Option<(SlotId, SpanContext)> {
        thread?.entered.current(self.number)
    }

    /// The ids of the span the calling thread is in.
    pub(crate) fn current_ids(&self) -> Option<(TraceId, SpanId)> {
        let (_, context) = with_thread(|thread| self.current(thread))?;
        let trace = u128::from(context.trace_high) << 64 | u128::from(context.trace_low);
        Some((TraceId::new(trace), SpanId::new(context.span)))
    }

    /// A span named by its id.
    fn explicit(&self, id: &Id) -> Option<(SlotId, SpanContext)> {
        let id = SlotId::from_u64(id.into_u64());
        Some((id, self.slab.slot(id)?.context()))
    }

    #[cold]
    fn take_slot_without_thread(&self) -> Option<u32> {
        let mut index = [0];
        (self.slab.take(&mut index) == 1).then_some(index[0])
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is a few words on the way of every span, and called in two places"
    )]
    fn give_slot(&self, thread: Option<&Thread>, index: u32, slot: &Slot) {
        slot.retire();
        match thread {
            Some(thread) => thread.give_slot(self.number, &self.slab, index),
            None => self.slab.give(&[index]),
        }
    }

    #[cold]
    fn too_many_open(&self) {
        if self.outputs.spans {
            self.recorder.count_too_many_open();
        }
        if !self.warnings.too_many_open.swap(true, Ordering::Relaxed) {
            crate::notice::say(format_args!(
                "more than {OPEN_SPANS_MAX} spans are open: further ones are not recorded; \
                 hint: is something keeping `Span` values for ever?"
            ));
        }
    }

    /// Closes a span whose last reference is gone.
    #[inline]
    fn close(&self, thread: Option<&Thread>, index: u32, slot: &Slot) {
        if self.outputs.spans {
            slot.end(&self.clock);
            let len_bytes = slot.record_words() * 8;
            self.recorder
                .record(Signal::Traces, len_bytes, |buffer| slot.copy_record(buffer));
        }
        self.give_slot(thread, index, slot);
    }

    #[cold]
    fn left_out_of_order(&self, slot: Option<&Slot>) {
        if !self
            .warnings
            .left_out_of_order
            .swap(true, Ordering::Relaxed)
        {
            let callsite = slot.and_then(|s| self.callsites.lookup(CallsiteId::new(s.callsite())));
            let name = callsite.map_or("?", |callsite| callsite.name);
            crate::notice::say(format_args!(
                "span `{name}` was left while spans entered after it were not; hint: an `enter()` \
                 guard held across `.await` does this and mixes up parents, use `.instrument(span)`"
            ));
        }
    }

    /// `is_marked`: what the thread's last panic said is about this span.
    #[cold]
    fn panicked(&self, id: SlotId, is_marked: bool) {
        let Some(slot) = self.slab.slot(id) else {
            return;
        };
        let fail = |text: &str| slot.fail(Some(text), STATUS_MESSAGE_BYTES_MAX);
        with_thread(|thread| match thread {
            Some(thread) if is_marked => thread.with_panic(fail),
            _ => fail(PANICKED),
        });
    }
}

impl Subscriber for RinglightSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.filter.enabled(metadata) {
            self.register(metadata);
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let enabled = self.filter.enabled(metadata);
        if enabled {
            with_thread(|thread| thread.map(Thread::set_unsure));
        }
        enabled
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter.max_level())
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = if in_pipeline() {
            SlotId::NONE
        } else {
            with_thread(|thread| self.open(thread, attributes))
        };
        Id::from_u64(id.get())
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if self.outputs.spans
            && let Some(slot) = self.slab.slot(SlotId::from_u64(span.into_u64()))
        {
            with_thread(|thread| self.record_fields(thread, slot, values));
        }
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        let slot = self.slab.slot(SlotId::from_u64(span.into_u64()));
        let followed = self.explicit(follows);
        if let Some(slot) = slot
            && let Some((_, context)) = followed
        {
            let mut items = slot.items_locked();
            let trace = u128::from(context.trace_high) << 64 | u128::from(context.trace_low);
            let _ = ItemWriter::new(&mut items, 0).link(
                TraceId::new(trace),
                SpanId::new(context.span),
                SAMPLED,
            );
            items.finish();
        }
    }

    fn event(&self, event: &Event<'_>) {
        if !in_pipeline() {
            with_thread(|thread| self.log(thread, event));
        }
    }

    fn enter(&self, span: &Id) {
        let id = SlotId::from_u64(span.into_u64());
        if let Some(slot) = self.slab.slot(id) {
            with_thread(|thread| {
                if let Some(thread) = thread {
                    thread.entered.enter(self.number, id, slot, &self.slab);
                }
            });
        }
    }

    fn exit(&self, span: &Id) {
        let id = SlotId::from_u64(span.into_u64());
        let left = with_thread(|thread| match thread {
            Some(thread) => thread.entered.leave(self.number, id),
            None => Left::NotEntered,
        });
        let owner = match left {
            Left::InOrder(owner) => owner,
            Left::OutOfOrder(owner) => {
                self.left_out_of_order(self.slab.slot(id));
                owner
            }
            Left::NotEntered => return,
        };
        if std::thread::panicking() && !owner.was_unwinding() {
            self.panicked(id, owner.is_marked());
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        let slot_id = SlotId::from_u64(id.into_u64());
        if let Some(slot) = self.slab.slot(slot_id) {
            slot.add_reference(slot_id);
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let id = SlotId::from_u64(id.into_u64());
        let index = id.index();
        let Some(slot) = self.slab.slot_at(index) else {
            return false;
        };
        if !slot.drop_reference(id) {
            return false;
        }
        with_thread(|thread| self.close(thread, index, slot));
        true
    }

    fn current_span(&self) -> Current {
        let current = with_thread(|thread| self.current(thread));
        let found = current.and_then(|(id, _)| {
            let callsite = self.slab.slot(id)?.callsite();
            let metadata = unpoisoned(self.metadata.read()).get(&callsite).copied()?;
            Some(Current::new(Id::from_u64(id.get()), metadata))
        });
        found.unwrap_or_else(Current::none)
    }
}

/// Runs `open`, in which spans that would be roots are children of the span given.
pub(crate) fn with_remote_parent<R>(trace: TraceId, span: SpanId, open: impl FnOnce() -> R) -> R {
    /// Puts back what was before, also when `open` panics.
    struct Restore(Option<SpanContext>);
    impl Drop for Restore {
        fn drop(&mut self) {
            set_remote_parent(self.0);
        }
    }
    let context = SpanContext {
        trace_high: (trace.get() >> 64) as u64,
        trace_low: trace.get() as u64,
        span: span.get(),
    };
    let _restore = Restore(set_remote_parent(Some(context)));
    open()
}

fn set_remote_parent(parent: Option<SpanContext>) -> Option<SpanContext> {
    with_thread(|thread| thread.and_then(|thread| thread.set_remote_parent(parent)))
}

/// Takes a slot back when visiting the fields of a new span panics.
struct Unpublished<'a> {
    subscriber: &'a RinglightSubscriber,
    thread: Option<&'a Thread>,
    index: u32,
    slot: &'a Slot,
}

impl Drop for Unpublished<'_> {
    #[cold]
    fn drop(&mut self) {
        self.slot.discard();
        self.subscriber
            .give_slot(self.thread, self.index, self.slot);
    }
}

#[inline]
fn next_id(thread: Option<&Thread>, now: u64) -> u64 {
    // Without thread locals every id comes from a generator of its own: slow, and rare.
    thread.map_or_else(
        || ids::IdGenerator::unseeded().next(now),
        |thread| thread.ids.next(now),
    )
}
