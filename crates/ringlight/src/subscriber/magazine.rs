//! Free slots a thread has at hand, so that opening and closing a span takes no lock.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;

use crate::uncounted::uncounted;

use super::lease::Lease;
use super::slab::{Slab, SlotId};

/// Free slots a thread keeps at most; half of them move at a time.
const SLOTS_MAX: usize = 64;

/// Free slots at hand.
pub(super) struct Magazine {
    /// The subscriber whose slots these are; zero for none.
    subscriber: Cell<u64>,
    count: Cell<usize>,
    indices: [Cell<u32>; SLOTS_MAX],
    /// References to a slot that is in use.
    lease: Lease,
    /// Where they go in the end; see [`give_back`](Self::give_back).
    slab: ManuallyDrop<RefCell<Option<Arc<Slab>>>>,
}

impl Magazine {
    pub(super) const fn new() -> Self {
        Self {
            subscriber: Cell::new(0),
            count: Cell::new(0),
            indices: [const { Cell::new(0) }; SLOTS_MAX],
            lease: Lease::new(),
            slab: ManuallyDrop::new(RefCell::new(None)),
        }
    }

    /// Whether it holds slots of this subscriber.
    #[inline]
    pub(super) fn is_of(&self, subscriber: u64) -> bool {
        self.subscriber.get() == subscriber
    }

    /// References to a slot of this subscriber.
    #[inline]
    pub(super) fn lease(&self, subscriber: u64) -> Option<&Lease> {
        self.is_of(subscriber).then_some(&self.lease)
    }

    /// Has other references, to a slot of its subscriber; gives those it had.
    pub(super) fn replace_lease(&self, host: SlotId, references: u32) -> (SlotId, u32) {
        self.lease.replace(host, references)
    }

    /// Takes a slot that is at hand.
    #[inline]
    pub(super) fn pop(&self) -> Option<u32> {
        let last = self.count.get().wrapping_sub(1);
        let place = self.indices.get(last)?;
        self.count.set(last);
        Some(place.get())
    }

    /// Takes a slot, where none is at hand.
    #[cold]
    pub(super) fn fill_and_pop(&self, slab: &Slab) -> Option<u32> {
        self.fill(slab);
        self.pop()
    }

    #[inline]
    pub(super) fn push(&self, slab: &Slab, index: u32) {
        let count = self.count.get();
        match self.indices.get(count) {
            Some(place) => {
                place.set(index);
                self.count.set(count + 1);
            }
            None => self.drain_and_push(slab, index),
        }
    }

    #[cold]
    fn drain_and_push(&self, slab: &Slab, index: u32) {
        uncounted(|| self.drain(slab, SLOTS_MAX / 2));
        self.push(slab, index);
    }

    fn fill(&self, slab: &Slab) {
        let mut taken = [0; SLOTS_MAX / 2];
        let count = slab.take(&mut taken);
        for (place, index) in self.indices.iter().zip(&taken[..count]) {
            place.set(*index);
        }
        self.count.set(count);
    }

    fn drain(&self, slab: &Slab, keep: usize) {
        let count = self.count.get();
        if count > keep {
            let mut given = [0; SLOTS_MAX];
            for (index, place) in given.iter_mut().zip(&self.indices) {
                *index = place.get();
            }
            slab.give(&given[keep..count]);
            self.count.set(keep);
        }
    }

    /// Gives the slots of another subscriber back and gets ready for those of this one.
    #[cold]
    pub(super) fn change_subscriber(&self, subscriber: u64, slab: &Arc<Slab>) {
        self.give_back();
        self.subscriber.set(subscriber);
        *self.slab.borrow_mut() = Some(Arc::clone(slab));
    }

    /// Gives all slots and references back; the magazine is then nobody's. It does not do so when
    /// dropped.
    pub(super) fn give_back(&self) {
        self.subscriber.set(0);
        if let Some(slab) = self.slab.borrow_mut().take() {
            let (host, references) = self.lease.replace(SlotId::NO_PARENT, 0);
            if let Some(slot) = slab.slot_at(host.index()).filter(|_| references > 0)
                && slot.drop_references(host, references)
            {
                // It is not recorded: there is nothing to hand over. If a context was made of it, that is
                // forgotten with the next span in the slot.
                slot.retire();
                self.push(&slab, host.index());
            }
            self.drain(&slab, 0);
        }
    }
}
