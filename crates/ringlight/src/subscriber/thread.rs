//! What a thread keeps for itself: the spans it is in, free slots, its id generator and room to
//! build log records in.
//!
//! Everything is reached through shared references and cells, so that code a span or event calls
//! back into (a field's `Debug`, say) may make spans and events of its own. Nothing is held across
//! such code.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::ids::IdGenerator;
use super::slab::{Slab, SpanContext};
use super::stack::Stack;

/// Free slots a thread keeps at most; half of them move at a time.
const MAGAZINE_SLOTS: usize = 64;
thread_local! {
    static THREAD: Thread = const { Thread::new() };
}

/// Runs `body` with the thread's state, or without it once the thread's locals are gone.
#[inline]
pub(super) fn with_thread<R>(body: impl Fn(Option<&Thread>) -> R) -> R {
    THREAD
        .try_with(|thread| body(Some(thread)))
        .unwrap_or_else(|_| without_thread(body))
}

#[cold]
#[inline(never)]
fn without_thread<R>(body: impl Fn(Option<&Thread>) -> R) -> R {
    body(None)
}

/// A span of another thread or process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RemoteParent {
    pub(super) context: SpanContext,
    /// Whether it is recorded there.
    pub(super) is_sampled: bool,
}

/// The state of one thread.
pub(super) struct Thread {
    pub(super) ids: IdGenerator,
    pub(super) entered: Stack,
    magazine: Magazine,
    scratch: Cell<Vec<u64>>,
    /// What a span that would be a root is a child of, while work from elsewhere is taken over.
    remote_parent: Cell<Option<RemoteParent>>,
    /// Whether the callsite of the next record may not have been registered yet.
    unsure: Cell<bool>,
    /// What the last panic said, for the spans that are marked. Of bounded length.
    panic: Cell<Option<String>>,
}

impl Thread {
    const fn new() -> Self {
        Self {
            ids: IdGenerator::unseeded(),
            entered: Stack::new(),
            magazine: Magazine::new(),
            scratch: Cell::new(Vec::new()),
            remote_parent: Cell::new(None),
            unsure: Cell::new(false),
            panic: Cell::new(None),
        }
    }

    pub(super) fn set_panic(&self, text: String) {
        self.panic.set(Some(text));
    }

    pub(super) fn take_panic(&self) -> Option<String> {
        self.panic.take()
    }

    /// Notes that a callsite was asked about one by one, which happens while another thread is
    /// still registering it.
    pub(super) fn set_unsure(&self) {
        self.unsure.set(true);
    }

    /// Whether to register the callsite at hand, to be on the safe side; only once.
    #[inline]
    pub(super) fn take_unsure(&self) -> bool {
        let unsure = self.unsure.get();
        if unsure {
            self.unsure.set(false);
        }
        unsure
    }

    /// The span of another thread or process whose work is being taken over.
    #[inline]
    pub(super) fn remote_parent(&self) -> Option<RemoteParent> {
        self.remote_parent.get()
    }

    /// Takes over the work of another thread or process, or none; gives what was before.
    pub(super) fn set_remote_parent(&self, parent: Option<RemoteParent>) -> Option<RemoteParent> {
        self.remote_parent.replace(parent)
    }

    /// Takes a free slot.
    #[inline]
    pub(super) fn take_slot(&self, subscriber: u64, slab: &Arc<Slab>) -> Option<u32> {
        if self.magazine.subscriber.get() != subscriber {
            self.magazine.change_owner(subscriber, slab);
        }
        self.magazine.pop(slab)
    }

    /// Gives a slot back. Any thread may: slots do not belong to the one that opened the span.
    #[inline]
    pub(super) fn give_slot(&self, subscriber: u64, slab: &Arc<Slab>, index: u32) {
        if self.magazine.subscriber.get() == subscriber {
            self.magazine.push(slab, index);
        } else {
            slab.give(&[index]);
        }
    }

    /// An empty buffer to build a record in; give it back with [`give_scratch`](Self::give_scratch).
    /// Whoever asks while it is out gets a new one.
    #[inline]
    pub(super) fn take_scratch(&self) -> Vec<u64> {
        self.scratch.take()
    }

    /// Keeps the buffer for the next record unless an unusually long one made it large.
    #[inline]
    pub(super) fn give_scratch(&self, mut buffer: Vec<u64>) {
        const WORDS_KEPT: usize = 4096;
        if buffer.capacity() <= WORDS_KEPT {
            buffer.clear();
            self.scratch.set(buffer);
        }
    }
}

/// Free slots at hand.
struct Magazine {
    /// The subscriber whose slots these are; zero for none.
    subscriber: Cell<u64>,
    count: Cell<usize>,
    indices: [Cell<u32>; MAGAZINE_SLOTS],
    /// Where they go when the thread ends.
    slab: RefCell<Option<Arc<Slab>>>,
}

impl Magazine {
    const fn new() -> Self {
        Self {
            subscriber: Cell::new(0),
            count: Cell::new(0),
            indices: [const { Cell::new(0) }; MAGAZINE_SLOTS],
            slab: RefCell::new(None),
        }
    }

    #[inline]
    fn pop(&self, slab: &Slab) -> Option<u32> {
        if self.count.get() == 0 {
            self.fill(slab);
        }
        let count = self.count.get().checked_sub(1)?;
        self.count.set(count);
        Some(self.indices.get(count)?.get())
    }

    #[inline]
    fn push(&self, slab: &Slab, index: u32) {
        if self.count.get() >= MAGAZINE_SLOTS {
            self.drain(slab, MAGAZINE_SLOTS / 2);
        }
        let count = self.count.get();
        if let Some(place) = self.indices.get(count) {
            place.set(index);
            self.count.set(count + 1);
        }
    }

    #[cold]
    fn fill(&self, slab: &Slab) {
        let mut taken = [0; MAGAZINE_SLOTS / 2];
        let count = slab.take(&mut taken);
        for (place, index) in self.indices.iter().zip(&taken[..count]) {
            place.set(*index);
        }
        self.count.set(count);
    }

    #[cold]
    fn drain(&self, slab: &Slab, keep: usize) {
        let count = self.count.get();
        if count > keep {
            let mut given = [0; MAGAZINE_SLOTS];
            for (index, place) in given.iter_mut().zip(&self.indices) {
                *index = place.get();
            }
            slab.give(&given[keep..count]);
            self.count.set(keep);
        }
    }

    #[cold]
    fn change_owner(&self, subscriber: u64, slab: &Arc<Slab>) {
        self.give_back();
        self.subscriber.set(subscriber);
        *self.slab.borrow_mut() = Some(Arc::clone(slab));
    }

    fn give_back(&self) {
        if let Some(slab) = self.slab.borrow_mut().take() {
            self.drain(&slab, 0);
        }
    }
}

impl Drop for Magazine {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_when_a_thread_ends() {
        let slab = Arc::new(Slab::new());
        let thread = Thread::new();
        let taken: Vec<_> = (0..100)
            .map(|_| thread.take_slot(1, &slab).unwrap())
            .collect();
        let mut distinct = taken.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100);
        for index in taken {
            thread.give_slot(1, &slab, index);
        }
        drop(thread);
        let mut all = [0; 128];
        assert_eq!(slab.take(&mut all), 128);
    }
}
