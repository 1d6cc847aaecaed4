//! Contexts that are shared from the start, in a process that has not used the OpenTelemetry API.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use ringlight::otel::Interop;
use ringlight::{LogFormat, TraceContext};

#[test]
fn a_context_attached_by_others_is_a_parent_from_the_start() {
    let none: [(&str, &str); 0] = [];
    let _telemetry = ringlight::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .otel_interop(Interop::Always)
        .init()
        .unwrap();
    let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let remote = TraceContext::from_traceparent(header).unwrap();
    let others = opentelemetry::trace::SpanContext::new(
        opentelemetry::TraceId::from_bytes(remote.trace_id().to_bytes()),
        opentelemetry::SpanId::from_bytes(remote.span_id().to_bytes()),
        opentelemetry::TraceFlags::SAMPLED,
        true,
        opentelemetry::trace::TraceState::NONE,
    );
    let attached = Context::new().with_remote_span_context(others).attach();
    let span = tracing::info_span!("child");
    drop(attached);
    span.in_scope(|| {
        let here = TraceContext::current().unwrap();
        assert_eq!(here.trace_id(), remote.trace_id());
        let context = Context::current();
        let named = TraceContext::from_span_context(context.span().span_context());
        assert_eq!(named, Some(here));
    });
    assert!(!Context::current().has_active_span());
}
