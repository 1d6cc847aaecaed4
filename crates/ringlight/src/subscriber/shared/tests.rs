use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use ringlight_clock::Clock;
use ringlight_model::{CallsiteRegistry, Limits};

use super::super::slab::{Slab, SlotId};
use super::handle::Handle;
use super::{Interop, Shared};

#[test]
fn the_context_of_a_span_that_is_never_closed_keeps_nothing_else() {
    let slab = Arc::new(Slab::new(Clock::monotonic()));
    let callsites = Arc::new(CallsiteRegistry::new());
    let limits = Limits::default();
    let shared = Arc::new(Shared::new(Interop::Always, slab, callsites, &limits));
    let (id, weak) = (SlotId::from_u64(1), Arc::downgrade(&shared));
    let handle = Handle::new(weak.clone(), id, SpanContext::NONE);
    shared.contexts.set(id, Context::new().with_span(handle));
    let context = shared.contexts.get(id).unwrap();
    drop(shared);
    assert!(weak.upgrade().is_none());
    assert!(!context.span().is_recording());
}
