//! Requests of metrics, which somebody else encodes, on their way through a pipeline.

use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::{
    CollectorConfig, DestinationConfig, ExporterBoxed, Pipeline, Processing, Redaction,
    Replacement, SpoolConfig,
};
use ringlight_model::{Account, CallsiteRegistry, DropReason, KeyValue, Signal};

use crate::support::{Answer, PATIENCE, Scripted, config, record_span, start, traces, wait_for};

/// An `ExportMetricsServiceRequest` with a gauge of this name, and so many data points of it.
fn request(name: &str, points: usize) -> Vec<u8> {
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 128, "one byte is enough");
        [&[number << 3 | 2, length][..], content].concat()
    }
    let gauge = field(5, &field(1, &[]).repeat(points));
    let metric = field(2, &[field(1, name.as_bytes()), gauge].concat());
    field(1, &field(2, &metric))
}

fn metrics(pipeline: &Pipeline) -> Account {
    let account = *pipeline.ledger().account(Signal::Metrics);
    assert!(account.balances(), "{account:?}");
    account
}

#[test]
fn a_request_goes_to_all_who_take_metrics_and_adds_up() {
    let (one, other) = (
        Scripted::new("one", Answer::Ok),
        Scripted::new("other", Answer::Ok),
    );
    let pipeline = start(config(), &[&one, &other]);
    let sender = pipeline.request_sender().unwrap();
    sender.send_metrics(request("a", 2));
    sender.send_metrics(request("b", 1));
    // There is nothing in these.
    sender.send_metrics(Vec::new());
    sender.send_metrics(request("none", 0));
    sender.send_metrics(vec![0xff; 9]);
    record_span(&pipeline.recorder(), 1);
    // Part of the flush, since they came before it.
    pipeline.flush(PATIENCE).unwrap();
    for backend in [&one, &other] {
        let taken = backend.taken();
        let metrics = taken.iter().filter(|batch| batch.signal == Signal::Metrics);
        let records: Vec<_> = metrics
            .map(|batch| (batch.records, batch.bytes.to_vec()))
            .collect();
        assert_eq!(records, [(2, request("a", 2)), (1, request("b", 1))]);
    }
    for (_, ledger) in pipeline.ledgers() {
        let account = ledger.account(Signal::Metrics);
        assert_eq!((account.submitted, account.exported), (3, 3));
        assert!(ledger.balances(), "{ledger}");
    }
    assert_eq!(traces(&pipeline).exported, 1);
}

#[test]
fn an_attempt_to_send_metrics_has_a_time_of_its_own() {
    let backend = Scripted::new("backend", Answer::Never);
    let pipeline = start(
        CollectorConfig {
            metrics_timeout: Some(Duration::from_millis(1)),
            export_timeout: Duration::from_secs(3600),
            ..config()
        },
        &[&backend],
    );
    pipeline
        .request_sender()
        .unwrap()
        .send_metrics(request("a", 1));
    // The first was given up, long before spans would be.
    backend.wait_attempts(2);
    backend.set_default(Answer::Ok);
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Metrics).exported, 1);
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let backend = Scripted::new("backend", Answer::Held);
    let pipeline = start(
        CollectorConfig {
            queue_bytes_max: 64 * 1024,
            batch_bytes_max: 4096,
            concurrent_exports_max: 1,
            ..config()
        },
        &[&backend],
    );
    let sender = pipeline.request_sender().unwrap();
    sender.send_metrics(request("first", 1));
    backend.wait_attempts(1);
    let large = request("large", 29);
    for _ in 0..10_000 {
        sender.send_metrics(large.clone());
    }
    let dropped = |account: &Account| account.dropped[DropReason::QueueFull];
    // They are dropped where the collector comes to them, if not before.
    let account = wait_for(|| Some(metrics(&pipeline)).filter(|account| dropped(account) > 0));
    assert_eq!(account.submitted, 290_001);
    backend.release(Answer::Ok);
    let account = wait_for(|| Some(metrics(&pipeline)).filter(|account| account.in_flight == 0));
    assert_eq!(account.exported + dropped(&account), 290_001);
}

#[test]
fn the_end_sends_what_there_is_and_takes_no_more() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let sender = pipeline.request_sender().unwrap();
    sender.send_metrics(request("last", 3));
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Metrics).exported, 3);
    sender.send_metrics(request("late", 2));
    let account = metrics(&pipeline);
    assert_eq!(
        (account.submitted, account.dropped[DropReason::Closed]),
        (5, 2)
    );

    let nobody = Scripted::new("nobody", Answer::Never);
    let pipeline = start(config(), &[&nobody]);
    pipeline
        .request_sender()
        .unwrap()
        .send_metrics(request("lost", 1));
    nobody.wait_attempts(1);
    let ledger = pipeline.shutdown(Duration::from_millis(50));
    assert!(ledger.balances(), "{ledger}");
    // The caller may have come back first.
    let account = wait_for(|| {
        let account = metrics(&pipeline);
        (account.dropped[DropReason::Shutdown] == 1).then_some(account)
    });
    assert_eq!((account.submitted, account.in_flight), (1, 0));
}

#[test]
fn what_cannot_be_sent_is_kept_on_disk_for_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let config = || CollectorConfig {
        spool: Some(SpoolConfig::new(dir.path())),
        ..config()
    };
    let away = Scripted::new("backend", Answer::Unreachable);
    let pipeline = start(config(), &[&away]);
    pipeline
        .request_sender()
        .unwrap()
        .send_metrics(request("kept", 4));
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Metrics).spooled, 4);
    drop(pipeline);
    let back = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&back]);
    let account = wait_for(|| Some(metrics(&pipeline)).filter(|account| account.exported == 4));
    assert_eq!((account.recovered, account.submitted), (4, 0));
    assert_eq!(back.taken()[0].bytes, request("kept", 4));
}

#[test]
fn attributes_go_by_the_rules_there_are_at_the_moment() {
    let backend = Scripted::new("backend", Answer::Ok);
    let redact = |key: &str| Redaction::new().key(key, Replacement::Mask);
    let pipeline = start(
        CollectorConfig {
            processing: Processing::new().base_redaction(redact("a")),
            ..config()
        },
        &[&backend],
    );
    let rules = pipeline.attribute_rules();
    let shown = || {
        let attributes = [("a", "1"), ("b", "2")].map(|(key, value)| KeyValue::new(key, value));
        let processed = rules.processed(attributes.into());
        let values = processed
            .into_iter()
            .map(|attribute| attribute.value.to_string());
        values.collect::<Vec<_>>()
    };
    assert!(rules.has_rules());
    assert_eq!(shown()[1], "2");
    assert_ne!(shown()[0], "1");
    pipeline.set_base_redaction(redact("b")).unwrap();
    assert_eq!(shown()[0], "1");
    assert_ne!(shown()[1], "2");
    pipeline.set_base_redaction(Redaction::new()).unwrap();
    assert!(!rules.has_rules());
    assert_eq!(shown(), ["1", "2"]);
}

#[test]
fn without_anybody_who_takes_metrics_there_is_no_sender() {
    let backend = Scripted::new("backend", Answer::Ok);
    let signals = |signals: &[Signal]| {
        let exporter = Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>;
        let destination = DestinationConfig {
            signals: Some(signals.to_vec()),
            ..DestinationConfig::new(exporter)
        };
        let callsites = Arc::new(CallsiteRegistry::new());
        Pipeline::start(config(), callsites, [destination], Vec::new()).unwrap()
    };
    let traces_alone = signals(&[Signal::Traces]);
    assert!(traces_alone.request_sender().is_none());
    let sender = signals(&[Signal::Metrics]).request_sender().unwrap();
    let text = String::from_utf8_lossy(sender.resource()).into_owned();
    assert!(text.contains("service.name"), "{text}");
}
