//! Two applications, the streaming one and an axum service, as processes in which features of the product are switched
//! on: some when this is built, by Cargo's features, the others when it is started.
//!
//! It prints what it did and took, and must not know what is compared with what.

mod recording;

use std::{io::Write as _, net::SocketAddr, path::PathBuf, thread, time::Duration};

use anyhow::{Result, anyhow};
use bench_workload::{Cores, Telemetry, orders, process_cpu_ns};
use clap::{Args, Parser, Subcommand};
use ringlight_app_harness::{RunArgs, Stop};
use ringlight_app_streaming as streaming;

use self::recording::Recording;

#[cfg(feature = "profiling-alloc")]
#[global_allocator]
static ALLOCATOR: ringlight::RinglightAllocator = ringlight::RinglightAllocator::system();

#[cfg(all(feature = "mimalloc", not(feature = "profiling-alloc")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(all(
    feature = "jemalloc",
    not(any(feature = "mimalloc", feature = "profiling-alloc"))
))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs an application once.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    application: Application,
}

#[derive(Debug, Subcommand)]
enum Application {
    /// The streaming application, in a runtime of two threads as it always has.
    Streaming {
        #[command(flatten)]
        features: Features,
        /// Chunks to process.
        #[arg(long)]
        chunks: u64,
        /// Chunks a second; 0 for as fast as it goes.
        #[arg(long)]
        rate: u32,
    },
    /// The axum service, until standard input ends.
    Axum {
        #[command(flatten)]
        features: Features,
    },
}

/// What is switched on.
#[derive(Debug, Args)]
struct Features {
    /// What of it.
    #[arg(long)]
    telemetry: Telemetry,
    /// Where OTLP over gRPC goes.
    #[arg(long)]
    endpoint: String,
    /// Where metrics are served.
    #[arg(long)]
    prometheus: SocketAddr,
    /// An empty directory for files.
    #[arg(long)]
    dir: PathBuf,
}

/// The set-up's own threads come to rest before the clock starts.
const REST: Duration = Duration::from_millis(100);

/// Chunks are the same in every process.
const SEED: u64 = 20;
const STREAMS: u32 = 12;

fn main() -> Result<()> {
    match Arguments::parse().application {
        Application::Streaming {
            features,
            chunks,
            rate,
        } => stream(&features, chunks, rate),
        Application::Axum { features } => answer(&features),
    }
}

fn stream(features: &Features, chunks: u64, rate: u32) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let recording = Recording::start(features, runtime.handle())?;
    let args = streaming::Args {
        run: RunArgs::default(),
        rate,
        streams: STREAMS,
        chunks: Some(chunks),
        seed: Some(SEED),
    };
    let (_request_stop, stop) = Stop::new();
    thread::sleep(REST);
    let before_ns = process_cpu_ns();
    let work = runtime.block_on(streaming::run(&args, stop));
    let work = work.map_err(|error| anyhow!("{error}"))?;
    drop(runtime);
    let mut outcome = recording.finish(before_ns)?;
    outcome.chunks = work.chunks_processed;
    print_line(&outcome)
}

fn answer(features: &Features) -> Result<()> {
    // Whoever asks and whoever receives are on the others.
    Cores::First.keep()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let recording = Recording::start(features, runtime.handle())?;
    let before_ns = orders::serve(&runtime, orders::router())?;
    print_line(&recording.finish(before_ns)?)
}

fn print_line(outcome: &bench_workload::Outcome) -> Result<()> {
    let mut line = serde_json::to_string(outcome)?;
    line.push('\n');
    Ok(std::io::stdout().lock().write_all(line.as_bytes())?)
}
