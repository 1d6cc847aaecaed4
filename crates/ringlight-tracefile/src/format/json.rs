//! Trace Event Format: an object a line in one array, whose end may be missing.
//!
//! Source: "Trace Event Format", the Chromium project: "JSON Array Format".

use std::io::Write as _;

use ringlight_collector::record::ValueRef;
use ringlight_model::SpanId;

use crate::meaning::Args;

use super::{Event, Flow, Ids, Label, Process, elements, hex};

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
        Event::Thread { thread, name } => {
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
        Event::Slice {
            thread,
            label,
            time,
            flow: place,
            ids,
            args,
        } => {
            head(out, process, "X", *thread, *label, time.start);
            out.extend_from_slice(br#","dur":"#);
            micros(out, time.end.saturating_sub(time.start));
            arguments(out, Some(ids), args, None);
            out.extend_from_slice(b"},\n");
            let phase = match place {
                Flow::None => return,
                Flow::First => "s",
                Flow::Later => "t",
            };
            flow(
                out,
                process,
                ("follows", phase),
                (*thread, time.start),
                ids.span,
            );
        }
        Event::Life {
            label,
            time,
            ids,
            args,
        } => {
            for (phase, at) in [("b", time.start), ("e", time.end)] {
                head(out, process, phase, 0, *label, at);
                put(out, format_args!(r#","id":"{:#x}""#, ids.span.get()));
                if phase == "b" {
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
            flow(out, process, ("opens", "s"), *from, *span);
            flow(out, process, ("opens", "f"), *to, *span);
        }
        Event::Instant {
            thread,
            label,
            time,
            ids,
            level,
            args,
        } => {
            head(out, process, "i", thread.unwrap_or(0), *label, *time);
            put(
                out,
                format_args!(r#","s":"{}""#, if thread.is_some() { "t" } else { "p" }),
            );
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
        } => {
            let label = Label {
                name,
                category: "counter",
            };
            head(out, process, "C", 0, label, *time);
            out.extend_from_slice(br#","args":{"#);
            string(out, unit);
            out.push(b':');
            number(out, *value);
            out.extend_from_slice(b"}},\n");
        }
    }
}

fn head(out: &mut Vec<u8>, process: &Process, phase: &str, thread: u64, label: Label<'_>, at: u64) {
    out.extend_from_slice(br#"{"ph":""#);
    out.extend_from_slice(phase.as_bytes());
    out.extend_from_slice(br#"","pid":"#);
    decimal(out, process.pid.into());
    out.extend_from_slice(br#","tid":"#);
    decimal(out, thread);
    out.extend_from_slice(br#","ts":"#);
    micros(out, at.saturating_sub(process.zero_unix_nano));
    out.extend_from_slice(br#","name":"#);
    string(out, label.name);
    out.extend_from_slice(br#","cat":"#);
    string(out, label.category);
}

/// One end of an arrow, or a point that it leads through, at the slice around that time.
fn flow(
    out: &mut Vec<u8>,
    process: &Process,
    (name, phase): (&str, &str),
    (thread, at): (u64, u64),
    span: SpanId,
) {
    let label = Label {
        name,
        category: "flow",
    };
    head(out, process, phase, thread, label, at);
    if phase == "f" {
        out.extend_from_slice(br#","bp":"e""#);
    }
    put(out, format_args!(",\"id\":\"{:#x}\"}},\n", span.get()));
}

fn arguments(out: &mut Vec<u8>, ids: Option<&Ids>, args: &Args<'_>, level: Option<&str>) {
    out.extend_from_slice(br#","args":{"#);
    let mut is_first = true;
    let mut key = |out: &mut Vec<u8>, name: &str| {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
    };
    if let Some(level) = level {
        key(out, "level");
        string(out, level);
    }
    args.each(|name, value| {
        key(out, name);
        self::value(out, &value);
    });
    if let Some(ids) = ids {
        key(out, "trace_id");
        id(out, &ids.trace.to_bytes());
        key(out, "span_id");
        id(out, &ids.span.to_bytes());
        if ids.parent.is_valid() {
            key(out, "parent_span_id");
            id(out, &ids.parent.to_bytes());
        }
    }
    out.push(b'}');
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

/// What JSON has no number for is a text.
fn number(out: &mut Vec<u8>, real: f64) {
    if real.is_finite() {
        put(out, format_args!("{real}"));
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
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The bytes of an id as a text.
fn id(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        let digit = |half: u8| DIGITS[usize::from(half)];
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    out.push(b'"');
}

fn string(out: &mut Vec<u8>, text: &str) {
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
