//! `ringlight up --forward`: two real backends, one behind the other.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::common::{Backend, FREE_PORTS, ringlight, send_trace, spans_of, text, until, wait};

/// A backend that passes everything on to this address.
fn forwarding(data_dir: &Path, to: &str) -> Backend {
    let flags = [&["--forward", to], &FREE_PORTS[..]].concat();
    Backend::start(data_dir, &flags)
}

/// A backend on a fixed port for OTLP over HTTP, so that it can come back to it.
fn behind(data_dir: &Path, port: u16) -> Backend {
    let port = port.to_string();
    let flags = ["--grpc-port", "0", "--ui-port", "0", "--http-port", &port];
    Backend::start(data_dir, &flags)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn arrives(backend: &Backend, trace: u128, spans: u64) {
    until("the trace arrives", || {
        (spans_of(backend, trace) == Some(spans)).then_some(())
    });
}

fn forwarded(backend: &Backend) -> Json {
    backend.get("/api/v1/status")["forward"].clone()
}

#[test]
fn everything_received_is_passed_on_and_accounted_for() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let second = Backend::up(dirs[0].path());
    assert_eq!(forwarded(&second), Json::Null);
    let grpc = second.ready["otlp_grpc"].as_str().unwrap();
    let first = forwarding(dirs[1].path(), grpc);
    for trace in 1..=20 {
        assert!(send_trace(first.http, "shop", trace, 5));
    }
    for trace in 1..=20 {
        arrives(&second, trace, 5);
        assert_eq!(spans_of(&first, trace), Some(5));
    }
    let traces = until("the answer is counted", || {
        let traces = forwarded(&first)["signals"]["traces"].clone();
        (traces["exported"] == 100).then_some(traces)
    });
    assert_eq!(traces["submitted"], 100);
    assert_eq!(traces["balanced"], true);
    let status = forwarded(&first);
    assert!(status["destination"].as_str().unwrap().starts_with(grpc));
    assert_eq!(status["delivery"]["traces"]["records"], 100);
    assert_eq!(first.stop().code(), Some(0));
}

#[test]
fn what_cannot_be_passed_on_waits_through_restarts_of_both() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let port = free_port();
    let to = url(([127, 0, 0, 1], port).into());
    let flags = [
        &["--forward", &to, "--json", "--data-dir"],
        &[dirs[1].path().to_str().unwrap()][..],
        &FREE_PORTS,
    ];
    let mut command = ringlight();
    command
        .arg("up")
        .args(flags.concat())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        // Meant for the program that is started, which there is none of.
        .env("OTEL_TRACES_EXPORTER", "none");
    let mut first = Backend::spawn(command);
    for trace in 1..=10 {
        assert!(send_trace(first.http, "shop", trace, 3));
        assert_eq!(spans_of(&first, trace), Some(3), "stored at once");
    }
    first.signal(Signal::TERM);
    assert_eq!(wait(&mut first.child).code(), Some(0));
    let said = first.errors();
    assert!(said.contains("30 records wait in"), "{said}");

    // Its own variables, in a process of its own: HTTP by the port is not seen here.
    let second = behind(dirs[0].path(), port);
    let mut command = ringlight();
    command
        .arg("up")
        .args(flags.concat())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let first = Backend::spawn(command);
    for trace in 1..=10 {
        arrives(&second, trace, 3);
    }
    let traces = &forwarded(&first)["signals"]["traces"];
    assert_eq!(traces["recovered"], 30);

    // And while both run.
    assert_eq!(second.stop().code(), Some(0));
    assert!(send_trace(first.http, "shop", 11, 3));
    let second = behind(dirs[0].path(), port);
    arrives(&second, 11, 3);
    assert_eq!(first.stop().code(), Some(0));
}

#[test]
fn where_to_is_checked_before_anything_starts() {
    let data_dir = tempfile::tempdir().unwrap();
    let check = |to: &str, status: i32, expected: &str| {
        let output = ringlight()
            .args(["up", "--forward", to, "--data-dir"])
            .arg(data_dir.path())
            .args(FREE_PORTS)
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert_eq!(output.status.code(), Some(status), "{said}");
    };
    check("gopher://secret@example.com", 2, "--forward");
    check("", 2, "--forward");
    std::fs::write(data_dir.path().join("forward"), "a file").unwrap();
    check("http://example.com:4317", 4, "forward");
}
