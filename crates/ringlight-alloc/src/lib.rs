//! A global allocator that counts what is allocated and freed in the span the thread is in.
//!
//! # Guarantees
//! - Every call goes to the inner allocator as it is: `realloc` and `alloc_zeroed` are its own, never made of
//!   others.
//! - What is counted is counted on the calling thread, for the span that it is in: memory that is freed is
//!   charged to the span that frees it, on whichever thread it was allocated.
//! - It allocates nothing itself, takes no lock, shares nothing between threads, and works in destructors of
//!   thread-locals. Outside of spans a call costs a load and a branch more than the inner allocator.
//! - A call for 64 KiB or more that fails is not counted. A smaller one is, since it is counted before it is made: nothing has
//!   then to be kept over it, and few programs live on that are refused 64 KiB.
//! - One to `realloc` is a deallocation of the old size and an allocation of the new one, wherever the memory then is.
//!
//! Sizes are those that were asked for; what the inner allocator takes for them is more.
//!
//! It must not know anything else of Ringlight than the record of the thread.
//!
//! The one use of `unsafe` is the implementation of [`GlobalAlloc`], an unsafe trait.
//!
//! # Examples
//! Around the system's allocator, and around another:
//! ```
//! use ringlight_alloc::RinglightAllocator;
//!
//! #[global_allocator]
//! static ALLOCATOR: RinglightAllocator = RinglightAllocator::system();
//!
//! static ANOTHER: RinglightAllocator<mimalloc::MiMalloc> =
//!     RinglightAllocator::new(mimalloc::MiMalloc);
//! # drop(vec![1]);
//! # let _ = &ANOTHER;
//! ```
#![deny(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

use ringlight_context::{add_alloc, add_dealloc, add_realloc, expect_alloc, expect_realloc};

/// Counts what the allocator `A` gives and takes back; see the [crate](self).
#[derive(Debug, Clone, Copy, Default)]
pub struct RinglightAllocator<A = System> {
    inner: A,
}

impl RinglightAllocator {
    /// Around the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        Self::new(System)
    }
}

impl<A> RinglightAllocator<A> {
    /// Around this allocator.
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }
}

#[expect(
    unsafe_code,
    reason = "`GlobalAlloc` is an unsafe trait with unsafe functions"
)]
// SAFETY: memory is given and taken back by the inner allocator alone, which keeps the contract; what is done
// besides does not unwind and does not allocate.
unsafe impl<A: GlobalAlloc> GlobalAlloc for RinglightAllocator<A> {
    // What can be is counted before the call to the inner allocator, so that this ends with a jump there.

    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !expect_alloc(layout.size()) {
            // SAFETY: the caller keeps the contract of the same function.
            return counted(layout.size(), move || unsafe { self.inner.alloc(layout) });
        }
        // SAFETY: as above.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !expect_alloc(layout.size()) {
            // SAFETY: the caller keeps the contract of the same function.
            return counted(layout.size(), move || unsafe {
                self.inner.alloc_zeroed(layout)
            });
        }
        // SAFETY: as above.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        add_dealloc(layout.size());
        // SAFETY: the caller keeps the contract of the same function; the memory is the inner allocator's.
        unsafe { self.inner.dealloc(memory, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !expect_realloc(layout.size(), new_size) {
            // SAFETY: the caller keeps the contract of the same function; the memory is the inner allocator's.
            let realloc = move || unsafe { self.inner.realloc(memory, layout, new_size) };
            return recounted(layout.size(), new_size, realloc);
        }
        // SAFETY: as above.
        unsafe { self.inner.realloc(memory, layout, new_size) }
    }
}

/// An allocation that is counted if it succeeds.
#[cold]
#[inline(never)]
fn counted(bytes: usize, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
    let memory = allocate();
    if !memory.is_null() {
        add_alloc(bytes);
    }
    memory
}

/// A reallocation that is counted if it succeeds.
#[cold]
#[inline(never)]
fn recounted(
    bytes_before: usize,
    bytes_after: usize,
    reallocate: impl FnOnce() -> *mut u8,
) -> *mut u8 {
    let memory = reallocate();
    if !memory.is_null() {
        add_realloc(bytes_before, bytes_after);
    }
    memory
}

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
