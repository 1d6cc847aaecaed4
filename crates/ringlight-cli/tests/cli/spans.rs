//! The spans of the sample applications: which there are, and that each encloses its work.

use std::time::Instant;

use serde_json::Value;

use crate::common::{Backend, FREE_PORTS, PATIENCE, get, ringlight, text, until};

/// The model's spans, which are inside of the agent's: a span, and the one around it.
const MODEL: [(&str, &str); 4] = [
    ("POST /v1/chat/completions", "llm.http_request"),
    ("POST /v1/embeddings", "llm.http_request"),
    ("model.admit", "POST /v1/chat/completions"),
    ("model.generate", "POST /v1/chat/completions"),
];

/// Wall clocks are corrected while a span is open; its duration is not.
const CLOCK_TOLERANCE_NANO: u64 = 1_000_000;

/// REQUIREMENTS M-4, M-5; Z, sections 6 and 8.
#[test]
fn every_named_span_is_there_and_encloses_its_work() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = ringlight();
    command
        .args(["demo", "--json", "--rate", "800", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS);
    let backend = Backend::spawn(command);
    for (child, parent) in MODEL {
        until(&format!("there is `{child}` in `{parent}`"), || {
            let traces = traces_with(&backend, child);
            let mut edges = traces.iter().flat_map(|trace| edges(trace, child, parent));
            edges.next().map(|_| ())
        });
    }
    check_map(&backend, "agent", &[]);
    // It has hundreds of traces a second.
    check_map(&backend, "streaming", &["--limit", "500"]);
    for trace in traces_with(&backend, MODEL[0].0) {
        check_enclosed(&trace);
    }
    check_fields(&backend);
    check_backpressure(&backend);
}

/// Waits until everything that an application's map has was seen. What was seen and is not as the map says stays so.
#[track_caller]
fn check_map(backend: &Backend, app: &str, flags: &[&str]) {
    let map = format!("{}/../../apps/{app}/map.toml", env!("CARGO_MANIFEST_DIR"));
    let url = format!("http://{}", backend.ui);
    let deadline = Instant::now() + 5 * PATIENCE;
    loop {
        let mut command = ringlight();
        command.args(["check", &map, "--url", &url]).args(flags);
        let output = command.output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        if output.status.success() {
            assert!(!said.contains("not in the map"), "{said}");
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(Instant::now() < deadline, "{said}");
    }
}

/// M-5: a full channel is an event of the span that waits, which carries the channel's fill ratio.
fn check_backpressure(backend: &Backend) {
    until("a channel was full", || {
        let query = encoded("body =~ \"backpressure.*\"");
        let found = backend.get(&format!("/api/v1/logs?limit=1&q={query}"));
        let event = found["logs"].as_array()?.first()?.clone();
        let name = text_of(&event, "channel.name")?;
        assert!(["chunks", "jobs"].contains(&name), "{event}");
        let trace = event["trace_id"].as_str()?;
        let (status, body) = get(backend.ui, &format!("/api/v1/traces/{trace}"));
        // The event arrives before its span does, which is still waiting.
        let trace: Value = (status == 200).then(|| serde_json::from_slice(&body).unwrap())?;
        let span = spans(&trace).find(|span| span["span_id"] == event["span_id"])?;
        attribute(span, "channel.fill_ratio")?.as_f64().map(|_| ())
    });
}

/// M-4 and M-5: the values of the fields that the source document asks for.
#[track_caller]
fn check_fields(backend: &Backend) {
    for name in ["process_message", "process_stream", "compare", "schedule"] {
        for trace in traces_with(backend, name) {
            for span in spans(&trace).filter(|span| span["name"] == name) {
                let stream = text_of(span, "stream_id").unwrap_or_default();
                assert!(stream.starts_with("stream-"), "{span}");
                let length: u64 = text_of(span, "chunk_len").unwrap().parse().unwrap();
                assert!(length <= 64 * 1024, "{span}");
            }
        }
    }
    for name in ["process_stream", "schedule", "read_stream"] {
        let traces = traces_with(backend, name);
        let ratio = traces
            .iter()
            .flat_map(spans)
            .find(|span| span["name"] == name)
            .and_then(|span| attribute(span, "channel.fill_ratio")?.as_f64())
            .unwrap();
        assert!((0.0..=1.0).contains(&ratio), "{name}: {ratio}");
    }
}

/// The newest traces with a span of this name.
fn traces_with(backend: &Backend, span: &str) -> Vec<Value> {
    let query = encoded(&format!("name = \"{span}\""));
    let found = backend.get(&format!("/api/v1/traces?limit=8&q={query}"));
    let found = found["traces"].as_array().unwrap().iter();
    found
        .map(|trace| {
            let id = trace["trace_id"].as_str().unwrap();
            backend.get(&format!("/api/v1/traces/{id}"))
        })
        .collect()
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn spans(trace: &Value) -> impl Iterator<Item = &Value> {
    trace["spans"].as_array().into_iter().flatten()
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a Value> {
    span["attributes"]
        .as_array()?
        .iter()
        .find(|attribute| attribute["key"] == key)
        .map(|attribute| &attribute["value"])
}

fn text_of<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    attribute(span, key)?.as_str()
}

/// The spans of one name whose parents have the other, with them.
fn edges<'a>(
    trace: &'a Value,
    child: &'a str,
    parent: &'a str,
) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let children = spans(trace).filter(move |span| span["name"] == child);
    children.filter_map(move |span| {
        let mut others = spans(trace);
        let found = others.find(|other| other["span_id"] == span["parent_span_id"])?;
        (found["name"] == parent).then_some((span, found))
    })
}

/// A span of the model lies within its parent, unless that is a request whose answer the agent did not wait for.
/// The two are processes on one machine, and so have one clock.
#[track_caller]
fn check_enclosed(trace: &Value) {
    for (child, parent) in MODEL
        .into_iter()
        .flat_map(|(child, parent)| edges(trace, child, parent))
    {
        let is_given_up = parent["name"] == "llm.http_request"
            && attribute(parent, "http.response.body.size").is_none();
        let ((start, end), (from, to)) = (interval(child), interval(parent));
        assert!(
            start + CLOCK_TOLERANCE_NANO >= from
                && (is_given_up || end <= to + CLOCK_TOLERANCE_NANO),
            "{} ({start}..{end}) is not within {} ({from}..{to})",
            child["name"],
            parent["name"]
        );
    }
}

fn interval(span: &Value) -> (u64, u64) {
    let start: u64 = span["start_unix_nano"].as_str().unwrap().parse().unwrap();
    (start, start + span["duration_nano"].as_u64().unwrap())
}
