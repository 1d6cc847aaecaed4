//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix nanoseconds now, as records of when something arrived have them; zero before 1970.
#[must_use]
pub fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
