//! What a record becomes on the wire.

use std::sync::Arc;

use ringlight_collector::record::{Head, ItemWriter, Key, LogHeader, SpanHeader, copy_words};
use ringlight_collector::{CollectorConfig, ExporterBoxed, Pipeline};
use ringlight_model::{
    Callsite, CallsiteId, CallsiteKind, CallsiteRegistry, Limits, LogRecord, Severity, Signal,
    Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};

use crate::support::{Answer, PATIENCE, Scripted, config, decode};

const SPAN: CallsiteId = CallsiteId::new(0x1000);
const EVENT: CallsiteId = CallsiteId::new(0x2000);
const NAMED_EVENT: CallsiteId = CallsiteId::new(0x3000);

fn callsites() -> Arc<CallsiteRegistry> {
    let registry = CallsiteRegistry::new();
    let callsite = |kind, name, fields: &[&'static str]| Callsite {
        kind,
        name,
        target: "shop::cart",
        scope: None,
        severity: Severity::INFO,
        module_path: Some("shop::cart"),
        file: Some("src/cart.rs"),
        line: Some(42),
        fields: fields.to_vec(),
    };
    let fields = [
        "plain",
        "otel.name",
        "otel.kind",
        "otel.status_code",
        "otel.status_message",
    ];
    registry.register(SPAN, || callsite(CallsiteKind::Span, "checkout", &fields));
    let fields = ["message", "user"];
    registry.register(EVENT, || {
        callsite(CallsiteKind::Event, "event src/cart.rs:42", &fields)
    });
    registry.register(NAMED_EVENT, || {
        callsite(CallsiteKind::Event, "cart.paid", &fields)
    });
    Arc::new(registry)
}

/// What the backend gets of one record of these words.
fn delivered(
    config: CollectorConfig,
    signal: Signal,
    words: &[u64],
) -> Vec<crate::support::Decoded> {
    let backend = Scripted::new("backend", Answer::Ok);
    let destination = Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>;
    let pipeline = Pipeline::start(config, callsites(), vec![destination], Vec::new()).unwrap();
    pipeline
        .recorder()
        .record(signal, words.len() * 8, |buffer| {
            copy_words(words.iter().copied(), buffer);
        });
    assert!(pipeline.shutdown(PATIENCE).balances());
    backend.taken().iter().map(decode).collect()
}

type Writer<'a> = ItemWriter<'a, Vec<u64>>;

fn span(
    config: CollectorConfig,
    header: SpanHeader,
    write: impl FnOnce(&mut Writer<'_>),
) -> Span<'static> {
    let mut words = header.to_words().to_vec();
    write(&mut ItemWriter::new(&mut words, 8));
    let mut batches = delivered(config, Signal::Traces, &words);
    assert_eq!(batches.len(), 1);
    batches[0].spans.remove(0)
}

fn log(header: LogHeader, write: impl FnOnce(&mut Writer<'_>)) -> (LogRecord<'static>, String) {
    let mut words = header.to_words().to_vec();
    write(&mut ItemWriter::new(&mut words, 1024));
    let mut batches = delivered(config(), Signal::Logs, &words);
    assert_eq!(batches.len(), 1);
    let scope = batches[0].scopes[0].name.to_string();
    (batches[0].logs.remove(0), scope)
}

fn header() -> SpanHeader {
    SpanHeader {
        head: Head::span(SpanKind::Server, StatusCode::Unset, 1).with_dropped(3),
        callsite: SPAN,
        trace_id: TraceId::new(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        span_id: SpanId::new(7),
        parent_span_id: SpanId::new(6),
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_000_000_500,
    }
}

fn attribute<'a>(attributes: &'a [ringlight_model::KeyValue<'_>], key: &str) -> &'a Value<'a> {
    let mut found = attributes.iter().filter(|attribute| attribute.key == key);
    let value = &found
        .next()
        .unwrap_or_else(|| panic!("{key} is missing"))
        .value;
    assert_eq!(found.next(), None, "{key} is there twice");
    value
}

#[test]
fn a_span_keeps_everything_it_was_recorded_with() {
    let span = span(config(), header(), |items| {
        let _ = items.text(Key::Field(0), "short");
        let _ = items.bool(Key::Name("flag"), true);
        let _ = items.i64(Key::Name("negative"), -5);
        let _ = items.u64(Key::Name("positive"), 5);
        let _ = items.u64(Key::Name("huge"), u64::MAX);
        let _ = items.f64(Key::Name("ratio"), 0.25);
        let _ = items.bytes(Key::Name("raw"), &[1, 2, 255]);
        let _ = items.text(Key::Name("long"), "123456789");
        let _ = items.link(TraceId::new(9), SpanId::new(8), 1, |_| 0);
        let _ = items.enclosing(SPAN, &[]);
        let _ = items.status_message("ignored, since there is no status");
    });
    assert_eq!(span.trace_id, header().trace_id);
    assert_eq!((span.span_id.get(), span.parent_span_id.get()), (7, 6));
    assert_eq!(
        (span.name.as_ref(), span.kind),
        ("checkout", SpanKind::Server)
    );
    assert_eq!(span.duration_nano(), 500);
    assert_eq!(span.flags & 0xff, 1);
    assert_eq!(span.dropped_attributes_count, 3);
    assert_eq!(span.status.code, StatusCode::Unset);
    assert_eq!(*attribute(&span.attributes, "plain"), Value::from("short"));
    assert_eq!(*attribute(&span.attributes, "flag"), Value::Bool(true));
    assert_eq!(*attribute(&span.attributes, "negative"), Value::Int(-5));
    assert_eq!(*attribute(&span.attributes, "positive"), Value::Int(5));
    let huge = Value::from("18446744073709551615");
    assert_eq!(*attribute(&span.attributes, "huge"), huge);
    assert_eq!(*attribute(&span.attributes, "ratio"), Value::Double(0.25));
    assert_eq!(
        *attribute(&span.attributes, "raw"),
        Value::Bytes(vec![1, 2, 255].into())
    );
    assert_eq!(
        *attribute(&span.attributes, "long"),
        Value::from("12345678…")
    );
    assert_eq!(span.attributes.len(), 8);
    assert_eq!(span.links.len(), 1);
    assert_eq!(span.links[0].span_id, SpanId::new(8));
    assert_eq!(span.links[0].flags, 1);
}

#[test]
fn otel_fields_are_what_they_say_and_not_attributes() {
    let span = span(config(), header(), |items| {
        let _ = items.text(Key::Field(1), "renamed");
        let _ = items.text(Key::Field(2), "Client");
        let _ = items.text(Key::Field(3), "ERROR");
        let _ = items.text(Key::Field(4), "boom");
    });
    assert_eq!(
        (span.name.as_ref(), span.kind),
        ("renamed", SpanKind::Client)
    );
    assert_eq!(span.status.code, StatusCode::Error);
    assert_eq!(span.status.message, "boom");
    assert!(span.attributes.is_empty());
}

#[test]
fn otel_fields_that_make_no_sense_stay_visible() {
    let span = span(config(), header(), |items| {
        let _ = items.i64(Key::Field(1), 5);
        let _ = items.text(Key::Field(2), "sideways");
    });
    assert_eq!(
        (span.name.as_ref(), span.kind),
        ("checkout", SpanKind::Server)
    );
    assert_eq!(*attribute(&span.attributes, "otel.name"), Value::Int(5));
    assert_eq!(
        *attribute(&span.attributes, "otel.kind"),
        Value::from("sideways")
    );
}

#[test]
fn fault_8_an_end_before_the_start_gives_a_duration_of_zero() {
    let mut header = header();
    header.end_unix_nano = header.start_unix_nano - 1;
    assert_eq!(span(config(), header, |_| ()).duration_nano(), 0);
}

#[test]
fn attributes_beyond_the_limit_are_counted() {
    let limits = Limits {
        attributes_max: 2,
        ..Limits::default()
    };
    let config = CollectorConfig { limits, ..config() };
    let span = span(config, header(), |items| {
        for name in ["a", "b", "c", "d"] {
            let _ = items.bool(Key::Name(name), true);
        }
    });
    assert_eq!(
        (span.attributes.len(), span.dropped_attributes_count),
        (2, 5)
    );
}

#[test]
fn the_place_in_the_source_is_there_when_asked_for() {
    let config = CollectorConfig {
        source_location: true,
        ..config()
    };
    let span = span(config, header(), |_| ());
    assert_eq!(
        *attribute(&span.attributes, "code.file.path"),
        Value::from("src/cart.rs")
    );
    assert_eq!(
        *attribute(&span.attributes, "code.line.number"),
        Value::Int(42)
    );
}

#[test]
fn a_log_record_has_its_message_as_body_and_its_target_as_scope() {
    let header = LogHeader {
        head: Head::log(Severity::WARN, 1),
        callsite: EVENT,
        trace_id: TraceId::new(5),
        span_id: SpanId::new(6),
        time_unix_nano: 77,
    };
    let (log, scope) = log(header, |items| {
        let _ = items.text(Key::Field(0), "the cart is empty");
        let _ = items.text(Key::Field(1), "bob");
    });
    assert_eq!(scope, "shop::cart");
    assert_eq!(log.body, Value::from("the cart is empty"));
    assert_eq!(
        (log.severity, log.severity_text.as_ref()),
        (Severity::WARN, "WARN")
    );
    assert_eq!((log.trace_id.get(), log.span_id.get()), (5, 6));
    assert_eq!((log.time_unix_nano, log.observed_unix_nano), (77, 77));
    assert_eq!(log.event_name, "");
    assert_eq!(*attribute(&log.attributes, "user"), Value::from("bob"));
    assert_eq!(log.attributes.len(), 1);
}

#[test]
fn a_named_event_keeps_its_name_and_a_number_can_be_a_message() {
    let header = LogHeader::new(NAMED_EVENT, Severity::INFO, 1);
    let (log, _) = log(header, |items| {
        let _ = items.i64(Key::Field(0), 5);
    });
    assert_eq!(log.event_name, "cart.paid");
    assert_eq!(log.body, Value::from("5"));
}

#[test]
fn records_are_grouped_by_scope() {
    let backend = Scripted::new("backend", Answer::Ok);
    let destination = Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>;
    let pipeline = Pipeline::start(config(), callsites(), vec![destination], Vec::new()).unwrap();
    let recorder = pipeline.recorder();
    // With and without a callsite, in turns: two scopes.
    for number in 1..=10_u64 {
        let callsite = if number % 2 == 0 {
            SPAN
        } else {
            CallsiteId::new(0)
        };
        let words = SpanHeader::new(callsite, TraceId::new(1), SpanId::new(number)).to_words();
        recorder.record(Signal::Traces, words.len() * 8, |buffer| {
            copy_words(words, buffer)
        });
    }
    pipeline.shutdown(PATIENCE);
    for batch in backend.taken() {
        let decoded = decode(&batch);
        assert!(decoded.scopes.len() <= 2);
        assert_eq!(decoded.resources.len(), 1);
    }
    assert_eq!(backend.span_numbers().len(), 10);
}
