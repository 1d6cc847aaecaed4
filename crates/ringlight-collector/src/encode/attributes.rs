//! Attributes, and what else holds attributes: events and links.

use std::borrow::Cow;
use std::fmt::Write as _;

use ringlight_model::{Limits, Value};
use ringlight_otlp::encode::{self, Owner, Scalar};

use crate::record::{Item, Items, KeyRef, List, PlainValue, Text, ValueRef};
use crate::template::AttributeTemplate;

/// What follows a text that was cut while recording.
const CUT_MARK: &str = "…";

/// The attributes of one record, up to the limit.
pub(super) struct Attributes<'a> {
    owner: Owner,
    limits: &'a Limits,
    room: usize,
    pub(super) dropped: u32,
    pub(super) scratch: &'a mut String,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(owner: Owner, limits: &'a Limits, scratch: &'a mut String) -> Self {
        Self {
            owner,
            limits,
            room: limits.attributes_max,
            dropped: 0,
            scratch,
        }
    }

    /// Appends an attribute of a callsite's field with one of the usual values.
    #[inline]
    pub(super) fn push_plain(
        &mut self,
        buf: &mut Vec<u8>,
        template: &AttributeTemplate,
        value: PlainValue<'_>,
    ) {
        let is_pushed = self.room > 0
            && match value {
                PlainValue::Text(text) => template.push_ascii(buf, text),
                PlainValue::I64(value) => template.push_i64(buf, value),
            };
        if is_pushed {
            self.room -= 1;
        } else {
            self.push(buf, AttributeKey::Known(template), value.into());
        }
    }

    /// Appends any attribute.
    pub(super) fn push(&mut self, buf: &mut Vec<u8>, key: AttributeKey<'_>, value: ValueRef<'_>) {
        if self.room == 0 {
            self.dropped += 1;
            return;
        }
        self.room -= 1;
        let text;
        let scalar = match value {
            ValueRef::Bool(value) => Scalar::Bool(value),
            ValueRef::I64(value) => Scalar::Int(value),
            ValueRef::U64(value) => match i64::try_from(value) {
                Ok(value) => Scalar::Int(value),
                Err(_) => Scalar::Str(formatted(self.scratch, value)),
            },
            ValueRef::F64(value) => Scalar::Double(value),
            ValueRef::Text(value) => {
                text = marked(value);
                Scalar::Str(&text)
            }
            ValueRef::Bytes(bytes, _) => Scalar::Bytes(bytes),
            ValueRef::List(list) => return self.push_list(buf, key, list),
        };
        match key {
            AttributeKey::Known(template) => template.push(buf, scalar),
            AttributeKey::Text(key) => encode::attribute(buf, self.owner, key, scalar),
        }
    }

    #[cold]
    fn push_list(&mut self, buf: &mut Vec<u8>, key: AttributeKey<'_>, list: List<'_>) {
        let list = list_value(list);
        match key {
            AttributeKey::Known(template) => template.push_value(buf, &list),
            AttributeKey::Text(key) => encode::attribute_value(buf, self.owner, key, &list),
        }
    }

    /// Appends a link or an event of the span these attributes are of.
    #[cold]
    pub(super) fn push_nested(&mut self, buf: &mut Vec<u8>, item: Item<'_>) {
        match item {
            Item::Link {
                trace_id,
                span_id,
                flags,
                dropped,
                items,
            } => {
                let link = encode::open_span_link(buf, trace_id, span_id);
                let dropped = self.push_within(buf, Owner::Link, dropped, items);
                encode::link_dropped_attributes(buf, dropped);
                encode::link_flags(buf, u32::from(flags));
                encode::close(buf, link);
            }
            Item::Event {
                time_unix_nano,
                dropped,
                items,
            } => {
                let event = encode::open_span_event(buf, time_unix_nano);
                let dropped = self.push_within(buf, Owner::ScopeOrEvent, dropped, items);
                encode::event_dropped_attributes(buf, dropped);
                encode::close(buf, event);
            }
            _ => {}
        }
    }

    /// What a link or an event holds; returns how many of its attributes were dropped.
    fn push_within(
        &mut self,
        buf: &mut Vec<u8>,
        owner: Owner,
        dropped: u16,
        items: Items<'_>,
    ) -> u32 {
        let mut attributes = Attributes::new(owner, self.limits, self.scratch);
        attributes.room = match owner {
            Owner::Link => self.limits.link_attributes_max,
            _ => self.limits.event_attributes_max,
        };
        for item in items {
            match item {
                // Only names: what it belongs to has no callsite here.
                Item::Attribute(KeyRef::Name(name), value) => match std::str::from_utf8(name) {
                    Ok(name) => attributes.push(buf, AttributeKey::Text(name), value),
                    Err(_) => attributes.dropped += 1,
                },
                Item::Name(name) => encode::event_name(buf, &marked(name)),
                Item::TraceState(state) => encode::link_trace_state(buf, &marked(state)),
                _ => {}
            }
        }
        attributes.dropped + u32::from(dropped)
    }
}

fn list_value(list: List<'_>) -> Value<'_> {
    let value = |element| match element {
        ValueRef::Bool(value) => Value::Bool(value),
        ValueRef::I64(value) => Value::Int(value),
        ValueRef::U64(value) => match i64::try_from(value) {
            Ok(value) => Value::Int(value),
            Err(_) => Value::Str(value.to_string().into()),
        },
        ValueRef::F64(value) => Value::Double(value),
        ValueRef::Text(text) => Value::Str(marked(text)),
        ValueRef::Bytes(bytes, _) => Value::Bytes(bytes.into()),
        // Lists hold no lists.
        ValueRef::List(_) => Value::Empty,
    };
    Value::Array(list.iter().map(value).collect())
}

/// The key of an attribute.
#[derive(Clone, Copy)]
pub(super) enum AttributeKey<'a> {
    Known(&'a AttributeTemplate),
    Text(&'a str),
}

/// The text as it goes on the wire, with a mark where it was cut.
#[inline]
pub(super) fn marked(text: Text<'_>) -> Cow<'_, str> {
    match std::str::from_utf8(text.bytes) {
        Ok(shown) if !text.cut => Cow::Borrowed(shown),
        _ => Cow::Owned(text.to_str().into_owned() + if text.cut { CUT_MARK } else { "" }),
    }
}

pub(super) fn body(buf: &mut Vec<u8>, scratch: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Text(text) => encode::log_body(buf, &marked(text)),
        ValueRef::Bool(value) => encode::log_body(buf, formatted(scratch, value)),
        ValueRef::I64(value) => encode::log_body(buf, formatted(scratch, value)),
        ValueRef::U64(value) => encode::log_body(buf, formatted(scratch, value)),
        ValueRef::F64(value) => encode::log_body(buf, formatted(scratch, value)),
        ValueRef::Bytes(bytes, _) => encode::log_body(buf, &String::from_utf8_lossy(bytes)),
        ValueRef::List(list) => encode::log_body(buf, formatted(scratch, list_value(list))),
    }
}

fn formatted(scratch: &mut String, value: impl std::fmt::Display) -> &str {
    scratch.clear();
    // Writing to a String cannot fail.
    let _ = write!(scratch, "{value}");
    scratch
}
