//! Locks that a panic does not close, and what lock-free code of this crate is made of.
//!
//! Built normally that is the standard library's; in the tests under `cfg(ringlight_loom)` it is loom's,
//! and the same code runs inside the models beside it. Those make their own of what otherwise is a static: nothing of loom's
//! can be made by a `const fn`.

use std::sync::{LockResult, PoisonError};

#[cfg(all(feature = "profiling", not(all(test, ringlight_loom))))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicUsize};
#[cfg(not(all(test, ringlight_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

#[cfg(all(test, ringlight_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::Ordering};
#[cfg(all(test, ringlight_loom))]
pub(crate) use ringlight_ring::explored::AtomicU64;
#[cfg(all(feature = "profiling", test, ringlight_loom))]
pub(crate) use ringlight_ring::explored::{AtomicU32, AtomicUsize};

/// Whether this is built for models, which take as few of everything as they can do with.
pub(crate) const IS_MODEL: bool = cfg!(all(test, ringlight_loom));

/// What a lock guards, though a thread panicked while it held it. All data of this crate is whole
/// between any two statements under a lock, and telemetry must not take the application down.
pub(crate) fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// Preemptions a run of a model may have: all defects put on purpose into the code that is modelled showed with two. Three take
/// a minute for the slots of open spans, the largest.
#[cfg(all(test, ringlight_loom))]
const PREEMPTIONS_MAX: usize = 3;

/// Runs a model in every way it can go within the bounds of the models.
#[cfg(all(test, ringlight_loom))]
pub(crate) fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // `LOOM_MAX_PREEMPTIONS` says otherwise.
    builder.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    builder.max_branches = 10_000;
    builder.check(run);
}
