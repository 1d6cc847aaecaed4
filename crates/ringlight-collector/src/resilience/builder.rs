//! All policies around one exporter, in the one order that works.

use std::time::Duration;

use ringlight_model::Signal;

use super::circuit::CircuitBreakerConfig;
use super::circuit_breaker::{Breaker, CircuitBreakerStats};
use super::limiter::{RateLimiter, RateLimiterBoxed};
use super::rate_limit::{RateLimit, RateLimitStats, WAIT_MAX};
use super::retry::{Retry, RetryPolicy, RetryStats};
use super::timeout::{Timeout, TimeoutStats};
use super::{Exported, forward_to_inner};
use crate::config::CollectorConfigError;
use crate::export::{EncodedBatch, Exporter};

/// Puts policies around an exporter. Each is there if it was asked for, in whichever order that was: what is
/// around what is always the same.
///
/// From the outside in:
///
/// 1. **retry**: each repetition goes through all of the others. Inside the breaker, four failed attempts
///    would be one failure to it, and they would go on after it opened; inside the rate limit, repetitions would not
///    count.
/// 2. **rate limit**: it holds back what is going to be sent. Inside the breaker, a batch that was let through
///    would still wait, and be sent after the breaker has opened meanwhile; the only probe there is
///    would wait for its turn; and a turn that is too far away would be a failure of the backend. As it is, the
///    limit holds everything back for as long as an open breaker says.
/// 3. **circuit breaker**: asked right before the request, it judges what the backend did and nothing else.
/// 4. **timeout**: of one request, without any waits before it. Outside of the breaker, that would see a
///    backend which does not answer only as a call that was given up.
///
/// ```
/// use std::time::Duration;
///
/// use ringlight_collector::{
///     CircuitBreakerConfig, Exporter, ResilientExporter, ResilientExporterBuilder, RetryPolicy, TokenBucket,
/// };
/// # use ringlight_collector::CollectorConfigError;
///
/// fn careful<E: Exporter>(backend: E) -> Result<ResilientExporter<E>, CollectorConfigError> {
///     ResilientExporterBuilder::new(backend)
///         .retry(RetryPolicy::default())
///         .rate_limit(TokenBucket::bytes_per_second(1_000_000)?)
///         .circuit_breaker(CircuitBreakerConfig::default())
///         .timeout(Duration::from_secs(3))
///         .build()
/// }
/// ```
#[must_use = "it makes an exporter when it is built"]
pub struct ResilientExporterBuilder<E> {
    exporter: E,
    retry: Option<RetryPolicy>,
    limiter: Option<RateLimiterBoxed>,
    wait_max: Duration,
    breaker: Option<CircuitBreakerConfig>,
    timeout: Option<Duration>,
}

impl<E: Exporter> ResilientExporterBuilder<E> {
    /// Around `exporter`, with no policy yet.
    pub fn new(exporter: E) -> Self {
        Self {
            exporter,
            retry: None,
            limiter: None,
            wait_max: WAIT_MAX,
            breaker: None,
            timeout: None,
        }
    }

    /// Repeats what failed, as [`RetryingExporter`](super::RetryingExporter) does.
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Limits the rate, as [`RateLimitedExporter`](super::RateLimitedExporter) does.
    pub fn rate_limit(mut self, limiter: impl RateLimiter + 'static) -> Self {
        self.limiter = Some(Box::new(limiter));
        self
    }

    /// How long a batch waits for its turn under a rate limit, see
    /// [`RateLimitedExporter::wait_max`](super::RateLimitedExporter::wait_max). Default 5 s.
    pub const fn rate_limit_wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// Leaves a backend alone that fails, as [`CircuitBreakerExporter`](super::CircuitBreakerExporter) does.
    pub const fn circuit_breaker(mut self, config: CircuitBreakerConfig) -> Self {
        self.breaker = Some(config);
        self
    }

    /// Gives each request this long, as [`TimeoutExporter`](super::TimeoutExporter) does.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The exporter.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn build(self) -> Result<ResilientExporter<E>, CollectorConfigError> {
        let exporter = &self.exporter;
        let limit = |limiter| RateLimit::new(exporter, limiter, self.wait_max);
        let breaker = |config| Breaker::new(exporter, config);
        Ok(ResilientExporter {
            retry: self.retry.map(Retry::new).transpose()?,
            limit: self.limiter.map(limit),
            breaker: self.breaker.map(breaker).transpose()?,
            timeout: self.timeout.map(Timeout::new),
            inner: self.exporter,
        })
    }
}

/// An exporter with policies around it, made by a [`ResilientExporterBuilder`].
pub struct ResilientExporter<E> {
    retry: Option<Retry>,
    limit: Option<RateLimit<RateLimiterBoxed>>,
    breaker: Option<Breaker>,
    timeout: Option<Timeout>,
    inner: E,
}

/// What the policies around an exporter did so far; `None` for one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResilienceStats {
    /// Of the repetitions.
    pub retry: Option<RetryStats>,
    /// Of the rate limit.
    pub rate_limit: Option<RateLimitStats>,
    /// Of the circuit breaker.
    pub circuit_breaker: Option<CircuitBreakerStats>,
    /// Of the timeout.
    pub timeout: Option<TimeoutStats>,
}

impl<E: Exporter> ResilientExporter<E> {
    /// What this is around.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// What the policies did so far. Of the circuit breakers it is the one of the place where this signal
    /// goes.
    pub fn stats(&self, signal: Signal) -> ResilienceStats {
        ResilienceStats {
            retry: self.retry.as_ref().map(Retry::stats),
            rate_limit: self.limit.as_ref().map(RateLimit::stats),
            circuit_breaker: self.breaker.as_ref().map(|breaker| breaker.stats(signal)),
            timeout: self.timeout.as_ref().map(Timeout::stats),
        }
    }

    /// The longest that one batch may take here, with all repetitions and waits: a limit outside, such as
    /// `export_timeout` of a pipeline, should leave this time. `None` without a timeout: then nothing here ends
    /// a request.
    pub fn export_time_max(&self) -> Option<Duration> {
        let request = self.timeout.as_ref()?.limit();
        let last_begins = self.retry.as_ref().map_or(Duration::ZERO, Retry::total_max);
        let wait = self
            .limit
            .as_ref()
            .map_or(Duration::ZERO, RateLimit::wait_max);
        Some(last_begins.saturating_add(wait).saturating_add(request))
    }

    async fn limited(&self, batch: EncodedBatch) -> Exported {
        match &self.limit {
            Some(limit) => limit.run(batch, |batch| self.guarded(batch)).await,
            None => self.guarded(batch).await,
        }
    }

    async fn guarded(&self, batch: EncodedBatch) -> Exported {
        match &self.breaker {
            Some(breaker) => breaker.run(batch, |batch| self.timed(batch)).await,
            None => self.timed(batch).await,
        }
    }

    async fn timed(&self, batch: EncodedBatch) -> Exported {
        let request = self.inner.export(batch);
        match &self.timeout {
            Some(timeout) => timeout.run(request).await,
            None => request.await,
        }
    }
}

impl<E: Exporter> Exporter for ResilientExporter<E> {
    async fn export(&self, batch: EncodedBatch) -> Exported {
        match &self.retry {
            Some(retry) => retry.run(batch, |batch| self.limited(batch)).await,
            None => self.limited(batch).await,
        }
    }

    forward_to_inner!();
}
