//! Completion: the keys queries can use and the values they have.

use std::collections::{BTreeMap, BTreeSet};

use ringlight_model::{Severity, Signal, SpanKind, StatusCode, Value};

use super::prune::Index;
use super::source::{Loader, Source};
use crate::block::filter::FilterScope;
use crate::block::section::{Section, SectionSet};
use crate::query::Intrinsic;
use crate::series::Series;
use crate::state::Shared;
use crate::table::{Attributes, LogTable, Owners, SpanTable, Table, Texts};
use crate::{AttributeKey, AttributeSearch, KeyScope, ValueSearch, ValueType};

/// Blocks values are looked for in at most, the newest first.
const BLOCKS_MAX: usize = 64;

/// Keys of series that are looked at for completion.
const SERIES_KEYS_MAX: usize = 20_000;

/// Characters of a text value that are offered; longer ones are of no use for completion.
const TEXT_CHARS_MAX: usize = 256;

const SPAN_INTRINSICS: [(Intrinsic, ValueType); 9] = [
    (Intrinsic::Duration, ValueType::Int),
    (Intrinsic::EventName, ValueType::String),
    (Intrinsic::Kind, ValueType::String),
    (Intrinsic::Name, ValueType::String),
    (Intrinsic::RootName, ValueType::String),
    (Intrinsic::RootServiceName, ValueType::String),
    (Intrinsic::Status, ValueType::String),
    (Intrinsic::StatusMessage, ValueType::String),
    (Intrinsic::TraceDuration, ValueType::Int),
];

const LOG_INTRINSICS: [(Intrinsic, ValueType); 4] = [
    (Intrinsic::Body, ValueType::String),
    (Intrinsic::EventName, ValueType::String),
    (Intrinsic::Severity, ValueType::String),
    (Intrinsic::SeverityText, ValueType::String),
];

const METRIC_INTRINSICS: [(Intrinsic, ValueType); 2] = [
    (Intrinsic::ScopeName, ValueType::String),
    (Intrinsic::ScopeVersion, ValueType::String),
];

/// The keys of a signal that begin with a prefix: intrinsics, then attributes sorted.
pub(crate) fn attributes(shared: &Shared, search: &AttributeSearch<'_>) -> Vec<AttributeKey> {
    let intrinsics: &[(Intrinsic, ValueType)] = match search.signal {
        Signal::Traces => &SPAN_INTRINSICS,
        Signal::Logs => &LOG_INTRINSICS,
        Signal::Metrics => &METRIC_INTRINSICS,
        Signal::Profiles => return Vec::new(),
    };
    let intrinsics = intrinsics.iter().map(|&(key, value_type)| AttributeKey {
        scope: KeyScope::Intrinsic,
        key: key.as_str().to_owned(),
        value_type,
    });
    let mut found: BTreeSet<AttributeKey> = BTreeSet::new();
    {
        let state = shared.read();
        let known = state.keys.get(search.signal as usize);
        let known = known
            .into_iter()
            .flatten()
            .filter(|key| key.key.starts_with(search.prefix));
        found.extend(known.cloned());
    }
    match search.signal {
        Signal::Metrics => add_series_keys(&mut found, shared, search),
        Signal::Logs => {
            for chunk in shared.snapshot::<LogTable>().chunks {
                let table = &chunk.table;
                add_keys(&mut found, KeyScope::Log, &table.attributes, &table.texts);
                add_resource_keys(&mut found, &table.owners);
            }
        }
        _ => {
            for chunk in shared.snapshot::<SpanTable>().chunks {
                let table = &chunk.table;
                add_keys(&mut found, KeyScope::Span, &table.attributes, &table.texts);
                let events = &table.event_attributes;
                add_keys(&mut found, KeyScope::Event, events, &table.texts);
                add_resource_keys(&mut found, &table.owners);
            }
        }
    }
    intrinsics
        .chain(found)
        .filter(|key| key.key.starts_with(search.prefix))
        .take(search.limit.clamp(1, 1000))
        .collect()
}

fn add_keys(
    found: &mut BTreeSet<AttributeKey>,
    scope: KeyScope,
    attributes: &Attributes,
    texts: &Texts,
) {
    let distinct: BTreeSet<(u32, ValueType)> = attributes
        .items()
        .iter()
        .map(|attribute| (attribute.key, attribute.cell.value_type()))
        .collect();
    found.extend(distinct.into_iter().map(|(key, value_type)| AttributeKey {
        scope,
        key: texts.names.get(key).to_owned(),
        value_type,
    }));
}

fn add_resource_keys(found: &mut BTreeSet<AttributeKey>, owners: &Owners) {
    for resource in owners.resources() {
        found.extend(resource.attributes.iter().map(|attribute| AttributeKey {
            scope: KeyScope::Resource,
            key: attribute.key.clone().into_owned(),
            value_type: ValueType::of(&attribute.value),
        }));
    }
}

fn is_of(series: &Series, metric: Option<&str>) -> bool {
    metric.is_none_or(|wanted| series.metric.name == wanted)
}

fn add_series_keys(
    found: &mut BTreeSet<AttributeKey>,
    shared: &Shared,
    search: &AttributeSearch<'_>,
) {
    for (_, known) in shared.series().iter() {
        let series = &known.series;
        if !is_of(series, search.metric) {
            continue;
        }
        let of_points = series.attributes.iter().map(|kv| (KeyScope::Point, kv));
        let of_resource = series.resource.attributes.iter();
        let of_resource = of_resource.map(|kv| (KeyScope::Resource, kv));
        for (scope, attribute) in of_points.chain(of_resource) {
            if found.len() < SERIES_KEYS_MAX && attribute.key.starts_with(search.prefix) {
                found.insert(AttributeKey {
                    scope,
                    key: attribute.key.clone().into_owned(),
                    value_type: ValueType::of(&attribute.value),
                });
            }
        }
    }
}

/// Values of a key in the newest records.
pub(crate) fn attribute_values(shared: &Shared, search: &ValueSearch<'_>) -> Vec<Value<'static>> {
    let mut values = Values {
        prefix: search.prefix,
        limit: search.limit.clamp(1, 1000),
        found: BTreeMap::new(),
    };
    let is_of_one_metric = search.signal == Signal::Metrics && search.metric.is_some();
    if search.key == "service.name" && search.scope == Some(KeyScope::Resource) && !is_of_one_metric
    {
        // Known of all records.
        for service in super::services(shared) {
            let count = match search.signal {
                Signal::Logs => service.log_count,
                Signal::Metrics => service.point_count,
                _ => service.span_count,
            };
            if count > 0 {
                values.add_text(&service.name);
            }
        }
        return values.found.into_values().collect();
    }
    match search.signal {
        Signal::Traces => collect::<SpanTable>(shared, search, &mut values),
        Signal::Logs => collect::<LogTable>(shared, search, &mut values),
        Signal::Metrics => collect_of_series(shared, search, &mut values),
        Signal::Profiles => {}
    }
    values.found.into_values().collect()
}

fn collect_of_series(shared: &Shared, search: &ValueSearch<'_>, values: &mut Values<'_>) {
    let is_in = |scope| search.scope.is_none_or(|wanted| wanted == scope);
    for (_, known) in shared.series().iter() {
        let series = &known.series;
        if !is_of(series, search.metric) {
            continue;
        }
        let lists = [
            (KeyScope::Point, &series.attributes),
            (KeyScope::Resource, &series.resource.attributes),
        ];
        for (_, attributes) in lists.iter().filter(|(scope, _)| is_in(*scope)) {
            if let Some(found) = attributes.iter().find(|kv| kv.key == search.key) {
                values.add(&found.value);
            }
        }
        if is_in(KeyScope::Intrinsic) {
            match search.key {
                "instrumentation:name" => values.add_text(&series.scope.name),
                "instrumentation:version" => values.add_text(&series.scope.version),
                _ => {}
            }
        }
    }
}

struct Values<'a> {
    prefix: &'a str,
    limit: usize,
    // By type and text, which is how they are sorted.
    found: BTreeMap<(ValueType, String), Value<'static>>,
}

impl Values<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }

    fn add(&mut self, value: &Value<'_>) {
        if self.is_full() || matches!(value, Value::Empty) {
            return;
        }
        let text = value.to_string();
        if text.starts_with(self.prefix) && text.chars().nth(TEXT_CHARS_MAX).is_none() {
            self.found
                .entry((ValueType::of(value), text))
                .or_insert_with(|| value.clone().into_owned());
        }
    }

    fn add_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.add(&Value::from(text));
        }
    }

    fn add_attributes(&mut self, attributes: &Attributes, key: &str, texts: &Texts) {
        let Some(key) = texts.names.find(key) else {
            return;
        };
        let mut last = None;
        for attribute in attributes.items() {
            if attribute.key == key && last != Some(attribute.cell) {
                self.add(&texts.value(attribute.cell));
                last = Some(attribute.cell);
            }
        }
    }

    fn add_resources(&mut self, owners: &Owners, key: &str) {
        for resource in owners.resources() {
            for attribute in resource.attributes.iter().filter(|kv| kv.key == key) {
                self.add(&attribute.value);
            }
        }
    }
}

/// What values are collected from, by signal.
trait Completed: Table {
    /// The scope of a record's own attributes.
    const OWN: (KeyScope, FilterScope);

    /// The sections an intrinsic is found in; `None` if it has none of its own to look through.
    fn intrinsic_sections(intrinsic: &str) -> Option<SectionSet>;
    fn add_intrinsic(&self, intrinsic: &str, values: &mut Values<'_>);
    fn add_own(&self, key: &str, values: &mut Values<'_>);
    fn add_events(&self, key: &str, values: &mut Values<'_>);
}

impl Completed for SpanTable {
    const OWN: (KeyScope, FilterScope) = (KeyScope::Span, FilterScope::Span);

    fn intrinsic_sections(intrinsic: &str) -> Option<SectionSet> {
        match intrinsic {
            "name" | "status" | "kind" | "rootName" | "rootServiceName" => {
                Some(SectionSet::default())
            }
            "statusMessage" => Some(SectionSet::of([Section::Values, Section::Extra])),
            "event:name" => Some(SectionSet::of([Section::Extra])),
            _ => None,
        }
    }

    fn add_intrinsic(&self, intrinsic: &str, values: &mut Values<'_>) {
        let distinct = |column: &[u32]| column.iter().copied().collect::<BTreeSet<u32>>();
        match intrinsic {
            "name" => distinct(&self.names)
                .into_iter()
                .for_each(|name| values.add_text(self.texts.names.get(name))),
            "status" => self
                .statuses
                .iter()
                .collect::<BTreeSet<_>>()
                .iter()
                .for_each(|&&code| {
                    values.add_text(StatusCode::from_otlp(code.into()).as_str());
                }),
            "kind" => self
                .kinds
                .iter()
                .collect::<BTreeSet<_>>()
                .iter()
                .for_each(|&&kind| {
                    values.add_text(SpanKind::from_otlp(kind.into()).as_str());
                }),
            "rootName" | "rootServiceName" => {
                let column = match intrinsic {
                    "rootName" => &self.names,
                    _ => &self.resources,
                };
                let roots = column.iter().zip(&self.is_root);
                let numbers: BTreeSet<u32> = roots
                    .filter(|&(_, &is_root)| is_root)
                    .map(|(&number, _)| number)
                    .collect();
                for number in numbers {
                    match intrinsic {
                        "rootName" => values.add_text(self.texts.names.get(number)),
                        _ => values.add_text(self.owners.resource_at(number).service_name()),
                    }
                }
            }
            "statusMessage" => distinct(&self.messages)
                .into_iter()
                .for_each(|message| values.add_text(self.texts.values.get(message))),
            "event:name" => {
                let names: BTreeSet<u32> = self.events.iter().map(|event| event.name).collect();
                names
                    .into_iter()
                    .for_each(|name| values.add_text(self.texts.names.get(name)));
            }
            _ => {}
        }
    }

    fn add_own(&self, key: &str, values: &mut Values<'_>) {
        values.add_attributes(&self.attributes, key, &self.texts);
    }

    fn add_events(&self, key: &str, values: &mut Values<'_>) {
        values.add_attributes(&self.event_attributes, key, &self.texts);
    }
}

impl Completed for LogTable {
    const OWN: (KeyScope, FilterScope) = (KeyScope::Log, FilterScope::Log);

    fn intrinsic_sections(intrinsic: &str) -> Option<SectionSet> {
        matches!(intrinsic, "severity" | "severityText" | "event:name").then(SectionSet::default)
    }

    fn add_intrinsic(&self, intrinsic: &str, values: &mut Values<'_>) {
        let mut add_names = |column: &[u32]| {
            let distinct: BTreeSet<u32> = column.iter().copied().collect();
            distinct
                .into_iter()
                .for_each(|name| values.add_text(self.texts.names.get(name)));
        };
        match intrinsic {
            "severityText" => add_names(&self.severity_texts),
            "event:name" => add_names(&self.event_names),
            "severity" => {
                let distinct: BTreeSet<u8> = self.severities.iter().copied().collect();
                for number in distinct {
                    values.add_text(Severity::from_otlp(number.into()).as_str());
                }
            }
            _ => {}
        }
    }

    fn add_own(&self, key: &str, values: &mut Values<'_>) {
        values.add_attributes(&self.attributes, key, &self.texts);
    }

    fn add_events(&self, _key: &str, _values: &mut Values<'_>) {}
}

fn collect<T: Completed>(shared: &Shared, search: &ValueSearch<'_>, values: &mut Values<'_>) {
    let wants = |scope: KeyScope| search.scope.is_none_or(|wanted| wanted == scope);
    let intrinsic = T::intrinsic_sections(search.key).filter(|_| wants(KeyScope::Intrinsic));
    let (own, own_filter) = T::OWN;
    let (wants_own, wants_events) = (wants(own), wants(KeyScope::Event));
    let wants_resources = wants(KeyScope::Resource);
    let mut sections = intrinsic.unwrap_or_default();
    if wants_own {
        sections = sections.union(SectionSet::of([Section::Values, Section::Attributes]));
    }
    if wants_events && T::SIGNAL == Signal::Traces {
        sections = sections.union(SectionSet::of([Section::Values, Section::Extra]));
    }
    let snapshot = shared.snapshot::<T>();
    let mut loader = Loader::new(shared, snapshot.blocks.len());
    let mut blocks_read = 0;
    for source in Source::newest_first(&snapshot, snapshot.last_seq) {
        if values.is_full() || blocks_read >= BLOCKS_MAX {
            return;
        }
        if let Source::Block(block) = &source
            && intrinsic.is_none()
        {
            let index = Index::new(block, shared);
            let scopes = [
                (wants_own, own_filter),
                (wants_events, FilterScope::Event),
                (wants_resources, FilterScope::Resource),
            ];
            let has_key = scopes.into_iter().any(|(is_wanted, scope)| {
                is_wanted && index.may_have_key(scope, search.key).unwrap_or(true)
            });
            if !has_key {
                continue;
            }
        }
        blocks_read += usize::from(matches!(source, Source::Block(_)));
        let Some(table) = loader.rows(&source, sections) else {
            continue;
        };
        if intrinsic.is_some() {
            table.add_intrinsic(search.key, values);
        }
        if wants_own {
            table.add_own(search.key, values);
        }
        if wants_events {
            table.add_events(search.key, values);
        }
        if wants_resources {
            values.add_resources(table.owners(), search.key);
        }
    }
}
