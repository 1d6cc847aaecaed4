//! What is reported of open spans, when, and to whom.

use std::collections::HashSet;

use ringlight_otlp::open_report::{self, OpenReport};

use super::*;
use crate::open_spans::{OpenSpanSource, SeenSpan};
use crate::record::ItemWriter;
use crate::{Processing, Redaction};

const AFTER: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(2);

/// The one span that has a name.
const NAMED: u64 = 4711;

/// Spans that a test opens and closes.
#[derive(Default)]
struct Spans {
    open: Mutex<Vec<(u64, Instant)>>,
    is_listening: AtomicBool,
}

impl Spans {
    fn open(&self, sender: &RingSender, key: u64) {
        self.open.lock().unwrap().push((key, Instant::now()));
        if self.is_listening.swap(false, Ordering::Relaxed) {
            sender.wake();
        }
    }

    fn close(&self, key: u64) {
        self.open.lock().unwrap().retain(|(known, _)| *known != key);
    }
}

impl OpenSpanSource for Spans {
    fn parts(&self) -> usize {
        1
    }

    fn look(&self, _: usize, seen: &mut dyn FnMut(SeenSpan)) {
        for (key, started) in self.open.lock().unwrap().iter() {
            seen(SeenSpan {
                key: *key,
                open_for: started.elapsed(),
            });
        }
    }

    fn record(&self, key: u64) -> Option<Vec<u64>> {
        let open = self.open.lock().unwrap();
        open.iter().find(|(known, _)| *known == key)?;
        let header = SpanHeader::new(CallsiteId::new(0), TraceId::new(7), SpanId::new(key));
        let mut words = header.to_words().to_vec();
        if key == NAMED {
            let _ = ItemWriter::new(&mut words, 100).name("to ada@example.com");
        }
        Some(words)
    }

    fn listen(&self) {
        self.is_listening.store(true, Ordering::Relaxed);
    }

    fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }
}

fn often(config: CollectorConfig) -> CollectorConfig {
    CollectorConfig {
        open_span_after: AFTER,
        report_interval: INTERVAL,
        ..config
    }
}

/// A rig whose backend wants to be told of open spans, or not.
fn open_rig(config: CollectorConfig, is_ringlight: bool) -> (Rig, RingSender, Arc<Spans>) {
    let (rig, sender) = rig(often(config));
    let wants = &rig.exporter.takes_open_spans;
    wants.store(is_ringlight, Ordering::Relaxed);
    let spans = Arc::new(Spans::default());
    rig.open_reports.watch(Arc::clone(&spans) as Arc<_>);
    (rig, sender, spans)
}

/// The rounds a backend was told, each with the spans in it.
fn rounds(exporter: &Takes) -> Vec<(u64, bool, Vec<u64>)> {
    let round = |report: &OpenReport<'_>| {
        let ids = report.spans.iter().map(|span| span.span_id.get());
        (report.round.number, report.round.is_final, ids.collect())
    };
    let batches = exporter.batches(Signal::Logs);
    let reports = batches.iter().map(|batch| {
        let reports = open_report::read(&batch.bytes).unwrap();
        reports.iter().map(round).collect::<Vec<_>>()
    });
    reports.flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn a_span_is_reported_while_it_has_been_open_for_long_and_its_end_once() {
    let (rig, sender, spans) = open_rig(config(BATCH_DELAY), true);
    let exporter = Arc::clone(&rig.exporter);
    run_beside(rig, async |_| {
        spans.open(&sender, 1);
        tokio::time::sleep(AFTER - INTERVAL).await;
        assert_eq!(rounds(&exporter), []);
        // The looks are an interval apart at least, and the first is right at the start.
        tokio::time::sleep(5 * INTERVAL).await;
        spans.open(&sender, 2);
        let before = rounds(&exporter);
        assert!((3..=5).contains(&before.len()), "{before:?}");
        assert!(before.iter().all(|(_, _, spans)| *spans == [1]));
        spans.close(1);
        spans.close(2);
        tokio::time::sleep(HOUR).await;
        let after = rounds(&exporter);
        assert_eq!(after.len(), before.len() + 1);
        assert!(after.last().unwrap().2.is_empty());
        let numbers: Vec<_> = after.iter().map(|round| round.0).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn fault_36_what_is_said_of_an_open_span_is_redacted() {
    let config = CollectorConfig {
        processing: Processing::new().redact(Redaction::standard()),
        ..config(BATCH_DELAY)
    };
    let (rig, sender, spans) = open_rig(config, true);
    let exporter = Arc::clone(&rig.exporter);
    run_beside(rig, async |_| {
        spans.open(&sender, NAMED);
        tokio::time::sleep(AFTER + 2 * INTERVAL).await;
        let reports = exporter.batches(Signal::Logs);
        let texts = reports
            .iter()
            .map(|report| String::from_utf8_lossy(&report.bytes));
        let texts: String = texts.collect();
        assert!(
            texts.contains("to [redacted]") && !texts.contains("ada@"),
            "{texts}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_open_spans_nothing_is_done_and_the_next_one_is_noticed() {
    let (rig, sender, spans) = open_rig(config(BATCH_DELAY), true);
    let exporter = Arc::clone(&rig.exporter);
    run_beside(rig, async |woken| {
        for number in 1..=3 {
            tokio::time::sleep(HOUR).await;
            let before = woken.get();
            tokio::time::sleep(HOUR).await;
            assert_eq!(woken.get(), before, "before span {number}");
            // Nothing is recorded, in all this time.
            let told = rounds(&exporter).len();
            spans.open(&sender, number);
            tokio::time::sleep(2 * AFTER).await;
            assert!(rounds(&exporter).len() > told);
            spans.close(number);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_no_ringlight_is_asked_once_with_nothing() {
    let (rig, sender, spans) = open_rig(config(BATCH_DELAY), false);
    let exporter = Arc::clone(&rig.exporter);
    run_beside(rig, async |woken| {
        spans.open(&sender, 1);
        tokio::time::sleep(HOUR).await;
        assert_eq!(exporter.batches_bytes(Signal::Logs), [0]);
        let before = woken.get();
        tokio::time::sleep(HOUR).await;
        assert_eq!(
            woken.get(),
            before,
            "a span is open, and nobody wants to know"
        );
        // Its successor at the same address is, which shows when something else is sent there.
        exporter.takes_open_spans.store(true, Ordering::Relaxed);
        let mut producer = sender.register().unwrap();
        record(&mut producer);
        until(|| !rounds(&exporter).is_empty()).await;
        assert_eq!(rounds(&exporter)[0].2, [1]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_open_at_the_end_is_told_once_more() {
    let (rig, sender, spans) = open_rig(config(BATCH_DELAY), true);
    let exporter = Arc::clone(&rig.exporter);
    let open_reports = Arc::clone(&rig.open_reports);
    run_beside(rig, async |_| {
        spans.open(&sender, 1);
        until(|| !rounds(&exporter).is_empty()).await;
    })
    .await;
    open_reports.finish(Instant::now() + HOUR).await;
    let last = rounds(&exporter).pop().unwrap();
    assert_eq!((last.1, last.2), (true, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_report_holds_as_much_as_a_batch_and_counts_the_rest() {
    let small = CollectorConfig {
        batch_bytes_max: 1024,
        ..config(BATCH_DELAY)
    };
    let (rig, sender, spans) = open_rig(small, true);
    let exporter = Arc::clone(&rig.exporter);
    run_beside(rig, async |_| {
        for key in 1..=100 {
            spans.open(&sender, key);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        until(|| rounds(&exporter).len() > 1).await;
        let batch = exporter.batches(Signal::Logs).pop().unwrap();
        let report = open_report::read(&batch.bytes).unwrap().remove(0);
        let told: Vec<_> = report.spans.iter().map(|span| span.span_id.get()).collect();
        let count = told.len() as u64;
        assert!((2..20).contains(&count), "{count}");
        assert_eq!(told, (1..=count).collect::<Vec<_>>(), "the oldest first");
        assert_eq!(report.round.left_out, 100 - count);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_exporter_that_panics_ends_no_reports() {
    let (rig, sender, spans) = open_rig(config(BATCH_DELAY), true);
    let exporter = Arc::clone(&rig.exporter);
    exporter.panics.store(true, Ordering::Relaxed);
    run_beside(rig, async |_| {
        spans.open(&sender, 1);
        let mut producer = sender.register().unwrap();
        record(&mut producer);
        tokio::time::sleep(300 * INTERVAL).await;
        // It is asked less and less often, as one that does not answer.
        let asked = exporter.batches(Signal::Logs).len();
        assert!((5..30).contains(&asked), "{asked}");
        let ledgers = exporter.batches(Signal::Metrics).len();
        assert!(ledgers > 1, "the ledger is reported as well");
        exporter.panics.store(false, Ordering::Relaxed);
        until(|| !rounds(&exporter).is_empty()).await;
        until(|| exporter.batches(Signal::Metrics).len() > ledgers).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_request_has_a_name_of_its_own() {
    let (rig, sender, spans) = open_rig(config(BATCH_DELAY), true);
    let exporter = Arc::clone(&rig.exporter);
    run_beside(rig, async |_| {
        spans.open(&sender, 1);
        until(|| rounds(&exporter).len() > 1).await;
        let batches = exporter.batches(Signal::Logs);
        let names: HashSet<_> = batches.iter().map(|batch| batch.id.to_string()).collect();
        assert!(batches[0].bytes.is_empty(), "the backend is asked first");
        assert_eq!(names.len(), batches.len());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_exporter_that_says_nothing_of_open_spans_sees_nothing_of_them() {
    let (rig, sender) = rig_of_file(often(config(BATCH_DELAY)));
    let exporter = Arc::clone(&rig.exporter);
    // Even if it answers as a backend does.
    exporter.takes_open_spans.store(true, Ordering::Relaxed);
    let spans = Arc::new(Spans::default());
    rig.open_reports.watch(Arc::clone(&spans) as Arc<_>);
    run_beside(rig, async |_| {
        spans.open(&sender, 1);
        let mut producer = sender.register().unwrap();
        record(&mut producer);
        tokio::time::sleep(HOUR).await;
        assert_eq!(exporter.batches(Signal::Traces).len(), 1);
        assert_eq!(exporter.batches(Signal::Logs).len(), 0);
    })
    .await;
}
