//! Tests of the language. What a query selects from a real store is tested there.

mod documented;
mod evaluation;
mod generated;
mod syntax;

use ringlight_model::{KeyValue, Severity, SpanId, SpanKind, StatusCode, TraceId, Value};

use super::{AttributeScope, Field, FieldValue, Fields, Intrinsic, Query, QuerySignal};

fn traces(text: &str) -> Query {
    Query::parse(text, QuerySignal::Traces).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

fn logs(text: &str) -> Query {
    Query::parse(text, QuerySignal::Logs).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// A span or log record with everything a query can ask for.
#[derive(Debug, Clone, Default)]
struct TestRecord {
    name: String,
    duration_nano: u64,
    status: StatusCode,
    status_message: String,
    kind: SpanKind,
    trace_id: TraceId,
    span_id: SpanId,
    parent_span_id: SpanId,
    root_name: Option<String>,
    trace_duration_nano: u64,
    severity: Severity,
    body: String,
    own: Vec<KeyValue<'static>>,
    resource: Vec<KeyValue<'static>>,
    events: Vec<(String, Vec<KeyValue<'static>>)>,
}

fn with_key<'a>(attributes: &'a [KeyValue<'static>], key: &str) -> Option<&'a Value<'static>> {
    attributes
        .iter()
        .find(|kv| kv.key == key)
        .map(|kv| &kv.value)
}

impl TestRecord {
    fn values(&self, field: &Field) -> Vec<FieldValue<'_>> {
        let value = FieldValue::Value;
        match field {
            Field::Attribute { scope, key } => match scope {
                AttributeScope::Any => panic!("`{field}` is asked for in every scope"),
                AttributeScope::Span | AttributeScope::Log | AttributeScope::Point => {
                    with_key(&self.own, key).map(value).into_iter().collect()
                }
                AttributeScope::Resource => with_key(&self.resource, key)
                    .map(value)
                    .into_iter()
                    .collect(),
                AttributeScope::Event => self
                    .events
                    .iter()
                    .filter_map(|(_, attributes)| with_key(attributes, key).map(value))
                    .collect(),
            },
            Field::Intrinsic(intrinsic) => match intrinsic {
                Intrinsic::Name => vec![FieldValue::Str(&self.name)],
                Intrinsic::Duration => vec![FieldValue::Duration(self.duration_nano)],
                Intrinsic::Status => vec![FieldValue::Status(self.status)],
                Intrinsic::StatusMessage => vec![FieldValue::Str(&self.status_message)],
                Intrinsic::Kind => vec![FieldValue::Kind(self.kind)],
                Intrinsic::SpanId => vec![FieldValue::SpanId(self.span_id)],
                Intrinsic::ParentSpanId => vec![FieldValue::SpanId(self.parent_span_id)],
                Intrinsic::TraceId => vec![FieldValue::TraceId(self.trace_id)],
                Intrinsic::RootName => self
                    .root_name
                    .iter()
                    .map(|name| FieldValue::Str(name))
                    .collect(),
                Intrinsic::TraceDuration => vec![FieldValue::Duration(self.trace_duration_nano)],
                Intrinsic::EventName => self
                    .events
                    .iter()
                    .map(|(name, _)| FieldValue::Str(name))
                    .collect(),
                Intrinsic::Severity => vec![FieldValue::Severity(self.severity)],
                Intrinsic::Body => vec![FieldValue::Str(&self.body)],
                Intrinsic::RootServiceName
                | Intrinsic::SeverityText
                | Intrinsic::ScopeName
                | Intrinsic::ScopeVersion => Vec::new(),
            },
        }
    }
}

impl Fields for TestRecord {
    fn any(&self, _: usize, field: &Field, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        self.values(field).into_iter().any(test)
    }
}
