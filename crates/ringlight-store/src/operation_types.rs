//! What is asked of operations, and answered.

use ringlight_model::{SpanId, SpanKind, TraceId};

use crate::{Cancel, SearchStats};

/// Which of several operations come first: those with the most of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationOrder {
    /// Time spent in all spans together.
    Total,
    /// Spans.
    Count,
    /// Failed spans.
    Errors,
    /// The 99th percentile of durations.
    P99,
    /// The sum of the first of the attributes asked for. Operations that do not have it come last.
    Attribute,
}

/// What is asked about operations. An operation is the spans of one service, name and kind.
#[derive(Debug, Clone)]
pub struct OperationSearch {
    /// Only those of this service.
    pub service: Option<String>,
    /// Only those that something begins with: of servers and consumers, and those that have spans without a
    /// parent.
    pub entry_only: bool,
    /// First time a span starts, Unix nanoseconds; the whole step it is in counts.
    pub from_unix_nano: u64,
    /// Last time a span starts, Unix nanoseconds; the whole step it is in counts.
    pub to_unix_nano: u64,
    /// Length of a step in nanoseconds, made a multiple of ten seconds. Steps begin at multiples of it;
    /// there may be 1000.
    pub step_nano: u64,
    /// Only spans of this run.
    pub run: Option<u64>,
    /// Which come first.
    pub order: OperationOrder,
    /// Operations wanted at most, from 1 to 1000.
    pub limit: usize,
    /// Attributes of spans whose numbers are added up.
    pub attributes: Vec<String>,
    /// Whether the answer is still wanted.
    pub cancel: Cancel,
}

/// What operations were like.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperationAnswer {
    /// The operations, in the order asked for.
    pub operations: Vec<OperationSummary>,
    /// Operations behind these that are left out.
    pub operations_left_out: u64,
    /// Spans of still others, of which nothing is known since there were too many operations.
    pub spans_left_out: u64,
    /// Failed spans of the operations that `entry_only` leaves out: what something begins with may be well though
    /// something in it failed. Of the service asked for, without those in `spans_left_out`.
    pub inner_error_count: u64,
    /// Begin of the first step, Unix nanoseconds.
    pub first_unix_nano: u64,
    /// End of the last step, Unix nanoseconds, not included.
    pub end_unix_nano: u64,
    /// Length of a step in nanoseconds.
    pub step_nano: u64,
    /// Spans whose attributes are not in the sums: of more than are looked at, the oldest, and those of
    /// operations beyond as many sums as are kept.
    pub attribute_spans_left_out: u64,
    /// What the search cost.
    pub stats: SearchStats,
}

/// What an operation was like. Quantiles are wrong by a sixty-fourth (1.6 %) at most.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationSummary {
    /// `service.name`, `unknown_service` where there was none.
    pub service: String,
    /// The name of its spans.
    pub name: String,
    /// The kind of its spans.
    pub kind: SpanKind,
    /// Spans.
    pub count: u64,
    /// Spans with an error status.
    pub error_count: u64,
    /// Spans without a parent.
    pub root_count: u64,
    /// Time spent in all spans together.
    pub total_nano: u64,
    /// The median of the durations.
    pub p50_nano: u64,
    /// The 95th percentile of the durations.
    pub p95_nano: u64,
    /// The 99th percentile of the durations.
    pub p99_nano: u64,
    /// The longest duration, exactly.
    pub longest_nano: u64,
    /// The steps in which there are any, in order.
    pub steps: Vec<OperationStep>,
    /// A span about as long as the median.
    pub typical: Option<OperationExample>,
    /// The longest span.
    pub longest: Option<OperationExample>,
    /// One of the newest failed spans.
    pub failed: Option<OperationExample>,
    /// The attributes asked for that its spans have as numbers.
    pub attributes: Vec<AttributeTotal>,
}

/// What an operation was like in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationStep {
    /// Where the step begins, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Spans.
    pub count: u64,
    /// Spans with an error status.
    pub error_count: u64,
    /// The 95th percentile of the durations.
    pub p95_nano: u64,
}

/// A span to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationExample {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// When it started.
    pub start_unix_nano: u64,
    /// How long it took.
    pub duration_nano: u64,
}

/// The numbers of an attribute, added up.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeTotal {
    /// The key.
    pub key: String,
    /// Spans that have it as a number.
    pub count: u64,
    /// The sum of these numbers.
    pub sum: f64,
    /// The highest of them.
    pub max: f64,
}
