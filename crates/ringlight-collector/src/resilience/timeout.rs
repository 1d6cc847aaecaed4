//! Gives an attempt an end.

use std::time::Duration;

use ringlight_model::Signal;

use super::counter::Counter;
use super::{Exported, forward_to_inner};
use crate::export::{EncodedBatch, ExportError, Exporter};
use crate::text::Readable;

/// What a [`TimeoutExporter`] did so far.
///
/// As a metric: `ringlight.export.timeouts` in `{attempt}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TimeoutStats {
    /// Attempts that were abandoned, since there was no answer in time.
    pub timeouts: u64,
}

/// Abandons an attempt that has no answer in time, as [`ExportError::Unreachable`].
pub struct TimeoutExporter<E> {
    inner: E,
    timeout: Timeout,
}

impl<E: Exporter> TimeoutExporter<E> {
    /// Around `inner`, with the longest time one attempt may take.
    pub fn new(inner: E, timeout: Duration) -> Self {
        Self {
            inner,
            timeout: Timeout::new(timeout),
        }
    }

    /// What this is around.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// What it did so far.
    pub fn stats(&self) -> TimeoutStats {
        self.timeout.stats()
    }
}

impl<E: Exporter> Exporter for TimeoutExporter<E> {
    async fn export(&self, batch: EncodedBatch) -> Exported {
        self.timeout.run(self.inner.export(batch)).await
    }

    forward_to_inner!();
}

pub(super) struct Timeout {
    limit: Duration,
    timeouts: Counter,
}

impl Timeout {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            timeouts: Counter::default(),
        }
    }

    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) fn stats(&self) -> TimeoutStats {
        TimeoutStats {
            timeouts: self.timeouts.count(),
        }
    }

    pub(super) async fn run(&self, attempt: impl Future<Output = Exported>) -> Exported {
        let answer = tokio::time::timeout(self.limit, attempt).await;
        answer.unwrap_or_else(|_| {
            self.timeouts.increment();
            Err(ExportError::Unreachable {
                reason: format!("no answer within {}", Readable(self.limit)),
                source: None,
            })
        })
    }
}
