//! A real process is killed fifty times while it stores, at random moments, some of them while
//! blocks are sealed and slices change; what it had acknowledged must be there afterwards.
//!
//! The process is this test binary itself, started with `RINGLIGHT_STORE_KILL_DIR` set: then the
//! test stores until it is killed and prints each acknowledged request.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::{
    KeyValue, LogRecord, Resource, Scope, Severity, Signal, Span, SpanId, TraceId,
};
use ringlight_otlp::{OtlpDecoder, encode};
use ringlight_store::query::{Query, QuerySignal};
use ringlight_store::{Durability, Ingest, LogSearch, Store, StoreConfig};

const DIRECTORY: &str = "RINGLIGHT_STORE_KILL_DIR";
const ROUND: &str = "RINGLIGHT_STORE_KILL_ROUND";
const THREADS: u64 = 3;
const KILLS: u64 = 50;

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

fn resource() -> Resource<'static> {
    Resource {
        attributes: vec![KeyValue::new("service.name", "killed")],
        dropped_attributes_count: 0,
    }
}

/// The records of a request are told by its name alone: `round.thread.number`.
fn request(round: u64, thread: u64, number: u64) -> (Signal, String, Vec<u8>) {
    let name = format!("{round}.{thread}.{number}");
    let (resource, scope) = (resource(), Scope::default());
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

fn trace_id(round: u64, thread: u64, number: u64) -> TraceId {
    TraceId::new(u128::from(round + 1) << 96 | u128::from(thread) << 64 | u128::from(number))
}

/// Stores until killed.
fn store_until_killed(directory: &Path, round: u64) {
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
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "stored {thread} {number}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

/// Starts the process, kills it after so many acknowledgements, and gives all it printed: how many
/// requests of each thread were acknowledged.
fn run_and_kill(directory: &Path, round: u64, acknowledgements: u64) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "fault_29_acknowledged_requests_survive_fifty_kills",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stored = BTreeMap::new();
    let mut seen = 0;
    let mut read = |line: &str| {
        let mut words = line.strip_prefix("stored ")?.split(' ');
        let thread: u64 = words.next()?.parse().ok()?;
        let number: u64 = words.next()?.parse().ok()?;
        stored.insert(thread, number + 1);
        Some(())
    };
    while seen < acknowledgements {
        let line = lines.next().expect("the process ended by itself").unwrap();
        seen += u64::from(read(&line).is_some());
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
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<BTreeMap<u64, u64>> = Vec::new();
    // Numbers that look random but repeat.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut blocks, mut unsealed, mut interrupted) = (0, 0, 0);
    for round in 0..KILLS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let stored = run_and_kill(directory.path(), round, 1 + (random >> 33) % 1000);
        acknowledged.push(stored);
        let store = open(directory.path());
        blocks = store.stats().blocks;
        unsealed += u64::from(store.stats().head_records > 0);
        interrupted += check_round(&store, round, &acknowledged[round as usize]);
    }
    assert!(interrupted > 0, "no kill came before a request was stored");
    assert!(blocks > 50, "too few blocks were sealed: {blocks}");
    assert!(unsealed > 10, "too few kills hit the intake: {unsealed}");
    // Everything is still there at the end, once.
    let store = open(directory.path());
    for (round, stored) in acknowledged.iter().enumerate() {
        // What was sent again in the first pass is known now.
        assert_eq!(check_round(&store, round as u64, stored), 0);
    }
    let stats = store.stats();
    assert_eq!(stats.corrupt, 0);
    assert!(stats.slices > 1, "too few slices were begun: {stats:?}");
}

/// Gives how many requests the kill kept from being stored.
fn check_round(store: &Store, round: u64, acknowledged: &BTreeMap<u64, u64>) -> u64 {
    let mut interrupted = 0;
    let bodies = bodies_of(store, round);
    for (&thread, &count) in acknowledged {
        for number in 0..count {
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
        let records = if signal == Signal::Logs { 1 } else { 5 };
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
