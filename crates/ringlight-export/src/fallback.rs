//! Two ways to one backend.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight_model::Signal;
use tokio::time::Instant;

/// How long the first way has for its answer unless told otherwise.
const PRIMARY_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the second way is gone first once only it has answered.
const SECONDARY_FOR: Duration = Duration::from_secs(30);

/// Sends to `primary`, and to `secondary` where that gives no answer or does not know the signal:
/// OTLP over gRPC and over HTTP to the same backend, for networks that let only one of them through.
///
/// Both are meant to lead to the same place: a batch whose answer was lost on the first way goes the second
/// way too, under the same name. Where only the second way led anywhere, it is taken first for
/// 30 s. An answer of either, also "not now" or "never", is the answer.
pub struct FallbackExporter<P, S> {
    primary: P,
    secondary: S,
    name: String,
    primary_timeout: Duration,
    began: Instant,
    /// Until when the second way is taken first, in milliseconds since `began`. `Relaxed`: a hint,
    /// which may be late or early by an attempt.
    secondary_until: AtomicU64,
}

impl<P: Exporter, S: Exporter> FallbackExporter<P, S> {
    /// First `primary`, then `secondary`.
    pub fn new(primary: P, secondary: S) -> Self {
        Self {
            name: format!("{}, else {}", primary.name(), secondary.name()),
            primary,
            secondary,
            primary_timeout: PRIMARY_TIMEOUT,
            began: Instant::now(),
            secondary_until: AtomicU64::new(0),
        }
    }

    /// How long the first way has for its answer. Default 3 s. Where a whole attempt
    /// (`export_timeout`) takes less, that ends it, and the next attempt goes the second way first.
    #[must_use]
    pub const fn primary_timeout(mut self, timeout: Duration) -> Self {
        self.primary_timeout = timeout;
        self
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn prefer_secondary(&self) {
        let until = self.now() + SECONDARY_FOR.as_millis() as u64;
        self.secondary_until.store(until, Ordering::Relaxed);
    }

    /// An answer of this way within its time.
    async fn ask(
        &self,
        way: &impl Exporter,
        batch: EncodedBatch,
    ) -> Result<ExportOutcome, ExportError> {
        let timeout = self.primary_timeout;
        match tokio::time::timeout(timeout, way.export(batch)).await {
            Ok(result) => result,
            Err(_) => Err(ExportError::Unreachable {
                reason: format!("no answer within {} ms", timeout.as_millis()),
                source: None,
            }),
        }
    }
}

/// Prefers the second way if the first one is given up before it has answered.
struct Unanswered<'a, P: Exporter, S: Exporter> {
    exporter: &'a FallbackExporter<P, S>,
    is_answered: bool,
}

impl<P: Exporter, S: Exporter> Drop for Unanswered<'_, P, S> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.exporter.prefer_secondary();
        }
    }
}

/// Whether this way does not lead to the backend.
fn leads_nowhere(result: &Result<ExportOutcome, ExportError>) -> bool {
    matches!(
        result,
        Err(ExportError::Unreachable { .. } | ExportError::Unsupported { .. })
    )
}

impl<P: Exporter, S: Exporter> Exporter for FallbackExporter<P, S> {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let takes = |place: Option<&str>| place.is_some();
        if !takes(self.secondary.place(batch.signal)) {
            return self.primary.export(batch).await;
        }
        if !takes(self.primary.place(batch.signal)) {
            return self.secondary.export(batch).await;
        }
        if self.now() < self.secondary_until.load(Ordering::Relaxed) {
            let result = self.ask(&self.secondary, batch.clone()).await;
            if !leads_nowhere(&result) {
                return result;
            }
            self.secondary_until.store(0, Ordering::Relaxed);
            return self.primary.export(batch).await;
        }
        let mut unanswered = Unanswered {
            exporter: self,
            is_answered: false,
        };
        let first = self.ask(&self.primary, batch.clone()).await;
        unanswered.is_answered = true;
        if !leads_nowhere(&first) {
            return first;
        }
        let second = self.secondary.export(batch).await;
        if leads_nowhere(&second) {
            // What is wrong with the way that is meant to work is more telling.
            return first;
        }
        self.prefer_secondary();
        second
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self, signal: Signal) -> Option<&str> {
        let is_taken =
            self.primary.place(signal).is_some() || self.secondary.place(signal).is_some();
        is_taken.then_some(&*self.name)
    }

    fn reports_open_spans(&self) -> bool {
        // A report may go either way.
        self.primary.reports_open_spans() && self.secondary.reports_open_spans()
    }
}

impl<P, S> fmt::Debug for FallbackExporter<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FallbackExporter").field(&self.name).finish()
    }
}
