//! Spans of traces that are not recorded, but for the first of each: guests in that one's slot.

use tracing_core::span::Attributes;

#[cfg(feature = "otel")]
use crate::uncounted::uncounted;

use super::RinglightSubscriber;
#[cfg(feature = "otel")]
use super::shared::is_in_use;
use super::slab::SlotId;
use super::thread::{Thread, with_thread};

impl RinglightSubscriber {
    /// Opens a span within one that is not recorded and that the thread is in.
    #[inline]
    pub(super) fn open_guest(
        &self,
        near: SlotId,
        thread: &Thread,
        attributes: &Attributes<'_>,
    ) -> SlotId {
        if thread.take_reference(self.number, near.host()) {
            return near.guest();
        }
        self.open_guest_far(near, thread, attributes)
    }

    #[cold]
    fn open_guest_far(&self, near: SlotId, thread: &Thread, attributes: &Attributes<'_>) -> SlotId {
        if near == SlotId::LOST {
            // There may be a recorded one around it.
            return self.open_within(SlotId::NO_PARENT, thread, attributes);
        }
        self.guest_in(near, thread)
    }

    /// A new guest in the slot of a span that is not recorded, which holds it, if it has one.
    #[cold]
    pub(super) fn guest_in(&self, within: SlotId, thread: &Thread) -> SlotId {
        let host = within.host();
        if !thread.take_reference(self.number, host)
            && let Some(slot) = self.slab.slot(host)
        {
            let count = thread.references_to_take(self.number, &self.slab);
            if slot.add_references(host, count) {
                let (before, left) = thread.keep_references(host, count - 1);
                self.drop_references(before, left);
            }
        }
        within.guest()
    }

    /// Gives up a reference to a span that is not recorded; whether it has closed.
    #[inline]
    pub(super) fn close_unsampled(&self, id: SlotId) -> bool {
        let is_kept =
            id.is_guest() && with_thread(|thread| thread.put_reference(self.number, id.host()));
        !is_kept && self.close_unsampled_far(id)
    }

    #[cold]
    fn close_unsampled_far(&self, id: SlotId) -> bool {
        let host = id.host();
        let left = with_thread(|thread| thread.take_references(self.number, host));
        // What a guest may close is the span it is in.
        self.drop_references(host, left + 1) && !id.is_guest()
    }

    /// Drops references to a span that is not recorded; whether they were the last, so that it closed.
    fn drop_references(&self, host: SlotId, count: u32) -> bool {
        let index = host.index();
        let Some(slot) = self.slab.slot_at(index).filter(|_| count > 0) else {
            return false;
        };
        if !slot.drop_references(host, count) {
            return false;
        }
        #[cfg(feature = "otel")]
        if is_in_use() {
            uncounted(|| self.shared.forget(host));
        }
        // There is no record to hand over.
        with_thread(|thread| self.give_slot(thread, index, slot));
        true
    }
}
