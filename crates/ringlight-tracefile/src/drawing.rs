//! From records to what is drawn.
//!
//! A span whose life is one stretch of time on one thread is a slice of that thread. Any other one, such as a future
//! that a runtime polls, is a slice for each stretch, which are shown to follow each other, and a track of its own for
//! its life. Which of the two it is is known when it closes, or when a thread is in it for the second time; so the
//! first slice of each open span is kept back until then, for up to about a second.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use ringlight_collector::record::{LogRecord, Record, Slice, SpanRecord, ThreadName};
use ringlight_model::{CallsiteRegistry, Severity, SpanId};

use crate::format::{Event, Flow, Format, Ids, Label, Time};
use crate::meaning::{Args, Callsites, Known, message, span_name};

/// Spans of which something is kept at most. What comes beyond is drawn as it comes.
const LIVE_MAX: usize = 65_536;
/// Of one span: the slices that are remembered, and log records and children that wait for a slice of it.
const RECENT_MAX: usize = 3;
const WAITING_MAX: usize = 32;
/// Looks after which what waits is drawn as it is, and a span that has closed is forgotten.
const LOOKS_KEPT: u64 = 4;
/// Bytes that wait to be written at most.
pub(crate) const BUFFER_BYTES_MAX: usize = 4 << 20;
/// Threads whose names are kept for the next file.
const THREADS_MAX: usize = 4096;

/// What has been drawn and not been written, and what is yet to be drawn.
pub(crate) struct Drawing {
    format: Format,
    include_args: bool,
    buffer: Buffer,
    callsites: Callsites,
    threads: HashMap<u64, String>,
    live: HashMap<SpanId, Live, RandomState>,
    /// Counts looks at what waits.
    looks: u64,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: u64,
    /// Events that found no room.
    pub(crate) dropped: u64,
}

/// A span that is open, or has closed lately.
#[derive(Default)]
struct Live {
    /// The first slice, kept back.
    first: Option<Slice>,
    slices: u64,
    /// The latest of them, which are the last ones here, in turn.
    recent: [(u64, Time); RECENT_MAX],
    /// The thread of the first one, and since when.
    began: (u64, u64),
    /// What was logged in it, and children that others were in first, which wait for the slice they belong to.
    logs: Vec<Log>,
    children: Vec<Child>,
    is_closed: bool,
    /// The look before which it came up last.
    seen: u64,
}

/// A log record, drawn but for the thread.
struct Log {
    time: u64,
    record: Vec<u8>,
}

struct Child {
    span: SpanId,
    opened: u64,
    known: Arc<Known>,
    /// The thread that was in it first, and since when.
    first: (u64, u64),
}

/// What has waited for a slice that is there now.
struct Settled {
    logs: Vec<Log>,
    children: Vec<Child>,
}

impl Live {
    fn settled_by(&mut self, slice: &Slice) -> Settled {
        let time = slice.start_unix_nano..=slice.end_unix_nano;
        Settled {
            logs: (self.logs.extract_if(.., |log| time.contains(&log.time))).collect(),
            children: (self.children)
                .extract_if(.., |child| time.contains(&child.opened))
                .collect(),
        }
    }

    fn remember(&mut self, slice: &Slice) {
        let time = time_of(slice);
        if self.slices == 0 {
            self.began = (slice.thread, time.start);
        }
        self.recent[(self.slices % RECENT_MAX as u64) as usize] = (slice.thread, time);
        self.slices += 1;
    }

    /// The thread that was in it then, as far as that is remembered.
    fn thread_at(&self, time: u64) -> Option<u64> {
        let known = self.slices.min(RECENT_MAX as u64) as usize;
        let mut recent = self.recent.iter().take(known);
        let found = recent.find(|(_, slice)| (slice.start..=slice.end).contains(&time));
        found.map(|(thread, _)| *thread)
    }
}

const fn time_of(slice: &Slice) -> Time {
    Time {
        start: slice.start_unix_nano,
        end: slice.end_unix_nano,
    }
}

fn category(known: &Known) -> &str {
    let target = known.callsite.target;
    if target.is_empty() { "span" } else { target }
}

impl Drawing {
    pub(crate) fn new(format: Format, include_args: bool) -> Self {
        Self {
            format,
            include_args,
            buffer: Buffer::default(),
            callsites: Callsites::default(),
            threads: HashMap::new(),
            live: HashMap::default(),
            looks: 0,
        }
    }

    /// Takes what is to be written.
    pub(crate) fn take(&mut self) -> Buffer {
        std::mem::take(&mut self.buffer)
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.buffer.bytes.len()
    }

    /// How a file begins: with what is known by now.
    pub(crate) fn beginning(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.format.begin(&mut out);
        for (thread, name) in &self.threads {
            let thread = *thread;
            self.format.event(&mut out, &Event::Thread { thread, name });
        }
        out
    }

    /// How a file ends.
    pub(crate) fn ending(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.format.end(&mut out);
        out
    }

    pub(crate) fn thread(&mut self, thread: &ThreadName<'_>) {
        let name = thread.name.to_str();
        let thread = thread.thread;
        self.draw(&Event::Thread {
            thread,
            name: &name,
        });
        if self.threads.len() < THREADS_MAX {
            self.threads.insert(thread, name.into_owned());
        }
    }

    pub(crate) fn counter(&mut self, name: &str, unit: &str, time: u64, value: f64) {
        self.draw(&Event::Counter {
            name,
            unit,
            time,
            value,
        });
    }

    pub(crate) fn slice(&mut self, slice: &Slice, registry: &CallsiteRegistry) {
        let is_full = self.live.len() >= LIVE_MAX && !self.live.contains_key(&slice.span_id);
        if is_full {
            return self.draw_slice(slice, Flow::None, registry);
        }
        let looks = self.looks;
        let live = self.live.entry(slice.span_id).or_default();
        live.seen = looks;
        live.remember(slice);
        let settled = live.settled_by(slice);
        if live.slices == 1 {
            live.first = Some(*slice);
        } else {
            let first = live.first.take();
            if let Some(first) = first {
                self.draw_slice(&first, Flow::First, registry);
            }
            self.draw_slice(slice, Flow::Later, registry);
        }
        self.draw_settled(slice.thread, settled, registry);
    }

    pub(crate) fn record(&mut self, record: &Record<'_>, registry: &CallsiteRegistry) {
        match record {
            Record::Span(span) => self.span(span, registry),
            Record::Log(log) => self.log(log, registry),
        }
    }

    /// A span that has closed.
    fn span(&mut self, span: &SpanRecord<'_>, registry: &CallsiteRegistry) {
        let known = self.callsites.get(span.callsite(), registry);
        let time = Time {
            start: span.start_unix_nano(),
            end: span.end_unix_nano().max(span.start_unix_nano()),
        };
        let name = span_name(span, &known);
        let label = Label {
            name: &name,
            category: category(&known),
        };
        let ids = Ids {
            trace: span.trace_id(),
            span: span.span_id(),
            parent: span.parent_span_id(),
        };
        let args = if self.include_args {
            Args::new(span.items(), &known)
        } else {
            Args::NONE
        };
        let looks = self.looks;
        let mut live = self.live.get_mut(&span.span_id());
        let first = live.as_mut().and_then(|live| live.first.take());
        if let Some(live) = live {
            live.is_closed = true;
            live.seen = looks;
        }
        if let Some(first) = &first {
            self.draw(&Event::Slice {
                thread: first.thread,
                label,
                time: time_of(first),
                flow: Flow::None,
                ids,
                args,
            });
        }
        if !first.is_some_and(|first| covers(time_of(&first), time)) {
            self.draw(&Event::Life {
                label,
                time,
                ids,
                args,
            });
        }
        if ids.parent.is_valid() {
            self.note_child(&ids, time.start, known, registry);
        }
        self.draw_logs_left(span.span_id(), registry);
    }

    /// Draws, now or later, that a span was opened on another thread than the one that was in it first.
    fn note_child(
        &mut self,
        ids: &Ids,
        opened: u64,
        known: Arc<Known>,
        registry: &CallsiteRegistry,
    ) {
        let live = self.live.get(&ids.span);
        let Some(first) = live.filter(|live| live.slices > 0).map(|live| live.began) else {
            return;
        };
        let child = Child {
            span: ids.span,
            opened,
            known,
            first,
        };
        if self.live.len() >= LIVE_MAX && !self.live.contains_key(&ids.parent) {
            return;
        }
        let looks = self.looks;
        let parent = self.live.entry(ids.parent).or_default();
        if parent.slices == 0 {
            parent.seen = looks;
        }
        match parent.thread_at(opened) {
            Some(of_parent) => {
                let (logs, children) = (Vec::new(), vec![child]);
                self.draw_settled(of_parent, Settled { logs, children }, registry);
            }
            None if !parent.is_closed && parent.children.len() < WAITING_MAX => {
                parent.children.push(child);
            }
            None => {}
        }
    }

    fn log(&mut self, log: &LogRecord<'_>, registry: &CallsiteRegistry) {
        let (span, looks) = (log.span_id(), self.looks);
        let has_room = self.live.len() < LIVE_MAX || self.live.contains_key(&span);
        if span.is_valid() && has_room {
            let live = self.live.entry(span).or_default();
            if live.logs.len() < WAITING_MAX {
                live.seen = looks;
                let (time, record) = (log.time_unix_nano(), log.to_bytes());
                return live.logs.push(Log { time, record });
            }
        }
        self.draw_log(log, None, registry);
    }

    /// Looks after what has waited long enough.
    pub(crate) fn look(&mut self, registry: &CallsiteRegistry) {
        self.looks += 1;
        let before = self.looks.saturating_sub(LOOKS_KEPT);
        self.draw_waiting(before, registry);
    }

    /// Draws all that waits, at the end.
    pub(crate) fn finish(&mut self, registry: &CallsiteRegistry) {
        self.draw_waiting(u64::MAX, registry);
    }

    /// Draws what waits of spans that did not come up since that look, and forgets those of them that have closed.
    fn draw_waiting(&mut self, before: u64, registry: &CallsiteRegistry) {
        let old = |live: &Live| live.seen < before;
        let waiting: Vec<SpanId> = (self.live.iter())
            .filter(|(_, live)| old(live) && (live.first.is_some() || !live.logs.is_empty()))
            .map(|(span, _)| *span)
            .collect();
        for span in waiting {
            let first = self.live.get_mut(&span).and_then(|live| live.first.take());
            if let Some(first) = first {
                self.draw_slice(&first, Flow::First, registry);
            }
            self.draw_logs_left(span, registry);
        }
        // One that is open and has been entered may come up again; one of which there were only log records is
        // remembered for nothing.
        self.live
            .retain(|_, live| !old(live) || !(live.is_closed || live.slices == 0));
    }

    fn draw_logs_left(&mut self, span: SpanId, registry: &CallsiteRegistry) {
        let Some(live) = self.live.get_mut(&span) else {
            return;
        };
        for log in std::mem::take(&mut live.logs) {
            self.draw_kept(&log, None, registry);
        }
    }

    /// Draws a slice of a span of which no more is known than where it is in the source.
    fn draw_slice(&mut self, slice: &Slice, flow: Flow, registry: &CallsiteRegistry) {
        let known = self.callsites.get(Some(slice.callsite), registry);
        let (thread, time) = (slice.thread, time_of(slice));
        let label = Label {
            name: known.callsite.name,
            category: category(&known),
        };
        let ids = Ids {
            trace: slice.trace_id,
            span: slice.span_id,
            parent: SpanId::INVALID,
        };
        let args = Args::NONE;
        self.draw(&Event::Slice {
            thread,
            label,
            time,
            flow,
            ids,
            args,
        });
    }

    /// Draws what has waited for a slice of this thread.
    fn draw_settled(&mut self, thread: u64, settled: Settled, registry: &CallsiteRegistry) {
        for log in settled.logs {
            self.draw_kept(&log, Some(thread), registry);
        }
        for child in settled.children {
            if child.first.0 != thread {
                let label = Label {
                    name: child.known.callsite.name,
                    category: category(&child.known),
                };
                let (from, to, span) = ((thread, child.opened), child.first, child.span);
                self.draw(&Event::Handover {
                    from,
                    to,
                    label,
                    span,
                });
            }
        }
    }

    fn draw_kept(&mut self, log: &Log, thread: Option<u64>, registry: &CallsiteRegistry) {
        if let Ok(Record::Log(log)) = Record::parse(&log.record) {
            self.draw_log(&log, thread, registry);
        }
    }

    fn draw_log(&mut self, log: &LogRecord<'_>, thread: Option<u64>, registry: &CallsiteRegistry) {
        let known = self.callsites.get(log.callsite(), registry);
        let name = message(log, &known);
        let ids = log.span_id().is_valid();
        self.draw(&Event::Instant {
            thread,
            label: Label {
                name: &name,
                category: category(&known),
            },
            time: log.time_unix_nano(),
            ids: ids.then(|| (log.trace_id(), log.span_id())),
            level: level(log.head().severity()),
            args: if self.include_args {
                Args::new(log.items(), &known)
            } else {
                Args::NONE
            },
        });
    }

    fn draw(&mut self, event: &Event<'_>) {
        let Buffer {
            bytes,
            events,
            dropped,
        } = &mut self.buffer;
        if bytes.len() >= BUFFER_BYTES_MAX {
            *dropped += 1;
        } else {
            *events += 1;
            self.format.event(bytes, event);
        }
    }
}

/// Whether a slice is all of a span's life, but for a moment before and after.
fn covers(slice: Time, life: Time) -> bool {
    /// What opening and closing a span may take.
    const MOMENT_NANOS: u64 = 20_000;
    let length = |time: Time| time.end.saturating_sub(time.start);
    let rest = length(life).saturating_sub(length(slice));
    rest <= MOMENT_NANOS.max(length(life) / 10)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::TRACE => "TRACE",
        Severity::DEBUG => "DEBUG",
        Severity::INFO => "INFO",
        Severity::WARN => "WARN",
        Severity::ERROR => "ERROR",
        _ => "",
    }
}
