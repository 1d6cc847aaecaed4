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
//! Nothing here allocates once a thread has its slots, its ring, its buffers and room for as many spans as
//! it is in.

#[cfg(feature = "profiling-alloc")]
mod allocations;
mod annotate;
mod attention;
#[cfg(any(feature = "otel", feature = "profiling"))]
mod attributes;
mod beside;
mod callsite;
mod callsites;
#[cfg(feature = "profiling")]
mod closing;
mod guests;
mod ids;
mod late;
mod layer;
mod lease;
mod leaving;
mod log;
mod log_crate;
mod magazine;
mod measure;
#[cfg(feature = "profiling")]
mod numbers;
mod open;
mod open_spans;
mod otel_name;
pub(crate) mod panics;
#[cfg(feature = "profiling")]
mod published;
mod registry;
mod registry_spans;
mod scratch;
#[cfg(feature = "otel")]
pub(crate) mod shared;
mod slab;
mod stack;
mod thread;
#[cfg(feature = "profiling")]
mod times;
mod twins;
mod visit;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
#[cfg(feature = "b3")]
use std::time::{SystemTime, UNIX_EPOCH};

use ringlight_clock::Clock;
use ringlight_collector::{Measured, Meter, Recorder, in_pipeline};
use ringlight_model::{CallsiteId, CallsiteRegistry, Limits, Signal, SpanId, TraceId};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};

use crate::controls;
use crate::filter::{Filters, Output};
#[cfg(feature = "otel")]
use crate::otel::Interop;
use crate::propagation::Format;
use crate::sync::unpoisoned;
use crate::uncounted::uncounted;

#[cfg(feature = "otel")]
pub(crate) use annotate::{Attributes as ItemAttributes, Lost};
use attention::{Listener, Reasons};
pub(crate) use beside::beside;
use callsite::{address, describe};
pub(crate) use layer::LayerFilter;
pub use layer::RinglightLayer;
use log_crate::LogCallsites;
use measure::Stopwatch;
pub(crate) use open_spans::OpenSpans;
#[cfg(feature = "profiling")]
pub(crate) use published::{NamedSpan, PublishedSpans};
pub use registry::{Registry, SharedRegistry};
pub(crate) use slab::OPEN_SPANS_MAX;
use slab::{Slab, Slot, SlotId, SpanContext};
#[cfg(feature = "profiling")]
pub(crate) use thread::publish;
use thread::{Notes, RemoteParent, Thread, with_thread};
#[cfg(feature = "profiling")]
pub(crate) use times::Times;

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
    /// Whether the collector waits for the next span.
    listener: Arc<Listener>,
    stopwatch: Stopwatch,
    recorder: Recorder,
    callsites: Arc<CallsiteRegistry>,
    /// What `Span::current()` needs to name a callsite again.
    metadata: RwLock<HashMap<u64, &'static Metadata<'static>>>,
    controls: Arc<controls::Shared>,
    /// The target of audit events, if there is one.
    audit: Option<Arc<str>>,
    /// Its first byte, or zero, so that most targets are told from it without a call.
    audit_first: u8,
    log_crate: LogCallsites,
    limits: Limits,
    outputs: Outputs,
    warnings: Warnings,
    /// How trace context is written into headers and read from them.
    formats: Arc<[Format]>,
    #[cfg(feature = "otel")]
    shared: Arc<shared::Shared>,
    /// What is written of allocations, if they are counted and spans are recorded.
    #[cfg(feature = "profiling-alloc")]
    allocations: Option<numbers::Numbers>,
    /// How spans are timed when they are entered and left, if they are.
    #[cfg(feature = "profiling")]
    timing: Option<times::Timing>,
}

/// What leaves the process, and so what needs recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// Somebody takes spans.
    pub(crate) spans: bool,
    /// Somebody takes log records: log lines or others.
    pub(crate) logs: bool,
    /// There are log lines.
    pub(crate) lines: bool,
    /// Others than log lines take log records.
    pub(crate) exported_logs: bool,
    /// Sinks of the application's own see every record.
    pub(crate) sinks: bool,
    /// Spans have the events in them, too.
    pub(crate) span_events: bool,
    /// Spans have what was allocated in them, if that is counted.
    #[cfg(feature = "profiling-alloc")]
    pub(crate) allocations: bool,
}

impl Outputs {
    /// Whether anybody asks for what spans are recorded with: who takes spans, or who sees the spans
    /// around a log record.
    const fn want_fields(self) -> bool {
        self.spans || self.lines || self.sinks
    }
}

/// Things said once.
#[derive(Debug, Default)]
struct Warnings {
    left_out_of_order: AtomicBool,
    left_unentered: AtomicBool,
    too_many_open: AtomicBool,
}

impl RinglightSubscriber {
    pub(crate) fn new(
        recorder: Recorder,
        callsites: Arc<CallsiteRegistry>,
        clock: Arc<Clock>,
        controls: Arc<controls::Shared>,
        limits: &Limits,
        outputs: Outputs,
        meter: Arc<Meter>,
    ) -> Self {
        // Relaxed: only the uniqueness of the number matters.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let stopwatch = Stopwatch::new(Arc::clone(&meter), &clock);
        let slab = Arc::new(Slab::new(clock).metered(meter));
        recorder.set_on_look(measure::note_next);
        let audit = controls.filters().audit();
        #[cfg(feature = "profiling-alloc")]
        let allocations = (outputs.spans && outputs.allocations)
            .then(|| allocations::names(recorder.notices()))
            .flatten();
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            #[cfg(feature = "otel")]
            shared: Arc::new(shared::Shared::new(
                Interop::default(),
                Arc::clone(&slab),
                Arc::clone(&callsites),
                limits,
            )),
            slab,
            listener: Arc::default(),
            stopwatch,
            recorder,
            callsites,
            metadata: RwLock::default(),
            audit_first: audit.as_deref().map_or(0, log::first_byte),
            audit,
            log_crate: LogCallsites::default(),
            controls,
            limits: *limits,
            outputs,
            warnings: Warnings::default(),
            formats: Format::DEFAULT.into(),
            #[cfg(feature = "profiling-alloc")]
            allocations,
            #[cfg(feature = "profiling")]
            timing: None,
        }
    }

    /// The same with spans timed when they are entered and left.
    #[cfg(feature = "profiling")]
    pub(crate) fn with_times(mut self, times: Times) -> Self {
        self.timing = times::Timing::new(times, &self.recorder);
        self
    }

    /// The same with other formats for headers.
    pub(crate) fn with_formats(mut self, formats: Vec<Format>) -> Self {
        self.formats = formats.into();
        self
    }

    /// The same, sharing contexts as it is told to.
    #[cfg(feature = "otel")]
    pub(crate) fn with_interop(mut self, interop: Interop) -> Self {
        let (slab, callsites) = (Arc::clone(&self.slab), Arc::clone(&self.callsites));
        let shared = shared::Shared::new(interop, slab, callsites, &self.limits);
        self.shared = Arc::new(shared);
        self
    }

    /// The open spans, if spans are recorded at all.
    pub(crate) fn open_spans(&self) -> Option<OpenSpans> {
        let (slab, listener) = (Arc::clone(&self.slab), Arc::clone(&self.listener));
        self.outputs.spans.then(|| OpenSpans::new(slab, listener))
    }

    /// Opens a span where there is a reason for another way.
    #[cold]
    fn new_span_attentive(&self, attributes: &Attributes<'_>) -> Id {
        self.rouse_listener();
        #[cfg(feature = "otel")]
        let id = self.new_span_shared(attributes);
        #[cfg(not(feature = "otel"))]
        let id = self.new_span_alone::<true>(attributes);
        #[cfg(feature = "profiling")]
        self.time_opened(SlotId::from_u64(id.into_u64()));
        id
    }

    /// Enters a span where there is a reason for another way.
    #[inline(never)]
    fn enter_attentive(&self, id: SlotId) {
        self.rouse_listener();
        #[cfg(feature = "otel")]
        if shared::is_in_use() {
            self.enter_shared(id);
        } else {
            self.enter_alone(id);
        }
        #[cfg(not(feature = "otel"))]
        self.enter_alone(id);
        #[cfg(feature = "profiling")]
        self.time_entered(id);
    }

    /// Leaves a span where there is a reason for another way.
    #[inline(never)]
    fn exit_attentive(&self, id: SlotId) {
        #[cfg(feature = "profiling")]
        self.time_left(id);
        #[cfg(feature = "otel")]
        if shared::is_in_use() {
            return self.exit_shared(id);
        }
        self.exit_alone(id);
    }

    /// Rouses the collector if it waits for a span.
    fn rouse_listener(&self) {
        if Reasons::now().has_listener() && self.listener.take() {
            self.recorder.rouse();
        }
    }

    /// Opens a span of which no context is made.
    #[inline]
    fn new_span_alone<const MAY_SHARE: bool>(&self, attributes: &Attributes<'_>) -> Id {
        if in_pipeline() {
            return SlotId::NONE.to_span_id();
        }
        with_thread(|thread| self.open::<MAY_SHARE>(thread, attributes)).to_span_id()
    }

    /// The one behind a dispatcher: alone, beside layers, or as one of them.
    pub(crate) fn behind(dispatch: &Dispatch) -> Option<&Self> {
        let layer = || Some(dispatch.downcast_ref::<RinglightLayer>()?.subscriber());
        dispatch.downcast_ref::<Self>().or_else(layer)
    }

    pub(crate) fn formats(&self) -> Arc<[Format]> {
        Arc::clone(&self.formats)
    }

    /// Registers a callsite whose record is about to be made, if that may not have happened yet.
    ///
    /// `tracing` has one thread register a callsite; others that meet it in the meantime ask
    /// [`enabled`](Subscriber::enabled) and go on. Their records must not come out of the rings as
    /// those of an unknown callsite.
    #[inline]
    fn make_sure(&self, thread: &Thread, metadata: &'static Metadata<'static>) {
        if thread.take_note(Notes::UNSURE) {
            self.register(metadata);
        }
    }

    /// Whether anything from such a callsite is recorded.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.controls
            .with_filters(|filters| filters.wants(metadata, &self.outputs))
    }

    /// Whether somebody sees such an event who asks for the spans around it: log lines or a sink.
    #[inline]
    fn is_shown<'a>(
        &self,
        metadata: &Metadata<'_>,
        target: impl FnOnce() -> Option<Cow<'a, str>>,
    ) -> bool {
        let Outputs { sinks, lines, .. } = self.outputs;
        sinks || lines && self.is_for(Output::Lines, metadata, target)
    }

    /// Whether an output is to have such an event, which is recorded for whichever. `target` is asked
    /// for if need be.
    fn is_for<'a>(
        &self,
        output: Output,
        metadata: &Metadata<'_>,
        target: impl FnOnce() -> Option<Cow<'a, str>>,
    ) -> bool {
        if !self.controls.are_split() {
            return true;
        }
        let target = target();
        let target = target.as_deref().unwrap_or(metadata.target());
        self.controls
            .with_filters(|filters| filters.takes(output, target, *metadata.level()))
    }

    #[cold]
    fn register(&self, metadata: &'static Metadata<'static>) {
        let address = address(metadata);
        // Those of `log` come here with each record.
        if unpoisoned(self.metadata.read()).contains_key(&address) {
            return;
        }
        uncounted(|| {
            self.callsites
                .register(CallsiteId::new(address), || describe(metadata));
            unpoisoned(self.metadata.write()).insert(address, metadata);
        });
    }

    /// The span the thread is in, the innermost that has not closed, or one of the OpenTelemetry API;
    /// for an event of this callsite.
    fn current(
        &self,
        thread: &Thread,
        #[cfg_attr(
            not(feature = "otel"),
            expect(unused_variables, reason = "there is one kind")
        )]
        metadata: Option<&Metadata<'_>>,
    ) -> Option<(SlotId, SpanContext)> {
        #[cfg(feature = "otel")]
        if shared::is_in_use()
            && !metadata.is_some_and(shared::is_of_api)
            && let Some(foreign) = self.foreign(thread)
        {
            return Some(foreign.as_current());
        }
        self.entered(thread)
    }

    /// The span of the `tracing` macros the thread is in, the innermost that has not closed; a lost one
    /// only if there is no other.
    #[inline]
    fn entered(&self, thread: &Thread) -> Option<(SlotId, SpanContext)> {
        if thread.entered.is_empty() {
            return None;
        }
        if let Some(near) = thread.entered.near(self.number)
            && let Some(context) = self.ids_of(near)
        {
            return Some((near, context));
        }
        self.entered_far(thread)
    }

    /// The same where the innermost span is not at hand, or has closed.
    #[cold]
    fn entered_far(&self, thread: &Thread) -> Option<(SlotId, SpanContext)> {
        let known = |id| self.known(id).filter(|_| id != SlotId::LOST);
        let lost = |id| (id == SlotId::LOST).then_some((id, SpanContext::NONE));
        let entered = thread.entered.find(self.number, known);
        entered.or_else(|| thread.entered.find(self.number, lost))
    }

    /// The ids of a span, unless it has closed, which it may do meanwhile.
    #[inline]
    fn ids_of(&self, id: SlotId) -> Option<SpanContext> {
        let host = id.host();
        self.slab.slot(host)?.context_of(host)
    }

    /// A span by its id, unless it has closed. Of one that is not recorded that much is known all the same.
    #[inline]
    fn known(&self, id: SlotId) -> Option<(SlotId, SpanContext)> {
        match self.ids_of(id) {
            Some(context) => Some((id, context)),
            None => (!id.is_sampled()).then_some((id, SpanContext::NONE)),
        }
    }

    /// The ids of the span the calling thread is in, and whether it is recorded.
    pub(crate) fn current_ids(&self) -> Option<(TraceId, SpanId, bool)> {
        let (id, context) = with_thread(|thread| {
            let (id, context) = self.current(thread, None)?;
            Some((id, self.named(thread, context)))
        })?;
        Some((context.trace_id(), context.span_id(), id.is_sampled()))
    }

    /// The ids by which others are told of a span. Where there was no slot for the first one of a trace,
    /// its ids are not known: others are told of one that is not recorded all the same, lest they decide
    /// anew about their part of it.
    fn named(&self, thread: &Thread, context: SpanContext) -> SpanContext {
        if context == SpanContext::NONE {
            self.anew(thread)
        } else {
            context
        }
    }

    /// Ids of no span.
    fn anew(&self, thread: &Thread) -> SpanContext {
        thread.ids.next_context(self.slab.clock().now().unix_nano)
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is a few words on the way of every span, and called in two places"
    )]
    fn give_slot(&self, thread: &Thread, index: u32, slot: &Slot) {
        slot.retire();
        thread.give_slot(self.number, &self.slab, index);
    }

    /// Tells a person something about what is recorded.
    #[cold]
    fn tell(&self, message: fmt::Arguments<'_>) {
        crate::notice::of_recording(self.recorder.notices(), message);
    }

    /// Counts a span that is lost for want of a slot; its id.
    #[cold]
    fn too_many_open(&self) -> SlotId {
        if self.outputs.spans {
            self.recorder.count_too_many_open();
        }
        // Relaxed: whoever is the first says it; nothing else depends on it.
        if !self.warnings.too_many_open.swap(true, Ordering::Relaxed) {
            self.tell(format_args!(
                "more than {OPEN_SPANS_MAX} spans are open: further ones are not recorded; \
                 hint: is something keeping `Span` values for ever?"
            ));
        }
        SlotId::LOST
    }

    /// Enters a span, of which no context is attached.
    #[inline]
    fn enter_alone(&self, id: SlotId) {
        if !with_thread(|thread| thread.entered.enter_near(self.number, id)) {
            self.enter_far(id);
        } else if std::thread::panicking() {
            with_thread(|thread| thread.entered.note_unwinding());
        }
    }

    /// Leaves a span, of which no context is attached.
    #[inline]
    fn exit_alone(&self, id: SlotId) {
        let left = with_thread(|thread| thread.entered.leave_near(self.number, id));
        match left {
            Some(_) if !std::thread::panicking() => {}
            _ => self.exit_far(id, left),
        }
        #[cfg(feature = "profiling-alloc")]
        self.charge(id);
    }

    /// Drops a reference to a span that has a slot; whether it was the last, so that the span closed.
    #[inline(never)]
    fn release(&self, id: SlotId) -> bool {
        let index = id.index();
        let Some(slot) = self.slab.slot_at(index) else {
            return false;
        };
        if !slot.drop_reference(id) {
            return false;
        }
        #[cfg(feature = "otel")]
        if shared::is_in_use() {
            uncounted(|| self.shared.forget(id));
        }
        with_thread(|thread| self.close(thread, index, slot, id.is_sampled()));
        true
    }

    /// The same for a span that is not recorded, or measured.
    #[inline(never)]
    fn close_special(&self, id: SlotId) -> bool {
        if id.is_sampled() {
            self.close_measured(id)
        } else {
            self.close_unsampled(id)
        }
    }

    /// Closes a span whose last reference is gone.
    #[inline]
    fn close(&self, thread: &Thread, index: u32, slot: &Slot, is_sampled: bool) {
        if self.outputs.spans && is_sampled {
            slot.end(self.slab.clock());
            #[cfg(feature = "profiling")]
            self.hand_over_more(slot);
            #[cfg(not(feature = "profiling"))]
            self.hand_over(slot);
        }
        self.give_slot(thread, index, slot);
    }

    /// Hands over the record of a span that is closing.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is on the way of every span, and called in one place of a build"
    )]
    fn hand_over(&self, slot: &Slot) {
        let len_bytes = slot.record_words() * 8;
        self.recorder.record_urgent_if(
            Signal::Traces,
            len_bytes,
            || slot.is_urgent(),
            |buffer| slot.copy_record(buffer),
        );
    }

    /// Enters a span within many, or while the thread unwinds.
    #[cold]
    fn enter_far(&self, id: SlotId) {
        with_thread(|thread| {
            let may_keep = thread.may_keep();
            thread.entered.enter(self.number, id, &self.slab, may_keep);
        });
    }
}

impl Subscriber for RinglightSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            self.register(metadata);
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let enabled = self.wants(metadata);
        if enabled {
            with_thread(|thread| thread.note(Notes::UNSURE));
        }
        enabled
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let max_level = |filters: &Filters| filters.max_level(&self.outputs);
        Some(self.controls.with_filters(max_level))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        if Reasons::now().any() {
            return self.new_span_attentive(attributes);
        }
        self.new_span_alone::<false>(attributes)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let id = SlotId::from_u64(span.into_u64());
        if self.outputs.want_fields()
            && id.is_sampled()
            && let Some(slot) = self.slab.slot(id)
        {
            let record = || with_thread(|thread| self.record_fields(thread, slot, values));
            if id.is_measured() {
                let clock = self.slab.clock();
                let ((), recorded) = measure::time(clock, record);
                if !id.is_trial() {
                    self.stopwatch.add(clock, Measured::Record, recorded);
                }
            } else {
                record();
            }
        }
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        let id = SlotId::from_u64(span.into_u64());
        let slot = self.slab.slot(id).filter(|_| id.is_sampled());
        let followed = self.known(SlotId::from_u64(follows.into_u64()));
        if let Some(slot) = slot
            && let Some((followed, context)) = followed
            && context != SpanContext::NONE
        {
            let flags = if followed.is_sampled() { SAMPLED } else { 0 };
            let ids = (context.trace_id(), context.span_id());
            slot.edit(&self.limits, |span| span.link(ids, flags, |_, _| {}));
        }
    }

    fn event(&self, event: &Event<'_>) {
        if !in_pipeline() {
            with_thread(|thread| self.log(thread, event));
        }
    }

    fn enter(&self, span: &Id) {
        let id = SlotId::from_u64(span.into_u64());
        if id == SlotId::NONE {
            return;
        }
        if Reasons::now().any() {
            return self.enter_attentive(id);
        }
        self.enter_alone(id);
    }

    fn exit(&self, span: &Id) {
        let id = SlotId::from_u64(span.into_u64());
        if Reasons::now().any_at_exit() {
            return self.exit_attentive(id);
        }
        self.exit_alone(id);
    }

    fn clone_span(&self, id: &Id) -> Id {
        let slot_id = SlotId::from_u64(id.into_u64());
        let host = slot_id.host();
        if let Some(slot) = self.slab.slot(host) {
            slot.add_reference(host);
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let id = SlotId::from_u64(id.into_u64());
        if id.is_special() {
            self.close_special(id)
        } else {
            self.release(id)
        }
    }

    fn current_span(&self) -> Current {
        let current = with_thread(|thread| self.entered(thread));
        let found = current.and_then(|(id, _)| {
            let host = id.host();
            let (callsite, _) = self.slab.slot(host)?.place_of(host)?;
            let metadata = unpoisoned(self.metadata.read()).get(&callsite).copied()?;
            Some(Current::new(id.to_span_id(), metadata))
        });
        found.unwrap_or_else(Current::none)
    }
}

/// Ids of a trace and a span that nobody has.
#[cfg(feature = "b3")]
pub(crate) fn made_up_ids() -> (TraceId, SpanId) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // The generator wants it to differ, no more.
    let now = since.unwrap_or_default().as_nanos() as u64;
    let context = with_thread(|thread| thread.ids.next_context(now));
    (context.trace_id(), context.span_id())
}

/// Runs `open`, in which spans that would be roots are children of the span given.
pub(crate) fn with_remote_parent<R>(
    trace: TraceId,
    span: SpanId,
    is_sampled: bool,
    open: impl FnOnce() -> R,
) -> R {
    /// Puts back what was before, also when `open` panics.
    struct Restore(Option<RemoteParent>);
    impl Drop for Restore {
        fn drop(&mut self) {
            set_remote_parent(self.0);
        }
    }
    let parent = RemoteParent {
        context: SpanContext::new(trace, span),
        is_sampled,
    };
    let _restore = Restore(set_remote_parent(Some(parent)));
    #[cfg(feature = "otel")]
    let _attached = shared::attach_remote((trace, span), is_sampled);
    open()
}

fn set_remote_parent(parent: Option<RemoteParent>) -> Option<RemoteParent> {
    with_thread(|thread| thread.set_remote_parent(parent))
}
