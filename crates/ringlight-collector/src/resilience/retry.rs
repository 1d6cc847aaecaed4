//! Sends again what may be sent again.

use std::time::Duration;

use ringlight_model::Signal;
use tokio::time::Instant;

use super::backoff::{SERVER_DELAY_MAX, backoff};
use super::counter::Counter;
use super::{Exported, forward_to_inner};
use crate::config::{CollectorConfigError, RetryConfig, validate_delays};
use crate::export::{EncodedBatch, ExportError, Exporter};

/// How a [`RetryingExporter`] repeats.
///
/// The wait before repetition *n* is `delay_first * 2^(n-1)`, at most `delay_max`, of which a random part
/// between one half and all is taken, so that many processes do not return in step. Where the backend
/// asks for a delay, that comes before it: nobody returns before the time that was asked for, and not all
/// of them right at it. A delay of more than 60 s is cut to 60 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Repetitions after the first attempt, so one attempt fewer than there may be in all. Default 3,
    /// which takes waits of up to 100, 200 and 400 ms.
    pub retries_max: u32,
    /// Wait before the first repetition. Range 1 ms to 1 h, default 100 ms.
    pub delay_first: Duration,
    /// Longest wait of our own between two attempts. From `delay_first` to 1 h, default 5 s.
    pub delay_max: Duration,
    /// No attempt begins later than this after the first one. Where a wait would end later it is not
    /// begun: the error is handed on at once. Up to 24 h, default 30 s.
    pub total_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries_max: 3,
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(5),
            total_max: Duration::from_secs(30),
        }
    }
}

/// What a [`RetryingExporter`] did so far.
///
/// As metrics: `ringlight.export.attempts` in `{attempt}`, `ringlight.export.retries` in `{attempt}`,
/// `ringlight.export.recovered` and `ringlight.export.given_up` in `{batch}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RetryStats {
    /// Attempts, the first one of each batch included.
    pub attempts: u64,
    /// Attempts after the first one of their batch.
    pub retries: u64,
    /// Batches that were taken after all, when they were sent again.
    pub recovered: u64,
    /// Batches whose last error might have gone away, and was handed on.
    pub given_up: u64,
}

/// Sends a batch again if it [may be](ExportError::is_retryable), as often and as long as its
/// [policy](RetryPolicy) says, and then hands on the last error.
///
/// That error still says that the batch may be sent again, and when: whoever has a queue keeps it. A batch
/// the backend refused for good is not repeated.
///
/// ```
/// use ringlight_collector::{Exporter, RetryPolicy, RetryingExporter};
///
/// fn patient<E: Exporter>(backend: E) -> impl Exporter {
///     let policy = RetryPolicy {
///         retries_max: 10,
///         ..RetryPolicy::default()
///     };
///     RetryingExporter::new(backend, policy).expect("the policy is within its ranges")
/// }
/// ```
pub struct RetryingExporter<E> {
    inner: E,
    retry: Retry,
}

impl<E: Exporter> RetryingExporter<E> {
    /// Around `inner`.
    ///
    /// # Errors
    /// Names the first field of the policy that is out of range.
    pub fn new(inner: E, policy: RetryPolicy) -> Result<Self, CollectorConfigError> {
        let retry = Retry::new(policy)?;
        Ok(Self { inner, retry })
    }

    /// What this is around.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// What it did so far.
    pub fn stats(&self) -> RetryStats {
        self.retry.stats()
    }
}

impl<E: Exporter> Exporter for RetryingExporter<E> {
    async fn export(&self, batch: EncodedBatch) -> Exported {
        let attempt = |batch| self.inner.export(batch);
        self.retry.run(batch, attempt).await
    }

    forward_to_inner!();
}

pub(super) struct Retry {
    retries_max: u32,
    delays: RetryConfig,
    attempts: Counter,
    retries: Counter,
    recovered: Counter,
    given_up: Counter,
}

impl Retry {
    pub(super) fn new(policy: RetryPolicy) -> Result<Self, CollectorConfigError> {
        let delays = RetryConfig {
            delay_first: policy.delay_first,
            delay_max: policy.delay_max,
            total_max: policy.total_max,
        };
        validate_delays(&delays)?;
        Ok(Self {
            retries_max: policy.retries_max,
            delays,
            attempts: Counter::default(),
            retries: Counter::default(),
            recovered: Counter::default(),
            given_up: Counter::default(),
        })
    }

    pub(super) const fn total_max(&self) -> Duration {
        self.delays.total_max
    }

    pub(super) fn stats(&self) -> RetryStats {
        RetryStats {
            attempts: self.attempts.count(),
            retries: self.retries.count(),
            recovered: self.recovered.count(),
            given_up: self.given_up.count(),
        }
    }

    pub(super) async fn run<F: Future<Output = Exported>>(
        &self,
        batch: EncodedBatch,
        attempt: impl Fn(EncodedBatch) -> F,
    ) -> Exported {
        let until = Instant::now() + self.delays.total_max;
        let mut failures = 0_u32;
        loop {
            self.attempts.increment();
            let error = match attempt(batch.clone()).await {
                Ok(outcome) => {
                    if failures > 0 {
                        self.recovered.increment();
                    }
                    return Ok(outcome);
                }
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            failures = failures.saturating_add(1);
            let wake = Instant::now() + self.delay(&error, failures);
            if failures > self.retries_max || wake > until {
                self.given_up.increment();
                return Err(error);
            }
            tokio::time::sleep_until(wake).await;
            self.retries.increment();
        }
    }

    fn delay(&self, error: &ExportError, failures: u32) -> Duration {
        let asked_for = error.retry_after().unwrap_or_default();
        asked_for.min(SERVER_DELAY_MAX) + backoff(&self.delays, failures)
    }
}
