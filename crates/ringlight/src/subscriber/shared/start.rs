//! What a span of the OpenTelemetry API needs of a subscriber.

use std::borrow::Cow;

use opentelemetry::trace::{self as api, TraceContextExt as _};
use opentelemetry::{Array, Context, InstrumentationScope, Value as ApiValue};
use ringlight_clock::Moment;
use ringlight_collector::record::{ItemWriter, SpanHeader, Written, copy_words};
use ringlight_model::{
    Callsite, CallsiteId, CallsiteKind, CallsiteScope, KeyValue, Limits, Scope, Severity, Signal,
    SpanId, Value,
};
use tracing_core::Dispatch;
use tracing_core::span::Id;

use super::super::scratch::Bounded;
use super::super::slab::{SlotId, SpanContext};
use super::super::thread::{Thread, with_thread};
use super::super::{OpenSpan, RinglightLayer, RinglightSubscriber};
use super::{Edit, Local, Named, span_context};
use crate::sampling::Beginning;
use crate::sync::unpoisoned;

/// Instrumentation scopes a subscriber tells apart; spans of further ones have none.
const SCOPES_MAX: usize = 1024;

/// Writes the items of a span.
pub(crate) type SpanItems<'w, 'a> = ItemWriter<'w, Bounded<'a>>;

/// What of a span was dropped or cut.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    pub(crate) attributes: usize,
    pub(crate) events: usize,
    pub(crate) links: usize,
    pub(crate) cut: usize,
}

impl Losses {
    /// Counts a text that is no attribute.
    pub(crate) fn count_text(&mut self, written: Written) {
        self.cut += usize::from(written != Written::Whole);
    }
}

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
    /// The first use of the API may come within `tracing` spans that have no context yet. Then a
    /// context that names no span, as the current one does not, stands for the innermost of them.
    fn parent_in(&self, thread: &Thread, context: &Context) -> Option<Parent> {
        if let Some(named) = Named::of(context) {
            let state = context.span().span_context().trace_state().clone();
            return Some(Parent { named, state });
        }
        let (id, entered) = self.entered(thread)?;
        let stands_for_it = self.shares()
            && Local::with(|local| {
                !local.has(self.number, id) && Context::map_current(Named::of).is_none()
            })?;
        let named = Named {
            context: entered,
            is_sampled: id.is_sampled(),
            is_remote: false,
        };
        let state = api::TraceState::NONE;
        (stands_for_it && entered != SpanContext::NONE).then_some(Parent { named, state })
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The end of a span that ends now, Unix nanoseconds: as long after its beginning as it took,
    /// whatever the wall clock shows meanwhile. If it began at a time that somebody gave, what the wall
    /// clock shows now.
    pub(crate) fn end_unix_nano(&self, began: Option<Moment>) -> u64 {
        let clock = self.slab.clock();
        let elapsed = |began: Moment| {
            let nanos = clock.nanos_between(began.reading, clock.reading())?;
            Some(began.unix_nano.saturating_add(nanos))
        };
        // Without a common clock for start and end, the wall clock has to do.
        let end = began.and_then(elapsed);
        end.unwrap_or_else(|| clock.now().unix_nano)
    }

    /// Hands over the record of a span that has ended.
    pub(crate) fn submit(
        &self,
        mut header: SpanHeader,
        write: impl FnOnce(&mut SpanItems<'_, '_>) -> Losses,
    ) {
        let header_words = header.to_words();
        let mut words = header_words.to_vec();
        let mut bounded = Bounded(&mut words);
        let mut items = ItemWriter::new(&mut bounded, self.limits.text_bytes_max);
        let losses = write(&mut items);
        if losses.events > 0 || losses.links > 0 {
            let events = u32::try_from(losses.events).unwrap_or(u32::MAX);
            let links = u16::try_from(losses.links).unwrap_or(u16::MAX);
            // A word more than what is bounded.
            let _ = ItemWriter::new(&mut words, 0).dropped(events, links);
        }
        let dropped = u16::try_from(losses.attributes).unwrap_or(u16::MAX);
        let cut = u8::try_from(losses.cut).unwrap_or(u8::MAX);
        header.head = header.head.with_dropped(dropped).with_cut(cut);
        words[..header_words.len()].copy_from_slice(&header.to_words());
        self.recorder.record_urgent_if(
            Signal::Traces,
            words.len() * 8,
            || header.head.is_urgent(header.parent_span_id),
            |buffer| copy_words(words.iter().copied(), buffer),
        );
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

    /// The one behind a dispatcher, and what a span of that dispatcher is called here.
    fn behind_span<'d>(dispatch: &'d Dispatch, id: &Id) -> Option<(&'d Self, SlotId)> {
        let id = match dispatch.downcast_ref::<RinglightLayer>() {
            Some(layer) => layer.own(id)?,
            None => id.clone(),
        };
        Some((Self::behind(dispatch)?, SlotId::from_u64(id.into_u64())))
    }

    /// The context that names a span.
    pub(crate) fn context_of_span(dispatch: &Dispatch, id: &Id) -> Option<Context> {
        let (subscriber, id) = Self::behind_span(dispatch, id)?;
        Some(subscriber.context_of(id))
    }

    /// Changes a span that the caller holds open, if it is recorded.
    pub(crate) fn edit(dispatch: &Dispatch, id: &Id, edit: &Edit<'_>) {
        if let Some((subscriber, id)) = Self::behind_span(dispatch, id)
            && subscriber.outputs.spans
            && id.is_sampled()
            && let Some(slot) = subscriber.slab.slot(id)
        {
            let limits = &subscriber.limits;
            edit.apply(&OpenSpan { slot, limits }, &subscriber.callsites);
        }
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
