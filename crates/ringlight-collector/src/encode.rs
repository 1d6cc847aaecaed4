//! Records to OTLP protobuf, in one pass, once.
//!
//! Everything about a callsite that is the same for all its records (name, scope, keys) is encoded
//! the first time the callsite is met and copied from then on.

mod attributes;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use ringlight_model::{
    Callsite, CallsiteId, CallsiteKind, CallsiteRegistry, Limits, Scope, Severity, SpanKind,
    Status, StatusCode,
};
use ringlight_otlp::encode::{self, Owner, Scalar};

use crate::config::CollectorConfig;
use crate::processing::Rules;
use crate::record::{
    FieldRole, Item, KeyRef, LogRecord, SpanRecord, Text, ValueRef, parse_span_kind,
    parse_status_code,
};
use crate::template::{self, AttributeTemplate, SpanBasics};

use attributes::{AttributeKey, Attributes, body, marked};

/// Callsites that are found without hashing.
const RECENT: usize = 64;

/// What is known of a callsite, encoded.
struct CallsiteBytes {
    /// Index of its scope among [`Encoder::scopes`].
    scope: usize,
    /// Name of the span, or of the event where the source gave it one, as a field of the record.
    name_field: Box<[u8]>,
    fields: Vec<(FieldRole, AttributeTemplate)>,
    /// Where it is in the source, as ready attributes of its record.
    location: Box<[u8]>,
}

/// Turns records into protobuf. Owns what was learnt about callsites and scopes, which are as many
/// as the program's source has.
pub(crate) struct Encoder {
    registry: Arc<CallsiteRegistry>,
    limits: Limits,
    source_location: bool,
    /// For scopes, which no record goes through the processor with.
    rules: Option<Arc<Rules>>,
    by_id: HashMap<CallsiteId, usize, RandomState>,
    /// The first one stands for records without a callsite.
    callsites: Vec<CallsiteBytes>,
    by_target: HashMap<&'static str, usize, RandomState>,
    /// Encoded fields of `ScopeSpans` and `ScopeLogs` before their items. The first one is of records
    /// without a callsite.
    scopes: Vec<Box<[u8]>>,
    /// Callsites met lately, by a few bits of their address.
    recent: [Option<(CallsiteId, usize)>; RECENT],
    scratch: String,
}

/// The record refers to a callsite nobody registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownCallsite;

impl Encoder {
    /// The scope of records without a callsite, by its index.
    pub(crate) const SCOPE_OF_NONE: usize = 0;

    pub(crate) fn new(registry: Arc<CallsiteRegistry>, config: &CollectorConfig) -> Self {
        let mut encoder = Self {
            registry,
            limits: config.limits,
            source_location: config.source_location,
            rules: config.processing.rules(),
            by_id: HashMap::default(),
            callsites: Vec::new(),
            by_target: HashMap::default(),
            scopes: Vec::new(),
            recent: [None; RECENT],
            scratch: String::new(),
        };
        let scope = encoder.add_scope(&config.scope, "");
        encoder.callsites.push(CallsiteBytes {
            scope,
            name_field: Box::default(),
            fields: Vec::new(),
            location: Box::default(),
        });
        encoder
    }

    /// The encoded fields of a scope, before its items.
    pub(crate) fn scope(&self, index: usize) -> &[u8] {
        &self.scopes[index]
    }

    /// The index of a callsite, learning it if it is new.
    #[inline]
    pub(crate) fn callsite(&mut self, id: Option<CallsiteId>) -> Result<usize, UnknownCallsite> {
        let Some(id) = id else { return Ok(0) };
        // Metadata are statics of more than a hundred bytes.
        let address = id.get();
        let place = (address >> 5 ^ address >> 11) as usize % RECENT;
        if let Some((known, index)) = self.recent[place]
            && known == id
        {
            return Ok(index);
        }
        let index = match self.by_id.get(&id) {
            Some(&index) => index,
            None => self.learn(id)?,
        };
        self.recent[place] = Some((id, index));
        Ok(index)
    }

    /// The scope of a callsite by its index.
    #[inline]
    pub(crate) fn scope_index(&self, callsite: usize) -> usize {
        self.callsites[callsite].scope
    }

    #[cold]
    fn learn(&mut self, id: CallsiteId) -> Result<usize, UnknownCallsite> {
        let callsite = self.registry.lookup(id).ok_or(UnknownCallsite)?;
        let scope = match &callsite.scope {
            Some(own) => {
                let mut scope = own.scope.clone();
                if let Some(rules) = &self.rules {
                    rules.scope(&mut scope);
                }
                self.add_scope(&scope, &own.schema_url)
            }
            None => self.scope_of(callsite.target),
        };
        let mut name_field = Vec::new();
        let owner = match callsite.kind {
            CallsiteKind::Span => {
                encode::span_name(&mut name_field, callsite.name);
                Owner::Span
            }
            CallsiteKind::Event => {
                // `tracing` names an event after its place in the source unless told otherwise.
                if !callsite.name.starts_with("event ") {
                    encode::log_event_name(&mut name_field, callsite.name);
                }
                Owner::Log
            }
        };
        let field = |name: &&'static str| {
            let role = FieldRole::of(callsite.kind, name);
            (role, AttributeTemplate::new(owner, name))
        };
        let bytes = CallsiteBytes {
            scope,
            name_field: name_field.into_boxed_slice(),
            fields: callsite.fields.iter().map(field).collect(),
            location: if self.source_location {
                location(&callsite)
            } else {
                Box::default()
            },
        };
        let index = self.callsites.len();
        self.callsites.push(bytes);
        self.by_id.insert(id, index);
        Ok(index)
    }

    fn scope_of(&mut self, target: &'static str) -> usize {
        if let Some(&index) = self.by_target.get(target) {
            return index;
        }
        let scope = Scope {
            name: Cow::Borrowed(target),
            ..Scope::default()
        };
        let index = self.add_scope(&scope, "");
        self.by_target.insert(target, index);
        index
    }

    fn add_scope(&mut self, scope: &Scope<'_>, schema_url: &str) -> usize {
        let mut fields = Vec::new();
        encode::scope_fields(&mut fields, scope, schema_url);
        self.scopes.push(fields.into_boxed_slice());
        self.scopes.len() - 1
    }

    /// Appends a span to the items of its scope.
    pub(crate) fn span(&mut self, buf: &mut Vec<u8>, callsite: usize, record: &SpanRecord<'_>) {
        if let Some(bytes) = record.items().encoded() {
            return buf.extend_from_slice(bytes);
        }
        let callsite = &self.callsites[callsite];
        let head = record.head();
        let start_unix_nano = record.start_unix_nano();
        let basics = SpanBasics {
            trace_id: record.trace_id(),
            span_id: record.span_id(),
            parent_span_id: record.parent_span_id(),
            start_unix_nano,
            end_unix_nano: record.end_unix_nano().max(start_unix_nano),
            flags: head.flags(),
        };
        let message = template::open_span(buf, &basics);
        let mut meaning = SpanMeaning {
            name: None,
            kind: head.kind(),
            status: head.status(),
            status_message: None,
        };
        let mut attributes = Attributes::new(Owner::Span, &self.limits, &mut self.scratch);
        let mut items = record.items();
        loop {
            if let Some((index, value)) = items.next_plain() {
                match callsite.fields.get(usize::from(index)) {
                    Some((FieldRole::Attribute, template)) => {
                        attributes.push_plain(buf, template, value);
                    }
                    Some((role, template)) => {
                        if !meaning.take(*role, value.into()) {
                            attributes.push_plain(buf, template, value);
                        }
                    }
                    None => attributes.dropped += 1,
                }
                continue;
            }
            let Some(item) = items.next() else { break };
            match item {
                Item::Attribute(key, value) => {
                    let Some((role, key)) = meaning_of(callsite, key) else {
                        attributes.dropped += 1;
                        continue;
                    };
                    if role == FieldRole::Attribute || !meaning.take(role, value) {
                        attributes.push(buf, key, value);
                    }
                }
                Item::Link { .. } | Item::Event { .. } => attributes.push_nested(buf, item),
                Item::Dropped { events, links } => encode::span_dropped(buf, events, links.into()),
                Item::TraceState(state) => encode::span_trace_state(buf, &marked(state)),
                Item::Name(text) => meaning.name = Some(text),
                Item::StatusMessage(text) => {
                    meaning.status_message.get_or_insert(text);
                }
                Item::Enclosing(_) | Item::Encoded(_) => {}
            }
        }
        let dropped = attributes.dropped + u32::from(head.dropped_attributes());
        buf.extend_from_slice(&callsite.location);
        match meaning.name {
            Some(name) => encode::span_name(buf, &marked(name)),
            None => buf.extend_from_slice(&callsite.name_field),
        }
        message.set_kind(buf, meaning.kind as u8);
        if meaning.status != StatusCode::Unset {
            let status = Status {
                code: meaning.status,
                message: meaning.status_message.map(marked).unwrap_or_default(),
            };
            encode::span_status(buf, &status);
        }
        encode::span_dropped_attributes(buf, dropped);
        message.close(buf);
    }

    /// A span as a `ScopeSpans` of its own.
    pub(crate) fn scope_spans(
        &mut self,
        record: &SpanRecord<'_>,
    ) -> Result<Vec<u8>, UnknownCallsite> {
        let callsite = self.callsite(record.callsite())?;
        let mut buf = self.scope(self.scope_index(callsite)).to_vec();
        self.span(&mut buf, callsite, record);
        Ok(buf)
    }

    /// The status of a span: what a field says about it counts more than how the span ended.
    pub(crate) fn status(&self, callsite: usize, record: &SpanRecord<'_>) -> StatusCode {
        let callsite = &self.callsites[callsite];
        let says = |item| match item {
            Item::Attribute(key, ValueRef::Text(text)) => match meaning_of(callsite, key) {
                Some((FieldRole::StatusCode, _)) => parse_status_code(text.bytes),
                _ => None,
            },
            _ => None,
        };
        let said = record.items().filter_map(says).last();
        said.unwrap_or(record.head().status())
    }

    /// Appends a log record to the items of its scope.
    pub(crate) fn log(&mut self, buf: &mut Vec<u8>, callsite: usize, record: &LogRecord<'_>) {
        let callsite = &self.callsites[callsite];
        let head = record.head();
        let message = template::open_log(buf);
        encode::log_time(buf, record.time_unix_nano());
        encode::log_observed(buf, record.time_unix_nano());
        encode::log_severity(buf, head.severity(), severity_text(head.severity()));
        encode::log_ids(buf, record.trace_id(), record.span_id());
        let mut attributes = Attributes::new(Owner::Log, &self.limits, &mut self.scratch);
        let mut items = record.items();
        loop {
            if let Some((index, value)) = items.next_plain() {
                match callsite.fields.get(usize::from(index)) {
                    Some((FieldRole::Body, _)) => body(buf, attributes.scratch, value.into()),
                    Some((_, template)) => attributes.push_plain(buf, template, value),
                    None => attributes.dropped += 1,
                }
                continue;
            }
            let Some(item) = items.next() else { break };
            let Item::Attribute(key, value) = item else {
                continue;
            };
            match meaning_of(callsite, key) {
                Some((FieldRole::Body, _)) => body(buf, attributes.scratch, value),
                Some((_, key)) => attributes.push(buf, key, value),
                None => attributes.dropped += 1,
            }
        }
        let dropped = attributes.dropped + u32::from(head.dropped_attributes());
        buf.extend_from_slice(&callsite.location);
        buf.extend_from_slice(&callsite.name_field);
        encode::log_flags(buf, u32::from(head.flags()));
        encode::log_dropped_attributes(buf, dropped);
        message.close(buf);
    }
}

/// What the items of a span say beyond its attributes.
struct SpanMeaning<'a> {
    name: Option<Text<'a>>,
    kind: SpanKind,
    status: StatusCode,
    status_message: Option<Text<'a>>,
}

impl<'a> SpanMeaning<'a> {
    /// Takes a field for what its name says. False when the value makes no sense there, so that it
    /// stays visible as an attribute.
    fn take(&mut self, role: FieldRole, value: ValueRef<'a>) -> bool {
        let ValueRef::Text(text) = value else {
            return false;
        };
        match role {
            FieldRole::SpanName => self.name = Some(text),
            FieldRole::StatusMessage => self.status_message = Some(text),
            FieldRole::SpanKind => match parse_span_kind(text.bytes) {
                Some(kind) => self.kind = kind,
                None => return false,
            },
            FieldRole::StatusCode => match parse_status_code(text.bytes) {
                Some(code) => self.status = code,
                None => return false,
            },
            FieldRole::Attribute | FieldRole::Body => return false,
        }
        true
    }
}

/// What a field is for and its key; `None` for an index the callsite does not have.
#[inline]
fn meaning_of<'a>(
    callsite: &'a CallsiteBytes,
    key: KeyRef<'a>,
) -> Option<(FieldRole, AttributeKey<'a>)> {
    match key {
        KeyRef::Field(index) => {
            let (role, template) = callsite.fields.get(usize::from(index))?;
            Some((*role, AttributeKey::Known(template)))
        }
        KeyRef::Name(name) => {
            let name = std::str::from_utf8(name).ok()?;
            Some((FieldRole::Attribute, AttributeKey::Text(name)))
        }
    }
}

/// The level as `tracing` writes it; other severities have no word of their own.
const fn severity_text(severity: Severity) -> &'static str {
    match severity {
        Severity::TRACE => "TRACE",
        Severity::DEBUG => "DEBUG",
        Severity::INFO => "INFO",
        Severity::WARN => "WARN",
        Severity::ERROR => "ERROR",
        _ => "",
    }
}

fn location(callsite: &Callsite) -> Box<[u8]> {
    let owner = match callsite.kind {
        CallsiteKind::Span => Owner::Span,
        CallsiteKind::Event => Owner::Log,
    };
    let mut buf = Vec::new();
    if let Some(file) = callsite.file {
        encode::attribute(&mut buf, owner, "code.file.path", Scalar::Str(file));
    }
    if let Some(line) = callsite.line {
        let line = Scalar::Int(i64::from(line));
        encode::attribute(&mut buf, owner, "code.line.number", line);
    }
    buf.into_boxed_slice()
}

#[cfg(test)]
mod tests;
