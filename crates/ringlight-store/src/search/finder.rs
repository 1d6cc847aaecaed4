//! What makes a trace a candidate, and which sources may have it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use ringlight_model::TraceId;

use super::fields::sections_needed;
use super::gather::service_of;
use super::judge::Judge;
use super::prune::Index;
use super::source::{Loader, Source};
use crate::TraceSearch;
use crate::block::section::{Section, SectionSet};
use crate::query::{Constraint, Constraints, Field, Intrinsic, Query};
use crate::slice::ReadError;
use crate::state::{Block, Shared};
use crate::table::SpanTable;

/// The spans that make their trace a candidate.
pub(super) enum Target {
    /// Those that match.
    Matching,
    /// Root spans with this name or service: what matches is in the same trace.
    Roots {
        name: Option<String>,
        service: Option<String>,
    },
    /// Those that may match, as far as that can be told without their trace.
    Possible,
}

impl Target {
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
            Self::Possible
        }
    }
}

/// Finds candidates, source by source.
pub(super) struct Finder<'a> {
    pub(super) search: &'a TraceSearch,
    pub(super) constraints: Constraints,
    pub(super) target: Target,
    /// What evaluating the query needs.
    pub(super) sections: SectionSet,
    /// Whether the query looks at the names of spans.
    asks_name: bool,
    /// Only rows of requests up to this one count.
    pub(super) last_seq: u64,
}

impl<'a> Finder<'a> {
    pub(super) fn new(search: &'a TraceSearch, last_seq: u64) -> Self {
        let query = &search.query;
        let constraints = query.constraints();
        let name = Field::Intrinsic(Intrinsic::Name);
        Self {
            target: Target::of(query, &constraints),
            sections: sections_needed(query),
            asks_name: query.fields().contains(&name),
            search,
            constraints,
            last_seq,
        }
    }

    /// Whether only a part of all spans can match, whatever the query.
    pub(super) fn is_narrowed(&self) -> bool {
        self.search.from_unix_nano.is_some()
            || self.search.to_unix_nano.is_some()
            || self.search.run.is_some()
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
            Target::Roots { name, service } => {
                let may_have = loader.ask(source, |block, shared| {
                    may_have_roots(block, shared, name.as_deref(), service.as_deref())
                });
                (may_have, SectionSet::default())
            }
        };
        if !may_have {
            return Vec::new();
        }
        let Some(table) = loader.rows(source, sections) else {
            return Vec::new();
        };
        let rows = table.origins.rows_until(self.last_seq) as usize;
        loader.stats.records_scanned += rows as u64;
        // By trace, the start of the first span that makes it a candidate.
        let mut found: HashMap<u32, u64, RandomState> = HashMap::default();
        let mut judge = Judge::new(&self.search.query, &table);
        for row in 0..rows {
            if self.is_candidate(&table, &mut judge, row) {
                let (trace, start) = (table.traces.rows[row], table.starts[row]);
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
        let Some(table) = loader.rows(source, sections) else {
            return Vec::new();
        };
        let id_of = |trace: u32| table.traces.ids.get(trace as usize).copied();
        found
            .into_iter()
            .filter_map(|(trace, bound)| Some((id_of(trace)?, bound)))
            .collect()
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

    /// Whether a row, of a source that is in question, may match without regard to its trace.
    pub(super) fn may_match(&self, table: &SpanTable, judge: &mut Judge<'_>, row: usize) -> bool {
        let start = table.starts[row];
        self.is_in_window(start, start)
            && match self.target {
                Target::Matching => judge.matches(row),
                Target::Possible | Target::Roots { .. } => judge.may_match(row),
            }
    }

    fn is_candidate(&self, table: &SpanTable, judge: &mut Judge<'_>, row: usize) -> bool {
        let Target::Roots { name, service } = &self.target else {
            return self.may_match(table, judge, row);
        };
        table.is_root[row]
            && name.as_ref().is_none_or(|name| table.name(row) == name)
            && service
                .as_ref()
                .is_none_or(|service| service_of(table, row) == *service)
    }
}

fn may_have_roots(
    block: &Block,
    shared: &Shared,
    name: Option<&str>,
    service: Option<&str>,
) -> Result<bool, ReadError> {
    let index = Index::new(block, shared);
    if block.info.root_count == 0 || !service.is_none_or(|service| index.may_have_service(service))
    {
        return Ok(false);
    }
    match name {
        Some(name) => Ok(block.info.names.may_contain(name)
            && index.may_have_intrinsic(Intrinsic::Name, name)?),
        None => Ok(true),
    }
}
