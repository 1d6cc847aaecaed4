//! An exporter that sends signals to places of their own, and some nowhere.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight_collector::record::Record;
use ringlight_collector::{
    CollectorConfig, EncodedBatch, ExportError, ExportOutcome, Exporter, Notice, Notices, Pipeline,
    RecordSink,
};
use ringlight_model::{CallsiteRegistry, DropReason, LedgerSnapshot, Signal};
use ringlight_otlp::ledger_report;

use crate::support::{Answer, PATIENCE, Scripted, config, record_log, record_span, wait_for};

/// A place for each of traces, logs and metrics.
pub(crate) struct Split(pub(crate) [Option<Scripted>; 3]);

impl Split {
    fn of(&self, signal: Signal) -> Option<&Scripted> {
        self.0.get(signal as usize)?.as_ref()
    }
}

impl Exporter for Split {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let place = self.of(batch.signal).expect("only what is taken is sent");
        Exporter::export(place, batch).await
    }

    fn name(&self) -> &str {
        "split"
    }

    fn place(&self, signal: Signal) -> Option<&str> {
        self.of(signal).map(Exporter::name)
    }
}

/// Counts what it sees.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<usize>>);

impl RecordSink for Sink {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        *self.0.lock().unwrap() += 1;
    }

    fn flush(&mut self) {}
}

fn start(config: CollectorConfig, places: Split, sink: &Sink) -> (Pipeline, Receiver<Notice>) {
    let (sender, notices) = channel();
    let config = CollectorConfig {
        notices: Notices::new(move |notice| {
            let _ = sender.send(notice.clone());
        }),
        ..config
    };
    let callsites = Arc::new(CallsiteRegistry::new());
    let sinks: Vec<Box<dyn RecordSink>> = vec![Box::new(sink.clone())];
    let pipeline = Pipeline::start(config, callsites, vec![Arc::new(places)], sinks).unwrap();
    (pipeline, notices)
}

#[test]
fn a_dead_place_is_named_and_holds_up_no_other() {
    let traces = Scripted::new("traces", Answer::Ok);
    let logs = Scripted::new("logs", Answer::Unreachable);
    let config = CollectorConfig {
        concurrent_exports_max: 1,
        ..config()
    };
    let places = Split([Some(traces.clone()), Some(logs.clone()), None]);
    let (pipeline, notices) = start(config, places, &Sink::default());
    let recorder = pipeline.recorder();
    for number in 1..=20 {
        record_log(&recorder, "waits");
        record_span(&recorder, number);
        wait_for(|| (traces.span_numbers().len() == number as usize).then_some(()));
    }
    logs.wait_attempts(3);
    let notice = notices.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(&notice, Notice::Unreachable { destination, .. } if destination == "logs"),
        "{notice}"
    );
    assert_eq!(notices.try_recv().ok(), None);
    logs.set_default(Answer::Ok);
    let notice = notices.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(&notice, Notice::Recovered { destination, .. } if destination == "logs"),
        "{notice}"
    );
    let ledger = pipeline.shutdown(PATIENCE);
    assert!(ledger.balances());
    assert_eq!(ledger.account(Signal::Traces).exported, 20);
    assert_eq!(ledger.account(Signal::Logs).exported, 20);
}

#[test]
fn a_signal_without_a_place_is_for_the_sinks_alone() {
    let traces = Scripted::new("traces", Answer::Ok);
    let metrics = Scripted::new("metrics", Answer::Ok);
    let config = CollectorConfig {
        report_interval: Duration::from_secs(3600),
        ..config()
    };
    let sink = Sink::default();
    let places = Split([Some(traces.clone()), None, Some(metrics.clone())]);
    let (pipeline, notices) = start(config, places, &sink);
    let recorder = pipeline.recorder();
    for number in 1..=5 {
        record_span(&recorder, number);
        record_log(&recorder, "for people");
    }
    pipeline.flush(PATIENCE).unwrap();
    assert_eq!(*sink.0.lock().unwrap(), 10);
    let ledger = pipeline.shutdown(PATIENCE);
    assert!(ledger.balances());
    let logs = ledger.account(Signal::Logs);
    assert_eq!((logs.submitted, logs.exported), (5, 5));
    assert_eq!(ledger.account(Signal::Traces).exported, 5);
    assert_eq!(notices.try_recv().ok(), None);

    // What is not sent is not part of the report either.
    let reports = metrics.taken();
    let [report] = &reports[..] else {
        panic!("not one report: {reports:?}");
    };
    let mut told = LedgerSnapshot::default();
    *told.account_mut(Signal::Traces) = *ledger.account(Signal::Traces);
    let report = ledger_report::read(&report.bytes).unwrap().remove(0);
    assert_eq!(report.ledger, told);
}

#[test]
fn what_is_left_at_the_end_is_dropped_at_every_destination_that_takes_it() {
    let traces = Scripted::new("traces", Answer::Never);
    let config = CollectorConfig {
        batch_delay: Duration::from_secs(3600),
        ..config()
    };
    let places = Split([Some(traces.clone()), None, None]);
    let (pipeline, _) = start(config, places, &Sink::default());
    let recorder = pipeline.recorder();
    for number in 1..=5 {
        record_span(&recorder, number);
        record_log(&recorder, "for people");
    }
    let ledger = pipeline.shutdown(Duration::from_millis(200));
    assert!(ledger.balances());
    let account = ledger.account(Signal::Traces);
    assert_eq!(account.dropped[DropReason::Shutdown], 5);
    assert_eq!(ledger.account(Signal::Logs).in_flight, 0);
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
    let (pipeline, _) = start(config, places, &Sink::default());
    let recorder = pipeline.recorder();
    // Until its queue is full, and it is not waited for any more.
    wait_for(|| {
        record_span(&recorder, 1);
        let dropped = pipeline.ledger().account(Signal::Traces).dropped;
        (dropped[DropReason::QueueFull] > 0).then_some(())
    });
    for number in 1..=200 {
        wait_for(|| record_span(&recorder, number).then_some(()));
        wait_for(|| record_log(&recorder, "has a place that is well").then_some(()));
    }
    let ledger = pipeline.shutdown(Duration::from_secs(2));
    assert!(ledger.balances(), "{ledger}");
    assert_eq!(ledger.account(Signal::Logs).exported, 200, "{ledger}");
}
