//! What the OpenTelemetry API changes about an open span, of `tracing` or its own.

use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, Status};
use ringlight_clock::Clock;
use ringlight_collector::record::{ItemKind, Written, item_kind};
use ringlight_model::{CallsiteRegistry, Limits, StatusCode};

use super::super::annotate::{OpenItems, OpenSpan};
use super::super::slab::Slot;
use super::{span_id, trace_id};
use crate::otel::{unix_nano, write_attributes, write_value};

/// How long ago OpenTelemetry may have read the wall clock for what happens now: longer than a thread is
/// kept from running meanwhile.
const JUST_NOW: Duration = Duration::from_secs(10);

/// A change of an open span.
pub(crate) enum Edit<'a> {
    Attribute(&'a KeyValue),
    Status(&'a Status),
    Name(&'a str),
    Event {
        name: &'a str,
        when: When,
        attributes: &'a [KeyValue],
        /// Attributes that were dropped before.
        dropped: u32,
    },
    Link {
        context: &'a SpanContext,
        attributes: &'a [KeyValue],
        /// Attributes that were dropped before.
        dropped: u32,
    },
}

/// When something happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    Now,
    At(SystemTime),
}

impl When {
    /// Unix nanoseconds, where `now` is what the clock of a span shows.
    ///
    /// OpenTelemetry reads the wall clock before it hands over most events and ends. What that has shown
    /// just now is moved to the span's clock, by which it lies in the span whatever the wall clock was set
    /// to meanwhile; any other time is left as it was given.
    pub(super) fn unix_nano(self, now: impl FnOnce() -> u64) -> u64 {
        let Self::At(time) = self else {
            return now();
        };
        match SystemTime::now().duration_since(time) {
            Ok(ago) if ago <= JUST_NOW => now().saturating_sub(nanos(ago)),
            _ => unix_nano(time),
        }
    }
}

/// At most some seconds, see [`JUST_NOW`].
fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}

impl Edit<'_> {
    /// Changes a `tracing` span. An attribute is a field if the span has one of that name.
    pub(super) fn apply_to(
        &self,
        slot: &Slot,
        clock: &Clock,
        limits: &Limits,
        callsites: &CallsiteRegistry,
    ) {
        let field = match self {
            Self::Attribute(attribute) => slot.field_named(attribute.key.as_str(), callsites),
            _ => None,
        };
        let now = || slot.now(clock);
        slot.edit(limits, |span| self.apply(span, field, now));
    }

    /// Makes the change; an attribute is this field, and `now` what the span's clock shows.
    pub(super) fn apply(
        &self,
        span: &mut OpenSpan<'_, impl OpenItems>,
        field: Option<u16>,
        now: impl FnOnce() -> u64,
    ) {
        match *self {
            Self::Attribute(KeyValue { key, value, .. }) => {
                span.set_attribute(field, key.as_str(), |items, key| {
                    write_value(items, key, value)
                });
            }
            Self::Status(status) => set_status(span, status),
            Self::Name(name) => set_name(span, name),
            Self::Event {
                name,
                when,
                attributes,
                dropped,
            } => {
                let max = span.limits.event_attributes_max;
                span.event(when.unix_nano(now), |items, lost| {
                    lost.attributes = saturated(dropped);
                    lost.count_text(items.name(name));
                    write_attributes(items, attributes, max, lost);
                });
            }
            Self::Link {
                context,
                attributes,
                dropped,
            } => add_link(span, context, attributes, dropped),
        }
    }
}

/// `Ok` is final, and `Unset` changes nothing, as the specification says ("Set Status").
fn set_status(span: &mut OpenSpan<'_, impl OpenItems>, status: &Status) {
    let (code, message) = match status {
        Status::Unset => return,
        Status::Error { description } => (StatusCode::Error, &**description),
        Status::Ok => (StatusCode::Ok, ""),
    };
    if span.head.status() == StatusCode::Ok {
        return;
    }
    span.head = span.head.with_status(code);
    let is_message = |head| item_kind(head) == ItemKind::StatusMessage;
    span.items.remove_item(is_message);
    if !message.is_empty() {
        let written = span.writer().status_message(message);
        count_text(span, written);
    }
}

fn set_name(span: &mut OpenSpan<'_, impl OpenItems>, name: &str) {
    span.items
        .remove_item(|head| item_kind(head) == ItemKind::Name);
    let written = span.writer().name(name);
    count_text(span, written);
}

/// One to nowhere says something only by what is with it, as the specification says ("Link").
fn add_link(
    span: &mut OpenSpan<'_, impl OpenItems>,
    linked: &SpanContext,
    attributes: &[KeyValue],
    dropped: u32,
) {
    let state = linked.trace_state().header();
    if !linked.is_valid() && attributes.is_empty() && state.is_empty() {
        return;
    }
    let ids = (trace_id(linked), span_id(linked));
    let max = span.limits.link_attributes_max;
    span.link(ids, linked.trace_flags().to_u8(), |items, lost| {
        lost.attributes = saturated(dropped);
        if !state.is_empty() {
            lost.count_text(items.trace_state(&state));
        }
        write_attributes(items, attributes, max, lost);
    });
}

/// Counts a text that is no attribute.
pub(super) fn count_text<I>(span: &mut OpenSpan<'_, I>, written: Written) {
    span.head = span.head.with_cut(u8::from(written != Written::Whole));
}

/// A count in the 16 bits there are for it.
fn saturated(count: u32) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
