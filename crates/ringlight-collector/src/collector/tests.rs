//! What the collector does when there is nothing to do, on a clock that jumps: time passes when
//! nothing else is left to do.

mod long;
mod open;
mod oracle;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use ringlight_model::{CallsiteId, Severity, Signal, SpanId, SpanKind, StatusCode, TraceId};
use ringlight_ring::{RingConfig, RingProducer, RingSender};

use super::*;
use crate::TailSampling;
use crate::accounts::Counted;
use crate::config::RetryConfig;
use crate::control::Answer;
use crate::export::{
    EncodedBatch, ExportError, ExportFuture, ExportOutcome, Exporter, ExporterBoxed,
};
use crate::notice::{Notice, Notices};
use crate::record::{Head, LogHeader, Record, SpanHeader, copy_words};
use crate::requests::Requests;

const BATCH_DELAY: Duration = Duration::from_millis(200);

const BATCH_RECORDS: u64 = 4;

const HOUR: Duration = Duration::from_secs(3600);

/// Takes everything, and keeps it.
struct Takes {
    /// Whether spans that are still open may be reported through it.
    is_backend: bool,
    batches: Mutex<Vec<EncodedBatch>>,
    /// Whether it says that it wants to be told of open spans.
    takes_open_spans: AtomicBool,
    /// Whether it panics at everything, which it keeps nevertheless.
    panics: AtomicBool,
}

impl Takes {
    fn new(is_backend: bool) -> Self {
        Self {
            is_backend,
            batches: Mutex::default(),
            takes_open_spans: AtomicBool::new(false),
            panics: AtomicBool::new(false),
        }
    }

    fn batches(&self, signal: Signal) -> Vec<EncodedBatch> {
        let batches = self.batches.lock().unwrap();
        let of_signal = batches.iter().filter(|batch| batch.signal == signal);
        of_signal.cloned().collect()
    }

    fn batches_bytes(&self, signal: Signal) -> Vec<usize> {
        let batches = self.batches(signal).into_iter();
        batches.map(|batch| batch.bytes.len()).collect()
    }
}

impl ExporterBoxed for Takes {
    fn export_boxed(&self, batch: EncodedBatch) -> ExportFuture<'_> {
        self.batches.lock().unwrap().push(batch);
        assert!(!self.panics.load(Ordering::Relaxed), "as the test says");
        let outcome = ExportOutcome {
            takes_open_spans: self.takes_open_spans.load(Ordering::Relaxed),
            ..ExportOutcome::default()
        };
        Box::pin(async { Ok::<_, ExportError>(outcome) })
    }

    fn name_boxed(&self) -> &str {
        "takes"
    }

    fn place_boxed(&self, _: Signal) -> Option<&str> {
        Some("takes")
    }

    fn reports_open_spans_boxed(&self) -> bool {
        self.is_backend
    }
}

/// A collector with one destination that takes everything, and what its thread runs beside it.
struct Rig {
    exporter: Arc<Takes>,
    accounts: Arc<Accounts>,
    destination: Arc<Destination>,
    reports: Arc<Reports>,
    open_reports: Arc<OpenReports>,
    collector: Collector,
}

fn config(batch_delay: Duration) -> CollectorConfig {
    CollectorConfig {
        batch_delay,
        batch_records_max: BATCH_RECORDS as usize,
        ..CollectorConfig::default()
    }
}

fn rig(config: CollectorConfig) -> (Rig, RingSender) {
    rig_with(config, |_| Vec::new())
}

/// With an exporter through which spans that are still open are not reported.
fn rig_of_file(config: CollectorConfig) -> (Rig, RingSender) {
    rig_of(config, Takes::new(false), |_| Vec::new())
}

/// With sinks that may record on their own.
fn rig_with(
    config: CollectorConfig,
    sinks: impl FnOnce(&RingSender) -> Vec<Box<dyn RecordSink>>,
) -> (Rig, RingSender) {
    rig_of(config, Takes::new(true), sinks)
}

fn rig_of(
    config: CollectorConfig,
    exporter: Takes,
    sinks: impl FnOnce(&RingSender) -> Vec<Box<dyn RecordSink>>,
) -> (Rig, RingSender) {
    let rings = RingConfig::new(config.ring_bytes(), config.producers_max);
    let (sender, receiver) = ringlight_ring::channel(rings).unwrap();
    let everything = Signal::ALL.into_iter().collect();
    let accounts = Arc::new(Accounts::new(sender.clone(), [everything]));
    let meter = Meter::new(sender.clone(), crate::Governor::default());
    let settled = Arc::new(Notify::new());
    let exporter = Arc::new(exporter);
    let destination = Destination::all(
        &[DestinationConfig::from(Arc::clone(&exporter))],
        &config,
        None,
        BY_PIPELINE,
        &OfPipeline {
            accounts: &accounts,
            meter: &meter,
            notices: &config.notices,
            settled: &settled,
        },
    )
    .remove(0);
    let reports =
        Reporter::new(&config, Arc::clone(&accounts), Arc::clone(&meter)).of(&destination);
    let parts = Parts {
        requests: Arc::new(Requests::new(config.queue_bytes_max)),
        spool: None,
        clock: config.clock(),
        shared: Shared::new(sender.clone(), config.policy, config.notices.clone()),
        may_wait: config.policy != crate::OverflowPolicy::Drop,
        config,
        callsites: Arc::new(CallsiteRegistry::new()),
        destinations: Vec::new(),
        sinks: sinks(&sender),
        log_filter: None,
        receiver,
        accounts: Arc::clone(&accounts),
        control: Arc::new(Control::default()),
        meter,
    };
    let destinations = vec![Arc::clone(&destination)];
    let callsites = Arc::clone(&parts.callsites);
    let open_reports = OpenReports::new(&parts.config, callsites, &destinations);
    let open_reports = Arc::new(open_reports);
    let reporting = (vec![Arc::clone(&reports)], Arc::clone(&open_reports));
    let collector = Collector::new(parts, destinations, settled, reporting);
    let rig = Rig {
        exporter,
        accounts,
        destination,
        reports,
        open_reports,
        collector,
    };
    (rig, sender)
}

/// Runs what a collector's thread runs, as a task of its own, beside the script. The script reads
/// how often the task was woken.
async fn run_beside(rig: Rig, script: impl AsyncFnOnce(Rc<Cell<usize>>)) {
    let woken = Rc::new(Cell::new(0));
    let count = Rc::clone(&woken);
    let mut collector = rig.collector;
    let mut run = Box::pin(async move { collector.run().await });
    let mut work = Box::pin(rig.destination.work());
    let mut report = Box::pin(rig.reports.run());
    let mut open_report = Box::pin(rig.open_reports.run());
    let thread = std::future::poll_fn(move |context| {
        count.set(count.get() + 1);
        assert!(run.as_mut().poll(context).is_pending());
        assert!(work.as_mut().poll(context).is_pending());
        assert!(report.as_mut().poll(context).is_pending());
        assert!(open_report.as_mut().poll(context).is_pending());
        Poll::<()>::Pending
    });
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            tokio::select! {
                ended = tokio::task::spawn_local(thread) => panic!("{ended:?}"),
                () = script(woken) => {}
            }
        })
        .await;
}

fn record(producer: &mut RingProducer) {
    let callsite = CallsiteId::new(0);
    let header = SpanHeader::new(callsite, TraceId::new(1), SpanId::new(2));
    push(producer, Signal::Traces, header.to_words());
}

/// A span that ends before it begins.
fn record_backwards(producer: &mut RingProducer) {
    let mut header = SpanHeader::new(CallsiteId::new(0), TraceId::new(1), SpanId::new(2));
    (header.start_unix_nano, header.end_unix_nano) = (1_000, 999);
    push(producer, Signal::Traces, header.to_words());
}

/// A span of a trace that nothing else belongs to, its local root or a child.
fn record_span(producer: &mut RingProducer, number: u64, parent: u64, status: StatusCode) {
    let callsite = CallsiteId::new(0);
    let mut header = SpanHeader::new(callsite, TraceId::new(9), SpanId::new(number));
    header.head = Head::span(SpanKind::Internal, status, 1);
    header.parent_span_id = SpanId::new(parent);
    push(producer, Signal::Traces, header.to_words());
}

fn record_log(producer: &mut RingProducer) {
    let header = LogHeader::new(CallsiteId::new(0), Severity::WARN, 1);
    push(producer, Signal::Logs, header.to_words());
}

fn push<const N: usize>(producer: &mut RingProducer, signal: Signal, words: [u64; N]) {
    let mut bytes = vec![0; N * 8];
    copy_words(words, &mut bytes);
    producer.add(Counted::Submitted.index(signal), 1);
    producer.push(&bytes).unwrap();
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        // Time jumps only when nothing is left to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_collector_does_nothing_until_there_is_a_record() {
    let (rig, sender) = rig(config(BATCH_DELAY));
    let mut producer = sender.register().unwrap();
    let accounts = Arc::clone(&rig.accounts);
    run_beside(rig, async |woken| {
        for number in 1..=3 {
            record(&mut producer);
            until(|| accounts.snapshot(0).account(Signal::Traces).exported == number).await;
            tokio::time::sleep(HOUR).await;
            let before = woken.get();
            tokio::time::sleep(HOUR).await;
            assert_eq!(woken.get(), before, "after record {number}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_waits_for_the_batch_delay_at_most_wherever_it_finds_the_collector() {
    // Shorter and longer than the time between two looks.
    for batch_delay in [1, 20, 100, 200].map(Duration::from_millis) {
        let (rig, sender) = rig(config(batch_delay));
        let mut producer = sender.register().unwrap();
        let accounts = Arc::clone(&rig.accounts);
        let exported = || accounts.snapshot(0).account(Signal::Traces).exported;
        run_beside(rig, async |_| {
            for pause in [0, 1, 9, 11, 29, 31, 69, 71, 149, 151, 949, 1_001, 3_600_000] {
                // A full batch leaves at once, and the collector goes on looking.
                let before = exported();
                (0..BATCH_RECORDS).for_each(|_| record(&mut producer));
                until(|| exported() == before + BATCH_RECORDS).await;
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let begin = Instant::now();
                record(&mut producer);
                until(|| exported() == before + BATCH_RECORDS + 1).await;
                let passed = begin.elapsed();
                // What this test itself may be late by is a millisecond.
                let limit = batch_delay + Duration::from_millis(1);
                assert!(passed <= limit, "{passed:?} after a pause of {pause} ms");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn drops_are_told_every_minute_while_they_go_on_and_once_they_are_over() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let mut config = config(BATCH_DELAY);
    config.notices = Notices::new(move |notice| {
        if let Notice::Dropped { records, .. } = notice {
            tell.lock().unwrap().push(*records);
        }
    });
    let (rig, sender) = rig(config);
    let mut producer = sender.register().unwrap();
    run_beside(rig, async |_| {
        // A second apart: the first is told of at once, the others after a minute and after the next.
        for _ in 0..150 {
            producer.add(Counted::Submitted.index(Signal::Traces), 1);
            producer.add(Counted::TooLarge.index(Signal::Traces), 1);
            record(&mut producer);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for _ in 0..30 {
            record(&mut producer);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let told = told.lock().unwrap();
    assert!(
        matches!(told[..], [1..=2, 60..=63, 120..=124, 150]),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn spans_that_end_before_they_begin_are_told_every_minute_and_once_it_is_over() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let mut config = config(BATCH_DELAY);
    config.notices = Notices::new(move |notice| match notice {
        Notice::NegativeDurations { spans } => tell.lock().unwrap().push(*spans),
        other => panic!("{other}"),
    });
    let (rig, sender) = rig(config);
    let mut producer = sender.register().unwrap();
    run_beside(rig, async |_| {
        // As long as nothing is wrong, nothing is said.
        for _ in 0..10 {
            record(&mut producer);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(told.lock().unwrap().is_empty());
        for _ in 0..100 {
            record(&mut producer);
            record_backwards(&mut producer);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for _ in 0..30 {
            record(&mut producer);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let told = told.lock().unwrap();
    assert!(matches!(told[..], [1..=2, 60..=63, 100]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_collector_tells_of_a_drop_that_no_record_tells_of() {
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    let mut config = config(BATCH_DELAY);
    config.notices = Notices::new(move |notice| {
        assert!(matches!(notice, Notice::Dropped { records: 1, .. }));
        tell.store(true, Ordering::Relaxed);
    });
    let (rig, sender) = rig(config);
    let mut producer = sender.register().unwrap();
    run_beside(rig, async |_| {
        tokio::time::sleep(HOUR).await;
        producer.add(Counted::Submitted.index(Signal::Traces), 1);
        producer.add(Counted::TooLarge.index(Signal::Traces), 1);
        producer.rouse_listener();
        until(|| told.load(Ordering::Relaxed)).await;
    })
    .await;
}

/// Sees to it that the rings never empty: makes a span for each that it is shown.
struct Flood(RingProducer);

impl Flood {
    fn start(sender: &RingSender) -> Self {
        let mut producer = sender.register().unwrap();
        // More than one pass takes, and room for what comes meanwhile.
        (0..2 * PASS_BYTES / 64).for_each(|_| record(&mut producer));
        Self(producer)
    }
}

impl RecordSink for Flood {
    fn record(&mut self, shown: &Record<'_>, _: &CallsiteRegistry) {
        if matches!(shown, Record::Span(_)) {
            record(&mut self.0);
        }
    }

    fn flush(&mut self) {}
}

/// Counts the passes over the rings that found something.
struct Passes(Arc<AtomicU64>);

impl RecordSink for Passes {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {}

    fn flush(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn rings_are_looked_at_as_often_as_they_fill() {
    const MILLIS: u64 = 2_000;
    // Spans a millisecond, and how many milliseconds looks are apart then: at most `drain_interval`, at least an eighth
    // of it, and in between what fills an eighth of a ring.
    for (pace, apart_millis) in [(1, 95..=100), (16, 58..=68), (100, 12..=14)] {
        let config = config(HOUR);
        assert_eq!(config.drain_interval, Duration::from_millis(100));
        let config = CollectorConfig {
            batch_records_max: 1_000_000,
            ..config
        };
        let passes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&passes);
        let (rig, sender) = rig_with(config, |_| vec![Box::new(Passes(counted))]);
        let mut producer = sender.register().unwrap();
        run_beside(rig, async |_| {
            for _ in 0..MILLIS {
                (0..pace).for_each(|_| record(&mut producer));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let apart = MILLIS / passes.load(Ordering::Relaxed);
        assert!(
            apart_millis.contains(&apart),
            "{apart} ms at {pace} a millisecond"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_flood_batches_are_full_and_what_comes_seldom_leaves_in_time() {
    const ROUNDS: usize = 4;
    const STEPS: u32 = 20;
    let config = CollectorConfig::default();
    let (batch_delay, batch_bytes_max) = (config.batch_delay, config.batch_bytes_max);
    let (rig, sender) = rig_with(config, |sender| vec![Box::new(Flood::start(sender))]);
    let mut producer = sender.register().unwrap();
    let accounts = Arc::clone(&rig.accounts);
    let exporter = Arc::clone(&rig.exporter);
    run_beside(rig, async |_| {
        for round in 1..=ROUNDS {
            for step in 0..STEPS {
                if step < 2 {
                    record_log(&mut producer);
                }
                // The collector has its turn, and nothing to wait for.
                tokio::time::advance(batch_delay / STEPS).await;
            }
            let exported = accounts.snapshot(0).account(Signal::Logs).exported;
            assert_eq!(exported, 2 * round as u64);
        }
    })
    .await;
    assert_eq!(exporter.batches_bytes(Signal::Logs).len(), ROUNDS);
    let spans = exporter.batches_bytes(Signal::Traces);
    assert!(spans.len() > ROUNDS, "{spans:?}");
    let full = batch_bytes_max - batch_bytes_max / 32..=batch_bytes_max;
    assert!(spans.iter().all(|bytes| full.contains(bytes)), "{spans:?}");
}

#[tokio::test(start_paused = true)]
async fn in_a_flood_a_trace_waits_for_its_late_spans_as_long_as_else() {
    let config = CollectorConfig {
        tail_sampling: Some(TailSampling {
            otherwise_ratio: 0.0,
            ..TailSampling::default()
        }),
        ..CollectorConfig::default()
    };
    let batch_delay = config.batch_delay;
    let (rig, sender) = rig_with(config, |sender| vec![Box::new(Flood::start(sender))]);
    let mut producer = sender.register().unwrap();
    let accounts = Arc::clone(&rig.accounts);
    run_beside(rig, async |_| {
        // Until the backlog counts for as much of the delay as it may.
        tokio::time::advance(batch_delay).await;
        record_span(&mut producer, 1, 0, StatusCode::Unset);
        for _ in 0..2 {
            tokio::time::advance(Duration::from_millis(150)).await;
        }
        record_span(&mut producer, 2, 1, StatusCode::Error);
        for pause in [Duration::from_millis(100), batch_delay, batch_delay] {
            tokio::time::advance(pause).await;
        }
        assert_eq!(accounts.snapshot(0).account(Signal::Traces).exported, 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_flushes_all_the_time_without_patience_leaves_nothing_behind_and_fills_no_queue() {
    const FLUSHES: u32 = 100;
    const PATIENCE: Duration = Duration::from_millis(10);
    // Nothing is ever sent.
    let (mut rig, sender) = rig(CollectorConfig::default());
    let mut producer = sender.register().unwrap();
    let collector = &mut rig.collector;
    for _ in 0..FLUSHES {
        record(&mut producer);
        let (answer, answered) = tokio::sync::oneshot::channel();
        let flush = Command::Flush(Answer::Task(answer));
        assert!(collector.control.send(flush));
        let now = Instant::now();
        collector.take_commands();
        assert!(collector.inbox.offer(now, false));
        collector.drain(now);
        collector.flushes.answer(&mut collector.inbox);
        assert_eq!(collector.flushes.count(), 1);
        drop(answered);
        tokio::time::advance(PATIENCE).await;
    }
    collector.take_commands();
    assert_eq!(collector.flushes.count(), 0);
    // One at first, and then one for every 100 ms.
    assert_eq!(collector.inbox.last_sequence(), u64::from(FLUSHES / 10));
}
