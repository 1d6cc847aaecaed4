//! What is allocated in spans, as attributes of theirs.
//!
//! A thread counts for the innermost span it is in. When that changes, what was counted is noted beside the
//! span in the thread's own list, which costs a few plain words; when a span is left, it is added up in the span's
//! slot, since another thread may enter the span next. When it closes, its record gets the sums, and the slot of
//! the span around it the total.

use ringlight_collector::Notices;
use ringlight_context::Counts;

use crate::uncounted::uncounted;

use super::RinglightSubscriber;
use super::numbers::Numbers;
use super::slab::{Allocated, Slot, SlotId};
use super::thread::with_thread;

/// The attributes: of the span itself, then with all within it.
const NAMES: [&str; 10] = [
    "alloc.count",
    "alloc.bytes",
    "dealloc.count",
    "dealloc.bytes",
    "alloc.net_bytes",
    "alloc.total.count",
    "alloc.total.bytes",
    "dealloc.total.count",
    "dealloc.total.bytes",
    "alloc.total.net_bytes",
];

/// The attributes; `None` where nobody counts: the process has another allocator.
pub(super) fn names(notices: &Notices) -> Option<Numbers> {
    if !with_thread(|thread| thread.entered.is_counted()) {
        let message = "allocations are not counted; hint: give the program the allocator that does, \
             `#[global_allocator] static ALLOCATOR: ringlight::RinglightAllocator = \
             ringlight::RinglightAllocator::system();`";
        crate::notice::of_recording(notices, message);
        return None;
    }
    Some(Numbers::new(&NAMES))
}

/// The values, in the order of their names.
fn values(allocated: Allocated) -> [i64; 10] {
    let mut values = [0; 10];
    for (five, counts) in values
        .chunks_exact_mut(5)
        .zip([allocated.own, allocated.total()])
    {
        five.copy_from_slice(&[
            counts.alloc_count.cast_signed(),
            counts.alloc_bytes.cast_signed(),
            counts.dealloc_count.cast_signed(),
            counts.dealloc_bytes.cast_signed(),
            counts.net_bytes(),
        ]);
    }
    values
}

impl RinglightSubscriber {
    /// Adds what this thread has just counted in a span, which it has left, to that span.
    #[inline]
    pub(super) fn charge(&self, id: SlotId) {
        if let Some(counts) = with_thread(|thread| thread.entered.take_left())
            && id.is_sampled()
            && self.allocations.is_some()
        {
            self.charge_slot(id, counts);
        }
    }

    #[inline(never)]
    fn charge_slot(&self, id: SlotId, counts: Counts) {
        if let Some(slot) = self.slab.slot_at(id.index()) {
            slot.add_allocated(id, |sums| sums.own = sums.own.plus(counts));
        }
    }

    /// What was allocated in a span that is closing, which is added to that of the span around it.
    #[inline]
    pub(super) fn allocated_in(&self, slot: &Slot) -> Option<(&Numbers, [i64; 10])> {
        let (allocated, names) = slot.allocated().zip(self.allocations.as_ref())?;
        uncounted(|| self.add_within(slot, allocated.total()));
        Some((names, values(allocated)))
    }

    #[inline(never)]
    fn add_within(&self, slot: &Slot, total: Counts) {
        let parent = slot.parent();
        if parent != SlotId::NO_PARENT
            && let Some(around) = self.slab.slot_at(parent.index())
        {
            around.add_allocated(parent, |sums| sums.within = sums.within.plus(total));
        }
    }
}
