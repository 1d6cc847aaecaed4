//! Which span blocks a worker, and saying so.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ringlight_collector::outside_pipeline;
use ringlight_context::{PublishedAs, PublishedSpan, PublishedThread, published_threads};
use tracing_core::dispatcher::WeakDispatch;

use super::Watched;
#[cfg(feature = "otel")]
use super::instruments::Instruments;
use super::watchdog::Standing;
use crate::subscriber::{NamedSpan, PublishedSpans};

/// Time between two events about spans of the same callsite.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// A worker that does not come back from a task.
#[derive(Debug)]
pub(super) struct Stalled {
    pub(super) index: usize,
    pub(super) stands: Duration,
    /// After how long it is blocked.
    pub(super) after: Duration,
    /// Whether all workers of its runtime stand.
    pub(super) are_all: bool,
}

impl Stalled {
    /// Whether it is time to say so although it is not known which thread it is.
    fn is_long(&self) -> bool {
        self.stands >= 2 * self.after
    }
}

/// A worker that is known to be blocked.
#[derive(Debug)]
pub(super) struct Blocked {
    /// The name of the span, where it is known.
    #[cfg_attr(
        not(feature = "otel"),
        expect(dead_code, reason = "there are no metrics")
    )]
    span: Option<&'static str>,
    /// The number of the thread's place, where it is known.
    place: Option<usize>,
}

/// Says which span blocks, in an event and in metrics.
pub(super) struct Reporter {
    spans: PublishedSpans,
    dispatch: Arc<OnceLock<WeakDispatch>>,
    /// When something was said last, by callsite, or by runtime where no span is known.
    said: HashMap<(u64, u64), Instant>,
    #[cfg(feature = "otel")]
    instruments: Option<Instruments>,
}

/// A thread in a span.
struct Suspect {
    place: usize,
    span: PublishedSpan,
    thread: &'static PublishedThread,
    #[cfg(not(tokio_unstable))]
    stands: Duration,
}

impl Reporter {
    pub(super) fn new(
        spans: PublishedSpans,
        dispatch: Arc<OnceLock<WeakDispatch>>,
        #[cfg(feature = "otel")] instruments: Option<Instruments>,
    ) -> Self {
        Self {
            spans,
            dispatch,
            said: HashMap::new(),
            #[cfg(feature = "otel")]
            instruments,
        }
    }

    /// Measures how late a runtime was, where that is known by now.
    #[cfg(feature = "otel")]
    pub(super) fn lag(&self, runtime: &Watched) {
        while let Some(lag) = runtime.probe.take_lag(&runtime.handle) {
            if let Some(instruments) = &self.instruments {
                instruments.lag(runtime, lag);
            }
        }
    }

    /// A worker has come to be blocked. Nothing while there is hope to learn by which span.
    pub(super) fn report<'a>(
        &mut self,
        runtime: &Watched,
        worker: &Stalled,
        threads: &[Standing<PublishedSpan>],
        others: impl Iterator<Item = &'a Blocked>,
    ) -> Option<Blocked> {
        let known: Vec<usize> = others.filter_map(|blocked| blocked.place).collect();
        let suspect = suspect(runtime, worker, threads, &known);
        if suspect.is_none() && !worker.is_long() {
            return None;
        }
        let span = suspect.as_ref().and_then(|s| self.spans.named(s.span));
        let name = span.as_ref().map(|span| span.name);
        #[cfg(feature = "otel")]
        if let Some(instruments) = &self.instruments {
            instruments.blocked(runtime, name);
        }
        let callsite = span.as_ref().map_or(0, |span| span.callsite);
        if self.may_say((callsite, if callsite == 0 { runtime.number } else { 0 })) {
            let thread = suspect.as_ref().and_then(|s| s.thread.thread());
            self.say(runtime, worker, span.as_ref(), thread.as_ref());
        }
        Some(Blocked {
            span: name,
            place: suspect.map(|suspect| suspect.place),
        })
    }

    /// It is no longer, after so long.
    #[cfg_attr(
        not(feature = "otel"),
        expect(unused_variables, clippy::unused_self, reason = "there are no metrics")
    )]
    pub(super) fn unblocked(&self, runtime: &Watched, blocked: &Blocked, stood: Duration) {
        #[cfg(feature = "otel")]
        if let Some(instruments) = &self.instruments {
            instruments.unblocked(runtime, blocked.span, stood);
        }
    }

    /// Whether it is time to say something again. There are as many as the program has callsites.
    fn may_say(&mut self, about: (u64, u64)) -> bool {
        let now = Instant::now();
        let may = |said: &Instant| now.duration_since(*said) >= REPORT_INTERVAL;
        let may = self.said.get(&about).is_none_or(may);
        if may {
            self.said.insert(about, now);
        }
        may
    }

    fn say(
        &self,
        runtime: &Watched,
        worker: &Stalled,
        span: Option<&NamedSpan>,
        thread: Option<&PublishedAs>,
    ) {
        let dispatch = self.dispatch.get();
        let say = |parent| {
            let record = || event(parent, runtime, worker, span, thread);
            match thread {
                // It is about the worker's thread, on which it cannot be said.
                Some(thread) => self.spans.record_for(thread, record),
                None => record(),
            }
        };
        outside_pipeline(|| match dispatch.map(WeakDispatch::upgrade) {
            Some(Some(dispatch)) => tracing::dispatcher::with_default(&dispatch, || {
                // Of the subscriber that it is said to, so that it is known there.
                say(span.map(|span| span.id.clone()));
            }),
            // It is gone.
            Some(None) => {}
            None => say(None),
        });
    }
}

/// The event itself: in the span if there is a parent, and otherwise with its ids.
fn event(
    parent: Option<tracing_core::span::Id>,
    runtime: &Watched,
    worker: &Stalled,
    span: Option<&NamedSpan>,
    thread: Option<&PublishedAs>,
) {
    let millis = u64::try_from(worker.stands.as_millis()).unwrap_or(u64::MAX);
    let text = |id: &dyn std::fmt::Display| id.to_string();
    // An event in the span has its ids anyway, and a log line would show them twice.
    let (trace_id, span_id) = span
        .filter(|_| parent.is_none())
        .map(|span| (text(&span.trace_id), text(&span.span_id)))
        .unzip();
    let message = match span {
        Some(span) => format!(
            "span `{}` has blocked a worker of tokio for {millis} ms; hint: await instead, or run \
             what blocks in `tokio::task::spawn_blocking`",
            span.name
        ),
        None => format!(
            "a worker of tokio has been blocked for {millis} ms, in no span that is recorded; hint: \
             a span around what tasks do gives it a name"
        ),
    };
    tracing::warn!(
        target: "ringlight::runtime",
        parent: parent,
        blocked_ms = millis,
        span.name = span.map(|span| span.name),
        trace_id = trace_id.as_deref(),
        span_id = span_id.as_deref(),
        thread.id = thread.map(|thread| thread.number),
        thread.name = thread.and_then(|thread| thread.thread.name()),
        tokio.worker.index = worker.index as u64,
        tokio.runtime.id = %runtime.number,
        tokio.runtime.name = runtime.name(),
        "{message}"
    );
}

/// The thread of a worker, by what tokio says, if it is in a span.
#[cfg(tokio_unstable)]
fn suspect(
    runtime: &Watched,
    worker: &Stalled,
    threads: &[Standing<PublishedSpan>],
    _: &[usize],
) -> Option<Suspect> {
    let id = runtime.handle.metrics().worker_thread_id(worker.index)?;
    suspects(threads).find(|suspect| {
        suspect
            .thread
            .thread()
            .is_some_and(|published| published.thread.id() == id)
    })
}

/// The thread that is most likely that of a worker: it is known for one of that runtime, and has stood still for
/// long, but for no longer than the worker.
#[cfg(not(tokio_unstable))]
fn suspect(
    runtime: &Watched,
    worker: &Stalled,
    threads: &[Standing<PublishedSpan>],
    known: &[usize],
) -> Option<Suspect> {
    /// How far apart the two are seen, which are looked at one after the other.
    const ABOUT: Duration = Duration::from_millis(50);

    let may_be = |suspect: &Suspect| {
        suspect.thread.note() == runtime.number
            && !known.contains(&suspect.place)
            && suspect.stands <= worker.stands + ABOUT
            // Where all are blocked, so is whoever is in a span.
            && (suspect.stands >= worker.after / 2 || worker.are_all && worker.is_long())
    };
    suspects(threads)
        .filter(may_be)
        .max_by_key(|suspect| suspect.stands)
}

/// The threads that are in a span.
fn suspects(
    #[cfg_attr(
        tokio_unstable,
        expect(unused_variables, reason = "tokio tells which it is")
    )]
    threads: &[Standing<PublishedSpan>],
) -> impl Iterator<Item = Suspect> {
    published_threads().filter_map(|(place, thread)| {
        let span = thread.span();
        (span.span != 0).then_some(())?;
        Some(Suspect {
            place,
            span,
            thread,
            #[cfg(not(tokio_unstable))]
            stands: threads.get(place)?.stands,
        })
    })
}
