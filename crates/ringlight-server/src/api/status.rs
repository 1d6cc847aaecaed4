//! `GET /api/v1/status`: what came in, what is stored, and whether it adds up.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use ringlight_model::Signal;
use ringlight_store::StoreStats;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Call, json};
use super::clients::ClientStatus;
use super::error::{ApiError, Refused};
use super::value::text;
use super::{Context, Effort};
use crate::forward::ForwardStatus;
use crate::state::{Refusal, SignalCounts};

/// The state of a server, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Status {
    /// The version of the server.
    pub version: &'static str,
    /// Its process.
    pub pid: u32,
    /// When it started, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    pub started_unix_nano: u64,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// The run that data is stored under now.
    pub run_id: u64,
    /// Where the data is.
    pub data_dir: String,
    /// The addresses it listens on.
    pub listen: Listen,
    /// What came in since the start, by signal: `traces`, `logs`, `metrics`, `profiles`.
    pub signals: BTreeMap<&'static str, SignalStatus>,
    /// Requests refused as a whole since the start, by reason.
    pub refused_requests: BTreeMap<&'static str, u64>,
    /// The newest of them, newest first.
    pub recent_refusals: Vec<RecentRefusal>,
    /// The store.
    pub store: StoreStatus,
    /// The clients that report what became of their records.
    pub clients: Vec<ClientStatus>,
    /// What it passes on (`--forward`); null where it does not.
    pub forward: Option<ForwardStatus>,
}

/// The addresses a server listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Listen {
    /// OTLP over gRPC.
    pub otlp_grpc: String,
    /// OTLP over HTTP.
    pub otlp_http: String,
    /// The UI and the API.
    pub ui: String,
}

/// What came in for one signal since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct SignalStatus {
    /// Requests.
    pub requests: u64,
    /// Records the sender may consider delivered: the sum of `stored`, `duplicates`, `not_stored`,
    /// `ledger_points` and `open_spans`.
    pub accepted: u64,
    /// Records stored.
    pub stored: u64,
    /// Records that were stored before.
    pub duplicates: u64,
    /// Records of a kind that is not stored yet.
    pub not_stored: u64,
    /// Data points of metrics that were a client's report of its ledger and its cost; `clients` shows
    /// them.
    pub ledger_points: u64,
    /// Log records that were the report of a span that is still open.
    pub open_spans: u64,
    /// Records refused, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Bytes of their bodies as they came, compressed or not.
    pub bytes_received: u64,
    /// Spans that ended before they started, stored with a duration of zero.
    pub negative_durations: u64,
    /// Texts that were not UTF-8, stored with U+FFFD in place of the bad bytes.
    pub repaired_texts: u64,
}

/// A request that was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecentRefusal {
    /// When, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    pub time_unix_nano: u64,
    /// Where it arrived.
    #[schema(pattern = "^(otlp_grpc|otlp_http|ui)$")]
    pub listener: &'static str,
    /// Where it came from.
    pub peer: String,
    /// Why, as a word.
    pub reason: &'static str,
    /// Why, as a sentence.
    pub detail: String,
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoreStatus {
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
    /// Blocks and requests that were found damaged.
    pub corrupt: u64,
    /// Records in memory. They are durable nevertheless.
    pub head_records: u64,
    /// Spans stored.
    pub span_count: u64,
    /// Log records stored.
    pub log_count: u64,
    /// Data points of metrics stored.
    pub point_count: u64,
    /// Series of metrics that something is stored of.
    pub series: u64,
    /// The limit for them.
    pub series_max: u64,
    /// Those that were not written to any more and made room for new ones since the start, or had none at the start:
    /// their points cannot be found. Where none is as old, data points of new ones are refused as `too_many_series`.
    pub series_forgotten: u64,
    /// Reports of open spans that were refused since this server started, as they came from too many
    /// clients at once.
    pub open_reports_refused: u64,
    /// Whether the last write failed for lack of space.
    pub disk_full: bool,
    /// Time of the oldest record, Unix nanoseconds; 0 if there is none.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    pub oldest_unix_nano: u64,
    /// Time of the newest record, Unix nanoseconds; 0 if there is none.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    pub newest_unix_nano: u64,
}

/// The state of the server.
///
/// What came in, what was refused and why, what is stored, and the accounts of the clients.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    operation_id = "status",
    tag = "state",
    responses(
        (status = 200, description = "The state now.", body = Status),
        Refused,
    ),
)]
pub(super) async fn status(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    call.params(&[])?;
    let shared = Arc::clone(&context);
    call.answer(&context, Effort::Lookup, move |_| {
        json(&Status::of(&shared))
    })
    .await
}

impl Status {
    /// The state now.
    pub(crate) fn of(context: &Context) -> Self {
        let (store, state) = (&context.store, &context.state);
        let stored = store.stored_by_instance();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started_unix_nano: context.started_unix_nano,
            uptime_seconds: context.started.elapsed().as_secs(),
            run_id: store.run_id(),
            data_dir: store.data_dir().display().to_string(),
            listen: Listen {
                otlp_grpc: context.addresses.grpc.to_string(),
                otlp_http: context.addresses.http.to_string(),
                ui: context.addresses.ui.to_string(),
            },
            signals: Signal::ALL
                .into_iter()
                .map(|signal| (signal.as_str(), state.signal(signal).into()))
                .collect(),
            refused_requests: state
                .refused()
                .into_iter()
                .map(|(reason, count)| (reason.as_str(), count))
                .collect(),
            recent_refusals: state
                .recent_refusals()
                .into_iter()
                .map(Into::into)
                .collect(),
            store: store.stats().into(),
            clients: state
                .clients()
                .into_iter()
                .map(|client| ClientStatus::new(client, &stored))
                .collect(),
            forward: context.forward.as_deref().map(ForwardStatus::of),
        }
    }
}

impl From<SignalCounts> for SignalStatus {
    fn from(counts: SignalCounts) -> Self {
        Self {
            requests: counts.requests,
            accepted: counts.accepted,
            stored: counts.stored,
            duplicates: counts.duplicates,
            not_stored: counts.not_stored,
            ledger_points: counts.ledger_points,
            open_spans: counts.open_spans,
            rejected: counts
                .rejected
                .into_iter()
                .map(|(reason, count)| (reason.as_str(), count))
                .collect(),
            bytes_received: counts.bytes_received,
            negative_durations: counts.negative_durations,
            repaired_texts: counts.repaired_texts,
        }
    }
}

impl From<Refusal> for RecentRefusal {
    fn from(refusal: Refusal) -> Self {
        Self {
            time_unix_nano: refusal.time_unix_nano,
            listener: refusal.listener.as_str(),
            peer: refusal.peer.to_string(),
            reason: refusal.reason.as_str(),
            detail: refusal.detail,
        }
    }
}

impl From<StoreStats> for StoreStatus {
    fn from(stats: StoreStats) -> Self {
        Self {
            bytes: stats.bytes,
            size_limit_bytes: stats.size_limit_bytes,
            retention_seconds: stats.retention_seconds,
            slices: stats.slices,
            blocks: stats.blocks,
            corrupt: stats.corrupt,
            head_records: stats.head_records,
            span_count: stats.span_count,
            log_count: stats.log_count,
            point_count: stats.point_count,
            series: stats.series,
            series_max: stats.series_max,
            series_forgotten: stats.series_forgotten,
            open_reports_refused: stats.open_reports_refused,
            disk_full: stats.disk_full,
            oldest_unix_nano: stats.oldest_unix_nano,
            newest_unix_nano: stats.newest_unix_nano,
        }
    }
}
