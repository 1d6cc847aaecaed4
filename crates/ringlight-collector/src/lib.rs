//! Drains the rings, batches, encodes once and accounts for every record.
#![forbid(unsafe_code)]

pub mod record;
