//! Records to OTLP/JSON.

use std::fmt::Write as _;

use ringlight_model::{
    KeyValue, LogRecord, Metric, MetricPoint, RecordVisitor, RejectReason, Resource, Scope, Signal,
    Span, SpanEvent, SpanLink, Status, Value,
};

use super::points;

/// Writes an OTLP/JSON export request: announce a resource, then a scope, then its records. Data points that follow each
/// other and are of the same metric are put together under it.
///
/// Members with default values are left out. As a [`RecordVisitor`] it can be handed to a decoder
/// and turns a protobuf request into JSON.
///
/// ```
/// use ringlight_model::{RecordVisitor as _, Resource, Scope, Signal, Span, SpanId, TraceId};
///
/// let mut writer = ringlight_otlp::json::Writer::new(Signal::Traces);
/// writer.resource(&Resource::default());
/// writer.scope(&Scope::default());
/// writer.span(&Span { trace_id: TraceId::new(1), span_id: SpanId::new(2), ..Span::default() });
/// assert!(writer.finish().starts_with(r#"{"resourceSpans":[{"resource":{},"scopeSpans":["#));
/// ```
#[derive(Debug)]
pub struct Writer {
    json: String,
    signal: Signal,
    resources: usize,
    /// Scopes under the current resource.
    scopes: usize,
    /// Records under the current scope: spans, log records or metrics.
    records: usize,
    /// The metric whose points are being written.
    metric: Option<Metric<'static>>,
}

impl Writer {
    /// A writer of requests of `signal`; profiles have no records yet.
    #[must_use]
    pub fn new(signal: Signal) -> Self {
        let name = match signal {
            Signal::Traces => "resourceSpans",
            Signal::Logs => "resourceLogs",
            Signal::Metrics => "resourceMetrics",
            Signal::Profiles => "resourceProfiles",
        };
        Self {
            json: format!("{{\"{name}\":["),
            signal,
            resources: 0,
            scopes: 0,
            records: 0,
            metric: None,
        }
    }

    /// The whole request.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.close_resource();
        self.json.push_str("]}");
        self.json
    }

    fn close_metric(&mut self) {
        if self.metric.take().is_some() {
            self.json.push_str("]}}");
        }
    }

    fn close_scope(&mut self) {
        self.close_metric();
        if self.scopes > 0 {
            self.json.push_str("]}");
        }
        self.records = 0;
    }

    fn close_resource(&mut self) {
        self.close_scope();
        if self.resources > 0 {
            self.json.push_str("]}");
        }
        self.scopes = 0;
    }

    fn begin_record(&mut self) -> Members<'_> {
        if self.scopes == 0 {
            // Records need a scope to stand in.
            self.scope(&Scope::default());
        }
        if self.records > 0 {
            self.json.push(',');
        }
        self.records += 1;
        Members::begin(&mut self.json)
    }

    /// Begins a metric, up to its first point.
    fn begin_metric(&mut self, metric: &Metric<'_>) {
        self.close_metric();
        let mut members = self.begin_record();
        members.text("name", &metric.name);
        members.text("description", &metric.description);
        members.text("unit", &metric.unit);
        points::begin(members, metric.kind);
        self.metric = Some(metric.clone().into_owned());
    }
}

impl RecordVisitor for Writer {
    fn resource(&mut self, resource: &Resource<'_>) {
        self.close_resource();
        if self.resources > 0 {
            self.json.push(',');
        }
        self.resources += 1;
        self.json.push_str("{\"resource\":");
        let mut members = Members::begin(&mut self.json);
        members.attributes("attributes", &resource.attributes);
        members.number("droppedAttributesCount", resource.dropped_attributes_count);
        members.end();
        self.json.push_str(match self.signal {
            Signal::Traces => ",\"scopeSpans\":[",
            Signal::Logs => ",\"scopeLogs\":[",
            Signal::Metrics => ",\"scopeMetrics\":[",
            Signal::Profiles => ",\"scopeProfiles\":[",
        });
    }

    fn scope(&mut self, scope: &Scope<'_>) {
        if self.resources == 0 {
            self.resource(&Resource::default());
        }
        self.close_scope();
        if self.scopes > 0 {
            self.json.push(',');
        }
        self.scopes += 1;
        self.json.push_str("{\"scope\":");
        let mut members = Members::begin(&mut self.json);
        members.text("name", &scope.name);
        members.text("version", &scope.version);
        members.attributes("attributes", &scope.attributes);
        members.number("droppedAttributesCount", scope.dropped_attributes_count);
        members.end();
        self.json.push_str(match self.signal {
            Signal::Traces => ",\"spans\":[",
            Signal::Logs => ",\"logRecords\":[",
            Signal::Metrics => ",\"metrics\":[",
            Signal::Profiles => ",\"profiles\":[",
        });
    }

    fn span(&mut self, span: &Span<'_>) {
        let mut members = self.begin_record();
        members.id("traceId", span.trace_id.is_valid(), &span.trace_id);
        members.id("spanId", span.span_id.is_valid(), &span.span_id);
        members.text("traceState", &span.trace_state);
        let parent = span.parent_span_id;
        members.id("parentSpanId", parent.is_valid(), &parent);
        members.number("flags", span.flags);
        members.text("name", &span.name);
        members.number("kind", span.kind as u32);
        members.integer("startTimeUnixNano", span.start_unix_nano);
        members.integer("endTimeUnixNano", span.end_unix_nano);
        members.attributes("attributes", &span.attributes);
        members.number("droppedAttributesCount", span.dropped_attributes_count);
        members.list("events", &span.events, write_event);
        members.number("droppedEventsCount", span.dropped_events_count);
        members.list("links", &span.links, write_link);
        members.number("droppedLinksCount", span.dropped_links_count);
        if span.status != Status::default() {
            let mut status = Members::begin(members.name("status"));
            status.text("message", &span.status.message);
            status.number("code", span.status.code as u32);
            status.end();
        }
        members.end();
    }

    fn log(&mut self, record: &LogRecord<'_>) {
        let mut members = self.begin_record();
        members.integer("timeUnixNano", record.time_unix_nano);
        members.integer("observedTimeUnixNano", record.observed_unix_nano);
        members.number("severityNumber", u32::from(record.severity.number()));
        members.text("severityText", &record.severity_text);
        if record.body != Value::Empty {
            write_value(members.name("body"), &record.body);
        }
        members.attributes("attributes", &record.attributes);
        members.number("droppedAttributesCount", record.dropped_attributes_count);
        members.number("flags", record.flags);
        members.id("traceId", record.trace_id.is_valid(), &record.trace_id);
        members.id("spanId", record.span_id.is_valid(), &record.span_id);
        members.text("eventName", &record.event_name);
        members.end();
    }

    fn point(&mut self, metric: &Metric<'_>, point: &MetricPoint<'_>) {
        if self.metric.as_ref() == Some(metric) {
            self.json.push(',');
        } else {
            self.begin_metric(metric);
        }
        points::write(&mut self.json, point);
    }

    fn rejected(&mut self, _: RejectReason) {}
}

/// The members of one object.
pub(super) struct Members<'a> {
    json: &'a mut String,
    first: bool,
}

impl<'a> Members<'a> {
    pub(super) fn begin(json: &'a mut String) -> Self {
        json.push('{');
        Self { json, first: true }
    }

    pub(super) fn end(self) {
        self.json.push('}');
    }

    /// Writes a member's name; the caller writes its value.
    pub(super) fn name(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.first) {
            self.json.push(',');
        }
        self.json.push('"');
        self.json.push_str(name);
        self.json.push_str("\":");
        self.json
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            write_text(self.name(name), text);
        }
    }

    pub(super) fn number(&mut self, name: &str, number: u32) {
        if number != 0 {
            append(self.name(name), format_args!("{number}"));
        }
    }

    /// A 64-bit integer, which JSON numbers cannot hold.
    pub(super) fn integer(&mut self, name: &str, number: u64) {
        if number != 0 {
            append(self.name(name), format_args!("\"{number}\""));
        }
    }

    pub(super) fn id(&mut self, name: &str, is_valid: bool, id: &dyn std::fmt::Display) {
        if is_valid {
            append(self.name(name), format_args!("\"{id}\""));
        }
    }

    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: &[T],
        mut write: impl FnMut(&mut String, &T),
    ) {
        if items.is_empty() {
            return;
        }
        let json = self.name(name);
        json.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            write(json, item);
        }
        json.push(']');
    }

    pub(super) fn attributes(&mut self, name: &str, attributes: &[KeyValue<'_>]) {
        self.list(name, attributes, write_key_value);
    }
}

pub(super) fn append(json: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = json.write_fmt(text);
}

fn write_event(json: &mut String, event: &SpanEvent<'_>) {
    let mut members = Members::begin(json);
    members.integer("timeUnixNano", event.time_unix_nano);
    members.text("name", &event.name);
    members.attributes("attributes", &event.attributes);
    members.number("droppedAttributesCount", event.dropped_attributes_count);
    members.end();
}

fn write_link(json: &mut String, link: &SpanLink<'_>) {
    let mut members = Members::begin(json);
    members.id("traceId", link.trace_id.is_valid(), &link.trace_id);
    members.id("spanId", link.span_id.is_valid(), &link.span_id);
    members.text("traceState", &link.trace_state);
    members.attributes("attributes", &link.attributes);
    members.number("droppedAttributesCount", link.dropped_attributes_count);
    members.number("flags", link.flags);
    members.end();
}

fn write_key_value(json: &mut String, item: &KeyValue<'_>) {
    let mut members = Members::begin(json);
    members.text("key", &item.key);
    if item.value != Value::Empty {
        write_value(members.name("value"), &item.value);
    }
    members.end();
}

fn write_value(json: &mut String, value: &Value<'_>) {
    let mut members = Members::begin(json);
    match value {
        Value::Empty => {}
        Value::Str(text) => write_text(members.name("stringValue"), text),
        Value::Bool(value) => append(members.name("boolValue"), format_args!("{value}")),
        Value::Int(value) => append(members.name("intValue"), format_args!("\"{value}\"")),
        Value::Double(value) => write_double(members.name("doubleValue"), *value),
        // Bytes are written as base64 by their display form.
        Value::Bytes(_) => append(members.name("bytesValue"), format_args!("\"{value}\"")),
        Value::Array(items) => {
            let mut list = Members::begin(members.name("arrayValue"));
            list.list("values", items, write_value);
            list.end();
        }
        Value::Map(items) => {
            let mut list = Members::begin(members.name("kvlistValue"));
            list.list("values", items, write_key_value);
            list.end();
        }
    }
    members.end();
}

pub(super) fn write_double(json: &mut String, value: f64) {
    if value.is_nan() {
        json.push_str("\"NaN\"");
    } else if value.is_infinite() {
        json.push_str(if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    } else {
        // The debug form is the shortest that reads back the same, with an exponent where needed.
        append(json, format_args!("{value:?}"));
    }
}

/// Appends a JSON string.
pub(crate) fn write_text(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        json.push_str(&rest[..at]);
        let byte = rest.as_bytes()[at];
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            _ => append(json, format_args!("\\u{byte:04x}")),
        }
        rest = &rest[at + 1..];
    }
    json.push_str(rest);
    json.push('"');
}
