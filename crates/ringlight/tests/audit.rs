//! Events of the audit target are recorded whatever else is said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use ringlight::{
    Builder, LogFile, LogFormat, RecordPattern, Redaction, Sampler, Signal, Telemetry,
};
use ringlight_testing::{Backend, body};
use tracing::{Dispatch, debug, error, info, info_span};
use tracing_subscriber::layer::{Identity, SubscriberExt as _};

const LONG: Duration = Duration::from_secs(20);

fn check(start: fn(Builder) -> (Dispatch, Telemetry), target: Option<&str>, expected: &[&str]) {
    let backend = Backend::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines.jsonl");
    let builder = ringlight::builder()
        .environment([("RUST_LOG", "off"), ("RUST_LOG_LOGS", "error,trail=off")])
        .otlp_endpoint(backend.url())
        .sampler(Sampler::always_off())
        .process(|rules| rules.drop_records(RecordPattern::logs()))
        .redact(Redaction::standard())
        .log_format(LogFormat::Off)
        .log_file(LogFile::new(&file));
    let builder = match target {
        Some(target) => builder.audit_target(target),
        None => builder,
    };
    let (dispatch, telemetry) = start(builder);
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!("not sampled").in_scope(|| {
            info!(target: "audit", password = "hunter2", "of the target");
            info!(target: "audit::login", "below it");
            debug!(target: "audit", "too verbose");
            info!(target: "auditor", "of another");
            error!(target: "trail", "elsewhere");
        });
    });
    let ledger = telemetry.shutdown(LONG);
    assert!(ledger.balances());
    assert_eq!(ledger.audit_lost(), 0);
    let seen = backend.stop();
    assert!(seen.spans().is_empty());
    let logs = seen.log_records();
    let bodies: Vec<_> = logs.iter().map(body).collect();
    assert_eq!(bodies, expected);
    assert!(!format!("{logs:?}").contains("hunter2"), "{logs:?}");
    // What is an audit record is in the lines as well.
    let lines = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(lines.lines().count(), expected.len(), "{lines}");
    assert_eq!(ledger.account(Signal::Logs).exported, expected.len() as u64);
}

#[test]
fn audit_events_go_past_filters_samplers_and_rules() {
    for start in [
        (|builder| builder.build().unwrap()) as fn(Builder) -> (Dispatch, Telemetry),
        |builder| {
            let beside = builder.beside(|registry| registry.with(Identity::new()));
            beside.build().unwrap()
        },
        |builder| {
            let (layer, telemetry) = builder.layer().unwrap();
            let stack = tracing_subscriber::registry().with(layer);
            (Dispatch::new(stack), telemetry)
        },
    ] {
        check(start, None, &["of the target", "below it"]);
        check(start, Some("trail"), &["elsewhere"]);
        check(start, Some("none"), &[]);
    }
}

/// The status of a span in which an audit event at level `error` happens, and how many events it has.
fn span_around_an_error(variables: &[(&str, &str)]) -> (i32, usize) {
    let backend = Backend::start();
    let builder = ringlight::builder()
        .environment(variables.iter().copied())
        .otlp_endpoint(backend.url())
        .span_events(true)
        .log_format(LogFormat::Off);
    let (dispatch, telemetry) = builder.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!(target: "shop", "around").in_scope(|| error!(target: "audit", "refused"));
    });
    telemetry.shutdown(LONG);
    let seen = backend.stop();
    assert_eq!(
        seen.log_records().iter().map(body).collect::<Vec<_>>(),
        ["refused"]
    );
    let spans = seen.spans();
    let code = spans[0].status.as_ref().map_or(0, |status| status.code);
    (code, spans[0].events.len())
}

#[test]
fn what_an_audit_event_does_to_the_span_around_it_goes_by_directives() {
    let failed = (StatusCode::Error as i32, 1);
    assert_eq!(span_around_an_error(&[]), failed);
    assert_eq!(
        span_around_an_error(&[("RUST_LOG", "info,audit=off")]),
        (0, 0)
    );
    let of_traces = [("RUST_LOG_TRACES", "info,audit=off")];
    assert_eq!(span_around_an_error(&of_traces), (0, 0));
    let of_logs = [("RUST_LOG_LOGS", "info,audit=off")];
    assert_eq!(span_around_an_error(&of_logs), failed);
}
