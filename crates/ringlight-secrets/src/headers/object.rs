//! A JSON object of texts (RFC 8259), read into memory that is overwritten.
//!
//! By a few lines of our own: a library leaves behind where it decoded a text that has escapes, and every service
//! would compile it for this alone.

use std::str::Chars;

use zeroize::Zeroizing;

use super::parse::Pair;

/// Why a text is no object of texts, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ObjectError {
    pub(super) reason: &'static str,
    /// From 1.
    pub(super) line: usize,
    /// Bytes of the line up to where it is wrong, that one included.
    pub(super) column: usize,
}

/// The members as they are written, names that occur twice included.
pub(super) fn pairs(text: &str) -> Result<Vec<Pair>, ObjectError> {
    let mut reader = Reader { text, at: 0 };
    reader.pairs().map_err(|reason| {
        let read = &text.as_bytes()[..reader.at];
        let line_start = read.iter().rposition(|&byte| byte == b'\n');
        ObjectError {
            reason,
            line: 1 + read.iter().filter(|&&byte| byte == b'\n').count(),
            column: reader.at - line_start.map_or(0, |start| start + 1),
        }
    })
}

const NOT_JSON: &str = "is not JSON";
const NOT_A_TEXT: &str = "has a value that is not a text";

struct Reader<'a> {
    text: &'a str,
    /// Bytes that were read; at most those of the text.
    at: usize,
}

impl Reader<'_> {
    fn pairs(&mut self) -> Result<Vec<Pair>, &'static str> {
        let mut pairs = Vec::new();
        self.expect(b'{')?;
        let mut token = self.token();
        // A comma is followed by a member; only an object without any ends where one may begin.
        if token != Some(b'}') {
            loop {
                if token != Some(b'"') {
                    return Err(NOT_JSON);
                }
                let name = self.string()?;
                self.expect(b':')?;
                pairs.push((name, self.value()?));
                match self.token() {
                    Some(b',') => token = self.token(),
                    Some(b'}') => break,
                    _ => return Err(NOT_JSON),
                }
            }
        }
        match self.token() {
            None => Ok(pairs),
            Some(_) => Err(NOT_JSON),
        }
    }

    /// The next byte that is no white space.
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.token() == Some(byte) {
            Ok(())
        } else {
            Err(NOT_JSON)
        }
    }

    fn value(&mut self) -> Result<Zeroizing<String>, &'static str> {
        match self.token() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => Err(NOT_A_TEXT),
            _ => Err(NOT_JSON),
        }
    }

    /// The rest of a string, whose first quotation mark was read.
    fn string(&mut self) -> Result<Zeroizing<String>, &'static str> {
        let rest = &self.text.as_bytes()[self.at..];
        let mut is_escaped = false;
        let length = rest.iter().position(|&byte| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        });
        let Some(length) = length else {
            self.at = self.text.len();
            return Err(NOT_JSON);
        };
        let literal = &self.text[self.at..self.at + length];
        // Never longer than it is written, so that it is never moved and a copy left behind.
        let mut decoded = Zeroizing::new(String::with_capacity(length));
        let mut chars = literal.chars();
        while let Some(read) = chars.next() {
            let meant = match read {
                '\\' => escaped(&mut chars),
                '\0'..='\x1f' => None,
                other => Some(other),
            };
            let Some(meant) = meant else {
                self.at += length - chars.as_str().len();
                return Err(NOT_JSON);
            };
            decoded.push(meant);
        }
        self.at += length + 1;
        Ok(decoded)
    }
}

/// The character that an escape stands for, whose backslash was read.
fn escaped(chars: &mut Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        same @ ('"' | '\\' | '/') => same,
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let mut units = [code_unit(chars)?, 0];
            // The first half of a character beyond 16 bits; the second follows.
            let is_half = (0xd800..0xdc00).contains(&units[0]);
            if is_half {
                if chars.next()? != '\\' || chars.next()? != 'u' {
                    return None;
                }
                units[1] = code_unit(chars)?;
            }
            let units = units.into_iter().take(1 + usize::from(is_half));
            char::decode_utf16(units).next()?.ok()?
        }
        _ => return None,
    })
}

fn code_unit(chars: &mut Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| {
        let digit = chars.next()?.to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What is read, and what a library for JSON reads of the same.
    fn both(text: &str) -> [Option<BTreeMap<String, String>>; 2] {
        let ours = pairs(text).ok().map(|pairs| {
            let plain = |(name, value): &Pair| (name.to_string(), value.to_string());
            pairs.iter().map(plain).collect()
        });
        [ours, serde_json::from_str(text).ok()]
    }

    #[test]
    fn objects_are_read_as_a_library_for_json_reads_them() {
        for text in [
            "{}",
            " {\r\n\t} ",
            r#"{"a":"b","":""}"#,
            r#"{"a" : "\"\\\/\b\f\n\r\t" }"#,
            r#"{"a":"\u0041\u00e9\u20AC\ud83d\ude00 é € 😀"}"#,
            "{\"a\":\"\x7f\"}",
        ] {
            let [ours, library] = both(text);
            assert!(ours.is_some(), "{text}");
            assert_eq!(ours, library, "{text}");
        }
        for text in [
            "",
            "{",
            "[]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":"b",}"#,
            r#"{,"a":"b"}"#,
            r#"{"a":"b" "c":"d"}"#,
            r#"{a:"b"}"#,
            r#"{"a":"b"}}"#,
            r#"{"a":null}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\u+123"}"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":"\ud83dx"}"#,
            r#"{"a":"\ud83d\n"}"#,
            r#"{"a":"\ud83d\u0041"}"#,
            r#"{"a":"\ude00"}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\",
        ] {
            assert_eq!(both(text), [None, None], "{text}");
        }
    }

    #[test]
    fn whatever_is_changed_is_read_as_a_library_for_json_reads_it() {
        let whole = r#"{ "aé" : "x\n\ud83d\ude00\"" , "b":"\\" }"#;
        let alphabet = "{}\":,\\ud8n \n\0é0";
        let mut refused = 0;
        for (at, old) in whole.char_indices() {
            let [front, back] = [&whole[..at], &whole[at..]];
            let mut changed = vec![front.to_owned(), [front, &back[old.len_utf8()..]].concat()];
            for new in alphabet.chars() {
                changed.push(format!("{front}{new}{back}"));
                changed.push(format!("{front}{new}{}", &back[old.len_utf8()..]));
            }
            for text in changed {
                let [ours, library] = both(&text);
                assert_eq!(ours, library, "{text}");
                refused += usize::from(ours.is_none());
            }
        }
        assert!(refused > 500, "{refused}");
    }

    #[test]
    fn a_text_is_decoded_where_it_stays() {
        let text = format!(r#"{{"a":"{}"}}"#, r"\u20ac\ud83d\ude00\n".repeat(1000));
        let pairs = pairs(&text).unwrap();
        let value = &pairs[0].1;
        assert_eq!(value.len(), 8 * 1000);
        assert_eq!(value.capacity(), 20 * 1000);
    }
}
