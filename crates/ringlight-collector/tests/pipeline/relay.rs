//! Requests of others on their way through a relay.

use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::{
    CollectorConfig, DestinationConfig, EncodedBatch, ExporterBoxed, Pipeline, Relay, SpoolConfig,
};
use ringlight_model::{DropReason, LedgerSnapshot, Signal};

use crate::places::Split;
use crate::support::{
    Answer, PATIENCE, Scripted, config, record_log, record_span, start, wait_for,
};

fn relay(config: CollectorConfig, backend: &Scripted) -> Relay {
    let exporter = Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>;
    Relay::start(config, DestinationConfig::new(exporter)).unwrap()
}

/// Requests as a pipeline makes them, of `batches` spans with these numbers and a log record each.
fn requests(numbers: std::ops::RangeInclusive<u64>) -> Vec<EncodedBatch> {
    let backend = Scripted::new("maker", Answer::Ok);
    let pipeline: Pipeline = start(
        CollectorConfig {
            batch_records_max: 1,
            ..config()
        },
        &[&backend],
    );
    for number in numbers {
        assert!(record_span(&pipeline.recorder(), number));
        assert!(record_log(&pipeline.recorder(), "said"));
        pipeline.flush(PATIENCE).unwrap();
    }
    backend.taken()
}

fn pass_on(relay: &Relay, requests: &[EncodedBatch]) {
    for request in requests {
        relay.pass_on(request.signal, &request.bytes);
    }
}

fn exported(ledger: &LedgerSnapshot) -> (u64, u64) {
    assert!(ledger.balances(), "{ledger}");
    let exported = |signal| ledger.account(signal).exported;
    (exported(Signal::Traces), exported(Signal::Logs))
}

#[test]
fn what_others_made_arrives_in_few_requests_and_adds_up() {
    let backend = Scripted::new("backend", Answer::Held);
    let relay = relay(config(), &backend);
    pass_on(&relay, &requests(1..=20));
    backend.wait_attempts(1);
    backend.release(Answer::Ok);
    let ledger = relay.shutdown(PATIENCE);
    assert_eq!(exported(&ledger), (20, 20));
    assert_eq!(ledger.account(Signal::Traces).submitted, 20);
    let mut numbers = backend.span_numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let requests = backend.taken().len();
    assert!(requests < 20, "{requests} requests of 40 are as they came");
    assert_eq!(relay.delivery().signal(Signal::Traces).records, 20);
}

#[test]
fn what_a_backend_that_is_away_does_not_get_the_next_relay_sends() {
    let dir = tempfile::tempdir().unwrap();
    let spooling = || CollectorConfig {
        spool: Some(SpoolConfig::new(dir.path().join("forward"))),
        ..config()
    };
    let away = Scripted::new("away", Answer::Unreachable);
    let first = relay(spooling(), &away);
    pass_on(&first, &requests(1..=5));
    let metrics = metrics_request();
    first.pass_on(Signal::Metrics, &metrics);
    let ledger = first.shutdown(PATIENCE);
    assert!(ledger.balances());
    let spooled =
        [Signal::Traces, Signal::Logs, Signal::Metrics].map(|s| ledger.account(s).spooled);
    assert_eq!(spooled, [5, 5, 1], "{ledger}");

    let back = Scripted::new("back", Answer::Ok);
    let second = relay(spooling(), &back);
    wait_for(|| (second.ledger().account(Signal::Metrics).exported == 1).then_some(()));
    let ledger = second.shutdown(PATIENCE);
    assert_eq!(exported(&ledger), (5, 5));
    assert_eq!(ledger.account(Signal::Traces).recovered, 5);
    assert_eq!(back.span_numbers().len(), 5);
}

#[test]
fn without_room_requests_are_dropped_and_counted_and_nobody_waits() {
    let backend = Scripted::new("backend", Answer::Never);
    let relay = relay(
        CollectorConfig {
            batch_bytes_max: 1_024,
            queue_bytes_max: 2_048,
            ..config()
        },
        &backend,
    );
    let one = requests(1..=1);
    for _ in 0..200 {
        pass_on(&relay, &one);
    }
    let ledger = relay.shutdown(Duration::from_millis(200));
    assert!(ledger.balances(), "{ledger}");
    let traces = ledger.account(Signal::Traces);
    assert_eq!(traces.submitted, 200);
    assert!(traces.dropped[DropReason::QueueFull] > 0, "{ledger}");
    assert_eq!(traces.in_flight, 0);
    pass_on(&relay, &one);
    let after = relay.ledger();
    assert_eq!(after.account(Signal::Traces).dropped[DropReason::Closed], 1);
    assert!(after.balances(), "{after}");
}

#[test]
fn a_request_that_is_none_is_left_out() {
    let backend = Scripted::new("backend", Answer::Ok);
    let relay = relay(config(), &backend);
    relay.pass_on(Signal::Traces, b"this is no protobuf");
    relay.pass_on(Signal::Logs, b"");
    let ledger = relay.shutdown(PATIENCE);
    assert_eq!(ledger, LedgerSnapshot::default());
    assert!(backend.attempts().is_empty());
}

#[test]
fn a_signal_that_has_no_place_is_in_no_ledger() {
    let backend = Scripted::new("backend", Answer::Ok);
    let exporter = Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>;
    let destination = DestinationConfig {
        signals: Some(vec![Signal::Logs]),
        ..DestinationConfig::new(exporter)
    };
    let relay = Relay::start(config(), destination).unwrap();
    pass_on(&relay, &requests(1..=3));
    let ledger = relay.shutdown(PATIENCE);
    assert_eq!(exported(&ledger), (0, 3));
    assert_eq!(ledger.account(Signal::Traces).submitted, 0);
}

#[test]
fn profiles_keep_their_dictionary_to_themselves() {
    let backend = Scripted::new("backend", Answer::Held);
    let relay = relay(config(), &backend);
    // Profiles in a scope in a resource, and a dictionary.
    let request = [&[0x0a, 4, 0x12, 2, 0x12, 0][..], &[0x12, 2, 0x0a, 0]].concat();
    for _ in 0..3 {
        relay.pass_on(Signal::Profiles, &request);
    }
    backend.wait_attempts(1);
    backend.release(Answer::Ok);
    let ledger = relay.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Profiles).exported, 3, "{ledger}");
    let taken = backend.taken();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|batch| batch.bytes == request));
}

/// A gauge with one data point in a scope in a resource.
fn metrics_request() -> Vec<u8> {
    vec![0x0a, 11, 0x12, 9, 0x12, 7, 0x0a, 1, b'm', 0x2a, 2, 0x0a, 0]
}

#[test]
fn at_the_end_a_place_that_hangs_holds_up_no_other() {
    let traces = Scripted::new("traces", Answer::Never);
    let logs = Scripted::new("logs", Answer::Ok);
    let config = CollectorConfig {
        batch_delay: Duration::from_secs(3600),
        batch_bytes_max: 1_024,
        queue_bytes_max: 2_048,
        ..config()
    };
    let places = Split([Some(traces), Some(logs), None]);
    let relay = Relay::start(config, DestinationConfig::new(Arc::new(places))).unwrap();
    let [span, log] = &requests(1..=1)[..] else {
        panic!("a request of each");
    };
    // Nearly a batch, so that its queue takes two.
    let spans = span.bytes.repeat(1_024 / span.bytes.len());
    // Until its queue is full, and it is not waited for any more.
    wait_for(|| {
        relay.pass_on(Signal::Traces, &spans);
        let dropped = relay.ledger().account(Signal::Traces).dropped;
        (dropped[DropReason::QueueFull] > 200).then_some(())
    });
    // Whatever is before it here.
    wait_for(|| {
        relay.pass_on(Signal::Logs, &log.bytes);
        let account = *relay.ledger().account(Signal::Logs);
        (account.submitted > account.dropped_total()).then_some(())
    });
    let ledger = relay.shutdown(Duration::from_secs(2));
    assert!(ledger.balances(), "{ledger}");
    assert_eq!(ledger.account(Signal::Logs).exported, 1, "{ledger}");
}
