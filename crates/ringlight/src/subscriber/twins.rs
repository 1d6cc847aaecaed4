//! Spans that are in two places: in a slot, and in the registry of `tracing-subscriber`.

use std::sync::OnceLock;

use tracing_core::span::Id;

use super::slab::{OPEN_SPANS_MAX, SlotId};
use crate::sync::{AtomicU64, IS_MODEL, Ordering};

/// Pairs of ids allocated at a time.
const CHUNK_TWINS: usize = if IS_MODEL { 2 } else { 1024 };

/// From the slot of a span to its id in the registry.
#[derive(Debug)]
pub(super) struct Twins {
    /// By the index of the slot.
    chunks: Box<[OnceLock<Box<[Twin]>>]>,
}

/// Written by whoever opens the span in the slot, before others know it; read by any thread. Ids of
/// slots are not used again, so a pair that is left from an earlier span is none of a later one.
#[derive(Debug, Default)]
struct Twin {
    /// The id of the slot's span; zero while the pair is being written.
    own: AtomicU64,
    registry: AtomicU64,
}

impl Twins {
    pub(super) fn new() -> Self {
        let chunks = OPEN_SPANS_MAX.div_ceil(CHUNK_TWINS);
        Self {
            chunks: (0..chunks).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Notes the id in the registry of the span that is being opened.
    pub(super) fn set(&self, own: SlotId, registry: &Id) {
        let index = own.index() as usize;
        let Some(chunk) = self.chunks.get(index / CHUNK_TWINS) else {
            return;
        };
        let chunk = chunk.get_or_init(|| (0..CHUNK_TWINS).map(|_| Twin::default()).collect());
        let twin = &chunk[index % CHUNK_TWINS];
        // Relaxed: the next store makes it known.
        twin.own.store(0, Ordering::Relaxed);
        // Pairs with the load in `registry_id`: who sees this one sees the zero as well.
        twin.registry.store(registry.into_u64(), Ordering::Release);
        // Pairs with the first load in `registry_id`.
        twin.own.store(own.get(), Ordering::Release);
    }

    /// The span's id in the registry, if it is there.
    pub(super) fn registry_id(&self, own: SlotId) -> Option<Id> {
        let index = own.index() as usize;
        let chunk = self.chunks.get(index / CHUNK_TWINS)?.get()?;
        let twin = &chunk[index % CHUNK_TWINS];
        // Pairs with the last store in `set`.
        if twin.own.load(Ordering::Acquire) != own.get() {
            return None;
        }
        // Pairs with the store in `set`, of this span or a later one.
        let registry = twin.registry.load(Ordering::Acquire);
        // Relaxed: ordered by the load before. If what was loaded is another span's, the zero that
        // was stored before it, or a later id, is here.
        let is_same = twin.own.load(Ordering::Relaxed) == own.get();
        (is_same && registry != 0).then(|| Id::from_u64(registry))
    }
}

/// A model of the real pairs, explored by loom; see those of the slots. Each of the orderings weakened that is not `Relaxed`, and
/// each of the stores and the comparisons left out or made at another time, makes it fail.
#[cfg(all(test, ringlight_loom))]
mod model {
    use std::sync::Arc;

    use loom::thread;

    use super::*;
    use crate::sync::model;

    /// A span closes and another is opened in its slot, while a third thread asks for the first one's id. It is told that
    /// one or none; and whoever is told of the second finds that.
    #[test]
    fn a_slot_has_another_span_while_it_is_asked_for_the_first() {
        model(|| {
            let twins = Arc::new(Twins::new());
            let [first, second] = [1, 2].map(|generation| SlotId::from_u64(generation << 24 | 1));
            let [of_first, of_second] = [10, 20].map(Id::from_u64);
            twins.set(first, &of_first);
            let of_owner = Arc::clone(&twins);
            let id = of_second.clone();
            let owner = thread::spawn(move || of_owner.set(second, &id));
            let found = twins.registry_id(first);
            assert!(found.is_none_or(|found| found == of_first));
            let found = twins.registry_id(second);
            assert!(found.is_none_or(|found| found == of_second));
            owner.join().unwrap();
            assert_eq!(twins.registry_id(first), None);
            assert_eq!(twins.registry_id(second), Some(of_second));
        });
    }
}

#[cfg(all(test, not(ringlight_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_found_by_the_slots_present_span_only() {
        let twins = Twins::new();
        let (old, new) = (SlotId::from_u64(1 << 24 | 7), SlotId::from_u64(2 << 24 | 7));
        assert_eq!(twins.registry_id(old), None);
        twins.set(old, &Id::from_u64(1));
        assert_eq!(twins.registry_id(old), Some(Id::from_u64(1)));
        assert_eq!(twins.registry_id(new), None);
        twins.set(new, &Id::from_u64(2));
        assert_eq!(twins.registry_id(old), None);
        assert_eq!(twins.registry_id(new), Some(Id::from_u64(2)));
        twins.set(SlotId::NONE, &Id::from_u64(3));
        assert_eq!(twins.registry_id(SlotId::NONE), None);
    }
}
