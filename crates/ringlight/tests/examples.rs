//! The examples `demo` and `span_generator` against a real backend's protocol: what their last line
//! says is what arrived.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "others wait for their processes by it")]
mod child;

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use ringlight_testing::{Backend, Seen};
use serde_json::Value;

fn example(name: &str) -> Command {
    let mut command = Command::new(child::program(name));
    command.env_clear();
    command
}

fn run(name: &str, arguments: &[&str]) -> (Output, Value) {
    let output = example(name).args(arguments).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let line = stdout.lines().last().unwrap_or_default();
    let ledger =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}\n{output:?}"));
    (output, ledger)
}

fn number(ledger: &Value, key: &str) -> u64 {
    ledger[key].as_u64().unwrap()
}

/// Runs an example and compares its last line with what the backend saw.
fn check(name: &str, policy: &str, producers: u64, spans: u64) -> (Value, Seen) {
    let backend = Backend::start();
    let (url, producers_text, spans_text) =
        (backend.url(), producers.to_string(), spans.to_string());
    let arguments = [
        "--endpoint",
        &url,
        "--policy",
        policy,
        "--producers",
        &producers_text,
        "--spans",
        &spans_text,
    ];
    let (output, ledger) = run(name, &arguments);
    let seen = backend.stop();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ledger["balances"], true, "{ledger}");
    assert_eq!(ledger["in_flight"], 0);
    let dropped = ledger["dropped"].as_object().unwrap().values();
    let dropped: u64 = dropped.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        number(&ledger, "submitted"),
        number(&ledger, "exported") + number(&ledger, "rejected") + dropped
    );
    assert_eq!(
        number(&ledger, "submitted") + number(&ledger, "refused"),
        producers * spans
    );
    let arrived = seen.spans();
    assert_eq!(number(&ledger, "exported"), arrived.len() as u64);
    let ids: BTreeSet<_> = arrived
        .iter()
        .map(|span| (&span.trace_id, &span.span_id))
        .collect();
    assert_eq!(ids.len(), arrived.len());
    // The report the collector sent says the same.
    let reported = seen.final_ledger();
    let reported = reported.account(ringlight::Signal::Traces);
    assert_eq!(number(&ledger, "submitted"), reported.submitted);
    assert_eq!(number(&ledger, "exported"), reported.exported);
    (ledger, seen)
}

#[test]
fn the_demo_delivers_all_its_spans_when_its_tasks_wait() {
    let (ledger, seen) = check("demo", "block", 8, 2_003);
    assert_eq!(number(&ledger, "exported"), 8 * 2_003);
    let names = seen.span_names();
    // Whole trees and one of three spans, for each task.
    assert_eq!(names["request"], 8 * 201);
    assert_eq!(names["load"], 8 * (200 * 3 + 1));
}

#[test]
fn the_demo_accounts_for_what_the_policy_drops() {
    check("demo", "drop", 4, 20_000);
    check("demo", "block-for=1", 2, 2_000);
}

#[test]
fn the_generator_accounts_for_every_span_under_every_policy() {
    let (ledger, seen) = check("span_generator", "block", 16, 1_000);
    assert_eq!(number(&ledger, "exported"), 16_000);
    assert_eq!(number(&ledger, "refused"), 0);
    let spans = seen.spans();
    assert!(spans.iter().any(|span| !span.events.is_empty()));
    assert!(spans.iter().any(|span| !span.links.is_empty()));
    check("span_generator", "drop", 4, 20_000);
}

#[test]
fn the_examples_write_to_files_and_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spans.jsonl");
    let file = format!("file:{}", path.display());
    let few = ["--endpoint", &file, "--producers", "1", "--spans", "25"];
    let (output, ledger) = run("demo", &few);
    assert!(output.status.success());
    assert_eq!(number(&ledger, "exported"), 25);
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.matches("\"spanId\"").count(), 25);

    let to_stdout = ["--endpoint", "stdout", "--producers", "1", "--spans", "3"];
    let (output, _) = run("span_generator", &to_stdout);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 2);
    assert!(stdout.starts_with("{\"resourceSpans\":"));

    // Nobody reads: an end in order, at once.
    let many = [
        "--endpoint",
        "stdout",
        "--producers",
        "2",
        "--spans",
        "5000",
    ];
    let mut child = example("span_generator")
        .args(many)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));

    let nobody = format!("http://{}", Backend::nobody());
    let to_nobody = [
        "--endpoint",
        &nobody,
        "--policy",
        "drop",
        "--producers",
        "1",
        "--spans",
        "9",
    ];
    let (output, ledger) = run("demo", &to_nobody);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(ledger["balances"], true);
    assert_eq!(ledger["dropped"]["shutdown"], 9);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("demo: cannot send telemetry to"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: is a backend listening"), "{stderr}");

    let wrong = example("demo").args(["--policy", "sometimes"]).output();
    let wrong = wrong.unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("allowed are `block`"));
}
