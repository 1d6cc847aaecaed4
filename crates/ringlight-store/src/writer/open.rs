//! Spans that are still open, which searches see beside those that are stored.
//!
//! They are only shown: they are in no intake, and gone when the store is closed. Since the writer does
//! this as well as committing, a span is seen once at any time: open, or stored.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use ringlight_model::{SpanId, TraceId};

use super::Writer;
use crate::duplicates::mark_stored_before;
use crate::now_unix_nano;
use crate::state::{Chunk, State};
use crate::table::{Origins, SpanTable, Table as _};

/// All spans that are open, as somebody says.
pub(crate) struct OpenRows {
    /// Who says so. What the same said before is forgotten.
    pub(crate) source: u64,
    pub(crate) table: Box<SpanTable>,
}

impl Writer {
    /// Shows spans that are open, but for those that are stored.
    pub(super) fn show_open(&self, rows: OpenRows) {
        let OpenRows { source, mut table } = rows;
        // No request: searches of any page see them.
        table.set_origins(Origins::one(table.rows() as u32, 0));
        let blocks = Arc::clone(&self.shared.read().spans.blocks);
        let mut is_stored = vec![false; table.rows()];
        let complete_from = self.spans.complete_from_seq;
        mark_stored_before(&table, &blocks, complete_from, &self.shared, &mut is_stored);
        for (row, is_stored) in is_stored.iter_mut().enumerate() {
            let hash = self.spans.hash(table.trace_id(row), table.span_ids[row]);
            *is_stored |= self.spans.contains(hash);
        }
        let chunk = chunk(source, self.shared.run, &table, |row| !is_stored[row]);
        let mut state = self.shared.write();
        let open = &mut state.spans.open;
        open.retain(|chunk| chunk.open_of != Some(source));
        open.extend(chunk);
    }
}

/// Forgets that spans are open that are now stored.
pub(super) fn forget_open(state: &mut State, stored: &SpanTable) {
    let ids = |table: &SpanTable, row: usize| (table.trace_id(row), table.span_ids[row]);
    let open = &mut state.spans.open;
    if open.is_empty() {
        return;
    }
    let all = open.iter().flat_map(|chunk| {
        let table = &chunk.table;
        (0..table.rows()).map(move |row| ids(table, row))
    });
    let all: HashSet<(TraceId, SpanId), RandomState> = all.collect();
    let closed: HashSet<_, RandomState> = (0..stored.rows())
        .map(|row| ids(stored, row))
        .filter(|span| all.contains(span))
        .collect();
    if closed.is_empty() {
        return;
    }
    *open = open
        .iter()
        .filter_map(|known| {
            let keep = |row: usize| !closed.contains(&ids(&known.table, row));
            chunk(known.open_of?, known.run, &known.table, keep)
        })
        .collect();
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
