//! The thread's record of the span it is in: whether there is one, and what was allocated and freed since it
//! was last asked; and, for those who watch threads, [which one](PublishedThread) it is.
//!
//! Who records spans calls [`switch`] whenever the innermost span of the thread changes, and is given what was
//! counted for the one before. A global allocator calls [`expect_alloc`] and [`expect_realloc`] before it allocates, so
//! that nothing is left to do afterwards, where these say so [`add_alloc`] and [`add_realloc`] afterwards, and [`add_dealloc`].
//! Everything happens on one thread, so that nothing is shared, nothing is lost, and what a span did on several
//! threads is summed by whoever has the span.
//!
//! # Guarantees
//! - It can be read and written at any time in the life of a thread: in destructors of thread-locals, inside of
//!   an allocator, and in a signal handler on that thread. It has no destructor, needs no initialization, and
//!   no function here allocates, takes a lock or panics.
//! - Outside of spans an allocation costs a load and a branch.
//!
//! # Limits
//! - A signal handler that reads between two words of an allocation sees one without the other. One that
//!   allocates, which it must not, may lose what was just being counted.
//! - Counts are 64 bits and wrap.
//! - Where a platform has no thread-locals of its own (`std` then keeps them on the heap), an allocator cannot use
//!   this. Linux, macOS and Windows have them.
//!
//! It must not know anything else: neither what a span is nor who counts.
//!
//! # Examples
//! ```
//! use ringlight_context::{add_alloc, switch};
//!
//! assert_eq!(switch(true), None); // A span is entered.
//! add_alloc(16); // The allocator gives 16 bytes.
//! let counts = switch(false).unwrap_or_default(); // The span is left.
//! assert_eq!((counts.alloc_count, counts.alloc_bytes), (1, 16));
//!
//! add_alloc(16); // Nobody is charged for this.
//! assert_eq!(switch(false), None);
//! ```
#![forbid(unsafe_code)]

mod published;
mod sync;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub use published::{
    PublishedAs, PublishedSpan, PublishedThread, SpanWatch, THREADS_MAX, are_spans_watched,
    publish_span, publish_thread, published_here, published_threads, watch_spans, withdraw_thread,
};

/// What was allocated and freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Allocations.
    pub alloc_count: u64,
    /// Bytes allocated, as they were asked for.
    pub alloc_bytes: u64,
    /// Deallocations.
    pub dealloc_count: u64,
    /// Bytes freed, as they were asked for.
    pub dealloc_bytes: u64,
}

impl Counts {
    /// Nothing.
    pub const ZERO: Self = Self {
        alloc_count: 0,
        alloc_bytes: 0,
        dealloc_count: 0,
        dealloc_bytes: 0,
    };

    /// Whether nothing was allocated or freed.
    #[inline]
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.alloc_count | self.dealloc_count == 0
    }

    /// Both together.
    #[inline]
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            alloc_count: self.alloc_count.wrapping_add(other.alloc_count),
            alloc_bytes: self.alloc_bytes.wrapping_add(other.alloc_bytes),
            dealloc_count: self.dealloc_count.wrapping_add(other.dealloc_count),
            dealloc_bytes: self.dealloc_bytes.wrapping_add(other.dealloc_bytes),
        }
    }

    /// Bytes allocated beyond those freed; less than zero where more were freed.
    #[inline]
    #[must_use]
    pub const fn net_bytes(&self) -> i64 {
        self.alloc_bytes.wrapping_sub(self.dealloc_bytes) as i64
    }
}

/// Sizes below this are small: such an allocation may be counted before it is known to succeed.
const SMALL_BYTES: usize = 1 << 16;

/// The record of one thread, in one cache line. Only that thread writes and reads it, and signal handlers on it read
/// it; that is why `Relaxed` suffices throughout, and a load and a store where another would need to add as one.
#[repr(align(64))]
struct Record {
    /// [`SMALL_BYTES`] where the thread is in a span, and zero where it is in none, so that one comparison tells both
    /// whether to count and whether that may be done at once.
    small_bytes: AtomicUsize,
    alloc_count: AtomicU64,
    alloc_bytes: AtomicU64,
    dealloc_count: AtomicU64,
    dealloc_bytes: AtomicU64,
}

thread_local! {
    static RECORD: Record = const {
        // Else it would not be there any more when other locals are dropped.
        assert!(!std::mem::needs_drop::<Record>());
        Record::new()
    };
}

impl Record {
    const fn new() -> Self {
        Self {
            small_bytes: AtomicUsize::new(0),
            alloc_count: AtomicU64::new(0),
            alloc_bytes: AtomicU64::new(0),
            dealloc_count: AtomicU64::new(0),
            dealloc_bytes: AtomicU64::new(0),
        }
    }

    #[inline]
    fn add_alloc(&self, bytes: usize) {
        add(&self.alloc_count, 1);
        add(&self.alloc_bytes, bytes as u64);
    }

    #[inline]
    fn add_dealloc(&self, bytes: usize) {
        add(&self.dealloc_count, 1);
        add(&self.dealloc_bytes, bytes as u64);
    }

    /// Whether there is nothing to take.
    #[inline]
    fn is_zero(&self) -> bool {
        load(&self.alloc_count) | load(&self.dealloc_count) == 0
    }

    fn take(&self) -> Counts {
        let counts = self.counts();
        self.clear();
        counts
    }

    fn counts(&self) -> Counts {
        Counts {
            alloc_count: load(&self.alloc_count),
            alloc_bytes: load(&self.alloc_bytes),
            dealloc_count: load(&self.dealloc_count),
            dealloc_bytes: load(&self.dealloc_bytes),
        }
    }

    fn clear(&self) {
        self.alloc_count.store(0, Ordering::Relaxed);
        self.alloc_bytes.store(0, Ordering::Relaxed);
        self.dealloc_count.store(0, Ordering::Relaxed);
        self.dealloc_bytes.store(0, Ordering::Relaxed);
    }

    /// The limit of small sizes, or zero where the thread is in no span.
    #[inline]
    fn small_bytes(&self) -> usize {
        // Relaxed: see `Record`.
        self.small_bytes.load(Ordering::Relaxed)
    }

    #[inline]
    fn is_in_span(&self) -> bool {
        self.small_bytes() != 0
    }

    #[inline]
    fn set_in_span(&self, is_in_span: bool) {
        let small_bytes = if is_in_span { SMALL_BYTES } else { 0 };
        // Relaxed: see `Record`.
        self.small_bytes.store(small_bytes, Ordering::Relaxed);
    }
}

#[inline]
fn load(counter: &AtomicU64) -> u64 {
    // Relaxed: see `Record`.
    counter.load(Ordering::Relaxed)
}

#[inline]
fn add(counter: &AtomicU64, value: u64) {
    // Relaxed, and not one operation: see `Record`.
    counter.store(load(counter).wrapping_add(value), Ordering::Relaxed);
}

/// Runs `count` with the thread's record.
#[inline]
fn with_record<R>(count: impl FnOnce(&Record) -> R) -> Option<R> {
    // It is never dropped, so that there is no error to see to; and an allocator must not panic.
    RECORD.try_with(count).ok()
}

/// Another span is the thread's innermost one from here on, or none. Gives what was counted since the last call,
/// which belongs to the one before; `None` if that is nothing.
#[inline]
#[must_use = "it is nowhere else any more"]
pub fn switch(is_in_span: bool) -> Option<Counts> {
    let switch = |record: &Record| {
        record.set_in_span(is_in_span);
        (!record.is_zero()).then(|| record.take())
    };
    with_record(switch).flatten()
}

/// What was counted on this thread since the last [`switch`].
#[must_use]
pub fn counted() -> Counts {
    with_record(Record::counts).unwrap_or_default()
}

/// Runs `body`, in which nothing is counted: what those who record spans need for themselves.
#[inline]
pub fn uncounted<R>(body: impl FnOnce() -> R) -> R {
    /// Puts back what was before, also when `body` panics.
    struct Restore(bool);
    impl Drop for Restore {
        #[inline]
        fn drop(&mut self) {
            replace(self.0);
        }
    }
    #[inline]
    fn replace(is_in_span: bool) -> bool {
        let replace = |record: &Record| {
            let before = record.is_in_span();
            record.set_in_span(is_in_span);
            before
        };
        with_record(replace).unwrap_or_default()
    }
    let _restore = Restore(replace(false));
    body()
}

/// Runs `count` with the thread's record if the thread is in a span.
#[inline]
fn if_in_span(count: impl FnOnce(&Record)) {
    let _ = with_record(|record| {
        if record.is_in_span() {
            count(record);
        }
    });
}

/// Counts an allocation of less than 64 KiB that is about to be made, if the thread is in a span. True: that is all.
/// False: it is larger, so that a failure would count for much, and is for [`add_alloc`] to count once it has been made.
#[inline]
#[must_use]
pub fn expect_alloc(bytes: usize) -> bool {
    let expect = |record: &Record| {
        let small_bytes = record.small_bytes();
        if bytes < small_bytes {
            record.add_alloc(bytes);
            return true;
        }
        small_bytes == 0
    };
    with_record(expect).unwrap_or(true)
}

/// The same for memory that is about to be given back for other memory: a deallocation of the old size and an
/// allocation of the new one. Where it is false, that is for [`add_realloc`].
#[inline]
#[must_use]
pub fn expect_realloc(bytes_before: usize, bytes_after: usize) -> bool {
    let expect = |record: &Record| {
        let small_bytes = record.small_bytes();
        if bytes_before.max(bytes_after) < small_bytes {
            record.add_dealloc(bytes_before);
            record.add_alloc(bytes_after);
            return true;
        }
        small_bytes == 0
    };
    with_record(expect).unwrap_or(true)
}

/// Counts an allocation, if the thread is in a span.
#[inline]
pub fn add_alloc(bytes: usize) {
    if_in_span(|record| record.add_alloc(bytes));
}

/// Counts a deallocation, if the thread is in a span.
#[inline]
pub fn add_dealloc(bytes: usize) {
    if_in_span(|record| record.add_dealloc(bytes));
}

/// Counts memory that was given back for other memory, if the thread is in a span: a deallocation of the old
/// size and an allocation of the new one.
#[inline]
pub fn add_realloc(bytes_before: usize, bytes_after: usize) {
    if_in_span(|record| {
        record.add_dealloc(bytes_before);
        record.add_alloc(bytes_after);
    });
}

#[cfg(all(test, not(ringlight_loom)))]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        alloc_count: 2,
        alloc_bytes: 40,
        dealloc_count: 2,
        dealloc_bytes: 9,
    };

    fn count() {
        add_alloc(10);
        add_dealloc(1);
        add_realloc(8, 30);
    }

    #[test]
    fn what_is_counted_is_of_the_span_the_thread_is_in() {
        count();
        assert_eq!(switch(true), None);
        count();
        assert_eq!(counted(), COUNTS);
        assert_eq!(switch(true), Some(COUNTS));
        assert_eq!(counted(), Counts::ZERO);
        count();
        count();
        assert_eq!(switch(false), Some(COUNTS.plus(COUNTS)));
        count();
        assert_eq!(switch(false), None);
    }

    #[test]
    fn what_is_not_to_be_counted_is_not() {
        let _ = switch(true);
        uncounted(|| {
            count();
            uncounted(count);
            count();
        });
        assert_eq!(counted(), Counts::ZERO);
        let caught = std::panic::catch_unwind(|| {
            uncounted(|| std::panic::resume_unwind(Box::new(())));
        });
        assert!(caught.is_err());
        count();
        assert_eq!(switch(false), Some(COUNTS));
        uncounted(|| ());
        count();
        assert_eq!(switch(false), None);
    }

    #[test]
    fn what_is_large_is_counted_once_it_is_there() {
        const LARGE: usize = SMALL_BYTES;
        const SMALL: usize = SMALL_BYTES - 1;
        let ways = [
            expect_alloc as fn(usize) -> bool,
            |bytes| expect_realloc(bytes, 0),
            |bytes| expect_realloc(0, bytes),
        ];
        for (way, reallocates) in ways.into_iter().zip([0, 1, 1]) {
            assert!(way(LARGE) && way(SMALL), "outside of spans");
            let _ = switch(true);
            assert!(!way(LARGE));
            assert_eq!(counted(), Counts::ZERO);
            assert!(way(SMALL));
            let counts = switch(false).unwrap();
            assert_eq!((counts.alloc_count, counts.dealloc_count), (1, reallocates));
            assert_eq!(counts.alloc_bytes + counts.dealloc_bytes, SMALL as u64);
        }
        let _ = switch(true);
        add_alloc(LARGE);
        add_realloc(LARGE, 1);
        add_dealloc(LARGE);
        let counts = switch(false).unwrap();
        assert_eq!((counts.alloc_count, counts.dealloc_count), (2, 2));
        assert_eq!(counts.dealloc_bytes, 2 * LARGE as u64);
        assert_eq!(counts.net_bytes(), 1 - LARGE as i64);
    }

    #[test]
    fn a_thread_counts_for_itself() {
        let _ = switch(true);
        std::thread::spawn(count).join().unwrap();
        assert_eq!(switch(false), None);
    }

    #[test]
    fn net_bytes_may_be_less_than_none() {
        assert_eq!(COUNTS.net_bytes(), 31);
        let freed = Counts {
            dealloc_bytes: 50,
            ..COUNTS
        };
        assert_eq!(freed.net_bytes(), -10);
    }

    #[test]
    fn a_free_or_an_allocation_of_no_bytes_is_something() {
        let one = |count: fn(usize)| {
            let _ = switch(true);
            count(0);
            switch(false)
        };
        assert!(one(add_alloc).is_some() && one(add_dealloc).is_some());
    }
}
