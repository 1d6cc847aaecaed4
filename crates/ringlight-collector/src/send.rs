//! One attempt to send, whatever the exporter does with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use tokio::time::Instant;

use crate::export::{EncodedBatch, ExportError, ExportOutcome, ExporterBoxed};

/// Why an attempt has no outcome.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// What the exporter says.
    Failed(ExportError),
    /// It said nothing in time.
    TimedOut,
    /// It panicked. That is its own affair, and must not end the task that sends.
    Panicked,
}

/// Has an exporter send a batch, once, and waits for the answer until then.
pub(crate) async fn send(
    exporter: &dyn ExporterBoxed,
    batch: EncodedBatch,
    until: Instant,
) -> Result<ExportOutcome, Unsent> {
    let start = || exporter.export_boxed(batch);
    let mut attempt = catch_unwind(AssertUnwindSafe(start)).map_err(|_| Unsent::Panicked)?;
    let attempt = std::future::poll_fn(|context| {
        let poll = || attempt.as_mut().poll(context);
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(poll) => poll.map_err(Unsent::Failed),
            Err(_) => Poll::Ready(Err(Unsent::Panicked)),
        }
    });
    let answer = tokio::time::timeout_at(until, attempt).await;
    answer.unwrap_or(Err(Unsent::TimedOut))
}
