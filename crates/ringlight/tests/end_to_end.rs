//! From the macros to what a backend decodes, over real connections.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use ringlight::collector::{SpanContext, SpanTemplate};
use ringlight::{Builder, LogFormat, Protocol, Signal, Telemetry, TraceContext};
use ringlight_testing::{Backend, attribute, text};
use tracing::{Dispatch, error, info, info_span};

const LONG: Duration = Duration::from_secs(20);

fn builder(backend: &Backend) -> Builder {
    ringlight::builder()
        .environment([("RUST_LOG", "trace")])
        .service_name("tested")
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
}

fn started(backend: &Backend) -> (Dispatch, Telemetry) {
    builder(backend).build().unwrap()
}

/// Two spans and two events, with values of every type.
fn record_a_trace() {
    let root = info_span!(
        "root",
        user = "ada",
        count = 3,
        ratio = 0.5,
        yes = true,
        large = u64::MAX,
        id = %42,
    );
    let _root = root.enter();
    info_span!(
        "child",
        otel.name = "GET /orders",
        otel.kind = "server",
        otel.status_message = "no such order",
        otel.status_code = "error",
    )
    .in_scope(|| info!(order = 7, "looked up {}", "orders"));
    error!(code = 9, "it broke");
}

fn check_everything_arrives(protocol: Protocol) {
    let backend = Backend::start();
    let (dispatch, telemetry) = builder(&backend).otlp_protocol(protocol).build().unwrap();
    tracing::dispatcher::with_default(&dispatch, record_a_trace);
    let ledger = telemetry.shutdown(LONG);
    let seen = backend.stop();
    seen.assert_agrees_with(&ledger);
    assert_eq!(ledger.account(Signal::Traces).exported, 2);
    assert_eq!(ledger.account(Signal::Logs).exported, 2);
    let reported = seen.final_ledger();
    for signal in [Signal::Traces, Signal::Logs] {
        assert_eq!(ledger.account(signal), reported.account(signal));
    }

    let spans = seen.spans();
    let span = |name: &str| -> &Span { spans.iter().find(|span| span.name == name).unwrap() };
    let (root, child) = (span("root"), span("GET /orders"));
    assert_eq!(attribute(&root.attributes, "user"), text("ada"));
    assert_eq!(
        attribute(&root.attributes, "count"),
        Some(Value::IntValue(3))
    );
    assert_eq!(
        attribute(&root.attributes, "ratio"),
        Some(Value::DoubleValue(0.5))
    );
    assert_eq!(
        attribute(&root.attributes, "yes"),
        Some(Value::BoolValue(true))
    );
    assert_eq!(
        attribute(&root.attributes, "large"),
        text(&u64::MAX.to_string())
    );
    assert_eq!(attribute(&root.attributes, "id"), text("42"));
    assert_eq!(root.kind, SpanKind::Internal as i32);
    let status = root.status.as_ref().unwrap();
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(status.message, "it broke");

    assert_eq!(child.trace_id, root.trace_id);
    assert_eq!(child.parent_span_id, root.span_id);
    assert_eq!(child.kind, SpanKind::Server as i32);
    let status = child.status.as_ref().unwrap();
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(status.message, "no such order");
    assert_eq!(child.attributes, []);
    assert!(child.start_time_unix_nano >= root.start_time_unix_nano);
    assert!(child.end_time_unix_nano <= root.end_time_unix_nano);

    let logs = seen.log_records();
    let body = |value: &str| Some(AnyValue { value: text(value) });
    let log = |message: &str| logs.iter().find(|log| log.body == body(message)).unwrap();
    let (looked_up, broke) = (log("looked up orders"), log("it broke"));
    assert_eq!(
        attribute(&looked_up.attributes, "order"),
        Some(Value::IntValue(7))
    );
    assert_eq!(looked_up.severity_number, 9);
    assert_eq!(
        (&looked_up.trace_id, &looked_up.span_id),
        (&child.trace_id, &child.span_id)
    );
    assert_eq!(broke.severity_number, 17);
    assert_eq!(broke.span_id, root.span_id);
    assert_eq!(logs.len(), 2);
}

#[test]
fn spans_and_logs_arrive_over_grpc() {
    check_everything_arrives(Protocol::Grpc);
}

#[test]
fn spans_and_logs_arrive_over_http() {
    check_everything_arrives(Protocol::HttpProtobuf);
}

#[test]
fn a_flush_delivers_what_was_recorded_before_it() {
    let backend = Backend::start();
    let (dispatch, telemetry) = builder(&backend)
        .batch_delay(Duration::from_secs(600))
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || info!("before"));
    telemetry.flush(LONG).unwrap();
    let seen = backend.seen();
    assert_eq!(seen.log_records().len(), 1);
    seen.assert_agrees_with(&telemetry.ledger());
    let ledger = telemetry.shutdown(LONG);
    backend.stop().assert_agrees_with(&ledger);
}

#[test]
fn dropping_the_guard_delivers_the_rest() {
    let backend = Backend::start();
    let (dispatch, telemetry) = started(&backend);
    tracing::dispatcher::with_default(&dispatch, || drop(info_span!("last")));
    drop(telemetry);
    let seen = backend.stop();
    assert_eq!(seen.span_names()["last"], 1);
    seen.assert_agrees_with(&seen.final_ledger());
}

#[test]
fn signals_can_go_to_different_places_in_different_ways() {
    let (traces, logs) = (Backend::start(), Backend::start());
    let (dispatch, telemetry) = ringlight::builder()
        .environment([
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                format!("{}/v1/traces", traces.url()),
            ),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", logs.url()),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc".to_owned()),
        ])
        .log_format(LogFormat::Off)
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!("there").in_scope(|| info!("elsewhere"));
    });
    let ledger = telemetry.shutdown(LONG);
    let (mut traces, logs) = (traces.stop(), logs.stop());
    assert_eq!((traces.spans().len(), traces.log_records().len()), (1, 0));
    assert_eq!((logs.spans().len(), logs.log_records().len()), (0, 1));
    // One account covers both places.
    traces.requests.extend(logs.requests);
    traces.assert_agrees_with(&ledger);
}

#[test]
fn every_record_of_many_threads_arrives_once() {
    const THREADS: usize = 40;
    const SPANS: usize = 250;
    let backend = Backend::start();
    let (dispatch, telemetry) = started(&backend);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let dispatch = dispatch.clone();
            std::thread::spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for n in 0..SPANS {
                        info_span!("work", n).in_scope(|| info!(n, "did"));
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let ledger = telemetry.shutdown(LONG);
    backend.stop().assert_agrees_with(&ledger);
    for signal in [Signal::Traces, Signal::Logs] {
        let account = ledger.account(signal);
        assert_eq!(account.submitted, (THREADS * SPANS) as u64);
        assert_eq!(
            account.exported + account.dropped_total(),
            account.submitted
        );
    }
}

#[test]
fn a_bad_endpoint_in_code_is_an_error_that_reads_well_however_it_is_printed() {
    for port in ["99999", "abc", ""] {
        let error = ringlight::builder()
            .environment::<String, String>([])
            .otlp_endpoint(format!("http://127.0.0.1:{port}"))
            .build()
            .unwrap_err();
        let text = format!("{error:?}");
        let [what, hint] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("not two lines: {text}");
        };
        assert!(what.starts_with("`otlp_endpoint` in code: endpoint `http://127.0.0.1:"));
        let port = format!("the port is `{port}`, allowed is 1 to 65535");
        assert!(what.ends_with(&port), "{what}");
        assert!(hint.starts_with("hint: write scheme, host and port"));
        assert_eq!(error.to_string(), format!("{what}; {hint}"));
    }
}

#[test]
fn spans_made_without_tracing_leave_through_the_same_pipeline() {
    static NATIVE: SpanTemplate<2> = SpanTemplate::new("native", "native", ["number", "name"]);
    let backend = Backend::start();
    let (dispatch, telemetry) = started(&backend);
    let mut producer = telemetry.register_producer().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        let root = info_span!("root").entered();
        let context = TraceContext::current().unwrap();
        let child = producer.start_child(&NATIVE, context.into());
        assert!(producer.end(child, [7.into(), "ada".into()]));
        drop(root);

        // Below what is not recorded nothing is.
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let remote = TraceContext::from_traceparent(header).unwrap();
        assert!(SpanContext::from(remote).is_remote);
        let _unsampled = remote.parent_of(|| info_span!("unsampled").entered());
        let here = SpanContext::from(TraceContext::current().unwrap());
        assert!(!here.is_remote && !here.is_sampled);
        let orphan = producer.start_child(&NATIVE, here);
        assert!(!producer.end(orphan, [9.into(), "orphan".into()]));
    });
    let ledger = telemetry.shutdown(LONG);
    let seen = backend.stop();
    seen.assert_agrees_with(&ledger);
    let spans = seen.spans();
    assert_eq!(spans.len(), 2);
    let span = |name: &str| -> &Span { spans.iter().find(|span| span.name == name).unwrap() };
    let (root, child) = (span("root"), span("native"));
    assert_eq!(child.trace_id, root.trace_id);
    assert_eq!(child.parent_span_id, root.span_id);
    assert_eq!(attribute(&child.attributes, "name"), text("ada"));
    let late = producer.start(&NATIVE);
    assert!(!producer.end(late, [8.into(), "late".into()]));
}
