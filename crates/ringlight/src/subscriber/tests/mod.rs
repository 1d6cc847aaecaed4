//! The subscriber over the real pipeline, with a sink that keeps what arrives.

mod beside;
mod modes;

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use ringlight_clock::ManualTime;
use ringlight_collector::record::{Item, KeyRef, Record as RecordRef, ValueRef};
use ringlight_collector::{CollectorConfig, Pipeline, RecordSink};
use ringlight_model::{DropReason, Severity, StatusCode};
use tracing::{Dispatch, Span, debug, error, info, info_span, span};

use super::*;
use crate::controls::Controls;
use crate::filter::Filter;
use crate::sampling::{HeadSampling, Sampler};
use modes::{Alone, AsLayer, BesideAll, BesideNone, BesideSome, Mode};

/// Every test in every mode, with further modules of tests that hold in it.
macro_rules! modes {
    ($($module:ident: $mode:ident [$($further:ident)?],)*) => {$(
        #[path = "."]
        #[expect(clippy::duplicate_mod, reason = "the same tests in another mode")]
        mod $module {
            use super::*;

            type Recording = RecordingIn<$mode>;

            mod behaviour;
            mod model;
            mod sampling;
            $(mod $further;)?
        }
    )*};
}

modes! {
    alone: Alone [closed],
    as_layer: AsLayer [],
    beside_all: BesideAll [],
    beside_some: BesideSome [],
    beside_none: BesideNone [closed],
}

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
const LONG: Duration = Duration::from_secs(20);

/// A field, readable.
#[derive(Debug, Clone, PartialEq)]
enum Got {
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    CutText(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
struct RecordedSpan {
    name: String,
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    status: StatusCode,
    status_message: Option<String>,
    dropped: u16,
    start: u64,
    end: u64,
    fields: Vec<(String, Got)>,
    links: Vec<SpanId>,
    has_remote_parent: bool,
}

#[derive(Debug, Clone)]
struct RecordedLog {
    trace: TraceId,
    span: SpanId,
    flags: u8,
    severity: Severity,
    dropped: u16,
    fields: Vec<(String, Got)>,
    /// The names of the spans around it, outermost first.
    path: Vec<String>,
    /// What they had been recorded with, as text.
    around: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    spans: Vec<RecordedSpan>,
    logs: Vec<RecordedLog>,
}

impl Kept {
    fn span(&self, name: &str) -> &RecordedSpan {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}"));
        assert!(found.next().is_none(), "several spans {name}");
        span
    }
}

impl RecordedSpan {
    fn field(&self, name: &str) -> Option<&Got> {
        let mut found = self.fields.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value);
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }
}

impl RecordedLog {
    fn field(&self, name: &str) -> Option<&Got> {
        self.fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|f| &f.1)
    }
}

/// Keeps everything that comes out of the rings.
struct Keep(Arc<Mutex<Kept>>);

impl RecordSink for Keep {
    fn record(&mut self, record: &RecordRef<'_>, callsites: &CallsiteRegistry) {
        let callsite = callsites.lookup(record.callsite().unwrap()).unwrap();
        let mut fields = Vec::new();
        let mut links = Vec::new();
        let mut path = Vec::new();
        let mut around = Vec::new();
        let mut status_message = None;
        for item in record.items() {
            match item {
                Item::Attribute(KeyRef::Field(index), value) => {
                    let name = callsite.fields[usize::from(index)].to_owned();
                    let value = match value {
                        ValueRef::Bool(value) => Got::Bool(value),
                        ValueRef::I64(value) => Got::Int(value.into()),
                        ValueRef::U64(value) => Got::Int(value.into()),
                        ValueRef::F64(value) => Got::Float(value),
                        ValueRef::Text(text) if text.cut => Got::CutText(text.to_str().into()),
                        ValueRef::Text(text) => Got::Text(text.to_str().into()),
                        ValueRef::Bytes(bytes, _) => Got::Bytes(bytes.to_vec()),
                        ValueRef::List(_) => panic!("`tracing` has no lists"),
                    };
                    fields.push((name, value));
                }
                Item::Link { span_id, .. } => links.push(span_id),
                Item::StatusMessage(text) => status_message = Some(text.to_str().into_owned()),
                Item::Enclosing(span) => {
                    let callsite = callsites.lookup(span.callsite).unwrap();
                    path.insert(0, callsite.name.to_owned());
                    around.extend(span.items.map(|item| {
                        let Item::Attribute(KeyRef::Field(index), value) = item else {
                            panic!("unexpected {item:?}");
                        };
                        let name = callsite.fields[usize::from(index)].to_owned();
                        let text = match value {
                            ValueRef::Text(text) if text.cut => format!("{}...", text.to_str()),
                            ValueRef::Text(text) => text.to_str().into_owned(),
                            other => format!("{other:?}"),
                        };
                        (name, text)
                    }));
                }
                Item::Dropped {
                    events: 0,
                    links: 0,
                } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        let mut kept = self.0.lock().unwrap();
        match record {
            RecordRef::Span(span) => kept.spans.push(RecordedSpan {
                name: callsite.name.to_owned(),
                trace: span.trace_id(),
                id: span.span_id(),
                parent: span.parent_span_id(),
                status: span.head().status(),
                status_message,
                dropped: span.head().dropped_attributes(),
                start: span.start_unix_nano(),
                end: span.end_unix_nano(),
                fields,
                links,
                has_remote_parent: span.head().has_remote_parent(),
            }),
            RecordRef::Log(log) => kept.logs.push(RecordedLog {
                trace: log.trace_id(),
                span: log.span_id(),
                flags: log.head().flags(),
                severity: log.head().severity(),
                dropped: log.head().dropped_attributes(),
                fields,
                path,
                around,
            }),
        }
    }

    fn flush(&mut self) {}
}

/// Records in a mode.
struct RecordingIn<M> {
    mode: PhantomData<M>,
    pipeline: Pipeline,
    kept: Arc<Mutex<Kept>>,
    times: ManualTime,
    dispatch: Dispatch,
    slab: Arc<Slab>,
    controls: Controls,
}

impl<M: Mode> RecordingIn<M> {
    /// Whether all spans have ids of our own.
    const HAS_OWN_IDS: bool = M::HAS_OWN_IDS;

    fn new() -> Self {
        Self::with("trace", &Limits::default())
    }

    fn with(directives: &str, limits: &Limits) -> Self {
        Self::sampled(directives, limits, Sampler::default())
    }

    fn sampled(directives: &str, limits: &Limits, sampler: Sampler) -> Self {
        Self::start(directives, limits, sampler, M::dispatch)
    }

    /// Made otherwise than the mode says.
    fn made(make: impl FnOnce(RinglightSubscriber) -> Dispatch) -> Self {
        Self::filtered("trace", make)
    }

    fn filtered(directives: &str, make: impl FnOnce(RinglightSubscriber) -> Dispatch) -> Self {
        Self::start(directives, &Limits::default(), Sampler::default(), make)
    }

    fn start(
        directives: &str,
        limits: &Limits,
        sampler: Sampler,
        make: impl FnOnce(RinglightSubscriber) -> Dispatch,
    ) -> Self {
        let callsites = Arc::new(CallsiteRegistry::new());
        let kept = Arc::new(Mutex::new(Kept::default()));
        let pipeline = Pipeline::start(
            CollectorConfig::default(),
            Arc::clone(&callsites),
            Vec::<ringlight_collector::DestinationConfig>::new(),
            vec![Box::new(Keep(Arc::clone(&kept)))],
        )
        .unwrap();
        let times = ManualTime::default();
        times.set_wall(1000 * HOUR);
        let outputs = Outputs {
            spans: true,
            logs: true,
            lines: true,
            exported_logs: true,
            sinks: false,
            span_events: false,
            #[cfg(feature = "profiling-alloc")]
            allocations: true,
        };
        let sampling = HeadSampling::new("test".to_owned(), sampler, Vec::new());
        let filter = Filter::parse(directives).0;
        let controls = Arc::new(controls::Shared::new(sampling, Filters::new(filter)));
        let subscriber = RinglightSubscriber::new(
            pipeline.recorder(),
            callsites,
            Arc::new(Clock::manual(times.clone())),
            Arc::clone(&controls),
            limits,
            outputs,
            pipeline.meter(),
        );
        let slab = Arc::clone(&subscriber.slab);
        Self {
            mode: PhantomData,
            pipeline,
            kept,
            times,
            dispatch: make(subscriber),
            slab,
            controls: Controls {
                shared: controls,
                reloader: None,
            },
        }
    }

    fn subscriber(&self) -> &RinglightSubscriber {
        let layer = || self.dispatch.downcast_ref::<RinglightLayer>();
        let subscriber = self.dispatch.downcast_ref::<RinglightSubscriber>();
        subscriber.or_else(|| Some(layer()?.subscriber())).unwrap()
    }

    fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        tracing::dispatcher::with_default(&self.dispatch, body)
    }

    /// Runs `body`, then gives what it recorded. No span may be left open.
    fn records(self, body: impl FnOnce(&Self)) -> Kept {
        self.run(|| body(&self));
        let ledger = self.pipeline.shutdown(LONG);
        assert!(ledger.balances(), "{ledger:?}");
        for signal in [Signal::Traces, Signal::Logs] {
            assert_eq!(ledger.account(signal).dropped_total(), 0);
        }
        assert_eq!(self.slab.open_count(), 0, "a span is still open");
        let layer = self.dispatch.downcast_ref::<RinglightLayer>();
        assert_eq!(layer.map_or(0, RinglightLayer::open_count), 0);
        let kept = self.kept.lock().unwrap();
        assert_eq!(
            ledger.account(Signal::Traces).submitted,
            kept.spans.len() as u64
        );
        kept.clone()
    }
}
