//! What is still delivered when a process ends, in every way it can: number 6 of the fault
//! catalogue. Also what such a process writes where.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};

use ringlight_testing::{Backend, Reply};

/// The example of the same name. `cargo test` builds it beside this test, unless told to run this
/// test alone (`--test endings`): then it is the one built last.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("endings{}", std::env::consts::EXE_SUFFIX));
    path
}

fn run(ending: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(program())
        .arg(ending)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn run_against(backend: &Backend, ending: &str) -> Output {
    run(ending, &[("OTLP_ENDPOINT", &backend.url())])
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Ends the process and expects its last span to have arrived.
fn check_delivered(ending: &str, code: i32) {
    let backend = Backend::start();
    let output = run_against(&backend, ending);
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    let seen = backend.stop();
    assert_eq!(seen.span_names()["ending"], 1);
    assert_eq!(seen.log_records().len(), 1);
    assert!(stderr(&output).contains("about to end"));
}

#[test]
fn fault_6_returning_from_main_delivers_everything() {
    check_delivered("return", 0);
    check_delivered("error", 1);
}

#[test]
fn fault_6_flushing_before_exit_delivers_everything() {
    check_delivered("flush and exit", 7);
}

#[test]
fn fault_6_a_panic_in_main_delivers_everything_and_marks_the_span() {
    let backend = Backend::start();
    let output = run_against(&backend, "panic");
    assert_eq!(output.status.code(), Some(101));
    let spans = backend.stop().spans();
    let span = spans.iter().find(|span| span.name == "panics").unwrap();
    assert_eq!(span.status.as_ref().unwrap().message, "panicked");
    assert!(spans.iter().any(|span| span.name == "ending"));
}

#[test]
#[cfg(target_env = "gnu")]
fn ending_without_the_guard_delivers_everything_from_the_thread_that_began() {
    check_delivered("forget", 0);
    check_delivered("exit", 7);
}

#[test]
fn ending_on_another_thread_hangs_nowhere() {
    let backend = Backend::start();
    let output = run_against(&backend, "exit elsewhere");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn fault_14_a_process_ends_though_its_backend_never_answers() {
    let backend = Backend::start();
    backend.set_default(Reply::Hang);
    backend.set_reports(Reply::Hang);
    let output = run_against(&backend, "return");
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("about to end"));
}

#[test]
fn without_an_endpoint_there_are_lines_on_stderr_and_nothing_else() {
    let output = run("return", &[]);
    assert!(output.status.success());
    assert!(output.stdout.is_empty());
    let stderr = stderr(&output);
    let lines: Vec<_> = stderr.lines().collect();
    let [line] = lines[..] else {
        panic!("not one line: {stderr}");
    };
    // The time is what differs.
    let (time, rest) = line.split_once("Z ").unwrap();
    assert_eq!(time.len(), "2026-11-20T08:47:54.000001".len());
    assert_eq!(
        rest,
        " INFO ending: endings: about to end \\u{1b}[31m in red ending=return"
    );
}

#[test]
fn json_lines_go_to_stdout() {
    let output = run("json", &[]);
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["message"], "about to end \u{1b}[31m in red");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["spans"], serde_json::json!(["ending"]));
    assert_eq!(line["fields"], serde_json::json!({"ending": "json"}));
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
}

#[test]
fn a_bad_environment_is_warned_about_and_nothing_more() {
    let output = run(
        "return",
        &[
            ("OTLP_ENDPOINT", "not an address"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("RUST_LOG", "warn,x=loud"),
        ],
    );
    assert!(output.status.success());
    let stderr = stderr(&output);
    for said in [
        "`OTLP_ENDPOINT` is ignored: ",
        "`OTEL_BSP_SCHEDULE_DELAY` is `soon`, which is ignored; allowed is 1 to 3600000",
        "log directive `x=loud` is ignored",
    ] {
        assert_eq!(stderr.matches(said).count(), 1, "{said} in {stderr}");
    }
    assert!(!stderr.contains("about to end"));
}

#[test]
fn a_wish_for_tls_is_refused_rather_than_sent_in_the_clear() {
    let output = run("return", &[("OTLP_ENDPOINT", "https://localhost:4317")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("needs TLS"), "{}", stderr(&output));
}
