//! What is for sinks alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight_collector::record::{LogHeader, Record, Slice, ThreadName, copy_words};
use ringlight_collector::{CollectorConfig, DestinationConfig, Pipeline, RecordSink, Recorder};
use ringlight_model::{CallsiteId, CallsiteRegistry, Severity, Signal, Span, SpanId, TraceId};

const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    slices: Vec<Slice>,
    threads: Vec<(u64, String)>,
    /// The thread that recorded what comes next, and those of records by their time.
    thread: Option<u64>,
    recorded: BTreeMap<u64, Option<u64>>,
}

impl RecordSink for Kept {
    fn record(&mut self, record: &Record<'_>, _: &CallsiteRegistry) {
        let time = match record {
            Record::Log(log) => log.time_unix_nano(),
            Record::Span(span) => span.start_unix_nano(),
        };
        let mut seen = self.0.lock().unwrap();
        let thread = seen.thread;
        seen.recorded.insert(time, thread);
    }

    fn recorded_by(&mut self, thread: Option<u64>) {
        self.0.lock().unwrap().thread = thread;
    }

    fn slice(&mut self, slice: &Slice, _: &CallsiteRegistry) {
        self.0.lock().unwrap().slices.push(*slice);
    }

    fn thread(&mut self, thread: &ThreadName<'_>) {
        let name = thread.name.to_str().into_owned();
        self.0.lock().unwrap().threads.push((thread.thread, name));
    }

    fn flush(&mut self) {}
}

fn slice(span: u64) -> Slice {
    Slice {
        callsite: CallsiteId::new(3),
        trace_id: TraceId::new(5),
        span_id: SpanId::new(span),
        thread: 0,
        is_first: true,
        opened_by: 0,
        start_unix_nano: 10,
        end_unix_nano: 20 + span,
    }
}

fn start(config: CollectorConfig) -> (Kept, Pipeline) {
    let kept = Kept::default();
    let callsites = Arc::new(CallsiteRegistry::new());
    let pipeline = Pipeline::start(
        config,
        callsites,
        Vec::<DestinationConfig>::new(),
        vec![Box::new(kept.clone())],
    );
    (kept, pipeline.unwrap())
}

#[test]
fn slices_come_with_their_thread_and_are_in_no_ledger() {
    let config = CollectorConfig {
        producers_max: 2,
        ..CollectorConfig::default()
    };
    let (kept, pipeline) = start(config);
    std::thread::scope(|scope| {
        // More threads than rings: some share one.
        for thread in 0..4 {
            let recorder = pipeline.recorder();
            let named = std::thread::Builder::new().name(format!("worker {thread}"));
            let work = move || {
                for span in 1..=100 {
                    assert!(recorder.record_slice(&slice(span)));
                }
            };
            named.spawn_scoped(scope, work).unwrap();
        }
    });
    pipeline.flush(LONG).unwrap();
    let Seen {
        slices,
        threads: mut names,
        ..
    } = std::mem::take(&mut *kept.0.lock().unwrap());
    names.sort_by(|a, b| a.1.cmp(&b.1));
    let called: Vec<_> = names.iter().map(|(_, name)| &**name).collect();
    assert_eq!(called, ["worker 0", "worker 1", "worker 2", "worker 3"]);
    for (thread, _) in &names {
        let own = slices.iter().filter(|slice| slice.thread == *thread);
        let ends: Vec<_> = own.map(|slice| slice.end_unix_nano).collect();
        assert_eq!(ends, (21..=120).collect::<Vec<_>>());
    }
    let ledger = pipeline.shutdown(LONG);
    for signal in Signal::ALL {
        assert_eq!(ledger.account(signal).submitted, 0);
    }
    assert_eq!(pipeline.slices_dropped(), 0);
}

/// Records a log record of that time, and says on which thread.
fn log(recorder: &Recorder, time: u64) -> u64 {
    let header = LogHeader::new(CallsiteId::new(3), Severity::INFO, time).to_words();
    let fill = |out: &mut [u8]| copy_words(header.iter().copied(), out);
    assert!(recorder.record(Signal::Logs, header.len() * 8, fill));
    recorder.thread_number()
}

#[test]
fn who_recorded_a_record_is_told_where_that_is_asked_for() {
    let config = CollectorConfig {
        producers_max: 2,
        ..CollectorConfig::default()
    };
    let (kept, pipeline) = start(config);
    let recorder = pipeline.recorder();
    recorder.tell_threads();
    let mut numbers = BTreeMap::new();
    numbers.insert(1, Some(log(&recorder, 1)));
    // One after the other they have the second ring, which nobody drains meanwhile.
    for time in 2..5 {
        let thread = std::thread::scope(|scope| scope.spawn(|| log(&recorder, time)).join());
        numbers.insert(time, Some(thread.unwrap()));
    }
    // Then it is a producer's, which may be on any thread. Other threads share one.
    let mut producer = pipeline.register().unwrap();
    let span = Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(2),
        start_unix_nano: 5,
        end_unix_nano: 5,
        ..Span::default()
    };
    producer.submit_span(&span).unwrap();
    std::thread::scope(|scope| scope.spawn(|| log(&recorder, 6)).join()).unwrap();
    numbers.extend([(5, None), (6, None)]);
    numbers.insert(7, Some(log(&recorder, 7)));
    pipeline.flush(LONG).unwrap();
    let seen = std::mem::take(&mut *kept.0.lock().unwrap());
    assert_eq!(seen.recorded, numbers);
    assert!(seen.threads.iter().all(|(thread, _)| *thread != 0));
}

#[test]
fn what_is_recorded_for_another_thread_is_shown_as_its_own() {
    let (kept, pipeline) = start(CollectorConfig::default());
    let recorder = pipeline.recorder();
    // Nobody asked yet who records.
    std::thread::scope(|scope| {
        let unasked = || recorder.record_for(70, None, || log(&recorder, 1));
        scope.spawn(unasked).join().unwrap();
    });
    recorder.tell_threads();
    let own = log(&recorder, 2);
    recorder.record_for(71, Some("watched"), || log(&recorder, 3));
    log(&recorder, 4);
    recorder.record_for(72, None, || log(&recorder, 5));
    assert_eq!(log(&recorder, 6), own);
    pipeline.flush(LONG).unwrap();
    let seen = std::mem::take(&mut *kept.0.lock().unwrap());
    let recorded = [None, Some(own), Some(71), Some(own), Some(72), Some(own)];
    assert_eq!(seen.recorded, (1..).zip(recorded).collect());
    let names: BTreeMap<_, _> = seen.threads.into_iter().collect();
    assert_eq!((&*names[&71], &*names[&72]), ("watched", "thread 72"));
    assert!(!names.contains_key(&70));
}

#[test]
fn a_ring_that_cannot_be_said_to_be_the_threads_own_again_is_given_up_for_another() {
    let config = CollectorConfig {
        ring_bits: 10,
        ..CollectorConfig::default()
    };
    let (kept, pipeline) = start(config);
    let recorder = pipeline.recorder();
    recorder.tell_threads();
    let own = log(&recorder, 1);
    // Nobody empties the ring meanwhile, and its name takes more than is left for a slice.
    let seen = kept.0.lock().unwrap();
    recorder.record_for(71, Some("watched"), || {
        while recorder.record_slice(&slice(1)) {}
    });
    drop(seen);
    assert_eq!(log(&recorder, 2), own);
    pipeline.flush(LONG).unwrap();
    let recorded = std::mem::take(&mut kept.0.lock().unwrap().recorded);
    assert_eq!(recorded, [(1, Some(own)), (2, Some(own))].into());
}

#[test]
fn a_slice_waits_for_no_room_and_is_counted() {
    let config = CollectorConfig {
        policy: ringlight_collector::OverflowPolicy::Block,
        ring_bits: 6,
        ..CollectorConfig::default()
    };
    let (_kept, pipeline) = start(config);
    let recorder = pipeline.recorder();
    let all = 1_000_000_u64;
    let accepted = (0..all)
        .filter(|span| recorder.record_slice(&slice(*span)))
        .count() as u64;
    assert_eq!(pipeline.slices_dropped(), all - accepted);
    pipeline.shutdown(LONG);
    assert!(!recorder.record_slice(&slice(1)));
    assert_eq!(pipeline.slices_dropped(), all - accepted + 1);
}
