//! fastrace with its OpenTelemetry reporter.

use std::borrow::Cow;

use ::opentelemetry::InstrumentationScope;
use anyhow::Result;
use fastrace::{
    collector::Config,
    prelude::{Event, LocalSpan, Span, SpanContext},
};
use fastrace_opentelemetry::OpenTelemetryReporter;
use tokio::runtime::Runtime;

use super::{Account, Recording, Settings, Took, id, opentelemetry, route};
use crate::plan::Shape;

/// fastrace reports from a thread of its own; the runtime carries its connection.
pub(super) struct Fastrace {
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
    Ok(Fastrace { _runtime: runtime })
}

/// All its properties are strings.
fn properties(sequence: u64) -> [(&'static str, Cow<'static, str>); 3] {
    [
        ("id", Cow::Owned(id(sequence).to_string())),
        ("route", Cow::Borrowed(route(sequence))),
        ("took", Cow::Owned(Took(sequence).to_string())),
    ]
}

impl Recording for Fastrace {
    fn burst(&self, shape: Shape, first: u64, count: u64) {
        for unit in first..first + count {
            match shape {
                Shape::Flat => drop(Span::root("root", SpanContext::random())),
                Shape::Flat3 => drop(
                    Span::root("root", SpanContext::random()).with_properties(|| properties(unit)),
                ),
                Shape::Event => Span::root("root", SpanContext::random())
                    .add_event(Event::new("ping").with_property(|| ("id", id(unit).to_string()))),
                Shape::Tree => {
                    let root = Span::root("root", SpanContext::random());
                    let _parent = root.set_local_parent();
                    for _ in 0..Shape::CHILDREN_COUNT {
                        drop(LocalSpan::enter_with_local_parent("child"));
                    }
                }
                Shape::Tree3 => {
                    let first = unit * shape.spans_per_unit();
                    let root = Span::root("root", SpanContext::random())
                        .with_properties(|| properties(first));
                    let _parent = root.set_local_parent();
                    for child in 1..=Shape::CHILDREN_COUNT {
                        drop(
                            LocalSpan::enter_with_local_parent("child")
                                .with_properties(|| properties(first + child)),
                        );
                    }
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<Option<Account>> {
        ::fastrace::flush();
        Ok(None)
    }
}
