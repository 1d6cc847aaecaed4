//! Writing records: what takes words, and what writes items as words.

use ringlight_model::{CallsiteId, SpanId, TraceId};

use super::pack::{SHORT_BYTES, load_short};
use super::{
    FLAG_CUT, FLAG_KEY_TEXT, ItemHead, TAG_BOOL, TAG_BYTES, TAG_DROPPED, TAG_ENCLOSING,
    TAG_ENCODED, TAG_EVENT, TAG_F64, TAG_I64, TAG_LINK, TAG_LIST, TAG_NAME, TAG_STATUS_MESSAGE,
    TAG_TEXT, TAG_TRACE_STATE, TAG_U64, Text, TextPacker, WORD_BYTES, load_tail,
};

/// Words there must be room for where a link or an event begins, so that it says at least what it is.
const NESTED_ROOM_MIN: usize = 32;

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

    /// Appends the first `count` of a few words, or none: there may be room all the same, but the
    /// words have to be appended one by one.
    #[inline]
    fn push_few<const N: usize>(&mut self, words: [u64; N], count: usize) -> bool {
        let fits = self.room() >= count;
        if fits {
            for word in words.into_iter().take(count) {
                self.push(word);
            }
        }
        fits
    }

    /// Appends `head` and then the bytes, padded with zeros to whole words, or nothing if there is
    /// no room for all of it.
    #[inline]
    fn push_bytes(&mut self, head: u64, bytes: &[u8]) -> bool {
        push_bytes_by_words(self, head, bytes)
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
        if let Key::Field(index) = key {
            let head = ItemHead::new(tag, 0, index, 0);
            if self.words.push_few([head.0, bits], 2) {
                return Written::Whole;
            }
            return far_number(self.words, tag, index, bits);
        }
        self.fixed(tag, key, 0, &[bits])
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
        let Key::Field(index) = key else {
            return self.packed(TAG_TEXT, key, |packer| packer.push_str(value));
        };
        // Most texts are short: two words, of which the second may be in vain.
        if value.len() <= SHORT_BYTES.min(self.text_bytes_max) {
            let head = ItemHead::new(TAG_TEXT, 0, index, value.len() as u32);
            let (first, second) = load_short(value.as_bytes());
            let count = 1 + value.len().div_ceil(WORD_BYTES);
            if self.words.push_few([head.0, first, second], count) {
                return Written::Whole;
            }
        }
        long_text(self.words, self.text_bytes_max, index, value)
    }

    /// Whatever `fill` writes, as a text.
    ///
    /// What does not fit is dropped and the item marked, but the packer never fails: formatting code
    /// that unwraps the result of a write must not panic because its text is long.
    #[inline]
    pub fn format(&mut self, key: Key<'_>, fill: impl FnOnce(&mut TextPacker<'_, W>)) -> Written {
        self.packed(TAG_TEXT, key, fill)
    }

    /// A text of another record, which may have been cut there.
    pub fn copy_text(&mut self, key: Key<'_>, text: Text<'_>) -> Written {
        self.packed(TAG_TEXT, key, |packer| packer.push_text(text))
    }

    /// Opaque bytes.
    pub fn bytes(&mut self, key: Key<'_>, value: &[u8]) -> Written {
        if let Key::Field(index) = key
            && value.len() <= self.text_bytes_max
        {
            let head = ItemHead::new(TAG_BYTES, 0, index, value.len() as u32);
            if self.words.push_bytes(head.0, value) {
                return Written::Whole;
            }
        }
        self.packed(TAG_BYTES, key, |packer| packer.push_bytes(value))
    }

    /// Several values, each written by `fill` under any key. Nothing is written if `fill` says that
    /// an element was dropped.
    pub fn list(
        &mut self,
        key: Key<'_>,
        fill: impl FnOnce(&mut ItemWriter<'_, W>) -> Written,
    ) -> Written {
        let start = self.words.len();
        let (_, key_index, _) = split(key);
        let mut filled = Written::Whole;
        let written = self.nested(TAG_LIST, key, &[], |elements| {
            filled = fill(elements);
            key_index
        });
        match filled {
            Written::Dropped => {
                self.words.truncate(start);
                Written::Dropped
            }
            Written::Cut if written == Written::Whole => Written::Cut,
            _ => written,
        }
    }

    /// A link to another span. `fill` writes its trace state and attributes and says how many of
    /// these were dropped. It is dropped whole where little room is left.
    pub fn link(
        &mut self,
        trace_id: TraceId,
        span_id: SpanId,
        flags: u8,
        fill: impl FnOnce(&mut ItemWriter<'_, W>) -> u16,
    ) -> Written {
        let trace = trace_id.get();
        let value = [
            (trace >> 64) as u64,
            trace as u64,
            span_id.get(),
            u64::from(flags),
        ];
        self.nested_with_room(TAG_LINK, &value, fill)
    }

    /// An event of the span. `fill` writes its name and attributes and says how many of these were
    /// dropped. It is dropped whole where little room is left.
    pub fn event(
        &mut self,
        time_unix_nano: u64,
        fill: impl FnOnce(&mut ItemWriter<'_, W>) -> u16,
    ) -> Written {
        self.nested_with_room(TAG_EVENT, &[time_unix_nano], fill)
    }

    /// How many events and links of the span were dropped.
    pub fn dropped(&mut self, events: u32, links: u16) -> Written {
        self.fixed(TAG_DROPPED, Key::Field(links), events, &[])
    }

    /// A span around a log record: its callsite, and its attributes among these whole items, as far
    /// as there is room.
    pub fn enclosing(&mut self, callsite: CallsiteId, items: &[u64]) -> Written {
        self.nested(TAG_ENCLOSING, Key::Field(0), &[callsite.get()], |within| {
            within.copy_attributes(items);
            0
        })
    }

    fn copy_attributes(&mut self, mut items: &[u64]) {
        while let Some(&word) = items.first()
            && let Some(words) = item_words(word)
            && let Some((item, rest)) = items.split_at_checked(words)
            && self.words.room() >= words
        {
            if item_kind(word) == ItemKind::Attribute {
                for word in item {
                    self.words.push(*word);
                }
            }
            items = rest;
        }
    }

    /// The span's name, in place of its callsite's; or the name of an event.
    pub fn name(&mut self, name: &str) -> Written {
        self.packed(TAG_NAME, Key::Field(0), |packer| packer.push_str(name))
    }

    /// The same from a text of another record, which may have been cut there.
    pub fn copy_name(&mut self, name: Text<'_>) -> Written {
        self.packed(TAG_NAME, Key::Field(0), |packer| packer.push_text(name))
    }

    /// The status message.
    pub fn status_message(&mut self, message: &str) -> Written {
        self.status_message_of(&[message])
    }

    /// The same from a text of another record, which may have been cut there.
    pub(crate) fn copy_status_message(&mut self, message: Text<'_>) -> Written {
        self.packed(TAG_STATUS_MESSAGE, Key::Field(0), |packer| {
            packer.push_text(message);
        })
    }

    /// The status message, in parts.
    pub fn status_message_of(&mut self, parts: &[&str]) -> Written {
        self.packed(TAG_STATUS_MESSAGE, Key::Field(0), |packer| {
            parts.iter().for_each(|part| packer.push_str(part));
        })
    }

    /// W3C trace state.
    pub fn trace_state(&mut self, state: &str) -> Written {
        self.packed(TAG_TRACE_STATE, Key::Field(0), |packer| {
            packer.push_str(state);
        })
    }

    fn nested_with_room(
        &mut self,
        tag: u8,
        value: &[u64],
        fill: impl FnOnce(&mut ItemWriter<'_, W>) -> u16,
    ) -> Written {
        if self.words.room() < NESTED_ROOM_MIN {
            return Written::Dropped;
        }
        self.nested(tag, Key::Field(0), value, fill)
    }

    /// An item with items within it; what `fill` returns goes where the key is.
    fn nested(
        &mut self,
        tag: u8,
        key: Key<'_>,
        value: &[u64],
        fill: impl FnOnce(&mut ItemWriter<'_, W>) -> u16,
    ) -> Written {
        let start = self.words.len();
        let written = self.fixed(tag, key, value.len() as u32, value);
        if written == Written::Whole {
            let (flags, _, name) = split(key);
            let value_at = start + 1 + name.len().div_ceil(WORD_BYTES);
            let key = fill(&mut ItemWriter::new(self.words, self.text_bytes_max));
            let len = self.words.len() - value_at;
            let head = ItemHead::new(tag, flags, key, len as u32);
            self.words.set(start, head.0);
        }
        written
    }

    #[inline(never)]
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
        let room = self.words.room();
        // One word of value at least, so that a text is not cut to nothing for want of room.
        let least = usize::from(self.text_bytes_max >= WORD_BYTES);
        if room < 1 + key_words + least {
            return Written::Dropped;
        }
        self.words.push(0);
        if key_words > 0 {
            push_padded(self.words, name);
        }
        let room_bytes = (room - 1 - key_words) * WORD_BYTES;
        let mut packer = TextPacker::new(self.words, self.text_bytes_max.min(room_bytes));
        fill(&mut packer);
        let (len, cut) = packer.finish();
        let flags = flags | if cut { FLAG_CUT } else { 0 };
        self.words
            .set(start, ItemHead::new(tag, flags, key, len as u32).0);
        if cut { Written::Cut } else { Written::Whole }
    }
}

/// A number for which there is little room.
#[cold]
#[inline(never)]
fn far_number(words: &mut impl Words, tag: u8, index: u16, bits: u64) -> Written {
    ItemWriter::new(words, 0).fixed(tag, Key::Field(index), 0, &[bits])
}

/// A text that is not short, or for which there is little room.
#[inline(never)]
fn long_text(words: &mut impl Words, text_bytes_max: usize, index: u16, value: &str) -> Written {
    if value.len() <= text_bytes_max {
        let head = ItemHead::new(TAG_TEXT, 0, index, value.len() as u32);
        if words.push_bytes(head.0, value.as_bytes()) {
            return Written::Whole;
        }
    }
    let mut writer = ItemWriter::new(words, text_bytes_max);
    writer.packed(TAG_TEXT, Key::Field(index), |packer| packer.push_str(value))
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

/// [`Words::push_bytes`], word by word.
#[inline]
pub fn push_bytes_by_words(words: &mut (impl Words + ?Sized), head: u64, bytes: &[u8]) -> bool {
    let fits = words.room() > bytes.len().div_ceil(WORD_BYTES);
    if fits {
        words.push(head);
        push_padded(words, bytes);
    }
    fits
}

#[inline]
fn push_padded(words: &mut (impl Words + ?Sized), bytes: &[u8]) {
    let (chunks, tail) = bytes.as_chunks::<WORD_BYTES>();
    for chunk in chunks {
        words.push(u64::from_le_bytes(*chunk));
    }
    if !tail.is_empty() {
        words.push(load_tail(tail));
    }
}

/// The first word of the item that is a whole span in `len_bytes` bytes of OTLP; the bytes follow,
/// padded with zeros to whole words.
#[must_use]
pub const fn encoded_item(len_bytes: u32) -> u64 {
    ItemHead::new(TAG_ENCODED, 0, 0, len_bytes).0
}

/// The one word of the item that says how many events and links of the span were dropped.
#[must_use]
pub const fn dropped_item(events: u32, links: u16) -> u64 {
    ItemHead::new(TAG_DROPPED, 0, links, events).0
}

/// How many words the item that begins with `word` has, itself included; `None` if no item begins
/// so.
#[must_use]
pub fn item_words(word: u64) -> Option<usize> {
    let head = ItemHead(word);
    Some(1 + head.key_words() + head.value_words()?)
}

/// What an item is, by its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// An attribute.
    Attribute,
    /// A link to another span.
    Link,
    /// An event of the span.
    Event,
    /// The span's name.
    Name,
    /// The status message.
    StatusMessage,
    /// How many events and links were dropped.
    Dropped {
        /// Events.
        events: u32,
        /// Links.
        links: u16,
    },
    /// Anything else.
    Other,
}

/// What the item that begins with `word` is.
#[must_use]
pub const fn item_kind(word: u64) -> ItemKind {
    let head = ItemHead(word);
    match head.tag() {
        TAG_BOOL..=TAG_BYTES | TAG_LIST => ItemKind::Attribute,
        TAG_LINK => ItemKind::Link,
        TAG_EVENT => ItemKind::Event,
        TAG_NAME => ItemKind::Name,
        TAG_STATUS_MESSAGE => ItemKind::StatusMessage,
        TAG_DROPPED => ItemKind::Dropped {
            events: head.len(),
            links: head.key(),
        },
        _ => ItemKind::Other,
    }
}

/// The field index of the item that begins with `word`, if it is an attribute under a field of the
/// callsite.
#[must_use]
pub fn item_field(word: u64) -> Option<u16> {
    let head = ItemHead(word);
    let is_field = item_kind(word) == ItemKind::Attribute && head.flags() & FLAG_KEY_TEXT == 0;
    is_field.then(|| head.key())
}

/// The length in bytes of the key of the item that begins with `word`, which follows the word, if it
/// is an attribute under a name.
#[must_use]
pub fn item_name_bytes(word: u64) -> Option<usize> {
    let head = ItemHead(word);
    let is_named = item_kind(word) == ItemKind::Attribute && head.flags() & FLAG_KEY_TEXT != 0;
    is_named.then(|| usize::from(head.key()))
}
