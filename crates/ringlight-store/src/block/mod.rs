//! Blocks: some thousand records, sealed into compressed columns with an index of what they hold.

pub(crate) mod filter;
mod info;
mod ranges;
mod seal;
pub(crate) mod section;
mod services;

pub(crate) use info::{BlockInfo, Names, is_listed};
pub(crate) use ranges::Ranges;
pub(crate) use seal::{SealedBlock, seal_logs, seal_metrics, seal_spans};
pub(crate) use services::ServiceRows;
