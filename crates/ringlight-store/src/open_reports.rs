//! What is said of spans that are still open, on its way to the writer.
//!
//! The writer may be busy for as long as a commit takes. Meanwhile what a source says takes the place of
//! what it said before, so that as much waits as there are sources, of which there are so many at most.

use std::collections::{BTreeMap, HashSet};

use crate::table::SpanTable;

/// Sources whose open spans are shown, or wait to be. What further ones say is refused, and counted
/// ([`StoreStats::open_reports_refused`](crate::StoreStats::open_reports_refused)).
pub const OPEN_SOURCES_MAX: usize = 1024;

/// There are too many sources.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManySources;

/// Between those who report and the writer.
#[derive(Debug, Default)]
pub(crate) struct OpenReports {
    /// Those of which something is shown or waits.
    sources: HashSet<u64, foldhash::fast::RandomState>,
    /// What the writer has not taken yet: the last word of each source.
    waiting: BTreeMap<u64, Box<SpanTable>>,
    /// Whether the writer knows that something waits.
    is_called: bool,
    refused: u64,
}

impl OpenReports {
    /// Takes what a source says of all its open spans; whether the writer must be called.
    pub(crate) fn put(
        &mut self,
        source: u64,
        table: Box<SpanTable>,
    ) -> Result<bool, TooManySources> {
        if !self.sources.contains(&source) {
            if table.span_ids.is_empty() {
                return Ok(false);
            }
            if self.sources.len() >= OPEN_SOURCES_MAX {
                self.refused += 1;
                return Err(TooManySources);
            }
            self.sources.insert(source);
        }
        self.waiting.insert(source, table);
        Ok(!std::mem::replace(&mut self.is_called, true))
    }

    /// All that waits. A source that has nothing open any more makes room for another one.
    pub(crate) fn take(&mut self) -> BTreeMap<u64, Box<SpanTable>> {
        self.is_called = false;
        let waiting = std::mem::take(&mut self.waiting);
        for (source, table) in &waiting {
            if table.span_ids.is_empty() {
                self.sources.remove(source);
            }
        }
        waiting
    }

    /// Reports that were refused.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }
}
