//! Reading a slot without a reference to its span: from the collector's thread, or by an id that somebody
//! kept, or found as that of a parent.
//!
//! The owner of the span may meanwhile add to it, close it and give the slot to another one, and
//! waits for nobody: a snapshot takes no lock. It copies the words and then looks whether they belong
//! together; if not, there is none.
//!
//! - **Another span.** Every word that is read (those of the record, the clock's reading at the start, the
//!   length of the items, the id of the parent's slot) is stored with `Release`, after the store by which the
//!   generation before it ended. Here words are loaded with `Acquire`: if any of them is of a later span, the
//!   state that is loaded afterwards is of a later generation than the one that was asked for.
//! - **A span that is being changed.** In the same way a word that is of a later edit brings along
//!   that the edit has begun, which is in the word with the length.
//!
//! Items on the heap are not part of a snapshot: they are under the lock that the closing thread
//! takes to copy them. A text that is partly there is cut, and one more attribute counted as dropped.

use ringlight_clock::Reading;
use ringlight_collector::record::{Head, SPAN_HEADER_WORDS, trim_items};

use super::id::{LOW_MASK, UNSAMPLED};
use super::slot::{CALLSITE, EDITS_SHIFT, END, HEAD, SPAN, START, TRACE_HIGH, TRACE_LOW};
use super::{INLINE_WORDS, Slot, SlotId, SpanContext};
use crate::sync::{IS_MODEL, Ordering};

/// How often a snapshot of a span that is being changed is tried.
const ATTEMPTS: usize = if IS_MODEL { 1 } else { 3 };

/// The words in a slot.
type SlotWords = [u64; SPAN_HEADER_WORDS + INLINE_WORDS];
const EMPTY: SlotWords = [0; SPAN_HEADER_WORDS + INLINE_WORDS];

/// A span that was open a moment ago.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Seen {
    pub(in super::super) id: SlotId,
    /// The clock's reading at its start.
    pub(in super::super) started: Reading,
}

impl Slot {
    /// The span in this slot, if there is one that is recorded.
    pub(in super::super) fn seen(&self, index: u32) -> Option<Seen> {
        // Acquire pairs with the `Release` in `publish_as`: the words are those of this span, or of a
        // later one.
        let state = self.state.load(Ordering::Acquire);
        if state & LOW_MASK == 0 || state & UNSAMPLED != 0 {
            return None;
        }
        let id = SlotId(state & !LOW_MASK | u64::from(index));
        // Acquire: see the module's documentation.
        let started = Reading::from_bits(self.started.load(Ordering::Acquire));
        self.is_still(id).then_some(Seen { id, started })
    }

    /// When a span began, Unix nanoseconds; `None` if it has closed.
    pub(in super::super) fn start_unix_nano(&self, id: SlotId) -> Option<u64> {
        // Acquire: see the module's documentation.
        let start = self.words[START].load(Ordering::Acquire);
        self.is_still(id).then_some(start)
    }

    /// The ids of a span; `None` if it has closed.
    #[inline]
    pub(in super::super) fn context_of(&self, id: SlotId) -> Option<SpanContext> {
        // Acquire: see the module's documentation.
        let word = |at: usize| self.words[at].load(Ordering::Acquire);
        let context = SpanContext {
            trace_high: word(TRACE_HIGH),
            trace_low: word(TRACE_LOW),
            span: word(SPAN),
        };
        self.is_still(id).then_some(context)
    }

    /// The callsite of a span, and the id of its parent's slot if there was a parent in this process;
    /// `None` if it has closed.
    pub(in super::super) fn place_of(&self, id: SlotId) -> Option<(u64, Option<SlotId>)> {
        // Acquire: see the module's documentation.
        let callsite = self.words[CALLSITE].load(Ordering::Acquire);
        let parent = self.parent.load(Ordering::Acquire);
        let place = (callsite, (parent != 0).then_some(SlotId(parent)));
        self.is_still(id).then_some(place)
    }

    /// Whether the slot is still that of this span. To be asked after the words were loaded.
    #[inline]
    fn is_still(&self, id: SlotId) -> bool {
        // Relaxed: ordered by the `Acquire` loads of the words before. References are not asked for: no id is that
        // of a slot that is free.
        let state = self.state.load(Ordering::Relaxed);
        state & !LOW_MASK == id.0 & !LOW_MASK
    }

    /// The record of a span that is still open, as if it ended `open_for_nano` after its start. Nothing
    /// if it has closed, or has just been changed again and again.
    pub(in super::super) fn snapshot(&self, id: SlotId, open_for_nano: u64) -> Option<Vec<u64>> {
        let mut copy = EMPTY;
        let Copied::Whole(items) = self.copy(id, &mut copy) else {
            return None;
        };
        let mut words = copy[..SPAN_HEADER_WORDS + items.min(INLINE_WORDS)].to_vec();
        words[END] = words[START].saturating_add(open_for_nano);
        if items > INLINE_WORDS {
            let left = trim_items(&mut words, SPAN_HEADER_WORDS);
            words.truncate(left);
            words[HEAD] = Head::from_word(words[HEAD]).with_dropped(1).word();
        }
        Some(words)
    }

    /// Shows callsite and items of a span to whoever logs within it, and returns its parent as
    /// [`place_of`](Self::place_of) does. No items are shown if it has just been changed again and again.
    pub(in super::super) fn show_to_log(
        &self,
        id: SlotId,
        show: impl FnOnce(u64, &[u64]),
    ) -> Option<Option<SlotId>> {
        let (callsite, parent) = self.place_of(id)?;
        let mut copy = EMPTY;
        let items = match self.copy(id, &mut copy) {
            Copied::Whole(items) => items,
            Copied::Changing => 0,
            Copied::Closed => return None,
        };
        if items > INLINE_WORDS {
            let words = &mut copy[SPAN_HEADER_WORDS..];
            let left = trim_items(words, 0);
            show(callsite, &words[..left]);
        } else {
            show(callsite, &copy[SPAN_HEADER_WORDS..][..items]);
        }
        Some(parent)
    }

    /// Copies the words in the slot. Tried a few times while the span is being changed.
    fn copy(&self, id: SlotId, words: &mut SlotWords) -> Copied {
        for _ in 1..ATTEMPTS {
            match self.try_copy(id, words) {
                Copied::Changing => {}
                copied => return copied,
            }
        }
        self.try_copy(id, words)
    }

    fn try_copy(&self, id: SlotId, words: &mut SlotWords) -> Copied {
        // Relaxed: whoever has the id has acquired the state, in `seen` or `Slab::slot`. This saves the copy where
        // the span has closed; whether it has is asked after it.
        if !self.is_still(id) {
            return Copied::Closed;
        }
        // Acquire pairs with the `Release` in `SlotItems::finish`: the words are at least those that the
        // edits counted here have left.
        let len = self.len.load(Ordering::Acquire);
        let items = len as u32 as usize;
        let count = SPAN_HEADER_WORDS + items.min(INLINE_WORDS);
        // From the last one on, against the order in which they are stored: which of them are of a later
        // span or edit makes fewer cases for the model then.
        for (copy, word) in words[..count].iter_mut().zip(&self.words[..count]).rev() {
            // Acquire: see the module's documentation.
            *copy = word.load(Ordering::Acquire);
        }
        if !self.is_still(id) {
            return Copied::Closed;
        }
        // Relaxed: ordered by the loads of the words.
        if len >> EDITS_SHIFT & 1 != 0 || self.len.load(Ordering::Relaxed) != len {
            return Copied::Changing;
        }
        Copied::Whole(items)
    }
}

/// What became of an attempt to copy a span.
enum Copied {
    /// With so many words of items, of which those on the heap are not there.
    Whole(usize),
    Closed,
    Changing,
}
