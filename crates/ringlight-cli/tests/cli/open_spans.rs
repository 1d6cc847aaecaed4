//! Spans that are still open: reported by the client, shown by the API, gone when they end.

use std::path::Path;
use std::time::Duration;

use ringlight::{Protocol, Telemetry};
use serde_json::Value;
use tracing::Dispatch;

use crate::common::{Backend, PATIENCE, get, until};

/// Telemetry of a process that soon reports what is open.
pub(crate) fn telemetry(url: &Value, protocol: Protocol) -> (Dispatch, Telemetry) {
    ringlight::builder()
        .environment([("OTEL_SERVICE_NAME", "patient")])
        .log_format(ringlight::LogFormat::Off)
        .otlp_endpoint(url.as_str().unwrap())
        .otlp_protocol(protocol)
        .open_span_after(Duration::from_millis(1))
        .pipeline(|pipeline| pipeline.report_interval = Duration::from_millis(20))
        .build()
        .unwrap()
}

/// The only span of the only trace there is.
fn only_span(backend: &Backend) -> Option<(Value, Value)> {
    let traces = backend.get("/api/v1/traces");
    let [found] = &traces["traces"].as_array().unwrap()[..] else {
        return None;
    };
    let id = found["trace_id"].as_str().unwrap();
    let (status, body) = get(backend.ui, &format!("/api/v1/traces/{id}"));
    assert_eq!(status, 200, "a trace in the list is there");
    let trace: Value = serde_json::from_slice(&body).unwrap();
    let [span] = &trace["spans"].as_array().unwrap()[..] else {
        panic!("{trace}");
    };
    Some((found.clone(), span.clone()))
}

/// Waits until the list and the trace, which are asked for one after the other, both say so.
fn until_state(backend: &Backend, state: &str) -> (Value, Value) {
    until(&format!("the span is {state}"), || {
        let (found, span) = only_span(backend)?;
        let counts = [("in_progress", "in_progress_count"), ("lost", "lost_count")];
        let is_counted = counts
            .iter()
            .all(|(of, count)| found[count] == u64::from(*of == state));
        (is_counted && span["state"] == state).then_some((found, span))
    })
}

fn check_open_then_closed(data_dir: &Path, port: &str, protocol: Protocol) {
    let backend = Backend::up(data_dir);
    let (dispatch, telemetry) = telemetry(&backend.ready[port], protocol);
    tracing::dispatcher::with_default(&dispatch, || {
        // The process has sent nothing before, so that it learns from this what its backend is.
        let span = tracing::info_span!("long", step = 1, late = tracing::field::Empty);
        let (found, shown) = until_state(&backend, "in_progress");
        assert_eq!(found["root_name"], "long");
        assert_eq!(found["root_service"], "patient");
        assert_eq!(shown["name"], "long");
        assert!(shown["attributes"].to_string().contains("step"), "{shown}");
        // It is found as any span is.
        let by_name = backend.get("/api/v1/traces?q=%7B%20name%20%3D%20%22long%22%20%7D");
        assert_eq!(by_name["traces"][0]["trace_id"], found["trace_id"]);

        // It is reported again, as it is then.
        span.record("late", "now");
        let again = until("it is reported again", || {
            let (_, span) = only_span(&backend)?;
            span["attributes"]
                .to_string()
                .contains("late")
                .then_some(span)
        });
        assert!(again["duration_nano"].as_u64() > shown["duration_nano"].as_u64());
        assert_eq!(again["span_id"], shown["span_id"]);
        drop(span);
    });
    let (found, ended) = until_state(&backend, "ended");
    assert_eq!(found["span_count"], 1);
    assert!(ended["attributes"].to_string().contains("late"));
    let ledger = telemetry.shutdown(PATIENCE);
    assert!(ledger.balances());
    let status = backend.get("/api/v1/status");
    let logs = &status["signals"]["logs"];
    assert_eq!(
        (&logs["stored"], &logs["accepted"]),
        (&0.into(), &logs["open_spans"])
    );
    assert!(logs["open_spans"].as_u64().unwrap() > 1);
    assert_eq!(ledger.account(ringlight_model::Signal::Logs).submitted, 0);
    assert_eq!(
        backend.get("/api/v1/logs")["logs"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn an_open_span_is_shown_in_progress_until_it_ends() {
    let ways = [
        ("otlp_grpc", Protocol::Grpc),
        ("otlp_http", Protocol::HttpProtobuf),
    ];
    for (port, protocol) in ways {
        let data_dir = tempfile::tempdir().unwrap();
        check_open_then_closed(data_dir.path(), port, protocol);
    }
}

#[test]
fn a_span_that_is_open_when_its_process_ends_is_lost() {
    let data_dir = tempfile::tempdir().unwrap();
    let backend = Backend::up(data_dir.path());
    let (dispatch, telemetry) = telemetry(&backend.ready["otlp_grpc"], Protocol::Grpc);
    let span = tracing::dispatcher::with_default(&dispatch, || tracing::info_span!("endless"));
    until_state(&backend, "in_progress");
    telemetry.shutdown(PATIENCE);
    until_state(&backend, "lost");
    drop(span);
}
