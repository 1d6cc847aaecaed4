//! Going through records as they lie in rings.

use std::borrow::Cow;
use std::sync::Arc;

use ringlight_model::{CallsiteKind, CallsiteRegistry, Limits, Severity, Span};
use ringlight_otlp::encode;

use super::Processing;
use super::condition::{Origin, Subject};
use super::key::KeyAction;
use super::plans::{Attribute, Field, Names, Plan, Plans};
use super::replacement::Replacement;
use super::rules::Rules;
use crate::record::{
    self, FieldRole, Item, ItemWriter, Items, Key, KeyRef, List, PlainValue, Record, Text,
    ValueRef, WORD_BYTES, Written, copy_words, parse_span_kind, parse_status_code,
};
use crate::spans::span_of_item;

/// The buffer of copies gives back what an uncommonly large record took.
const BUFFER_WORDS_MAX: usize = 8 * 1024;

/// Texts are not cut here: they have been, where they were recorded.
const NO_LIMIT: usize = u32::MAX as usize;

/// Applies rules to records.
pub(crate) struct Processor {
    rules: Arc<Rules>,
    plans: Plans,
    names: Names,
    copy: Vec<u64>,
    bytes: Vec<u8>,
    /// What a span that was submitted whole may have.
    limits: Limits,
}

/// What becomes of a record.
pub(crate) enum Processed<'a> {
    /// It stays as it is.
    Same,
    /// These are its bytes now.
    Changed(&'a [u8]),
    /// It is left out.
    Filtered,
    /// It does not decode.
    Malformed,
}

impl Processor {
    /// One with these rules; `None` where there are none.
    pub(crate) fn of(
        processing: &Processing,
        limits: &Limits,
        callsites: &Arc<CallsiteRegistry>,
    ) -> Option<Box<Self>> {
        let rules = processing.rules()?;
        Some(Box::new(Self {
            limits: Limits {
                request_bytes_max: usize::MAX,
                ..*limits
            },
            plans: Plans::new(Arc::clone(callsites), &rules),
            rules,
            names: Names::default(),
            copy: Vec::new(),
            bytes: Vec::new(),
        }))
    }

    /// What takes the place of a span that is in no ring: itself in most cases, and nothing where it is left
    /// out.
    pub(crate) fn process_span<'s, 'a>(&self, span: &'s Span<'a>) -> Option<Cow<'s, Span<'a>>> {
        if self.rules.is_span_filtered(span) {
            return None;
        }
        let new = self.rules.span(span);
        Some(new.map_or(Cow::Borrowed(span), Cow::Owned))
    }

    /// What becomes of a record. One that is an audit record is never left out.
    pub(crate) fn process(&mut self, record: &Record<'_>) -> Processed<'_> {
        if let Some(item) = record.items().encoded() {
            return self.process_encoded(record, item);
        }
        let plan = self.plans.of(&self.rules, record.callsite());
        if !record.head().is_audit() && self.is_filtered(record, &plan) {
            return Processed::Filtered;
        }
        if !self.is_touched(record.items(), &plan) {
            return Processed::Same;
        }
        self.copy.clear();
        self.copy.shrink_to(BUFFER_WORDS_MAX);
        let header = record.header().iter();
        self.copy
            .extend(header.map(|word| u64::from_le_bytes(*word)));
        let dropped = self.write(record.items(), &plan);
        self.copy[0] = record.head().with_dropped(dropped).word();
        self.packed()
    }

    /// A whole span, encoded by whoever submitted it.
    #[cold]
    fn process_encoded(&mut self, record: &Record<'_>, item: &[u8]) -> Processed<'_> {
        let Some(span) = span_of_item(item, &self.limits) else {
            return Processed::Malformed;
        };
        if self.rules.is_span_filtered(&span) {
            return Processed::Filtered;
        }
        let Some(span) = self.rules.span(&span) else {
            return Processed::Same;
        };
        let mut item = Vec::new();
        encode::span(&mut item, &span);
        let Ok(len_bytes) = u32::try_from(item.len()) else {
            return Processed::Malformed;
        };
        item.resize(item.len().next_multiple_of(WORD_BYTES), 0);
        let (words, _) = item.as_chunks::<WORD_BYTES>();
        let header = record.header().iter().chain(words);
        self.copy.clear();
        self.copy
            .extend(header.map(|word| u64::from_le_bytes(*word)));
        let at = record.header().len();
        self.copy.insert(at, record::encoded_item(len_bytes));
        self.packed()
    }

    /// The copy, as bytes.
    fn packed(&mut self) -> Processed<'_> {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_WORDS_MAX * WORD_BYTES);
        self.bytes.resize(self.copy.len() * WORD_BYTES, 0);
        copy_words(self.copy.iter().copied(), &mut self.bytes);
        Processed::Changed(&self.bytes)
    }

    fn is_filtered(&self, record: &Record<'_>, plan: &Plan) -> bool {
        let subject = RecordSubject { record, plan };
        plan.conditions.iter().any(|index| {
            let (rule, count) = &self.rules.dropped_records[*index];
            let kind = subject.kind();
            // Of records without a callsite, the plan is for both kinds.
            let is_meant = rule.may_mean(&Origin {
                kind,
                target: plan.target(),
            }) && rule.means(&subject);
            if is_meant {
                self.rules.counts.add(*count);
            }
            is_meant
        })
    }

    /// Whether a rule is about any of these items.
    fn is_touched(&mut self, mut items: Items<'_>, plan: &Plan) -> bool {
        loop {
            let is_touched = match items.next_plain() {
                Some((index, value)) => {
                    let field = plan.fields.get(usize::from(index));
                    field.is_some_and(|field| is_field_touched(&self.rules, field, value))
                }
                None => match items.next() {
                    Some(item) => self.is_item_touched(item, plan),
                    None => return false,
                },
            };
            if is_touched {
                return true;
            }
        }
    }

    fn is_item_touched(&mut self, item: Item<'_>, plan: &Plan) -> bool {
        match item {
            Item::Attribute(key, value) => {
                let Some(attribute) = plan.attribute(&self.rules, &mut self.names, key) else {
                    return false;
                };
                attribute.plan.is_change()
                    || attribute.is_looked_into(value) && is_value_touched(&self.rules, value)
            }
            Item::Link { items, .. } | Item::Event { items, .. } => {
                self.is_touched(items, &Plan::default())
            }
            Item::Enclosing(span) => {
                let plan = self.plans.of(&self.rules, Some(span.callsite));
                self.is_touched(span.items, &plan)
            }
            Item::Name(text) | Item::StatusMessage(text) | Item::TraceState(text) => {
                is_text_touched(&self.rules, text)
            }
            Item::Dropped { .. } | Item::Encoded(_) => false,
        }
    }

    /// Appends items as the rules leave them to the copy; how many attributes there was no room for.
    fn write(&mut self, items: Items<'_>, plan: &Plan) -> u16 {
        let mut dropped = 0;
        let mut rest = items;
        while let Some((words, item)) = rest.next_with_words() {
            match item {
                Item::Attribute(key, value) => {
                    let written = self.write_attribute(items, plan, key, value);
                    dropped += u16::from(written == Written::Dropped);
                }
                Item::Link { items, dropped, .. } | Item::Event { items, dropped, .. } => {
                    let nested = record::open_nested(&mut self.copy, words);
                    let more = self.write(items, &Plan::default());
                    record::close_nested(&mut self.copy, nested, dropped.saturating_add(more));
                }
                Item::Enclosing(span) => {
                    let nested = record::open_nested(&mut self.copy, words);
                    let plan = self.plans.of(&self.rules, Some(span.callsite));
                    self.write(span.items, &plan);
                    record::close_nested(&mut self.copy, nested, 0);
                }
                Item::Name(text) | Item::StatusMessage(text) => self.write_text(&item, text),
                // With a part replaced it would be none.
                Item::TraceState(text) if self.rules.counts_secret(text) => {}
                Item::TraceState(_) | Item::Dropped { .. } | Item::Encoded(_) => {
                    self.copy
                        .extend(words.iter().map(|word| u64::from_le_bytes(*word)));
                }
            }
        }
        dropped
    }

    fn write_text(&mut self, item: &Item<'_>, text: Text<'_>) {
        let whole = text.to_str();
        let counts = Some(&self.rules.counts);
        let new = self.rules.texts.replaced(&whole, text.cut, counts);
        let text = Text {
            bytes: new.as_deref().map_or(text.bytes, str::as_bytes),
            cut: text.cut,
        };
        let mut writer = ItemWriter::new(&mut self.copy, NO_LIMIT);
        // Without room, in a record of eight megabytes, the name is the callsite's, the message none.
        let _ = match item {
            Item::Name(_) => writer.copy_name(text),
            _ => writer.copy_status_message(text),
        };
    }

    /// An attribute among others; how much of it was written.
    fn write_attribute(
        &mut self,
        siblings: Items<'_>,
        plan: &Plan,
        key: KeyRef<'_>,
        value: ValueRef<'_>,
    ) -> Written {
        let Some(attribute) = plan.attribute(&self.rules, &mut self.names, key) else {
            // Nobody can tell what it is, and nobody encodes it.
            return Written::Dropped;
        };
        if let KeyAction::Drop(count) = attribute.plan.action {
            self.rules.counts.add(count);
            return Written::Whole;
        }
        let rules = Arc::clone(&self.rules);
        let rules = &*rules;
        if let Some(new) = rules.keys.new_name(attribute.plan)
            && self.gives_way(plan, siblings, key, new)
        {
            return Written::Whole;
        }
        let rename = rules.keys.rename(attribute.plan);
        if let Some(rename) = rename {
            rules.counts.add(rename.count);
        }
        let key = match (rename, key) {
            (Some(rename), _) => Key::Name(&rename.to),
            (None, KeyRef::Field(index)) => Key::Field(index),
            (None, KeyRef::Name(_)) => Key::Name(attribute.name),
        };
        let mut writer = ItemWriter::new(&mut self.copy, NO_LIMIT);
        if let KeyAction::Replace(rule) = attribute.plan.action {
            let (replacement, count) = rules.keys.replacement(rule);
            rules.counts.add(count);
            let new = replacement_of(replacement, value);
            return new.map_or(Written::Whole, |new| writer.text(key, &new));
        }
        let is_looked_into = attribute.is_looked_into(value);
        write_value(is_looked_into.then_some(rules), &mut writer, key, value)
    }

    /// Whether a renamed attribute is left out because of another: one that is called what it is renamed to, or
    /// an earlier one that is renamed to the same.
    fn gives_way(&mut self, plan: &Plan, siblings: Items<'_>, key: KeyRef<'_>, new: &str) -> bool {
        let mut is_earlier = true;
        siblings.into_iter().any(|item| {
            let Item::Attribute(other, _) = item else {
                return false;
            };
            if other == key {
                is_earlier = false;
                return false;
            }
            let attribute = plan.attribute(&self.rules, &mut self.names, other);
            attribute.is_some_and(|other| match self.rules.keys.new_name(other.plan) {
                None => other.name == new,
                Some(renamed) => is_earlier && renamed == new,
            })
        })
    }
}

impl Attribute<'_> {
    /// Whether the value is looked into: not where it stays by its key, nor where it is a word that says what
    /// kind of span it is.
    fn is_looked_into(&self, value: ValueRef<'_>) -> bool {
        let is_word = match (self.role, value) {
            (FieldRole::SpanKind, ValueRef::Text(text)) => parse_span_kind(text.bytes).is_some(),
            (FieldRole::StatusCode, ValueRef::Text(text)) => {
                parse_status_code(text.bytes).is_some()
            }
            _ => false,
        };
        !is_word && matches!(self.plan.action, KeyAction::Look)
    }
}

/// What takes the place of a value; `None` if nothing does.
fn replacement_of(replacement: &Replacement, value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(text) => replacement.of(text.bytes),
        ValueRef::Bytes(bytes, _) => replacement.of(bytes),
        value => replacement.of(value.to_value().to_string().as_bytes()),
    }
}

/// Whether a rule is about a field of a callsite with this value.
#[inline]
fn is_field_touched(rules: &Rules, field: &Field, value: PlainValue<'_>) -> bool {
    if field.plan.is_change() {
        return true;
    }
    let may_be = match value {
        PlainValue::I64(number) => rules.texts.may_be_number(number.unsigned_abs()),
        PlainValue::Text(text) => rules.texts.may_be_in(text),
    };
    let value = value.into();
    may_be && Attribute::of(field).is_looked_into(value) && is_value_touched(rules, value)
}

fn is_text_touched(rules: &Rules, text: Text<'_>) -> bool {
    (text.cut || rules.texts.may_be_in(text.bytes))
        && (rules.texts.replaced(&text.to_str(), text.cut, None)).is_some()
}

fn is_value_touched(rules: &Rules, value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(text) => is_text_touched(rules, text),
        ValueRef::List(list) => list.iter().any(|value| is_value_touched(rules, value)),
        value => replaced_scalar(rules, value, false).is_some(),
    }
}

/// What takes the place of a value that is neither text nor list, if something does.
fn replaced_scalar(rules: &Rules, value: ValueRef<'_>, is_counted: bool) -> Option<String> {
    let counts = is_counted.then_some(&rules.counts);
    match value {
        ValueRef::I64(value) => rules
            .texts
            .of_number(value.unsigned_abs(), value < 0, counts),
        ValueRef::U64(value) => rules.texts.of_number(value, false, counts),
        ValueRef::Bytes(bytes, is_cut) => rules.texts.of_bytes(bytes, is_cut, counts),
        ValueRef::Bool(_) | ValueRef::F64(_) | ValueRef::Text(_) | ValueRef::List(_) => None,
    }
}

/// Writes a value as the rules leave it, or as it is where there are none for it.
fn write_value(
    rules: Option<&Rules>,
    writer: &mut ItemWriter<'_, Vec<u64>>,
    key: Key<'_>,
    value: ValueRef<'_>,
) -> Written {
    if let Some(new) = rules.and_then(|rules| replaced_scalar(rules, value, true)) {
        return writer.text(key, &new);
    }
    match value {
        ValueRef::Bool(value) => writer.bool(key, value),
        ValueRef::I64(value) => writer.i64(key, value),
        ValueRef::U64(value) => writer.u64(key, value),
        ValueRef::F64(value) => writer.f64(key, value),
        ValueRef::Bytes(bytes, _) => writer.bytes(key, bytes),
        ValueRef::Text(text) => {
            let replaced = |rules: &Rules| {
                let counts = Some(&rules.counts);
                rules.texts.replaced(&text.to_str(), text.cut, counts)
            };
            let new = rules.and_then(replaced);
            let bytes = new.as_deref().map_or(text.bytes, str::as_bytes);
            writer.copy_text(key, Text { bytes, ..text })
        }
        ValueRef::List(list) => writer.list(key, |elements| write_list(rules, elements, list)),
    }
}

/// Writes the elements of a list; whether all are there.
fn write_list(
    rules: Option<&Rules>,
    elements: &mut ItemWriter<'_, Vec<u64>>,
    list: List<'_>,
) -> Written {
    let mut all = Written::Whole;
    for value in list.iter() {
        if write_value(rules, elements, Key::Field(0), value) == Written::Dropped {
            all = Written::Dropped;
        }
    }
    all
}

/// A record and what is known of its callsite.
struct RecordSubject<'a> {
    record: &'a Record<'a>,
    plan: &'a Plan,
}

impl RecordSubject<'_> {
    const fn kind(&self) -> CallsiteKind {
        match self.record {
            Record::Span(_) => CallsiteKind::Span,
            Record::Log(_) => CallsiteKind::Event,
        }
    }

    /// Whether an attribute of this role or key has a value, as text, for which this holds.
    fn any(
        &self,
        is_it: impl Fn(FieldRole, &str) -> bool,
        is_meant: impl Fn(&str) -> bool,
    ) -> bool {
        self.record.items().any(|item| {
            let Item::Attribute(key, value) = item else {
                return false;
            };
            let found = match key {
                KeyRef::Field(index) => match self.plan.fields.get(usize::from(index)) {
                    Some(field) => is_it(field.role, field.name),
                    None => false,
                },
                KeyRef::Name(name) => is_it(FieldRole::Attribute, &String::from_utf8_lossy(name)),
            };
            found
                && match value {
                    ValueRef::Text(text) => is_meant(&text.to_str()),
                    value => is_meant(&value.to_value().to_string()),
                }
        })
    }
}

impl Subject for RecordSubject<'_> {
    fn has_name(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let of_callsite = self.plan.callsite.as_ref().map(|callsite| callsite.name);
        let is_named = |item| matches!(item, Item::Name(name) if is_meant(&name.to_str()));
        of_callsite.is_some_and(&is_meant)
            || self.record.items().any(is_named)
            || self.any(|role, _| role == FieldRole::SpanName, &is_meant)
    }

    fn severity(&self) -> Severity {
        match self.record {
            Record::Log(log) => log.head().severity(),
            Record::Span(_) => {
                let callsite = self.plan.callsite.as_ref();
                callsite.map_or(Severity::UNSPECIFIED, |callsite| callsite.severity)
            }
        }
    }

    fn has_message(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.any(|role, _| role == FieldRole::Body, is_meant)
    }

    fn has_attribute(&self, key: &str, is_meant: impl Fn(&str) -> bool) -> bool {
        let is_it = |role, name: &str| role == FieldRole::Attribute && name == key;
        self.any(is_it, is_meant)
    }
}
