//! A name that comes to stand for another address, as the names of services do. Number 13 of the fault
//! catalogue.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod child;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use child::{end, program, start};
use ringlight_testing::{Backend, Reply};

/// How a process gets a view of the file system of its own: as root, or as anybody else.
const NAMESPACES: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// A program that sees this file as `/etc/hosts`.
fn with_hosts(namespaces: &[&str], hosts: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(namespaces)
        .args(["sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(hosts);
    command
}

#[test]
fn fault_13_a_name_that_moves_to_another_address_is_followed() {
    let hosts = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hosts");
    std::fs::write(&hosts, "").unwrap();
    let is_possible = |namespaces: &&&[&str]| {
        let tried = with_hosts(namespaces, &hosts).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(namespaces) = NAMESPACES.iter().find(is_possible) else {
        panic!(
            "cannot mount a file over /etc/hosts in a mount namespace, which this test needs: run it \
             as root, or where `unshare --user --map-root-user --mount` is allowed"
        );
    };
    for protocol in ["grpc", "http/protobuf"] {
        std::fs::write(&hosts, "127.0.0.1 backend.test\n").unwrap();
        let first = Backend::start();
        first.set_default(Reply::Reset);
        let port = first.address().port();
        let url = format!("http://backend.test:{port}");
        let variables = [
            ("PATH", &*std::env::var("PATH").unwrap()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        let mut child = start(
            with_hosts(namespaces, &hosts).arg(program("endings")),
            "signal",
            &variables,
        );
        first.wait_for(|seen| !seen.requests.is_empty());

        let second = Backend::start_at(SocketAddr::from(([127, 0, 0, 2], port)));
        std::fs::write(&hosts, "127.0.0.2 backend.test\n").unwrap();
        first.stop();
        second.wait_for(|seen| seen.spans().len() == 1 && seen.log_records().len() == 1);
        drop(child.stdin.take());
        assert!(end(child).status.success(), "{protocol}");
        let seen = second.stop();
        seen.assert_agrees_with(&seen.final_ledger());
    }
}
