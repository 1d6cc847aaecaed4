//! Processing a chunk allocates nothing, its spans included (REQUIREMENTS M-7).

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use ringlight::{LogFormat, RecordSink};
use ringlight_app_streaming::{
    Chunk, ChunkBuilder, StreamId, StreamState, bounded, process_stream,
};

/// Takes records, so that spans are recorded and drained, and does nothing with them.
struct Nowhere;

impl RecordSink for Nowhere {
    fn record(
        &mut self,
        _: &ringlight_collector::record::Record<'_>,
        _: &ringlight_model::CallsiteRegistry,
    ) {
    }

    fn flush(&mut self) {}
}

/// Chunks of a tone that does not change, so that no analysis is scheduled.
fn chunks(count: u64) -> Vec<Chunk> {
    let mut builder = ChunkBuilder::default();
    let samples: Vec<i16> = (0..256).map(|index| (index % 64) * 100).collect();
    (0..count)
        .map(|sequence| builder.build(StreamId(1), sequence, &samples))
        .collect()
}

#[test]
fn processing_a_chunk_allocates_nothing() {
    let telemetry = ringlight::builder()
        .environment([("RUST_LOG", "trace")])
        .log_format(LogFormat::Off)
        .sink(Nowhere)
        .init()
        .unwrap();
    let (jobs, _scheduled) = bounded("jobs", 8);
    let mut state = StreamState::new(StreamId(1));
    let all = chunks(400);
    let mut process = |chunks: &[Chunk]| {
        let mut processing = pin!(process_stream(&mut state, chunks, 0.0, &jobs));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(processing.as_mut().poll(&mut context), Poll::Ready(0));
    };
    // The thread gets its ring and buffers, and every span is met once.
    process(&all[..200]);
    telemetry.flush(Duration::from_secs(20)).unwrap();
    let counted = measure(|| process(&all[200..]));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    let ledger = telemetry.shutdown(Duration::from_secs(20));
    let spans = ledger.account(ringlight::Signal::Traces);
    assert_eq!(spans.submitted, 2 + 2 * 400, "{ledger:?}");
}
