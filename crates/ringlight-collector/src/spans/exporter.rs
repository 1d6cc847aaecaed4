//! The seam to whoever sends spans away.

use std::future::Future;
use std::sync::Arc;

use ringlight_model::Signal;

use super::SpanBatch;
use crate::export::{EncodedBatch, ExportError, ExportFuture, ExportOutcome, Exporter};

/// Sends batches of spans somewhere.
///
/// `export` is one attempt; timeouts, repetitions and accounts are the collector's. It runs on the
/// collector's thread, within a tokio runtime, and must not block it. Dropping the returned future
/// abandons the attempt. Every [`Exporter`] is one of spans, too.
///
/// ```
/// use ringlight_collector::{ExportError, ExportOutcome, SpanBatch, SpanExporter};
///
/// struct Names;
///
/// impl SpanExporter for Names {
///     async fn export(&self, batch: SpanBatch) -> Result<ExportOutcome, ExportError> {
///         for span in batch.to_spans().map_err(|error| ExportError::Permanent {
///             reason: error.to_string(),
///         })? {
///             println!("{}", span.name);
///         }
///         Ok(ExportOutcome::default())
///     }
///
///     fn name(&self) -> &str {
///         "names"
///     }
/// }
/// ```
pub trait SpanExporter: Send + Sync {
    /// Sends one batch and reads the answer.
    ///
    /// # Errors
    /// Says whether it makes sense to send the batch again.
    fn export(
        &self,
        batch: SpanBatch,
    ) -> impl Future<Output = Result<ExportOutcome, ExportError>> + Send;

    /// The destination as notices and errors name it, without anything secret.
    fn name(&self) -> &str;

    /// Sends a report of the ledger, an OTLP request of metrics. Unless written otherwise it is not
    /// taken, and then not asked for again.
    ///
    /// # Errors
    /// As [`export`](Self::export).
    fn report(
        &self,
        report: EncodedBatch,
    ) -> impl Future<Output = Result<ExportOutcome, ExportError>> + Send {
        let signal = report.signal;
        async move { Err(not_taken(signal)) }
    }
}

impl<E: Exporter> SpanExporter for E {
    async fn export(&self, batch: SpanBatch) -> Result<ExportOutcome, ExportError> {
        Exporter::export(self, batch.into_encoded()).await
    }

    fn name(&self) -> &str {
        Exporter::name(self)
    }

    async fn report(&self, report: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        if self.place(report.signal).is_none() {
            return Err(not_taken(report.signal));
        }
        Exporter::export(self, report).await
    }
}

fn not_taken(signal: Signal) -> ExportError {
    ExportError::Unsupported {
        reason: format!("no {signal} are taken"),
    }
}

/// [`SpanExporter`] for dynamic dispatch; every span exporter is one.
pub trait SpanExporterBoxed: Send + Sync {
    /// [`SpanExporter::export`].
    fn export_boxed(&self, batch: SpanBatch) -> ExportFuture<'_>;

    /// [`SpanExporter::name`].
    fn name_boxed(&self) -> &str;

    /// [`SpanExporter::report`].
    fn report_boxed(&self, report: EncodedBatch) -> ExportFuture<'_>;
}

impl<E: SpanExporter> SpanExporterBoxed for E {
    fn export_boxed(&self, batch: SpanBatch) -> ExportFuture<'_> {
        Box::pin(self.export(batch))
    }

    fn name_boxed(&self) -> &str {
        self.name()
    }

    fn report_boxed(&self, report: EncodedBatch) -> ExportFuture<'_> {
        Box::pin(self.report(report))
    }
}

/// An exporter of spans as an [`Exporter`]: of traces, and of metrics for the report of the ledger.
///
/// So it can be a destination of a pipeline, and have policies around it:
///
/// ```
/// use std::sync::Arc;
///
/// use ringlight_collector::{RetryPolicy, RetryingExporter, SpanExporter, SpanExporterAdapter};
///
/// fn patient<E: SpanExporter>(spans: E) -> impl SpanExporter {
///     let exporter = SpanExporterAdapter::new(Arc::new(spans));
///     RetryingExporter::new(exporter, RetryPolicy::default()).expect("the default is valid")
/// }
/// ```
pub struct SpanExporterAdapter<S: ?Sized>(Arc<S>);

impl<S: SpanExporterBoxed + ?Sized> SpanExporterAdapter<S> {
    /// Around this exporter of spans.
    pub const fn new(exporter: Arc<S>) -> Self {
        Self(exporter)
    }
}

impl<S: SpanExporterBoxed + ?Sized> Exporter for SpanExporterAdapter<S> {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        if batch.signal == Signal::Traces {
            self.0.export_boxed(SpanBatch::new(batch)).await
        } else {
            self.0.report_boxed(batch).await
        }
    }

    fn name(&self) -> &str {
        self.0.name_boxed()
    }

    fn place(&self, signal: Signal) -> Option<&str> {
        matches!(signal, Signal::Traces | Signal::Metrics).then(|| Exporter::name(self))
    }
}
