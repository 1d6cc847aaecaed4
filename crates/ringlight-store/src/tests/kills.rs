//! A real process is killed fifty times while it stores, half of them in a given step of sealing,
//! the others at random moments; what it had acknowledged must be there afterwards, once.
//!
//! The process is this test binary itself, started with `RINGLIGHT_STORE_KILL_DIR` set: then the
//! test stores until it is killed and prints each acknowledged request. Told to, it stops for ever
//! at a step of sealing and says so, and it always notes in a file which step it reached last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight_model::{LogRecord, Scope, Severity, Signal, Span, SpanId, TraceId};
use ringlight_otlp::{OtlpDecoder, encode};

use super::resource;
use crate::query::{Query, QuerySignal};
use crate::steps::{LISTENER, Step};
use crate::{Aggregation, Cancel, Durability, Ingest, LogSearch, MetricSearch, Store, StoreConfig};

const DIRECTORY: &str = "RINGLIGHT_STORE_KILL_DIR";
const ROUND: &str = "RINGLIGHT_STORE_KILL_ROUND";
const STOP: &str = "RINGLIGHT_STORE_KILL_STOP";
const THREADS: u64 = 3;
const KILLS: u64 = 50;

/// From the making of a block until searches see it.
const SEALING: [Step; 6] = [
    Step::Encoding,
    Step::Encoded,
    Step::Begun,
    Step::Written,
    Step::Cleared,
    Step::Committed,
];

fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        // Small and soon, so that sealing and new slices happen all the time.
        block_records: 64,
        block_age: Duration::from_millis(20),
        size_limit_bytes: 16 << 20,
        durability: Durability::ProcessDeath,
        ..StoreConfig::new(directory)
    }
}

fn open(directory: &Path) -> Store {
    Store::open(config(directory), Arc::new(OtlpDecoder::default())).unwrap()
}

/// Whether a request is of a metric.
fn is_metric(number: u64) -> bool {
    number % 5 == 4
}

/// The records of a request are told by its name alone: `round.thread.number`.
fn request(round: u64, thread: u64, number: u64) -> (Signal, String, Vec<u8>) {
    let name = format!("{round}.{thread}.{number}");
    if is_metric(number) {
        return (Signal::Metrics, name, point(round, thread, number));
    }
    let (resource, scope) = (resource("killed"), Scope::default());
    if number.is_multiple_of(3) {
        let record = LogRecord {
            time_unix_nano: 1 + number,
            severity: Severity::INFO,
            body: name.clone().into(),
            ..LogRecord::default()
        };
        let bytes = encode::request(&resource, &scope, &[record]);
        return (Signal::Logs, name, bytes);
    }
    let spans: Vec<Span<'_>> = (1..=5)
        .map(|n| Span {
            trace_id: trace_id(round, thread, number),
            span_id: SpanId::new(n),
            name: name.clone().into(),
            start_unix_nano: number + n,
            end_unix_nano: number + 2 * n,
            ..Span::default()
        })
        .collect();
    (
        Signal::Traces,
        name,
        encode::request(&resource, &scope, &spans),
    )
}

/// One more of what the series of the round and the thread counts.
fn point(round: u64, thread: u64, number: u64) -> Vec<u8> {
    super::metrics::request(
        "killed",
        &format!(
            r#"{{"name":"stored","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
            {{"timeUnixNano":"{}","asInt":"1","attributes":[
            {{"key":"of","value":{{"stringValue":"{round}.{thread}"}}}}]}}]}}}}"#,
            1 + number
        ),
    )
}

/// How many points there are of the series of a round and a thread.
fn points_of(store: &Store, round: u64, thread: u64) -> u64 {
    let search = MetricSearch {
        name: "stored".to_owned(),
        kind: None,
        unit: None,
        is_monotonic: None,
        query: Query::parse(
            &format!("point.of = \"{round}.{thread}\""),
            QuerySignal::Metrics,
        )
        .unwrap(),
        aggregation: Some(Aggregation::Count),
        by: Vec::new(),
        from_unix_nano: 0,
        to_unix_nano: 1 << 40,
        step_nano: 1 << 41,
        limit: 1,
        cancel: Cancel::default(),
    };
    let Ok(answer) = store.search_metric(&search) else {
        return 0;
    };
    let points = answer
        .series
        .first()
        .and_then(|series| series.points.first());
    points.map_or(0, |&(_, count)| count as u64)
}

fn trace_id(round: u64, thread: u64, number: u64) -> TraceId {
    TraceId::new(u128::from(round + 1) << 96 | u128::from(thread) << 64 | u128::from(number))
}

/// Where the process notes the last step it reached.
fn step_file(directory: &Path) -> PathBuf {
    directory.with_extension("step")
}

/// Notes each step; at the given one, when it is reached for the given time, stops the thread. The
/// others go on, but note nothing any more.
fn listen(directory: &Path, stop: Option<(Step, u64)>) {
    let file = File::create(step_file(directory)).unwrap();
    // The file, how often the step was reached, and whether it was the last time.
    let state = Mutex::new((file, 0, false));
    let listener = move |step: Step| {
        {
            let mut state = state.lock().unwrap();
            let (file, reached, is_stopped) = &mut *state;
            if *is_stopped {
                return;
            }
            file.rewind().unwrap();
            file.write_all(&[step as u8]).unwrap();
            if let Some((wanted, times)) = stop
                && step == wanted
            {
                *reached += 1;
                *is_stopped = *reached == times;
            }
            if !*is_stopped {
                return;
            }
        }
        say("stopped");
        loop {
            std::thread::park();
        }
    };
    assert!(LISTENER.set(Box::new(listener)).is_ok());
}

/// The step of sealing the process was in when it was killed, if it was in one. Behind
/// [`Step::Shown`] it may have been making a block of the other signal; that is not counted.
fn step_of_kill(directory: &Path) -> Option<Step> {
    let noted = std::fs::read(step_file(directory)).unwrap();
    let step = noted.first()?;
    SEALING.into_iter().find(|&known| known as u8 == *step)
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Stores until killed.
fn store_until_killed(directory: &Path, round: u64) {
    let stop = std::env::var(STOP).ok().map(|stop| {
        let (step, occurrence) = stop.split_once(' ').unwrap();
        let step: usize = step.parse().unwrap();
        (SEALING[step], occurrence.parse().unwrap())
    });
    listen(directory, stop);
    let store = open(directory);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for number in 0.. {
                    let (signal, name, bytes) = request(round, thread, number);
                    store
                        .ingest(Ingest {
                            signal,
                            request: &bytes,
                            batch_id: Some(&name),
                        })
                        .unwrap();
                    say(&format!("stored {thread} {number}"));
                }
            });
        }
    });
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// After so many acknowledgements.
    After(u64),
    /// In this step of [`SEALING`], when it is reached for this time.
    In(usize, u64),
}

fn start(directory: &Path, round: u64, kill: Kill) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "tests::kills::fault_29_acknowledged_requests_survive_fifty_kills",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped());
    if let Kill::In(step, occurrence) = kill {
        command.env(STOP, format!("{step} {occurrence}"));
    }
    command.spawn().unwrap()
}

/// Starts the process, kills it, and gives all it printed: how many requests of each thread were
/// acknowledged.
fn run_and_kill(directory: &Path, round: u64, kill: Kill) -> BTreeMap<u64, u64> {
    let mut child = start(directory, round, kill);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stored = BTreeMap::new();
    let mut read = |line: &str| {
        let mut words = line.strip_prefix("stored ")?.split(' ');
        let thread: u64 = words.next()?.parse().ok()?;
        let number: u64 = words.next()?.parse().ok()?;
        stored.insert(thread, number + 1);
        Some(())
    };
    let mut seen = 0;
    loop {
        let line = lines.next().expect("the process ended by itself").unwrap();
        seen += u64::from(read(&line).is_some());
        let is_time = match kill {
            Kill::After(acknowledgements) => seen >= acknowledgements,
            Kill::In(..) => line == "stopped",
        };
        if is_time {
            break;
        }
    }
    child.kill().unwrap();
    // What was printed before the kill counts, too; a torn last line does not.
    for line in lines.map_while(Result::ok) {
        let _ = read(&line);
    }
    child.wait().unwrap();
    stored
}

#[test]
fn fault_29_acknowledged_requests_survive_fifty_kills() {
    if let (Some(directory), Ok(round)) = (std::env::var_os(DIRECTORY), std::env::var(ROUND)) {
        store_until_killed(&PathBuf::from(directory), round.parse().unwrap());
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    let mut acknowledged: Vec<BTreeMap<u64, u64>> = Vec::new();
    let mut kills: BTreeMap<Option<Step>, u64> = BTreeMap::new();
    // Numbers that look random but repeat.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut blocks, mut unsealed, mut interrupted) = (0, 0, 0);
    for round in 0..KILLS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let kill = match round % 2 {
            0 => Kill::After(1 + (random >> 33) % 2000),
            _ => Kill::In((round / 2) as usize % SEALING.len(), 1 + (random >> 33) % 5),
        };
        acknowledged.push(run_and_kill(&directory, round, kill));
        let step = step_of_kill(&directory);
        if let Kill::In(wanted, _) = kill {
            assert_eq!(step, Some(SEALING[wanted]));
        }
        *kills.entry(step).or_default() += 1;
        let store = open(&directory);
        blocks = store.stats().blocks;
        unsealed += u64::from(store.stats().head_records > 0);
        interrupted += check_round(&store, round, &acknowledged[round as usize]);
    }
    // Half of the fifty at least, and each step a few times.
    let in_sealing: u64 = SEALING
        .iter()
        .filter_map(|&step| kills.get(&Some(step)))
        .sum();
    assert!(in_sealing >= KILLS / 2, "{kills:?}");
    for step in SEALING {
        assert!(
            kills.get(&Some(step)).is_some_and(|&count| count > 2),
            "{kills:?}"
        );
    }
    assert!(interrupted > 0, "no kill came before a request was stored");
    assert!(blocks > 50, "too few blocks were sealed: {blocks}");
    assert!(unsealed > 10, "too few kills hit the intake: {unsealed}");
    // Everything is still there at the end, once.
    let store = open(&directory);
    for (round, stored) in acknowledged.iter().enumerate() {
        // What was sent again in the first pass is known now.
        assert_eq!(check_round(&store, round as u64, stored), 0);
    }
    let stats = store.stats();
    assert_eq!(stats.corrupt, 0);
    // The ones of which the answer was lost were sent again.
    let numbers = acknowledged.iter().flat_map(BTreeMap::values);
    let points: usize = numbers
        .map(|&count| (0..=count).filter(|&number| is_metric(number)).count())
        .sum();
    assert_eq!(stats.point_count, points as u64);
    assert!(stats.slices > 1, "too few slices were begun: {stats:?}");
    println!("killed in steps of sealing: {kills:?}");
}

/// Gives how many requests the kill kept from being stored.
fn check_round(store: &Store, round: u64, acknowledged: &BTreeMap<u64, u64>) -> u64 {
    let mut interrupted = 0;
    let bodies = bodies_of(store, round);
    for (&thread, &count) in acknowledged {
        let points = (0..count).filter(|&number| is_metric(number)).count() as u64;
        let found = points_of(store, round, thread);
        let interrupted_at = u64::from(is_metric(count));
        assert!(
            (points..=points + interrupted_at).contains(&found),
            "{found} points of {points} in {round}.{thread}"
        );
        for number in (0..count).filter(|&number| !is_metric(number)) {
            let name = format!("{round}.{thread}.{number}");
            if number.is_multiple_of(3) {
                assert!(bodies.contains(&name), "log record {name} is lost");
                continue;
            }
            let trace = store.trace(trace_id(round, thread, number));
            let spans = trace
                .unwrap_or_else(|| panic!("trace {name} is lost"))
                .spans;
            let ids: Vec<u64> = spans.iter().map(|s| s.span.span_id.get()).collect();
            assert_eq!(ids, [1, 2, 3, 4, 5], "{name}");
        }
        // The request the kill came in the way of may be there or not, but whole and once; sent
        // again it is there once.
        let (signal, name, bytes) = request(round, thread, count);
        let again = store
            .ingest(Ingest {
                signal,
                request: &bytes,
                batch_id: Some(&name),
            })
            .unwrap();
        let records = if signal == Signal::Traces { 5 } else { 1 };
        assert_eq!(again.accepted, records);
        assert!(
            again.stored == 0 || again.duplicates == 0,
            "{name}: {again:?}"
        );
        interrupted += u64::from(again.stored > 0);
    }
    interrupted
}

/// The bodies of a round, each of which must be there once.
fn bodies_of(store: &Store, round: u64) -> BTreeSet<String> {
    let query = format!("{{ body =~ \"{round}[.].*\" }}");
    let mut search = LogSearch {
        query: Query::parse(&query, QuerySignal::Logs).unwrap(),
        from_unix_nano: None,
        to_unix_nano: None,
        limit: 1000,
        cursor: None,
        run: None,
        trace_id: None,
        span_id: None,
        cancel: Cancel::default(),
    };
    let mut bodies = BTreeSet::new();
    loop {
        let page = store.search_logs(&search).unwrap();
        for entry in page.logs {
            let body = entry.record.body.to_string();
            assert!(
                bodies.insert(body.clone()),
                "log record {body} is there twice"
            );
        }
        match page.next {
            Some(next) => search.cursor = Some(next),
            None => return bodies,
        }
    }
}
