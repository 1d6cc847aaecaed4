//! Batches reach their destinations: in time, in order, again after a failure, to each on its own.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::support::{
    Answer, PATIENCE, Scripted, config, decode, record_log, record_span, start, traces, wait_for,
    wait_for_traces,
};
use ringlight_collector::{
    CollectorConfig, EncodedBatch, ExportError, ExportOutcome, Exporter, ExporterBoxed, Notice,
    Notices, OverflowPolicy, Pipeline, RetryConfig,
};
use ringlight_model::{DropReason, LedgerSnapshot, Signal};

#[test]
fn a_batch_is_sent_when_it_is_old_enough_though_it_is_small() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    record_span(&pipeline.recorder(), 1);
    backend.wait_attempts(1);
    assert_eq!(backend.attempts()[0].records, 1);
}

#[test]
fn a_batch_is_sent_when_it_is_full_though_it_is_young() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            batch_delay: Duration::from_secs(3600),
            batch_records_max: 10,
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    for number in 1..=25 {
        record_span(&recorder, number);
    }
    wait_for_traces(&pipeline, |account| account.exported == 20);
    assert_eq!(traces(&pipeline).in_flight, 5);
    assert!(backend.taken().iter().all(|batch| batch.records == 10));
}

#[test]
fn records_of_one_thread_stay_in_order() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            concurrent_exports_max: 1,
            policy: OverflowPolicy::Block,
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    for number in 1..=20_000 {
        assert!(record_span(&recorder, number));
    }
    pipeline.shutdown(PATIENCE);
    assert_eq!(backend.span_numbers(), (1..=20_000).collect::<Vec<_>>());
}

#[test]
fn signals_travel_in_batches_of_their_own() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    record_span(&pipeline.recorder(), 1);
    record_log(&pipeline.recorder(), "hello");
    pipeline.shutdown(PATIENCE);
    let taken = backend.taken();
    assert_eq!(taken.len(), 2);
    for batch in taken {
        let decoded = decode(&batch);
        assert_eq!(decoded.resources[0].service_name(), "test");
        let expected = if batch.signal == Signal::Traces {
            (1, 0)
        } else {
            (0, 1)
        };
        assert_eq!((decoded.spans.len(), decoded.logs.len()), expected);
    }
}

#[test]
fn batches_of_two_runs_of_one_instance_have_different_names() {
    let names = || {
        let backend = Scripted::new("backend", Answer::Ok);
        // The same `service.instance.id` both times, as a user may set it.
        let pipeline = start(config(), &[&backend]);
        record_span(&pipeline.recorder(), 1);
        pipeline.shutdown(PATIENCE);
        let taken = backend.taken();
        assert_eq!(taken.len(), 1);
        taken[0].id.to_string()
    };
    let (first, second) = (names(), names());
    assert!(first.ends_with("-1") && second.ends_with("-1"));
    assert_ne!(first, second);
}

#[test]
fn a_failed_batch_is_sent_again_under_the_same_name() {
    let backend = Scripted::new("backend", Answer::Ok);
    backend.script([
        Answer::Retryable(None),
        Answer::Unreachable,
        Answer::Retryable(Some(Duration::from_millis(2))),
    ]);
    let pipeline = start(config(), &[&backend]);
    record_span(&pipeline.recorder(), 1);
    pipeline.flush(PATIENCE).unwrap();
    let ids: Vec<_> = backend
        .attempts()
        .into_iter()
        .map(|batch| batch.id)
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(traces(&pipeline).exported, 1);
}

#[test]
fn a_refused_batch_is_not_sent_again() {
    let backend = Scripted::new("backend", Answer::Ok);
    backend.script([Answer::Permanent, Answer::Unsupported, Answer::Panic]);
    let pipeline = start(config(), &[&backend]);
    for number in 1..=4 {
        record_span(&pipeline.recorder(), number);
        pipeline.flush(PATIENCE).unwrap();
    }
    let account = traces(&pipeline);
    assert_eq!((account.exported, account.rejected), (1, 3));
    assert_eq!(backend.attempts().len(), 4);
}

#[test]
fn an_attempt_without_an_answer_is_given_up_and_repeated() {
    let backend = Scripted::new("backend", Answer::Ok);
    backend.script([Answer::Never]);
    let pipeline = start(
        CollectorConfig {
            export_timeout: Duration::from_millis(10),
            ..config()
        },
        &[&backend],
    );
    record_span(&pipeline.recorder(), 1);
    pipeline.flush(PATIENCE).unwrap();
    assert_eq!(traces(&pipeline).exported, 1);
    assert_eq!(backend.attempts().len(), 2);
}

#[test]
fn retries_end() {
    let backend = Scripted::new("backend", Answer::Retryable(None));
    let pipeline = start(
        CollectorConfig {
            retry: RetryConfig {
                total_max: Duration::ZERO,
                ..config().retry
            },
            ..config()
        },
        &[&backend],
    );
    record_span(&pipeline.recorder(), 1);
    pipeline.flush(PATIENCE).unwrap();
    let account = traces(&pipeline);
    assert_eq!(account.dropped[DropReason::RetriesExhausted], 1);
    assert!(account.balances());
}

#[test]
fn requests_under_way_are_limited() {
    let backend = Scripted::new("backend", Answer::Held);
    let pipeline = start(
        CollectorConfig {
            batch_records_max: 1,
            concurrent_exports_max: 3,
            ..config()
        },
        &[&backend],
    );
    let record = |numbers: std::ops::RangeInclusive<u64>| {
        numbers.for_each(|number| assert!(record_span(&pipeline.recorder(), number)));
    };
    record(1..=40);
    backend.wait_attempts(1);
    assert_eq!(backend.under_way_max(), 1, "nothing is known of it yet");
    backend.release(Answer::Ok);
    pipeline.flush(PATIENCE).unwrap();
    // It answers at once, so there may be as many as there are to be at most.
    backend.set_default(Answer::Held);
    record(41..=60);
    backend.wait_attempts(40 + 3);
    backend.release(Answer::Ok);
    pipeline.flush(PATIENCE).unwrap();
    assert_eq!(backend.under_way_max(), 3);
    assert_eq!(traces(&pipeline).exported, 60);
}

#[test]
fn fault_16_a_dead_destination_does_not_touch_the_other() {
    let dead = Scripted::new("dead", Answer::Unreachable);
    let alive = Scripted::new("alive", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            batch_records_max: 10,
            batch_bytes_max: 1024,
            queue_bytes_max: 4096,
            ..config()
        },
        &[&dead, &alive],
    );
    let recorder = pipeline.recorder();
    let mut accepted = 0_u64;
    for number in 1..=2_000 {
        accepted += u64::from(record_span(&recorder, number));
        if number % 100 == 0 {
            wait_for(|| {
                let alive = pipeline.ledgers()[1].1;
                (alive.account(Signal::Traces).exported >= accepted - accepted % 10).then_some(())
            });
        }
    }
    let ledgers = pipeline.ledgers();
    assert_eq!(ledgers[0].0, "dead");
    let dead = ledgers[0].1.account(Signal::Traces);
    assert!(dead.dropped[DropReason::QueueFull] > 0, "{dead:?}");
    assert_eq!(dead.exported, 0);
    pipeline.shutdown(PATIENCE);
    let ledgers = pipeline.ledgers();
    assert_eq!(ledgers[1].1.account(Signal::Traces).exported, accepted);
    assert!(ledgers.iter().all(|(_, ledger)| ledger.balances()));
    assert_eq!(ledgers[0].1.account(Signal::Traces).in_flight, 0);
}

#[test]
fn a_person_is_told_when_something_changes_and_how_many_were_refused_at_the_end() {
    let backend = Scripted::new("backend", Answer::Unreachable);
    let (told, tellings) = channel();
    let pipeline = start(
        CollectorConfig {
            notices: Notices::new(move |notice| {
                let _ = told.send(notice.clone());
            }),
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    record_span(&recorder, 1);
    backend.wait_attempts(5);
    backend.set_default(Answer::Rejected(1));
    for number in 2..=3 {
        pipeline.flush(PATIENCE).unwrap();
        record_span(&recorder, number);
    }
    backend.set_default(Answer::Warning("be nice"));
    for number in 4..=5 {
        pipeline.flush(PATIENCE).unwrap();
        record_span(&recorder, number);
    }
    pipeline.shutdown(PATIENCE);
    drop((pipeline, recorder));
    let notices: Vec<_> = tellings.iter().collect();
    let kinds: Vec<_> = notices
        .iter()
        .map(|notice| match notice {
            Notice::Unreachable { .. } => "unreachable",
            Notice::Recovered { .. } => "recovered",
            Notice::Rejected { .. } => "rejected",
            Notice::Warning { .. } => "warning",
            _ => "other",
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "unreachable",
            "recovered",
            "rejected",
            "warning",
            "rejected"
        ]
    );
    assert!(matches!(notices[4], Notice::Rejected { records: 2, .. }));
    assert!(notices.iter().all(|n| n.to_string().contains("backend")));
}

#[test]
fn a_connection_that_was_closed_while_idle_is_no_news() {
    let backend = Scripted::new("backend", Answer::Ok);
    let (told, tellings) = channel();
    let pipeline = start(
        CollectorConfig {
            notices: Notices::new(move |notice| {
                let _ = told.send(notice.clone());
            }),
            ..config()
        },
        &[&backend],
    );
    for number in 1..=3 {
        record_span(&pipeline.recorder(), number);
        pipeline.flush(PATIENCE).unwrap();
        backend.script([Answer::Unreachable]);
    }
    assert_eq!(backend.attempts().len(), 5);
    backend.script([Answer::Unreachable, Answer::Unreachable]);
    record_span(&pipeline.recorder(), 4);
    pipeline.flush(PATIENCE).unwrap();
    pipeline.shutdown(PATIENCE);
    drop(pipeline);
    let notices: Vec<_> = tellings.iter().collect();
    assert!(
        matches!(
            notices[..],
            [Notice::Unreachable { .. }, Notice::Recovered { .. }]
        ),
        "only the second failure in a row is: {notices:?}"
    );
}

#[test]
fn a_person_is_told_of_drops_for_each_reason_and_at_the_end_how_many_they_were() {
    let backend = Scripted::new("backend", Answer::Unreachable);
    let (told, tellings) = channel();
    let pipeline = start(
        CollectorConfig {
            notices: Notices::new(move |notice| {
                let _ = told.send(notice.clone());
            }),
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    for number in 1..=5 {
        record_span(&recorder, number);
    }
    assert!(!recorder.record(Signal::Logs, 1 << 24, |_| ()));
    backend.wait_attempts(1);
    let next_drop = || {
        let mut told = std::iter::from_fn(|| tellings.recv_timeout(PATIENCE).ok());
        told.find_map(|notice| match notice {
            Notice::Dropped {
                reason, records, ..
            } => Some((reason, records)),
            _ => None,
        })
    };
    assert_eq!(next_drop(), Some((DropReason::TooLarge, 1)));
    (0..2).for_each(|_| assert!(!recorder.record(Signal::Logs, 1 << 24, |_| ())));
    pipeline.shutdown(Duration::from_millis(200));
    drop((pipeline, recorder));
    // Until the pipeline, which has the other end, is gone.
    let mut last: Vec<_> = std::iter::from_fn(next_drop).collect();
    last.sort_unstable();
    assert_eq!(last, [(DropReason::TooLarge, 3), (DropReason::Shutdown, 5)]);
}

#[test]
fn sixteen_producers_lose_nothing_and_keep_their_order() {
    const PRODUCERS: u64 = 16;
    const SPANS: u64 = 25_000;
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            concurrent_exports_max: 1,
            policy: OverflowPolicy::Block,
            ..config()
        },
        &[&backend],
    );
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let recorder = pipeline.recorder();
            scope.spawn(move || {
                for number in 0..SPANS {
                    assert!(record_span(&recorder, (producer << 32) + number + 1));
                }
            });
        }
    });
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, PRODUCERS * SPANS);
    let mut next = [1; PRODUCERS as usize];
    for number in backend.span_numbers() {
        let (producer, number) = ((number >> 32) as usize, number & 0xffff_ffff);
        assert_eq!(number, next[producer], "of producer {producer}");
        next[producer] += 1;
    }
    assert_eq!(next, [SPANS + 1; PRODUCERS as usize]);
}

/// A file that does not take anything, and holds up a thread for each request.
struct StuckFile {
    name: &'static str,
    writes: Arc<Mutex<Receiver<()>>>,
}

impl Exporter for StuckFile {
    async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let writes = Arc::clone(&self.writes);
        let written = tokio::task::spawn_blocking(move || {
            // Until the test ends: nobody writes.
            let writes = writes.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writes.recv();
        });
        let _ = written.await;
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        self.name
    }
}

/// What looks up a name for each request.
struct LooksUp;

impl Exporter for LooksUp {
    async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let found = tokio::task::spawn_blocking(|| ());
        found.await.map_err(|error| ExportError::Permanent {
            reason: error.to_string(),
        })?;
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "looks up"
    }
}

#[test]
fn files_that_are_stuck_leave_threads_to_who_looks_up_names() {
    let (_ends, writes) = channel();
    let writes = Arc::new(Mutex::new(writes));
    let file = |name| {
        let writes = Arc::clone(&writes);
        Arc::new(StuckFile { name, writes }) as Arc<dyn ExporterBoxed>
    };
    let destinations = vec![Arc::new(LooksUp) as _, file("one"), file("two")];
    let config = CollectorConfig {
        batch_records_max: 1,
        ..config()
    };
    let pipeline = Pipeline::start(config, Arc::default(), destinations, Vec::new()).unwrap();
    // More than are under way at a time.
    for number in 1..=10 {
        record_span(&pipeline.recorder(), number);
    }
    wait_for_traces(&pipeline, |account| account.exported == 10);
    let in_files = |(_, ledger): &(String, LedgerSnapshot)| ledger.account(Signal::Traces).exported;
    let exported: Vec<_> = pipeline.ledgers().iter().map(in_files).collect();
    assert_eq!(exported, [10, 0, 0]);
    pipeline.shutdown(Duration::ZERO);
}

#[test]
fn what_is_answered_slowly_goes_in_few_large_requests() {
    let backend = Scripted::new("backend", Answer::Held);
    let pipeline = start(config(), &[&backend]);
    let recorder = pipeline.recorder();
    let mut recorded = 0;
    let mut record_for = |time: Duration| {
        let until = Instant::now() + time;
        while Instant::now() < until {
            recorded += 1;
            record_span(&recorder, recorded);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    record_for(Duration::from_millis(20));
    backend.wait_attempts(1);
    // Many times the delay of a batch passes while the first request is under way.
    record_for(Duration::from_millis(200));
    backend.release(Answer::Ok);
    pipeline.flush(PATIENCE).unwrap();
    let account = traces(&pipeline);
    assert_eq!(account.exported, account.submitted);
    let taken = backend.taken();
    assert!(taken.len() <= 5, "{} requests", taken.len());
}

#[test]
fn a_destination_that_is_slow_does_not_delay_what_goes_to_another() {
    let slow = Scripted::new("slow", Answer::Held);
    let alive = Scripted::new("alive", Answer::Ok);
    let pipeline = start(config(), &[&slow, &alive]);
    for number in 1..=10 {
        record_span(&pipeline.recorder(), number);
        wait_for(|| (alive.span_numbers().len() as u64 == number).then_some(()));
    }
    slow.release(Answer::Ok);
    pipeline.flush(PATIENCE).unwrap();
    assert_eq!(slow.span_numbers().len(), 10);
}
