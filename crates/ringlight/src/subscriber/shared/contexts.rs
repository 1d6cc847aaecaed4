//! The contexts of open spans.

use std::fmt;
use std::sync::{Mutex, OnceLock};

use opentelemetry::Context;

use super::super::slab::{OPEN_SPANS_MAX, SlotId};
use crate::sync::unpoisoned;

/// Places allocated at a time.
const CHUNK: usize = 64;
const CHUNKS_MAX: usize = OPEN_SPANS_MAX.div_ceil(CHUNK);

/// The context of the span that has a slot, if it has one.
type Place = Mutex<Option<(SlotId, Context)>>;
type Chunks = Box<[OnceLock<Box<[Place; CHUNK]>>]>;

/// A place for each slot, allocated when first used.
pub(super) struct Contexts(OnceLock<Chunks>);

impl Contexts {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn place(&self, id: SlotId) -> Option<&Place> {
        let index = id.index() as usize;
        let chunk = self.0.get()?.get(index / CHUNK)?.get()?;
        Some(&chunk[index % CHUNK])
    }

    /// The context of a span.
    pub(super) fn get(&self, id: SlotId) -> Option<Context> {
        let place = unpoisoned(self.place(id)?.lock());
        let (of, context) = place.as_ref()?;
        (*of == id).then(|| context.clone())
    }

    /// Keeps the context of a span that somebody holds open.
    pub(super) fn set(&self, id: SlotId, context: Context) {
        let index = id.index() as usize;
        let chunks = self
            .0
            .get_or_init(|| (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect());
        let Some(chunk) = chunks.get(index / CHUNK) else {
            return;
        };
        let chunk = chunk.get_or_init(|| Box::new([const { Mutex::new(None) }; CHUNK]));
        let before = unpoisoned(chunk[index % CHUNK].lock()).replace((id, context));
        // Without the lock, since what is dropped with it may be anything.
        drop(before);
    }

    /// Forgets the context of a span that is closing. When this returns, no [`with`](Self::with) of
    /// that span is running, and none will.
    pub(super) fn forget(&self, id: SlotId) {
        if let Some(place) = self.place(id) {
            let before = unpoisoned(place.lock()).take();
            drop(before);
        }
    }

    /// Runs `body` while the span cannot close, if it has a context and is open.
    pub(super) fn with<R>(&self, id: SlotId, body: impl FnOnce() -> R) -> Option<R> {
        let place = unpoisoned(self.place(id)?.lock());
        let is_open = place.as_ref().is_some_and(|(of, _)| *of == id);
        is_open.then(body)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").finish_non_exhaustive()
    }
}
