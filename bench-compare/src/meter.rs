//! The time stamp counter, and a counting allocator.
#![expect(
    unsafe_code,
    reason = "an allocator is unsafe to implement, the counter to read"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
};

/// The time stamp counter, or 0 on a machine without one.
#[inline]
pub(crate) fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and it only reads a counter.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// The system's allocator (glibc's, where that is the C library), which counts when asked to.
pub(crate) struct CountingAllocator;

static COUNTING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ALLOCATIONS_COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Allocations and reallocations of the calling thread while `work` runs.
pub(crate) fn count_allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS_COUNT.get();
    // Relaxed: the count is read by the thread that is counted.
    COUNTING.store(true, Ordering::Relaxed);
    work();
    COUNTING.store(false, Ordering::Relaxed);
    ALLOCATIONS_COUNT.get() - before
}

fn count() {
    if COUNTING.load(Ordering::Relaxed) {
        // A thread on its way out is none that is measured.
        let _ = ALLOCATIONS_COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: all requests are passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}
