//! Threads that submit whole spans of many shapes as fast as they can: a stress test of collectors
//! and backends.
//!
//! ```text
//! cargo run --release -p ringlight --example span_generator -- --policy drop --endpoint null
//! ```
//!
//! Spans that come back because a ring is full are given up, and counted as `refused`.

#![expect(clippy::print_stderr, reason = "a program for a terminal")]

mod common;

use std::error::Error;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use ringlight::collector::{
    KeyValue, Span, SpanEvent, SpanId, SpanKind, SpanLink, SpanProducer, Status, StatusCode,
    TraceId, Value,
};

use common::Run;

/// Spans a trace has.
const TRACE_SPANS: u64 = 10;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let run = Run::start("span_generator")?;
    let mut threads = Vec::new();
    for index in 0..run.args.producers {
        let producer = run.collector.register()?.into_sync();
        let spans = run.args.spans;
        threads.push(std::thread::spawn(move || {
            generate(producer, u64::from(index) + 1, spans)
        }));
    }
    let mut refused = 0;
    for thread in threads {
        refused += thread.join().map_err(|_| "a producer panicked")?;
    }
    run.finish(refused).await
}

/// Submits so many spans; how many came back.
fn generate(mut producer: SpanProducer, seed: u64, spans: u64) -> u64 {
    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    let run = u128::from(began) << 64;
    let mut refused = 0;
    for number in 0..spans {
        let trace = run | u128::from(seed << 40 | (number / TRACE_SPANS + 1));
        let span = span(trace, seed, number, began + number * 1_000);
        // Closed only at the end, which comes after this.
        refused += u64::from(producer.submit_span(span).is_err());
    }
    refused
}

/// A span of one of some shapes.
fn span(trace: u128, seed: u64, number: u64, start_unix_nano: u64) -> Span<'static> {
    let place = number % TRACE_SPANS;
    let id = |number: u64| SpanId::new(seed << 40 | (number + 1));
    let mut span = Span {
        trace_id: TraceId::new(trace),
        span_id: id(number),
        parent_span_id: if place == 0 {
            SpanId::INVALID
        } else {
            id(number - place)
        },
        flags: 1,
        name: ["serve", "query", "render", "publish"][place as usize % 4].into(),
        kind: [SpanKind::Server, SpanKind::Client, SpanKind::Internal][place as usize % 3],
        start_unix_nano,
        end_unix_nano: start_unix_nano + 1_000 * (TRACE_SPANS - place),
        attributes: vec![
            KeyValue::new("generator.number", number as i64),
            KeyValue::new("generator.shape", "plain"),
            KeyValue::new("generator.share", 1.0 / (place + 1) as f64),
        ],
        ..Span::default()
    };
    match number % 97 {
        0 => {
            span.status = Status {
                code: StatusCode::Error,
                message: "on purpose".into(),
            };
            span.events.push(SpanEvent {
                time_unix_nano: start_unix_nano + 500,
                name: "exception".into(),
                attributes: vec![KeyValue::new("exception.message", "on purpose")],
                dropped_attributes_count: 0,
            });
        }
        1 => span.links.push(SpanLink {
            trace_id: TraceId::new(trace),
            span_id: id(number.saturating_sub(1)),
            attributes: vec![KeyValue::new("generator.why", "the one before")],
            ..SpanLink::default()
        }),
        2 => span.attributes.push(KeyValue::new(
            "generator.list",
            Value::Array(vec![Value::Int(1), "two".into(), Value::Double(3.0)]),
        )),
        3 => span
            .attributes
            .push(KeyValue::new("generator.long", "long ".repeat(200))),
        _ => {}
    }
    span
}
