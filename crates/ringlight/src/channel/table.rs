//! A table of what never changes once it is there, which is looked up without a lock.

use crate::sync::{AtomicU32, AtomicUsize, IS_MODEL, Ordering};

/// Almost twice as many as there are groups.
const SLOTS_COUNT: usize = if IS_MODEL { 2 } else { 512 };

/// Slots a key may be in.
const PROBES_COUNT: usize = if IS_MODEL { 2 } else { 8 };

#[derive(Debug)]
#[cfg_attr(all(test, ringlight_loom), derive(Default))]
struct Slot {
    /// 0 as long as it is free, and then never another one. Stored with `Release` after `index`, and loaded with `Acquire`
    /// before that.
    key: AtomicUsize,
    /// `Relaxed`, since the key orders it.
    index: AtomicU32,
}

impl Slot {
    #[cfg(not(all(test, ringlight_loom)))]
    const fn new() -> Self {
        Self {
            key: AtomicUsize::new(0),
            index: AtomicU32::new(0),
        }
    }

    #[inline]
    fn index_of(&self, key: usize) -> Option<usize> {
        let is_there = self.key.load(Ordering::Acquire) == key;
        is_there.then(|| self.index.load(Ordering::Relaxed) as usize)
    }
}

/// Numbers by key. A key that finds no place near where it belongs is left out, and so is 0.
#[derive(Debug)]
#[cfg_attr(all(test, ringlight_loom), derive(Default))]
pub(super) struct Table([Slot; SLOTS_COUNT]);

impl Table {
    #[cfg(not(all(test, ringlight_loom)))]
    pub(super) const fn new() -> Self {
        Self([const { Slot::new() }; SLOTS_COUNT])
    }

    #[inline]
    fn slot(&self, key: usize, probe: usize) -> &Slot {
        // Addresses of places are multiples of 8.
        &self.0[((key >> 3) + probe) % SLOTS_COUNT]
    }

    /// If the key is in the first slot it may be in.
    #[inline]
    pub(super) fn index_at_home(&self, key: usize) -> Option<usize> {
        self.slot(key, 0).index_of(key)
    }

    pub(super) fn get(&self, key: usize) -> Option<usize> {
        (0..PROBES_COUNT).find_map(|probe| self.slot(key, probe).index_of(key))
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

#[cfg(all(test, not(ringlight_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_with_its_index_or_not_at_all() {
        let table = Table::new();
        // More than there is room for, and all of every eighth from one place on.
        let keys = (1..=300)
            .map(|n| n * 24)
            .chain((1..=300).map(|n| n * 8 * SLOTS_COUNT));
        let keys: Vec<usize> = keys.collect();
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(table.get(*key), None);
            table.insert(*key, index);
        }
        let found: Vec<_> = keys.iter().map(|key| table.get(*key)).collect();
        for (index, found) in found.iter().enumerate() {
            assert!(found.is_none_or(|found| found == index));
        }
        let count = found.iter().flatten().count();
        assert!((300..=300 + PROBES_COUNT).contains(&count), "{count}");
        assert_eq!(table.get(7), None);
    }
}
