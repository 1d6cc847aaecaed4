//! What there is to ask for: services, runs, attributes and their values.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use ringlight_model::Signal;
use ringlight_store::{AttributeSearch, KeyScope, Run, ServiceSummary, ValueSearch};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Call, json};
use super::error::{ApiError, Refused};
use super::params::Params;
use super::value::{TypedValue, text};
use super::{Context, Effort};

const COMPLETIONS_DEFAULT: usize = 100;
const COMPLETIONS_MAX: usize = 1000;
const PREFIX_CHARS_MAX: usize = 256;
const METRIC_CHARS_MAX: usize = 1024;

/// The services something is stored of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Services {
    services: Vec<Service>,
}

/// A service and what is stored of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Service {
    /// `service.name`.
    name: String,
    /// Spans stored.
    span_count: u64,
    /// Log records stored.
    log_count: u64,
    /// Data points of metrics stored.
    point_count: u64,
    /// Time of its first record, Unix nanoseconds: the earliest start of a span or time of a log
    /// record or data point.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    first_unix_nano: u64,
    /// Time of its last record, Unix nanoseconds: the latest start of a span or time of a log record or
    /// data point.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    last_unix_nano: u64,
}

/// The services something is stored of, by name.
#[utoipa::path(
    get,
    path = "/api/v1/services",
    operation_id = "services",
    tag = "catalogue",
    responses(
        (status = 200, description = "The services, by name.", body = Services),
        Refused,
    ),
)]
pub(super) async fn services(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    call.params(&[])?;
    call.answer(&context, Effort::Lookup, |store| {
        let services = store.services().into_iter().map(Into::into).collect();
        json(&Services { services })
    })
    .await
}

impl From<ServiceSummary> for Service {
    fn from(summary: ServiceSummary) -> Self {
        Self {
            name: summary.name,
            span_count: summary.span_count,
            log_count: summary.log_count,
            point_count: summary.point_count,
            first_unix_nano: summary.first_unix_nano,
            last_unix_nano: summary.last_unix_nano,
        }
    }
}

/// The runs something is stored of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Runs {
    runs: Vec<RunSummary>,
}

/// One time the store was open.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(super) struct RunSummary {
    /// Its number, counted from 1.
    id: u64,
    /// The command that opened the store.
    command: String,
    /// When, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    started_unix_nano: u64,
    /// When it was closed, Unix nanoseconds; null for the current run.
    #[schema(required, pattern = "^[0-9]+$")]
    ended_unix_nano: Option<String>,
    /// Spans of it that are stored.
    span_count: u64,
    /// Log records of it that are stored.
    log_count: u64,
    /// Data points of metrics of it that are stored.
    point_count: u64,
}

/// The runs something is stored of, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/runs",
    operation_id = "runs",
    tag = "catalogue",
    responses(
        (status = 200, description = "The runs, newest first.", body = Runs),
        Refused,
    ),
)]
pub(super) async fn runs(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    call.params(&[])?;
    call.answer(&context, Effort::Lookup, |store| {
        let runs = store.runs().into_iter().map(Into::into).collect();
        json(&Runs { runs })
    })
    .await
}

impl From<Run> for RunSummary {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            command: run.command,
            started_unix_nano: run.started_unix_nano,
            ended_unix_nano: run.ended_unix_nano.map(|nanos| nanos.to_string()),
            span_count: run.span_count,
            log_count: run.log_count,
            point_count: run.point_count,
        }
    }
}

/// Keys a query can use.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttributeKeys {
    attributes: Vec<AttributeKey>,
}

/// A key seen in stored records.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttributeKey {
    /// Where it was found.
    #[serde(serialize_with = "ScopeName::serialize")]
    #[schema(value_type = ScopeName)]
    scope: KeyScope,
    /// The key.
    key: String,
    /// The type of its values.
    #[serde(rename = "type")]
    #[schema(pattern = "^(string|bool|int|double|bytes|array|map|empty)$")]
    value_type: &'static str,
}

/// Where a key is found.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(remote = "KeyScope", rename_all = "lowercase")]
pub(super) enum ScopeName {
    /// A field every record of the signal has.
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

/// Signals that can be searched.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SignalName {
    /// Spans.
    #[default]
    Traces,
    /// Log records.
    Logs,
    /// Data points of metrics.
    Metrics,
}

/// Keys that queries can use, for completion.
///
/// Intrinsics first, then attributes.
#[utoipa::path(
    get,
    path = "/api/v1/attributes",
    operation_id = "attributes",
    tag = "catalogue",
    params(
        ("signal" = inline(Option<SignalName>), Query, description = "Of which records. Default `traces`."),
        ("metric" = Option<String>, Query, max_length = 1024, description = "Of the series of the metrics of this name alone; with `signal=metrics`. Default of all metrics."),
        ("prefix" = Option<String>, Query, max_length = 256, description = "What the key begins with."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Keys wanted at most. Default 100."),
    ),
    responses(
        (status = 200, description = "The keys.", body = AttributeKeys),
        Refused,
    ),
)]
pub(super) async fn attributes(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    let params = call.params(&["signal", "metric", "prefix", "limit"])?;
    let signal = signal(&params)?;
    let metric = metric(&params, signal)?;
    let prefix = params.bounded("prefix", PREFIX_CHARS_MAX)?.to_owned();
    let limit = params.limit(COMPLETIONS_DEFAULT, COMPLETIONS_MAX)?;
    call.answer(&context, Effort::Lookup, move |store| {
        let found = store.attributes(&AttributeSearch {
            signal,
            metric: metric.as_deref(),
            prefix: &prefix,
            limit,
        });
        let attributes = found
            .into_iter()
            .map(|found| AttributeKey {
                scope: found.scope,
                key: found.key,
                value_type: found.value_type.as_str(),
            })
            .collect();
        json(&AttributeKeys { attributes })
    })
    .await
}

/// Values of a key.
#[derive(Serialize, ToSchema)]
pub(super) struct AttributeValues<'a> {
    #[schema(value_type = Vec<TypedValue>)]
    values: Vec<TypedValue<'a>>,
}

/// Values a key has in the newest records, for completion.
///
/// The key may also be one of the intrinsics `name`, `status`, `kind`, `severity`, `rootName` and
/// `rootServiceName`.
#[utoipa::path(
    get,
    path = "/api/v1/attributes/{key}/values",
    operation_id = "attributeValues",
    tag = "catalogue",
    params(
        ("key" = String, Path, description = "The key, or the name of an intrinsic."),
        ("signal" = inline(Option<SignalName>), Query, description = "Of which records. Default `traces`."),
        ("metric" = Option<String>, Query, max_length = 1024, description = "Of the series of the metrics of this name alone; with `signal=metrics`. Default of all metrics."),
        ("scope" = inline(Option<ScopeName>), Query, description = "Where the key is looked for. Default everywhere."),
        ("prefix" = Option<String>, Query, max_length = 256, description = "What the value, as text, begins with."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Values wanted at most. Default 100."),
    ),
    responses(
        (status = 200, description = "The values, sorted.", body = AttributeValues),
        Refused,
    ),
)]
pub(super) async fn values(
    Shared(context): Shared<Arc<Context>>,
    Path(key): Path<String>,
    call: Call,
) -> Result<Response, ApiError> {
    let params = call.params(&["signal", "metric", "scope", "prefix", "limit"])?;
    let signal = signal(&params)?;
    let metric = metric(&params, signal)?;
    let scope = params.choice("scope", ScopeName::deserialize)?;
    let prefix = params.bounded("prefix", PREFIX_CHARS_MAX)?.to_owned();
    let limit = params.limit(COMPLETIONS_DEFAULT, COMPLETIONS_MAX)?;
    call.answer(&context, Effort::Search, move |store| {
        let found = store.attribute_values(&ValueSearch {
            signal,
            metric: metric.as_deref(),
            scope,
            key: &key,
            prefix: &prefix,
            limit,
        });
        json(&AttributeValues {
            values: found.iter().map(TypedValue).collect(),
        })
    })
    .await
}

fn signal(params: &Params) -> Result<Signal, ApiError> {
    let name = params.choice("signal", SignalName::deserialize)?;
    Ok(match name.unwrap_or_default() {
        SignalName::Traces => Signal::Traces,
        SignalName::Logs => Signal::Logs,
        SignalName::Metrics => Signal::Metrics,
    })
}

fn metric(params: &Params, signal: Signal) -> Result<Option<String>, ApiError> {
    let name = params.bounded("metric", METRIC_CHARS_MAX)?;
    if name.is_empty() {
        return Ok(None);
    }
    if signal != Signal::Metrics {
        return Err(ApiError::parameter(
            "metric",
            name,
            "nothing without `signal=metrics`",
        ));
    }
    Ok(Some(name.to_owned()))
}
