//! Directives per output: what reaches the backend, what is written as lines, and what the ledger says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use ringlight::{Builder, Output, OverflowPolicy, Signal, Telemetry};
use ringlight_testing::{Backend, body};
use tracing::{Dispatch, debug, debug_span, error, info, info_span, warn};
use tracing_subscriber::layer::{Identity, SubscriberExt as _};

const LONG: Duration = Duration::from_secs(20);

/// Lines written so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// The line that says something.
    fn line(&self, said: &str) -> Option<String> {
        let bytes = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let mut found = text.lines().filter(|line| line.contains(said));
        let line = found.next().map(str::to_owned);
        assert_eq!(found.next(), None, "there twice");
        line
    }

    fn count(&self) -> usize {
        let bytes = self.0.lock().unwrap();
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A way to start.
type Start = fn(Builder) -> (Dispatch, Telemetry);

/// By itself, beside a layer that wants everything, and as a layer.
const MODES: [Start; 3] = [
    |builder| builder.build().unwrap(),
    |builder| {
        let beside = builder.beside(|registry| registry.with(Identity::new()));
        beside.build().unwrap()
    },
    |builder| {
        let (layer, telemetry) = builder.layer().unwrap();
        let stack = tracing_subscriber::registry().with(layer);
        (Dispatch::new(stack), telemetry)
    },
];

fn span<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn check_each_output_gets_what_it_wants(start: Start) {
    let (backend, lines) = (Backend::start(), Lines::default());
    let builder = ringlight::builder()
        .environment([
            ("RUST_LOG", "off"),
            ("RUST_LOG_LINES", "warn,app::inner=trace"),
            ("RUST_LOG_LOGS", "info,app::inner=off"),
            ("RUST_LOG_TRACES", "debug,app::inner=off"),
        ])
        .otlp_endpoint(backend.url())
        .log_writer(lines.clone());
    let (dispatch, telemetry) = start(builder);
    tracing::dispatcher::with_default(&dispatch, || {
        let request = info_span!(target: "app", "request").entered();
        let hidden = debug_span!(target: "app::inner", "hidden").entered();
        debug!(target: "app::inner", "for lines");
        debug_span!(target: "app", "child").in_scope(|| {
            info!(target: "app", "for logs");
            warn!(target: "app", "for both");
            debug!(target: "app", "for neither");
        });
        drop((hidden, request));
    });
    let ledger = telemetry.shutdown(LONG);
    let seen = backend.stop();

    let spans = seen.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let (request, child) = (span(&spans, "request"), span(&spans, "child"));
    assert_eq!(child.parent_span_id, request.span_id);
    let logs = seen.log_records();
    let mut bodies: Vec<_> = logs.iter().map(body).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["for both", "for logs"]);
    assert!(logs.iter().all(|log| log.span_id == child.span_id));

    assert_eq!(lines.count(), 2);
    let both = lines.line("for both").unwrap();
    assert!(both.contains("request") && both.contains("child"), "{both}");
    let alone = lines.line("for lines").unwrap();
    assert!(alone.contains("request") && !alone.contains("hidden"));

    // Three were recorded; the backend is told of those it was to have.
    assert!(ledger.balances(), "{ledger:?}");
    let account = ledger.account(Signal::Logs);
    assert_eq!((account.submitted, account.exported), (3, 3));
    let told = seen.final_ledger();
    assert!(told.balances(), "{told:?}");
    assert_eq!(told.account(Signal::Traces), ledger.account(Signal::Traces));
    let account = told.account(Signal::Logs);
    assert_eq!((account.submitted, account.exported), (2, 2));
    assert_eq!(account.dropped_total(), 0);
}

#[test]
fn each_output_gets_what_it_wants_in_every_mode() {
    MODES
        .into_iter()
        .for_each(check_each_output_gets_what_it_wants);
}

fn check_spans_learn_of_errors_that_traces_want(start: Start) {
    let (backend, lines) = (Backend::start(), Lines::default());
    let builder = ringlight::builder()
        .environment([("RUST_LOG_TRACES", "info,app::quiet=off")])
        .default_filter_for(Output::Lines, "app::quiet=info")
        .default_filter_for(Output::Logs, "app::quiet=info")
        .span_events(true)
        .otlp_endpoint(backend.url())
        .log_writer(lines.clone());
    let (dispatch, telemetry) = start(builder);
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!(target: "app", "unharmed").in_scope(|| error!(target: "app::quiet", "logged"));
        info_span!(target: "app", "failed").in_scope(|| error!(target: "app", "of the span"));
    });
    telemetry.shutdown(LONG);
    let seen = backend.stop();
    let spans = seen.spans();
    let unharmed = span(&spans, "unharmed");
    assert_eq!(unharmed.status.clone().unwrap_or_default().code, 0);
    assert_eq!(unharmed.events, []);
    let failed = span(&spans, "failed");
    let status = failed.status.as_ref().unwrap();
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(failed.events.len(), 1);
    let logs = seen.log_records();
    assert_eq!(logs.iter().map(body).collect::<Vec<_>>(), ["logged"]);
    assert_eq!(lines.count(), 1);
    assert!(lines.line("logged").is_some());
}

#[test]
fn spans_learn_of_errors_that_traces_want_in_every_mode() {
    let check = check_spans_learn_of_errors_that_traces_want;
    MODES.into_iter().for_each(check);
}

fn check_outputs_change_while_it_runs(start: Start) {
    fn say(telemetry: &Telemetry, number: u32) {
        debug!("detail {number}");
        info!("info {number}");
        telemetry.flush(LONG).unwrap();
    }
    let (backend, lines) = (Backend::start(), Lines::default());
    let builder = ringlight::builder()
        .environment([("RUST_LOG", "info")])
        .otlp_endpoint(backend.url())
        .log_writer(lines.clone());
    let (dispatch, telemetry) = start(builder);
    let controls = telemetry.controls();
    tracing::dispatcher::with_default(&dispatch, || {
        say(&telemetry, 1);
        controls.set_filter_for(Output::Lines, "debug").unwrap();
        say(&telemetry, 2);
        controls.set_filter("warn").unwrap();
        say(&telemetry, 3);
        let refused = controls.set_filter_for(Output::Lines, "off,x=loud");
        assert_eq!(refused.unwrap_err().directive, "x=loud");
        controls.set_filter_for(Output::Logs, "debug").unwrap();
        say(&telemetry, 4);
        controls.set_filter_for(Output::Lines, "").unwrap();
        say(&telemetry, 5);
        controls.set_filter_for(Output::Logs, "").unwrap();
        say(&telemetry, 6);
    });
    let ledger = telemetry.shutdown(LONG);
    let seen = backend.stop();
    let logs = seen.log_records();
    let bodies: Vec<_> = logs.iter().map(body).collect();
    let expected = [
        "info 1", "info 2", "detail 4", "info 4", "detail 5", "info 5",
    ];
    assert_eq!(bodies, expected);
    for said in ["info 1", "detail 2", "info 2", "detail 3", "info 3"] {
        assert!(lines.line(said).is_some(), "{said}");
    }
    for said in ["detail 4", "info 4"] {
        assert!(lines.line(said).is_some(), "{said}");
    }
    assert_eq!(lines.count(), 7);
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(ledger.account(Signal::Logs).exported, 9);
    assert_eq!(seen.final_ledger().account(Signal::Logs).exported, 6);
}

#[test]
fn outputs_change_while_it_runs_in_every_mode() {
    MODES
        .into_iter()
        .for_each(check_outputs_change_while_it_runs);
}

#[test]
fn where_no_traces_are_sent_lines_name_the_spans_they_want() {
    let lines = Lines::default();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("RUST_LOG", "off"), ("RUST_LOG_LINES", "debug")])
        .log_writer(lines.clone())
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        debug_span!("around").in_scope(|| debug!("here"));
    });
    let ledger = telemetry.shutdown(LONG);
    assert!(lines.line("here").unwrap().contains("around"));
    assert_eq!(ledger.account(Signal::Traces).submitted, 0);
}

#[test]
fn where_nothing_is_sent_lines_show_what_spans_were_recorded_with_later() {
    for start in MODES {
        let lines = Lines::default();
        let builder = ringlight::builder()
            .environment([("RUST_LOG", "info")])
            .log_writer(lines.clone());
        let (dispatch, telemetry) = start(builder);
        tracing::dispatcher::with_default(&dispatch, || {
            let span = info_span!("request", id = 7, user = tracing::field::Empty);
            let _entered = span.enter();
            span.record("user", "Ada");
            info!("answered");
        });
        let _ = telemetry.shutdown(LONG);
        let line = lines.line("answered").unwrap();
        assert!(line.contains("request{id=7 user=Ada}"), "{line}");
    }
}

#[test]
fn directives_of_an_output_that_is_not_there_record_nothing() {
    let backend = Backend::start();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("RUST_LOG", "warn"), ("RUST_LOG_LINES", "trace")])
        .otlp_endpoint(backend.url())
        .log_format(ringlight::LogFormat::Off)
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        assert!(!tracing::enabled!(tracing::Level::INFO));
        info!("for nobody");
        warn!("for the backend");
    });
    let ledger = telemetry.shutdown(LONG);
    backend.stop().assert_agrees_with(&ledger);
    assert_eq!(ledger.account(Signal::Logs).submitted, 1);
}

/// A terminal that was stopped.
struct Stopped;

impl io::Write for Stopped {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        loop {
            std::thread::park();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_nobody_takes_do_not_hold_up_the_backend_or_the_end() {
    let backend = Backend::start();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("RUST_LOG", "info")])
        .otlp_endpoint(backend.url())
        .log_writer(Stopped)
        // Would wait for ever with the collector.
        .overflow(OverflowPolicy::Block)
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        for number in 0..20_000 {
            info!(number, "a line of some length that has to go somewhere");
        }
    });
    telemetry.flush(LONG).unwrap();
    let ledger = telemetry.shutdown(LONG);
    let seen = backend.stop();
    seen.assert_agrees_with(&ledger);
    assert_eq!(seen.log_records().len(), 20_000);
}
