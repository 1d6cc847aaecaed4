//! Destinations and batches that do not get on with each other, and what others do meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringlight_collector::{
    CollectorConfig, DestinationConfig, DestinationSpoolMode, Disk, EncodedBatch, ExportError,
    ExportOutcome, Exporter, ExporterBoxed, Notice, Notices, OverflowPolicy, Pipeline, RetryConfig,
    SpoolConfig, SpoolMode,
};
use ringlight_model::{DropReason, Signal};
use ringlight_testing::{DiskOperation, FaultDisk};

use crate::support::{
    Answer, PATIENCE, Scripted, config, decode, record_span, start, traces, wait_for,
};

/// Small batches, so that a queue is full soon.
fn narrow() -> CollectorConfig {
    CollectorConfig {
        batch_records_max: 10,
        batch_bytes_max: 1_024,
        queue_bytes_max: 4_096,
        ..config()
    }
}

#[test]
fn fault_16_at_the_end_one_that_hangs_does_not_keep_what_is_for_another() {
    for policy in [OverflowPolicy::Drop, OverflowPolicy::Block] {
        let hangs = Scripted::new("hangs", Answer::Never);
        let well = Scripted::new("well", Answer::Ok);
        let pipeline = start(
            CollectorConfig {
                policy,
                export_timeout: Duration::from_secs(600),
                ..narrow()
            },
            &[&hangs, &well],
        );
        let recorder = pipeline.recorder();
        let mut submitted = 0;
        // The queue of the one that hangs is full, which does not show at the other.
        for number in 1..=200 {
            submitted += u64::from(record_span(&recorder, number));
        }
        pipeline.shutdown(Duration::from_secs(20));
        let ledgers = pipeline.ledgers();
        assert_eq!(
            ledgers[1].1.account(Signal::Traces).exported,
            submitted,
            "{policy:?} {ledgers:?}"
        );
        let hung = ledgers[0].1.account(Signal::Traces);
        assert_eq!(hung.exported, 0);
        assert!(
            hung.dropped[DropReason::QueueFull] > 0 && hung.balances(),
            "{hung:?}"
        );
    }
}

#[test]
fn fault_16_one_that_is_away_does_not_stop_who_waits_for_room() {
    let away = Scripted::new("away", Answer::Unreachable);
    let well = Scripted::new("well", Answer::Ok);
    let settings = CollectorConfig {
        policy: OverflowPolicy::Block,
        ring_bits: 6,
        ..narrow()
    };
    let pipeline = start(settings, &[&away, &well]);
    let recorder = pipeline.recorder();
    let began = Instant::now();
    for number in 1..=5_000 {
        assert!(record_span(&recorder, number));
    }
    wait_for(|| (pipeline.ledgers()[1].1.account(Signal::Traces).exported == 5_000).then_some(()));
    // Five minutes for each batch that is tried again and again would be far more.
    assert!(began.elapsed() < PATIENCE);
}

/// Takes everything but requests with one span, of which it says nothing but that it is lost.
#[derive(Clone)]
struct Poisoned {
    number: u64,
    taken: Arc<Mutex<BTreeSet<u64>>>,
}

impl Exporter for Poisoned {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let spans = decode(&batch).spans;
        let numbers: Vec<_> = spans.iter().map(|span| span.span_id.get()).collect();
        if numbers.contains(&self.number) {
            return Err(ExportError::Unreachable {
                reason: "connection reset by peer".to_owned(),
                source: None,
            });
        }
        self.taken.lock().unwrap().extend(numbers);
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "poisoned"
    }
}

#[test]
fn a_batch_that_always_fails_does_not_stop_the_others_and_costs_one_record() {
    for mode in [None, Some(SpoolMode::Overflow), Some(SpoolMode::Always)] {
        let dir = tempfile::tempdir().unwrap();
        let poisoned = Poisoned {
            number: 7,
            taken: Arc::default(),
        };
        let settings = CollectorConfig {
            spool: mode.map(|mode| SpoolConfig {
                mode,
                ..SpoolConfig::new(dir.path().join("spool"))
            }),
            retry: RetryConfig {
                delay_first: Duration::from_millis(1),
                delay_max: Duration::from_millis(1),
                ..RetryConfig::default()
            },
            ..narrow()
        };
        let exporter = Arc::new(poisoned.clone()) as Arc<dyn ExporterBoxed>;
        let callsites = Arc::default();
        let pipeline = Pipeline::start(
            settings,
            callsites,
            vec![DestinationConfig::new(exporter)],
            vec![],
        );
        let pipeline = pipeline.unwrap();
        let mut number = 0;
        // Others keep coming, and go past it.
        let done = |number: u64| {
            let taken = poisoned.taken.lock().unwrap();
            let is_all_but_it = taken.len() as u64 + 1 == number;
            let is_given_up = traces(&pipeline).dropped[DropReason::RetriesExhausted] == 1;
            number >= 400 && is_all_but_it && (is_given_up || mode.is_none())
        };
        let until = Instant::now() + PATIENCE;
        while !done(number) {
            assert!(Instant::now() < until, "{mode:?}: {:?}", traces(&pipeline));
            for _ in 0..10 {
                number += 1;
                assert!(record_span(&pipeline.recorder(), number));
            }
            let others = number - 10;
            wait_for(|| (poisoned.taken.lock().unwrap().len() as u64 >= others).then_some(()));
        }
        let ledger = pipeline.shutdown(Duration::from_millis(500));
        assert!(ledger.balances(), "{ledger}");
        let account = ledger.account(Signal::Traces);
        assert_eq!(account.exported, number - 1, "{mode:?}: {ledger}");
        if mode.is_some() {
            let letters = dir.path().join("spool/default/traces/dead-letters");
            let kept = std::fs::read_dir(&letters).unwrap().count();
            assert!(kept > 0, "{}", letters.display());
        }
    }
}

#[test]
fn what_is_new_goes_first_while_a_backlog_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let settings = || CollectorConfig {
        spool: Some(SpoolConfig::new(dir.path().join("spool"))),
        ..narrow()
    };
    let away = Scripted::new("away", Answer::Unreachable);
    let pipeline = start(settings(), &[&away]);
    for number in 1..=1_000 {
        record_span(&pipeline.recorder(), number);
        if number % 20 == 0 {
            pipeline.flush(PATIENCE).unwrap();
        }
    }
    let left = pipeline.shutdown(PATIENCE);
    assert_eq!(left.account(Signal::Traces).spooled, 1_000, "{left}");

    // It answers slowly, so that the backlog takes a while.
    let slow = Scripted::new("slow", Answer::Held);
    let pipeline = start(settings(), &[&slow]);
    slow.wait_attempts(1);
    let recorder = pipeline.recorder();
    for number in 2_001..=2_020 {
        assert!(record_span(&recorder, number));
    }
    let is_new = |number: &u64| *number > 2_000;
    let mut answered = 0;
    while slow.span_numbers().iter().filter(|n| is_new(n)).count() < 20 {
        slow.wait_attempts(answered + 1);
        answered = slow.attempts().len();
        slow.release(Answer::Held);
        assert!(answered < 40, "the backlog of a hundred batches goes first");
    }
    slow.release(Answer::Ok);
    pipeline.flush(PATIENCE).unwrap();
    wait_for(|| (traces(&pipeline).exported == 1_020).then_some(()));
    let account = traces(&pipeline);
    assert_eq!(account.dropped_total(), 0, "{account:?}");
}

#[test]
fn after_a_short_rest_what_went_to_disk_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Scripted::new("backend", Answer::Ok);
    backend.script([Answer::Retryable(Some(Duration::from_millis(1_500)))]);
    let settings = CollectorConfig {
        spool: Some(SpoolConfig::new(dir.path().join("spool"))),
        ..narrow()
    };
    let exporter = Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>;
    let destination = DestinationConfig {
        spool: Some(DestinationSpoolMode::On(SpoolMode::Overflow)),
        ..DestinationConfig::new(exporter)
    };
    let pipeline = Pipeline::start(settings, Arc::default(), vec![destination], vec![]).unwrap();
    record_span(&pipeline.recorder(), 1);
    backend.wait_attempts(1);
    for number in 2..=50 {
        record_span(&pipeline.recorder(), number);
    }
    let until = Instant::now() + Duration::from_secs(20);
    while traces(&pipeline).exported < 50 {
        assert!(Instant::now() < until, "{:?}", traces(&pipeline));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn fault_21_a_disk_that_fails_is_told_once_and_nothing_is_lost_for_it() {
    let disk = Arc::new(FaultDisk::new());
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let backend = Scripted::new("backend", Answer::Held);
    let settings = CollectorConfig {
        spool: Some(SpoolConfig {
            mode: SpoolMode::Always,
            disk: Arc::clone(&disk) as Arc<dyn Disk>,
            ..SpoolConfig::new("/spool")
        }),
        notices: Notices::new(move |notice| told.lock().unwrap().push(notice.clone())),
        ..narrow()
    };
    let count = |is_it: fn(&Notice) -> bool| {
        notices
            .lock()
            .unwrap()
            .iter()
            .filter(|notice| is_it(notice))
            .count()
    };
    let failed = || count(|notice| matches!(notice, Notice::SpoolFailed { .. }));
    let restored = || count(|notice| matches!(notice, Notice::SpoolRestored { .. }));
    let pipeline = start(settings, &[&backend]);
    let recorder = pipeline.recorder();
    assert!(record_span(&recorder, 1));
    backend.wait_attempts(1);
    disk.fail(DiskOperation::Write, std::io::ErrorKind::StorageFull);
    // Small steps, so that there are several writes that fail.
    for number in 2..=20 {
        assert!(record_span(&recorder, number));
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_for(|| (failed() == 1).then_some(()));
    backend.release(Answer::Ok);
    wait_for(|| (traces(&pipeline).exported == 20).then_some(()));
    disk.heal();
    let until = Instant::now() + PATIENCE;
    let mut number = 20;
    while restored() == 0 {
        assert!(Instant::now() < until);
        number += 1;
        assert!(record_span(&recorder, number));
        std::thread::sleep(Duration::from_millis(50));
    }
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, number, "{ledger}");
    assert_eq!(
        (failed(), restored()),
        (1, 1),
        "{:?}",
        notices.lock().unwrap()
    );
}
