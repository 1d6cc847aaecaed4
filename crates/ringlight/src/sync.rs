//! Locks that a panic does not close, and what the slots of open spans are made of.
//!
//! Built normally that is the standard library's; in the tests under `cfg(ringlight_loom)` it is loom's,
//! and the same code of the slots runs inside the models beside it.

use std::sync::{LockResult, PoisonError};

#[cfg(not(all(test, ringlight_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

#[cfg(all(test, ringlight_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::Ordering};
#[cfg(all(test, ringlight_loom))]
pub(crate) use ringlight_ring::explored::AtomicU64;

/// What a lock guards, though a thread panicked while it held it. All data of this crate is whole
/// between any two statements under a lock, and telemetry must not take the application down.
pub(crate) fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
