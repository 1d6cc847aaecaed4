//! What threads publish of the spans they are in, for those who watch them: a [`SlotId`] each, of which the slot
//! says more as long as the span is open.

use std::sync::Arc;

use ringlight_collector::Recorder;
use ringlight_context::PublishedAs;
use ringlight_model::{CallsiteId, CallsiteRegistry, SpanId, TraceId};
use tracing_core::span::Id;

use super::RinglightSubscriber;
use super::slab::{Slab, SlotId};

/// Reads what a subscriber's threads publish.
#[derive(Debug)]
pub(crate) struct PublishedSpans {
    number: u64,
    slab: Arc<Slab>,
    callsites: Arc<CallsiteRegistry>,
    recorder: Recorder,
}

/// A span that some thread is in.
#[derive(Debug, Clone)]
pub(crate) struct NamedSpan {
    /// By which `tracing` knows it.
    pub(crate) id: Id,
    pub(crate) callsite: u64,
    pub(crate) name: &'static str,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}

impl PublishedSpans {
    /// The span that one of our threads published; `None` if it has closed, is not recorded, or is another
    /// subscriber's.
    pub(crate) fn named(&self, published: ringlight_context::PublishedSpan) -> Option<NamedSpan> {
        let id = SlotId::from_u64(published.span);
        if published.recorder != self.number || !id.is_sampled() {
            return None;
        }
        let slot = self.slab.slot(id)?;
        let context = slot.context_of(id)?;
        let (callsite, _) = slot.place_of(id)?;
        Some(NamedSpan {
            id: id.to_span_id(),
            callsite,
            name: self.callsites.lookup(CallsiteId::new(callsite))?.name,
            trace_id: context.trace_id(),
            span_id: context.span_id(),
        })
    }

    /// What is recorded by `record` is another thread's, of this number and name, where threads are shown.
    pub(crate) fn record_for(&self, owner: &PublishedAs, record: impl FnOnce()) {
        self.recorder
            .record_for(owner.number, owner.thread.name(), record);
    }
}

impl RinglightSubscriber {
    pub(crate) fn published_spans(&self) -> PublishedSpans {
        PublishedSpans {
            number: self.number,
            slab: Arc::clone(&self.slab),
            callsites: Arc::clone(&self.callsites),
            recorder: self.recorder.clone(),
        }
    }
}
