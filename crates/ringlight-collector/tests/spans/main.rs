//! Spans without `tracing`: the collector that is drained by its owner, and the one that drains
//! itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bridge;
mod sync;

use ringlight_collector::SpanTemplate;
use ringlight_model::{Span, SpanId, SpanKind, TraceId};

/// A template with a key for each kind of value.
static STEP: SpanTemplate<3> =
    SpanTemplate::new("shop", "step", ["number", "customer", "total"]).kind(SpanKind::Client);

/// A span whose id says who submitted it and when, and which is like most: not the root of its trace.
fn numbered(producer: u64, number: u64) -> Span<'static> {
    Span {
        trace_id: TraceId::new(u128::from(producer) + 1),
        span_id: SpanId::new((producer + 1) << 48 | (number + 1)),
        parent_span_id: SpanId::new(7),
        name: "numbered".into(),
        start_unix_nano: 1_000,
        end_unix_nano: 2_000,
        ..Span::default()
    }
}
