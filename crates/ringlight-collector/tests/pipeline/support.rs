//! What the tests of the pipeline share: records to hand over, and an exporter that does as it is
//! told.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use ringlight_collector::record::{ItemWriter, Key, LogHeader, Record, SpanHeader, copy_words};
use ringlight_collector::{
    CollectorConfig, EncodedBatch, ExportError, ExportOutcome, Exporter, ExporterBoxed, Pipeline,
    RecordSink, Recorder, RetryConfig,
};
use ringlight_model::{
    Account, CallsiteId, CallsiteRegistry, KeyValue, LogRecord, RecordVisitor, RejectReason,
    Resource, Scope, Severity, Signal, Span, SpanId, TraceId,
};
use ringlight_otlp::OtlpDecoder;
use tokio::sync::Notify;

/// How long anything is waited for. Only reached when something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Settings under which things happen soon.
pub(crate) fn config() -> CollectorConfig {
    CollectorConfig {
        batch_delay: Duration::from_millis(1),
        report_interval: Duration::ZERO,
        retry: RetryConfig {
            delay_first: Duration::from_millis(1),
            delay_max: Duration::from_millis(5),
            ..RetryConfig::default()
        },
        resource: Resource {
            attributes: vec![
                KeyValue::new("service.name", "test"),
                KeyValue::new("service.instance.id", "instance-1"),
            ],
            dropped_attributes_count: 0,
        },
        ..CollectorConfig::default()
    }
}

pub(crate) fn start(config: CollectorConfig, exporters: &[&Scripted]) -> Pipeline {
    let destinations: Vec<_> = exporters
        .iter()
        .map(|exporter| Arc::new((*exporter).clone()) as Arc<dyn ExporterBoxed>)
        .collect();
    Pipeline::start(
        config,
        Arc::new(CallsiteRegistry::new()),
        destinations,
        Vec::new(),
    )
    .expect("the pipeline starts")
}

/// Hands over a span whose id is `number`.
pub(crate) fn record_span(recorder: &Recorder, number: u64) -> bool {
    record_span_at(recorder, number, (1_000, 2_000))
}

/// The same with these times, Unix nanoseconds.
pub(crate) fn record_span_at(recorder: &Recorder, number: u64, (start, end): (u64, u64)) -> bool {
    let mut header = SpanHeader::new(CallsiteId::new(0), TraceId::new(1), SpanId::new(number));
    header.start_unix_nano = start;
    header.end_unix_nano = end;
    let mut items = Vec::new();
    let mut writer = ItemWriter::new(&mut items, 1024);
    let _ = writer.name("numbered");
    let _ = writer.u64(Key::Name("number"), number);
    let words = header.to_words().len() + items.len();
    recorder.record(Signal::Traces, words * 8, |buffer| {
        copy_words(
            header.to_words().into_iter().chain(items.iter().copied()),
            buffer,
        );
    })
}

/// Hands over a log record with this body.
pub(crate) fn record_log(recorder: &Recorder, text: &str) -> bool {
    let header = LogHeader::new(CallsiteId::new(0), Severity::INFO, 1_000);
    let mut items = Vec::new();
    let mut writer = ItemWriter::new(&mut items, 1024);
    let _ = writer.text(Key::Name("text"), text);
    let words = header.to_words().len() + items.len();
    recorder.record(Signal::Logs, words * 8, |buffer| {
        copy_words(
            header.to_words().into_iter().chain(items.iter().copied()),
            buffer,
        );
    })
}

pub(crate) fn traces(pipeline: &Pipeline) -> Account {
    *pipeline.ledger().account(Signal::Traces)
}

/// Waits until the account of traces fulfils the condition.
pub(crate) fn wait_for_traces(
    pipeline: &Pipeline,
    condition: impl Fn(&Account) -> bool,
) -> Account {
    wait_for(|| {
        let account = traces(pipeline);
        assert!(account.balances(), "{account:?}");
        condition(&account).then_some(account)
    })
}

/// Asks again and again, giving way in between.
pub(crate) fn wait_for<R>(mut question: impl FnMut() -> Option<R>) -> R {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < until, "waited in vain");
        std::thread::yield_now();
    }
}

/// A sink in which the collector stays from the first record on until it is let go.
pub(crate) struct Gate {
    pub(crate) is_there: mpsc::Sender<()>,
    pub(crate) go_on: mpsc::Receiver<()>,
}

impl RecordSink for Gate {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        let _ = self.is_there.send(());
        // Fails at once after it was let go.
        let _ = self.go_on.recv();
    }

    fn flush(&mut self) {}
}

/// One answer of a scripted exporter.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Ok,
    Rejected(u64),
    Warning(&'static str),
    Unreachable,
    Retryable(Option<Duration>),
    Permanent,
    Unsupported,
    /// Answers once [`Scripted::release`] is called.
    Held,
    Never,
    Panic,
}

/// An exporter that answers by script and remembers what it took.
#[derive(Clone)]
pub(crate) struct Scripted {
    name: &'static str,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    released: Notify,
}

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    default: Option<Answer>,
    attempts: Vec<EncodedBatch>,
    taken: Vec<EncodedBatch>,
    under_way: usize,
    under_way_max: usize,
}

impl Scripted {
    pub(crate) fn new(name: &'static str, default: Answer) -> Self {
        let shared = Shared::default();
        let exporter = Self {
            name,
            shared: Arc::new(shared),
        };
        exporter.state().default = Some(default);
        exporter
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state().script.extend(answers);
    }

    pub(crate) fn set_default(&self, answer: Answer) {
        self.state().default = Some(answer);
    }

    /// Lets go what is held now, and changes the default.
    pub(crate) fn release(&self, default: Answer) {
        self.set_default(default);
        self.shared.released.notify_waiters();
    }

    pub(crate) fn attempts(&self) -> Vec<EncodedBatch> {
        self.state().attempts.clone()
    }

    pub(crate) fn under_way_max(&self) -> usize {
        self.state().under_way_max
    }

    /// Waits for so many attempts in all.
    pub(crate) fn wait_attempts(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state();
        while state.attempts.len() < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "only {} attempts came",
                state.attempts.len()
            );
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The batches it took.
    pub(crate) fn taken(&self) -> Vec<EncodedBatch> {
        self.state().taken.clone()
    }

    /// The ids of the spans it took, in order.
    pub(crate) fn span_numbers(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        for batch in self.taken() {
            if batch.signal == Signal::Traces {
                let spans = decode(&batch).spans;
                numbers.extend(spans.iter().map(|span| span.span_id.get()));
            }
        }
        numbers
    }
}

impl Exporter for Scripted {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        struct UnderWay<'a>(&'a Scripted);
        impl Drop for UnderWay<'_> {
            fn drop(&mut self) {
                self.0.state().under_way -= 1;
            }
        }
        let (released, answer) = {
            let mut state = self.state();
            let next = state.script.pop_front().or_else(|| state.default.clone());
            state.attempts.push(batch.clone());
            state.under_way += 1;
            state.under_way_max = state.under_way_max.max(state.under_way);
            let mut released = Box::pin(self.shared.released.notified());
            released.as_mut().enable();
            (released, next.unwrap_or(Answer::Ok))
        };
        let _under_way = UnderWay(self);
        self.shared.changed.notify_all();
        if matches!(answer, Answer::Held) {
            released.await;
        }
        let reason = || format!("{answer:?}");
        let outcome = match answer {
            Answer::Ok | Answer::Held => ExportOutcome::default(),
            Answer::Rejected(rejected) => ExportOutcome {
                rejected,
                message: Some("some are bad".to_owned()),
                ..ExportOutcome::default()
            },
            Answer::Warning(text) => ExportOutcome {
                rejected: 0,
                message: Some(text.to_owned()),
                ..ExportOutcome::default()
            },
            Answer::Unreachable => {
                return Err(ExportError::Unreachable {
                    reason: reason(),
                    source: None,
                });
            }
            Answer::Retryable(after) => {
                return Err(ExportError::Retryable {
                    reason: reason(),
                    after,
                });
            }
            Answer::Permanent => return Err(ExportError::Permanent { reason: reason() }),
            Answer::Unsupported => return Err(ExportError::Unsupported { reason: reason() }),
            Answer::Never => std::future::pending().await,
            Answer::Panic => panic!("as the script says"),
        };
        self.state().taken.push(batch);
        self.shared.changed.notify_all();
        Ok(outcome)
    }

    fn name(&self) -> &str {
        self.name
    }
}

/// What a batch holds.
#[derive(Default)]
pub(crate) struct Decoded {
    pub(crate) resources: Vec<Resource<'static>>,
    pub(crate) scopes: Vec<Scope<'static>>,
    pub(crate) spans: Vec<Span<'static>>,
    pub(crate) logs: Vec<LogRecord<'static>>,
}

impl RecordVisitor for Decoded {
    fn resource(&mut self, resource: &Resource<'_>) {
        self.resources.push(resource.clone().into_owned());
    }
    fn scope(&mut self, scope: &Scope<'_>) {
        self.scopes.push(scope.clone().into_owned());
    }
    fn span(&mut self, span: &Span<'_>) {
        self.spans.push(span.clone().into_owned());
    }
    fn log(&mut self, record: &LogRecord<'_>) {
        self.logs.push(record.clone().into_owned());
    }
    fn rejected(&mut self, reason: RejectReason) {
        panic!("an item does not decode: {reason}");
    }
}

pub(crate) fn decode(batch: &EncodedBatch) -> Decoded {
    let mut decoded = Decoded::default();
    OtlpDecoder::default()
        .walk(batch.signal, &batch.bytes, &mut decoded)
        .expect("the batch decodes");
    let records = decoded.spans.len() + decoded.logs.len();
    if batch.signal != Signal::Metrics {
        assert_eq!(records, batch.records as usize);
    }
    decoded
}
