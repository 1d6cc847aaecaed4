//! Spans on disk.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{SpanId, TraceId};

use super::{Dropped, EventRow, LinkRow, SpanTable, range_of};
use crate::block::filter::{FilterBuilder, FilterScope};
use crate::block::section::Section;
use crate::codec::{Corrupt, Reader, put_deltas, put_varint, put_zigzag};
use crate::query::EqualityForm;
use crate::table::columns::{read_numbers, write_numbers};
use crate::table::owners::filter_owners;
use crate::table::{Attributes, Origins, Owners, Pool, Texts, WantedKeys, at};

impl SpanTable {
    /// The bytes of a section, before compression. Keys and values go to `filter`.
    pub(crate) fn write_section(&self, section: Section, filter: &mut FilterBuilder) -> Vec<u8> {
        let mut out = Vec::new();
        match section {
            Section::Dictionary => self.write_dictionary(filter, &mut out),
            Section::Core => self.write_core(filter, &mut out),
            Section::Traces => self.traces.write_ids(&mut out),
            Section::Ids => self.write_ids(&mut out),
            Section::Values => self.texts.values.write(&mut out),
            Section::Attributes => {
                self.attributes
                    .write(&self.texts, FilterScope::Span, filter, &mut out);
            }
            Section::Extra => self.write_extra(filter, &mut out),
            Section::Points
            | Section::Body
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
            Section::Traces => self.traces.read_ids(&mut reader)?,
            Section::Ids => self.read_ids(rows, &mut reader)?,
            Section::Values => self.texts.values = Pool::read(&mut reader)?,
            Section::Attributes => {
                let Texts { names, blobs, .. } = &mut self.texts;
                self.attributes = Attributes::read(rows, &mut reader, blobs, |key| {
                    keys.contains(names.get(key))
                })?;
            }
            Section::Extra => self.read_extra(rows, &mut reader)?,
            Section::Points
            | Section::Body
            | Section::Exemplars
            | Section::Filter
            | Section::TraceFilter
            | Section::BodyFilter
            | Section::Operations => {
                return Err(Corrupt("section does not belong to spans"));
            }
        }
        self.loaded.insert(section);
        reader.end()
    }

    fn write_dictionary(&self, filter: &mut FilterBuilder, out: &mut Vec<u8>) {
        self.texts.names.write(out);
        self.owners.write(out);
        filter_owners(&self.owners, filter);
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
        self.traces.write_rows(out);
    }

    fn read_core(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.origins = Origins::read(rows, reader)?;
        let coding = reader.u8()?;
        let steps = reader.zigzags(rows)?;
        self.durations = reader.varints(rows)?;
        self.starts = starts_from(coding, &steps, &self.durations)?;
        self.names = read_numbers(rows, reader)?;
        self.kinds = reader.take(rows)?.to_vec();
        self.statuses = reader.take(rows)?.to_vec();
        self.is_root = reader.take(rows)?.iter().map(|&byte| byte != 0).collect();
        self.resources = read_numbers(rows, reader)?;
        self.scopes = read_numbers(rows, reader)?;
        self.traces.read_rows(rows, reader)
    }

    // A parent is nearly always in the same block: then only its distance is written.
    fn write_ids(&self, out: &mut Vec<u8>) {
        for id in &self.span_ids {
            out.extend_from_slice(&id.to_bytes());
        }
        let mut rows: HashMap<(u32, SpanId), usize, RandomState> = HashMap::default();
        rows.reserve(self.rows());
        for (row, (&trace, &id)) in self.traces.rows.iter().zip(&self.span_ids).enumerate() {
            rows.insert((trace, id), row);
        }
        let mut elsewhere = Vec::new();
        for (row, (&trace, &parent)) in self.traces.rows.iter().zip(&self.parents).enumerate() {
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
        self.event_attributes = Attributes::read(count, reader, &mut self.texts.blobs, |_| true)?;
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
        self.link_attributes = Attributes::read(count, reader, &mut self.texts.blobs, |_| true)?;
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
