//! What a span of the OpenTelemetry API needs of a subscriber.

use std::borrow::Cow;

use opentelemetry::trace::{self as api, TraceContextExt as _};
use opentelemetry::{Array, Context, InstrumentationScope, Value as ApiValue};
use ringlight_clock::Moment;
use ringlight_model::{
    Callsite, CallsiteId, CallsiteKind, CallsiteScope, KeyValue, Scope, Severity, SpanId, Value,
};
use tracing_core::Dispatch;
use tracing_core::span::Id;

use super::super::RinglightSubscriber;
use super::super::slab::SpanContext;
use super::super::thread::{Thread, with_thread};
use super::{Edit, Local, Named, span_context, trace_id};
use crate::sampling::Beginning;
use crate::sync::unpoisoned;

/// Instrumentation scopes a subscriber tells apart; spans of further ones have none.
const SCOPES_MAX: usize = 1024;

/// Where a new span is: its ids, its parent, the time.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) context: api::SpanContext,
    pub(crate) parent: SpanId,
    /// Whether the parent is in another process.
    pub(crate) is_parent_remote: bool,
    pub(crate) now: Moment,
    pub(crate) is_recorded: bool,
}

/// The parent of a new span.
struct Parent {
    named: Named,
    state: api::TraceState,
}

impl RinglightSubscriber {
    /// The ids of a span that is started in `context`, and whether it is recorded, for which its name
    /// and that of its instrumentation scope count.
    pub(crate) fn origin_of(&self, context: &Context, name: &str, target: &str) -> Origin {
        with_thread(|thread| {
            let now = self.slab.clock().now();
            let now_unix_nano = now.unix_nano;
            let draw = || thread.ids.next(now_unix_nano);
            let parent = self.parent_in(thread, context);
            let above = match &parent {
                Some(parent) => parent.named.context,
                None => SpanContext {
                    trace_high: draw(),
                    trace_low: draw(),
                    span: 0,
                },
            };
            let beginning = Beginning {
                name,
                otel_name: None,
                target,
                trace_low: above.trace_low,
                now_unix_nano,
            };
            let sampling = &self.controls.sampling;
            let is_taken = match &parent {
                Some(Parent { named, .. }) if named.is_remote => {
                    sampling.takes_remote(beginning, named.is_sampled)
                }
                Some(Parent { named, .. }) => named.is_sampled,
                None => sampling.takes_all() || sampling.takes(beginning),
            };
            let ids = (above.trace_id(), SpanId::new(draw()));
            let is_parent_remote = parent.as_ref().is_some_and(|p| p.named.is_remote);
            let state = parent.map_or(api::TraceState::NONE, |parent| parent.state);
            Origin {
                context: span_context(ids, is_taken, false, state),
                parent: above.span_id(),
                is_parent_remote,
                now,
                is_recorded: is_taken && self.outputs.spans,
            }
        })
    }

    /// The span a new one is a child of when it is started in `context`: usually the one that names.
    ///
    /// A `tracing` span may have been entered where its context could not be attached, or before that
    /// was done. Then the context that is current all the same stands for the innermost of them.
    fn parent_in(&self, thread: &Thread, context: &Context) -> Option<Parent> {
        let named = Named::of(context);
        if self.shares() && self.is_current(thread, named) {
            return self.parent_entered(thread, context);
        }
        let state = context.span().span_context().trace_state().clone();
        named.map(|named| Parent { named, state })
    }

    /// Whether a context of this name is current, and older than the innermost `tracing` span.
    fn is_current(&self, thread: &Thread, named: Option<Named>) -> bool {
        let named = named.map(|named| named.context);
        Local::read_current(Named::context_of) == Some(named) && self.is_known(thread, named)
    }

    /// The innermost `tracing` span, with the trace state of its context, or else of the current one.
    fn parent_entered(&self, thread: &Thread, current: &Context) -> Option<Parent> {
        let (id, entered) = self.entered(thread)?;
        let context = self.shared.contexts.get(id.host());
        let span = context.as_ref().unwrap_or(current).span();
        let context = self.named(thread, entered);
        let is_same_trace = trace_id(span.span_context()) == context.trace_id();
        let state = span.span_context().trace_state();
        let named = Named {
            context,
            is_sampled: id.is_sampled(),
            is_remote: false,
        };
        let state = if is_same_trace {
            state.clone()
        } else {
            api::TraceState::NONE
        };
        Some(Parent { named, state })
    }

    /// The callsite that stands for an instrumentation scope.
    pub(crate) fn scope(&self, scope: InstrumentationScope) -> CallsiteId {
        let mut scopes = unpoisoned(self.shared.scopes.lock());
        if let Some(callsite) = scopes.get(&scope) {
            return *callsite;
        }
        if scopes.len() >= SCOPES_MAX {
            return CallsiteId::new(0);
        }
        let callsite = CallsiteId::numbered(scopes.len() as u64);
        self.callsites.register(callsite, || describe(&scope));
        scopes.insert(scope, callsite);
        callsite
    }

    /// The context that names a span.
    pub(crate) fn context_of_span(dispatch: &Dispatch, id: &Id) -> Option<Context> {
        let (subscriber, id) = Self::behind_span(dispatch, id)?;
        Some(subscriber.context_of(id))
    }

    /// Changes a span that the caller holds open, if it is recorded.
    pub(crate) fn edit(dispatch: &Dispatch, id: &Id, edit: &Edit<'_>) {
        Self::with_open(dispatch, id, |subscriber, slot| {
            let clock = subscriber.slab.clock();
            edit.apply_to(slot, clock, &subscriber.limits, &subscriber.callsites);
        });
    }
}

fn describe(scope: &InstrumentationScope) -> Callsite {
    let owned = |text: Option<&str>| Cow::Owned(text.unwrap_or_default().to_owned());
    let attribute =
        |kv: &opentelemetry::KeyValue| KeyValue::new(kv.key.as_str().to_owned(), value(&kv.value));
    Callsite {
        kind: CallsiteKind::Span,
        name: "",
        target: "",
        scope: Some(Box::new(CallsiteScope {
            scope: Scope {
                name: owned(Some(scope.name())),
                version: owned(scope.version()),
                attributes: scope.attributes().map(attribute).collect(),
                dropped_attributes_count: 0,
            },
            schema_url: owned(scope.schema_url()),
        })),
        severity: Severity::INFO,
        module_path: None,
        file: None,
        line: None,
        fields: Vec::new(),
    }
}

fn value(value: &ApiValue) -> Value<'static> {
    let text = |text: &str| Value::Str(Cow::Owned(text.to_owned()));
    match value {
        ApiValue::Bool(value) => Value::Bool(*value),
        ApiValue::I64(value) => Value::Int(*value),
        ApiValue::F64(value) => Value::Double(*value),
        ApiValue::String(value) => text(value.as_str()),
        ApiValue::Array(Array::Bool(values)) => list(values, |v| Value::Bool(*v)),
        ApiValue::Array(Array::I64(values)) => list(values, |v| Value::Int(*v)),
        ApiValue::Array(Array::F64(values)) => list(values, |v| Value::Double(*v)),
        ApiValue::Array(Array::String(values)) => list(values, |v| text(v.as_str())),
        // What the API may add has a text at least.
        other => text(&other.as_str()),
    }
}

fn list<T>(values: &[T], value: impl Fn(&T) -> Value<'static>) -> Value<'static> {
    Value::Array(values.iter().map(value).collect())
}
