//! Spans in columns.

use std::borrow::Cow;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{Span, SpanEvent, SpanId, SpanKind, SpanLink, Status, StatusCode, TraceId};

use super::attributes::{TextsRemap, read_numbers, write_numbers};
use super::{Attributes, Origins, Owners, Pool, Texts};
use crate::block::filter::{FilterBuilder, FilterScope};
use crate::block::section::{Section, SectionSet};
use crate::codec::{Corrupt, Reader, put_deltas, put_varint, put_zigzag};
use crate::query::EqualityForm;

/// Spans, one row each, in the order they arrived.
///
/// A table read from a block has only the columns of the sections that were loaded; the others are
/// empty, and reading them gives zeros and empty texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpanTable {
    pub(crate) loaded: SectionSet,
    pub(crate) texts: Texts,
    pub(crate) owners: Owners,
    pub(crate) origins: Origins,
    /// Distinct trace ids, in the order they first occur.
    pub(crate) trace_ids: Vec<TraceId>,
    trace_numbers: HashMap<TraceId, u32, RandomState>,
    /// Index into `trace_ids`, a row.
    pub(crate) traces: Vec<u32>,
    pub(crate) span_ids: Vec<SpanId>,
    pub(crate) parents: Vec<SpanId>,
    /// Whether the span has no parent, a row.
    pub(crate) is_root: Vec<bool>,
    pub(crate) starts: Vec<u64>,
    pub(crate) durations: Vec<u64>,
    /// Number in `texts.names`.
    pub(crate) names: Vec<u32>,
    pub(crate) kinds: Vec<u8>,
    pub(crate) statuses: Vec<u8>,
    /// Number in `texts.values`, as are the trace states.
    pub(crate) messages: Vec<u32>,
    trace_states: Vec<u32>,
    flags: Vec<u32>,
    pub(crate) resources: Vec<u32>,
    pub(crate) scopes: Vec<u32>,
    dropped: Vec<Dropped>,
    pub(crate) attributes: Attributes,
    event_ends: Vec<u32>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) event_attributes: Attributes,
    link_ends: Vec<u32>,
    links: Vec<LinkRow>,
    link_attributes: Attributes,
}

#[derive(Debug, Clone, Copy, Default)]
struct Dropped {
    attributes: u32,
    events: u32,
    links: u32,
}

/// A span event; its attributes are the row of the same number in `event_attributes`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventRow {
    time_unix_nano: u64,
    /// Number in `texts.names`.
    pub(crate) name: u32,
    dropped: u32,
}

#[derive(Debug, Clone, Copy)]
struct LinkRow {
    trace_id: TraceId,
    span_id: SpanId,
    trace_state: u32,
    dropped: u32,
    flags: u32,
}

fn range_of(ends: &[u32], row: usize) -> std::ops::Range<usize> {
    let end = ends.get(row).copied().unwrap_or(0) as usize;
    let start = match row.checked_sub(1) {
        Some(before) => ends.get(before).copied().unwrap_or(0) as usize,
        None => 0,
    };
    start..end.max(start)
}

fn at<T: Copy + Default>(column: &[T], row: usize) -> T {
    column.get(row).copied().unwrap_or_default()
}

impl SpanTable {
    pub(crate) fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Adds a span of the request being read. The origins are set when it is complete.
    pub(crate) fn push(&mut self, span: &Span<'_>, resource: u32, scope: u32) {
        self.push_trace(span.trace_id);
        self.span_ids.push(span.span_id);
        self.parents.push(span.parent_span_id);
        self.is_root.push(!span.parent_span_id.is_valid());
        self.starts.push(span.start_unix_nano);
        self.durations.push(span.duration_nano());
        self.names.push(self.texts.names.intern(&span.name));
        self.kinds.push(span.kind as u8);
        self.statuses.push(span.status.code as u8);
        self.messages
            .push(self.texts.values.intern(&span.status.message));
        self.trace_states
            .push(self.texts.values.intern(&span.trace_state));
        self.flags.push(span.flags);
        self.resources.push(resource);
        self.scopes.push(scope);
        self.dropped.push(Dropped {
            attributes: span.dropped_attributes_count,
            events: span.dropped_events_count,
            links: span.dropped_links_count,
        });
        self.attributes.push(&span.attributes, &mut self.texts);
        for event in &span.events {
            self.events.push(EventRow {
                time_unix_nano: event.time_unix_nano,
                name: self.texts.names.intern(&event.name),
                dropped: event.dropped_attributes_count,
            });
            self.event_attributes
                .push(&event.attributes, &mut self.texts);
        }
        self.event_ends.push(self.events.len() as u32);
        for link in &span.links {
            self.links.push(LinkRow {
                trace_id: link.trace_id,
                span_id: link.span_id,
                trace_state: self.texts.values.intern(&link.trace_state),
                dropped: link.dropped_attributes_count,
                flags: link.flags,
            });
            self.link_attributes.push(&link.attributes, &mut self.texts);
        }
        self.link_ends.push(self.links.len() as u32);
    }

    fn push_trace(&mut self, trace_id: TraceId) {
        let number = match self.traces.last() {
            Some(&last) if self.trace_ids.get(last as usize) == Some(&trace_id) => last,
            _ => *self.trace_numbers.entry(trace_id).or_insert_with(|| {
                self.trace_ids.push(trace_id);
                self.trace_ids.len() as u32 - 1
            }),
        };
        self.traces.push(number);
    }

    /// Adds the rows of another, whole table, or those of them that `keep` says, and their origins.
    pub(crate) fn take(&mut self, from: &Self, keep: impl Fn(usize) -> bool) {
        let mut remap = self.texts.remapping(&from.texts);
        let resources: Vec<u32> = from
            .owners
            .resources()
            .iter()
            .map(|resource| self.owners.resource(resource))
            .collect();
        let scopes: Vec<u32> = from
            .owners
            .scopes()
            .iter()
            .map(|scope| self.owners.scope(scope))
            .collect();
        let mut row = 0;
        for (count, seq) in from.origins.iter() {
            let mut kept = 0;
            for _ in 0..count {
                if keep(row) {
                    self.take_row(row, from, &mut remap, &resources, &scopes);
                    kept += 1;
                }
                row += 1;
            }
            self.origins.push(kept, seq);
        }
    }

    fn take_row(
        &mut self,
        row: usize,
        from: &Self,
        remap: &mut TextsRemap,
        resources: &[u32],
        scopes: &[u32],
    ) {
        self.push_trace(from.trace_id(row));
        self.span_ids.push(at(&from.span_ids, row));
        self.parents.push(at(&from.parents, row));
        self.is_root.push(at(&from.is_root, row));
        self.starts.push(at(&from.starts, row));
        self.durations.push(at(&from.durations, row));
        self.kinds.push(at(&from.kinds, row));
        self.statuses.push(at(&from.statuses, row));
        self.flags.push(at(&from.flags, row));
        self.dropped.push(at(&from.dropped, row));
        self.resources
            .push(at(resources, at(&from.resources, row) as usize));
        self.scopes.push(at(scopes, at(&from.scopes, row) as usize));
        let texts = &mut self.texts;
        self.names
            .push(texts.take_name(at(&from.names, row), &from.texts, remap));
        self.messages
            .push(texts.take_text(at(&from.messages, row), &from.texts, remap));
        self.trace_states
            .push(texts.take_text(at(&from.trace_states, row), &from.texts, remap));
        self.attributes
            .take_row(row, &from.attributes, texts, &from.texts, remap);
        for event in range_of(&from.event_ends, row) {
            if let Some(&event_row) = from.events.get(event) {
                self.events.push(EventRow {
                    name: texts.take_name(event_row.name, &from.texts, remap),
                    ..event_row
                });
                self.event_attributes.take_row(
                    event,
                    &from.event_attributes,
                    texts,
                    &from.texts,
                    remap,
                );
            }
        }
        self.event_ends.push(self.events.len() as u32);
        for link in range_of(&from.link_ends, row) {
            if let Some(&link_row) = from.links.get(link) {
                self.links.push(LinkRow {
                    trace_state: texts.take_text(link_row.trace_state, &from.texts, remap),
                    ..link_row
                });
                self.link_attributes.take_row(
                    link,
                    &from.link_attributes,
                    texts,
                    &from.texts,
                    remap,
                );
            }
        }
        self.link_ends.push(self.links.len() as u32);
    }

    pub(crate) fn trace_id(&self, row: usize) -> TraceId {
        at(&self.trace_ids, at(&self.traces, row) as usize)
    }

    /// The end of a row's span; the latest time there is where it would lie beyond.
    pub(crate) fn end(&self, row: usize) -> u64 {
        at(&self.starts, row).saturating_add(at(&self.durations, row))
    }

    pub(crate) fn kind(&self, row: usize) -> SpanKind {
        SpanKind::from_otlp(at(&self.kinds, row).into())
    }

    pub(crate) fn status(&self, row: usize) -> StatusCode {
        StatusCode::from_otlp(at(&self.statuses, row).into())
    }

    pub(crate) fn name(&self, row: usize) -> &str {
        self.texts.names.get(at(&self.names, row))
    }

    /// Numbers of a row's events.
    pub(crate) fn events_of(&self, row: usize) -> std::ops::Range<usize> {
        range_of(&self.event_ends, row)
    }

    /// The whole span of a row. Needs all sections.
    pub(crate) fn span(&self, row: usize) -> Span<'static> {
        let dropped = at(&self.dropped, row);
        let text = |number| Cow::Owned(self.texts.values.get(number).to_owned());
        let events = self.events_of(row).filter_map(|index| {
            let event = self.events.get(index)?;
            Some(SpanEvent {
                time_unix_nano: event.time_unix_nano,
                name: Cow::Owned(self.texts.names.get(event.name).to_owned()),
                attributes: self.event_attributes.materialize(index, &self.texts),
                dropped_attributes_count: event.dropped,
            })
        });
        let links = range_of(&self.link_ends, row).filter_map(|index| {
            let link = self.links.get(index)?;
            Some(SpanLink {
                trace_id: link.trace_id,
                span_id: link.span_id,
                trace_state: text(link.trace_state),
                attributes: self.link_attributes.materialize(index, &self.texts),
                dropped_attributes_count: link.dropped,
                flags: link.flags,
            })
        });
        Span {
            trace_id: self.trace_id(row),
            span_id: at(&self.span_ids, row),
            parent_span_id: at(&self.parents, row),
            trace_state: text(at(&self.trace_states, row)),
            flags: at(&self.flags, row),
            name: Cow::Owned(self.name(row).to_owned()),
            kind: self.kind(row),
            start_unix_nano: at(&self.starts, row),
            end_unix_nano: self.end(row),
            attributes: self.attributes.materialize(row, &self.texts),
            dropped_attributes_count: dropped.attributes,
            events: events.collect(),
            dropped_events_count: dropped.events,
            links: links.collect(),
            dropped_links_count: dropped.links,
            status: Status {
                code: self.status(row),
                message: text(at(&self.messages, row)),
            },
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        const ROW: usize = 4 * 8 + 11 * 4 + 3 + size_of::<Dropped>();
        ROW * self.starts.capacity()
            + 48 * self.trace_ids.capacity()
            + size_of::<EventRow>() * self.events.capacity()
            + size_of::<LinkRow>() * self.links.capacity()
            + self.texts.memory_bytes()
            + self.owners.memory_bytes()
            + self.attributes.memory_bytes()
            + self.event_attributes.memory_bytes()
            + self.link_attributes.memory_bytes()
    }

    /// The bytes of a section, before compression. Keys and values go to `filter`.
    pub(crate) fn write_section(&self, section: Section, filter: &mut FilterBuilder) -> Vec<u8> {
        let mut out = Vec::new();
        match section {
            Section::Dictionary => self.write_dictionary(filter, &mut out),
            Section::Core => self.write_core(filter, &mut out),
            Section::Traces => {
                put_varint(&mut out, self.trace_ids.len() as u64);
                for id in &self.trace_ids {
                    out.extend_from_slice(&id.to_bytes());
                }
            }
            Section::Ids => self.write_ids(&mut out),
            Section::Values => self.texts.values.write(&mut out),
            Section::Attributes => {
                self.attributes
                    .write(&self.texts, FilterScope::Span, filter, &mut out);
            }
            Section::Extra => self.write_extra(filter, &mut out),
            Section::Body | Section::Filter | Section::TraceFilter | Section::BodyFilter => {}
        }
        out
    }

    /// Adds the columns of a section of a block with so many rows. The core comes first.
    pub(crate) fn read_section(
        &mut self,
        section: Section,
        rows: usize,
        bytes: &[u8],
    ) -> Result<(), Corrupt> {
        let mut reader = Reader::new(bytes);
        match section {
            Section::Dictionary => {
                self.texts.names = Pool::read(&mut reader)?;
                self.owners = Owners::read(&mut reader)?;
            }
            Section::Core => self.read_core(rows, &mut reader)?,
            Section::Traces => {
                for _ in 0..reader.count()? {
                    self.trace_ids.push(TraceId::from_bytes(reader.array()?));
                }
            }
            Section::Ids => self.read_ids(rows, &mut reader)?,
            Section::Values => self.texts.values = Pool::read(&mut reader)?,
            Section::Attributes => {
                self.attributes = Attributes::read(rows, &mut reader, &mut self.texts.blobs)?;
            }
            Section::Extra => self.read_extra(rows, &mut reader)?,
            Section::Body | Section::Filter | Section::TraceFilter | Section::BodyFilter => {
                return Err(Corrupt("section does not belong to spans"));
            }
        }
        self.loaded.insert(section);
        reader.end()
    }

    fn write_dictionary(&self, filter: &mut FilterBuilder, out: &mut Vec<u8>) {
        self.texts.names.write(out);
        self.owners.write(out);
        super::owners::filter_owners(&self.owners, filter);
    }

    fn write_core(&self, filter: &mut FilterBuilder, out: &mut Vec<u8>) {
        self.origins.write(out);
        write_starts(&self.starts, &self.durations, out);
        for &duration in &self.durations {
            put_varint(out, duration);
        }
        let names = write_numbers(self.names.iter().copied(), out);
        let key = filter.key(FilterScope::Intrinsic, "name");
        for name in names {
            filter.form(key, &EqualityForm::text(self.texts.names.get(name)));
        }
        out.extend_from_slice(&self.kinds);
        out.extend_from_slice(&self.statuses);
        out.extend(self.is_root.iter().map(|&root| u8::from(root)));
        let _ = write_numbers(self.resources.iter().copied(), out);
        let _ = write_numbers(self.scopes.iter().copied(), out);
        put_deltas(out, self.traces.iter().map(|&number| number.into()));
    }

    fn read_core(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.origins = Origins::read(rows, reader)?;
        let coding = reader.u8()?;
        let steps = reader.deltas_raw(rows)?;
        self.durations = reader.varints(rows)?;
        self.starts = starts_from(coding, &steps, &self.durations)?;
        self.names = read_numbers(rows, reader)?;
        self.kinds = reader.take(rows)?.to_vec();
        self.statuses = reader.take(rows)?.to_vec();
        self.is_root = reader.take(rows)?.iter().map(|&byte| byte != 0).collect();
        self.resources = read_numbers(rows, reader)?;
        self.scopes = read_numbers(rows, reader)?;
        let traces = reader.deltas(rows)?.into_iter();
        self.traces = traces
            .map(|number| u32::try_from(number).map_err(|_| Corrupt("trace is out of range")))
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    // A parent is nearly always in the same block: then only its distance is written.
    fn write_ids(&self, out: &mut Vec<u8>) {
        for id in &self.span_ids {
            out.extend_from_slice(&id.to_bytes());
        }
        let mut rows: HashMap<(u32, SpanId), usize, RandomState> = HashMap::default();
        rows.reserve(self.rows());
        for (row, (&trace, &id)) in self.traces.iter().zip(&self.span_ids).enumerate() {
            rows.insert((trace, id), row);
        }
        let mut elsewhere = Vec::new();
        for (row, (&trace, &parent)) in self.traces.iter().zip(&self.parents).enumerate() {
            if !parent.is_valid() {
                put_varint(out, PARENT_NONE);
            } else if let Some(&parent_row) = rows.get(&(trace, parent)) {
                let distance = (parent_row as i64) - (row as i64);
                let code = ((distance << 1) ^ (distance >> 63)).cast_unsigned();
                put_varint(out, PARENT_NEAR + code);
            } else {
                put_varint(out, PARENT_ELSEWHERE);
                elsewhere.extend_from_slice(&parent.to_bytes());
            }
        }
        out.extend_from_slice(&elsewhere);
    }

    fn read_ids(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        reader.check(rows)?;
        self.span_ids = (0..rows)
            .map(|_| reader.array().map(SpanId::from_bytes))
            .collect::<Result<_, _>>()?;
        let codes = reader.varints(rows)?;
        self.parents.reserve(rows);
        for (row, code) in codes.into_iter().enumerate() {
            let parent = match code {
                PARENT_NONE => SpanId::INVALID,
                PARENT_ELSEWHERE => SpanId::from_bytes(reader.array()?),
                near => {
                    let code = near - PARENT_NEAR;
                    let distance = (code >> 1).cast_signed() ^ -((code & 1).cast_signed());
                    usize::try_from((row as i64).wrapping_add(distance))
                        .ok()
                        .and_then(|parent| self.span_ids.get(parent).copied())
                        .ok_or(Corrupt("parent is out of range"))?
                }
            };
            self.parents.push(parent);
        }
        Ok(())
    }

    fn write_extra(&self, filter: &mut FilterBuilder, out: &mut Vec<u8>) {
        let messages = write_numbers(self.messages.iter().copied(), out);
        let key = filter.key(FilterScope::Intrinsic, "statusMessage");
        for message in messages {
            filter.form(key, &EqualityForm::text(self.texts.values.get(message)));
        }
        let _ = write_numbers(self.trace_states.iter().copied(), out);
        let _ = write_numbers(self.flags.iter().copied(), out);
        for dropped in &self.dropped {
            put_varint(out, dropped.attributes.into());
            put_varint(out, dropped.events.into());
            put_varint(out, dropped.links.into());
        }
        put_deltas(out, self.event_ends.iter().map(|&end| end.into()));
        for row in 0..self.rows() {
            for event in &self.events[range_of(&self.event_ends, row)] {
                let offset = event.time_unix_nano.wrapping_sub(self.starts[row]);
                put_zigzag(out, offset.cast_signed());
            }
        }
        let names = write_numbers(self.events.iter().map(|event| event.name), out);
        let key = filter.key(FilterScope::Intrinsic, "event:name");
        for name in names {
            filter.form(key, &EqualityForm::text(self.texts.names.get(name)));
        }
        let _ = write_numbers(self.events.iter().map(|event| event.dropped), out);
        self.event_attributes
            .write(&self.texts, FilterScope::Event, filter, out);
        put_deltas(out, self.link_ends.iter().map(|&end| end.into()));
        for link in &self.links {
            out.extend_from_slice(&link.trace_id.to_bytes());
            out.extend_from_slice(&link.span_id.to_bytes());
            put_varint(out, link.trace_state.into());
            put_varint(out, link.dropped.into());
            put_varint(out, link.flags.into());
        }
        // Attributes of links cannot be searched for.
        let mut unused = FilterBuilder::default();
        self.link_attributes
            .write(&self.texts, FilterScope::Span, &mut unused, out);
    }

    fn read_extra(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.messages = read_numbers(rows, reader)?;
        self.trace_states = read_numbers(rows, reader)?;
        self.flags = read_numbers(rows, reader)?;
        reader.check(rows)?;
        for _ in 0..rows {
            self.dropped.push(Dropped {
                attributes: reader.varint_u32()?,
                events: reader.varint_u32()?,
                links: reader.varint_u32()?,
            });
        }
        self.event_ends = read_ends(rows, reader)?;
        let count = self.event_ends.last().map_or(0, |&end| end as usize);
        reader.check(count)?;
        let mut times = Vec::with_capacity(count);
        for row in 0..rows {
            for _ in range_of(&self.event_ends, row) {
                let offset = reader.zigzag()?.cast_unsigned();
                times.push(at(&self.starts, row).wrapping_add(offset));
            }
        }
        let names = read_numbers(count, reader)?;
        let dropped = read_numbers(count, reader)?;
        self.events = times
            .into_iter()
            .zip(names)
            .zip(dropped)
            .map(|((time_unix_nano, name), dropped)| EventRow {
                time_unix_nano,
                name,
                dropped,
            })
            .collect();
        self.event_attributes = Attributes::read(count, reader, &mut self.texts.blobs)?;
        self.link_ends = read_ends(rows, reader)?;
        let count = self.link_ends.last().map_or(0, |&end| end as usize);
        reader.check(count)?;
        for _ in 0..count {
            self.links.push(LinkRow {
                trace_id: TraceId::from_bytes(reader.array()?),
                span_id: SpanId::from_bytes(reader.array()?),
                trace_state: reader.varint_u32()?,
                dropped: reader.varint_u32()?,
                flags: reader.varint_u32()?,
            });
        }
        self.link_attributes = Attributes::read(count, reader, &mut self.texts.blobs)?;
        Ok(())
    }
}

const PARENT_NONE: u64 = 0;
const PARENT_ELSEWHERE: u64 = 1;
const PARENT_NEAR: u64 = 2;

const FROM_START: u8 = 0;
const FROM_END: u8 = 1;

// Each start as a difference, either from the start or from the end of the row before: spans that
// follow each other begin where the one before ended. Whichever is shorter.
fn write_starts(starts: &[u64], durations: &[u64], out: &mut Vec<u8>) {
    let code = |coding: u8| {
        let mut bytes = vec![coding];
        let mut base = 0_u64;
        for (&start, &duration) in starts.iter().zip(durations) {
            put_zigzag(&mut bytes, start.wrapping_sub(base).cast_signed());
            base = match coding {
                FROM_START => start,
                _ => start.wrapping_add(duration),
            };
        }
        bytes
    };
    let (from_start, from_end) = (code(FROM_START), code(FROM_END));
    out.extend_from_slice(if from_end.len() < from_start.len() {
        &from_end
    } else {
        &from_start
    });
}

fn starts_from(coding: u8, steps: &[i64], durations: &[u64]) -> Result<Vec<u64>, Corrupt> {
    if coding > FROM_END {
        return Err(Corrupt("coding of start times is unknown"));
    }
    let mut base = 0_u64;
    Ok(steps
        .iter()
        .zip(durations)
        .map(|(&step, &duration)| {
            let start = base.wrapping_add(step.cast_unsigned());
            base = match coding {
                FROM_START => start,
                _ => start.wrapping_add(duration),
            };
            start
        })
        .collect())
}

fn read_ends(rows: usize, reader: &mut Reader<'_>) -> Result<Vec<u32>, Corrupt> {
    let ends = reader.deltas(rows)?;
    let mut previous = 0;
    ends.into_iter()
        .map(|end| {
            let end = u32::try_from(end).map_err(|_| Corrupt("end is out of range"))?;
            if end < previous {
                return Err(Corrupt("ends go backwards"));
            }
            previous = end;
            Ok(end)
        })
        .collect()
}
