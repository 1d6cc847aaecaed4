//! The vocabulary every other Ringlight crate speaks: signals, ids, attribute values, spans, log
//! records, metric points, callsites, limits and the ledger.
//!
//! It guarantees that a value built here is valid on its own terms (an id knows whether it is zero,
//! a ledger account knows whether it balances), and it costs nothing to depend on: no I/O, no
//! async, no threads.
//!
//! It must not know how anything is serialized: the OTLP wire lives in `ringlight-otlp`, the
//! on-disk blocks in `ringlight-store`.
#![forbid(unsafe_code)]

mod callsite;
mod cost;
mod decode;
mod delivery;
mod ids;
mod ledger;
mod limits;
mod metric;
mod pattern;
mod record;
mod signal;
mod threads;
mod value;

pub use callsite::{Callsite, CallsiteId, CallsiteKind, CallsiteRegistry, CallsiteScope};
pub use cost::{CostSnapshot, MemoryUse};
pub use decode::{DecodeError, Decoder, RecordVisitor, RejectReason};
pub use delivery::{DeliverySnapshot, SignalDelivery};
pub use ids::{ParseIdError, SpanId, TraceId};
pub use ledger::{Account, ByReason, DropReason, LedgerSnapshot};
pub use limits::Limits;
pub use metric::{
    Exemplar, ExponentialBuckets, ExponentialHistogram, Histogram, Metric, MetricKind, MetricPoint,
    Number, PointValue, Summary, Temporality,
};
pub use pattern::{glob_matches, target_matches};
pub use record::{
    LogRecord, Resource, Scope, Severity, Span, SpanEvent, SpanKind, SpanLink, Status, StatusCode,
};
pub use signal::Signal;
pub use threads::{ThreadAccount, ThreadCounts, ThreadKind, ThreadLedger};
pub use value::{KeyValue, Value};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
