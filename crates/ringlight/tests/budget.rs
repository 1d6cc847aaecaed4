//! A real overload, a budget, and what becomes of the traces.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringlight::{LogFormat, OverheadBudget, Signal, Telemetry, TraceContext};
use ringlight_testing::Backend;
use tracing::info_span;

/// Only reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);

fn current() -> TraceContext {
    let Some(context) = TraceContext::current() else {
        panic!("in a span");
    };
    context
}

/// A trace of three spans; whether it is recorded.
fn trace() -> bool {
    info_span!("root").in_scope(|| {
        let here = current();
        let is_whole = |inner: TraceContext| {
            inner.trace_id() == here.trace_id() && inner.is_sampled() == here.is_sampled()
        };
        info_span!("child").in_scope(|| {
            assert!(is_whole(current()));
            info_span!("grandchild").in_scope(|| assert!(is_whole(current())));
        });
        let flags = if here.is_sampled() { "-01" } else { "-00" };
        assert!(here.to_traceparent().ends_with(flags));
        here.is_sampled()
    })
}

/// Does something over and over until a condition holds.
fn until(telemetry: &Telemetry, what: &str, work: impl Fn(), holds: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(telemetry.cost().sampling_ratio) {
        assert!(Instant::now() < deadline, "{what}: {:?}", telemetry.cost());
        work();
    }
}

#[test]
fn an_overload_lowers_sampling_and_what_follows_restores_it() {
    let backend = Backend::start();
    let telemetry = ringlight::builder()
        .environment(Vec::<(String, String)>::new())
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .overhead_budget(OverheadBudget::percent(1.0))
        .overflow(ringlight::OverflowPolicy::Block)
        .init()
        .unwrap();
    assert!((telemetry.cost().sampling_ratio - 1.0).abs() < f64::EPSILON);
    assert_eq!(telemetry.cost().budget_ratio, Some(0.01));

    // Far more than a hundredth of the CPU time goes into spans.
    let was_left_out = AtomicBool::new(false);
    let overload = || {
        for _ in 0..100 {
            if !trace() {
                was_left_out.store(true, Ordering::Relaxed);
            }
        }
        let work_until = Instant::now() + Duration::from_millis(4);
        while Instant::now() < work_until {
            std::hint::spin_loop();
        }
    };
    until(&telemetry, "lowered", overload, |ratio| ratio < 1.0);
    let cost = telemetry.cost();
    assert!(
        cost.spans_measured > 0 && cost.span_nano.is_some(),
        "{cost:?}"
    );
    for _ in 0..10 {
        overload();
    }
    assert!(was_left_out.load(Ordering::Relaxed));

    // Nobody records: it recovers though nothing comes out of the rings.
    let rest = || std::thread::sleep(Duration::from_millis(5));
    until(&telemetry, "recovered", rest, |ratio| ratio >= 1.0);
    assert!((0..100).all(|_| trace()));

    let ledger = telemetry.shutdown(PATIENCE);
    assert!(ledger.balances());
    let account = ledger.account(Signal::Traces);
    assert_eq!(account.dropped_total(), 0, "{account:?}");
    let mut traces = HashMap::<Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>>::new();
    for span in backend.stop().spans() {
        let ids = (span.span_id, span.parent_span_id);
        traces.entry(span.trace_id).or_default().push(ids);
    }
    assert_eq!(traces.len() as u64 * 3, account.exported);
    for spans in traces.values() {
        assert_eq!(spans.len(), 3, "whole or not at all");
        let ids: HashSet<_> = spans.iter().map(|(id, _)| id).collect();
        let roots = spans.iter().filter(|(_, parent)| parent.is_empty()).count();
        let inner = spans
            .iter()
            .filter(|(_, parent)| ids.contains(parent))
            .count();
        assert_eq!((roots, inner), (1, 2));
    }
}
