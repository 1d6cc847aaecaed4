//! The collector that its owner drains.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringlight_model::{
    CallsiteRegistry, DropReason, LedgerSnapshot, Limits, Signal, Span, ThreadLedger,
};
use ringlight_otlp::encode::proto;
use ringlight_ring::{RegisterError, RingConfig, RingReceiver, Wake};

use super::batch::visit_spans;
use super::producer::{Origin, SpanProducer};
use crate::accounts::{Accounts, SignalSet};
use crate::config::{CollectorConfig, CollectorConfigError, HEADROOM_PART};
use crate::encode::Encoder;
use crate::metrics::CollectorMetrics;
use crate::record::{Record, SpanRecord};
use crate::submit::Shared;

/// Rings, one a producer, and the one end that drains them: no thread, no runtime, no exporter.
///
/// Whoever owns it decides when spans are taken out and what becomes of them, with a
/// [`BatchProcessor`](crate::BatchProcessor) for instance. In its ledger a span counts as exported
/// once it has been shown. Dropping it closes it.
///
/// ```
/// use ringlight_collector::{CollectorConfig, SpanCollector, SubmitError};
/// use ringlight_model::{Span, SpanId, TraceId};
///
/// let mut collector = SpanCollector::new(CollectorConfig::default())?;
/// let mut producer = collector.register()?;
/// let worker = std::thread::spawn(move || {
///     producer.submit_span(Span {
///         trace_id: TraceId::new(1),
///         span_id: SpanId::new(2),
///         name: "work".into(),
///         ..Span::default()
///     })
/// });
/// worker.join().unwrap().unwrap();
///
/// let mut names = Vec::new();
/// collector.consume_all_up_to(10_000, |span| names.push(span.name.to_string()));
/// assert_eq!(names, ["work"]);
/// assert!(collector.ledger().balances());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SpanCollector {
    origin: Arc<Origin>,
    receiver: RingReceiver,
    wake: Wake,
    accounts: Accounts,
    encoder: Encoder,
    limits: Limits,
    /// One span as it is encoded, and the request around it; kept for their memory.
    item: Vec<u8>,
    request: Vec<u8>,
}

impl SpanCollector {
    /// A collector with these settings; of them, those of rings and limits.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(config: CollectorConfig) -> Result<Self, CollectorConfigError> {
        config.validate()?;
        let (sender, receiver) = config.channel()?;
        let callsites = Arc::<CallsiteRegistry>::default();
        let shared = Shared::new(sender.clone(), config.policy, config.notices.clone());
        Ok(Self {
            origin: Origin::new(
                shared,
                Arc::clone(&callsites),
                config.limits,
                config.clock(),
            ),
            wake: receiver.wake_handle(),
            receiver,
            accounts: Accounts::new(sender, [SignalSet::default()]),
            encoder: Encoder::new(callsites, &config),
            limits: config.limits,
            item: Vec::new(),
            request: Vec::new(),
        })
    }

    /// A producer with a ring of its own.
    ///
    /// # Errors
    /// [`RegisterError::NoFreeSlot`] while there are
    /// [`producers_max`](CollectorConfig::producers_max); [`RegisterError::Closed`] after
    /// [`close`](Self::close).
    pub fn register(&self) -> Result<SpanProducer, RegisterError> {
        self.origin.register()
    }

    /// A handle that registers producers from other threads, while this one drains.
    #[must_use]
    pub fn registrar(&self) -> SpanRegistrar {
        SpanRegistrar {
            origin: Arc::clone(&self.origin),
        }
    }

    /// Takes up to `spans_max` spans out of the rings and shows each, in the order of its producer.
    /// How many there were; fewer than `spans_max` when no more were there at the start.
    ///
    /// When `visit` unwinds, the span it was shown counts as taken out.
    pub fn consume_all_up_to(
        &mut self,
        spans_max: usize,
        mut visit: impl FnMut(&Span<'_>),
    ) -> usize {
        let mut post = Post {
            accounts: &self.accounts,
            shown: 0,
            malformed: 0,
            negative_durations: 0,
        };
        let (encoder, item, request) = (&mut self.encoder, &mut self.item, &mut self.request);
        let limits = self.limits;
        self.receiver.drain_records(spans_max as u64, |bytes| {
            item.clear();
            let Some(span) = encode(encoder, bytes, item) else {
                post.malformed += 1;
                return;
            };
            post.negative_durations += u64::from(span.ends_before_it_starts());
            frame(request, item);
            let before = post.shown;
            // Whatever it says, what was not shown is counted below.
            let _ = visit_spans(request, limits, |_, _, span| {
                post.shown += 1;
                visit(span);
            });
            post.malformed += u64::from(post.shown == before);
        });
        post.shown as usize
    }

    /// Blocks until there is a span to take out or the collector is [closed](Self::close), at most for
    /// `timeout`; whether one of them is so. The first span that is submitted meanwhile rouses it.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        loop {
            // Asked before looking: what comes later calls.
            if !self.receiver.listen() || self.receiver.is_closed() {
                return true;
            }
            let left = until.map_or(timeout, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            self.wake.wait_timeout(left);
        }
    }

    /// Takes no more spans: whoever submits gets [`Closed`](crate::SubmitError::Closed), whoever
    /// waits is released. What was taken before stays to be drained.
    pub fn close(&self) {
        self.origin.shared.sender.close();
    }

    /// What became of every span so far.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.accounts.snapshot(0)
    }

    /// The ledger by thread, of the same moment: its rows add up to it.
    #[must_use]
    pub fn ledger_by_thread(&self) -> ThreadLedger {
        self.accounts.by_thread(0)
    }

    /// Views of the ledger under the names of the span collector.
    #[must_use]
    pub fn metrics(&self) -> CollectorMetrics {
        self.accounts.metrics(0)
    }
}

impl fmt::Debug for SpanCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanCollector").finish_non_exhaustive()
    }
}

/// Registers producers of a [`SpanCollector`] from anywhere.
#[derive(Clone)]
pub struct SpanRegistrar {
    origin: Arc<Origin>,
}

impl SpanRegistrar {
    /// As [`SpanCollector::register`].
    ///
    /// # Errors
    /// As there.
    pub fn register(&self) -> Result<SpanProducer, RegisterError> {
        self.origin.register()
    }
}

impl fmt::Debug for SpanRegistrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanRegistrar").finish_non_exhaustive()
    }
}

impl CollectorConfig {
    /// The rings, for settings that have been validated.
    pub(crate) fn channel(
        &self,
    ) -> Result<(ringlight_ring::RingSender, RingReceiver), CollectorConfigError> {
        let rings = RingConfig::new(self.ring_bytes(), self.producers_max)
            .with_headroom(self.ring_bytes() / HEADROOM_PART);
        ringlight_ring::channel(rings).map_err(|error| CollectorConfigError {
            field: "ring_bits",
            value: self.ring_bits.to_string(),
            allowed: error.to_string(),
        })
    }
}

/// Books what was taken out when the drain ends, however it ends.
struct Post<'a> {
    accounts: &'a Accounts,
    shown: u64,
    malformed: u64,
    negative_durations: u64,
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        if self.shown > 0 {
            self.accounts.drained(Signal::Traces, self.shown, &[]);
        }
        if self.malformed > 0 {
            let reason = DropReason::Malformed;
            self.accounts.lost(Signal::Traces, self.malformed, reason);
        }
        if self.negative_durations > 0 {
            self.accounts
                .add_negative_durations(self.negative_durations);
        }
    }
}

/// Encodes a record as an item of OTLP's `ScopeSpans`, if it is a span.
fn encode<'a>(
    encoder: &mut Encoder,
    bytes: &'a [u8],
    item: &mut Vec<u8>,
) -> Option<SpanRecord<'a>> {
    let Ok(Record::Span(span)) = Record::parse(bytes) else {
        return None;
    };
    let callsite = encoder.callsite(span.callsite()).ok()?;
    encoder.span(item, callsite, &span);
    Some(span)
}

/// An item of `ScopeSpans` as the only one of an `ExportTraceServiceRequest`.
pub(super) fn frame(request: &mut Vec<u8>, item: &[u8]) {
    // `ExportTraceServiceRequest.resource_spans` and `ResourceSpans.scope_spans`.
    const RESOURCE_SPANS: u32 = 1;
    const SCOPE_SPANS: u32 = 2;
    request.clear();
    let scope = 1 + proto::varint_size(item.len() as u64) + item.len();
    proto::delimited(request, RESOURCE_SPANS, scope);
    proto::delimited(request, SCOPE_SPANS, item.len());
    request.extend_from_slice(item);
}
