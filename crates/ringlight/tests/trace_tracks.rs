//! What things are called in local trace files, and on whose track they are: the same in both formats.

#![cfg(feature = "profiling")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod packets;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use packets::{Message, packets};
use ringlight::{Clock, LogFormat, ManualTime, TraceFileConfig, TraceFileFormat};
use serde_json::Value;
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, info_span};

const LONG: Duration = Duration::from_secs(20);
const FORMATS: [TraceFileFormat; 2] = [TraceFileFormat::Json, TraceFileFormat::Perfetto];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Slice,
    Life,
    Instant,
}

/// Something that a file shows.
#[derive(Debug)]
struct Shown {
    kind: Kind,
    name: String,
    /// The thread on whose track it is, and what that is called: none of the process.
    thread: Option<(u64, String)>,
    args: BTreeMap<String, String>,
}

fn read(format: TraceFileFormat, file: &[u8]) -> Vec<Shown> {
    match format {
        TraceFileFormat::Perfetto => read_perfetto(file),
        _ => read_json(file),
    }
}

fn read_json(file: &[u8]) -> Vec<Shown> {
    let events: Vec<Value> = serde_json::from_slice(file).unwrap();
    let is_name = |event: &&Value| event["ph"] == "M" && event["name"] == "thread_name";
    let threads = events.iter().filter(is_name);
    let threads: HashMap<_, _> = threads
        .map(|event| (event["tid"].as_u64().unwrap(), &event["args"]["name"]))
        .collect();
    let shown = events.iter().filter_map(|event| {
        let kind = match event["ph"].as_str().unwrap() {
            "X" => Kind::Slice,
            "b" => Kind::Life,
            "i" => Kind::Instant,
            _ => return None,
        };
        let thread = event["tid"].as_u64().unwrap();
        let thread = (thread != 0).then(|| {
            let name = threads[&thread].as_str().unwrap();
            (thread, name.to_owned())
        });
        let args = event["args"].as_object().unwrap().iter();
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        Some(Shown {
            kind,
            name: event["name"].as_str().unwrap().to_owned(),
            thread,
            args: args
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
        })
    });
    shown.collect()
}

fn read_perfetto(file: &[u8]) -> Vec<Shown> {
    // `TracePacket`.
    const TRACK_EVENT: u64 = 11;
    const INTERNED_DATA: u64 = 12;
    const TRACK_DESCRIPTOR: u64 = 60;
    // `InternedData` and its entries.
    const EVENT_NAMES: u64 = 2;
    const ARG_NAMES: u64 = 3;
    const IID: u64 = 1;
    const TEXT: u64 = 2;
    // `TrackDescriptor` and `ThreadDescriptor`.
    const UUID: u64 = 1;
    const TRACK_NAME: u64 = 2;
    const THREAD: u64 = 4;
    const TID: u64 = 2;
    const THREAD_NAME: u64 = 5;
    // `TrackEvent`.
    const ANNOTATIONS: u64 = 4;
    const TYPE: u64 = 9;
    const NAME_IID: u64 = 10;
    const TRACK: u64 = 11;
    const NAME: u64 = 23;
    // `DebugAnnotation`.
    const ARG_IID: u64 = 1;
    const UINT: u64 = 3;
    const STRING: u64 = 6;
    const ARG_NAME: u64 = 10;

    let mut names = HashMap::new();
    let mut threads = HashMap::new();
    let mut lives = HashMap::new();
    let mut shown = Vec::new();
    for packet in packets(file) {
        let interned = packet.message(INTERNED_DATA);
        for table in [EVENT_NAMES, ARG_NAMES] {
            let entries = interned.iter().flat_map(|data| data.messages(table));
            for entry in entries {
                let text = entry.text(TEXT).unwrap().to_owned();
                names.insert((table, entry.whole(IID).unwrap()), text);
            }
        }
        if let Some(track) = packet.message(TRACK_DESCRIPTOR) {
            let uuid = track.whole(UUID).unwrap();
            if let Some(thread) = track.message(THREAD) {
                let name = thread.text(THREAD_NAME).unwrap().to_owned();
                threads.insert(uuid, (thread.whole(TID).unwrap(), name));
            } else if let Some(name) = track.text(TRACK_NAME) {
                lives.insert(uuid, name.to_owned());
            }
        }
        let Some(event) = packet.message(TRACK_EVENT) else {
            continue;
        };
        // What an event refers to stands before it.
        let called = |of: &Message<'_>, table: u64, iid: u64, name: u64| -> String {
            let known = of.whole(iid).map(|iid| names[&(table, iid)].clone());
            known.or_else(|| of.text(name).map(str::to_owned)).unwrap()
        };
        let track = event.whole(TRACK).unwrap();
        let kind = match event.whole(TYPE) {
            Some(1) if threads.contains_key(&track) => Kind::Slice,
            Some(1) => Kind::Life,
            Some(3) => Kind::Instant,
            _ => continue,
        };
        let name = called(&event, EVENT_NAMES, NAME_IID, NAME);
        if kind == Kind::Life {
            assert_eq!(lives[&track], name, "a track is called as what is on it");
        }
        let args = event.messages(ANNOTATIONS).map(|arg| {
            let text = arg.text(STRING).map(str::to_owned);
            let value = text.or_else(|| arg.whole(UINT).map(|whole| whole.to_string()));
            let name = called(&arg, ARG_NAMES, ARG_IID, ARG_NAME);
            (name, value.unwrap_or_default())
        });
        shown.push(Shown {
            kind,
            name,
            thread: threads.get(&track).cloned(),
            args: args.collect(),
        });
    }
    shown
}

/// The bytes of the one file there is.
fn file(directory: &Path) -> Vec<u8> {
    let mut entries = std::fs::read_dir(directory).unwrap();
    let file = std::fs::read(entries.next().unwrap().unwrap().path()).unwrap();
    assert!(entries.next().is_none());
    file
}

#[test]
fn a_span_has_its_name_in_the_source_whether_it_is_entered_once_or_polled_often() {
    let request = |name: &str| info_span!("request", otel.name = name);
    for format in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let mut config = TraceFileConfig::new(directory.path());
        config.format = format;
        let (dispatch, telemetry) = ringlight::builder()
            .environment::<&str, &str>([])
            .log_format(LogFormat::Off)
            .clock(Clock::manual(ManualTime::default()))
            .trace_file(config)
            .build()
            .unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            request("GET /once").in_scope(|| ());
            let polled = async {
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
            };
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.build().unwrap();
            runtime.block_on(polled.instrument(request("GET /often")));
        });
        telemetry.shutdown(LONG);
        let shown = read(format, &file(directory.path()));
        let of = |kind: Kind, other: Option<&str>| {
            let is_it = |shown: &&Shown| {
                let is_called = shown.args.get("otel.name").map(String::as_str) == other;
                shown.kind == kind && shown.name == "request" && is_called
            };
            shown.iter().filter(is_it).count()
        };
        assert_eq!(of(Kind::Slice, Some("GET /once")), 1, "{shown:?}");
        assert_eq!(of(Kind::Life, Some("GET /often")), 1, "{shown:?}");
        // Of the polls no more is known than where the span is in the source.
        assert!(of(Kind::Slice, None) >= 5, "{shown:?}");
        assert!(shown.iter().all(|one| one.name == "request"), "{shown:?}");
    }
}

#[test]
fn that_a_worker_is_blocked_is_shown_on_its_thread() {
    for format in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let mut config = TraceFileConfig::new(directory.path());
        config.format = format;
        let (dispatch, telemetry) = ringlight::builder()
            .environment::<&str, &str>([])
            .log_format(LogFormat::Off)
            .trace_file(config)
            .build()
            .unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).thread_name("worker");
        let runtime = runtime.build().unwrap();
        telemetry.watch_runtime(runtime.handle());
        let path = directory.path().to_owned();
        let work = async move {
            // It is in the file while the span is open, which is the first one of its thread.
            info_span!("blocking").in_scope(|| {
                let until = Instant::now() + LONG;
                let said = "`blocking` has blocked a worker";
                while !String::from_utf8_lossy(&file(&path)).contains(said) {
                    assert!(Instant::now() < until, "nothing is said");
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        };
        runtime.block_on(async { tokio::spawn(work.with_subscriber(dispatch)).await.unwrap() });
        telemetry.shutdown(LONG);
        let shown = read(format, &file(directory.path()));
        let slice = shown.iter().find(|shown| shown.name == "blocking").unwrap();
        let said = |shown: &&Shown| shown.name.contains("has blocked a worker");
        let said = shown.iter().find(said).unwrap();
        assert_eq!((slice.kind, said.kind), (Kind::Slice, Kind::Instant));
        assert_eq!(said.thread, slice.thread, "{said:?}");
        let (number, name) = said.thread.as_ref().unwrap();
        assert_eq!(name, "worker");
        assert_eq!(
            (&said.args["thread.id"], &said.args["thread.name"]),
            (&number.to_string(), name)
        );
    }
}
