//! Operations: how often they are done, how often they fail, how long they take.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use http::StatusCode;
use ringlight_model::{SpanId, TraceId};
use ringlight_store::{
    AttributeTotal, OperationAnswer, OperationExample, OperationOrder, OperationSearch,
    OperationStep, OperationSummary, SearchError, now_unix_nano,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Call, json};
use super::error::{ApiError, Refused};
use super::metrics::{STEP_MAX_NANO, keys, range};
use super::params::Params;
use super::traces::Stats;
use super::value::{span_id, text, trace_id};
use super::{Context, Effort};

const OPERATIONS_DEFAULT: usize = 100;
const OPERATIONS_MAX: usize = 1000;
/// Steps are multiples of it.
const STEP_MIN_NANO: u64 = 10_000_000_000;
/// Steps in the time asked for if no step is.
const STEPS_DEFAULT: u64 = 60;
const SERVICE_CHARS_MAX: usize = 1024;
/// Attributes that are added up.
const ATTRIBUTES_MAX: usize = 16;

/// What operations were like.
#[derive(Serialize, ToSchema)]
pub(super) struct Operations<'a> {
    /// Begin of the first step, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    from_unix_nano: u64,
    /// End of the last step, or now if that is earlier, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    to_unix_nano: u64,
    /// Length of a step.
    step_nano: u64,
    /// The operations, in the order asked for.
    operations: Vec<OperationBody<'a>>,
    /// Operations that are left out, as there are more than `limit`.
    operations_left_out: u64,
    /// Spans that are in no figure, as there are too many operations.
    spans_left_out: u64,
    /// Failed spans of the operations that `which=entry` leaves out: a request may be well though something in it failed. Of
    /// the service asked for, without those in `spans_left_out`; with `which=all` 0.
    inner_error_count: u64,
    /// Spans that are not in the sums of attributes: of more than two million the oldest, and of a quarter of a million
    /// sums those of further ones.
    attribute_spans_left_out: u64,
    /// What the search cost.
    stats: Stats,
}

/// The spans of one service, name and kind.
#[derive(Serialize, ToSchema)]
#[schema(as = Operation)]
pub(super) struct OperationBody<'a> {
    /// The service.
    service: &'a str,
    /// The name of the spans.
    name: &'a str,
    /// The kind of the spans.
    #[schema(pattern = "^(unspecified|internal|server|client|producer|consumer)$")]
    kind: &'static str,
    /// Spans that started in the time.
    count: u64,
    /// Spans a second.
    rate: f64,
    /// Spans with an error status.
    error_count: u64,
    /// Spans without a parent.
    root_count: u64,
    /// Time spent in all spans together.
    total_nano: u64,
    /// The median of the durations; wrong by 1.6 % at most, as the next two.
    p50_nano: u64,
    /// The 95th percentile of the durations.
    p95_nano: u64,
    /// The 99th percentile of the durations.
    p99_nano: u64,
    /// The longest duration, exactly.
    longest_nano: u64,
    /// The steps in which there are any, in order.
    steps: Vec<StepBody>,
    /// Spans to look at.
    examples: Examples,
    /// The attributes asked for that its spans have as numbers.
    attributes: Vec<AttributeSum<'a>>,
}

/// What an operation was like in a step.
#[derive(Serialize, ToSchema)]
#[schema(as = OperationStep)]
pub(super) struct StepBody {
    /// Where the step begins, Unix nanoseconds: a multiple of its length.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    time_unix_nano: u64,
    /// Spans.
    count: u64,
    /// Spans with an error status.
    error_count: u64,
    /// The 95th percentile of the durations.
    p95_nano: u64,
}

/// Spans to look at; null where there is none.
#[derive(Serialize, ToSchema)]
#[schema(as = OperationExamples)]
pub(super) struct Examples {
    /// About as long as the median.
    #[schema(required)]
    typical: Option<ExampleBody>,
    /// The longest.
    #[schema(required)]
    longest: Option<ExampleBody>,
    /// One of the newest failed ones.
    #[schema(required)]
    failed: Option<ExampleBody>,
}

/// A span and its trace.
#[derive(Serialize, ToSchema)]
#[schema(as = OperationExample)]
pub(super) struct ExampleBody {
    /// Its trace.
    #[serde(serialize_with = "trace_id")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    trace_id: TraceId,
    /// Its id.
    #[serde(serialize_with = "span_id")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    span_id: SpanId,
    /// When it started, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    start_unix_nano: u64,
    /// How long it took.
    duration_nano: u64,
}

/// The numbers of an attribute, added up.
#[derive(Serialize, ToSchema)]
pub(super) struct AttributeSum<'a> {
    /// The key.
    key: &'a str,
    /// Spans that have it as a number.
    count: u64,
    /// The sum of these numbers.
    sum: f64,
    /// The highest of them.
    max: f64,
}

/// Which operations come first.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(remote = "OperationOrder", rename_all = "lowercase")]
pub(super) enum OrderName {
    /// Those that most time is spent in.
    Total,
    /// Those with the most spans.
    Count,
    /// Those with the most failed spans.
    Errors,
    /// Those with the highest 99th percentile.
    P99,
    /// Those with the highest sum of the first of `attributes`; those without it come last.
    Attribute,
}

/// Which operations.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Which {
    /// All.
    All,
    /// Those that something begins with: of servers and consumers, and those that have spans without a parent.
    Entry,
}

/// What operations were like: how many spans, how many failed, how long they took.
///
/// An operation is the spans of one service, name and kind. Spans that are open are not among them.
#[utoipa::path(
    get,
    path = "/api/v1/operations",
    operation_id = "operations",
    tag = "traces",
    params(
        ("service" = Option<String>, Query, max_length = 1024, description = "Only operations of this service."),
        ("which" = inline(Option<Which>), Query, description = "All, or those that something begins with. Default `all`."),
        ("from" = Option<u64>, Query, description = "First start of a span, Unix nanoseconds; the step it is in counts as a whole. Default an hour before `to`."),
        ("to" = Option<u64>, Query, description = "Last start of a span, Unix nanoseconds; the step it is in counts as a whole. Default now."),
        ("step" = Option<u64>, Query, minimum = 10_000_000_000_u64, maximum = 31_622_400_000_000_000_u64, description = "Length of a step in nanoseconds, rounded up to a multiple of ten seconds. Steps begin at multiples of it; there may be 1000. Default a 60th of the time."),
        ("run" = Option<u64>, Query, minimum = 1, description = "Only spans of this run."),
        ("sort" = inline(Option<OrderName>), Query, description = "Which come first: those with the most of it; of the first of `attributes` for `attribute`. Default `total`."),
        ("attributes" = Option<String>, Query, max_length = 1024, description = "Keys of attributes of spans, separated by commas, 16 at most, whose numbers are added up. This reads spans, the newest two million at most."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Operations wanted at most. Default 100."),
    ),
    responses(
        (status = 200, description = "The operations.", body = Operations),
        Refused,
    ),
)]
pub(super) async fn search(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    let params = call.params(&[
        "service",
        "which",
        "from",
        "to",
        "step",
        "run",
        "sort",
        "attributes",
        "limit",
    ])?;
    let (from_unix_nano, to_unix_nano) = range(&params)?;
    let order = params.choice("sort", OrderName::deserialize)?;
    let attributes = keys(&params, "attributes", ATTRIBUTES_MAX)?;
    if order == Some(OperationOrder::Attribute) && attributes.is_empty() {
        let allowed = "`attribute` with at least one key in `attributes`";
        return Err(ApiError::parameter("sort", "attribute", allowed));
    }
    let search = OperationSearch {
        service: service(&params)?,
        entry_only: params.choice("which", Which::deserialize)? == Some(Which::Entry),
        from_unix_nano,
        to_unix_nano,
        step_nano: params
            .number("step", STEP_MIN_NANO..=STEP_MAX_NANO)?
            .unwrap_or_else(|| ((to_unix_nano - from_unix_nano) / STEPS_DEFAULT).max(1)),
        run: params.number("run", 1..=u64::MAX)?,
        order: order.unwrap_or(OperationOrder::Total),
        limit: params.limit(OPERATIONS_DEFAULT, OPERATIONS_MAX)?,
        attributes,
        cancel: call.cancel(),
    };
    call.answer(&context, Effort::Search, move |store| {
        let answer = store
            .search_operations(&search)
            .map_err(|error| refused(error, &search))?;
        json(&Operations::new(&answer))
    })
    .await
}

fn service(params: &Params) -> Result<Option<String>, ApiError> {
    let service = params.bounded("service", SERVICE_CHARS_MAX)?;
    Ok(Some(service.to_owned()).filter(|service| !service.is_empty()))
}

fn refused(error: SearchError, search: &OperationSearch) -> ApiError {
    match error {
        SearchError::TooManyWindows { windows_max, .. } => {
            let step = search.step_nano.to_string();
            let allowed = format!("a step of which the time has at most {windows_max}");
            ApiError::parameter("step", &step, &allowed)
        }
        SearchError::TooMuch => {
            ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", error.to_string())
                .hint("ask for a larger `step`, a shorter time, or one service")
        }
        other => other.into(),
    }
}

impl<'a> Operations<'a> {
    fn new(answer: &'a OperationAnswer) -> Self {
        // Of the last step only what is over counts for a rate.
        let to_unix_nano = answer
            .end_unix_nano
            .min(now_unix_nano().max(answer.first_unix_nano + 1));
        let seconds = (to_unix_nano - answer.first_unix_nano) as f64 / 1e9;
        let operations = answer.operations.iter();
        Self {
            from_unix_nano: answer.first_unix_nano,
            to_unix_nano,
            step_nano: answer.step_nano,
            operations: operations
                .map(|operation| OperationBody::new(operation, seconds))
                .collect(),
            operations_left_out: answer.operations_left_out,
            spans_left_out: answer.spans_left_out,
            inner_error_count: answer.inner_error_count,
            attribute_spans_left_out: answer.attribute_spans_left_out,
            stats: answer.stats.into(),
        }
    }
}

impl<'a> OperationBody<'a> {
    fn new(operation: &'a OperationSummary, seconds: f64) -> Self {
        Self {
            service: &operation.service,
            name: &operation.name,
            kind: operation.kind.as_str(),
            count: operation.count,
            rate: operation.count as f64 / seconds,
            error_count: operation.error_count,
            root_count: operation.root_count,
            total_nano: operation.total_nano,
            p50_nano: operation.p50_nano,
            p95_nano: operation.p95_nano,
            p99_nano: operation.p99_nano,
            longest_nano: operation.longest_nano,
            steps: operation.steps.iter().map(StepBody::new).collect(),
            examples: Examples {
                typical: operation.typical.map(ExampleBody::new),
                longest: operation.longest.map(ExampleBody::new),
                failed: operation.failed.map(ExampleBody::new),
            },
            attributes: operation.attributes.iter().map(AttributeSum::new).collect(),
        }
    }
}

impl StepBody {
    const fn new(step: &OperationStep) -> Self {
        Self {
            time_unix_nano: step.time_unix_nano,
            count: step.count,
            error_count: step.error_count,
            p95_nano: step.p95_nano,
        }
    }
}

impl ExampleBody {
    const fn new(example: OperationExample) -> Self {
        Self {
            trace_id: example.trace_id,
            span_id: example.span_id,
            start_unix_nano: example.start_unix_nano,
            duration_nano: example.duration_nano,
        }
    }
}

impl<'a> AttributeSum<'a> {
    fn new(total: &'a AttributeTotal) -> Self {
        Self {
            key: &total.key,
            count: total.count,
            sum: total.sum,
            max: total.max,
        }
    }
}
