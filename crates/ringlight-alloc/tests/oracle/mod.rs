//! What the tests compare with: an allocator that notes, a thread, which functions are called with which sizes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Calls that gave or took memory, and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Calls {
    pub(crate) alloc: u64,
    pub(crate) alloc_zeroed: u64,
    pub(crate) realloc: u64,
    pub(crate) dealloc: u64,
    pub(crate) failed: u64,
    pub(crate) bytes_given: u64,
    pub(crate) bytes_taken: u64,
}

impl Calls {
    const NONE: Self = Self {
        alloc: 0,
        alloc_zeroed: 0,
        realloc: 0,
        dealloc: 0,
        failed: 0,
        bytes_given: 0,
        bytes_taken: 0,
    };

    /// Allocations, their bytes, deallocations, their bytes.
    pub(crate) fn counts(self) -> [u64; 4] {
        [
            self.alloc + self.alloc_zeroed + self.realloc,
            self.bytes_given,
            self.dealloc + self.realloc,
            self.bytes_taken,
        ]
    }

    fn since(self, before: Self) -> Self {
        Self {
            alloc: self.alloc - before.alloc,
            alloc_zeroed: self.alloc_zeroed - before.alloc_zeroed,
            realloc: self.realloc - before.realloc,
            dealloc: self.dealloc - before.dealloc,
            failed: self.failed - before.failed,
            bytes_given: self.bytes_given - before.bytes_given,
            bytes_taken: self.bytes_taken - before.bytes_taken,
        }
    }
}

thread_local! {
    static CALLS: Cell<Calls> = const { Cell::new(Calls::NONE) };
}

/// The calls that `body` makes on this thread.
pub(crate) fn calls<R>(body: impl FnOnce() -> R) -> (R, Calls) {
    let before = CALLS.get();
    let result = body();
    (result, CALLS.get().since(before))
}

/// The system's allocator, watched.
#[derive(Debug)]
pub(crate) struct Oracle;

impl Oracle {
    fn note(memory: *mut u8, note: impl FnOnce(&mut Calls)) -> *mut u8 {
        let mut calls = CALLS.get();
        if memory.is_null() {
            calls.failed += 1;
        } else {
            note(&mut calls);
        }
        CALLS.set(calls);
        memory
    }
}

// SAFETY: everything is the system's; what is noted allocates nothing.
unsafe impl GlobalAlloc for Oracle {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same function.
        let memory = unsafe { System.alloc(layout) };
        Self::note(memory, |calls| {
            calls.alloc += 1;
            calls.bytes_given += layout.size() as u64;
        })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same function.
        let memory = unsafe { System.alloc_zeroed(layout) };
        Self::note(memory, |calls| {
            calls.alloc_zeroed += 1;
            calls.bytes_given += layout.size() as u64;
        })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        Self::note(memory, |calls| {
            calls.dealloc += 1;
            calls.bytes_taken += layout.size() as u64;
        });
        // SAFETY: the caller keeps the contract of the same function.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same function.
        let moved = unsafe { System.realloc(memory, layout, new_size) };
        Self::note(moved, |calls| {
            calls.realloc += 1;
            calls.bytes_given += new_size as u64;
            calls.bytes_taken += layout.size() as u64;
        })
    }
}
