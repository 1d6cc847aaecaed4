//! The pipeline with exporters that do as they are told, without any network.

mod delivery;
mod encoding;
mod ending;
mod ledger;
mod report;
mod support;
