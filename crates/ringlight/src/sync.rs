//! Locks that a panic does not close, and the atomics of the slots.
//!
//! Built normally they are the standard library's; under `cfg(ringlight_loom)` those of the slots are
//! loom's, and the same code of the slots runs inside the models beside it.

use std::sync::{LockResult, PoisonError};

#[cfg(not(ringlight_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

#[cfg(ringlight_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// What a lock guards, though a thread panicked while it held it. All data of this crate is whole
/// between any two statements under a lock, and telemetry must not take the application down.
pub(crate) fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
