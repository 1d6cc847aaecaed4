//! One context for `tracing` and the OpenTelemetry API.
//!
//! OpenTelemetry keeps a stack of contexts a thread, `tracing` one of spans. While they are shared, a
//! `tracing` span that is entered attaches a context that names it, and leaving it detaches that
//! again. So the current context always knows the innermost span of both kinds: if it names the
//! innermost `tracing` span, that is it, and if it names another one, that was attached since.
//!
//! A context costs two allocations a span, which is why nothing is shared before somebody in the
//! process uses the OpenTelemetry API; until then all of this is a load and a branch a call.

mod contexts;
mod edit;
mod handle;
mod local;
mod recording;
mod start;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{self as api, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard, InstrumentationScope};
use ringlight_collector::in_pipeline;
use ringlight_collector::record::ItemWriter;
use ringlight_model::{CallsiteId, CallsiteRegistry, Limits, SpanId, TraceId};
use tracing_core::span::{Attributes, Id};
use tracing_core::{Metadata, dispatcher};

use super::attention::{Reasons, set_otel_in_use};
use super::slab::{Slab, Slot, SlotId, SpanContext};
use super::thread::{RemoteParent, Thread, with_thread};
use super::{RinglightSubscriber, SAMPLED};
use crate::otel::Interop;
use crate::uncounted::uncounted;

use contexts::Contexts;
pub(crate) use edit::{Edit, When};
use handle::Handle;
use local::Local;
pub(crate) use recording::Recording;
pub(crate) use start::Origin;

/// Whether contexts may have to be shared.
#[inline]
pub(crate) fn is_in_use() -> bool {
    Reasons::now().is_otel_in_use()
}

/// Notes that the OpenTelemetry API is used.
pub(crate) fn set_in_use() {
    if !is_in_use() {
        Local::note_before();
        set_otel_in_use();
    }
}

/// Whether the subscriber of the calling thread shares contexts.
pub(crate) fn shares_here() -> bool {
    dispatcher::get_default(|dispatch| {
        RinglightSubscriber::behind(dispatch).is_some_and(RinglightSubscriber::shares)
    })
}

/// Whether OpenTelemetry itself is speaking, perhaps in the midst of attaching a context, where it
/// cannot be asked for the current one.
pub(super) fn is_of_api(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "opentelemetry"
}

/// What of a subscriber the contexts of its spans keep.
#[derive(Debug)]
pub(crate) struct Shared {
    interop: Interop,
    slab: Arc<Slab>,
    callsites: Arc<CallsiteRegistry>,
    limits: Limits,
    contexts: Contexts,
    /// The callsites of instrumentation scopes that were asked for.
    scopes: Mutex<HashMap<InstrumentationScope, CallsiteId>>,
}

impl Shared {
    pub(super) fn new(
        interop: Interop,
        slab: Arc<Slab>,
        callsites: Arc<CallsiteRegistry>,
        limits: &Limits,
    ) -> Self {
        Self {
            interop,
            slab,
            callsites,
            limits: *limits,
            contexts: Contexts::new(),
            scopes: Mutex::default(),
        }
    }

    /// Forgets the context of a span that is closing.
    #[cold]
    pub(super) fn forget(&self, id: SlotId) {
        self.contexts.forget(id);
    }
}

/// The span a context names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    context: SpanContext,
    is_sampled: bool,
    is_remote: bool,
}

impl Named {
    fn of(context: &Context) -> Option<Self> {
        let span = context.span();
        let found = span.span_context();
        found.is_valid().then(|| Self {
            context: SpanContext::new(trace_id(found), span_id(found)),
            is_sampled: found.is_sampled(),
            is_remote: found.is_remote(),
        })
    }

    /// The ids of the span a context names.
    fn context_of(context: &Context) -> Option<SpanContext> {
        Some(Self::of(context)?.context)
    }

    /// As the span the thread is in.
    pub(super) const fn as_current(self) -> (SlotId, SpanContext) {
        let id = if self.is_sampled {
            SlotId::FOREIGN
        } else {
            SlotId::FOREIGN_UNSAMPLED
        };
        (id, self.context)
    }
}

/// The trace a context of the API names.
pub(crate) fn trace_id(context: &api::SpanContext) -> TraceId {
    TraceId::from_bytes(context.trace_id().to_bytes())
}

/// The span a context of the API names.
pub(crate) fn span_id(context: &api::SpanContext) -> SpanId {
    SpanId::from_bytes(context.span_id().to_bytes())
}

/// The context of the API of these ids.
pub(crate) fn span_context(
    (trace, span): (TraceId, SpanId),
    is_sampled: bool,
    is_remote: bool,
    state: api::TraceState,
) -> api::SpanContext {
    let flags = if is_sampled { SAMPLED } else { 0 };
    api::SpanContext::new(
        api::TraceId::from_bytes(trace.to_bytes()),
        api::SpanId::from_bytes(span.to_bytes()),
        opentelemetry::TraceFlags::new(flags),
        is_remote,
        state,
    )
}

/// Attaches a context that names a span elsewhere, unless the thread is in a span already or its
/// subscriber shares no contexts.
pub(crate) fn attach_remote(ids: (TraceId, SpanId), is_sampled: bool) -> Option<ContextGuard> {
    if !is_in_use() {
        return None;
    }
    let is_wanted = dispatcher::get_default(|dispatch| {
        let subscriber = RinglightSubscriber::behind(dispatch);
        let is_wanted = |s: &RinglightSubscriber| {
            s.shares() && with_thread(|thread| s.entered(thread)).is_none()
        };
        subscriber.is_none_or(is_wanted)
    });
    let current = Local::read_current(Context::clone).filter(|_| is_wanted)?;
    if Named::of(&current).is_some() {
        return None;
    }
    let remote = span_context(ids, is_sampled, true, api::TraceState::NONE);
    Local::attach(current.with_remote_span_context(remote))
}

impl RinglightSubscriber {
    /// Whether contexts are shared.
    pub(super) fn shares(&self) -> bool {
        is_in_use() && self.shared.interop != Interop::Off
    }

    /// The span of the OpenTelemetry API the thread is in, if no `tracing` span was entered since.
    #[cold]
    pub(super) fn foreign(&self, thread: &Thread) -> Option<Named> {
        if !self.shares() {
            return None;
        }
        let named = Local::read_current(Named::of)??;
        (!self.is_known(thread, Some(named.context))).then_some(named)
    }

    /// Whether what the current context names is older than the innermost span, or that itself.
    fn is_known(&self, thread: &Thread, named: Option<SpanContext>) -> bool {
        let is_known = Local::with(|local| match local.named(self.number) {
            Some(when_entered) => when_entered == named,
            // It was entered before contexts were shared, if there is one.
            None => named.is_none_or(|named| match self.entered(thread) {
                Some((_, entered)) => entered == named || local.was_before(named),
                None => false,
            }),
        });
        is_known.unwrap_or(true)
    }

    /// What a span that is opened in such a span is a child of, or its id if it is not recorded.
    #[cold]
    pub(super) fn origin_in(
        &self,
        foreign: Named,
        thread: &Thread,
        attributes: &Attributes<'_>,
    ) -> Result<(SlotId, SpanContext), SlotId> {
        let Named {
            context,
            is_sampled,
            is_remote,
        } = foreign;
        if is_remote {
            let remote = RemoteParent {
                context,
                is_sampled,
            };
            self.begin(thread, attributes, Some(remote))
        } else if is_sampled {
            Ok(foreign.as_current())
        } else {
            Err(self.open_unsampled(thread, attributes, SlotId::NO_PARENT, context))
        }
    }

    /// Opens a span within one that is not recorded, so that it has a context of its own: with baggage
    /// perhaps.
    #[cold]
    pub(super) fn open_to_share(
        &self,
        thread: &Thread,
        attributes: &Attributes<'_>,
        (parent, context): (SlotId, SpanContext),
    ) -> Option<SlotId> {
        if !self.shares() || context == SpanContext::NONE {
            return None;
        }
        let id = self.open_unsampled(thread, attributes, parent.host(), context);
        (id != SlotId::UNKNOWN).then_some(id)
    }

    /// Opens a span and makes its context.
    #[cold]
    pub(super) fn new_span_shared(&self, attributes: &Attributes<'_>) -> Id {
        let mut id = SlotId::NONE;
        if !in_pipeline() {
            id = with_thread(|thread| self.open::<true>(thread, attributes));
            if self.shares() {
                uncounted(|| self.make_context(id, attributes));
            }
        }
        id.to_span_id()
    }

    fn make_context(&self, id: SlotId, attributes: &Attributes<'_>) {
        let Some(slot) = self.slab.slot(id) else {
            return;
        };
        let base = match attributes.parent() {
            _ if attributes.is_contextual() => Local::read_current(Context::clone),
            Some(parent) => {
                let parent = SlotId::from_u64(parent.into_u64());
                self.shared.contexts.get(parent.host())
            }
            None => None,
        };
        let base = base.unwrap_or_default();
        let context = self.handle(id, slot.context(), &base);
        let state = context.state();
        if id.is_sampled() && !state.is_empty() {
            let mut items = slot.items_locked();
            let _ = ItemWriter::new(&mut items, self.limits.text_bytes_max).trace_state(&state);
            items.finish();
        }
        self.shared.contexts.set(id, base.with_span(context));
    }

    /// What stands for a span in a context; its trace state is that of the context it is opened in.
    fn handle(&self, id: SlotId, context: SpanContext, base: &Context) -> Handle {
        let ids = (context.trace_id(), context.span_id());
        let span = base.span();
        let parent = span.span_context();
        let state = if trace_id(parent) == ids.0 {
            parent.trace_state().clone()
        } else {
            api::TraceState::NONE
        };
        let named = span_context(ids, id.is_sampled(), false, state);
        Handle::new(Arc::downgrade(&self.shared), id, named)
    }

    /// The context that names a span that the caller holds open. If the span was opened before contexts
    /// were shared, what it was opened in is not known, and there is nothing else in it.
    pub(super) fn context_of(&self, id: SlotId) -> Context {
        let host = id.host();
        if let Some(context) = self.shared.contexts.get(host) {
            return context;
        }
        let known = self.slab.slot(host).map(Slot::context);
        if known.is_none() && (id.is_sampled() || id == SlotId::LOST) {
            // Not one of ours, or there were too many.
            return Local::read_current(Context::clone).unwrap_or_default();
        }
        let ids = known.unwrap_or_else(|| with_thread(|thread| self.anew(thread)));
        let context = Context::new();
        let handle = self.handle(host, ids, &context);
        let context = context.with_span(handle);
        if self.shares() && known.is_some() {
            self.shared.contexts.set(host, context.clone());
        }
        context
    }

    /// Enters a span and attaches its context.
    #[cold]
    pub(super) fn enter_shared(&self, id: SlotId) {
        self.enter_alone(id);
        if self.shares() {
            let is_open = |id: SlotId| self.slab.slot(id.host()).is_some();
            uncounted(|| {
                Local::with(|local| {
                    local.enter(self.number, id, is_open, || self.context_of(id));
                });
            });
        }
    }

    /// Leaves a span and detaches its context.
    #[cold]
    pub(super) fn exit_shared(&self, id: SlotId) {
        uncounted(|| Local::with(|local| local.exit(self.number, id)));
        self.exit_alone(id);
    }
}
