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

fn rig(notices: Notices) -> (Rig, RingProducer) {
    let config = PipelineConfig {
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
    tasks.spawn_local(thread);
    tasks.run_until(script(woken)).await;
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
    let (rig, mut producer) = rig(Notices::default());
    let accounts = Arc::clone(&rig.accounts);
    run_beside(rig, async |woken| {
        for number in 1..=3 {
            let begin = Instant::now();
            record(&mut producer);
            until(|| accounts.snapshot(0).account(Signal::Traces).exported == number).await;
            let delay = PipelineConfig::default().batch_delay;
            assert!(begin.elapsed() < delay + LOOK_LAST, "{:?}", begin.elapsed());

            tokio::time::sleep(HOUR).await;
            let before = woken.get();
            tokio::time::sleep(HOUR).await;
            assert_eq!(woken.get(), before, "after record {number}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_collector_tells_of_a_drop_that_no_record_tells_of() {
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    let (rig, mut producer) = rig(Notices::new(move |notice| {
        assert!(matches!(notice, Notice::Dropped { records: 1, .. }));
        tell.store(true, Ordering::Relaxed);
    }));
    run_beside(rig, async |_| {
        tokio::time::sleep(HOUR).await;
        producer.add(Counted::Submitted.index(Signal::Traces), 1);
        producer.add(Counted::TooLarge.index(Signal::Traces), 1);
        producer.rouse_listener();
        until(|| told.load(Ordering::Relaxed)).await;
    })
    .await;
}
