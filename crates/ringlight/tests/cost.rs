//! What is measured while it runs is part of what is recorded, no more and no less.

use std::collections::HashMap;
use std::time::Duration;

use ringlight::{LogFormat, OverflowPolicy, Signal};
use ringlight_testing::Backend;
use tracing::{Span, field, info, info_span};

const PATIENCE: Duration = Duration::from_secs(60);
const TREES: u64 = 3_000;

/// Some of these spans are measured: they, too, have their parent, their attributes and their events,
/// whether handles to them are cloned, or dropped on other threads.
#[test]
fn measured_spans_come_out_as_others_do() {
    let backend = Backend::start();
    let telemetry = ringlight::builder()
        .environment(Vec::<(String, String)>::new())
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .overflow(OverflowPolicy::Block)
        .init()
        .unwrap();
    assert_eq!(telemetry.cost().span_nano, None);
    let (send, receive) = std::sync::mpsc::channel::<Span>();
    let elsewhere = std::thread::spawn(move || receive.into_iter().for_each(drop));
    for number in 0..TREES {
        let root = info_span!("root", number);
        let again = root.clone();
        let in_root = root.enter();
        let child = info_span!("child", number, late = field::Empty);
        child.record("late", number);
        child.in_scope(|| info!(number, "event"));
        drop(in_root);
        drop(root);
        send.send(child).unwrap();
        drop(again);
    }
    drop(send);
    elsewhere.join().unwrap();
    let ledger = telemetry.shutdown(PATIENCE);
    assert!(ledger.balances());
    let cost = telemetry.cost();
    assert!(
        cost.spans_measured > 0 && cost.logs_measured > 0,
        "{cost:?}"
    );
    assert!(cost.producer_time > Duration::ZERO && cost.collector_time > Duration::ZERO);
    assert!(cost.process_time >= cost.collector_time);
    assert!(cost.memory.open_spans_bytes > 0 && cost.memory.rings_bytes > 0);

    let seen = backend.stop();
    assert_eq!(ledger.account(Signal::Traces).exported, 2 * TREES);
    let spans: HashMap<_, _> = seen
        .spans()
        .into_iter()
        .map(|span| (span.span_id.clone(), span))
        .collect();
    assert_eq!(spans.len() as u64, 2 * TREES);
    for span in spans.values() {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        let keys: Vec<_> = span
            .attributes
            .iter()
            .map(|item| item.key.as_str())
            .collect();
        if span.name == "root" {
            assert_eq!(keys, ["number"]);
        } else {
            assert_eq!(keys, ["number", "late"]);
            let parent = &spans[&span.parent_span_id];
            assert_eq!(
                (parent.name.as_str(), &parent.trace_id),
                ("root", &span.trace_id)
            );
            assert_eq!(parent.attributes[0].value, span.attributes[0].value);
        }
    }
    let logs = seen.log_records();
    assert_eq!(logs.len() as u64, TREES);
    for log in logs {
        assert_eq!(spans[&log.span_id].name, "child");
    }
}
