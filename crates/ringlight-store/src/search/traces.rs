//! Searching for traces.
//!
//! Traces are shown by the start of their first span, newest first. Sources are read in the order
//! of their newest row. A trace found in one has at most the start of the span found there, and one
//! not found yet at most the newest row of the next source: so the order is exact although only
//! the traces that are shown (and few others) are gathered from all blocks.
//!
//! What is known of traces is bounded. When too many were gathered in vain, or too many are known,
//! one pass over all sources finds the newest ones that may be accepted, and only they are gathered
//! from then on. Once they are used up, another pass finds those behind them: that takes longer,
//! but nothing is left out.

use std::collections::{BinaryHeap, HashMap};

use foldhash::fast::RandomState;
use ringlight_model::TraceId;

use super::cursor::TraceCursor;
use super::fields::{Places, SpanRow, TraceFacts, keys_needed};
use super::finder::Finder;
use super::gather::{Gatherer, TraceRows, summarize};
use super::scan::fold;
use super::source::Source;
use super::totals::{Place, likely_traces};
use crate::block::section::SectionSet;
use crate::query::QuerySignal;
use crate::state::Shared;
use crate::table::SpanTable;
use crate::{SearchError, TracePage, TraceSearch, TraceSummary};

/// Traces gathered in vain before it is found out which are worth it.
const IN_VAIN_MAX: usize = 64;
/// Traces known, besides those of one batch of sources, before it is found out which are worth it.
const KNOWN_MAX: usize = if cfg!(test) { 24 } else { 1 << 18 };
/// Sources looked through at once.
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
    cursor: Option<TraceCursor>,
    /// The lowest bound of each trace found in a source; none once it is gathered.
    bounds: HashMap<TraceId, Option<u64>, RandomState>,
    summaries: HashMap<TraceId, TraceSummary, RandomState>,
    heap: BinaryHeap<Candidate>,
    /// Traces gathered although they are not accepted.
    gathered_in_vain: usize,
    /// Whether sources are no more looked through one by one, but all at once.
    is_at_likely: bool,
    /// Only traces behind this one are still to be found.
    below: Option<Place>,
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
        cursor,
        bounds: HashMap::default(),
        summaries: HashMap::default(),
        heap: BinaryHeap::new(),
        gathered_in_vain: 0,
        is_at_likely: false,
        below: None,
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
        let mut unread = &sources[..];
        let mut batch = 1;
        loop {
            self.finder.search.cancel.check()?;
            let is_enough = self.gathered_in_vain >= IN_VAIN_MAX || self.bounds.len() > KNOWN_MAX;
            if is_enough && !self.is_at_likely {
                self.note_likely(&sources)?;
                unread = &[];
            }
            let is_settled = match self.heap.peek() {
                None if unread.is_empty() && self.below.is_none() => break,
                None => false,
                Some(candidate) => self.is_settled(candidate, unread),
            };
            if !is_settled && self.below.is_some() {
                self.note_likely(&sources)?;
                continue;
            }
            if !is_settled {
                let (now, later) = unread.split_at(batch.min(unread.len()));
                self.scan(now)?;
                unread = later;
                let wanted = limit + 1 - page.traces.len();
                batch = self.next_batch(batch, sources.len() - unread.len(), wanted);
                continue;
            }
            let Some(candidate) = self.heap.pop() else {
                break;
            };
            if !candidate.is_gathered {
                self.gather_candidate(&candidate)?;
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

    /// Whether nothing that is still to be found comes before a candidate.
    fn is_settled(&self, candidate: &Candidate, unread: &[Source<SpanTable>]) -> bool {
        match (unread.first(), self.below) {
            (Some(source), _) => candidate.bound > source.time_max(),
            (None, Some(below)) => (candidate.bound, candidate.trace_id) >= below,
            (None, None) => true,
        }
    }

    fn cursor_behind(&self, last: &TraceSummary) -> String {
        let cursor = TraceCursor {
            last_seq: self.gatherer.last_seq,
            start_unix_nano: last.start_unix_nano,
            trace_id: last.trace_id,
        };
        cursor.write()
    }

    /// One pass over all sources, for the newest traces that may be accepted, of those not found by
    /// an earlier pass.
    fn note_likely(&mut self, sources: &[Source<SpanTable>]) -> Result<(), SearchError> {
        self.is_at_likely = true;
        // What is found now is all there is, but for what was gathered before.
        self.heap.retain(|candidate| candidate.is_gathered);
        self.bounds.retain(|_, bound| bound.is_none());
        let loader = &mut self.gatherer.loader;
        let likely = likely_traces(&self.finder, loader, sources, self.below)?;
        self.below = likely.below;
        for (bound, trace_id) in likely.newest {
            if !self.bounds.contains_key(&trace_id) {
                self.heap.push(Candidate {
                    bound,
                    trace_id,
                    is_gathered: false,
                });
            }
        }
        Ok(())
    }

    /// How many sources to look through next, all at once. Half of those that should have what is
    /// still wanted, going by those looked through so far: few are read in vain then.
    fn next_batch(&self, batch: usize, looked_through: usize, wanted: usize) -> usize {
        let next = match self.bounds.len() {
            0 => batch * 2,
            found => wanted * looked_through / found / 2,
        };
        next.clamp(1, BATCH_MAX)
    }

    fn scan(&mut self, sources: &[Source<SpanTable>]) -> Result<(), SearchError> {
        for (trace_id, bound) in self.candidates(sources)? {
            self.found(trace_id, bound);
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

    fn gather_candidate(&mut self, candidate: &Candidate) -> Result<(), SearchError> {
        // A pass over all sources gives each trace once.
        if let Some(lowest) = self.bounds.get_mut(&candidate.trace_id) {
            if let Some(bound) = *lowest
                && bound < candidate.bound
            {
                self.heap.push(Candidate {
                    bound,
                    trace_id: candidate.trace_id,
                    is_gathered: false,
                });
                return Ok(());
            }
            *lowest = None;
        }
        let Some(summary) = self.gather(candidate.trace_id)? else {
            self.gathered_in_vain += 1;
            return Ok(());
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
        Ok(())
    }

    /// The summary of a trace, if it is accepted as a whole.
    fn gather(&mut self, trace_id: TraceId) -> Result<Option<TraceSummary>, SearchError> {
        let query = &self.finder.search.query;
        let must_judge = query.needs_trace() || query.has_count();
        let sections = if must_judge {
            self.finder.sections
        } else {
            SectionSet::default()
        };
        let cancel = &self.finder.search.cancel;
        let parts = self.gatherer.rows(trace_id, sections, cancel)?;
        let Some((summary, facts)) = summarize(trace_id, &parts) else {
            return Ok(None);
        };
        if must_judge && !query.accepts_count(self.count_matching(&parts, &facts)) {
            return Ok(None);
        }
        Ok(Some(summary))
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
