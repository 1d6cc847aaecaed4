//! What is for sinks alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight_collector::record::{Record, Slice, ThreadName};
use ringlight_collector::{CollectorConfig, DestinationConfig, Pipeline, RecordSink};
use ringlight_model::{CallsiteId, CallsiteRegistry, Signal, SpanId, TraceId};

const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    slices: Vec<Slice>,
    threads: Vec<(u64, String)>,
}

impl RecordSink for Kept {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        panic!("there are none");
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
