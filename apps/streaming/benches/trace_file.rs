//! What a local trace file costs the application: CPU time a chunk, of the thread that processes chunks and of the whole
//! process, without a subscriber, with Ringlight and a backend, with a trace file beside, and with `tracing-chrome` alone.
//!
//! `cargo bench -p ringlight-app-streaming`. A chunk makes two spans, and 24 of them one more. Each figure is the median
//! of several runs, which take turns; some 20 000 chunks are processed a second.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ringlight::collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight::{LogFormat, OverflowPolicy, Sampler, Signal, TraceFileConfig, TraceFileFormat};
use ringlight_app_streaming::{
    Chunk, ChunkBuilder, JobQueue, StreamId, StreamState, bounded, process_stream,
};
use rustix::time::{ClockId, clock_gettime};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHUNKS: u64 = 24_000;
/// Chunks that arrive together on a stream, after which there is a pause.
const GROUP: u64 = 24;
const PAUSE: Duration = Duration::from_millis(1);
const RUNS: usize = 9;
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

/// What spans go to.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Nobody,
    Ringlight(Option<TraceFileFormat>),
    Chrome,
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A tone that does not change, so that no analysis is made of it.
fn chunks() -> Vec<Chunk> {
    let mut builder = ChunkBuilder::default();
    let samples: Vec<i16> = (0..256).map(|index| (index % 64) * 100).collect();
    let chunk = |sequence| builder.build(StreamId(1), sequence, &samples);
    (0..CHUNKS).map(chunk).collect()
}

/// Processes all chunks; nanoseconds of this thread.
fn process(chunks: &[Chunk], jobs: &JobQueue) -> u64 {
    let mut state = StreamState::new(StreamId(1));
    let mut thread = 0;
    for group in chunks.chunks(GROUP as usize) {
        let began = nanos(ClockId::ThreadCPUTime);
        let mut processing = pin!(process_stream(&mut state, group, 0.5, jobs));
        let mut context = Context::from_waker(Waker::noop());
        // Nothing is waited for: no job is made.
        assert_eq!(processing.as_mut().poll(&mut context), Poll::Ready(0));
        thread += nanos(ClockId::ThreadCPUTime) - began;
        std::thread::sleep(PAUSE);
    }
    thread
}

/// Nanoseconds a chunk, of the thread and of the process, and bytes a chunk in the file.
fn run(
    subject: Subject,
    chunks: &[Chunk],
    jobs: &JobQueue,
) -> Result<(f64, f64, f64), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    let process_began = nanos(ClockId::ProcessCPUTime);
    let thread = match subject {
        Subject::Nobody => process(chunks, jobs),
        Subject::Ringlight(file) => {
            let mut builder = ringlight::builder()
                .environment([("OTEL_SDK_DISABLED", "false")])
                .log_format(LogFormat::Off)
                .exporter(Nowhere)
                .overflow(OverflowPolicy::Block)
                .sampler(Sampler::always_on());
            if let Some(format) = file {
                let mut config = TraceFileConfig::new(path);
                config.format = format;
                builder = builder.trace_file(config);
            }
            let (dispatch, telemetry) = builder.build()?;
            let run = || process(chunks, jobs);
            let thread = tracing::dispatcher::with_default(&dispatch, run);
            telemetry.shutdown(LONG);
            thread
        }
        Subject::Chrome => {
            let (layer, guard) = tracing_chrome::ChromeLayerBuilder::new()
                .file(path.join("trace.json"))
                .include_args(true)
                .build();
            let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
            let run = || process(chunks, jobs);
            let thread = tracing::dispatcher::with_default(&dispatch, run);
            drop(guard);
            thread
        }
    };
    let process = nanos(ClockId::ProcessCPUTime) - process_began;
    let of_chunk = |sum: u64| sum as f64 / CHUNKS as f64;
    Ok((
        of_chunk(thread),
        of_chunk(process),
        of_chunk(bytes_in(path)?),
    ))
}

fn bytes_in(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = of.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let subjects = [
        ("no subscriber", Subject::Nobody),
        ("Ringlight", Subject::Ringlight(None)),
        (
            "Ringlight, a trace file, JSON",
            Subject::Ringlight(Some(TraceFileFormat::Json)),
        ),
        (
            "Ringlight, a trace file, Perfetto",
            Subject::Ringlight(Some(TraceFileFormat::Perfetto)),
        ),
        ("tracing-chrome", Subject::Chrome),
    ];
    let chunks = chunks();
    let (jobs, _scheduled) = bounded("jobs", 8);
    let mut runs = vec![Vec::new(); subjects.len()];
    for _ in 0..RUNS {
        for ((_, subject), runs) in subjects.iter().zip(&mut runs) {
            runs.push(run(*subject, &chunks, &jobs)?);
        }
    }
    for ((name, _), runs) in subjects.iter().zip(&runs) {
        let thread = median(runs.iter().map(|run| run.0));
        let process = median(runs.iter().map(|run| run.1));
        let bytes = median(runs.iter().map(|run| run.2));
        println!(
            "{name}: {thread:.0} ns a chunk of the thread, {process:.0} ns of the process, {bytes:.0} bytes"
        );
    }
    Ok(())
}
