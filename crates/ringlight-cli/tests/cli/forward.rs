//! `ringlight up --forward`: two real backends, one behind the other.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ringlight::Protocol;
use ringlight_model::{Limits, Signal};
use ringlight_otlp::json;
use serde_json::Value as Json;

use crate::common::{
    Backend, FREE_PORTS, PATIENCE, free_port, gzip, request, ringlight, send_trace, spans_of, text,
    until, wait,
};
use crate::open_spans::telemetry;

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
    first.signal(rustix::process::Signal::TERM);
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

/// A request with one record, in OTLP/JSON. Metrics have two data points.
fn json_of(signal: Signal, number: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_nanos();
    let records = match signal {
        Signal::Traces => format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{number:032x}","spanId":
            "{number:016x}","name":"pay","startTimeUnixNano":"{now}","endTimeUnixNano":"{now}"}}]"#
        ),
        Signal::Logs => format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{now}",
            "body":{{"stringValue":"paid {number}"}}}}]"#
        ),
        Signal::Metrics => r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
            {"name":"orders","gauge":{"dataPoints":[{"asDouble":0.5},{"asInt":"3"}]}}]"#
            .to_owned(),
        Signal::Profiles => {
            r#"{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"sample":[]}]"#.to_owned()
        }
    };
    let dictionary = match signal {
        Signal::Profiles => r#","dictionary":{"stringTable":[""]}"#,
        _ => "",
    };
    format!("{records}}}]}}]{dictionary}}}")
}

fn protobuf_of(signal: Signal, number: u64) -> Vec<u8> {
    let json = json_of(signal, number);
    let converted = json::to_protobuf(signal, json.as_bytes(), &Limits::default());
    converted.unwrap().request
}

/// Posts a request, and gives the status of the answer.
fn post(to: &Backend, signal: Signal, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let path = match signal {
        Signal::Profiles => "/v1development/profiles".to_owned(),
        signal => format!("/v1/{signal}"),
    };
    request(to.http, "POST", &path, headers, body).unwrap().0
}

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");

/// A number of what a backend received of a signal.
fn received(backend: &Backend, signal: Signal, what: &str) -> u64 {
    let status = backend.get("/api/v1/status");
    status["signals"][signal.as_str()][what]
        .as_u64()
        .unwrap_or(0)
}

/// A number of what a backend passed on of a signal.
fn passed_on(backend: &Backend, signal: Signal, what: &str) -> u64 {
    forwarded(backend)["signals"][signal.as_str()][what]
        .as_u64()
        .unwrap_or(0)
}

/// A backend that passes everything on, with these variables.
fn forwarding_with(data_dir: &Path, to: &str, variables: &[(&str, &str)]) -> Backend {
    let mut command = ringlight();
    command
        .args(["up", "--json", "--forward", to, "--data-dir"])
        .arg(data_dir)
        .args(FREE_PORTS)
        .envs(variables.iter().copied());
    Backend::spawn(command)
}

fn check_every_signal(protocol: &str, port: &str, name: &str) {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let second = Backend::up(dirs[0].path());
    let variables = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        // For one signal, and for what the program says of itself elsewhere: neither changes where records go.
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-team=shop"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1"),
    ];
    let to = second.ready[port].as_str().unwrap();
    let first = forwarding_with(dirs[1].path(), to, &variables);
    let destination = forwarded(&first)["destination"].clone();
    assert_eq!(destination, format!("{to} ({name})"));
    for signal in Signal::ALL {
        let plain = protobuf_of(signal, 1);
        assert_eq!(post(&first, signal, &[PROTOBUF], &plain), 200);
        let packed = gzip(&protobuf_of(signal, 2));
        assert_eq!(post(&first, signal, &[PROTOBUF, GZIP], &packed), 200);
        let json = json_of(signal, 3);
        assert_eq!(post(&first, signal, &[JSON], json.as_bytes()), 200);
        let packed = gzip(json_of(signal, 4).as_bytes());
        assert_eq!(post(&first, signal, &[JSON, GZIP], &packed), 200);
    }
    for (signal, what, records) in [
        (Signal::Traces, "stored", 4),
        (Signal::Logs, "stored", 4),
        (Signal::Metrics, "stored", 8),
        (Signal::Profiles, "not_stored", 4),
    ] {
        until(&format!("{signal} arrive over {protocol}"), || {
            let arrived = received(&second, signal, what);
            assert!(arrived <= records, "{arrived} {signal}");
            (arrived == records).then_some(())
        });
        assert_eq!(received(&second, signal, "accepted"), records);
        until(&format!("the answers for {signal} are counted"), || {
            (passed_on(&first, signal, "exported") == records).then_some(())
        });
        assert_eq!(passed_on(&first, signal, "submitted"), records);
        assert_eq!(
            forwarded(&first)["signals"][signal.as_str()]["balanced"],
            true
        );
    }
    assert_eq!(first.stop().code(), Some(0));
}

#[test]
fn every_signal_arrives_however_it_came() {
    check_every_signal("grpc", "otlp_grpc", "OTLP/gRPC");
    check_every_signal("http/protobuf", "otlp_http", "OTLP/HTTP");
    check_every_signal("http/json", "otlp_http", "OTLP/HTTP");
}

#[test]
fn a_batch_that_came_before_is_passed_on_once() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let second = Backend::up(dirs[0].path());
    let to = second.ready["otlp_grpc"].as_str().unwrap();
    let first = forwarding(dirs[1].path(), to);
    let logs = protobuf_of(Signal::Logs, 1);
    for batch in ["client-1", "client-1", "client-2", "client-1"] {
        let headers = [PROTOBUF, ("ringlight-batch-id", batch)];
        assert_eq!(post(&first, Signal::Logs, &headers, &logs), 200);
    }
    assert_eq!(received(&first, Signal::Logs, "accepted"), 4);
    assert_eq!(passed_on(&first, Signal::Logs, "submitted"), 2);
    until("both batches arrive", || {
        (received(&second, Signal::Logs, "accepted") >= 2).then_some(())
    });
    // The end sends what else is on its way.
    assert_eq!(first.stop().code(), Some(0));
    assert_eq!(received(&second, Signal::Logs, "accepted"), 2);
}

#[test]
fn what_is_refused_and_reports_of_open_spans_stay_here() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let second = Backend::up(dirs[0].path());
    let to = second.ready["otlp_grpc"].as_str().unwrap();
    let first = forwarding(dirs[1].path(), to);

    assert_eq!(
        post(&first, Signal::Traces, &[PROTOBUF], b"no protobuf"),
        400
    );
    // The answer says that no span of it was taken.
    let without_id = json_of(Signal::Traces, 0);
    let status = post(&first, Signal::Traces, &[JSON], without_id.as_bytes());
    assert_eq!(status, 200);
    assert_eq!(forwarded(&first)["signals"], serde_json::json!({}));

    let url = first.ready["otlp_grpc"].clone();
    let (dispatch, telemetry) = telemetry(&url, Protocol::Grpc);
    let span = tracing::dispatcher::with_default(&dispatch, || tracing::info_span!("long"));
    until("the open span is reported", || {
        (received(&first, Signal::Logs, "open_spans") > 1).then_some(())
    });
    drop(span);
    assert!(telemetry.shutdown(PATIENCE).balances());
    assert_eq!(passed_on(&first, Signal::Traces, "submitted"), 1);
    assert_eq!(passed_on(&first, Signal::Logs, "submitted"), 0);
    assert!(passed_on(&first, Signal::Metrics, "submitted") > 0);
    until("the span and the ledger arrive", || {
        let span = received(&second, Signal::Traces, "stored");
        // The report may have come in one request with other metrics.
        let clients = second.get("/api/v1/status")["clients"].clone();
        let ledgers = clients.as_array().map_or(0, Vec::len);
        (span == 1 && ledgers == 1).then_some(())
    });
    // The end sends what else is on its way.
    assert_eq!(first.stop().code(), Some(0));
    assert_eq!(received(&second, Signal::Traces, "requests"), 1);
    assert_eq!(received(&second, Signal::Logs, "requests"), 0);
}

/// A server that refuses whatever is posted to it, for good.
fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the process.
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let answer =
                b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let _ = connection.write_all(answer);
            let _ = connection.shutdown(Shutdown::Write);
            // What is left unread when it is closed would take the answer along.
            let _ = connection.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn the_end_says_where_copies_are_of_what_was_refused() {
    let data_dir = tempfile::tempdir().unwrap();
    let protocol = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    let mut backend = forwarding_with(data_dir.path(), &url(refusing()), &protocol);
    assert!(send_trace(backend.http, "shop", 1, 5));
    until("it is refused", || {
        (passed_on(&backend, Signal::Traces, "rejected") == 5).then_some(())
    });
    backend.signal(rustix::process::Signal::TERM);
    wait(&mut backend.child);
    let said = backend.errors();
    let expected = "5 records were not passed on: they were refused or there was no room; copies of what was \
                    refused, with the reason, are in ";
    let (_, dir) = said
        .split_once(expected)
        .unwrap_or_else(|| panic!("{said}"));
    let dir = Path::new(dir.lines().next().unwrap());
    assert!(dir.starts_with(data_dir.path().join("forward")), "{said}");
    assert!(dir.ends_with("traces/dead-letters"), "{said}");
    let mut files = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path());
    let segment = files.find(|file| file.extension().is_some_and(|ending| ending == "segment"));
    let bytes = std::fs::read(segment.unwrap()).unwrap();
    assert!(bytes.windows(3).any(|part| part == b"401"), "no reason");
}

/// Runs `up --forward`, which is refused, and says why on standard error.
#[track_caller]
fn check_refused(to: &str, data_dir: &Path, variables: &[(&str, &str)], status: i32, why: &str) {
    let output = ringlight()
        .args(["up", "--forward", to, "--data-dir"])
        .arg(data_dir)
        .args(FREE_PORTS)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(said.contains(why), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    assert_eq!(output.status.code(), Some(status), "{said}");
}

#[test]
fn where_to_is_checked_before_anything_starts() {
    let base = tempfile::tempdir().unwrap();
    let data_dir = base.path().join("data");
    for (to, why) in [
        ("gopher://h/?token=s3cret", "the scheme is `gopher`"),
        ("https://me:s3cret@h/?token=s3cret", "credentials belong in"),
        ("https://h:99999/?token=s3cret", "the port is `99999`"),
        ("", "it is empty"),
    ] {
        check_refused(to, &data_dir, &[], 2, "--forward");
        check_refused(to, &data_dir, &[], 2, why);
        assert!(!data_dir.exists(), "{to}");
    }
}

#[test]
fn no_error_tells_the_secrets_of_the_address() {
    let data_dir = tempfile::tempdir().unwrap();
    let to = "https://h/?token=s3cret";
    let of = [
        "RINGLIGHT_OTLP_HEADERS_FILE",
        "RINGLIGHT_OTLP_HEADERS_AGE_FILE",
    ];
    let files = of.map(|name| (name, "/run/headers"));
    let why = "`https://h/?…`: `RINGLIGHT_OTLP_HEADERS_FILE` and `RINGLIGHT_OTLP_HEADERS_AGE_FILE`: both are set";
    check_refused(to, data_dir.path(), &files, 2, why);
    let header = [("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret")];
    check_refused(
        to,
        data_dir.path(),
        &header,
        2,
        "header `a b` cannot be sent",
    );
    let no_file = [("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere")];
    std::fs::write(data_dir.path().join("forward"), "a file").unwrap();
    check_refused(to, data_dir.path(), &no_file, 4, "forward");
}
