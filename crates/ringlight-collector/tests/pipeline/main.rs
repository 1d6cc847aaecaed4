//! The pipeline with exporters that do as they are told, without any network.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod audit;
mod clock;
mod delivery;
mod encoding;
mod ending;
mod fan_out;
mod ledger;
mod overflow;
mod places;
mod relay;
mod report;
mod requests;
mod resilience;
mod slices;
mod stuck;
mod support;
mod tail;
mod threads;
mod too_large;
