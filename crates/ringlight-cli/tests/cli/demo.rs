//! `ringlight demo`, the whole product at once.

use std::process::Stdio;

use crate::common::{Backend, FREE_PORTS, ringlight, text, until, wait};
use rustix::process::{Pid, Signal, kill_process};

/// What it starts, by the names that are seen in the browser.
const SERVICES: [&str; 3] = ["streaming", "agent", "model"];

fn demo(data_dir: &std::path::Path, flags: &[&str]) -> std::process::Command {
    let mut command = ringlight();
    command
        .args(["demo", "--json", "--data-dir"])
        .arg(data_dir)
        .args(FREE_PORTS)
        .args(flags);
    command
}

#[track_caller]
fn check_balanced(summary: &serde_json::Value) {
    assert_eq!(summary["balanced"], true, "{summary:#}");
    let apps = summary["apps"].as_array().unwrap();
    let names: Vec<&str> = apps
        .iter()
        .filter_map(|app| app["service"].as_str())
        .collect();
    assert_eq!(names, SERVICES);
    for app in apps {
        assert_eq!(app["reported"], true, "{app:#}");
        for signal in ["traces", "logs", "metrics"] {
            let account = &app["signals"][signal];
            assert_eq!(account["submitted"], account["stored"], "{app:#}");
            assert_eq!(account["submitted"], account["exported"], "{app:#}");
        }
        assert!(
            app["signals"]["traces"]["submitted"].as_u64() > Some(0),
            "{app:#}"
        );
    }
}

#[test]
fn everything_the_applications_submit_is_stored() {
    let data_dir = tempfile::tempdir().unwrap();
    let output = demo(data_dir.path(), &["--duration", "3s"])
        // What the surroundings say about telemetry changes nothing.
        .env("RUST_LOG", "off")
        .env("OTEL_SDK_DISABLED", "true")
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    let stdout = text(&output.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{stdout}{stderr}");
    check_balanced(&serde_json::from_str(lines[1]).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(stderr.matches("http://").count(), 1, "{stderr}");
}

#[test]
fn the_help_says_what_each_of_its_services_is() {
    let output = ringlight().args(["demo", "--help"]).output().unwrap();
    let help = text(&output.stdout);
    for service in SERVICES {
        let mut said = help.lines().filter_map(|line| line.strip_prefix("  "));
        let is_said = said.any(|line| line.starts_with(&format!("{service} ")));
        assert!(is_said, "{service}: {help}");
    }
}

fn wait_for_services(backend: &Backend) {
    until("all services are there", || {
        let found = backend.get("/api/v1/services");
        let names: Vec<&str> = found["services"]
            .as_array()?
            .iter()
            .filter_map(|service| service["name"].as_str())
            .collect();
        SERVICES
            .iter()
            .all(|name| names.contains(name))
            .then_some(())
    });
}

/// As `timeout` does, which signals its child and then the group the child is in.
#[test]
fn signals_in_quick_succession_end_the_demo_in_order() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::spawn(demo(data_dir.path(), &[]));
    wait_for_services(&backend);
    // The last one is another, since equal ones may become one on the way.
    for signal in [Signal::TERM, Signal::TERM, Signal::INT] {
        backend.signal(signal);
    }
    let summary: serde_json::Value = serde_json::from_str(&backend.line()).unwrap();
    check_balanced(&summary);
    assert_eq!(wait(&mut backend.child).code(), Some(0));
    assert!(!backend.errors().contains("warning"));
}

/// As `pkill` does, or a service manager, which signal all processes of the demo.
#[test]
fn signals_to_the_applications_are_left_to_the_demo() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::spawn(demo(data_dir.path(), &[]));
    wait_for_services(&backend);
    for pid in children_of(backend.child.id()) {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            kill_process(pid, signal).unwrap();
        }
    }
    let newest = |service: &str| {
        let query = format!("/api/v1/traces?limit=1&q=resource.service.name%3D%22{service}%22");
        backend.get(&query)["traces"][0]["trace_id"].clone()
    };
    for service in ["streaming", "model"] {
        let before = newest(service);
        until("the application goes on", || {
            (newest(service) != before).then_some(())
        });
    }
    backend.signal(Signal::TERM);
    check_balanced(&serde_json::from_str(&backend.line()).unwrap());
    assert_eq!(wait(&mut backend.child).code(), Some(0));
}

#[test]
fn the_demo_shows_both_applications_and_ends_on_a_signal() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::spawn(demo(data_dir.path(), &[]));
    wait_for_services(&backend);
    // One trace crosses from the agent's process into the model's. Spans come as they end, those of
    // one trace from two processes, so only a trace that has them all is whole.
    until("a turn of the agent is there with the model's part", || {
        let found = backend.get("/api/v1/traces?q=name%20%3D%20%22agent.turn%22&limit=50");
        found["traces"].as_array()?.iter().find_map(|trace| {
            let id = trace["trace_id"].as_str()?;
            let trace = backend.get(&format!("/api/v1/traces/{id}"));
            let spans = trace["spans"].as_array()?;
            [
                "agent.turn",
                "llm.chat",
                "llm.http_request",
                "POST /v1/chat/completions",
            ]
            .iter()
            .all(|name| spans.iter().any(|span| span["name"] == *name))
            .then_some(())
        })
    });
    backend.signal(Signal::INT);
    let summary: serde_json::Value = serde_json::from_str(&backend.line()).unwrap();
    check_balanced(&summary);
    assert_eq!(wait(&mut backend.child).code(), Some(0));
}

#[test]
fn the_applications_end_with_the_demo_even_when_it_is_killed() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::spawn(demo(data_dir.path(), &[]));
    let children = until("the applications run", || {
        let children = children_of(backend.child.id());
        (children.len() == 3).then_some(children)
    });
    backend.child.kill().unwrap();
    backend.child.wait().unwrap();
    until("the applications have ended", || {
        children.iter().all(|pid| !is_running(*pid)).then_some(())
    });
}

/// The applications are stopped, so that none of them ends because it is asked to.
#[test]
fn a_second_signal_kills_the_applications() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::spawn(demo(data_dir.path(), &[]));
    wait_for_services(&backend);
    let children = children_of(backend.child.id());
    assert_eq!(children.len(), 3);
    for pid in &children {
        let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }
    // Of those that follow the first, the first that comes a second later counts.
    let status = until("the demo ends", || {
        backend.signal(Signal::INT);
        backend.child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(1));
    until("the applications are gone", || {
        children.iter().all(|pid| !is_running(*pid)).then_some(())
    });
    let stderr = backend.errors();
    assert!(
        stderr.contains("error: the applications were killed before they could report"),
        "{stderr}"
    );
}

#[test]
fn an_application_that_dies_ends_the_demo_and_is_named() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut backend = Backend::spawn(demo(data_dir.path(), &[]));
    let streaming = until("the application runs", || {
        children_of(backend.child.id())
            .into_iter()
            .find(|pid| command_line(*pid).contains("streaming"))
    });
    let pid = Pid::from_raw(i32::try_from(streaming).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(wait(&mut backend.child).code(), Some(1));
    let stderr = backend.errors();
    assert!(
        stderr.contains("error: the application `streaming` failed (signal: 9 (SIGKILL))"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: "), "{stderr}");
}

fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

#[test]
fn without_json_there_is_a_table_on_standard_output() {
    let data_dir = tempfile::tempdir().unwrap();
    let output = ringlight()
        .args(["demo", "--duration", "1s", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let stdout = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}{}",
        text(&output.stderr)
    );
    assert!(stdout.starts_with("application  signal"), "{stdout}");
    assert!(
        stdout.contains("everything submitted was stored"),
        "{stdout}"
    );
    assert!(!stdout.contains('\x1b') && !text(&output.stderr).contains('\x1b'));
}

fn children_of(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if stat(pid).is_some_and(|(state, of)| of == parent && state != "Z") {
            children.push(pid);
        }
    }
    children
}

fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

/// The state and the parent of a process.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
