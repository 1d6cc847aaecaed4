//! What metrics of spans cost: CPU time of the collector's thread a span with three attributes, an integer and two
//! texts, from the ring to a batch that nobody keeps, without metrics of spans and with them.
//!
//! `cargo bench -p ringlight`. Each figure is the median of several runs, which take turns.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::time::Duration;

use ringlight::collector::{EncodedBatch, ExportError, ExportOutcome, Exporter, SpanTemplate};
use ringlight::{LogFormat, OverflowPolicy, Sampler, Signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPANS: u64 = 500_000;
const RUNS: usize = 9;
const LONG: Duration = Duration::from_secs(60);

static PLAIN: SpanTemplate<3> = SpanTemplate::new("shop", "load_order", ["id", "route", "note"]);
static NAMED: SpanTemplate<3> =
    SpanTemplate::new("shop", "load_order", ["id", "otel.name", "otel.kind"]);

/// Takes every batch and keeps none.
struct Nowhere;

impl Exporter for Nowhere {
    async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "nowhere"
    }

    fn place(&self, signal: Signal) -> Option<&str> {
        (signal != Signal::Logs).then_some("nowhere")
    }
}

/// Nanoseconds of the collector's thread a span.
fn run(span_metrics: bool, template: &'static SpanTemplate<3>) -> Result<f64, Box<dyn Error>> {
    let (_, telemetry) = ringlight::builder()
        .environment([("OTEL_SDK_DISABLED", "false")])
        .log_format(LogFormat::Off)
        .exporter(Nowhere)
        .overflow(OverflowPolicy::Block)
        .sampler(Sampler::always_on())
        .metric_export_interval(LONG)
        .span_metrics(span_metrics)
        .build()?;
    let mut producer = telemetry.register_producer()?;
    let before = telemetry.cost().collector_time;
    for id in 0..SPANS {
        let span = producer.start(template);
        producer.end(
            span,
            [
                (id as i64).into(),
                "GET /orders/{id}".into(),
                "server".into(),
            ],
        );
    }
    telemetry.flush(LONG)?;
    let time = telemetry.cost().collector_time - before;
    telemetry.shutdown(LONG);
    Ok(time.as_nanos() as f64 / SPANS as f64)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    for (text, template) in [
        ("named by its callsite", &PLAIN),
        ("`otel.name`, `otel.kind`", &NAMED),
    ] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            without.push(run(false, template)?);
            with.push(run(true, template)?);
        }
        let (without, with) = (median(without), median(with));
        let more = with - without;
        println!("{text}: {without:.1} ns without, {with:.1} ns with, {more:+.1} ns a span");
    }
    Ok(())
}
