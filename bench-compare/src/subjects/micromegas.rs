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
use micromegas_tracing::{
    event::{EventSink, TracingBlock as _},
    guards::{TracingSystemGuard, TracingThreadGuard},
    info,
    logs::{LogBlock, LogMetadata, LogStream},
    metrics::{MetricsBlock, MetricsStream},
    process_info::ProcessInfo,
    property_set::DynProperty,
    span_scope,
    spans::{ThreadBlock, ThreadStream},
};

use super::{Account, Producer, Recording, Took, id, route};
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
    /// Spans recorded, as the producers know it.
    spans: AtomicU64,
    /// Begins and ends of spans in the blocks taken.
    begins_and_ends: AtomicU64,
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
        self.counts.spans.fetch_add(spans, Ordering::Relaxed);
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

    /// Every span must have come out as a begin and an end.
    fn finish(self: Box<Self>) -> Result<Option<Account>> {
        let Self { counts, system } = *self;
        drop(system);
        let spans = counts.spans.load(Ordering::Relaxed);
        let found = counts.begins_and_ends.load(Ordering::Relaxed);
        if found != 2 * spans {
            bail!("micromegas handed on {found} begins and ends of {spans} spans");
        }
        Ok(None)
    }
}

/// Takes blocks of all kinds, counts those of threads, and drops them.
struct CountingSink(Arc<Counts>);

impl EventSink for CountingSink {
    fn on_startup(&self, _: Arc<ProcessInfo>) {}

    fn on_shutdown(&self) {}

    fn on_log_enabled(&self, _: &LogMetadata) -> bool {
        true
    }

    fn on_log(&self, _: &LogMetadata, _: &[DynProperty<'_>], _: i64, _: fmt::Arguments<'_>) {}

    fn on_init_log_stream(&self, _: &LogStream) {}

    fn on_process_log_block(&self, _: Arc<LogBlock>) {}

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
