//! Trace Event Format: an object a line in one array, whose end may be missing.
//!
//! Source: "Trace Event Format", the Chromium project: "JSON Array Format".

use std::io::Write as _;

use ringlight_collector::record::ValueRef;
use ringlight_model::SpanId;

use crate::meaning::Args;

use super::{ArgName, Event, Flow, Ids, Label, Process, elements, hex, hex_digits};

pub(super) fn begin(out: &mut Vec<u8>, process: &Process) {
    out.extend_from_slice(b"[\n");
    about_process(out, process, "process_name", "name", &process.name);
    out.extend_from_slice(b",\n");
    let began = format!("Unix time {} ns at 0", process.zero_unix_nano);
    about_process(out, process, "process_labels", "labels", &began);
    out.extend_from_slice(b",\n");
}

/// The array ends with an object, since nothing may follow a comma.
pub(super) fn end(out: &mut Vec<u8>, process: &Process) {
    about_process(out, process, "process_sort_index", "sort_index", "0");
    out.extend_from_slice(b"\n]\n");
}

fn about_process(out: &mut Vec<u8>, process: &Process, what: &str, key: &str, text: &str) {
    put(
        out,
        format_args!(
            r#"{{"ph":"M","pid":{},"tid":0,"name":"{what}","args":{{"{key}":"#,
            process.pid
        ),
    );
    string(out, text);
    out.extend_from_slice(b"}}");
}

pub(super) fn event(out: &mut Vec<u8>, process: &Process, event: &Event<'_>) {
    match event {
        Event::Thread { thread, name } => self::thread(out, process, *thread, name),
        Event::Slice {
            thread,
            label,
            time,
            flow: place,
            ids,
            args,
        } => {
            head(out, process, b'X', *thread, *label, time.start);
            out.extend_from_slice(br#","dur":"#);
            micros(out, time.end.saturating_sub(time.start));
            arguments(out, Some(ids), args, None);
            out.extend_from_slice(b"},\n");
            let phase = match place {
                Flow::None | Flow::Led => return,
                Flow::First => b's',
                Flow::Later => b't',
            };
            let at = (*thread, time.start);
            flow(out, process, ("follows", phase), at, ids.span);
        }
        Event::Life {
            label,
            time,
            ids,
            args,
        } => {
            for (phase, at) in [(b'b', time.start), (b'e', time.end)] {
                head(out, process, phase, 0, *label, at);
                // One of the process: those that are anybody's are shown apart from it.
                out.extend_from_slice(br#","id2":{"local":"#);
                hex_of(out, ids.span);
                out.push(b'}');
                if phase == b'b' {
                    arguments(out, Some(ids), args, None);
                }
                out.extend_from_slice(b"},\n");
            }
        }
        Event::Handover {
            from,
            to,
            label: _,
            span,
        } => {
            flow(out, process, ("opens", b's'), *from, *span);
            flow(out, process, ("opens", b'f'), *to, *span);
        }
        Event::Instant {
            thread,
            label,
            time,
            ids,
            level,
            args,
        } => {
            head(out, process, b'i', thread.unwrap_or(0), *label, *time);
            let scope: &[u8] = if thread.is_some() { b"t" } else { b"p" };
            out.extend_from_slice(br#","s":"#);
            quoted(out, scope);
            let ids = ids.map(|(trace, span)| Ids {
                trace,
                span,
                parent: SpanId::INVALID,
            });
            arguments(out, ids.as_ref(), args, Some(level));
            out.extend_from_slice(b"},\n");
        }
        Event::Counter {
            name,
            unit,
            time,
            value,
        } => counter(out, process, *time, (name, unit), *value),
    }
}

fn thread(out: &mut Vec<u8>, process: &Process, thread: u64, name: &str) {
    let pid = process.pid;
    put(
        out,
        format_args!(
            r#"{{"ph":"M","pid":{pid},"tid":{thread},"name":"thread_name","args":{{"name":"#
        ),
    );
    string(out, name);
    out.extend_from_slice(b"}},\n");
}

/// Viewers call it by its name and the unit, one behind the other.
fn counter(
    out: &mut Vec<u8>,
    process: &Process,
    time: u64,
    (name, unit): (&str, &str),
    value: f64,
) {
    let label = Label {
        name,
        category: "counter",
        drawn: None,
    };
    head(out, process, b'C', 0, label, time);
    out.extend_from_slice(br#","args":{"#);
    string(out, if name.ends_with(unit) { "count" } else { unit });
    out.push(b':');
    number(out, value);
    out.extend_from_slice(b"}},\n");
}

/// What is the same in each event of a name and category.
pub(super) fn label(out: &mut Vec<u8>, name: &str, category: &str) {
    out.extend_from_slice(br#","name":"#);
    string(out, name);
    out.extend_from_slice(br#","cat":"#);
    string(out, category);
}

/// What comes before the value of an argument.
pub(super) fn arg_name(out: &mut Vec<u8>, name: &str) {
    string(out, name);
    out.push(b':');
}

fn head(out: &mut Vec<u8>, process: &Process, phase: u8, thread: u64, label: Label<'_>, at: u64) {
    out.extend_from_slice(&[b'{', b'"', b'p', b'h', b'"', b':', b'"', phase, b'"']);
    out.extend_from_slice(br#","pid":"#);
    decimal(out, process.pid.into());
    out.extend_from_slice(br#","tid":"#);
    decimal(out, thread);
    out.extend_from_slice(br#","ts":"#);
    micros(out, at.saturating_sub(process.zero_unix_nano));
    match label.drawn {
        Some(drawn) => drawn.write(out),
        None => self::label(out, label.name, label.category),
    }
}

/// One end of an arrow, or a point that it leads through, at the slice around that time.
fn flow(
    out: &mut Vec<u8>,
    process: &Process,
    (name, phase): (&str, u8),
    (thread, at): (u64, u64),
    span: SpanId,
) {
    let label = Label {
        name,
        category: "flow",
        drawn: None,
    };
    head(out, process, phase, thread, label, at);
    if phase == b'f' {
        out.extend_from_slice(br#","bp":"e""#);
    }
    out.extend_from_slice(br#","id":"#);
    hex_of(out, span);
    out.extend_from_slice(b"},\n");
}

/// What events that belong together have in common: the number of their span.
fn hex_of(out: &mut Vec<u8>, span: SpanId) {
    let digits = hex_digits(span.get());
    let zeros = span.get().leading_zeros() as usize / 4;
    out.extend_from_slice(br#""0x"#);
    out.extend_from_slice(&digits[zeros.min(digits.len() - 1)..]);
    out.push(b'"');
}

fn arguments(out: &mut Vec<u8>, ids: Option<&Ids>, args: &Args<'_>, level: Option<&str>) {
    out.extend_from_slice(br#","args":{"#);
    let mut is_first = true;
    if let Some(level) = level {
        is_first = false;
        arg_name(out, "level");
        string(out, level);
    }
    args.each(|name, value| {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        match name {
            ArgName::Drawn(name) => name.write(out),
            ArgName::Text(name) => arg_name(out, name),
        }
        self::value(out, &value);
    });
    if let Some(ids) = ids {
        self::ids(out, ids, is_first);
    }
    out.push(b'}');
}

/// Ids as arguments, which are long: put together at once, since a place for each digit is known.
fn ids(out: &mut Vec<u8>, ids: &Ids, are_first: bool) {
    let mut text =
        *br#","trace_id":"00112233445566778899aabbccddeeff","span_id":"0011223344556677""#;
    let trace = ids.trace.get();
    text[13..29].copy_from_slice(&hex_digits((trace >> 64) as u64));
    text[29..45].copy_from_slice(&hex_digits(trace as u64));
    text[58..74].copy_from_slice(&hex_digits(ids.span.get()));
    out.extend_from_slice(if are_first { &text[1..] } else { &text });
    if ids.parent.is_valid() {
        let mut text = *br#","parent_span_id":"0011223344556677""#;
        text[19..35].copy_from_slice(&hex_digits(ids.parent.get()));
        out.extend_from_slice(&text);
    }
}

fn value(out: &mut Vec<u8>, value: &ValueRef<'_>) {
    match value {
        ValueRef::Bool(truth) => put(out, format_args!("{truth}")),
        ValueRef::I64(whole) => {
            if *whole < 0 {
                out.push(b'-');
            }
            decimal(out, whole.unsigned_abs());
        }
        ValueRef::U64(whole) => decimal(out, *whole),
        ValueRef::F64(real) => number(out, *real),
        ValueRef::Text(text) if is_plain(text.bytes) => quoted(out, text.bytes),
        ValueRef::Text(text) => string(out, &text.to_str()),
        ValueRef::Bytes(bytes, _) => string(out, &hex(bytes)),
        ValueRef::List(_) => {
            out.push(b'[');
            for (at, element) in elements(value).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                self::value(out, &element);
            }
            out.push(b']');
        }
    }
}

/// A count is shown as a whole number. What JSON has no number for is a text.
fn number(out: &mut Vec<u8>, real: f64) {
    /// Below it each whole number has a place of its own.
    const WHOLE_MAX: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    if real.trunc() == real && real.abs() < WHOLE_MAX {
        if real.is_sign_negative() {
            out.push(b'-');
        }
        decimal(out, real.abs() as u64);
    } else if real.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(real).as_bytes());
    } else {
        put(out, format_args!("\"{real}\""));
    }
}

/// Nanoseconds as microseconds, of which none is lost.
fn micros(out: &mut Vec<u8>, nanos: u64) {
    decimal(out, nanos / 1000);
    let below = nanos % 1000;
    let digit = |of: u64| b'0' + (below / of % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

/// A whole number. Most of what is written is one, for which formatting would take most of the time.
fn decimal(out: &mut Vec<u8>, number: u64) {
    /// One more than the highest number of eight digits.
    const PART: u64 = 100_000_000;
    let (above, below) = (number / PART, number % PART);
    if above == 0 {
        return digits(out, below, true);
    }
    if above < PART {
        digits(out, above, true);
    } else {
        digits(out, above / PART, true);
        digits(out, above % PART, false);
    }
    digits(out, below, false);
}

/// The eight digits of a number, all at once; of the first part of one, without the zeros at its front.
#[inline]
fn digits(out: &mut Vec<u8>, part: u64, is_first: bool) {
    // Four digits in each half, then two in each quarter, then one in each byte, the first one in the lowest. Instead of
    // being divided by a hundred or ten, they are multiplied by what is that once it is shifted.
    let fours = (part / 10_000) | ((part % 10_000) << 32);
    let hundreds = (fours * 10_486) >> 20 & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = (twos * 103) >> 10 & 0x000f_000f_000f_000f;
    let ones = tens | (twos - tens * 10) << 8;
    let zeros = if is_first {
        (ones.trailing_zeros() / 8).min(7)
    } else {
        0
    };
    let text = (ones | 0x3030_3030_3030_3030) >> (8 * zeros);
    let end = out.len() + 8 - zeros as usize;
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(end);
}

/// Whether a text can stand between quotation marks as it is, or may not: one beyond ASCII is not looked at any closer.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    /// The highest bit of each byte that is zero, and perhaps of some above one that is.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let (words, rest) = text.as_chunks::<8>();
    let special = words.iter().fold(0, |special, word| {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zeros(word ^ (ONES * b'"' as u64));
        let backslash = zeros(word ^ (ONES * b'\\' as u64));
        special | word | control | quote | backslash
    });
    special & HIGH == 0
        && (rest.iter()).all(|byte| matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\'))
}

/// What is [plain](is_plain).
fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

fn string(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        return quoted(out, text.as_bytes());
    }
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\'))
    {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        match from.as_bytes()[0] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => put(out, format_args!("\\u{byte:04x}")),
        }
        // It is a whole character.
        rest = &from[1..];
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Memory takes everything.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(draw: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        draw(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_numbers_have_all_their_digits_and_no_other() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power / 2]);
        let all_over = (0..100_000_000).step_by(4_999);
        for number in (0..1100).chain(near).chain(all_over).chain([u64::MAX]) {
            assert_eq!(drawn(|out| decimal(out, number)), number.to_string());
        }
        assert_eq!(drawn(|out| micros(out, 1_000_000_007)), "1000000.007");
        assert_eq!(drawn(|out| micros(out, 90)), "0.090");
        assert_eq!(drawn(|out| hex_of(out, SpanId::new(0xa0b))), r#""0xa0b""#);
    }

    #[test]
    fn a_real_number_is_read_as_it_was() {
        let reals = [
            0.0,
            0.1,
            0.5,
            1.0,
            2.5,
            1e9 + 0.25,
            1e15,
            1e21,
            1e300,
            f64::EPSILON,
        ];
        let edges = [
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            9_007_199_254_740_991.0,
            9.007_199_254_740_992e15,
        ];
        for real in reals
            .into_iter()
            .chain(edges)
            .flat_map(|real| [real, -real])
        {
            let drawn = drawn(|out| number(out, real));
            let read: f64 = serde_json::from_str(&drawn).unwrap();
            assert_eq!(read.to_bits(), real.to_bits(), "{drawn}");
        }
        let texts = [7.0, -7.0, 2.5, f64::INFINITY].map(|real| drawn(|out| number(out, real)));
        assert_eq!(texts, ["7", "-7", "2.5", r#""inf""#]);
    }

    #[test]
    fn a_text_is_read_as_it_was() {
        let mut texts = vec![String::new(), "é".repeat(9), "☃ and \"more\"".to_owned()];
        // Each character at each place of a word and behind one.
        for special in (0..=0x80).chain([0xff, 0x100]).filter_map(char::from_u32) {
            for at in 0..10 {
                let mut text = "abcdefghijk".to_owned();
                text.insert(at, special);
                texts.push(text);
            }
        }
        for text in texts {
            let drawn = drawn(|out| string(out, &text));
            let read: String = serde_json::from_str(&drawn).unwrap();
            assert_eq!(read, text);
        }
    }
}
