//! Log lines: for people on stderr, as JSON on stdout, and in files.
//!
//! Lines are made on the collector's thread from the same records that are exported; the
//! application's threads format nothing but what is only `Debug` or `Display`. A line is written
//! when the rings are empty for the moment, which is within about a tenth of a second; a flush or
//! shutdown writes what is left. Threads' rings are drained one after the other, so lines that are
//! written together are put in the order of their times first. A thread of its own writes them, so that
//! an output that does not take them holds up nothing else.

mod escape;
mod file;
mod json;
mod pretty;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use ringlight_collector::record::{
    FieldRole, Item, Items, KeyRef, LogRecord, Record, Text, ValueRef,
};
use ringlight_collector::{LogFilter as _, Notices, RecordSink};
use ringlight_model::{Callsite, CallsiteId, CallsiteRegistry};

use crate::filter::Choice;
use crate::writer::Writer;
use crate::{LogFile, LogFormat};

use self::file::RotatingFile;

/// Lines are handed to the operating system at the latest when this many bytes have gathered.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Writes a line for every log record that is chosen.
pub(crate) struct LineSink {
    /// Without one, all are.
    choice: Option<Choice>,
    style: Style,
    /// Whether they name the spans around them.
    with_spans: bool,
    writer: Writer,
    pending: Pending,
    callsites: HashMap<CallsiteId, Arc<Known>>,
}

/// Lines that have not been written yet.
#[derive(Default)]
struct Pending {
    text: String,
    /// Of each line: its time and where it ends in the text.
    lines: Vec<(u64, usize)>,
    /// Whether there are audit records among them.
    has_audit: bool,
}

impl Pending {
    /// Ends the line that was appended to the text.
    fn end_line(&mut self, time_unix_nano: u64) {
        self.text.push('\n');
        self.lines.push((time_unix_nano, self.text.len()));
    }

    /// The text with its lines by time; those of the same time stay as they came.
    fn in_order(&self) -> Cow<'_, str> {
        if self.lines.is_sorted_by_key(|(time, _)| time) {
            return Cow::Borrowed(&self.text);
        }
        let starts = std::iter::once(0).chain(self.lines.iter().map(|(_, end)| *end));
        let mut lines: Vec<_> = starts
            .zip(&self.lines)
            .map(|(start, (time, end))| (time, &self.text[start..*end]))
            .collect();
        lines.sort_by_key(|(time, _)| *time);
        Cow::Owned(lines.into_iter().map(|(_, line)| line).collect())
    }

    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(BUFFER_BYTES_MAX);
        self.lines.clear();
        self.has_audit = false;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Text { colour: bool },
    Pretty { colour: bool },
    Json,
}

impl Style {
    fn of(format: LogFormat, colour: bool) -> Option<Self> {
        match format {
            LogFormat::Text => Some(Self::Text { colour }),
            LogFormat::Pretty => Some(Self::Pretty { colour }),
            LogFormat::Json => Some(Self::Json),
            LogFormat::Off => None,
        }
    }
}

/// A callsite and what its fields mean.
#[derive(Debug)]
struct Known {
    callsite: Arc<Callsite>,
    roles: Vec<FieldRole>,
}

impl LineSink {
    /// Lines on the format's usual stream; `None` for no lines. `colour`: whether text is in colour, if that was
    /// said.
    pub(crate) fn new(format: LogFormat, colour: Option<bool>, notices: Notices) -> Option<Self> {
        let colour = colour.unwrap_or_else(|| io::stderr().is_terminal());
        let style = Style::of(format, colour)?;
        let output: Box<dyn Write + Send> = match style {
            Style::Json => Box::new(io::stdout()),
            _ => Box::new(io::stderr()),
        };
        Some(Self::with_style(style, output, notices))
    }

    /// Lines into `output`; `None` for no lines. Without colour, unless that was asked for.
    pub(crate) fn into_writer(
        format: LogFormat,
        colour: Option<bool>,
        output: Box<dyn Write + Send>,
        notices: Notices,
    ) -> Option<Self> {
        let style = Style::of(format, colour == Some(true))?;
        Some(Self::with_style(style, output, notices))
    }

    /// Lines into a file, without colour; `None` for no lines.
    pub(crate) fn into_file(file: &LogFile, notices: Notices) -> Option<Self> {
        let style = Style::of(file.format, false)?;
        let output = Box::new(RotatingFile::new(file.clone(), notices.clone()));
        let lines = "lines of the log file";
        let writer = Writer::new(output, "ringlight-file", lines, notices);
        Some(Self::with_writer(style, writer))
    }

    fn with_style(style: Style, output: Box<dyn Write + Send>, notices: Notices) -> Self {
        let writer = Writer::new(output, "ringlight-lines", "log lines", notices);
        Self::with_writer(style, writer)
    }

    fn with_writer(style: Style, writer: Writer) -> Self {
        Self {
            choice: None,
            style,
            with_spans: true,
            writer,
            pending: Pending::default(),
            callsites: HashMap::new(),
        }
    }

    /// The same, naming the spans around lines or not.
    pub(crate) fn naming_spans(mut self, with_spans: bool) -> Self {
        self.with_spans = with_spans;
        self
    }

    /// The same with lines for these records alone.
    pub(crate) fn choosing(mut self, choice: Choice) -> Self {
        self.choice = Some(choice);
        self
    }

    fn known(&mut self, id: CallsiteId, registry: &CallsiteRegistry) -> Option<Arc<Known>> {
        if let Some(known) = self.callsites.get(&id) {
            return Some(Arc::clone(known));
        }
        let callsite = registry.lookup(id)?;
        let role = |name: &&str| FieldRole::of(callsite.kind, name);
        let known = Arc::new(Known {
            roles: callsite.fields.iter().map(role).collect(),
            callsite,
        });
        self.callsites.insert(id, Arc::clone(&known));
        Some(known)
    }

    fn write(&mut self, log: &LogRecord<'_>, registry: &CallsiteRegistry) {
        let known = log.callsite().and_then(|id| self.known(id, registry));
        let mut spans = Vec::new();
        let enclosing = self.with_spans.then(|| log.enclosing_spans());
        for span in enclosing.into_iter().flatten() {
            if let Some(known) = self.known(span.callsite, registry) {
                let items = span.items;
                spans.push(LineSpan { known, items });
            }
        }
        spans.reverse();
        let line = Line {
            log,
            known: known.as_deref(),
            spans: &spans,
        };
        match self.style {
            Style::Text { colour } => text::write(&mut self.pending.text, &line, colour),
            Style::Pretty { colour } => pretty::write(&mut self.pending.text, &line, colour),
            Style::Json => json::write(&mut self.pending.text, &line, self.with_spans),
        }
        self.pending.has_audit |= log.head().is_audit();
        self.pending.end_line(log.time_unix_nano());
    }
}

impl RecordSink for LineSink {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        let mut is_chosen = |log| {
            let choice = self.choice.as_mut();
            choice.is_none_or(|choice| choice.wants(log, callsites))
        };
        if let Record::Log(log) = record
            && is_chosen(log)
        {
            self.write(log, callsites);
            if self.pending.text.len() >= BUFFER_BYTES_MAX {
                self.write_pending();
            }
        }
    }

    fn hand_over(&mut self) {
        self.write_pending();
    }

    fn flush(&mut self) {
        self.write_pending();
        self.writer.flush();
    }
}

impl LineSink {
    fn write_pending(&mut self) {
        if !self.pending.text.is_empty() {
            let lines_count = self.pending.lines.len();
            let has_audit = self.pending.has_audit;
            let text = self.pending.in_order();
            self.writer.write(&text, lines_count, has_audit);
            self.pending.clear();
        }
    }
}

/// One log record with everything that is known about it.
struct Line<'a> {
    log: &'a LogRecord<'a>,
    known: Option<&'a Known>,
    /// Outermost first.
    spans: &'a [LineSpan<'a>],
}

/// A span around a log record.
struct LineSpan<'a> {
    known: Arc<Known>,
    items: Items<'a>,
}

impl<'a> LineSpan<'a> {
    /// As it is exported: `otel.name`, if that is text, or the callsite's.
    fn name(&'a self) -> Cow<'a, str> {
        let named = self.items.into_iter().find_map(|item| match item {
            Item::Attribute(key, ValueRef::Text(text))
                if self.known.role(key) == FieldRole::SpanName =>
            {
                Some(text.to_str())
            }
            _ => None,
        });
        named.unwrap_or(Cow::Borrowed(self.known.callsite.name))
    }

    /// Name and value of what is exported as attributes.
    fn fields(&'a self) -> impl Iterator<Item = (Cow<'a, str>, ValueRef<'a>)> {
        let attributes = self.items.filter_map(|item| match item {
            Item::Attribute(key, value) => Some((key, value)),
            _ => None,
        });
        attributes.filter_map(|(key, value)| {
            let is_attribute = self.known.role(key) == FieldRole::Attribute;
            is_attribute.then_some((self.known.key(key)?, value))
        })
    }
}

impl Known {
    fn role(&self, key: KeyRef<'_>) -> FieldRole {
        let role = match key {
            KeyRef::Field(index) => self.roles.get(usize::from(index)).copied(),
            KeyRef::Name(_) => None,
        };
        role.unwrap_or(FieldRole::Attribute)
    }

    fn key<'a>(&'a self, key: KeyRef<'a>) -> Option<Cow<'a, str>> {
        match key {
            KeyRef::Field(index) => {
                let name = self.callsite.fields.get(usize::from(index))?;
                Some(Cow::Borrowed(*name))
            }
            KeyRef::Name(name) => Some(String::from_utf8_lossy(name)),
        }
    }
}

impl<'a> Line<'a> {
    fn target(&self) -> &'a str {
        self.known.map_or("", |known| known.callsite.target)
    }

    /// File and line in the source, where known.
    fn place(&self) -> Option<(&'a str, u32)> {
        let callsite = &self.known?.callsite;
        Some((callsite.file?, callsite.line?))
    }

    fn level(&self) -> &'static str {
        match self.log.head().severity().number() {
            17.. => "ERROR",
            13..=16 => "WARN",
            9..=12 => "INFO",
            5..=8 => "DEBUG",
            _ => "TRACE",
        }
    }

    /// The body, if it is text.
    fn message(&self) -> Option<Text<'a>> {
        self.log.items().find_map(|item| match item {
            Item::Attribute(key, ValueRef::Text(text)) if self.is_body(key) => Some(text),
            _ => None,
        })
    }

    /// Name and value of everything else.
    fn fields(&self) -> impl Iterator<Item = (Cow<'a, str>, ValueRef<'a>)> {
        self.log.items().filter_map(|item| match item {
            Item::Attribute(key, ValueRef::Text(_)) if self.is_body(key) => None,
            Item::Attribute(key @ KeyRef::Field(_), value) => Some((self.known?.key(key)?, value)),
            Item::Attribute(KeyRef::Name(name), value) => {
                Some((String::from_utf8_lossy(name), value))
            }
            _ => None,
        })
    }

    fn is_body(&self, key: KeyRef<'_>) -> bool {
        self.known
            .is_some_and(|known| known.role(key) == FieldRole::Body)
    }
}
