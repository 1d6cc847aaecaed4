//! The seam to whoever sends batches away.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ringlight_model::Signal;

/// Names a batch for good: the same through every retry and at every destination, different for
/// every other batch of every process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchId {
    process: Arc<str>,
    sequence: u64,
    /// Whether its records are audit records.
    is_audit: bool,
}

impl BatchId {
    /// The id of the batch with this sequence number, from the process with this random name.
    #[must_use]
    pub const fn new(process: Arc<str>, sequence: u64) -> Self {
        Self {
            process,
            sequence,
            is_audit: false,
        }
    }

    /// The same name of a batch of audit records, or of others.
    #[must_use]
    pub(crate) fn of_audit(mut self, is_audit: bool) -> Self {
        self.is_audit = is_audit;
        self
    }

    /// Whether the batch holds audit records, which are dropped last. One that a relay passes on does not say so.
    #[must_use]
    pub const fn is_audit(&self) -> bool {
        self.is_audit
    }

    /// The random name of its process.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// The number of the batch within its process, in the order batches were sealed.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.process, self.sequence)
    }
}

/// A batch, encoded once and shared by all destinations.
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    /// What kind of records it holds.
    pub signal: Signal,
    /// A whole `Export*ServiceRequest` in protobuf.
    pub bytes: Bytes,
    /// How many records it holds: spans, log records, data points or profiles.
    pub records: u32,
    /// Its name.
    pub id: BatchId,
}

impl EncodedBatch {
    /// Two batches with half of the records each. Their names follow from this one's, so that they are the
    /// same however often it is split. `None` where it has one record, or none that can be told from another,
    /// as profiles, which share a dictionary.
    #[must_use]
    pub fn split(&self) -> Option<[Self; 2]> {
        if self.signal == Signal::Profiles {
            return None;
        }
        let parts = ringlight_otlp::split(self.signal, &self.bytes)?;
        let mut half = 0;
        Some(parts.map(|part| {
            half += 1;
            let process = format!("{}.{half}", self.id.process);
            Self {
                signal: self.signal,
                bytes: Bytes::from(part.bytes),
                records: part.items,
                id: BatchId::new(Arc::from(process), self.id.sequence).of_audit(self.id.is_audit),
            }
        }))
    }
}

/// What a backend answered to a batch it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportOutcome {
    /// Records of the batch the backend refused for good (`partial_success`).
    pub rejected: u64,
    /// What it said about them; a warning when `rejected` is zero.
    pub message: Option<String>,
    /// Bytes of the request's body as it went over the wire: compressed, without headers; 0 where the exporter does
    /// not know.
    pub wire_bytes: u64,
    /// Whether it wants to be told of spans that are still open, which a Ringlight backend says.
    pub takes_open_spans: bool,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// There was no answer: no connection, or it was lost, or the time was up. Repeated.
    #[error("{reason}")]
    Unreachable {
        /// What happened.
        reason: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The backend answered that it cannot take the batch now. Repeated.
    #[error("{reason}")]
    Retryable {
        /// What it answered.
        reason: String,
        /// How long it asked to wait.
        after: Option<Duration>,
    },
    /// The backend refused the batch for good.
    #[error("{reason}")]
    Permanent {
        /// What it answered.
        reason: String,
    },
    /// The batch is larger than the backend, or the protocol, takes in one request. As it is it will never
    /// be taken; its records may be, in smaller batches.
    #[error("{reason}")]
    TooLarge {
        /// What it answered.
        reason: String,
    },
    /// The backend does not know this signal at all. As final as [`Permanent`](Self::Permanent).
    #[error("{reason}")]
    Unsupported {
        /// What it answered.
        reason: String,
    },
}

impl ExportError {
    /// Whether the same batch may be sent again.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Retryable { .. })
    }

    /// How long the backend asked to wait, if it did.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Retryable { after, .. } => *after,
            _ => None,
        }
    }
}

/// Sends encoded batches somewhere.
///
/// `export` is one attempt; timeouts, repetitions and accounts are the pipeline's. It runs on the
/// collector's thread and must not block it. Dropping the returned future abandons the attempt.
pub trait Exporter: Send + Sync {
    /// Sends one batch and reads the answer.
    ///
    /// # Errors
    /// Says whether it makes sense to send the batch again.
    fn export(
        &self,
        batch: EncodedBatch,
    ) -> impl Future<Output = Result<ExportOutcome, ExportError>> + Send;

    /// The destination as notices and errors name it, without anything secret.
    fn name(&self) -> &str;

    /// Where records of a signal go, as notices name it; `None` if such records are not taken, and
    /// then none are sent or accounted for here. Always the same answer. Signals with the same place
    /// share a queue; a place that does not answer holds up no other.
    ///
    /// As [`name`](Self::name) unless written otherwise.
    fn place(&self, signal: Signal) -> Option<&str> {
        let _ = signal;
        Some(self.name())
    }

    /// Whether spans that are still open may be reported through it. To be so, it sends log records to a
    /// backend that can [say](ExportOutcome::takes_open_spans) that it wants such reports, which are log
    /// records with an empty request before them, and it sends spans to the same backend: elsewhere the
    /// spans would never arrive, and be shown as lost. Always the same answer.
    ///
    /// `false` unless written otherwise: then it sees neither. The OTLP exporters say so where both
    /// signals have one endpoint; an exporter around another one asks that.
    fn reports_open_spans(&self) -> bool {
        false
    }
}

/// The future of [`ExporterBoxed::export_boxed`].
pub type ExportFuture<'a> =
    Pin<Box<dyn Future<Output = Result<ExportOutcome, ExportError>> + Send + 'a>>;

/// [`Exporter`] for dynamic dispatch; every exporter is one.
pub trait ExporterBoxed: Send + Sync {
    /// [`Exporter::export`].
    fn export_boxed(&self, batch: EncodedBatch) -> ExportFuture<'_>;

    /// [`Exporter::name`].
    fn name_boxed(&self) -> &str;

    /// [`Exporter::place`].
    fn place_boxed(&self, signal: Signal) -> Option<&str>;

    /// [`Exporter::reports_open_spans`].
    fn reports_open_spans_boxed(&self) -> bool;
}

impl<E: Exporter> ExporterBoxed for E {
    fn export_boxed(&self, batch: EncodedBatch) -> ExportFuture<'_> {
        Box::pin(self.export(batch))
    }

    fn name_boxed(&self) -> &str {
        self.name()
    }

    fn place_boxed(&self, signal: Signal) -> Option<&str> {
        self.place(signal)
    }

    fn reports_open_spans_boxed(&self) -> bool {
        self.reports_open_spans()
    }
}
