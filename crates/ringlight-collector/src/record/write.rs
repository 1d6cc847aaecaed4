//! Writing records.

use std::fmt;

use ringlight_model::{CallsiteId, Severity, SpanId, SpanKind, StatusCode, TraceId};

use super::{
    FLAG_CUT, FLAG_KEY_TEXT, Head, ItemHead, LOG_HEADER_WORDS, SPAN_HEADER_WORDS, TAG_BOOL,
    TAG_BYTES, TAG_F64, TAG_I64, TAG_LINK, TAG_NAME, TAG_SCOPE_PATH, TAG_STATUS_MESSAGE, TAG_TEXT,
    TAG_U64, WORD_BYTES,
};

/// The header of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanHeader {
    /// Kind, status, flags, what was dropped.
    pub head: Head,
    /// Where in the source it was made; zero where there is no callsite.
    pub callsite: CallsiteId,
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent, or [`SpanId::INVALID`].
    pub parent_span_id: SpanId,
    /// Start, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// End, Unix nanoseconds.
    pub end_unix_nano: u64,
}

impl SpanHeader {
    /// A header of an ordinary span: internal, status unset.
    #[must_use]
    pub const fn new(callsite: CallsiteId, trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            head: Head::span(SpanKind::Internal, StatusCode::Unset, 1),
            callsite,
            trace_id,
            span_id,
            parent_span_id: SpanId::INVALID,
            start_unix_nano: 0,
            end_unix_nano: 0,
        }
    }

    /// The words of the header.
    #[must_use]
    pub const fn to_words(&self) -> [u64; SPAN_HEADER_WORDS] {
        [
            self.head.word(),
            self.callsite.get(),
            (self.trace_id.get() >> 64) as u64,
            self.trace_id.get() as u64,
            self.span_id.get(),
            self.parent_span_id.get(),
            self.start_unix_nano,
            self.end_unix_nano,
        ]
    }
}

/// The header of a log record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHeader {
    /// Severity, flags, what was dropped.
    pub head: Head,
    /// Where in the source it was made; zero where there is no callsite.
    pub callsite: CallsiteId,
    /// The trace it was logged in, or [`TraceId::INVALID`].
    pub trace_id: TraceId,
    /// The span it was logged in, or [`SpanId::INVALID`].
    pub span_id: SpanId,
    /// When, Unix nanoseconds.
    pub time_unix_nano: u64,
}

impl LogHeader {
    /// A header of a log record outside of spans.
    #[must_use]
    pub const fn new(callsite: CallsiteId, severity: Severity, time_unix_nano: u64) -> Self {
        Self {
            head: Head::log(severity, 0),
            callsite,
            trace_id: TraceId::INVALID,
            span_id: SpanId::INVALID,
            time_unix_nano,
        }
    }

    /// The words of the header.
    #[must_use]
    pub const fn to_words(&self) -> [u64; LOG_HEADER_WORDS] {
        [
            self.head.word(),
            self.callsite.get(),
            (self.trace_id.get() >> 64) as u64,
            self.trace_id.get() as u64,
            self.span_id.get(),
            self.time_unix_nano,
        ]
    }
}

/// Copies words into a reservation, as many as both have.
pub fn copy_words(words: impl IntoIterator<Item = u64>, buffer: &mut [u8]) {
    let (chunks, _) = buffer.as_chunks_mut::<WORD_BYTES>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
}

/// A place that takes the words of items: a growing buffer, or the words of an open span's slot.
pub trait Words {
    /// Words written so far.
    fn len(&self) -> usize;

    /// Whether nothing has been written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more words there is room for.
    fn room(&self) -> usize;

    /// Appends a word. The caller has made sure of the [`room`](Self::room); without room the word
    /// is lost.
    fn push(&mut self, word: u64);

    /// Appends two words, or none if there is no room for both.
    #[inline]
    fn push_pair(&mut self, first: u64, second: u64) -> bool {
        let fits = self.room() >= 2;
        if fits {
            self.push(first);
            self.push(second);
        }
        fits
    }

    /// Appends `head` and then the bytes, padded with zeros to whole words, or nothing if there is
    /// no room for all of it.
    #[inline]
    fn push_bytes(&mut self, head: u64, bytes: &[u8]) -> bool {
        let fits = self.room() > bytes.len().div_ceil(WORD_BYTES);
        if fits {
            self.push(head);
            let (chunks, tail) = bytes.as_chunks::<WORD_BYTES>();
            for chunk in chunks {
                self.push(u64::from_le_bytes(*chunk));
            }
            if !tail.is_empty() {
                self.push(load_tail(tail));
            }
        }
        fits
    }

    /// Replaces a word written before.
    fn set(&mut self, at: usize, word: u64);

    /// Forgets the words from `len` on.
    fn truncate(&mut self, len: usize);
}

/// A growing buffer with room for up to 2^20 words.
impl Words for Vec<u64> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn room(&self) -> usize {
        (1 << 20) - Vec::len(self).min(1 << 20)
    }

    fn push(&mut self, word: u64) {
        Vec::push(self, word);
    }

    fn set(&mut self, at: usize, word: u64) {
        if let Some(slot) = self.get_mut(at) {
            *slot = word;
        }
    }

    fn truncate(&mut self, len: usize) {
        Vec::truncate(self, len);
    }
}

/// The key of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// A field of the record's callsite, by index.
    Field(u16),
    /// A key that no callsite knows, up to 65 535 bytes; the rest is cut.
    Name(&'a str),
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It is there.
    Whole,
    /// It is there, its text shortened and marked as cut.
    Cut,
    /// There was no room; nothing was written.
    Dropped,
}

/// Appends items to words.
#[derive(Debug)]
pub struct ItemWriter<'w, W> {
    words: &'w mut W,
    text_bytes_max: usize,
}

impl<'w, W: Words> ItemWriter<'w, W> {
    /// A writer that cuts texts and byte strings at `text_bytes_max` (at most `u32::MAX`).
    #[inline]
    pub const fn new(words: &'w mut W, text_bytes_max: usize) -> Self {
        Self {
            words,
            text_bytes_max,
        }
    }

    /// A truth value.
    #[inline]
    pub fn bool(&mut self, key: Key<'_>, value: bool) -> Written {
        self.fixed(TAG_BOOL, key, u32::from(value), &[])
    }

    #[inline]
    fn number(&mut self, tag: u8, key: Key<'_>, bits: u64) -> Written {
        match key {
            Key::Field(index) => {
                let head = ItemHead::new(tag, 0, index, 0);
                if self.words.push_pair(head.0, bits) {
                    Written::Whole
                } else {
                    Written::Dropped
                }
            }
            Key::Name(_) => self.fixed(tag, key, 0, &[bits]),
        }
    }

    /// A signed integer.
    #[inline]
    pub fn i64(&mut self, key: Key<'_>, value: i64) -> Written {
        self.number(TAG_I64, key, value.cast_unsigned())
    }

    /// An unsigned integer.
    #[inline]
    pub fn u64(&mut self, key: Key<'_>, value: u64) -> Written {
        self.number(TAG_U64, key, value)
    }

    /// A floating-point number.
    #[inline]
    pub fn f64(&mut self, key: Key<'_>, value: f64) -> Written {
        self.number(TAG_F64, key, value.to_bits())
    }

    /// A text.
    #[inline]
    pub fn text(&mut self, key: Key<'_>, value: &str) -> Written {
        if let Key::Field(index) = key
            && value.len() <= self.text_bytes_max
        {
            let head = ItemHead::new(TAG_TEXT, 0, index, value.len() as u32);
            if self.words.push_bytes(head.0, value.as_bytes()) {
                return Written::Whole;
            }
        }
        self.text_in_pieces(key, value)
    }

    /// A text that has to be cut, or whose key is text.
    #[cold]
    #[inline(never)]
    fn text_in_pieces(&mut self, key: Key<'_>, value: &str) -> Written {
        self.packed(TAG_TEXT, key, |packer| packer.push_str(value))
    }

    /// Whatever `fill` writes, as a text.
    ///
    /// What does not fit is dropped and the item marked, but the packer never fails: formatting code
    /// that unwraps the result of a write must not panic because its text is long.
    #[inline]
    pub fn format(&mut self, key: Key<'_>, fill: impl FnOnce(&mut TextPacker<'_, W>)) -> Written {
        self.packed(TAG_TEXT, key, fill)
    }

    /// Opaque bytes.
    pub fn bytes(&mut self, key: Key<'_>, value: &[u8]) -> Written {
        self.packed(TAG_BYTES, key, |packer| packer.push_bytes(value))
    }

    /// A link to another span.
    pub fn link(&mut self, trace_id: TraceId, span_id: SpanId, flags: u8) -> Written {
        let trace = trace_id.get();
        let value = [(trace >> 64) as u64, trace as u64, span_id.get()];
        self.fixed(TAG_LINK, Key::Field(0), u32::from(flags), &value)
    }

    /// The callsites of the enclosing spans, outermost first.
    pub fn scope_path(&mut self, callsites: &[CallsiteId]) -> Written {
        let Ok(count) = u32::try_from(callsites.len()) else {
            return Written::Dropped;
        };
        if self.words.room() < 1 + callsites.len() {
            return Written::Dropped;
        }
        self.words
            .push(ItemHead::new(TAG_SCOPE_PATH, 0, 0, count).0);
        for callsite in callsites {
            self.words.push(callsite.get());
        }
        Written::Whole
    }

    /// The span's name, in place of its callsite's.
    pub fn name(&mut self, name: &str) -> Written {
        self.packed(TAG_NAME, Key::Field(0), |packer| packer.push_str(name))
    }

    /// The status message.
    pub fn status_message(&mut self, message: &str) -> Written {
        self.packed(TAG_STATUS_MESSAGE, Key::Field(0), |packer| {
            packer.push_str(message);
        })
    }

    fn fixed(&mut self, tag: u8, key: Key<'_>, len: u32, value: &[u64]) -> Written {
        let (flags, key, name) = split(key);
        let key_words = name.len().div_ceil(WORD_BYTES);
        if self.words.room() < 1 + key_words + value.len() {
            return Written::Dropped;
        }
        self.words.push(ItemHead::new(tag, flags, key, len).0);
        push_padded(self.words, name);
        for word in value {
            self.words.push(*word);
        }
        Written::Whole
    }

    #[inline]
    fn packed(
        &mut self,
        tag: u8,
        key: Key<'_>,
        fill: impl FnOnce(&mut TextPacker<'_, W>),
    ) -> Written {
        let (flags, key, name) = split(key);
        let key_words = name.len().div_ceil(WORD_BYTES);
        let start = self.words.len();
        // One word of value at least, so that a text is not cut to nothing.
        let Some(room) = self.words.room().checked_sub(2 + key_words) else {
            return Written::Dropped;
        };
        self.words.push(0);
        if key_words > 0 {
            push_padded(self.words, name);
        }
        let room_bytes = (room + 1) * WORD_BYTES;
        let mut packer = TextPacker {
            words: self.words,
            word: 0,
            len_bytes: 0,
            bytes_left: self.text_bytes_max.min(room_bytes).min(u32::MAX as usize),
            cut: false,
        };
        fill(&mut packer);
        let (len, cut) = packer.finish();
        let flags = flags | if cut { FLAG_CUT } else { 0 };
        self.words
            .set(start, ItemHead::new(tag, flags, key, len as u32).0);
        if cut { Written::Cut } else { Written::Whole }
    }
}

#[inline]
fn split(key: Key<'_>) -> (u8, u16, &[u8]) {
    match key {
        Key::Field(index) => (0, index, &[]),
        Key::Name(name) => {
            let name = &name.as_bytes()[..name.floor_char_boundary(usize::from(u16::MAX))];
            (FLAG_KEY_TEXT, name.len() as u16, name)
        }
    }
}

#[inline]
fn push_padded(words: &mut impl Words, bytes: &[u8]) {
    let (chunks, tail) = bytes.as_chunks::<WORD_BYTES>();
    for chunk in chunks {
        words.push(u64::from_le_bytes(*chunk));
    }
    if !tail.is_empty() {
        words.push(load_tail(tail));
    }
}

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

impl<W: Words> TextPacker<'_, W> {
    /// Appends text; what is over the limit is cut at a character boundary.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        if text.len() <= self.bytes_left {
            self.pack(text.as_bytes());
        } else {
            self.push_cut(text.floor_char_boundary(self.bytes_left), text.as_bytes());
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
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

    #[inline]
    fn finish(self) -> (usize, bool) {
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

/// How many words the item that begins with `word` has, itself included; `None` if no item begins
/// so.
#[must_use]
pub fn item_words(word: u64) -> Option<usize> {
    let head = ItemHead(word);
    Some(1 + head.key_words() + head.value_words()?)
}

/// The field index of the item that begins with `word`, if it is an attribute under a field of the
/// callsite.
#[must_use]
pub fn item_field(word: u64) -> Option<u16> {
    let head = ItemHead(word);
    let is_field =
        (TAG_BOOL..=TAG_BYTES).contains(&head.tag()) && head.flags() & FLAG_KEY_TEXT == 0;
    is_field.then(|| head.key())
}
