//! The ledger by thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ringlight_collector::{CollectorConfig, Notice, Notices};
use ringlight_model::{DropReason, Signal, ThreadAccount, ThreadKind, ThreadLedger};

use crate::support::{Answer, PATIENCE, Scripted, config, record_span, start};

/// Rings that hold some ten spans, of which few threads have one.
fn small() -> CollectorConfig {
    CollectorConfig {
        ring_bits: 6,
        producers_max: 4,
        report_interval: Duration::from_millis(1),
        ..config()
    }
}

fn row<'a>(ledger: &'a ThreadLedger, name: &str) -> Option<&'a ThreadAccount> {
    ledger.threads.iter().find(|row| row.name == name)
}

fn of_kind(ledger: &ThreadLedger, kind: ThreadKind) -> (u64, u64) {
    let rows = ledger.threads.iter().filter(|row| row.kind == kind);
    rows.fold((0, 0), |(submitted, dropped), row| {
        let counts = row.counts(Signal::Traces);
        (
            submitted + counts.submitted,
            dropped + counts.dropped_total(),
        )
    })
}

#[test]
fn rows_add_up_to_the_ledger_while_threads_come_and_go_and_drop() {
    const THREADS: u64 = 6;
    const GENERATIONS: u64 = 30;
    const RECORDS: u64 = 500;
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(small(), &[&backend]);
    let is_over = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut submitted = 0;
            while !is_over.load(Ordering::Relaxed) {
                let by_thread = pipeline.ledger_by_thread();
                assert!(by_thread.adds_up(), "{by_thread:?}");
                assert!(by_thread.ledger.balances(), "{by_thread:?}");
                // Nothing that was counted is ever forgotten, whoever is gone.
                let now = by_thread.ledger.account(Signal::Traces).submitted;
                assert!(now >= submitted);
                submitted = now;
                assert!(by_thread.threads.len() <= 4 + 3);
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..GENERATIONS {
            std::thread::scope(|generation| {
                let threads = [(); THREADS as usize].map(|()| {
                    generation.spawn(|| {
                        let recorder = pipeline.recorder();
                        for number in 1..=RECORDS {
                            record_span(&recorder, number);
                        }
                    })
                });
                // The end of the scope would wait for what they run, not for them to leave their rings.
                for thread in threads {
                    thread.join().unwrap();
                }
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(looks.load(Ordering::Relaxed) > 0);
    let by_thread = pipeline.ledger_by_thread();
    let account = *by_thread.ledger.account(Signal::Traces);
    assert_eq!(account.submitted, THREADS * GENERATIONS * RECORDS);
    assert!(account.dropped[DropReason::RingFull] > 0, "{account:?}");
    assert_eq!(
        account.submitted,
        pipeline.ledger().account(Signal::Traces).submitted
    );
    let [ended, shared] =
        [ThreadKind::Ended, ThreadKind::Shared].map(|kind| of_kind(&by_thread, kind));
    assert_eq!(ended.0 + shared.0, account.submitted, "no thread is left");
    assert_eq!(ended.1 + shared.1, account.dropped_total());
    assert!(shared.0 > 0, "there were more threads than rings");
    drop(pipeline);
}

#[test]
fn what_a_thread_does_not_count_at_its_ring_is_in_the_shared_row() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(small(), &[&backend]);
    let recorder = pipeline.recorder();
    assert!(record_span(&recorder, 1));
    let shared = || of_kind(&pipeline.ledger_by_thread(), ThreadKind::Shared);
    assert_eq!(shared(), (0, 0));
    recorder.count_too_many_open();
    assert_eq!(shared(), (1, 1));
    // Recorded while another one is being recorded.
    let accepted = recorder.record(Signal::Logs, 64, |bytes| {
        bytes.fill(0);
        assert!(record_span(&recorder, 2));
    });
    assert!(accepted);
    assert_eq!(shared(), (2, 1));
    let own = of_kind(&pipeline.ledger_by_thread(), ThreadKind::Thread);
    assert_eq!(own, (1, 0));
    drop(pipeline);
}

#[test]
fn a_row_is_that_of_its_thread_until_it_ends() {
    let backend = Scripted::new("backend", Answer::Never);
    let config = CollectorConfig {
        batch_delay: Duration::from_secs(3600),
        ..small()
    };
    let pipeline = start(config, &[&backend]);
    let recorder = pipeline.recorder();
    std::thread::scope(|scope| {
        for (name, records) in [("quiet", 1), ("busy", 3)] {
            let thread = std::thread::Builder::new().name(name.to_owned());
            let recorder = &recorder;
            let pipeline = &pipeline;
            let thread = thread.spawn_scoped(scope, move || {
                for number in 1..=records {
                    record_span(recorder, number);
                }
                // Larger than a ring takes.
                assert!(!recorder.record(Signal::Logs, 1 << 20, |_| {}));
                let by_thread = pipeline.ledger_by_thread();
                let row = row(&by_thread, name).unwrap();
                assert_eq!(row.kind, ThreadKind::Thread);
                assert_eq!(
                    format!("ThreadId({})", row.id),
                    format!("{:?}", std::thread::current().id())
                );
                assert_eq!(row.counts(Signal::Traces).submitted, records);
                let logs = row.counts(Signal::Logs);
                assert_eq!(logs.dropped[DropReason::TooLarge], 1);
                assert!(by_thread.adds_up());
            });
            thread.unwrap().join().unwrap();
            let by_thread = pipeline.ledger_by_thread();
            assert_eq!(row(&by_thread, name), None);
        }
    });
    assert_eq!(
        of_kind(&pipeline.ledger_by_thread(), ThreadKind::Ended).0,
        4
    );
    // What is dropped behind the rings is in a row, too.
    let ledger = pipeline.shutdown(Duration::from_millis(100));
    let by_thread = pipeline.ledger_by_thread();
    assert_eq!(by_thread.ledger, ledger);
    assert!(by_thread.adds_up(), "{by_thread:?}");
    assert_eq!(of_kind(&by_thread, ThreadKind::Pipeline), (0, 4));
}

#[test]
fn a_thread_with_several_rings_has_one_row() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let _producers = [pipeline.register().unwrap(), pipeline.register().unwrap()];
    record_span(&pipeline.recorder(), 1);
    let by_thread = pipeline.ledger_by_thread();
    let [row] = &by_thread.threads[..] else {
        panic!("{by_thread:?}");
    };
    assert_eq!(row.counts(Signal::Traces).submitted, 1);
    let _ = pipeline.shutdown(PATIENCE);
}

#[test]
fn the_report_has_the_rows_and_the_cost() {
    let backend = Scripted::new("backend", Answer::Ok);
    let config = CollectorConfig {
        report_interval: Duration::from_secs(3600),
        ..config()
    };
    let pipeline = start(config, &[&backend]);
    record_span(&pipeline.recorder(), 1);
    let ledger = pipeline.shutdown(PATIENCE);
    let batches = backend.taken();
    let mut metrics = batches
        .iter()
        .filter(|batch| batch.signal == Signal::Metrics);
    let last = metrics.next_back().unwrap();
    let report = ringlight_otlp::ledger_report::read(&last.bytes)
        .unwrap()
        .remove(0);
    let by_thread = ThreadLedger {
        ledger: report.ledger,
        threads: report.threads,
        ring_bytes: report.ring_bytes,
    };
    assert_eq!(by_thread.ledger, ledger);
    assert!(by_thread.adds_up());
    assert_eq!(
        by_thread.ring_bytes,
        CollectorConfig::default().ring_bytes() as u64
    );
    let cost = report.cost.unwrap().total;
    let bytes_of = |is_report: bool| {
        let of_kind = batches
            .iter()
            .filter(|batch| (batch.signal == Signal::Metrics) == is_report);
        of_kind.map(|batch| batch.bytes.len() as u64).sum::<u64>()
    };
    // A report cannot tell of itself.
    assert_eq!(cost.sent_bytes, bytes_of(false));
    assert_eq!(pipeline.cost().sent_bytes, bytes_of(false) + bytes_of(true));
    assert_eq!(cost.memory.rings_bytes, 2 * by_thread.ring_bytes);
    assert!(cost.collector_time > Duration::ZERO && cost.process_time >= cost.collector_time);
}

#[test]
fn a_person_is_told_once_that_threads_share_a_ring() {
    let (sender, told) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let backend = Scripted::new("backend", Answer::Ok);
    let config = CollectorConfig {
        producers_max: 1,
        notices: Notices::new(move |notice| {
            let _ = sender.lock().unwrap().send(notice.clone());
        }),
        ..config()
    };
    let pipeline = start(config, &[&backend]);
    let recorder = pipeline.recorder();
    record_span(&recorder, 1);
    assert!(told.try_recv().is_err(), "it has a ring of its own");
    for number in 2..4 {
        std::thread::scope(|scope| {
            scope
                .spawn(|| record_span(&recorder, number))
                .join()
                .unwrap()
        });
    }
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Notice::RingsInUse));
    pipeline.shutdown(PATIENCE);
    assert!(told.try_iter().all(|notice| notice != Notice::RingsInUse));
}
