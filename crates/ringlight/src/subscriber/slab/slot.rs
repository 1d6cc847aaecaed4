//! One slot: what is written while a span is open, and its record.

use ringlight_clock::Moment;
use ringlight_collector::record::{Head, ItemWriter, SPAN_HEADER_WORDS, WORD_BYTES};
use ringlight_model::{SpanId, StatusCode};

#[cfg(feature = "profiling-alloc")]
use super::allocated;
use super::id::{FREE, LOW_BITS, OWN, UNSAMPLED};
use super::{INLINE_WORDS, SlotId, SlotItems, SpanContext};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, unpoisoned};

// Places of the header's words: those of a span record, so that closing copies them as they are.
pub(super) const HEAD: usize = 0;
pub(super) const CALLSITE: usize = 1;
pub(super) const TRACE_HIGH: usize = 2;
pub(super) const TRACE_LOW: usize = 3;
pub(super) const SPAN: usize = 4;
pub(super) const PARENT: usize = 5;
pub(super) const START: usize = 6;
pub(super) const END: usize = 7;

// Parts of the word with the length of a slot's items.
pub(super) const EDITS_SHIFT: u32 = 32;
const EDITS_MASK: u64 = !0 << EDITS_SHIFT;

/// One open span, or room for one.
#[derive(Debug)]
#[repr(align(64))]
pub(in super::super) struct Slot {
    /// Generation and reference count; no references while the slot is free.
    pub(super) state: AtomicU64,
    /// The clock's reading at the start.
    pub(super) started: AtomicU64,
    /// The id of the parent's slot, zero without one. Written while the slot is not published.
    pub(super) parent: AtomicU64,
    /// Words of items, here and on the heap, in the lower half. In the upper one the edits of a
    /// published span's items: one when it begins, another when it ends, so that the number is odd
    /// meanwhile.
    pub(super) len: AtomicU64,
    /// Items past [`INLINE_WORDS`]; also the lock under which items of a published span change.
    pub(super) spill: Mutex<Vec<u64>>,
    pub(super) words: [AtomicU64; SPAN_HEADER_WORDS + INLINE_WORDS],
    /// Nanoseconds that threads were in the span; zero while the slot is free.
    #[cfg(feature = "profiling")]
    pub(super) busy_nanos: AtomicU64,
    /// What the first slice of the span is to say of where it comes from; zero after it, and where nobody asks for slices.
    #[cfg(feature = "profiling")]
    pub(super) opener: AtomicU64,
    /// What was allocated in the span.
    #[cfg(feature = "profiling-alloc")]
    pub(super) sums: allocated::Sums,
}

// Loads of words are `Relaxed`: the state publishes them (see the documentation of the module around this one). Stores are
// `Release`, but for those that say why not, and pair with the `Acquire` loads in `snapshot`.
impl Slot {
    pub(super) fn new() -> Self {
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
    pub(super) fn word(&self, at: usize) -> u64 {
        self.words[at].load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn set_word(&self, at: usize, word: u64) {
        self.words[at].store(word, Ordering::Release);
    }

    /// Words of items.
    #[inline]
    pub(super) fn items_len(&self) -> usize {
        // Relaxed, as with words: it is asked by whoever owns the slot, or changes it under its lock.
        self.len.load(Ordering::Relaxed) as u32 as usize
    }

    /// Begins to fill a slot that is not published yet: all but head, ids of its own and times.
    /// The context is the parent's, or the trace that the span is the root of.
    #[inline]
    pub(in super::super) fn open(&self, callsite: u64, parent: SlotId, context: SpanContext) {
        self.set_word(CALLSITE, callsite);
        self.set_word(TRACE_HIGH, context.trace_high);
        self.set_word(TRACE_LOW, context.trace_low);
        self.set_word(PARENT, context.span);
        self.parent.store(parent.0, Ordering::Release);
        self.len.store(0, Ordering::Release);
    }

    /// Makes an unpublished span the root of a trace.
    #[inline]
    pub(in super::super) fn set_trace(&self, trace_high: u64, trace_low: u64) {
        self.set_word(TRACE_HIGH, trace_high);
        self.set_word(TRACE_LOW, trace_low);
    }

    /// The items of a slot that is not published yet.
    #[inline]
    pub(in super::super) fn items_unpublished(&self) -> SlotItems<'_> {
        SlotItems {
            slot: self,
            len: 0,
            edits: 0,
            spill: None,
        }
    }

    /// The items of a published slot, under its lock; to be finished, or no snapshot is taken of the
    /// span any more.
    pub(in super::super) fn items_locked(&self) -> SlotItems<'_> {
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

    pub(super) fn lock_spill(&self) -> MutexGuard<'_, Vec<u64>> {
        // No code that can panic runs under the lock except while the slot is unpublished; its
        // creator then empties it.
        unpoisoned(self.spill.lock())
    }

    /// Fills in the rest and makes the span known under the returned id, with one reference.
    #[inline]
    pub(in super::super) fn publish(
        &self,
        index: u32,
        head: Head,
        span: u64,
        start: Moment,
    ) -> SlotId {
        self.set_word(HEAD, head.word());
        self.set_word(SPAN, span);
        self.set_word(START, start.unix_nano);
        self.started
            .store(start.reading.to_bits(), Ordering::Release);
        self.publish_as(index, 0)
    }

    /// The same for a span that is not recorded: all that is known of it are its ids.
    pub(in super::super) fn publish_unsampled(&self, index: u32, span: u64) -> SlotId {
        self.set_word(SPAN, span);
        self.publish_as(index, UNSAMPLED)
    }

    /// What children and logs of the span need; for whoever holds the span, as whoever is in it does.
    #[inline]
    pub(in super::super) fn context(&self) -> SpanContext {
        SpanContext {
            trace_high: self.word(TRACE_HIGH),
            trace_low: self.word(TRACE_LOW),
            span: self.word(SPAN),
        }
    }

    /// The callsite; for whoever holds the span.
    pub(in super::super) fn callsite(&self) -> u64 {
        self.word(CALLSITE)
    }

    pub(in super::super) fn head(&self) -> Head {
        Head::from_word(self.word(HEAD))
    }

    /// Whether the span is worth more than most.
    pub(in super::super) fn is_urgent(&self) -> bool {
        self.head().is_urgent(SpanId::new(self.word(PARENT)))
    }

    /// Changes the head of an unpublished slot, or of a published one under its lock.
    pub(in super::super) fn set_head(&self, head: Head) {
        self.set_word(HEAD, head.word());
    }

    /// Marks the span as failed, with a message in parts, or none. Keeps the first message; a status the
    /// application set stays.
    pub(in super::super) fn fail(&self, message: &[&str], text_bytes_max: usize) {
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

    /// The span around it, for whoever holds the span.
    #[cfg(feature = "profiling")]
    pub(in super::super) fn parent(&self) -> SlotId {
        // Relaxed: it was written before the span was published.
        SlotId(self.parent.load(Ordering::Relaxed))
    }

    /// Words of the whole record.
    #[inline]
    pub(in super::super) fn record_words(&self) -> usize {
        SPAN_HEADER_WORDS + self.items_len()
    }

    /// The record, `record_words` long, into `buffer`.
    #[inline]
    pub(in super::super) fn copy_record(&self, buffer: &mut [u8]) {
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
    pub(in super::super) fn discard(&self) {
        // Those in the slot itself are forgotten when the next span is opened in it.
        self.lock_spill().clear();
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
