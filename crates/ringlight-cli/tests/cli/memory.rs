//! What the real process takes of memory, whoever it talks to.

use std::io::Write as _;
use std::process::Child;

use crate::common::{Backend, request};

/// What all requests in flight may take together, which is the default of the receivers.
const REQUESTS_MIB: u64 = 160;

#[test]
fn fault_24_many_bombs_at_once_stay_within_the_memory_of_requests() {
    let data_dir = tempfile::tempdir().unwrap();
    let backend = Backend::up(data_dir.path());
    let before = memory_mib(&backend.child, "VmHWM");
    // 1 MiB that becomes 1 GiB.
    let bomb = gzip(&vec![0; 16 << 20]).repeat(64);
    assert!((900_000..1_200_000).contains(&bomb.len()));
    for content_type in ["application/x-protobuf", "application/json"] {
        std::thread::scope(|scope| {
            for _ in 0..60 {
                scope.spawn(|| {
                    let headers = [("Content-Type", content_type), ("Content-Encoding", "gzip")];
                    let (status, _) =
                        request(backend.http, "POST", "/v1/traces", &headers, &bomb).unwrap();
                    // Too large, or one too many at that moment.
                    assert!(matches!(status, 413 | 503), "{status}");
                });
            }
        });
    }
    let most = memory_mib(&backend.child, "VmHWM") - before;
    assert!(most <= REQUESTS_MIB, "the bombs took {most} MiB");
    let kept = memory_mib(&backend.child, "VmRSS") - before;
    assert!(kept <= REQUESTS_MIB / 2, "{kept} MiB were kept");
    assert!(backend.stop().success());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A figure of `/proc/PID/status`.
fn memory_mib(process: &Child, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}
