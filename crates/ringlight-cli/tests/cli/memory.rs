//! What the real process takes of memory, whoever it talks to.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::common::{Backend, FREE_PORTS, gzip, request, send_trace, until};

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
    let most = memory_mib(&backend.child, "VmHWM").saturating_sub(before);
    assert!(most <= REQUESTS_MIB, "the bombs took {most} MiB");
    let kept = memory_mib(&backend.child, "VmRSS").saturating_sub(before);
    assert!(kept <= REQUESTS_MIB / 2, "{kept} MiB were kept");
    assert!(backend.stop().success());
}

/// Each takes what it has sent, and not what a request may take.
#[test]
fn fault_27_requests_that_stall_take_neither_memory_nor_address_space() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // 3 GiB of address space.
    command
        .args(["-c", "ulimit -v 3145728; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_ringlight"))
        .args(["up", "--json", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS)
        .stdin(Stdio::null());
    let backend = Backend::spawn(command);
    let before = memory_mib(&backend.child, "VmHWM");
    let stalled: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(backend.http).unwrap();
            let head = "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\
                        Content-Type: application/x-protobuf\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&[0; 100_000]).unwrap();
            stream
        })
        .collect();
    // Whatever was sent before is there by then.
    until("what was sent is received", || {
        let taken = memory_mib(&backend.child, "VmRSS").saturating_sub(before);
        (taken >= (200 * 100_000) >> 20).then_some(())
    });
    let most = memory_mib(&backend.child, "VmHWM").saturating_sub(before);
    // Room for what was declared would be 200 MB.
    assert!(most <= 96, "20 MB took {most} MiB");
    assert!(send_trace(backend.http, "quick", 1, 2000));
    drop(stalled);
    assert!(backend.stop().success());
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
