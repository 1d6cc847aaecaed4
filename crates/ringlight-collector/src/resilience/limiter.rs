//! What limits a rate.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{self, CollectorConfigError};
use crate::export::EncodedBatch;

/// Decides when a batch may be sent.
///
/// It does not wait itself: it books a turn and says how far away that is. So whoever asks knows in
/// advance how long the wait is, and can go away where it is too long; and it can be tested without a
/// clock. A limiter that has to ask somebody else, as one quota for many processes does, keeps a share
/// of it here, and fetches the next one in a task of its own.
///
/// It is called from any task, and must not block.
///
/// ```
/// use std::time::Duration;
///
/// use ringlight_collector::{Cost, RateLimiter, RateLimiterBoxed};
/// use tokio::time::Instant;
///
/// /// Nothing is sent before a certain time.
/// struct NotBefore(Instant);
///
/// impl RateLimiter for NotBefore {
///     fn reserve(&self, _: Cost, now: Instant, wait_max: Duration) -> Result<Duration, Duration> {
///         let wait = self.0.saturating_duration_since(now);
///         if wait <= wait_max { Ok(wait) } else { Err(wait) }
///     }
/// }
///
/// let limiter: RateLimiterBoxed = Box::new(NotBefore(Instant::now()));
/// ```
pub trait RateLimiter: Send + Sync {
    /// Books the next turn for a batch of this cost, unless it is further away than `wait_max`. Returns how
    /// far it is away from `now`, which does not go back. A turn that is booked is not given back.
    ///
    /// # Errors
    /// Nothing was booked: returns how far away the turn would have been.
    fn reserve(&self, cost: Cost, now: Instant, wait_max: Duration) -> Result<Duration, Duration>;
}

/// A [`RateLimiter`] that is chosen at run time. The trait is object safe as it is, since it has nothing
/// asynchronous in it.
pub type RateLimiterBoxed = Box<dyn RateLimiter>;

impl<L: RateLimiter + ?Sized> RateLimiter for Box<L> {
    fn reserve(&self, cost: Cost, now: Instant, wait_max: Duration) -> Result<Duration, Duration> {
        (**self).reserve(cost, now, wait_max)
    }
}

/// One limit for several exporters.
impl<L: RateLimiter + ?Sized> RateLimiter for Arc<L> {
    fn reserve(&self, cost: Cost, now: Instant, wait_max: Duration) -> Result<Duration, Duration> {
        (**self).reserve(cost, now, wait_max)
    }
}

/// What it takes to send a batch, as one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Records in it.
    pub records: u64,
    /// Its bytes, before compression.
    pub bytes: u64,
}

impl Cost {
    /// That of this batch.
    #[must_use]
    pub const fn of(batch: &EncodedBatch) -> Self {
        Self {
            records: batch.records as u64,
            bytes: batch.bytes.len() as u64,
        }
    }

    /// As a number of these units.
    #[must_use]
    pub const fn in_unit(&self, unit: RateUnit) -> u64 {
        match unit {
            RateUnit::Requests => 1,
            RateUnit::Records => self.records,
            RateUnit::Bytes => self.bytes,
        }
    }
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateUnit {
    /// Export requests, whatever they hold.
    Requests,
    /// Spans, log records, data points.
    Records,
    /// Bytes before compression.
    Bytes,
}

/// So many units in a time: 100 requests in a minute, a million bytes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What is counted.
    pub unit: RateUnit,
    /// How many of them. At least 1.
    pub amount: u64,
    /// In which time. Range 1 ms to 24 h.
    pub per: Duration,
}

impl Quota {
    /// So many units in a second.
    #[must_use]
    pub const fn per_second(amount: u64, unit: RateUnit) -> Self {
        Self {
            unit,
            amount,
            per: Duration::from_secs(1),
        }
    }

    /// Checks every field against its documented range.
    ///
    /// # Errors
    /// Names the first field that is out of range, its value and the range.
    pub fn validate(&self) -> Result<(), CollectorConfigError> {
        const RANGE: RangeInclusive<Duration> =
            Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        at_least_one("amount", self.amount)?;
        config::duration("per", self.per, RANGE)
    }
}

pub(super) fn at_least_one(field: &'static str, value: u64) -> Result<(), CollectorConfigError> {
    if value > 0 {
        return Ok(());
    }
    Err(CollectorConfigError {
        field,
        value: value.to_string(),
        allowed: format!("1 to {}", u64::MAX),
    })
}
