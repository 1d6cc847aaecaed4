//! Lines for people.

use std::borrow::Cow;
use std::fmt::{self, Write};

use ringlight_collector::record::{Text, ValueRef};

use super::Line;
use super::escape::{write_message, write_plain, write_word};
use crate::rfc3339::write_time;

const RESET: &str = "\u{1b}[0m";
pub(super) const DIM: &str = "\u{1b}[2m";
pub(super) const BOLD: &str = "\u{1b}[1m";

/// A field whose text has lines of its own, in semantic conventions.
const STACKTRACE: &str = "exception.stacktrace";

/// What an exception says, in semantic conventions. The message of a panic ends with it.
const EXCEPTION_MESSAGE: &str = "exception.message";

/// Appends a line, without its line feed: time, level, enclosing spans with their
/// fields, target, message, fields, trace id. The stack trace of an exception follows on lines of its own.
pub(super) fn write(out: &mut String, line: &Line<'_>, colour: bool) {
    // Writing to a string does not fail.
    let _ = try_write(out, line, &Paint { colour });
}

pub(super) struct Paint {
    pub(super) colour: bool,
}

impl Paint {
    pub(super) fn wrap(
        &self,
        out: &mut String,
        style: &str,
        write: impl FnOnce(&mut String) -> fmt::Result,
    ) -> fmt::Result {
        if !self.colour {
            return write(out);
        }
        out.push_str(style);
        write(out)?;
        out.push_str(RESET);
        Ok(())
    }
}

fn try_write(out: &mut String, line: &Line<'_>, paint: &Paint) -> fmt::Result {
    let time = line.log.time_unix_nano();
    paint.wrap(out, DIM, |out| write_time(out, time))?;
    let level = line.level();
    paint.wrap(out, level_style(level), |out| write!(out, " {level:>5} "))?;
    for span in line.spans {
        paint.wrap(out, BOLD, |out| write_plain(out, &span.name()))?;
        for (index, (name, value)) in span.fields().enumerate() {
            out.push(if index == 0 { '{' } else { ' ' });
            write_field(out, paint, &name, value)?;
        }
        out.push_str(if span.fields().next().is_some() {
            "}:"
        } else {
            ":"
        });
    }
    if !line.spans.is_empty() {
        out.push(' ');
    }
    paint.wrap(out, DIM, |out| {
        write_plain(out, line.target())?;
        out.write_char(':')
    })?;
    if let Some(message) = line.message() {
        out.push(' ');
        write_message(out, &message.to_str())?;
        write_cut(out, message)?;
    }
    for (name, value) in short_fields(line) {
        out.push(' ');
        write_field(out, paint, &name, value)?;
    }
    let trace_id = line.log.trace_id();
    if trace_id.is_valid() {
        paint.wrap(out, DIM, |out| write!(out, " trace_id={trace_id}"))?;
    }
    write_stacktrace(out, line, paint)
}

/// The stack trace of an exception, if there is one, each of its lines indented.
pub(super) fn write_stacktrace(out: &mut String, line: &Line<'_>, paint: &Paint) -> fmt::Result {
    for (name, value) in line.fields() {
        if name == STACKTRACE
            && let ValueRef::Text(text) = value
        {
            paint.wrap(out, DIM, |out| {
                out.push_str("\n    ");
                write_message(out, text.to_str().trim_end())?;
                write_cut(out, text)
            })?;
        }
    }
    Ok(())
}

/// The other fields, without what an exception says that the message ends with.
pub(super) fn short_fields<'a>(
    line: &Line<'a>,
) -> impl Iterator<Item = (Cow<'a, str>, ValueRef<'a>)> {
    line.fields().filter(move |(name, value)| match &**name {
        STACKTRACE => false,
        EXCEPTION_MESSAGE => !is_end_of_message(line, *value),
        _ => true,
    })
}

fn is_end_of_message(line: &Line<'_>, value: ValueRef<'_>) -> bool {
    let ValueRef::Text(text) = value else {
        return false;
    };
    let message = line.message().filter(|message| !message.cut && !text.cut);
    message.is_some_and(|message| message.to_str().ends_with(&*text.to_str()))
}

pub(super) fn write_field(
    out: &mut String,
    paint: &Paint,
    name: &str,
    value: ValueRef<'_>,
) -> fmt::Result {
    paint.wrap(out, DIM, |out| {
        write_plain(out, name)?;
        out.write_char('=')
    })?;
    write_value(out, value)
}

pub(super) fn write_value(out: &mut String, value: ValueRef<'_>) -> fmt::Result {
    match value {
        ValueRef::Bool(value) => write!(out, "{value}"),
        ValueRef::I64(value) => write!(out, "{value}"),
        ValueRef::U64(value) => write!(out, "{value}"),
        ValueRef::F64(value) => write!(out, "{value}"),
        ValueRef::Text(text) => {
            write_word(out, &text.to_str())?;
            write_cut(out, text)
        }
        ValueRef::Bytes(bytes, _) => write!(out, "({} bytes)", bytes.len()),
        ValueRef::List(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_value(out, value)?;
            }
            out.push(']');
            Ok(())
        }
    }
}

pub(super) fn write_cut(out: &mut String, text: Text<'_>) -> fmt::Result {
    if text.cut {
        out.write_char('…')
    } else {
        Ok(())
    }
}

pub(super) fn level_style(level: &str) -> &'static str {
    match level {
        "ERROR" => "\u{1b}[1;31m",
        "WARN" => "\u{1b}[33m",
        "INFO" => "\u{1b}[32m",
        "DEBUG" => "\u{1b}[36m",
        _ => "\u{1b}[35m",
    }
}
