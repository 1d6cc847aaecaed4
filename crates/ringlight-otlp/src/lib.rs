//! The OTLP wire: the model's records to protobuf and JSON and back.
//!
//! - [`encode`] writes protobuf in one pass, straight into a `Vec<u8>`, without intermediate
//!   structs; the collector uses its primitives to turn recorded bytes into requests.
//! - [`OtlpDecoder`] reads protobuf requests, borrowing from them, and shows every record to a
//!   [`RecordVisitor`](ringlight_model::RecordVisitor).
//! - [`json`] turns OTLP/JSON requests into protobuf requests and records into OTLP/JSON.
//! - [`response`] encodes and reads what a server answers.
//! - [`ledger_report`] is how a client tells a backend its account of every record, [`open_report`] how
//!   it tells which spans are still open.
//!
//! It guarantees that no input makes it panic, recurse without bound, or allocate from a length
//! that a request merely declares.
//!
//! It must not know the network: who sends the bytes, over what, and what happens on failure.
#![forbid(unsafe_code)]

mod decode;
pub mod encode;
mod fields;
pub mod json;
pub mod ledger_report;
pub mod open_report;
pub mod response;
mod span_texts;
mod split;
#[cfg(test)]
mod testing;
mod wire;

pub use decode::{Decoded, Ignore, OtlpDecoder};
pub use span_texts::{SpanTexts, span_texts};
pub use split::{Part, items, split};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
