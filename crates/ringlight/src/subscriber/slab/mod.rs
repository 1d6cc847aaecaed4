//! Where open spans live: slots made of atomic words.
//!
//! A span may be entered, recorded to and closed by any thread, so every word of a slot is an
//! atomic. That makes any access sound; that it is also meaningful rests on the rules of `tracing`:
//!
//! - between taking a slot and publishing its id, only the creating thread knows it;
//! - the id is published with a `Release` store of the slot's state, which whoever uses the id
//!   `Acquire`s, so the words written before are seen;
//! - after that, items change only under the slot's lock;
//! - the last reference is dropped by one thread, which sees all earlier drops (`Release` and `Acquire`)
//!   and then owns the slot again.
//!
//! The collector reads slots as well, though it holds no reference to their spans, and so does whoever asks
//! for what is around a span, or about one whose id is all it has: see [`snapshot`]. For their sake the
//! words they read are stored with `Release`, which on x86 is a plain move. What is `Relaxed` is what the
//! stores behind it release: the end of a generation and the beginning of an edit.
//!
//! An id carries the generation of its slot. Whoever uses an id of a span that has closed finds
//! another generation and nothing else: a stale id is inert. (Generations have 36 bits; a stale id would
//! have to be kept while its slot is used 6 * 10^10 times.) Where the span may close at the very moment, that
//! is looked at once more after reading. To change a span takes a reference to it, as `tracing` has it.
//!
//! One bit is set in every id and in none of those that the registry of `tracing-subscriber` gives, so
//! that the two can be told apart where both are in use.
//!
//! A span that is not recorded has a slot for its ids if it is the first of its trace here. Those
//! within it have none: their id is that of the first one, marked. Each holds a reference to the first
//! one, so that the ids of the trace are known for as long as any of it is open. Only where contexts are
//! shared with the OpenTelemetry API has each a slot, since each has a context of its own.

#[cfg(feature = "profiling-alloc")]
mod allocated;
mod id;
mod items;
#[cfg(all(test, ringlight_loom))]
mod model;
mod references;
mod slot;
mod snapshot;
#[cfg(all(test, not(ringlight_loom)))]
mod tests;
mod times;

use std::sync::{Arc, OnceLock};

use ringlight_clock::Clock;
use ringlight_collector::Meter;
use ringlight_collector::record::SPAN_HEADER_WORDS;

use self::id::LOW_MASK;
use crate::sync::{IS_MODEL, Mutex, Ordering, unpoisoned};

#[cfg(feature = "profiling-alloc")]
pub(super) use allocated::Allocated;
pub(super) use id::{SlotId, SpanContext};
pub(super) use items::SlotItems;
pub(super) use slot::Slot;
pub(super) use snapshot::Seen;

/// Words of items a slot holds itself; further ones go to the heap. With them a slot fills 512
/// bytes, 64 more with the feature `profiling`, and 128 more where allocations are counted. (A model takes as few as it can do with, and of the next two as well.)
const INLINE_WORDS: usize = if IS_MODEL { 8 } else { 48 };
// A record is copied eight words at a time.
const _: () = assert!((SPAN_HEADER_WORDS + INLINE_WORDS).is_multiple_of(8));
/// Slots allocated at a time.
const CHUNK_SLOTS: usize = if IS_MODEL { 2 } else { 64 };
/// Most chunks there can be.
const CHUNKS_MAX: usize = if IS_MODEL { 2 } else { 4096 };
/// Most spans that can be open at a time; one more is counted and not recorded. They take 128 MiB, 144
/// with the feature `profiling`, or 160 where allocations are counted.
pub(crate) const OPEN_SPANS_MAX: usize = CHUNK_SLOTS * CHUNKS_MAX - 1;
/// Words of items a span can have, heap included (64 KiB).
pub(super) const ITEM_WORDS_MAX: usize = 8192;

/// All slots of a subscriber, and the clock that their spans are timed by.
#[derive(Debug)]
pub(super) struct Slab {
    clock: Arc<Clock>,
    chunks: Box<[OnceLock<Box<[Slot; CHUNK_SLOTS]>>]>,
    free: Mutex<Free>,
    /// Told of the memory that slots take.
    meter: Option<Arc<Meter>>,
}

#[derive(Debug, Default)]
struct Free {
    indices: Vec<u32>,
    chunks_used: usize,
}

impl Slab {
    pub(super) fn new(clock: impl Into<Arc<Clock>>) -> Self {
        Self {
            clock: clock.into(),
            chunks: (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect(),
            free: Mutex::new(Free::default()),
            meter: None,
        }
    }

    /// The same with its memory counted.
    pub(super) fn metered(self, meter: Arc<Meter>) -> Self {
        Self {
            meter: Some(meter),
            ..self
        }
    }

    #[inline]
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    #[inline]
    pub(super) fn slot_at(&self, index: u32) -> Option<&Slot> {
        let index = index as usize;
        let chunk = self.chunks.get(index / CHUNK_SLOTS)?.get()?;
        Some(&chunk[index % CHUNK_SLOTS])
    }

    /// The open span of an id; `None` if it has closed.
    #[inline]
    pub(super) fn slot(&self, id: SlotId) -> Option<&Slot> {
        let slot = self.slot_at(id.index())?;
        // Pairs with the `Release` store in `Slot::publish`. No id is that of a slot that is free.
        let state = slot.state.load(Ordering::Acquire);
        (state & !LOW_MASK == id.0 & !LOW_MASK).then_some(slot)
    }

    /// Takes up to `out.len()` free slots; returns how many. None once all are open.
    pub(super) fn take(&self, out: &mut [u32]) -> usize {
        let mut free = unpoisoned(self.free.lock());
        if free.indices.is_empty() && free.chunks_used < CHUNKS_MAX {
            let chunk = free.chunks_used;
            self.chunks[chunk].get_or_init(|| Box::new(std::array::from_fn(|_| Slot::new())));
            free.chunks_used += 1;
            if let Some(meter) = &self.meter {
                meter.add_open_spans(size_of::<[Slot; CHUNK_SLOTS]>());
            }
            let first = (chunk * CHUNK_SLOTS) as u32;
            let end = first + CHUNK_SLOTS as u32;
            // Downwards, so that they are handed out upwards; without the one that no id may name.
            free.indices.extend((first.max(1)..end).rev());
        }
        let taken = out.len().min(free.indices.len());
        let rest = free.indices.len() - taken;
        out[..taken].copy_from_slice(&free.indices[rest..]);
        free.indices.truncate(rest);
        taken
    }

    /// Gives back slots that were retired.
    pub(super) fn give(&self, indices: &[u32]) {
        let mut free = unpoisoned(self.free.lock());
        free.indices.extend_from_slice(indices);
    }

    /// Chunks there are so far. Takes no lock, which those who open and close spans may wait for.
    pub(super) fn chunks_used(&self) -> usize {
        self.chunks.partition_point(|chunk| chunk.get().is_some())
    }

    /// The slots of a chunk, with their indices.
    pub(super) fn chunk(&self, chunk: usize) -> impl Iterator<Item = (u32, &Slot)> {
        let slots = self.chunks.get(chunk).and_then(OnceLock::get);
        let first = chunk * CHUNK_SLOTS;
        let of = move |(at, slot)| ((first + at) as u32, slot);
        slots
            .into_iter()
            .flat_map(|slots| slots.iter())
            .enumerate()
            .map(of)
    }

    /// Spans open now: slots with references.
    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.chunks
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|chunk| chunk.iter())
            .filter(|slot| slot.state.load(Ordering::Acquire) & LOW_MASK != 0)
            .count()
    }
}
