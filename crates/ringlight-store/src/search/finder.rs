//! What makes a trace a candidate, and which sources may have it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use ringlight_model::TraceId;

use super::fields::{sections_needed, sections_of};
use super::judge::{Judge, OnlyRoot, is_of_root};
use super::prune::Index;
use super::source::{Loader, Source};
use super::texts::RequiredTexts;
use crate::TraceSearch;
use crate::block::section::{Section, SectionSet};
use crate::query::{Constraints, Field, Intrinsic, Query, QuerySignal};
use crate::table::SpanTable;

/// The spans that make their trace a candidate.
pub(super) enum Target {
    /// Those that match.
    Matching,
    /// Root spans whose trace may match, of which others are in the same trace.
    Roots,
    /// Those that may match, as far as that can be told without their trace.
    Possible,
}

/// Rows of a source that still have to be looked at.
enum InQuestion {
    All,
    Only(Vec<usize>),
}

/// Finds candidates, source by source.
pub(super) struct Finder<'a> {
    pub(super) search: &'a TraceSearch,
    pub(super) constraints: Constraints,
    pub(super) target: Target,
    /// What evaluating the query needs.
    pub(super) sections: SectionSet,
    /// Whether the core of a block alone can rule out rows, of a query that needs more.
    is_narrowed_by_core: bool,
    required_texts: RequiredTexts,
    /// Whether the query looks at the names of spans.
    asks_name: bool,
    /// Whether the query looks at the root of the trace.
    pub(super) asks_root: bool,
    /// Whether a trace without a root may match.
    pub(super) rootless_fits: bool,
    /// Only rows of requests up to this one count.
    pub(super) last_seq: u64,
}

/// Whether the core and the dictionary of a block know a field of its rows.
fn is_in_core(field: &Field, signal: QuerySignal) -> bool {
    !field.is_of_trace() && sections_of(field, signal).is_empty()
}

impl<'a> Finder<'a> {
    pub(super) fn new(search: &'a TraceSearch, last_seq: u64) -> Self {
        let query = &search.query;
        let constraints = query.constraints();
        let name = Field::Intrinsic(Intrinsic::Name);
        let asks_root = query.fields().iter().any(is_of_root);
        let rootless_fits = OnlyRoot::default().may_match(query, is_of_root);
        // With a window or a run the root may lie outside of it.
        let is_narrowed = search.from_unix_nano.is_some()
            || search.to_unix_nano.is_some()
            || search.run.is_some();
        let target = if !query.needs_trace() {
            Target::Matching
        } else if rootless_fits || is_narrowed {
            Target::Possible
        } else {
            Target::Roots
        };
        let sections = sections_needed(query);
        Self {
            target,
            is_narrowed_by_core: sections != sections_needed(&Query::everything(query.signal()))
                && query.may_be_ruled_out_by(|field| is_in_core(field, query.signal())),
            required_texts: RequiredTexts::of(&constraints),
            sections,
            asks_name: query.fields().contains(&name),
            asks_root,
            rootless_fits,
            search,
            constraints,
            last_seq,
        }
    }

    pub(super) fn is_in_window(&self, time_min: u64, time_max: u64) -> bool {
        self.search
            .from_unix_nano
            .is_none_or(|from| time_max >= from)
            && self.search.to_unix_nano.is_none_or(|to| time_min <= to)
    }

    /// The traces of the candidates in a source, each with the start of the first one. Reads the
    /// source only if it may have some.
    pub(super) fn candidates(
        &self,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) -> Vec<(TraceId, u64)> {
        let (may_have, sections) = match &self.target {
            Target::Matching | Target::Possible => {
                (self.may_have_matches(loader, source), self.sections)
            }
            Target::Roots => (self.may_have_roots(loader, source), SectionSet::default()),
        };
        if !may_have {
            return Vec::new();
        }
        let Some(in_question) = self.in_question(loader, source) else {
            return Vec::new();
        };
        if !matches!(self.target, Target::Roots) && !self.may_have_texts(loader, source) {
            return Vec::new();
        }
        let Some(table) = loader.rows(source, sections) else {
            return Vec::new();
        };
        let rows = table.origins.rows_until(self.last_seq) as usize;
        if matches!(in_question, InQuestion::All) {
            loader.stats.records_scanned += rows as u64;
        }
        // By trace, the start of the first span that makes it a candidate.
        let mut found: HashMap<u32, u64, RandomState> = HashMap::default();
        let mut judge = Judge::new(&self.search.query, &table);
        let look_at = |row: usize| {
            if self.is_candidate(&table, &mut judge, row) {
                let (trace, start) = (table.traces.rows[row], table.starts[row]);
                let bound = found.entry(trace).or_insert(start);
                *bound = start.min(*bound);
            }
        };
        match in_question {
            InQuestion::All => (0..rows).for_each(look_at),
            InQuestion::Only(rows) => rows.into_iter().for_each(look_at),
        }
        if found.is_empty() {
            return Vec::new();
        }
        drop(table);
        // The ids are needed only now.
        let sections = sections.union(SectionSet::of([Section::Traces]));
        let Some(table) = loader.rows(source, sections) else {
            return Vec::new();
        };
        let id_of = |trace: u32| table.traces.ids.get(trace as usize).copied();
        found
            .into_iter()
            .filter_map(|(trace, bound)| Some((id_of(trace)?, bound)))
            .collect()
    }

    /// The rows of a source that may match as far as its core tells, if there are any: the core is
    /// read first where it may spare the rest.
    fn in_question(
        &self,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) -> Option<InQuestion> {
        if !self.is_narrowed_by_core || !matches!(self.target, Target::Matching) {
            return Some(InQuestion::All);
        }
        let table = loader.rows(source, SectionSet::default())?;
        let query = &self.search.query;
        let judge = Judge::new(query, &table);
        let rows = table.origins.rows_until(self.last_seq) as usize;
        let may_match = |row: &usize| judge.may_match_by(*row, |f| is_in_core(f, query.signal()));
        let only: Vec<usize> = (0..rows).filter(may_match).collect();
        loader.stats.records_scanned += rows as u64;
        (!only.is_empty()).then_some(InQuestion::Only(only))
    }

    /// Whether a source may have spans that match as far as that can be told without their trace.
    pub(super) fn may_have_matches(
        &self,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) -> bool {
        self.is_in_window(source.time_min(), source.time_max())
            && self.search.run.is_none_or(|run| run == source.run())
            && loader.ask(source, |block, shared| {
                let index = Index::new(block, shared);
                if self.asks_name && !index.may_match_by_name(&self.search.query) {
                    return Ok(false);
                }
                index.may_match(&self.constraints)
            })
    }

    /// Whether a source, whose index does not rule it out, may have the texts that a match contains.
    pub(super) fn may_have_texts(
        &self,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) -> bool {
        self.required_texts.may_be_in(loader, source)
    }

    /// Whether a source may have roots of traces that match, or any root where a trace without one
    /// may match. They may lie outside of the window.
    pub(super) fn may_have_roots(
        &self,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) -> bool {
        loader.ask(source, |block, shared| {
            if self.rootless_fits {
                return Ok(block.info.root_count > 0);
            }
            Index::new(block, shared).may_have_roots(&self.search.query, &self.constraints)
        })
    }

    /// Whether a row, of a source that is in question, may match without regard to its trace.
    pub(super) fn may_match(&self, table: &SpanTable, judge: &mut Judge<'_>, row: usize) -> bool {
        let start = table.starts[row];
        self.is_in_window(start, start)
            && match self.target {
                Target::Matching => judge.matches(row),
                Target::Possible | Target::Roots => judge.may_match(row),
            }
    }

    fn is_candidate(&self, table: &SpanTable, judge: &mut Judge<'_>, row: usize) -> bool {
        match self.target {
            Target::Roots => table.is_root[row] && judge.root_fits(row),
            Target::Matching | Target::Possible => self.may_match(table, judge, row),
        }
    }
}
