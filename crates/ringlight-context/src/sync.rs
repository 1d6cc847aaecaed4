//! The atomics that threads share. Built normally they are the standard library's; in the tests under `cfg(ringlight_loom)` they
//! are loom's, and the same code runs inside the models beside it.

#[cfg(not(all(test, ringlight_loom)))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

#[cfg(all(test, ringlight_loom))]
pub(crate) use loom::sync::atomic::Ordering;
#[cfg(all(test, ringlight_loom))]
pub(crate) use ringlight_ring::explored::{AtomicBool, AtomicU64, AtomicUsize};
