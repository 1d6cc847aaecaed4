//! Records in columns: what the head holds, what a block is made from and what it is read into.

mod attributes;
mod columns;
mod logs;
mod metrics;
pub(crate) mod nested;
mod origins;
mod owners;
mod pool;
mod spans;
mod traces;

pub(crate) use attributes::{Attribute, Attributes, Cell, Texts};
pub(crate) use logs::LogTable;
pub(crate) use metrics::{
    LocalSeries, MetricTable, Order, PointOwners, Stored, kind_code, read_index, read_listed,
};
pub(crate) use origins::Origins;
pub(crate) use owners::Owners;
pub(crate) use pool::Pool;
pub(crate) use spans::{
    Operation, OperationKey, SpanTable, WINDOW_NANO, Window, read_operations, write_operations,
};
pub(crate) use traces::{Traces, traces_contain};

use std::sync::Arc;

use ringlight_model::Signal;

use crate::block::section::{Section, SectionSet};
use crate::block::{SealedBlock, seal_logs, seal_metrics, seal_spans};
use crate::codec::Corrupt;
use crate::state::{SignalState, State};

/// About what a table takes before it has rows: itself, and the smallest size of its many parts.
const TABLE_BYTES: usize = 3072;

/// Which attributes of rows are read; a table without the others is good only for what asks for
/// these.
#[derive(Debug, Clone, Default)]
pub(crate) enum WantedKeys {
    #[default]
    All,
    Only(Arc<[String]>),
}

impl WantedKeys {
    fn contains(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.iter().any(|known| known == key),
        }
    }
}

/// The value of a row; the default where the column is not loaded.
fn at<T: Copy + Default>(column: &[T], row: usize) -> T {
    column.get(row).copied().unwrap_or_default()
}

/// What the records of all signals have in common.
pub(crate) trait Table: Default + std::fmt::Debug + Send + Sync + 'static {
    const SIGNAL: Signal;

    fn rows(&self) -> usize;
    /// What rows are sorted by, a row.
    fn sort_times(&self) -> &[u64];
    fn set_origins(&mut self, origins: Origins);
    fn owners(&self) -> &Owners;
    /// Number in the owners' resources, a row.
    fn resources(&self) -> &[u32];
    fn take_all(&mut self, from: &Self);
    fn memory_bytes(&self) -> usize;
    fn loaded(&self) -> SectionSet;
    fn read_section(
        &mut self,
        section: Section,
        rows: usize,
        bytes: &[u8],
        keys: &WantedKeys,
    ) -> Result<(), Corrupt>;
    /// Makes a block, which says of which kind these series are that no block of the slice says it of yet.
    fn seal(&self, run: u64, received_max: u64, unlisted: &[u64]) -> SealedBlock;

    fn state(state: &State) -> &SignalState<Self>;
    fn state_mut(state: &mut State) -> &mut SignalState<Self>;
}

macro_rules! table {
    ($table:ty, $signal:expr, $times:ident, $field:ident, $take_all:expr, $seal:expr) => {
        impl Table for $table {
            const SIGNAL: Signal = $signal;

            fn rows(&self) -> usize {
                self.rows()
            }

            fn sort_times(&self) -> &[u64] {
                &self.$times
            }

            fn set_origins(&mut self, origins: Origins) {
                self.origins = origins;
            }

            fn owners(&self) -> &Owners {
                &self.owners
            }

            fn resources(&self) -> &[u32] {
                &self.resources
            }

            fn take_all(&mut self, from: &Self) {
                $take_all(self, from);
            }

            fn memory_bytes(&self) -> usize {
                self.memory_bytes()
            }

            fn loaded(&self) -> SectionSet {
                self.loaded
            }

            fn read_section(
                &mut self,
                section: Section,
                rows: usize,
                bytes: &[u8],
                keys: &WantedKeys,
            ) -> Result<(), Corrupt> {
                self.read_section(section, rows, bytes, keys)
            }

            fn seal(&self, run: u64, received_max: u64, unlisted: &[u64]) -> SealedBlock {
                $seal(self, run, received_max, unlisted)
            }

            fn state(state: &State) -> &SignalState<Self> {
                &state.$field
            }

            fn state_mut(state: &mut State) -> &mut SignalState<Self> {
                &mut state.$field
            }
        }
    };
}

table!(
    SpanTable,
    Signal::Traces,
    starts,
    spans,
    |to: &mut SpanTable, from: &SpanTable| to.take(from, |_| true),
    |table, run, received_max, _| seal_spans(table, run, received_max)
);
table!(
    LogTable,
    Signal::Logs,
    timestamps,
    logs,
    LogTable::take,
    |table, run, received_max, _| seal_logs(table, run, received_max)
);
table!(
    MetricTable,
    Signal::Metrics,
    times,
    metrics,
    MetricTable::take_all,
    seal_metrics
);
