//! Lines for people who have room: several an event.

use std::fmt::{self, Write};

use super::Line;
use super::escape::{write_message, write_plain};
use super::text::{
    BOLD, DIM, Paint, level_style, short_fields, write_cut, write_field, write_stacktrace,
    write_value,
};
use crate::rfc3339::write_time;

/// Appends lines, without the last line feed: time, level, target and message; then, indented, each field, the
/// place in the source, the enclosing spans with their fields, innermost first, and the ids.
pub(super) fn write(out: &mut String, line: &Line<'_>, colour: bool) {
    // Writing to a string does not fail.
    let _ = try_write(out, line, &Paint { colour });
}

fn try_write(out: &mut String, line: &Line<'_>, paint: &Paint) -> fmt::Result {
    let time = line.log.time_unix_nano();
    paint.wrap(out, DIM, |out| write_time(out, time))?;
    let level = line.level();
    paint.wrap(out, level_style(level), |out| write!(out, " {level:>5} "))?;
    paint.wrap(out, DIM, |out| {
        write_plain(out, line.target())?;
        out.write_char(':')
    })?;
    if let Some(message) = line.message() {
        out.push(' ');
        paint.wrap(out, BOLD, |out| {
            write_message(out, &message.to_str())?;
            write_cut(out, message)
        })?;
    }
    for (name, value) in short_fields(line) {
        out.push_str("\n    ");
        paint.wrap(out, DIM, |out| {
            write_plain(out, &name)?;
            out.write_str(": ")
        })?;
        write_value(out, value)?;
    }
    if let Some((file, number)) = line.place() {
        out.push_str("\n    ");
        paint.wrap(out, DIM, |out| {
            out.write_str("at ")?;
            write_plain(out, file)?;
            write!(out, ":{number}")
        })?;
    }
    for span in line.spans.iter().rev() {
        out.push_str("\n    ");
        paint.wrap(out, DIM, |out| out.write_str("in "))?;
        paint.wrap(out, BOLD, |out| write_plain(out, &span.name()))?;
        for (name, value) in span.fields() {
            out.push(' ');
            write_field(out, paint, &name, value)?;
        }
    }
    let (trace_id, span_id) = (line.log.trace_id(), line.log.span_id());
    if trace_id.is_valid() {
        out.push_str("\n    ");
        paint.wrap(out, DIM, |out| {
            write!(out, "trace_id={trace_id} span_id={span_id}")
        })?;
    }
    write_stacktrace(out, line, paint)
}
