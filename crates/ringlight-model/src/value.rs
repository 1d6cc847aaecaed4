//! Attribute values: OTLP's `AnyValue`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// An attribute value. Borrows from the request it was decoded from, or owns its text.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value<'a> {
    /// No value.
    #[default]
    Empty,
    /// Text.
    Str(Cow<'a, str>),
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Opaque bytes.
    Bytes(Cow<'a, [u8]>),
    /// An ordered list; its items may differ in kind.
    Array(Vec<Value<'a>>),
    /// Nested attributes.
    Map(Vec<KeyValue<'a>>),
}

/// An attribute: a key and its value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeyValue<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The value.
    pub value: Value<'a>,
}

impl<'a> KeyValue<'a> {
    /// An attribute.
    pub fn new(key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }

    /// The same attribute, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> KeyValue<'static> {
        KeyValue {
            key: Cow::Owned(self.key.into_owned()),
            value: self.value.into_owned(),
        }
    }
}

impl Value<'_> {
    /// The same value, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Empty => Value::Empty,
            Self::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Double(value) => Value::Double(value),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Map(items) => Value::Map(items.into_iter().map(KeyValue::into_owned).collect()),
        }
    }

    /// The text, if the value is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }
}

/// The non-OTLP representation of the OpenTelemetry specification (`common/README.md`): text as it
/// is, bytes as base64, lists and maps as JSON.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => f.write_str(text),
            other => write_json(f, other),
        }
    }
}

fn write_json(f: &mut fmt::Formatter<'_>, value: &Value<'_>) -> fmt::Result {
    match value {
        Value::Empty => f.write_str("null"),
        Value::Str(text) => write_json_text(f, text),
        Value::Bool(value) => write!(f, "{value}"),
        Value::Int(value) => write!(f, "{value}"),
        Value::Double(value) if value.is_nan() => f.write_str("NaN"),
        Value::Double(value) if value.is_infinite() => f.write_str(if *value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }),
        Value::Double(value) => write!(f, "{value}"),
        Value::Bytes(bytes) => write_base64(f, bytes),
        Value::Array(items) => {
            f.write_char('[')?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    f.write_char(',')?;
                }
                write_json(f, item)?;
            }
            f.write_char(']')
        }
        Value::Map(items) => {
            f.write_char('{')?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    f.write_char(',')?;
                }
                write_json_text(f, &item.key)?;
                f.write_char(':')?;
                write_json(f, &item.value)?;
            }
            f.write_char('}')
        }
    }
}

fn write_json_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if u32::from(c) < 0x20 => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

fn write_base64(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let mut word = [0_u8; 3];
        word[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for digit in 0..4 {
            if digit > chunk.len() {
                f.write_char('=')?;
            } else {
                let index = (bits >> (18 - 6 * digit)) & 0x3f;
                f.write_char(char::from(ALPHABET[index as usize]))?;
            }
        }
    }
    Ok(())
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Str(Cow::Owned(text))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_display_in_the_non_otlp_form() {
        let check = |value: Value<'_>, expected: &str| assert_eq!(value.to_string(), expected);
        check(Value::Empty, "null");
        check("plain \"text\"".into(), "plain \"text\"");
        check(Value::Int(-7), "-7");
        check(Value::Double(0.5), "0.5");
        check(Value::Double(f64::NAN), "NaN");
        check(Value::Bytes(Cow::Borrowed(b"abcd")), "YWJjZA==");
        check(Value::Bytes(Cow::Borrowed(b"abc")), "YWJj");
        check(
            Value::Map(vec![
                KeyValue::new("a", Value::Array(vec![Value::Int(1), "x\n".into()])),
                KeyValue::new("b", true),
            ]),
            r#"{"a":[1,"x\n"],"b":true}"#,
        );
    }
}
