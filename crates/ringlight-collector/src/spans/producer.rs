//! One ring and what writes spans into it.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use foldhash::fast::RandomState as FastState;
use ringlight_clock::{Clock, Moment, Reading};
use ringlight_model::{
    CallsiteId, CallsiteRegistry, Limits, Signal, Span, SpanId, StatusCode, TraceId,
};
use ringlight_otlp::encode;
use ringlight_ring::{RegisterError, ReserveError, RingProducer};

use super::limits::{is_valid, within_limits};
use super::template::{AttributeValue, SpanTemplate};
use crate::record::{
    Head, ItemWriter, Key, SPAN_HEADER_WORDS, SpanHeader, WORD_BYTES, Words, Written, copy_words,
    encoded_item, load_tail,
};
use crate::submit::{Shared, Worth};

/// Bytes in front of an encoded span: the header and the first word of the only item.
const ENCODED_AT: usize = (SPAN_HEADER_WORDS + 1) * WORD_BYTES;

/// The bits of OTLP's span flags that say that it is known whether the parent is remote, and that it
/// is.
const REMOTE_PARENT: u32 = 0x300;

/// Bytes of the buffer for encoding that a producer keeps from one span to the next.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// Templates that are found without hashing.
const RECENT: usize = 32;

/// A span that was not taken, handed back.
///
/// What comes back is the caller's again and not in the ledger, whose `submitted` counts what was
/// taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError<S> {
    /// The ring has no room, and the policy does not wait (any longer).
    #[error("the ring of the producer is full")]
    Full(S),
    /// The collector has been shut down, or belongs to the process this one was forked from, whose copy
    /// of the ring is full.
    #[error("the collector has been shut down")]
    Closed(S),
    /// The span alone is larger than a ring takes.
    #[error("the span is larger than a ring takes")]
    TooLarge(S),
    /// The trace id or the span id is zero, or a value is nested deeper than `limits.depth_max`.
    #[error("the span has no valid ids, or is nested too deep")]
    Invalid(S),
}

impl<S> SubmitError<S> {
    /// The span.
    pub fn into_span(self) -> S {
        match self {
            Self::Full(span) | Self::Closed(span) | Self::TooLarge(span) | Self::Invalid(span) => {
                span
            }
        }
    }

    pub(super) fn new(error: ReserveError, span: S) -> Self {
        match error {
            ReserveError::Closed => Self::Closed(span),
            ReserveError::TooLarge => Self::TooLarge(span),
            _ => Self::Full(span),
        }
    }
}

/// The identity of a span, for its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether it is a span of another process, so that its child is where the trace begins here:
    /// tail sampling judges the trace when that child has ended.
    pub is_remote: bool,
    /// Whether its trace is recorded. If not, neither are its children, at no cost.
    pub is_sampled: bool,
}

/// A span that has begun. It is recorded by [`SpanProducer::end`], of whichever producer of the
/// same collector.
///
/// It is the caller's until then, as a whole [`Span`] is until it is submitted: one that is dropped, by a
/// `?` on the way for instance, is not recorded and in no ledger, since it knows of no collector.
#[derive(Debug)]
#[must_use = "a span that is not ended is not recorded"]
pub struct OpenSpan<const N: usize> {
    template: &'static SpanTemplate<N>,
    context: SpanContext,
    parent_span_id: SpanId,
    has_remote_parent: bool,
    began: Moment,
    status: StatusCode,
}

impl<const N: usize> OpenSpan<N> {
    /// A child of a span whose trace is not recorded.
    const fn unrecorded(template: &'static SpanTemplate<N>, parent: SpanContext) -> Self {
        Self {
            template,
            context: SpanContext {
                is_remote: false,
                ..parent
            },
            parent_span_id: parent.span_id,
            has_remote_parent: parent.is_remote,
            began: Moment {
                reading: Reading::from_bits(0),
                unix_nano: 0,
            },
            status: StatusCode::Unset,
        }
    }

    /// Its identity.
    #[must_use]
    pub const fn context(&self) -> SpanContext {
        self.context
    }

    /// When it began, Unix nanoseconds; 0 if its trace is not recorded.
    #[must_use]
    pub const fn start_unix_nano(&self) -> u64 {
        self.began.unix_nano
    }

    /// Says how it went. A message belongs into an attribute called `otel.status_message`.
    pub const fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }
}

/// What every producer of a collector is made from.
pub(crate) struct Origin {
    pub(crate) shared: Arc<Shared>,
    callsites: Arc<CallsiteRegistry>,
    limits: Limits,
    clock: Arc<Clock>,
}

impl Origin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        callsites: Arc<CallsiteRegistry>,
        limits: Limits,
        clock: Arc<Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            callsites,
            limits,
            clock,
        })
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn register(self: &Arc<Self>) -> Result<SpanProducer, RegisterError> {
        Ok(SpanProducer {
            ring: self.shared.register()?,
            clock: Arc::clone(&self.clock),
            origin: Arc::clone(self),
            ids: Ids::seeded(),
            known: Known::default(),
            scratch: Vec::new(),
        })
    }
}

/// Submits spans through a ring of its own.
///
/// It has one owner at a time, by type, and may move between threads. Its spans leave in the order
/// in which they were submitted. Dropping it gives the ring back; what it submitted is delivered.
///
/// What happens when the ring is full is the collector's [`policy`](crate::CollectorConfig::policy):
/// by default nothing waits.
pub struct SpanProducer {
    pub(super) ring: RingProducer,
    pub(super) origin: Arc<Origin>,
    clock: Arc<Clock>,
    ids: Ids,
    known: Known,
    /// A whole span on its way into the ring.
    pub(super) scratch: Vec<u8>,
}

impl SpanProducer {
    /// Begins a trace.
    #[inline]
    pub fn start<const N: usize>(&mut self, template: &'static SpanTemplate<N>) -> OpenSpan<N> {
        let trace_id =
            TraceId::new(u128::from(self.ids.next()) << 64 | u128::from(self.ids.next()));
        let no_parent = SpanContext {
            trace_id,
            span_id: SpanId::INVALID,
            is_remote: false,
            is_sampled: true,
        };
        self.start_child(template, no_parent)
    }

    /// Begins a span below another, of this process or not. If its trace is not recorded, the parent stands
    /// for the span: it has the same ids.
    #[inline]
    pub fn start_child<const N: usize>(
        &mut self,
        template: &'static SpanTemplate<N>,
        parent: SpanContext,
    ) -> OpenSpan<N> {
        if !parent.is_sampled {
            return OpenSpan::unrecorded(template, parent);
        }
        OpenSpan {
            template,
            context: SpanContext {
                trace_id: parent.trace_id,
                span_id: SpanId::new(self.ids.next()),
                is_remote: false,
                is_sampled: true,
            },
            parent_span_id: parent.span_id,
            has_remote_parent: parent.is_remote,
            began: self.clock.now(),
            status: StatusCode::Unset,
        }
    }

    /// The time by the collector's clock, Unix nanoseconds: for spans and events that are put together
    /// by hand beside those that are timed here.
    #[must_use]
    pub fn now_unix_nano(&self) -> u64 {
        self.clock.now().unix_nano
    }

    /// Ends a span and records it, with one value for each key of its template. Allocates nothing
    /// once the template is known.
    ///
    /// Returns whether it was taken. A span that was not is counted as dropped with its reason: the
    /// ring is full and the policy does not wait (any longer), the collector has been shut down, or
    /// the span is larger than a ring takes. One of a trace that is not recorded is neither taken nor
    /// counted.
    #[inline]
    pub fn end<const N: usize>(
        &mut self,
        span: OpenSpan<N>,
        values: [AttributeValue<'_>; N],
    ) -> bool {
        if !span.context.is_sampled {
            return false;
        }
        let ended = self.ended(&span, &values);
        let shared = &*self.origin.shared;
        let text_bytes_max = self.origin.limits.text_bytes_max;
        shared.submit(
            &mut self.ring,
            Signal::Traces,
            ended.words * WORD_BYTES,
            || Worth::urgent_if(ended.is_urgent()),
            &|room: &mut [u8]| write(room, &ended.header, &values, text_bytes_max),
        )
    }

    /// What is left of ending a span but the ring.
    #[inline]
    pub(super) fn ended<const N: usize>(
        &mut self,
        span: &OpenSpan<N>,
        values: &[AttributeValue<'_>; N],
    ) -> Ended {
        let template = span.template;
        let id = template.id();
        if !self.known.has(id) {
            self.learn(template);
        }
        let began = span.began;
        let elapsed = self
            .clock
            .nanos_between(began.reading, self.clock.reading());
        let end_unix_nano = match elapsed {
            Some(nanos) => began.unix_nano.saturating_add(nanos),
            // The clock has changed what it reads.
            None => self.clock.now().unix_nano.max(began.unix_nano),
        };
        let text_bytes_max = self.origin.limits.text_bytes_max;
        let mut words = SPAN_HEADER_WORDS;
        let mut cut = 0_u8;
        for value in values {
            let (value_words, is_cut) = item_words(value, text_bytes_max);
            words += value_words;
            cut = cut.saturating_add(u8::from(is_cut));
        }
        let mut head = Head::span(template.span_kind(), span.status, 1);
        if cut > 0 {
            head = head.with_cut(cut);
        }
        if span.has_remote_parent {
            head = head.with_remote_parent();
        }
        Ended {
            header: SpanHeader {
                head,
                callsite: id,
                trace_id: span.context.trace_id,
                span_id: span.context.span_id,
                parent_span_id: span.parent_span_id,
                start_unix_nano: began.unix_nano,
                end_unix_nano,
            },
            words,
        }
    }

    #[cold]
    fn learn<const N: usize>(&mut self, template: &'static SpanTemplate<N>) {
        let id = template.id();
        if self.known.insert(id) {
            let callsites = &self.origin.callsites;
            callsites.register(id, || template.callsite());
        }
    }

    /// Submits a whole span, owned or borrowed, encoding it here and now.
    ///
    /// Attributes over `limits.attributes_max` are dropped and counted, their texts are cut at
    /// `limits.text_bytes_max`, and an end before the start becomes the start. It belongs to the
    /// collector's resource and [`scope`](crate::CollectorConfig::scope).
    ///
    /// # Errors
    /// The span was not taken and comes back: [`SubmitError`] says why. Only
    /// [`Full`](SubmitError::Full) may be worth another try.
    pub fn submit_span<'a, S: Borrow<Span<'a>>>(&mut self, span: S) -> Result<(), SubmitError<S>> {
        let Some(is_urgent) = self.prepare(span.borrow()) else {
            return Err(SubmitError::Invalid(span));
        };
        let shared = &*self.origin.shared;
        let offered = shared.offer(&mut self.ring, Signal::Traces, &self.scratch, is_urgent);
        self.tidy();
        offered.map_err(|error| SubmitError::new(error, span))
    }

    /// Encodes a span as a record into the scratch buffer, unless it is not valid; whether it may use
    /// the headroom of the ring.
    pub(super) fn prepare(&mut self, span: &Span<'_>) -> Option<bool> {
        let limits = &self.origin.limits;
        if !is_valid(span, limits) {
            return None;
        }
        // As it was given: what is sent has a duration of zero, and it is counted that it had not.
        let end_unix_nano = span.end_unix_nano;
        let span = within_limits(span, limits);
        let mut head = Head::span(span.kind, span.status.code, span.flags as u8);
        if span.flags & REMOTE_PARENT == REMOTE_PARENT {
            head = head.with_remote_parent();
        }
        let header = SpanHeader {
            head,
            callsite: CallsiteId::new(0),
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            start_unix_nano: span.start_unix_nano,
            end_unix_nano,
        };
        let record = &mut self.scratch;
        record.clear();
        record.resize(ENCODED_AT, 0);
        encode::span(record, &span);
        // Over 4 GiB it is larger than any ring.
        let len_bytes = u32::try_from(record.len() - ENCODED_AT).unwrap_or(u32::MAX);
        record.resize(record.len().next_multiple_of(WORD_BYTES), 0);
        let words = header.to_words().into_iter();
        copy_words(words.chain([encoded_item(len_bytes)]), record);
        Some(head.is_urgent(span.parent_span_id))
    }

    /// One attempt at what [`prepare`](Self::prepare) made, without a wait.
    pub(super) fn try_offer(&mut self, is_urgent: bool) -> Result<(), ReserveError> {
        let Self {
            ring,
            origin,
            scratch,
            ..
        } = self;
        let shared = &origin.shared;
        shared.try_offer(ring, Signal::Traces, scratch, is_urgent)
    }

    /// Gives back what an uncommonly large span took.
    pub(super) fn tidy(&mut self) {
        if self.scratch.capacity() > SCRATCH_BYTES_MAX {
            self.scratch = Vec::new();
        }
    }

    /// Whether the collector takes no more spans.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.origin.shared.has_collector() || self.origin.shared.is_closed()
    }
}

impl fmt::Debug for SpanProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanProducer").finish_non_exhaustive()
    }
}

/// A span that has ended, ready to be written.
pub(super) struct Ended {
    pub(super) header: SpanHeader,
    /// Words of the whole record.
    pub(super) words: usize,
}

impl Ended {
    pub(super) const fn is_urgent(&self) -> bool {
        self.header.head.is_urgent(self.header.parent_span_id)
    }
}

/// How many words an attribute takes, and whether its text is cut for that.
#[inline]
fn item_words(value: &AttributeValue<'_>, text_bytes_max: usize) -> (usize, bool) {
    let bytes = |len: usize, is_cut: bool| (1 + len.div_ceil(WORD_BYTES), is_cut);
    match value {
        AttributeValue::Unset => (0, false),
        AttributeValue::Bool(_) => (1, false),
        AttributeValue::I64(_) | AttributeValue::U64(_) | AttributeValue::F64(_) => (2, false),
        AttributeValue::Str(text) if text.len() > text_bytes_max => {
            bytes(text.floor_char_boundary(text_bytes_max), true)
        }
        AttributeValue::Str(text) => bytes(text.len(), false),
        AttributeValue::Bytes(value) => bytes(
            value.len().min(text_bytes_max),
            value.len() > text_bytes_max,
        ),
    }
}

/// Writes the record into room that is exactly as large.
#[inline]
pub(super) fn write(
    room: &mut [u8],
    header: &SpanHeader,
    values: &[AttributeValue<'_>],
    text_bytes_max: usize,
) {
    let (words, _) = room.as_chunks_mut::<WORD_BYTES>();
    let mut words = Room { words, len: 0 };
    words.push_few(header.to_words(), SPAN_HEADER_WORDS);
    let mut items = ItemWriter::new(&mut words, text_bytes_max);
    for (index, value) in values.iter().enumerate() {
        let key = Key::Field(index as u16);
        let written = match *value {
            AttributeValue::Unset => Written::Whole,
            AttributeValue::Bool(value) => items.bool(key, value),
            AttributeValue::I64(value) => items.i64(key, value),
            AttributeValue::U64(value) => items.u64(key, value),
            AttributeValue::F64(value) => items.f64(key, value),
            AttributeValue::Str(value) => items.text(key, value),
            AttributeValue::Bytes(value) => items.bytes(key, value),
        };
        debug_assert_ne!(written, Written::Dropped);
    }
    debug_assert_eq!(words.room(), 0);
}

/// The words of a reservation.
struct Room<'a> {
    words: &'a mut [[u8; WORD_BYTES]],
    len: usize,
}

impl Words for Room<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn room(&self) -> usize {
        self.words.len() - self.len
    }

    #[inline]
    fn push(&mut self, word: u64) {
        if let Some(slot) = self.words.get_mut(self.len) {
            *slot = word.to_le_bytes();
            self.len += 1;
        }
    }

    #[inline]
    fn push_few<const N: usize>(&mut self, words: [u64; N], count: usize) -> bool {
        let Some(slots) = self.words.get_mut(self.len..self.len + count) else {
            return false;
        };
        for (slot, word) in slots.iter_mut().zip(words) {
            *slot = word.to_le_bytes();
        }
        self.len += count;
        true
    }

    #[inline]
    fn push_bytes(&mut self, head: u64, bytes: &[u8]) -> bool {
        let (chunks, tail) = bytes.as_chunks::<WORD_BYTES>();
        let taken = 1 + chunks.len() + usize::from(!tail.is_empty());
        let place = self.words.get_mut(self.len..self.len + taken);
        let Some((slot, slots)) = place.and_then(<[_]>::split_first_mut) else {
            return false;
        };
        *slot = head.to_le_bytes();
        for (slot, chunk) in slots.iter_mut().zip(chunks) {
            *slot = *chunk;
        }
        if !tail.is_empty()
            && let Some(slot) = slots.last_mut()
        {
            *slot = load_tail(tail).to_le_bytes();
        }
        self.len += taken;
        true
    }

    #[inline]
    fn set(&mut self, at: usize, word: u64) {
        if let Some(slot) = self.words.get_mut(at) {
            *slot = word.to_le_bytes();
        }
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

/// Random ids, never zero.
struct Ids(fastrand::Rng);

impl Ids {
    fn seeded() -> Self {
        // The keys of a `RandomState` are the operating system's randomness.
        let seed = RandomState::new().hash_one(std::process::id());
        Self(fastrand::Rng::with_seed(seed))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let id = self.0.u64(..);
        // Once in 2^64.
        if id == 0 { 1 } else { id }
    }
}

/// The templates a producer has made known to the collector: as many as the program's source has.
#[derive(Default)]
struct Known {
    /// Those used lately, by a few bits of their address.
    recent: [u64; RECENT],
    all: HashSet<u64, FastState>,
}

impl Known {
    #[inline]
    fn has(&self, id: CallsiteId) -> bool {
        self.recent[Self::place(id)] == id.get()
    }

    /// Whether it was not there before.
    fn insert(&mut self, id: CallsiteId) -> bool {
        self.recent[Self::place(id)] = id.get();
        self.all.insert(id.get())
    }

    #[inline]
    const fn place(id: CallsiteId) -> usize {
        (id.get() >> 4 ^ id.get() >> 9) as usize % RECENT
    }
}
