//! What was allocated in an open span: each time it is left, that is added up in its slot, and so is what was
//! allocated in a span within it when that one closes.
//!
//! A span holds no reference to the one around it, which may close, and give its slot to another, at the very
//! moment. So the sums say of which generation of the slot they are, and change under a lock under which that is
//! looked at: whoever comes too late adds nothing, and what is left of a span that has closed means nothing to
//! the next one.

use ringlight_context::Counts;

use super::id::GENERATION_MASK;
use super::{Slot, SlotId};
use crate::sync::{AtomicU64, Mutex, Ordering, unpoisoned};

/// The sums of one slot.
#[derive(Debug)]
pub(super) struct Sums {
    /// The generation that they are of; written under the lock.
    generation: AtomicU64,
    allocated: Mutex<Allocated>,
}

/// What was allocated and freed in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Allocated {
    /// In itself.
    pub(in super::super) own: Counts,
    /// In spans within it that have closed, and those within these.
    pub(in super::super) within: Counts,
}

impl Allocated {
    pub(in super::super) const fn total(self) -> Counts {
        self.own.plus(self.within)
    }
}

impl Sums {
    pub(super) fn new() -> Self {
        Self {
            generation: AtomicU64::new(0),
            allocated: Mutex::default(),
        }
    }
}

impl Slot {
    /// Adds to the sums of a span, unless it has closed.
    pub(in super::super) fn add_allocated(&self, id: SlotId, add: impl FnOnce(&mut Allocated)) {
        let generation = id.0 & GENERATION_MASK;
        let sums = &self.sums;
        let mut allocated = unpoisoned(sums.allocated.lock());
        // Relaxed: if a later span has sums here, its opening is before them, and they are before this by the
        // lock. If it has none yet, what is added now is taken for none of its own. References are not asked for: whoever
        // has the id has seen it published, after which the slot is not free in this generation.
        let state = self.state.load(Ordering::Relaxed);
        if state & GENERATION_MASK != generation {
            return;
        }
        // Relaxed, both: under the lock.
        if sums.generation.load(Ordering::Relaxed) != generation {
            *allocated = Allocated::default();
            sums.generation.store(generation, Ordering::Relaxed);
        }
        add(&mut allocated);
    }

    /// The sums of the span that is closing, if there are any; for whoever owns the slot.
    #[inline]
    pub(in super::super) fn allocated(&self) -> Option<Allocated> {
        // Relaxed, both: what was added before the span closes is seen, and nothing else is of its generation.
        let generation = self.state.load(Ordering::Relaxed) & GENERATION_MASK;
        let is_any = self.sums.generation.load(Ordering::Relaxed) == generation;
        is_any.then(|| *unpoisoned(self.sums.allocated.lock()))
    }
}

#[cfg(all(test, not(ringlight_loom)))]
mod tests {
    use ringlight_clock::{Clock, Moment, Reading};
    use ringlight_collector::record::Head;
    use ringlight_model::{SpanKind, StatusCode};

    use super::super::{Slab, SpanContext};
    use super::*;

    const INDEX: u32 = 1;
    const ONE: Counts = Counts {
        alloc_count: 1,
        alloc_bytes: 10,
        dealloc_count: 0,
        dealloc_bytes: 0,
    };

    fn slab() -> Slab {
        let slab = Slab::new(Clock::monotonic());
        assert_eq!(slab.take(&mut [0]), 1);
        slab
    }

    fn open(slot: &Slot) -> SlotId {
        slot.open(0, SlotId::NO_PARENT, SpanContext::NONE);
        let start = Moment {
            reading: Reading::from_bits(0),
            unix_nano: 0,
        };
        let head = Head::span(SpanKind::Internal, StatusCode::Unset, 1);
        slot.publish(INDEX, head, 1, start)
    }

    fn close(slot: &Slot, id: SlotId) -> Allocated {
        assert!(slot.drop_reference(id));
        let allocated = slot.allocated().unwrap_or_default();
        slot.retire();
        allocated
    }

    #[test]
    fn sums_are_those_of_one_span() {
        let slab = slab();
        let slot = slab.slot_at(INDEX).unwrap();
        let first = open(slot);
        slot.add_allocated(first, |sums| sums.own = sums.own.plus(ONE));
        slot.add_allocated(first, |sums| sums.within = sums.within.plus(ONE));
        slot.add_allocated(first, |sums| sums.own = sums.own.plus(ONE));
        let allocated = close(slot, first);
        assert_eq!(allocated.own, ONE.plus(ONE));
        assert_eq!(allocated.total(), ONE.plus(ONE).plus(ONE));
        slot.add_allocated(first, |_| panic!("it has closed"));
        let second = open(slot);
        slot.add_allocated(first, |_| panic!("it has closed"));
        assert_eq!(close(slot, second), Allocated::default());
        let third = open(slot);
        slot.add_allocated(third, |sums| sums.own = sums.own.plus(ONE));
        slot.add_allocated(second, |_| panic!("it has closed"));
        assert_eq!(close(slot, third).total(), ONE);
    }

    #[test]
    fn a_measured_span_has_its_sums_under_both_of_its_ids() {
        let slab = slab();
        let slot = slab.slot_at(INDEX).unwrap();
        let id = slot.mark_measured(open(slot), false);
        slot.add_allocated(id, |sums| sums.own = ONE);
        let id = slot.unmark_measured(id);
        assert_eq!(close(slot, id).own, ONE);
    }

    #[test]
    fn whoever_comes_too_late_changes_nothing() {
        const ROUNDS: u64 = 20_000;
        let slab = slab();
        let slot = slab.slot_at(INDEX).unwrap();
        let now = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    // Relaxed, as its stores: any id that was once open will do.
                    let id = SlotId(now.load(Ordering::Relaxed));
                    if id == SlotId::NONE {
                        break;
                    }
                    // By this thread alone, of a span that says so; any other must not see it.
                    slot.add_allocated(id, |sums| sums.within.alloc_bytes = id.0);
                }
            });
            for _ in 0..ROUNDS {
                let id = open(slot);
                now.store(id.0, Ordering::Relaxed);
                slot.add_allocated(id, |sums| sums.own = ONE);
                let allocated = close(slot, id);
                assert_eq!(allocated.own, ONE);
                let late = allocated.within.alloc_bytes;
                assert!(late == 0 || late == id.0, "{late:x} in {id:?}");
            }
            now.store(SlotId::NONE.0, Ordering::Relaxed);
        });
    }
}
