//! The first use of the OpenTelemetry API in a process, within a `tracing` span.

use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};
use ringlight::{LogFormat, TraceContext};
use tracing::info_span;

#[test]
fn nothing_is_shared_before_the_first_use_and_all_after_it() {
    let none: [(&str, &str); 0] = [];
    let _telemetry = ringlight::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .init()
        .unwrap();
    let outer = info_span!("outer").entered();
    let inner = info_span!("inner").entered();
    assert!(!Context::current().has_active_span());
    // Which does not need the contexts.
    let here = TraceContext::current().unwrap();
    let mut headers = Vec::new();
    ringlight::otel::inject(|_, value| headers.push(value));
    assert_eq!(headers, [here.to_traceparent()]);

    let tracer = global::tracer("tested");
    let parent_of = |span: &global::BoxedSpan| {
        let context = span.span_context();
        TraceContext::from_span_context(context).unwrap().trace_id()
    };
    // The spans that were entered before have no context and are parents all the same.
    let child = tracer.start("child");
    assert_eq!(parent_of(&child), here.trace_id());
    // From here on they have.
    info_span!("innermost").in_scope(|| {
        assert!(Context::current().has_active_span());
        assert_eq!(parent_of(&tracer.start("child")), here.trace_id());
        let root = tracer.start_with_context("root", &Context::new());
        assert_ne!(parent_of(&root), here.trace_id());
    });
    drop(inner);
    drop(outer);
    let root = tracer.start("root");
    assert_ne!(parent_of(&root), here.trace_id());
}
