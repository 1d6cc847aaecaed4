//! Spans that have closed, where ids are ours: the registry of `tracing-subscriber` keeps a span open
//! while it has children, and panics when it is shown the id of one that has closed.

use super::*;
use crate::TraceContext;

#[test]
fn ids_of_closed_spans_are_inert() {
    let got = Recording::new().records(|recording| {
        let span = info_span!("gone", x = 1);
        let id = span.id().unwrap();
        drop(span);
        let reused = info_span!("reused", x = 1);
        recording.dispatch.enter(&id);
        recording.dispatch.exit(&id);
        let _ = recording.dispatch.clone_span(&id);
        assert!(!recording.dispatch.try_close(id.clone()));
        recording
            .dispatch
            .record_follows_from(&reused.id().unwrap(), &id);
        drop(span!(parent: &id, tracing::Level::INFO, "orphan"));
        drop(reused);
    });
    assert_eq!(got.span("reused").field("x"), Some(&Got::Int(1)));
    assert!(got.span("reused").links.is_empty());
    assert_eq!(got.span("orphan").parent, SpanId::INVALID);
    assert_eq!(got.spans.len(), 3);
}

#[test]
fn a_child_of_a_span_that_has_closed_begins_a_trace_and_follows_the_sampler() {
    let sampler = Sampler::always_off().parent_based();
    let got = Recording::sampled("trace", &Limits::default(), sampler).records(|_| {
        let header = format!("00-{}-{}-01", "4".repeat(32), "5".repeat(16));
        let remote = TraceContext::from_traceparent(&header).unwrap();
        let closed = remote.parent_of(|| info_span!("taken over")).id();
        drop(info_span!(parent: closed, "child of nobody"));
    });
    assert_eq!(got.spans.len(), 1);
    assert_eq!(got.spans[0].name, "taken over");
}

#[test]
fn what_is_within_a_closed_span_that_is_not_recorded_is_not_recorded_either() {
    let header = || TraceContext::current().map(TraceContext::to_traceparent);
    let got = Recording::sampled("trace", &Limits::default(), Sampler::always_off()).records(|_| {
        let root = info_span!("root").entered();
        let child = info_span!("child");
        drop(root);
        // The trace is forgotten with its first span; that it is not recorded is not, and is told.
        let is_told = || header().is_some_and(|header| header.ends_with("-00"));
        child.in_scope(|| {
            assert!(is_told());
            info!("after the root");
            let late = info_span!("late").entered();
            assert!(is_told());
            drop(info_span!(parent: &late, "below"));
        });
        assert!(Span::current().is_none());
    });
    assert_eq!((got.spans.len(), got.logs.len()), (0, 1));
    assert!(!got.logs[0].trace.is_valid());
}
