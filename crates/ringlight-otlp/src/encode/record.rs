//! Whole model records and whole requests.

use ringlight_model::{KeyValue, LogRecord, Resource, Scope, Span, Value};

use super::items::{
    count, event_dropped_attributes, event_name, link_dropped_attributes, link_flags,
    link_trace_state, log_flags, log_ids, log_observed, log_severity, log_time, open_log,
    open_resource, open_scope, open_span, open_span_event, open_span_link, span_dropped,
    span_flags, span_ids, span_kind, span_name, span_status, span_times, span_trace_state, text,
};
use super::proto;
use super::value::{Owner, attribute_value, value};
use crate::fields;

/// A record that a request of its signal is made of.
pub trait Record {
    /// Appends the record to the scope that is open in `buf`.
    fn encode(&self, buf: &mut Vec<u8>);
}

impl Record for Span<'_> {
    fn encode(&self, buf: &mut Vec<u8>) {
        span(buf, self);
    }
}

impl Record for LogRecord<'_> {
    fn encode(&self, buf: &mut Vec<u8>) {
        log_record(buf, self);
    }
}

/// The export request that holds `records` of one resource and scope: an
/// `ExportTraceServiceRequest` of [`Span`]s or an `ExportLogsServiceRequest` of [`LogRecord`]s.
#[must_use]
pub fn request<R: Record>(resource: &Resource<'_>, scope: &Scope<'_>, records: &[R]) -> Vec<u8> {
    let mut buf = Vec::new();
    let resource = open_resource(&mut buf, resource);
    let scope = open_scope(&mut buf, scope);
    for record in records {
        record.encode(&mut buf);
    }
    proto::close(&mut buf, scope);
    proto::close(&mut buf, resource);
    buf
}

/// Appends a span to the scope that is open in `buf`.
pub fn span(buf: &mut Vec<u8>, span: &Span<'_>) {
    use fields::span as f;
    let message = open_span(buf);
    span_ids(buf, span.trace_id, span.span_id, span.parent_span_id);
    span_trace_state(buf, &span.trace_state);
    span_name(buf, &span.name);
    span_kind(buf, span.kind);
    span_times(buf, span.start_unix_nano, span.end_unix_nano);
    attributes(buf, Owner::Span, &span.attributes);
    count(buf, f::DROPPED_ATTRIBUTES, span.dropped_attributes_count);
    for item in &span.events {
        let message = open_span_event(buf, item.time_unix_nano);
        event_name(buf, &item.name);
        attributes(buf, Owner::ScopeOrEvent, &item.attributes);
        event_dropped_attributes(buf, item.dropped_attributes_count);
        proto::close(buf, message);
    }
    for item in &span.links {
        let message = open_span_link(buf, item.trace_id, item.span_id);
        link_trace_state(buf, &item.trace_state);
        attributes(buf, Owner::Link, &item.attributes);
        link_dropped_attributes(buf, item.dropped_attributes_count);
        link_flags(buf, item.flags);
        proto::close(buf, message);
    }
    span_dropped(buf, span.dropped_events_count, span.dropped_links_count);
    span_status(buf, &span.status);
    span_flags(buf, span.flags);
    proto::close(buf, message);
}

/// Appends a log record to the scope that is open in `buf`.
pub fn log_record(buf: &mut Vec<u8>, record: &LogRecord<'_>) {
    use fields::log as f;
    let message = open_log(buf);
    log_time(buf, record.time_unix_nano);
    log_observed(buf, record.observed_unix_nano);
    log_severity(buf, record.severity, &record.severity_text);
    if record.body != Value::Empty {
        value(buf, f::BODY, &record.body);
    }
    attributes(buf, Owner::Log, &record.attributes);
    count(buf, f::DROPPED_ATTRIBUTES, record.dropped_attributes_count);
    log_flags(buf, record.flags);
    log_ids(buf, record.trace_id, record.span_id);
    text(buf, f::EVENT_NAME, &record.event_name);
    proto::close(buf, message);
}

fn attributes(buf: &mut Vec<u8>, owner: Owner, attributes: &[KeyValue<'_>]) {
    for item in attributes {
        attribute_value(buf, owner, &*item.key, &item.value);
    }
}
