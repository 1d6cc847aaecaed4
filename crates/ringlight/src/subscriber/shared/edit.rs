//! What the OpenTelemetry API changes about a `tracing` span.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, Status};
use ringlight_collector::record::{ItemKind, Key, Written, item_kind};
use ringlight_model::{CallsiteId, CallsiteRegistry, StatusCode};

use super::super::annotate::{OpenSpan, count};
use super::{span_id, trace_id};
use crate::otel::{write_attributes, write_value};

/// A change of an open span.
pub(crate) enum Edit<'a> {
    Attribute(&'a KeyValue),
    Status(&'a Status),
    Name(&'a str),
    /// Name, time in Unix nanoseconds, attributes.
    Event(&'a str, u64, &'a [KeyValue]),
    Link(&'a SpanContext, &'a [KeyValue]),
}

impl Edit<'_> {
    /// Makes the change.
    pub(super) fn apply(&self, span: &OpenSpan<'_>, callsites: &CallsiteRegistry) {
        match self {
            Self::Attribute(attribute) => set_attribute(span, callsites, attribute),
            Self::Status(status) => set_status(span, status),
            Self::Name(name) => set_name(span, name),
            Self::Event(name, time_unix_nano, attributes) => {
                span.event(*time_unix_nano, |items| {
                    let _ = items.name(name);
                    write_attributes(items, attributes, span.limits.event_attributes_max)
                });
            }
            Self::Link(linked, attributes) => add_link(span, linked, attributes),
        }
    }
}

/// Sets an attribute, as a field if the span has one of that name.
fn set_attribute(span: &OpenSpan<'_>, callsites: &CallsiteRegistry, attribute: &KeyValue) {
    let key = attribute.key.as_str();
    let callsite = callsites.lookup(CallsiteId::new(span.slot.callsite()));
    let field = callsite.and_then(|c| c.fields.iter().position(|field| *field == key));
    let field = field.and_then(|index| u16::try_from(index).ok());
    let mut items = span.slot.items_locked();
    items.remove_attribute(field, key);
    let key = field.map_or(Key::Name(key), Key::Field);
    let is_full = count(&items, ItemKind::Attribute) >= span.limits.attributes_max;
    let written = if is_full {
        Written::Dropped
    } else {
        write_value(&mut span.writer(&mut items), key, &attribute.value)
    };
    let head = span.slot.head();
    match written {
        Written::Whole => {}
        Written::Cut => span.slot.set_head(head.with_cut(1)),
        Written::Dropped => span.slot.set_head(head.with_dropped(1)),
    }
    items.finish();
}

/// `Ok` is final, and `Unset` changes nothing, as the specification says ("Set Status").
fn set_status(span: &OpenSpan<'_>, status: &Status) {
    let (code, message) = match status {
        Status::Unset => return,
        Status::Error { description } => (StatusCode::Error, &**description),
        Status::Ok => (StatusCode::Ok, ""),
    };
    let mut items = span.slot.items_locked();
    let head = span.slot.head();
    if head.status() != StatusCode::Ok {
        span.slot.set_head(head.with_status(code));
        items.remove_item(|head| item_kind(head) == ItemKind::StatusMessage);
        if !message.is_empty() {
            let _ = span.writer(&mut items).status_message(message);
        }
    }
    items.finish();
}

fn set_name(span: &OpenSpan<'_>, name: &str) {
    let mut items = span.slot.items_locked();
    items.remove_item(|head| item_kind(head) == ItemKind::Name);
    let _ = span.writer(&mut items).name(name);
    items.finish();
}

fn add_link(span: &OpenSpan<'_>, linked: &SpanContext, attributes: &[KeyValue]) {
    if !linked.is_valid() {
        return;
    }
    let ids = (trace_id(linked), span_id(linked));
    let state = linked.trace_state().header();
    span.link(ids, linked.trace_flags().to_u8(), |items| {
        if !state.is_empty() {
            let _ = items.trace_state(&state);
        }
        write_attributes(items, attributes, span.limits.link_attributes_max)
    });
}
