//! Packing bytes, formatted piece by piece, into words.

use std::fmt;

use super::{WORD_BYTES, Words};

/// Up to seven bytes as the low bytes of a word, without a call to `memcpy` for their few bytes.
#[inline]
#[must_use]
pub fn load_tail(tail: &[u8]) -> u64 {
    let mut word = 0;
    let mut rest = tail;
    let mut shift = 0;
    if let Some((four, after)) = rest.split_first_chunk::<4>() {
        word = u64::from(u32::from_le_bytes(*four));
        rest = after;
        shift = 32;
    }
    if let Some((two, after)) = rest.split_first_chunk::<2>() {
        word |= u64::from(u16::from_le_bytes(*two)) << shift;
        rest = after;
        shift += 16;
    }
    if let Some(byte) = rest.first() {
        word |= u64::from(*byte) << shift;
    }
    word
}

/// Packs text into words as it is formatted, up to a limit.
#[derive(Debug)]
pub struct TextPacker<'w, W> {
    words: &'w mut W,
    // The bytes of the last, unfinished word: `len_bytes % 8` of them.
    word: u64,
    len_bytes: usize,
    // None once something has been cut, so that nothing follows it.
    bytes_left: usize,
    cut: bool,
}

impl<'w, W: Words> TextPacker<'w, W> {
    /// Packs up to `bytes_max` bytes; the words must have room for them.
    #[inline]
    pub(super) const fn new(words: &'w mut W, bytes_max: usize) -> Self {
        Self {
            words,
            word: 0,
            len_bytes: 0,
            bytes_left: bytes_max,
            cut: false,
        }
    }

    /// Appends text; what is over the limit is cut at a character boundary.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        if text.len() <= self.bytes_left {
            self.pack(text.as_bytes());
        } else {
            self.push_cut(text.floor_char_boundary(self.bytes_left), text.as_bytes());
        }
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.bytes_left {
            self.pack(bytes);
        } else {
            self.push_cut(self.bytes_left, bytes);
        }
    }

    #[cold]
    fn push_cut(&mut self, end: usize, bytes: &[u8]) {
        self.pack(&bytes[..end]);
        self.bytes_left = 0;
        self.cut = true;
    }

    #[inline]
    fn pack(&mut self, bytes: &[u8]) {
        let shift = (self.len_bytes % WORD_BYTES) as u32 * 8;
        self.len_bytes += bytes.len();
        self.bytes_left -= bytes.len();
        let (chunks, tail) = bytes.as_chunks::<WORD_BYTES>();
        if shift == 0 {
            for chunk in chunks {
                self.words.push(u64::from_le_bytes(*chunk));
            }
            self.word = load_tail(tail);
        } else {
            for chunk in chunks {
                let word = u64::from_le_bytes(*chunk);
                self.words.push(self.word | word << shift);
                self.word = word >> (64 - shift);
            }
            let word = load_tail(tail);
            let joined = self.word | word << shift;
            if shift as usize / 8 + tail.len() >= WORD_BYTES {
                self.words.push(joined);
                self.word = word >> (64 - shift);
            } else {
                self.word = joined;
            }
        }
    }

    /// Writes the last word; how many bytes there are, and whether some were cut.
    #[inline]
    pub(super) fn finish(self) -> (usize, bool) {
        if !self.len_bytes.is_multiple_of(WORD_BYTES) {
            self.words.push(self.word);
        }
        (self.len_bytes, self.cut)
    }
}

impl<W: Words> fmt::Write for TextPacker<'_, W> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}
