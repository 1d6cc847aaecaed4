//! What is known of every trace after one pass over all sources.

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
/// time. Of more, a part at a time is looked at.
const TRACES_MAX: usize = if cfg!(test) { 32 } else { 1 << 20 };
/// Parts at most. With yet more traces it is not found out which are likely.
const PARTS_MAX: usize = 16;

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
}

impl Default for Total {
    fn default() -> Self {
        Self {
            matching: 0,
            first_match: u64::MAX,
            start: u64::MAX,
            end: 0,
        }
    }
}

impl Total {
    fn add(&mut self, other: Self) {
        self.matching = self.matching.saturating_add(other.matching);
        self.first_match = self.first_match.min(other.first_match);
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
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

/// The traces that may be accepted, each with the start of the first span that may match; none if
/// there are too many traces to find out.
pub(super) fn likely_traces(
    finder: &Finder<'_>,
    loader: &mut Loader<'_, SpanTable>,
    sources: &[Source<SpanTable>],
) -> Result<Option<Vec<(TraceId, u64)>>, SearchError> {
    let _turn = loader.shared.turn_for_totals();
    // Nearly every trace has one root.
    let traces: usize = sources.iter().map(root_count).sum();
    let pass = Pass {
        finder,
        duration_min: finder.constraints.all.iter().find_map(|one| match one {
            Constraint::TraceDuration { min_nano } => Some(*min_nano),
            _ => None,
        }),
        part: 0,
        parts: traces / TRACES_MAX + 1,
    };
    if pass.parts > PARTS_MAX {
        return Ok(None);
    }
    let mut likely = Vec::new();
    for part in 0..pass.parts {
        let Some(found) = (Pass { part, ..pass }).likely(loader, sources)? else {
            return Ok(None);
        };
        likely.extend(found);
    }
    Ok(Some(likely))
}

fn root_count(source: &Source<SpanTable>) -> usize {
    match source {
        Source::Chunk(chunk) => chunk.table.traces.ids.len(),
        Source::Block(block) => usize::try_from(block.info.root_count).unwrap_or(usize::MAX),
    }
}

/// One look at all sources, for a part of the traces.
#[derive(Clone, Copy)]
struct Pass<'a> {
    finder: &'a Finder<'a>,
    duration_min: Option<u64>,
    part: usize,
    parts: usize,
}

impl Pass<'_> {
    fn likely(
        &self,
        loader: &mut Loader<'_, SpanTable>,
        sources: &[Source<SpanTable>],
    ) -> Result<Option<Vec<(TraceId, u64)>>, SearchError> {
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
            .filter(|(_, total)| self.is_likely(total));
        Ok(Some(
            likely
                .map(|(trace_id, total)| (trace_id, total.first_match))
                .collect(),
        ))
    }

    fn is_likely(&self, total: &Total) -> bool {
        let is_exact = matches!(self.finder.target, Target::Matching);
        let query = &self.finder.search.query;
        total.matching > 0
            && self
                .duration_min
                .is_none_or(|min| total.end.saturating_sub(total.start) >= min)
            && (!is_exact || query.accepts_count(total.matching.into()))
    }

    fn has_part(&self, trace_id: TraceId) -> bool {
        let id = trace_id.get();
        // All bits, as not every bit of an id need be random.
        let mixed = (id ^ (id >> 64)) as u64;
        (mixed ^ (mixed >> 32)) % self.parts as u64 == self.part as u64
    }

    fn add_source(
        &self,
        totals: &mut Totals,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) {
        let (finder, needs_duration) = (self.finder, self.duration_min.is_some());
        let may_match = finder.may_have_matches(loader, source);
        if !may_match && !needs_duration {
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
            if may_match && finder.may_match(&table, &mut judge, row) {
                total.matching = total.matching.saturating_add(1);
                total.first_match = total.first_match.min(start);
            }
        }
        for (&trace_id, &total) in table.traces.ids.iter().zip(&by_number) {
            // Without a duration in question only what matches is of interest.
            let is_of_interest = total.start != u64::MAX && (needs_duration || total.matching > 0);
            if is_of_interest && self.has_part(trace_id) {
                totals.add(trace_id, total);
            }
        }
    }
}
