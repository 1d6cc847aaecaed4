//! What the tests of this crate share: records to try, and the prost types as an independent
//! reading of the wire.

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as pb;
use opentelemetry_proto::tonic::common::v1::any_value::Value as PbValue;
use opentelemetry_proto::tonic::{logs::v1 as pb_logs, trace::v1 as pb_trace};
use proptest::collection::vec;
use proptest::prelude::*;
use ringlight_model::{
    DecodeError, KeyValue, LogRecord, Metric, MetricPoint, RecordVisitor, RejectReason, Resource,
    Scope, Severity, Signal, Span, SpanEvent, SpanId, SpanKind, SpanLink, Status, StatusCode,
    TraceId, Value,
};

use crate::{Decoded, OtlpDecoder};

/// Everything a request holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Records {
    pub(crate) resources: Vec<Resource<'static>>,
    pub(crate) scopes: Vec<Scope<'static>>,
    pub(crate) spans: Vec<Span<'static>>,
    pub(crate) logs: Vec<LogRecord<'static>>,
    pub(crate) points: Vec<(Metric<'static>, MetricPoint<'static>)>,
    pub(crate) rejected: Vec<RejectReason>,
    pub(crate) decoded: Decoded,
}

impl RecordVisitor for Records {
    fn resource(&mut self, resource: &Resource<'_>) {
        self.resources.push(resource.clone().into_owned());
    }
    fn scope(&mut self, scope: &Scope<'_>) {
        self.scopes.push(scope.clone().into_owned());
    }
    fn span(&mut self, span: &Span<'_>) {
        self.spans.push(span.clone().into_owned());
    }
    fn log(&mut self, record: &LogRecord<'_>) {
        self.logs.push(record.clone().into_owned());
    }
    fn point(&mut self, metric: &Metric<'_>, point: &MetricPoint<'_>) {
        let (metric, point) = (metric.clone(), point.clone());
        self.points.push((metric.into_owned(), point.into_owned()));
    }
    fn rejected(&mut self, reason: RejectReason) {
        self.rejected.push(reason);
    }
}

/// Reads a request with the default limits.
pub(crate) fn decode(signal: Signal, request: &[u8]) -> Result<Records, DecodeError> {
    let mut records = Records::default();
    let decoded = OtlpDecoder::default().walk(signal, request, &mut records)?;
    records.decoded = decoded;
    Ok(records)
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![
        4 => "[a-z.]{0,12}".prop_map(Cow::Owned),
        1 => any::<String>().prop_map(Cow::Owned),
        1 => "[x\u{e9}\u{1f600}\"\\\\\n]{100,300}".prop_map(Cow::Owned),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        text().prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        // Finite only: the JSON of the prost types writes the others as null.
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(Value::Double),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(Cow::Owned(bytes))),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec((text(), inner), 0..5).prop_map(|items| Value::Map(
                items
                    .into_iter()
                    .map(|(key, value)| KeyValue { key, value })
                    .collect()
            )),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue<'static>>> {
    let item = (text(), value()).prop_map(|(key, value)| KeyValue { key, value });
    vec(item, 0..4)
}

pub(crate) fn resource() -> impl Strategy<Value = Resource<'static>> {
    (attributes(), any::<u32>()).prop_map(|(attributes, dropped_attributes_count)| Resource {
        attributes,
        dropped_attributes_count,
    })
}

pub(crate) fn scope() -> impl Strategy<Value = Scope<'static>> {
    (text(), text(), attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| Scope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn event() -> impl Strategy<Value = SpanEvent<'static>> {
    (any::<u64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| SpanEvent {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = SpanLink<'static>> {
    (
        any::<u128>(),
        any::<u64>(),
        text(),
        attributes(),
        any::<(u32, u32)>(),
    )
        .prop_map(
            |(trace_id, span_id, trace_state, attributes, (dropped, flags))| SpanLink {
                trace_id: TraceId::new(trace_id),
                span_id: SpanId::new(span_id),
                trace_state,
                attributes,
                dropped_attributes_count: dropped,
                flags,
            },
        )
}

pub(crate) fn span() -> impl Strategy<Value = Span<'static>> {
    let ids = (1..u128::MAX, 1..u64::MAX, any::<u64>());
    let enums = (0..=5_i32, 0..=2_i32);
    let times = (any::<u64>(), any::<u64>());
    let texts = (text(), text(), text());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let counts = any::<(u32, u32, u32, u32)>();
    (ids, enums, times, texts, lists, counts).prop_map(
        |(ids, enums, times, texts, lists, counts)| Span {
            trace_id: TraceId::new(ids.0),
            span_id: SpanId::new(ids.1),
            parent_span_id: SpanId::new(ids.2),
            trace_state: texts.0,
            flags: counts.3,
            name: texts.1,
            kind: SpanKind::from_otlp(enums.0),
            start_unix_nano: times.0.min(times.1),
            end_unix_nano: times.0.max(times.1),
            attributes: lists.0,
            dropped_attributes_count: counts.0,
            events: lists.1,
            dropped_events_count: counts.1,
            links: lists.2,
            dropped_links_count: counts.2,
            status: Status {
                code: StatusCode::from_otlp(enums.1),
                message: texts.2,
            },
        },
    )
}

pub(crate) fn log() -> impl Strategy<Value = LogRecord<'static>> {
    let times = any::<(u64, u64)>();
    let texts = (text(), text());
    let ids = any::<(u128, u64)>();
    (
        times,
        0..=24_i32,
        texts,
        value(),
        attributes(),
        any::<(u32, u32)>(),
        ids,
    )
        .prop_map(
            |(times, severity, texts, body, attributes, counts, ids)| LogRecord {
                time_unix_nano: times.0,
                observed_unix_nano: times.1,
                severity: Severity::from_otlp(severity),
                severity_text: texts.0,
                event_name: texts.1,
                body,
                attributes,
                dropped_attributes_count: counts.0,
                flags: counts.1,
                trace_id: TraceId::new(ids.0),
                span_id: SpanId::new(ids.1),
            },
        )
}

/// A request as the prost types hold it.
pub(crate) fn pb_traces(
    resource: &Resource<'_>,
    scope: &Scope<'_>,
    spans: &[Span<'_>],
) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![pb_trace::ResourceSpans {
            resource: Some(pb_resource(resource)),
            scope_spans: vec![pb_trace::ScopeSpans {
                scope: Some(pb_scope(scope)),
                spans: spans.iter().map(pb_span).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// A request as the prost types hold it.
pub(crate) fn pb_log_request(
    resource: &Resource<'_>,
    scope: &Scope<'_>,
    logs: &[LogRecord<'_>],
) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![pb_logs::ResourceLogs {
            resource: Some(pb_resource(resource)),
            scope_logs: vec![pb_logs::ScopeLogs {
                scope: Some(pb_scope(scope)),
                log_records: logs.iter().map(pb_log).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

fn pb_resource(resource: &Resource<'_>) -> opentelemetry_proto::tonic::resource::v1::Resource {
    opentelemetry_proto::tonic::resource::v1::Resource {
        attributes: pb_attributes(&resource.attributes),
        dropped_attributes_count: resource.dropped_attributes_count,
        entity_refs: Vec::new(),
    }
}

fn pb_scope(scope: &Scope<'_>) -> pb::InstrumentationScope {
    pb::InstrumentationScope {
        name: scope.name.to_string(),
        version: scope.version.to_string(),
        attributes: pb_attributes(&scope.attributes),
        dropped_attributes_count: scope.dropped_attributes_count,
    }
}

fn pb_span(span: &Span<'_>) -> pb_trace::Span {
    pb_trace::Span {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        trace_state: span.trace_state.to_string(),
        parent_span_id: pb_span_id(span.parent_span_id),
        flags: span.flags,
        name: span.name.to_string(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes: pb_attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span
            .events
            .iter()
            .map(|event| pb_trace::span::Event {
                time_unix_nano: event.time_unix_nano,
                name: event.name.to_string(),
                attributes: pb_attributes(&event.attributes),
                dropped_attributes_count: event.dropped_attributes_count,
            })
            .collect(),
        dropped_events_count: span.dropped_events_count,
        links: span
            .links
            .iter()
            .map(|link| pb_trace::span::Link {
                trace_id: link.trace_id.to_bytes().to_vec(),
                span_id: link.span_id.to_bytes().to_vec(),
                trace_state: link.trace_state.to_string(),
                attributes: pb_attributes(&link.attributes),
                dropped_attributes_count: link.dropped_attributes_count,
                flags: link.flags,
            })
            .collect(),
        dropped_links_count: span.dropped_links_count,
        status: (span.status != Status::default()).then(|| pb_trace::Status {
            message: span.status.message.to_string(),
            code: span.status.code as i32,
        }),
    }
}

fn pb_log(record: &LogRecord<'_>) -> pb_logs::LogRecord {
    pb_logs::LogRecord {
        time_unix_nano: record.time_unix_nano,
        observed_time_unix_nano: record.observed_unix_nano,
        severity_number: i32::from(record.severity.number()),
        severity_text: record.severity_text.to_string(),
        body: (record.body != Value::Empty).then(|| pb_value(&record.body)),
        attributes: pb_attributes(&record.attributes),
        dropped_attributes_count: record.dropped_attributes_count,
        flags: record.flags,
        trace_id: if record.trace_id.is_valid() {
            record.trace_id.to_bytes().to_vec()
        } else {
            Vec::new()
        },
        span_id: pb_span_id(record.span_id),
        event_name: record.event_name.to_string(),
    }
}

fn pb_span_id(id: SpanId) -> Vec<u8> {
    if id.is_valid() {
        id.to_bytes().to_vec()
    } else {
        Vec::new()
    }
}

fn pb_attributes(attributes: &[KeyValue<'_>]) -> Vec<pb::KeyValue> {
    attributes.iter().map(pb_key_value).collect()
}

fn pb_key_value(item: &KeyValue<'_>) -> pb::KeyValue {
    pb::KeyValue {
        key: item.key.to_string(),
        value: Some(pb_value(&item.value)),
        key_strindex: 0,
    }
}

fn pb_value(value: &Value<'_>) -> pb::AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::Str(text) => Some(PbValue::StringValue(text.to_string())),
        Value::Bool(value) => Some(PbValue::BoolValue(*value)),
        Value::Int(value) => Some(PbValue::IntValue(*value)),
        Value::Double(value) => Some(PbValue::DoubleValue(*value)),
        Value::Bytes(bytes) => Some(PbValue::BytesValue(bytes.to_vec())),
        Value::Array(items) => Some(PbValue::ArrayValue(pb::ArrayValue {
            values: items.iter().map(pb_value).collect(),
        })),
        Value::Map(items) => Some(PbValue::KvlistValue(pb::KeyValueList {
            values: pb_attributes(items),
        })),
    };
    pb::AnyValue { value }
}
