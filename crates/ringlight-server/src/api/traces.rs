//! Searching for traces.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use ringlight_model::TraceId;
use ringlight_store::query::QuerySignal;
use ringlight_store::{SearchStats, Store, TraceSearch, TraceSummary, now_unix_nano};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Call, json};
use super::error::{ApiError, Refused};
use super::value::text;
use super::{Context, Effort};
use crate::open_spans::OpenSpans;

const TRACES_DEFAULT: usize = 50;
const TRACES_MAX: usize = 1000;

/// A page of traces.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Traces {
    /// The traces, newest first.
    traces: Vec<FoundTrace>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    next: Option<String>,
    /// What the search cost.
    stats: Stats,
}

/// What a trace is about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TraceSummary)]
pub(super) struct FoundTrace {
    /// Its id.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    trace_id: TraceId,
    /// Service of the root span; empty while no root has arrived.
    root_service: String,
    /// Name of the root span; empty while no root has arrived.
    root_name: String,
    /// Service of the span that started first, of those that have arrived.
    first_service: String,
    /// Name of the span that started first, of those that have arrived.
    first_name: String,
    /// Start of the first span, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    start_unix_nano: u64,
    /// From the first start to the last end.
    duration_nano: u64,
    /// Spans stored so far, and those that are open.
    span_count: u64,
    /// Spans in progress.
    in_progress_count: u64,
    /// Spans that were in progress when their process ended or fell silent.
    lost_count: u64,
    /// Spans with an error status.
    error_count: u64,
    /// The services that take part.
    services: Vec<String>,
}

/// What a search cost.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Stats {
    /// Sealed blocks of the signal in the store.
    blocks_total: u64,
    /// Sealed blocks of which records were read.
    blocks_read: u64,
    /// Blocks that were skipped because they are damaged.
    blocks_corrupt: u64,
    /// Records looked at.
    records_scanned: u64,
}

impl From<SearchStats> for Stats {
    fn from(stats: SearchStats) -> Self {
        Self {
            blocks_total: stats.blocks_total,
            blocks_read: stats.blocks_read,
            blocks_corrupt: stats.blocks_corrupt,
            records_scanned: stats.records_scanned,
        }
    }
}

impl FoundTrace {
    fn new(summary: TraceSummary, open_spans: &OpenSpans, now_unix_nano: u64) -> Self {
        let open = &summary.open_spans;
        let lost_count = open_spans.lost_count(summary.trace_id, open, now_unix_nano);
        Self {
            in_progress_count: open.len() as u64 - lost_count,
            lost_count,
            trace_id: summary.trace_id,
            root_service: summary.root_service,
            root_name: summary.root_name,
            first_service: summary.first_service,
            first_name: summary.first_name,
            start_unix_nano: summary.start_unix_nano,
            duration_nano: summary.duration_nano,
            span_count: summary.span_count,
            error_count: summary.error_count,
            services: summary.services,
        }
    }
}

/// Traces in which a span matches, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/traces",
    operation_id = "searchTraces",
    tag = "traces",
    params(
        ("q" = Option<String>, Query, description = "The query; see the guide to the query language. Default everything.", example = "{ duration > 1ns }"),
        ("from" = Option<u64>, Query, description = "First start of a matching span, Unix nanoseconds, included."),
        ("to" = Option<u64>, Query, description = "Last start of a matching span, Unix nanoseconds, included."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Traces wanted at most. Default 50."),
        ("cursor" = Option<String>, Query, max_length = 512, description = "The `next` of the page before."),
        ("run" = Option<u64>, Query, minimum = 1, description = "Only spans of this run."),
    ),
    responses(
        (status = 200, description = "A page of traces.", body = Traces),
        Refused,
    ),
)]
pub(super) async fn search(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    let params = call.params(&["q", "from", "to", "limit", "cursor", "run"])?;
    let (from_unix_nano, to_unix_nano) = params.range()?;
    let search = TraceSearch {
        query: params.query(QuerySignal::Traces)?,
        from_unix_nano,
        to_unix_nano,
        limit: params.limit(TRACES_DEFAULT, TRACES_MAX)?,
        cursor: params.cursor()?,
        run: params.number("run", 1..=u64::MAX)?,
        cancel: call.cancel(),
    };
    let state = Arc::clone(&context.state);
    call.answer(&context, Effort::Search, move |store| {
        let now = now_unix_nano();
        let open_spans = &state.open_spans;
        sweep(open_spans, store, now);
        let page = store.search_traces(&search)?;
        let found = page.traces.into_iter();
        json(&Traces {
            traces: found
                .map(|summary| FoundTrace::new(summary, open_spans, now))
                .collect(),
            next: page.next,
            stats: page.stats.into(),
        })
    })
    .await
}

/// Forgets open spans that have been kept for long enough.
pub(super) fn sweep(open_spans: &OpenSpans, store: &Store, now_unix_nano: u64) {
    open_spans.sweep(now_unix_nano, |source, request| {
        // What was taken decodes.
        let _ = store.show_open(source, request);
    });
}
