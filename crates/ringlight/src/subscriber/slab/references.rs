//! The state of a slot: which span it has, and how many hold that.

use super::id::{FREE, GENERATION_MASK, LOW_BITS, LOW_MASK, MEASURED, OWN, TRIAL};
use super::{INLINE_WORDS, Slot, SlotId};
use crate::sync::Ordering;

/// Heap words a slot keeps for its next span.
const SPILL_WORDS_KEPT: usize = 512;

impl Slot {
    #[inline]
    pub(super) fn publish_as(&self, index: u32, flags: u64) -> SlotId {
        // Relaxed: the slot is ours, nobody else changes the state.
        let generation = self.state.load(Ordering::Relaxed) & GENERATION_MASK | flags;
        // Pairs with the `Acquire` loads in `Slab::slot`, of the reference count and of snapshots.
        self.state.store(generation | 1, Ordering::Release);
        SlotId(generation | u64::from(index))
    }

    /// Says that the span, whose id only the caller knows, is measured, perhaps on trial; the id it has
    /// then.
    pub(in super::super) fn mark_measured(&self, id: SlotId, is_trial: bool) -> SlotId {
        let mark = if is_trial { MEASURED | TRIAL } else { MEASURED };
        // Relaxed: nobody else changes the state of a span without an id. Release as in `publish_as`.
        let state = self.state.load(Ordering::Relaxed);
        self.state.store(state | mark, Ordering::Release);
        SlotId(id.0 | mark)
    }

    /// The reverse, for whoever holds the last reference: the id by which to give that up.
    pub(in super::super) fn unmark_measured(&self, id: SlotId) -> SlotId {
        // Relaxed: whoever holds the last reference is the only one to change the state, and the only
        // one to know the id it has then. Release pairs with the `Acquire` of a snapshot, as in
        // `publish_as`, whose store this one takes the place of.
        let state = self.state.load(Ordering::Relaxed);
        let unmarked = !(MEASURED | TRIAL);
        self.state.store(state & unmarked, Ordering::Release);
        SlotId(id.0 & unmarked)
    }

    /// Adds a reference. A span with 2^24 references keeps its slot for good instead of
    /// miscounting.
    pub(in super::super) fn add_reference(&self, id: SlotId) {
        let _ = self.add_references(id, 1);
    }

    /// Adds references; false if the span has closed, or keeps its slot for good.
    pub(in super::super) fn add_references(&self, id: SlotId, count: u32) -> bool {
        // Relaxed: whoever adds one has one already, and with it has seen all it may read.
        let added = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                let live = state & !LOW_MASK == id.0 & !LOW_MASK;
                let sum = (state & LOW_MASK) + u64::from(count);
                (live && state & LOW_MASK < LOW_MASK)
                    .then_some(state & !LOW_MASK | sum.min(LOW_MASK))
            });
        added.is_ok()
    }

    /// Drops a reference. True if it was the last: the caller then owns the slot.
    #[inline]
    pub(in super::super) fn drop_reference(&self, id: SlotId) -> bool {
        // Acquire pairs with the release below: the last one out sees what the others did.
        let state = self.state.load(Ordering::Acquire);
        if state & !LOW_MASK != id.0 & !LOW_MASK {
            return false;
        }
        // With one reference left, nobody but its holder can change the state: no locked
        // instruction is needed.
        state & LOW_MASK == 1 || self.drop_references(id, 1)
    }

    /// Drops so many references. True if they were the last: the caller then owns the slot.
    #[cold]
    pub(in super::super) fn drop_references(&self, id: SlotId, count: u32) -> bool {
        let given = u64::from(count);
        // Release, so that the last one out sees what was done under this reference. Acquire where nothing is
        // changed, as that may be because it is the last one. Each pairs with the other, here and in `drop_reference`.
        let dropped = self
            .state
            .fetch_update(Ordering::Release, Ordering::Acquire, |state| {
                let live = state & !LOW_MASK == id.0 & !LOW_MASK;
                let count = state & LOW_MASK;
                // The last references stay counted until the slot is released.
                (live && count > given && count < LOW_MASK).then_some(state - given)
            });
        matches!(dropped, Err(state)
            if state & LOW_MASK == given && state & !LOW_MASK == id.0 & !LOW_MASK)
    }

    /// Puts a free slot into a generation.
    #[cfg(test)]
    pub(in super::super) fn set_generation(&self, generation: u64) {
        // Relaxed: nobody else knows of the slot.
        self.state.store(generation, Ordering::Relaxed);
    }

    /// Ends the slot's generation: ids of its span are stale from here on. Only for whoever owns
    /// the slot; its index must then go back to a free list.
    #[inline]
    pub(in super::super) fn retire(&self) {
        if self.items_len() > INLINE_WORDS {
            let mut spill = self.lock_spill();
            spill.clear();
            spill.shrink_to(SPILL_WORDS_KEPT);
        }
        // Relaxed: the slot is ours. Whoever takes it next gets its index through a lock or on this
        // thread, so that it is before the words of the next span, which a snapshot acquires.
        let generation = self.state.load(Ordering::Relaxed) & GENERATION_MASK;
        let next = generation.wrapping_add(1 << LOW_BITS) & GENERATION_MASK;
        self.state.store(next | OWN | FREE, Ordering::Relaxed);
    }
}
