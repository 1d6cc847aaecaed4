//! Records to batches: encoded once, grouped by scope, finished by number, size or age.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as StdInstant};

use ringlight_model::{CallsiteRegistry, Limits, Signal, Span, StatusCode};
use ringlight_otlp::encode;
use tokio::time::Instant;

use crate::batch::{OpenBatch, Spare};
use crate::config::{CollectorConfig, CollectorConfigError};
use crate::encode::{Encoder, UnknownCallsite};
use crate::export::{BatchId, EncodedBatch};
use crate::processing::{Processing, Processor};
use crate::record::{Record, SpanRecord};
use crate::spans::SpanBatch;
use crate::spans::within_limits;

/// A batch is full when it comes this close to its limit, so that the record that fills it stays
/// below, as a rule, and its buffer does not grow for it.
const HEADROOM_PART: usize = 64;

/// The signals that come through rings.
pub(crate) const RING_SIGNALS: [Signal; 2] = [Signal::Traces, Signal::Logs];

/// The signals of open batches, by their index: audit records have batches of their own.
pub(crate) const LANES: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Logs];
/// The lane of spans.
pub(crate) const TRACES: usize = 0;
/// The lane of log records.
pub(crate) const LOGS: usize = 1;
/// The lane of log records that are audit records.
pub(crate) const AUDIT: usize = 2;

/// The part of a batch's size that a batch of audit records has at most, so that it counts for little beside the
/// other buffers.
const AUDIT_PART: usize = 8;

/// Makes batches of spans: each is encoded once, and a batch is finished when it holds
/// [`batch_records_max`](CollectorConfig::batch_records_max) spans or about
/// [`batch_bytes_max`](CollectorConfig::batch_bytes_max) bytes, or when its first span has waited for
/// [`batch_delay`](CollectorConfig::batch_delay).
///
/// It does no input or output and has no clock of its own to wait with: whoever drives it takes the
/// batches out and hands them to a [`SpanExporter`](crate::SpanExporter). It is the one inside an
/// [`AsyncSpanCollector`](crate::AsyncSpanCollector), and for those who drain a
/// [`SpanCollector`](crate::SpanCollector) themselves. Spans keep the order in which they came.
/// They are not grouped by trace, since no backend asks for that.
///
/// ```
/// use std::time::Instant;
///
/// use ringlight_collector::{BatchProcessor, CollectorConfig, CollectorConfigError};
/// use ringlight_model::{Span, SpanId, TraceId};
///
/// let config = CollectorConfig { batch_records_max: 2, ..CollectorConfig::default() };
/// let mut batches = BatchProcessor::new(&config)?;
/// let mut span = Span { trace_id: TraceId::new(1), span_id: SpanId::new(1), ..Span::default() };
///
/// assert!(batches.add(&span).is_none());
/// span.span_id = SpanId::new(2);
/// let full = batches.add(&span).unwrap();
/// assert_eq!(full.len(), 2);
///
/// batches.add(&span);
/// assert!(batches.take_due(Instant::now()).is_none()); // not old enough
/// assert_eq!(batches.flush().unwrap().len(), 1);
/// # Ok::<(), CollectorConfigError>(())
/// ```
pub struct BatchProcessor {
    encoder: Encoder,
    /// For spans that are added whole; records have been processed before they come here.
    processor: Option<Box<Processor>>,
    limits: Limits,
    /// Open batches of traces, of logs and of audit records.
    open: [OpenBatch; LANES.len()],
    spare: Spare,
    resource: Vec<u8>,
    ids: BatchIds,
    records_max: usize,
    /// A batch is full with as many, by its lane.
    bytes_max: [usize; LANES.len()],
    delay: Duration,
}

impl BatchProcessor {
    /// A processor with these settings; of them, those of batches, the resource, the scope, the
    /// limits and the [processing](CollectorConfig::processing).
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(config: &CollectorConfig) -> Result<Self, CollectorConfigError> {
        config.validate()?;
        let mut config = config.clone();
        Processing::process_settings(&mut config);
        Ok(Self::of_callsites(&config, Arc::default(), BatchIds::new()))
    }

    /// For settings that have been validated.
    pub(crate) fn of_callsites(
        config: &CollectorConfig,
        callsites: Arc<CallsiteRegistry>,
        ids: BatchIds,
    ) -> Self {
        let mut resource = Vec::new();
        encode::resource_message(&mut resource, &config.resource);
        Self {
            processor: Processor::of(&config.processing, &config.limits, &callsites),
            encoder: Encoder::new(callsites, config),
            limits: config.limits,
            open: LANES.map(|_| OpenBatch::new()),
            spare: Spare::new(config.queue_bytes_max),
            resource,
            ids,
            records_max: config.batch_records_max,
            bytes_max: [full_from(config.batch_bytes_max); LANES.len()],
            delay: config.batch_delay,
        }
    }

    /// Adds a span, unless a rule is to leave it out; the batch it completes, if it does. Attributes and texts
    /// over the limits are dropped or cut.
    pub fn add(&mut self, span: &Span<'_>) -> Option<SpanBatch> {
        let processed = match &self.processor {
            Some(processor) => processor.process_span(span)?,
            None => Cow::Borrowed(span),
        };
        let span = within_limits(&processed, &self.limits);
        let batch = &mut self.open[0];
        batch.add(Encoder::SCOPE_OF_NONE, Instant::now(), |buf| {
            encode::span(buf, &span);
        });
        if self.is_full(0) { self.flush() } else { None }
    }

    /// The batch whose first span has waited long enough at `now`.
    pub fn take_due(&mut self, now: StdInstant) -> Option<SpanBatch> {
        let is_due = self.next_due().is_some_and(|due| now >= due);
        if is_due { self.flush() } else { None }
    }

    /// When the batch that is being filled is to be taken out; `None` while it is empty.
    #[must_use]
    pub fn next_due(&self) -> Option<StdInstant> {
        self.due(0).map(Instant::into_std)
    }

    /// What there is, unless there is nothing.
    pub fn flush(&mut self) -> Option<SpanBatch> {
        self.seal(0).map(SpanBatch::new)
    }

    /// Spans that wait for others.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.open[0].records() as usize
    }

    /// Adds a record, made after `since`; whether it completes its batch, which is to be
    /// [sealed](Self::seal) then.
    #[inline]
    pub(crate) fn take(
        &mut self,
        lane: usize,
        record: &Record<'_>,
        since: Instant,
    ) -> Result<bool, UnknownCallsite> {
        let callsite = self.encoder.callsite(record.callsite())?;
        let encoder = &mut self.encoder;
        let scope = encoder.scope_index(callsite);
        self.open[lane].add(scope, since, |buf| match record {
            Record::Span(span) => encoder.span(buf, callsite, span),
            Record::Log(log) => encoder.log(buf, callsite, log),
        });
        Ok(self.is_full(lane))
    }

    /// The status of a span as it will be sent.
    pub(crate) fn status(&mut self, span: &SpanRecord<'_>) -> StatusCode {
        match self.encoder.callsite(span.callsite()) {
            Ok(callsite) => self.encoder.status(callsite, span),
            Err(UnknownCallsite) => span.head().status(),
        }
    }

    fn is_full(&self, lane: usize) -> bool {
        let batch = &self.open[lane];
        let part = if lane == AUDIT { AUDIT_PART } else { 1 };
        batch.bytes() >= self.bytes_max[lane] / part || batch.records() as usize >= self.records_max
    }

    /// Makes the batches of a lane to come about as large as this, at most.
    pub(crate) const fn set_bytes_max(&mut self, lane: usize, bytes: usize) {
        self.bytes_max[lane] = full_from(bytes);
    }

    /// Records in the open batch of a lane.
    pub(crate) const fn records(&self, lane: usize) -> u32 {
        self.open[lane].records()
    }

    /// The batch of a lane, unless it is empty.
    pub(crate) fn seal(&mut self, lane: usize) -> Option<EncodedBatch> {
        let records = self.records(lane);
        if records == 0 {
            return None;
        }
        let bytes = self.open[lane].seal(&self.resource, &self.encoder, &self.spare);
        Some(EncodedBatch {
            signal: LANES[lane],
            bytes,
            records,
            id: self.ids.next().of_audit(lane == AUDIT),
        })
    }

    /// Forgets the open batch of a lane; how many records it held.
    pub(crate) fn abandon(&mut self, lane: usize) -> u64 {
        std::mem::replace(&mut self.open[lane], OpenBatch::new())
            .records()
            .into()
    }

    /// When the batch of a lane is to be sealed.
    pub(crate) fn due(&self, lane: usize) -> Option<Instant> {
        Some(self.open[lane].oldest()? + self.delay)
    }

    /// Bytes of the buffers of batches: open, sealed, and kept for those to come.
    pub(crate) fn held_bytes(&self) -> usize {
        let open: usize = self.open.iter().map(OpenBatch::held_bytes).sum();
        open + self.spare.held_bytes()
    }
}

/// How many bytes make a batch full that is to have about so many at most.
const fn full_from(bytes: usize) -> usize {
    bytes - bytes / HEADROOM_PART
}

/// 32 hexadecimal digits that nothing else has, in this process or another.
///
/// Not of `fastrand`, whose numbers follow from the time since the machine was started, if not from what the
/// application has them follow from: machines that start alike would have the same.
pub(crate) fn random_name() -> String {
    // The keys of a `RandomState` are the operating system's randomness.
    let keys = RandomState::new();
    format!("{:016x}{:016x}", keys.hash_one(1), keys.hash_one(2))
}

/// Names for the batches of one process.
#[derive(Debug, Clone)]
pub(crate) struct BatchIds {
    /// No other process ever has it.
    process: Arc<str>,
    /// Sequence number of the batch sealed last; the first one has 1. `Relaxed`: one thread seals batches.
    sequence: Arc<AtomicU64>,
}

impl BatchIds {
    pub(crate) fn new() -> Self {
        // Not the resource's `service.instance.id`, which may be the same after a restart: a backend
        // would take the batches of the new process for those of the old one.
        Self {
            process: Arc::from(random_name().as_str()),
            sequence: Arc::default(),
        }
    }

    pub(crate) fn next(&self) -> BatchId {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        BatchId::new(Arc::clone(&self.process), sequence)
    }

    /// Sequence number of the batch sealed last, 0 before the first.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for BatchProcessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchProcessor")
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_have_one_name_whatever_the_application_does_with_its_random_numbers() {
        let name = || {
            fastrand::seed(7);
            BatchIds::new().next().to_string()
        };
        assert_ne!(name(), name());
    }
}
