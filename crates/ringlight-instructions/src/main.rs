//! Records spans or events of one shape: `ringlight-instructions SHAPE COUNT`.
//!
//! The work that counts is in [`measured`], which is not inlined so that a profiler can tell it
//! apart. What happens once (a callsite is met, a ring is made) is in it, too: two runs that differ in
//! the count tell what one more costs. Up to 1650 records fit into less than half a ring, so that the
//! collector is not roused meanwhile.
#![forbid(unsafe_code)]

use std::fmt;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use ringlight::collector::{
    AttributeValue, EncodedBatch, ExportError, ExportOutcome, Exporter, SpanProducer, SpanTemplate,
};
use ringlight::otel::Interop;
use ringlight::{Builder, LogFormat, Sampler, Signal, Telemetry};
use tracing::{Subscriber, info, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Children of the root of a tree.
const CHILDREN: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(60);

static TEMPLATE: SpanTemplate<3> =
    SpanTemplate::new("instructions", "native", ["id", "route", "ratio"]);

/// What is recorded again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A span without fields.
    Flat,
    /// A span with an integer, a text and a value that is formatted.
    Flat3,
    /// A root with ten children, each with these three fields.
    Tree3,
    /// The same, not recorded.
    Tree3Unsampled,
    /// The same, recorded, beside a layer that wants none of it.
    Tree3Beside,
    /// The same beside a layer that wants all of it.
    Tree3BesideWanted,
    /// The same while the OpenTelemetry API is in use.
    Tree3Otel,
    /// An event with a field, in a span that stays open.
    Event,
    /// The same, in two spans with fields, shown as a line with them.
    EventLine,
    /// A span without `tracing`, with an integer, a text and a number.
    Native3,
}

impl Shape {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "flat" => Self::Flat,
            "flat3" => Self::Flat3,
            "tree3" => Self::Tree3,
            "tree3-unsampled" => Self::Tree3Unsampled,
            "tree3-beside" => Self::Tree3Beside,
            "tree3-beside-wanted" => Self::Tree3BesideWanted,
            "tree3-otel" => Self::Tree3Otel,
            "event" => Self::Event,
            "event-line" => Self::EventLine,
            "native3" => Self::Native3,
            _ => return None,
        })
    }
}

/// A value that is formatted.
struct Took(u64);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0 % 1_000)
    }
}

fn route(number: u64) -> &'static str {
    const ROUTES: [&str; 4] = ["/", "/cart", "/orders/{id}", "/orders/{id}/items"];
    ROUTES[(number % 4) as usize]
}

/// Takes every batch and keeps none.
struct Nowhere;

impl Exporter for Nowhere {
    async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "nowhere"
    }
}

/// Does nothing with what it sees.
struct Idle;

impl<S: Subscriber> Layer<S> for Idle {}

/// Records `count` spans or events.
#[inline(never)]
fn measured(shape: Shape, count: u64, producer: &mut SpanProducer) {
    match shape {
        Shape::Flat => (0..count).for_each(|_| drop(info_span!("root").entered())),
        Shape::Flat3 => (0..count).for_each(|number| drop(root(number).entered())),
        Shape::Tree3
        | Shape::Tree3Unsampled
        | Shape::Tree3Beside
        | Shape::Tree3BesideWanted
        | Shape::Tree3Otel => {
            for first in (0..count).step_by(CHILDREN as usize + 1) {
                let _root = root(first).entered();
                for number in first + 1..=first + CHILDREN {
                    let child = info_span!(
                        "child",
                        id = number.cast_signed(),
                        route = route(number),
                        took = %Took(number)
                    );
                    drop(child.entered());
                }
            }
        }
        Shape::Event | Shape::EventLine => (0..count).for_each(|number| info!(id = number, "ping")),
        Shape::Native3 => {
            for number in 0..count {
                let span = producer.start(&TEMPLATE);
                let values: [AttributeValue<'_>; 3] = [
                    number.cast_signed().into(),
                    route(number).into(),
                    0.5.into(),
                ];
                producer.end(span, values);
            }
        }
    }
}

#[inline]
fn root(number: u64) -> tracing::Span {
    info_span!(
        "root",
        id = number.cast_signed(),
        route = route(number),
        took = %Took(number)
    )
}

/// Puts a layer beside the recording that wants what its filter lets through.
fn beside(builder: Builder, wanted: LevelFilter) -> Builder {
    builder.beside(move |registry| registry.with(Idle.with_filter(wanted)))
}

fn start(shape: Shape) -> Result<Telemetry, Box<dyn std::error::Error>> {
    let sampler = if shape == Shape::Tree3Unsampled {
        Sampler::always_off()
    } else {
        Sampler::always_on()
    };
    let builder = ringlight::builder()
        .environment(Vec::<(String, String)>::new())
        .log_format(if shape == Shape::EventLine {
            LogFormat::Json
        } else {
            LogFormat::Off
        })
        .sampler(sampler)
        .exporter(Nowhere);
    let builder = match shape {
        Shape::Tree3Beside => beside(builder, LevelFilter::ERROR),
        Shape::Tree3BesideWanted => beside(builder, LevelFilter::TRACE),
        Shape::Tree3Otel => builder.otel_interop(Interop::Always),
        _ => builder,
    };
    Ok(builder.init()?)
}

fn run(shape: Shape, count: u64) -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = start(shape)?;
    let mut producer = telemetry.register_producer()?;
    let around = match shape {
        Shape::Event => vec![info_span!("around").entered()],
        Shape::EventLine => (0..2).map(|number| root(number).entered()).collect(),
        _ => Vec::new(),
    };
    measured(black_box(shape), black_box(count), &mut producer);
    // The innermost is left first.
    around.into_iter().rev().for_each(drop);
    let ledger = telemetry.shutdown(PATIENCE);
    for signal in [Signal::Traces, Signal::Logs] {
        let account = ledger.account(signal);
        if account.dropped_total() > 0 {
            return Err(format!("not all {signal} were recorded: {account:?}").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [shape, count] => match (Shape::of(shape), count.parse()) {
            (Some(shape), Ok(count)) => run(shape, count).map_err(|error| error.to_string()),
            _ => Err(format!("there is no shape `{shape}` or no count `{count}`")),
        },
        _ => Err("usage: ringlight-instructions SHAPE COUNT".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program says why it fails")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
