//! Showing one trace.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use ringlight_model::{
    KeyValue, RecordVisitor as _, Resource, Scope, Signal, SpanEvent, SpanId, SpanLink, TraceId,
};
use ringlight_store::{Trace, TraceSpan, now_unix_nano};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Call, json};
use super::error::{ApiError, ErrorBody, Refused};
use super::traces::sweep;
use super::value::{Attribute, attributes, span_id, text, trace_id};
use super::{Context, Effort};
use crate::open_spans::Progress;

/// A whole trace.
#[derive(Serialize, ToSchema)]
#[schema(as = Trace)]
pub(super) struct WholeTrace<'a> {
    /// Its id.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    trace_id: TraceId,
    /// The resources its spans refer to.
    resources: Vec<ResourceBody<'a>>,
    /// The instrumentation scopes its spans refer to.
    scopes: Vec<ScopeBody<'a>>,
    /// The spans, by start.
    spans: Vec<SpanBody<'a>>,
    /// Later spans that are left out because the trace is too large for one answer.
    spans_left_out: u64,
}

/// What produced spans: a service, in a process, on a host.
#[derive(Serialize, ToSchema)]
#[schema(as = Resource)]
pub(super) struct ResourceBody<'a> {
    /// `service.name`; `unknown_service` where there is none.
    service: &'a str,
    /// Its attributes.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    attributes: &'a [KeyValue<'a>],
    /// Attributes that were dropped before they got here.
    dropped_attributes_count: u32,
}

/// Which library, or module, recorded spans.
#[derive(Serialize, ToSchema)]
#[schema(as = Scope)]
pub(super) struct ScopeBody<'a> {
    /// Its name.
    name: &'a str,
    /// Its version.
    version: &'a str,
    /// Its attributes.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    attributes: &'a [KeyValue<'a>],
    /// Attributes that were dropped before they got here.
    dropped_attributes_count: u32,
}

/// A span.
#[derive(Serialize, ToSchema)]
#[schema(as = Span)]
pub(super) struct SpanBody<'a> {
    /// Its id.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    span_id: SpanId,
    /// The id of its parent; empty for a root.
    #[serde(serialize_with = "span_id")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{16})?$")]
    parent_span_id: SpanId,
    /// Its name.
    name: &'a str,
    /// Its role.
    #[schema(pattern = "^(server|client|producer|consumer|internal|unspecified)$")]
    kind: &'static str,
    /// When it started, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    start_unix_nano: u64,
    /// How long it took; for one that has not ended until it was last heard of.
    duration_nano: u64,
    /// Whether it has ended. A span in progress is as it was when it was last heard of; a lost one was in
    /// progress when its process ended or fell silent.
    #[schema(pattern = "^(ended|in_progress|lost)$")]
    state: &'static str,
    /// How it ended.
    status: StatusBody<'a>,
    /// Index into `resources`.
    resource: usize,
    /// Index into `scopes`.
    scope: usize,
    /// Its attributes.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    attributes: &'a [KeyValue<'a>],
    /// Attributes that were dropped before they got here.
    dropped_attributes_count: u32,
    /// What happened during it.
    events: Vec<EventBody<'a>>,
    /// Events that were dropped before they got here.
    dropped_events_count: u32,
    /// Spans it is related to.
    links: Vec<LinkBody<'a>>,
    /// Links that were dropped before they got here.
    dropped_links_count: u32,
    /// Its `tracestate`.
    trace_state: &'a str,
    /// Its flags; the lowest byte is W3C's.
    flags: u32,
}

/// How a span ended.
#[derive(Serialize, ToSchema)]
#[schema(as = SpanStatus)]
pub(super) struct StatusBody<'a> {
    /// In one word.
    #[schema(pattern = "^(ok|error|unset)$")]
    code: &'static str,
    /// What there is to say about it.
    message: &'a str,
}

/// Something that happened during a span.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventBody<'a> {
    /// When, Unix nanoseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    time_unix_nano: u64,
    /// What.
    name: &'a str,
    /// Its attributes.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    attributes: &'a [KeyValue<'a>],
    /// Attributes that were dropped before they got here.
    dropped_attributes_count: u32,
}

/// A reference to a related span.
#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
pub(super) struct LinkBody<'a> {
    /// The trace of the other span; empty where it is not valid.
    #[serde(serialize_with = "trace_id")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{32})?$")]
    trace_id: TraceId,
    /// The other span; empty where it is not valid.
    #[serde(serialize_with = "span_id")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{16})?$")]
    span_id: SpanId,
    /// Its `tracestate`.
    trace_state: &'a str,
    /// Attributes of the link.
    #[serde(serialize_with = "attributes")]
    #[schema(value_type = Vec<Attribute>)]
    attributes: &'a [KeyValue<'a>],
    /// Attributes that were dropped before they got here.
    dropped_attributes_count: u32,
}

/// A trace in one of its forms.
#[derive(ToSchema)]
#[schema(as = TraceAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the forms in the document")]
pub(super) enum TraceAnswer<'a> {
    /// The form of this API.
    Plain(WholeTrace<'a>),
    /// OTLP/JSON.
    Otlp(OtlpTraces),
}

/// OTLP/JSON: an `ExportTraceServiceRequest`.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the form in the document")]
pub(super) struct OtlpTraces {
    /// See opentelemetry-proto for what is in it.
    #[schema(value_type = Vec<Object>)]
    resource_spans: Vec<()>,
}

/// In which form a trace is answered.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TraceFormat {
    /// OTLP/JSON: an `ExportTraceServiceRequest`.
    Otlp,
}

/// A whole trace, with everything its spans carry.
///
/// With `format=otlp` it is OTLP/JSON instead, which can be sent to any OTLP receiver; without the spans
/// that are in progress, which OTLP does not know.
#[utoipa::path(
    get,
    path = "/api/v1/traces/{trace_id}",
    operation_id = "trace",
    tag = "traces",
    params(
        ("trace_id" = String, Path, pattern = "^[0-9a-fA-F]{32}$", description = "The id, in either case."),
        ("format" = inline(Option<TraceFormat>), Query, description = "Another form than this document's."),
    ),
    responses(
        (status = 200, description = "The trace.", body = TraceAnswer),
        (status = 404, body = ErrorBody, description = "No span of the trace is stored."),
        Refused,
    ),
)]
pub(super) async fn trace(
    Shared(context): Shared<Arc<Context>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, ApiError> {
    let params = call.params(&["format"])?;
    let trace_id: TraceId = id
        .parse()
        .map_err(|_| ApiError::parameter("trace_id", &id, "32 hexadecimal digits"))?;
    let format = params.choice("format", TraceFormat::deserialize)?;
    let state = Arc::clone(&context.state);
    call.answer(&context, Effort::Search, move |store| {
        let now = now_unix_nano();
        sweep(&state.open_spans, store, now);
        let Some(trace) = store.trace(trace_id) else {
            return Err(
                ApiError::not_found(format!("no span of trace `{trace_id}` is stored"))
                    .hint("it may have been deleted for its age, or not have arrived yet"),
            );
        };
        match format {
            Some(TraceFormat::Otlp) => Ok(otlp(&trace).into_bytes()),
            None => json(&WholeTrace::new(&trace, |span| {
                let id = (span.span.trace_id, span.span.span_id);
                match (span.is_open, state.open_spans.progress(id, now)) {
                    (false, _) => "ended",
                    (true, Progress::InProgress) => "in_progress",
                    (true, Progress::Lost) => "lost",
                }
            })),
        }
    })
    .await
}

impl<'a> WholeTrace<'a> {
    fn new(trace: &'a Trace, state_of: impl Fn(&TraceSpan) -> &'static str) -> Self {
        let body = |span| SpanBody::new(span, state_of(span));
        Self {
            trace_id: trace.trace_id,
            resources: trace.resources.iter().map(ResourceBody::new).collect(),
            scopes: trace.scopes.iter().map(ScopeBody::new).collect(),
            spans: trace.spans.iter().map(body).collect(),
            spans_left_out: trace.spans_left_out,
        }
    }
}

impl<'a> ResourceBody<'a> {
    fn new(resource: &'a Resource<'_>) -> Self {
        Self {
            service: resource.service_name(),
            attributes: &resource.attributes,
            dropped_attributes_count: resource.dropped_attributes_count,
        }
    }
}

impl<'a> ScopeBody<'a> {
    fn new(scope: &'a Scope<'_>) -> Self {
        Self {
            name: &scope.name,
            version: &scope.version,
            attributes: &scope.attributes,
            dropped_attributes_count: scope.dropped_attributes_count,
        }
    }
}

impl<'a> SpanBody<'a> {
    fn new(
        TraceSpan {
            span,
            resource,
            scope,
            ..
        }: &'a TraceSpan,
        state: &'static str,
    ) -> Self {
        Self {
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: &span.name,
            kind: span.kind.as_str(),
            start_unix_nano: span.start_unix_nano,
            duration_nano: span.duration_nano(),
            state,
            status: StatusBody {
                code: span.status.code.as_str(),
                message: &span.status.message,
            },
            resource: *resource,
            scope: *scope,
            attributes: &span.attributes,
            dropped_attributes_count: span.dropped_attributes_count,
            events: span.events.iter().map(EventBody::new).collect(),
            dropped_events_count: span.dropped_events_count,
            links: span.links.iter().map(LinkBody::new).collect(),
            dropped_links_count: span.dropped_links_count,
            trace_state: &span.trace_state,
            flags: span.flags,
        }
    }
}

impl<'a> EventBody<'a> {
    fn new(event: &'a SpanEvent<'_>) -> Self {
        Self {
            time_unix_nano: event.time_unix_nano,
            name: &event.name,
            attributes: &event.attributes,
            dropped_attributes_count: event.dropped_attributes_count,
        }
    }
}

impl<'a> LinkBody<'a> {
    fn new(link: &'a SpanLink<'_>) -> Self {
        Self {
            trace_id: link.trace_id,
            span_id: link.span_id,
            trace_state: &link.trace_state,
            attributes: &link.attributes,
            dropped_attributes_count: link.dropped_attributes_count,
        }
    }
}

/// The trace as OTLP/JSON, which knows no span that has not ended, the others grouped by resource and scope.
fn otlp(trace: &Trace) -> String {
    let ended = trace.spans.iter().filter(|span| !span.is_open);
    let mut order: Vec<&TraceSpan> = ended.collect();
    // Stable: spans of a group stay in the order of their start.
    order.sort_by_key(|span| (span.resource, span.scope));
    let mut writer = ringlight_otlp::json::Writer::new(Signal::Traces);
    let mut group = None;
    for one in order {
        let (resource, scope) = (
            trace.resources.get(one.resource),
            trace.scopes.get(one.scope),
        );
        if group.map(|(resource, _)| resource) != Some(one.resource)
            && let Some(resource) = resource
        {
            writer.resource(resource);
            group = None;
        }
        if group != Some((one.resource, one.scope))
            && let Some(scope) = scope
        {
            writer.scope(scope);
        }
        group = Some((one.resource, one.scope));
        writer.span(&one.span);
    }
    writer.finish()
}
