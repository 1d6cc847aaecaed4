//! What threads share an anchor by. Built normally it is the standard library's; in the tests under `cfg(ringlight_loom)` it is
//! loom's, and the same code runs inside the model beside it.

#[cfg(not(all(test, ringlight_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

#[cfg(all(test, ringlight_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::Ordering};
#[cfg(all(test, ringlight_loom))]
pub(crate) use ringlight_ring::explored::AtomicU64;
