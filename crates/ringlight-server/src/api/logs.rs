//! Searching for log records.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use ringlight_model::{KeyValue, SpanId, TraceId};
use ringlight_store::query::QuerySignal;
use ringlight_store::{LogEntry, LogPage, LogSearch};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Call, json};
use super::error::{ApiError, Refused};
use super::traces::Stats;
use super::value::{Attribute, TypedValue, attributes, span_id, text, trace_id};
use super::{Context, Effort};

const LOGS_DEFAULT: usize = 100;
const LOGS_MAX: usize = 10_000;

/// A page of log records.
#[derive(Serialize, ToSchema)]
pub(super) struct Logs<'a> {
    /// The records, newest first.
    logs: Vec<LogBody<'a>>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    next: Option<&'a str>,
    /// What the search cost.
    stats: Stats,
}

/// A log record.
#[derive(Serialize, ToSchema)]
#[schema(as = LogRecord)]
pub(super) struct LogBody<'a> {
    /// When it happened, Unix nanoseconds; 0 where unknown.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    time_unix_nano: u64,
    /// When it was seen by the collecting system, Unix nanoseconds; 0 where unknown.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    observed_unix_nano: u64,
    /// OTLP's severity number, 1 to 24; 0 where unspecified.
    #[schema(maximum = 24)]
    severity_number: u8,
    /// Its name; empty where unspecified.
    #[schema(pattern = "^(trace|debug|info|warn|error|fatal|)$")]
    severity: &'static str,
    /// The severity as the source named it.
    severity_text: &'a str,
    /// The event's name; empty for a plain log line.
    event_name: &'a str,
    /// The body.
    #[schema(value_type = TypedValue)]
    body: TypedValue<'a>,
    /// The service; `unknown_service` where there is none.
    service: &'a str,
    /// The name of the instrumentation scope.
    scope: &'a str,
    /// The trace it was logged in; empty where there is none.
    #[serde(serialize_with = "trace_id")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{32})?$")]
    trace_id: TraceId,
    /// The span it was logged in; empty where there is none.
    #[serde(serialize_with = "span_id")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{16})?$")]
    span_id: SpanId,
    /// Its attributes.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    attributes: &'a [KeyValue<'a>],
    /// Attributes that were dropped before they got here.
    dropped_attributes_count: u32,
    /// Attributes of its resource.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    resource: &'a [KeyValue<'a>],
}

/// Log records that match, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/logs",
    operation_id = "searchLogs",
    tag = "logs",
    params(
        ("q" = Option<String>, Query, description = "The query; see the guide to the query language. Default everything.", example = "severity >= trace"),
        ("from" = Option<u64>, Query, description = "First time, Unix nanoseconds, included."),
        ("to" = Option<u64>, Query, description = "Last time, Unix nanoseconds, included."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10000, description = "Records wanted at most. Default 100."),
        ("cursor" = Option<String>, Query, max_length = 512, description = "The `next` of the page before."),
        ("run" = Option<u64>, Query, minimum = 1, description = "Only records of this run."),
        ("trace_id" = Option<String>, Query, pattern = "^[0-9a-fA-F]{32}$", description = "Only records of this trace."),
        ("span_id" = Option<String>, Query, pattern = "^[0-9a-fA-F]{16}$", description = "Only records of this span."),
    ),
    responses(
        (status = 200, description = "A page of log records.", body = Logs),
        Refused,
    ),
)]
pub(super) async fn search(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    let params = call.params(&[
        "q", "from", "to", "limit", "cursor", "run", "trace_id", "span_id",
    ])?;
    let (from_unix_nano, to_unix_nano) = params.range()?;
    let search = LogSearch {
        query: params.query(QuerySignal::Logs)?,
        from_unix_nano,
        to_unix_nano,
        limit: params.limit(LOGS_DEFAULT, LOGS_MAX)?,
        cursor: params.cursor()?,
        run: params.number("run", 1..=u64::MAX)?,
        trace_id: params.parsed("trace_id", "32 hexadecimal digits")?,
        span_id: params.parsed("span_id", "16 hexadecimal digits")?,
        cancel: call.cancel(),
    };
    call.answer(&context, Effort::Search, move |store| {
        let page: LogPage = store.search_logs(&search)?;
        json(&Logs {
            logs: page.logs.iter().map(LogBody::new).collect(),
            next: page.next.as_deref(),
            stats: page.stats.into(),
        })
    })
    .await
}

impl<'a> LogBody<'a> {
    fn new(entry: &'a LogEntry) -> Self {
        let record = &entry.record;
        Self {
            time_unix_nano: record.time_unix_nano,
            observed_unix_nano: record.observed_unix_nano,
            severity_number: record.severity.number(),
            severity: record.severity.as_str(),
            severity_text: &record.severity_text,
            event_name: &record.event_name,
            body: TypedValue(&record.body),
            service: entry.resource.service_name(),
            scope: &entry.scope.name,
            trace_id: record.trace_id,
            span_id: record.span_id,
            attributes: &record.attributes,
            dropped_attributes_count: record.dropped_attributes_count,
            resource: &entry.resource.attributes,
        }
    }
}
