//! From when until when traces last, over all of their spans.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use ringlight_model::TraceId;

use super::gather::Gatherer;
use super::source::Source;
use crate::block::section::{Section, SectionSet};
use crate::table::SpanTable;
use crate::{Cancel, SearchError};

/// Traces of which it is found out how long they are; some forty bytes each.
const TRACES_MAX: usize = 2_000_000;

/// From the first start to the last end.
type Extent = (u64, u64);

/// The traces that last at least so long; none if there are too many traces to find out.
pub(super) fn long_traces(
    gatherer: &mut Gatherer<'_>,
    sources: &[Source<SpanTable>],
    min_nano: u64,
    cancel: &Cancel,
) -> Result<Option<HashSet<TraceId, RandomState>>, SearchError> {
    let mut extents: HashMap<TraceId, Extent, RandomState> = HashMap::default();
    for source in sources {
        cancel.check()?;
        let sections = SectionSet::of([Section::Traces]);
        let Some(table) = gatherer.loader.rows(source, sections) else {
            continue;
        };
        let rows = table.origins.rows_until(gatherer.last_seq) as usize;
        gatherer.loader.stats.records_scanned += rows as u64;
        for (trace_id, (start, end)) in extents_of(&table, rows) {
            let extent = extents.entry(trace_id).or_insert((start, end));
            *extent = (start.min(extent.0), end.max(extent.1));
        }
        if extents.len() > TRACES_MAX {
            return Ok(None);
        }
    }
    let long = extents
        .into_iter()
        .filter(|(_, (start, end))| end.saturating_sub(*start) >= min_nano)
        .map(|(trace_id, _)| trace_id)
        .collect();
    Ok(Some(long))
}

fn extents_of(table: &SpanTable, rows: usize) -> impl Iterator<Item = (TraceId, Extent)> {
    let mut extents = vec![(u64::MAX, 0); table.trace_ids.len()];
    let columns = table.traces.iter().zip(&table.starts).zip(&table.durations);
    for ((&trace, &start), &duration) in columns.take(rows) {
        if let Some(extent) = extents.get_mut(trace as usize) {
            *extent = (
                start.min(extent.0),
                start.saturating_add(duration).max(extent.1),
            );
        }
    }
    let known = table.trace_ids.iter().copied().zip(extents);
    known.filter(|(_, (start, end))| start <= end)
}
