//! Spans in columns.

mod operations;
mod sections;

use std::borrow::Cow;
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{Span, SpanEvent, SpanId, SpanKind, SpanLink, Status, StatusCode, TraceId};

use super::attributes::TextsRemap;
use super::{Attributes, Origins, Owners, TABLE_BYTES, Texts, Traces, at};
use crate::block::section::SectionSet;

pub(crate) use operations::{
    Operation, OperationKey, WINDOW_NANO, Window, read_operations, write_operations,
};

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
    pub(crate) traces: Traces,
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
    index: OnceLock<TraceIndex>,
}

/// Rows by trace.
#[derive(Debug, Clone)]
struct TraceIndex {
    numbers: HashMap<TraceId, u32, RandomState>,
    /// Where the rows of each trace end in `rows`.
    ends: Vec<u32>,
    rows: Vec<u32>,
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

impl SpanTable {
    pub(crate) fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Adds a span of the request being read. The origins are set when it is complete.
    pub(crate) fn push(&mut self, span: &Span<'_>, resource: u32, scope: u32) {
        self.traces.push(span.trace_id);
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

    /// Adds the rows of another, whole table, or those of them that `keep` says, and their origins.
    pub(crate) fn take(&mut self, from: &Self, keep: impl Fn(usize) -> bool) {
        let mut remap = self.texts.remapping(&from.texts);
        let (resources, scopes) = self.owners.take(&from.owners);
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
        self.traces.push(from.trace_id(row));
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

    /// The rows of a trace, in order. The table must not change afterwards.
    pub(crate) fn rows_of(&self, trace_id: TraceId) -> &[u32] {
        let index = self.index.get_or_init(|| self.index_traces());
        index.numbers.get(&trace_id).map_or(&[], |&number| {
            &index.rows[range_of(&index.ends, number as usize)]
        })
    }

    fn index_traces(&self) -> TraceIndex {
        let mut ends = vec![0_u32; self.traces.ids.len()];
        for &trace in &self.traces.rows {
            if let Some(count) = ends.get_mut(trace as usize) {
                *count += 1;
            }
        }
        let mut total = 0;
        let mut next = Vec::with_capacity(ends.len());
        for end in &mut ends {
            next.push(total);
            total += *end;
            *end = total;
        }
        let mut rows = vec![0_u32; total as usize];
        for (row, &trace) in self.traces.rows.iter().enumerate() {
            if let Some(place) = next.get_mut(trace as usize) {
                rows[*place as usize] = row as u32;
                *place += 1;
            }
        }
        let numbers = self.traces.ids.iter().zip(0..);
        TraceIndex {
            numbers: numbers.map(|(&id, number)| (id, number)).collect(),
            ends,
            rows,
        }
    }

    pub(crate) fn trace_id(&self, row: usize) -> TraceId {
        self.traces.of(row)
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
        TABLE_BYTES
            + ROW * self.starts.capacity()
            + self.traces.memory_bytes()
            + size_of::<EventRow>() * self.events.capacity()
            + size_of::<LinkRow>() * self.links.capacity()
            + self.texts.memory_bytes()
            + self.owners.memory_bytes()
            + self.attributes.memory_bytes()
            + self.event_attributes.memory_bytes()
            + self.link_attributes.memory_bytes()
    }
}
