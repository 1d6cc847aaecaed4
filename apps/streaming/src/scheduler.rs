//! Running analyses in the order of their urgency.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use ringlight::TraceContext;
use ringlight::channel::mpsc::{Receiver, Sender};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::app::Counters;
use crate::statistics::rounded;
use crate::{Chunk, Samples, StreamId, analyze};

/// Jobs waiting in order of urgency at most; beyond, they wait in the channel, and then at the
/// sender.
const WAITING_MAX: usize = 64;

/// Analyses at the same time.
const RUNNING_MAX: usize = 2;

/// How urgent a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A change.
    Normal,
    /// A large change.
    High,
    /// A change beyond anything seen in the window.
    Urgent,
}

impl Priority {
    /// The urgency of a change that lies `score` deviations from the mean.
    #[must_use]
    pub fn from_score(score: f64) -> Self {
        match score {
            score if score >= 24.0 => Self::Urgent,
            score if score >= 12.0 => Self::High,
            _ => Self::Normal,
        }
    }

    /// The name in telemetry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// An analysis to be made: the chunk where a stream changed, and the one before it.
#[derive(Debug)]
pub struct Job {
    priority: Priority,
    previous: Option<Chunk>,
    changed: Chunk,
    /// The span the job was made in. Its identity is carried along, not the span itself, which
    /// would stay open while the job waits.
    made_in: Option<TraceContext>,
    made_at: Instant,
}

impl Job {
    /// An analysis of `changed` together with the chunk before it.
    #[must_use]
    pub fn new(priority: Priority, previous: Option<Chunk>, changed: Chunk) -> Self {
        Self {
            priority,
            previous,
            changed,
            made_in: TraceContext::current(),
            made_at: Instant::now(),
        }
    }

    /// The stream that changed.
    #[must_use]
    pub fn stream_id(&self) -> StreamId {
        self.changed.stream_id
    }

    /// The samples of both chunks in order. A chunk that does not verify has none.
    pub fn samples(&self) -> impl Iterator<Item = i16> {
        self.previous
            .iter()
            .chain([&self.changed])
            .filter_map(|chunk| Samples::parse(chunk).ok())
            .flat_map(|samples| samples.iter())
    }
}

/// Where jobs are handed to the scheduler.
pub type JobQueue = Sender<Job>;

/// Hands a job to the scheduler, waiting for a place.
///
/// # Errors
/// The scheduler is gone; the job comes back.
#[tracing::instrument(
    skip_all,
    fields(
        stream_id = %job.stream_id(),
        chunk_len = job.changed.bytes.len(),
        job.priority = job.priority.as_str(),
        channel.fill_ratio,
    )
)]
pub async fn schedule(jobs: &JobQueue, job: Job) -> Result<(), Job> {
    jobs.send(job).await.map_err(|error| error.0)
}

/// A job in the order of urgency; of equally urgent ones the older is first.
#[derive(Debug)]
struct Waiting {
    job: Job,
    arrival: u64,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.job
            .priority
            .cmp(&other.job.priority)
            .then(other.arrival.cmp(&self.arrival))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// Runs jobs until every sender is gone and the last job is done.
pub(crate) async fn run_scheduler(mut jobs: Receiver<Job>, counters: Arc<Counters>) {
    let mut waiting = BinaryHeap::with_capacity(WAITING_MAX);
    let mut running = JoinSet::new();
    let mut arrivals = 0_u64;
    let mut open = true;
    loop {
        while running.len() < RUNNING_MAX
            && let Some(Waiting { job, .. }) = waiting.pop()
        {
            running.spawn(run_job(job));
        }
        tokio::select! {
            job = jobs.recv(), if open && waiting.len() < WAITING_MAX => match job {
                Some(job) => {
                    waiting.push(Waiting { job, arrival: arrivals });
                    arrivals += 1;
                }
                None => open = false,
            },
            Some(done) = running.join_next(), if !running.is_empty() => match done {
                Ok(()) => counters.analyzed(),
                Err(error) => tracing::error!(%error, "an analysis did not finish"),
            },
            else => return,
        }
    }
}

/// Analyzes the samples of a job. The span continues the trace in which the job was made.
async fn run_job(job: Job) {
    let open = || {
        tracing::info_span!(
            "run_job",
            stream_id = %job.stream_id(),
            chunk_len = job.changed.bytes.len(),
            job.priority = job.priority.as_str(),
        )
    };
    let span = match job.made_in {
        Some(context) => context.parent_of(open),
        None => open(),
    };
    async {
        let waited = job.made_at.elapsed();
        let samples: Vec<i16> = job.samples().collect();
        let analysis = analyze(job.stream_id(), &samples).await;
        tracing::info!(
            stream_id = %job.stream_id(),
            job.priority = job.priority.as_str(),
            job.waited_us = waited.as_micros() as u64,
            analysis.dominant,
            analysis.share = rounded(analysis.share),
            "analysis finished"
        );
    }
    .instrument(span)
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChunkBuilder, bounded};

    fn job(priority: Priority, stream: u32) -> Job {
        let chunk = ChunkBuilder::default().build(StreamId(stream), 0, &[1, 2, 3]);
        Job::new(priority, None, chunk)
    }

    #[test]
    fn the_most_urgent_goes_first_and_the_older_of_equals() {
        let mut waiting = BinaryHeap::new();
        let order = [
            Priority::Normal,
            Priority::Urgent,
            Priority::High,
            Priority::Urgent,
        ];
        for (arrival, priority) in order.into_iter().enumerate() {
            waiting.push(Waiting {
                job: job(priority, arrival as u32),
                arrival: arrival as u64,
            });
        }
        let streams: Vec<u32> = std::iter::from_fn(|| waiting.pop())
            .map(|next| next.job.stream_id().0)
            .collect();
        assert_eq!(streams, [1, 3, 2, 0]);
    }

    #[tokio::test]
    async fn every_job_runs_before_the_scheduler_ends() {
        let counters = Arc::new(Counters::default());
        let (sender, receiver) = bounded("jobs", 2);
        let scheduler = tokio::spawn(run_scheduler(receiver, Arc::clone(&counters)));
        for stream in 0..40 {
            schedule(&sender, job(Priority::Normal, stream))
                .await
                .unwrap();
        }
        drop(sender);
        scheduler.await.unwrap();
        assert_eq!(counters.work().analyses, 40);
    }
}
