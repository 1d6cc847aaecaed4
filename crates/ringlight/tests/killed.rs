//! A process that keeps everything on disk and is killed, again and again: what it said was safe arrives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod child;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use child::{end, program, start};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use ringlight_testing::{Backend, Code, Reply, Seen};

const KILLS: u64 = 200;

fn spooled(backend: &Backend, dir: &Path, argument: &str) -> std::process::Child {
    let variables = [
        ("OTLP_ENDPOINT", backend.url()),
        ("RINGLIGHT_SPOOL_DIR", dir.display().to_string()),
        ("RINGLIGHT_SPOOL_MODE", "always".to_owned()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500".to_owned()),
    ];
    let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    start(&mut Command::new(program("spooled")), argument, &variables)
}

fn numbers(seen: &Seen) -> BTreeSet<u64> {
    let number = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
        let attribute = span.attributes.iter().find(|a| a.key == "number").unwrap();
        match attribute.value.as_ref().unwrap().value {
            Some(Value::IntValue(number)) => number as u64,
            ref other => panic!("{other:?}"),
        }
    };
    seen.spans().iter().map(number).collect()
}

/// Answers that make the process retry, keep on disk and go on.
fn random_reply() -> Reply {
    match fastrand::u8(..10) {
        0..=3 => Reply::Ok,
        4 | 5 => Reply::Reset,
        6 => Reply::Grpc(Code::UNAVAILABLE, None),
        7 => Reply::TakeAndReset,
        8 => Reply::Delayed(Duration::from_millis(fastrand::u64(..60))),
        _ => Reply::Cut,
    }
}

#[test]
fn fault_19_a_process_that_is_killed_two_hundred_times_loses_nothing_it_called_safe() {
    let backend = Backend::start();
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let mut safe: BTreeSet<u64> = BTreeSet::new();
    for kill in 0..KILLS {
        backend.script((0..20).map(|_| random_reply()));
        backend.set_default(if fastrand::bool() {
            Reply::Ok
        } else {
            Reply::Reset
        });
        let first = kill * 1_000_000;
        let mut child = spooled(&backend, &spool, &first.to_string());
        // From before its start to far into its work.
        std::thread::sleep(Duration::from_millis(fastrand::u64(..200)));
        child.kill().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let up_to = said.map(|line| line.unwrap().parse::<u64>().unwrap()).max();
        safe.extend(first + 1..=up_to.unwrap_or(first));
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(!stderr.contains("cannot keep on disk"), "{stderr}");
    }
    assert!(safe.len() > 1_000, "{}", safe.len());
    backend.script((0..20).map(|_| random_reply()));
    backend.set_default(Reply::Ok);
    let output = end(spooled(&backend, &spool, "drain"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("on disk"), "{stderr}");
    let arrived = numbers(&backend.stop());
    let lost: Vec<_> = safe.difference(&arrived).collect();
    assert!(
        lost.is_empty(),
        "{} of {}: {lost:?}",
        lost.len(),
        safe.len()
    );
}
