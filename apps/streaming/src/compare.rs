//! Comparing a chunk with the one before it.

use tracing::Span;

use crate::{Samples, StreamId};

/// How a chunk differs from the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Whether not a single byte changed.
    pub identical: bool,
    /// The root mean square of the samples' differences; a missing sample counts as 0.
    pub distance: f64,
    /// The root mean square of the new chunk's samples.
    pub loudness: f64,
}

/// Compares a chunk with the one before it, or with silence if there is none.
#[ringlight::instrument(
    skip_all,
    fields(stream_id = %stream_id, chunk_len = current.as_bytes().len(), distance)
)]
#[cfg_attr(
    not(feature = "profiling"),
    expect(unused_variables, reason = "only its span has it")
)]
pub async fn compare(
    stream_id: StreamId,
    previous: Option<Samples<'_>>,
    current: Samples<'_>,
) -> Difference {
    // A long run of comparisons gives way to other tasks of its worker.
    tokio::task::coop::consume_budget().await;
    let identical = previous.is_some_and(|previous| previous.as_bytes() == current.as_bytes());
    let count = current.iter().len().max(1) as f64;
    let before = previous
        .into_iter()
        .flat_map(|previous| previous.iter())
        .chain(std::iter::repeat(0));
    let (mut squares, mut energy) = (0.0, 0.0);
    for (new, old) in current.iter().zip(before) {
        let (new, old) = (f64::from(new), f64::from(old));
        squares += (new - old) * (new - old);
        energy += new * new;
    }
    let difference = Difference {
        identical,
        distance: (squares / count).sqrt(),
        loudness: (energy / count).sqrt(),
    };
    Span::current().record("distance", difference.distance);
    difference
}
