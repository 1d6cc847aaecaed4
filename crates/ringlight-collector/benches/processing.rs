//! What rules cost: CPU time of the collector's thread a span with three attributes, an integer and two texts, from
//! the ring to a batch that nobody keeps, without rules and with them.
//!
//! `cargo bench -p ringlight-collector`. Each figure is the median of several runs.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringlight_collector::{
    CollectorConfig, DestinationConfig, EncodedBatch, ExportError, ExportOutcome, Exporter,
    OverflowPolicy, Pipeline, Processing, RecordPattern, Redaction, Replacement, SpanTemplate,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPANS: i64 = 500_000;
const RUNS: usize = 7;
const LONG: Duration = Duration::from_secs(60);

static SPAN: SpanTemplate<3> = SpanTemplate::new("shop", "load_order", ["id", "route", "note"]);

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

/// Nanoseconds of the collector's thread a span.
fn run(processing: &Processing, note: &str) -> Result<f64, Box<dyn Error>> {
    let config = CollectorConfig {
        policy: OverflowPolicy::Block,
        processing: processing.clone(),
        ..CollectorConfig::high_throughput()
    };
    let pipeline = Pipeline::start(config, Arc::default(), vec![Arc::new(Nowhere)], vec![])?;
    let mut producer = pipeline.register()?;
    let before = pipeline.cost().collector_time;
    for id in 0..SPANS {
        let span = producer.start(&SPAN);
        producer.end(span, [id.into(), "/orders/{id}/items".into(), note.into()]);
    }
    pipeline.flush(LONG)?;
    let time = pipeline.cost().collector_time - before;
    pipeline.shutdown(LONG);
    Ok(time.as_nanos() as f64 / SPANS as f64)
}

/// How long a pipeline takes to start with rules that are made there.
fn start_time(rules: impl Fn() -> Processing) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        let config = CollectorConfig {
            processing: rules(),
            ..CollectorConfig::default()
        };
        let nowhere = Vec::<DestinationConfig>::new();
        let pipeline = Pipeline::start(config, Arc::default(), nowhere, vec![])?;
        times.push(started.elapsed());
        pipeline.shutdown(LONG);
    }
    times.sort();
    Ok(times[RUNS / 2])
}

fn main() -> Result<(), Box<dyn Error>> {
    let own = || Redaction::standard().pattern("employee", r"\bE-\d{6}\b", Replacement::Mask);
    let standard = || Processing::new().redact(Redaction::standard());
    let start_times = [start_time(Processing::new)?, start_time(standard)?];
    let [without, with] = start_times.map(|time| time.as_secs_f64() * 1e6);
    println!("a pipeline starts in {without:.0} us, with the standard set in {with:.0} us");
    let standard = standard();

    let keys = Redaction::new().key("*password*", Replacement::Mask);
    let probes = RecordPattern::spans()
        .name("GET /health*")
        .attribute("route", "/health*");
    let quiet = "reset by peer";
    let shapes = [
        ("no rules", Processing::new(), quiet),
        ("a rule for keys", Processing::new().redact(keys), quiet),
        (
            "records left out, none of these",
            Processing::new().drop_records(probes),
            quiet,
        ),
        (
            "renamed: note",
            Processing::new().rename_attribute("note", "shop.note"),
            quiet,
        ),
        (
            "left out: note",
            Processing::new().drop_attribute("note"),
            quiet,
        ),
        ("standard", standard.clone(), quiet),
        (
            "standard and a pattern",
            Processing::new().redact(own()?),
            quiet,
        ),
        (
            "standard, 200 bytes of text",
            standard.clone(),
            &"some words, ".repeat(17),
        ),
        (
            "standard, an address in each",
            standard,
            "to ada@example.com",
        ),
    ];
    for (name, processing, note) in shapes {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            times.push(run(&processing, note)?);
        }
        times.sort_by(f64::total_cmp);
        let (least, median, most) = (times[0], times[RUNS / 2], times[RUNS - 1]);
        println!("{name:<34} {median:7.1} ns a span ({least:.1} to {most:.1})");
    }
    Ok(())
}
