//! A rate with bursts.
//!
//! Not by `governor`, which has the same algorithm: it refuses for good what is larger than its burst, and
//! a batch that is too large for a burst has to leave some day; it says how long a wait is only after it
//! has failed, for one cell at a time or for all; and its own waits run on a clock that tokio's tests do not
//! move. What is left of it once those are worked around is the arithmetic below, which is exact here.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::limiter::{Cost, Quota, RateLimiter, RateUnit, at_least_one};
use crate::config::CollectorConfigError;
use crate::sync::unpoisoned;

/// A turn that is further away than this is as good as never; further ones are not told apart.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// A bucket into which tokens drip evenly, up to as many as make a burst, and from which each batch takes its
/// cost.
///
/// In any time *t* no more passes than the burst and what drips in during *t*. A batch that costs more
/// than a burst passes when the bucket is full, and leaves a debt that the next ones wait for: it takes its
/// share of time, and is not stuck for ever. Turns come in the order in which they were booked.
///
/// ```
/// use std::time::Duration;
///
/// use ringlight_collector::{Quota, RateUnit, TokenBucket};
///
/// // 600 requests a minute, up to 20 of them at once.
/// let quota = Quota { unit: RateUnit::Requests, amount: 600, per: Duration::from_secs(60) };
/// let requests = TokenBucket::new(quota, 20)?;
/// // One megabyte a second.
/// let bytes = TokenBucket::bytes_per_second(1_000_000)?;
/// # Ok::<(), ringlight_collector::CollectorConfigError>(())
/// ```
#[derive(Debug)]
pub struct TokenBucket {
    quota: Quota,
    burst: u64,
    /// When the bucket will be full again if nothing else is taken. `None`: it is. That one instant is
    /// the whole state, so nothing has to drip.
    full_at: Mutex<Option<Instant>>,
}

impl TokenBucket {
    /// A full bucket of `burst` units, into which `quota` drips.
    ///
    /// # Errors
    /// Names the value that is out of range; `burst` is at least 1.
    pub fn new(quota: Quota, burst: u64) -> Result<Self, CollectorConfigError> {
        quota.validate()?;
        at_least_one("burst", burst)?;
        Ok(Self {
            quota,
            burst,
            full_at: Mutex::default(),
        })
    }

    /// So many bytes a second, and those of a second at once.
    ///
    /// # Errors
    /// The number is zero.
    pub fn bytes_per_second(bytes: u64) -> Result<Self, CollectorConfigError> {
        Self::new(Quota::per_second(bytes, RateUnit::Bytes), bytes)
    }

    /// Units as the time in which they drip in, times the amount of the quota. A day has less than 2^47
    /// nanoseconds, so it fits.
    fn nanos_by_amount(&self, units: u64) -> u128 {
        self.quota.per.as_nanos() * u128::from(units)
    }

    /// In which time a cost drips in, rounded up.
    fn time_for(&self, cost: u64) -> Duration {
        let nanos = self
            .nanos_by_amount(cost)
            .div_ceil(u128::from(self.quota.amount));
        nanoseconds(nanos)
    }

    /// How much of its time the bucket may lack to let a cost pass, rounded down.
    fn may_lack(&self, cost: u64) -> Duration {
        let left = self.burst - cost.min(self.burst);
        nanoseconds(self.nanos_by_amount(left) / u128::from(self.quota.amount))
    }
}

/// So many, or [`NEVER`].
fn nanoseconds(nanos: u128) -> Duration {
    u64::try_from(nanos).map_or(NEVER, |nanos| Duration::from_nanos(nanos).min(NEVER))
}

impl RateLimiter for TokenBucket {
    fn reserve(&self, cost: Cost, now: Instant, wait_max: Duration) -> Result<Duration, Duration> {
        let cost = cost.in_unit(self.quota.unit);
        let mut full_at = unpoisoned(self.full_at.lock());
        let full = full_at.map_or(now, |at| at.max(now));
        let wait = (full - now).saturating_sub(self.may_lack(cost));
        match full.checked_add(self.time_for(cost)) {
            Some(next) if wait <= wait_max => {
                *full_at = Some(next);
                Ok(wait)
            }
            _ => Err(wait),
        }
    }
}
