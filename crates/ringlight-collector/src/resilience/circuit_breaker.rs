//! Leaves a backend alone that does not answer.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ringlight_model::Signal;
use tokio::time::Instant;

use super::backoff::SERVER_DELAY_MAX;
use super::circuit::{CircuitBreaker, CircuitBreakerConfig, CircuitPermit, CircuitState};
use super::counter::Counter;
use super::per_place::PerPlace;
use super::{Exported, forward_to_inner};
use crate::config::CollectorConfigError;
use crate::export::{EncodedBatch, ExportError, Exporter};
use crate::sync::unpoisoned;
use crate::text::Readable;

/// What a [`CircuitBreakerExporter`] did so far at one place.
///
/// As metrics: `ringlight.export.circuit_breaker.state` with the attribute `state`,
/// `ringlight.export.circuit_breaker.opened` and `.closed` in `{change}`,
/// `ringlight.export.circuit_breaker.admitted` and `.rejected` in `{attempt}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitBreakerStats {
    /// The state it was left in by the last call.
    pub state: CircuitState,
    /// How often it opened, from half-open as well.
    pub opened: u64,
    /// How often it closed again.
    pub closed: u64,
    /// Attempts it let through.
    pub admitted: u64,
    /// Attempts it refused, since the backend was left alone.
    pub rejected: u64,
}

/// After failures in a row, leaves the backend alone for a while, and then tries it with one attempt at a
/// time: a [`CircuitBreaker`] around an exporter.
///
/// While it is open, attempts fail at once with [`ExportError::Retryable`] that says when to come back:
/// whoever has a queue keeps the batch. Nothing is dropped here.
///
/// A failure is what may be repeated: no answer, or "not now". A batch that is refused for good was
/// answered, which is a success to the breaker. An attempt whose future is dropped before its answer
/// counts as failed, since that is how a caller ends one that takes too long; so the only probe there is
/// never gets lost. One that neither ends nor is dropped keeps everything else out: put a
/// [`TimeoutExporter`](super::TimeoutExporter) inside.
///
/// Each [place](Exporter::place) has a breaker of its own.
pub struct CircuitBreakerExporter<E> {
    inner: E,
    breaker: Breaker,
}

impl<E: Exporter> CircuitBreakerExporter<E> {
    /// Around `inner`.
    ///
    /// # Errors
    /// Names the first field of the settings that is out of range.
    pub fn new(inner: E, config: CircuitBreakerConfig) -> Result<Self, CollectorConfigError> {
        let breaker = Breaker::new(&inner, config)?;
        Ok(Self { inner, breaker })
    }

    /// What this is around.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// What it did so far at the place where this signal goes.
    pub fn stats(&self, signal: Signal) -> CircuitBreakerStats {
        self.breaker.stats(signal)
    }
}

impl<E: Exporter> Exporter for CircuitBreakerExporter<E> {
    async fn export(&self, batch: EncodedBatch) -> Exported {
        let attempt = |batch| self.inner.export(batch);
        self.breaker.run(batch, attempt).await
    }

    forward_to_inner!();
}

pub(super) struct Breaker {
    reset_timeout: Duration,
    circuits: PerPlace<Circuit>,
}

struct Circuit {
    place: String,
    breaker: Mutex<CircuitBreaker>,
    admitted: Counter,
    rejected: Counter,
}

impl Circuit {
    fn breaker(&self) -> MutexGuard<'_, CircuitBreaker> {
        unpoisoned(self.breaker.lock())
    }
}

impl Breaker {
    pub(super) fn new(
        exporter: &impl Exporter,
        config: CircuitBreakerConfig,
    ) -> Result<Self, CollectorConfigError> {
        config.validate()?;
        let circuit = |place: &str| Circuit {
            place: place.to_owned(),
            breaker: Mutex::new(CircuitBreaker::new(config)),
            admitted: Counter::default(),
            rejected: Counter::default(),
        };
        Ok(Self {
            reset_timeout: config.reset_timeout,
            circuits: PerPlace::new(exporter, circuit),
        })
    }

    pub(super) fn stats(&self, signal: Signal) -> CircuitBreakerStats {
        let circuit = self.circuits.of(signal);
        let breaker = circuit.breaker();
        CircuitBreakerStats {
            state: breaker.state(),
            opened: breaker.opened(),
            closed: breaker.closed(),
            admitted: circuit.admitted.count(),
            rejected: circuit.rejected.count(),
        }
    }

    pub(super) async fn run<F: Future<Output = Exported>>(
        &self,
        batch: EncodedBatch,
        attempt: impl Fn(EncodedBatch) -> F,
    ) -> Exported {
        let circuit = self.circuits.of(batch.signal);
        let admitted = circuit.breaker().admit(Instant::now());
        let permit = admitted.map_err(|open| {
            circuit.rejected.increment();
            ExportError::Retryable {
                reason: format!(
                    "{} failed too often and is left alone for {}",
                    circuit.place,
                    Readable(open.retry_after)
                ),
                after: Some(open.retry_after),
            }
        })?;
        circuit.admitted.increment();
        let mut under_way = UnderWay {
            circuit,
            reset_timeout: self.reset_timeout,
            permit: Some(permit),
        };
        let result = attempt(batch).await;
        match &result {
            Err(error) if error.is_retryable() => under_way.failed(error.retry_after()),
            _ => under_way.succeeded(),
        }
        result
    }
}

/// An attempt that was let through. Dropped, it has failed.
struct UnderWay<'a> {
    circuit: &'a Circuit,
    reset_timeout: Duration,
    /// Until its end is told.
    permit: Option<CircuitPermit>,
}

impl UnderWay<'_> {
    fn succeeded(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.circuit.breaker().succeeded(permit);
        }
    }

    fn failed(&mut self, asked_for: Option<Duration>) {
        if let Some(permit) = self.permit.take() {
            let spread = self.reset_timeout.mul_f64(fastrand::f64() / 10.0);
            let asked_for = asked_for.unwrap_or_default().min(SERVER_DELAY_MAX);
            let open_for = self.reset_timeout.max(asked_for) + spread;
            let mut breaker = self.circuit.breaker();
            breaker.failed(permit, Instant::now(), open_for);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.failed(None);
    }
}
