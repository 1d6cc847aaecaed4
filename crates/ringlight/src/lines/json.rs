//! Lines for machines: one JSON object each.
//!
//! `timestamp` (RFC 3339), `level`, `target`, `message` (if there is one), `fields` (an object), `cut` (names of
//! the fields whose text was cut, with `message` if that was; if there are any, here as in spans),
//! `spans` (the enclosing ones, outermost first: `name`, and `fields` as they were by then; those of spans
//! that are not sampled are not known; by option there is no list), `trace_id` and `span_id` (inside of spans).

use std::borrow::Cow;
use std::fmt::{self, Write};

use ringlight_collector::record::{Text, ValueRef};

use super::Line;
use super::escape::write_json;
use crate::rfc3339::write_time;

/// Appends a line, without its line feed.
pub(super) fn write(out: &mut String, line: &Line<'_>, with_spans: bool) {
    // Writing to a string does not fail.
    let _ = try_write(out, line, with_spans);
}

fn try_write(out: &mut String, line: &Line<'_>, with_spans: bool) -> fmt::Result {
    out.push_str("{\"timestamp\":\"");
    write_time(out, line.log.time_unix_nano())?;
    write!(out, "\",\"level\":\"{}\",\"target\":", line.level())?;
    write_json(out, line.target())?;
    let message = line.message();
    if let Some(message) = message {
        out.push_str(",\"message\":");
        write_json(out, &message.to_str())?;
    }
    write_fields(out, message, || line.fields())?;
    if with_spans {
        write_spans(out, line)?;
    }
    if line.log.trace_id().is_valid() {
        write!(
            out,
            ",\"trace_id\":\"{}\",\"span_id\":\"{}\"",
            line.log.trace_id(),
            line.log.span_id()
        )?;
    }
    out.push('}');
    Ok(())
}

fn write_spans(out: &mut String, line: &Line<'_>) -> fmt::Result {
    out.push_str(",\"spans\":[");
    for (index, span) in line.spans.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str("{\"name\":");
        write_json(out, &span.name())?;
        write_fields(out, None, || span.fields())?;
        out.push('}');
    }
    out.push(']');
    Ok(())
}

fn write_fields<'a, I>(
    out: &mut String,
    message: Option<Text<'_>>,
    fields: impl Fn() -> I,
) -> fmt::Result
where
    I: Iterator<Item = (Cow<'a, str>, ValueRef<'a>)>,
{
    out.push_str(",\"fields\":{");
    let is_message_cut = message.is_some_and(|message| message.cut);
    let mut is_any_cut = is_message_cut;
    for (index, (name, value)) in fields().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_json(out, &name)?;
        out.push(':');
        write_value(out, value)?;
        is_any_cut |= is_cut(value);
    }
    out.push('}');
    if !is_any_cut {
        return Ok(());
    }
    let of_fields = fields().filter(|(_, value)| is_cut(*value));
    let of_fields = of_fields.map(|(name, _)| name);
    let of_message = is_message_cut.then_some(Cow::Borrowed("message"));
    for (index, name) in of_message.into_iter().chain(of_fields).enumerate() {
        out.push_str(if index == 0 { ",\"cut\":[" } else { "," });
        write_json(out, &name)?;
    }
    out.push(']');
    Ok(())
}

fn is_cut(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(text) => text.cut,
        ValueRef::Bytes(_, is_cut) => is_cut,
        ValueRef::List(list) => list.iter().any(is_cut),
        ValueRef::Bool(_) | ValueRef::I64(_) | ValueRef::U64(_) | ValueRef::F64(_) => false,
    }
}

fn write_value(out: &mut String, value: ValueRef<'_>) -> fmt::Result {
    match value {
        ValueRef::Bool(value) => write!(out, "{value}"),
        ValueRef::I64(value) => write!(out, "{value}"),
        ValueRef::U64(value) => write!(out, "{value}"),
        // JSON has no infinities.
        ValueRef::F64(value) if !value.is_finite() => write!(out, "\"{value}\""),
        ValueRef::F64(value) => write!(out, "{value:?}"),
        ValueRef::Text(text) => write_json(out, &text.to_str()),
        ValueRef::Bytes(bytes, _) => {
            out.push('"');
            for byte in bytes {
                write!(out, "{byte:02x}")?;
            }
            out.push('"');
            Ok(())
        }
        ValueRef::List(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, value)?;
            }
            out.push(']');
            Ok(())
        }
    }
}
