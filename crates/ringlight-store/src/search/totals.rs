//! What is known of every trace after one pass over all sources.

use std::cmp::Ordering;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use ringlight_model::TraceId;

use super::finder::{Finder, Target};
use super::judge::Judge;
use super::scan::fold;
use super::source::{Loader, Source};
use crate::SearchError;
use crate::block::section::{Section, SectionSet};
use crate::query::Constraint;
use crate::table::SpanTable;

/// Traces of which totals are kept at once: with them some hundred megabytes, for one search at a
/// time. Of more, a part at a time is looked at, each in a pass of its own.
const TRACES_MAX: usize = if cfg!(test) { 32 } else { 1 << 20 };
/// Traces given at once, the newest. For those behind them all is looked at again.
const LIKELY_MAX: usize = if cfg!(test) { 16 } else { 1 << 18 };

/// The place of a trace among those that may be accepted: the start of the first span that may
/// match, then the id. No two traces have the same.
pub(super) type Place = (u64, TraceId);

/// A trace as far as it was seen.
#[derive(Debug, Clone, Copy)]
struct Total {
    /// Spans that may match.
    matching: u32,
    /// The first start of one of them.
    first_match: u64,
    /// The first start of a span, and the last end.
    start: u64,
    end: u64,
    /// The start of the first root of which it is of interest whether it fits, and whether it does.
    root_start: u64,
    root_fits: bool,
}

impl Default for Total {
    fn default() -> Self {
        Self {
            matching: 0,
            first_match: u64::MAX,
            start: u64::MAX,
            end: 0,
            root_start: u64::MAX,
            root_fits: false,
        }
    }
}

impl Total {
    fn add(&mut self, other: Self) {
        self.matching = self.matching.saturating_add(other.matching);
        self.first_match = self.first_match.min(other.first_match);
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.add_root(other.root_start, other.root_fits);
    }

    // Of two that start at once either may be the one that counts.
    fn add_root(&mut self, start: u64, fits: bool) {
        self.root_fits = match start.cmp(&self.root_start) {
            Ordering::Less => fits,
            Ordering::Equal => self.root_fits || fits,
            Ordering::Greater => self.root_fits,
        };
        self.root_start = start.min(self.root_start);
    }
}

/// What one thread has seen.
#[derive(Default)]
struct Totals {
    traces: HashMap<TraceId, Total, RandomState>,
    has_too_many: bool,
}

impl Totals {
    fn add(&mut self, trace_id: TraceId, total: Total) {
        let has_room = self.traces.len() < TRACES_MAX;
        match self.traces.entry(trace_id) {
            Entry::Occupied(mut known) => known.get_mut().add(total),
            Entry::Vacant(place) if has_room => {
                place.insert(total);
            }
            Entry::Vacant(_) => self.has_too_many = true,
        }
    }
}

/// Traces that may be accepted.
pub(super) struct Likely {
    /// The newest of them, so many as are kept at once, in no order.
    pub(super) newest: Vec<Place>,
    /// The last of them, if there are more behind it.
    pub(super) below: Option<Place>,
}

impl Likely {
    // Drops what is too much.
    fn trim(&mut self) {
        if self.newest.len() > LIKELY_MAX {
            let last = LIKELY_MAX - 1;
            let (_, &mut place, _) = self.newest.select_nth_unstable_by(last, |a, b| b.cmp(a));
            self.below = Some(place);
            self.newest.truncate(LIKELY_MAX);
        }
    }
}

/// The traces that may be accepted, of those behind `below` if that is given.
pub(super) fn likely_traces(
    finder: &Finder<'_>,
    loader: &mut Loader<'_, SpanTable>,
    sources: &[Source<SpanTable>],
    below: Option<Place>,
) -> Result<Likely, SearchError> {
    let _turn = loader.shared.turn_for_totals(&finder.search.cancel)?;
    // Nearly every trace has one root.
    let traces: usize = sources.iter().map(root_count).sum();
    let mut pass = Pass {
        finder,
        duration_min: finder.constraints.all.iter().find_map(|one| match one {
            Constraint::TraceDuration { min_nano } => Some(*min_nano),
            _ => None,
        }),
        below,
        hasher: RandomState::default(),
        part: 0,
        parts: traces / TRACES_MAX + 1,
    };
    let mut likely = Likely {
        newest: Vec::new(),
        below: None,
    };
    while pass.part < pass.parts {
        if let Some(found) = pass.likely(loader, sources)? {
            likely.newest.extend(found);
            likely.trim();
            pass.part += 1;
        } else {
            // More traces without a root than was thought: once more, in smaller parts.
            likely.newest.clear();
            likely.below = None;
            pass.part = 0;
            pass.parts *= 2;
        }
    }
    Ok(likely)
}

fn root_count(source: &Source<SpanTable>) -> usize {
    match source {
        Source::Chunk(chunk) => chunk.table.traces.ids.len(),
        Source::Block(block) => usize::try_from(block.info.root_count).unwrap_or(usize::MAX),
    }
}

/// One look at all sources, for a part of the traces.
struct Pass<'a> {
    finder: &'a Finder<'a>,
    duration_min: Option<u64>,
    /// Only traces behind this one.
    below: Option<Place>,
    /// Tells the parts apart, in a way that nobody who sends traces can foresee.
    hasher: RandomState,
    part: usize,
    parts: usize,
}

impl Pass<'_> {
    fn likely(
        &self,
        loader: &mut Loader<'_, SpanTable>,
        sources: &[Source<SpanTable>],
    ) -> Result<Option<Vec<Place>>, SearchError> {
        let cancel = &self.finder.search.cancel;
        let parts = fold(
            loader,
            sources,
            cancel,
            |totals: &mut Totals, loader, source| {
                if !totals.has_too_many {
                    self.add_source(totals, loader, source);
                }
            },
        )?;
        let mut all = Totals::default();
        for totals in parts {
            all.has_too_many |= totals.has_too_many;
            if all.traces.is_empty() {
                all.traces = totals.traces;
                continue;
            }
            for (trace_id, total) in totals.traces {
                all.add(trace_id, total);
            }
        }
        if all.has_too_many {
            return Ok(None);
        }
        let likely = all
            .traces
            .into_iter()
            .filter(|(_, total)| self.is_likely(total))
            .map(|(trace_id, total)| (total.first_match, trace_id))
            .filter(|place| self.below.is_none_or(|below| *place < below));
        Ok(Some(likely.collect()))
    }

    fn is_likely(&self, total: &Total) -> bool {
        let finder = self.finder;
        let is_exact = matches!(finder.target, Target::Matching);
        let root_fits = match total.root_start {
            u64::MAX => finder.rootless_fits,
            _ => total.root_fits,
        };
        total.matching > 0
            && (root_fits || !finder.asks_root)
            && self
                .duration_min
                .is_none_or(|min| total.end.saturating_sub(total.start) >= min)
            && (!is_exact || finder.search.query.accepts_count(total.matching.into()))
    }

    fn has_part(&self, trace_id: TraceId) -> bool {
        self.hasher.hash_one(trace_id) % self.parts as u64 == self.part as u64
    }

    fn add_source(
        &self,
        totals: &mut Totals,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) {
        let (finder, needs_duration) = (self.finder, self.duration_min.is_some());
        let may_match =
            finder.may_have_matches(loader, source) && finder.may_have_texts(loader, source);
        let may_have_roots = finder.asks_root && finder.may_have_roots(loader, source);
        if !may_match && !needs_duration && !may_have_roots {
            return;
        }
        let mut sections = SectionSet::of([Section::Traces]);
        if may_match {
            sections = sections.union(finder.sections);
        }
        let Some(table) = loader.rows(source, sections) else {
            return;
        };
        let rows = table.origins.rows_until(finder.last_seq) as usize;
        loader.stats.records_scanned += rows as u64;
        let mut judge = Judge::new(&finder.search.query, &table);
        let mut by_number = vec![Total::default(); table.traces.ids.len()];
        for row in 0..rows {
            let Some(total) = by_number.get_mut(table.traces.rows[row] as usize) else {
                continue;
            };
            let start = table.starts[row];
            total.start = total.start.min(start);
            total.end = total.end.max(table.end(row));
            if may_have_roots && table.is_root[row] {
                let fits = judge.root_fits(row);
                // One that does not fit is like none, where a trace without one does not either.
                if fits || finder.rootless_fits {
                    total.add_root(start, fits);
                }
            }
            if may_match && finder.may_match(&table, &mut judge, row) {
                total.matching = total.matching.saturating_add(1);
                total.first_match = total.first_match.min(start);
            }
        }
        for (&trace_id, &total) in table.traces.ids.iter().zip(&by_number) {
            // Without a duration in question only what matches and roots are of interest.
            let has_root = total.root_start != u64::MAX;
            let is_of_interest =
                total.start != u64::MAX && (needs_duration || total.matching > 0 || has_root);
            if is_of_interest && self.has_part(trace_id) {
                totals.add(trace_id, total);
            }
        }
    }
}
