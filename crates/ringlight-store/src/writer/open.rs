//! Spans that are still open, which searches see beside those that are stored.
//!
//! They are only shown: they are in no intake, and gone when the store is closed. Since the writer does
//! this as well as committing, a span is seen once at any time: open, or stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use ringlight_model::{SpanId, TraceId};

use super::Writer;
use crate::duplicates::mark_stored_before;
use crate::now_unix_nano;
use crate::state::{Chunk, State};
use crate::table::{Origins, SpanTable, Table as _};

type Ids = (TraceId, SpanId);

/// Whose the spans are that are shown as open: the first source to say so has a span until it says so no
/// more. Known to the writer alone, so that a commit finds what it closes without looking through the rest.
pub(super) type SourceOf = HashMap<Ids, u64, RandomState>;

/// What is left of the sources of which spans were stored; `None` if that is nothing.
pub(super) type Left = Vec<(u64, Option<Arc<Chunk<SpanTable>>>)>;

impl Writer {
    /// Shows spans that are open, but for those that are stored, as their sources said last.
    pub(super) fn show_open(&mut self) {
        let waiting = self.shared.open_reports().take();
        for (source, table) in waiting {
            self.show_open_of(source, *table);
        }
    }

    fn show_open_of(&mut self, source: u64, mut table: SpanTable) {
        // No request: searches of any page see them.
        table.set_origins(Origins::one(table.rows() as u32, 0));
        let (blocks, before) = {
            let spans = &self.shared.read().spans;
            (Arc::clone(&spans.blocks), spans.open.get(&source).cloned())
        };
        let mut is_stored = vec![false; table.rows()];
        let complete_from = self.spans.complete_from_seq;
        mark_stored_before(&table, &blocks, complete_from, &self.shared, &mut is_stored);
        for span in before.iter().flat_map(|before| ids(&before.table)) {
            self.open.remove(&span);
        }
        let is_shown: Vec<bool> = ids(&table)
            .zip(is_stored)
            .map(|(span, is_stored)| {
                let is_stored = is_stored || self.spans.contains(self.spans.hash(span.0, span.1));
                // Another source may have it, or a row before.
                !is_stored && !self.open.contains_key(&span) && {
                    self.open.insert(span, source);
                    true
                }
            })
            .collect();
        let chunk = chunk(source, self.shared.run, &table, |row| is_shown[row]);
        set_open(&mut self.shared.write(), vec![(source, chunk)]);
    }

    /// Forgets that spans are open which are about to be stored, and says what is left to be shown.
    pub(super) fn close_open<'a>(&mut self, stored: impl Iterator<Item = &'a SpanTable>) -> Left {
        let mut closed: HashMap<u64, HashSet<Ids, RandomState>, RandomState> = HashMap::default();
        if !self.open.is_empty() {
            for span in stored.flat_map(ids) {
                if let Some(source) = self.open.remove(&span) {
                    closed.entry(source).or_default().insert(span);
                }
            }
        }
        if closed.is_empty() {
            return Vec::new();
        }
        let state = self.shared.read();
        let left = closed.into_iter().map(|(source, closed)| {
            let left = state.spans.open.get(&source).and_then(|known| {
                let is_left: Vec<bool> = ids(&known.table)
                    .map(|span| !closed.contains(&span))
                    .collect();
                chunk(source, known.run, &known.table, |row| is_left[row])
            });
            (source, left)
        });
        left.collect()
    }
}

/// Shows these chunks in place of those that their sources had.
pub(super) fn set_open(state: &mut State, left: Left) {
    let open = &mut state.spans.open;
    for (source, chunk) in left {
        match chunk {
            Some(chunk) => open.insert(source, chunk),
            None => open.remove(&source),
        };
    }
}

fn ids(table: &SpanTable) -> impl Iterator<Item = Ids> + '_ {
    (0..table.rows()).map(|row| (table.trace_id(row), table.span_ids[row]))
}

/// Those rows of a table; `None` without any.
fn chunk(
    source: u64,
    run: u64,
    table: &SpanTable,
    keep: impl Fn(usize) -> bool,
) -> Option<Arc<Chunk<SpanTable>>> {
    let mut kept = SpanTable::default();
    kept.take(table, keep);
    let (&time_min, &time_max) = (kept.starts.iter().min()?, kept.starts.iter().max()?);
    Some(Arc::new(Chunk {
        slice: 0,
        seq: 0,
        run,
        received_unix_nano: now_unix_nano(),
        since: Instant::now(),
        memory_bytes: kept.memory_bytes(),
        time_min,
        time_max,
        table: kept,
        open_of: Some(source),
    }))
}
