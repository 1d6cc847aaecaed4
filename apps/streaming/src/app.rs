//! The application: sources, shards and the scheduler put together.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringlight_app_harness::{RunArgs, Stop};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::process::run_shard;
use crate::scheduler::run_scheduler;
use crate::source::run_source;
use crate::{SourceConfig, StreamId, bounded, metrics};

/// Places in the channel of a shard.
const SHARD_PLACES: usize = 64;

/// Places in the channel to the scheduler.
const JOB_PLACES: usize = 8;

const SHARDS: usize = 4;
const SOURCES: u32 = 2;

/// The arguments of the application.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Arguments every sample application takes.
    #[command(flatten)]
    pub run: RunArgs,

    /// Chunks read a second, all streams together; 0 reads as fast as they are processed
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub rate: u32,

    /// Streams to read
    #[arg(long, default_value_t = 12, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub streams: u32,

    /// End once so many chunks were read; without it, read until stopped
    #[arg(long, value_name = "N")]
    pub chunks: Option<u64>,

    /// Where pseudo-random choices start, so that the same chunks are read again
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// What the application did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Work {
    /// Chunks the sources read.
    pub chunks_read: u64,
    /// Chunks processed, the damaged among them.
    pub chunks_processed: u64,
    /// Chunks that were damaged.
    pub chunks_damaged: u64,
    /// Analyses made.
    pub analyses: u64,
}

/// Counts of the work; written by all tasks, `Relaxed` since each stands alone and is read after
/// the tasks ended.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    read: AtomicU64,
    processed: AtomicU64,
    damaged: AtomicU64,
    analyzed: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self, chunks: u64) {
        self.read.fetch_add(chunks, Ordering::Relaxed);
    }

    pub(crate) fn processed(&self, chunks: u64, damaged: u64) {
        self.processed.fetch_add(chunks, Ordering::Relaxed);
        self.damaged.fetch_add(damaged, Ordering::Relaxed);
    }

    pub(crate) fn analyzed(&self) {
        self.analyzed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn work(&self) -> Work {
        Work {
            chunks_read: self.read.load(Ordering::Relaxed),
            chunks_processed: self.processed.load(Ordering::Relaxed),
            chunks_damaged: self.damaged.load(Ordering::Relaxed),
            analyses: self.analyzed.load(Ordering::Relaxed),
        }
    }
}

/// Runs the application as a process: telemetry, signals, the closing report.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let build = ringlight::build_info!();
    ringlight_app_harness::run("streaming", build, &args.run, metrics::view, async |stop| {
        let work = run(args, stop).await?;
        Ok(serde_json::to_value(work)?)
    })
}

/// Runs the application, in whatever runtime and with whatever telemetry there is, until it is stopped or has read
/// all of [`Args::chunks`]. What was read until then is still processed. [`Args::run`] is for [`main`].
///
/// # Errors
/// A part of it panicked.
pub async fn run(args: &Args, stop: Stop) -> Result<Work, Box<dyn Error + Send + Sync>> {
    let counters = Arc::new(Counters::default());
    let mut parts = JoinSet::new();
    let (jobs, scheduled) = bounded("jobs", JOB_PLACES);
    parts.spawn(run_scheduler(scheduled, Arc::clone(&counters)));
    let mut shards = Vec::with_capacity(SHARDS);
    for _ in 0..SHARDS {
        let (sender, receiver) = bounded("chunks", SHARD_PLACES);
        parts.spawn(run_shard(receiver, jobs.clone(), Arc::clone(&counters)));
        shards.push(sender);
    }
    tracing::info!(
        streams = args.streams,
        chunks_per_second = args.rate,
        "reading streams"
    );
    let sources = SOURCES.min(args.streams);
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    for source in 0..sources {
        let config = SourceConfig {
            streams: (0..args.streams)
                .filter(|stream| stream % sources == source)
                .map(StreamId)
                .collect(),
            chunks_per_second: f64::from(args.rate) / f64::from(sources),
            chunks_max: args.chunks.map(|chunks| share(chunks, source, sources)),
            seed: seed.wrapping_add(u64::from(source)),
        };
        parts.spawn(run_source(
            config,
            shards.clone(),
            stop.clone(),
            Arc::clone(&counters),
        ));
    }
    // Only the parts themselves hold senders now, so that the end runs through from the sources.
    drop((shards, jobs));
    while let Some(ended) = parts.join_next().await {
        ended?;
    }
    let work = counters.work();
    tracing::info!(
        chunks = work.chunks_processed,
        damaged = work.chunks_damaged,
        analyses = work.analyses,
        "all streams ended"
    );
    Ok(work)
}

/// What one of so many sources reads of all chunks; the first ones read what is left over.
fn share(chunks: u64, source: u32, sources: u32) -> u64 {
    let (source, sources) = (u64::from(source), u64::from(sources));
    chunks / sources + u64::from(source < chunks % sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_read_is_processed_before_the_end() {
        let (request_stop, stop) = Stop::new();
        let args = Args {
            run: RunArgs::default(),
            rate: 0,
            streams: 5,
            chunks: None,
            seed: None,
        };
        let running =
            tokio::spawn(async move { run(&args, stop).await.map_err(|e| e.to_string()) });
        // Unpaced, so a number of turns of the runtime is enough for work to happen.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        request_stop.send_replace(true);
        let work = running.await.unwrap().unwrap();
        assert!(work.chunks_read > 0);
        assert_eq!(work.chunks_read, work.chunks_processed);
    }

    #[tokio::test]
    async fn as_many_chunks_as_asked_for_are_read_and_the_same_again() {
        let read = async |streams, chunks, seed| {
            let (_request_stop, stop) = Stop::new();
            let args = Args {
                run: RunArgs::default(),
                rate: 0,
                streams,
                chunks: Some(chunks),
                seed: Some(seed),
            };
            run(&args, stop).await.map_err(|e| e.to_string()).unwrap()
        };
        for streams in [1, 2, 5] {
            let work = read(streams, 1_501, 7).await;
            assert_eq!((work.chunks_read, work.chunks_processed), (1_501, 1_501));
            assert_eq!(read(streams, 1_501, 7).await, work);
            assert_ne!(read(streams, 1_501, 8).await, work);
        }
        assert_eq!(read(5, 0, 7).await, Work::default());
    }
}
