//! The handle the application holds: start, flush, shut down, read the ledger.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use ringlight_clock::Clock;
use ringlight_model::{CostSnapshot, DeliverySnapshot, LedgerSnapshot, Resource, ThreadLedger};
use ringlight_ring::{RegisterError, RingSender};
use tokio::sync::oneshot;

use crate::accounts::Accounts;
use crate::control::{Answer, Command, Control};
use crate::mark::in_pipeline;
use crate::meter::Meter;
use crate::metrics::CollectorMetrics;
use crate::open_spans::OpenSpanSource;
use crate::processing::{Processing, Redaction, RuleCount};
use crate::recorder::Recorder;
use crate::requests::{AttributeRules, RequestSender};
use crate::spans::{Origin, SpanProducer};
use crate::submit::Shared;
use crate::text::Readable;

mod start;

pub use start::StartError;

/// How long a pipeline that is dropped without a shutdown goes on in the background.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// The time was up before everything had left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The pipeline goes on with what is still in flight.
    #[error("{in_flight} records are still on their way after {}", Readable(*timeout))]
    Timeout {
        /// How long was waited.
        timeout: Duration,
        /// Records still in flight, all signals together.
        in_flight: u64,
    },
    /// The pipeline has ended, or is that of the process this one was forked from; there is nothing
    /// to flush.
    #[error("the pipeline has been shut down")]
    Closed,
    /// A thread of the pipeline itself cannot wait for the pipeline.
    #[error("flushed from a thread of the pipeline itself")]
    InPipeline,
}

/// A running pipeline: rings, collector thread, destinations.
///
/// All methods may be called from any thread, inside or outside any async runtime: they wait for
/// the collector's own thread, never for the caller's runtime. Dropping it without
/// [`shutdown`](Self::shutdown) lets the collector finish in the background for up to five seconds.
///
/// A process that was forked from this one has a copy without the collector's thread: there nothing
/// waits, be it for a lock that another thread held. What is recorded is dropped, and the ledgers are
/// empty.
pub struct Pipeline {
    shared: Arc<Shared>,
    spans: Arc<Origin>,
    sender: RingSender,
    accounts: Arc<Accounts>,
    control: Arc<Control>,
    meter: Arc<Meter>,
    clock: Arc<Clock>,
    processing: Processing,
    destinations: Vec<String>,
    request_sender: Option<RequestSender>,
    attribute_rules: AttributeRules,
    resource: Arc<Resource<'static>>,
}

impl Pipeline {
    /// A handle to record with.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.shared))
    }

    /// A handle to send requests with that are not made of records: those of metrics. What waits to be taken over is
    /// bounded by [`queue_bytes_max`](crate::CollectorConfig::queue_bytes_max). `None` if no destination takes metrics.
    #[must_use]
    pub fn request_sender(&self) -> Option<RequestSender> {
        self.request_sender.clone()
    }

    /// The rules for attributes that others than the pipeline write, as those of metrics.
    #[must_use]
    pub fn attribute_rules(&self) -> AttributeRules {
        self.attribute_rules.clone()
    }

    /// What the process says about itself, by the rules.
    #[must_use]
    pub fn resource(&self) -> &Resource<'static> {
        &self.resource
    }

    /// Has destinations that are a Ringlight backend told of the spans that `source` knows to be open
    /// for long ([`open_span_after`](crate::CollectorConfig::open_span_after)). There can be one source; a second one is
    /// ignored.
    pub fn report_open_spans(&self, source: Arc<dyn OpenSpanSource>) {
        if self.shared.has_collector() && self.control.send(Command::ReportOpen(source)) {
            self.sender.wake();
        }
    }

    /// A producer of spans with a ring of its own.
    ///
    /// # Errors
    /// All [`producers_max`](crate::CollectorConfig::producers_max) rings are in use, or the pipeline has
    /// been shut down.
    pub fn register(&self) -> Result<SpanProducer, RegisterError> {
        self.spans.register()
    }

    /// The ledger of the first destination, exact at this moment.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.snapshot(0)
    }

    /// The ledger of the first destination by thread, exact at this moment: its rows add up to it. There
    /// are three rows at most beside those of threads that own rings, of which there are
    /// [`producers_max`](crate::CollectorConfig::producers_max) at most.
    #[must_use]
    pub fn ledger_by_thread(&self) -> ThreadLedger {
        if self.shared.has_collector() {
            self.accounts.by_thread(0)
        } else {
            ThreadLedger::default()
        }
    }

    /// Redacts this from now on in place of what the [base](Processing::base_redaction) of the
    /// [processing](crate::CollectorConfig::processing) was; all other rules stay. Records that are still in the rings go by it;
    /// the resource and scopes stay as they were at the start. Rules that come back count on.
    ///
    /// # Errors
    /// There is no base, so that nobody is to change it, or the pipeline has been shut down: the redaction is handed back.
    pub fn set_base_redaction(&self, redaction: Redaction) -> Result<(), Redaction> {
        let Some(new) = self.processing.rebased(redaction.clone()) else {
            return Err(redaction);
        };
        // Made here, so that expressions are not compiled on the collector's thread.
        let _ = new.rules();
        self.attribute_rules.set_processing(new.clone());
        if !self.shared.has_collector() || !self.control.send(Command::Process(Box::new(new))) {
            return Err(redaction);
        }
        self.sender.wake();
        Ok(())
    }

    /// How often each rule of the [processing](crate::CollectorConfig::processing) has replaced or left out something.
    #[must_use]
    pub fn processing_counts(&self) -> Vec<RuleCount> {
        self.processing.counts()
    }

    /// What observing has cost so far.
    #[must_use]
    pub fn cost(&self) -> CostSnapshot {
        if self.shared.has_collector() {
            self.meter.snapshot()
        } else {
            CostSnapshot::default()
        }
    }

    /// The clock that spans are timed by, kept by the collector's thread.
    #[must_use]
    pub fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    /// Where whoever records on the application's threads says what that takes.
    #[must_use]
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// The ledger of every destination, by name. The submitted records are the same for all.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(String, LedgerSnapshot)> {
        self.destinations
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), self.snapshot(index)))
            .collect()
    }

    /// Slices that were not recorded, since there was no room: see [`Recorder::record_slice`]. They are in no ledger.
    #[must_use]
    pub fn slices_dropped(&self) -> u64 {
        self.shared.slices_dropped()
    }

    /// How every destination is sent to, by name.
    #[must_use]
    pub fn deliveries(&self) -> Vec<(String, DeliverySnapshot)> {
        let has_collector = self.shared.has_collector();
        let delivery = |index| match has_collector {
            true => self.accounts.delivery(index),
            false => DeliverySnapshot::default(),
        };
        let names = self.destinations.iter().enumerate();
        names
            .map(|(index, name)| (name.clone(), delivery(index)))
            .collect()
    }

    fn snapshot(&self, index: usize) -> LedgerSnapshot {
        if self.shared.has_collector() {
            self.accounts.snapshot(index)
        } else {
            LedgerSnapshot::default()
        }
    }

    /// Waits until everything recorded before the call has been delivered, refused or dropped at
    /// every destination, at most for `timeout`. With a [spool](crate::CollectorConfig::spool) it is enough that
    /// records for a destination that is away, or asked for time, are on disk.
    ///
    /// Flushes share batches: while the one an earlier flush sealed is on its way, the next is sealed
    /// 100 ms after it, or after [`batch_delay`](crate::CollectorConfig::batch_delay) where that is shorter. One
    /// whose time is up leaves nothing behind.
    ///
    /// # Errors
    /// The time was up first, the pipeline has ended, or the caller is the pipeline itself.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if in_pipeline() {
            return Err(FlushError::InPipeline);
        }
        if !self.shared.has_collector() {
            return Err(FlushError::Closed);
        }
        let (answer, answered) = Answer::to_thread();
        if !self.control.send(Command::Flush(answer)) {
            return Err(FlushError::Closed);
        }
        self.sender.wake();
        match answered.receiver.recv_timeout(timeout) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(FlushError::Closed),
            Err(RecvTimeoutError::Timeout) => Err(FlushError::Timeout {
                timeout,
                in_flight: self.accounts.in_flight(),
            }),
        }
    }

    /// Waits until the [sinks](crate::RecordSink) have seen everything recorded before the call, at most for `timeout`; what
    /// becomes of it at the destinations is not waited for. Whether they have.
    pub fn show_sinks(&self, timeout: Duration) -> bool {
        if in_pipeline() || !self.shared.has_collector() {
            return false;
        }
        let (answer, answered) = Answer::to_thread();
        if !self.control.send(Command::ShowSinks(answer)) {
            return false;
        }
        self.sender.wake();
        answered.receiver.recv_timeout(timeout).is_ok()
    }

    /// As [`flush`](Self::flush), for a task, without a limit of time.
    pub(crate) async fn flushed(&self) -> Result<(), FlushError> {
        if in_pipeline() {
            return Err(FlushError::InPipeline);
        }
        let (answer, answered) = oneshot::channel();
        let is_sent =
            self.shared.has_collector() && self.control.send(Command::Flush(Answer::Task(answer)));
        if !is_sent {
            return Err(FlushError::Closed);
        }
        self.sender.wake();
        answered.await.map_err(|_| FlushError::Closed)
    }

    /// As [`shutdown`](Self::shutdown), for a task.
    pub(crate) async fn ended(&self, timeout: Duration) -> LedgerSnapshot {
        if self.shared.has_collector() {
            self.control.send(Command::Shutdown(timeout));
            // Wakes the collector, too.
            self.sender.close();
            if !in_pipeline() {
                self.control.ended().await;
            }
        }
        self.ledger()
    }

    /// The accounts of spans of the first destination under the names of the span collector.
    pub(crate) fn metrics(&self) -> CollectorMetrics {
        if self.shared.has_collector() {
            self.accounts.metrics(0)
        } else {
            CollectorMetrics::default()
        }
    }

    /// Takes no more records, delivers what there is within `timeout`, and ends. What is left then
    /// is counted as dropped.
    ///
    /// Returns by the deadline whatever the destinations do; the ledger it returns is final if the
    /// collector ended in time, which it always does unless a sink blocks. A second call waits for
    /// the end the first one set in motion, at most for its own `timeout`.
    pub fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        if !self.shared.has_collector() {
            return self.ledger();
        }
        self.control.send(Command::Shutdown(timeout));
        // Wakes the collector, too.
        self.sender.close();
        if !in_pipeline() {
            self.control.wait_ended(timeout);
        }
        self.ledger()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.shared.has_collector() {
            self.control.send(Command::Shutdown(DROP_TIMEOUT));
            self.sender.close();
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}
