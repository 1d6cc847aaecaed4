//! Text from anywhere, made harmless for where it is shown.

use std::fmt::{self, Write};

/// Whether a terminal or a reader's eye could be misled by the character: control characters, of
/// which escape sequences are made, and marks that change the direction of writing.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Writes text for a terminal: what [misleads](misleads) is written as an escape.
pub(super) fn write_plain(out: &mut impl Write, text: &str) -> fmt::Result {
    write_escaped(out, text, |out, c| write!(out, "{}", c.escape_default()))
}

/// The same for a message, which may have several lines: further ones are indented, so that none
/// can pass for a line of its own.
pub(super) fn write_message(out: &mut impl Write, text: &str) -> fmt::Result {
    write_escaped(out, text, |out, c| match c {
        '\n' => out.write_str("\n    "),
        '\r' => Ok(()),
        '\t' => out.write_char('\t'),
        c => write!(out, "{}", c.escape_default()),
    })
}

/// Writes a field's text: as it is if it is one plain word, else in quotation marks.
pub(super) fn write_word(out: &mut impl Write, text: &str) -> fmt::Result {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=' | '\\') && !misleads(c);
    if !text.is_empty() && text.chars().all(plain) {
        return out.write_str(text);
    }
    out.write_char('"')?;
    for part in text.split_inclusive(['"', '\\']) {
        match part.char_indices().next_back() {
            Some((at, c @ ('"' | '\\'))) => {
                write_plain(out, &part[..at])?;
                out.write_char('\\')?;
                out.write_char(c)?;
            }
            _ => write_plain(out, part)?,
        }
    }
    out.write_char('"')
}

/// Writes a JSON string. Control characters and direction marks are escaped, so that the line is
/// as harmless on a terminal as it is to a parser.
pub(super) fn write_json(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let special = |c: char| c == '"' || c == '\\' || misleads(c);
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (before, from) = rest.split_at(at);
        out.write_str(before)?;
        let mut chars = from.chars();
        match chars.next() {
            Some('"') => out.write_str("\\\"")?,
            Some('\\') => out.write_str("\\\\")?,
            Some('\n') => out.write_str("\\n")?,
            Some('\r') => out.write_str("\\r")?,
            Some('\t') => out.write_str("\\t")?,
            // All that mislead lie in the basic plane: one unit each.
            Some(c) => write!(out, "\\u{:04x}", u32::from(c))?,
            None => {}
        }
        rest = chars.as_str();
    }
    out.write_str(rest)?;
    out.write_char('"')
}

fn write_escaped<W: Write>(
    out: &mut W,
    text: &str,
    escape: impl Fn(&mut W, char) -> fmt::Result,
) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(misleads) {
        let (before, from) = rest.split_at(at);
        out.write_str(before)?;
        let mut chars = from.chars();
        if let Some(c) = chars.next() {
            escape(out, c)?;
        }
        rest = chars.as_str();
    }
    out.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: fn(&mut String, &str) -> fmt::Result, text: &str, expected: &str) {
        let mut out = String::new();
        write(&mut out, text).unwrap();
        assert_eq!(out, expected);
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        check(write_plain, "plain äöü €", "plain äöü €");
        check(write_plain, "\u{1b}[31mred", "\\u{1b}[31mred");
        check(write_plain, "\u{9b}31m", "\\u{9b}31m");
        check(write_plain, "a\r\nb\u{7f}", "a\\r\\nb\\u{7f}");
        check(write_plain, "\u{202e}txt.exe", "\\u{202e}txt.exe");
        check(write_message, "one\ntwo\u{1b}", "one\n    two\\u{1b}");
    }

    #[test]
    fn words_are_quoted_where_they_need_it() {
        check(write_word, "plain", "plain");
        check(write_word, "", "\"\"");
        check(write_word, "two words", "\"two words\"");
        check(write_word, "a=\"b\\\"", "\"a=\\\"b\\\\\\\"\"");
        check(write_word, "x\ny", "\"x\\ny\"");
    }

    #[test]
    fn json_strings_parse_back() {
        for text in [
            "",
            "plain",
            "q\"b\\",
            "\u{1b}[0m\n\r\t\u{7f}\u{85}\u{202e}",
            "€ 𝄞",
        ] {
            let mut out = String::new();
            write_json(&mut out, text).unwrap();
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
            assert!(!out.contains(misleads));
        }
    }
}
