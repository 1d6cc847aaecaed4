//! Spans that are still open, on their way to a Ringlight backend.
//!
//! A span becomes a record when it closes; until then nobody outside knows of it. Those that have been
//! open for long are reported as they are, again in every interval, so that the backend can show them
//! and tell when it last heard of them. Such a report goes around the queue and the books, as the
//! ledger's does: it is about spans that will be records, and is none of them.
//!
//! Looking takes time on the collector's thread and a timer. Neither happens while nothing is open:
//! then the source is asked to rouse the collector with the next span.

mod round;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use ringlight_model::{CallsiteRegistry, Limits, Signal};
use ringlight_otlp::encode;
use ringlight_otlp::open_report::{self, OpenSpan, Round};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batch_processor::random_name;
use crate::config::CollectorConfig;
use crate::destination::Destination;
use crate::encode::Encoder;
use crate::export::{BatchId, EncodedBatch, ExportError, ExportOutcome};
use crate::processing::{Processed, Processing, Processor};
use crate::record::{Record, WORD_BYTES, copy_words};
use crate::send::Unsent;
use crate::sync::unpoisoned;

use round::Oldest;

/// Parts of a source that are looked at before others get their turn on the thread.
const PARTS_AT_ONCE: usize = 64;

/// A backend that does not answer is told half as often after each time, so many times.
const PATIENCE_DOUBLINGS: u32 = 5;

/// How often a backend that does not answer is told that nothing is open any more.
const LAST_WORDS: u32 = 3;

/// Who knows the spans that are open. Asked on the collector's thread, must not block it, and must not
/// hold up those who open and close spans.
pub trait OpenSpanSource: Send + Sync {
    /// How many parts there are to look at; each is looked at in microseconds.
    fn parts(&self) -> usize;

    /// Shows the spans of one part that are open and recorded, in no order.
    fn look(&self, part: usize, seen: &mut dyn FnMut(SeenSpan));

    /// The words of the [record](crate::record) of a span as it is now, which ends now; `None` if it has
    /// closed meanwhile, or cannot be read because it is being changed.
    fn record(&self, key: u64) -> Option<Vec<u64>>;

    /// Asks for [`Recorder::rouse`](crate::Recorder::rouse) when the next span is opened. It may be
    /// missed by one that is being opened right now.
    fn listen(&self);

    /// Whether no span was opened since [`listen`](Self::listen).
    fn is_listening(&self) -> bool;
}

/// A span that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenSpan {
    /// What the source knows it by; never that of another span.
    pub key: u64,
    /// How long it has been open.
    pub open_for: Duration,
}

/// The reports of open spans to all destinations.
pub(crate) struct OpenReports {
    /// Those that may be told of spans, by log records.
    targets: Vec<Arc<Target>>,
    source: OnceLock<Arc<dyn OpenSpanSource>>,
    encoder: Mutex<Encoder>,
    /// What is reported leaves the process as spans do.
    processor: Mutex<Option<Box<Processor>>>,
    callsites: Arc<CallsiteRegistry>,
    limits: Limits,
    /// The encoded resource.
    resource: Vec<u8>,
    /// Names the requests.
    instance: Arc<str>,
    after: Duration,
    interval: Duration,
    export_timeout: Duration,
    /// Bytes of records in a report, about.
    bytes_max: usize,
    rounds: Mutex<u64>,
    /// Numbers the requests. Relaxed: only the uniqueness of the number matters.
    requests: AtomicU64,
    /// The collector was roused, or something else may have changed.
    changed: Notify,
}

struct Target {
    destination: Arc<Destination>,
    state: Mutex<TargetState>,
}

#[derive(Debug, Default)]
struct TargetState {
    /// Whether the last report it took had spans in it.
    knows_some: bool,
    /// Reports without an answer, in a row.
    failures: u32,
    /// Reports until it is told again.
    patience: u32,
}

impl OpenReports {
    pub(crate) fn new(
        config: &CollectorConfig,
        callsites: Arc<CallsiteRegistry>,
        destinations: &[Arc<Destination>],
    ) -> Self {
        let is_off = config.report_interval.is_zero() || config.open_span_after.is_zero();
        let takes = |destination: &&Arc<Destination>| !is_off && destination.reports_open_spans();
        let target = |destination: &Arc<Destination>| {
            Arc::new(Target {
                destination: Arc::clone(destination),
                state: Mutex::default(),
            })
        };
        let mut resource = Vec::new();
        encode::resource_message(&mut resource, &config.resource);
        Self {
            targets: destinations.iter().filter(takes).map(target).collect(),
            source: OnceLock::new(),
            processor: Mutex::new(Processor::of(
                &config.processing,
                &config.limits,
                &callsites,
            )),
            encoder: Mutex::new(Encoder::new(Arc::clone(&callsites), config)),
            callsites,
            limits: config.limits,
            resource,
            instance: Arc::from(format!("{}-open", random_name()).as_str()),
            after: config.open_span_after,
            interval: config.report_interval,
            export_timeout: config.export_timeout,
            bytes_max: config.batch_bytes_max,
            rounds: Mutex::default(),
            requests: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// Takes the source, if there is none yet.
    pub(crate) fn watch(&self, source: Arc<dyn OpenSpanSource>) {
        let _ = self.source.set(source);
        self.changed.notify_one();
    }

    /// Goes by these rules from the next report on.
    pub(crate) fn go_by(&self, processing: &Processing) {
        let new = Processor::of(processing, &self.limits, &self.callsites);
        *unpoisoned(self.processor.lock()) = new;
    }

    /// Says that a span may have been opened, or a backend have answered, since the last call.
    pub(crate) fn expect_change(&self) {
        self.changed.notify_one();
    }

    /// Reports whenever a span has been open for long, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let source = self.source.get().filter(|_| self.is_wanted());
            let Some(source) = source else {
                self.changed.notified().await;
                continue;
            };
            let was_listening = source.is_listening();
            let oldest = self.look(&**source).await;
            match oldest.open_for() {
                open_for if self.owes() || open_for >= Some(self.after) => {
                    let until = Instant::now() + self.export_timeout;
                    self.report(&**source, oldest, false, until).await;
                    tokio::time::sleep(self.interval).await;
                }
                // None that is opened meanwhile will have been open for long by then.
                Some(open_for) => {
                    let wait = self.after.saturating_sub(open_for);
                    tokio::time::sleep(wait.max(self.interval)).await;
                }
                None if was_listening => self.roused(&**source).await,
                None => {
                    source.listen();
                    // Looked at once more before a sleep without an end, for one that is being opened.
                    tokio::time::sleep(self.after.max(self.interval)).await;
                }
            }
        }
    }

    /// The last report, done by `deadline`: the process ends, and what is open will not close.
    pub(crate) async fn finish(self: Arc<Self>, deadline: Instant) {
        let until = deadline.min(Instant::now() + self.export_timeout);
        if let Some(source) = self.source.get()
            && self.owes()
            && until > Instant::now()
        {
            let oldest = self.look(&**source).await;
            self.report(&**source, oldest, true, until).await;
        }
    }

    /// Whether there may be a backend that wants to know.
    fn is_wanted(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.destination.takes_open_spans() != Some(false))
    }

    /// Whether a backend was told of spans that are open.
    fn owes(&self) -> bool {
        self.targets.iter().any(|target| target.state().knows_some)
    }

    /// Waits until a span is opened.
    async fn roused(&self, source: &dyn OpenSpanSource) {
        while source.is_listening() {
            self.changed.notified().await;
        }
    }

    async fn look(&self, source: &dyn OpenSpanSource) -> Oldest {
        let mut oldest = Oldest::new(self.after);
        for part in 0..source.parts() {
            source.look(part, &mut |seen| oldest.add(seen));
            if part % PARTS_AT_ONCE == PARTS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        oldest
    }

    /// Tells all backends that want to know, side by side and in time.
    async fn report(
        &self,
        source: &dyn OpenSpanSource,
        oldest: Oldest,
        is_final: bool,
        until: Instant,
    ) {
        let number = {
            let mut rounds = unpoisoned(self.rounds.lock());
            *rounds += 1;
            *rounds
        };
        let found = oldest.found();
        let spans = self.spans(source, oldest);
        let round = Round {
            sender: Cow::Borrowed(&self.instance),
            number,
            interval_ms: self.interval.as_millis() as u64,
            left_out: (found - spans.len()) as u64,
            is_final,
        };
        let now_unix_nano = ringlight_clock::wall_unix_nano();
        let request = open_report::encode(&self.resource, &round, now_unix_nano, &spans);
        let probe = self.request(Vec::new(), 0);
        let report = self.request(request, spans.len());
        let mut told = JoinSet::new();
        for target in &self.targets {
            let (probe, report) = (probe.clone(), report.clone());
            told.spawn(Arc::clone(target).tell(probe, report, until));
        }
        while told.join_next().await.is_some() {}
    }

    /// A request under a name of its own: what came under one before need not be looked at again.
    fn request(&self, bytes: Vec<u8>, records: usize) -> EncodedBatch {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        EncodedBatch {
            signal: Signal::Logs,
            bytes: Bytes::from(bytes),
            records: records as u32,
            id: BatchId::new(Arc::clone(&self.instance), number),
        }
    }

    /// The oldest spans as they are now, as many as a report may hold.
    fn spans(&self, source: &dyn OpenSpanSource, oldest: Oldest) -> Vec<OpenSpan<'static>> {
        let mut encoder = unpoisoned(self.encoder.lock());
        let mut processor = unpoisoned(self.processor.lock());
        let mut spans = Vec::new();
        let mut bytes_left = self.bytes_max;
        for key in oldest.keys() {
            let Some(words) = source.record(key) else {
                continue;
            };
            let mut bytes = vec![0; words.len() * WORD_BYTES];
            copy_words(words, &mut bytes);
            let Ok(record) = Record::parse(&bytes) else {
                continue;
            };
            let processed = processor
                .as_mut()
                .map(|processor| processor.process(&record));
            let left = match processed {
                None | Some(Processed::Same) => Ok(record),
                Some(Processed::Changed(bytes)) => Record::parse(bytes),
                Some(Processed::Filtered | Processed::Malformed) => continue,
            };
            let Ok(Record::Span(span)) = left else {
                continue;
            };
            let Ok(scope_spans) = encoder.scope_spans(&span) else {
                continue;
            };
            let Some(left) = bytes_left.checked_sub(scope_spans.len()) else {
                break;
            };
            bytes_left = left;
            spans.push(OpenSpan {
                trace_id: span.trace_id(),
                span_id: span.span_id(),
                scope_spans: Cow::Owned(scope_spans),
            });
        }
        spans
    }
}

impl Target {
    fn state(&self) -> MutexGuard<'_, TargetState> {
        unpoisoned(self.state.lock())
    }

    /// Sends a report if the backend takes it, after finding that out with an empty request, which any
    /// backend answers.
    async fn tell(self: Arc<Self>, probe: EncodedBatch, report: EncodedBatch, until: Instant) {
        let has_spans = report.records > 0;
        let is_of_interest = has_spans || self.state().knows_some;
        if !is_of_interest || !self.is_due() {
            return;
        }
        if self.destination.takes_open_spans().is_none() {
            self.send(probe, until).await;
        }
        if self.destination.takes_open_spans() == Some(true) && self.send(report, until).await {
            self.state().knows_some = has_spans;
        }
    }

    /// Whether it is the turn of a backend that did not answer the last time.
    fn is_due(&self) -> bool {
        let mut state = self.state();
        state.patience = state.patience.saturating_sub(1);
        state.patience == 0 && !self.destination.is_away()
    }

    /// Whether it was taken.
    async fn send(&self, batch: EncodedBatch, until: Instant) -> bool {
        let is_empty = batch.records == 0;
        let answer = self.destination.send(batch, until).await;
        let mut state = self.state();
        if let Ok(outcome) = &answer {
            self.destination.note(outcome);
            state.failures = 0;
            return true;
        }
        // It takes no log records: as final as its word.
        if let Err(Unsent::Failed(
            ExportError::Unsupported { .. } | ExportError::Permanent { .. },
        )) = answer
        {
            self.destination.note(&ExportOutcome::default());
        }
        state.failures = state.failures.saturating_add(1);
        state.patience = 1 << state.failures.min(PATIENCE_DOUBLINGS);
        if is_empty && state.failures >= LAST_WORDS {
            state.knows_some = false;
        }
        false
    }
}
