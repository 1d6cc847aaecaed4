//! Metrics: which there are, and what one was like over time.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use http::StatusCode;
use ringlight_model::{Exemplar, KeyValue, MetricKind, SpanId, TraceId};
use ringlight_store::query::QuerySignal;
use ringlight_store::{
    Aggregation, MetricAnswer, MetricSearch, MetricSeries, MetricSummary, SearchError,
    now_unix_nano,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Call, json};
use super::error::{ApiError, ErrorBody, Refused};
use super::params::Params;
use super::traces::Stats;
use super::value::{Attribute, attributes, span_id, text, trace_id};
use super::{Context, Effort};

const SERIES_DEFAULT: usize = 100;
const SERIES_MAX: usize = 1000;
/// Attributes an answer is divided by.
const BY_MAX: usize = 16;
const KEYS_CHARS_MAX: usize = 1024;
const UNIT_CHARS_MAX: usize = 1024;
const SECOND_NANO: u64 = 1_000_000_000;
/// The time asked for if none is.
const RANGE_DEFAULT_NANO: u64 = 60 * 60 * SECOND_NANO;
/// Steps in the time asked for if no step is.
const STEPS_DEFAULT: u64 = 240;
pub(super) const STEP_MAX_NANO: u64 = 366 * 24 * 60 * 60 * SECOND_NANO;
const KINDS: [&str; 5] = [
    "gauge",
    "sum",
    "histogram",
    "exponential_histogram",
    "summary",
];

/// The metrics something is stored of.
#[derive(Serialize, ToSchema)]
pub(super) struct Metrics<'a> {
    /// By name. The same name with another kind or unit is another metric, and so is a sum that may shrink beside one
    /// that may not.
    metrics: Vec<MetricOverview<'a>>,
}

/// What a metric is.
#[derive(Serialize, ToSchema)]
#[schema(as = Metric)]
pub(super) struct MetricBody<'a> {
    /// Its name.
    name: &'a str,
    /// What its points are.
    #[schema(pattern = "^(gauge|sum|histogram|exponential_histogram|summary)$")]
    kind: &'static str,
    /// What the newest of them is relative to, which makes no difference to an answer; null for a gauge.
    #[schema(required, pattern = "^(delta|cumulative)$")]
    temporality: Option<&'static str>,
    /// Whether it is a sum of which nothing is ever taken away.
    is_monotonic: bool,
    /// Its unit; may be empty.
    unit: &'a str,
    /// For people; may be empty.
    description: &'a str,
    /// What it can be aggregated by; the first is the default.
    aggregations: Vec<&'static str>,
}

/// A metric and what is stored of it.
#[derive(Serialize, ToSchema)]
pub(super) struct MetricOverview<'a> {
    /// What it is.
    metric: MetricBody<'a>,
    /// Its series.
    series_count: u64,
    /// The services it comes from.
    services: &'a [String],
    /// Names of the scopes it comes from.
    scopes: &'a [String],
    /// Keys of attributes of its points, 100 at most.
    attribute_keys: &'a [String],
    /// Time of its newest point, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    last_unix_nano: u64,
}

/// What a metric was like over time.
#[derive(Serialize, ToSchema)]
pub(super) struct MetricData<'a> {
    /// What it is.
    metric: MetricBody<'a>,
    /// What was made of its points.
    aggregation: &'static str,
    /// First time asked for, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    from_unix_nano: u64,
    /// Last time asked for, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    to_unix_nano: u64,
    /// Length of a step.
    step_nano: u64,
    /// One for each combination of the attributes asked for, sorted by these.
    series: Vec<SeriesBody<'a>>,
    /// Combinations that are left out, as there are more than `limit`.
    series_left_out: u64,
    /// What the search cost.
    stats: Stats,
}

/// What points with certain attributes were like over time.
#[derive(Serialize, ToSchema)]
#[schema(as = MetricSeries)]
pub(super) struct SeriesBody<'a> {
    /// The attributes asked for that they have.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    labels: &'a [KeyValue<'a>],
    /// The steps something is known of, in order.
    points: Vec<PointBody>,
    /// Values that were measured, of each step the highest; the newest 100.
    exemplars: Vec<ExemplarBody<'a>>,
}

/// A step and its value.
#[derive(Serialize, ToSchema)]
#[schema(as = MetricPoint)]
pub(super) struct PointBody {
    /// Where the step begins, Unix nanoseconds: a multiple of its length.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    time_unix_nano: u64,
    /// The value.
    value: f64,
}

/// A value that was measured, and where.
#[derive(Serialize, ToSchema)]
#[schema(as = Exemplar)]
pub(super) struct ExemplarBody<'a> {
    /// When, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    time_unix_nano: u64,
    /// The value; null if it is no finite number.
    #[schema(required)]
    value: Option<f64>,
    /// The trace it was measured in; empty where there is none.
    #[serde(serialize_with = "trace_id")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{32})?$")]
    trace_id: TraceId,
    /// The span it was measured in; empty where there is none.
    #[serde(serialize_with = "span_id")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{16})?$")]
    span_id: SpanId,
    /// Attributes of the measurement that its point has not.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    attributes: &'a [KeyValue<'a>],
}

/// How points are put together.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(remote = "Aggregation", rename_all = "lowercase")]
pub(super) enum AggregationName {
    /// How much was added, or observed, a second.
    Rate,
    /// How much was added, or the sum of the values observed; of a gauge, the last values of all series
    /// together that have not ended.
    Sum,
    /// The mean.
    Avg,
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// How many were observed; of numbers, how many points there are.
    Count,
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

/// The metrics something is stored of, by name.
#[utoipa::path(
    get,
    path = "/api/v1/metrics",
    operation_id = "metrics",
    tag = "metrics",
    responses(
        (status = 200, description = "The metrics, by name.", body = Metrics),
        Refused,
    ),
)]
pub(super) async fn list(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    call.params(&[])?;
    call.answer(&context, Effort::Lookup, |store| {
        let metrics = store.metrics();
        json(&Metrics {
            metrics: metrics.iter().map(MetricOverview::new).collect(),
        })
    })
    .await
}

/// What a metric was like over time, in steps.
///
/// Sums and distributions are taken apart into what was added between two points, whatever their
/// temporality, and spread over the steps in between.
#[utoipa::path(
    get,
    path = "/api/v1/metrics/{name}",
    operation_id = "metric",
    tag = "metrics",
    params(
        ("name" = String, Path, description = "The name of the metric."),
        ("q" = Option<String>, Query, description = "Of which series, by attributes of point and resource; see the guide to the query language. Default all.", example = "resource.service.name = \"shop\""),
        ("agg" = inline(Option<AggregationName>), Query, description = "What is made of the points of a step; the metric says which make sense. Default the first of these."),
        ("by" = Option<String>, Query, max_length = 1024, description = "Keys of attributes, separated by commas, 16 at most: a series for each combination of their values. They are looked for on the point, else on its resource; `point.` or `resource.` before a key says where."),
        ("kind" = Option<String>, Query, description = "Which kind, if there are several metrics of the name. Default the one that was seen last."),
        ("unit" = Option<String>, Query, max_length = 1024, description = "Of which unit, if there are several of the name and kind; empty for the one without. Default the one that was seen last."),
        ("monotonic" = Option<bool>, Query, description = "Whether it is a sum of which nothing is ever taken away, if there are both. Default the one that was seen last."),
        ("from" = Option<u64>, Query, description = "First time, Unix nanoseconds, included. Default an hour before `to`."),
        ("to" = Option<u64>, Query, description = "Last time, Unix nanoseconds, included. Default now."),
        ("step" = Option<u64>, Query, minimum = 1_000_000_000_u64, maximum = 31_622_400_000_000_000_u64, description = "Length of a step in nanoseconds. Steps begin at multiples of it; there may be 11 000. Default a 240th of the time, rounded up to seconds."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Series wanted at most. Default 100."),
    ),
    responses(
        (status = 200, description = "The series.", body = MetricData),
        (status = 404, description = "Nothing is stored of the metric.", body = ErrorBody),
        Refused,
    ),
)]
pub(super) async fn data(
    Shared(context): Shared<Arc<Context>>,
    Path(name): Path<String>,
    call: Call,
) -> Result<Response, ApiError> {
    let params = call.params(&[
        "q",
        "agg",
        "by",
        "kind",
        "unit",
        "monotonic",
        "from",
        "to",
        "step",
        "limit",
    ])?;
    let (from_unix_nano, to_unix_nano) = range(&params)?;
    let search = MetricSearch {
        name,
        kind: kind(&params)?,
        unit: unit(&params)?,
        is_monotonic: params.parsed("monotonic", "true, false")?,
        query: params.query(QuerySignal::Metrics)?,
        aggregation: params.choice("agg", AggregationName::deserialize)?,
        by: keys(&params, "by", BY_MAX)?,
        from_unix_nano,
        to_unix_nano,
        step_nano: params
            .number("step", SECOND_NANO..=STEP_MAX_NANO)?
            .unwrap_or_else(|| step(from_unix_nano, to_unix_nano)),
        limit: params.limit(SERIES_DEFAULT, SERIES_MAX)?,
        cancel: call.cancel(),
    };
    call.answer(&context, Effort::Search, move |store| {
        let answer = store
            .search_metric(&search)
            .map_err(|error| refused(error, &search))?;
        json(&MetricData::new(&answer, &search))
    })
    .await
}

/// The time asked for: by default the last hour.
pub(super) fn range(params: &Params) -> Result<(u64, u64), ApiError> {
    let (from, to) = params.range()?;
    let to = to.unwrap_or_else(|| now_unix_nano().max(from.unwrap_or(0)));
    Ok((
        from.unwrap_or_else(|| to.saturating_sub(RANGE_DEFAULT_NANO)),
        to,
    ))
}

fn step(from: u64, to: u64) -> u64 {
    let seconds = ((to - from) / STEPS_DEFAULT).div_ceil(SECOND_NANO);
    seconds.max(1).saturating_mul(SECOND_NANO)
}

fn kind(params: &Params) -> Result<Option<String>, ApiError> {
    let Some(kind) = params.text("kind") else {
        return Ok(None);
    };
    if KINDS.contains(&kind) {
        return Ok(Some(kind.to_owned()));
    }
    Err(ApiError::parameter("kind", kind, &KINDS.join(", ")))
}

fn unit(params: &Params) -> Result<Option<String>, ApiError> {
    let unit = params.bounded("unit", UNIT_CHARS_MAX)?;
    let is_given = !unit.is_empty() || params.is_empty("unit");
    Ok(is_given.then(|| unit.to_owned()))
}

/// Keys of attributes, separated by commas.
pub(super) fn keys(params: &Params, name: &str, max: usize) -> Result<Vec<String>, ApiError> {
    let text = params.bounded(name, KEYS_CHARS_MAX)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = text.split(',').map(|key| key.trim().to_owned()).collect();
    if keys.len() > max || keys.iter().any(String::is_empty) {
        let allowed = format!("1 to {max} keys of attributes, separated by commas");
        return Err(ApiError::parameter(name, text, &allowed));
    }
    Ok(keys)
}

fn refused(error: SearchError, search: &MetricSearch) -> ApiError {
    let message = error.to_string();
    let refuse = |hint: String| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", message.clone()).hint(hint)
    };
    match error {
        SearchError::NoSuchMetric { .. } => {
            ApiError::not_found(message).hint("see /api/v1/metrics for what there is")
        }
        SearchError::Aggregation {
            asked,
            kind,
            allowed,
        } => {
            let allowed: Vec<&str> = allowed.iter().map(|one| one.as_str()).collect();
            let allowed = format!("{} for a {}", allowed.join(", "), described(kind));
            ApiError::parameter("agg", asked.as_str(), &allowed)
        }
        SearchError::TooManyWindows { windows_max, .. } => {
            let step = search.step_nano.to_string();
            let allowed = format!("a step of which the time has at most {windows_max}");
            ApiError::parameter("step", &step, &allowed)
        }
        SearchError::TooMuch => {
            refuse("ask for a larger `step`, or for fewer series in `by` or `limit`".to_owned())
        }
        other => other.into(),
    }
}

fn described(kind: MetricKind) -> String {
    match kind {
        MetricKind::Sum {
            is_monotonic: true, ..
        } => "sum that only grows".to_owned(),
        MetricKind::Sum { .. } => "sum that may shrink".to_owned(),
        other => other.as_str().replace('_', " "),
    }
}

impl<'a> MetricBody<'a> {
    fn new(metric: &'a ringlight_model::Metric<'_>) -> Self {
        let kind = metric.kind;
        Self {
            name: &metric.name,
            kind: kind.as_str(),
            temporality: kind.temporality().map(|one| one.as_str()),
            is_monotonic: kind.is_monotonic(),
            unit: &metric.unit,
            description: &metric.description,
            aggregations: Aggregation::allowed(kind)
                .iter()
                .map(|one| one.as_str())
                .collect(),
        }
    }
}

impl<'a> MetricOverview<'a> {
    fn new(summary: &'a MetricSummary) -> Self {
        Self {
            metric: MetricBody::new(&summary.metric),
            series_count: summary.series_count,
            services: &summary.services,
            scopes: &summary.scopes,
            attribute_keys: &summary.attribute_keys,
            last_unix_nano: summary.last_unix_nano,
        }
    }
}

impl<'a> MetricData<'a> {
    fn new(answer: &'a MetricAnswer, search: &MetricSearch) -> Self {
        Self {
            metric: MetricBody::new(&answer.metric),
            aggregation: answer.aggregation.as_str(),
            from_unix_nano: search.from_unix_nano,
            to_unix_nano: search.to_unix_nano,
            step_nano: search.step_nano,
            series: answer.series.iter().map(SeriesBody::new).collect(),
            series_left_out: answer.series_left_out,
            stats: answer.stats.into(),
        }
    }
}

impl<'a> SeriesBody<'a> {
    fn new(series: &'a MetricSeries) -> Self {
        let points = series.points.iter();
        Self {
            labels: &series.labels,
            points: points
                .map(|&(time_unix_nano, value)| PointBody {
                    time_unix_nano,
                    value,
                })
                .collect(),
            exemplars: series.exemplars.iter().map(ExemplarBody::new).collect(),
        }
    }
}

impl<'a> ExemplarBody<'a> {
    fn new(exemplar: &'a Exemplar<'_>) -> Self {
        Self {
            time_unix_nano: exemplar.time_unix_nano,
            value: Some(exemplar.value.as_f64()).filter(|value| value.is_finite()),
            trace_id: exemplar.trace_id,
            span_id: exemplar.span_id,
            attributes: &exemplar.attributes,
        }
    }
}
