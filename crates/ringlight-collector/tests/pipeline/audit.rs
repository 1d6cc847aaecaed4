//! Audit records: of all records, those that are dropped last.

use std::sync::{Arc, Mutex, mpsc};

use crate::support::{Answer, Gate, PATIENCE, Scripted, config, record_log, start, wait_for};
use ringlight_collector::record::{ItemWriter, Key, LogHeader, copy_words};
use ringlight_collector::{
    CollectorConfig, DestinationConfig, ExporterBoxed, Notice, Notices, OverflowPolicy, Pipeline,
    Processing, RecordPattern, Recorder, SpoolConfig, SpoolMode,
};
use ringlight_model::{CallsiteId, CallsiteRegistry, DropReason, Severity, Signal};

/// Hands over an audit record with this text.
fn record_audit(recorder: &Recorder, text: &str) -> bool {
    record_audit_of(recorder, CallsiteId::new(0), text)
}

fn record_audit_of(recorder: &Recorder, callsite: CallsiteId, text: &str) -> bool {
    let mut header = LogHeader::new(callsite, Severity::INFO, 1_000);
    header.head = header.head.with_audit();
    let mut items = Vec::new();
    let _ = ItemWriter::new(&mut items, 1024).text(Key::Name("text"), text);
    let words = header.to_words().len() + items.len();
    recorder.record_audit(words * 8, |buffer| {
        copy_words(
            header.to_words().into_iter().chain(items.iter().copied()),
            buffer,
        );
    })
}

/// A pipeline with small rings whose collector stays where it is until it is let go.
fn stuck(policy: OverflowPolicy) -> (Pipeline, Scripted, mpsc::Sender<()>) {
    let (is_there, arrived) = mpsc::channel();
    let (let_go, go_on) = mpsc::channel();
    let backend = Scripted::new("backend", Answer::Ok);
    let config = CollectorConfig {
        ring_bits: 6,
        producers_max: 1,
        policy,
        ..config()
    };
    let pipeline = Pipeline::start(
        config,
        Arc::new(CallsiteRegistry::new()),
        vec![Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>],
        vec![Box::new(Gate { is_there, go_on })],
    )
    .unwrap();
    assert!(record_log(&pipeline.recorder(), "first"));
    arrived.recv_timeout(PATIENCE).unwrap();
    (pipeline, backend, let_go)
}

/// Fills the ring of this thread: how many audit records are accepted before one is not.
fn audit_records_kept_for(recorder: &Recorder) -> usize {
    while record_log(recorder, "usual") {}
    let accepted = (0..).take_while(|_| record_audit(recorder, "audited"));
    accepted.count()
}

#[test]
fn an_audit_record_waits_for_a_bounded_time_and_is_counted_by_itself() {
    let (pipeline, _backend, let_go) = stuck(OverflowPolicy::Drop);
    let kept_for = audit_records_kept_for(&pipeline.recorder());
    assert!(kept_for > 0, "part of the ring is kept for them");
    let ledger = pipeline.ledger();
    assert_eq!(ledger.audit_lost(), 1);
    assert!(ledger.to_string().ends_with("; 1 audit records lost"));
    drop(let_go);
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.audit_lost(), 1);
    assert!(ledger.balances());
}

#[test]
fn an_audit_record_waits_for_room_where_others_are_dropped() {
    let (pipeline, _backend, _let_go) = stuck(OverflowPolicy::Drop);
    let kept_for = audit_records_kept_for(&pipeline.recorder());

    let (pipeline, backend, let_go) = stuck(OverflowPolicy::Drop);
    let recorder = pipeline.recorder();
    while record_log(&recorder, "usual") {}
    for _ in 0..kept_for {
        assert!(record_audit(&recorder, "audited"));
    }
    let before = pipeline.ledger().account(Signal::Logs).submitted;
    std::thread::scope(|scope| {
        // Lets the collector go once the next one has been submitted, for which there is no room.
        scope.spawn(|| {
            wait_for(|| {
                let ledger = pipeline.ledger();
                (ledger.account(Signal::Logs).submitted > before).then_some(())
            });
            drop(let_go);
        });
        assert!(record_audit(&recorder, "audited"));
    });
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.audit_lost(), 0);
    assert!(ledger.balances());
    let taken = backend.taken().into_iter();
    let audited = taken.filter(|batch| batch.id.is_audit());
    let count: u32 = audited.map(|batch| batch.records).sum();
    assert_eq!(count as usize, kept_for + 1);
}

#[test]
fn in_a_full_queue_others_make_room_for_audit_records() {
    let backend = Scripted::new("backend", Answer::Unreachable);
    let pipeline = start(
        CollectorConfig {
            batch_bytes_max: 1024,
            queue_bytes_max: 8 * 1024,
            ..config()
        },
        &[&backend],
    );
    let recorder = pipeline.recorder();
    let dropped = || pipeline.ledger().account(Signal::Logs).dropped[DropReason::QueueFull];
    wait_for(|| {
        record_log(&recorder, "usual");
        (dropped() > 0).then_some(())
    });
    for _ in 0..20 {
        assert!(record_audit(&recorder, "audited"));
    }
    // Behind the others there was no room.
    wait_for(|| {
        let ledger = pipeline.ledger();
        (ledger.account(Signal::Logs).in_flight > 0).then_some(())
    });
    backend.set_default(Answer::Ok);
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.audit_lost(), 0);
    assert!(ledger.balances());
    let taken = backend.taken().into_iter();
    let audited = taken.filter(|batch| batch.id.is_audit());
    assert_eq!(audited.map(|batch| batch.records).sum::<u32>(), 20);
}

#[test]
fn audit_records_that_are_lost_are_told_and_counted_by_destination() {
    let lost = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lost);
    let (away, there) = (
        Scripted::new("away", Answer::Permanent),
        Scripted::new("there", Answer::Ok),
    );
    let pipeline = start(
        CollectorConfig {
            notices: Notices::new(move |notice| {
                if let Notice::AuditLost { records } = notice {
                    told.lock().unwrap().push(*records);
                }
            }),
            ..config()
        },
        &[&there, &away],
    );
    for _ in 0..3 {
        assert!(record_audit(&pipeline.recorder(), "audited"));
    }
    pipeline.shutdown(PATIENCE);
    let lost_at: Vec<_> = pipeline
        .ledgers()
        .iter()
        .map(|(_, ledger)| ledger.audit_lost())
        .collect();
    assert_eq!(lost_at, [0, 3]);
    assert_eq!(lost.lock().unwrap().last(), Some(&3));
}

#[test]
fn no_rule_leaves_an_audit_record_out() {
    let backend = Scripted::new("backend", Answer::Ok);
    let processing = Processing::new().drop_records(RecordPattern::logs());
    let pipeline = start(
        CollectorConfig {
            processing,
            ..config()
        },
        &[&backend],
    );
    assert!(record_log(&pipeline.recorder(), "usual"));
    assert!(record_audit(&pipeline.recorder(), "audited"));
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Logs);
    assert_eq!(
        (account.exported, account.dropped[DropReason::Filtered]),
        (1, 1)
    );
    assert!(ledger.balances());
}

#[test]
fn audit_records_that_are_no_records_count_as_lost() {
    let (traces, logs) = (
        Scripted::new("traces", Answer::Ok),
        Scripted::new("logs", Answer::Ok),
    );
    let mut traces = DestinationConfig::new(Arc::new(traces));
    traces.signals = Some(vec![Signal::Traces]);
    let logs = DestinationConfig::new(Arc::new(logs));
    let pipeline =
        Pipeline::start(config(), Arc::default(), vec![traces, logs], Vec::new()).unwrap();
    let recorder = pipeline.recorder();
    // Its head says what it is, and there is no more.
    let mut header = LogHeader::new(CallsiteId::new(0), Severity::INFO, 1_000);
    header.head = header.head.with_audit();
    recorder.record_audit(8, |buffer| {
        copy_words(header.to_words().into_iter().take(1), buffer);
    });
    // Of a callsite that nobody knows.
    record_audit_of(&recorder, CallsiteId::new(77), "audited");
    record_audit(&recorder, "audited");
    pipeline.shutdown(PATIENCE);
    let ledgers = pipeline.ledgers();
    let lost: Vec<_> = ledgers
        .iter()
        .map(|(_, ledger)| ledger.audit_lost())
        .collect();
    assert_eq!(lost, [0, 2]);
    let account = ledgers[1].1.account(Signal::Logs);
    assert_eq!(account.dropped[DropReason::Malformed], 2);
    assert!(account.balances());
}

/// A pipeline that writes all to disk before it is sent, and what it tells of lost audit records.
fn spooled(dir: &std::path::Path, backend: &Scripted) -> (Pipeline, Arc<Mutex<Vec<u64>>>) {
    let lost = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lost);
    let settings = CollectorConfig {
        spool: Some(SpoolConfig {
            mode: SpoolMode::Always,
            bytes_max: 1 << 20,
            sync: false,
            ..SpoolConfig::new(dir)
        }),
        notices: Notices::new(move |notice| {
            if let Notice::AuditLost { records } = notice {
                told.lock().unwrap().push(*records);
            }
        }),
        ..config()
    };
    (start(settings, &[backend]), lost)
}

#[test]
fn audit_records_that_a_full_spool_drops_are_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Scripted::new("backend", Answer::Unreachable);
    let (pipeline, told) = spooled(&dir.path().join("spool"), &backend);
    let text = "x".repeat(1_000);
    for number in 0..3_000 {
        assert!(record_audit(&pipeline.recorder(), &text));
        if number % 100 == 0 {
            pipeline.flush(PATIENCE).unwrap();
        }
    }
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Logs);
    assert!(account.dropped[DropReason::SpoolFull] > 0, "{ledger}");
    assert_eq!(ledger.audit_lost(), account.dropped_total(), "{ledger}");
    assert_eq!(told.lock().unwrap().last(), Some(&ledger.audit_lost()));
    assert!(ledger.balances());
}

#[test]
fn audit_records_of_an_earlier_process_count_as_lost_when_they_are_refused() {
    for (answer, lost) in [(Answer::Permanent, 3), (Answer::Rejected(u64::MAX), 3)] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("spool");
        let backend = Scripted::new("backend", Answer::Unreachable);
        let (pipeline, told) = spooled(&dir, &backend);
        for _ in 0..3 {
            assert!(record_audit(&pipeline.recorder(), "audited"));
            assert!(record_log(&pipeline.recorder(), "usual"));
        }
        let ledger = pipeline.shutdown(PATIENCE);
        assert_eq!(ledger.account(Signal::Logs).spooled, 6);
        assert_eq!(ledger.audit_lost(), 0);
        assert!(told.lock().unwrap().is_empty());
        drop(pipeline);

        backend.set_default(answer);
        let (pipeline, told) = spooled(&dir, &backend);
        wait_for(|| {
            let ledger = pipeline.ledger();
            (ledger.account(Signal::Logs).rejected == 6).then_some(())
        });
        assert_eq!(pipeline.shutdown(PATIENCE).audit_lost(), lost);
        assert_eq!(told.lock().unwrap().last(), Some(&lost));
    }
}
