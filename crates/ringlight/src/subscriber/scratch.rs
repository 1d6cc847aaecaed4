//! Room to build items in before they go where they belong.

use ringlight_collector::record::{LOG_HEADER_WORDS, Words};

use super::slab::ITEM_WORDS_MAX;

/// A growing buffer with room for as much as a span can have.
pub(crate) struct Bounded<'a>(pub(super) &'a mut Vec<u64>);

impl Words for Bounded<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn room(&self) -> usize {
        (ITEM_WORDS_MAX + LOG_HEADER_WORDS).saturating_sub(self.0.len())
    }

    #[inline]
    fn push(&mut self, word: u64) {
        self.0.push(word);
    }

    #[inline]
    fn set(&mut self, at: usize, word: u64) {
        Words::set(self.0, at, word);
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}
