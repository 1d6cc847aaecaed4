//! Waits and retries on a clock that jumps: time passes when nothing else is left to do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ringlight_ring::{RingConfig, RingReceiver};

use super::health::backoff;
use super::*;
use crate::config::{CollectorConfig, RetryConfig};
use crate::export::{BatchId, ExportError, ExportFuture};
use crate::resilience::backoff::SERVER_DELAY_MAX;

/// An exporter that answers the n-th attempt, from 0, as a function says.
struct Answers<F> {
    answer: F,
    attempts: Mutex<Vec<Instant>>,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
}

impl<F> ExporterBoxed for Answers<F>
where
    F: Fn(usize) -> Result<ExportOutcome, ExportError> + Send + Sync,
{
    fn export_boxed(&self, _: EncodedBatch) -> ExportFuture<'_> {
        Box::pin(async move {
            let attempt = {
                let mut attempts = self.attempts.lock().unwrap();
                attempts.push(Instant::now());
                attempts.len() - 1
            };
            let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.under_way_max.fetch_max(under_way, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            (self.answer)(attempt)
        })
    }

    fn name_boxed(&self) -> &str {
        "answers"
    }

    fn place_boxed(&self, _: Signal) -> Option<&str> {
        Some("answers")
    }

    fn reports_open_spans_boxed(&self) -> bool {
        false
    }
}

fn away() -> Result<ExportOutcome, ExportError> {
    Err(ExportError::Unreachable {
        reason: "nobody there".to_owned(),
        source: None,
    })
}

fn busy(after: Option<Duration>) -> Result<ExportOutcome, ExportError> {
    Err(ExportError::Retryable {
        reason: "busy".to_owned(),
        after,
    })
}

/// The first attempt of four at once: before there was one for the first two batches, then two.
const ALL_AT_ONCE: usize = 4;

struct Outcome {
    /// When each attempt began, from the first one on.
    attempts: Vec<Duration>,
    under_way_max: usize,
    elapsed: Duration,
    account: ringlight_model::Account,
    // Keeps the rings open.
    _receiver: RingReceiver,
}

/// Delivers `batches` batches of one record each with four workers.
fn deliver(
    batches: u64,
    answer: impl Fn(usize) -> Result<ExportOutcome, ExportError> + Send + Sync + 'static,
) -> Outcome {
    deliver_within(None, batches, answer)
}

/// The same for an application that is leaving, within a time.
fn deliver_within(
    leaves_within: Option<Duration>,
    batches: u64,
    answer: impl Fn(usize) -> Result<ExportOutcome, ExportError> + Send + Sync + 'static,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (sender, receiver) = ringlight_ring::channel(RingConfig::default()).unwrap();
    let everything = Signal::ALL.into_iter().collect();
    let meter = Meter::new(sender.clone(), crate::Governor::default());
    let accounts = Arc::new(Accounts::new(sender, [everything]));
    let exporter = Arc::new(Answers {
        answer,
        attempts: Mutex::default(),
        under_way: AtomicUsize::new(0),
        under_way_max: AtomicUsize::new(0),
    });
    let (start, elapsed) = runtime.block_on(async {
        let start = Instant::now();
        let settled = Arc::new(Notify::new());
        let destination = Arc::new(Destination::new(
            0,
            Place::of(&*exporter, Signal::ALL).remove(0),
            Arc::clone(&exporter) as Arc<dyn ExporterBoxed>,
            DestinationSettings::of(&CollectorConfig::default()),
            &Shared {
                accounts: &accounts,
                meter: &meter,
                notices: &Notices::default(),
                settled: &settled,
            },
            None,
        ));
        let share = crate::accounts::Share {
            destinations: &[0],
            batched: batches,
            unwanted: 0,
            malformed: 0,
        };
        accounts.drained(Signal::Traces, batches, &[share]);
        for sequence in 1..=batches {
            destination.push(EncodedBatch {
                signal: Signal::Traces,
                bytes: Bytes::from_static(b"batch"),
                records: 1,
                id: BatchId::new("test".into(), sequence),
            });
        }
        if let Some(time) = leaves_within {
            destination.leave(&Deadlines {
                backlog: start,
                sent: start + time,
                spooled: start + time,
                end: start + time,
            });
        }
        for _ in 0..4 {
            tokio::spawn(Arc::clone(&destination).work());
        }
        while !destination.is_settled_up_to(batches) {
            settled.notified().await;
        }
        (start, start.elapsed())
    });
    let attempts = exporter.attempts.lock().unwrap();
    Outcome {
        attempts: attempts.iter().map(|&at| at - start).collect(),
        under_way_max: exporter.under_way_max.load(Ordering::Relaxed),
        elapsed,
        account: *accounts.snapshot(0).account(Signal::Traces),
        _receiver: receiver,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_delay_a_backend_asks_for_is_kept() {
    let outcome = deliver(1, |attempt| match attempt {
        0 => busy(Some(seconds(7))),
        _ => Ok(ExportOutcome::default()),
    });
    assert!(outcome.attempts[1] >= seconds(7) && outcome.attempts[1] < seconds(8));
    assert_eq!(outcome.account.exported, 1);
}

#[test]
fn the_delay_a_backend_asks_for_holds_for_every_batch() {
    let outcome = deliver(12, |attempt| match attempt {
        // The first of the four that are under way at once.
        ALL_AT_ONCE => busy(Some(seconds(7))),
        _ => Ok(ExportOutcome::default()),
    });
    let early = outcome.attempts.iter().filter(|at| **at < seconds(7));
    let under_way = ALL_AT_ONCE + 4;
    assert_eq!(
        early.count(),
        under_way,
        "only those that were under way already"
    );
}

#[test]
fn those_who_are_told_the_same_delay_do_not_come_back_in_the_same_moment() {
    let waits = || {
        let outcome = deliver(1, |attempt| match attempt {
            0 => busy(Some(seconds(16))),
            _ => Ok(ExportOutcome::default()),
        });
        outcome.elapsed
    };
    let mut all: Vec<_> = (0..64).map(|_| waits()).collect();
    all.sort();
    assert!(all[0] >= seconds(16) && all[63] < seconds(19), "{all:?}");
    // 64 in two seconds: all in one of them has a chance of 2 in 2^64.
    assert!(all[63] - all[0] > seconds(1), "{all:?}");
}

#[test]
fn an_absurd_delay_is_cut() {
    for absurd in [Duration::MAX, seconds(1_000_000_000_000_000_000)] {
        let outcome = deliver(1, move |attempt| match attempt {
            0 => busy(Some(absurd)),
            _ => Ok(ExportOutcome::default()),
        });
        assert!(outcome.elapsed >= SERVER_DELAY_MAX);
        assert!(outcome.elapsed < SERVER_DELAY_MAX + SERVER_DELAY_MAX / 8 + seconds(1));
    }
}

#[test]
fn waits_grow_up_to_a_limit_and_differ() {
    for failure in [away as fn() -> _, || busy(None)] {
        let outcome = deliver(1, move |attempt| match attempt {
            0..12 => failure(),
            _ => Ok(ExportOutcome::default()),
        });
        let retry = RetryConfig::default();
        for (index, pair) in outcome.attempts.windows(2).enumerate() {
            let waited = pair[1] - pair[0];
            let whole = (retry.delay_first * (1 << index)).min(retry.delay_max);
            // The attempt itself takes a millisecond, and timers count in milliseconds.
            let slack = Duration::from_millis(4);
            assert!(
                waited + slack >= whole / 2 && waited <= whole + slack,
                "{waited:?}"
            );
        }
    }
    let retry = RetryConfig::default();
    let waits: std::collections::BTreeSet<_> = (0..10).map(|_| backoff(&retry, 8)).collect();
    assert!(
        waits.len() > 5,
        "ten processes do not come back in step: {waits:?}"
    );
}

#[test]
fn a_backend_that_stays_away_is_asked_by_one_batch_at_a_time() {
    let outcome = deliver(8, |attempt| match attempt {
        0..200 => away(),
        _ => Ok(ExportOutcome::default()),
    });
    let late = outcome.attempts.iter().filter(|at| **at > seconds(60));
    let pairs: Vec<_> = late.collect();
    for pair in pairs.windows(2).take(20) {
        let apart = *pair[1] - *pair[0];
        assert!(apart >= RetryConfig::default().delay_max / 2, "{apart:?}");
    }
    assert!(outcome.under_way_max <= 4);
}

#[test]
fn retries_end_after_their_time() {
    let outcome = deliver(8, |_| away());
    let exhausted = outcome.account.dropped[DropReason::RetriesExhausted];
    assert_eq!(exhausted, 8);
    assert_eq!(outcome.account.in_flight, 0);
    // All of them came at the same time.
    assert!(outcome.elapsed >= seconds(300) && outcome.elapsed < seconds(301));
}

#[test]
fn a_backend_that_comes_back_gets_what_waits_at_once() {
    let outcome = deliver(50, |attempt| match attempt {
        0..20 => away(),
        _ => Ok(ExportOutcome::default()),
    });
    assert_eq!(outcome.account.exported, 50);
    let back = outcome.attempts[20];
    assert!(
        outcome.elapsed - back < seconds(1),
        "no batch waits out a backoff of its own"
    );
}

#[test]
fn failures_of_one_batch_do_not_hurry_the_others() {
    for failure in [away as fn() -> _, || busy(None)] {
        let outcome = deliver(4, move |_| failure());
        // 300 s at 2.5 to 5 s a wait, one batch at a time, and the first ones closer together.
        let attempts = outcome.attempts.len();
        assert!(
            (60..160).contains(&attempts),
            "{attempts} attempts in 300 s"
        );
        assert!(outcome.elapsed < seconds(306));
    }
}

#[test]
fn a_connection_that_is_lost_with_all_its_requests_is_one_failure_to_who_is_leaving() {
    let outcome = deliver_within(Some(seconds(60)), 12, |attempt| match attempt {
        // The four that are under way at once.
        ALL_AT_ONCE..8 => away(),
        _ => Ok(ExportOutcome::default()),
    });
    assert_eq!(outcome.account.exported, 12);
    // Who is away for good is asked twice more.
    let outcome = deliver_within(Some(seconds(60)), 8, |_| away());
    assert_eq!(outcome.attempts.len(), 3);
    assert_eq!(outcome.account.dropped[DropReason::Shutdown], 8);
    assert!(outcome.elapsed < seconds(1));
}

#[test]
fn half_of_all_requests_may_fail() {
    let outcome = deliver(200, |attempt| match attempt % 2 {
        0 => busy(None),
        _ => Ok(ExportOutcome::default()),
    });
    assert_eq!(outcome.account.exported, 200);
    assert_eq!(outcome.attempts.len(), 400);
}

/// A destination without workers, whose queue holds 100 bytes, with the books of its log records.
fn queue() -> (Destination, Arc<Accounts>, RingReceiver) {
    let (sender, receiver) = ringlight_ring::channel(RingConfig::default()).unwrap();
    let meter = Meter::new(sender.clone(), crate::Governor::default());
    let accounts = Arc::new(Accounts::new(sender, [Signal::ALL.into_iter().collect()]));
    let exporter = Arc::new(Answers {
        answer: |_: usize| away(),
        attempts: Mutex::default(),
        under_way: AtomicUsize::new(0),
        under_way_max: AtomicUsize::new(0),
    });
    let config = CollectorConfig {
        queue_bytes_max: 100,
        ..CollectorConfig::default()
    };
    let destination = Destination::new(
        0,
        Place::of(&*exporter, Signal::ALL).remove(0),
        exporter as Arc<dyn ExporterBoxed>,
        DestinationSettings::of(&config),
        &Shared {
            accounts: &accounts,
            meter: &meter,
            notices: &Notices::default(),
            settled: &Arc::default(),
        },
        None,
    );
    (destination, accounts, receiver)
}

/// A batch of one log record that came out of the rings.
fn drained(accounts: &Accounts, bytes: &'static [u8], is_audit: bool) -> EncodedBatch {
    let share = crate::accounts::Share {
        destinations: &[0],
        batched: 1,
        unwanted: 0,
        malformed: 0,
    };
    accounts.drained(Signal::Logs, 1, &[share]);
    EncodedBatch {
        signal: Signal::Logs,
        bytes: Bytes::from_static(bytes),
        records: 1,
        id: BatchId::new("test".into(), 1).of_audit(is_audit),
    }
}

/// What was dropped for a full queue, and audit records that are lost.
fn dropped(accounts: &Accounts) -> (u64, u64) {
    let ledger = accounts.snapshot(0);
    let dropped = ledger.account(Signal::Logs).dropped[DropReason::QueueFull];
    (dropped, ledger.audit_lost())
}

#[tokio::test]
async fn others_make_room_for_audit_records_only_where_that_makes_enough() {
    let (destination, accounts, _receiver) = queue();
    destination.push(drained(&accounts, &[0; 80], false));
    assert!(destination.take().is_ok(), "it is under way");
    destination.push(drained(&accounts, &[0; 5], false));
    destination.push(drained(&accounts, &[0; 5], false));
    assert_eq!(dropped(&accounts), (0, 0));
    // 80 bytes are under way, which nothing makes room of.
    destination.push(drained(&accounts, &[0; 30], true));
    assert_eq!(dropped(&accounts), (1, 1));
    assert_eq!(destination.state().queue.len(), 2);
    // One of the others is enough, the newest.
    destination.push(drained(&accounts, &[0; 15], true));
    assert_eq!(dropped(&accounts), (2, 1));
    assert_eq!(destination.state().queue.len(), 2);
}

#[tokio::test]
async fn others_make_room_for_audit_records_that_the_disk_does_not_take() {
    let (destination, accounts, _receiver) = queue();
    for _ in 0..5 {
        destination.push(drained(&accounts, &[0; 20], false));
    }
    let come_back = |is_audit| {
        let batch = drained(&accounts, &[0; 20], is_audit);
        destination.move_to(&batch, Stage::Batch, Stage::Queue);
        destination.take_back(batch);
    };
    come_back(false);
    assert_eq!(dropped(&accounts), (1, 0));
    come_back(true);
    assert_eq!(dropped(&accounts), (2, 0));
    let state = destination.state();
    let audit = state.queue.iter().filter(|held| held.batch.id.is_audit());
    assert_eq!((audit.count(), state.queue.len()), (1, 5));
}
