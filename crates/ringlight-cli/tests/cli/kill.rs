//! FAULTS 29: `kill -9` during ingest, with the real process.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use crate::common::{Backend, send_trace, spans_of};

const KILLS: u64 = 50;
const SPANS: u64 = 150;
const SENDERS: u64 = 3;

/// Fifty times: several clients send, the process is killed after some acknowledgements while more
/// are under way, and after the restart every acknowledged trace is whole. Enough is sent between
/// two kills that some of them fall into the sealing of blocks.
#[test]
fn what_was_acknowledged_survives_fifty_kills() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let next_trace = AtomicU64::new(1);
    let mut acknowledged: Vec<u64> = Vec::new();
    for kill in 0..KILLS {
        let mut backend = Backend::up(data_dir.path());
        check_whole(&backend, &acknowledged, kill);
        acknowledged.clear();

        let wanted = 1 + random.below(50);
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
