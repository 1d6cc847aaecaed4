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
        let told = header().unwrap();
        assert!(told.ends_with("-00"), "{told}");
        let child = info_span!("child");
        drop(root);
        child.in_scope(|| {
            assert_eq!(header(), Some(told.clone()));
            info!("after the root");
            let late = info_span!("late").entered();
            assert_eq!(header(), Some(told.clone()));
            let below = info_span!(parent: &late, "below");
            drop(late);
            assert_eq!(below.in_scope(header), Some(told));
        });
        assert!(Span::current().is_none());
    });
    assert_eq!((got.spans.len(), got.logs.len()), (0, 1));
    assert!(got.logs[0].trace.is_valid() && got.logs[0].span.is_valid());
    assert_eq!(got.logs[0].flags, 0);
}

/// As `tokio::spawn(work.instrument(span))` in a request that is answered before the work is done.
#[test]
fn work_elsewhere_that_outlives_its_root_keeps_its_trace_though_it_is_not_recorded() {
    const TASKS: usize = 3 * lease::REFERENCES_MAX as usize;
    let sampler = Sampler::always_off();
    let got = Recording::sampled("trace", &Limits::default(), sampler).records(|recording| {
        let root = info_span!("root");
        let (tasks, told) = root.in_scope(|| {
            let tasks: Vec<_> = (0..TASKS).map(|_| info_span!("task")).collect();
            (tasks, TraceContext::current().unwrap())
        });
        let clones = tasks.clone();
        drop((root, tasks));
        // Something else takes slots meanwhile.
        let others: Vec<_> = (0..TASKS).map(|_| info_span!("other")).collect();
        let dispatch = recording.dispatch.clone();
        let elsewhere = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                for task in clones {
                    let _entered = task.entered();
                    let _call = info_span!("call").entered();
                    assert_eq!(TraceContext::current(), Some(told));
                    info!("at work");
                }
            });
            told
        });
        let told = elsewhere.join().unwrap();
        drop(others);
        assert_eq!(recording.slab.open_count(), 0, "a task holds its trace no longer");
        assert_ne!(info_span!("next").in_scope(TraceContext::current), Some(told));
    });
    assert_eq!((got.spans.len(), got.logs.len()), (0, TASKS));
    assert!(got.logs[0].trace.is_valid());
    assert!(got.logs.iter().all(|log| log.trace == got.logs[0].trace));
}

#[test]
fn a_thread_keeps_one_trace_that_is_not_recorded_open_at_most_and_no_longer_than_it_runs() {
    let sampler = Sampler::always_off();
    Recording::sampled("trace", &Limits::default(), sampler).records(|recording| {
        let roots = [info_span!("first"), info_span!("second")];
        let here = info_span!("here");
        let dispatch = recording.dispatch.clone();
        let of_thread = roots.clone();
        let (done, is_done) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let elsewhere = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                for root in &of_thread {
                    let _entered = root.enter();
                    drop(info_span!("guest"));
                }
            });
            // The last handles are dropped by another thread.
            done.send(of_thread).unwrap();
            ended.recv().unwrap_err();
        });
        let of_thread = is_done.recv().unwrap();
        drop((roots, of_thread));
        assert_eq!(recording.slab.open_count(), 2, "`here`, and what the thread keeps");
        drop(end);
        elsewhere.join().unwrap();
        assert_eq!(recording.slab.open_count(), 1);
        drop(here);
    });
}
