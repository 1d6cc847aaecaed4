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
mod start;

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{self as api, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard, InstrumentationScope};
use ringlight_collector::in_pipeline;
use ringlight_collector::record::ItemWriter;
use ringlight_model::{CallsiteId, CallsiteRegistry, Limits, SpanId, TraceId};
use tracing_core::span::{Attributes, Id};

use super::attention::{Reasons, set_otel_in_use};
use super::slab::{Slab, SlotId, SpanContext};
use super::thread::{RemoteParent, Thread, with_thread};
use super::{RinglightSubscriber, SAMPLED};
use crate::otel::Interop;

use contexts::Contexts;
pub(crate) use edit::Edit;
use handle::Handle;
pub(crate) use start::{Losses, Origin, SpanItems};

/// Contexts a thread has attached for entered spans at most. OpenTelemetry has room for four times as
/// many, and makes noise beyond.
const ATTACHED_MAX: usize = 16 * 1024;

/// Whether contexts may have to be shared.
#[inline]
pub(crate) fn is_in_use() -> bool {
    Reasons::now().is_otel_in_use()
}

/// Notes that the OpenTelemetry API is used.
pub(crate) fn set_in_use() {
    set_otel_in_use();
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

/// What a thread has attached.
struct Local {
    /// Subscriber, span and the context attached for it, in the order they were entered.
    attached: RefCell<Vec<(u64, SlotId, ContextGuard)>>,
}

thread_local! {
    static LOCAL: Local = Local::new();
}

impl Local {
    fn new() -> Self {
        // Thread-locals go in the opposite order of their first use, so that OpenTelemetry's, used
        // here, outlives this one. If it is gone already, using it panics, now and later.
        let _ = catch_unwind(|| Context::map_current(|_| ()));
        Self {
            attached: RefCell::default(),
        }
    }

    /// Runs `body` where contexts can be used.
    ///
    /// OpenTelemetry panics when a context is attached by what `Context::map_current` runs, and when
    /// one is asked for while another is attached, which happens if it has something to log then.
    fn with<R>(body: impl FnOnce(&Self) -> R) -> Option<R> {
        let run = |local: &Self| catch_unwind(AssertUnwindSafe(|| body(local))).ok();
        LOCAL.try_with(run).ok().flatten()
    }

    fn attach(&self, subscriber: u64, id: SlotId, context: Context) {
        if self.attached.borrow().len() >= ATTACHED_MAX {
            return;
        }
        let guard = context.attach();
        self.attached.borrow_mut().push((subscriber, id, guard));
    }

    fn detach(&self, subscriber: u64, id: SlotId) {
        let guard = {
            let mut attached = self.attached.borrow_mut();
            let of = |entry: &(u64, SlotId, _)| entry.0 == subscriber && entry.1 == id;
            attached.iter().rposition(of).map(|at| attached.remove(at))
        };
        // What is dropped with it may record in turn.
        drop(guard);
    }

    fn has(&self, subscriber: u64, id: SlotId) -> bool {
        let attached = self.attached.borrow();
        attached.iter().any(|e| e.0 == subscriber && e.1 == id)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let attached = self.attached.get_mut();
        while attached.pop().is_some() {}
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

/// Attaches a context that names a span elsewhere, unless the thread is in a span already.
pub(crate) fn attach_remote(ids: (TraceId, SpanId), is_sampled: bool) -> Option<ContextGuard> {
    if !is_in_use() {
        return None;
    }
    Local::with(|_| {
        let current = Context::current();
        let is_free = Named::of(&current).is_none();
        is_free.then(|| {
            let remote = span_context(ids, is_sampled, true, api::TraceState::NONE);
            current.with_remote_span_context(remote).attach()
        })
    })?
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
        let named = Local::with(|_| Context::map_current(Named::of))??;
        let entered = self.entered(thread);
        let is_entered = entered.is_some_and(|(_, context)| context == named.context);
        (!is_entered).then_some(named)
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
            Err(self.open_unsampled(thread, attributes, context))
        }
    }

    /// Opens a span and makes its context.
    #[cold]
    pub(super) fn new_span_shared(&self, attributes: &Attributes<'_>) -> Id {
        let mut id = SlotId::NONE;
        if !in_pipeline() {
            id = with_thread(|thread| self.open::<true>(thread, attributes));
            if self.shares() {
                self.make_context(id, attributes);
            }
        }
        id.to_span_id()
    }

    fn make_context(&self, id: SlotId, attributes: &Attributes<'_>) {
        let Some(slot) = self.slab.slot(id) else {
            return;
        };
        let base = Local::with(|_| match attributes.parent() {
            _ if attributes.is_contextual() => Context::current(),
            Some(parent) => {
                let parent = SlotId::from_u64(parent.into_u64());
                self.shared.contexts.get(parent.host()).unwrap_or_default()
            }
            None => Context::new(),
        });
        let context = self.handle(id, slot.context(), base.as_ref());
        let state = context.state();
        if id.is_sampled() && !state.is_empty() {
            let mut items = slot.items_locked();
            let _ = ItemWriter::new(&mut items, self.limits.text_bytes_max).trace_state(&state);
            items.finish();
        }
        let context = base.unwrap_or_default().with_span(context);
        self.shared.contexts.set(id, context);
    }

    /// What stands for a span in a context; its trace state is that of the context it is opened in.
    fn handle(&self, id: SlotId, context: SpanContext, base: Option<&Context>) -> Handle {
        let ids = (context.trace_id(), context.span_id());
        let state = base.map_or(api::TraceState::NONE, |base| {
            let span = base.span();
            let parent = span.span_context();
            if trace_id(parent) == ids.0 {
                parent.trace_state().clone()
            } else {
                api::TraceState::NONE
            }
        });
        let named = span_context(ids, id.is_sampled(), false, state);
        Handle::new(Arc::clone(&self.shared), id, named)
    }

    /// The context that names a span, made now if it was opened before contexts were shared.
    pub(super) fn context_of(&self, id: SlotId) -> Context {
        if let Some(context) = self.shared.contexts.get(id.host()) {
            return context;
        }
        let current = Local::with(|_| Context::current()).unwrap_or_default();
        let host = id.host();
        let Some(slot) = self.slab.slot(host) else {
            // Not recorded, like the one it was opened in, which has closed.
            return current.with_remote_span_context(api::SpanContext::NONE);
        };
        let handle = self.handle(host, slot.context(), Some(&current));
        let context = current.with_span(handle);
        if self.shares() {
            self.shared.contexts.set(host, context.clone());
        }
        context
    }

    /// Enters a span and attaches its context, except where telemetry is suppressed, which that would
    /// end.
    #[cold]
    pub(super) fn enter_shared(&self, id: SlotId) {
        self.enter_alone(id);
        if self.shares() {
            Local::with(|local| {
                if !Context::is_current_telemetry_suppressed() {
                    local.attach(self.number, id, self.context_of(id));
                }
            });
        }
    }

    /// Leaves a span and detaches its context.
    #[cold]
    pub(super) fn exit_shared(&self, id: SlotId) {
        Local::with(|local| local.detach(self.number, id));
        self.exit_alone(id);
    }
}
