//! Log records in columns.

use std::borrow::Cow;

use ringlight_model::{LogRecord, Severity, SpanId, TraceId, Value};

use super::attributes::TextsRemap;
use super::columns::{read_numbers, write_numbers};
use super::{
    Attributes, Cell, Origins, Owners, Pool, TABLE_BYTES, Texts, Traces, WantedKeys, at, nested,
};
use crate::ValueType;
use crate::block::filter::{FilterBuilder, FilterScope};
use crate::block::section::{Section, SectionSet};
use crate::codec::{Corrupt, Reader, put_deltas, put_zigzag};
use crate::query::EqualityForm;

/// Log records, one row each, in the order they arrived.
///
/// A table read from a block has only the columns of the sections that were loaded; the others are
/// empty, and reading them gives zeros and empty texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogTable {
    pub(crate) loaded: SectionSet,
    pub(crate) texts: Texts,
    /// Texts of bodies.
    pub(crate) bodies: Pool,
    pub(crate) owners: Owners,
    pub(crate) origins: Origins,
    pub(crate) traces: Traces,
    pub(crate) span_ids: Vec<SpanId>,
    /// The time to sort by, a row.
    pub(crate) timestamps: Vec<u64>,
    times: Vec<u64>,
    observed: Vec<u64>,
    pub(crate) severities: Vec<u8>,
    /// Number in `texts.names`, as are the event names.
    pub(crate) severity_texts: Vec<u32>,
    pub(crate) event_names: Vec<u32>,
    /// Text is a number in `bodies`, bytes, lists and maps are numbers in `texts.blobs`.
    pub(crate) body_cells: Vec<Cell>,
    pub(crate) resources: Vec<u32>,
    pub(crate) scopes: Vec<u32>,
    pub(crate) attributes: Attributes,
    dropped: Vec<u32>,
    flags: Vec<u32>,
}

impl LogTable {
    pub(crate) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// Adds a record of the request being read, which was received at `received_unix_nano`: the
    /// time it was observed where it names no time at all. The origins are set when the request is
    /// complete.
    pub(crate) fn push(
        &mut self,
        record: &LogRecord<'_>,
        received_unix_nano: u64,
        resource: u32,
        scope: u32,
    ) {
        let observed = match record.timestamp_unix_nano() {
            0 => received_unix_nano,
            _ => record.observed_unix_nano,
        };
        self.traces.push(record.trace_id);
        self.span_ids.push(record.span_id);
        self.push_times(record.time_unix_nano, observed);
        self.severities.push(record.severity.number());
        let names = &mut self.texts.names;
        self.severity_texts
            .push(names.intern(&record.severity_text));
        self.event_names.push(names.intern(&record.event_name));
        let cell = match &record.body {
            Value::Str(text) => Cell::Str(self.bodies.intern(text)),
            other => self.texts.cell(other),
        };
        self.body_cells.push(cell);
        self.resources.push(resource);
        self.scopes.push(scope);
        self.attributes.push(&record.attributes, &mut self.texts);
        self.dropped.push(record.dropped_attributes_count);
        self.flags.push(record.flags);
    }

    fn push_times(&mut self, time: u64, observed: u64) {
        self.times.push(time);
        self.observed.push(observed);
        self.timestamps
            .push(if time != 0 { time } else { observed });
    }

    /// Adds the rows of another, whole table and their origins.
    pub(crate) fn take(&mut self, from: &Self) {
        let mut remap = self.texts.remapping(&from.texts);
        let mut bodies = self.bodies.remapping(&from.bodies);
        let (resources, scopes) = self.owners.take(&from.owners);
        for row in 0..from.rows() {
            self.take_row(row, from, &mut remap);
            let cell = match at_cell(&from.body_cells, row) {
                Cell::Str(number) => Cell::Str(bodies.map(number, &from.bodies, &mut self.bodies)),
                other => self.texts.take_cell(other, &from.texts, &mut remap),
            };
            self.body_cells.push(cell);
            self.resources
                .push(at(&resources, at(&from.resources, row) as usize));
            self.scopes
                .push(at(&scopes, at(&from.scopes, row) as usize));
        }
        for (count, seq) in from.origins.iter() {
            self.origins.push(count, seq);
        }
    }

    fn take_row(&mut self, row: usize, from: &Self, remap: &mut TextsRemap) {
        self.traces.push(from.trace_id(row));
        self.span_ids.push(at(&from.span_ids, row));
        self.push_times(at(&from.times, row), at(&from.observed, row));
        self.severities.push(at(&from.severities, row));
        self.dropped.push(at(&from.dropped, row));
        self.flags.push(at(&from.flags, row));
        let texts = &mut self.texts;
        let severity_text = at(&from.severity_texts, row);
        self.severity_texts
            .push(texts.take_name(severity_text, &from.texts, remap));
        let event_name = at(&from.event_names, row);
        self.event_names
            .push(texts.take_name(event_name, &from.texts, remap));
        self.attributes
            .take_row(row, &from.attributes, texts, &from.texts, remap);
    }

    pub(crate) fn trace_id(&self, row: usize) -> TraceId {
        self.traces.of(row)
    }

    pub(crate) fn severity(&self, row: usize) -> Severity {
        Severity::from_otlp(at(&self.severities, row).into())
    }

    pub(crate) fn body(&self, row: usize) -> Value<'_> {
        match at_cell(&self.body_cells, row) {
            Cell::Str(number) => Value::Str(Cow::Borrowed(self.bodies.get(number))),
            other => self.texts.value(other),
        }
    }

    /// The whole record of a row. Needs all sections.
    pub(crate) fn record(&self, row: usize) -> LogRecord<'static> {
        let name = |number| Cow::Owned(self.texts.names.get(number).to_owned());
        LogRecord {
            time_unix_nano: at(&self.times, row),
            observed_unix_nano: at(&self.observed, row),
            severity: self.severity(row),
            severity_text: name(at(&self.severity_texts, row)),
            event_name: name(at(&self.event_names, row)),
            body: self.body(row).into_owned(),
            attributes: self.attributes.materialize(row, &self.texts),
            dropped_attributes_count: at(&self.dropped, row),
            flags: at(&self.flags, row),
            trace_id: self.trace_id(row),
            span_id: at(&self.span_ids, row),
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        const ROW: usize = 4 * 8 + 7 * 4 + 1 + size_of::<Cell>();
        TABLE_BYTES
            + ROW * self.timestamps.capacity()
            + self.traces.memory_bytes()
            + self.bodies.memory_bytes()
            + self.texts.memory_bytes()
            + self.owners.memory_bytes()
            + self.attributes.memory_bytes()
    }

    /// The bytes of a section, before compression. Keys and values go to `filter`.
    pub(crate) fn write_section(&self, section: Section, filter: &mut FilterBuilder) -> Vec<u8> {
        let mut out = Vec::new();
        match section {
            Section::Dictionary => {
                self.texts.names.write(&mut out);
                self.owners.write(&mut out);
                super::owners::filter_owners(&self.owners, filter);
            }
            Section::Core => self.write_core(filter, &mut out),
            Section::Traces => {
                self.traces.write_ids(&mut out);
                self.traces.write_rows(&mut out);
            }
            Section::Ids => {
                for id in &self.span_ids {
                    out.extend_from_slice(&id.to_bytes());
                }
            }
            Section::Values => self.texts.values.write(&mut out),
            Section::Attributes => {
                self.attributes
                    .write(&self.texts, FilterScope::Log, filter, &mut out);
            }
            Section::Extra => {
                let _ = write_numbers(self.dropped.iter().copied(), &mut out);
                let _ = write_numbers(self.flags.iter().copied(), &mut out);
            }
            Section::Body => self.write_body(&mut out),
            Section::Points
            | Section::Exemplars
            | Section::Filter
            | Section::TraceFilter
            | Section::BodyFilter
            | Section::Operations => {}
        }
        out
    }

    /// Adds the columns of a section of a block with so many rows, of attributes those of `keys`. The
    /// core comes first, then the dictionary.
    pub(crate) fn read_section(
        &mut self,
        section: Section,
        rows: usize,
        bytes: &[u8],
        keys: &WantedKeys,
    ) -> Result<(), Corrupt> {
        let mut reader = Reader::new(bytes);
        match section {
            Section::Dictionary => {
                self.texts.names = Pool::read(&mut reader)?;
                self.owners = Owners::read(&mut reader)?;
            }
            Section::Core => self.read_core(rows, &mut reader)?,
            Section::Traces => {
                self.traces.read_ids(&mut reader)?;
                self.traces.read_rows(rows, &mut reader)?;
            }
            Section::Ids => {
                reader.check(rows)?;
                self.span_ids = (0..rows)
                    .map(|_| reader.array().map(SpanId::from_bytes))
                    .collect::<Result<_, _>>()?;
            }
            Section::Values => self.texts.values = Pool::read(&mut reader)?,
            Section::Attributes => {
                let Texts { names, blobs, .. } = &mut self.texts;
                self.attributes = Attributes::read(rows, &mut reader, blobs, |key| {
                    keys.contains(names.get(key))
                })?;
            }
            Section::Extra => {
                self.dropped = read_numbers(rows, &mut reader)?;
                self.flags = read_numbers(rows, &mut reader)?;
            }
            Section::Body => self.read_body(rows, &mut reader)?,
            Section::Points
            | Section::Exemplars
            | Section::Filter
            | Section::TraceFilter
            | Section::BodyFilter
            | Section::Operations => {
                return Err(Corrupt("section does not belong to log records"));
            }
        }
        self.loaded.insert(section);
        reader.end()
    }

    fn write_core(&self, filter: &mut FilterBuilder, out: &mut Vec<u8>) {
        self.origins.write(out);
        put_deltas(out, self.timestamps.iter().copied());
        // Zero where the time is known, as it is the timestamp then.
        for (&timestamp, &time) in self.timestamps.iter().zip(&self.times) {
            put_zigzag(out, time.wrapping_sub(timestamp).cast_signed());
        }
        for (&timestamp, &observed) in self.timestamps.iter().zip(&self.observed) {
            put_zigzag(out, observed.wrapping_sub(timestamp).cast_signed());
        }
        out.extend_from_slice(&self.severities);
        let mut put_names = |name: &str, column: &[u32]| {
            let numbers = write_numbers(column.iter().copied(), out);
            let key = filter.key(FilterScope::Intrinsic, name);
            for number in numbers {
                filter.form(key, &EqualityForm::text(self.texts.names.get(number)));
            }
        };
        put_names("severityText", &self.severity_texts);
        put_names("event:name", &self.event_names);
        let _ = write_numbers(self.resources.iter().copied(), out);
        let _ = write_numbers(self.scopes.iter().copied(), out);
    }

    fn read_core(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.origins = Origins::read(rows, reader)?;
        self.timestamps = reader.deltas(rows)?;
        let times = reader.zigzags(rows)?;
        let observed = reader.zigzags(rows)?;
        let from_timestamps = |offsets: Vec<i64>| {
            self.timestamps
                .iter()
                .zip(offsets)
                .map(|(&timestamp, offset)| timestamp.wrapping_add(offset.cast_unsigned()))
                .collect()
        };
        (self.times, self.observed) = (from_timestamps(times), from_timestamps(observed));
        self.severities = reader.take(rows)?.to_vec();
        self.severity_texts = read_numbers(rows, reader)?;
        self.event_names = read_numbers(rows, reader)?;
        self.resources = read_numbers(rows, reader)?;
        self.scopes = read_numbers(rows, reader)?;
        Ok(())
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        self.bodies.write(out);
        out.extend(self.body_cells.iter().map(|cell| cell.value_type() as u8));
        let texts = self.body_cells.iter().filter_map(|&cell| match cell {
            Cell::Str(number) => Some(number),
            _ => None,
        });
        let _ = write_numbers(texts, out);
        for &cell in &self.body_cells {
            if !matches!(cell, Cell::Str(_)) {
                nested::write_value(out, &self.texts.value(cell));
            }
        }
    }

    fn read_body(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.bodies = Pool::read(reader)?;
        let types = reader.take(rows)?;
        let is_text = |&value_type: &u8| value_type == ValueType::String as u8;
        let count = types
            .iter()
            .filter(|value_type| is_text(value_type))
            .count();
        let mut texts = read_numbers(count, reader)?.into_iter();
        for value_type in types {
            let cell = if is_text(value_type) {
                Cell::Str(texts.next().unwrap_or(0))
            } else {
                let value = nested::read_value(reader)?;
                self.texts.cell(&value)
            };
            self.body_cells.push(cell);
        }
        Ok(())
    }
}

fn at_cell(cells: &[Cell], row: usize) -> Cell {
    cells.get(row).copied().unwrap_or(Cell::Empty)
}
