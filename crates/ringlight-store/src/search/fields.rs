//! Rows as the query language sees them.

use ringlight_model::Value;

use crate::block::section::{Section, SectionSet};
use crate::query::{AttributeScope, Field, FieldValue, Fields, Intrinsic, Query, QuerySignal};
use crate::table::{Attribute, Cell, LogTable, Owners, SpanTable, Texts, WantedKeys};

/// What the whole trace of a span is like.
#[derive(Debug, Clone, Default)]
pub(crate) struct TraceFacts {
    /// Of the root span, where it has arrived.
    pub(crate) root: Option<(String, String)>,
    pub(crate) duration_nano: u64,
}

/// Where a field of a query is found in the rows of one table.
#[derive(Debug)]
enum Place {
    /// Not resolved beforehand.
    Intrinsic,
    /// The number of the attribute's key, if it is in the table at all.
    Key(Option<u32>),
    /// For each resource the attribute's place among its attributes.
    Resource(Vec<Option<usize>>),
}

/// The fields of a query, resolved for one table.
#[derive(Debug)]
pub(crate) struct Places(Vec<Place>);

impl Places {
    pub(crate) fn of(query: &Query, texts: &Texts, owners: &Owners) -> Self {
        let place = |field: &Field| match field {
            Field::Intrinsic(_) => Place::Intrinsic,
            Field::Attribute {
                scope: AttributeScope::Resource,
                key,
            } => Place::Resource(
                owners
                    .resources()
                    .iter()
                    .map(|resource| resource.attributes.iter().position(|kv| kv.key == *key))
                    .collect(),
            ),
            Field::Attribute { key, .. } => Place::Key(texts.names.find(key)),
        };
        Self(query.fields().iter().map(place).collect())
    }
}

/// The sections evaluating a query needs.
pub(crate) fn sections_needed(query: &Query) -> SectionSet {
    let mut needed = SectionSet::of([Section::Core, Section::Dictionary]);
    for field in query.fields() {
        let sections = sections_of(field, query.signal());
        sections.iter().for_each(|&section| needed.insert(section));
    }
    needed
}

/// The sections a field needs, beside the core and the dictionary.
pub(crate) fn sections_of(field: &Field, signal: QuerySignal) -> &'static [Section] {
    match field {
        Field::Attribute { scope, .. } => match scope {
            AttributeScope::Resource => &[],
            AttributeScope::Event => &[Section::Values, Section::Extra],
            _ => &[Section::Values, Section::Attributes],
        },
        Field::Intrinsic(intrinsic) => match intrinsic {
            Intrinsic::SpanId | Intrinsic::ParentSpanId => &[Section::Ids],
            Intrinsic::TraceId => &[Section::Traces],
            Intrinsic::StatusMessage => &[Section::Values, Section::Extra],
            Intrinsic::EventName if signal == QuerySignal::Traces => &[Section::Extra],
            Intrinsic::Body => &[Section::Body],
            _ => &[],
        },
    }
}

/// The keys of attributes of spans, or of log records, that evaluating a query asks for.
pub(crate) fn keys_needed(query: &Query) -> WantedKeys {
    let own = query.fields().iter().filter_map(|field| match field {
        Field::Attribute {
            scope: AttributeScope::Span | AttributeScope::Log,
            key,
        } => Some(key.clone()),
        _ => None,
    });
    WantedKeys::Only(own.collect())
}

fn show_cell(cell: Cell, texts: &Texts, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
    match cell {
        Cell::Empty => false,
        Cell::Str(number) => test(FieldValue::Str(texts.values.get(number))),
        Cell::Bool(value) => test(FieldValue::Bool(value)),
        Cell::Int(value) => test(FieldValue::Int(value)),
        Cell::Double(value) => test(FieldValue::Double(value)),
        Cell::Array(_) => test(FieldValue::Value(&texts.value(cell))),
        Cell::Bytes(_) | Cell::Map(_) => test(FieldValue::Opaque),
    }
}

fn show_attribute(
    attributes: &[Attribute],
    key: Option<u32>,
    texts: &Texts,
    test: &mut dyn FnMut(FieldValue<'_>) -> bool,
) -> bool {
    key.and_then(|key| attributes.iter().find(|attribute| attribute.key == key))
        .is_some_and(|attribute| show_cell(attribute.cell, texts, test))
}

fn show_resource(
    owners: &Owners,
    resource: u32,
    places: &[Option<usize>],
    test: &mut dyn FnMut(FieldValue<'_>) -> bool,
) -> bool {
    let Some(Some(place)) = places.get(resource as usize) else {
        return false;
    };
    let Some(resource) = owners.resources().get(resource as usize) else {
        return false;
    };
    resource
        .attributes
        .get(*place)
        .is_some_and(|attribute| match &attribute.value {
            Value::Bytes(_) | Value::Map(_) => test(FieldValue::Opaque),
            value => test(FieldValue::Value(value)),
        })
}

/// A span as the query language sees it.
pub(crate) struct SpanRow<'a> {
    pub(crate) table: &'a SpanTable,
    pub(crate) places: &'a Places,
    pub(crate) row: usize,
    pub(crate) facts: Option<&'a TraceFacts>,
}

impl SpanRow<'_> {
    fn intrinsic(
        &self,
        intrinsic: Intrinsic,
        test: &mut dyn FnMut(FieldValue<'_>) -> bool,
    ) -> bool {
        let (table, row) = (self.table, self.row);
        match intrinsic {
            Intrinsic::Name => test(FieldValue::Str(table.name(row))),
            Intrinsic::Duration => {
                let duration = table.durations.get(row).copied().unwrap_or(0);
                test(FieldValue::Duration(duration))
            }
            Intrinsic::Status => test(FieldValue::Status(table.status(row))),
            Intrinsic::StatusMessage => {
                let message = table.messages.get(row).copied().unwrap_or(0);
                test(FieldValue::Str(table.texts.values.get(message)))
            }
            Intrinsic::Kind => test(FieldValue::Kind(table.kind(row))),
            Intrinsic::SpanId => {
                let id = table.span_ids.get(row).copied().unwrap_or_default();
                test(FieldValue::SpanId(id))
            }
            Intrinsic::ParentSpanId => {
                let id = table.parents.get(row).copied().unwrap_or_default();
                test(FieldValue::SpanId(id))
            }
            Intrinsic::TraceId => test(FieldValue::TraceId(table.trace_id(row))),
            Intrinsic::RootName => self
                .root()
                .is_some_and(|(_, name)| test(FieldValue::Str(name))),
            Intrinsic::RootServiceName => self
                .root()
                .is_some_and(|(service, _)| test(FieldValue::Str(service))),
            Intrinsic::TraceDuration => self
                .facts
                .is_some_and(|facts| test(FieldValue::Duration(facts.duration_nano))),
            Intrinsic::EventName => table.events_of(row).any(|event| {
                let name = table.events.get(event).map_or(0, |event| event.name);
                test(FieldValue::Str(table.texts.names.get(name)))
            }),
            Intrinsic::ScopeName | Intrinsic::ScopeVersion => {
                let scope = table.scopes.get(row).copied().unwrap_or(0);
                show_scope(&table.owners, scope, intrinsic, test)
            }
            _ => false,
        }
    }

    fn root(&self) -> Option<(&str, &str)> {
        let (service, name) = self.facts?.root.as_ref()?;
        Some((service, name))
    }
}

fn show_scope(
    owners: &Owners,
    scope: u32,
    intrinsic: Intrinsic,
    test: &mut dyn FnMut(FieldValue<'_>) -> bool,
) -> bool {
    owners.scopes().get(scope as usize).is_some_and(|scope| {
        test(FieldValue::Str(match intrinsic {
            Intrinsic::ScopeName => &scope.name,
            _ => &scope.version,
        }))
    })
}

impl Fields for SpanRow<'_> {
    fn any(
        &self,
        index: usize,
        field: &Field,
        test: &mut dyn FnMut(FieldValue<'_>) -> bool,
    ) -> bool {
        let table = self.table;
        match (field, self.places.0.get(index)) {
            (Field::Intrinsic(intrinsic), _) => self.intrinsic(*intrinsic, test),
            (Field::Attribute { .. }, Some(Place::Resource(places))) => {
                let resource = table.resources.get(self.row).copied().unwrap_or(0);
                show_resource(&table.owners, resource, places, test)
            }
            (
                Field::Attribute {
                    scope: AttributeScope::Span,
                    ..
                },
                Some(Place::Key(key)),
            ) => show_attribute(table.attributes.row(self.row), *key, &table.texts, test),
            (
                Field::Attribute {
                    scope: AttributeScope::Event,
                    ..
                },
                Some(Place::Key(key)),
            ) => table.events_of(self.row).any(|event| {
                let attributes = table.event_attributes.row(event);
                show_attribute(attributes, *key, &table.texts, test)
            }),
            _ => false,
        }
    }
}

/// A log record as the query language sees it.
pub(crate) struct LogRow<'a> {
    pub(crate) table: &'a LogTable,
    pub(crate) places: &'a Places,
    pub(crate) row: usize,
}

impl LogRow<'_> {
    fn intrinsic(
        &self,
        intrinsic: Intrinsic,
        test: &mut dyn FnMut(FieldValue<'_>) -> bool,
    ) -> bool {
        let (table, row) = (self.table, self.row);
        let name = |column: &[u32]| table.texts.names.get(column.get(row).copied().unwrap_or(0));
        match intrinsic {
            Intrinsic::Severity => test(FieldValue::Severity(table.severity(row))),
            Intrinsic::SeverityText => test(FieldValue::Str(name(&table.severity_texts))),
            // A plain log line is no event.
            Intrinsic::EventName => match name(&table.event_names) {
                "" => false,
                name => test(FieldValue::Str(name)),
            },
            Intrinsic::Body => match table.body(row) {
                Value::Empty => false,
                Value::Str(text) => test(FieldValue::Str(&text)),
                other => test(FieldValue::Str(&other.to_string())),
            },
            Intrinsic::TraceId => test(FieldValue::TraceId(table.trace_id(row))),
            Intrinsic::SpanId => {
                let id = table.span_ids.get(row).copied().unwrap_or_default();
                test(FieldValue::SpanId(id))
            }
            Intrinsic::ScopeName | Intrinsic::ScopeVersion => {
                let scope = table.scopes.get(row).copied().unwrap_or(0);
                show_scope(&table.owners, scope, intrinsic, test)
            }
            _ => false,
        }
    }
}

impl Fields for LogRow<'_> {
    fn any(
        &self,
        index: usize,
        field: &Field,
        test: &mut dyn FnMut(FieldValue<'_>) -> bool,
    ) -> bool {
        let table = self.table;
        match (field, self.places.0.get(index)) {
            (Field::Intrinsic(intrinsic), _) => self.intrinsic(*intrinsic, test),
            (Field::Attribute { .. }, Some(Place::Resource(places))) => {
                let resource = table.resources.get(self.row).copied().unwrap_or(0);
                show_resource(&table.owners, resource, places, test)
            }
            (
                Field::Attribute {
                    scope: AttributeScope::Log,
                    ..
                },
                Some(Place::Key(key)),
            ) => show_attribute(table.attributes.row(self.row), *key, &table.texts, test),
            _ => false,
        }
    }
}
