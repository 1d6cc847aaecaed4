//! Processing a stream's chunks, one after another.

use ringlight::channel::mpsc::{Receiver, Sender};
use tracing::{Instrument as _, Span};

use crate::channel::receive_many;
use crate::statistics::rounded;
use crate::{
    Chunk, ChunkError, Difference, Job, JobQueue, Priority, Samples, StreamId, Window, compare,
    metrics, schedule,
};

/// How much louder or quieter than usual, in deviations, counts as a change.
pub(crate) const SCORE_MIN: f64 = 6.0;

/// What is remembered of a stream between its chunks.
#[derive(Debug)]
pub struct StreamState {
    /// The stream.
    pub stream_id: StreamId,
    next_sequence: Option<u64>,
    previous: Option<Chunk>,
    loudness: Window,
}

impl StreamState {
    /// A stream of which nothing was seen yet.
    #[must_use]
    pub fn new(stream_id: StreamId) -> Self {
        Self {
            stream_id,
            next_sequence: None,
            previous: None,
            loudness: Window::default(),
        }
    }
}

/// Processes chunks that arrived together on one stream, in order, and returns how many were
/// damaged. A damaged chunk is an error of its own span and does not stop the others.
#[tracing::instrument(
    skip_all,
    fields(
        stream_id = %state.stream_id,
        chunk_len = chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>(),
        chunks = chunks.len(),
        channel.fill_ratio = fill_ratio,
    )
)]
pub async fn process_stream(
    state: &mut StreamState,
    chunks: &[Chunk],
    fill_ratio: f64,
    jobs: &JobQueue,
) -> u64 {
    let mut damaged = 0;
    for chunk in chunks {
        if process_message(state, chunk, jobs).await.is_err() {
            damaged += 1;
        }
    }
    damaged
}

/// Processes one chunk: verifies it, compares it with the previous one, and schedules an analysis
/// where the stream changed.
///
/// # Errors
/// The chunk is damaged; the stream's state is as before.
#[tracing::instrument(
    skip_all,
    fields(
        stream_id = %state.stream_id,
        chunk_len = chunk.bytes.len(),
        chunk.sequence,
        loudness.score,
    )
)]
pub async fn process_message(
    state: &mut StreamState,
    chunk: &Chunk,
    jobs: &JobQueue,
) -> Result<Difference, ChunkError> {
    let span = Span::current();
    let parsed = Samples::parse(chunk);
    metrics::processed(chunk.bytes.len(), parsed.is_err());
    let samples = parsed.inspect_err(|error| {
        tracing::error!(stream_id = %state.stream_id, %error, "the chunk is damaged");
    })?;
    span.record("chunk.sequence", samples.sequence);
    if let Some(expected) = state.next_sequence
        && expected != samples.sequence
    {
        tracing::warn!(
            stream_id = %state.stream_id,
            expected,
            found = samples.sequence,
            "the stream skipped chunks"
        );
    }
    state.next_sequence = Some(samples.sequence.wrapping_add(1));

    let previous = match &state.previous {
        // It parsed when it came, so it parses again; should it not, the stream starts anew.
        Some(previous) => Samples::parse(previous).ok(),
        None => None,
    };
    let difference = compare(state.stream_id, previous, samples).await;
    let score = state.loudness.score(difference.loudness);
    state.loudness.push(difference.loudness);
    let previous = state.previous.replace(chunk.clone());
    if let Some(score) = score {
        span.record("loudness.score", score);
        metrics::scored(score);
        if score >= SCORE_MIN {
            tracing::info!(
                stream_id = %state.stream_id,
                loudness.score = rounded(score),
                loudness = rounded(difference.loudness),
                distance = rounded(difference.distance),
                "the stream changed, its samples will be analyzed"
            );
            // Refused only when the scheduler is gone, which happens after the last stream ended.
            let _closed = schedule(
                jobs,
                Job::new(Priority::from_score(score), previous, chunk.clone()),
            )
            .await;
        }
    }
    Ok(difference)
}

/// The part of the application that owns a share of the streams: receives chunks, groups them by
/// stream and processes each group. Ends when all sources have.
pub(crate) async fn run_shard(
    mut chunks: Receiver<Chunk>,
    jobs: Sender<Job>,
    counters: std::sync::Arc<crate::app::Counters>,
) {
    const TAKE_MAX: usize = 32;
    let mut states = std::collections::HashMap::new();
    let mut taken = Vec::with_capacity(TAKE_MAX);
    while let Some(fill_ratio) = receive_many(&mut chunks, &mut taken, TAKE_MAX).await {
        // Stable, so that a stream's chunks stay in order.
        taken.sort_by_key(|chunk| chunk.stream_id);
        for group in taken.chunk_by(|a, b| a.stream_id == b.stream_id) {
            let stream_id = group[0].stream_id;
            let state = states
                .entry(stream_id)
                .or_insert_with(|| StreamState::new(stream_id));
            let damaged = process_stream(state, group, fill_ratio, &jobs)
                .instrument(received(group))
                .await;
            counters.processed(group.len() as u64, damaged);
        }
        taken.clear();
    }
}

/// The receiving end of a group: continues the trace in which its first chunk was read, on the
/// other side of the channel.
fn received(group: &[Chunk]) -> Span {
    let first = &group[0];
    let open = || {
        tracing::info_span!(
            "handle_chunks",
            otel.kind = "consumer",
            stream_id = %first.stream_id,
            chunks = group.len(),
        )
    };
    match first.read_in {
        Some(context) => context.parent_of(open),
        None => open(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChunkBuilder, bounded};

    const STREAM: StreamId = StreamId(4);

    fn steady(builder: &mut ChunkBuilder, sequence: u64, amplitude: i16) -> Chunk {
        let samples: Vec<i16> = (0..64)
            .map(|index| {
                if index % 2 == 0 {
                    amplitude
                } else {
                    -amplitude
                }
            })
            .collect();
        builder.build(STREAM, sequence, &samples)
    }

    #[tokio::test]
    async fn a_change_schedules_an_analysis_of_both_chunks() {
        let (jobs, mut scheduled) = bounded("jobs", 4);
        let mut builder = ChunkBuilder::default();
        let mut state = StreamState::new(STREAM);
        for sequence in 0..32 {
            let chunk = steady(&mut builder, sequence, 1_000);
            process_message(&mut state, &chunk, &jobs).await.unwrap();
        }
        assert!(scheduled.try_recv().is_err());
        let loud = steady(&mut builder, 32, 9_000);
        let difference = process_message(&mut state, &loud, &jobs).await.unwrap();
        assert_eq!(difference.loudness, 9_000.0);
        assert_eq!(difference.distance, 8_000.0);
        let job = scheduled.try_recv().unwrap();
        assert_eq!(job.stream_id(), STREAM);
        assert_eq!(job.samples().count(), 128);
    }

    #[tokio::test]
    async fn a_damaged_chunk_leaves_the_stream_as_it_was() {
        let (jobs, _scheduled) = bounded("jobs", 4);
        let mut builder = ChunkBuilder::default();
        let mut state = StreamState::new(STREAM);
        let good = steady(&mut builder, 0, 10);
        let bad = Chunk {
            stream_id: STREAM,
            bytes: good.bytes.slice(..30),
            read_in: None,
        };
        let next = steady(&mut builder, 1, 10);
        let damaged = process_stream(&mut state, &[good, bad, next.clone()], 0.0, &jobs).await;
        assert_eq!(damaged, 1);
        let difference = compare(
            STREAM,
            state
                .previous
                .as_ref()
                .map(|chunk| Samples::parse(chunk).unwrap()),
            Samples::parse(&next).unwrap(),
        )
        .await;
        assert!(difference.identical);
        assert_eq!(difference.distance, 0.0);
        assert_eq!(state.next_sequence, Some(2));
    }
}
