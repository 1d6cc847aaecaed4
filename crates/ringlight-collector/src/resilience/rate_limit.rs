//! Sends no more than a rate, and not before the backend wants it.

use std::sync::Mutex;
use std::time::Duration;

use ringlight_model::Signal;
use tokio::time::Instant;

use super::backoff::SERVER_DELAY_MAX;
use super::counter::{Counter, TimeCounter};
use super::limiter::{Cost, RateLimiter};
use super::per_place::PerPlace;
use super::{Exported, forward_to_inner};
use crate::export::{EncodedBatch, ExportError, Exporter};
use crate::sync::unpoisoned;
use crate::text::Readable;

/// How long a batch waits for its turn unless told otherwise: half of what a pipeline gives an attempt.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

/// What a [`RateLimitedExporter`] did so far.
///
/// As metrics: `ringlight.export.rate_limit.waits` and `ringlight.export.rate_limit.refused` in `{attempt}`,
/// `ringlight.export.rate_limit.wait_time` in `s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RateLimitStats {
    /// Attempts that waited for their turn.
    pub waits: u64,
    /// How long, all of them together.
    pub wait_time: Duration,
    /// Attempts whose turn was too far away.
    pub refused: u64,
}

/// Has each batch wait for its turn as a [`RateLimiter`] gives it.
///
/// A delay the backend asks for holds for every batch to the same [place](Exporter::place), for up to 60 s, also
/// where the limiter would let it go; and where the limiter wants a longer wait, that holds. Nothing gathers
/// meanwhile: what was held up goes at the rate of the limiter.
///
/// A batch waits up to [`wait_max`](Self::wait_max). If its turn is further away, the attempt fails at once with
/// [`ExportError::Retryable`] that says when to come back, and takes nothing from the rate: whoever has
/// a queue keeps the batch there. The rate is for all signals together.
///
/// An attempt that is given up while it waits has used its turn.
///
/// ```
/// use ringlight_collector::{Exporter, RateLimitedExporter, TokenBucket};
///
/// fn on_a_thin_line<E: Exporter>(backend: E) -> impl Exporter {
///     let limiter = TokenBucket::bytes_per_second(50_000).expect("it is more than zero");
///     RateLimitedExporter::new(backend, limiter)
/// }
/// ```
pub struct RateLimitedExporter<E, L> {
    inner: E,
    limit: RateLimit<L>,
}

impl<E: Exporter, L: RateLimiter> RateLimitedExporter<E, L> {
    /// Around `inner`.
    pub fn new(inner: E, limiter: L) -> Self {
        let limit = RateLimit::new(&inner, limiter, WAIT_MAX);
        Self { inner, limit }
    }

    /// How long a batch waits for its turn at most. Default 5 s; within a pipeline less than its
    /// `export_timeout`, and without one as long as somebody wants to wait.
    #[must_use]
    pub fn wait_max(mut self, wait_max: Duration) -> Self {
        self.limit.wait_max = wait_max;
        self
    }

    /// What this is around.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// What it did so far.
    pub fn stats(&self) -> RateLimitStats {
        self.limit.stats()
    }
}

impl<E: Exporter, L: RateLimiter> Exporter for RateLimitedExporter<E, L> {
    async fn export(&self, batch: EncodedBatch) -> Exported {
        let attempt = |batch| self.inner.export(batch);
        self.limit.run(batch, attempt).await
    }

    forward_to_inner!();
}

pub(super) struct RateLimit<L> {
    limiter: L,
    wait_max: Duration,
    places: PerPlace<Place>,
    waits: Counter,
    wait_time: TimeCounter,
    refused: Counter,
}

struct Place {
    name: String,
    /// Nothing is sent before this: the backend asked for it.
    held_until: Mutex<Option<Instant>>,
}

impl Place {
    /// How long the backend still wants to be left alone.
    fn held(&self, now: Instant) -> Option<Duration> {
        let until = *unpoisoned(self.held_until.lock());
        let held = until?.saturating_duration_since(now);
        (!held.is_zero()).then_some(held)
    }

    fn hold(&self, asked_for: Duration) {
        let until = Instant::now() + asked_for.min(SERVER_DELAY_MAX);
        let mut held_until = unpoisoned(self.held_until.lock());
        *held_until = (*held_until).max(Some(until));
    }
}

impl<L: RateLimiter> RateLimit<L> {
    pub(super) fn new(exporter: &impl Exporter, limiter: L, wait_max: Duration) -> Self {
        let place = |name: &str| Place {
            name: name.to_owned(),
            held_until: Mutex::default(),
        };
        Self {
            limiter,
            wait_max,
            places: PerPlace::new(exporter, place),
            waits: Counter::default(),
            wait_time: TimeCounter::default(),
            refused: Counter::default(),
        }
    }

    pub(super) const fn wait_max(&self) -> Duration {
        self.wait_max
    }

    pub(super) fn stats(&self) -> RateLimitStats {
        RateLimitStats {
            waits: self.waits.count(),
            wait_time: self.wait_time.sum(),
            refused: self.refused.count(),
        }
    }

    pub(super) async fn run<F: Future<Output = Exported>>(
        &self,
        batch: EncodedBatch,
        attempt: impl Fn(EncodedBatch) -> F,
    ) -> Exported {
        let place = self.places.of(batch.signal);
        let start = Instant::now();
        let turn = self.turn(place, Cost::of(&batch), start).await;
        let waited = start.elapsed();
        if !waited.is_zero() {
            self.waits.increment();
            self.wait_time.add(waited);
        }
        if let Err(too_long) = turn {
            self.refused.increment();
            return Err(ExportError::Retryable {
                reason: format!(
                    "{} is to be sent nothing for {}",
                    place.name,
                    Readable(too_long)
                ),
                after: Some(too_long),
            });
        }
        let result = attempt(batch).await;
        if let Err(error) = &result
            && let Some(asked_for) = error.retry_after()
        {
            place.hold(asked_for);
        }
        result
    }

    /// Waits until the batch may be sent, or returns how long that would have taken.
    async fn turn(&self, place: &Place, cost: Cost, start: Instant) -> Result<(), Duration> {
        let mut has_turn = false;
        loop {
            let now = Instant::now();
            let left = self.wait_max.saturating_sub(now - start);
            let wait = match place.held(now) {
                Some(held) if held > left => return Err(held),
                // Who had its turn while the backend wanted nothing books another one afterwards: all of
                // those together would be more than the rate.
                Some(held) => {
                    has_turn = false;
                    held
                }
                None if has_turn => return Ok(()),
                None => {
                    has_turn = true;
                    self.limiter.reserve(cost, now, left)?
                }
            };
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }
}
