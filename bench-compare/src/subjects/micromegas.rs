//! micromegas-tracing. It sends blocks of events to a service of its own and no OTLP, so its blocks are
//! taken, counted and dropped here: what it costs to record is measured, and nothing is delivered.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use bench_workload::{Took, id, route};
use micromegas_tracing::{
    event::{EventSink, TracingBlock as _},
    guards::{TracingSystemGuard, TracingThreadGuard},
    info,
    levels::{LevelFilter, set_max_level},
    logs::{LogBlock, LogMetadata, LogStream},
    metrics::{MetricsBlock, MetricsStream},
    process_info::ProcessInfo,
    property_set::DynProperty,
    span_scope,
    spans::{ThreadBlock, ThreadStream},
};

use super::{Ending, Producer, Recording};
use crate::plan::Shape;

/// The sizes of its own benchmarks: a thread's buffer, like the two that all threads share, is handed
/// on when it is full.
const LOGS_BYTES: usize = 10 << 20;
const METRICS_BYTES: usize = 1 << 20;
const THREAD_BYTES: usize = 10 << 20;

pub(super) struct Micromegas {
    counts: Arc<Counts>,
    system: TracingSystemGuard,
}

/// Relaxed throughout: read when the recording threads have ended.
#[derive(Default)]
struct Counts {
    /// Spans and events recorded, as the producers know it.
    spans: AtomicU64,
    events: AtomicU64,
    /// Begins and ends of spans, and logs, in the blocks taken.
    begins_and_ends: AtomicU64,
    logs: AtomicU64,
}

pub(super) fn start() -> Result<Micromegas> {
    let counts = Arc::<Counts>::default();
    let sink = Arc::new(CountingSink(Arc::clone(&counts)));
    let system = TracingSystemGuard::new(
        LOGS_BYTES,
        METRICS_BYTES,
        THREAD_BYTES,
        sink,
        HashMap::new(),
        true,
    )
    .context("micromegas does not start")?;
    set_max_level(LevelFilter::Info);
    Ok(Micromegas { counts, system })
}

struct Thread<'a> {
    counts: &'a Counts,
    _thread: TracingThreadGuard,
}

impl Producer for Thread<'_> {
    fn burst(&mut self, shape: Shape, first: u64, count: u64) {
        for unit in first..first + count {
            match shape {
                Shape::Flat => flat(),
                Shape::Flat3 => {
                    let _root = span_scope!(
                        name = "root",
                        id = %id(unit),
                        route = route(unit),
                        took = %Took(unit)
                    );
                }
                Shape::Event => {
                    span_scope!("root");
                    info!(id = %id(unit), "ping");
                }
                Shape::Tree => {
                    span_scope!("root");
                    for _ in 0..Shape::CHILDREN_COUNT {
                        span_scope!("child");
                    }
                }
                Shape::Tree3 => tree3(unit * shape.spans_per_unit()),
                // Made by a service: see `requests`.
                Shape::Request => {}
            }
        }
        let spans = count * shape.spans_per_unit();
        let events = count * shape.events_per_unit();
        self.counts.spans.fetch_add(spans, Ordering::Relaxed);
        self.counts.events.fetch_add(events, Ordering::Relaxed);
    }
}

fn flat() {
    span_scope!("root");
}

fn tree3(first: u64) {
    let _root = span_scope!(
        name = "root",
        id = %id(first),
        route = route(first),
        took = %Took(first)
    );
    for child in 1..=Shape::CHILDREN_COUNT {
        let sequence = first + child;
        let _child = span_scope!(
            name = "child",
            id = %id(sequence),
            route = route(sequence),
            took = %Took(sequence)
        );
    }
}

impl Recording for Micromegas {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(Thread {
            counts: &self.counts,
            _thread: TracingThreadGuard::new(),
        }))
    }

    /// Every span must have come out as a begin and an end, every event as a log.
    fn finish(self: Box<Self>) -> Result<Ending> {
        let Self { counts, system } = *self;
        drop(system);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let recorded = (2 * of(&counts.spans), of(&counts.events));
        let found = (of(&counts.begins_and_ends), of(&counts.logs));
        if found != recorded {
            bail!("micromegas handed on {found:?} of {recorded:?} begins and ends, and logs");
        }
        Ok(Ending::default())
    }
}

/// Takes blocks of all kinds, counts what is in those of threads and of logs, and drops them.
struct CountingSink(Arc<Counts>);

impl EventSink for CountingSink {
    fn on_startup(&self, _: Arc<ProcessInfo>) {}

    fn on_shutdown(&self) {}

    fn on_log_enabled(&self, _: &LogMetadata) -> bool {
        true
    }

    fn on_log(&self, _: &LogMetadata, _: &[DynProperty<'_>], _: i64, _: fmt::Arguments<'_>) {}

    fn on_init_log_stream(&self, _: &LogStream) {}

    fn on_process_log_block(&self, block: Arc<LogBlock>) {
        let logs = block.nb_objects() as u64;
        self.0.logs.fetch_add(logs, Ordering::Relaxed);
    }

    fn on_init_metrics_stream(&self, _: &MetricsStream) {}

    fn on_process_metrics_block(&self, _: Arc<MetricsBlock>) {}

    fn on_init_thread_stream(&self, _: &ThreadStream) {}

    fn on_process_thread_block(&self, block: Arc<ThreadBlock>) {
        let events = block.nb_objects() as u64;
        self.0.begins_and_ends.fetch_add(events, Ordering::Relaxed);
    }

    fn is_busy(&self) -> bool {
        false
    }
}
