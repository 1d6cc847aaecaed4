//! Searching: which blocks can hold a match, which rows of them match, in which order they are
//! shown.

mod complete;
mod cursor;
mod fields;
mod finder;
mod gather;
mod grid;
mod judge;
mod logs;
mod metrics;
mod operations;
mod prune;
mod scan;
mod size;
mod source;
mod summary;
mod texts;
mod totals;
mod traces;
mod turn;

pub(crate) use complete::{attribute_values, attributes};
pub(crate) use gather::{TRACE_BYTES_MAX, trace};
pub(crate) use logs::search_logs;
pub(crate) use metrics::{metrics, search_metric};
pub(crate) use operations::search_operations;
pub(crate) use summary::{runs, services, stats};
pub(crate) use traces::search_traces;
pub(crate) use turn::{Turn, Turns};
