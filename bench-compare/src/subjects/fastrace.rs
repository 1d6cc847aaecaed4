//! fastrace with its OpenTelemetry reporter.

use std::borrow::Cow;

use ::opentelemetry::InstrumentationScope;
use anyhow::Result;
use bench_workload::{Took, id, route};
use fastrace::{
    collector::Config,
    prelude::{Event, LocalSpan, Span, SpanContext},
};
use fastrace_opentelemetry::OpenTelemetryReporter;
use tokio::runtime::Runtime;

use super::{Ending, Producer, Recording, Settings, opentelemetry};
use crate::plan::{Sampling, Shape};

/// fastrace reports from a thread of its own; the runtime carries its connection.
pub(super) struct Fastrace {
    sampling: Sampling,
    _runtime: Runtime,
}

/// Its queue has no size to set and no policy that waits, so every [`Room`](crate::plan::Room) is
/// the same to it.
pub(super) fn start(settings: &Settings<'_>) -> Result<Fastrace> {
    let (runtime, exporter) = opentelemetry::exporter(settings)?;
    let handle = runtime.handle().clone();
    let reporter = OpenTelemetryReporter::new(
        exporter,
        Cow::Owned(opentelemetry::resource()),
        InstrumentationScope::builder("bench").build(),
    )
    .with_block_on(move |future| handle.block_on(future));
    ::fastrace::set_reporter(reporter, Config::default());
    Ok(Fastrace {
        sampling: settings.sampling,
        _runtime: runtime,
    })
}

/// All its properties are strings.
pub(crate) fn properties(sequence: u64) -> [(&'static str, Cow<'static, str>); 3] {
    [
        ("id", Cow::Owned(id(sequence).to_string())),
        ("route", Cow::Borrowed(route(sequence))),
        ("took", Cow::Owned(Took(sequence).to_string())),
    ]
}

/// It has no sampler: whoever begins a trace says whether it is recorded.
struct Roots(Sampling);

impl Roots {
    fn begin(&self) -> Span {
        let context = SpanContext::random().sampled(self.0 == Sampling::AlwaysOn);
        Span::root("root", context)
    }
}

impl Producer for Roots {
    fn burst(&mut self, shape: Shape, first: u64, count: u64) {
        for unit in first..first + count {
            match shape {
                Shape::Flat => drop(self.begin()),
                Shape::Flat3 => drop(self.begin().with_properties(|| properties(unit))),
                Shape::Event => self
                    .begin()
                    .add_event(Event::new("ping").with_property(|| ("id", id(unit).to_string()))),
                Shape::Tree => {
                    let root = self.begin();
                    let _parent = root.set_local_parent();
                    for _ in 0..Shape::CHILDREN_COUNT {
                        drop(LocalSpan::enter_with_local_parent("child"));
                    }
                }
                Shape::Tree3 => {
                    let first = unit * shape.spans_per_unit();
                    let root = self.begin().with_properties(|| properties(first));
                    let _parent = root.set_local_parent();
                    for child in 1..=Shape::CHILDREN_COUNT {
                        drop(
                            LocalSpan::enter_with_local_parent("child")
                                .with_properties(|| properties(first + child)),
                        );
                    }
                }
                // Made by a service: see `requests`.
                Shape::Request => {}
            }
        }
    }
}

impl Recording for Fastrace {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(Roots(self.sampling)))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        ::fastrace::flush();
        Ok(Ending::default())
    }
}
