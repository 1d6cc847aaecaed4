//! The synchronization primitives of the crate, in one place so that a model checker can stand in.
//!
//! Built normally these are the standard library's; under `cfg(ringlight_loom)` they are loom's,
//! and the same ring, channel and wake-up code runs inside the models of `tests/loom.rs`.

#[cfg(not(ringlight_loom))]
pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(ringlight_loom)]
pub mod explored;

#[cfg(ringlight_loom)]
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic::Ordering};

#[cfg(ringlight_loom)]
pub(crate) use explored::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};

/// Locks a mutex whose data stays consistent at every point where a holder could panic.
///
/// Telemetry must not take the application down, so a poisoned lock is entered as it is: each
/// caller keeps its protected state valid between any two statements that may unwind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Keeps a value on cache lines of its own.
///
/// 128 bytes, because x86-64 prefetches lines in pairs and some AArch64 lines are that long.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);

impl<T> std::ops::Deref for CachePadded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
