//! A burst that is larger than the rings, under every policy.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::support::{
    Answer, Gate, PATIENCE, Scripted, config, record_span, start, traces, wait_for_traces,
};
use ringlight_collector::{CollectorConfig, ExporterBoxed, OverflowPolicy, Pipeline, Recorder};
use ringlight_model::{CallsiteRegistry, DropReason, Signal};

/// How often this thread has given up the processor to wait for something.
#[cfg(target_os = "linux")]
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

/// Elsewhere nobody counts that.
#[cfg(not(target_os = "linux"))]
const fn waits() -> u64 {
    0
}

/// Offers records until one is refused; the numbers of those that were accepted.
fn fill(recorder: &Recorder, first: u64) -> Vec<u64> {
    let accepted = |number: &u64| record_span(recorder, *number);
    (first..).take_while(accepted).collect()
}

#[test]
fn fault_1_a_burst_loses_the_newest_by_count_and_waits_for_nothing() {
    let (is_there, arrived) = mpsc::channel();
    let (let_go, go_on) = mpsc::channel();
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = Pipeline::start(
        CollectorConfig {
            ring_bits: 6,
            producers_max: 1,
            ..config()
        },
        Arc::new(CallsiteRegistry::new()),
        vec![Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>],
        vec![Box::new(Gate { is_there, go_on })],
    )
    .unwrap();
    let recorder = pipeline.recorder();
    assert_eq!(
        CollectorConfig::default().policy,
        OverflowPolicy::Drop,
        "the default"
    );
    assert!(record_span(&recorder, 1));
    arrived.recv_timeout(PATIENCE).unwrap();

    // From here on nothing is drained: what fits is kept, what comes later is refused.
    let mut accepted = vec![1];
    accepted.extend(fill(&recorder, 2));
    const REFUSED: u64 = 100_000;
    let waits_before = waits();
    for _ in 0..REFUSED {
        let written = |_: &mut [u8]| unreachable!("a record for which there is no room");
        assert!(!recorder.record(Signal::Traces, 128, written));
    }
    assert_eq!(waits() - waits_before, 0, "a drop waits for nothing");

    // So it is for a thread that has no ring of its own.
    let shared = std::thread::scope(|scope| {
        let shared = scope.spawn(|| {
            let accepted = fill(&recorder, 1_000_000);
            for _ in 0..1_000 {
                assert!(!record_span(&recorder, 9));
            }
            accepted
        });
        shared.join().unwrap()
    });
    let refused = REFUSED + 1 + 1_001;
    let account = traces(&pipeline);
    assert_eq!(account.dropped[DropReason::RingFull], refused);
    assert_eq!(account.dropped_total(), refused);
    accepted.extend(shared);
    assert_eq!(account.submitted, accepted.len() as u64 + refused);

    drop(let_go);
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(
        ledger.account(Signal::Traces).exported,
        accepted.len() as u64
    );
    assert_eq!(ledger.account(Signal::Traces).dropped_total(), refused);
    let mut delivered = backend.span_numbers();
    delivered.sort_unstable();
    assert_eq!(delivered, accepted, "exactly those that found room");
}

#[test]
fn fault_1_with_block_nothing_is_lost_to_a_slow_destination() {
    let backend = Scripted::new("backend", Answer::Held);
    let pipeline = start(
        CollectorConfig {
            ring_bits: 6,
            producers_max: 1,
            batch_records_max: 10,
            batch_bytes_max: 1024,
            queue_bytes_max: 2048,
            policy: OverflowPolicy::Block,
            ..config()
        },
        &[&backend],
    );
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let recorder = pipeline.recorder();
            scope.spawn(move || {
                for number in 1..=2_000 {
                    assert!(record_span(&recorder, thread * 2_000 + number));
                }
            });
        }
        backend.wait_attempts(1);
        backend.release(Answer::Ok);
    });
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Traces);
    assert_eq!(
        (account.submitted, account.exported),
        (6_000, 6_000),
        "{account:?}"
    );
    let mut numbers = backend.span_numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=6_000).collect::<Vec<_>>());
}

#[test]
fn producers_that_wait_are_released_at_the_end() {
    let backend = Scripted::new("backend", Answer::Never);
    let pipeline = start(
        CollectorConfig {
            ring_bits: 6,
            producers_max: 1,
            batch_bytes_max: 1024,
            queue_bytes_max: 1024,
            policy: OverflowPolicy::Block,
            ..config()
        },
        &[&backend],
    );
    std::thread::scope(|scope| {
        // One with a ring of its own, two on the shared one.
        for thread in 0..3_u64 {
            let recorder = pipeline.recorder();
            scope.spawn(move || while record_span(&recorder, thread + 1) {});
        }
        backend.wait_attempts(1);
        let ledger = pipeline.shutdown(Duration::from_millis(50));
        assert!(ledger.balances(), "{ledger:?}");
    });
    let account = wait_for_traces(&pipeline, |account| account.in_flight == 0);
    assert_eq!(account.dropped[DropReason::Closed], 3);
    assert_eq!(account.dropped[DropReason::RingFull], 0);
}

#[test]
fn fault_1_waiting_for_a_limited_time_ends_in_a_counted_drop() {
    let backend = Scripted::new("backend", Answer::Never);
    let pipeline = start(
        CollectorConfig {
            ring_bits: 6,
            batch_bytes_max: 1024,
            queue_bytes_max: 1024,
            policy: OverflowPolicy::BlockFor(Duration::from_millis(5)),
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    let started = Instant::now();
    while record_span(&recorder, 1) {}
    assert!(started.elapsed() >= Duration::from_millis(5));
    assert_eq!(traces(&pipeline).dropped[DropReason::RingFull], 1);
}
