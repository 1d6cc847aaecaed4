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
use crate::{AttributeTotal, OperationAnswer, OperationSearch, SearchError};

/// Spans whose attributes are looked at: the newest of those asked for.
const ROWS_MAX: u64 = if cfg!(test) { 64 } else { 2_000_000 };

/// Sums of the keys asked for, by operation and key.
type Sums = HashMap<(u32, usize), (u64, f64, f64), RandomState>;

/// Adds to the operations of an answer what the attributes asked for come to.
pub(super) fn add_attributes(
    loader: &mut Loader<'_, SpanTable>,
    sources: &[Source<SpanTable>],
    search: &OperationSearch,
    grid: &Grid,
    operations: &[&OperationKey],
    answer: &mut OperationAnswer,
) -> Result<(), SearchError> {
    // Only those that may have one of the keys count.
    let mut rows = 0;
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
            answer.attribute_spans_left_out += more;
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
    let mut all = Sums::default();
    for ((operation, key), (count, sum, max)) in parts.into_iter().flatten() {
        let known = all.entry((operation, key)).or_insert((0, 0.0, max));
        *known = (known.0 + count, known.1 + sum, known.2.max(max));
    }
    for (number, operation) in answer.operations.iter_mut().enumerate() {
        for (place, key) in search.attributes.iter().enumerate() {
            if let Some(&(count, sum, max)) = all.get(&(number as u32, place)) {
                operation.attributes.push(AttributeTotal {
                    key: key.clone(),
                    count,
                    sum,
                    max,
                });
            }
        }
    }
    Ok(())
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
            for attribute in table.attributes.row(row) {
                let key = keys.iter().position(|key| *key == Some(attribute.key));
                let number = match attribute.cell {
                    Cell::Int(number) => number as f64,
                    Cell::Double(number) if number.is_finite() => number,
                    _ => continue,
                };
                if let Some(key) = key {
                    let sum = sums.entry((operation, key)).or_insert((0, 0.0, number));
                    *sum = (sum.0 + 1, sum.1 + number, sum.2.max(number));
                }
            }
        }
    }
}
