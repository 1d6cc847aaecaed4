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
use super::fields::{Places, SpanRow, TraceFacts, keys_needed};
use super::finder::{Finder, Target};
use super::gather::{Gatherer, TraceRows, summarize};
use super::scan::fold;
use super::source::Source;
use super::totals::likely_traces;
use crate::block::section::SectionSet;
use crate::query::QuerySignal;
use crate::state::Shared;
use crate::table::SpanTable;
use crate::{SearchError, TracePage, TraceSearch, TraceSummary};

/// Traces gathered in vain before it is found out which are worth it.
const IN_VAIN_MAX: usize = 64;
/// Sources looked through at once when those before had nothing.
const BATCH_MAX: usize = 64;

/// A trace on its way to being shown; those that may be newest come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Not before the start of the trace; exact once it is gathered.
    bound: u64,
    trace_id: TraceId,
    is_gathered: bool,
}

struct Search<'a> {
    finder: Finder<'a>,
    gatherer: Gatherer<'a>,
    /// The only traces that can be found, where that is known beforehand.
    only: Option<HashSet<TraceId, RandomState>>,
    cursor: Option<TraceCursor>,
    /// The lowest bound of each trace found; none once it is gathered.
    bounds: HashMap<TraceId, Option<u64>, RandomState>,
    summaries: HashMap<TraceId, TraceSummary, RandomState>,
    heap: BinaryHeap<Candidate>,
    /// Traces gathered although they are not accepted.
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
    let mut gatherer = Gatherer::new(shared, cursor.map(|cursor| cursor.last_seq));
    // What is shown of a trace is without attributes.
    gatherer.loader.keys = keys_needed(&search.query);
    let search = Search {
        finder: Finder::new(search, gatherer.last_seq),
        gatherer,
        only: None,
        cursor,
        bounds: HashMap::default(),
        summaries: HashMap::default(),
        heap: BinaryHeap::new(),
        gathered_in_vain: 0,
    };
    search.run()
}

impl Search<'_> {
    fn run(mut self) -> Result<TracePage, SearchError> {
        let limit = self.finder.search.limit.clamp(1, 1000);
        let mut page = TracePage::default();
        if self.finder.constraints.is_never() {
            page.stats = self.gatherer.loader.stats;
            return Ok(page);
        }
        let sources = Source::newest_first(&self.gatherer.snapshot, self.gatherer.last_seq);
        self.note_roots(&sources)?;
        let mut unread = &sources[..];
        let mut batch = 1;
        loop {
            self.finder.search.cancel.check()?;
            if self.gathered_in_vain == IN_VAIN_MAX {
                self.gathered_in_vain += 1;
                unread = self.note_likely(&sources, unread)?;
            }
            let newest_unread = unread.first().map(Source::time_max);
            let is_settled = match (self.heap.peek(), newest_unread) {
                (None, None) => break,
                (None, Some(_)) => false,
                (Some(_), None) => true,
                (Some(candidate), Some(unread)) => candidate.bound > unread,
            };
            if !is_settled {
                let (now, later) = unread.split_at(batch.min(unread.len()));
                self.scan(now)?;
                unread = later;
                batch = match self.heap.is_empty() {
                    true => BATCH_MAX.min(batch * 2),
                    false => 1,
                };
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
                page.next = page.traces.last().map(|last| self.cursor_behind(last));
                break;
            }
            if let Some(summary) = self.summaries.remove(&candidate.trace_id) {
                page.traces.push(summary);
            }
        }
        page.stats = self.gatherer.loader.stats;
        Ok(page)
    }

    fn cursor_behind(&self, last: &TraceSummary) -> String {
        let cursor = TraceCursor {
            last_seq: self.gatherer.last_seq,
            start_unix_nano: last.start_unix_nano,
            trace_id: last.trace_id,
        };
        cursor.write()
    }

    /// With a root in question and a window: a root may lie outside of it, so the traces of all such
    /// roots are noted first, and only what may match in the window is gathered.
    fn note_roots(&mut self, sources: &[Source<SpanTable>]) -> Result<(), SearchError> {
        if !matches!(self.finder.target, Target::Roots { .. }) || !self.finder.is_narrowed() {
            return Ok(());
        }
        let roots = self.candidates(sources)?;
        self.only = Some(roots.map(|(trace_id, _)| trace_id).collect());
        self.finder.target = Target::Possible;
        Ok(())
    }

    /// When many traces were gathered in vain: one pass over all sources finds those that may be
    /// accepted, and only they are gathered from then on. Gives what is left to be read.
    fn note_likely<'s>(
        &mut self,
        sources: &[Source<SpanTable>],
        unread: &'s [Source<SpanTable>],
    ) -> Result<&'s [Source<SpanTable>], SearchError> {
        let Some(likely) = likely_traces(&self.finder, &mut self.gatherer.loader, sources)? else {
            return Ok(unread);
        };
        let likely: Vec<_> = likely
            .into_iter()
            .filter(|&(trace_id, _)| self.can_be_found(trace_id))
            .collect();
        self.only = Some(likely.iter().map(|&(trace_id, _)| trace_id).collect());
        for (trace_id, bound) in likely {
            self.found(trace_id, bound);
        }
        Ok(&[])
    }

    fn can_be_found(&self, trace_id: TraceId) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(&trace_id))
    }

    fn scan(&mut self, sources: &[Source<SpanTable>]) -> Result<(), SearchError> {
        for (trace_id, bound) in self.candidates(sources)? {
            if self.can_be_found(trace_id) {
                self.found(trace_id, bound);
            }
        }
        Ok(())
    }

    fn candidates(
        &mut self,
        sources: &[Source<SpanTable>],
    ) -> Result<impl Iterator<Item = (TraceId, u64)> + use<>, SearchError> {
        let finder = &self.finder;
        let cancel = &finder.search.cancel;
        let parts = fold(
            &mut self.gatherer.loader,
            sources,
            cancel,
            |found: &mut Vec<_>, loader, source| found.extend(finder.candidates(loader, source)),
        )?;
        Ok(parts.into_iter().flatten())
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
        let query = &self.finder.search.query;
        let must_judge = query.needs_trace() || query.has_count();
        let sections = if must_judge {
            self.finder.sections
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
        let query = &self.finder.search.query;
        let mut matching = 0;
        for part in parts {
            if self
                .finder
                .search
                .run
                .is_some_and(|run| run != part.source.run())
            {
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
                if self.finder.is_in_window(start, start) && query.matches(&span) {
                    matching += 1;
                }
            }
        }
        matching
    }
}
