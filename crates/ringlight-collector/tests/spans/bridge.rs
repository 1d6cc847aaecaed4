//! The collector that drains itself.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ringlight_collector::{
    AsyncSpanCollector, AsyncSpanProducer, CollectorConfig, EncodedBatch, ExportError,
    ExportOutcome, Exporter, FlushError, OverflowPolicy, RetryConfig, SpanBatch, SpanCollector,
    SpanContext, SpanExporter, SubmitError, TailSampling,
};
use ringlight_model::{Account, DropReason, Signal, Span, SpanId, StatusCode, TraceId};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{STEP, numbered};

/// Exports under way at a time, by default.
const CONCURRENT: usize = 4;

const PATIENCE: Duration = Duration::from_secs(60);

/// An exporter that takes a batch for every permit it is given, and remembers them.
struct Gate {
    permits: Semaphore,
    /// How long it takes over its first batches, as many as are sent at once.
    slowness: Duration,
    taken: Mutex<Vec<SpanBatch>>,
    /// Attempts that have begun.
    attempts: watch::Sender<usize>,
}

impl Gate {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self::with(permits))
    }

    fn with(permits: usize) -> Self {
        Self {
            permits: Semaphore::new(permits),
            slowness: Duration::ZERO,
            taken: Mutex::default(),
            attempts: watch::Sender::new(0),
        }
    }

    fn open(&self) {
        self.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn attempted(&self) {
        let mut attempts = self.attempts.subscribe();
        attempts.wait_for(|attempts| *attempts > 0).await.unwrap();
    }

    /// All spans, in the order of the batches they came in.
    fn spans(&self) -> Vec<Span<'static>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.sort_by_key(|batch| batch.id().sequence());
        taken
            .iter()
            .flat_map(|batch| batch.to_spans().unwrap())
            .collect()
    }
}

impl SpanExporter for Gate {
    async fn export(&self, batch: SpanBatch) -> Result<ExportOutcome, ExportError> {
        self.attempts.send_modify(|attempts| *attempts += 1);
        if *self.attempts.borrow() <= CONCURRENT {
            tokio::time::sleep(self.slowness).await;
        }
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
        self.taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(batch);
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "gate"
    }
}

fn traces(collector: &AsyncSpanCollector) -> Account {
    let account = *collector.ledger().account(Signal::Traces);
    assert!(account.balances(), "{account:?}");
    account
}

/// Asks again and again, giving way in between.
async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_producers_of_25_000_lose_nothing_and_keep_their_order() {
    const PRODUCERS: u64 = 16;
    const SPANS: u64 = 25_000;
    let gate = Gate::new(Semaphore::MAX_PERMITS / 2);
    let collector =
        AsyncSpanCollector::new(CollectorConfig::default(), Arc::clone(&gate) as _).unwrap();
    let mut tasks = JoinSet::new();
    for index in 0..PRODUCERS {
        let mut producer = collector.register().unwrap();
        tasks.spawn(async move {
            for number in 0..SPANS {
                producer.submit_span(numbered(index, number)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let ledger = collector.shutdown(PATIENCE).await;
    let account = ledger.account(Signal::Traces);
    assert!(ledger.balances());
    assert_eq!(account.submitted, PRODUCERS * SPANS);
    assert_eq!(account.exported, PRODUCERS * SPANS);

    let mut next = BTreeMap::<u64, u64>::new();
    for span in gate.spans() {
        let id = span.span_id.get();
        let expected = next.entry(id >> 48).or_insert(1);
        assert_eq!(id & 0xffff_ffff_ffff, *expected);
        *expected += 1;
    }
    assert_eq!(next.len() as u64, PRODUCERS);
    assert!(next.values().all(|next| *next == SPANS + 1));

    let metrics = collector.metrics();
    assert_eq!(metrics.spans_submitted, PRODUCERS * SPANS);
    assert_eq!(metrics.spans_consumed, PRODUCERS * SPANS);
    assert_eq!(metrics.spans_exported, PRODUCERS * SPANS);
    assert_eq!(
        metrics.batches_exported,
        gate.taken.lock().unwrap().len() as u64
    );
    assert_eq!((metrics.export_errors, metrics.inflight_exports), (0, 0));
}

/// Rings of 256 slots before an exporter that is slow: it takes longer over its first batches than a
/// full queue may hold up anything that must not wait; then nothing until producers wait, and one batch
/// each time they wait again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_rings_before_a_slow_exporter_make_producers_wait_and_lose_nothing() {
    const SPANS: u64 = 10_000;
    let gate = Arc::new(Gate {
        slowness: Duration::from_millis(300),
        ..Gate::with(0)
    });
    let config = CollectorConfig {
        ring_bits: 8,
        batch_records_max: 256,
        batch_bytes_max: 16 * 1024,
        queue_bytes_max: 32 * 1024,
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&gate) as _).unwrap();
    let mut producer = collector.register().unwrap();
    let task = tokio::spawn(async move {
        for number in 0..SPANS {
            producer.submit_span(numbered(0, number)).await.unwrap();
        }
    });
    // A full queue holds up the drain for as long as it takes; nothing is dropped for it.
    for wait in 1..=10 {
        until(|| collector.metrics().full_ring_events >= wait || task.is_finished()).await;
        assert!(!task.is_finished());
        gate.permits.add_permits(1);
    }
    gate.open();
    task.await.unwrap();
    let ledger = collector.shutdown(PATIENCE).await;
    assert_eq!(ledger.account(Signal::Traces).exported, SPANS);
    let expected = (0..SPANS).map(|number| numbered(0, number));
    assert!(gate.spans().into_iter().eq(expected));
    assert!(collector.metrics().reserve_retries > 0);
}

#[tokio::test]
async fn a_shutdown_delivers_a_thousand_in_flight() {
    let gate = Gate::new(0);
    let config = CollectorConfig {
        batch_records_max: 100,
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&gate) as _).unwrap();
    let mut producer = collector.register().unwrap();
    for number in 0..1_000 {
        producer.submit_span(numbered(0, number)).await.unwrap();
    }
    gate.attempted().await;
    assert_eq!(traces(&collector).in_flight, 1_000);
    assert!(collector.metrics().inflight_exports > 0);

    let (ledger, refused) = tokio::join!(collector.shutdown(PATIENCE), async {
        until(|| producer_is_refused(&collector)).await;
        gate.open();
        producer.submit_span(numbered(0, 1_000)).await
    });
    assert_eq!(refused, Err(SubmitError::Closed(numbered(0, 1_000))));
    let account = ledger.account(Signal::Traces);
    assert_eq!((account.submitted, account.exported), (1_000, 1_000));
    assert_eq!(gate.spans().len(), 1_000);
    assert_eq!(collector.flush().await, Err(FlushError::Closed));
}

fn producer_is_refused(collector: &AsyncSpanCollector) -> bool {
    collector.register().is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_releases_producers_that_wait_and_ends_by_its_deadline() {
    let gate = Gate::new(0);
    let config = CollectorConfig {
        ring_bits: 6,
        batch_records_max: 10,
        batch_bytes_max: 1024,
        queue_bytes_max: 1024,
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&gate) as _).unwrap();
    let mut tasks = JoinSet::new();
    for index in 0..4 {
        let mut producer = collector.register().unwrap();
        tasks.spawn(async move {
            for number in 0.. {
                if let Err(error) = producer.submit_span(numbered(index, number)).await {
                    assert_eq!(error, SubmitError::Closed(numbered(index, number)));
                    return number;
                }
            }
            unreachable!("the ring fills up")
        });
    }
    until(|| collector.metrics().full_ring_events >= 4).await;
    // Nothing is ever taken, so that the deadline is what ends it.
    let ledger = collector.shutdown(Duration::from_millis(100)).await;
    let taken: u64 = tasks.join_all().await.into_iter().sum();
    let account = ledger.account(Signal::Traces);
    assert!(ledger.balances());
    assert_eq!(account.submitted, taken);
    assert_eq!(account.dropped[DropReason::Shutdown], taken);
    // A second one finds it done.
    assert_eq!(collector.shutdown(Duration::ZERO).await, ledger);
}

#[tokio::test]
async fn a_timed_span_waits_for_room_and_a_flush_for_everything() {
    let gate = Gate::new(0);
    let config = CollectorConfig {
        ring_bits: 6,
        batch_records_max: 10,
        batch_bytes_max: 1024,
        queue_bytes_max: 1024,
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&gate) as _).unwrap();
    let mut producer = collector.register().unwrap();
    let submit = async {
        for number in 0..500_u64 {
            let span = producer.start(&STEP);
            assert!(
                producer
                    .end(span, [number.into(), "ada".into(), 0.5.into()])
                    .await
            );
        }
    };
    let open = async {
        gate.attempted().await;
        until(|| traces(&collector).in_flight > 20).await;
        gate.open();
    };
    tokio::join!(submit, open);
    collector.flush().await.unwrap();
    assert_eq!(traces(&collector).exported, 500);
    let numbers: Vec<_> = gate
        .spans()
        .into_iter()
        .map(|span| span.attributes[0].clone())
        .collect();
    assert!(
        numbers.iter().map(|item| &item.value).eq(&(0..500)
            .map(ringlight_model::Value::Int)
            .collect::<Vec<_>>())
    );

    // The same ring for a thread, which does not wait: the policy drops.
    let mut producer = producer.into_sync();
    producer.submit_span(numbered(0, 0)).unwrap();
    let ledger = collector.shutdown(PATIENCE).await;
    assert_eq!(ledger.account(Signal::Traces).exported, 501);
}

#[tokio::test]
async fn a_wait_that_is_given_up_submits_nothing_and_leaves_the_producer_whole() {
    let gate = Gate::new(0);
    let config = CollectorConfig {
        ring_bits: 6,
        batch_records_max: 10,
        batch_bytes_max: 1024,
        queue_bytes_max: 1024,
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&gate) as _).unwrap();
    let mut producer = collector.register().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut taken = 0;
    // Until one has to wait, whose future is dropped then.
    let given_up = loop {
        let span = numbered(0, taken);
        let polled = pin!(producer.submit_span(&span)).poll(&mut context);
        match polled {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => break span,
        }
        taken += 1;
    };
    assert_eq!(traces(&collector).submitted, taken);
    gate.open();
    producer.submit_span(&given_up).await.unwrap();
    let ledger = collector.shutdown(PATIENCE).await;
    assert_eq!(ledger.account(Signal::Traces).exported, taken + 1);
    let expected = (0..=taken).map(|number| numbered(0, number));
    assert!(gate.spans().into_iter().eq(expected));
}

#[tokio::test]
async fn a_timed_span_whose_wait_is_given_up_is_a_drop_with_its_reason() {
    let gate = Gate::new(0);
    let config = CollectorConfig {
        ring_bits: 6,
        batch_records_max: 10,
        batch_bytes_max: 1024,
        queue_bytes_max: 1024,
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&gate) as _).unwrap();
    let mut producer = collector.register().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let values = || [1.into(), "ada".into(), 0.5.into()];
    let mut taken = 0;
    loop {
        let span = producer.start(&STEP);
        match pin!(producer.end(span, values())).poll(&mut context) {
            Poll::Ready(is_taken) => assert!(is_taken),
            Poll::Pending => break,
        }
        taken += 1;
    }
    let full = |lost: u64| {
        let account = traces(&collector);
        assert_eq!(account.submitted, taken + lost);
        assert_eq!(account.dropped[DropReason::RingFull], lost);
    };
    full(1);
    // One whose wait does not even begin.
    let span = producer.start(&STEP);
    drop(producer.end(span, values()));
    full(2);

    gate.open();
    let span = producer.start(&STEP);
    assert!(producer.end(span, values()).await);
    collector.flush().await.unwrap();
    // Where there is room there is nothing to give up.
    let span = producer.start(&STEP);
    drop(producer.end(span, values()));
    let ledger = collector.shutdown(PATIENCE).await;
    assert!(ledger.balances());
    let account = ledger.account(Signal::Traces);
    assert_eq!(
        (account.exported, account.submitted),
        (taken + 2, taken + 4)
    );
}

#[test]
fn an_attempt_never_waits_whatever_the_policy() {
    let config = CollectorConfig {
        ring_bits: 6,
        policy: OverflowPolicy::Block,
        ..CollectorConfig::default()
    };
    // Nobody drains it.
    let collector = SpanCollector::new(config).unwrap();
    let mut producer = AsyncSpanProducer::from(collector.register().unwrap());
    let (sender, attempted) = mpsc::channel();
    std::thread::spawn(move || {
        let refused = (0..).find_map(|number| producer.try_submit_span(numbered(0, number)).err());
        sender.send(refused).unwrap();
    });
    let refused = attempted.recv_timeout(PATIENCE).unwrap();
    let taken = collector.ledger().account(Signal::Traces).submitted;
    assert_eq!(refused, Some(SubmitError::Full(numbered(0, taken))));
}

#[tokio::test]
async fn traces_of_native_and_whole_spans_are_judged_once_they_are_over() {
    let gate = Gate::new(Semaphore::MAX_PERMITS / 2);
    let config = CollectorConfig {
        batch_delay: Duration::from_millis(1),
        tail_sampling: Some(TailSampling {
            otherwise_ratio: 0.0,
            slower_than: Some(Duration::from_secs(600)),
            wait_max: Duration::from_secs(3600),
            ..TailSampling::default()
        }),
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&gate) as _).unwrap();
    let mut producer = collector.register().unwrap();
    let values = || [1.into(), "ada".into(), 0.5.into()];
    for failed in [false, true] {
        // Begun by a caller elsewhere: it is over when the first span here is.
        let far = SpanContext {
            trace_id: TraceId::new(70 + u128::from(failed)),
            span_id: SpanId::new(7),
            is_remote: true,
            is_sampled: true,
        };
        let root = producer.start_child(&STEP, far);
        let mut child = producer.start_child(&STEP, root.context());
        if failed {
            child.set_status(StatusCode::Error);
        }
        producer.end(child, values()).await;
        producer.end(root, values()).await;
        let slow = Span {
            parent_span_id: SpanId::new(1),
            flags: if failed { 0x301 } else { 1 },
            end_unix_nano: 700_000_000_000,
            ..numbered(u64::from(failed), 0)
        };
        producer.submit_span(slow).await.unwrap();
    }
    // Without a flush: the trace that failed, whole, and the slow span whose parent is elsewhere. The
    // other slow one waits for its root.
    let unsent = || traces(&collector).dropped[DropReason::TailSampled];
    until(|| traces(&collector).exported == 3 && unsent() == 2).await;
    let account = traces(&collector);
    assert_eq!(account.in_flight, 1);
    let ledger = collector.shutdown(PATIENCE).await;
    assert_eq!(ledger.account(Signal::Traces).exported, 4);
}

/// Any exporter is one of spans; one that takes metrics gets the reports of the ledger.
#[derive(Default)]
struct Everything {
    failures: Mutex<u32>,
    signals: Mutex<Vec<Signal>>,
}

impl Exporter for Everything {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        if batch.signal == Signal::Traces {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(ExportError::Retryable {
                    reason: "not now".to_owned(),
                    after: None,
                });
            }
        }
        self.signals.lock().unwrap().push(batch.signal);
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "everything"
    }
}

#[tokio::test]
async fn an_exporter_of_every_signal_gets_spans_and_reports_and_its_failures_are_counted() {
    let exporter = Arc::new(Everything {
        failures: Mutex::new(2),
        ..Everything::default()
    });
    let config = CollectorConfig {
        retry: RetryConfig {
            delay_first: Duration::from_millis(1),
            ..RetryConfig::default()
        },
        // The last one alone.
        report_interval: Duration::from_secs(3600),
        ..CollectorConfig::default()
    };
    let collector = AsyncSpanCollector::new(config, Arc::clone(&exporter) as _).unwrap();
    let mut producer = collector.register().unwrap();
    producer.submit_span(numbered(0, 0)).await.unwrap();
    let ledger = collector.shutdown(PATIENCE).await;
    assert_eq!(ledger.account(Signal::Traces).exported, 1);
    let metrics = collector.metrics();
    assert_eq!((metrics.export_errors, metrics.batches_exported), (2, 1));
    let signals = exporter.signals.lock().unwrap();
    assert_eq!(*signals, [Signal::Traces, Signal::Metrics]);
}
