//! What it costs to time spans where they are entered and left: CPU time a span, of the thread that records and of the
//! whole process, with times off, with `busy_ns` and `idle_ns`, and with a trace file. A span has three fields, and is a
//! root or one of its ten children; each is entered once.
//!
//! `cargo bench -p ringlight --features profiling --bench times`. Each figure is the median of several runs, which take
//! turns; recording keeps to a pace that the file keeps up with.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::time::Duration;

use ringlight::collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight::{
    Builder, LogFormat, OverflowPolicy, Sampler, Signal, TraceFileConfig, TraceFileFormat,
};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TREES: u64 = 20_000;
const SPANS: u64 = TREES * 11;
/// Trees after which there is a pause, so that some 200 000 spans are recorded a second.
const BURST: u64 = 20;
const PAUSE: Duration = Duration::from_millis(1);
const RUNS: usize = 7;
const LONG: Duration = Duration::from_secs(60);

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
        (signal == Signal::Traces).then_some("nowhere")
    }
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn tree(id: u64) {
    let root = tracing::info_span!("order", id, route = "/orders/{id}", note = "by hand");
    root.in_scope(|| {
        for item in 0..10_u64 {
            tracing::info_span!("item", item, route = "/orders/{id}", note = "by hand")
                .in_scope(|| ());
        }
    });
}

/// Nanoseconds a span, of the thread and of the process, and slices that found no room.
fn run(change: impl FnOnce(Builder) -> Builder) -> Result<(f64, f64, u64), Box<dyn Error>> {
    let builder = ringlight::builder()
        .environment([("OTEL_SDK_DISABLED", "false")])
        .log_format(LogFormat::Off)
        .exporter(Nowhere)
        .overflow(OverflowPolicy::Block)
        .sampler(Sampler::always_on());
    let (dispatch, telemetry) = change(builder).build()?;
    let mut thread = 0;
    let process = nanos(ClockId::ProcessCPUTime);
    tracing::dispatcher::with_default(&dispatch, || {
        for first in (0..TREES).step_by(BURST as usize) {
            let began = nanos(ClockId::ThreadCPUTime);
            (first..first + BURST).for_each(tree);
            thread += nanos(ClockId::ThreadCPUTime) - began;
            std::thread::sleep(PAUSE);
        }
    });
    telemetry.shutdown(LONG);
    let process = nanos(ClockId::ProcessCPUTime) - process;
    let of_span = |nanos: u64| nanos as f64 / SPANS as f64;
    Ok((
        of_span(thread),
        of_span(process),
        telemetry.slices_dropped(),
    ))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = |format| {
        let mut config = TraceFileConfig::new(directory.path());
        config.format = format;
        config
    };
    type Change<'a> = Box<dyn Fn(Builder) -> Builder + 'a>;
    let subjects: [(&str, Change<'_>); 4] = [
        ("off", Box::new(|builder| builder)),
        ("busy times", Box::new(|builder| builder.busy_times(true))),
        (
            "trace file, JSON",
            Box::new(|b| b.trace_file(file(TraceFileFormat::Json))),
        ),
        (
            "trace file, Perfetto",
            Box::new(|b| b.trace_file(file(TraceFileFormat::Perfetto))),
        ),
    ];
    let mut times = [const { (Vec::new(), Vec::new()) }; 4];
    let mut dropped = [0; 4];
    for _ in 0..RUNS {
        for (at, (_, change)) in subjects.iter().enumerate() {
            let (thread, process, slices) = run(change)?;
            times[at].0.push(thread);
            times[at].1.push(process);
            dropped[at] += slices;
        }
    }
    for (((name, _), (thread, process)), dropped) in subjects.iter().zip(times).zip(dropped) {
        let (thread, process) = (median(thread), median(process));
        println!(
            "{name}: {thread:.1} ns a span of the recording thread, {process:.1} ns of the process, {dropped} slices missing"
        );
    }
    Ok(())
}
