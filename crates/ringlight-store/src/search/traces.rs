//! Searching for traces, and reading one.
//!
//! Traces are shown by the start of their first span, newest first. Sources are read in the order
//! of their newest row. A trace found in one has at most the start of the span found there, and one
//! not found yet at most the newest row of the next source: so the order is exact although only
//! the traces that are shown (and few others) are gathered from all blocks.

use std::collections::{BTreeSet, BinaryHeap, HashMap};

use foldhash::fast::RandomState;
use ringlight_model::{Resource, Scope, StatusCode, TraceId};

use super::cursor::TraceCursor;
use super::fields::{Places, SpanRow, TraceFacts, sections_needed};
use super::prune::Index;
use super::source::{Loader, Rows, Source};
use crate::block::section::{Section, SectionSet};
use crate::query::{Constraint, Constraints, Intrinsic, Query, QuerySignal};
use crate::slice::ReadError;
use crate::state::{Shared, Snapshot};
use crate::table::{SpanTable, Table as _};
use crate::{SearchError, Trace, TracePage, TraceSearch, TraceSpan, TraceSummary};

/// Which spans make their trace a candidate.
enum Finder {
    /// Those that match.
    Matching,
    /// Root spans with this name or service: what matches is in the same trace.
    Roots {
        name: Option<String>,
        service: Option<String>,
    },
    /// All in the blocks in question: a span cannot be judged without its trace.
    Any,
}

impl Finder {
    fn of(query: &Query, constraints: &Constraints) -> Self {
        if !query.needs_trace() {
            return Self::Matching;
        }
        let (mut name, mut service) = (None, None);
        for constraint in &constraints.all {
            match constraint {
                Constraint::Intrinsic(Intrinsic::RootName, text) => name = Some(text.clone()),
                Constraint::Intrinsic(Intrinsic::RootServiceName, text) => {
                    service = Some(text.clone());
                }
                _ => {}
            }
        }
        if name.is_some() || service.is_some() {
            Self::Roots { name, service }
        } else {
            Self::Any
        }
    }
}

/// Rows of one trace in one source.
struct TraceRows {
    source: Source<SpanTable>,
    table: Rows<SpanTable>,
    rows: Vec<usize>,
}

/// A trace on its way to being shown; those that may be newest come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Not before the start of the trace; exact once it is gathered.
    bound: u64,
    trace_id: TraceId,
    is_gathered: bool,
}

struct Search<'a> {
    search: &'a TraceSearch,
    last_seq: u64,
    snapshot: Snapshot<SpanTable>,
    loader: Loader<'a, SpanTable>,
    constraints: Constraints,
    finder: Finder,
    sections: SectionSet,
    cursor: Option<TraceCursor>,
    /// The lowest bound of each trace found; none once it is gathered.
    bounds: HashMap<TraceId, Option<u64>, RandomState>,
    summaries: HashMap<TraceId, TraceSummary, RandomState>,
    heap: BinaryHeap<Candidate>,
}

pub(crate) fn search_traces(
    shared: &Shared,
    search: &TraceSearch,
) -> Result<TracePage, SearchError> {
    if search.query.signal() != QuerySignal::Traces {
        return Err(SearchError::WrongSignal {
            expected: QuerySignal::Traces,
            found: search.query.signal(),
        });
    }
    let cursor = match &search.cursor {
        Some(text) => Some(TraceCursor::read(text)?),
        None => None,
    };
    let snapshot = shared.snapshot::<SpanTable>();
    let constraints = search.query.constraints();
    let search = Search {
        last_seq: cursor.map_or(snapshot.last_seq, |cursor| cursor.last_seq),
        loader: Loader::new(shared, snapshot.blocks.len()),
        finder: Finder::of(&search.query, &constraints),
        sections: sections_needed(&search.query),
        search,
        snapshot,
        constraints,
        cursor,
        bounds: HashMap::default(),
        summaries: HashMap::default(),
        heap: BinaryHeap::new(),
    };
    Ok(search.run())
}

impl Search<'_> {
    fn run(mut self) -> TracePage {
        let limit = self.search.limit.clamp(1, 1000);
        let mut page = TracePage::default();
        if self.constraints.is_never() {
            page.stats = self.loader.stats;
            return page;
        }
        let sources = Source::newest_first(&self.snapshot, self.last_seq);
        let mut sources = sources.iter().peekable();
        loop {
            let newest_unread = sources.peek().map(|source| source.time_max());
            let is_settled = match (self.heap.peek(), newest_unread) {
                (None, None) => break,
                (None, Some(_)) => false,
                (Some(_), None) => true,
                (Some(candidate), Some(unread)) => candidate.bound > unread,
            };
            if !is_settled {
                if let Some(source) = sources.next() {
                    self.scan(source);
                }
                continue;
            }
            let Some(candidate) = self.heap.pop() else {
                break;
            };
            if !candidate.is_gathered {
                self.gather_candidate(&candidate);
                continue;
            }
            if page.traces.len() == limit {
                page.next = page.traces.last().map(|last| {
                    let cursor = TraceCursor {
                        last_seq: self.last_seq,
                        start_unix_nano: last.start_unix_nano,
                        trace_id: last.trace_id,
                    };
                    cursor.write()
                });
                break;
            }
            if let Some(summary) = self.summaries.remove(&candidate.trace_id) {
                page.traces.push(summary);
            }
        }
        page.stats = self.loader.stats;
        page
    }

    /// Finds candidates in a source, unless it certainly has none.
    fn scan(&mut self, source: &Source<SpanTable>) {
        match self.may_have_candidates(source) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                if let Source::Block(block) = source {
                    self.loader.give_up(block, &error);
                }
                return;
            }
        }
        let mut sections = SectionSet::of([Section::Traces]);
        if matches!(self.finder, Finder::Matching) {
            sections = sections.union(self.sections);
        }
        let Some(table) = self.loader.rows(source, sections) else {
            return;
        };
        let rows = table.origins.rows_until(self.last_seq) as usize;
        self.loader.stats.records_scanned += rows as u64;
        let mut found: HashMap<u32, u64, RandomState> = HashMap::default();
        let places = Places::of(&self.search.query, &table.texts, &table.owners);
        for row in 0..rows {
            if self.is_candidate(&table, &places, row) {
                let (trace, start) = (table.traces[row], table.starts[row]);
                let bound = found.entry(trace).or_insert(start);
                *bound = start.min(*bound);
            }
        }
        for (trace, bound) in found {
            let trace_id = table.trace_ids.get(trace as usize).copied();
            self.found(trace_id.unwrap_or_default(), bound);
        }
    }

    fn may_have_candidates(&self, source: &Source<SpanTable>) -> Result<bool, ReadError> {
        if let Finder::Roots { name, service } = &self.finder {
            let Source::Block(block) = source else {
                return Ok(true);
            };
            let index = Index::new(block, self.loader.shared);
            if block.info.root_count == 0 {
                return Ok(false);
            }
            if let Some(service) = service
                && !index.may_have_service(service)
            {
                return Ok(false);
            }
            return match name {
                Some(name) => Ok(block.info.names.may_contain(name)
                    && index.may_have_intrinsic(Intrinsic::Name, name)?),
                None => Ok(true),
            };
        }
        if !self.is_in_window(source.time_min(), source.time_max())
            || self.search.run.is_some_and(|run| run != source.run())
        {
            return Ok(false);
        }
        match source {
            Source::Chunk(_) => Ok(true),
            Source::Block(block) => {
                Index::new(block, self.loader.shared).may_match(&self.constraints)
            }
        }
    }

    fn is_in_window(&self, time_min: u64, time_max: u64) -> bool {
        self.search
            .from_unix_nano
            .is_none_or(|from| time_max >= from)
            && self.search.to_unix_nano.is_none_or(|to| time_min <= to)
    }

    fn is_candidate(&self, table: &SpanTable, places: &Places, row: usize) -> bool {
        let start = table.starts[row];
        match &self.finder {
            Finder::Any => self.is_in_window(start, start),
            Finder::Matching => {
                self.is_in_window(start, start)
                    && self.search.query.matches(&SpanRow {
                        table,
                        places,
                        row,
                        facts: None,
                    })
            }
            Finder::Roots { name, service } => {
                table.is_root[row]
                    && name.as_ref().is_none_or(|name| table.name(row) == name)
                    && service
                        .as_ref()
                        .is_none_or(|service| service_of(table, row) == *service)
            }
        }
    }

    fn found(&mut self, trace_id: TraceId, bound: u64) {
        let known = self.bounds.entry(trace_id).or_insert(Some(u64::MAX));
        // What is gathered already is known exactly.
        let Some(lowest) = known else { return };
        if bound < *lowest {
            let is_new = *lowest == u64::MAX;
            *lowest = bound;
            // One that is in the heap stays where it is and moves down when it is its turn.
            if is_new {
                self.heap.push(Candidate {
                    bound,
                    trace_id,
                    is_gathered: false,
                });
            }
        }
    }

    fn gather_candidate(&mut self, candidate: &Candidate) {
        let Some(lowest) = self.bounds.get_mut(&candidate.trace_id) else {
            return;
        };
        if let Some(bound) = *lowest
            && bound < candidate.bound
        {
            self.heap.push(Candidate {
                bound,
                trace_id: candidate.trace_id,
                is_gathered: false,
            });
            return;
        }
        *lowest = None;
        let Some(summary) = self.gather(candidate.trace_id) else {
            return;
        };
        let key = (summary.start_unix_nano, summary.trace_id);
        let is_behind_cursor = self
            .cursor
            .is_none_or(|cursor| key < (cursor.start_unix_nano, cursor.trace_id));
        if is_behind_cursor {
            self.heap.push(Candidate {
                bound: summary.start_unix_nano,
                trace_id: candidate.trace_id,
                is_gathered: true,
            });
            self.summaries.insert(candidate.trace_id, summary);
        }
    }

    /// The summary of a trace, if it is accepted as a whole.
    fn gather(&mut self, trace_id: TraceId) -> Option<TraceSummary> {
        let query = &self.search.query;
        let must_judge = query.needs_trace() || query.has_count();
        let sections = if must_judge {
            self.sections
        } else {
            SectionSet::default()
        };
        let parts = rows_of_trace(
            &mut self.loader,
            &self.snapshot,
            trace_id,
            self.last_seq,
            sections,
        );
        let (summary, facts) = summarize(trace_id, &parts)?;
        if must_judge && !query.accepts_count(self.count_matching(&parts, &facts)) {
            return None;
        }
        Some(summary)
    }

    fn count_matching(&self, parts: &[TraceRows], facts: &TraceFacts) -> u64 {
        let query = &self.search.query;
        let mut matching = 0;
        for part in parts {
            if self.search.run.is_some_and(|run| run != part.source.run()) {
                continue;
            }
            let table = &*part.table;
            let places = Places::of(query, &table.texts, &table.owners);
            for &row in &part.rows {
                let start = table.starts[row];
                let span = SpanRow {
                    table,
                    places: &places,
                    row,
                    facts: Some(facts),
                };
                if self.is_in_window(start, start) && query.matches(&span) {
                    matching += 1;
                }
            }
        }
        matching
    }
}

/// All rows of a trace, of requests up to `last_seq`.
fn rows_of_trace(
    loader: &mut Loader<'_, SpanTable>,
    snapshot: &Snapshot<SpanTable>,
    trace_id: TraceId,
    last_seq: u64,
    sections: SectionSet,
) -> Vec<TraceRows> {
    let mut parts = Vec::new();
    let mut add = |source: Source<SpanTable>, table: Rows<SpanTable>| {
        let Some(number) = table.trace_ids.iter().position(|&id| id == trace_id) else {
            return;
        };
        let rows_max = table.origins.rows_until(last_seq) as usize;
        let rows: Vec<usize> = table
            .traces
            .iter()
            .take(rows_max)
            .enumerate()
            .filter(|&(_, &trace)| trace as usize == number)
            .map(|(row, _)| row)
            .collect();
        if !rows.is_empty() {
            parts.push(TraceRows {
                source,
                table,
                rows,
            });
        }
    };
    for chunk in snapshot.chunks.iter().filter(|chunk| chunk.seq <= last_seq) {
        let source = Source::Chunk(std::sync::Arc::clone(chunk));
        add(source, Rows::Chunk(std::sync::Arc::clone(chunk)));
    }
    let sections = sections.union(SectionSet::of([Section::Traces]));
    for block in snapshot.blocks.iter() {
        if block.info.first_seq > last_seq || loader.is_broken(block) {
            continue;
        }
        match Index::new(block, loader.shared).may_have_trace(trace_id) {
            Ok(true) => {
                if let Some(table) = loader.block(block, sections) {
                    let source = Source::Block(std::sync::Arc::clone(block));
                    add(source, Rows::Block(table));
                }
            }
            Ok(false) => {}
            Err(error) => loader.give_up(block, &error),
        }
    }
    parts
}

fn service_of(table: &SpanTable, row: usize) -> &str {
    let resource = table.resources.get(row).copied().unwrap_or(0);
    table
        .owners
        .resources()
        .get(resource as usize)
        .map_or("unknown_service", |resource| resource.service_name())
}

fn summarize(trace_id: TraceId, parts: &[TraceRows]) -> Option<(TraceSummary, TraceFacts)> {
    let (mut start, mut end) = (u64::MAX, 0);
    let (mut span_count, mut error_count) = (0, 0);
    let mut services: BTreeSet<&str> = BTreeSet::new();
    // The earliest of several roots; of equally early ones that with the lowest name, so that the
    // answer does not depend on how the trace is spread over blocks.
    let mut root: Option<(u64, &str, &str)> = None;
    for part in parts {
        let table = &*part.table;
        for &row in &part.rows {
            start = start.min(table.starts[row]);
            end = end.max(table.end(row));
            span_count += 1;
            error_count += u64::from(table.status(row) == StatusCode::Error);
            let service = service_of(table, row);
            services.insert(service);
            if table.is_root[row] {
                let found = (table.starts[row], table.name(row), service);
                root = Some(root.map_or(found, |known| known.min(found)));
            }
        }
    }
    if span_count == 0 {
        return None;
    }
    let duration_nano = end.saturating_sub(start);
    let summary = TraceSummary {
        trace_id,
        root_service: root.map_or(String::new(), |(_, _, service)| service.to_owned()),
        root_name: root.map_or(String::new(), |(_, name, _)| name.to_owned()),
        start_unix_nano: start,
        duration_nano,
        span_count,
        error_count,
        services: services.into_iter().map(str::to_owned).collect(),
    };
    let facts = TraceFacts {
        root: root.map(|(_, name, service)| (service.to_owned(), name.to_owned())),
        duration_nano,
    };
    Some((summary, facts))
}

/// A whole trace.
pub(crate) fn trace(shared: &Shared, trace_id: TraceId) -> Option<Trace> {
    let snapshot = shared.snapshot::<SpanTable>();
    let mut loader = Loader::new(shared, snapshot.blocks.len());
    let sections = SectionSet::of([
        Section::Ids,
        Section::Values,
        Section::Attributes,
        Section::Extra,
    ]);
    let last_seq = snapshot.last_seq;
    let parts = rows_of_trace(&mut loader, &snapshot, trace_id, last_seq, sections);
    let mut resources: Vec<std::sync::Arc<Resource<'static>>> = Vec::new();
    let mut scopes: Vec<std::sync::Arc<Scope<'static>>> = Vec::new();
    let mut spans = Vec::new();
    for part in &parts {
        let table = &*part.table;
        let owners = table.owners();
        let resource_numbers: Vec<usize> = owners
            .resources()
            .iter()
            .map(|resource| number_of(&mut resources, resource))
            .collect();
        let scope_numbers: Vec<usize> = owners
            .scopes()
            .iter()
            .map(|scope| number_of(&mut scopes, scope))
            .collect();
        let number = |numbers: &[usize], column: &[u32], row: usize| {
            let index = column.get(row).copied().unwrap_or(0) as usize;
            numbers.get(index).copied().unwrap_or(0)
        };
        spans.extend(part.rows.iter().map(|&row| TraceSpan {
            span: table.span(row),
            resource: number(&resource_numbers, &table.resources, row),
            scope: number(&scope_numbers, &table.scopes, row),
        }));
    }
    if spans.is_empty() {
        return None;
    }
    spans.sort_by_key(|span| (span.span.start_unix_nano, span.span.span_id));
    let mut trace = Trace {
        trace_id,
        resources: resources
            .into_iter()
            .map(std::sync::Arc::unwrap_or_clone)
            .collect(),
        scopes: scopes
            .into_iter()
            .map(std::sync::Arc::unwrap_or_clone)
            .collect(),
        spans,
    };
    keep_used(&mut trace);
    Some(trace)
}

fn number_of<T: PartialEq>(known: &mut Vec<std::sync::Arc<T>>, item: &std::sync::Arc<T>) -> usize {
    known
        .iter()
        .position(|other| other == item)
        .unwrap_or_else(|| {
            known.push(std::sync::Arc::clone(item));
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
