//! Resources, scopes, spans and log records.

use std::borrow::Cow;

use ringlight_model::{
    LogRecord, RejectReason, Resource, Scope, Severity, Span, SpanEvent, SpanId, SpanKind,
    SpanLink, Status, StatusCode, TraceId, Value,
};

use super::ItemError;
use super::value::{Budget, attribute, text, value};
use crate::fields::{event, link, log as l, resource as r, scope as s, span as f, status as st};
use crate::wire::{Field, Slice};

pub(crate) fn resource<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    resource: &mut Resource<'a>,
) -> Result<(), ItemError> {
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            r::ATTRIBUTES => attribute(budget, field, at, &mut resource.attributes)?,
            r::DROPPED_ATTRIBUTES => resource.dropped_attributes_count = count(field, at)?,
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn scope<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    scope: &mut Scope<'a>,
) -> Result<(), ItemError> {
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            s::NAME => scope.name = text(budget, field, at)?,
            s::VERSION => scope.version = text(budget, field, at)?,
            s::ATTRIBUTES => attribute(budget, field, at, &mut scope.attributes)?,
            s::DROPPED_ATTRIBUTES => scope.dropped_attributes_count = count(field, at)?,
            _ => {}
        }
    }
    Ok(())
}

/// Reads a span over whatever `span` held before.
pub(super) fn span<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    span: &mut Span<'a>,
) -> Result<(), ItemError> {
    clear_span(span);
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            f::TRACE_ID => span.trace_id = trace_id(field, at)?,
            f::SPAN_ID => span.span_id = span_id(field, at)?,
            f::TRACE_STATE => span.trace_state = text(budget, field, at)?,
            f::PARENT_SPAN_ID => span.parent_span_id = span_id(field, at)?,
            f::NAME => span.name = text(budget, field, at)?,
            f::KIND => span.kind = SpanKind::from_otlp(field.varint(at)? as i32),
            f::START => span.start_unix_nano = field.fixed64(at)?,
            f::END => span.end_unix_nano = field.fixed64(at)?,
            f::ATTRIBUTES => attribute(budget, field, at, &mut span.attributes)?,
            f::DROPPED_ATTRIBUTES => span.dropped_attributes_count = count(field, at)?,
            f::EVENTS => span.events.push(span_event(budget, field.slice(at)?)?),
            f::DROPPED_EVENTS => span.dropped_events_count = count(field, at)?,
            f::LINKS => span.links.push(span_link(budget, field.slice(at)?)?),
            f::DROPPED_LINKS => span.dropped_links_count = count(field, at)?,
            f::STATUS => span_status(budget, field.slice(at)?, &mut span.status)?,
            f::FLAGS => span.flags = field.fixed32(at)?,
            _ => {}
        }
    }
    if !span.trace_id.is_valid() {
        return Err(RejectReason::ZeroTraceId.into());
    }
    if !span.span_id.is_valid() {
        return Err(RejectReason::ZeroSpanId.into());
    }
    Ok(())
}

/// A span of defaults that keeps the memory of its lists. A span without a kind is `Unspecified` on
/// the wire, which is not the model's default.
fn clear_span(span: &mut Span<'_>) {
    span.attributes.clear();
    span.events.clear();
    span.links.clear();
    let attributes = std::mem::take(&mut span.attributes);
    let events = std::mem::take(&mut span.events);
    let links = std::mem::take(&mut span.links);
    *span = Span {
        kind: SpanKind::Unspecified,
        attributes,
        events,
        links,
        ..Span::default()
    };
}

fn span_event<'a>(budget: &mut Budget, message: Slice<'a>) -> Result<SpanEvent<'a>, ItemError> {
    budget.take_value()?;
    let mut item = SpanEvent::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            event::TIME => item.time_unix_nano = field.fixed64(at)?,
            event::NAME => item.name = text(budget, field, at)?,
            event::ATTRIBUTES => attribute(budget, field, at, &mut item.attributes)?,
            event::DROPPED_ATTRIBUTES => item.dropped_attributes_count = count(field, at)?,
            _ => {}
        }
    }
    Ok(item)
}

fn span_link<'a>(budget: &mut Budget, message: Slice<'a>) -> Result<SpanLink<'a>, ItemError> {
    budget.take_value()?;
    let mut item = SpanLink::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            link::TRACE_ID => item.trace_id = trace_id(field, at)?,
            link::SPAN_ID => item.span_id = span_id(field, at)?,
            link::TRACE_STATE => item.trace_state = text(budget, field, at)?,
            link::ATTRIBUTES => attribute(budget, field, at, &mut item.attributes)?,
            link::DROPPED_ATTRIBUTES => item.dropped_attributes_count = count(field, at)?,
            link::FLAGS => item.flags = field.fixed32(at)?,
            _ => {}
        }
    }
    Ok(item)
}

fn span_status<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    status: &mut Status<'a>,
) -> Result<(), ItemError> {
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            st::MESSAGE => status.message = text(budget, field, at)?,
            st::CODE => status.code = StatusCode::from_otlp(field.varint(at)? as i32),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a log record over whatever `record` held before.
pub(crate) fn log<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    record: &mut LogRecord<'a>,
) -> Result<(), ItemError> {
    clear_log(record);
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            l::TIME => record.time_unix_nano = field.fixed64(at)?,
            l::SEVERITY_NUMBER => {
                record.severity = Severity::from_otlp(field.varint(at)? as i32);
            }
            l::SEVERITY_TEXT => record.severity_text = text(budget, field, at)?,
            l::BODY => value(budget, field, at, &mut record.body)?,
            l::ATTRIBUTES => attribute(budget, field, at, &mut record.attributes)?,
            l::DROPPED_ATTRIBUTES => record.dropped_attributes_count = count(field, at)?,
            l::FLAGS => record.flags = field.fixed32(at)?,
            l::TRACE_ID => record.trace_id = trace_id(field, at)?,
            l::SPAN_ID => record.span_id = span_id(field, at)?,
            l::OBSERVED => record.observed_unix_nano = field.fixed64(at)?,
            l::EVENT_NAME => record.event_name = text(budget, field, at)?,
            _ => {}
        }
    }
    Ok(())
}

fn clear_log(record: &mut LogRecord<'_>) {
    record.attributes.clear();
    let attributes = std::mem::take(&mut record.attributes);
    *record = LogRecord {
        severity_text: Cow::Borrowed(""),
        body: Value::Empty,
        attributes,
        ..LogRecord::default()
    };
}

fn count(field: Field<'_>, at: usize) -> Result<u32, ItemError> {
    Ok(field.varint(at)? as u32)
}

/// An id that is absent or empty is the invalid id; any other length than its own is an error.
pub(super) fn trace_id(field: Field<'_>, at: usize) -> Result<TraceId, ItemError> {
    let bytes = field.slice(at)?.bytes;
    match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => Ok(TraceId::from_bytes(bytes)),
        Err(_) if bytes.is_empty() => Ok(TraceId::INVALID),
        Err(_) => Err(RejectReason::IdLength.into()),
    }
}

pub(super) fn span_id(field: Field<'_>, at: usize) -> Result<SpanId, ItemError> {
    let bytes = field.slice(at)?.bytes;
    match <[u8; 8]>::try_from(bytes) {
        Ok(bytes) => Ok(SpanId::from_bytes(bytes)),
        Err(_) if bytes.is_empty() => Ok(SpanId::INVALID),
        Err(_) => Err(RejectReason::IdLength.into()),
    }
}
