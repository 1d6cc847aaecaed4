//! The product without `tracing`: spans timed and submitted natively.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bench_workload::{id, route};
use ringlight::OverflowPolicy;
use ringlight::collector::{
    AsyncSpanCollector, CollectorConfig, KeyValue, OpenSpan, OtlpConfig, OtlpGrpcExporter, Span,
    SpanEvent, SpanProducer, SpanTemplate,
};
use tokio::runtime::Builder;

use super::ringlight::account;
use super::whole::Wholes;
use super::{Ending, Producer, Recording, Settings};
use crate::plan::{Room, Shape, THREADS_MAX};

static ROOT: SpanTemplate<0> = SpanTemplate::new("bench", "root", []);
static CHILD: SpanTemplate<0> = SpanTemplate::new("bench", "child", []);
static ROOT3: SpanTemplate<3> = SpanTemplate::new("bench", "root", ["id", "route", "took"]);
static CHILD3: SpanTemplate<3> = SpanTemplate::new("bench", "child", ["id", "route", "took"]);

/// A collector and what it was given in vain.
pub(super) struct Native {
    collector: AsyncSpanCollector,
    /// Whole spans that came back and were given up, which the ledger does not count. Relaxed: read
    /// when all producers are gone.
    refused: AtomicU64,
    way: Way,
}

/// How spans are handed over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// Timed, with values for what a template has.
    Templates,
    /// As whole spans, by reference.
    Wholes,
}

/// A producer and the text of the attribute that is formatted.
struct Recorder<'a> {
    producer: SpanProducer,
    took: String,
    refused: &'a AtomicU64,
}

pub(super) fn start(settings: &Settings<'_>, way: Way) -> Result<Native> {
    let config = CollectorConfig {
        policy: match settings.room {
            // A burst fits its ring as it is.
            Room::Default | Room::Burst => OverflowPolicy::Drop,
            Room::Lossless => OverflowPolicy::Block,
        },
        // As `init` has them: a producer has a ring of its own, and the most threads are as many.
        batch_delay: Duration::from_millis(200),
        producers_max: THREADS_MAX,
        ..CollectorConfig::default()
    };
    let exporter = OtlpGrpcExporter::new(&OtlpConfig::new(settings.endpoint))?;
    Ok(Native {
        collector: AsyncSpanCollector::new(config, Arc::new(exporter))?,
        refused: AtomicU64::new(0),
        way,
    })
}

impl Recorder<'_> {
    fn end3(&mut self, span: OpenSpan<3>, sequence: u64) {
        self.took.clear();
        // What `Took` shows. Writing to a string does not fail.
        let _ = write!(self.took, "{}us", sequence % 1_000);
        let values = [
            id(sequence).into(),
            route(sequence).into(),
            (&self.took).into(),
        ];
        self.producer.end(span, values);
    }

    /// A whole span, since a template has no events.
    fn event(&mut self, unit: u64) {
        let span = self.producer.start(&ROOT);
        let context = span.context();
        let event = SpanEvent {
            time_unix_nano: span.start_unix_nano(),
            name: "ping".into(),
            attributes: vec![KeyValue::new("id", id(unit))],
            dropped_attributes_count: 0,
        };
        let whole = Span {
            trace_id: context.trace_id,
            span_id: context.span_id,
            flags: 1,
            name: "root".into(),
            start_unix_nano: span.start_unix_nano(),
            end_unix_nano: self.producer.now_unix_nano(),
            events: vec![event],
            ..Span::default()
        };
        if self.producer.submit_span(whole).is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Producer for Recorder<'_> {
    fn burst(&mut self, shape: Shape, first: u64, count: u64) {
        for unit in first..first + count {
            match shape {
                Shape::Flat => {
                    let span = self.producer.start(&ROOT);
                    self.producer.end(span, []);
                }
                Shape::Flat3 => {
                    let span = self.producer.start(&ROOT3);
                    self.end3(span, unit);
                }
                Shape::Event => self.event(unit),
                Shape::Tree => {
                    let root = self.producer.start(&ROOT);
                    for _ in 0..Shape::CHILDREN_COUNT {
                        let child = self.producer.start_child(&CHILD, root.context());
                        self.producer.end(child, []);
                    }
                    self.producer.end(root, []);
                }
                Shape::Tree3 => {
                    let first = unit * shape.spans_per_unit();
                    let root = self.producer.start(&ROOT3);
                    for child in 1..=Shape::CHILDREN_COUNT {
                        let span = self.producer.start_child(&CHILD3, root.context());
                        self.end3(span, first + child);
                    }
                    self.end3(root, first);
                }
                // Made by a service: see `requests`.
                Shape::Request => {}
            }
        }
    }
}

impl Recording for Native {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        let producer = self.collector.register()?.into_sync();
        let refused = &self.refused;
        Ok(match self.way {
            Way::Templates => Box::new(Recorder {
                producer,
                took: String::new(),
                refused,
            }),
            Way::Wholes => Box::new(Wholes::new(producer, refused)),
        })
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        let runtime = Builder::new_current_thread().build()?;
        let ledger = runtime.block_on(self.collector.shutdown(Duration::from_secs(120)));
        let mut account = account(&ledger)?;
        let refused = self.refused.into_inner();
        if refused > 0 {
            account.insert("refused".to_owned(), refused);
        }
        Ok(Ending {
            account: Some(account),
            cost: None,
            ..Ending::default()
        })
    }
}
