//! Reading records.

use std::borrow::Cow;

use ringlight_model::{CallsiteId, SpanId, TraceId, Value};

use super::{
    ENCLOSING_WORDS, EVENT_WORDS, FLAG_CUT, FLAG_KEY_TEXT, Head, ItemHead, KIND_LOG, KIND_SPAN,
    LINK_WORDS, LOG_HEADER_WORDS, RecordError, SPAN_HEADER_WORDS, TAG_BOOL, TAG_BYTES, TAG_DROPPED,
    TAG_ENCLOSING, TAG_ENCODED, TAG_EVENT, TAG_F64, TAG_I64, TAG_LINK, TAG_LIST, TAG_NAME,
    TAG_STATUS_MESSAGE, TAG_TEXT, TAG_TRACE_STATE, TAG_U64, WORD_BYTES,
};

/// A word as it lies in a ring.
pub(crate) type Word = [u8; WORD_BYTES];

/// Items within items: a list in an event of a span.
const DEPTH_MAX: usize = 2;

/// One record, borrowed from the ring.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// A span that has closed.
    Span(SpanRecord<'a>),
    /// A log record.
    Log(LogRecord<'a>),
}

impl<'a> Record<'a> {
    /// Reads a record, checking that its items fill it exactly. Text is not checked: writers only
    /// write whole characters.
    ///
    /// # Errors
    /// When the bytes are not a record.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
        if !rest.is_empty() {
            return Err(error(words.len(), "length is not whole words"));
        }
        let head = words.first().ok_or(error(0, "empty"))?;
        match Head(u64::from_le_bytes(*head)).record_kind() {
            KIND_SPAN => {
                let (header, items) = words
                    .split_first_chunk::<SPAN_HEADER_WORDS>()
                    .ok_or(error(0, "header of a span is cut off"))?;
                check_items(items, DEPTH_MAX).map_err(|e| e.after(SPAN_HEADER_WORDS))?;
                Ok(Self::Span(SpanRecord { header, items }))
            }
            KIND_LOG => {
                let (header, items) = words
                    .split_first_chunk::<LOG_HEADER_WORDS>()
                    .ok_or(error(0, "header of a log record is cut off"))?;
                check_items(items, DEPTH_MAX).map_err(|e| e.after(LOG_HEADER_WORDS))?;
                Ok(Self::Log(LogRecord { header, items }))
            }
            _ => Err(error(0, "neither a span nor a log record")),
        }
    }

    /// The callsite, if it has one.
    #[must_use]
    pub fn callsite(&self) -> Option<CallsiteId> {
        match self {
            Self::Span(span) => span.callsite(),
            Self::Log(log) => log.callsite(),
        }
    }

    /// The first word.
    pub(crate) const fn head(&self) -> Head {
        match self {
            Self::Span(span) => span.head(),
            Self::Log(log) => log.head(),
        }
    }

    /// The words before the items.
    pub(crate) const fn header(&self) -> &'a [Word] {
        match self {
            Self::Span(span) => span.header,
            Self::Log(log) => log.header,
        }
    }

    /// The items.
    #[must_use]
    pub const fn items(&self) -> Items<'a> {
        match self {
            Self::Span(span) => span.items(),
            Self::Log(log) => log.items(),
        }
    }
}

impl RecordError {
    const fn after(self, words: usize) -> Self {
        Self {
            word: self.word + words,
            reason: self.reason,
        }
    }
}

const fn error(word: usize, reason: &'static str) -> RecordError {
    RecordError { word, reason }
}

fn check_items(items: &[Word], depth: usize) -> Result<(), RecordError> {
    let mut at = 0;
    while let Some(word) = items.get(at) {
        let head = ItemHead(u64::from_le_bytes(*word));
        let value_words = head.value_words().ok_or(error(at, "unknown item"))?;
        let words = 1 + head.key_words() + value_words;
        if items.len() - at < words {
            return Err(error(at, "item is cut off"));
        }
        if let Some(nested_at) = head.nested_at() {
            let start = at + words - value_words + nested_at;
            let nested = items
                .get(start..at + words)
                .ok_or(error(at, "item is too short for what it is"))?;
            let depth = depth.checked_sub(1).ok_or(error(at, "items in items"))?;
            check_items(nested, depth).map_err(|e| e.after(start))?;
        }
        at += words;
    }
    Ok(())
}

fn callsite(word: u64) -> Option<CallsiteId> {
    (word != 0).then_some(CallsiteId::new(word))
}

fn trace_id(high: Word, low: Word) -> TraceId {
    let high = u128::from(u64::from_le_bytes(high));
    TraceId::new(high << 64 | u128::from(u64::from_le_bytes(low)))
}

/// A span that has closed.
#[derive(Debug, Clone, Copy)]
pub struct SpanRecord<'a> {
    header: &'a [Word; SPAN_HEADER_WORDS],
    items: &'a [Word],
}

impl<'a> SpanRecord<'a> {
    const fn word(&self, index: usize) -> u64 {
        u64::from_le_bytes(self.header[index])
    }

    /// Kind, status, flags, what was dropped.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head(self.word(0))
    }

    /// The callsite, if it has one.
    #[must_use]
    pub fn callsite(&self) -> Option<CallsiteId> {
        callsite(self.word(1))
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        trace_id(self.header[2], self.header[3])
    }

    /// The span.
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        SpanId::new(self.word(4))
    }

    /// Its parent, or [`SpanId::INVALID`].
    #[must_use]
    pub const fn parent_span_id(&self) -> SpanId {
        SpanId::new(self.word(5))
    }

    /// Start, Unix nanoseconds.
    #[must_use]
    pub const fn start_unix_nano(&self) -> u64 {
        self.word(6)
    }

    /// End, Unix nanoseconds.
    #[must_use]
    pub const fn end_unix_nano(&self) -> u64 {
        self.word(7)
    }

    /// Whether the end lies before the start. Such a span is sent with a duration of zero, and counted.
    #[must_use]
    pub const fn ends_before_it_starts(&self) -> bool {
        self.end_unix_nano() < self.start_unix_nano()
    }

    /// The items.
    #[must_use]
    pub const fn items(&self) -> Items<'a> {
        Items { rest: self.items }
    }
}

/// A log record.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    header: &'a [Word; LOG_HEADER_WORDS],
    items: &'a [Word],
}

impl<'a> LogRecord<'a> {
    const fn word(&self, index: usize) -> u64 {
        u64::from_le_bytes(self.header[index])
    }

    /// Severity, flags, what was dropped.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head(self.word(0))
    }

    /// The callsite, if it has one.
    #[must_use]
    pub fn callsite(&self) -> Option<CallsiteId> {
        callsite(self.word(1))
    }

    /// The trace it was logged in, or [`TraceId::INVALID`].
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        trace_id(self.header[2], self.header[3])
    }

    /// The span it was logged in, or [`SpanId::INVALID`].
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        SpanId::new(self.word(4))
    }

    /// When, Unix nanoseconds.
    #[must_use]
    pub const fn time_unix_nano(&self) -> u64 {
        self.word(5)
    }

    /// The bytes it was read from, for whoever wants to [read](Record::parse) it once more later.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.header.as_flattened(), self.items.as_flattened()].concat()
    }

    /// The spans around it, the innermost one first: at most 16, and none where neither log lines nor a
    /// sink of one's own asks for them.
    pub fn enclosing_spans(&self) -> impl Iterator<Item = EnclosingSpan<'a>> + use<'a> {
        self.items().filter_map(|item| match item {
            Item::Enclosing(span) => Some(span),
            _ => None,
        })
    }

    /// The items.
    #[must_use]
    pub const fn items(&self) -> Items<'a> {
        Items { rest: self.items }
    }
}

/// A text of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// UTF-8, as it goes on the wire.
    pub bytes: &'a [u8],
    /// Whether it was longer and has been cut.
    pub cut: bool,
}

impl<'a> Text<'a> {
    /// The text.
    #[must_use]
    pub fn to_str(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }
}

/// The key of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRef<'a> {
    /// A field of the record's callsite, by index.
    Field(u16),
    /// UTF-8 text.
    Name(&'a [u8]),
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer; over `i64::MAX` it has no OTLP integer and is encoded as text.
    U64(u64),
    /// A floating-point number.
    F64(f64),
    /// Text.
    Text(Text<'a>),
    /// Opaque bytes, and whether they were cut.
    Bytes(&'a [u8], bool),
    /// Several values.
    List(List<'a>),
}

impl<'a> ValueRef<'a> {
    /// As a value that owns itself where it must.
    pub(crate) fn to_value(self) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::I64(value) => Value::Int(value),
            Self::U64(value) => match i64::try_from(value) {
                Ok(value) => Value::Int(value),
                Err(_) => Value::Str(value.to_string().into()),
            },
            Self::F64(value) => Value::Double(value),
            Self::Text(text) => Value::Str(text.to_str()),
            Self::Bytes(bytes, _) => Value::Bytes(bytes.into()),
            Self::List(list) => Value::Array(list.iter().map(Self::to_value).collect()),
        }
    }
}

/// The usual values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainValue<'a> {
    /// A whole text, as UTF-8.
    Text(&'a [u8]),
    /// A signed integer.
    I64(i64),
}

impl<'a> From<PlainValue<'a>> for ValueRef<'a> {
    fn from(value: PlainValue<'a>) -> Self {
        match value {
            PlainValue::Text(bytes) => Self::Text(Text { bytes, cut: false }),
            PlainValue::I64(value) => Self::I64(value),
        }
    }
}

/// The elements of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct List<'a> {
    items: Items<'a>,
}

impl<'a> List<'a> {
    /// The elements, in their order.
    pub fn iter(self) -> impl Iterator<Item = ValueRef<'a>> {
        self.items.filter_map(|item| match item {
            Item::Attribute(_, value) => Some(value),
            _ => None,
        })
    }
}

/// One item of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// A field or attribute.
    Attribute(KeyRef<'a>, ValueRef<'a>),
    /// A link to another span.
    Link {
        /// Its trace.
        trace_id: TraceId,
        /// The span.
        span_id: SpanId,
        /// W3C trace flags.
        flags: u8,
        /// How many of its attributes were dropped.
        dropped: u16,
        /// Its trace state and attributes.
        items: Items<'a>,
    },
    /// An event of the span.
    Event {
        /// When, Unix nanoseconds.
        time_unix_nano: u64,
        /// How many of its attributes were dropped.
        dropped: u16,
        /// Its name and attributes.
        items: Items<'a>,
    },
    /// What of a span was dropped because there was too much of it.
    Dropped {
        /// Events.
        events: u32,
        /// Links; stays at 65 535 once there.
        links: u16,
    },
    /// A span around the log record; the innermost one first.
    Enclosing(EnclosingSpan<'a>),
    /// The span's name, in place of its callsite's; or the name of an event.
    Name(Text<'a>),
    /// The status message.
    StatusMessage(Text<'a>),
    /// The whole span as an item of OTLP's `ScopeSpans`, tag and length included.
    Encoded(&'a [u8]),
    /// W3C trace state.
    TraceState(Text<'a>),
}

/// A span that was open when something was logged within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnclosingSpan<'a> {
    /// The callsite.
    pub callsite: CallsiteId,
    /// The attributes it had by then, under fields of its callsite or names. Of a span with very many
    /// or long ones it is those that were recorded first; of one that is not sampled, none.
    pub items: Items<'a>,
}

/// The items of a record, in the order they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Items<'a> {
    pub(super) rest: &'a [Word],
}

impl<'a> Items<'a> {
    /// The bytes of [`Item::Encoded`], where that is the first one.
    #[inline]
    pub(crate) fn encoded(self) -> Option<&'a [u8]> {
        let word = self.rest.first()?;
        if ItemHead(u64::from_le_bytes(*word)).tag() != TAG_ENCODED {
            return None;
        }
        match self.into_iter().next() {
            Some(Item::Encoded(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The text of the first [`Item::Name`], without a look at the values before it.
    #[must_use]
    pub fn own_name(self) -> Option<Text<'a>> {
        let mut rest = self.rest;
        loop {
            let head = ItemHead(u64::from_le_bytes(*rest.first()?));
            if head.tag() == TAG_NAME {
                let bytes = rest[1..].as_flattened().get(..head.len() as usize)?;
                let cut = head.flags() & FLAG_CUT != 0;
                return Some(Text { bytes, cut });
            }
            rest = rest.get(1 + head.key_words() + head.value_words()?..)?;
        }
    }

    /// The next item, and its words.
    pub(crate) fn next_with_words(&mut self) -> Option<(&'a [Word], Item<'a>)> {
        let words = self.rest;
        let item = self.next()?;
        let count = words.len() - self.rest.len();
        Some((&words[..count], item))
    }

    /// The next item if it is a field with a text that is whole or a signed integer, as most are: the field's index, and
    /// its value. Of any other one nothing is taken, and [`next`](Iterator::next) has it.
    ///
    /// It is for who reads very many: this one is taken apart in registers, whereas an [`Item`] is put together in
    /// memory, its parts one by one, and waits to be read as a whole.
    #[inline]
    #[must_use]
    pub fn next_plain(&mut self) -> Option<(u16, PlainValue<'a>)> {
        let (word, after) = self.rest.split_first()?;
        let head = ItemHead(u64::from_le_bytes(*word));
        if head.flags() & (FLAG_KEY_TEXT | FLAG_CUT) != 0 {
            return None;
        }
        let (value, after) = match head.tag() {
            TAG_TEXT => {
                let (value, after) =
                    after.split_at_checked((head.len() as usize).div_ceil(WORD_BYTES))?;
                let bytes = value.as_flattened().get(..head.len() as usize)?;
                (PlainValue::Text(bytes), after)
            }
            TAG_I64 => {
                let (word, after) = after.split_first()?;
                (PlainValue::I64(i64::from_le_bytes(*word)), after)
            }
            _ => return None,
        };
        self.rest = after;
        Some((head.key(), value))
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let (word, after) = self.rest.split_first()?;
        let head = ItemHead(u64::from_le_bytes(*word));
        let (key_words, after) = after.split_at_checked(head.key_words())?;
        let (value, after) = after.split_at_checked(head.value_words()?)?;
        self.rest = after;

        let key = if head.flags() & FLAG_KEY_TEXT == 0 {
            KeyRef::Field(head.key())
        } else {
            KeyRef::Name(key_words.as_flattened().get(..usize::from(head.key()))?)
        };
        let bits = || value.first().map_or(0, |word| u64::from_le_bytes(*word));
        let bytes = || value.as_flattened().get(..head.len() as usize);
        let cut = head.flags() & FLAG_CUT != 0;
        let text = || bytes().map(|bytes| Text { bytes, cut });
        let attribute = |value| Some(Item::Attribute(key, value));
        match head.tag() {
            TAG_BOOL => attribute(ValueRef::Bool(head.len() != 0)),
            TAG_I64 => attribute(ValueRef::I64(bits().cast_signed())),
            TAG_U64 => attribute(ValueRef::U64(bits())),
            TAG_F64 => attribute(ValueRef::F64(f64::from_bits(bits()))),
            TAG_TEXT => attribute(ValueRef::Text(text()?)),
            TAG_BYTES => attribute(ValueRef::Bytes(bytes()?, cut)),
            TAG_LIST => attribute(ValueRef::List(List {
                items: Items { rest: value },
            })),
            TAG_LINK => {
                let ([high, low, span, flags], rest) = value.split_first_chunk::<LINK_WORDS>()?;
                Some(Item::Link {
                    trace_id: trace_id(*high, *low),
                    span_id: SpanId::new(u64::from_le_bytes(*span)),
                    flags: flags[0],
                    dropped: head.key(),
                    items: Items { rest },
                })
            }
            TAG_EVENT => {
                let ([time], rest) = value.split_first_chunk::<EVENT_WORDS>()?;
                Some(Item::Event {
                    time_unix_nano: u64::from_le_bytes(*time),
                    dropped: head.key(),
                    items: Items { rest },
                })
            }
            TAG_DROPPED => Some(Item::Dropped {
                events: head.len(),
                links: head.key(),
            }),
            TAG_TRACE_STATE => Some(Item::TraceState(text()?)),
            TAG_ENCLOSING => {
                let ([callsite], rest) = value.split_first_chunk::<ENCLOSING_WORDS>()?;
                Some(Item::Enclosing(EnclosingSpan {
                    callsite: CallsiteId::new(u64::from_le_bytes(*callsite)),
                    items: Items { rest },
                }))
            }
            TAG_NAME => Some(Item::Name(text()?)),
            TAG_STATUS_MESSAGE => Some(Item::StatusMessage(text()?)),
            TAG_ENCODED => Some(Item::Encoded(bytes()?)),
            _ => None,
        }
    }
}
