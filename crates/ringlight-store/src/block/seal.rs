//! Making a block from the columns of the head.

use std::collections::BTreeSet;

use ringlight_model::{Resource, Signal, StatusCode, TraceId};

use super::filter::{FilterBuilder, trace_hash, trigram_hash, trigrams};
use super::info::{KEYS_MAX, is_listed, may_have_lists};
use super::section::{Packer, Section};
use super::{BlockInfo, Names, Ranges, ServiceRows};
use crate::steps::{Step, reached};
use crate::table::{
    Attributes, Cell, LogTable, MetricTable, Order, Owners, SpanTable, Texts, write_operations,
};
use crate::{AttributeKey, KeyScope, ValueType};

const FILTER_BITS: usize = 8;
const FILTER_BYTES_MAX: usize = 64 * 1024;
/// More than for keys: a trace is looked up in every block there is.
const TRACE_FILTER_BITS: usize = 16;
const TRACE_FILTER_BYTES_MAX: usize = 256 * 1024;
const BODY_FILTER_BITS: usize = 6;

/// A block ready to be written.
#[derive(Debug)]
pub(crate) struct SealedBlock {
    pub(crate) info: BlockInfo,
    pub(crate) sections: Vec<(Section, Vec<u8>)>,
}

/// Seals spans of one run. The table is whole and has at least one row.
pub(crate) fn seal_spans(table: &SpanTable, run: u64, received_max: u64) -> SealedBlock {
    let columns = [
        Section::Dictionary,
        Section::Core,
        Section::Traces,
        Section::Ids,
        Section::Values,
        Section::Attributes,
        Section::Extra,
    ];
    let mut sections = Sections::default();
    sections.add_columns(&columns, |section, filter| {
        table.write_section(section, filter)
    });
    sections.add_trace_filter(&table.traces.ids);
    sections.add(Section::Operations, &write_operations(&table.operations()));
    SealedBlock {
        info: BlockInfo {
            ranges: sections.ranges,
            ..span_info(table, run, received_max)
        },
        sections: sections.packed,
    }
}

/// The sections of a block as they are made.
#[derive(Default)]
struct Sections {
    packer: Packer,
    packed: Vec<(Section, Vec<u8>)>,
    ranges: Ranges,
}

impl Sections {
    fn add(&mut self, section: Section, bytes: &[u8]) {
        self.packed.push((section, self.packer.pack(bytes)));
    }

    /// The columns, the filter of their keys and values, and the ranges of these.
    fn add_columns(
        &mut self,
        columns: &[Section],
        write: impl Fn(Section, &mut FilterBuilder) -> Vec<u8>,
    ) {
        let mut filter = FilterBuilder::default();
        for &section in columns {
            let bytes = write(section, &mut filter);
            self.add(section, &bytes);
        }
        reached(Step::Encoding);
        self.ranges = filter.take_ranges();
        self.add(
            Section::Filter,
            &filter.build(FILTER_BITS, FILTER_BYTES_MAX),
        );
    }

    fn add_trace_filter(&mut self, trace_ids: &[TraceId]) {
        let mut filter = FilterBuilder::default();
        for &id in trace_ids.iter().filter(|id| id.is_valid()) {
            filter.hash(trace_hash(id));
        }
        let filter = filter.build(TRACE_FILTER_BITS, TRACE_FILTER_BYTES_MAX);
        self.add(Section::TraceFilter, &filter);
    }
}

fn span_info(table: &SpanTable, run: u64, received_max: u64) -> BlockInfo {
    let rows = table.rows();
    let (first_seq, last_seq) = seq_range(table.origins.iter());
    let names: BTreeSet<u32> = table.names.iter().copied().collect();
    let errors = (0..rows).filter(|&row| table.status(row) == StatusCode::Error);
    let mut keys = Keys::default();
    keys.add(KeyScope::Span, &table.attributes, &table.texts);
    keys.add(KeyScope::Event, &table.event_attributes, &table.texts);
    keys.add_resources(&table.owners);
    BlockInfo {
        signal: Signal::Traces,
        run,
        rows: rows as u32,
        first_seq,
        last_seq,
        time_min: table.starts.iter().copied().min().unwrap_or(0),
        time_max: table.starts.iter().copied().max().unwrap_or(0),
        end_max: (0..rows).map(|row| table.end(row)).max().unwrap_or(0),
        duration_min: table.durations.iter().copied().min().unwrap_or(0),
        duration_max: table.durations.iter().copied().max().unwrap_or(0),
        error_count: errors.count() as u64,
        statuses: table.statuses.iter().fold(0, |mask, &s| mask | bit(s)),
        kinds: table.kinds.iter().fold(0, |mask, &kind| mask | bit(kind)),
        severity_min: 0,
        severity_max: 0,
        root_count: table.is_root.iter().filter(|&&root| root).count() as u64,
        received_max,
        services: ServiceRows::of(&table.owners, &table.resources, &table.starts),
        names: Names::of(
            names
                .iter()
                .map(|&name| table.texts.names.get(name))
                .collect::<Vec<_>>()
                .into_iter(),
        ),
        may_have_lists: may_have_lists(&keys.found),
        keys: keys.found,
        ranges: Ranges::Unknown,
    }
}

/// Seals log records of one run. The table is whole and has at least one row.
pub(crate) fn seal_logs(table: &LogTable, run: u64, received_max: u64) -> SealedBlock {
    let columns = [
        Section::Dictionary,
        Section::Core,
        Section::Traces,
        Section::Ids,
        Section::Values,
        Section::Attributes,
        Section::Extra,
        Section::Body,
    ];
    let mut sections = Sections::default();
    sections.add_columns(&columns, |section, filter| {
        table.write_section(section, filter)
    });
    sections.add_trace_filter(&table.traces.ids);
    sections.add(Section::BodyFilter, &body_filter(table));
    SealedBlock {
        info: BlockInfo {
            ranges: sections.ranges,
            ..log_info(table, run, received_max)
        },
        sections: sections.packed,
    }
}

fn log_info(table: &LogTable, run: u64, received_max: u64) -> BlockInfo {
    let (first_seq, last_seq) = seq_range(table.origins.iter());
    let time_max = table.timestamps.iter().copied().max().unwrap_or(0);
    let mut keys = Keys::default();
    keys.add(KeyScope::Log, &table.attributes, &table.texts);
    keys.add_resources(&table.owners);
    BlockInfo {
        signal: Signal::Logs,
        run,
        rows: table.rows() as u32,
        first_seq,
        last_seq,
        time_min: table.timestamps.iter().copied().min().unwrap_or(0),
        time_max,
        end_max: time_max,
        duration_min: 0,
        duration_max: 0,
        error_count: 0,
        statuses: 0,
        kinds: 0,
        severity_min: table.severities.iter().copied().min().unwrap_or(0),
        severity_max: table.severities.iter().copied().max().unwrap_or(0),
        root_count: 0,
        received_max,
        services: ServiceRows::of(&table.owners, &table.resources, &table.timestamps),
        names: Names::All(Vec::new()),
        may_have_lists: may_have_lists(&keys.found),
        keys: keys.found,
        ranges: Ranges::Unknown,
    }
}

/// Seals points of one run, and says what these series are. The table is whole and has at least one row.
pub(crate) fn seal_metrics(
    table: &MetricTable,
    run: u64,
    received_max: u64,
    unlisted: &[u64],
) -> SealedBlock {
    let order = Order::of(table);
    let mut sections = Sections::default();
    if !unlisted.is_empty() {
        sections.add(Section::Dictionary, &table.write_listed(unlisted));
    }
    for section in [
        Section::Core,
        Section::Points,
        Section::Values,
        Section::Extra,
        Section::Exemplars,
    ] {
        let bytes = table.write_section(section, &order);
        sections.add(section, &bytes);
    }
    reached(Step::Encoding);
    SealedBlock {
        info: metric_info(table, run, received_max),
        sections: sections.packed,
    }
}

fn metric_info(table: &MetricTable, run: u64, received_max: u64) -> BlockInfo {
    let (first_seq, last_seq) = seq_range(table.origins.iter());
    let time_max = table.times.iter().copied().max().unwrap_or(0);
    let names: BTreeSet<&str> = table
        .series
        .iter()
        .filter_map(|local| local.series.as_ref())
        .map(|series| &*series.metric.name)
        .collect();
    let ids = || table.series.iter().map(|series| series.id);
    BlockInfo {
        signal: Signal::Metrics,
        run,
        rows: table.rows() as u32,
        first_seq,
        last_seq,
        time_min: table.times.iter().copied().min().unwrap_or(0),
        time_max,
        end_max: time_max,
        duration_min: ids().min().unwrap_or(0),
        duration_max: ids().max().unwrap_or(0),
        error_count: 0,
        statuses: 0,
        kinds: 0,
        severity_min: 0,
        severity_max: 0,
        root_count: 0,
        received_max,
        services: ServiceRows::of(&table.owners, &table.resources, &table.times),
        names: Names::of(names.into_iter().collect::<Vec<_>>().into_iter()),
        keys: Vec::new(),
        may_have_lists: false,
        ranges: Ranges::default(),
    }
}

// Texts of every body, of those that are not text in the form a query sees them in.
fn body_filter(table: &LogTable) -> Vec<u8> {
    // One bit for each of the 2^24 trigrams: telling them apart costs nothing then.
    let mut seen = vec![0_u64; 1 << 18];
    let mut distinct = Vec::new();
    let mut add = |text: &str| {
        for trigram in trigrams(text) {
            let (word, mask) = (&mut seen[(trigram >> 6) as usize], 1 << (trigram & 63));
            if *word & mask == 0 {
                *word |= mask;
                distinct.push(trigram);
            }
        }
    };
    table.bodies.iter().for_each(&mut add);
    for (row, cell) in table.body_cells.iter().enumerate() {
        if !matches!(cell, Cell::Str(_)) {
            add(&table.body(row).to_string());
        }
    }
    let mut filter = FilterBuilder::default();
    for trigram in distinct {
        filter.hash(trigram_hash(trigram));
    }
    filter.build(BODY_FILTER_BITS, FILTER_BYTES_MAX)
}

const fn bit(number: u8) -> u8 {
    1 << (number & 7)
}

fn seq_range(origins: impl Iterator<Item = (u32, u64)>) -> (u64, u64) {
    let mut range: Option<(u64, u64)> = None;
    for (_, seq) in origins {
        range = Some(range.map_or((seq, seq), |(first, _)| (first, seq)));
    }
    range.unwrap_or((0, 0))
}

/// Collects distinct keys, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    found: Vec<AttributeKey>,
}

impl Keys {
    fn add(&mut self, scope: KeyScope, attributes: &Attributes, texts: &Texts) {
        let mut seen: BTreeSet<(u32, ValueType)> = BTreeSet::new();
        let mut last = None;
        for attribute in attributes.items() {
            let key = (attribute.key, attribute.cell.value_type());
            if last != Some(key) && seen.insert(key) {
                self.push(scope, texts.names.get(key.0), key.1);
            }
            last = Some(key);
        }
    }

    fn add_resources(&mut self, owners: &Owners) {
        for Resource { attributes, .. } in owners.resources().iter().map(AsRef::as_ref) {
            for attribute in attributes {
                let value_type = ValueType::of(&attribute.value);
                let known = self.found.iter().any(|known| {
                    known.scope == KeyScope::Resource
                        && known.value_type == value_type
                        && known.key == attribute.key
                });
                if !known {
                    self.push(KeyScope::Resource, &attribute.key, value_type);
                }
            }
        }
    }

    fn push(&mut self, scope: KeyScope, key: &str, value_type: ValueType) {
        if self.found.len() < KEYS_MAX && is_listed(key) {
            self.found.push(AttributeKey {
                scope,
                key: key.to_owned(),
                value_type,
            });
        }
    }
}
