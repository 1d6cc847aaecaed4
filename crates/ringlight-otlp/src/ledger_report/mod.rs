//! What a client says about itself, on its way to a backend, as an OTLP metrics request: its ledger, the
//! same by thread, and what observing costs it.
//!
//! All of it is under the scope `ringlight`, whose attribute `ringlight.ledger.final` is true on the last
//! report of a process. The metrics, with their units and attributes, are in `docs/otlp.md`. Any OTLP
//! backend takes them as ordinary ones; ours compares the ledger with what it stored.

mod read;
mod write;

#[cfg(test)]
mod tests;

use ringlight_model::{
    CostSnapshot, DeliverySnapshot, LedgerSnapshot, Signal, ThreadAccount, ThreadLedger,
};

pub use read::read;
pub use write::encode;

/// Name of the scope.
pub const SCOPE: &str = "ringlight";
/// Name of the metric that is the ledger.
pub const METRIC: &str = "ringlight.ledger.records";
/// Scope attribute that is true on the last report of a process.
pub const FINAL: &str = "ringlight.ledger.final";
/// Threads that have a row of their own in a report; further ones share one.
pub const THREADS_MAX: usize = 64;
/// Rows that are read from a report: those of threads, and those of several. Further ones are passed
/// over.
const ROWS_MAX: usize = THREADS_MAX + 8;

/// What is reported.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The ledger by thread; rows of threads beyond [`THREADS_MAX`] should be
    /// [folded](ThreadLedger::fold).
    pub ledger: &'a ThreadLedger,
    /// What observing costs, where that is known.
    pub cost: Option<&'a Cost>,
    /// How the destination of the report is sent to, where that is known.
    pub delivery: Option<&'a DeliverySnapshot>,
    /// How often each rule for what leaves the process was applied, by its name.
    pub rules: &'a [(String, u64)],
    /// When the client began to count, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// When the report was made, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Whether it is the client's last.
    pub is_final: bool,
}

/// What observing costs a client.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Since the start.
    pub total: CostSnapshot,
    /// The part of one core's time, since the last report, or on the last one since the start.
    pub core_ratio: f64,
    /// The part of the process's CPU time, over the same time.
    pub process_ratio: f64,
}

/// One client's report as a backend received it.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerReport {
    /// `service.name` of the client.
    pub service: String,
    /// `service.instance.id` of the client, empty where it sent none.
    pub instance: String,
    /// When the client began to count, Unix nanoseconds; 0 where it did not say.
    pub start_unix_nano: u64,
    /// When the client took the snapshot, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Whether this is the client's last report.
    pub is_final: bool,
    /// The accounts of traces, logs and metrics, and what is counted beside them.
    pub ledger: LedgerSnapshot,
    /// The accounts by thread.
    pub threads: Vec<ThreadAccount>,
    /// Bytes of one of the client's rings; 0 where it did not say.
    pub ring_bytes: u64,
    /// What observing costs the client, where it says so.
    pub cost: Option<Cost>,
    /// How the client sends, where it says so.
    pub delivery: Option<DeliverySnapshot>,
    /// How many data points of the request the report took.
    pub points: u64,
}

/// The signals a ledger is reported for: metrics, whose records are data points, where there are any.
const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];
/// Those that threads record.
const RECORDED: [Signal; 2] = [Signal::Traces, Signal::Logs];

const SUBMITTED: &str = "submitted";
const EXPORTED: &str = "exported";
const REJECTED: &str = "rejected";
const DROPPED: &str = "dropped";
const IN_FLIGHT: &str = "in_flight";
const SPOOLED: &str = "spooled";
const RECOVERED: &str = "recovered";

/// Names of the other metrics.
mod names {
    pub(super) const EXPORTED_RECOVERED: &str = "ringlight.ledger.exported_recovered";
    pub(super) const NEGATIVE_DURATIONS: &str = "ringlight.ledger.negative_durations";
    pub(super) const UNMATCHED_EXITS: &str = "ringlight.ledger.unmatched_exits";
    pub(super) const THREAD_RECORDS: &str = "ringlight.thread.records";
    pub(super) const RING_USAGE: &str = "ringlight.ring.usage";
    pub(super) const RING_LIMIT: &str = "ringlight.ring.limit";
    pub(super) const PRODUCER_COST: &str = "ringlight.producer.cost";
    pub(super) const PRODUCER_SAMPLES: &str = "ringlight.producer.samples";
    pub(super) const PRODUCER_CPU: &str = "ringlight.producer.cpu_time";
    pub(super) const COLLECTOR_CPU: &str = "ringlight.collector.cpu_time";
    pub(super) const PROCESS_CPU: &str = "process.cpu.time";
    pub(super) const UPTIME: &str = "process.uptime";
    pub(super) const SENT: &str = "ringlight.exporter.sent";
    pub(super) const REQUESTS: &str = "ringlight.exporter.requests";
    pub(super) const RECORDS: &str = "ringlight.exporter.records";
    pub(super) const ENCODED: &str = "ringlight.exporter.encoded";
    pub(super) const WIRE: &str = "ringlight.exporter.wire";
    pub(super) const LATENCY: &str = "ringlight.exporter.latency";
    pub(super) const CONCURRENCY: &str = "ringlight.exporter.concurrency";
    pub(super) const BATCH_LIMIT: &str = "ringlight.exporter.batch.limit";
    pub(super) const MEMORY: &str = "ringlight.memory.usage";
    pub(super) const OVERHEAD: &str = "ringlight.overhead.utilization";
    pub(super) const BUDGET: &str = "ringlight.overhead.budget";
    pub(super) const CHANGES: &str = "ringlight.processing.changes";
    pub(super) const SAMPLING: &str = "ringlight.sampling.ratio";
}

/// Keys of the attributes of data points.
mod keys {
    pub(super) const SIGNAL: &str = "signal";
    pub(super) const OUTCOME: &str = "outcome";
    pub(super) const REASON: &str = "reason";
    pub(super) const KIND: &str = "ringlight.thread.kind";
    pub(super) const THREAD_NAME: &str = "thread.name";
    pub(super) const THREAD_ID: &str = "thread.id";
    pub(super) const RULE: &str = "rule";
    pub(super) const PART: &str = "part";
    pub(super) const OF: &str = "of";
}

/// Values of [`keys::PART`].
mod parts {
    pub(super) const RINGS: &str = "rings";
    pub(super) const BUFFERS: &str = "buffers";
    pub(super) const OPEN_SPANS: &str = "open_spans";
}

/// Values of [`keys::OF`].
mod of {
    pub(super) const CORE: &str = "core";
    pub(super) const PROCESS: &str = "process";
}

/// Field numbers of `Metric`, `Gauge`, `Sum` and `NumberDataPoint`.
mod fields {
    pub(super) const METRIC_NAME: u32 = 1;
    pub(super) const METRIC_DESCRIPTION: u32 = 2;
    pub(super) const METRIC_UNIT: u32 = 3;
    pub(super) const METRIC_GAUGE: u32 = 5;
    pub(super) const METRIC_SUM: u32 = 7;
    /// The same in a gauge and a sum.
    pub(super) const POINTS: u32 = 1;
    pub(super) const SUM_TEMPORALITY: u32 = 2;
    pub(super) const SUM_IS_MONOTONIC: u32 = 3;
    pub(super) const POINT_START: u32 = 2;
    pub(super) const POINT_TIME: u32 = 3;
    pub(super) const POINT_DOUBLE: u32 = 4;
    pub(super) const POINT_INT: u32 = 6;
    pub(super) const POINT_ATTRIBUTES: u32 = 7;
}
