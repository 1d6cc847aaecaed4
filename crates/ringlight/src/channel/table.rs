//! A table of what never changes once it is there, which is looked up without a lock.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Almost twice as many as there are groups.
const SLOTS_COUNT: usize = 512;

/// Slots a key may be in.
const PROBES_COUNT: usize = 8;

#[derive(Debug)]
struct Slot {
    /// 0 as long as it is free, and then never another one. Stored with `Release` after `index`, and loaded with `Acquire`
    /// before that.
    key: AtomicUsize,
    /// `Relaxed`, since the key orders it.
    index: AtomicU32,
}

impl Slot {
    const fn new() -> Self {
        Self {
            key: AtomicUsize::new(0),
            index: AtomicU32::new(0),
        }
    }
}

/// Numbers by key. A key that finds no place near where it belongs is left out, and so is 0.
#[derive(Debug)]
pub(super) struct Table([Slot; SLOTS_COUNT]);

impl Table {
    pub(super) const fn new() -> Self {
        Self([const { Slot::new() }; SLOTS_COUNT])
    }

    fn slot(&self, key: usize, probe: usize) -> &Slot {
        // Addresses of places are multiples of 8.
        &self.0[((key >> 3) + probe) % SLOTS_COUNT]
    }

    #[inline]
    pub(super) fn get(&self, key: usize) -> Option<usize> {
        let slot = self.slot(key, 0);
        if slot.key.load(Ordering::Acquire) == key {
            return Some(slot.index.load(Ordering::Relaxed) as usize);
        }
        self.get_beyond(key)
    }

    #[cold]
    fn get_beyond(&self, key: usize) -> Option<usize> {
        let mut slots = (1..PROBES_COUNT).map(|probe| self.slot(key, probe));
        let slot = slots.find(|slot| slot.key.load(Ordering::Acquire) == key)?;
        Some(slot.index.load(Ordering::Relaxed) as usize)
    }

    /// Inserts a key that is not there. One caller at a time.
    pub(super) fn insert(&self, key: usize, index: usize) {
        let mut slots = (0..PROBES_COUNT).map(|probe| self.slot(key, probe));
        if let Some(slot) = slots.find(|slot| slot.key.load(Ordering::Relaxed) == 0) {
            slot.index.store(index as u32, Ordering::Relaxed);
            slot.key.store(key, Ordering::Release);
        }
    }
}
