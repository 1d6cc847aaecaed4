//! The collector that drains itself, and producers that wait without holding a thread.

use std::borrow::Borrow;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::{CallsiteRegistry, LedgerSnapshot, Signal, Span, ThreadLedger};
use ringlight_ring::{RegisterError, ReserveError, WaitError};

use super::exporter::{SpanExporterAdapter, SpanExporterBoxed};
use super::producer::{Ended, OpenSpan, SpanContext, SpanProducer, SubmitError, write};
use super::template::{AttributeValue, SpanTemplate};
use crate::accounts::Counted;
use crate::config::CollectorConfig;
use crate::metrics::CollectorMetrics;
use crate::pipeline::{FlushError, Pipeline, StartError};
use crate::record::WORD_BYTES;
use crate::submit::Worth;

/// Rings, a thread that drains them, a [`BatchProcessor`](crate::BatchProcessor) and a
/// [`SpanExporter`](crate::SpanExporter) with its queue, its retries and its ledger.
///
/// The thread and its small runtime are the collector's own: nothing here runs on the application's
/// executor, and the futures work with every one. The collector is woken when a ring is half full
/// and by deadline.
///
/// A full queue of the exporter holds up the drain, the rings fill up, and then a producer that
/// awaits waits: backpressure reaches whoever submits, and nothing is lost on the way. It does so, too,
/// when the destination is away, until it answers again or the batches it does not take are too old
/// ([`RetryConfig::total_max`](crate::RetryConfig::total_max)). Producers that do not await follow the [`policy`](CollectorConfig::policy).
///
/// Dropping it without a [`shutdown`](Self::shutdown) lets the collector finish in the background for
/// up to five seconds.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use ringlight_collector::{
///     AsyncSpanCollector, CollectorConfig, ExportError, ExportOutcome, SpanBatch, SpanExporter,
///     SpanTemplate,
/// };
/// use ringlight_model::Signal;
///
/// /// Takes every batch and keeps none.
/// struct Sink;
///
/// impl SpanExporter for Sink {
///     async fn export(&self, _: SpanBatch) -> Result<ExportOutcome, ExportError> {
///         Ok(ExportOutcome::default())
///     }
///
///     fn name(&self) -> &str {
///         "sink"
///     }
/// }
///
/// static ORDER: SpanTemplate<2> = SpanTemplate::new("shop", "order", ["id", "customer"]);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let collector = AsyncSpanCollector::new(CollectorConfig::default(), Arc::new(Sink))?;
/// let mut producer = collector.register()?;
///
/// let span = producer.start(&ORDER);
/// // the work
/// assert!(producer.end(span, [7.into(), "ada".into()]).await);
///
/// let ledger = collector.shutdown(Duration::from_secs(5)).await;
/// assert_eq!(ledger.account(Signal::Traces).exported, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncSpanCollector {
    pipeline: Pipeline,
}

impl AsyncSpanCollector {
    /// Starts the collector's thread. Connects to nothing: a destination that is not there does not
    /// delay or fail the start.
    ///
    /// # Errors
    /// A setting is out of range, or the system has no thread to give.
    pub fn new(
        config: CollectorConfig,
        exporter: Arc<dyn SpanExporterBoxed>,
    ) -> Result<Self, StartError> {
        let callsites = Arc::<CallsiteRegistry>::default();
        let destination = Arc::new(SpanExporterAdapter::new(exporter));
        let pipeline =
            Pipeline::start_with(config, true, callsites, vec![destination], vec![], None)?;
        Ok(Self { pipeline })
    }

    /// A producer with a ring of its own; a [`SpanProducer`] by [`AsyncSpanProducer::into_sync`].
    ///
    /// # Errors
    /// [`RegisterError::NoFreeSlot`] while there are
    /// [`producers_max`](CollectorConfig::producers_max); [`RegisterError::Closed`] after a shutdown.
    pub fn register(&self) -> Result<AsyncSpanProducer, RegisterError> {
        self.pipeline.register().map(AsyncSpanProducer::from)
    }

    /// Waits until everything submitted before the call has been delivered, refused or dropped.
    /// However long that takes: whoever stops waiting loses nothing.
    ///
    /// # Errors
    /// The collector has been shut down, or the caller is its own exporter.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.pipeline.flushed().await
    }

    /// Takes no more spans, releases producers that wait, delivers what there is within `timeout`,
    /// and ends. What is left then is counted as dropped, in the ledger that is returned.
    ///
    /// The deadline is kept by the collector's thread, whatever the destination does short of
    /// blocking it. A second call waits for the end the first one set in motion.
    pub async fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        self.pipeline.ended(timeout).await
    }

    /// What became of every span so far. It balances at every moment.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.pipeline.ledger()
    }

    /// The ledger by thread, of the same moment: its rows add up to it.
    #[must_use]
    pub fn ledger_by_thread(&self) -> ThreadLedger {
        self.pipeline.ledger_by_thread()
    }

    /// Views of the ledger under the names of the span collector.
    #[must_use]
    pub fn metrics(&self) -> CollectorMetrics {
        self.pipeline.metrics()
    }
}

/// A [`SpanProducer`] that waits for room in its ring as a task, whatever the policy.
///
/// A wait ends when there is room or the collector is shut down. To bound it, put the future into a timeout:
/// a whole span submitted by reference is not lost with the future, and one that is timed is counted as
/// dropped with it.
#[derive(Debug)]
pub struct AsyncSpanProducer {
    producer: SpanProducer,
}

impl From<SpanProducer> for AsyncSpanProducer {
    fn from(producer: SpanProducer) -> Self {
        Self { producer }
    }
}

impl AsyncSpanProducer {
    /// Begins a trace.
    #[inline]
    pub fn start<const N: usize>(&mut self, template: &'static SpanTemplate<N>) -> OpenSpan<N> {
        self.producer.start(template)
    }

    /// Begins a span below another, of this process or not.
    #[inline]
    pub fn start_child<const N: usize>(
        &mut self,
        template: &'static SpanTemplate<N>,
        parent: SpanContext,
    ) -> OpenSpan<N> {
        self.producer.start_child(template, parent)
    }

    /// As [`SpanProducer::end`], but waits until there is room: what is returned is that wait, which is over
    /// at once where there is room.
    ///
    /// The span ends now, and not when there was room. A wait that is given up, before or while it waits,
    /// is a drop for want of room, and counted as that.
    pub fn end<const N: usize>(
        &mut self,
        span: OpenSpan<N>,
        values: [AttributeValue<'_>; N],
    ) -> impl Future<Output = bool> {
        let decided = if span.context().is_sampled {
            let ended = self.producer.ended(&span, &values);
            if self.has_room(&ended) {
                Ok(self.submit(&ended, &values))
            } else {
                Err((Waiting::of(self), ended))
            }
        } else {
            Ok(false)
        };
        async move {
            match decided {
                Ok(is_taken) => is_taken,
                Err((waiting, ended)) => waiting.end(&ended, &values).await,
            }
        }
    }

    fn has_room(&mut self, ended: &Ended) -> bool {
        let len_bytes = ended.words * WORD_BYTES;
        let ring = &mut self.producer.ring;
        let reserved = ring.reserve(len_bytes).map(drop);
        // Any other error shows in the attempt.
        reserved != Err(ReserveError::Full)
            || (ended.is_urgent() && ring.reserve_urgent(len_bytes).is_ok())
    }

    fn submit(&mut self, ended: &Ended, values: &[AttributeValue<'_>]) -> bool {
        let SpanProducer { ring, origin, .. } = &mut self.producer;
        let text_bytes_max = origin.limits().text_bytes_max;
        let fill = &|room: &mut [u8]| write(room, &ended.header, values, text_bytes_max);
        let worth = || Worth::urgent_if(ended.is_urgent());
        let len_bytes = ended.words * WORD_BYTES;
        let shared = &origin.shared;
        shared.submit(ring, Signal::Traces, len_bytes, worth, fill)
    }

    /// As [`SpanProducer::submit_span`], but waits until there is room.
    ///
    /// # Errors
    /// The collector has been shut down, before or while this waited; the span does not fit into half
    /// a ring, or is not valid. It comes back.
    pub async fn submit_span<'a, S: Borrow<Span<'a>>>(
        &mut self,
        span: S,
    ) -> Result<(), SubmitError<S>> {
        let Some(is_urgent) = self.producer.prepare(span.borrow()) else {
            return Err(SubmitError::Invalid(span));
        };
        let offered = self.offer(is_urgent).await;
        self.producer.tidy();
        offered.map_err(|error| SubmitError::new(error, span))
    }

    async fn offer(&mut self, is_urgent: bool) -> Result<(), ReserveError> {
        loop {
            let len_bytes = self.producer.scratch.len();
            match self.producer.try_offer(is_urgent) {
                Err(ReserveError::Full) => {}
                decided => return decided,
            }
            match self.room(len_bytes).await {
                Ok(()) => {}
                Err(WaitError::TooLarge) => return Err(ReserveError::TooLarge),
                Err(_) => return Err(ReserveError::Closed),
            }
        }
    }

    /// Waits until a record of this length fits.
    async fn room(&mut self, len_bytes: usize) -> Result<(), WaitError> {
        let SpanProducer { ring, origin, .. } = &mut self.producer;
        if !origin.shared.has_collector() {
            // Nobody drains in a forked process.
            return Err(WaitError::Closed);
        }
        poll_fn(|context| ring.poll_room(len_bytes, context)).await?;
        ring.add(Counted::Retry.index(Signal::Traces), 1);
        Ok(())
    }

    /// As [`submit_span`](Self::submit_span), but never waits, whatever the policy: for want of room the
    /// span comes back at once.
    ///
    /// # Errors
    /// As [`SpanProducer::submit_span`].
    pub fn try_submit_span<'a, S: Borrow<Span<'a>>>(
        &mut self,
        span: S,
    ) -> Result<(), SubmitError<S>> {
        let Some(is_urgent) = self.producer.prepare(span.borrow()) else {
            return Err(SubmitError::Invalid(span));
        };
        let offered = self.producer.try_offer(is_urgent);
        self.producer.tidy();
        offered.map_err(|error| SubmitError::new(error, span))
    }

    /// The same producer, for a thread.
    #[must_use]
    pub fn into_sync(self) -> SpanProducer {
        self.producer
    }
}

/// A span that has ended and waits for room. Giving that up drops it, and counts it.
struct Waiting<'a> {
    producer: &'a mut AsyncSpanProducer,
    is_given_up: bool,
}

impl<'a> Waiting<'a> {
    fn of(producer: &'a mut AsyncSpanProducer) -> Self {
        let ring = &mut producer.producer.ring;
        ring.add(Counted::FullRing.index(Signal::Traces), 1);
        Self {
            producer,
            is_given_up: true,
        }
    }

    async fn end(mut self, ended: &Ended, values: &[AttributeValue<'_>]) -> bool {
        // Whatever ends the wait without room shows in the attempt.
        let _ = self.producer.room(ended.words * WORD_BYTES).await;
        self.is_given_up = false;
        self.producer.submit(ended, values)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_given_up {
            let ring = &mut self.producer.producer.ring;
            for counted in [Counted::Submitted, Counted::RingFull] {
                ring.add(counted.index(Signal::Traces), 1);
            }
        }
    }
}
