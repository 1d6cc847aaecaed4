//! Gathering traces from all the blocks they are in.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringlight_model::{Resource, Scope, StatusCode, TraceId};

use super::fields::TraceFacts;
use super::size::bytes_of_span;
use super::source::{Loader, Rows, Source};
use crate::block::filter::{may_contain, trace_hash};
use crate::block::section::{Section, SectionSet};
use crate::state::{Block, Shared, Snapshot};
use crate::table::traces_contain;
use crate::table::{SpanTable, Table as _};
use crate::{Cancel, SearchError, Trace, TraceSpan, TraceSummary};

/// Rows of one trace in one source.
pub(super) struct TraceRows {
    pub(super) source: Source<SpanTable>,
    pub(super) table: Rows<SpanTable>,
    pub(super) rows: Vec<usize>,
}

/// Finds the rows of traces in a snapshot.
pub(super) struct Gatherer<'a> {
    pub(super) loader: Loader<'a, SpanTable>,
    pub(super) snapshot: Snapshot<SpanTable>,
    /// Only rows of requests up to this one count.
    pub(super) last_seq: u64,
    /// The trace filter of each block, none for one left out. Read when first needed.
    filters: Option<Vec<Option<Arc<[u8]>>>>,
}

impl<'a> Gatherer<'a> {
    /// `last_seq` of the snapshot itself unless an earlier one is given.
    pub(super) fn new(shared: &'a Shared, last_seq: Option<u64>) -> Self {
        let snapshot = shared.snapshot::<SpanTable>();
        Self {
            loader: Loader::new(shared, snapshot.blocks.len()),
            last_seq: last_seq.unwrap_or(snapshot.last_seq),
            snapshot,
            filters: None,
        }
    }

    /// All rows of a trace, with at least the sections asked for.
    pub(super) fn rows(
        &mut self,
        trace_id: TraceId,
        sections: SectionSet,
        cancel: &Cancel,
    ) -> Result<Vec<TraceRows>, SearchError> {
        let last_seq = self.last_seq;
        let mut parts = Vec::new();
        let mut add = |source: Source<SpanTable>, table: Rows<SpanTable>| {
            let rows_max = table.origins.rows_until(last_seq) as usize;
            let rows = table.rows_of(trace_id).iter().map(|&row| row as usize);
            let rows: Vec<usize> = rows.take_while(|&row| row < rows_max).collect();
            if !rows.is_empty() {
                parts.push(TraceRows {
                    source,
                    table,
                    rows,
                });
            }
        };
        for chunk in &self.snapshot.chunks {
            if chunk.seq <= last_seq {
                let source = Source::Chunk(Arc::clone(chunk));
                add(source, Rows::Chunk(Arc::clone(chunk)));
            }
        }
        let sections = sections.union(SectionSet::of([Section::Traces]));
        for index in self.blocks_of(trace_id) {
            let block = &self.snapshot.blocks[index];
            if !has_trace(&mut self.loader, block, trace_id) {
                continue;
            }
            cancel.check()?;
            if let Some(table) = self.loader.block(block, sections) {
                add(Source::Block(Arc::clone(block)), Rows::Block(table));
            }
        }
        Ok(parts)
    }

    // The blocks that may hold a trace, by their filters.
    fn blocks_of(&mut self, trace_id: TraceId) -> Vec<usize> {
        let Self {
            loader,
            snapshot,
            last_seq,
            filters,
        } = self;
        let filters = filters.get_or_insert_with(|| {
            let filter = |block: &Arc<Block>| {
                if block.info.first_seq > *last_seq {
                    return None;
                }
                let filter = loader.shared.trace_filter(block);
                filter
                    .inspect_err(|error| loader.give_up(block, error))
                    .ok()
            };
            snapshot.blocks.iter().map(filter).collect()
        });
        let hash = trace_hash(trace_id);
        let has = |filter: &Option<Arc<[u8]>>| {
            filter
                .as_ref()
                .is_some_and(|filter| may_contain(filter, hash))
        };
        filters
            .iter()
            .enumerate()
            .filter(|(_, filter)| has(filter))
            .map(|(index, _)| index)
            .collect()
    }
}

pub(super) fn service_of(table: &SpanTable, row: usize) -> &str {
    let resource = table.resources.get(row).copied().unwrap_or(0);
    table
        .owners
        .resources()
        .get(resource as usize)
        .map_or("unknown_service", |resource| resource.service_name())
}

// What the filter lets pass by chance is found out before the whole block is read.
fn has_trace(loader: &mut Loader<'_, SpanTable>, block: &Block, trace_id: TraceId) -> bool {
    if let Some(table) = loader.kept(block)
        && table.loaded.contains(Section::Traces)
    {
        return !table.rows_of(trace_id).is_empty();
    }
    loader
        .section(block, Section::Traces)
        .is_some_and(|bytes| traces_contain(&bytes, trace_id))
}

/// The summary of a gathered trace; none if there are no rows.
pub(super) fn summarize(
    trace_id: TraceId,
    parts: &[TraceRows],
) -> Option<(TraceSummary, TraceFacts)> {
    let (mut start, mut end) = (u64::MAX, 0);
    let (mut span_count, mut error_count) = (0, 0);
    let mut open_spans = Vec::new();
    let mut services: BTreeSet<&str> = BTreeSet::new();
    // The earliest span, and the earliest of several roots; of equally early ones that with the
    // lowest name, so that the answer does not depend on how the trace is spread over blocks.
    let mut first: Option<(u64, &str, &str)> = None;
    let mut root: Option<(u64, &str, &str)> = None;
    for part in parts {
        let table = &*part.table;
        for &row in &part.rows {
            start = start.min(table.starts[row]);
            end = end.max(table.end(row));
            span_count += 1;
            if part.source.is_open() {
                open_spans.push(table.span_ids[row]);
            }
            error_count += u64::from(table.status(row) == StatusCode::Error);
            let service = service_of(table, row);
            services.insert(service);
            let found = (table.starts[row], table.name(row), service);
            first = Some(first.map_or(found, |known| known.min(found)));
            if table.is_root[row] {
                root = Some(root.map_or(found, |known| known.min(found)));
            }
        }
    }
    let (_, first_name, first_service) = first?;
    let duration_nano = end.saturating_sub(start);
    let summary = TraceSummary {
        trace_id,
        root_service: root.map_or(String::new(), |(_, _, service)| service.to_owned()),
        root_name: root.map_or(String::new(), |(_, name, _)| name.to_owned()),
        first_service: first_service.to_owned(),
        first_name: first_name.to_owned(),
        start_unix_nano: start,
        duration_nano,
        span_count,
        open_spans,
        error_count,
        services: services.into_iter().map(str::to_owned).collect(),
    };
    let facts = TraceFacts {
        root: root.map(|(_, name, service)| (service.to_owned(), name.to_owned())),
        duration_nano,
    };
    Some((summary, facts))
}

/// Bytes the spans of a trace may take in an answer.
pub(crate) const TRACE_BYTES_MAX: usize = 256 << 20;

/// The spans of a trace, the first ones if they take more than `bytes_max`.
pub(crate) fn trace(shared: &Shared, trace_id: TraceId, bytes_max: usize) -> Option<Trace> {
    let sections = SectionSet::of([
        Section::Ids,
        Section::Values,
        Section::Attributes,
        Section::Extra,
    ]);
    // One trace is not much: nobody calls it off.
    let rows = Gatherer::new(shared, None).rows(trace_id, sections, &Cancel::default());
    let parts = rows.ok()?;
    let mut resources: Vec<Arc<Resource<'static>>> = Vec::new();
    let mut scopes: Vec<Arc<Scope<'static>>> = Vec::new();
    let mut numbers: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    let mut order: Vec<(u64, usize, usize)> = Vec::new();
    for (part_number, part) in parts.iter().enumerate() {
        let owners = part.table.owners();
        let known = owners.resources().iter();
        let resource_numbers = known.map(|one| number_of(&mut resources, one)).collect();
        let known = owners.scopes().iter();
        let scope_numbers = known.map(|one| number_of(&mut scopes, one)).collect();
        numbers.push((resource_numbers, scope_numbers));
        let starts = &part.table.starts;
        order.extend(part.rows.iter().map(|&row| (starts[row], part_number, row)));
    }
    if order.is_empty() {
        return None;
    }
    order.sort_unstable();
    let number = |numbers: &[usize], column: &[u32], row: usize| {
        let index = column.get(row).copied().unwrap_or(0) as usize;
        numbers.get(index).copied().unwrap_or(0)
    };
    let mut spans: Vec<TraceSpan> = Vec::new();
    let mut bytes = 0;
    for &(_, part_number, row) in &order {
        let table = &*parts[part_number].table;
        let span = table.span(row);
        bytes += bytes_of_span(&span);
        if bytes > bytes_max && !spans.is_empty() {
            break;
        }
        let (resource_numbers, scope_numbers) = &numbers[part_number];
        spans.push(TraceSpan {
            span,
            resource: number(resource_numbers, &table.resources, row),
            scope: number(scope_numbers, &table.scopes, row),
            is_open: parts[part_number].source.is_open(),
        });
    }
    spans.sort_by_key(|span| (span.span.start_unix_nano, span.span.span_id));
    let mut trace = Trace {
        trace_id,
        resources: resources.into_iter().map(Arc::unwrap_or_clone).collect(),
        scopes: scopes.into_iter().map(Arc::unwrap_or_clone).collect(),
        spans_left_out: (order.len() - spans.len()) as u64,
        spans,
    };
    keep_used(&mut trace);
    Some(trace)
}

fn number_of<T: PartialEq>(known: &mut Vec<Arc<T>>, item: &Arc<T>) -> usize {
    known
        .iter()
        .position(|other| other == item)
        .unwrap_or_else(|| {
            known.push(Arc::clone(item));
            known.len() - 1
        })
}

// A block knows more resources and scopes than those of one trace. What is left is numbered by
// first use.
fn keep_used(trace: &mut Trace) {
    let mut resources = Renumbered::default();
    let mut scopes = Renumbered::default();
    for span in &mut trace.spans {
        span.resource = resources.number(span.resource);
        span.scope = scopes.number(span.scope);
    }
    trace.resources = resources.pick(&trace.resources);
    trace.scopes = scopes.pick(&trace.scopes);
}

#[derive(Default)]
struct Renumbered(Vec<usize>);

impl Renumbered {
    fn number(&mut self, old: usize) -> usize {
        self.0
            .iter()
            .position(|&known| known == old)
            .unwrap_or_else(|| {
                self.0.push(old);
                self.0.len() - 1
            })
    }

    fn pick<T: Clone>(&self, items: &[T]) -> Vec<T> {
        self.0
            .iter()
            .filter_map(|&old| items.get(old).cloned())
            .collect()
    }
}
