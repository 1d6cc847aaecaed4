//! Numbers of attributes, added up by operation.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::super::grid::Grid;
use super::super::prune::Index;
use super::super::scan::fold;
use super::super::source::{Loader, Source};
use crate::block::filter::FilterScope;
use crate::block::section::{Section, SectionSet};
use crate::table::{Cell, OperationKey, SpanTable, WantedKeys};
use crate::{AttributeTotal, OperationSearch, SearchError};

/// Spans whose attributes are looked at: the newest of those asked for.
const ROWS_MAX: u64 = if cfg!(test) { 64 } else { 2_000_000 };

/// Sums that are kept, by each of the threads that work on a search.
const SUMS_MAX: usize = if cfg!(test) { 64 } else { 1 << 18 };

/// Sums of the keys asked for, by the number of the operation and of the key.
#[derive(Debug, Default)]
pub(super) struct Sums {
    all: HashMap<(u32, usize), Sum, RandomState>,
    /// Spans that are in none.
    pub(super) spans_left_out: u64,
}

/// How many numbers, what they come to, and the highest.
#[derive(Debug, Clone, Copy)]
struct Sum {
    count: u64,
    sum: f64,
    max: f64,
}

impl Sum {
    const fn of(number: f64) -> Self {
        Self {
            count: 1,
            sum: number,
            max: number,
        }
    }
}

impl Sums {
    /// What the numbers of the first key come to for an operation, if it has any.
    pub(super) fn of_first(&self, operation: usize) -> Option<f64> {
        let sum = self.all.get(&(operation as u32, 0))?;
        Some(sum.sum)
    }

    /// All sums of an operation, in the order of the keys.
    pub(super) fn of(&self, operation: usize, keys: &[String]) -> Vec<AttributeTotal> {
        let known = keys.iter().enumerate().filter_map(|(place, key)| {
            let sum = self.all.get(&(operation as u32, place))?;
            Some(AttributeTotal {
                key: key.clone(),
                count: sum.count,
                sum: sum.sum,
                max: sum.max,
            })
        });
        known.collect()
    }

    // Gives whether there was room.
    fn add(&mut self, place: (u32, usize), more: Sum) -> bool {
        if let Some(sum) = self.all.get_mut(&place) {
            sum.count += more.count;
            sum.sum += more.sum;
            sum.max = sum.max.max(more.max);
            return true;
        }
        let has_room = self.all.len() < SUMS_MAX;
        if has_room {
            self.all.insert(place, more);
        }
        has_room
    }

    fn join(parts: Vec<Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut joined = parts.next().unwrap_or_default();
        for part in parts {
            joined.spans_left_out += part.spans_left_out;
            for (place, sum) in part.all {
                if !joined.add(place, sum) {
                    joined.spans_left_out += sum.count;
                }
            }
        }
        joined
    }
}

/// What the attributes asked for come to for each of these operations.
pub(super) fn sum_attributes(
    loader: &mut Loader<'_, SpanTable>,
    sources: &[Source<SpanTable>],
    search: &OperationSearch,
    grid: &Grid,
    operations: &[&OperationKey],
) -> Result<Sums, SearchError> {
    // Only those that may have one of the keys count.
    let mut rows = 0;
    let mut rows_left_out = 0;
    let mut looked_at = Vec::new();
    for source in sources {
        search.cancel.check()?;
        let may_have = loader.ask(source, |block, shared| {
            let index = Index::new(block, shared);
            for key in &search.attributes {
                if index.may_have_key(FilterScope::Span, key)? {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        if !may_have {
            continue;
        }
        let more = row_count(source);
        if rows + more > ROWS_MAX {
            rows_left_out += more;
        } else {
            rows += more;
            looked_at.push(source.clone());
        }
    }
    let numbers = operations.iter().zip(0_u32..);
    let adder = Adder {
        search,
        grid,
        operations: numbers.map(|(&key, number)| (key, number)).collect(),
    };
    let mut reader = Loader::new(loader.shared, 0);
    reader.keys = WantedKeys::Only(search.attributes.clone().into());
    let parts = fold(
        &mut reader,
        &looked_at,
        &search.cancel,
        |sums: &mut Sums, loader, source| adder.add_source(sums, loader, source),
    )?;
    // What it kept has only some of the attributes, which nothing after this asks for.
    loader.account(reader);
    let mut sums = Sums::join(parts);
    sums.spans_left_out += rows_left_out;
    Ok(sums)
}

fn row_count(source: &Source<SpanTable>) -> u64 {
    match source {
        Source::Chunk(chunk) => chunk.table.rows() as u64,
        Source::Block(block) => block.info.rows.into(),
    }
}

struct Adder<'a> {
    search: &'a OperationSearch,
    grid: &'a Grid,
    operations: HashMap<&'a OperationKey, u32, RandomState>,
}

impl Adder<'_> {
    fn add_source(
        &self,
        sums: &mut Sums,
        loader: &mut Loader<'_, SpanTable>,
        source: &Source<SpanTable>,
    ) {
        let Some(table) = loader.rows(source, SectionSet::of([Section::Attributes])) else {
            return;
        };
        loader.stats.records_scanned += table.rows() as u64;
        let keys: Vec<Option<u32>> = self
            .search
            .attributes
            .iter()
            .map(|key| table.texts.names.find(key))
            .collect();
        let mut known: HashMap<(u32, u32, u8), Option<u32>, RandomState> = HashMap::default();
        for row in 0..table.rows() {
            if self.grid.window_of(table.starts[row]).is_none() {
                continue;
            }
            let place = (table.resources[row], table.names[row], table.kinds[row]);
            let operation = known.entry(place).or_insert_with(|| {
                let key = OperationKey {
                    service: table.owners.resource_at(place.0).service_name().into(),
                    name: table.name(row).into(),
                    kind: place.2,
                };
                self.operations.get(&key).copied()
            });
            let Some(operation) = *operation else {
                continue;
            };
            let mut has_room = true;
            for attribute in table.attributes.row(row) {
                let key = keys.iter().position(|key| *key == Some(attribute.key));
                let number = match attribute.cell {
                    Cell::Int(number) => number as f64,
                    Cell::Double(number) if number.is_finite() => number,
                    _ => continue,
                };
                if let Some(key) = key {
                    has_room &= sums.add((operation, key), Sum::of(number));
                }
            }
            sums.spans_left_out += u64::from(!has_room);
        }
    }
}
