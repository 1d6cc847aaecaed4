//! Locks that a panic does not close.

use std::sync::{LockResult, PoisonError};

/// What a lock guards, though a thread panicked while it held it. All data of this crate is whole
/// between any two statements under a lock, and telemetry must not take the application down.
pub(crate) fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
