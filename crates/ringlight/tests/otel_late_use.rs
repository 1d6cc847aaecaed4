//! The first use of the OpenTelemetry API in a process, where a context that nobody saw is attached.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Span as _, SpanContext, TraceContextExt as _, TraceState, Tracer as _};
use opentelemetry::{Context, KeyValue, TraceFlags, global};
use ringlight::otel::SpanExt as _;
use ringlight::{LogFormat, TraceContext};
use tracing::info_span;

/// A context that names a span elsewhere.
fn elsewhere(trace: u128) -> Context {
    let (trace, span) = (trace.into(), 7_u64.into());
    let remote = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
    Context::current().with_remote_span_context(remote)
}

/// The trace of the span the thread is in.
fn trace() -> u128 {
    TraceContext::current().unwrap().trace_id().get()
}

#[test]
fn spans_opened_before_are_parents_and_know_no_context() {
    let none: [(&str, &str); 0] = [];
    let _telemetry = ringlight::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .init()
        .unwrap();
    let early = info_span!("early");
    let attached = elsewhere(1).attach();
    let outer = info_span!("outer").entered();
    let here = trace();
    assert_ne!(here, 1);

    let tracer = global::tracer("tested");
    // What is attached since is a parent, and what was before the outer span is not.
    info_span!("inner").in_scope(|| assert_eq!(trace(), here));
    let trace_of_api = || {
        let span = tracer.start("api");
        u128::from_be_bytes(span.span_context().trace_id().to_bytes())
    };
    assert_eq!(trace(), here);
    assert_eq!(trace_of_api(), here);
    {
        let _attached = elsewhere(2).attach();
        info_span!("inner").in_scope(|| assert_eq!(trace(), 2));
        assert_eq!(trace_of_api(), 2);
    }
    assert_eq!(trace_of_api(), here);
    drop(outer);
    drop(attached);

    // Nobody knows in what context the early one was opened; that of a caller is none of it.
    {
        let _attached = Context::current_with_baggage([KeyValue::new("user", "ada")]).attach();
        assert_eq!(early.context().baggage().len(), 0);
    }
    early.in_scope(|| {
        let context = Context::current();
        assert_eq!(context.baggage().len(), 0);
        let named = TraceContext::from_span_context(context.span().span_context());
        assert_eq!(named, TraceContext::current());
        assert!(context.span().is_recording());
    });
}
