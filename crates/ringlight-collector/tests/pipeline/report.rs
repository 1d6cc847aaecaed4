//! The ledger on its way to the backend.

use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::record::{Item, LogRecord, ValueRef};
use ringlight_collector::{CollectorConfig, LogFilter, Pipeline};
use ringlight_model::{CallsiteRegistry, LedgerSnapshot, Signal};
use ringlight_otlp::ledger_report::{self, LedgerReport};

use crate::support::{
    Answer, PATIENCE, Scripted, config, record_log, record_span, record_span_at, start, wait_for,
};

fn reports(backend: &Scripted) -> Vec<LedgerReport> {
    backend
        .taken()
        .iter()
        .filter(|batch| batch.signal == Signal::Metrics)
        .map(|batch| {
            let mut reports = ledger_report::read(&batch.bytes).unwrap();
            assert_eq!(reports.len(), 1);
            reports.remove(0)
        })
        .collect()
}

#[test]
fn the_last_report_says_what_the_ledger_says_and_comes_last() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            report_interval: Duration::from_secs(3600),
            ..config()
        },
        &[&backend],
    );
    for number in 1..=5 {
        record_span(&pipeline.recorder(), number);
    }
    record_span_at(&pipeline.recorder(), 6, (2_000, 1_000));
    let ledger = pipeline.shutdown(PATIENCE);
    let reports = reports(&backend);
    assert_eq!(reports.len(), 1);
    assert!(reports[0].is_final);
    assert_eq!(reports[0].instance, "instance-1");
    assert_eq!(reports[0].service, "test");
    assert_eq!(reports[0].ledger, ledger);
    assert_eq!(ledger.account(Signal::Traces).exported, 6);
    assert_eq!(backend.taken().last().unwrap().signal, Signal::Metrics);
    assert_eq!(
        *ledger.account(Signal::Metrics),
        LedgerSnapshot::default()
            .account(Signal::Metrics)
            .to_owned(),
        "a report does not count itself"
    );
}

#[test]
fn a_ledger_that_changes_is_reported_meanwhile() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            report_interval: Duration::from_millis(1),
            ..config()
        },
        &[&backend],
    );
    record_span(&pipeline.recorder(), 1);
    // The batch, and a report after it.
    crate::support::wait_for(|| {
        let reports = reports(&backend);
        let last = reports.last()?;
        (last.ledger.account(Signal::Traces).exported == 1).then_some(())
    });
    assert!(reports(&backend).iter().all(|report| !report.is_final));
    let attempts = backend.attempts().len();
    assert!(attempts < 50, "an unchanged ledger is not reported again");
}

/// A pipeline with one span whose first report is answered so; its backend and its last ledger.
fn first_report_answered(answer: Answer) -> (Scripted, LedgerSnapshot) {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            report_interval: Duration::from_millis(1),
            batch_delay: Duration::from_secs(3600),
            ..config()
        },
        &[&backend],
    );
    backend.script([answer]);
    record_span(&pipeline.recorder(), 1);
    backend.wait_attempts(1);
    let ledger = pipeline.shutdown(PATIENCE);
    (backend, ledger)
}

#[test]
fn a_backend_that_takes_no_metrics_is_asked_once() {
    let (backend, ledger) = first_report_answered(Answer::Unsupported);
    assert_eq!(ledger.account(Signal::Traces).exported, 1);
    let metrics = |batch: &&ringlight_collector::EncodedBatch| batch.signal == Signal::Metrics;
    assert_eq!(backend.attempts().iter().filter(metrics).count(), 1);
}

#[test]
fn a_report_that_is_refused_once_is_not_the_last() {
    let (backend, ledger) = first_report_answered(Answer::Permanent);
    let last = reports(&backend).pop().expect("the last one is sent");
    assert_eq!(last.ledger, ledger);
}

#[test]
fn an_attempt_to_report_has_a_time_of_its_own() {
    let backend = Scripted::new("backend", Answer::Never);
    let pipeline = start(
        CollectorConfig {
            report_interval: Duration::from_millis(1),
            metrics_timeout: Some(Duration::from_millis(1)),
            batch_delay: Duration::from_secs(3600),
            export_timeout: Duration::from_secs(3600),
            ..config()
        },
        &[&backend],
    );
    record_span(&pipeline.recorder(), 1);
    backend.wait_attempts(3);
    let is_report = |batch: &ringlight_collector::EncodedBatch| batch.signal == Signal::Metrics;
    assert!(backend.attempts().iter().all(is_report));
    backend.set_default(Answer::Ok);
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, 1);
}

/// Wants records that say so.
struct Wanted;

impl LogFilter for Wanted {
    fn wants(&mut self, log: &LogRecord<'_>, _: &CallsiteRegistry) -> bool {
        log.items().any(|item| {
            matches!(item, Item::Attribute(_, ValueRef::Text(text)) if text.to_str() == "wanted")
        })
    }
}

#[test]
fn a_log_record_that_is_not_exported_is_in_no_report_and_dropped_nowhere() {
    const ROUNDS: u64 = 5;
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = Pipeline::start_filtered(
        CollectorConfig {
            report_interval: Duration::from_millis(1),
            ..config()
        },
        Arc::new(CallsiteRegistry::new()),
        vec![Arc::new(backend.clone())],
        Vec::new(),
        Wanted,
    )
    .unwrap();
    let recorder = pipeline.recorder();
    for round in 1..=ROUNDS {
        for text in ["wanted", "unwanted", "unwanted, too"] {
            assert!(record_log(&recorder, text));
        }
        wait_for(|| {
            let account = *pipeline.ledger().account(Signal::Logs);
            assert!(account.balances(), "{account:?}");
            (account.exported == 3 * round).then_some(())
        });
    }
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Logs);
    assert_eq!(
        (account.submitted, account.dropped_total()),
        (3 * ROUNDS, 0)
    );

    let mut before = (0, 0);
    for report in reports(&backend) {
        let account = report.ledger.account(Signal::Logs);
        assert!(account.balances(), "{account:?}");
        let now = (account.submitted, account.exported);
        assert!(now.0 >= before.0 && now.1 >= before.1, "{now:?} {before:?}");
        before = now;
    }
    assert_eq!(before, (ROUNDS, ROUNDS));
    // Its rows are of all that was recorded.
    let last = reports(&backend).pop().unwrap();
    let rows = last.threads.iter().map(|row| row.counts(Signal::Logs));
    let submitted: u64 = rows.map(|counts| counts.submitted).sum();
    assert_eq!(submitted, 3 * ROUNDS);
    let sent = backend.taken().into_iter();
    let logs = sent.filter(|batch| batch.signal == Signal::Logs);
    assert_eq!(
        logs.map(|batch| u64::from(batch.records)).sum::<u64>(),
        ROUNDS
    );
}
