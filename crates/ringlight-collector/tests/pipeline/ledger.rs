//! The ledger is exact whenever it is read, and every record is somewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{
    Answer, PATIENCE, Scripted, config, decode, record_log, record_span, record_span_at, start,
    traces, wait_for_traces,
};
use ringlight_collector::{CollectorConfig, OverflowPolicy};
use ringlight_model::{DropReason, Signal};

#[test]
fn every_stage_is_counted_on_its_own() {
    let backend = Scripted::new("backend", Answer::Held);
    let pipeline = start(
        CollectorConfig {
            batch_records_max: 3,
            concurrent_exports_max: 1,
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    for number in 1..=7 {
        assert!(record_span(&recorder, number));
    }
    // One batch is with the backend, two wait behind it.
    backend.wait_attempts(1);
    let account = traces(&pipeline);
    assert_eq!((account.submitted, account.in_flight), (7, 7));
    assert_eq!(account.exported, 0);

    backend.release(Answer::Rejected(1));
    pipeline.flush(PATIENCE).unwrap();
    let account = traces(&pipeline);
    let batches = backend.taken().len() as u64;
    assert_eq!((account.submitted, account.in_flight), (7, 0));
    // The first batch was taken whole, each later one lost a record.
    assert_eq!(
        (account.exported, account.rejected),
        (7 - (batches - 1), batches - 1)
    );
    assert!(account.balances());
}

#[test]
fn the_ledger_balances_while_everything_moves() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            ring_bits: 6,
            batch_records_max: 50,
            batch_bytes_max: 4096,
            queue_bytes_max: 8192,
            producers_max: 2,
            ..config()
        },
        &[&backend],
    );
    let is_done = AtomicBool::new(false);
    let produced = 4 * 20_000;
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..4_u64)
            .map(|thread| {
                let recorder = pipeline.recorder();
                scope.spawn(move || {
                    for number in 0..20_000 {
                        record_span(&recorder, thread * 20_000 + number + 1);
                        if number % 3 == 0 {
                            record_log(&recorder, "beside");
                        }
                    }
                })
            })
            .collect();
        let faults = scope.spawn(|| {
            let answers = [
                Answer::Rejected(3),
                Answer::Retryable(None),
                Answer::Unreachable,
                Answer::Permanent,
                Answer::Panic,
                Answer::Rejected(1_000_000),
            ];
            for answer in answers.iter().cycle() {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                backend.script([answer.clone()]);
                std::thread::yield_now();
            }
        });
        let reader = scope.spawn(|| {
            let mut readings = 0_u32;
            let mut last = 0;
            while !is_done.load(Ordering::Relaxed) || readings == 0 {
                let ledger = pipeline.ledger();
                assert!(ledger.balances(), "{ledger:?}");
                let submitted = ledger.account(Signal::Traces).submitted;
                assert!(submitted >= last);
                last = submitted;
                readings += 1;
            }
        });
        for producer in producers {
            producer.join().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
        faults.join().unwrap();
        reader.join().unwrap();
    });
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Traces);
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(account.submitted, produced);
    assert_eq!(account.in_flight, 0);
    assert_eq!(ledger.account(Signal::Logs).in_flight, 0);
}

#[test]
fn what_a_full_ring_refuses_is_counted() {
    let backend = Scripted::new("backend", Answer::Never);
    let pipeline = start(
        CollectorConfig {
            ring_bits: 6,
            batch_records_max: 1,
            concurrent_exports_max: 1,
            batch_bytes_max: 1024,
            queue_bytes_max: 1024,
            // So that nothing is drained while the queue is full.
            policy: OverflowPolicy::BlockFor(Duration::ZERO),
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    let mut refused = 0;
    for number in 1..=10_000 {
        refused += u64::from(!record_span(&recorder, number));
    }
    assert!(refused > 0);
    let account = traces(&pipeline);
    assert_eq!(account.dropped[DropReason::RingFull], refused);
    assert_eq!(account.in_flight, 10_000 - refused);
    assert!(account.balances());
}

#[test]
fn a_record_larger_than_a_ring_takes_is_counted() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    assert!(!pipeline.recorder().record(Signal::Logs, 1 << 24, |_| ()));
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Logs);
    assert_eq!(account.dropped[DropReason::TooLarge], 1);
    assert_eq!(account.submitted, 1);
    assert!(ledger.balances());
}

#[test]
fn bytes_that_are_no_record_are_counted() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let recorder = pipeline.recorder();
    recorder.record(Signal::Logs, 16, |buffer| buffer.fill(0xff));
    recorder.record(Signal::Traces, 8, |buffer| {
        buffer.copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0])
    });
    let ledger = pipeline.shutdown(PATIENCE);
    for signal in [Signal::Traces, Signal::Logs] {
        let account = ledger.account(signal);
        assert_eq!(account.dropped[DropReason::Malformed], 1, "{signal}");
        assert_eq!((account.submitted, account.in_flight), (1, 0));
    }
    assert!(ledger.balances());
}

#[test]
fn fault_8_spans_that_end_before_they_begin_are_counted_and_sent() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let recorder = pipeline.recorder();
    for (number, end) in [(1, 999), (2, 1_000), (3, 0), (4, 1_001)] {
        assert!(record_span_at(&recorder, number, (1_000, end)));
    }
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.negative_durations(), 2);
    assert_eq!(ledger.account(Signal::Traces).exported, 4);
    let taken = backend.taken();
    let spans = taken.iter().flat_map(|batch| decode(batch).spans);
    let durations: Vec<_> = spans.map(|span| span.duration_nano()).collect();
    assert_eq!(durations, [0, 0, 0, 1]);
}

#[test]
fn a_record_whose_writer_panics_is_counted() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let recorder = pipeline.recorder();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        recorder.record(Signal::Traces, 64, |_| panic!("in the middle of a record"))
    }));
    assert!(panicked.is_err());
    assert!(record_span(&recorder, 1), "the ring still works");
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Traces);
    assert_eq!(account.dropped[DropReason::Malformed], 1);
    assert_eq!(
        (account.submitted, account.exported, account.in_flight),
        (2, 1, 0)
    );
}

#[test]
fn a_record_made_while_a_record_is_written_goes_through_the_shared_ring() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let recorder = pipeline.recorder();
    record_span(&recorder, 1);
    recorder.record(Signal::Logs, 48, |buffer| {
        assert!(record_span(&recorder, 2));
        buffer.fill(0);
        buffer[0] = 2;
    });
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, 2);
    assert_eq!(ledger.account(Signal::Logs).exported, 1);
}

#[test]
fn fault_2_threads_beyond_the_slots_and_threads_that_end_lose_nothing() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            producers_max: 2,
            policy: OverflowPolicy::Block,
            ..config()
        },
        &[&backend],
    );
    let all_here = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let recorder = pipeline.recorder();
            let all_here = &all_here;
            scope.spawn(move || {
                record_span(&recorder, thread * 1000 + 1);
                // All eight are alive at once: six share the overflow ring.
                all_here.wait();
                for number in 2..=1000 {
                    assert!(record_span(&recorder, thread * 1000 + number));
                }
            });
        }
    });
    for _ in 0..100 {
        let recorder = pipeline.recorder();
        std::thread::spawn(move || record_span(&recorder, 9_000))
            .join()
            .unwrap();
    }
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, 8_100);
    let mut numbers = backend.span_numbers();
    numbers.retain(|&number| number < 9_000);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8_000).collect::<Vec<_>>());
}

#[test]
fn without_a_destination_records_count_once_the_sinks_have_seen_them() {
    let pipeline = start(config(), &[]);
    let recorder = pipeline.recorder();
    record_span(&recorder, 1);
    record_log(&recorder, "hello");
    pipeline.flush(PATIENCE).unwrap();
    wait_for_traces(&pipeline, |account| account.exported == 1);
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Logs).exported, 1);
    assert!(ledger.balances());
}

thread_local! {
    static LAST_WORDS: std::cell::RefCell<Option<LastWords>> = const { std::cell::RefCell::new(None) };
}

/// Records when the thread's locals are destroyed.
struct LastWords(ringlight_collector::Recorder);

impl Drop for LastWords {
    fn drop(&mut self) {
        assert!(record_span(&self.0, 2));
    }
}

#[test]
fn fault_4_what_a_thread_records_while_its_locals_are_destroyed_is_delivered() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    for has_recorded in [true, false] {
        let recorder = pipeline.recorder();
        std::thread::spawn(move || {
            LAST_WORDS.set(Some(LastWords(recorder.clone())));
            if has_recorded {
                record_span(&recorder, 1);
            }
        })
        .join()
        .unwrap();
    }
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, 3);
    let mut numbers = backend.span_numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 2]);
}

#[test]
fn two_pipelines_in_one_process_keep_their_records_apart() {
    let backends = [
        Scripted::new("one", Answer::Ok),
        Scripted::new("two", Answer::Ok),
    ];
    let pipelines = [
        start(config(), &[&backends[0]]),
        start(config(), &[&backends[1]]),
    ];
    for number in 1..=100 {
        for pipeline in &pipelines {
            assert!(record_span(&pipeline.recorder(), number));
        }
    }
    pipelines[0].shutdown(PATIENCE);
    assert!(!record_span(&pipelines[0].recorder(), 101));
    assert!(record_span(&pipelines[1].recorder(), 101));
    pipelines[1].shutdown(PATIENCE);
    assert_eq!(backends[0].span_numbers(), (1..=100).collect::<Vec<_>>());
    assert_eq!(backends[1].span_numbers(), (1..=101).collect::<Vec<_>>());
}

#[test]
fn the_shared_ring_stands_everything_a_ring_of_ones_own_stands() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            producers_max: 1,
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    // This thread takes the only slot and keeps it.
    assert!(record_span(&recorder, 1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(record_span(&recorder, 2));
            // A record within a record.
            assert!(recorder.record(Signal::Logs, 48, |buffer| {
                assert!(record_span(&recorder, 3));
                buffer.fill(0);
                buffer[0] = 2;
            }));
            // A long one, one that is too long, and a writer that panics.
            assert!(record_log(&recorder, &"long ".repeat(2_000)));
            assert!(!recorder.record(Signal::Traces, 1 << 24, |_| ()));
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                recorder.record(Signal::Traces, 64, |_| panic!("in the middle of a record"))
            }));
            assert!(panicked.is_err());
            assert!(record_span(&recorder, 4));
        });
    });
    let ledger = pipeline.shutdown(PATIENCE);
    let traces = ledger.account(Signal::Traces);
    assert_eq!((traces.submitted, traces.exported), (6, 4));
    assert_eq!(traces.dropped[DropReason::TooLarge], 1);
    assert_eq!(traces.dropped[DropReason::Malformed], 1);
    assert_eq!(ledger.account(Signal::Logs).exported, 2);
    assert!(ledger.balances());
}
