//! What is counted and measured, by OpenTelemetry's API. How long things take, their spans say.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use ringlight::Builder;
use ringlight::metrics::{Aggregation, Instrument, Stream};

use crate::process::SCORE_MIN;

const LOUDNESS: &str = "streaming.loudness.score";

/// Has the scores of loudness in buckets around the one from which on a stream counts as changed, which whoever measures
/// scores does not know.
pub(crate) fn view(telemetry: Builder) -> Builder {
    let boundaries = [0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 3.0].map(|part| part * SCORE_MIN);
    telemetry.metric_view(move |instrument: &Instrument| {
        let scores = Stream::builder().with_aggregation(Aggregation::ExplicitBucketHistogram {
            boundaries: boundaries.to_vec(),
            record_min_max: true,
        });
        // Boundaries that rise are always taken.
        (instrument.name() == LOUDNESS).then(|| scores.build().ok())?
    })
}

/// The instruments of the application.
struct Instruments {
    chunks: Counter<u64>,
    chunk_size: Histogram<u64>,
    loudness: Histogram<f64>,
}

/// Made with the first chunk: by then telemetry has started.
fn instruments() -> &'static Instruments {
    static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();
    INSTRUMENTS.get_or_init(|| {
        let meter = opentelemetry::global::meter("streaming");
        Instruments {
            chunks: meter
                .u64_counter("streaming.chunks")
                .with_description("Chunks that were processed.")
                .with_unit("{chunk}")
                .build(),
            chunk_size: meter
                .u64_histogram("streaming.chunk.size")
                .with_description("Bytes of the chunks.")
                .with_unit("By")
                .with_boundaries([64, 256, 1024, 4096, 16_384, 65_536].map(f64::from).into())
                .build(),
            loudness: meter
                .f64_histogram(LOUDNESS)
                .with_description("How unusual the loudness of chunks was, in deviations.")
                .with_unit("1")
                .build(),
        }
    })
}

/// A chunk of so many bytes was processed, or was damaged.
pub(crate) fn processed(bytes: usize, is_damaged: bool) {
    let instruments = instruments();
    let outcome = if is_damaged { "damaged" } else { "processed" };
    let outcome = [KeyValue::new("streaming.outcome", outcome)];
    instruments.chunks.add(1, &outcome);
    instruments.chunk_size.record(bytes as u64, &[]);
}

/// A chunk was this much louder or quieter than usual.
pub(crate) fn scored(score: f64) {
    instruments().loudness.record(score, &[]);
}
