//! OTLP/JSON requests to protobuf requests, in one pass, driven by the schema.

use std::borrow::Cow;

use ringlight_model::{DecodeError, Limits, Signal};

use super::lex::{JsonError, Kind, Lexer};
use super::schema::{self, Field, FieldKind, Message};
use crate::encode::proto::{self, Room};
use crate::fields::any;

/// An item that no decoder takes: field number 0 does not exist.
const BAD_ITEM: &[u8] = &[0];

/// A converted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The same request in protobuf.
    pub request: Vec<u8>,
    /// The first member that was ignored although it looks meant: a known name in snake_case.
    pub snake_case: Option<String>,
}

/// Converts an OTLP/JSON export request of `signal` to protobuf.
///
/// A span, log record or metric that is not as OTLP says (an enum by name, an id that is not
/// hexadecimal, a number where text belongs) is converted to one that does not decode, so that it
/// is refused and counted where all bad items are. A value nested deeper than
/// [`Limits::depth_max`] is cut just beyond that depth, for the same end.
///
/// Members may repeat: as on the wire the last scalar counts and lists are joined. `null` is the
/// same as absence. Text is JSON's, half a surrogate pair is read as U+FFFD.
///
/// # Errors
/// When the text is not JSON, nests deeper than 512 levels, or is wrong outside of an item.
pub fn to_protobuf(signal: Signal, json: &[u8], limits: &Limits) -> Result<Converted, DecodeError> {
    let text = std::str::from_utf8(json).map_err(|error| DecodeError {
        offset: error.valid_up_to(),
        reason: "the JSON text is not UTF-8",
    })?;
    let message = match signal {
        Signal::Traces => &schema::TRACES,
        Signal::Logs => &schema::LOGS,
        Signal::Metrics => &schema::METRICS,
        Signal::Profiles => &schema::PROFILES,
    };
    let mut converter = Converter {
        lexer: Lexer::new(text),
        buf: Vec::with_capacity(json.len() / 2),
        snake_case: None,
    };
    converter
        .whole(message, limits.depth_max)
        .map_err(|error| DecodeError {
            offset: error.offset,
            reason: error.reason,
        })?;
    Ok(Converted {
        request: converter.buf,
        snake_case: converter.snake_case,
    })
}

struct Converter<'a> {
    lexer: Lexer<'a>,
    buf: Vec<u8>,
    snake_case: Option<String>,
}

impl<'a> Converter<'a> {
    fn whole(&mut self, message: &'static Message, depth: usize) -> Result<(), JsonError> {
        self.members(message.fields, depth)?;
        self.lexer.end()
    }

    /// The members of the object that comes next; `depth` is how many more lists or maps values in
    /// it may open.
    fn members(&mut self, fields: &'static [Field], depth: usize) -> Result<(), JsonError> {
        if self.lexer.kind()? != Kind::Object {
            return Err(self.lexer.mismatch("expected a JSON object"));
        }
        self.lexer.begin()?;
        let mut first = true;
        while let Some(name) = self.lexer.member(&mut first)? {
            match fields.iter().find(|field| field.name == name) {
                Some(field) => self.field(field, depth)?,
                None => self.unknown(&name, fields)?,
            }
        }
        Ok(())
    }

    fn unknown(&mut self, name: &str, fields: &[Field]) -> Result<(), JsonError> {
        if self.snake_case.is_none()
            && name.contains('_')
            && fields
                .iter()
                .any(|field| is_snake_case_of(name, field.name))
        {
            self.snake_case = Some(name.to_owned());
        }
        self.lexer.skip()
    }

    fn field(&mut self, field: &'static Field, depth: usize) -> Result<(), JsonError> {
        match self.lexer.kind()? {
            Kind::Null => self.lexer.take_word(),
            Kind::List if field.is_list => {
                self.lexer.begin()?;
                let mut first = true;
                while self.lexer.item(&mut first)? {
                    self.value(field, depth)?;
                }
                Ok(())
            }
            _ if field.is_list => Err(self.lexer.mismatch("expected a JSON list")),
            _ => self.value(field, depth),
        }
    }

    fn value(&mut self, field: &'static Field, depth: usize) -> Result<(), JsonError> {
        match field.kind {
            FieldKind::Message(message) => self.message(field.number, message, depth),
            FieldKind::Item(message) => self.item(field.number, message, depth),
            FieldKind::Any => self.any(field.number, depth),
            _ => self.scalar(field),
        }
    }

    fn message(
        &mut self,
        number: u32,
        message: &'static Message,
        depth: usize,
    ) -> Result<(), JsonError> {
        let open = proto::open(&mut self.buf, number, message.room);
        self.members(message.fields, depth)?;
        proto::close(&mut self.buf, open);
        Ok(())
    }

    /// Like [`message`](Self::message), but what is wrong inside stays inside.
    fn item(
        &mut self,
        number: u32,
        message: &'static Message,
        depth: usize,
    ) -> Result<(), JsonError> {
        let mark = self.lexer.mark();
        let length = self.buf.len();
        match self.message(number, message, depth) {
            Err(error) if !error.is_syntax => {
                self.buf.truncate(length);
                proto::bytes_field(&mut self.buf, number, BAD_ITEM);
                self.lexer.rewind(mark);
                self.lexer.skip()
            }
            result => result,
        }
    }

    fn any(&mut self, number: u32, depth: usize) -> Result<(), JsonError> {
        let open = proto::open(&mut self.buf, number, Room::Small);
        match self.lexer.kind()? {
            // A list of values may hold an empty one.
            Kind::Null => self.lexer.take_word()?,
            Kind::Object => self.any_members(depth)?,
            _ => {
                return Err(self
                    .lexer
                    .mismatch("expected an object such as {\"stringValue\": \"\"}"));
            }
        }
        proto::close(&mut self.buf, open);
        Ok(())
    }

    fn any_members(&mut self, depth: usize) -> Result<(), JsonError> {
        self.lexer.begin()?;
        let mut first = true;
        while let Some(name) = self.lexer.member(&mut first)? {
            let (number, list) = match &*name {
                "arrayValue" => (any::ARRAY, &schema::ARRAY),
                "kvlistValue" => (any::MAP, &schema::MAP),
                name => {
                    match schema::ANY_SCALARS.iter().find(|field| field.name == name) {
                        Some(field) => self.field(field, depth)?,
                        None => self.unknown(name, &schema::ANY_SCALARS)?,
                    }
                    continue;
                }
            };
            match depth.checked_sub(1) {
                _ if self.lexer.kind()? == Kind::Null => self.lexer.take_word()?,
                Some(depth) => self.message(number, list, depth)?,
                None => {
                    // One list too many is enough for the decoder to refuse the item.
                    proto::bytes_field(&mut self.buf, number, &[]);
                    self.lexer.skip()?;
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, field: &'static Field) -> Result<(), JsonError> {
        let number = field.number;
        match field.kind {
            FieldKind::Text => {
                let text = self.text("expected text")?;
                proto::bytes_field(&mut self.buf, number, text.as_bytes());
            }
            FieldKind::Hex => {
                let text = self.text("expected an id as hexadecimal digits in quotes")?;
                match hex(&text) {
                    Some(bytes) => proto::bytes_field(&mut self.buf, number, &bytes),
                    None => return Err(self.lexer.mismatch("an id is not hexadecimal")),
                }
            }
            FieldKind::Base64 => {
                let text = self.text("expected base64 in quotes")?;
                match base64(&text) {
                    Some(bytes) => proto::bytes_field(&mut self.buf, number, &bytes),
                    None => return Err(self.lexer.mismatch("bytes are not base64")),
                }
            }
            FieldKind::Bool => match self.lexer.kind()? {
                Kind::Bool(value) => {
                    self.lexer.take_word()?;
                    proto::varint_field(&mut self.buf, number, u64::from(value));
                }
                _ => return Err(self.lexer.mismatch("expected `true` or `false`")),
            },
            FieldKind::Double => {
                let value = self.double()?;
                proto::fixed64_field(&mut self.buf, number, value.to_bits());
            }
            FieldKind::AnyInt => {
                if let Some(value) = self.number_beyond_integers()? {
                    proto::fixed64_field(&mut self.buf, any::DOUBLE, value.to_bits());
                } else {
                    self.integer(field)?;
                }
            }
            _ => self.integer(field)?,
        }
        Ok(())
    }

    /// A whole number that 64 bits do not hold. JavaScript, whose numbers are doubles, calls one an integer
    /// and writes -2^63 as -9223372036854776000; nothing is lost where it is a double here, too. As text it
    /// would be from somebody who has integers, and wrong.
    fn number_beyond_integers(&mut self) -> Result<Option<f64>, JsonError> {
        if self.lexer.kind()? != Kind::Number {
            return Ok(None);
        }
        let mark = self.lexer.mark();
        let text = self.lexer.number()?;
        if integer(text).is_none_or(|value| i64::try_from(value).is_err())
            && let Ok(value) = text.parse::<f64>()
            && value.is_finite()
            && value.fract() == 0.0
        {
            return Ok(Some(value));
        }
        self.lexer.rewind(mark);
        Ok(None)
    }

    fn integer(&mut self, field: &'static Field) -> Result<(), JsonError> {
        let text = self.numeral()?;
        let value = integer(&text);
        let signed = value.and_then(|value| i64::try_from(value).ok());
        let unsigned = value.and_then(|value| u64::try_from(value).ok());
        let number = field.number;
        let buf = &mut self.buf;
        let written = match field.kind {
            FieldKind::Int | FieldKind::AnyInt => {
                signed.map(|value| proto::varint_field(buf, number, value as u64))
            }
            FieldKind::Zigzag => signed.map(|value| {
                let zigzag = (value << 1) ^ (value >> 63);
                proto::varint_field(buf, number, zigzag as u64);
            }),
            FieldKind::Sfixed64 => {
                signed.map(|value| proto::fixed64_field(buf, number, value as u64))
            }
            FieldKind::Fixed64 => unsigned.map(|value| proto::fixed64_field(buf, number, value)),
            FieldKind::Fixed32 => unsigned
                .and_then(|value| u32::try_from(value).ok())
                .map(|value| proto::fixed32_field(buf, number, value)),
            _ => unsigned.map(|value| proto::varint_field(buf, number, value)),
        };
        written.ok_or_else(|| {
            self.lexer
                .mismatch("expected an integer in the range of its field (enums are integers too)")
        })
    }

    fn double(&mut self) -> Result<f64, JsonError> {
        let text = self.numeral()?;
        let value = match &*text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text if text.contains(|c: char| c.is_ascii_digit()) => {
                text.parse().ok().filter(|value: &f64| value.is_finite())
            }
            _ => None,
        };
        value.ok_or_else(|| {
            self.lexer
                .mismatch("expected a number in the range of a double")
        })
    }

    fn text(&mut self, expected: &'static str) -> Result<Cow<'a, str>, JsonError> {
        match self.lexer.kind()? {
            Kind::Text => self.lexer.text(),
            _ => Err(self.lexer.mismatch(expected)),
        }
    }

    /// A number, or text that should hold one.
    fn numeral(&mut self) -> Result<Cow<'a, str>, JsonError> {
        match self.lexer.kind()? {
            Kind::Number => self.lexer.number().map(Into::into),
            Kind::Text => self.lexer.text(),
            _ => Err(self.lexer.mismatch("expected a number")),
        }
    }
}

/// Whether `name` without its underscores, and with capitals after them, is `camel`.
fn is_snake_case_of(name: &str, camel: &str) -> bool {
    let mut capital = false;
    let camel_case = name.chars().filter_map(|c| {
        if c == '_' {
            capital = true;
            return None;
        }
        Some(if std::mem::take(&mut capital) {
            c.to_ascii_uppercase()
        } else {
            c
        })
    });
    camel_case.eq(camel.chars())
}

/// An integer, also when it is written with a fraction of zero or an exponent.
fn integer(text: &str) -> Option<i128> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let is_plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
    let value: f64 = if is_plain {
        text.parse().ok()?
    } else {
        return None;
    };
    // Beyond 2^64 the value fits no field, and the conversion below would saturate.
    (value.fract() == 0.0 && value.abs() <= 18_446_744_073_709_551_616.0).then_some(value as i128)
}

/// The bytes of hexadecimal digits. An odd number of digits gives one byte, which is the length of
/// no id, so that it is refused for its length like others.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
    let digits = digits?;
    if digits.len() % 2 == 1 {
        return Some(vec![0]);
    }
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// The bytes of base64, in the standard or the URL-safe alphabet, with or without padding.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // A single leftover digit is no byte.
    (count < 6).then_some(bytes)
}
