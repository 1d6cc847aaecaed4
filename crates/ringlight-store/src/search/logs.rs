//! Searching for log records.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cursor::LogCursor;
use super::fields::{LogRow, Places, sections_needed};
use super::prune::Index;
use super::size::bytes_of_log;
use super::source::{Loader, Source};
use super::texts::RequiredTexts;
use crate::block::section::{Section, SectionSet};
use crate::query::{Constraints, QuerySignal};
use crate::state::Shared;
use crate::table::LogTable;
use crate::{LogEntry, LogPage, LogSearch, SearchError};

/// Bytes the records of a page may take. Beyond it a page is shorter than was asked for.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// The place of a record in the order they are shown: time, then request, then row in it. No two
/// records have the same.
type Key = (u64, u64, u32);

/// A record found: its key, its source and its row there.
type Found = (Key, usize, usize);

struct Search<'a> {
    search: &'a LogSearch,
    limit: usize,
    last_seq: u64,
    before: Option<Key>,
    loader: Loader<'a, LogTable>,
    constraints: Constraints,
    required_texts: RequiredTexts,
    sections: SectionSet,
    /// The newest records found, the oldest of them on top.
    best: BinaryHeap<Reverse<Found>>,
}

pub(crate) fn search_logs(shared: &Shared, search: &LogSearch) -> Result<LogPage, SearchError> {
    if search.query.signal() != QuerySignal::Logs {
        return Err(SearchError::WrongSignal {
            expected: QuerySignal::Logs,
            found: search.query.signal(),
        });
    }
    let cursor = match &search.cursor {
        Some(text) => Some(LogCursor::read(text)?),
        None => None,
    };
    let snapshot = shared.snapshot::<LogTable>();
    let last_seq = cursor.map_or(snapshot.last_seq, |cursor| cursor.last_seq);
    let sources = Source::newest_first(&snapshot, last_seq);
    let mut sections = sections_needed(&search.query);
    if search.trace_id.is_some() {
        sections.insert(Section::Traces);
    }
    if search.span_id.is_some() {
        sections.insert(Section::Ids);
    }
    let constraints = search.query.constraints();
    let mut state = Search {
        search,
        limit: search.limit.clamp(1, 10_000),
        last_seq,
        before: cursor.map(|cursor| (cursor.timestamp_unix_nano, cursor.seq, cursor.row)),
        loader: Loader::new(shared, snapshot.blocks.len()),
        required_texts: RequiredTexts::of(&constraints),
        constraints,
        sections,
        best: BinaryHeap::new(),
    };
    if !state.constraints.is_never() {
        for (number, source) in sources.iter().enumerate() {
            if state.is_complete(source.time_max()) {
                break;
            }
            search.cancel.check()?;
            state.scan(number, source);
        }
    }
    state.page(&sources)
}

impl Search<'_> {
    // One more than wanted is looked for, to know whether there is a next page.
    fn is_full(&self) -> bool {
        self.best.len() > self.limit
    }

    /// Whether no source that is no newer than this can add to the page.
    fn is_complete(&self, time_max: u64) -> bool {
        self.is_full()
            && self
                .best
                .peek()
                .is_some_and(|Reverse(((oldest, ..), ..))| *oldest > time_max)
    }

    fn is_in_window(&self, time_min: u64, time_max: u64) -> bool {
        self.search
            .from_unix_nano
            .is_none_or(|from| time_max >= from)
            && self.search.to_unix_nano.is_none_or(|to| time_min <= to)
            && self.before.is_none_or(|(before, ..)| time_min <= before)
    }

    fn may_have_matches(&mut self, source: &Source<LogTable>) -> bool {
        let (wanted, constraints) = (self.search.trace_id, &self.constraints);
        self.is_in_window(source.time_min(), source.time_max())
            && self.search.run.is_none_or(|run| run == source.run())
            && self.loader.ask(source, |block, shared| {
                let index = Index::new(block, shared);
                if let Some(trace_id) = wanted
                    && !index.may_have_trace(trace_id)?
                {
                    return Ok(false);
                }
                index.may_match(constraints)
            })
            && self.required_texts.may_be_in(&mut self.loader, source)
    }

    fn scan(&mut self, number: usize, source: &Source<LogTable>) {
        if !self.may_have_matches(source) {
            return;
        }
        let Some(table) = self.loader.rows(source, self.sections) else {
            return;
        };
        let places = Places::of(&self.search.query, &table.texts, &table.owners);
        let rows = table.origins.rows_until(self.last_seq) as usize;
        self.loader.stats.records_scanned += rows as u64;
        for row in 0..rows {
            let timestamp = table.timestamps[row];
            let is_too_old = self.is_complete(timestamp);
            if is_too_old || !self.is_in_window(timestamp, timestamp) {
                continue;
            }
            if !self.is_of_span(&table, row) {
                continue;
            }
            let (seq, place) = table.origins.of(row as u32);
            let key = (timestamp, seq, place);
            if self.before.is_some_and(|before| key >= before) {
                continue;
            }
            let record = LogRow {
                table: &table,
                places: &places,
                row,
            };
            if self.search.query.matches(&record) {
                self.best.push(Reverse((key, number, row)));
                if self.best.len() > self.limit + 1 {
                    self.best.pop();
                }
            }
        }
    }

    fn is_of_span(&self, table: &LogTable, row: usize) -> bool {
        let span_id = || table.span_ids.get(row).copied().unwrap_or_default();
        self.search
            .trace_id
            .is_none_or(|wanted| table.trace_id(row) == wanted)
            && self.search.span_id.is_none_or(|wanted| span_id() == wanted)
    }

    fn page(mut self, sources: &[Source<LogTable>]) -> Result<LogPage, SearchError> {
        let has_more = self.is_full();
        let mut found: Vec<Found> = self.best.drain().map(|Reverse(found)| found).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(self.limit);
        let page = self.entries(sources, &found)?;
        let has_more = has_more || page.kept < found.len();
        let last = found.get(page.kept.wrapping_sub(1));
        let next = last.filter(|_| has_more).map(|&(key, ..)| {
            let cursor = LogCursor {
                last_seq: self.last_seq,
                timestamp_unix_nano: key.0,
                seq: key.1,
                row: key.2,
            };
            cursor.write()
        });
        Ok(LogPage {
            logs: page.entries.into_iter().flatten().collect(),
            next,
            stats: self.loader.stats,
        })
    }

    // Source by source, so that each block is read once.
    fn entries(
        &mut self,
        sources: &[Source<LogTable>],
        found: &[Found],
    ) -> Result<Entries, SearchError> {
        let sections = SectionSet::of([
            Section::Traces,
            Section::Ids,
            Section::Values,
            Section::Attributes,
            Section::Extra,
            Section::Body,
        ]);
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by_key(|&index| found[index].1);
        let mut page = Entries {
            entries: vec![None; found.len()],
            kept: found.len(),
            bytes: 0,
        };
        let mut current = None;
        for index in order {
            if index >= page.kept {
                continue;
            }
            let (_, number, row) = found[index];
            if current.as_ref().is_none_or(|(known, _)| *known != number) {
                self.search.cancel.check()?;
                let rows = sources
                    .get(number)
                    .and_then(|source| self.loader.rows(source, sections));
                current = rows.map(|rows| (number, rows));
            }
            if let Some((_, table)) = &current {
                let owner = |column: &[u32]| column.get(row).copied().unwrap_or(0);
                let entry = LogEntry {
                    record: table.record(row),
                    resource: table.owners.resource_at(owner(&table.resources)),
                    scope: table.owners.scope_at(owner(&table.scopes)),
                };
                page.put(index, entry);
            }
        }
        Ok(page)
    }
}

/// The records of a page as they are gathered, newest first, within a bound of bytes: what is too
/// much goes to the next page.
struct Entries {
    entries: Vec<Option<LogEntry>>,
    /// So many of the records found are shown.
    kept: usize,
    /// About as much as the records take.
    bytes: usize,
}

impl Entries {
    fn put(&mut self, index: usize, entry: LogEntry) {
        self.bytes += bytes_of_log(&entry.record);
        self.entries[index] = Some(entry);
        // One is always shown, or the next page would begin where this one did.
        while self.bytes > PAGE_BYTES_MAX && self.kept > 1 {
            self.kept -= 1;
            if let Some(oldest) = self.entries[self.kept].take() {
                self.bytes -= bytes_of_log(&oldest.record);
            }
        }
        self.entries.truncate(self.kept);
    }
}
