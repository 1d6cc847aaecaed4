//! `ringlight up`, alone and with a program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::common::{
    Backend, FREE_PORTS, get, ringlight, send, send_trace, spans_of, text, until, wait,
};
use rustix::process::Signal;

fn up_with(data_dir: &std::path::Path, program: &[&str]) -> Command {
    let mut command = ringlight();
    command
        .args(["up", "--data-dir"])
        .arg(data_dir)
        .args(FREE_PORTS)
        .arg("--")
        .args(program);
    command
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let data_dir = tempfile::tempdir().unwrap();
    let backend = Backend::up(data_dir.path());
    assert!(send_trace(backend.http, "shop", 7, 20));
    assert_eq!(spans_of(&backend, 7), Some(20));
    assert_eq!(backend.stop().code(), Some(0));

    let backend = Backend::up(data_dir.path());
    assert_eq!(spans_of(&backend, 7), Some(20));
    let services = backend.get("/api/v1/services");
    assert_eq!(services["services"][0]["name"], "shop");
    let runs = backend.get("/api/v1/runs");
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(
        runs[0]["command"]
            .as_str()
            .unwrap()
            .starts_with("ringlight up")
    );
}

#[test]
fn the_other_loopback_address_works_as_well() {
    let data_dir = tempfile::tempdir().unwrap();
    let flags = [&["--listen", "::1"], &FREE_PORTS[..]].concat();
    let backend = Backend::start(data_dir.path(), &flags);
    assert!(backend.ui.is_ipv6());
    assert!(send_trace(backend.http, "shop", 8, 3));
    assert_eq!(spans_of(&backend, 8), Some(3));
}

#[test]
fn every_signal_ends_it_in_order() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let data_dir = tempfile::tempdir().unwrap();
        let mut backend = Backend::up(data_dir.path());
        backend.signal(signal);
        assert_eq!(wait(&mut backend.child).code(), Some(0), "{signal:?}");
    }
}

#[test]
fn how_the_tests_were_started_does_not_matter() {
    let test = "up::every_signal_ends_it_in_order";
    let output = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("{test} ... ok")), "{said}");
}

#[test]
fn signals_in_quick_succession_end_it_in_order() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::up(data_dir.path());
    for trace in 1..=20 {
        assert!(send_trace(backend.http, "shop", trace, 200));
    }
    // The last one is another, since equal ones may become one on the way.
    for signal in [Signal::TERM, Signal::TERM, Signal::INT] {
        backend.signal(signal);
    }
    assert_eq!(wait(&mut backend.child).code(), Some(0));
    let stderr = backend.errors();
    assert!(!stderr.contains("warning"), "{stderr}");
}

#[test]
fn a_hangup_is_ignored_where_nohup_asks_for_it() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_ringlight"))
        .args(["up", "--json", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS)
        .stdin(Stdio::null());
    let backend = Backend::spawn(command);
    backend.signal(Signal::HUP);
    assert_eq!(get(backend.ui, "/api/v1/status").0, 200);
    assert_eq!(backend.stop().code(), Some(0));
}

#[test]
fn without_a_backend_an_application_works_and_its_ledger_says_what_was_lost() {
    let output = ringlight()
        .args(["app", "streaming", "--duration", "500ms"])
        // The discard port: nothing listens there.
        .args(["--otlp-endpoint", "http://127.0.0.1:9"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let traces = &report["ledger"]["traces"];
    let lost: u64 = traces["dropped"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert!(lost > 0, "{report}");
    assert_eq!(traces["submitted"].as_u64(), Some(lost));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("cannot send telemetry to http://127.0.0.1:9"),
        "{stderr}"
    );
}

#[track_caller]
fn check_exit(script: &str, expected: i32) {
    let data_dir = tempfile::tempdir().unwrap();
    let output = up_with(data_dir.path(), &["sh", "-c", script])
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(expected), "{script}: {stderr}");
    assert_eq!(stderr.matches("http://").count(), 1, "one URL: {stderr}");
}

#[test]
fn the_exit_code_of_the_program_is_passed_on() {
    check_exit("exit 0", 0);
    check_exit("exit 7", 7);
    check_exit("kill -9 $$", 128 + 9);
}

#[test]
fn a_program_that_cannot_be_run_is_an_error_of_its_own() {
    let data_dir = tempfile::tempdir().unwrap();
    let output = up_with(data_dir.path(), &["no-such-program"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(127));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("error: there is no program `no-such-program`"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: "), "{stderr}");
    let directory = data_dir.path().to_str().unwrap();
    let output = up_with(data_dir.path(), &[directory]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
}

#[test]
fn the_program_finds_the_backend_in_its_environment() {
    let data_dir = tempfile::tempdir().unwrap();
    let script = "echo $OTLP_ENDPOINT $OTEL_EXPORTER_OTLP_ENDPOINT $OTEL_EXPORTER_OTLP_PROTOCOL \
                  [$OTEL_SERVICE_NAME] [$OTEL_SDK_DISABLED$OTEL_TRACES_EXPORTER] \
                  [$OTEL_EXPORTER_OTLP_HEADERS]";
    let output = up_with(data_dir.path(), &["sh", "-c", script])
        .env("OTEL_SERVICE_NAME", "mine")
        .env("OTEL_SDK_DISABLED", "true")
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://elsewhere.example")
        .output()
        .unwrap();
    let stdout = text(&output.stdout);
    let words: Vec<&str> = stdout.split_whitespace().collect();
    assert!(words[0].starts_with("http://127.0.0.1:"), "{stdout}");
    assert!(words[1].starts_with("http://127.0.0.1:"), "{stdout}");
    assert_ne!(words[0], words[1]);
    assert_eq!(words[2..], ["http/protobuf", "[mine]", "[]", "[]"]);
    // Only the program writes to standard output.
    assert_eq!(stdout.lines().count(), 1);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_with_a_hint() {
    let output = ringlight()
        .args(["up", "--data-dir", "/dev/null/telemetry"])
        .args(FREE_PORTS)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("`/dev/null/telemetry`"), "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
}

/// Starts a program under `up` and reads its standard output up to the line `ready`.
fn ready_program(data_dir: &std::path::Path, script: &str) -> (Child, impl FnMut() -> String) {
    let mut child = up_with(data_dir, &["sh", "-c", script])
        // Kept open, so that a script can wait by reading it.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    assert_eq!(line(), "ready");
    (child, line)
}

#[test]
fn signals_are_passed_to_the_program() {
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
    ] {
        let data_dir = tempfile::tempdir().unwrap();
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; echo ready; while :; do read -r line; done"
        );
        let (mut child, mut line) = ready_program(data_dir.path(), &script);
        send(&child, signal);
        assert_eq!(line(), format!("got {name}"));
        assert_eq!(wait(&mut child).code(), Some(9), "{name}");
    }
}

#[test]
fn a_program_ended_by_the_signal_gives_128_and_its_number() {
    let data_dir = tempfile::tempdir().unwrap();
    let (mut child, _line) = ready_program(data_dir.path(), "echo ready; exec tail -f /dev/null");
    send(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(128 + 15));
}

#[test]
fn what_the_program_sent_is_stored_when_up_ends() {
    let data_dir = tempfile::tempdir().unwrap();
    let program = [
        env!("CARGO_BIN_EXE_ringlight"),
        "app",
        "streaming",
        "--duration",
        "1s",
    ];
    let output = up_with(data_dir.path(), &program)
        // What is exported for another backend neither switches this off nor reaches it.
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")
        .env("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let spans = &report["ledger"]["traces"]["submitted"];
    let backend = Backend::up(data_dir.path());
    let services = backend.get("/api/v1/services");
    assert_eq!(services["services"][0]["span_count"], *spans, "{report}");
    assert!(spans.as_u64() > Some(0), "{report}");
}

/// The whole way: a Rust program with `ringlight::init()`, its data in the API.
#[test]
fn a_rust_program_is_seen_in_the_api_while_it_runs() {
    for compression in ["none", "gzip"] {
        check_seen("otlp_grpc", "grpc", compression);
        check_seen("otlp_http", "http/protobuf", compression);
        check_seen("otlp_http", "http/json", compression);
    }
}

#[track_caller]
fn check_seen(endpoint: &str, protocol: &str, compression: &str) {
    let data_dir = tempfile::tempdir().unwrap();
    let backend = Backend::up(data_dir.path());
    let mut client = ringlight()
        .args(["app", "streaming", "--until-stdin-closes"])
        .env("OTLP_ENDPOINT", backend.ready[endpoint].as_str().unwrap())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let query = "/api/v1/traces?q=name%20%3D%20%22process_message%22&limit=5";
    until("its traces are there", || {
        let found = backend.get(query);
        (!found["traces"].as_array()?.is_empty()).then_some(())
    });
    until("its logs are there", || {
        let found = backend.get("/api/v1/logs?limit=5");
        (!found["logs"].as_array()?.is_empty()).then_some(())
    });
    drop(client.stdin.take());
    let output = client.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let status = backend.get("/api/v1/status");
    let clients = status["clients"].as_array().unwrap();
    let client = clients
        .iter()
        .find(|client| client["instance"] == report["instance"])
        .unwrap();
    assert_eq!(client["final"], true, "{client}");
    for signal in ["traces", "logs", "metrics"] {
        let submitted = &report["ledger"][signal]["submitted"];
        assert_eq!(&client["stored"][signal], submitted, "{client}");
        assert_eq!(&client["signals"][signal]["submitted"], submitted);
    }
}

#[test]
fn fault_31_a_second_one_on_the_same_directory_names_the_first() {
    let data_dir = tempfile::tempdir().unwrap();
    let first = Backend::up(data_dir.path());
    let output = ringlight()
        .args(["up", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let stderr = text(&output.stderr);
    let pid = first.child.id();
    assert!(
        stderr.contains(&format!("is in use by process {pid}")),
        "{stderr}"
    );
    assert!(stderr.contains("hint: "), "{stderr}");
    assert_eq!(get(first.ui, "/api/v1/status").0, 200);
}

#[test]
fn fault_31_a_second_one_on_the_same_port_names_the_first() {
    let data_dir = tempfile::tempdir().unwrap();
    let other_dir = tempfile::tempdir().unwrap();
    let first = Backend::up(data_dir.path());
    let ui = first.ui.port().to_string();
    let flags = ["--grpc-port", "0", "--http-port", "0", "--ui-port", &ui];
    let output = ringlight()
        .args(["up", "--data-dir"])
        .arg(other_dir.path())
        .args(flags)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = text(&output.stderr);
    assert!(stderr.contains(&format!("port {ui}")), "{stderr}");
    assert!(
        stderr.contains(&format!("process {}", first.child.id())),
        "{stderr}"
    );
    assert!(stderr.contains("hint: "), "{stderr}");
}

#[test]
fn a_port_of_another_program_is_an_error_with_a_hint() {
    let data_dir = tempfile::tempdir().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let output = ringlight()
        .args(["up", "--data-dir"])
        .arg(data_dir.path())
        .args(["--grpc-port", &port, "--http-port", "0", "--ui-port", "0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = text(&output.stderr);
    assert!(stderr.contains(&format!("port {port}")), "{stderr}");
    assert!(stderr.contains("hint: stop the program"), "{stderr}");
    assert!(stderr.contains("`--grpc-port`"), "{stderr}");
}

/// One failed start after another would fill the list of runs, and a directory that nobody meant to
/// make would stay.
#[test]
fn a_port_in_use_leaves_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    let (new, used) = (parent.path().join("new"), parent.path().join("used"));
    let first = Backend::up(&used);
    assert_eq!(first.ready["run"], "1");
    assert_eq!(first.stop().code(), Some(0));
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    for command in ["up", "demo"] {
        for data_dir in [&new, &used] {
            let output = ringlight()
                .args([command, "--data-dir"])
                .arg(data_dir)
                .args(["--grpc-port", "0", "--http-port", "0", "--ui-port", &port])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        }
    }
    assert!(!new.exists());
    assert_eq!(Backend::up(&used).ready["run"], "2");
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let data_dir = tempfile::tempdir().unwrap();
    std::fs::write(data_dir.path().join("letter.txt"), "dear").unwrap();
    let output = ringlight()
        .args(["up", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("not a data directory"));
    assert_eq!(std::fs::read_dir(data_dir.path()).unwrap().count(), 1);
}
