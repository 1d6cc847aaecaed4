//! What is still delivered when a process ends, in every way it can: number 6 of the fault
//! catalogue. Also what such a process writes where.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod child;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use child::{end, program, signal, start};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use ringlight::{DropReason, Signal};
use ringlight_testing::{Backend, Reply, Seen};

fn run(ending: &str, variables: &[(&str, &str)]) -> Output {
    end(start(
        &mut Command::new(program("endings")),
        ending,
        variables,
    ))
}

fn run_against(backend: &Backend, ending: &str) -> Output {
    run(ending, &[("OTLP_ENDPOINT", &backend.url())])
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Ends the process and expects its last span to have arrived.
fn check_delivered(ending: &str, code: i32) -> Seen {
    let backend = Backend::start();
    let output = run_against(&backend, ending);
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    let seen = backend.stop();
    assert_eq!(seen.span_names()["ending"], 1);
    assert_eq!(seen.log_records().len(), 1);
    assert!(stderr(&output).contains("about to end"));
    seen
}

#[test]
fn fault_6_returning_from_main_delivers_everything() {
    for (ending, code) in [("return", 0), ("error", 1)] {
        let seen = check_delivered(ending, code);
        seen.assert_agrees_with(&seen.final_ledger());
    }
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
    let seen = backend.stop();
    seen.assert_agrees_with(&seen.final_ledger());
    let spans = seen.spans();
    let span = spans.iter().find(|span| span.name == "panics").unwrap();
    let message = &span.status.as_ref().unwrap().message;
    let place = message.strip_suffix(": on purpose").unwrap();
    let (file, line) = place.rsplit_once(':').unwrap();
    assert!(file.starts_with("panicked at ") && file.ends_with("examples/endings.rs"));
    assert!(line.parse::<u32>().is_ok(), "{message}");
    assert!(spans.iter().any(|span| span.name == "ending"));
}

#[test]
#[cfg(target_env = "gnu")]
fn fault_6_ending_without_the_guard_delivers_everything_from_the_thread_that_began() {
    check_delivered("forget", 0);
    check_delivered("exit", 7);
}

/// Waits until the first span and its log record are there, which nobody flushed, and then ends the
/// process without another word.
fn check_left_behind(ending: &str, end_it: impl FnOnce(&mut Child)) -> Output {
    let backend = Backend::start();
    let mut child = start(
        &mut Command::new(program("endings")),
        ending,
        &[("OTLP_ENDPOINT", &backend.url())],
    );
    backend.wait_for(|seen| seen.spans().len() == 1 && seen.log_records().len() == 1);
    end_it(&mut child);
    let output = end(child);
    assert!(stderr(&output).contains("about to end"));
    let seen = backend.stop();
    assert_eq!((seen.spans().len(), seen.log_records().len()), (1, 1));
    output
}

#[test]
fn fault_6_exit_on_another_thread_keeps_what_has_left() {
    let output = check_left_behind("exit elsewhere", |child| drop(child.stdin.take()));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
#[cfg(unix)]
fn fault_6_a_signal_without_a_handler_keeps_what_has_left() {
    use std::os::unix::process::ExitStatusExt as _;
    let output = check_left_behind("signal", |child| signal(child.id(), "TERM"));
    assert_eq!(output.status.signal(), Some(15));
}

#[test]
#[cfg(unix)]
fn fault_6_a_forked_child_waits_for_nothing_and_its_parent_delivers_everything() {
    for ending in ["fork", "fork and block"] {
        let backend = Backend::start();
        let output = run_against(&backend, ending);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "Err(Closed), empty ledger: true\n",
            "{ending}"
        );
        let seen = backend.stop();
        seen.assert_agrees_with(&seen.final_ledger());
        let names = seen.span_names();
        let names: Vec<_> = names.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(names, [("ending", 1), ("in the parent", 1)], "{ending}");
    }
}

#[test]
#[cfg(unix)]
fn fault_4_what_is_recorded_after_the_end_of_a_thread_is_delivered() {
    let check = |ending: &str, code: i32, said: &str, names: &[(&str, usize)]| {
        let backend = Backend::start();
        let output = run_against(&backend, ending);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), said);
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
        let seen = backend.stop();
        let logs_count: usize = names.iter().map(|(_, count)| count).sum();
        assert_eq!(seen.log_records().len(), logs_count);
        let seen_names = seen.span_names();
        let seen_names: Vec<_> = seen_names.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        assert_eq!(seen_names, names);
        seen
    };
    let names = [("ending", 1), ("late", 1)];
    check("exit handler", 7, "flushed: Some(true)\n", &names);
    let ended = "ended: true\n".repeat(3);
    let names = [("ending", 1), ("late", 4)];
    let seen = check("key destructor", 0, &ended, &names);
    seen.assert_agrees_with(&seen.final_ledger());
}

/// The same program, built so that panics abort. It takes a build of its own, without what the
/// tests need, since the setting holds for a program with all its libraries.
#[cfg(unix)]
fn aborting_program() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aborting");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = format!(
        "[package]\nname = \"aborting\"\nedition = \"2024\"\n\n\
         [[bin]]\nname = \"aborting\"\npath = {:?}\n\n\
         [dependencies]\nringlight.path = {crate_folder:?}\ntracing = \"*\"\n\n\
         [profile.dev]\ndebug = false\npanic = \"abort\"\n\n\
         [workspace]\n",
        crate_folder.join("examples/endings.rs"),
    );
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    // The versions of the workspace, which are there already.
    std::fs::copy(
        crate_folder.join("../../Cargo.lock"),
        folder.join("Cargo.lock"),
    )
    .unwrap();
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--target-dir", "target"])
        .current_dir(&folder)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", stderr(&build));
    folder.join("target/debug/aborting")
}

#[test]
#[cfg(unix)]
fn fault_6_a_panic_that_aborts_delivers_what_was_recorded_and_never_hangs() {
    use std::os::unix::process::ExitStatusExt as _;
    let program = aborting_program();
    for is_silent in [false, true] {
        let backend = Backend::start();
        if is_silent {
            backend.set_default(Reply::Hang);
            backend.set_reports(Reply::Hang);
        }
        let url = backend.url();
        let output = end(start(
            &mut Command::new(&program),
            "panic",
            &[("OTLP_ENDPOINT", &url)],
        ));
        assert_eq!(output.status.signal(), Some(6), "{}", stderr(&output));
        assert!(stderr(&output).contains("about to end"));
        let seen = backend.stop();
        let expected = usize::from(!is_silent);
        // The span the panic happened in was still open.
        assert_eq!(seen.spans().len(), expected);
        let logs = seen.log_records();
        assert_eq!(logs.len(), 2 * expected);
        let is_panic = |log: &LogRecord| {
            let mut keys = log.attributes.iter().map(|attribute| &attribute.key);
            keys.any(|key| key == "exception.stacktrace")
        };
        assert_eq!(logs.iter().filter(|log| is_panic(log)).count(), expected);
    }
}

#[test]
fn fault_14_a_process_ends_though_its_backend_never_answers() {
    for (ending, code) in [("return", 0), ("panic", 101), ("forget", 0), ("exit", 7)] {
        let backend = Backend::start();
        backend.set_default(Reply::Hang);
        backend.set_reports(Reply::Hang);
        let output = run_against(&backend, ending);
        assert_eq!(output.status.code(), Some(code), "{ending}");
        assert!(stderr(&output).contains("about to end"));
    }
}

#[test]
fn fault_3_spans_left_out_of_order_are_told_once_with_what_to_do() {
    for (ending, span) in [("out of order", "outer"), ("held over await", "held")] {
        let backend = Backend::start();
        let output = run_against(&backend, ending);
        assert!(output.status.success());
        let stderr = stderr(&output);
        let told: Vec<_> = stderr
            .lines()
            .filter(|line| line.contains("was left while"))
            .collect();
        let [line] = told[..] else {
            panic!("not one line: {stderr}");
        };
        assert!(line.contains(&format!("span `{span}`")), "{line}");
        assert!(line.contains("hint: "), "{line}");
        let seen = backend.stop();
        seen.assert_agrees_with(&seen.final_ledger());
        assert_eq!(seen.span_names()[span], 2, "each once");
    }
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
    let (rest, trace_id) = rest.split_once(" trace_id=").unwrap();
    assert_eq!(trace_id.len(), 32);
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
    assert_eq!(
        line["spans"],
        serde_json::json!([{"name": "ending", "fields": {}}])
    );
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
        "log directive `x=loud` of `RUST_LOG` is ignored",
    ] {
        assert_eq!(stderr.matches(said).count(), 1, "{said} in {stderr}");
    }
    assert!(!stderr.contains("about to end"));
}

#[test]
fn a_wish_for_tls_is_never_sent_in_the_clear() {
    // It does not speak TLS.
    let backend = Backend::start();
    let url = backend.url().replace("http://", "https://");
    let output = run("return", &[("OTLP_ENDPOINT", &url)]);
    assert_eq!(output.status.code(), Some(0));
    let stderr = stderr(&output);
    assert!(
        stderr.contains("cannot send telemetry to https://"),
        "{stderr}"
    );
    assert!(backend.stop().requests.is_empty());
}

#[test]
fn an_endpoint_that_is_not_used_as_it_stands_is_warned_about_once() {
    let check = |said: &str, variables: &[(&str, &str)]| {
        let output = run("return", variables);
        assert!(output.status.success());
        let stderr = stderr(&output);
        assert_eq!(stderr.matches(said).count(), 1, "{said} in {stderr}");
    };
    let nobody = Backend::nobody();
    check(
        "path `/foo` of `OTLP_ENDPOINT` is not used with gRPC",
        &[("OTLP_ENDPOINT", &format!("http://{nobody}/foo?token=1"))],
    );
    for name in [
        "OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ] {
        for port in ["99999", "abc", ""] {
            check(
                &format!("the port is `{port}`, allowed is 1 to 65535; nothing is sent there"),
                &[(name, &format!("http://127.0.0.1:{port}"))],
            );
        }
    }
}

/// What the process says about itself beside its log lines.
fn said(output: &Output) -> Vec<String> {
    let stderr = stderr(output);
    let said = stderr
        .lines()
        .filter(|line| line.starts_with("ringlight: "));
    said.map(str::to_owned).collect()
}

#[test]
fn an_endpoint_of_traces_alone_gets_them_and_nothing_is_said_of_logs() {
    let backend = Backend::start();
    let url = format!("{}/v1/traces", backend.url());
    let output = run("return", &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &url)]);
    assert!(stderr(&output).contains("about to end"));
    assert_eq!(said(&output), [""; 0]);
    let seen = backend.stop();
    assert_eq!(seen.span_names()["ending"], 1);
    assert_eq!(seen.requests.len(), 1);
}

#[test]
fn an_endpoint_of_traces_without_its_path_is_told_so_once() {
    let backend = Backend::start();
    let output = run(
        "return",
        &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &backend.url())],
    );
    let said = said(&output);
    let [line] = &said[..] else {
        panic!("not one line: {said:?}");
    };
    assert!(
        line.contains("refused 1 record so far: HTTP status 404"),
        "{line}"
    );
    assert!(line.ends_with("add `/v1/traces`"), "{line}");
}

#[test]
fn the_endpoint_that_fails_is_the_one_that_is_named() {
    let backend = Backend::start();
    let url = format!("{}/v1/traces", backend.url());
    let nobody = format!("http://{}", Backend::nobody());
    let output = run(
        "return",
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &url),
            ("OTLP_ENDPOINT", &nobody),
        ],
    );
    assert_eq!(backend.stop().span_names()["ending"], 1);
    let said = said(&output);
    let failure = format!("cannot send telemetry to {nobody} (OTLP/gRPC): ");
    assert_eq!(said.iter().filter(|s| s.contains(&failure)).count(), 1);
    assert!(!said.iter().any(|s| s.contains(&url)), "{said:?}");
}

#[test]
fn what_is_logged_after_the_guard_is_dropped_is_told_once_with_what_to_do() {
    let output = run("guard dropped", &[]);
    assert!(output.status.success());
    let said = said(&output);
    let [line] = &said[..] else {
        panic!("not one line: {said:?}");
    };
    assert!(line.contains("a log record came after telemetry was shut down"));
    assert!(line.contains("hint: ") && line.contains("`let _telemetry = ...`"));
    assert!(!stderr(&output).contains("too late"));
}

/// The pipe holds 64 KiB. Neither the lines nor what there is to say about them may hold up the export
/// or the end.
#[test]
fn a_stderr_that_nobody_reads_holds_up_neither_the_backend_nor_the_end() {
    let backend = Backend::start();
    let variables = [("OTLP_ENDPOINT", backend.url())];
    let variables = variables
        .each_ref()
        .map(|(name, url)| (*name, url.as_str()));
    let mut child = start(
        &mut Command::new(program("endings")),
        "many lines",
        &variables,
    );
    let unread = child.stderr.take();
    let output = end(child);
    assert_eq!(output.status.code(), Some(0));
    drop(unread);
    let seen = backend.stop();
    let ledger = seen.final_ledger();
    seen.assert_agrees_with(&ledger);
    let logs = ledger.account(Signal::Logs);
    // More than fit into the ring, of which a person is told, as far as that is possible.
    let ring_full = logs.dropped[DropReason::RingFull];
    assert!(ring_full > 0, "{logs:?}");
    assert_eq!(logs.exported + ring_full, 100_001, "{logs:?}");
}
