//! Room to build items in before they go where they belong.

use ringlight_collector::record::{LOG_HEADER_WORDS, Words};

#[cfg(feature = "otel")]
use super::annotate::OpenItems;
use super::slab::ITEM_WORDS_MAX;

/// A growing buffer with room for as much as a span can have.
pub(super) struct Bounded<'a>(pub(super) &'a mut Vec<u64>);

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

/// The items of an open span that has no slot, as many as a span can have.
#[cfg(feature = "otel")]
#[derive(Debug, Default)]
pub(super) struct SpanItems(Vec<u64>);

#[cfg(feature = "otel")]
impl SpanItems {
    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }
}

#[cfg(feature = "otel")]
impl Words for SpanItems {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn room(&self) -> usize {
        ITEM_WORDS_MAX.saturating_sub(self.0.len())
    }

    fn push(&mut self, word: u64) {
        self.0.push(word);
    }

    fn set(&mut self, at: usize, word: u64) {
        Words::set(&mut self.0, at, word);
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

#[cfg(feature = "otel")]
impl OpenItems for SpanItems {
    fn word_at(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }
}
