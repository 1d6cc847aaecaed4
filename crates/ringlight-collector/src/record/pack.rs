//! Packing bytes, formatted piece by piece, into words.

use std::fmt;

use super::{Text, WORD_BYTES, Words};

/// Up to seven bytes as the low bytes of a word, by two loads that may overlap instead of a call to
/// `memcpy` for their few bytes.
#[inline]
#[must_use]
pub fn load_tail(tail: &[u8]) -> u64 {
    debug_assert!(tail.len() < WORD_BYTES);
    if let (Some(low), Some(high)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        let low = u64::from(u32::from_le_bytes(*low));
        return low | u64::from(u32::from_le_bytes(*high)) << (8 * (tail.len() - 4));
    }
    if let (Some(low), Some(high)) = (tail.first_chunk::<2>(), tail.last_chunk::<2>()) {
        let low = u64::from(u16::from_le_bytes(*low));
        return low | u64::from(u16::from_le_bytes(*high)) << (8 * (tail.len() - 2));
    }
    tail.first().map_or(0, |byte| u64::from(*byte))
}

/// Bytes that [`load_short`] takes.
pub(super) const SHORT_BYTES: usize = 2 * WORD_BYTES;

/// Up to [`SHORT_BYTES`] bytes as the low bytes of two words, again by loads that may overlap.
#[inline]
pub(super) fn load_short(bytes: &[u8]) -> (u64, u64) {
    debug_assert!(bytes.len() <= SHORT_BYTES);
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let unwanted_bits = 8 * (SHORT_BYTES - bytes.len()) as u32;
            let last = u64::from_le_bytes(*last).checked_shr(unwanted_bits);
            (u64::from_le_bytes(*first), last.unwrap_or(0))
        }
        _ => (load_tail(bytes), 0),
    }
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

    /// Appends a text that may have been cut already. Nothing can follow it then.
    pub(super) fn push_text(&mut self, text: Text<'_>) {
        self.push_str(&text.to_str());
        if text.cut {
            self.bytes_left = 0;
            self.cut = true;
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
        let used = self.len_bytes % WORD_BYTES;
        self.len_bytes += bytes.len();
        self.bytes_left -= bytes.len();
        // Most pieces are short: a number, a unit.
        if used + bytes.len() < WORD_BYTES {
            self.word |= load_tail(bytes) << (8 * used);
        } else {
            self.pack_words(used as u32 * 8, bytes);
        }
    }

    /// Packs bytes that fill the unfinished word, of which `shift` bits are taken, at least.
    #[inline(never)]
    fn pack_words(&mut self, shift: u32, bytes: &[u8]) {
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
            if shift as usize + 8 * tail.len() >= u64::BITS as usize {
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
