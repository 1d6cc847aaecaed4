//! Which span threads are in, where others can see it: a watchdog on a thread of its own, and a signal handler on
//! the thread itself.
//!
//! A thread that takes a [place](publish_thread) writes there, whenever its innermost span changes, what names that
//! span to whoever records it, and counts the changes: who looks twice and finds the same count knows that the thread
//! has been in that span all the time, and no clock was read for it.
//!
//! # Guarantees
//! - [`publish_span`] is two loads, a branch and three plain stores; it takes no lock and does not
//!   allocate.
//! - [`published_here`] and [`PublishedThread::span`] may be called in a signal handler.
//!
//! # Limits
//! - [`THREADS_MAX`] threads have a place at a time; where others are is not seen.
//! - Who reads while a thread writes may see parts of two spans: of the one that is counted, and of the next, which is being
//!   written. The count tells: it is another one as soon as that is done, and is so already where more than one was written.
//!   A handler on the thread itself, which interrupts the writing, sees what it sees: who records must know what
//!   it is asked about, or say that it does not.

#[cfg(all(test, ringlight_loom))]
mod model;

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Threads that have a place at a time. Places take 128 bytes each, of memory that is there when it is first written.
pub const THREADS_MAX: usize = 1024;

/// The innermost span of a thread at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishedSpan {
    /// How often it has changed. Starts anywhere, and wraps.
    pub changes: u64,
    /// Who records the span, by a number of theirs.
    pub recorder: u64,
    /// What names the span to them; zero for no span.
    pub span: u64,
}

/// The place of a thread. Only that thread writes to it while it has it, but for [`note`](Self::note).
#[derive(Debug)]
#[cfg_attr(all(test, ringlight_loom), derive(Default))]
#[repr(align(128))]
pub struct PublishedThread {
    changes: AtomicU64,
    recorder: AtomicU64,
    span: AtomicU64,
    note: AtomicU64,
    is_taken: AtomicBool,
    /// With its number. Not looked at when spans change.
    thread: Mutex<Option<PublishedAs>>,
}

/// Which thread it is that has a place.
#[derive(Debug, Clone)]
pub struct PublishedAs {
    /// Its number, as it was [given](publish_thread).
    pub number: u64,
    /// The thread.
    pub thread: Thread,
}

#[cfg(not(all(test, ringlight_loom)))]
static PLACES: Places<THREADS_MAX> = Places::new();
#[cfg(all(test, ringlight_loom))]
static PLACES: std::sync::LazyLock<Places<THREADS_MAX>> = std::sync::LazyLock::new(Places::new);

/// How many want to see. Relaxed: who reads it late begins to publish a little later.
static WATCHES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// All places.
#[derive(Debug)]
struct Places<const COUNT: usize> {
    places: [PublishedThread; COUNT],
    /// Places that were ever taken are before this one. Relaxed, as a place says itself whether it is taken.
    used: AtomicUsize,
    /// How many are taken, so that a thread for which there is none does not look at each of them whenever it enters a span.
    /// Relaxed, and changed after the place itself: who reads it in between looks in vain, or once more later.
    taken_count: AtomicUsize,
}

thread_local! {
    /// The thread's place, if it has one.
    static HERE: Cell<Option<&'static PublishedThread>> = const { Cell::new(None) };
}

impl<const COUNT: usize> Places<COUNT> {
    #[cfg(not(all(test, ringlight_loom)))]
    const fn new() -> Self {
        Self {
            places: [const { PublishedThread::new() }; COUNT],
            used: AtomicUsize::new(0),
            taken_count: AtomicUsize::new(0),
        }
    }

    #[cfg(all(test, ringlight_loom))]
    fn new() -> Self {
        Self {
            places: std::array::from_fn(|_| PublishedThread::default()),
            used: AtomicUsize::new(0),
            taken_count: AtomicUsize::new(0),
        }
    }

    /// Takes a place for the calling thread, if there is one.
    fn publish(
        &self,
        number: impl FnOnce() -> u64,
        note: impl FnOnce() -> u64,
    ) -> Option<&PublishedThread> {
        let place = self.take()?;
        place.set_note(note());
        place.set(0, 0);
        *place.lock() = Some(PublishedAs {
            number: number(),
            thread: std::thread::current(),
        });
        Some(place)
    }

    /// Gives back the place of the calling thread.
    fn withdraw(&self, place: &PublishedThread) {
        place.set(0, 0);
        place.set_note(0);
        *place.lock() = None;
        self.give_back(place);
    }

    /// Takes a place, if there is one.
    fn take(&self) -> Option<&PublishedThread> {
        if self.taken_count.load(Ordering::Relaxed) >= COUNT {
            return None;
        }
        let mut places = self.places.iter().enumerate();
        let (index, place) = places.find(|(_, place)| {
            // Relaxed, first, so that those that are taken are left alone. Acquire pairs with the `Release` in `give_back`: the
            // place is as it was left. Relaxed where it fails: nothing is read of a place that another thread has.
            !place.is_taken.load(Ordering::Relaxed)
                && place
                    .is_taken
                    .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        })?;
        self.taken_count.fetch_add(1, Ordering::Relaxed);
        self.used.fetch_max(index + 1, Ordering::Relaxed);
        Some(place)
    }

    /// Gives one back that was taken.
    fn give_back(&self, place: &PublishedThread) {
        // Pairs with the `Acquire` in `take`.
        place.is_taken.store(false, Ordering::Release);
        self.taken_count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Those that are taken, each with its number.
    fn taken(&self) -> impl Iterator<Item = (usize, &PublishedThread)> {
        let used = self.used.load(Ordering::Relaxed);
        let places = self.places.iter().take(used).enumerate();
        // Relaxed: a place that is given up or taken at the moment may be seen either way.
        places.filter(|(_, place)| place.is_taken.load(Ordering::Relaxed))
    }
}

impl PublishedThread {
    #[cfg(not(all(test, ringlight_loom)))]
    const fn new() -> Self {
        Self {
            changes: AtomicU64::new(0),
            recorder: AtomicU64::new(0),
            span: AtomicU64::new(0),
            note: AtomicU64::new(0),
            is_taken: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    #[inline]
    fn set(&self, recorder: u64, span: u64) {
        // Both pair with an `Acquire` in `span`: who sees one of them sees the count before.
        self.recorder.store(recorder, Ordering::Release);
        self.span.store(span, Ordering::Release);
        // Relaxed, and not one operation: nobody else writes.
        let changes = self.changes.load(Ordering::Relaxed).wrapping_add(1);
        // Pairs with the `Acquire` in `span`: who sees this count sees the span, or a later one.
        self.changes.store(changes, Ordering::Release);
    }

    /// The innermost span of the thread; of no meaning while nobody has the place.
    #[must_use]
    pub fn span(&self) -> PublishedSpan {
        // Acquire pairs with the `Release` in `set`.
        let changes = self.changes.load(Ordering::Acquire);
        PublishedSpan {
            changes,
            // Both pair with a `Release` in `set`: if they are not of the next span but of a later one, the count is another
            // one the next time.
            recorder: self.recorder.load(Ordering::Acquire),
            span: self.span.load(Ordering::Acquire),
        }
    }

    /// A word about the thread, of whatever meaning those have given it who write it.
    #[must_use]
    pub fn note(&self) -> u64 {
        // Relaxed: nothing is read by it.
        self.note.load(Ordering::Relaxed)
    }

    /// Changes that word. Any thread may, and the last one holds.
    pub fn set_note(&self, note: u64) {
        self.note.store(note, Ordering::Relaxed);
    }

    /// The thread; `None` if it has given up its place. Takes a lock: nothing for signal handlers.
    #[must_use]
    pub fn thread(&self) -> Option<PublishedAs> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<PublishedAs>> {
        // Nothing under the lock can leave it half changed.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody wants to see which spans threads are in, for as long as this lives.
#[derive(Debug)]
pub struct SpanWatch(());

/// Has threads publish from the next span on that they enter.
#[must_use = "nobody publishes any more when it is dropped"]
pub fn watch_spans() -> SpanWatch {
    WATCHES.fetch_add(1, Ordering::Relaxed);
    SpanWatch(())
}

impl Drop for SpanWatch {
    fn drop(&mut self) {
        WATCHES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether anybody wants to see.
#[inline]
#[must_use]
pub fn are_spans_watched() -> bool {
    WATCHES.load(Ordering::Relaxed) != 0
}

/// Takes a place for the calling thread, with the number that those who record know it by, and a note; gives the one it has
/// if it has one, and nothing where all are taken. Whoever calls this sees to it that the thread
/// [gives it back](withdraw_thread) before it ends.
///
/// Takes a lock, and may allocate. Neither is asked for where there is no place.
pub fn publish_thread(
    number: impl FnOnce() -> u64,
    note: impl FnOnce() -> u64,
) -> Option<&'static PublishedThread> {
    if let Some(place) = published_here() {
        return Some(place);
    }
    let place = PLACES.publish(number, note)?;
    let _ = HERE.try_with(|here| here.set(Some(place)));
    Some(place)
}

/// Gives back the place of the calling thread, if it has one.
pub fn withdraw_thread() {
    if let Some(place) = HERE.try_with(Cell::take).ok().flatten() {
        PLACES.withdraw(place);
    }
}

/// Another span is the innermost one of the calling thread from here on; zero for none. Whether the thread has a
/// place.
#[inline]
pub fn publish_span(recorder: u64, span: u64) -> bool {
    let here = published_here();
    if let Some(place) = here {
        place.set(recorder, span);
    }
    here.is_some()
}

/// The place of the calling thread, if it has one.
#[inline]
#[must_use]
pub fn published_here() -> Option<&'static PublishedThread> {
    HERE.try_with(Cell::get).ok().flatten()
}

/// The places that are taken, each with its number, below [`THREADS_MAX`].
pub fn published_threads() -> impl Iterator<Item = (usize, &'static PublishedThread)> {
    PLACES.taken()
}

#[cfg(all(test, not(ringlight_loom)))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// The span of the thread that has this name.
    fn span_of(name: &str) -> Option<(PublishedSpan, u64)> {
        published_threads().find_map(|(_, place)| {
            let PublishedAs { number, thread } = place.thread()?;
            assert_eq!(number, 4);
            (thread.name() == Some(name)).then(|| (place.span(), place.note()))
        })
    }

    #[test]
    fn others_see_which_span_a_thread_is_in() {
        let (step, steps) = channel::<()>();
        let (done, dones) = channel();
        let thread = std::thread::Builder::new().name("published".to_owned());
        let thread = thread.spawn(move || {
            assert!(!publish_span(1, 2) && published_here().is_none());
            assert!(publish_thread(|| 4, || 9).is_some());
            for (recorder, span) in [(1, 7), (1, 7), (0, 0)] {
                assert!(publish_span(recorder, span));
                done.send(()).unwrap();
                steps.recv().unwrap();
            }
            withdraw_thread();
            assert!(!publish_span(1, 2));
            done.send(()).unwrap();
            steps.recv().unwrap();
        });
        let thread = thread.unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            dones.recv().unwrap();
            let (span, note) = span_of("published").unwrap();
            assert_eq!(note, 9);
            seen.push(span);
            step.send(()).unwrap();
        }
        assert_eq!((seen[0].recorder, seen[0].span), (1, 7));
        // The same span, entered again.
        assert_eq!((seen[1].recorder, seen[1].span), (1, 7));
        assert_ne!(seen[0].changes, seen[1].changes);
        assert_eq!((seen[2].recorder, seen[2].span), (0, 0));
        dones.recv().unwrap();
        assert_eq!(span_of("published"), None);
        step.send(()).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_place_is_taken_once_and_used_again() {
        let places = || {
            let taken = || {
                let place = publish_thread(|| 1, || 0).unwrap();
                assert!(std::ptr::eq(place, publish_thread(|| 2, || 1).unwrap()));
                assert_eq!(place.note(), 0);
                withdraw_thread();
            };
            std::thread::spawn(taken).join().unwrap();
        };
        for _ in 0..2 * THREADS_MAX {
            places();
        }
    }

    #[test]
    fn where_all_places_are_taken_none_is_looked_at() {
        let places = Places::<2>::new();
        let [first, second] = [(); 2].map(|()| places.take().unwrap());
        assert!(!std::ptr::eq(first, second) && places.taken().count() == 2);
        // Somebody who looked would find this one.
        first.is_taken.store(false, Ordering::Relaxed);
        assert!(places.take().is_none());
        first.is_taken.store(true, Ordering::Relaxed);
        places.give_back(first);
        assert!(std::ptr::eq(places.take().unwrap(), first));
        assert!(places.take().is_none());
    }

    #[test]
    fn spans_are_watched_as_long_as_somebody_watches() {
        let (one, other) = (watch_spans(), watch_spans());
        drop(one);
        assert!(are_spans_watched());
        drop(other);
        assert!(!are_spans_watched());
    }
}
