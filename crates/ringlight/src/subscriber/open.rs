//! Opening a span.

use ringlight_collector::record::Head;
use ringlight_model::{SpanKind, StatusCode};
use tracing_core::span::Attributes;

use crate::sampling::Beginning;

use super::callsite::address;
use super::otel_name::otel_name;
#[cfg(feature = "otel")]
use super::shared::is_in_use;
use super::slab::{Slot, SlotId, SpanContext};
use super::thread::{Notes, RemoteParent, Thread};
use super::visit::FieldVisitor;
use super::{RinglightSubscriber, SAMPLED};

impl RinglightSubscriber {
    /// Opens a span; [`SlotId::LOST`] when it cannot be recorded. `MAY_SHARE`: the thread may be in a
    /// span of the OpenTelemetry API.
    #[inline]
    pub(super) fn open<const MAY_SHARE: bool>(
        &self,
        thread: &Thread,
        attributes: &Attributes<'_>,
    ) -> SlotId {
        // A trace is recorded as a whole or not at all, which is decided before anything is visited.
        let near = if attributes.is_contextual() && !MAY_SHARE {
            thread.entered.near(self.number)
        } else {
            None
        };
        match near {
            Some(near) if !near.is_sampled() => self.open_guest(near, thread, attributes),
            near => self.open_within(near.unwrap_or(SlotId::NO_PARENT), thread, attributes),
        }
    }

    /// Opens a span in a recorded one that is at hand, or in one that has yet to be found, if any. On
    /// its own, so that within a trace that is not recorded nothing has to be put aside for it.
    #[inline(never)]
    pub(super) fn open_within(
        &self,
        near: SlotId,
        thread: &Thread,
        attributes: &Attributes<'_>,
    ) -> SlotId {
        let (parent, context) = match self.slab.slot(near) {
            Some(slot) => (near, slot.context()),
            None => match self.origin(thread, attributes) {
                Ok(origin) => origin,
                Err(unsampled) => return unsampled,
            },
        };
        if thread.has_noted(Notes::UNSURE.and(Notes::MEASURE_SPAN)) {
            #[cfg(feature = "otel")]
            let is_shared = is_in_use();
            #[cfg(not(feature = "otel"))]
            let is_shared = false;
            // One whose trace has been decided about with ids of its own is not begun again.
            let may_measure =
                !is_shared && (parent != SlotId::NO_PARENT || context == SpanContext::NONE);
            if let Some(id) = self.see_to_span(thread, attributes, may_measure) {
                return id;
            }
        }
        let Some((index, slot)) = self.take_slot(thread) else {
            return self.too_many_open();
        };
        let unpublished = Unpublished {
            subscriber: self,
            thread,
            index,
            slot,
        };

        // What comes from the parent is written down before the fields are visited, so that nothing
        // has to be kept meanwhile.
        slot.open(address(attributes.metadata()), parent, context);
        let is_new_trace = context == SpanContext::NONE;

        let mut head = Head::span(SpanKind::Internal, StatusCode::Unset, SAMPLED);
        if parent == SlotId::NO_PARENT && context.span != 0 {
            head = head.with_remote_parent();
        }
        let mut visitor = FieldVisitor::new(head, slot.items_unpublished(), &self.limits);
        if self.outputs.want_fields() {
            attributes.record(&mut visitor);
        }
        let (head, items) = visitor.finish();
        items.finish();

        let now = self.slab.clock().now();
        let draw = || thread.ids.next(now.unix_nano);
        if is_new_trace {
            slot.set_trace(draw(), draw());
        }
        std::mem::forget(unpublished);
        slot.publish(index, head, draw(), now)
    }

    /// What a new span is a child of, and its context: without a parent, that of the trace if its ids
    /// were drawn already, to decide about it. Or the id of a span that is not recorded.
    #[inline(never)]
    fn origin(
        &self,
        thread: &Thread,
        attributes: &Attributes<'_>,
    ) -> Result<(SlotId, SpanContext), SlotId> {
        #[cfg(feature = "otel")]
        if is_in_use()
            && attributes.is_contextual()
            && let Some(foreign) = self.foreign(thread)
        {
            return self.origin_in(foreign, thread, attributes);
        }
        let parent = if attributes.is_contextual() {
            self.entered(thread)
        } else {
            let explicit = attributes.parent();
            explicit.and_then(|id| self.known(SlotId::from_u64(id.into_u64())))
        };
        match parent {
            Some((SlotId::LOST, _)) => Err(self.too_many_open()),
            Some(parent) if !parent.0.is_sampled() => {
                #[cfg(feature = "otel")]
                if let Some(own) = self.open_to_share(thread, attributes, parent) {
                    return Err(own);
                }
                Err(self.guest_in(parent.0, thread))
            }
            Some(parent) => Ok(parent),
            None => {
                let remote = thread.remote_parent();
                let remote = remote.filter(|_| attributes.is_contextual());
                self.begin(thread, attributes, remote)
            }
        }
    }

    #[cold]
    fn unpublish(&self, thread: &Thread, index: u32, slot: &Slot) {
        slot.discard();
        self.give_slot(thread, index, slot);
    }

    #[inline]
    fn take_slot(&self, thread: &Thread) -> Option<(u32, &Slot)> {
        let index = thread.take_slot(self.number, &self.slab)?;
        Some((index, self.slab.slot_at(index)?))
    }

    /// Decides about the first span, here, of a trace.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is on the way of every root, and also called where hardly any go"
    )]
    pub(super) fn begin(
        &self,
        thread: &Thread,
        attributes: &Attributes<'_>,
        remote: Option<RemoteParent>,
    ) -> Result<(SlotId, SpanContext), SlotId> {
        let sampling = &self.controls.sampling;
        if remote.is_none() && sampling.takes_all() {
            // Its ids are drawn with that of the span.
            return Ok((SlotId::NO_PARENT, SpanContext::NONE));
        }
        let now_unix_nano = self.slab.clock().now().unix_nano;
        let context = remote.map_or_else(
            || SpanContext {
                trace_high: thread.ids.next(now_unix_nano),
                trace_low: thread.ids.next(now_unix_nano),
                span: 0,
            },
            |remote| remote.context,
        );
        let otel_name = if sampling.asks_for_names() {
            otel_name(attributes)
        } else {
            None
        };
        let beginning = Beginning {
            name: attributes.metadata().name(),
            otel_name: otel_name.as_deref(),
            target: attributes.metadata().target(),
            trace_low: context.trace_low,
            now_unix_nano,
        };
        let is_taken = match remote {
            Some(remote) => sampling.takes_remote(beginning, remote.is_sampled),
            None => sampling.takes(beginning),
        };
        if is_taken {
            Ok((SlotId::NO_PARENT, context))
        } else {
            Err(self.open_unsampled(thread, attributes, SlotId::NO_PARENT, context))
        }
    }

    /// Opens a span of a trace that is not recorded, usually the first one here.
    #[cold]
    pub(super) fn open_unsampled(
        &self,
        thread: &Thread,
        attributes: &Attributes<'_>,
        parent: SlotId,
        context: SpanContext,
    ) -> SlotId {
        self.make_sure(thread, attributes.metadata());
        let Some((index, slot)) = self.take_slot(thread) else {
            return SlotId::UNKNOWN;
        };
        slot.open(address(attributes.metadata()), parent, context);
        slot.publish_unsampled(index, thread.ids.next(self.slab.clock().now().unix_nano))
    }
}

/// Takes a slot back when visiting the fields of a new span panics.
struct Unpublished<'a> {
    subscriber: &'a RinglightSubscriber,
    thread: &'a Thread,
    index: u32,
    slot: &'a Slot,
}

impl Drop for Unpublished<'_> {
    // Inlined, so that the guard does not have to lie in memory.
    #[inline]
    fn drop(&mut self) {
        self.subscriber
            .unpublish(self.thread, self.index, self.slot);
    }
}
