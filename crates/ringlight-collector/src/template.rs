//! The parts of encoded records whose shape is known beforehand.
//!
//! A span begins with a block of fixed layout, and an attribute with bytes that depend on its key
//! alone. Both are copied in one piece and then filled in, which takes a third of the time of
//! appending field by field. What does not fit (long keys and values) goes through
//! `ringlight_otlp::encode`; a test checks that both ways mean the same.

use ringlight_model::{SpanId, TraceId, Value};
use ringlight_otlp::encode::{self, EncodedKey, Owner, Scalar, proto};

/// Room kept for the length of a record, which is below 16 KiB as a rule.
const LEN_BYTES: usize = 2;
/// Tag of `ScopeSpans.spans` and `ScopeLogs.log_records`.
const ITEM: u8 = 2 << 3 | 2;

/// `Span`, up to and including its kind, with a parent.
const CHILD: [u8; CHILD_BYTES] = layout(true);
/// The same without a parent.
const ROOT: [u8; ROOT_BYTES] = layout(false);

const CHILD_BYTES: usize = ROOT_BYTES + 10;
const ROOT_BYTES: usize = 57;

/// Where the varying parts are.
mod at {
    pub(super) const TRACE_ID: usize = 5;
    pub(super) const SPAN_ID: usize = 23;
    /// From the end, since a parent may stand before them.
    pub(super) const START: usize = 25;
    pub(super) const END: usize = 16;
    pub(super) const FLAGS: usize = 6;
    pub(super) const KIND: usize = 1;
    pub(super) const PARENT_ID: usize = 33;
}

/// Tags and lengths of the fields of a span that are always there, in their order.
const fn layout<const N: usize>(has_parent: bool) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[0] = ITEM;
    // trace_id = 1, bytes
    bytes[3] = 1 << 3 | 2;
    bytes[4] = 16;
    // span_id = 2, bytes
    bytes[21] = 2 << 3 | 2;
    bytes[22] = 8;
    if has_parent {
        // parent_span_id = 4, bytes
        bytes[31] = 4 << 3 | 2;
        bytes[32] = 8;
    }
    // start_time_unix_nano = 7, end_time_unix_nano = 8, fixed64
    bytes[N - at::START - 1] = 7 << 3 | 1;
    bytes[N - at::END - 1] = 8 << 3 | 1;
    // flags = 16, fixed32; the tag takes two bytes
    bytes[N - at::FLAGS - 2] = 0x80 | 5;
    bytes[N - at::FLAGS - 1] = 1;
    // kind = 6, enum
    bytes[N - at::KIND - 1] = 6 << 3;
    bytes
}

/// What every span has.
pub(crate) struct SpanBasics {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: SpanId,
    pub(crate) start_unix_nano: u64,
    pub(crate) end_unix_nano: u64,
    pub(crate) flags: u8,
}

/// A record begun in a buffer, to be ended with [`close`].
#[must_use = "a record that is not closed has no length"]
pub(crate) struct OpenItem {
    /// Where its tag is.
    at: usize,
    /// Where its kind is, if it is a span.
    kind_at: usize,
}

/// Begins a span.
#[inline]
pub(crate) fn open_span(buf: &mut Vec<u8>, basics: &SpanBasics) -> OpenItem {
    let at = buf.len();
    // Filled in where it is: what is written in pieces and read as a whole right away waits for the
    // pieces to get to the cache.
    if basics.parent_span_id.is_valid() {
        let bytes = append(buf, &CHILD);
        bytes[at::PARENT_ID..at::PARENT_ID + 8].copy_from_slice(&basics.parent_span_id.to_bytes());
        fill(bytes, basics);
    } else {
        fill(append(buf, &ROOT), basics);
    }
    OpenItem {
        at,
        kind_at: buf.len() - at::KIND,
    }
}

/// Appends these bytes; gives them to be changed.
#[inline]
fn append<'a, const N: usize>(buf: &'a mut Vec<u8>, bytes: &[u8; N]) -> &'a mut [u8; N] {
    let at = buf.len();
    buf.extend_from_slice(bytes);
    #[expect(clippy::expect_used, reason = "as many have just been appended")]
    buf[at..].first_chunk_mut().expect("they are there")
}

#[inline]
fn fill<const N: usize>(bytes: &mut [u8; N], basics: &SpanBasics) {
    bytes[at::TRACE_ID..at::TRACE_ID + 16].copy_from_slice(&basics.trace_id.to_bytes());
    bytes[at::SPAN_ID..at::SPAN_ID + 8].copy_from_slice(&basics.span_id.to_bytes());
    let (start, end, flags) = (N - at::START, N - at::END, N - at::FLAGS);
    bytes[start..start + 8].copy_from_slice(&basics.start_unix_nano.to_le_bytes());
    bytes[end..end + 8].copy_from_slice(&basics.end_unix_nano.to_le_bytes());
    bytes[flags] = basics.flags;
}

/// Begins a log record.
#[inline]
pub(crate) fn open_log(buf: &mut Vec<u8>) -> OpenItem {
    let at = buf.len();
    buf.extend_from_slice(&[ITEM, 0, 0]);
    OpenItem { at, kind_at: at }
}

impl OpenItem {
    /// Sets the kind of a span, an OTLP number below 128.
    #[inline]
    pub(crate) fn set_kind(&self, buf: &mut [u8], kind: u8) {
        buf[self.kind_at] = kind;
    }

    /// Ends the record: fills in its length.
    #[inline]
    pub(crate) fn close(self, buf: &mut Vec<u8>) {
        let start = self.at + 1 + LEN_BYTES;
        let len = buf.len() - start;
        if len < 1 << (7 * LEN_BYTES) {
            buf[self.at + 1] = (len & 0x7f) as u8 | 0x80;
            buf[self.at + 2] = (len >> 7) as u8;
        } else {
            close_long(buf, self.at + 1, len);
        }
    }
}

/// Makes room for a length that takes more than the usual bytes.
#[cold]
fn close_long(buf: &mut Vec<u8>, at: usize, len: usize) {
    let mut length = Vec::with_capacity(10);
    proto::varint(&mut length, len as u64);
    buf.splice(at..at + LEN_BYTES, length);
}

/// An attribute of one key, encoded up to its value.
pub(crate) struct AttributeTemplate {
    /// Tag and length of the attribute, tag, length and text of the key, tag and length of the
    /// value. Both lengths are still missing. Empty where the key is too long for this.
    head: Box<[u8]>,
    owner: Owner,
    key: EncodedKey,
}

/// Longest attribute whose length takes one byte.
const SHORT_MAX: usize = 127;

impl AttributeTemplate {
    pub(crate) fn new(owner: Owner, key: &str) -> Self {
        let mut head = Vec::new();
        if key.len() < SHORT_MAX {
            head.extend_from_slice(&[(owner.field() as u8) << 3 | 2, 0]);
            // KeyValue.key = 1
            proto::bytes_field(&mut head, 1, key.as_bytes());
            // KeyValue.value = 2
            head.extend_from_slice(&[2 << 3 | 2, 0]);
        }
        Self {
            head: head.into_boxed_slice(),
            owner,
            key: EncodedKey::new(key),
        }
    }

    /// Appends the attribute with any value.
    pub(crate) fn push_value(&self, buf: &mut Vec<u8>, value: &Value<'_>) {
        encode::attribute_value(buf, self.owner, &self.key, value);
    }

    /// Appends the attribute with this text; false, with nothing done, if it is long or not of ASCII
    /// alone, which is UTF-8 without a further look.
    #[inline]
    pub(crate) fn push_ascii(&self, buf: &mut Vec<u8>, text: &[u8]) -> bool {
        let value_len = 2 + text.len();
        let is_short = !self.head.is_empty() && self.head.len() + value_len <= SHORT_MAX + 2;
        if !is_short || !text.is_ascii() {
            return false;
        }
        let lengths = [1 << 3 | 2, text.len() as u8];
        self.open(buf, value_len);
        buf.extend_from_slice(&lengths);
        buf.extend_from_slice(text);
        true
    }

    /// Appends the attribute with this number; false, with nothing done, if its key is long.
    #[inline]
    pub(crate) fn push_i64(&self, buf: &mut Vec<u8>, value: i64) -> bool {
        let value = value.cast_unsigned();
        let value_len = 1 + proto::varint_size(value);
        if self.head.is_empty() || self.head.len() + value_len > SHORT_MAX + 2 {
            return false;
        }
        self.open(buf, value_len);
        buf.push(3 << 3);
        proto::varint(buf, value);
        true
    }

    /// Appends what comes before a value of this length, which is a short one.
    #[inline]
    fn open(&self, buf: &mut Vec<u8>, value_len: usize) {
        let start = buf.len();
        buf.extend_from_slice(&self.head);
        let value_at = buf.len();
        buf[start + 1] = (value_at - start - 2 + value_len) as u8;
        buf[value_at - 1] = value_len as u8;
    }

    /// Appends the attribute with this value.
    #[inline]
    pub(crate) fn push(&self, buf: &mut Vec<u8>, value: Scalar<'_>) {
        // The longest number takes 11 bytes, a text one for its tag and one for its length.
        let value_max = match value {
            Scalar::Str(text) => text.len() + 2,
            Scalar::Bytes(bytes) => bytes.len() + 2,
            Scalar::Bool(_) | Scalar::Int(_) | Scalar::Double(_) => 11,
        };
        let is_short = self.head.len() + value_max <= SHORT_MAX + 2;
        if self.head.is_empty() || !is_short {
            return encode::attribute(buf, self.owner, &self.key, value);
        }
        let start = buf.len();
        buf.extend_from_slice(&self.head);
        let value_at = buf.len();
        match value {
            Scalar::Str(text) => {
                buf.extend_from_slice(&[1 << 3 | 2, text.len() as u8]);
                buf.extend_from_slice(text.as_bytes());
            }
            Scalar::Bool(value) => buf.extend_from_slice(&[2 << 3, u8::from(value)]),
            Scalar::Int(value @ 0..=127) => buf.extend_from_slice(&[3 << 3, value as u8]),
            Scalar::Int(value) => proto::varint_field(buf, 3, value.cast_unsigned()),
            Scalar::Double(value) => proto::fixed64_field(buf, 4, value.to_bits()),
            Scalar::Bytes(bytes) => {
                buf.extend_from_slice(&[7 << 3 | 2, bytes.len() as u8]);
                buf.extend_from_slice(bytes);
            }
        }
        let end = buf.len();
        buf[start + 1] = (end - start - 2) as u8;
        buf[value_at - 1] = (end - value_at) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_writes_what_the_encoder_writes() {
        let texts = [
            "".to_owned(),
            "short".to_owned(),
            "x".repeat(150),
            "y".repeat(300),
        ];
        let keys = [
            "k".to_owned(),
            "a.usual.key".to_owned(),
            "l".repeat(125),
            "m".repeat(400),
        ];
        for key in &keys {
            for owner in [Owner::Span, Owner::Log] {
                let template = AttributeTemplate::new(owner, key);
                let check = |value: Scalar<'_>| {
                    let (mut ours, mut theirs) = (vec![9], vec![9]);
                    template.push(&mut ours, value);
                    encode::attribute(&mut theirs, owner, key.as_str(), value);
                    assert_eq!(ours, theirs, "{key} {value:?}");
                    // The short ways say the same or nothing.
                    let mut short = vec![9];
                    let is_pushed = match value {
                        Scalar::Str(text) => template.push_ascii(&mut short, text.as_bytes()),
                        Scalar::Int(value) => template.push_i64(&mut short, value),
                        _ => false,
                    };
                    if is_pushed {
                        assert_eq!(short, theirs, "{key} {value:?}");
                    } else {
                        assert_eq!(short, [9], "{key} {value:?}");
                    }
                    is_pushed
                };
                let is_short = key.len() < 100;
                for value in [0, 1, 127, 128, -1, i64::MIN, i64::MAX] {
                    assert_eq!(check(Scalar::Int(value)), is_short);
                }
                assert!(!check(Scalar::Str("größer")), "it is not ASCII");
                check(Scalar::Bool(true));
                check(Scalar::Bool(false));
                check(Scalar::Double(-0.5));
                for text in &texts {
                    check(Scalar::Str(text));
                    check(Scalar::Bytes(text.as_bytes()));
                }
                // Around the border of the short form.
                for len in 0..130 {
                    let is_pushed = check(Scalar::Str(&"z".repeat(len)));
                    assert!(is_pushed || !is_short || len > 100, "{key} {len}");
                }
            }
        }
    }

    #[test]
    fn the_fixed_block_of_a_span_is_what_the_encoder_writes() {
        for parent in [0, 0x0102_0304_0506_0708] {
            let basics = SpanBasics {
                trace_id: TraceId::new(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100),
                span_id: SpanId::new(0xfeed_beef),
                parent_span_id: SpanId::new(parent),
                start_unix_nano: 0x1122_3344_5566_7788,
                end_unix_nano: 0x2122_3344_5566_7788,
                flags: 1,
            };
            let mut ours = Vec::new();
            let item = open_span(&mut ours, &basics);
            item.set_kind(&mut ours, 3);
            item.close(&mut ours);

            let mut theirs = Vec::new();
            let open = encode::open_span(&mut theirs);
            encode::span_ids(
                &mut theirs,
                basics.trace_id,
                basics.span_id,
                basics.parent_span_id,
            );
            encode::span_times(&mut theirs, basics.start_unix_nano, basics.end_unix_nano);
            encode::span_flags(&mut theirs, 1);
            encode::span_kind(&mut theirs, ringlight_model::SpanKind::Client);
            encode::close(&mut theirs, open);
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_long_record_gets_a_longer_length() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let mut buf = vec![7];
            let item = open_log(&mut buf);
            buf.extend(std::iter::repeat_n(5, len));
            item.close(&mut buf);
            assert_eq!(&buf[..2], &[7, ITEM]);
            let mut value = 0;
            let mut at = 2;
            loop {
                value |= usize::from(buf[at] & 0x7f) << (7 * (at - 2));
                at += 1;
                if buf[at - 1] < 0x80 {
                    break;
                }
            }
            assert_eq!(value, len);
            assert_eq!(buf[at..], vec![5; len]);
        }
    }
}
