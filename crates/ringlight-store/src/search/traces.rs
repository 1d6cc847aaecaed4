//! Searching for traces.
//!
//! Traces are shown by the start of their first span, newest first. Sources are read in the order
//! of their newest row. A trace found in one has at most the start of the span found there, and one
//! not found yet at most the newest row of the next source: so the order is exact although only
//! the traces that are shown (and few others) are gathered from all blocks.

use std::collections::{BinaryHeap, HashMap, HashSet};

use foldhash::fast::RandomState;
use ringlight_model::TraceId;

use super::cursor::TraceCursor;
use super::extents::long_traces;
use super::fields::{Places, SpanRow, TraceFacts, sections_needed};
use super::finder::{Finder, Judge};
use super::gather::{Gatherer, TraceRows, service_of, summarize};
use super::prune::Index;
use super::source::Source;
use crate::block::section::{Section, SectionSet};
use crate::query::{Constraint, Constraints, Field, Intrinsic, QuerySignal};
use crate::slice::ReadError;
use crate::state::Shared;
use crate::table::SpanTable;
use crate::{SearchError, TracePage, TraceSearch, TraceSummary};

/// Traces that are gathered although they are not accepted before it is found out which are long.
const IN_VAIN_MAX: usize = 64;

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
    gatherer: Gatherer<'a>,
    constraints: Constraints,
    finder: Finder,
    /// The only traces that can be found, where that is known beforehand.
    only: Option<HashSet<TraceId, RandomState>>,
    sections: SectionSet,
    /// Whether the query looks at the names of spans.
    asks_name: bool,
    cursor: Option<TraceCursor>,
    /// The lowest bound of each trace found; none once it is gathered.
    bounds: HashMap<TraceId, Option<u64>, RandomState>,
    summaries: HashMap<TraceId, TraceSummary, RandomState>,
    heap: BinaryHeap<Candidate>,
    /// Traces gathered of which none was accepted, until the long ones were noted.
    gathered_in_vain: usize,
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
    let constraints = search.query.constraints();
    let search = Search {
        gatherer: Gatherer::new(shared, cursor.map(|cursor| cursor.last_seq)),
        finder: Finder::of(&search.query, &constraints),
        only: None,
        sections: sections_needed(&search.query),
        asks_name: search
            .query
            .fields()
            .contains(&Field::Intrinsic(Intrinsic::Name)),
        search,
        constraints,
        cursor,
        bounds: HashMap::default(),
        summaries: HashMap::default(),
        heap: BinaryHeap::new(),
        gathered_in_vain: 0,
    };
    search.run()
}

impl Search<'_> {
    fn is_narrowed(&self) -> bool {
        self.search.from_unix_nano.is_some()
            || self.search.to_unix_nano.is_some()
            || self.search.run.is_some()
    }

    /// With a root in question and a window: a root may lie outside of it, so the traces of all such
    /// roots are noted first, and only what may match in the window is gathered.
    fn note_roots(&mut self, sources: &[Source<SpanTable>]) -> Result<(), SearchError> {
        if !matches!(self.finder, Finder::Roots { .. }) || !self.is_narrowed() {
            return Ok(());
        }
        let mut only = HashSet::default();
        for source in sources {
            self.search.cancel.check()?;
            only.extend(
                self.candidates(source)
                    .into_iter()
                    .map(|(trace_id, _)| trace_id),
            );
        }
        self.only = Some(only);
        self.finder = Finder::Possible;
        Ok(())
    }

    /// With a long trace in question and many gathered that are not: how long all traces are is
    /// found out in one pass over the blocks, and only the long ones are gathered from then on.
    fn note_long(&mut self, sources: &[Source<SpanTable>]) -> Result<(), SearchError> {
        let wanted = self.constraints.all.iter().find_map(|one| match one {
            Constraint::TraceDuration { min_nano } => Some(*min_nano),
            _ => None,
        });
        let Some(min_nano) = wanted.filter(|_| self.only.is_none()) else {
            return Ok(());
        };
        self.only = long_traces(&mut self.gatherer, sources, min_nano, &self.search.cancel)?;
        Ok(())
    }

    fn run(mut self) -> Result<TracePage, SearchError> {
        let limit = self.search.limit.clamp(1, 1000);
        let mut page = TracePage::default();
        if self.constraints.is_never() {
            return Ok(page);
        }
        let sources = Source::newest_first(&self.gatherer.snapshot, self.gatherer.last_seq);
        self.note_roots(&sources)?;
        let mut unread = sources.iter().peekable();
        loop {
            self.search.cancel.check()?;
            if self.gathered_in_vain == IN_VAIN_MAX {
                self.gathered_in_vain += 1;
                self.note_long(&sources)?;
            }
            let newest_unread = unread.peek().map(|source| source.time_max());
            let is_settled = match (self.heap.peek(), newest_unread) {
                (None, None) => break,
                (None, Some(_)) => false,
                (Some(_), None) => true,
                (Some(candidate), Some(unread)) => candidate.bound > unread,
            };
            if !is_settled {
                if let Some(source) = unread.next() {
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
                        last_seq: self.gatherer.last_seq,
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
        page.stats = self.gatherer.loader.stats;
        Ok(page)
    }

    fn can_be_found(&self, trace_id: TraceId) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(&trace_id))
    }

    fn scan(&mut self, source: &Source<SpanTable>) {
        for (trace_id, bound) in self.candidates(source) {
            if self.can_be_found(trace_id) {
                self.found(trace_id, bound);
            }
        }
    }

    /// The traces of the candidates in a source, each with the start of the first one. Reads the
    /// source only if it may have some.
    fn candidates(&mut self, source: &Source<SpanTable>) -> Vec<(TraceId, u64)> {
        match self.may_have_candidates(source) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(error) => {
                if let Source::Block(block) = source {
                    self.gatherer.loader.give_up(block, &error);
                }
                return Vec::new();
            }
        }
        let sections = match self.finder {
            Finder::Matching | Finder::Possible => self.sections,
            Finder::Roots { .. } => SectionSet::default(),
        };
        let Some(table) = self.gatherer.loader.rows(source, sections) else {
            return Vec::new();
        };
        let rows = table.origins.rows_until(self.gatherer.last_seq) as usize;
        self.gatherer.loader.stats.records_scanned += rows as u64;
        // By trace, the start of the first span that makes it a candidate.
        let mut found: HashMap<u32, u64, RandomState> = HashMap::default();
        let mut judge = Judge::new(&self.search.query, &table);
        for row in 0..rows {
            if self.is_candidate(&table, &mut judge, row) {
                let (trace, start) = (table.traces[row], table.starts[row]);
                let bound = found.entry(trace).or_insert(start);
                *bound = start.min(*bound);
            }
        }
        if found.is_empty() {
            return Vec::new();
        }
        drop(table);
        // The ids are needed only now.
        let sections = sections.union(SectionSet::of([Section::Traces]));
        let Some(table) = self.gatherer.loader.rows(source, sections) else {
            return Vec::new();
        };
        let id_of = |trace: u32| table.trace_ids.get(trace as usize).copied();
        found
            .into_iter()
            .filter_map(|(trace, bound)| Some((id_of(trace)?, bound)))
            .collect()
    }

    fn may_have_candidates(&self, source: &Source<SpanTable>) -> Result<bool, ReadError> {
        if let Finder::Roots { name, service } = &self.finder {
            let Source::Block(block) = source else {
                return Ok(true);
            };
            let index = Index::new(block, self.gatherer.loader.shared);
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
                let index = Index::new(block, self.gatherer.loader.shared);
                if self.asks_name && !index.may_match_by_name(&self.search.query) {
                    return Ok(false);
                }
                index.may_match(&self.constraints)
            }
        }
    }

    fn is_in_window(&self, time_min: u64, time_max: u64) -> bool {
        self.search
            .from_unix_nano
            .is_none_or(|from| time_max >= from)
            && self.search.to_unix_nano.is_none_or(|to| time_min <= to)
    }

    fn is_candidate(&self, table: &SpanTable, judge: &mut Judge<'_>, row: usize) -> bool {
        let start = table.starts[row];
        match &self.finder {
            Finder::Possible => self.is_in_window(start, start) && judge.may_match(row),
            Finder::Matching => self.is_in_window(start, start) && judge.matches(row),
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
        // It may have become known only since it was found.
        if !self.can_be_found(candidate.trace_id) {
            return;
        }
        let Some(summary) = self.gather(candidate.trace_id) else {
            self.gathered_in_vain += 1;
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
        let parts = self.gatherer.rows(trace_id, sections);
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
