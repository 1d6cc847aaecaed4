//! Opening a span.

use ringlight_collector::record::Head;
use ringlight_model::{SpanKind, StatusCode};
use tracing_core::span::Attributes;

use super::callsite::address;
use super::slab::{Slot, SlotId, SpanContext};
use super::thread::{RemoteParent, Thread};
use super::visit::FieldVisitor;
use super::{RinglightSubscriber, SAMPLED, ids};

impl RinglightSubscriber {
    /// Opens a span; [`SlotId::NONE`] when it cannot be recorded.
    #[inline]
    pub(super) fn open(&self, thread: Option<&Thread>, attributes: &Attributes<'_>) -> SlotId {
        // A trace is recorded as a whole or not at all, which is decided before anything is visited.
        let near = match thread {
            Some(thread) if attributes.is_contextual() => thread.entered.near(self.number),
            _ => None,
        };
        let within = match near {
            Some(place) => Some(place.id()),
            None => self.parent_id(thread, attributes),
        };
        let mut trace = None;
        match within {
            Some(id) if !id.is_sampled() => return id.guest(),
            None if self.must_decide(thread) => match self.decide(thread, attributes) {
                Ok(decided) => trace = decided,
                Err(unsampled) => return unsampled,
            },
            _ => {}
        }
        self.make_sure(thread, attributes.metadata());
        let Some((index, slot)) = self.take_slot(thread) else {
            self.too_many_open();
            return SlotId::NONE;
        };
        let unpublished = Unpublished {
            subscriber: self,
            thread,
            index,
            slot,
        };

        // What comes from the parent is written down before the fields are visited, so that nothing
        // has to be kept meanwhile.
        let parent = match near {
            Some(place) => Some(place.span()),
            None => self.parent(thread, attributes),
        };
        let is_root = parent.is_none();
        slot.open(address(attributes.metadata()), parent);

        let mut head = Head::span(SpanKind::Internal, StatusCode::Unset, SAMPLED);
        let mut items = slot.items_unpublished();
        if self.outputs.spans {
            let mut visitor = FieldVisitor::new(items, &self.limits);
            attributes.record(&mut visitor);
            let (dropped, cut) = visitor.losses();
            items = visitor.into_words();
            if dropped > 0 || cut > 0 {
                head = head.with_dropped(dropped).with_cut(cut);
            }
        }
        items.finish();

        let now = self.clock.now();
        let draw = || next_id(thread, now.unix_nano);
        if is_root {
            match trace {
                Some(trace) => slot.set_trace(trace.trace_high, trace.trace_low),
                None => slot.set_trace(draw(), draw()),
            }
        }
        std::mem::forget(unpublished);
        slot.publish(index, head, draw(), now)
    }

    /// The id of the span here that a new one is a child of; one that was recorded and has closed is
    /// none.
    fn parent_id(&self, thread: Option<&Thread>, attributes: &Attributes<'_>) -> Option<SlotId> {
        match attributes.parent() {
            None if attributes.is_contextual() => self.current(thread).map(|(id, _)| id),
            explicit => explicit
                .map(|id| SlotId::from_u64(id.into_u64()))
                .filter(|id| !id.is_sampled() || self.slab.slot(*id).is_some()),
        }
    }

    /// What a new span is a child of.
    #[inline]
    fn parent(
        &self,
        thread: Option<&Thread>,
        attributes: &Attributes<'_>,
    ) -> Option<(SlotId, SpanContext)> {
        if attributes.is_contextual() {
            self.current(thread).or_else(|| {
                let remote = thread.and_then(Thread::remote_parent)?;
                Some((SlotId::REMOTE, remote.context))
            })
        } else {
            attributes.parent().and_then(|id| self.explicit(id))
        }
    }

    #[inline]
    fn take_slot(&self, thread: Option<&Thread>) -> Option<(u32, &Slot)> {
        let index = match thread {
            Some(thread) => thread.take_slot(self.number, &self.slab),
            None => self.take_slot_without_thread(),
        }?;
        Some((index, self.slab.slot_at(index)?))
    }

    /// Whether a span that is within none here may belong to a trace that is not recorded.
    #[inline]
    fn must_decide(&self, thread: Option<&Thread>) -> bool {
        !self.sampler.takes_all() || thread.is_some_and(|thread| thread.remote_parent().is_some())
    }

    /// Decides about the first span, here, of a trace: its ids if they were drawn for that, or its
    /// own id if it is not recorded.
    #[cold]
    fn decide(
        &self,
        thread: Option<&Thread>,
        attributes: &Attributes<'_>,
    ) -> Result<Option<SpanContext>, SlotId> {
        let remote = thread
            .and_then(Thread::remote_parent)
            .filter(|_| attributes.is_contextual());
        if let Some(RemoteParent {
            context,
            is_sampled,
        }) = remote
        {
            return if self.sampler.takes_remote(context.trace_low, is_sampled) {
                Ok(None)
            } else {
                let parent = Some((SlotId::REMOTE, context));
                Err(self.open_unsampled(thread, attributes, parent, context))
            };
        }
        let now = self.clock.now().unix_nano;
        let trace = SpanContext {
            trace_high: next_id(thread, now),
            trace_low: next_id(thread, now),
            span: 0,
        };
        if self.sampler.takes(trace.trace_low) {
            Ok(Some(trace))
        } else {
            Err(self.open_unsampled(thread, attributes, None, trace))
        }
    }

    /// Opens the first span, here, of a trace that is not recorded.
    #[cold]
    fn open_unsampled(
        &self,
        thread: Option<&Thread>,
        attributes: &Attributes<'_>,
        parent: Option<(SlotId, SpanContext)>,
        trace: SpanContext,
    ) -> SlotId {
        self.make_sure(thread, attributes.metadata());
        // Without a slot it is a span that nothing is known of, as any that is not recorded.
        let Some((index, slot)) = self.take_slot(thread) else {
            return SlotId::NONE;
        };
        slot.open(address(attributes.metadata()), parent);
        slot.set_trace(trace.trace_high, trace.trace_low);
        slot.publish_unsampled(index, next_id(thread, self.clock.now().unix_nano))
    }

    #[cold]
    fn take_slot_without_thread(&self) -> Option<u32> {
        let mut index = [0];
        (self.slab.take(&mut index) == 1).then_some(index[0])
    }
}

/// Takes a slot back when visiting the fields of a new span panics.
struct Unpublished<'a> {
    subscriber: &'a RinglightSubscriber,
    thread: Option<&'a Thread>,
    index: u32,
    slot: &'a Slot,
}

impl Drop for Unpublished<'_> {
    #[cold]
    fn drop(&mut self) {
        self.slot.discard();
        self.subscriber
            .give_slot(self.thread, self.index, self.slot);
    }
}

#[inline]
fn next_id(thread: Option<&Thread>, now: u64) -> u64 {
    // Without thread locals every id comes from a generator of its own: slow, and rare.
    thread.map_or_else(
        || ids::IdGenerator::unseeded().next(now),
        |thread| thread.ids.next(now),
    )
}
