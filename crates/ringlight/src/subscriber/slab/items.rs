//! The items of an open span: in its slot, and on the heap where they are many or long.

use ringlight_collector::record::{
    SPAN_HEADER_WORDS, WORD_BYTES, Words, load_tail, push_bytes_by_words,
};

use super::super::annotate::OpenItems;
use super::slot::EDITS_SHIFT;
use super::{INLINE_WORDS, ITEM_WORDS_MAX, Slot};
use crate::sync::{MutexGuard, Ordering};

/// The items of a slot as growing words.
#[derive(Debug)]
pub(in super::super) struct SlotItems<'a> {
    pub(super) slot: &'a Slot,
    pub(super) len: usize,
    /// The number of edits once this one is finished; zero while the span is not published.
    pub(super) edits: u32,
    pub(super) spill: Option<MutexGuard<'a, Vec<u64>>>,
}

impl SlotItems<'_> {
    /// Makes what was written part of the slot.
    #[inline]
    pub(in super::super) fn finish(self) {
        // Release pairs with the first load of a snapshot, which sees the whole edit then.
        let len = self.len as u64 | u64::from(self.edits) << EDITS_SHIFT;
        self.slot.len.store(len, Ordering::Release);
    }

    #[cold]
    #[inline(never)]
    fn push_bytes_spilled(&mut self, head: u64, bytes: &[u8]) -> bool {
        push_bytes_by_words(self, head, bytes)
    }

    #[cold]
    fn push_spilled(&mut self, word: u64) {
        let slot = self.slot;
        self.spill
            .get_or_insert_with(|| slot.lock_spill())
            .push(word);
    }
}

impl OpenItems for SlotItems<'_> {
    fn word_at(&self, at: usize) -> u64 {
        if at < INLINE_WORDS {
            return self.slot.word(SPAN_HEADER_WORDS + at);
        }
        let spilled = self.spill.as_ref().and_then(|s| s.get(at - INLINE_WORDS));
        spilled.copied().unwrap_or(0)
    }
}

impl Words for SlotItems<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn room(&self) -> usize {
        ITEM_WORDS_MAX - self.len
    }

    #[inline]
    fn push(&mut self, word: u64) {
        if self.len < INLINE_WORDS {
            self.slot.set_word(SPAN_HEADER_WORDS + self.len, word);
        } else {
            self.push_spilled(word);
        }
        self.len += 1;
    }

    #[inline]
    fn push_few<const N: usize>(&mut self, words: [u64; N], count: usize) -> bool {
        let rest = self.slot.words.get(SPAN_HEADER_WORDS + self.len..);
        if let Some(places) = rest.and_then(<[_]>::first_chunk::<N>) {
            // All of them, since that is a fixed number; what is past the end means nothing.
            for (place, word) in places.iter().zip(words) {
                place.store(word, Ordering::Release);
            }
            self.len += count;
            return true;
        }
        false
    }

    #[inline]
    fn push_bytes(&mut self, head: u64, bytes: &[u8]) -> bool {
        let words = 1 + bytes.len().div_ceil(WORD_BYTES);
        let at = SPAN_HEADER_WORDS + self.len;
        let Some([first, places @ ..]) = self.slot.words.get(at..at + words) else {
            return self.push_bytes_spilled(head, bytes);
        };
        first.store(head, Ordering::Release);
        let (chunks, tail) = bytes.as_chunks::<WORD_BYTES>();
        for (place, chunk) in places.iter().zip(chunks) {
            place.store(u64::from_le_bytes(*chunk), Ordering::Release);
        }
        if let Some(place) = places.get(chunks.len()) {
            place.store(load_tail(tail), Ordering::Release);
        }
        self.len += words;
        true
    }

    #[inline]
    fn set(&mut self, at: usize, word: u64) {
        if at < INLINE_WORDS {
            self.slot.set_word(SPAN_HEADER_WORDS + at, word);
        } else if let Some(spill) = &mut self.spill
            && let Some(place) = spill.get_mut(at - INLINE_WORDS)
        {
            *place = word;
        }
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        if let Some(spill) = &mut self.spill {
            spill.truncate(self.len.saturating_sub(INLINE_WORDS));
        }
    }
}
