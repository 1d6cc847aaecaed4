//! The pieces of a request, for whoever has no model structs to encode from.

use ringlight_model::{Resource, Scope, Severity, SpanId, SpanKind, Status, StatusCode, TraceId};

use super::proto::{self, Open, Room};
use super::value::{Owner, attribute_value};
use crate::fields::{
    any, event, link, log, per_resource, per_scope, request, resource, scope, span, status,
};

/// Begins a resource (`ResourceSpans` or `ResourceLogs`) in a request.
pub fn open_resource(buf: &mut Vec<u8>, resource: &Resource<'_>) -> Open {
    let open = proto::open(buf, request::RESOURCES, Room::Large);
    let message = proto::open(buf, per_resource::RESOURCE, Room::Small);
    resource_message(buf, resource);
    proto::close(buf, message);
    open
}

/// Like [`open_resource`], from what [`resource_message`] wrote before.
pub fn open_resource_encoded(buf: &mut Vec<u8>, resource: &[u8]) -> Open {
    let open = proto::open(buf, request::RESOURCES, Room::Large);
    proto::bytes_field(buf, per_resource::RESOURCE, resource);
    open
}

/// Appends the content of a `Resource` message, without tag and length.
pub fn resource_message(buf: &mut Vec<u8>, resource: &Resource<'_>) {
    for item in &resource.attributes {
        attribute_value(buf, Owner::Resource, &*item.key, &item.value);
    }
    count(
        buf,
        resource::DROPPED_ATTRIBUTES,
        resource.dropped_attributes_count,
    );
}

/// Begins a scope (`ScopeSpans` or `ScopeLogs`) in the resource that is open in `buf`.
pub fn open_scope(buf: &mut Vec<u8>, scope: &Scope<'_>) -> Open {
    let open = proto::open(buf, per_resource::SCOPES, Room::Large);
    scope_fields(buf, scope, "");
    open
}

/// Appends the fields a `ScopeSpans` or `ScopeLogs` has besides its items: the scope, and the URL of
/// the schema its items follow, which may be empty.
pub fn scope_fields(buf: &mut Vec<u8>, scope: &Scope<'_>, schema_url: &str) {
    let message = proto::open(buf, per_scope::SCOPE, Room::Small);
    text(buf, scope::NAME, &scope.name);
    text(buf, scope::VERSION, &scope.version);
    for item in &scope.attributes {
        attribute_value(buf, Owner::ScopeOrEvent, &*item.key, &item.value);
    }
    count(
        buf,
        scope::DROPPED_ATTRIBUTES,
        scope.dropped_attributes_count,
    );
    proto::close(buf, message);
    text(buf, per_scope::SCHEMA_URL, schema_url);
}

/// Begins a span in the scope that is open in `buf`.
#[inline]
pub fn open_span(buf: &mut Vec<u8>) -> Open {
    proto::open(buf, per_scope::ITEMS, Room::Medium)
}

/// Appends the ids of a span; no parent for a root.
#[inline]
pub fn span_ids(buf: &mut Vec<u8>, trace_id: TraceId, span_id: SpanId, parent: SpanId) {
    proto::bytes_field(buf, span::TRACE_ID, &trace_id.to_bytes());
    proto::bytes_field(buf, span::SPAN_ID, &span_id.to_bytes());
    if parent.is_valid() {
        proto::bytes_field(buf, span::PARENT_SPAN_ID, &parent.to_bytes());
    }
}

/// Appends the name of a span.
#[inline]
pub fn span_name(buf: &mut Vec<u8>, name: &str) {
    text(buf, span::NAME, name);
}

/// Appends the kind of a span.
#[inline]
pub fn span_kind(buf: &mut Vec<u8>, kind: SpanKind) {
    number(buf, span::KIND, kind as u64);
}

/// Appends start and end of a span, Unix nanoseconds.
#[inline]
pub fn span_times(buf: &mut Vec<u8>, start_unix_nano: u64, end_unix_nano: u64) {
    proto::fixed64_field(buf, span::START, start_unix_nano);
    proto::fixed64_field(buf, span::END, end_unix_nano);
}

/// Appends the status of a span, unless it says nothing.
pub fn span_status(buf: &mut Vec<u8>, status: &Status<'_>) {
    if status.code == StatusCode::Unset && status.message.is_empty() {
        return;
    }
    let message = proto::open(buf, span::STATUS, Room::Small);
    text(buf, status::MESSAGE, &status.message);
    number(buf, status::CODE, status.code as u64);
    proto::close(buf, message);
}

/// Appends the flags of a span.
#[inline]
pub fn span_flags(buf: &mut Vec<u8>, flags: u32) {
    if flags != 0 {
        proto::fixed32_field(buf, span::FLAGS, flags);
    }
}

/// Appends how many attributes of a span were dropped.
#[inline]
pub fn span_dropped_attributes(buf: &mut Vec<u8>, dropped: u32) {
    count(buf, span::DROPPED_ATTRIBUTES, dropped);
}

/// Appends the W3C trace state of a span.
pub fn span_trace_state(buf: &mut Vec<u8>, state: &str) {
    text(buf, span::TRACE_STATE, state);
}

/// Appends how many events and links of a span were dropped.
pub fn span_dropped(buf: &mut Vec<u8>, events: u32, links: u32) {
    count(buf, span::DROPPED_EVENTS, events);
    count(buf, span::DROPPED_LINKS, links);
}

/// Begins an event in the span that is open in `buf`; its attributes are
/// [`Owner::ScopeOrEvent`].
pub fn open_span_event(buf: &mut Vec<u8>, time_unix_nano: u64) -> Open {
    let open = proto::open(buf, span::EVENTS, Room::Small);
    proto::fixed64_field(buf, event::TIME, time_unix_nano);
    open
}

/// Appends the name of an event.
pub fn event_name(buf: &mut Vec<u8>, name: &str) {
    text(buf, event::NAME, name);
}

/// Appends how many attributes of an event were dropped.
pub fn event_dropped_attributes(buf: &mut Vec<u8>, dropped: u32) {
    count(buf, event::DROPPED_ATTRIBUTES, dropped);
}

/// Begins a link in the span that is open in `buf`; its attributes are [`Owner::Link`].
pub fn open_span_link(buf: &mut Vec<u8>, trace_id: TraceId, span_id: SpanId) -> Open {
    let open = proto::open(buf, span::LINKS, Room::Small);
    proto::bytes_field(buf, link::TRACE_ID, &trace_id.to_bytes());
    proto::bytes_field(buf, link::SPAN_ID, &span_id.to_bytes());
    open
}

/// Appends the W3C trace state of a link.
pub fn link_trace_state(buf: &mut Vec<u8>, state: &str) {
    text(buf, link::TRACE_STATE, state);
}

/// Appends how many attributes of a link were dropped.
pub fn link_dropped_attributes(buf: &mut Vec<u8>, dropped: u32) {
    count(buf, link::DROPPED_ATTRIBUTES, dropped);
}

/// Appends the flags of a link.
pub fn link_flags(buf: &mut Vec<u8>, flags: u32) {
    if flags != 0 {
        proto::fixed32_field(buf, link::FLAGS, flags);
    }
}

/// Begins a log record in the scope that is open in `buf`.
#[inline]
pub fn open_log(buf: &mut Vec<u8>) -> Open {
    proto::open(buf, per_scope::ITEMS, Room::Medium)
}

/// Appends when a log record happened, Unix nanoseconds.
#[inline]
pub fn log_time(buf: &mut Vec<u8>, time_unix_nano: u64) {
    proto::fixed64_field(buf, log::TIME, time_unix_nano);
}

/// Appends when a log record was observed, Unix nanoseconds.
#[inline]
pub fn log_observed(buf: &mut Vec<u8>, observed_unix_nano: u64) {
    proto::fixed64_field(buf, log::OBSERVED, observed_unix_nano);
}

/// Appends the severity of a log record and the source's own word for it, which may be empty.
#[inline]
pub fn log_severity(buf: &mut Vec<u8>, severity: Severity, name: &str) {
    number(buf, log::SEVERITY_NUMBER, u64::from(severity.number()));
    text(buf, log::SEVERITY_TEXT, name);
}

/// Appends the body of a log record.
#[inline]
pub fn log_body(buf: &mut Vec<u8>, body: &str) {
    let size = proto::delimited_size(body.len());
    proto::delimited(buf, log::BODY, size);
    proto::bytes_field(buf, any::STRING, body.as_bytes());
}

/// Appends the ids of the span a log record belongs to; invalid ones are left out.
#[inline]
pub fn log_ids(buf: &mut Vec<u8>, trace_id: TraceId, span_id: SpanId) {
    if trace_id.is_valid() {
        proto::bytes_field(buf, log::TRACE_ID, &trace_id.to_bytes());
    }
    if span_id.is_valid() {
        proto::bytes_field(buf, log::SPAN_ID, &span_id.to_bytes());
    }
}

/// Appends the event name of a log record.
#[inline]
pub fn log_event_name(buf: &mut Vec<u8>, name: &str) {
    text(buf, log::EVENT_NAME, name);
}

/// Appends how many attributes of a log record were dropped.
#[inline]
pub fn log_dropped_attributes(buf: &mut Vec<u8>, dropped: u32) {
    count(buf, log::DROPPED_ATTRIBUTES, dropped);
}

/// Appends the trace flags of a log record.
#[inline]
pub fn log_flags(buf: &mut Vec<u8>, flags: u32) {
    if flags != 0 {
        proto::fixed32_field(buf, log::FLAGS, flags);
    }
}

#[inline]
pub(super) fn text(buf: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        proto::bytes_field(buf, field, text.as_bytes());
    }
}

#[inline]
pub(super) fn number(buf: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        proto::varint_field(buf, field, value);
    }
}

#[inline]
pub(super) fn count(buf: &mut Vec<u8>, field: u32, value: u32) {
    number(buf, field, u64::from(value));
}
