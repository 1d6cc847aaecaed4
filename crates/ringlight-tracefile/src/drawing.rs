//! From records to what is drawn.
//!
//! A span whose life is one stretch of time on one thread is a slice of that thread. Any other one, such as a future
//! that a runtime polls, is a slice for each stretch, which are shown to follow each other, and a track of its own for
//! its life. Which of the two it is is known when it closes, or when a thread is in it once more than dropping a future
//! takes; so the first two slices of each open span are kept back until then, for up to about a second, and the last
//! one after that, since it may be that.

mod open;
mod pen;

use std::cmp::Reverse;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use ringlight_collector::record::{LogRecord, Record, Slice, SpanRecord, ThreadName};
use ringlight_model::{CallsiteRegistry, Severity, SpanId};

use open::{Kept, Live, Log, Opened, covers, time_of};
pub(crate) use pen::Buffer;
use pen::Pen;

use crate::format::{Event, Flow, Format, Ids, Time};
use crate::meaning::{Args, Callsites, message, span_name};

/// Spans of which something is kept at most: one more takes the place of that which came up longest ago. Of some the end
/// never comes, since it found no room in a ring.
const LIVE_MAX: usize = 65_536;
/// Log records that wait for a slice of one span.
const WAITING_MAX: usize = 32;
/// Bytes of waiting log records from which on no more wait: those are drawn as they come.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Looks after which what waits is drawn as it is.
const LOOKS_KEPT: u64 = 4;
/// Spans that closed last, as far as they are told apart by the lowest bits of their ids.
const CLOSED: usize = 4096;
/// Threads whose names are kept for the next file: one more takes the place of that which was in a span longest ago.
const THREADS_MAX: usize = 4096;

/// What has been drawn and not been written, and what is yet to be drawn.
pub(crate) struct Drawing {
    pen: Pen,
    include_args: bool,
    callsites: Callsites,
    threads: HashMap<u64, Thread, RandomState>,
    /// Whether names, of threads and others, may be missing in the file.
    are_names_lost: bool,
    /// The thread that was in a span last, if that is noted of it; zero if not.
    noted: u64,
    /// What came last, if it is all there is of its span: the span itself mostly comes next.
    last: Option<Kept>,
    /// Other spans that are open and of which something is there.
    live: HashMap<SpanId, Live, RandomState>,
    /// All that were open when it was made, each with the look before which it had come up last: the one that came up
    /// longest ago at the end. Up to [`LIVE_MAX`], of which some have come up again or closed since.
    oldest: Vec<(SpanId, u64)>,
    /// Bytes of all log records that wait: below [`WAITING_BYTES_MAX`] and a record.
    waiting_bytes: usize,
    /// Of spans that closed lately, slices may come that another thread had still in its ring.
    closed: Box<[SpanId]>,
    /// Counts looks at what waits.
    looks: u64,
}

/// A thread that has a name.
struct Thread {
    name: String,
    /// The look before which it was in a span last.
    seen: u64,
}

impl std::fmt::Debug for Drawing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawing").finish_non_exhaustive()
    }
}

impl Drawing {
    pub(crate) fn new(mut format: Format, include_args: bool) -> Self {
        Self {
            include_args,
            callsites: Callsites::new(&mut format, include_args),
            pen: Pen {
                format,
                buffer: Buffer::default(),
            },
            threads: HashMap::default(),
            are_names_lost: false,
            noted: 0,
            last: None,
            live: HashMap::default(),
            oldest: Vec::new(),
            waiting_bytes: 0,
            closed: vec![SpanId::INVALID; CLOSED].into(),
            looks: 0,
        }
    }

    /// Takes what is to be written, and goes on with an empty buffer. Where names were lost, it begins with all of them,
    /// beyond its bound.
    pub(crate) fn take(&mut self, empty: Buffer) -> Buffer {
        let mut buffer = std::mem::replace(&mut self.pen.buffer, empty);
        if !buffer.bytes.is_empty() && std::mem::take(&mut self.are_names_lost) {
            let mut names = Vec::new();
            self.pen.format.names(&mut names);
            self.name_threads(&mut names);
            buffer.bytes.splice(0..0, names);
        }
        buffer
    }

    /// What was taken was not written.
    pub(crate) fn note_lost(&mut self) {
        self.are_names_lost = true;
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.pen.buffer.bytes.len()
    }

    /// How a file begins: with what is known by now.
    pub(crate) fn beginning(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.pen.format.begin(&mut out);
        self.name_threads(&mut out);
        out
    }

    fn name_threads(&mut self, out: &mut Vec<u8>) {
        for (thread, Thread { name, .. }) in &self.threads {
            let thread = *thread;
            (self.pen.format).event(out, &Event::Thread { thread, name });
        }
    }

    /// How a file ends.
    pub(crate) fn ending(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.pen.format.end(&mut out);
        out
    }

    /// Its name is no event that is lost where it finds no room: it comes later.
    pub(crate) fn thread(&mut self, thread: &ThreadName<'_>) {
        let name = thread.name.to_str();
        let thread = thread.thread;
        self.are_names_lost |= !self.pen.draw_name(thread, &name);
        if self.threads.len() >= THREADS_MAX && !self.threads.contains_key(&thread) {
            // It takes less time than to start a thread.
            let oldest = self.threads.iter().min_by_key(|(_, thread)| thread.seen);
            if let Some(oldest) = oldest.map(|(thread, _)| *thread) {
                self.threads.remove(&oldest);
            }
        }
        let (name, seen) = (name.into_owned(), self.looks);
        self.threads.insert(thread, Thread { name, seen });
    }

    /// Notes that a thread is not one of those that were in a span long ago.
    #[inline]
    fn note(&mut self, thread: u64) {
        if self.noted != thread {
            self.noted = thread;
            if let Some(thread) = self.threads.get_mut(&thread) {
                thread.seen = self.looks;
            }
        }
    }

    pub(crate) fn counter(&mut self, name: &str, unit: &str, time: u64, value: f64) {
        self.pen.draw(&Event::Counter {
            name,
            unit,
            time,
            value,
        });
    }

    pub(crate) fn slice(&mut self, slice: &Slice, registry: &CallsiteRegistry) {
        self.note(slice.thread);
        if let Some(last) = &mut self.last
            && last.first.span_id == slice.span_id
            && last.second.is_none()
        {
            return last.add(slice);
        }
        self.put_last_by(registry);
        let Some(live) = self.live.get_mut(&slice.span_id) else {
            self.last = Some(Kept::new(*slice));
            return;
        };
        live.seen = self.looks;
        if slice.is_first {
            live.opened = Opened::of(slice);
        }
        let logs = live.logs_in(slice);
        match &mut live.kept {
            Some(kept) if live.before.is_none() && kept.second.is_none() => kept.add(slice),
            Some(kept) => {
                let drawn = std::mem::replace(kept, Kept::new(*slice));
                live.before = Some(drawn.last());
                self.draw_kept(drawn, registry);
            }
            none => *none = Some(Kept::new(*slice)),
        }
        for log in logs {
            self.draw_kept_log(&log, Some(slice.thread), registry);
        }
    }

    /// Puts what came last with the others, since something else comes before its span closes.
    #[inline]
    fn put_last_by(&mut self, registry: &CallsiteRegistry) {
        let Some(kept) = self.last.take() else { return };
        if self.has_closed(kept.first.span_id) {
            return self.draw_kept(kept, registry);
        }
        self.make_room(kept.first.span_id, registry);
        let seen = self.looks;
        let live = Live {
            seen,
            ..Live::of(kept)
        };
        self.live.insert(kept.first.span_id, live);
    }

    /// Makes room for this span among those that are open.
    #[inline]
    fn make_room(&mut self, span: SpanId, registry: &CallsiteRegistry) {
        if self.live.len() >= LIVE_MAX && !self.live.contains_key(&span) {
            self.forget_oldest(registry);
        }
    }

    /// Forgets the span that came up longest ago, as far as looks tell; what waits of it is drawn. Sorting them is done
    /// once for all of them, and each that is passed over came up or closed since.
    #[cold]
    fn forget_oldest(&mut self, registry: &CallsiteRegistry) {
        loop {
            while let Some((span, seen)) = self.oldest.pop() {
                if self.live.get(&span).is_some_and(|live| live.seen == seen)
                    && let Some(live) = self.live.remove(&span)
                {
                    if let Some(kept) = live.kept {
                        self.draw_kept(kept, registry);
                    }
                    for log in live.logs {
                        self.draw_kept_log(&log, None, registry);
                    }
                    return;
                }
            }
            let open = self.live.iter().map(|(span, live)| (*span, live.seen));
            self.oldest.extend(open);
            self.oldest.sort_unstable_by_key(|(_, seen)| Reverse(*seen));
        }
    }

    fn closed_place(span: SpanId) -> usize {
        span.get() as usize % CLOSED
    }

    fn has_closed(&self, span: SpanId) -> bool {
        self.closed[Self::closed_place(span)] == span
    }

    /// Draws what a thread recorded, if it is known which one.
    pub(crate) fn record(
        &mut self,
        record: &Record<'_>,
        thread: Option<u64>,
        registry: &CallsiteRegistry,
    ) {
        match record {
            Record::Span(span) => self.span(span, registry),
            Record::Log(log) if thread.is_some() => self.draw_log(log, thread, registry),
            Record::Log(log) => self.log(log, registry),
        }
    }

    /// A span that has closed.
    fn span(&mut self, span: &SpanRecord<'_>, registry: &CallsiteRegistry) {
        let id = span.span_id();
        self.closed[Self::closed_place(id)] = id;
        let last = self.last.take_if(|last| last.first.span_id == id);
        let live = match last {
            Some(kept) => Live::of(kept),
            None if self.live.is_empty() => Live::default(),
            None => self.live.remove(&id).unwrap_or_default(),
        };
        let life = Time {
            start: span.start_unix_nano(),
            end: span.end_unix_nano().max(span.start_unix_nano()),
        };
        let ids = Ids {
            trace: span.trace_id(),
            span: id,
            parent: span.parent_span_id(),
        };
        let opened = live.opened.filter(|_| ids.parent.is_valid());
        // The only slice there is shows all that is known of the span.
        let kept = live.kept.and_then(|kept| kept.without_drop(live.before));
        let is_only = |kept: &Kept| kept.first.is_first && kept.second.is_none();
        let only = kept.filter(|kept| live.before.is_none() && is_only(kept));
        let is_whole = only.is_some_and(|kept| covers(time_of(&kept.first), life));
        if only.is_none()
            && let Some(kept) = kept
        {
            self.draw_kept(kept, registry);
        }

        let Self { pen, callsites, .. } = self;
        let known = callsites.get(span.callsite(), registry, &mut pen.format);
        let name = span_name(span, known);
        let label = known.label_or(name.as_deref());
        let args = if self.include_args {
            Args::new(span.items(), known)
        } else {
            Args::NONE
        };
        if let Some(Kept { first, .. }) = &only {
            pen.draw(&Event::Slice {
                thread: first.thread,
                label,
                time: time_of(first),
                flow: opened.map_or(Flow::None, |_| Flow::Led),
                ids,
                args,
            });
        }
        if !is_whole {
            pen.draw(&Event::Life {
                label,
                time: life,
                ids,
                args,
            });
        }
        if let Some(opened) = opened {
            pen.draw(&Event::Handover {
                from: (opened.by, life.start),
                to: opened.first,
                label: known.label(),
                span: id,
            });
        }
        for log in live.logs {
            self.draw_kept_log(&log, None, registry);
        }
    }

    /// A log record of a thread that is not known unless a slice tells.
    fn log(&mut self, log: &LogRecord<'_>, registry: &CallsiteRegistry) {
        let span = log.span_id();
        if self.last.is_some_and(|last| last.first.span_id == span) {
            self.put_last_by(registry);
        }
        let may_wait =
            span.is_valid() && !self.has_closed(span) && self.waiting_bytes < WAITING_BYTES_MAX;
        if may_wait {
            self.make_room(span, registry);
            let live = self.live.entry(span).or_default();
            if live.logs.len() < WAITING_MAX {
                live.seen = self.looks;
                let (time, record) = (log.time_unix_nano(), log.to_bytes());
                self.waiting_bytes += record.len();
                return live.logs.push(Log { time, record });
            }
        }
        self.draw_log(log, None, registry);
    }

    /// Looks after what has waited long enough.
    pub(crate) fn look(&mut self, registry: &CallsiteRegistry) {
        self.looks += 1;
        self.noted = 0;
        let before = self.looks.saturating_sub(LOOKS_KEPT);
        self.draw_waiting(before, registry);
    }

    /// Draws all that waits, at the end.
    pub(crate) fn finish(&mut self, registry: &CallsiteRegistry) {
        self.draw_waiting(u64::MAX, registry);
    }

    /// Draws what waits of spans that did not come up since that look.
    fn draw_waiting(&mut self, before: u64, registry: &CallsiteRegistry) {
        self.put_last_by(registry);
        let old = |live: &Live| live.seen < before;
        let waiting: Vec<SpanId> = (self.live.iter())
            .filter(|(_, live)| old(live) && (live.kept.is_some() || !live.logs.is_empty()))
            .map(|(span, _)| *span)
            .collect();
        for span in waiting {
            let Some(live) = self.live.get_mut(&span) else {
                continue;
            };
            let logs = std::mem::take(&mut live.logs);
            if let Some(kept) = live.kept.take() {
                live.before = Some(kept.last());
                self.draw_kept(kept, registry);
            }
            for log in logs {
                self.draw_kept_log(&log, None, registry);
            }
        }
        // One that has been entered may be so again, which is then shown to follow. One of which there were only log
        // records is remembered for nothing.
        self.live
            .retain(|_, live| !old(live) || live.before.is_some());
    }

    /// Draws slices that were kept back, of which there are several, or whose span has been open for long.
    fn draw_kept(&mut self, kept: Kept, registry: &CallsiteRegistry) {
        self.draw_slice(&kept.first, registry);
        if let Some(second) = kept.second {
            self.draw_slice(&second, registry);
        }
    }

    /// Draws a slice of a span of which no more is known than where it is in the source.
    fn draw_slice(&mut self, slice: &Slice, registry: &CallsiteRegistry) {
        let Self { pen, callsites, .. } = self;
        let flow = if slice.is_first {
            Flow::First
        } else {
            Flow::Later
        };
        let known = callsites.get(Some(slice.callsite), registry, &mut pen.format);
        pen.draw(&Event::Slice {
            thread: slice.thread,
            label: known.label(),
            time: time_of(slice),
            flow,
            ids: Ids {
                trace: slice.trace_id,
                span: slice.span_id,
                parent: SpanId::INVALID,
            },
            args: Args::NONE,
        });
    }

    /// Draws a log record that has waited.
    fn draw_kept_log(&mut self, log: &Log, thread: Option<u64>, registry: &CallsiteRegistry) {
        self.waiting_bytes -= log.record.len();
        if let Ok(Record::Log(log)) = Record::parse(&log.record) {
            self.draw_log(&log, thread, registry);
        }
    }

    fn draw_log(&mut self, log: &LogRecord<'_>, thread: Option<u64>, registry: &CallsiteRegistry) {
        let Self { pen, callsites, .. } = self;
        let known = callsites.get(log.callsite(), registry, &mut pen.format);
        let name = message(log, known);
        let ids = log.span_id().is_valid();
        pen.draw(&Event::Instant {
            thread,
            label: known.label_or(name.as_deref()),
            time: log.time_unix_nano(),
            ids: ids.then(|| (log.trace_id(), log.span_id())),
            level: level(log.head().severity()),
            args: if self.include_args {
                Args::new(log.items(), known)
            } else {
                Args::NONE
            },
        });
    }
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

#[cfg(test)]
mod tests;
