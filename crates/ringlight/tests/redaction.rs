//! Nothing secret is in any byte that leaves the process: requests of every kind and lines of both formats.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Rule;
use opentelemetry_proto::tonic::metrics::v1::NumberDataPoint;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Count;
use ringlight::collector::{
    KeyValue as Attribute, Span, SpanEvent, SpanId, SpanLink, SpanTemplate, TraceId, Value,
};
use ringlight::{
    Builder, DropReason, LogFormat, Protocol, RecordPattern, Redaction, Replacement, Signal,
    SpoolConfig, SpoolMode, Telemetry,
};
use ringlight_testing::{Backend, Seen};
use tracing::{Dispatch, debug, error, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

const LONG: Duration = Duration::from_secs(20);

/// What must not leave the process, by how it is put into texts below.
const CARD: &str = "4012 8888 8888 1881";
const EMAIL: &str = "ada.lovelace@example.com";
const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const PASSWORD: &str = "hunter2-is-secret";
const SECRETS: [&str; 4] = [CARD, EMAIL, TOKEN, PASSWORD];

static ORDER: SpanTemplate<2> = SpanTemplate::new("shop", "native order", ["note", "api_key"]);

/// Lines written so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
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

/// All there is to say, in one text.
fn all() -> String {
    format!("paid with {CARD} by {EMAIL}, token {TOKEN}, password={PASSWORD} (end)")
}

fn started(builder: Builder) -> (Dispatch, Telemetry) {
    let (layer, telemetry) = builder.layer().unwrap();
    (
        Dispatch::new(tracing_subscriber::registry().with(layer)),
        telemetry,
    )
}

/// Secrets by everything that `tracing` has.
fn through_tracing() {
    let text = all();
    let order = info_span!(
        "order",
        otel.name = format!("order of {EMAIL}"),
        otel.status_message = %text,
        note = %text,
        password = PASSWORD,
        card = 4_012_888_888_881_881_i64,
        late = tracing::field::Empty,
    );
    order.in_scope(|| {
        order.record("late", text.as_str());
        info!(note = %text, access_token = TOKEN, "placed: {text}");
        error!(error = %text, "failed: {text}");
        let inner = info_span!("inner", note = %text);
        let _ = catch_unwind(AssertUnwindSafe(|| inner.in_scope(|| panic!("{text}"))));
    });
}

/// The same by the OpenTelemetry API.
fn through_the_api(dispatch: &Dispatch) {
    let text = all();
    let scope = InstrumentationScope::builder("shop")
        .with_attributes([KeyValue::new("owner", EMAIL)])
        .build();
    let provider = ringlight::otel::TracerProvider::of(dispatch).unwrap();
    let tracer = provider.tracer_with_scope(scope);
    let mut other = tracer.start("other");
    let mut span = tracer
        .span_builder(format!("api order of {EMAIL}"))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("note", text.clone()),
            KeyValue::new("secret", PASSWORD),
        ])
        .start(&tracer);
    span.add_event(text.clone(), vec![KeyValue::new("note", text.clone())]);
    span.add_link(
        other.span_context().clone(),
        vec![KeyValue::new("note", text.clone())],
    );
    span.set_attribute(KeyValue::new(
        "list",
        opentelemetry::Value::Array(vec![opentelemetry::StringValue::from(text.clone())].into()),
    ));
    span.set_status(Status::error(text));
    let context = opentelemetry::Context::new().with_span(span);
    context.span().end();
    other.end();
}

/// The same by spans without `tracing`.
fn through_a_producer(telemetry: &Telemetry) {
    let text = all();
    let mut producer = telemetry.register_producer().unwrap();
    let span = producer.start(&ORDER);
    producer.end(span, [text.as_str().into(), TOKEN.into()]);
    let attributes = || {
        let nested = Value::Map(vec![Attribute::new("password", PASSWORD)]);
        vec![
            Attribute::new("note", text.as_str()),
            Attribute::new("body", nested),
        ]
    };
    let span = Span {
        trace_id: TraceId::new(7),
        span_id: SpanId::new(7),
        name: format!("whole order of {EMAIL}").into(),
        attributes: attributes(),
        events: vec![SpanEvent {
            attributes: attributes(),
            ..SpanEvent::default()
        }],
        links: vec![SpanLink {
            trace_id: TraceId::new(7),
            span_id: SpanId::new(8),
            attributes: attributes(),
            ..SpanLink::default()
        }],
        ..Span::default()
    };
    producer.submit_span(&span).unwrap();
}

fn assert_no_secret(bytes: &[u8], what: &str) {
    let card = CARD.replace(' ', "");
    for secret in SECRETS.into_iter().chain([card.as_str()]) {
        let is_there = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(
            !is_there,
            "`{secret}` is in {what}: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    let number = 4_012_888_888_881_881_i64;
    let mut varint = Vec::new();
    let mut rest = number.cast_unsigned();
    while rest >= 0x80 {
        varint.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    varint.push(rest as u8);
    let is_there = bytes.windows(varint.len()).any(|window| window == varint);
    assert!(!is_there, "the number is in {what}");
}

#[test]
fn fault_36_nothing_secret_leaves_the_process() {
    for (protocol, format) in [
        (Protocol::Grpc, LogFormat::Text),
        (Protocol::HttpProtobuf, LogFormat::Json),
    ] {
        let (backend, lines) = (Backend::start(), Lines::default());
        let builder = ringlight::builder()
            .environment([
                ("RINGLIGHT_REDACT", "standard"),
                (
                    "OTEL_RESOURCE_ATTRIBUTES",
                    "owner=ada.lovelace@example.com,db.password=hunter2-is-secret",
                ),
            ])
            .otlp_endpoint(backend.url())
            .otlp_protocol(protocol)
            .log_format(format)
            .log_writer(lines.clone())
            .span_events(true)
            // What is still open is told, too.
            .open_span_after(Duration::from_millis(1))
            .pipeline(|config| config.report_interval = Duration::from_millis(10));
        let (dispatch, telemetry) = started(builder);
        let open = tracing::dispatcher::with_default(&dispatch, || {
            through_tracing();
            through_the_api(&dispatch);
            info_span!("open", note = all(), password = PASSWORD)
        });
        through_a_producer(&telemetry);
        telemetry.flush(LONG).unwrap();
        drop(open);
        let ledger = telemetry.shutdown(LONG);
        let seen = backend.stop();
        let counts = reported_counts(&seen);

        seen.assert_agrees_with(&ledger);
        for request in &seen.requests {
            assert_no_secret(&request.body, &format!("{:?}", request.signal));
        }
        assert_no_secret(lines.text().as_bytes(), "the lines");
        // What is not secret is there, and what was is known to have been.
        let names = seen.span_names();
        for name in [
            "order of [redacted]",
            "whole order of [redacted]",
            "native order",
            "inner",
        ] {
            assert!(names.contains_key(name), "{names:?}");
        }
        let is_masked = lines
            .text()
            .contains("placed: paid with [redacted] by [redacted], token [redacted]");
        assert!(is_masked, "{}", lines.text());
        for rule in [
            "card_numbers",
            "emails",
            "tokens",
            "credentials",
            "key *password*",
        ] {
            assert!(counts.iter().any(|(known, _)| known == rule), "{counts:?}");
        }
    }
}

#[test]
fn fault_36_nothing_secret_is_kept_on_disk_nor_sent_by_who_finds_it_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = || {
        let mut spool = SpoolConfig::new(&*path);
        spool.mode = SpoolMode::Always;
        spool
    };
    let nobody = format!("http://{}", Backend::nobody());
    let builder = ringlight::builder()
        .environment([("RINGLIGHT_REDACT", "standard")])
        .log_format(LogFormat::Off)
        .otlp_endpoint(nobody)
        .spool(spool());
    let (dispatch, telemetry) = started(builder);
    tracing::dispatcher::with_default(&dispatch, through_tracing);
    through_a_producer(&telemetry);
    let ledger = telemetry.shutdown(LONG);
    let spooled = |signal| ledger.account(signal).spooled;
    let expected = (spooled(Signal::Traces), spooled(Signal::Logs));
    assert!(expected.0 > 0 && expected.1 > 0, "{ledger}");
    drop((dispatch, telemetry));
    let mut kept = Vec::new();
    read_all(&path, &mut kept);
    assert_no_secret(&kept, "the spool");
    assert!(String::from_utf8_lossy(&kept).contains("[redacted]"));

    // A process without rules sends it.
    let backend = Backend::start();
    let builder = ringlight::builder()
        .environment::<String, String>([])
        .log_format(LogFormat::Off)
        .otlp_endpoint(backend.url())
        .spool(spool());
    let (dispatch, telemetry) = started(builder);
    backend.wait_for(|seen| {
        (seen.spans().len(), seen.log_records().len()) == (expected.0 as usize, expected.1 as usize)
    });
    telemetry.shutdown(LONG);
    drop(dispatch);
    for request in &backend.stop().requests {
        assert_no_secret(&request.body, "what was found");
    }
}

/// The bytes of all files in a folder and those in it.
fn read_all(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, bytes);
        } else {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
}

/// What the last report says that rules have done.
fn reported_counts(seen: &Seen) -> Vec<(String, u64)> {
    let mut reports = seen.requests.iter();
    let last = reports.rfind(|request| request.signal == Signal::Metrics);
    let resources = last.unwrap().metrics().resource_metrics;
    let scopes = resources
        .into_iter()
        .flat_map(|resource| resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| scope.metrics);
    let changes = metrics.find(|metric| metric.name == "ringlight.processing.changes");
    let Some(Data::Sum(sum)) = changes.unwrap().data else {
        panic!("it is no sum");
    };
    assert!(sum.is_monotonic);
    let count = |point: NumberDataPoint| {
        let rule = point.attributes[0].value.clone().unwrap().value.unwrap();
        match (rule, point.value.unwrap()) {
            (Rule::StringValue(rule), Count::AsInt(count)) => (rule, count.cast_unsigned()),
            other => panic!("it is no count of a rule: {other:?}"),
        }
    };
    sum.data_points.into_iter().map(count).collect()
}

#[test]
fn nothing_is_changed_unless_it_is_asked_for() {
    let (backend, lines) = (Backend::start(), Lines::default());
    let builder = ringlight::builder()
        .environment([("RINGLIGHT_REDACT", "none")])
        .otlp_endpoint(backend.url())
        .log_writer(lines.clone());
    let (dispatch, telemetry) = started(builder);
    tracing::dispatcher::with_default(&dispatch, || info!(password = PASSWORD, "to {EMAIL}"));
    telemetry.shutdown(LONG);
    let seen = backend.stop();
    assert!(lines.text().contains(PASSWORD) && lines.text().contains(EMAIL));
    let mut logs = seen.data().filter(|request| request.signal == Signal::Logs);
    assert!(logs.any(|request| String::from_utf8_lossy(&request.body).contains(PASSWORD)));
}

#[test]
fn the_variables_add_to_what_the_code_asks_for() {
    let lines = Lines::default();
    let own = Redaction::new().key("user", Replacement::Remove);
    let builder = ringlight::builder()
        .environment([
            ("RINGLIGHT_REDACT", "standart"),
            ("RINGLIGHT_REDACT_KEYS", "iban, *.phone"),
        ])
        .log_writer(lines.clone())
        .redact(own);
    let (dispatch, telemetry) = started(builder);
    tracing::dispatcher::with_default(&dispatch, || {
        info!(
            user = "ada",
            iban = "DE02",
            home.phone = "555",
            password = "x",
            city = "London",
            "hello"
        );
    });
    telemetry.shutdown(LONG);
    let text = lines.text();
    let said = "hello iban=[redacted] home.phone=[redacted] password=[redacted] city=London";
    assert!(text.contains(said), "{text}");
}

#[test]
fn records_that_a_rule_leaves_out_reach_no_output_and_are_counted() {
    let (backend, lines) = (Backend::start(), Lines::default());
    let builder = ringlight::builder()
        .environment([("RUST_LOG", "debug")])
        .otlp_endpoint(backend.url())
        .log_writer(lines.clone())
        .process(|rules| {
            rules
                .drop_records(RecordPattern::spans().name("GET /health*"))
                .drop_records(RecordPattern::logs().message("tick*"))
                .rename_attribute("http.method", "http.request.method")
                .drop_attribute("debug.*")
        });
    let (dispatch, telemetry) = started(builder);
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!("request", otel.name = "GET /healthz").in_scope(|| {});
        info_span!("request", otel.name = "GET /", http.method = "GET").in_scope(|| {
            debug!(debug.step = 7, "tock");
            debug!("tick");
        });
    });
    telemetry.flush(LONG).unwrap();
    let counts = telemetry.processing_counts();
    let ledger = telemetry.shutdown(LONG);
    let seen = backend.stop();
    seen.assert_agrees_with(&ledger);
    let counts: Vec<_> = counts.into_iter().map(|c| (c.rule, c.count)).collect();
    assert_eq!(reported_counts(&seen), counts);
    for (rule, count) in [
        // Of the span, and of the span around the log record.
        ("rename http.method", 2),
        ("drop debug.*", 1),
        ("records spans name=GET /health*", 1),
        ("records logs message=tick*", 1),
    ] {
        assert!(counts.contains(&(rule.to_owned(), count)), "{counts:?}");
    }
    let filtered = |signal| ledger.account(signal).dropped[DropReason::Filtered];
    assert_eq!((filtered(Signal::Traces), filtered(Signal::Logs)), (1, 1));
    let names: Vec<_> = seen.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /"]);
    let keys: Vec<_> = seen.spans()[0]
        .attributes
        .iter()
        .map(|a| a.key.clone())
        .collect();
    assert!(keys.contains(&"http.request.method".to_owned()), "{keys:?}");
    let text = lines.text();
    assert!(
        text.contains("GET /{http.request.method=GET}: redaction: tock") && !text.contains("tick"),
        "{text}"
    );
    assert!(!text.contains("debug.step"), "{text}");
}
