//! What operations were like over time.
//!
//! Every block has the figures of its spans by operation and window ([`crate::table::Operation`]); they are
//! put together, and only the examples that are answered are looked up among the rows. Attributes are not
//! among these figures, so that adding them up reads the columns.

mod attributes;
mod totals;

use ringlight_model::SpanKind;

use self::totals::{Candidate, Total, Totals};
use super::grid::Grid;
use super::scan::fold;
use super::source::{Loader, Source};
use crate::block::section::{Section, SectionSet};
use crate::slice::ReadError;
use crate::state::Shared;
use crate::table::{Operation, OperationKey, SpanTable, WINDOW_NANO, read_operations};
use crate::{
    OperationAnswer, OperationExample, OperationOrder, OperationSearch, OperationSummary,
    SearchError,
};

/// Steps of an answer.
const STEPS_MAX: usize = 1000;

/// Answers what operations were like.
pub(crate) fn search_operations(
    shared: &Shared,
    search: &OperationSearch,
) -> Result<OperationAnswer, SearchError> {
    let step_nano = search.step_nano.div_ceil(WINDOW_NANO).max(1) * WINDOW_NANO;
    let (from, to) = (search.from_unix_nano, search.to_unix_nano);
    let grid = Grid::new(from, to, step_nano, STEPS_MAX).map_err(|windows| {
        SearchError::TooManyWindows {
            windows,
            windows_max: STEPS_MAX as u64,
        }
    })?;
    let snapshot = shared.snapshot::<SpanTable>();
    let mut sources = Source::newest_first(&snapshot, snapshot.last_seq);
    sources.retain(|source| is_asked_for(source, search, &grid));
    let mut loader = Loader::new(shared, snapshot.blocks.len());
    let parts = fold(
        &mut loader,
        &sources,
        &search.cancel,
        |totals: &mut Totals, loader, source| {
            for operation in operations_of(loader, source) {
                totals.add(operation, source, search.service.as_deref(), &grid);
            }
        },
    )?;
    let totals = Totals::join(parts)?;
    let mut inner_error_count = 0_u64;
    let is_wanted = |(key, total): &(OperationKey, Total)| {
        let is_wanted = !search.entry_only || is_entry(key, total);
        if !is_wanted {
            inner_error_count = inner_error_count.saturating_add(total.error_count);
        }
        is_wanted
    };
    let mut found: Vec<_> = totals.operations.into_iter().filter(is_wanted).collect();
    let mut answer = OperationAnswer {
        inner_error_count,
        first_unix_nano: grid.first_unix_nano(),
        end_unix_nano: grid.end_unix_nano(),
        step_nano,
        spans_left_out: totals.spans_left_out,
        ..OperationAnswer::default()
    };
    let mut reads = |found: &[(OperationKey, Total)]| {
        let keys: Vec<&OperationKey> = found.iter().map(|(key, _)| key).collect();
        attributes::sum_attributes(&mut loader, &sources, search, &grid, &keys)
    };
    let has_attributes = !search.attributes.is_empty();
    // Which are wanted is known before their attributes are read, unless these decide.
    let sums = if search.order == OperationOrder::Attribute && has_attributes {
        let sums = reads(&found)?;
        let places = choose(&mut found, &mut answer, search.limit, |number, _| {
            sums.of_first(number).map_or(0, ordered)
        });
        Some((sums, places))
    } else {
        let order = search.order;
        choose(&mut found, &mut answer, search.limit, |_, total| {
            place(total, order)
        });
        let places = (0..found.len()).collect();
        has_attributes
            .then(|| reads(&found).map(|sums| (sums, places)))
            .transpose()?
    };
    add_examples(&mut loader, &found, &mut answer);
    if let Some((sums, places)) = sums {
        answer.attribute_spans_left_out = sums.spans_left_out;
        for (operation, place) in answer.operations.iter_mut().zip(places) {
            operation.attributes = sums.of(place, &search.attributes);
        }
    }
    answer.stats = loader.stats;
    Ok(answer)
}

fn is_asked_for(source: &Source<SpanTable>, search: &OperationSearch, grid: &Grid) -> bool {
    let has_service = |service: &str| match source {
        Source::Chunk(_) => true,
        Source::Block(block) => {
            let services = &block.info.services;
            services.iter().any(|known| *known.name == *service)
        }
    };
    !source.is_open()
        && source.time_max() >= grid.first_unix_nano()
        && source.time_min() < grid.end_unix_nano()
        && search.run.is_none_or(|run| source.run() == run)
        && search.service.as_deref().is_none_or(has_service)
}

/// The figures of a source: those that are stored with a block, or else those of its rows.
fn operations_of(loader: &mut Loader<'_, SpanTable>, source: &Source<SpanTable>) -> Vec<Operation> {
    if let Source::Block(block) = source {
        let Some(bytes) = loader.section(block, Section::Operations) else {
            return Vec::new();
        };
        if !bytes.is_empty() {
            return read_operations(&bytes).unwrap_or_else(|error| {
                loader.give_up(block, &ReadError::Corrupt(error));
                Vec::new()
            });
        }
    }
    let Some(table) = loader.rows(source, SectionSet::default()) else {
        return Vec::new();
    };
    loader.stats.records_scanned += table.rows() as u64;
    table.operations()
}

// Leaves those that are wanted, in their order; gives where each was before.
fn choose(
    found: &mut Vec<(OperationKey, Total)>,
    answer: &mut OperationAnswer,
    limit: usize,
    place: impl Fn(usize, &Total) -> u64,
) -> Vec<usize> {
    let all = std::mem::take(found).into_iter().enumerate();
    let mut all: Vec<_> = all
        .map(|(number, (key, total))| (place(number, &total), number, key, total))
        .collect();
    // Those that are alike are sorted by name, so that an answer is the same each time.
    all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.cmp(&b.2)));
    let limit = limit.clamp(1, 1000);
    answer.operations_left_out = all.len().saturating_sub(limit) as u64;
    all.truncate(limit);
    let mut numbers = Vec::with_capacity(all.len());
    for (_, number, key, total) in all {
        numbers.push(number);
        found.push((key, total));
    }
    numbers
}

/// A whole number above zero that is in the same order as the value.
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if value.is_sign_negative() {
        !bits
    } else {
        bits | 1 << 63
    }
}

fn is_entry(key: &OperationKey, total: &Total) -> bool {
    let kind = SpanKind::from_otlp(key.kind.into());
    total.root_count > 0 || matches!(kind, SpanKind::Server | SpanKind::Consumer)
}

fn place(total: &Total, order: OperationOrder) -> u64 {
    match order {
        // Without an attribute to go by.
        OperationOrder::Total | OperationOrder::Attribute => total.total_nano,
        OperationOrder::Count => total.count,
        OperationOrder::Errors => total.error_count,
        OperationOrder::P99 => total.quantile(990),
    }
}

/// Which of the examples of an operation.
#[derive(Debug, Clone, Copy)]
enum Which {
    Typical,
    Longest,
    Failed,
}

// Looks them up block by block, as those of many operations are in the same ones.
fn add_examples(
    loader: &mut Loader<'_, SpanTable>,
    chosen: &[(OperationKey, Total)],
    answer: &mut OperationAnswer,
) {
    let mut wanted: Vec<(usize, Which, &Candidate)> = Vec::new();
    for (number, (key, total)) in chosen.iter().enumerate() {
        answer.operations.push(summary(key, total));
        let examples = [
            (Which::Typical, total.typical()),
            (Which::Longest, total.longest.as_ref()),
            (Which::Failed, total.failed.as_ref()),
        ];
        let examples = examples.into_iter();
        wanted.extend(examples.filter_map(|(which, one)| Some((number, which, one?))));
    }
    wanted.sort_by_key(|(.., candidate)| std::cmp::Reverse(candidate.source.first_seq()));
    for (number, which, candidate) in wanted {
        let found = example(loader, candidate);
        if let Some(operation) = answer.operations.get_mut(number) {
            match which {
                Which::Typical => operation.typical = found,
                Which::Longest => operation.longest = found,
                Which::Failed => operation.failed = found,
            }
        }
    }
}

fn example(loader: &mut Loader<'_, SpanTable>, candidate: &Candidate) -> Option<OperationExample> {
    let sections = SectionSet::of([Section::Traces, Section::Ids]);
    let table = loader.rows(&candidate.source, sections)?;
    let row = candidate.row as usize;
    Some(OperationExample {
        trace_id: table.trace_id(row),
        span_id: *table.span_ids.get(row)?,
        start_unix_nano: *table.starts.get(row)?,
        duration_nano: *table.durations.get(row)?,
    })
}

fn summary(key: &OperationKey, total: &Total) -> OperationSummary {
    OperationSummary {
        service: key.service.to_string(),
        name: key.name.to_string(),
        kind: SpanKind::from_otlp(key.kind.into()),
        count: total.count,
        error_count: total.error_count,
        root_count: total.root_count,
        total_nano: total.total_nano,
        p50_nano: total.quantile(500),
        p95_nano: total.quantile(950),
        p99_nano: total.quantile(990),
        longest_nano: total.longest_nano,
        steps: total.steps(),
        typical: None,
        longest: None,
        failed: None,
        attributes: Vec::new(),
    }
}
