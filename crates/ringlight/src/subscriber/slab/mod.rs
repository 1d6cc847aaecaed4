//! Where open spans live: slots made of atomic words.
//!
//! A span may be entered, recorded to and closed by any thread, so every word of a slot is an
//! atomic. That makes any access sound; that it is also meaningful rests on the rules of `tracing`:
//!
//! - between taking a slot and publishing its id, only the creating thread knows it;
//! - the id is published with a `Release` store of the slot's state, which whoever uses the id
//!   `Acquire`s, so the words written before are seen;
//! - after that, items change only under the slot's lock;
//! - the last reference is dropped by one thread, which sees all earlier drops (`Release` and `Acquire`)
//!   and then owns the slot again.
//!
//! The collector reads slots as well, though it holds no reference to their spans, and so does whoever asks
//! for what is around a span, or about one whose id is all it has: see [`snapshot`]. For their sake the
//! words they read are stored with `Release`, which on x86 is a plain move. What is `Relaxed` is what the
//! stores behind it release: the end of a generation and the beginning of an edit.
//!
//! An id carries the generation of its slot. Whoever uses an id of a span that has closed finds
//! another generation and nothing else: a stale id is inert. (Generations have 36 bits; a stale id would
//! have to be kept while its slot is used 6 * 10^10 times.) Where the span may close at the very moment, that
//! is looked at once more after reading. To change a span takes a reference to it, as `tracing` has it.
//!
//! One bit is set in every id and in none of those that the registry of `tracing-subscriber` gives, so
//! that the two can be told apart where both are in use.
//!
//! A span that is not recorded has a slot for its ids if it is the first of its trace here. Those
//! within it have none: their id is that of the first one, marked. Each holds a reference to the first
//! one, so that the ids of the trace are known for as long as any of it is open. Only where contexts are
//! shared with the OpenTelemetry API has each a slot, since each has a context of its own.

#[cfg(feature = "profiling-alloc")]
mod allocated;
mod items;
#[cfg(all(test, ringlight_loom))]
mod model;
mod snapshot;
#[cfg(all(test, not(ringlight_loom)))]
mod tests;

use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};

use ringlight_clock::{Clock, Moment, Reading};
use ringlight_collector::Meter;
use ringlight_collector::record::{Head, ItemWriter, SPAN_HEADER_WORDS, WORD_BYTES};
use ringlight_model::{SpanId, StatusCode, TraceId};
use tracing_core::span::Id;

use crate::sync::{AtomicU64, IS_MODEL, Mutex, MutexGuard, Ordering, unpoisoned};

#[cfg(feature = "profiling-alloc")]
pub(super) use allocated::Allocated;
pub(super) use items::SlotItems;
pub(super) use snapshot::Seen;

/// Words of items a slot holds itself; further ones go to the heap. With them a slot fills 512
/// bytes, 64 more with the feature `profiling`, and 128 more where allocations are counted. (A model takes as few as it can do with, and of the next two as well.)
const INLINE_WORDS: usize = if IS_MODEL { 8 } else { 48 };
// A record is copied eight words at a time.
const _: () = assert!((SPAN_HEADER_WORDS + INLINE_WORDS).is_multiple_of(8));
/// Slots allocated at a time.
const CHUNK_SLOTS: usize = if IS_MODEL { 2 } else { 64 };
/// Most chunks there can be.
const CHUNKS_MAX: usize = if IS_MODEL { 2 } else { 4096 };
/// Most spans that can be open at a time; one more is counted and not recorded. They take 128 MiB, 144
/// with the feature `profiling`, or 160 where allocations are counted.
pub(crate) const OPEN_SPANS_MAX: usize = CHUNK_SLOTS * CHUNKS_MAX - 1;
/// Words of items a span can have, heap included (64 KiB).
pub(super) const ITEM_WORDS_MAX: usize = 8192;
// Parts of the word with the length of a slot's items.
/// The first slice of a span is yet to say who opened it.
#[cfg(feature = "profiling")]
const UNSAID: u64 = 1 << 63;

const EDITS_SHIFT: u32 = 32;
const EDITS_MASK: u64 = !0 << EDITS_SHIFT;
/// Heap words a slot keeps for its next span.
const SPILL_WORDS_KEPT: usize = 512;

// The lower part of an id is a slot's index, which is never zero, that of a slot's state its reference count;
// the upper part of both is the slot's generation.
const LOW_BITS: u32 = 24;
const LOW_MASK: u64 = (1 << LOW_BITS) - 1;

// Above a generation's bits.
/// In an id and in the state of its slot: the span is not recorded.
const UNSAMPLED: u64 = 1 << 63;
/// In an id: the span has no slot. It is somewhere within the one the rest of the id names, which is
/// not recorded either, and holds a reference to that.
const GUEST: u64 = 1 << 62;
/// In an id and in the state of its slot: what recording the span costs is measured.
const MEASURED: u64 = 1 << 61;
/// Beside [`MEASURED`]: the measurement does not count.
const TRIAL: u64 = 1 << 60;
/// In the state of a slot that is free: no id that is looked for has it. The generation is then the next span's, whose id may
/// be known before its publishing is seen: an id that comes by a plain word brings nothing along.
const FREE: u64 = GUEST;
const GENERATION_MASK: u64 = !(LOW_MASK | UNSAMPLED | GUEST | MEASURED | TRIAL);
/// In every id, and in the state of every slot: amid the generation, which is counted past it.
///
/// The registry's ids are keys of `sharded-slab` plus one: 38 bits of an address, 13 for the number
/// of one of 4096 threads, and a generation. This is the upper of the thread's bits. (Where words
/// have 32 bits, so have those keys.)
const OWN: u64 = 1 << 50;

/// The id of an open span: never zero, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotId(u64);

impl SlotId {
    /// The id of no slot: a span of which nothing comes.
    pub(super) const NONE: Self = Self(GENERATION_MASK | LOW_MASK);
    /// The first span of a trace that is not recorded, for which there was no slot.
    pub(super) const UNKNOWN: Self = Self(Self::NONE.0 | UNSAMPLED);
    /// A span that was to be recorded, for which there was no slot. What is within it belongs to the
    /// recorded one around it; where there is none, it is lost as well.
    pub(super) const LOST: Self = Self(Self::UNKNOWN.0 | MEASURED);
    /// There is no parent, or it is in another process or thread: it has no slot that is known here.
    pub(super) const NO_PARENT: Self = Self(0);
    /// A span here that is none of ours, and not recorded.
    #[cfg(feature = "otel")]
    pub(super) const FOREIGN_UNSAMPLED: Self = Self(Self::FOREIGN.0 | UNSAMPLED);
    /// A span here that is none of ours.
    #[cfg(feature = "otel")]
    pub(super) const FOREIGN: Self = Self::NONE;

    pub(super) const fn from_u64(id: u64) -> Self {
        Self(id)
    }

    pub(super) const fn get(self) -> u64 {
        self.0
    }

    /// The id as `tracing` has it. That of no parent, which no span has, becomes that of no slot.
    #[inline]
    pub(super) fn to_span_id(self) -> Id {
        // Unlike `from_u64`, this is not a call.
        let none = const { NonZeroU64::new(Self::NONE.0).unwrap() };
        Id::from_non_zero_u64(NonZeroU64::new(self.0).unwrap_or(none))
    }

    /// Whether an id is one of a slot, and not one of the registry of `tracing-subscriber`.
    #[inline]
    pub(super) const fn is_own(id: u64) -> bool {
        id & OWN != 0
    }

    /// Whether the span is recorded.
    #[inline]
    pub(super) const fn is_sampled(self) -> bool {
        self.0 & UNSAMPLED == 0
    }

    /// The id of a span within this one, which is not recorded.
    #[inline]
    pub(super) const fn guest(self) -> Self {
        Self(self.0 | GUEST)
    }

    /// Whether it has no slot.
    #[inline]
    pub(super) const fn is_guest(self) -> bool {
        self.0 & GUEST != 0
    }

    /// Whether what recording the span costs is measured.
    #[inline]
    pub(super) const fn is_measured(self) -> bool {
        self.0 & MEASURED != 0
    }

    /// Whether that is on trial, and does not count.
    pub(super) const fn is_trial(self) -> bool {
        self.0 & TRIAL != 0
    }

    /// Whether it is not recorded, or measured.
    #[inline]
    pub(super) const fn is_special(self) -> bool {
        self.0 & (UNSAMPLED | MEASURED) != 0
    }

    /// The span that has a slot: this one, or the one it is a guest in.
    pub(super) const fn host(self) -> Self {
        Self(self.0 & !GUEST)
    }

    /// The slot; out of range for an id that is none of ours.
    pub(super) const fn index(self) -> u32 {
        (self.0 & LOW_MASK) as u32
    }
}

// Places of the header's words: those of a span record, so that closing copies them as they are.
const HEAD: usize = 0;
const CALLSITE: usize = 1;
const TRACE_HIGH: usize = 2;
const TRACE_LOW: usize = 3;
const SPAN: usize = 4;
const PARENT: usize = 5;
const START: usize = 6;
const END: usize = 7;

/// What a span passes on to its children and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanContext {
    pub(super) trace_high: u64,
    pub(super) trace_low: u64,
    pub(super) span: u64,
}

impl SpanContext {
    /// No span.
    pub(super) const NONE: Self = Self {
        trace_high: 0,
        trace_low: 0,
        span: 0,
    };

    pub(super) const fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            trace_high: (trace_id.get() >> 64) as u64,
            trace_low: trace_id.get() as u64,
            span: span_id.get(),
        }
    }

    pub(super) const fn trace_id(self) -> TraceId {
        TraceId::new((self.trace_high as u128) << 64 | self.trace_low as u128)
    }

    pub(super) const fn span_id(self) -> SpanId {
        SpanId::new(self.span)
    }
}

/// One open span, or room for one.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    /// Generation and reference count; no references while the slot is free.
    state: AtomicU64,
    /// The clock's reading at the start.
    started: AtomicU64,
    /// The id of the parent's slot, zero without one. Written while the slot is not published.
    parent: AtomicU64,
    /// Words of items, here and on the heap, in the lower half. In the upper one the edits of a
    /// published span's items: one when it begins, another when it ends, so that the number is odd
    /// meanwhile.
    len: AtomicU64,
    /// Items past [`INLINE_WORDS`]; also the lock under which items of a published span change.
    spill: Mutex<Vec<u64>>,
    words: [AtomicU64; SPAN_HEADER_WORDS + INLINE_WORDS],
    /// Nanoseconds that threads were in the span; zero while the slot is free.
    #[cfg(feature = "profiling")]
    busy_nanos: AtomicU64,
    /// What the first slice of the span says of where it comes from, with [`UNSAID`]; zero after it.
    #[cfg(feature = "profiling")]
    opener: AtomicU64,
    /// What was allocated in the span.
    #[cfg(feature = "profiling-alloc")]
    sums: allocated::Sums,
}

// Loads of words are `Relaxed`: the state publishes them (see the module's documentation). Stores are
// `Release`, but for those that say why not, and pair with the `Acquire` loads in `snapshot`.
impl Slot {
    fn new() -> Self {
        Self {
            state: AtomicU64::new(FREE | OWN | 1 << LOW_BITS),
            started: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            len: AtomicU64::new(0),
            spill: Mutex::new(Vec::new()),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            #[cfg(feature = "profiling")]
            busy_nanos: AtomicU64::new(0),
            #[cfg(feature = "profiling")]
            opener: AtomicU64::new(0),
            #[cfg(feature = "profiling-alloc")]
            sums: allocated::Sums::new(),
        }
    }

    #[inline]
    fn word(&self, at: usize) -> u64 {
        self.words[at].load(Ordering::Relaxed)
    }

    #[inline]
    fn set_word(&self, at: usize, word: u64) {
        self.words[at].store(word, Ordering::Release);
    }

    /// Words of items.
    #[inline]
    fn items_len(&self) -> usize {
        // Relaxed, as with words: it is asked by whoever owns the slot, or changes it under its lock.
        self.len.load(Ordering::Relaxed) as u32 as usize
    }

    /// Begins to fill a slot that is not published yet: all but head, ids of its own and times.
    /// The context is the parent's, or the trace that the span is the root of.
    #[inline]
    pub(super) fn open(&self, callsite: u64, parent: SlotId, context: SpanContext) {
        self.set_word(CALLSITE, callsite);
        self.set_word(TRACE_HIGH, context.trace_high);
        self.set_word(TRACE_LOW, context.trace_low);
        self.set_word(PARENT, context.span);
        self.parent.store(parent.0, Ordering::Release);
        self.len.store(0, Ordering::Release);
    }

    /// Makes an unpublished span the root of a trace.
    #[inline]
    pub(super) fn set_trace(&self, trace_high: u64, trace_low: u64) {
        self.set_word(TRACE_HIGH, trace_high);
        self.set_word(TRACE_LOW, trace_low);
    }

    /// The items of a slot that is not published yet.
    #[inline]
    pub(super) fn items_unpublished(&self) -> SlotItems<'_> {
        SlotItems {
            slot: self,
            len: 0,
            edits: 0,
            spill: None,
        }
    }

    /// The items of a published slot, under its lock; to be finished, or no snapshot is taken of the
    /// span any more.
    pub(super) fn items_locked(&self) -> SlotItems<'_> {
        let spill = self.lock_spill();
        // Relaxed: it changes under the lock alone, or was published with the span.
        let len = self.len.load(Ordering::Relaxed);
        // Odd, and another one also after an edit that was never finished.
        let begun = ((len >> EDITS_SHIFT) as u32).wrapping_add(1) | 1;
        // Relaxed: whoever acquires a word that is stored from here on (`Release`) sees this as well.
        self.len.store(
            len & !EDITS_MASK | u64::from(begun) << EDITS_SHIFT,
            Ordering::Relaxed,
        );
        SlotItems {
            slot: self,
            len: len as u32 as usize,
            edits: begun.wrapping_add(1),
            spill: Some(spill),
        }
    }

    fn lock_spill(&self) -> MutexGuard<'_, Vec<u64>> {
        // No code that can panic runs under the lock except while the slot is unpublished; its
        // creator then empties it.
        unpoisoned(self.spill.lock())
    }

    /// Fills in the rest and makes the span known under the returned id, with one reference.
    #[inline]
    pub(super) fn publish(&self, index: u32, head: Head, span: u64, start: Moment) -> SlotId {
        self.set_word(HEAD, head.word());
        self.set_word(SPAN, span);
        self.set_word(START, start.unix_nano);
        self.started
            .store(start.reading.to_bits(), Ordering::Release);
        self.publish_as(index, 0)
    }

    /// The same for a span that is not recorded: all that is known of it are its ids.
    pub(super) fn publish_unsampled(&self, index: u32, span: u64) -> SlotId {
        self.set_word(SPAN, span);
        self.publish_as(index, UNSAMPLED)
    }

    #[inline]
    fn publish_as(&self, index: u32, flags: u64) -> SlotId {
        // Relaxed: the slot is ours, nobody else changes the state.
        let generation = self.state.load(Ordering::Relaxed) & GENERATION_MASK | flags;
        // Pairs with the `Acquire` loads in `Slab::slot`, of the reference count and of snapshots.
        self.state.store(generation | 1, Ordering::Release);
        SlotId(generation | u64::from(index))
    }

    /// Says that the span, whose id only the caller knows, is measured, perhaps on trial; the id it has
    /// then.
    pub(super) fn mark_measured(&self, id: SlotId, is_trial: bool) -> SlotId {
        let mark = if is_trial { MEASURED | TRIAL } else { MEASURED };
        // Relaxed: nobody else changes the state of a span without an id. Release as in `publish_as`.
        let state = self.state.load(Ordering::Relaxed);
        self.state.store(state | mark, Ordering::Release);
        SlotId(id.0 | mark)
    }

    /// The reverse, for whoever holds the last reference: the id by which to give that up.
    pub(super) fn unmark_measured(&self, id: SlotId) -> SlotId {
        // Relaxed: whoever holds the last reference is the only one to change the state, and the only
        // one to know the id it has then. Release pairs with the `Acquire` of a snapshot, as in
        // `publish_as`, whose store this one takes the place of.
        let state = self.state.load(Ordering::Relaxed);
        let unmarked = !(MEASURED | TRIAL);
        self.state.store(state & unmarked, Ordering::Release);
        SlotId(id.0 & unmarked)
    }

    /// Adds a reference. A span with 2^24 references keeps its slot for good instead of
    /// miscounting.
    pub(super) fn add_reference(&self, id: SlotId) {
        let _ = self.add_references(id, 1);
    }

    /// Adds references; false if the span has closed, or keeps its slot for good.
    pub(super) fn add_references(&self, id: SlotId, count: u32) -> bool {
        // Relaxed: whoever adds one has one already, and with it has seen all it may read.
        let added = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                let live = state & !LOW_MASK == id.0 & !LOW_MASK;
                let sum = (state & LOW_MASK) + u64::from(count);
                (live && state & LOW_MASK < LOW_MASK)
                    .then_some(state & !LOW_MASK | sum.min(LOW_MASK))
            });
        added.is_ok()
    }

    /// Drops a reference. True if it was the last: the caller then owns the slot.
    #[inline]
    pub(super) fn drop_reference(&self, id: SlotId) -> bool {
        // Acquire pairs with the release below: the last one out sees what the others did.
        let state = self.state.load(Ordering::Acquire);
        if state & !LOW_MASK != id.0 & !LOW_MASK {
            return false;
        }
        // With one reference left, nobody but its holder can change the state: no locked
        // instruction is needed.
        state & LOW_MASK == 1 || self.drop_references(id, 1)
    }

    /// Drops so many references. True if they were the last: the caller then owns the slot.
    #[cold]
    pub(super) fn drop_references(&self, id: SlotId, count: u32) -> bool {
        let given = u64::from(count);
        // Release, so that the last one out sees what was done under this reference. Acquire where nothing is
        // changed, as that may be because it is the last one. Each pairs with the other, here and in `drop_reference`.
        let dropped = self
            .state
            .fetch_update(Ordering::Release, Ordering::Acquire, |state| {
                let live = state & !LOW_MASK == id.0 & !LOW_MASK;
                let count = state & LOW_MASK;
                // The last references stay counted until the slot is released.
                (live && count > given && count < LOW_MASK).then_some(state - given)
            });
        matches!(dropped, Err(state)
            if state & LOW_MASK == given && state & !LOW_MASK == id.0 & !LOW_MASK)
    }

    /// What children and logs of the span need; for whoever holds the span, as whoever is in it does.
    #[inline]
    pub(super) fn context(&self) -> SpanContext {
        SpanContext {
            trace_high: self.word(TRACE_HIGH),
            trace_low: self.word(TRACE_LOW),
            span: self.word(SPAN),
        }
    }

    /// The callsite; for whoever holds the span.
    pub(super) fn callsite(&self) -> u64 {
        self.word(CALLSITE)
    }

    pub(super) fn head(&self) -> Head {
        Head::from_word(self.word(HEAD))
    }

    /// Whether the span is worth more than most.
    pub(super) fn is_urgent(&self) -> bool {
        self.head().is_urgent(SpanId::new(self.word(PARENT)))
    }

    /// Changes the head of an unpublished slot, or of a published one under its lock.
    pub(super) fn set_head(&self, head: Head) {
        self.set_word(HEAD, head.word());
    }

    /// Marks the span as failed, with a message in parts, or none. Keeps the first message; a status the
    /// application set stays.
    pub(super) fn fail(&self, message: &[&str], text_bytes_max: usize) {
        let mut items = self.items_locked();
        let head = self.head();
        if head.status() == StatusCode::Unset {
            self.set_head(head.with_status(StatusCode::Error));
            if !message.is_empty() {
                let _ = ItemWriter::new(&mut items, text_bytes_max).status_message_of(message);
            }
        }
        items.finish();
    }

    /// Sets the end, now, for a span that is closing.
    #[inline]
    pub(super) fn end(&self, clock: &Clock) {
        self.set_word(END, self.now(clock));
    }

    /// What the clock of the span shows, Unix nanoseconds: as long after its start as has passed since,
    /// whatever the wall clock was set to meanwhile.
    #[inline]
    pub(super) fn now(&self, clock: &Clock) -> u64 {
        self.time_of(clock, clock.reading())
    }

    /// The same for what the clock read a moment ago.
    #[inline]
    pub(super) fn time_of(&self, clock: &Clock, reading: Reading) -> u64 {
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
    pub(super) fn duration(&self) -> u64 {
        self.word(END).saturating_sub(self.word(START))
    }

    /// Adds to the time that threads were in the span; for whoever holds it.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(super) fn add_busy(&self, nanos: u64) {
        // Relaxed: whoever drops the last reference sees what was done under all of them.
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// That time, for whoever closes the span; none is left for the next one.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(super) fn take_busy(&self) -> u64 {
        // Relaxed, both: the slot is ours.
        let nanos = self.busy_nanos.load(Ordering::Relaxed);
        self.busy_nanos.store(0, Ordering::Relaxed);
        nanos
    }

    /// The span around it, for whoever holds the span.
    #[cfg(feature = "profiling")]
    pub(super) fn parent(&self) -> SlotId {
        // Relaxed: it was written before the span was published.
        SlotId(self.parent.load(Ordering::Relaxed))
    }

    /// Says which thread opened the span, whose id nobody else knows yet; zero if that is not to be said.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(super) fn set_opener(&self, thread: u64) {
        // Relaxed: whoever is given the id to use it elsewhere is given this with it.
        self.opener.store(thread | UNSAID, Ordering::Relaxed);
    }

    /// Which thread opened the span, for the first who asks; `None` for others.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(super) fn take_opener(&self) -> Option<u64> {
        // Relaxed, both: it is used alone. Of two threads that leave the span for the first time at once, both may have
        // it, and both say the same.
        let opener = self.opener.load(Ordering::Relaxed);
        if opener == 0 {
            return None;
        }
        self.opener.store(0, Ordering::Relaxed);
        Some(opener & !UNSAID)
    }

    /// Words of the whole record.
    #[inline]
    pub(super) fn record_words(&self) -> usize {
        SPAN_HEADER_WORDS + self.items_len()
    }

    /// The record, `record_words` long, into `buffer`.
    #[inline]
    pub(super) fn copy_record(&self, buffer: &mut [u8]) {
        let (chunks, _) = buffer.as_chunks_mut::<WORD_BYTES>();
        if chunks.len() > self.words.len() {
            let (here, spilled) = chunks.split_at_mut(self.words.len());
            copy(here, &self.words);
            for (chunk, word) in spilled.iter_mut().zip(&*self.lock_spill()) {
                *chunk = word.to_le_bytes();
            }
            return;
        }
        // Atomic loads are not vectorized. By hand there is one check for eight, and the rest takes
        // a step for each bit of its number.
        let (eights, rest) = chunks.as_chunks_mut::<8>();
        let (word_eights, _) = self.words.as_chunks::<8>();
        let words_left = word_eights.get(eights.len());
        for (chunks, words) in eights.iter_mut().zip(word_eights) {
            copy(chunks, words);
        }
        let Some(words) = words_left else { return };
        let (fours, rest) = rest.as_chunks_mut::<4>();
        let words = match fours.first_mut() {
            Some(chunks) => {
                copy(chunks, &words[..4]);
                &words[4..]
            }
            None => &words[..4],
        };
        let (twos, rest) = rest.as_chunks_mut::<2>();
        let words = match twos.first_mut() {
            Some(chunks) => {
                copy(chunks, &words[..2]);
                &words[2..]
            }
            None => words,
        };
        if let Some(chunk) = rest.first_mut() {
            copy(std::slice::from_mut(chunk), words);
        }
    }

    /// Forgets items of a slot that will not be published after all.
    pub(super) fn discard(&self) {
        // Those in the slot itself are forgotten when the next span is opened in it.
        self.lock_spill().clear();
    }

    /// Puts a free slot into a generation.
    #[cfg(test)]
    pub(super) fn set_generation(&self, generation: u64) {
        // Relaxed: nobody else knows of the slot.
        self.state.store(generation, Ordering::Relaxed);
    }

    /// Ends the slot's generation: ids of its span are stale from here on. Only for whoever owns
    /// the slot; its index must then go back to a free list.
    #[inline]
    pub(super) fn retire(&self) {
        if self.items_len() > INLINE_WORDS {
            let mut spill = self.lock_spill();
            spill.clear();
            spill.shrink_to(SPILL_WORDS_KEPT);
        }
        // Relaxed: the slot is ours. Whoever takes it next gets its index through a lock or on this
        // thread, so that it is before the words of the next span, which a snapshot acquires.
        let generation = self.state.load(Ordering::Relaxed) & GENERATION_MASK;
        let next = generation.wrapping_add(1 << LOW_BITS) & GENERATION_MASK;
        self.state.store(next | OWN | FREE, Ordering::Relaxed);
    }
}

/// Copies as many words as there are on the shorter side.
#[inline]
fn copy(chunks: &mut [[u8; WORD_BYTES]], words: &[AtomicU64]) {
    for (chunk, word) in chunks.iter_mut().zip(words) {
        // Relaxed, as every load of a word by whoever owns the slot.
        *chunk = word.load(Ordering::Relaxed).to_le_bytes();
    }
}

/// All slots of a subscriber, and the clock that their spans are timed by.
#[derive(Debug)]
pub(super) struct Slab {
    clock: Arc<Clock>,
    chunks: Box<[OnceLock<Box<[Slot; CHUNK_SLOTS]>>]>,
    free: Mutex<Free>,
    /// Told of the memory that slots take.
    meter: Option<Arc<Meter>>,
}

#[derive(Debug, Default)]
struct Free {
    indices: Vec<u32>,
    chunks_used: usize,
}

impl Slab {
    pub(super) fn new(clock: impl Into<Arc<Clock>>) -> Self {
        Self {
            clock: clock.into(),
            chunks: (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect(),
            free: Mutex::new(Free::default()),
            meter: None,
        }
    }

    /// The same with its memory counted.
    pub(super) fn metered(self, meter: Arc<Meter>) -> Self {
        Self {
            meter: Some(meter),
            ..self
        }
    }

    #[inline]
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    #[inline]
    pub(super) fn slot_at(&self, index: u32) -> Option<&Slot> {
        let index = index as usize;
        let chunk = self.chunks.get(index / CHUNK_SLOTS)?.get()?;
        Some(&chunk[index % CHUNK_SLOTS])
    }

    /// The open span of an id; `None` if it has closed.
    #[inline]
    pub(super) fn slot(&self, id: SlotId) -> Option<&Slot> {
        let slot = self.slot_at(id.index())?;
        // Pairs with the `Release` store in `Slot::publish`. No id is that of a slot that is free.
        let state = slot.state.load(Ordering::Acquire);
        (state & !LOW_MASK == id.0 & !LOW_MASK).then_some(slot)
    }

    /// Takes up to `out.len()` free slots; returns how many. None once all are open.
    pub(super) fn take(&self, out: &mut [u32]) -> usize {
        let mut free = unpoisoned(self.free.lock());
        if free.indices.is_empty() && free.chunks_used < CHUNKS_MAX {
            let chunk = free.chunks_used;
            self.chunks[chunk].get_or_init(|| Box::new(std::array::from_fn(|_| Slot::new())));
            free.chunks_used += 1;
            if let Some(meter) = &self.meter {
                meter.add_open_spans(size_of::<[Slot; CHUNK_SLOTS]>());
            }
            let first = (chunk * CHUNK_SLOTS) as u32;
            let end = first + CHUNK_SLOTS as u32;
            // Downwards, so that they are handed out upwards; without the one that no id may name.
            free.indices.extend((first.max(1)..end).rev());
        }
        let taken = out.len().min(free.indices.len());
        let rest = free.indices.len() - taken;
        out[..taken].copy_from_slice(&free.indices[rest..]);
        free.indices.truncate(rest);
        taken
    }

    /// Gives back slots that were retired.
    pub(super) fn give(&self, indices: &[u32]) {
        let mut free = unpoisoned(self.free.lock());
        free.indices.extend_from_slice(indices);
    }

    /// Chunks there are so far. Takes no lock, which those who open and close spans may wait for.
    pub(super) fn chunks_used(&self) -> usize {
        self.chunks.partition_point(|chunk| chunk.get().is_some())
    }

    /// The slots of a chunk, with their indices.
    pub(super) fn chunk(&self, chunk: usize) -> impl Iterator<Item = (u32, &Slot)> {
        let slots = self.chunks.get(chunk).and_then(OnceLock::get);
        let first = chunk * CHUNK_SLOTS;
        let of = move |(at, slot)| ((first + at) as u32, slot);
        slots
            .into_iter()
            .flat_map(|slots| slots.iter())
            .enumerate()
            .map(of)
    }

    /// Spans open now: slots with references.
    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.chunks
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|chunk| chunk.iter())
            .filter(|slot| slot.state.load(Ordering::Acquire) & LOW_MASK != 0)
            .count()
    }
}
