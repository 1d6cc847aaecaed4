//! FAULTS 29: `kill -9` during ingest, with the real process.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use ringlight_store::StoreConfig;

use crate::common::{Backend, ringlight, send_trace, spans_of, until};

const KILLS: u64 = 50;
const SPANS: u64 = 250;
const SENDERS: u64 = 3;

/// Fifty times: several clients send, the process is killed after some acknowledgements while more
/// are under way, and after the restart every acknowledged trace is whole. Every other kill is aimed
/// at the sealing of a block.
#[test]
fn fault_29_what_was_acknowledged_survives_fifty_kills() {
    let data_dir = tempfile::tempdir().unwrap();
    let block_records = StoreConfig::new(data_dir.path()).block_records as u64;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let next_trace = AtomicU64::new(1);
    let mut acknowledged: Vec<u64> = Vec::new();
    for kill in 0..KILLS {
        let mut backend = Backend::up(data_dir.path());
        check_whole(&backend, &acknowledged, kill);
        acknowledged.clear();

        // Every other kill is aimed at the moment when records in memory are sealed into a block.
        let head = backend.get("/api/v1/status")["store"]["head_records"]
            .as_u64()
            .unwrap();
        let wanted = if kill % 2 == 0 {
            block_records.saturating_sub(head).div_ceil(SPANS) + random.below(4)
        } else {
            1 + random.below(30)
        };
        let stop = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        let address = backend.http;
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                let (sender, stop, next) = (sender.clone(), &stop, &next_trace);
                scope.spawn(move || send_until(address, stop, next, &sender));
            }
            drop(sender);
            for _ in 0..wanted {
                acknowledged.push(receiver.recv().unwrap());
            }
            backend.child.kill().unwrap();
            backend.child.wait().unwrap();
            stop.store(true, Ordering::Relaxed);
            // What was acknowledged before the kill took effect counts as well.
            acknowledged.extend(receiver.iter());
        });
    }
    let backend = Backend::up(data_dir.path());
    check_whole(&backend, &acknowledged, KILLS);
    let status = backend.get("/api/v1/status");
    assert!(
        status["store"]["blocks"].as_u64() > Some(0),
        "nothing was sealed: {status:#}"
    );
    let services = backend.get("/api/v1/services");
    let spans = services["services"][0]["span_count"].as_u64().unwrap();
    let traces = next_trace.load(Ordering::Relaxed) - 1;
    assert_eq!(spans % SPANS, 0, "a request is stored whole or not at all");
    assert!(spans <= traces * SPANS, "nothing is stored twice");
}

/// A client that runs on while its backend is killed and started again: everything it submitted is
/// stored in the end, and nothing twice. It submits little, so that its queue holds what waits for
/// the backend however slow the machine starts it.
#[test]
fn a_client_outlives_its_backend_and_everything_is_stored_once() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::up(data_dir.path());
    let endpoint = backend.ready["otlp_grpc"].as_str().unwrap().to_owned();
    let port = endpoint.rsplit(':').next().unwrap().to_owned();
    let mut client = ringlight()
        .args(["app", "streaming", "--until-stdin-closes", "--rate", "16"])
        .env("OTLP_ENDPOINT", &endpoint)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stored = 0;
    for _ in 0..6 {
        stored = until("more is stored", || {
            let (spans, _) = counts(&backend, "streaming");
            (spans > stored).then_some(spans)
        });
        backend.child.kill().unwrap();
        backend.child.wait().unwrap();
        backend = Backend::start(
            data_dir.path(),
            &["--grpc-port", &port, "--http-port", "0", "--ui-port", "0"],
        );
    }
    drop(client.stdin.take());
    let output = client.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let submitted = |signal: &str| {
        let account = &report["ledger"][signal];
        assert_eq!(account["submitted"], account["exported"], "{report:#}");
        account["submitted"].as_u64().unwrap()
    };
    let expected = (submitted("traces"), submitted("logs"));
    assert_eq!(counts(&backend, "streaming"), expected, "{report:#}");
}

/// How many spans and log records of a service are stored.
fn counts(backend: &Backend, service: &str) -> (u64, u64) {
    let found = backend.get("/api/v1/services");
    let services = found["services"].as_array().unwrap();
    let count = |service: &serde_json::Value, what: &str| service[what].as_u64().unwrap();
    services
        .iter()
        .find(|found| found["name"] == service)
        .map_or((0, 0), |found| {
            (count(found, "span_count"), count(found, "log_count"))
        })
}

/// Sends one trace after another until the backend is gone; reports those acknowledged.
fn send_until(
    address: SocketAddr,
    stop: &AtomicBool,
    next: &AtomicU64,
    acknowledged: &mpsc::Sender<u64>,
) {
    while !stop.load(Ordering::Relaxed) {
        let trace = next.fetch_add(1, Ordering::Relaxed);
        if send_trace(address, "kill", u128::from(trace), SPANS) {
            acknowledged.send(trace).unwrap();
        }
    }
}

#[track_caller]
fn check_whole(backend: &Backend, acknowledged: &[u64], kill: u64) {
    for trace in acknowledged {
        assert_eq!(
            spans_of(backend, u128::from(*trace)),
            Some(SPANS),
            "trace {trace} after kill {kill}"
        );
    }
}

/// A small generator (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
