//! What a thread keeps for itself: the spans it is in, free slots, its id generator and room to
//! build log records in.
//!
//! Everything is reached through shared references and cells, so that code a span or event calls
//! back into (a field's `Debug`, say) may make spans and events of its own. Nothing is held across
//! such code.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use ringlight_collector::record::{WORD_BYTES, copy_words};

use crate::uncounted::uncounted;

use super::ids::IdGenerator;
use super::lease::REFERENCES_MAX;
use super::magazine::Magazine;
use super::slab::{Slab, SlotId, SpanContext};
use super::stack::Stack;

/// Words a buffer keeps room for at most when it has been used.
const WORDS_KEPT: usize = 4096;

thread_local! {
    // Nothing in it is dropped, so it is there as long as the thread runs, whatever order the
    // thread's other locals are dropped in, and reaching it is no more than an addition.
    static THREAD: Thread = const {
        assert!(!std::mem::needs_drop::<Thread>());
        Thread::new()
    };
    /// Dropped when the thread ends, if it was touched before.
    static END: End = const { End };
}

/// Runs `body` with the thread's state.
#[inline]
#[expect(
    clippy::expect_used,
    reason = "a local that is not dropped is there as long as its thread"
)]
pub(super) fn with_thread<R>(body: impl FnOnce(&Thread) -> R) -> R {
    // Unlike `with`, this is inlined everywhere.
    THREAD.try_with(body).expect("it is never dropped")
}

/// Has this thread, which does not, publish which span it is in, if there is room for it.
#[cfg(feature = "profiling")]
#[cold]
pub(crate) fn publish() {
    with_thread(|thread| {
        if thread.may_keep() {
            uncounted(|| {
                let number = ringlight_collector::current_thread_number;
                ringlight_context::publish_thread(number, crate::runtime::role)
            });
            thread.entered.publish_last();
        }
    });
}

/// Empties the thread's state when the thread ends.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        THREAD.with(Thread::end);
    }
}

/// A span of another thread or process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RemoteParent {
    pub(super) context: SpanContext,
    /// Whether it is recorded there.
    pub(super) is_sampled: bool,
}

/// Whether what a thread keeps is freed when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Not yet.
    New,
    /// Yes.
    Watched,
    /// It is ending: nothing can be kept any more.
    Ending,
}

/// Things that are seen to seldom, and cost the records in between one look at one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notes(u8);

impl Notes {
    /// The callsite of the next record may not have been registered yet: it was asked about one by one,
    /// which happens while another thread is still registering it.
    pub(super) const UNSURE: Self = Self(1);
    /// The next span is to be measured.
    pub(super) const MEASURE_SPAN: Self = Self(2);
    /// The next log record is to be measured.
    pub(super) const MEASURE_LOG: Self = Self(4);
    /// A span is entered and left to measure what that costs, and for no other reason.
    pub(super) const REHEARSAL: Self = Self(8);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A measurement for every so many looks at the ring.
const LOOKS_PER_MEASUREMENT: u8 = 2;
/// Measurements that do not count before the one that does: code that runs as seldom as this does is
/// not in the processor's caches, and getting it there is no part of what recording costs.
const TRIALS: u8 = 2;

/// The state of one thread.
///
/// What lies on the heap is freed by [`end`](Self::end) and not when the state is dropped. It may be
/// put there only if [`may_keep`](Self::may_keep) says so.
pub(super) struct Thread {
    pub(super) ids: IdGenerator,
    pub(super) entered: Stack,
    magazine: Magazine,
    scratch: ManuallyDrop<Cell<Vec<u64>>>,
    /// Room for the bytes of a record that is read again.
    bytes: ManuallyDrop<Cell<Vec<u8>>>,
    /// What a span that would be a root is a child of, while work from elsewhere is taken over.
    remote_parent: Cell<Option<RemoteParent>>,
    /// What is to be seen to with the next record: bits of [`Notes`].
    notes: Cell<u8>,
    /// Looks at the ring since the last one with which measuring began.
    looks: Cell<u8>,
    /// Measurements that do not count before the one that does, of spans and of log records.
    trials: [Cell<u8>; 2],
    /// What the last panic said, for the spans that are marked. Of bounded length.
    panic: ManuallyDrop<Cell<Option<String>>>,
    /// Whether a panic is expected and caught.
    quiet: Cell<bool>,
    life: Cell<Life>,
}

impl Thread {
    const fn new() -> Self {
        Self {
            ids: IdGenerator::unseeded(),
            entered: Stack::new(),
            magazine: Magazine::new(),
            scratch: ManuallyDrop::new(Cell::new(Vec::new())),
            bytes: ManuallyDrop::new(Cell::new(Vec::new())),
            remote_parent: Cell::new(None),
            notes: Cell::new(0),
            looks: Cell::new(0),
            trials: [const { Cell::new(0) }; 2],
            panic: ManuallyDrop::new(Cell::new(None)),
            quiet: Cell::new(false),
            life: Cell::new(Life::New),
        }
    }

    /// Whether what is put on the heap now is freed when the thread ends.
    pub(super) fn may_keep(&self) -> bool {
        if self.life.get() == Life::New {
            let is_watched = END.try_with(|_| ()).is_ok();
            self.life.set(if is_watched {
                Life::Watched
            } else {
                Life::Ending
            });
        }
        self.life.get() == Life::Watched
    }

    /// Frees what lies on the heap. The thread's other locals may still record as they are dropped.
    fn end(&self) {
        self.life.set(Life::Ending);
        self.magazine.give_back();
        self.entered.give_up_far();
        #[cfg(feature = "profiling")]
        ringlight_context::withdraw_thread();
        drop(self.scratch.take());
        drop(self.bytes.take());
        drop(self.panic.take());
    }

    pub(super) fn set_panic(&self, text: String) {
        if self.may_keep() {
            self.panic.set(Some(text));
        }
    }

    pub(super) fn take_panic(&self) -> Option<String> {
        self.panic.take()
    }

    /// Says whether panics are expected and caught from here on; gives what held before.
    #[cfg(feature = "otel")]
    pub(super) fn set_quiet(&self, quiet: bool) -> bool {
        self.quiet.replace(quiet)
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    /// Notes something for the next record.
    pub(super) fn note(&self, notes: Notes) {
        self.notes.set(self.notes.get() | notes.0);
    }

    /// Every other time, the first time at once, notes that the next span and the next log record are to
    /// be measured, and those after them.
    pub(super) fn note_look(&self) {
        let looks = self.looks.get();
        self.looks.set((looks + 1) % LOOKS_PER_MEASUREMENT);
        if looks == 0 {
            self.trials.iter().for_each(|left| left.set(TRIALS));
            self.note(Notes::MEASURE_SPAN.and(Notes::MEASURE_LOG));
        }
    }

    /// Whether what is about to be measured, spans or log records, is on trial. The one after it is to be
    /// measured, too, then: to be noted when it is over.
    pub(super) fn is_trial(&self, measured: Notes) -> bool {
        let left = &self.trials[usize::from(measured == Notes::MEASURE_LOG)];
        let is_trial = left.get() > 0;
        left.set(left.get().saturating_sub(1));
        is_trial
    }

    /// Whether any of these has been noted.
    #[inline]
    pub(super) fn has_noted(&self, notes: Notes) -> bool {
        self.notes.get() & notes.0 != 0
    }

    /// Whether a span is entered and left only to be measured.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(super) fn is_rehearsing(&self) -> bool {
        self.has_noted(Notes::REHEARSAL)
    }

    /// The same, once.
    #[inline]
    pub(super) fn take_note(&self, note: Notes) -> bool {
        let has_noted = self.has_noted(note);
        if has_noted {
            self.notes.set(self.notes.get() & !note.0);
        }
        has_noted
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
        if self.magazine.is_of(subscriber)
            && let Some(index) = self.magazine.pop()
        {
            return Some(index);
        }
        self.fetch_slot(subscriber, slab)
    }

    #[cold]
    fn fetch_slot(&self, subscriber: u64, slab: &Arc<Slab>) -> Option<u32> {
        uncounted(|| {
            if self.may_keep_for(subscriber, slab) {
                return self.magazine.fill_and_pop(slab);
            }
            let mut index = [0];
            (slab.take(&mut index) == 1).then_some(index[0])
        })
    }

    /// The same for what is of this subscriber, for which the magazine is then.
    fn may_keep_for(&self, subscriber: u64, slab: &Arc<Slab>) -> bool {
        let may_keep = self.may_keep();
        if may_keep && !self.magazine.is_of(subscriber) {
            self.magazine.change_subscriber(subscriber, slab);
        }
        may_keep
    }

    /// Takes a reference that is at hand to a span that is not recorded; false if there is none.
    #[inline]
    pub(super) fn take_reference(&self, subscriber: u64, host: SlotId) -> bool {
        let lease = self.magazine.lease(subscriber);
        lease.is_some_and(|lease| lease.take(host))
    }

    /// How many references to take where none is at hand, and one is needed. A thread that is in no
    /// span is not about to need more.
    pub(super) fn references_to_take(&self, subscriber: u64, slab: &Arc<Slab>) -> u32 {
        if !self.entered.is_empty() && self.may_keep_for(subscriber, slab) {
            REFERENCES_MAX
        } else {
            1
        }
    }

    /// Keeps references, if there are any, of those that were [to be taken](Self::references_to_take);
    /// gives the ones it had before.
    pub(super) fn keep_references(&self, host: SlotId, count: u32) -> (SlotId, u32) {
        if count == 0 {
            return (host, 0);
        }
        self.magazine.replace_lease(host, count)
    }

    /// Puts a guest's reference where it is at hand for the next one; false if that is not to be, as
    /// where the thread is in no span.
    #[inline]
    pub(super) fn put_reference(&self, subscriber: u64, host: SlotId) -> bool {
        let lease = self.magazine.lease(subscriber);
        lease.is_some_and(|lease| !self.entered.is_empty() && lease.put(host))
    }

    /// Takes all references that are at hand to a span that is not recorded; how many.
    pub(super) fn take_references(&self, subscriber: u64, host: SlotId) -> u32 {
        let lease = self.magazine.lease(subscriber);
        lease.map_or(0, |lease| lease.take_all(host))
    }

    /// Gives a slot back. Any thread may: slots do not belong to the one that opened the span.
    #[inline]
    pub(super) fn give_slot(&self, subscriber: u64, slab: &Slab, index: u32) {
        if self.magazine.is_of(subscriber) {
            self.magazine.push(slab, index);
        } else {
            uncounted(|| slab.give(&[index]));
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
        if buffer.capacity() <= WORDS_KEPT && self.may_keep() {
            buffer.clear();
            self.scratch.set(buffer);
        }
    }

    /// Runs `read` with the bytes of a record.
    pub(super) fn with_bytes<R>(&self, record: &[u64], read: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = self.bytes.take();
        bytes.resize(record.len() * WORD_BYTES, 0);
        copy_words(record.iter().copied(), &mut bytes);
        let given = read(&bytes);
        if bytes.capacity() <= WORDS_KEPT * WORD_BYTES && self.may_keep() {
            self.bytes.set(bytes);
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use ringlight_clock::Clock;

    use super::*;

    #[test]
    fn slots_come_back_when_a_thread_ends() {
        let slab = Arc::new(Slab::new(Clock::monotonic()));
        let mut late = Vec::new();
        std::thread::scope(|scope| {
            let used = scope.spawn(|| {
                with_thread(|thread| {
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
                    thread.end();
                    // As a local that is dropped later would.
                    let index = thread.take_slot(1, &slab).unwrap();
                    thread.give_slot(1, &slab, index);
                    thread.give_scratch(vec![1]);
                    assert_eq!(thread.take_scratch().capacity(), 0);
                    index
                })
            });
            late.push(used.join().unwrap());
        });
        assert_eq!(late.len(), 1);
        // All of two chunks but the one that is never handed out.
        let mut all = [0; 128];
        assert_eq!(slab.take(&mut all), 127);
        assert_eq!(Arc::strong_count(&slab), 1);
    }
}
