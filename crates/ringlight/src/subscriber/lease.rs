//! References to a span that is not recorded, which a thread hands to the spans within it.
//!
//! A span that has no slot of its own holds a reference to the one it is a guest in, so that its ids stay
//! known. Counting each in the slot would take two locked instructions a span, and threads that work on
//! one trace would wait for each other's. So a thread takes many references at a time and counts those that
//! it has left for itself.
//!
//! What is left is given back with the first handle of the host that is dropped here, with the last guest
//! that is dropped while the thread is in no span, before references to another host are taken, and when
//! the thread ends. Until then a host may be kept open of which nobody has a handle any more: one a thread
//! at most.

use std::cell::Cell;

use super::slab::SlotId;

/// References taken at a time, and left at most.
pub(super) const REFERENCES_MAX: u32 = 64;

/// References at hand.
pub(super) struct Lease {
    host: Cell<u64>,
    left: Cell<u32>,
}

impl Lease {
    pub(super) const fn new() -> Self {
        Self {
            host: Cell::new(SlotId::NO_PARENT.get()),
            left: Cell::new(0),
        }
    }

    #[inline]
    fn is_of(&self, host: SlotId) -> bool {
        self.host.get() == host.get()
    }

    /// Takes a reference to this host; false if none is at hand.
    #[inline]
    pub(super) fn take(&self, host: SlotId) -> bool {
        let left = self.left.get();
        let is_there = self.is_of(host) && left > 0;
        if is_there {
            self.left.set(left - 1);
        }
        is_there
    }

    /// Puts a reference to this host back; false if that cannot be done.
    #[inline]
    pub(super) fn put(&self, host: SlotId) -> bool {
        let left = self.left.get();
        let is_kept = self.is_of(host) && left < REFERENCES_MAX;
        if is_kept {
            self.left.set(left + 1);
        }
        is_kept
    }

    /// Takes all references to this host; how many.
    pub(super) fn take_all(&self, host: SlotId) -> u32 {
        if self.is_of(host) {
            self.left.take()
        } else {
            0
        }
    }

    /// Has these references from here on; gives what it had before.
    pub(super) fn replace(&self, host: SlotId, references: u32) -> (SlotId, u32) {
        let before = self.host.replace(host.get());
        (SlotId::from_u64(before), self.left.replace(references))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_those_of_one_host_and_bounded() {
        let (lease, one, other) = (Lease::new(), SlotId::from_u64(1), SlotId::from_u64(2));
        assert!(!lease.take(one) && !lease.put(one));
        assert_eq!(lease.replace(one, 2).1, 0);
        assert!(!lease.take(other) && !lease.put(other));
        assert_eq!(lease.take_all(other), 0);
        assert!(lease.take(one) && lease.take(one) && !lease.take(one));
        let kept = (0..2 * REFERENCES_MAX).filter(|_| lease.put(one)).count();
        assert_eq!(kept, REFERENCES_MAX as usize);
        assert_eq!(lease.replace(other, 1), (one, REFERENCES_MAX));
        assert_eq!(lease.take_all(other), 1);
        assert!(!lease.take(other));
    }
}
