//! What the collector does when there is nothing to do, on a clock that jumps: time passes when
//! nothing else is left to do.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use ringlight_model::Signal;
use ringlight_ring::{RingConfig, RingProducer};

use super::*;
use crate::accounts::Counted;
use crate::export::{EncodedBatch, ExportError, ExportFuture, ExportOutcome};

const BATCH_DELAY: Duration = Duration::from_millis(200);

const BATCH_RECORDS: u64 = 4;

const HOUR: Duration = Duration::from_secs(3600);

/// Takes everything.
struct Takes;

impl ExporterBoxed for Takes {
    fn export_boxed(&self, _: EncodedBatch) -> ExportFuture<'_> {
        Box::pin(async { Ok::<_, ExportError>(ExportOutcome::default()) })
    }

    fn name_boxed(&self) -> &str {
        "takes"
    }
}

/// A collector with one destination that takes everything, and what its thread runs beside it.
struct Rig {
    accounts: Arc<Accounts>,
    destination: Arc<Destination>,
    reports: Arc<Reports>,
    collector: Collector,
}

fn rig(batch_delay: Duration, notices: Notices) -> (Rig, RingProducer) {
    let config = PipelineConfig {
        batch_delay,
        batch_records_max: BATCH_RECORDS as usize,
        notices,
        ..PipelineConfig::default()
    };
    let (sender, receiver) = ringlight_ring::channel(RingConfig::new(1 << 16, 2)).unwrap();
    let accounts = Arc::new(Accounts::new(sender.clone(), 1));
    let settled = Arc::new(Notify::new());
    let destination = Arc::new(Destination::new(
        0,
        Arc::new(Takes),
        Arc::clone(&accounts),
        &config,
        Arc::clone(&settled),
    ));
    let reports = Reporter::new(&config, Arc::clone(&accounts)).of(0, &destination);
    let parts = Parts {
        config,
        callsites: Arc::new(CallsiteRegistry::new()),
        destinations: Vec::new(),
        sinks: Vec::new(),
        receiver,
        accounts: Arc::clone(&accounts),
        control: Arc::new(Control::default()),
    };
    let destinations = vec![Arc::clone(&destination)];
    let collector = Collector::new(parts, destinations, settled, vec![Arc::clone(&reports)]);
    let rig = Rig {
        accounts,
        destination,
        reports,
        collector,
    };
    (rig, sender.register().unwrap())
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
    let thread = std::future::poll_fn(move |context| {
        count.set(count.get() + 1);
        assert!(run.as_mut().poll(context).is_pending());
        assert!(work.as_mut().poll(context).is_pending());
        assert!(report.as_mut().poll(context).is_pending());
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
    let header = crate::record::SpanHeader::new(
        ringlight_model::CallsiteId::new(0),
        ringlight_model::TraceId::new(1),
        ringlight_model::SpanId::new(2),
    );
    let words = header.to_words();
    let mut bytes = vec![0; words.len() * 8];
    crate::record::copy_words(words, &mut bytes);
    producer.add(Counted::Submitted.index(Signal::Traces), 1);
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
    let (rig, mut producer) = rig(BATCH_DELAY, Notices::default());
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
        let (rig, mut producer) = rig(batch_delay, Notices::default());
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
async fn an_idle_collector_tells_of_a_drop_that_no_record_tells_of() {
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    let (rig, mut producer) = rig(
        BATCH_DELAY,
        Notices::new(move |notice| {
            assert!(matches!(notice, Notice::Dropped { records: 1, .. }));
            tell.store(true, Ordering::Relaxed);
        }),
    );
    run_beside(rig, async |_| {
        tokio::time::sleep(HOUR).await;
        producer.add(Counted::Submitted.index(Signal::Traces), 1);
        producer.add(Counted::TooLarge.index(Signal::Traces), 1);
        producer.rouse_listener();
        until(|| told.load(Ordering::Relaxed)).await;
    })
    .await;
}
