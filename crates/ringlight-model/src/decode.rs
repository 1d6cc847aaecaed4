//! The seam between whoever holds encoded telemetry and whoever wants its records.
//!
//! The store keeps requests as the bytes they came in but must not know the wire; it is handed a
//! [`Decoder`] and is itself a [`RecordVisitor`].

use std::fmt;

use crate::{LogRecord, Metric, MetricPoint, Resource, Scope, Signal, Span};

/// Why one item of an otherwise good request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RejectReason {
    /// The trace id is missing or zero.
    ZeroTraceId,
    /// The span id is missing or zero.
    ZeroSpanId,
    /// An id does not have the length its kind has.
    IdLength,
    /// Values are nested deeper than the limit.
    TooDeep,
    /// The item is larger than the limit.
    TooLarge,
    /// The item's bytes do not decode.
    Malformed,
    /// The buckets of a distribution contradict each other or their bounds.
    BadBuckets,
    /// A sum or a distribution does not say what it is relative to.
    NoTemporality,
    /// A point would begin a series beyond those that are kept.
    TooManySeries,
}

impl RejectReason {
    /// The name in counters and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ZeroTraceId => "zero_trace_id",
            Self::ZeroSpanId => "zero_span_id",
            Self::IdLength => "id_length",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::BadBuckets => "bad_buckets",
            Self::NoTemporality => "no_temporality",
            Self::TooManySeries => "too_many_series",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroTraceId => "trace id is missing or zero",
            Self::ZeroSpanId => "span id is missing or zero",
            Self::IdLength => "id has the wrong length",
            Self::TooDeep => "value is nested too deep",
            Self::TooLarge => "item is too large",
            Self::Malformed => "item does not decode",
            Self::BadBuckets => "buckets do not fit together",
            Self::NoTemporality => "aggregation temporality is missing",
            Self::TooManySeries => "there are too many series, some attribute has too many values",
        })
    }
}

/// The request as a whole does not decode; nothing of it may be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("request does not decode at byte {offset}: {reason}")]
pub struct DecodeError {
    /// Where in the request.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Receives the records of one request, in order.
///
/// A span, log record or metric point belongs to the resource and scope announced last.
pub trait RecordVisitor {
    /// A new resource begins; no scope has been announced for it yet.
    fn resource(&mut self, resource: &Resource<'_>);
    /// A new scope begins under the current resource.
    fn scope(&mut self, scope: &Scope<'_>);
    /// A span.
    fn span(&mut self, span: &Span<'_>);
    /// A log record.
    fn log(&mut self, record: &LogRecord<'_>);
    /// A data point of a metric. Passed over by visitors that are not about metrics.
    fn point(&mut self, _metric: &Metric<'_>, _point: &MetricPoint<'_>) {}
    /// An item was refused; the rest of the request goes on.
    fn rejected(&mut self, reason: RejectReason);
}

/// Turns the bytes of an export request into records.
pub trait Decoder: Send + Sync {
    /// Walks `request`, which holds the `signal`'s export request, and shows every record to
    /// `visitor`. The same bytes always give the same records.
    ///
    /// # Errors
    /// When the request as a whole is malformed. Records before the malformed place may have been
    /// shown already.
    fn decode(
        &self,
        signal: Signal,
        request: &[u8],
        visitor: &mut dyn RecordVisitor,
    ) -> Result<(), DecodeError>;
}
