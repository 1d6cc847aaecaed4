//! Attributes and their values.

use ringlight_model::Value;

use super::proto::{self, Room, delimited_size, varint_size};
use crate::fields::{any, kv};

/// Lists and maps that are written inside each other; deeper ones are written as empty values.
///
/// Values come from the application or from the decoder, which refuses deeper ones long before.
const DEPTH_MAX: usize = 256;

/// What an attribute belongs to: the number of the attribute field in that message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A resource.
    Resource,
    /// A scope or a span event, whose attribute fields have the same number.
    ScopeOrEvent,
    /// A span link.
    Link,
    /// A log record.
    Log,
    /// A number as a metric's data point, or an exemplar.
    DataPoint,
    /// A histogram as a metric's data point.
    HistogramPoint,
    /// An exponential histogram as a metric's data point.
    ExponentialPoint,
    /// A span.
    Span,
}

impl Owner {
    /// The number of its attribute field.
    #[must_use]
    pub const fn field(self) -> u32 {
        match self {
            Self::Resource | Self::ExponentialPoint => 1,
            Self::ScopeOrEvent => 3,
            Self::Link => 4,
            Self::Log => 6,
            Self::DataPoint => 7,
            Self::HistogramPoint | Self::Span => 9,
        }
    }
}

/// A key with its tag and length, ready to be copied into attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedKey(Box<[u8]>);

impl EncodedKey {
    /// Encodes a key.
    #[must_use]
    pub fn new(key: &str) -> Self {
        let mut bytes = Vec::with_capacity(delimited_size(key.len()));
        proto::bytes_field(&mut bytes, kv::KEY, key.as_bytes());
        Self(bytes.into_boxed_slice())
    }
}

/// The key of an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// Its text.
    Text(&'a str),
    /// Encoded before.
    Encoded(&'a EncodedKey),
}

impl Key<'_> {
    #[inline]
    fn write(self, buf: &mut Vec<u8>) {
        match self {
            Self::Text(text) => proto::bytes_field(buf, kv::KEY, text.as_bytes()),
            Self::Encoded(encoded) => buf.extend_from_slice(&encoded.0),
        }
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(key: &'a str) -> Self {
        Self::Text(key)
    }
}

impl<'a> From<&'a EncodedKey> for Key<'a> {
    fn from(key: &'a EncodedKey) -> Self {
        Self::Encoded(key)
    }
}

/// A value that does not nest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// Text.
    Str(&'a str),
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Opaque bytes.
    Bytes(&'a [u8]),
}

impl Scalar<'_> {
    /// The size of the `AnyValue` that holds it.
    #[inline]
    fn size(self) -> usize {
        match self {
            Self::Str(text) => delimited_size(text.len()),
            Self::Bytes(bytes) => delimited_size(bytes.len()),
            Self::Bool(_) => 2,
            Self::Int(value) => 1 + varint_size(value as u64),
            Self::Double(_) => 9,
        }
    }

    #[inline]
    fn write(self, buf: &mut Vec<u8>) {
        match self {
            Self::Str(text) => proto::bytes_field(buf, any::STRING, text.as_bytes()),
            Self::Bytes(bytes) => proto::bytes_field(buf, any::BYTES, bytes),
            Self::Bool(value) => proto::varint_field(buf, any::BOOL, u64::from(value)),
            Self::Int(value) => proto::varint_field(buf, any::INT, value as u64),
            Self::Double(value) => proto::fixed64_field(buf, any::DOUBLE, value.to_bits()),
        }
    }
}

/// Appends an attribute with a plain value to the message that is open in `buf`.
#[inline]
pub fn attribute<'a>(buf: &mut Vec<u8>, owner: Owner, key: impl Into<Key<'a>>, scalar: Scalar<'_>) {
    let key = key.into();
    let value_size = scalar.size();
    let key_size = match key {
        Key::Text(text) => delimited_size(text.len()),
        Key::Encoded(encoded) => encoded.0.len(),
    };
    proto::delimited(buf, owner.field(), key_size + delimited_size(value_size));
    key.write(buf);
    proto::delimited(buf, kv::VALUE, value_size);
    scalar.write(buf);
}

/// Appends an attribute with any value to the message that is open in `buf`.
pub fn attribute_value<'a>(
    buf: &mut Vec<u8>,
    owner: Owner,
    key: impl Into<Key<'a>>,
    value: &Value<'_>,
) {
    key_value(buf, owner.field(), key.into(), value, DEPTH_MAX);
}

/// Appends a value as the `AnyValue` in field `field` of the message that is open in `buf`.
///
/// Lists and maps nested deeper than 256 levels are written as empty values.
pub fn value(buf: &mut Vec<u8>, field: u32, value: &Value<'_>) {
    any_value(buf, field, value, DEPTH_MAX);
}

fn scalar<'a>(value: &'a Value<'_>) -> Option<Scalar<'a>> {
    Some(match value {
        Value::Str(text) => Scalar::Str(text),
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Int(value) => Scalar::Int(*value),
        Value::Double(value) => Scalar::Double(*value),
        Value::Bytes(bytes) => Scalar::Bytes(bytes),
        Value::Empty | Value::Array(_) | Value::Map(_) => return None,
    })
}

fn key_value(buf: &mut Vec<u8>, field: u32, key: Key<'_>, value: &Value<'_>, depth: usize) {
    let message = proto::open(buf, field, Room::Small);
    key.write(buf);
    any_value(buf, kv::VALUE, value, depth);
    proto::close(buf, message);
}

fn any_value(buf: &mut Vec<u8>, field: u32, value: &Value<'_>, depth: usize) {
    if let Some(scalar) = scalar(value) {
        proto::delimited(buf, field, scalar.size());
        scalar.write(buf);
        return;
    }
    let message = proto::open(buf, field, Room::Small);
    match value {
        Value::Array(items) if depth > 0 => {
            let list = proto::open(buf, any::ARRAY, Room::Small);
            for item in items {
                any_value(buf, any::LIST_ITEM, item, depth - 1);
            }
            proto::close(buf, list);
        }
        Value::Map(items) if depth > 0 => {
            let list = proto::open(buf, any::MAP, Room::Small);
            for item in items {
                let key = Key::Text(&item.key);
                key_value(buf, any::LIST_ITEM, key, &item.value, depth - 1);
            }
            proto::close(buf, list);
        }
        _ => {}
    }
    proto::close(buf, message);
}
