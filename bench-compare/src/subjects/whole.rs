//! The product without `tracing`, given whole spans by reference: what a service pays that makes its
//! spans itself, with events and links perhaps.

use bench_workload::{id, route};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use ringlight::collector::{
    KeyValue, OpenSpan, Span, SpanContext, SpanEvent, SpanId, SpanProducer, SpanTemplate, Value,
};

use super::Producer;
use crate::plan::Shape;

/// For ids and beginnings alone.
static CLOCK: SpanTemplate<0> = SpanTemplate::new("bench", "span", []);

/// Two spans that are filled in and submitted again and again, so that nothing is allocated for one.
pub(super) struct Wholes<'a> {
    producer: SpanProducer,
    root: Span<'static>,
    child: Span<'static>,
    /// Spans that came back and were given up, which the ledger does not count. Relaxed: read when all
    /// producers are gone.
    refused: &'a AtomicU64,
}

impl<'a> Wholes<'a> {
    pub(super) fn new(producer: SpanProducer, refused: &'a AtomicU64) -> Self {
        let named = |name: &'static str| Span {
            name: name.into(),
            flags: 1,
            ..Span::default()
        };
        Self {
            producer,
            root: named("root"),
            child: named("child"),
            refused,
        }
    }

    fn root(&mut self, describe: impl FnOnce(&mut Span<'static>)) {
        let open = self.producer.start(&CLOCK);
        begin(&mut self.root, &open, SpanId::INVALID);
        describe(&mut self.root);
        self.end_root();
    }

    /// A root with ten children, numbered from here on if they have attributes.
    fn tree(&mut self, first: Option<u64>) {
        let open = self.producer.start(&CLOCK);
        begin(&mut self.root, &open, SpanId::INVALID);
        for child in 1..=Shape::CHILDREN_COUNT {
            self.child(open.context(), first.map(|first| first + child));
        }
        if let Some(first) = first {
            describe(&mut self.root, first);
        }
        self.end_root();
    }

    fn child(&mut self, parent: SpanContext, sequence: Option<u64>) {
        let open = self.producer.start_child(&CLOCK, parent);
        begin(&mut self.child, &open, parent.span_id);
        if let Some(sequence) = sequence {
            describe(&mut self.child, sequence);
        }
        end(&mut self.producer, &mut self.child, self.refused);
    }

    fn end_root(&mut self) {
        end(&mut self.producer, &mut self.root, self.refused);
    }
}

fn begin(span: &mut Span<'static>, open: &OpenSpan<0>, parent_span_id: SpanId) {
    let context = open.context();
    span.trace_id = context.trace_id;
    span.span_id = context.span_id;
    span.parent_span_id = parent_span_id;
    span.start_unix_nano = open.start_unix_nano();
}

fn end(producer: &mut SpanProducer, span: &mut Span<'static>, refused: &AtomicU64) {
    span.end_unix_nano = producer.now_unix_nano();
    if producer.submit_span(&*span).is_err() {
        refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sets the three attributes, in place where they are there from the last time.
fn describe(span: &mut Span<'static>, sequence: u64) {
    if span.attributes.is_empty() {
        let keys = ["id", "route", "took"];
        let attribute = |key| KeyValue::new(key, Value::Str(String::new().into()));
        span.attributes = keys.map(attribute).into();
    }
    if let [number, place, took] = span.attributes.as_mut_slice() {
        number.value = id(sequence).into();
        place.value = route(sequence).into();
        if let Value::Str(text) = &mut took.value {
            let text = text.to_mut();
            text.clear();
            // What `Took` shows. Writing to a string does not fail.
            let _ = write!(text, "{}us", sequence % 1_000);
        }
    }
}

/// Sets the event, in place where it is there from the last time.
fn happen(span: &mut Span<'static>, sequence: u64) {
    if span.events.is_empty() {
        span.events = vec![SpanEvent {
            time_unix_nano: 0,
            name: "ping".into(),
            attributes: vec![KeyValue::new("id", 0)],
            dropped_attributes_count: 0,
        }];
    }
    for event in &mut span.events {
        event.time_unix_nano = span.start_unix_nano;
        for attribute in &mut event.attributes {
            attribute.value = id(sequence).into();
        }
    }
}

impl Producer for Wholes<'_> {
    fn burst(&mut self, shape: Shape, first: u64, count: u64) {
        for unit in first..first + count {
            match shape {
                Shape::Flat => self.root(|_| ()),
                Shape::Flat3 => self.root(|span| describe(span, unit)),
                Shape::Event => self.root(|span| happen(span, unit)),
                Shape::Tree => self.tree(None),
                Shape::Tree3 => self.tree(Some(unit * shape.spans_per_unit())),
                // Made by a service: see `requests`.
                Shape::Request => {}
            }
        }
    }
}
