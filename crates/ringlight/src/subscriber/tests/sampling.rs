//! Traces that are not recorded.

use std::collections::{HashMap, HashSet};

use tracing::Instrument as _;

use super::*;
use crate::{SamplingRule, TraceContext};

fn sampled(sampler: Sampler) -> Recording {
    Recording::sampled("trace", &Limits::default(), sampler)
}

fn header() -> Option<String> {
    TraceContext::current().map(TraceContext::to_traceparent)
}

/// A trace with children of every kind: within, explicit, on another thread, in a task.
fn one_trace(dispatch: &Dispatch) {
    let root = info_span!("root");
    let explicit = info_span!(parent: &root, "explicit");
    let task = root.in_scope(|| {
        info!("in root");
        let within = info_span!("within").entered();
        let task = async {
            drop(info_span!("in task"));
            info!("in task");
        };
        let task = task.instrument(info_span!("task"));
        drop(within);
        task
    });
    let dispatch = dispatch.clone();
    let elsewhere = std::thread::spawn(move || {
        tracing::dispatcher::with_default(&dispatch, move || {
            futures_executor(task);
            explicit.in_scope(|| drop(info_span!("below explicit")));
            drop(info_span!(parent: &explicit, "explicit, too"));
        });
    });
    elsewhere.join().unwrap();
    root.record("late", 1);
}

/// Polls what is ready at once.
fn futures_executor(task: impl Future<Output = ()>) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let task = std::pin::pin!(task);
    assert!(task.poll(&mut context).is_ready());
}

const SPANS: usize = 7;

#[test]
fn a_trace_is_recorded_as_a_whole_or_not_at_all() {
    const TRACES: usize = 2000;
    for ratio in [0.0, 0.01, 0.5, 1.0] {
        let got = sampled(Sampler::trace_id_ratio(ratio)).records(|recording| {
            for _ in 0..TRACES {
                one_trace(&recording.dispatch);
            }
        });
        let ids: HashSet<SpanId> = got.spans.iter().map(|span| span.id).collect();
        let mut by_trace: HashMap<TraceId, usize> = HashMap::new();
        for span in &got.spans {
            *by_trace.entry(span.trace).or_default() += 1;
            let is_root = span.name == "root";
            assert_eq!(span.parent == SpanId::INVALID, is_root, "{}", span.name);
            assert!(is_root || ids.contains(&span.parent), "{}", span.name);
        }
        assert!(by_trace.values().all(|count| *count == SPANS), "{ratio}");
        let share = by_trace.len() as f64 / TRACES as f64;
        assert!((share - ratio).abs() <= 0.05, "{share} instead of {ratio}");
        // Of 2000 at 1 %, none would be one chance in half a billion.
        assert_eq!(share > 0.0, ratio > 0.0);
        // Log records are there all the same, with the ids of their trace.
        assert_eq!(got.logs.len(), 2 * TRACES);
        for log in &got.logs {
            assert!(log.trace.is_valid() && log.span.is_valid());
            assert_eq!(log.flags == SAMPLED, by_trace.contains_key(&log.trace));
        }
    }
}

#[test]
fn what_a_span_that_is_not_recorded_leads_to_is_not_recorded_either() {
    let got = sampled(Sampler::always_off()).records(|_| {
        let root = info_span!("root", field = tracing::field::Empty).entered();
        let id = header().unwrap();
        assert!(id.ends_with("-00"), "{id}");
        let child = info_span!("child");
        assert_eq!(child.in_scope(header), Some(id.clone()));
        assert_eq!(Span::current().in_scope(header), Some(id));
        root.record("field", 7);
        root.follows_from(&child);
        error!("an error of nobody");
        drop(root);
        assert!(Span::current().is_none());
    });
    assert_eq!(got.spans.len(), 0);
    assert_eq!(got.logs.len(), 1);
    assert!(got.logs[0].trace.is_valid());
    assert_eq!(got.logs[0].flags, 0);
}

#[test]
fn what_is_taken_over_follows_the_sampler_or_what_it_comes_from() {
    let remote = |flags: &str| {
        let header = format!("00-{}-{}-{flags}", "4".repeat(32), "5".repeat(16));
        TraceContext::from_traceparent(&header).unwrap()
    };
    for (sampler, flags, is_recorded) in [
        (Sampler::always_on(), "00", true),
        (Sampler::always_on().parent_based(), "00", false),
        (Sampler::always_on().parent_based(), "01", true),
        (Sampler::always_off(), "01", false),
        (Sampler::always_off().parent_based(), "01", true),
        (Sampler::trace_id_ratio(0.5).parent_based(), "00", false),
    ] {
        let got = sampled(sampler).records(|_| {
            let span = remote(flags).parent_of(|| info_span!("taken over"));
            span.in_scope(|| {
                drop(info_span!("child"));
                let here = TraceContext::current().unwrap();
                assert_eq!(here.trace_id(), remote(flags).trace_id());
                assert_eq!(here.is_sampled(), is_recorded);
            });
        });
        assert_eq!(
            got.spans.len(),
            2 * usize::from(is_recorded),
            "{sampler:?} {flags}"
        );
        for span in &got.spans {
            assert_eq!(span.has_remote_parent, span.name == "taken over");
        }
    }
}

#[test]
fn slots_are_used_again_whether_recorded_or_not() {
    let got = sampled(Sampler::trace_id_ratio(0.5)).records(|recording| {
        for _ in 0..5_000 {
            let root = info_span!("root").entered();
            drop(info_span!("child"));
            drop(root);
        }
        assert_eq!(recording.slab.open_count(), 0);
    });
    assert!(
        got.spans
            .iter()
            .all(|span| span.start > 0 && span.end >= span.start)
    );
}

#[test]
fn rules_choose_by_what_a_trace_begins_with_and_change_while_it_runs() {
    fn open(name: u8) {
        let root = match name {
            b'a' => info_span!("a"),
            b'b' => info_span!(target: "there::deep", "b"),
            _ => info_span!("c"),
        };
        root.in_scope(|| drop(info_span!("child")));
    }
    let got = sampled(Sampler::always_off()).records(|recording| {
        let controls = &recording.controls;
        b"abc".iter().copied().for_each(open);
        controls.set_sampling_rules([
            SamplingRule::always_on().target("there"),
            SamplingRule::rate_limited(2.0).span_name("c"),
        ]);
        b"abcccc".iter().copied().for_each(open);
        recording.times.pass(SECOND);
        b"ccc".iter().copied().for_each(open);
        controls.set_sampling_rules([]);
        // A trace that has begun goes on as it is.
        let last = info_span!("last").entered();
        controls.set_sampler(Sampler::always_on());
        drop(info_span!("child"));
        drop(last);
        open(b'a');
    });
    let named = |name| got.spans.iter().filter(|span| span.name == name).count();
    assert_eq!([named("a"), named("b"), named("c")], [1, 1, 2 + 2]);
    assert_eq!(named("last"), 0);
    assert_eq!(named("child"), 6);
}

#[test]
fn the_filter_changes_while_it_runs() {
    fn say() {
        drop(tracing::debug_span!("detail"));
        debug!("said");
        info!("always");
    }
    let got = Recording::with("info", &Limits::default()).records(|recording| {
        say();
        recording.controls.set_filter("debug").unwrap();
        say();
        let error = recording.controls.set_filter("warn,x=loud").unwrap_err();
        assert_eq!(error.directive, "x=loud");
        say();
        recording.controls.set_filter("off").unwrap();
        say();
    });
    assert_eq!((got.spans.len(), got.logs.len()), (2, 5));
}

#[test]
fn a_rule_goes_by_the_name_a_span_is_opened_with() {
    let rules = vec![
        SamplingRule::always_off().span_name("GET /health*"),
        SamplingRule::always_off().span_name("poll"),
    ];
    let got = sampled(Sampler::always_on()).records(|recording| {
        recording.controls.set_sampling_rules(rules);
        for path in ["/healthz", "/orders", "/health/live"] {
            let text = format!("GET {path}");
            drop(info_span!("text", otel.name = text.as_str(), path));
            drop(info_span!("shown", otel.name = %text, path));
            drop(info_span!("other", name = text));
        }
        let late = info_span!("late", otel.name = tracing::field::Empty);
        late.record("otel.name", "GET /healthz");
        drop(info_span!("poll", otel.name = "GET /orders"));
    });
    let mut names: Vec<&str> = got.spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    let expected = ["late", "other", "other", "other", "shown", "text"];
    assert_eq!(names, expected);
}
