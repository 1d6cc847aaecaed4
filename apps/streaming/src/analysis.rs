//! What a scheduled analysis computes.

use crate::StreamId;

/// How many frequencies are looked at.
const FREQUENCIES: usize = 48;

/// The result of analyzing the samples around a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Analysis {
    /// The strongest frequency, in cycles per chunk.
    pub dominant: usize,
    /// Its share of the power looked at, 0..=1.
    pub share: f64,
}

/// Finds the dominant frequency of the samples.
///
/// Goertzel's recurrence for each of the first 48 frequencies; the signal's mean is taken out
/// first. No samples give no dominant frequency and a share of 0.
///
/// What a stream carries may be what somebody said: of the samples the span has that there are some, and none of them.
#[ringlight::instrument(
    skip(stream_id),
    redact(samples),
    fields(stream_id = %stream_id, chunk_len = samples.len() * 2, analysis.dominant, analysis.share)
)]
#[cfg_attr(
    not(feature = "profiling"),
    expect(unused_variables, reason = "only its span has it")
)]
pub async fn analyze(stream_id: StreamId, samples: &[i16]) -> Analysis {
    let count = samples.len().max(1) as f64;
    let mean = samples.iter().copied().map(f64::from).sum::<f64>() / count;
    let mut total = 0.0;
    let mut best = (0, 0.0);
    for frequency in 1..=FREQUENCIES {
        let power = power_at(samples, mean, frequency);
        total += power;
        if power > best.1 {
            best = (frequency, power);
        }
        // A long analysis gives way to other tasks of its worker.
        tokio::task::coop::consume_budget().await;
    }
    let analysis = Analysis {
        dominant: best.0,
        share: if total > 0.0 { best.1 / total } else { 0.0 },
    };
    let span = tracing::Span::current();
    span.record("analysis.dominant", analysis.dominant);
    span.record("analysis.share", analysis.share);
    analysis
}

fn power_at(samples: &[i16], mean: f64, frequency: usize) -> f64 {
    let omega = std::f64::consts::TAU * frequency as f64 / samples.len().max(1) as f64;
    let coefficient = 2.0 * omega.cos();
    let (mut previous, mut before) = (0.0, 0.0);
    for sample in samples {
        let current = f64::from(*sample) - mean + coefficient * previous - before;
        before = previous;
        previous = current;
    }
    previous * previous + before * before - coefficient * previous * before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sine_is_found_at_its_frequency() {
        let samples: Vec<i16> = (0..512)
            .map(|index| {
                let angle = std::f64::consts::TAU * 9.0 * f64::from(index) / 512.0;
                (angle.sin() * 8_000.0) as i16 + 500
            })
            .collect();
        let analysis = analyze(StreamId(1), &samples).await;
        assert_eq!(analysis.dominant, 9);
        assert!(analysis.share > 0.99, "{}", analysis.share);
    }

    #[tokio::test]
    async fn silence_has_no_dominant_frequency() {
        let analysis = analyze(StreamId(1), &[]).await;
        assert_eq!((analysis.dominant, analysis.share), (0, 0.0));
    }
}
