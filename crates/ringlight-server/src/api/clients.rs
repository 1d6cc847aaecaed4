//! The clients in the status: their accounts, by thread too, and what observing costs them.

use std::collections::BTreeMap;

use ringlight_model::{Account, DropReason, Signal, SignalDelivery, ThreadAccount, ThreadCounts};
use ringlight_otlp::ledger_report::Cost;
use ringlight_store::InstanceStored;
use serde::Serialize;
use utoipa::ToSchema;

use super::value::text;
use crate::state::Client;

/// A client that reports its ledger.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ClientStatus {
    /// Its service.
    pub service: String,
    /// Its instance.
    pub instance: String,
    /// When it began to count, by its own clock, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    pub started_unix_nano: u64,
    /// When its last report arrived, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    pub last_report_unix_nano: u64,
    /// Whether that was its last one.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Its accounts, by signal: `traces`, `logs` and `metrics`, whose records are data points.
    pub signals: BTreeMap<&'static str, ClientAccount>,
    /// Its spans that ended before they began, which it sends with a duration of zero. Of the spans in
    /// `signals`.
    pub negative_durations: u64,
    /// How often its threads left spans that they had not entered.
    pub unmatched_exits: u64,
    /// What is stored of it since this server started, which is less than `exported` of `signals` where the
    /// client started earlier, and by `exported_recovered`.
    pub stored: ClientStored,
    /// Its accounts by thread: what the rows submitted and dropped adds up to `signals`, except for log
    /// records where the client keeps some to itself, which are in the rows only. Threads first, those that
    /// lost most before the busiest, 64 at most.
    pub threads: Vec<ThreadStatus>,
    /// Bytes that the ring of a thread holds; 0 where it did not say.
    pub ring_bytes: u64,
    /// What observing costs it, where it says so.
    pub cost: Option<CostStatus>,
    /// How it sends, by signal: `traces`, `logs` and `metrics`; null where it does not say.
    pub delivery: Option<BTreeMap<&'static str, DeliveryStatus>>,
}

/// How a client sends the records of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct DeliveryStatus {
    /// Requests that were answered with success.
    pub requests: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their bodies before compression.
    pub encoded_bytes: u64,
    /// Bytes of their bodies as they were sent.
    pub wire_bytes: u64,
    /// Seconds until a request is answered, smoothed; null before the first answer.
    pub latency_seconds: Option<f64>,
    /// Requests that may be under way at a time, by what the backend has answered so far.
    pub concurrency: u64,
    /// Bytes, before compression, that a batch may have, by what the backend has answered so far.
    pub batch_bytes: u64,
}

/// The records of one thread of a client, or of several that are not told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ThreadStatus {
    /// `thread` for one thread; `shared` for what went through the ring that threads share, and for spans
    /// that were too many to be open; `ended` for threads that are gone, `others` for those over the bound;
    /// `pipeline` for what was dropped when it was not known any more whose it was.
    #[schema(pattern = "^(thread|shared|ended|pipeline|others)$")]
    pub kind: &'static str,
    /// The thread's name; empty for several.
    pub name: String,
    /// The thread's number in its process; 0 for several.
    pub id: u64,
    /// Bytes waiting in its ring when it was reported.
    pub ring_used_bytes: u64,
    /// What it submitted and what of it was dropped, by signal: `traces` and `logs`.
    pub signals: BTreeMap<&'static str, ThreadAccountStatus>,
}

/// What became of the records of one signal, as far as it is known by thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ThreadAccountStatus {
    /// Records handed over.
    pub submitted: u64,
    /// Records dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// What observing costs a client, as it measures it itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct CostStatus {
    /// Nanoseconds that a recorded span takes on the application's threads; null while none was measured.
    pub span_nano: Option<f64>,
    /// Spans that were measured.
    pub spans_measured: u64,
    /// Nanoseconds that a log record takes there; null while none was measured.
    pub log_nano: Option<f64>,
    /// Log records that were measured.
    pub logs_measured: u64,
    /// Seconds that recording took on the application's threads, since the start.
    pub producer_seconds: f64,
    /// Seconds of CPU time of the collector's thread, since the start.
    pub collector_seconds: f64,
    /// Seconds of CPU time of the process, since its start.
    pub process_seconds: f64,
    /// Seconds since its telemetry started.
    pub elapsed_seconds: f64,
    /// The part of one core's time that observing took, since the report before; in the last report since
    /// the start.
    pub core_ratio: f64,
    /// The part of the process's CPU time that observing took, over the same time.
    pub process_ratio: f64,
    /// Bytes of the bodies of requests, repetitions and reports among them, before compression.
    pub sent_bytes: u64,
    /// Memory that telemetry holds.
    pub memory: MemoryStatus,
    /// The part of the traces beginning there that its budget lets through.
    pub sampling_ratio: f64,
    /// The part of the process's CPU time that observing may take; null without a budget.
    pub budget_ratio: Option<f64>,
}

/// Bytes that telemetry holds in a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemoryStatus {
    /// Rings.
    pub rings_bytes: u64,
    /// Batches.
    pub buffers_bytes: u64,
    /// Places for open spans.
    pub open_spans_bytes: u64,
}

/// What became of the records of one signal, as the client says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClientAccount {
    /// Records the application handed over.
    pub submitted: u64,
    /// Records an earlier process left on disk, which this one has taken over.
    pub recovered: u64,
    /// Records the backend accepted.
    pub exported: u64,
    /// Of these, records of an earlier process: they are stored under the name of that one, and not counted in `stored`.
    pub exported_recovered: u64,
    /// Records the backend refused for good.
    pub rejected: u64,
    /// Records dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Records on their way.
    pub in_flight: u64,
    /// Records on disk, waiting.
    pub spooled: u64,
    /// Whether the others add up to `submitted` and `recovered`.
    pub balanced: bool,
}

/// Records of a client that this server stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct ClientStored {
    /// Spans.
    pub traces: u64,
    /// Log records.
    pub logs: u64,
    /// Data points of metrics, without its reports about itself.
    pub metrics: u64,
}

/// The signals of which a client reports accounts.
const REPORTED: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

impl ClientStatus {
    pub(super) fn new(client: Client, stored: &[InstanceStored]) -> Self {
        let report = client.report;
        let of_client = stored
            .iter()
            .find(|one| one.instance == report.instance && one.service == report.service);
        Self {
            started_unix_nano: report.start_unix_nano,
            last_report_unix_nano: client.last_report_unix_nano,
            is_final: report.is_final,
            signals: REPORTED
                .map(|signal| (signal.as_str(), report.ledger.account(signal).into()))
                .into(),
            stored: of_client.map_or_else(ClientStored::default, |one| ClientStored {
                traces: one.spans,
                logs: one.logs,
                metrics: one.points,
            }),
            negative_durations: report.ledger.negative_durations(),
            unmatched_exits: report.ledger.unmatched_exits(),
            threads: report.threads.into_iter().map(Into::into).collect(),
            ring_bytes: report.ring_bytes,
            cost: report.cost.map(Into::into),
            delivery: report.delivery.map(|delivery| {
                REPORTED
                    .map(|signal| (signal.as_str(), delivery.signal(signal).into()))
                    .into()
            }),
            service: report.service,
            instance: report.instance,
        }
    }
}

impl From<&SignalDelivery> for DeliveryStatus {
    fn from(delivery: &SignalDelivery) -> Self {
        Self {
            requests: delivery.requests,
            records: delivery.records,
            encoded_bytes: delivery.encoded_bytes,
            wire_bytes: delivery.wire_bytes,
            latency_seconds: delivery.latency.map(|latency| latency.as_secs_f64()),
            concurrency: delivery.concurrency,
            batch_bytes: delivery.batch_bytes,
        }
    }
}

impl From<&Account> for ClientAccount {
    fn from(account: &Account) -> Self {
        Self {
            submitted: account.submitted,
            recovered: account.recovered,
            exported: account.exported,
            exported_recovered: account.exported_recovered,
            rejected: account.rejected,
            dropped: by_reason(|reason| account.dropped[reason]),
            in_flight: account.in_flight,
            spooled: account.spooled,
            balanced: account.balances(),
        }
    }
}

impl From<ThreadAccount> for ThreadStatus {
    fn from(row: ThreadAccount) -> Self {
        Self {
            kind: row.kind.as_str(),
            id: row.id,
            ring_used_bytes: row.ring_used_bytes,
            signals: [Signal::Traces, Signal::Logs]
                .map(|signal| (signal.as_str(), row.counts(signal).into()))
                .into(),
            name: row.name,
        }
    }
}

impl From<&ThreadCounts> for ThreadAccountStatus {
    fn from(counts: &ThreadCounts) -> Self {
        Self {
            submitted: counts.submitted,
            dropped: by_reason(|reason| counts.dropped[reason]),
        }
    }
}

impl From<Cost> for CostStatus {
    fn from(cost: Cost) -> Self {
        let total = cost.total;
        Self {
            span_nano: total.span_nano,
            spans_measured: total.spans_measured,
            log_nano: total.log_nano,
            logs_measured: total.logs_measured,
            producer_seconds: total.producer_time.as_secs_f64(),
            collector_seconds: total.collector_time.as_secs_f64(),
            process_seconds: total.process_time.as_secs_f64(),
            elapsed_seconds: total.elapsed.as_secs_f64(),
            core_ratio: cost.core_ratio,
            process_ratio: cost.process_ratio,
            sent_bytes: total.sent_bytes,
            memory: MemoryStatus {
                rings_bytes: total.memory.rings_bytes,
                buffers_bytes: total.memory.buffers_bytes,
                open_spans_bytes: total.memory.open_spans_bytes,
            },
            sampling_ratio: total.sampling_ratio,
            budget_ratio: total.budget_ratio,
        }
    }
}

/// Counts by reason, without those that are zero.
fn by_reason(count: impl Fn(DropReason) -> u64) -> BTreeMap<&'static str, u64> {
    DropReason::ALL
        .into_iter()
        .map(|reason| (reason.as_str(), count(reason)))
        .filter(|(_, count)| *count > 0)
        .collect()
}
