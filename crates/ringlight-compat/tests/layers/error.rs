//! `tracing-error`: the spans an error happened in.

use tracing::{debug_span, info_span};
use tracing_error::{ErrorLayer, SpanTrace, SpanTraceStatus};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::in_both_modes;

/// `name{fields}` of the spans of a trace, innermost first.
fn spans(trace: &SpanTrace) -> Vec<String> {
    let mut spans = Vec::new();
    trace.with_spans(|metadata, fields| {
        spans.push(format!("{}{{{fields}}}", metadata.name()));
        true
    });
    spans
}

#[test]
fn a_span_trace_shows_the_spans_around_it() {
    in_both_modes!(
        |registry| registry.with(ErrorLayer::new(DefaultFields::new())),
        |ours| {
            assert_eq!(SpanTrace::capture().status(), SpanTraceStatus::EMPTY);
            let outer = info_span!("outer", x = 1).entered();
            let trace = info_span!("inner", y = 2).in_scope(SpanTrace::capture);
            drop(outer);
            assert_eq!(trace.status(), SpanTraceStatus::CAPTURED);
            assert_eq!(spans(&trace), ["inner{y=2}", "outer{x=1}"]);
            // The trace keeps its spans open.
            assert!(ours.named("inner").is_empty());
            drop(trace);
            ours.assert_chain(&["outer", "inner"]);
        }
    );
}

#[test]
fn in_a_span_that_only_ringlight_records_it_shows_the_ones_around_that() {
    let (builder, kept) = crate::builder();
    let layer = ErrorLayer::new(DefaultFields::new()).with_filter(LevelFilter::INFO);
    let builder = builder.beside(|registry| registry.with(layer));
    let (dispatch, telemetry) = builder.build().unwrap();
    let ours = crate::Ours { telemetry, kept };
    tracing::dispatcher::with_default(&dispatch, || {
        let outer = info_span!("outer", x = 1).entered();
        let hidden = debug_span!("hidden").entered();
        let trace = SpanTrace::capture();
        assert_eq!(spans(&trace), ["outer{x=1}"]);
        let inner = info_span!("inner").in_scope(SpanTrace::capture);
        assert_eq!(spans(&inner), ["inner{}", "outer{x=1}"]);
        drop((trace, inner, hidden, outer));
        // In none that the layer knows: where it insists on one, it gets one without a field.
        let trace = debug_span!("alone").in_scope(SpanTrace::capture);
        assert_eq!(spans(&trace), ["no span{}"]);
    });
    ours.assert_chain(&["outer", "hidden", "inner"]);
}
