//! What goes into a store and what it answers.

use std::sync::Arc;

use ringlight_model::{
    LogRecord, RejectReason, Resource, Scope, Signal, Span, SpanId, TraceId, Value,
};

use crate::SearchError;
use crate::query::Query;

/// One export request, as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Ingest<'a> {
    /// What it carries.
    pub signal: Signal,
    /// The bytes of the export request, uncompressed.
    pub request: &'a [u8],
    /// The id its sender gives it, the same when it is sent again. Such a request is stored once.
    pub batch_id: Option<&'a str>,
}

/// What became of a request that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngestReceipt {
    /// Records the sender may consider delivered: `stored + duplicates`.
    pub accepted: u64,
    /// Records stored by this request.
    pub stored: u64,
    /// Records that were stored before.
    pub duplicates: u64,
    /// Records refused, by reason; each reason once.
    pub rejected: Vec<(RejectReason, u64)>,
}

/// Which traces are asked for. A trace is found if at least one of its spans matches the query,
/// starts in the time range and belongs to the run.
#[derive(Debug, Clone)]
pub struct TraceSearch {
    /// The filter, parsed for [`QuerySignal::Traces`](crate::query::QuerySignal::Traces).
    pub query: Query,
    /// First start time of a matching span, Unix nanoseconds, included.
    pub from_unix_nano: Option<u64>,
    /// Last start time of a matching span, Unix nanoseconds, included.
    pub to_unix_nano: Option<u64>,
    /// Traces wanted at most, from 1 to 1000; other numbers are brought into that range.
    pub limit: usize,
    /// Where the previous page ended.
    pub cursor: Option<String>,
    /// Only spans of this run.
    pub run: Option<u64>,
    /// Whether the answer is still wanted.
    pub cancel: Cancel,
}

/// Tells a search that nobody wants its answer any more. Asked before each block that is read,
/// and while a search waits for another; one that always says no is the default.
#[derive(Clone, Default)]
pub struct Cancel(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Cancel {
    /// Ends a search with [`SearchError::Cancelled`] once `is_cancelled` says so.
    pub fn when(is_cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(is_cancelled)))
    }

    /// Whether the answer is not wanted any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|is_cancelled| is_cancelled())
    }

    pub(crate) fn check(&self) -> Result<(), SearchError> {
        if self.is_cancelled() {
            return Err(SearchError::Cancelled);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel").finish_non_exhaustive()
    }
}

/// Traces found, newest first: by the start of their first span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TracePage {
    /// The traces.
    pub traces: Vec<TraceSummary>,
    /// Where the next page begins; `None` if there is no more. Following pages show the store as it
    /// was when the first page was asked for, so that nothing is shown twice or left out while more
    /// data arrives.
    pub next: Option<String>,
    /// What the search cost.
    pub stats: SearchStats,
}

/// What a trace is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: TraceId,
    /// Service of the root span; empty while no root has arrived.
    pub root_service: String,
    /// Name of the root span; empty while no root has arrived.
    pub root_name: String,
    /// Service of the span that started first, of those that have arrived.
    pub first_service: String,
    /// Name of the span that started first, of those that have arrived.
    pub first_name: String,
    /// Start of the first span.
    pub start_unix_nano: u64,
    /// From the first start to the last end.
    pub duration_nano: u64,
    /// Spans stored so far, and those that are open.
    pub span_count: u64,
    /// Those of them that are open, in no order.
    pub open_spans: Vec<SpanId>,
    /// Spans with an error status.
    pub error_count: u64,
    /// The services that take part, sorted.
    pub services: Vec<String>,
}

/// What a search had to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchStats {
    /// Sealed blocks of the signal in the store.
    pub blocks_total: u64,
    /// Sealed blocks of which records were read.
    pub blocks_read: u64,
    /// Records looked at, those in memory included.
    pub records_scanned: u64,
    /// Blocks that were skipped because they are damaged.
    pub blocks_corrupt: u64,
}

/// A whole trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its id.
    pub trace_id: TraceId,
    /// The resources its spans refer to, each once.
    pub resources: Vec<Resource<'static>>,
    /// The scopes its spans refer to, each once.
    pub scopes: Vec<Scope<'static>>,
    /// The spans, sorted by start, then by span id.
    pub spans: Vec<TraceSpan>,
    /// Later spans that are left out because the trace is too large for one answer.
    pub spans_left_out: u64,
}

/// A span of a [`Trace`].
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSpan {
    /// The span.
    pub span: Span<'static>,
    /// Index into [`Trace::resources`].
    pub resource: usize,
    /// Index into [`Trace::scopes`].
    pub scope: usize,
    /// Whether it is still open, as far as is known, and ended only for the one who said so.
    pub is_open: bool,
}

/// Which log records are asked for.
#[derive(Debug, Clone)]
pub struct LogSearch {
    /// The filter, parsed for [`QuerySignal::Logs`](crate::query::QuerySignal::Logs).
    pub query: Query,
    /// First time, Unix nanoseconds, included.
    pub from_unix_nano: Option<u64>,
    /// Last time, Unix nanoseconds, included.
    pub to_unix_nano: Option<u64>,
    /// Records wanted at most, from 1 to 10 000; other numbers are brought into that range. A page
    /// has fewer, and a next page, when they take more than 32 MiB.
    pub limit: usize,
    /// Where the previous page ended.
    pub cursor: Option<String>,
    /// Only records of this run.
    pub run: Option<u64>,
    /// Only records of this trace.
    pub trace_id: Option<TraceId>,
    /// Only records of this span.
    pub span_id: Option<SpanId>,
    /// Whether the answer is still wanted.
    pub cancel: Cancel,
}

/// Log records found, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogPage {
    /// The records.
    pub logs: Vec<LogEntry>,
    /// Where the next page begins; see [`TracePage::next`].
    pub next: Option<String>,
    /// What the search cost.
    pub stats: SearchStats,
}

/// A log record with what it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// The record.
    pub record: LogRecord<'static>,
    /// Its resource.
    pub resource: Arc<Resource<'static>>,
    /// Its scope.
    pub scope: Arc<Scope<'static>>,
}

/// A service and what is stored of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSummary {
    /// `service.name`, `unknown_service` where there was none.
    pub name: String,
    /// Spans stored.
    pub span_count: u64,
    /// Log records stored.
    pub log_count: u64,
    /// Data points of metrics stored.
    pub point_count: u64,
    /// Earliest time of its records: the start of a span, the time of a log record or of a point. Blocks of
    /// formats 1 and 2 know it only of all services together.
    pub first_unix_nano: u64,
    /// Latest time of its records, in the same way.
    pub last_unix_nano: u64,
}

/// One time the store was open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number, counted from 1.
    pub id: u64,
    /// The command that opened the store.
    pub command: String,
    /// When.
    pub started_unix_nano: u64,
    /// When it was closed; after a crash the last moment it is known to have been open. `None` for
    /// the current run.
    pub ended_unix_nano: Option<u64>,
    /// Spans of it that are still stored.
    pub span_count: u64,
    /// Log records of it that are still stored.
    pub log_count: u64,
    /// Data points of metrics of it that are still stored.
    pub point_count: u64,
}

/// Where a key that can be asked for is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyScope {
    /// A field every record of the signal has, such as `name`.
    Intrinsic,
    /// An attribute of a span.
    Span,
    /// An attribute of a resource.
    Resource,
    /// An attribute of a span event.
    Event,
    /// An attribute of a log record.
    Log,
    /// An attribute of a data point.
    Point,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ValueType {
    /// No value.
    Empty = 0,
    /// Text.
    String = 1,
    /// A truth value.
    Bool = 2,
    /// A signed integer.
    Int = 3,
    /// A floating-point number.
    Double = 4,
    /// Opaque bytes.
    Bytes = 5,
    /// A list.
    Array = 6,
    /// Nested attributes.
    Map = 7,
}

impl ValueType {
    /// The kind of a value.
    #[must_use]
    pub const fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Empty => Self::Empty,
            Value::Str(_) => Self::String,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Double(_) => Self::Double,
            Value::Bytes(_) => Self::Bytes,
            Value::Array(_) => Self::Array,
            Value::Map(_) => Self::Map,
        }
    }

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Map => "map",
        }
    }
}

/// A key seen in stored records. A key with values of several types is several of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeKey {
    /// Where it was found.
    pub scope: KeyScope,
    /// The key.
    pub key: String,
    /// The type of its values.
    pub value_type: ValueType,
}

/// Which keys are asked for.
#[derive(Debug, Clone)]
pub struct AttributeSearch<'a> {
    /// Of spans ([`Signal::Traces`]), log records ([`Signal::Logs`]) or data points
    /// ([`Signal::Metrics`]).
    pub signal: Signal,
    /// Of the metrics of this name alone; makes no difference to other signals.
    pub metric: Option<&'a str>,
    /// What the key begins with.
    pub prefix: &'a str,
    /// Keys wanted at most, from 1 to 1000.
    pub limit: usize,
}

/// Which values of a key are asked for.
#[derive(Debug, Clone)]
pub struct ValueSearch<'a> {
    /// Of spans ([`Signal::Traces`]), log records ([`Signal::Logs`]) or data points
    /// ([`Signal::Metrics`]).
    pub signal: Signal,
    /// Of the metrics of this name alone; makes no difference to other signals.
    pub metric: Option<&'a str>,
    /// Where the key is looked for; `None` is everywhere.
    pub scope: Option<KeyScope>,
    /// The key, or the name of an intrinsic as the query language writes it.
    pub key: &'a str,
    /// What the value, as text, begins with.
    pub prefix: &'a str,
    /// Values wanted at most, from 1 to 1000.
    pub limit: usize,
}

/// The state of the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Bytes on disk.
    pub bytes: u64,
    /// The limit for them.
    pub size_limit_bytes: u64,
    /// Seconds a record is kept.
    pub retention_seconds: u64,
    /// Time slices, each a file.
    pub slices: u64,
    /// Sealed blocks.
    pub blocks: u64,
    /// Blocks or intake requests found damaged and skipped since the store was opened.
    pub corrupt: u64,
    /// Records in memory, not sealed yet. They are durable nevertheless.
    pub head_records: u64,
    /// Bytes of memory they take, requests being decoded included.
    pub head_bytes: u64,
    /// Whether the last write failed for lack of space.
    pub disk_full: bool,
    /// Time of the oldest record; 0 if there is none.
    pub oldest_unix_nano: u64,
    /// Time of the newest record; 0 if there is none.
    pub newest_unix_nano: u64,
    /// Spans stored.
    pub span_count: u64,
    /// Log records stored.
    pub log_count: u64,
    /// Data points of metrics stored.
    pub point_count: u64,
    /// Series of metrics that something is stored of and can be found.
    pub series: u64,
    /// The limit for them.
    pub series_max: u64,
    /// Series that were not written to any more and made room for new ones since the store was opened, and
    /// those there was no room for when it was. Their points cannot be found.
    pub series_forgotten: u64,
    /// Reports of open spans that were refused since the store was opened, as they came from too many
    /// sources.
    pub open_reports_refused: u64,
}

/// What one instance of a service has stored since the store was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceStored {
    /// `service.instance.id`.
    pub instance: String,
    /// `service.name`.
    pub service: String,
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Spans that had been stored before.
    pub spans_duplicate: u64,
    /// Log records that had been stored before.
    pub logs_duplicate: u64,
    /// Data points of metrics. Reports of clients about themselves are none of them, unless they came among others.
    pub points: u64,
    /// Data points that had been stored before.
    pub points_duplicate: u64,
}
