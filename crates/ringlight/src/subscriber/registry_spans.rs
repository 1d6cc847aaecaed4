//! From spans of the registry of `tracing-subscriber` to their slots.
//!
//! A span's extensions could hold that, but layers format fields while they hold those, and where that
//! panics, whoever asks for the extensions afterwards panics as well: we would when the span is left,
//! while the thread unwinds.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;

use tracing_core::span::Id;

use super::slab::SlotId;
use crate::sync::unpoisoned;

/// Parts, so that threads seldom meet; a power of two.
const SHARDS: usize = 64;

/// The open spans of a registry that are recorded. There are as many as the registry has open.
#[derive(Debug)]
pub(super) struct RegistrySpans {
    shards: Box<[Shard]>,
}

/// A part, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Mutex<HashMap<u64, SlotId, BuildHasherDefault<IdHasher>>>);

impl RegistrySpans {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    #[inline]
    fn shard(&self, id: &Id) -> &Shard {
        let mut hasher = IdHasher::default();
        hasher.write_u64(id.into_u64());
        // Other bits than the maps look at first.
        &self.shards[(hasher.finish() >> 32) as usize % SHARDS]
    }

    /// Notes the slot of a span that has been opened.
    pub(super) fn insert(&self, id: &Id, slot: SlotId) {
        let mut spans = unpoisoned(self.shard(id).0.lock());
        spans.insert(id.into_u64(), slot);
    }

    /// The slot of a span.
    pub(super) fn get(&self, id: &Id) -> Option<SlotId> {
        let spans = unpoisoned(self.shard(id).0.lock());
        spans.get(&id.into_u64()).copied()
    }

    /// Forgets a span that is closing; gives its slot.
    pub(super) fn remove(&self, id: &Id) -> Option<SlotId> {
        let mut spans = unpoisoned(self.shard(id).0.lock());
        spans.remove(&id.into_u64())
    }

    /// Spans that are noted.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| unpoisoned(shard.0.lock()).len()).sum()
    }
}

/// Ids are as good as chosen by us: nobody can make them collide.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        let product = u128::from(id) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_found_until_they_are_removed() {
        let spans = RegistrySpans::new();
        // As the registry gives them: by thread, address and generation.
        let ids = (0..4_u64)
            .flat_map(|thread| (0..500_u64).map(move |n| (n % 7) << 51 | thread << 38 | (n + 1)));
        let ids: Vec<_> = ids.map(Id::from_u64).collect();
        for (n, id) in ids.iter().enumerate() {
            spans.insert(id, SlotId::from_u64(n as u64));
        }
        assert_eq!(spans.len(), ids.len());
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(spans.get(id), Some(SlotId::from_u64(n as u64)));
            assert_eq!(spans.remove(id), Some(SlotId::from_u64(n as u64)));
            assert_eq!((spans.get(id), spans.remove(id)), (None, None));
        }
        let used = |shard: &Shard| unpoisoned(shard.0.lock()).capacity() > 0;
        assert!(spans.shards.iter().all(used));
    }
}
