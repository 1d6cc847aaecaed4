//! Flush and shutdown work from anywhere and return by their deadline in every state.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::support::{
    Answer, PATIENCE, Scripted, config, record_log, record_span, start, traces, wait_for_traces,
};
use ringlight_collector::record::Record;
use ringlight_collector::{
    CollectorConfig, DestinationConfig, ExporterBoxed, FlushError, Notice, Notices, OverflowPolicy,
    Pipeline, RecordSink, Recorder, RetryConfig,
};
use ringlight_model::{CallsiteRegistry, DropReason, Signal};
use ringlight_otlp::ledger_report;

/// Long enough to be seen, short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);

/// The states a destination can be in when the application leaves.
fn stuck() -> Vec<(&'static str, Answer)> {
    vec![
        ("hanging", Answer::Never),
        ("away", Answer::Unreachable),
        ("busy", Answer::Retryable(None)),
        (
            "throttling",
            Answer::Retryable(Some(Duration::from_secs(3600))),
        ),
    ]
}

#[test]
fn fault_7_shutdown_ends_in_every_state_and_counts_what_is_left() {
    for (state, answer) in stuck() {
        let backend = Scripted::new(state, answer);
        let pipeline = start(config(), &[&backend]);
        let recorder = pipeline.recorder();
        for number in 1..=100 {
            assert!(record_span(&recorder, number));
        }
        backend.wait_attempts(1);
        pipeline.shutdown(SHORT);
        // On a busy machine the collector may get to count only after the deadline.
        let account = wait_for_traces(&pipeline, |account| account.in_flight == 0);
        assert_eq!(account.dropped[DropReason::Shutdown], 100, "{state}");
    }
}

#[test]
fn a_backend_that_is_away_does_not_keep_a_leaving_application() {
    let backend = Scripted::new("away", Answer::Unreachable);
    let pipeline = start(
        CollectorConfig {
            batch_records_max: 1,
            ..config()
        },
        &[&backend],
    );
    for number in 1..=50 {
        record_span(&pipeline.recorder(), number);
    }
    backend.wait_attempts(1);
    // If it waited for the deadline, the test would never end.
    let ledger = pipeline.shutdown(Duration::from_secs(24 * 3600));
    assert_eq!(
        ledger.account(Signal::Traces).dropped[DropReason::Shutdown],
        50
    );
}

#[test]
fn an_application_does_not_stay_for_a_backend_that_asks_for_more_time_than_it_has() {
    let backend = Scripted::new("backend", Answer::Retryable(Some(Duration::MAX)));
    let pipeline = start(config(), &[&backend]);
    record_span(&pipeline.recorder(), 1);
    backend.wait_attempts(1);
    // The longest delay that is heeded is a minute: if it waited, the test would take as long.
    let ledger = pipeline.shutdown(Duration::from_secs(50));
    let account = ledger.account(Signal::Traces);
    assert_eq!(account.dropped[DropReason::Shutdown], 1);
    assert_eq!(backend.attempts().len(), 1, "and it is not bothered either");
}

#[test]
fn shutdown_does_not_wait_for_a_long_backoff() {
    let backend = Scripted::new("backend", Answer::Ok);
    backend.script([Answer::Retryable(None)]);
    let pipeline = start(
        CollectorConfig {
            retry: RetryConfig {
                delay_first: Duration::from_secs(3600),
                delay_max: Duration::from_secs(3600),
                ..RetryConfig::default()
            },
            ..config()
        },
        &[&backend],
    );
    record_span(&pipeline.recorder(), 1);
    backend.wait_attempts(1);
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, 1);
}

#[test]
fn fault_7_flush_returns_by_its_deadline_in_every_state() {
    for (state, answer) in stuck() {
        let backend = Scripted::new(state, answer);
        let pipeline = start(config(), &[&backend]);
        record_span(&pipeline.recorder(), 1);
        let flushed = pipeline.flush(SHORT);
        assert!(
            matches!(flushed, Err(FlushError::Timeout { in_flight: 1, .. })),
            "{state}: {flushed:?}"
        );
        assert_eq!(traces(&pipeline).in_flight, 1, "a flush drops nothing");
        pipeline.shutdown(Duration::ZERO);
    }
}

#[test]
fn flush_waits_for_what_was_recorded_before_it() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            batch_delay: Duration::from_secs(3600),
            ..config()
        },
        &[&backend],
    );
    for round in 1..=20 {
        record_span(&pipeline.recorder(), round);
        pipeline.flush(PATIENCE).unwrap();
        assert_eq!(traces(&pipeline).exported, round);
    }
}

#[test]
fn flush_ends_while_another_thread_goes_on_recording() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let recorder = pipeline.recorder();
        let is_done = &is_done;
        scope.spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                record_span(&recorder, 7);
            }
        });
        for _ in 0..5 {
            record_span(&pipeline.recorder(), 1);
            pipeline.flush(PATIENCE).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(pipeline.shutdown(PATIENCE).balances());
}

#[test]
fn after_the_end_records_are_refused_and_counted() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    let recorder = pipeline.recorder();
    assert!(record_span(&recorder, 1));
    pipeline.shutdown(PATIENCE);
    for number in 2..=4 {
        assert!(!record_span(&recorder, number));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(!record_span(&recorder, 5), "from a thread that is new"));
    });
    let account = traces(&pipeline);
    assert_eq!(account.dropped[DropReason::Closed], 4);
    assert_eq!((account.submitted, account.exported), (5, 1));
    assert!(account.balances());
    assert!(recorder.is_closed());
    assert_eq!(pipeline.flush(PATIENCE), Err(FlushError::Closed));
}

#[test]
fn a_record_that_the_end_finds_in_its_producers_hands_is_not_in_flight() {
    let backend = Scripted::new("backend", Answer::Ok);
    let config = CollectorConfig {
        report_interval: Duration::from_secs(3600),
        ..config()
    };
    let pipeline = start(config, &[&backend]);
    let recorder = pipeline.recorder();
    let (being_written, is_being_written) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        recorder.record(Signal::Traces, 64, |_| {
            being_written.send(()).unwrap();
            let _ = may_go_on.recv();
        })
    });
    is_being_written.recv_timeout(PATIENCE).unwrap();
    assert_eq!(traces(&pipeline).in_flight, 1);
    let ledger = pipeline.shutdown(PATIENCE);
    drop(go_on);
    assert!(!writer.join().unwrap());
    let account = ledger.account(Signal::Traces);
    assert_eq!((account.submitted, account.in_flight), (1, 0));
    assert_eq!(account.dropped[DropReason::Closed], 1);
    assert_eq!(pipeline.ledger(), ledger, "its producer says the same");
    let report = backend.taken().pop().unwrap();
    let report = ledger_report::read(&report.bytes).unwrap().remove(0);
    assert_eq!(report.ledger, ledger, "and so does the last report");
}

#[test]
fn fault_7_shutdown_twice_and_from_two_threads_is_one_shutdown() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(config(), &[&backend]);
    record_span(&pipeline.recorder(), 1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(pipeline.shutdown(PATIENCE), pipeline.ledger()));
        }
    });
    assert_eq!(
        pipeline.shutdown(PATIENCE),
        pipeline.shutdown(Duration::ZERO)
    );
    assert_eq!(traces(&pipeline).exported, 1);
}

#[test]
fn fault_7_it_works_inside_every_kind_of_runtime() {
    let check = |runtime: tokio::runtime::Runtime| {
        runtime.block_on(async {
            let backend = Scripted::new("backend", Answer::Ok);
            let pipeline = start(config(), &[&backend]);
            record_span(&pipeline.recorder(), 1);
            pipeline.flush(PATIENCE).unwrap();
            record_span(&pipeline.recorder(), 2);
            let ledger = pipeline.shutdown(PATIENCE);
            assert_eq!(ledger.account(Signal::Traces).exported, 2);
            drop(pipeline);
        });
    };
    check(
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap(),
    );
    check(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap(),
    );
    check(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .build()
            .unwrap(),
    );
}

/// A sink that does what it must not: records, waits for the pipeline, shuts it down.
struct Meddler {
    pipeline: mpsc::Receiver<Arc<Pipeline>>,
    report: mpsc::Sender<(bool, Result<(), FlushError>)>,
}

impl RecordSink for Meddler {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        assert!(ringlight_collector::in_pipeline());
        let pipeline = self.pipeline.recv().unwrap();
        let recorder = pipeline.recorder();
        // Fills the ring and would block if it could.
        let mut accepted = true;
        for number in 0..10_000 {
            accepted &= record_span(&recorder, number + 1);
        }
        let flushed = pipeline.flush(PATIENCE);
        self.report.send((accepted, flushed)).unwrap();
        pipeline.shutdown(PATIENCE);
    }

    fn flush(&mut self) {
        panic!("a sink may even panic");
    }
}

/// A sink that panics at the first record it sees.
struct Panics;

impl RecordSink for Panics {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        panic!("no more paper");
    }

    fn flush(&mut self) {}
}

#[test]
fn a_person_is_told_once_of_a_sink_that_panics_and_nothing_else_changes() {
    let backend = Scripted::new("backend", Answer::Ok);
    let (told, tellings) = mpsc::channel();
    let config = CollectorConfig {
        notices: Notices::new(move |notice| {
            let _ = told.send(notice.clone());
        }),
        ..config()
    };
    let destinations = vec![Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>];
    let callsites = Arc::new(CallsiteRegistry::new());
    let pipeline = Pipeline::start(config, callsites, destinations, vec![Box::new(Panics)]);
    let pipeline = pipeline.unwrap();
    for number in 1..=3 {
        record_span(&pipeline.recorder(), number);
    }
    let ledger = pipeline.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, 3);
    drop(pipeline);
    let message = "no more paper".to_owned();
    let told: Vec<_> = tellings.iter().collect();
    assert_eq!(told, [Notice::SinkPanicked { message }]);
}

/// A sink that counts what it has seen, and by its last flush.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 2]>);

impl RecordSink for Counts {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&mut self) {
        let seen = self.0[0].load(Ordering::Relaxed);
        self.0[1].store(seen, Ordering::Relaxed);
    }
}

#[test]
fn sinks_have_seen_everything_though_no_destination_answers() {
    let counts = Counts::default();
    let backend = Scripted::new("backend", Answer::Never);
    let destinations = vec![Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>];
    let sinks: Vec<Box<dyn RecordSink>> = vec![Box::new(counts.clone())];
    let pipeline = Pipeline::start(config(), Arc::default(), destinations, sinks).unwrap();
    for number in 1..=100 {
        record_span(&pipeline.recorder(), number);
        if number % 10 == 0 {
            assert!(pipeline.show_sinks(PATIENCE));
            let flushed = counts.0[1].load(Ordering::Relaxed);
            assert_eq!(flushed, number as usize);
        }
    }
    assert_eq!(traces(&pipeline).exported, 0);
    // One whose patience is over leaves nothing behind, and after the end there is nothing to wait for.
    let _ = pipeline.show_sinks(Duration::ZERO);
    pipeline.shutdown(SHORT);
    assert!(!pipeline.show_sinks(PATIENCE));
}

/// A sink that says what it is asked for.
struct Asked(mpsc::Sender<&'static str>);

impl RecordSink for Asked {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {}

    fn hand_over(&mut self) {
        let _ = self.0.send("hand over");
    }

    fn flush(&mut self) {
        let _ = self.0.send("flush");
    }
}

#[test]
fn sinks_are_asked_to_wait_for_their_output_by_a_flush_and_the_end_alone() {
    let (asks, asked) = mpsc::channel();
    let backend = Scripted::new("backend", Answer::Ok);
    let destinations = vec![Arc::new(backend) as Arc<dyn ExporterBoxed>];
    let sinks: Vec<Box<dyn RecordSink>> = vec![Box::new(Asked(asks))];
    let pipeline = Pipeline::start(config(), Arc::default(), destinations, sinks).unwrap();
    let next = || asked.recv_timeout(PATIENCE).unwrap();
    record_span(&pipeline.recorder(), 1);
    assert_eq!(next(), "hand over");
    pipeline.flush(PATIENCE).unwrap();
    assert_eq!(next(), "flush");
    record_span(&pipeline.recorder(), 2);
    assert_eq!(next(), "hand over");
    pipeline.shutdown(PATIENCE);
    drop(pipeline);
    assert_eq!(asked.iter().collect::<Vec<_>>(), ["flush"]);
}

/// A sink that blocks until the other end is dropped.
struct Blocks(mpsc::Receiver<()>);

impl RecordSink for Blocks {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        let _ = self.0.recv();
    }

    fn flush(&mut self) {}
}

#[test]
fn a_sink_that_blocks_holds_up_the_collector_and_not_the_application() {
    let backend = Scripted::new("backend", Answer::Ok);
    let (blocks, until) = mpsc::channel();
    let config = CollectorConfig {
        ring_bits: 6,
        ..config()
    };
    let destinations = vec![Arc::new(backend.clone()) as Arc<dyn ExporterBoxed>];
    let sinks = vec![Box::new(Blocks(until)) as _];
    let pipeline = Pipeline::start(config, Arc::default(), destinations, sinks).unwrap();
    let recorder = pipeline.recorder();
    let taken = (1..).take_while(|number| record_span(&recorder, *number));
    let taken = taken.count() as u64;
    let flushed = pipeline.flush(SHORT);
    assert!(matches!(flushed, Err(FlushError::Timeout { .. })));
    assert_eq!(backend.attempts().len(), 0);
    drop(blocks);
    pipeline.flush(PATIENCE).unwrap();
    let account = traces(&pipeline);
    assert_eq!((account.exported, account.submitted), (taken, taken + 1));
    assert_eq!(account.dropped[DropReason::RingFull], 1);
}

#[test]
fn a_thread_of_the_pipeline_never_waits_for_the_pipeline() {
    let (give, take) = mpsc::channel();
    let (report, reported) = mpsc::channel();
    let sink = Meddler {
        pipeline: take,
        report,
    };
    let pipeline = Arc::new(
        Pipeline::start(
            CollectorConfig {
                ring_bits: 6,
                policy: OverflowPolicy::Block,
                ..config()
            },
            Arc::new(CallsiteRegistry::new()),
            Vec::<DestinationConfig>::new(),
            vec![Box::new(sink)],
        )
        .unwrap(),
    );
    record_span(&pipeline.recorder(), 1);
    give.send(Arc::clone(&pipeline)).unwrap();
    let (accepted, flushed) = reported.recv_timeout(PATIENCE).unwrap();
    assert!(!accepted, "the ring was full and nobody waited");
    assert_eq!(flushed, Err(FlushError::InPipeline));
    drop(give);
    let ledger = pipeline.shutdown(PATIENCE);
    assert!(ledger.balances(), "{ledger:?}");
}

#[test]
fn a_flush_seals_what_there_is_though_an_earlier_one_is_not_through() {
    let backend = Scripted::new("backend", Answer::Held);
    let long = CollectorConfig {
        batch_delay: Duration::from_secs(3600),
        ..config()
    };
    let pipeline = start(long, &[&backend]);
    std::thread::scope(|scope| {
        for number in 1..=2 {
            record_span(&pipeline.recorder(), number);
            scope.spawn(|| pipeline.flush(PATIENCE).unwrap());
            backend.wait_attempts(number as usize);
        }
        backend.release(Answer::Ok);
    });
    assert_eq!(traces(&pipeline).exported, 2);
}

#[test]
fn a_notices_hook_that_panics_changes_nothing() {
    let backend = Scripted::new("backend", Answer::Ok);
    backend.script([Answer::Unreachable]);
    let pipeline = start(
        CollectorConfig {
            notices: Notices::new(|_| panic!("in the hook")),
            ..config()
        },
        &[&backend],
    );
    record_span(&pipeline.recorder(), 1);
    pipeline.flush(PATIENCE).unwrap();
    assert_eq!(
        pipeline.shutdown(PATIENCE).account(Signal::Traces).exported,
        1
    );
}

#[test]
fn a_pipeline_that_is_dropped_delivers_in_the_background() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(
        CollectorConfig {
            batch_delay: Duration::from_secs(3600),
            ..config()
        },
        &[&backend],
    );
    record_span(&pipeline.recorder(), 1);
    drop(pipeline);
    backend.wait_attempts(1);
}

#[test]
fn a_bad_setting_is_an_error_that_names_it() {
    let destinations: Vec<DestinationConfig> = Vec::new();
    let error = Pipeline::start(
        CollectorConfig {
            producers_max: 0,
            ..config()
        },
        Arc::new(CallsiteRegistry::new()),
        destinations,
        Vec::new(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`producers_max` is 0, allowed is 1 to 1024"
    );
}

#[test]
fn log_records_after_the_end_are_told_once_and_the_hook_may_record() {
    let recorder = Arc::new(std::sync::OnceLock::<Recorder>::new());
    let (sender, told) = mpsc::channel();
    let config = CollectorConfig {
        notices: Notices::new({
            let recorder = Arc::clone(&recorder);
            move |notice| {
                recorder.get().map(|recorder| record_log(recorder, "told"));
                let _ = sender.send(notice.clone());
            }
        }),
        ..config()
    };
    let pipeline = start(config, &[&Scripted::new("backend", Answer::Ok)]);
    let recorder = recorder.get_or_init(|| pipeline.recorder());
    // With a ring of its own, as a thread that begins late has not.
    record_span(recorder, 1);
    pipeline.shutdown(PATIENCE);
    assert!(!record_span(recorder, 2));
    assert_eq!(told.try_recv().ok(), None, "spans may well close late");
    std::thread::scope(|threads| {
        threads.spawn(|| assert!(!record_log(recorder, "late")));
    });
    for _ in 0..3 {
        assert!(!record_log(recorder, "late"));
    }
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [Notice::RecordedLate]);
    let ledger = pipeline.ledger();
    assert!(ledger.balances());
    let dropped = |signal| ledger.account(signal).dropped[DropReason::Closed];
    assert_eq!((dropped(Signal::Traces), dropped(Signal::Logs)), (1, 5));
}
