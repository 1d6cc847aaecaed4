//! The prost types read what the encoder writes.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use ringlight_model::{
    KeyValue, LogRecord, Resource, Scope, Severity, Span, SpanEvent, SpanId, SpanKind, SpanLink,
    Status, StatusCode, TraceId, Value,
};

use super::*;
use crate::testing;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_independent_decoder_reads_our_traces(
        resource in testing::resource(),
        scope in testing::scope(),
        spans in vec(testing::span(), 0..4),
    ) {
        let bytes = request(&resource, &scope, &spans);
        let read = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
        prop_assert_eq!(read, testing::pb_traces(&resource, &scope, &spans));
    }

    #[test]
    fn an_independent_decoder_reads_our_logs(
        resource in testing::resource(),
        scope in testing::scope(),
        logs in vec(testing::log(), 0..4),
    ) {
        let bytes = request(&resource, &scope, &logs);
        let read = ExportLogsServiceRequest::decode(&bytes[..]).unwrap();
        prop_assert_eq!(read, testing::pb_log_request(&resource, &scope, &logs));
    }
}

#[test]
fn the_pieces_make_the_same_span_as_the_whole() {
    let resource = Resource {
        attributes: vec![KeyValue::new("service.name", "shop")],
        ..Resource::default()
    };
    let scope = Scope {
        name: "shop::cart".into(),
        ..Scope::default()
    };
    let span = Span {
        trace_id: TraceId::new(7),
        span_id: SpanId::new(8),
        parent_span_id: SpanId::new(9),
        name: "checkout".into(),
        kind: SpanKind::Server,
        start_unix_nano: 5,
        end_unix_nano: 6,
        flags: 1,
        attributes: vec![
            KeyValue::new("text", "yes"),
            KeyValue::new("bool", true),
            KeyValue::new("int", -1_i64),
            KeyValue::new("double", 0.5),
            KeyValue::new("bytes", Value::Bytes(b"\0\xff"[..].into())),
        ],
        dropped_attributes_count: 3,
        events: vec![SpanEvent {
            time_unix_nano: 5,
            name: "event".into(),
            attributes: vec![KeyValue::new("k", "v")],
            ..SpanEvent::default()
        }],
        links: vec![SpanLink {
            trace_id: TraceId::new(1),
            span_id: SpanId::new(2),
            attributes: vec![KeyValue::new("k", "v")],
            ..SpanLink::default()
        }],
        status: Status {
            code: StatusCode::Error,
            message: "broken".into(),
        },
        ..Span::default()
    };

    let mut buf = Vec::new();
    let mut encoded_resource = Vec::new();
    resource_message(&mut encoded_resource, &resource);
    let outer = open_resource_encoded(&mut buf, &encoded_resource);
    let inner = open_scope(&mut buf, &scope);
    let item = open_span(&mut buf);
    span_ids(&mut buf, span.trace_id, span.span_id, span.parent_span_id);
    span_name(&mut buf, "checkout");
    span_kind(&mut buf, span.kind);
    span_times(&mut buf, 5, 6);
    let key = EncodedKey::new("text");
    attribute(&mut buf, Owner::Span, &key, Scalar::Str("yes"));
    attribute(&mut buf, Owner::Span, "bool", Scalar::Bool(true));
    attribute(&mut buf, Owner::Span, "int", Scalar::Int(-1));
    attribute(&mut buf, Owner::Span, "double", Scalar::Double(0.5));
    attribute(&mut buf, Owner::Span, "bytes", Scalar::Bytes(b"\0\xff"));
    span_dropped_attributes(&mut buf, 3);
    let event = open_span_event(&mut buf, 5);
    event_name(&mut buf, "event");
    attribute(&mut buf, Owner::ScopeOrEvent, "k", Scalar::Str("v"));
    close(&mut buf, event);
    let link = open_span_link(&mut buf, TraceId::new(1), SpanId::new(2));
    attribute(&mut buf, Owner::Link, "k", Scalar::Str("v"));
    close(&mut buf, link);
    span_status(&mut buf, &span.status);
    span_flags(&mut buf, 1);
    close(&mut buf, item);
    close(&mut buf, inner);
    close(&mut buf, outer);

    assert_eq!(buf, request(&resource, &scope, std::slice::from_ref(&span)));
    let read = testing::decode(ringlight_model::Signal::Traces, &buf).unwrap();
    assert_eq!(read.spans, [span]);
}

#[test]
fn the_pieces_make_the_same_log_record_as_the_whole() {
    let record = LogRecord {
        time_unix_nano: 1,
        observed_unix_nano: 2,
        severity: Severity::WARN,
        severity_text: "WARN".into(),
        event_name: "low".into(),
        body: "stock is low".into(),
        attributes: vec![KeyValue::new("left", 3_i64)],
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: TraceId::new(1),
        span_id: SpanId::new(2),
    };
    let mut buf = Vec::new();
    let item = open_log(&mut buf);
    log_time(&mut buf, 1);
    log_observed(&mut buf, 2);
    log_severity(&mut buf, Severity::WARN, "WARN");
    log_body(&mut buf, "stock is low");
    attribute(&mut buf, Owner::Log, "left", Scalar::Int(3));
    log_dropped_attributes(&mut buf, 1);
    log_flags(&mut buf, 1);
    log_ids(&mut buf, TraceId::new(1), SpanId::new(2));
    log_event_name(&mut buf, "low");
    close(&mut buf, item);

    let mut whole = Vec::new();
    log_record(&mut whole, &record);
    assert_eq!(buf, whole);
}

#[test]
fn values_nested_without_end_are_cut_and_not_followed() {
    let mut nested = Value::Int(1);
    for _ in 0..1000 {
        nested = Value::Array(vec![nested]);
    }
    let mut buf = Vec::new();
    value(&mut buf, 1, &nested);
    assert!(buf.len() < 4096, "{}", buf.len());
}
