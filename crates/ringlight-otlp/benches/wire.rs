//! What a span costs on the wire: encoded, decoded, and as JSON, beside the prost types.
//!
//! `cargo bench -p ringlight-otlp`. Each figure is the median of repeated passes over a request of
//! 512 spans with three attributes, as a batch of the collector is.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::hint::black_box;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use ringlight_model::{
    KeyValue, Limits, RecordVisitor as _, Resource, Scope, Signal, Span, SpanId, SpanKind, TraceId,
};
use ringlight_otlp::encode::{self, EncodedKey, Owner, Scalar};
use ringlight_otlp::{Ignore, OtlpDecoder, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPANS: usize = 512;
const PASSES: usize = 400;

fn spans() -> Vec<Span<'static>> {
    (1..=SPANS as u64)
        .map(|index| Span {
            trace_id: TraceId::new(u128::from(index / 11 + 1) << 64 | 0x1234_5678_9abc_def0),
            span_id: SpanId::new(index),
            parent_span_id: SpanId::new(index / 11),
            name: "process_message".into(),
            kind: SpanKind::Internal,
            start_unix_nano: 1_790_000_000_000_000_000 + index * 1000,
            end_unix_nano: 1_790_000_000_000_000_700 + index * 1000,
            flags: 1,
            attributes: vec![
                KeyValue::new("message.id", index as i64),
                KeyValue::new("message.kind", "order.created"),
                KeyValue::new("retry", index.is_multiple_of(2)),
            ],
            ..Span::default()
        })
        .collect()
}

/// Prints the median nanoseconds a span of one pass.
fn measure(name: &str, mut pass: impl FnMut()) {
    for _ in 0..PASSES / 10 {
        pass();
    }
    let mut times: Vec<f64> = (0..PASSES)
        .map(|_| {
            let started = Instant::now();
            pass();
            started.elapsed().as_nanos() as f64 / SPANS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{name:<32} {:8.1} ns a span (5 %: {:.1}, 95 %: {:.1})",
        times[PASSES / 2],
        times[PASSES / 20],
        times[PASSES * 19 / 20]
    );
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let is_test = std::env::args().any(|argument| argument == "--test");
    if is_test {
        return;
    }
    let batch = Batch {
        resource: Resource {
            attributes: vec![KeyValue::new("service.name", "bench")],
            ..Resource::default()
        },
        scope: Scope {
            name: "bench::wire".into(),
            ..Scope::default()
        },
        spans: spans(),
    };
    let request = batch.request();
    println!("{} bytes a span", request.len() / SPANS);
    encoding(&batch, request.len());
    measure("decode", || {
        let decoded = OtlpDecoder::default().walk(Signal::Traces, black_box(&request), &mut Ignore);
        assert!(decoded.is_ok_and(|decoded| decoded.records == SPANS as u64));
    });
    json_both_ways(&batch, &request);
    prost_both_ways(&request);
}

/// What a request is made of.
struct Batch {
    resource: Resource<'static>,
    scope: Scope<'static>,
    spans: Vec<Span<'static>>,
}

impl Batch {
    fn request(&self) -> Vec<u8> {
        encode::request(&self.resource, &self.scope, black_box(&self.spans))
    }
}

fn encoding(batch: &Batch, request_bytes: usize) {
    measure("encode from the model", || {
        black_box(batch.request());
    });
    let keys = ["message.id", "message.kind", "retry"].map(EncodedKey::new);
    let mut buf = Vec::with_capacity(request_bytes);
    measure("encode from pieces", || {
        buf.clear();
        for span in black_box(&batch.spans) {
            let open = encode::open_span(&mut buf);
            encode::span_ids(&mut buf, span.trace_id, span.span_id, span.parent_span_id);
            encode::span_name(&mut buf, &span.name);
            encode::span_kind(&mut buf, span.kind);
            encode::span_times(&mut buf, span.start_unix_nano, span.end_unix_nano);
            let id = Scalar::Int(span.span_id.get() as i64);
            encode::attribute(&mut buf, Owner::Span, &keys[0], id);
            let kind = Scalar::Str("order.created");
            encode::attribute(&mut buf, Owner::Span, &keys[1], kind);
            encode::attribute(&mut buf, Owner::Span, &keys[2], Scalar::Bool(true));
            encode::span_flags(&mut buf, span.flags);
            encode::close(&mut buf, open);
        }
        black_box(&buf);
    });
}

fn json_both_ways(batch: &Batch, request: &[u8]) {
    let mut writer = json::Writer::new(Signal::Traces);
    writer.resource(&batch.resource);
    writer.scope(&batch.scope);
    batch.spans.iter().for_each(|span| writer.span(span));
    let text = writer.finish();
    measure("JSON to protobuf", || {
        let converted = json::to_protobuf(Signal::Traces, text.as_bytes(), &Limits::default());
        assert!(converted.is_ok());
    });
    measure("protobuf to JSON", || {
        let mut writer = json::Writer::new(Signal::Traces);
        let walked = OtlpDecoder::default().walk(Signal::Traces, request, &mut writer);
        assert!(walked.is_ok());
        black_box(writer.finish());
    });
}

fn prost_both_ways(request: &[u8]) {
    let Ok(structs) = ExportTraceServiceRequest::decode(request) else {
        return;
    };
    measure("prost: encode from its structs", || {
        black_box(black_box(&structs).encode_to_vec());
    });
    measure("prost: decode to its structs", || {
        assert!(ExportTraceServiceRequest::decode(black_box(request)).is_ok());
    });
}
