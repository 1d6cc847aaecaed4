//! Local trace files: what is in them, whoever ends the process and however.

#![cfg(feature = "profiling")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod child;
mod packets;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use packets::packets;
use ringlight::{Builder, ManualTime, TraceFileConfig, TraceFileFormat};
use ringlight_collector::record::{Item, KeyRef, Record, ValueRef};
use ringlight_model::CallsiteRegistry;
use ringlight_testing::Backend;
use serde_json::Value;
use tracing::{Instrument as _, info, info_span};

const LONG: Duration = Duration::from_secs(20);

/// The files there are, in the order they were begun, as they are.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Waits until a text is in the files so often.
fn wait_for(directory: &Path, text: &str, times: usize) {
    let until = Instant::now() + LONG;
    loop {
        let entries = std::fs::read_dir(directory).unwrap();
        // The oldest may go meanwhile.
        let files = entries.filter_map(|entry| std::fs::read(entry.unwrap().path()).ok());
        let found = files.map(|file| String::from_utf8_lossy(&file).matches(text).count());
        if found.sum::<usize>() >= times {
            return;
        }
        assert!(Instant::now() < until, "no `{text}`");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The events of a file that may be cut off.
fn events(file: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(file).unwrap();
    let lines = text.lines().filter(|line| !matches!(*line, "[" | "]"));
    lines
        .map(|line| serde_json::from_str(line.trim_end_matches(',')).expect(line))
        .collect()
}

fn builder() -> Builder {
    ringlight::builder()
        .environment([("OTEL_SERVICE_NAME", "shop")])
        .log_format(ringlight::LogFormat::Off)
}

/// What `run` draws.
fn drawn(run: impl FnOnce()) -> Vec<Value> {
    drawn_by(builder(), run)
}

fn drawn_by(builder: Builder, run: impl FnOnce()) -> Vec<Value> {
    drawn_with(builder, |_| (), |_| run())
}

/// What `run` draws, which is shown where.
fn drawn_with(
    builder: Builder,
    change: impl FnOnce(&mut TraceFileConfig),
    run: impl FnOnce(&Path),
) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let mut config = TraceFileConfig::new(directory.path());
    change(&mut config);
    let (dispatch, telemetry) = builder.trace_file(config).build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || run(directory.path()));
    drop(dispatch);
    telemetry.shutdown(LONG);
    drop(telemetry);
    let files = files(directory.path());
    assert_eq!(files.len(), 1);
    // Whole, it is JSON.
    let all: Value = serde_json::from_slice(&files[0]).unwrap();
    assert_eq!(all.as_array().unwrap().len(), events(&files[0]).len());
    events(&files[0])
}

fn of<'a>(events: &'a [Value], phase: &str, name: &str) -> Vec<&'a Value> {
    let is_it = |event: &&Value| event["ph"] == phase && event["name"] == name;
    events.iter().filter(is_it).collect()
}

fn one<'a>(events: &'a [Value], phase: &str, name: &str) -> &'a Value {
    let found = of(events, phase, name);
    assert_eq!(found.len(), 1, "{phase} {name}: {events:#?}");
    found[0]
}

/// Start and end, microseconds.
fn time(event: &Value) -> (f64, f64) {
    let start = event["ts"].as_f64().unwrap();
    (start, start + event["dur"].as_f64().unwrap_or(0.0))
}

fn is_within(inner: &Value, outer: &Value) -> bool {
    let ((start, end), (from, to)) = (time(inner), time(outer));
    // Microseconds with three digits are not exact in binary.
    inner["tid"] == outer["tid"] && start >= from - 0.001 && end <= to + 0.001
}

#[test]
fn a_span_on_one_thread_is_a_slice_of_it_with_its_fields() {
    let time = ManualTime::default();
    let clock = ringlight::Clock::manual(time.clone());
    let events = drawn_by(builder().clock(clock), || {
        time.pass(1_000_000);
        let outer = info_span!(
            "outer",
            customer = "a \"b\"\n\\",
            count = 3,
            ratio = 0.5,
            late = tracing::field::Empty
        );
        let _outer = outer.enter();
        outer.record("late", true);
        info_span!("inner").in_scope(|| {
            time.pass(1_000);
            info!(items = 7, "placed");
            time.pass(1_001);
        });
    });
    let (outer, inner) = (one(&events, "X", "outer"), one(&events, "X", "inner"));
    let args = &outer["args"];
    assert_eq!(args["customer"], "a \"b\"\n\\");
    assert_eq!(
        (&args["count"], &args["ratio"], &args["late"]),
        (&3.into(), &0.5.into(), &true.into())
    );
    assert_eq!(outer["cat"], "trace_files");
    assert_eq!(inner["args"]["parent_span_id"], args["span_id"]);
    assert_eq!(inner["args"]["trace_id"], args["trace_id"]);
    assert!(is_within(inner, outer), "{inner} {outer}");
    assert_eq!(inner["dur"], 2.001);
    let placed = one(&events, "i", "placed");
    assert_eq!(
        (&placed["args"]["items"], &placed["args"]["level"]),
        (&7.into(), &"INFO".into())
    );
    assert!(is_within(placed, inner), "{placed} {inner}");
    let names = of(&events, "M", "thread_name");
    let thread = std::thread::current();
    let own = names
        .iter()
        .find(|event| event["tid"] == outer["tid"])
        .unwrap();
    assert_eq!(own["args"]["name"].as_str(), thread.name());
    assert_eq!(one(&events, "M", "process_name")["args"]["name"], "shop");
    // There is nothing else of them.
    assert_eq!(
        of(&events, "b", "outer").len() + of(&events, "b", "inner").len(),
        0
    );
}

#[test]
fn a_future_is_its_polls_and_a_life_of_its_own() {
    let events = drawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let work = async {
            for step in 0..3 {
                info!(step, "poll");
                tokio::task::yield_now().await;
            }
        };
        let other = async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        };
        runtime.block_on(async {
            let job = work.instrument(info_span!("job", id = 5));
            tokio::join!(job, other.instrument(info_span!("other")));
        });
    });
    let polls = of(&events, "X", "job");
    assert!(polls.len() >= 4, "{events:#?}");
    let (begin, end) = (one(&events, "b", "job"), one(&events, "e", "job"));
    assert_eq!(begin["args"]["id"], 5);
    // Viewers draw those of a process with it, and others apart.
    let id = &begin["id2"]["local"];
    assert!(id.is_string() && begin.get("id").is_none());
    assert_eq!((id, &begin["cat"]), (&end["id2"]["local"], &end["cat"]));
    for poll in &polls {
        let (start, finish) = time(poll);
        assert!(time(begin).0 <= start + 0.001 && finish <= time(end).0 + 0.001);
        // Two futures of one thread are never polled at once.
        for other in of(&events, "X", "other") {
            let (from, to) = time(other);
            assert!(
                finish <= from + 0.001 || to <= start + 0.001,
                "{poll} {other}"
            );
        }
    }
    for log in of(&events, "i", "poll") {
        assert!(polls.iter().any(|poll| is_within(log, poll)), "{log}");
    }
    // The polls are shown to follow each other.
    let chain: Vec<_> = (events.iter())
        .filter(|event| event["name"] == "follows" && event["id"] == *id)
        .map(|event| event["ph"].as_str().unwrap())
        .collect();
    assert_eq!(chain.first(), Some(&"s"));
    assert!(chain.len() == polls.len() && chain[1..].iter().all(|phase| *phase == "t"));
}

#[test]
fn a_future_that_is_polled_once_is_a_slice_with_its_fields() {
    let clock = ringlight::Clock::manual(ManualTime::default());
    let events = drawn_by(builder().clock(clock), || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        // It is entered once more where it is dropped.
        runtime.block_on(async { info!("found") }.instrument(info_span!("look up", id = 5)));
    });
    let slice = one(&events, "X", "look up");
    assert_eq!(slice["args"]["id"], 5);
    assert_eq!(of(&events, "b", "look up").len(), 0);
    assert_eq!(one(&events, "i", "found")["tid"], slice["tid"]);
}

#[test]
fn work_that_is_given_to_another_thread_is_shown_to_come_from_there() {
    let events = drawn(|| {
        let parent = info_span!("parent");
        let _entered = parent.enter();
        let child = info_span!("child");
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let work = move || {
            tracing::dispatcher::with_default(&dispatch, || {
                child.in_scope(|| std::thread::sleep(Duration::from_millis(2)));
                drop(child);
            });
        };
        let thread = std::thread::Builder::new().name("elsewhere".to_owned());
        thread.spawn(work).unwrap().join().unwrap();
    });
    let (parent, child) = (one(&events, "X", "parent"), one(&events, "X", "child"));
    assert_ne!(parent["tid"], child["tid"]);
    let names = of(&events, "M", "thread_name");
    let of_child = names
        .iter()
        .find(|event| event["tid"] == child["tid"])
        .unwrap();
    assert_eq!(of_child["args"]["name"], "elsewhere");
    let id = format!(
        "0x{}",
        child["args"]["span_id"]
            .as_str()
            .unwrap()
            .trim_start_matches('0')
    );
    let end = |phase: &str| {
        let event = one(&events, phase, "opens");
        assert_eq!(event["id"], id);
        event
    };
    assert!(is_within(end("s"), parent) && is_within(end("f"), child));
}

#[test]
fn slices_of_a_thread_are_within_each_other_or_apart() {
    let events = drawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        runtime.block_on(async {
            let tasks: Vec<_> = (0..40)
                .map(|task| {
                    let work = async move {
                        for step in 0..20 {
                            info_span!("step", step).in_scope(|| info!("in step"));
                            tokio::task::yield_now().await;
                        }
                    };
                    let dispatch = dispatch.clone();
                    let span =
                        tracing::dispatcher::with_default(&dispatch, || info_span!("task", task));
                    tokio::spawn(tracing::instrument::WithSubscriber::with_subscriber(
                        work.instrument(span),
                        dispatch,
                    ))
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
    let slices: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(of(&events, "b", "task").len(), 40);
    assert_eq!(of(&events, "X", "step").len(), 800);
    assert_eq!(of(&events, "i", "in step").len(), 800);
    let mut threads: std::collections::HashMap<u64, Vec<(f64, f64)>> =
        std::collections::HashMap::new();
    for slice in &slices {
        threads
            .entry(slice["tid"].as_u64().unwrap())
            .or_default()
            .push(time(slice));
    }
    for times in threads.values_mut() {
        times.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut around: Vec<f64> = Vec::new();
        for (start, end) in times {
            while around.last().is_some_and(|last| *last <= *start + 0.001) {
                around.pop();
            }
            assert!(around.last().is_none_or(|last| *end <= *last + 0.001));
            around.push(*end);
        }
    }
}

#[test]
fn log_records_are_on_the_thread_they_were_logged_on() {
    let events = drawn_with(
        builder(),
        |_| (),
        |directory| {
            let _outer = info_span!("outer").entered();
            for step in 0..40 {
                info!(step, "in a long span");
            }
            // Nobody waits for the end of the span.
            wait_for(directory, "in a long span", 40);
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            let work = move || {
                tracing::dispatcher::with_default(&dispatch, || info!("outside of spans"));
            };
            let thread = std::thread::Builder::new().name("spanless".to_owned());
            thread.spawn(work).unwrap().join().unwrap();
        },
    );
    let outer = one(&events, "X", "outer");
    let inside = of(&events, "i", "in a long span");
    assert!(inside.len() == 40 && inside.iter().all(|log| is_within(log, outer)));
    let names = of(&events, "M", "thread_name");
    let outside = one(&events, "i", "outside of spans");
    assert_ne!(outside["tid"], outer["tid"]);
    let named = names.iter().find(|event| event["tid"] == outside["tid"]);
    assert_eq!(named.unwrap()["args"]["name"], "spanless");
}

/// The unit and the values of each counter.
type Counters = HashMap<String, (String, Vec<f64>)>;

fn add(counters: &mut Counters, name: &str, unit: &str, value: f64) {
    let new = || (unit.to_owned(), Vec::new());
    let (of_first, values) = counters.entry(name.to_owned()).or_insert_with(new);
    assert_eq!(of_first, unit, "{name}");
    values.push(value);
}

fn counters_of_json(file: &[u8]) -> Counters {
    let mut counters = Counters::new();
    for event in events(file).iter().filter(|event| event["ph"] == "C") {
        let (unit, value) = event["args"].as_object().unwrap().iter().next().unwrap();
        let name = event["name"].as_str().unwrap();
        // What would be said twice is said once.
        let unit = match unit.as_str() {
            "count" => name.rsplit(' ').next().unwrap(),
            unit => unit,
        };
        add(&mut counters, name, unit, value.as_f64().unwrap());
    }
    counters
}

fn counters_of_perfetto(file: &[u8]) -> Counters {
    // `TracePacket`, `TrackEvent`, `TrackDescriptor` and `CounterDescriptor`.
    const TRACK_EVENT: u64 = 11;
    const TRACK_DESCRIPTOR: u64 = 60;
    const TRACK: u64 = 11;
    const VALUE: u64 = 44;
    const UUID: u64 = 1;
    const NAME: u64 = 2;
    const COUNTER: u64 = 8;
    const UNIT: u64 = 6;

    let mut counters = Counters::new();
    let mut tracks = HashMap::new();
    for packet in packets(file) {
        if let Some(track) = packet.message(TRACK_DESCRIPTOR)
            && let Some(counter) = track.message(COUNTER)
        {
            let said = (track.text(NAME).unwrap(), counter.text(UNIT).unwrap());
            tracks.insert(track.whole(UUID).unwrap(), said);
        }
        if let Some(event) = packet.message(TRACK_EVENT)
            && let Some(bits) = event.whole(VALUE)
        {
            let (name, unit) = tracks[&event.whole(TRACK).unwrap()];
            add(&mut counters, name, unit, f64::from_bits(bits));
        }
    }
    counters
}

fn check_counters(format: TraceFileFormat, read: fn(&[u8]) -> Counters) {
    const MANY: usize = 50;
    let directory = tempfile::tempdir().unwrap();
    let mut config = TraceFileConfig::new(directory.path());
    config.format = format;
    config.counter_interval = Duration::from_millis(1);
    let (_dispatch, telemetry) = builder().trace_file(config).build().unwrap();
    let threads: Vec<_> = (0..MANY)
        .map(|_| std::thread::spawn(std::thread::park))
        .collect();
    let open: Vec<_> = (0..MANY)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    let name = format!("orders {format:?}");
    let (sender, _receiver) = ringlight::channel::mpsc::named(&name, 8);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    // Another one of that name, in which nothing is.
    let _other = ringlight::channel::oneshot::named::<u8>(&name);

    let channel = |kind: &str| format!("channel {name} ({kind})");
    let all = || read(&files(directory.path()).concat());
    let is_linux = cfg!(target_os = "linux");
    // Of a reading, those that are read first may be of before, and those last of after.
    let is_read = |counters: &Counters| {
        let waiting = counters.get(&channel("mpsc"));
        let full =
            |(_, values): &(String, Vec<f64>)| values.iter().filter(|count| **count == 2.0).count();
        let cpu = counters.get("CPU");
        waiting.map_or(0, full) >= 2
            && (!is_linux || cpu.is_some_and(|(_, used)| used.iter().any(|used| *used > 0.0)))
    };
    let until = Instant::now() + LONG;
    while !is_read(&all()) {
        assert!(Instant::now() < until, "{:?}", all());
        std::thread::sleep(Duration::from_millis(5));
    }
    telemetry.shutdown(LONG);
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
    drop(open);

    let counters = all();
    let of = |name: &str, unit: &str| {
        let (found, values) = &counters[name];
        assert_eq!(found, unit, "{name}");
        values
    };
    assert_eq!(of(&channel("mpsc"), "messages").last(), Some(&2.0));
    let other = of(&channel("oneshot"), "messages");
    assert!(!other.is_empty() && other.iter().all(|count| *count == 0.0));
    if is_linux {
        assert!(of("memory", "bytes").iter().all(|bytes| *bytes > 100_000.0));
        assert!(
            of("CPU", "% of one processor")
                .iter()
                .all(|used| *used >= 0.0)
        );
        for (name, unit) in [("threads", "threads"), ("open files", "files")] {
            let last = of(name, unit).last();
            assert!(
                last.is_some_and(|last| *last >= MANY as f64),
                "{name}: {last:?}"
            );
        }
    }
}

#[test]
fn counters_are_tracks_of_their_own() {
    check_counters(TraceFileFormat::Json, counters_of_json);
    check_counters(TraceFileFormat::Perfetto, counters_of_perfetto);
}

#[test]
fn fields_are_left_out_where_they_are_not_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = TraceFileConfig::new(directory.path());
    config.include_args = false;
    let (dispatch, telemetry) = builder().trace_file(config).build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!("secretive", card = "4111").in_scope(|| info!(card = "4111", "paid"));
    });
    telemetry.shutdown(LONG);
    let text = String::from_utf8(files(directory.path()).concat()).unwrap();
    assert!(text.contains("secretive") && text.contains("paid") && !text.contains("4111"));
}

#[test]
fn what_is_redacted_is_so_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let builder = builder().redact(ringlight::Redaction::standard());
    let (dispatch, telemetry) = builder.trace_file(directory.path()).build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!("login", password = "hunter2").in_scope(|| ());
    });
    telemetry.shutdown(LONG);
    let text = String::from_utf8(files(directory.path()).concat()).unwrap();
    assert!(
        text.contains("login") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_full_is_followed_by_another_and_the_oldest_go() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = TraceFileConfig::new(directory.path());
    config.file_bytes_max = 64 * 1024;
    config.directory_bytes_max = 256 * 1024;
    let (dispatch, telemetry) = builder().trace_file(config).build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        for round in 0..7 {
            for _ in 0..300 {
                info_span!("round", round).in_scope(|| ());
            }
            telemetry.flush(LONG).unwrap();
            wait_for(directory.path(), &format!("\"round\":{round}"), 300);
        }
    });
    telemetry.shutdown(LONG);
    drop((dispatch, telemetry));
    let files = files(directory.path());
    assert!((2..=4).contains(&files.len()), "{}", files.len());
    let sum: usize = files.iter().map(Vec::len).sum();
    assert!(sum <= 256 * 1024, "{sum}");
    for file in &files {
        let events: Vec<Value> = serde_json::from_slice(file).unwrap();
        // Each says by itself whose slices these are.
        let slice = one(&events[..], "M", "process_name");
        assert_eq!(slice["args"]["name"], "shop");
        assert!(
            of(&events, "X", "round").is_empty() || !of(&events, "M", "thread_name").is_empty()
        );
    }
    let last = events(files.last().unwrap());
    assert_eq!(of(&last, "X", "round").last().unwrap()["args"]["round"], 6);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let error = builder()
        .trace_file("/dev/null/traces")
        .build()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot write trace files in /dev/null/traces: "),
        "{text}"
    );
    // A variable keeps nothing from starting.
    let with_variable = ringlight::builder()
        .environment([("RINGLIGHT_TRACE_DIR", "/dev/null/traces")])
        .log_format(ringlight::LogFormat::Off);
    assert!(with_variable.build().is_ok());
}

#[test]
fn busy_and_idle_are_attributes_of_spans() {
    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<std::sync::Mutex<Vec<(u64, i64, i64)>>>);
    impl ringlight::RecordSink for Kept {
        fn record(&mut self, record: &Record<'_>, _: &CallsiteRegistry) {
            let Record::Span(span) = record else { return };
            let number = |name: &[u8]| {
                let mut items = span.items();
                items.find_map(|item| match item {
                    Item::Attribute(KeyRef::Name(key), ValueRef::I64(value)) if key == name => {
                        Some(value)
                    }
                    _ => None,
                })
            };
            let life = span.end_unix_nano() - span.start_unix_nano();
            let times = (number(b"busy_ns").unwrap(), number(b"idle_ns").unwrap());
            self.0.lock().unwrap().push((life, times.0, times.1));
        }

        fn flush(&mut self) {}
    }
    let kept = Kept::default();
    let time = ManualTime::default();
    let (dispatch, telemetry) = builder()
        .busy_times(true)
        .clock(ringlight::Clock::manual(time.clone()))
        .sink(kept.clone())
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        let span = info_span!("work");
        for round in 0..5 {
            span.in_scope(|| time.pass(4_000 + round));
            time.pass(1_000);
        }
    });
    telemetry.flush(LONG).unwrap();
    let kept = kept.0.lock().unwrap();
    assert_eq!(*kept, [(25_010, 20_010, 5_000)]);
}

#[test]
fn files_that_are_taken_away_are_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let traces = directory.path().join("below/traces");
    let (dispatch, telemetry) = builder().trace_file(&*traces).build().unwrap();
    let span =
        || tracing::dispatcher::with_default(&dispatch, || drop(info_span!("again").entered()));
    span();
    telemetry.flush(LONG).unwrap();
    std::fs::remove_dir_all(directory.path().join("below")).unwrap();
    let until = Instant::now() + LONG;
    while !traces.exists()
        || files(&traces)
            .iter()
            .all(|file| of(&events(file), "X", "again").is_empty())
    {
        assert!(Instant::now() < until, "nothing is written again");
        span();
        telemetry.flush(LONG).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(unix)]
#[test]
fn only_the_user_may_read_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let traces = directory.path().join("traces");
    let (_dispatch, _telemetry) = builder().trace_file(&*traces).build().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&traces), 0o700);
    let file = std::fs::read_dir(&traces).unwrap().next().unwrap().unwrap();
    assert_eq!(mode(&file.path()), 0o600);
}

/// The file of a process that was killed once its file had a span.
fn file_after_kill_9(format: &str, has_span: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let child = child::start(
        &mut Command::new(child::program("endings")),
        "signal",
        &[
            ("RINGLIGHT_TRACE_DIR", path),
            ("RINGLIGHT_TRACE_FORMAT", format),
        ],
    );
    let until = Instant::now() + LONG;
    while !files(directory.path()).iter().any(|file| has_span(file)) {
        assert!(Instant::now() < until, "the slice is not written");
        std::thread::sleep(Duration::from_millis(20));
    }
    child::signal(child.id(), "KILL");
    child::end(child);
    files(directory.path()).remove(0)
}

#[test]
fn after_kill_9_a_file_has_all_but_the_last_moment() {
    let has_span = |file: &[u8]| !of(&events(file), "X", "ending").is_empty();
    let file = file_after_kill_9("json", has_span);
    let events = events(&file);
    assert_eq!(of(&events, "X", "ending").len(), 1);
    assert_eq!(of(&events, "i", "about to end \u{1b}[31m in red").len(), 1);
    // There was nobody to end the array; viewers do not ask for it.
    assert!(!file.ends_with(b"]\n"));
}

#[test]
fn after_kill_9_all_whole_packets_of_a_file_can_be_read() {
    // `TracePacket`, `TrackEvent`, `InternedData`, `EventName`, `TrackDescriptor` and `ThreadDescriptor`.
    const TRACK_EVENT: u64 = 11;
    const INTERNED_DATA: u64 = 12;
    const TRACK_DESCRIPTOR: u64 = 60;
    const TYPE: u64 = 9;
    const NAME_IID: u64 = 10;
    const TRACK: u64 = 11;
    const NAME: u64 = 23;
    const EVENT_NAMES: u64 = 2;
    const IID: u64 = 1;
    const TEXT: u64 = 2;
    const UUID: u64 = 1;
    const THREAD: u64 = 4;
    const THREAD_NAME: u64 = 5;
    const SLICE_BEGIN: u64 = 1;
    const SLICE_END: u64 = 2;
    const INSTANT: u64 = 3;

    let tracks_of = |file: &[u8], kind: u64, name: Option<&str>| -> Vec<u64> {
        let mut names = HashMap::new();
        let mut tracks = Vec::new();
        for packet in packets(file) {
            let interned = packet.message(INTERNED_DATA);
            let said = (interned.iter()).flat_map(|data| data.messages(EVENT_NAMES));
            names.extend(said.map(|name| {
                let text = name.text(TEXT).unwrap();
                (name.whole(IID).unwrap(), text.to_owned())
            }));
            let Some(event) = packet.message(TRACK_EVENT) else {
                continue;
            };
            // What an event refers to stands before it.
            let known = event.whole(NAME_IID).map(|iid| names[&iid].as_str());
            let own = known.or_else(|| event.text(NAME));
            if event.whole(TYPE) == Some(kind) && (name.is_none() || own == name) {
                tracks.push(event.whole(TRACK).unwrap());
            }
        }
        tracks
    };
    let has_span = |file: &[u8]| !tracks_of(file, SLICE_BEGIN, Some("ending")).is_empty();
    let file = file_after_kill_9("perfetto", has_span);
    let begun = tracks_of(&file, SLICE_BEGIN, Some("ending"));
    let thread = begun[0];
    assert!(tracks_of(&file, SLICE_END, None).contains(&thread));
    let logged = tracks_of(&file, INSTANT, Some("about to end \u{1b}[31m in red"));
    assert_eq!(logged, [thread]);
    // Whose it is stands in the file, and before it.
    let all = packets(&file);
    let named = all.iter().position(|packet| {
        let track = packet.message(TRACK_DESCRIPTOR);
        let track = track.filter(|track| track.whole(UUID) == Some(thread));
        let thread = track.and_then(|track| track.message(THREAD));
        thread.is_some_and(|thread| thread.text(THREAD_NAME) == Some("main"))
    });
    let used = all.iter().position(|packet| {
        let event = packet.message(TRACK_EVENT);
        event.is_some_and(|event| event.whole(TRACK) == Some(thread))
    });
    assert!(named.unwrap() < used.unwrap());
    // Wherever it is cut off, what is whole before that is there.
    for cut in 0..file.len().min(2_000) {
        let found = packets(&file[..file.len() - cut]);
        assert_eq!(found[..], all[..found.len()]);
        // No more than what is not whole is missing.
        let missing = all.len() - found.len();
        assert!(missing <= cut, "{missing} packets of the last {cut} bytes");
    }
}

#[test]
fn a_full_disk_is_said_once_and_everything_else_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let backend = Backend::start();
    // A file may have 64 KiB, and no signal tells of it: a write fails as one to a full disk does.
    let limited = "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$1\"";
    let mut shell = Command::new("sh");
    let output = child::end(child::start(
        shell.args(["-c", limited]).arg(child::program("endings")),
        "many lines",
        &[
            ("RINGLIGHT_TRACE_DIR", path),
            ("OTLP_ENDPOINT", &backend.url()),
        ],
    ));
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = |text: &str| said.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("ringlight: cannot write the trace file"), 1, "{said}");
    assert!(lines("events are missing in the trace files") >= 1);
    // What is in the file is whole, and others have all of it.
    let files = files(directory.path());
    assert!(files[0].len() <= 64 * 1024 && files[0].ends_with(b"\n"));
    assert!(!events(&files[0]).is_empty());
    assert_eq!(backend.stop().span_names()["ending"], 1);
}
