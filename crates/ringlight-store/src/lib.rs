//! The embedded store of spans, log records and metrics: ingest, query, retention.
//!
//! One directory holds everything: a small catalogue, and one SQLite file a time slice with the
//! *intake* (requests as they came, a write-ahead log) and *blocks* (some thousand records each, in
//! compressed columns). `docs/store-format.md` describes every byte.
//!
//! It guarantees:
//! - [`Store::ingest`] returns `Ok` only once the request survives the end of the process (and, by
//!   default, of the machine); from then on every search sees it.
//! - The same span, and the same batch of log records or data points, is stored once, however often it is sent.
//! - Memory is bounded: what cannot be written in time is refused, never queued without limit, and so
//!   are points of more series than are kept, unless older ones are not written to any more.
//! - Damage to a block costs that block, is counted and never ends the process.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use ringlight_model::{Resource, Scope, Signal, Span, SpanId, TraceId};
//! use ringlight_otlp::{OtlpDecoder, encode};
//! use ringlight_store::query::{Query, QuerySignal};
//! use ringlight_store::{Cancel, Ingest, Store, StoreConfig, TraceSearch};
//!
//! # let directory = tempfile::tempdir()?;
//! let store = Store::open(
//!     StoreConfig::new(directory.path()),
//!     Arc::new(OtlpDecoder::default()),
//! )?;
//! let span = Span {
//!     trace_id: TraceId::new(1),
//!     span_id: SpanId::new(2),
//!     name: "checkout".into(),
//!     ..Span::default()
//! };
//! let request = encode::request(&Resource::default(), &Scope::default(), &[span]);
//! let receipt = store.ingest(Ingest {
//!     signal: Signal::Traces,
//!     request: &request,
//!     batch_id: None,
//! })?;
//! assert_eq!(receipt.stored, 1);
//!
//! let page = store.search_traces(&TraceSearch {
//!     query: Query::parse("{ name = \"checkout\" }", QuerySignal::Traces)?,
//!     from_unix_nano: None,
//!     to_unix_nano: None,
//!     limit: 20,
//!     cursor: None,
//!     run: None,
//!     cancel: Cancel::default(),
//! })?;
//! assert_eq!(page.traces[0].root_name, "checkout");
//! # Ok(())
//! # }
//! ```
//!
//! It must not know the wire format (it is handed a [`Decoder`](ringlight_model::Decoder)), HTTP,
//! or what the answers are shown in.
#![forbid(unsafe_code)]

mod block;
mod catalogue;
mod clock;
mod codec;
mod config;
mod directory;
mod duplicates;
mod durations;
mod error;
mod intake;
mod metric_types;
mod open;
mod open_reports;
mod operation_types;
pub mod query;
mod search;
mod series;
mod slice;
mod state;
mod steps;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod writer;

pub use clock::now_unix_nano;
pub use config::{Durability, StoreConfig};
pub use error::{DatabaseError, IngestError, SearchError, StoreError};
pub use metric_types::{Aggregation, MetricAnswer, MetricSearch, MetricSeries, MetricSummary};
pub use open_reports::OPEN_SOURCES_MAX;
pub use operation_types::{
    AttributeTotal, OperationAnswer, OperationExample, OperationOrder, OperationSearch,
    OperationStep, OperationSummary,
};
pub use store::Store;
pub use types::{
    AttributeKey, AttributeSearch, Cancel, Ingest, IngestReceipt, InstanceStored, KeyScope,
    LogEntry, LogPage, LogSearch, Run, SearchStats, ServiceSummary, StoreStats, Trace, TracePage,
    TraceSearch, TraceSpan, TraceSummary, ValueSearch, ValueType,
};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
