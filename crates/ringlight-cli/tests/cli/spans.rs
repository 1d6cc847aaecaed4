//! The spans of the sample applications: which there are, and that each encloses its work.

use std::collections::HashMap;

use serde_json::Value;

use crate::common::{Backend, FREE_PORTS, get, ringlight, until};

/// A span and the one it must be found in.
const EDGES: [(&str, &str); 31] = [
    ("agent.security_prescreen", "agent.turn"),
    ("agent.prepare_context", "agent.turn"),
    ("memory.recall", "agent.prepare_context"),
    ("memory.sqlite", "memory.recall"),
    ("agent.persist_message", "agent.turn"),
    ("memory.remember", "agent.persist_message"),
    ("memory.sqlite", "memory.remember"),
    ("llm.chat", "agent.turn"),
    ("llm.http_request", "llm.chat"),
    ("llm.retry", "llm.chat"),
    ("llm.http_request", "llm.retry"),
    ("POST /v1/chat/completions", "llm.http_request"),
    ("model.admit", "POST /v1/chat/completions"),
    ("model.generate", "POST /v1/chat/completions"),
    ("agent.process_response", "agent.turn"),
    ("agent.tool_loop", "agent.turn"),
    ("llm.chat", "agent.tool_loop"),
    ("agent.process_response", "agent.tool_loop"),
    ("agent.tool_batch", "agent.tool_loop"),
    ("agent.tool_exec", "agent.tool_batch"),
    ("tool.execute", "agent.tool_exec"),
    ("tool.file", "tool.execute"),
    ("tool.search_code", "tool.execute"),
    ("tool.shell", "tool.execute"),
    ("handle_chunks", "read_stream"),
    ("process_stream", "handle_chunks"),
    ("process_message", "process_stream"),
    ("compare", "process_message"),
    ("schedule", "process_message"),
    ("run_job", "process_message"),
    ("analyze", "run_job"),
];

/// Work that is handed over a channel: it continues the trace, after the span it was handed over in.
const HANDED_OVER: [&str; 2] = ["handle_chunks", "run_job"];

/// Wall clocks are corrected while a span is open; its duration is not.
const CLOCK_TOLERANCE_NANO: u64 = 1_000_000;

/// REQUIREMENTS M-4, M-5; Z, section 8.
#[test]
fn every_named_span_is_there_and_encloses_its_work() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = ringlight();
    command
        .args(["demo", "--json", "--rate", "800", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS);
    let backend = Backend::spawn(command);
    for (child, parent) in EDGES {
        until(&format!("there is `{child}` in `{parent}`"), || {
            traces_with(&backend, child)
                .iter()
                .any(|trace| has_edge(trace, child, parent))
                .then_some(())
        });
    }
    for name in ["agent.turn", "process_stream"] {
        for trace in traces_with(&backend, name) {
            check_enclosed(&trace);
        }
    }
    check_fields(&backend);
    check_backpressure(&backend);
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

/// M-4 and M-5: the fields the source document asks for, with values.
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

fn traces_with(backend: &Backend, span: &str) -> Vec<Value> {
    let query = format!("name = \"{span}\"");
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let found = backend.get(&format!("/api/v1/traces?limit=8&q={encoded}"));
    found["traces"]
        .as_array()
        .unwrap()
        .iter()
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

fn has_edge(trace: &Value, child: &str, parent: &str) -> bool {
    spans(trace)
        .filter(|span| span["name"] == child)
        .any(|span| {
            spans(trace)
                .any(|other| other["span_id"] == span["parent_span_id"] && other["name"] == parent)
        })
}

/// A span lies within its parent, unless it was handed over.
#[track_caller]
fn check_enclosed(trace: &Value) {
    let by_id: HashMap<&str, &Value> = spans(trace)
        .map(|span| (span["span_id"].as_str().unwrap(), span))
        .collect();
    for span in spans(trace) {
        if HANDED_OVER.iter().any(|name| span["name"] == *name) {
            continue;
        }
        // Of a trace that is still going on, the parent may not be there yet.
        let Some(parent) = by_id.get(span["parent_span_id"].as_str().unwrap()) else {
            continue;
        };
        let ((start, end), (from, to)) = (interval(span), interval(parent));
        assert!(
            start + CLOCK_TOLERANCE_NANO >= from && end <= to + CLOCK_TOLERANCE_NANO,
            "{} ({start}..{end}) is not within {} ({from}..{to})",
            span["name"],
            parent["name"]
        );
    }
}

fn interval(span: &Value) -> (u64, u64) {
    let start: u64 = span["start_unix_nano"].as_str().unwrap().parse().unwrap();
    (start, start + span["duration_nano"].as_u64().unwrap())
}
