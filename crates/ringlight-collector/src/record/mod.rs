//! The record: how one span or log record lies in a ring, between the thread that made it and the
//! collector that encodes it.
//!
//! A record is a header and a list of items, all of them whole little-endian 64-bit words, so that
//! an item can be written word by word into the atomic words of an open span's slot and closing a
//! span is one copy. It never leaves the process: the layout may change with every version.
//!
//! # Header
//!
//! | word | span | log record |
//! |---|---|---|
//! | 0 | head (below) | head (below) |
//! | 1 | callsite id, 0 where there is none | callsite id, 0 where there is none |
//! | 2, 3 | trace id, high and low half | trace id, high and low half, 0 outside of spans |
//! | 4 | span id | span id, 0 outside of spans |
//! | 5 | parent span id, 0 for a root | time, Unix nanoseconds |
//! | 6 | start, Unix nanoseconds | - |
//! | 7 | end, Unix nanoseconds | - |
//!
//! The head, from its lowest byte up: what the record is (1 span, 2 log record); status code (span)
//! or severity number (log record); span kind; W3C trace flags; dropped attributes (16 bits,
//! saturating); texts that were cut (8 bits, saturating); 1 for a span whose parent is in another process, and for a
//! log record that is an audit record.
//!
//! Two more kinds of records have no items and are for sinks alone: a slice (3), the time a thread was in a span, with
//! the thread that opened the span above its first byte, and the name of a thread (4). See [`Slice`] and [`ThreadName`].
//!
//! # Items
//!
//! An item begins with one word, from its lowest byte up: tag; flags (1: the text was cut, 2: the
//! key is text); key (16 bits: the index of the callsite's field, or the length of the key's text in
//! bytes); length (32 bits). The key's text, if it is text, follows, padded with zeros to a whole
//! word. Then, by tag:
//!
//! | tag | item | length | words |
//! |---|---|---|---|
//! | 1 | attribute, truth value | 0 or 1 | none |
//! | 2, 3, 4 | attribute, `i64`, `u64`, `f64` | 0 | the value's bits |
//! | 5, 6 | attribute, UTF-8 text, bytes | in bytes | the bytes, padded with zeros |
//! | 7 | link to another span | in words | trace id (2), span id, W3C trace flags, items |
//! | 8 | a span around a log record | in words | its callsite id, items |
//! | 9 | name, of the span in place of the callsite's, or of an event | in bytes | the text, padded |
//! | 10 | status message | in bytes | the text, padded |
//! | 11 | the whole span, as OTLP; the only item of its record | in bytes | the encoded item, padded |
//! | 12 | W3C trace state, of the span or of a link | in bytes | the text, padded |
//! | 13 | attribute, list | in words | an item for each element, whose key means nothing |
//! | 14 | event of the span | in words | Unix nanoseconds, items |
//! | 15 | events and links of the span that were dropped | events | none |
//!
//! The items within a link are its trace state and attributes, those within an event its name and
//! attributes; the key of a link or event is how many of its attributes were dropped, that of item 15
//! how many links. Those within a span around a log record are the attributes it had by then; there is
//! one item for each such span, the innermost one first. Lists hold no lists.
//!
//! Writers do not repeat a key within a record. What a field *means* (a log record's `message` is
//! its body, `otel.name` a span's name) is not in the record but in the field's name: see
//! [`FieldRole`], which the encoder asks once a callsite.

mod header;
mod nested;
mod pack;
mod read;
mod role;
mod slice;
mod trim;
mod write;

#[cfg(test)]
mod tests;

use ringlight_model::{Severity, SpanId, SpanKind, StatusCode};

pub use header::{LogHeader, SpanHeader};
pub(crate) use nested::{close_nested, open_nested};
pub use pack::{TextPacker, load_tail};
pub use read::{
    EnclosingSpan, Item, Items, KeyRef, List, LogRecord, PlainValue, Record, SpanRecord, Text,
    ValueRef,
};
pub use role::{FieldRole, parse_span_kind, parse_status_code};
pub(crate) use slice::is_for_sinks;
pub use slice::{SLICE_WORDS, Slice, ThreadName};
pub use trim::trim_items;
pub use write::{
    ItemKind, ItemWriter, Key, Words, Written, copy_words, dropped_item, encoded_item, item_field,
    item_kind, item_name_bytes, item_words, push_bytes_by_words,
};

/// Bytes of a word.
pub const WORD_BYTES: usize = 8;
/// Words of a span's header.
pub const SPAN_HEADER_WORDS: usize = 8;
/// Words of a log record's header.
pub const LOG_HEADER_WORDS: usize = 6;
/// The highest field index an item can refer to.
pub const FIELD_INDEX_MAX: usize = u16::MAX as usize;

const KIND_SPAN: u8 = 1;
const KIND_LOG: u8 = 2;
const KIND_SLICE: u8 = 3;
const KIND_THREAD: u8 = 4;

const TAG_BOOL: u8 = 1;
const TAG_I64: u8 = 2;
const TAG_U64: u8 = 3;
const TAG_F64: u8 = 4;
const TAG_TEXT: u8 = 5;
const TAG_BYTES: u8 = 6;
const TAG_LINK: u8 = 7;
const TAG_ENCLOSING: u8 = 8;
const TAG_NAME: u8 = 9;
const TAG_STATUS_MESSAGE: u8 = 10;
const TAG_ENCODED: u8 = 11;
const TAG_TRACE_STATE: u8 = 12;
const TAG_LIST: u8 = 13;
const TAG_EVENT: u8 = 14;
const TAG_DROPPED: u8 = 15;

/// In the highest byte of a span's head.
const REMOTE_PARENT: u64 = 1;
/// In the highest byte of a log record's head.
const AUDIT: u64 = 1;

/// Words of a link before its items.
const LINK_WORDS: usize = 4;
/// Words of an event before its items.
const EVENT_WORDS: usize = 1;
/// Words of an enclosing span before its items.
const ENCLOSING_WORDS: usize = 1;

const FLAG_CUT: u8 = 1;
const FLAG_KEY_TEXT: u8 = 2;

/// Why the bytes are not a record. It takes a defect of the product to meet one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record does not decode at word {word}: {reason}")]
#[non_exhaustive]
pub struct RecordError {
    /// Where.
    pub word: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// The first word of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head(u64);

impl Head {
    /// The head of a span.
    #[must_use]
    pub const fn span(kind: SpanKind, status: StatusCode, flags: u8) -> Self {
        Self(KIND_SPAN as u64 | (status as u64) << 8 | (kind as u64) << 16 | (flags as u64) << 24)
    }

    /// The head of a log record.
    #[must_use]
    pub const fn log(severity: Severity, flags: u8) -> Self {
        Self(KIND_LOG as u64 | (severity.number() as u64) << 8 | (flags as u64) << 24)
    }

    /// A head from its word.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The same head with another status code.
    #[must_use]
    pub const fn with_status(self, status: StatusCode) -> Self {
        Self((self.0 & !(0xff << 8)) | (status as u64) << 8)
    }

    /// The same head with `count` more attributes dropped.
    #[must_use]
    pub const fn with_dropped(self, count: u16) -> Self {
        let dropped = self.dropped_attributes().saturating_add(count);
        Self((self.0 & !(0xffff << 32)) | (dropped as u64) << 32)
    }

    /// The same head with `count` more texts cut.
    #[must_use]
    pub const fn with_cut(self, count: u8) -> Self {
        let cut = self.texts_cut().saturating_add(count);
        Self((self.0 & !(0xff << 48)) | (cut as u64) << 48)
    }

    /// The head of a span whose parent is in another process, so that its trace begins with it here.
    #[must_use]
    pub const fn with_remote_parent(self) -> Self {
        Self(self.0 | REMOTE_PARENT << 56)
    }

    /// Whether the span's parent is known to be in another process.
    #[must_use]
    pub const fn has_remote_parent(self) -> bool {
        self.0 >> 56 & REMOTE_PARENT != 0
    }

    /// The head of a log record that is an audit record: of all records, those that are dropped last.
    #[must_use]
    pub const fn with_audit(self) -> Self {
        Self(self.0 | AUDIT << 56)
    }

    /// Whether it is an audit record.
    #[must_use]
    pub const fn is_audit(self) -> bool {
        self.record_kind() == KIND_LOG && self.0 >> 56 & AUDIT != 0
    }

    /// Whether a span with this parent is worth more than most: it failed, or its trace begins with
    /// it, as far as this process goes.
    #[must_use]
    pub const fn is_urgent(self, parent_span_id: SpanId) -> bool {
        matches!(self.status(), StatusCode::Error)
            || !parent_span_id.is_valid()
            || self.has_remote_parent()
    }

    /// The status code, if the record is a span.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self.byte(1) {
            1 => StatusCode::Ok,
            2 => StatusCode::Error,
            _ => StatusCode::Unset,
        }
    }

    /// The severity, if the record is a log record.
    #[must_use]
    pub const fn severity(self) -> Severity {
        Severity::from_otlp(self.byte(1) as i32)
    }

    /// The span kind, if the record is a span.
    #[must_use]
    pub const fn kind(self) -> SpanKind {
        match self.byte(2) {
            1 => SpanKind::Internal,
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        }
    }

    /// W3C trace flags.
    #[must_use]
    pub const fn flags(self) -> u8 {
        self.byte(3)
    }

    /// Attributes dropped while recording; stays at 65 535 once there.
    #[must_use]
    pub const fn dropped_attributes(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Texts cut while recording; stays at 255 once there.
    #[must_use]
    pub const fn texts_cut(self) -> u8 {
        self.byte(6)
    }

    const fn record_kind(self) -> u8 {
        self.byte(0)
    }

    const fn byte(self, index: u32) -> u8 {
        (self.0 >> (index * 8)) as u8
    }
}

/// The first word of an item.
#[derive(Clone, Copy)]
struct ItemHead(u64);

impl ItemHead {
    const fn new(tag: u8, flags: u8, key: u16, len: u32) -> Self {
        Self(tag as u64 | (flags as u64) << 8 | (key as u64) << 16 | (len as u64) << 32)
    }

    const fn tag(self) -> u8 {
        self.0 as u8
    }

    const fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }

    const fn key(self) -> u16 {
        (self.0 >> 16) as u16
    }

    const fn len(self) -> u32 {
        (self.0 >> 32) as u32
    }

    const fn key_words(self) -> usize {
        if self.flags() & FLAG_KEY_TEXT == 0 {
            0
        } else {
            (self.key() as usize).div_ceil(WORD_BYTES)
        }
    }

    /// Words after the head and the key; `None` for an unknown tag.
    const fn value_words(self) -> Option<usize> {
        let len = self.len() as usize;
        match self.tag() {
            TAG_BOOL | TAG_DROPPED => Some(0),
            TAG_I64 | TAG_U64 | TAG_F64 => Some(1),
            TAG_TEXT | TAG_BYTES | TAG_NAME | TAG_STATUS_MESSAGE | TAG_ENCODED
            | TAG_TRACE_STATE => Some(len.div_ceil(WORD_BYTES)),
            TAG_LINK | TAG_ENCLOSING | TAG_LIST | TAG_EVENT => Some(len),
            _ => None,
        }
    }

    /// Words of the value before the items within it; `None` if there are none.
    const fn nested_at(self) -> Option<usize> {
        match self.tag() {
            TAG_LINK => Some(LINK_WORDS),
            TAG_EVENT => Some(EVENT_WORDS),
            TAG_ENCLOSING => Some(ENCLOSING_WORDS),
            TAG_LIST => Some(0),
            _ => None,
        }
    }
}
