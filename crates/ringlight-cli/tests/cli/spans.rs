//! The spans of the sample applications: which there are, and that each encloses its work.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde_json::Value;

use crate::agent_map::{MapSpan, agent_map};
use crate::common::{Backend, FREE_PORTS, PATIENCE, get, ringlight, until};

/// A span and the one it must be found in, beside those of the agent's map.
const EDGES: [(&str, &str); 13] = [
    ("agent.security_prescreen", "agent.turn"),
    ("llm.http_request", "llm.retry"),
    ("POST /v1/chat/completions", "llm.http_request"),
    ("POST /v1/embeddings", "llm.http_request"),
    ("model.admit", "POST /v1/chat/completions"),
    ("model.generate", "POST /v1/chat/completions"),
    ("handle_chunks", "read_stream"),
    ("process_stream", "handle_chunks"),
    ("process_message", "process_stream"),
    ("compare", "process_message"),
    ("schedule", "process_message"),
    ("run_job", "process_message"),
    ("analyze", "run_job"),
];

/// Work that is handed over a channel, beside that of the agent's map: it continues the trace, after the
/// span it was handed over in.
const HANDED_OVER: [&str; 2] = ["handle_chunks", "run_job"];

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
    for (child, parent) in EDGES {
        until(&format!("there is `{child}` in `{parent}`"), || {
            traces_with(&backend, child)
                .iter()
                .any(|trace| has_edge(trace, child, parent))
                .then_some(())
        });
    }
    let map = agent_map();
    for span in &map {
        check_seen(&backend, span);
    }
    let names = map.iter().map(|span| span.name.as_str());
    let mut checked = HashSet::new();
    for name in names.chain(["process_stream"]) {
        for id in found_by(&backend, &format!("name = \"{name}\"")) {
            if checked.insert(id.clone()) {
                check_trace(&backend, &map, &id);
            }
        }
    }
    check_fields(&backend);
    check_backpressure(&backend);
}

/// The agent has spans of the name, inside of one they may be inside of, and with each of the values
/// they may have.
fn check_seen(backend: &Backend, span: &MapSpan) {
    let name = &span.name;
    let outer: Vec<&String> = span.within.iter().collect();
    until(&format!("there is `{name}` in one of {outer:?}"), || {
        let found = found_by(backend, &format!("name = \"{name}\""));
        let mut is_inside = found.iter().map(|id| {
            let trace = trace(backend, id);
            let index = Index::new(&trace);
            named(&trace, name).any(|span| index.is_within(span, &outer) == Some(true))
        });
        let is_there = if outer.is_empty() {
            !found.is_empty()
        } else {
            is_inside.any(|is_inside| is_inside)
        };
        is_there.then_some(())
    });
    for (key, value) in &span.values {
        until(&format!("there is `{name}` with {key} = {value}"), || {
            let query = format!("{{ name = \"{name}\" && span.{key} = \"{value}\" }}");
            (!found_by(backend, &query).is_empty()).then_some(())
        });
    }
}

/// What the map says holds in a trace, and each span of it lies within its parent. Spans come as they
/// end, those of several processes one after the other: a trace that is not whole yet is asked for again.
fn check_trace(backend: &Backend, map: &[MapSpan], id: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let trace = trace(backend, id);
        check_enclosed(map, &trace);
        let complaints = complaints(map, &trace);
        if complaints.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "trace {id}: {complaints:#?}");
        std::thread::yield_now();
    }
}

/// What of a trace is not as the map says.
fn complaints(map: &[MapSpan], trace: &Value) -> Vec<String> {
    let index = Index::new(trace);
    let mut complaints = Vec::new();
    for wanted in map {
        let name = &wanted.name;
        for span in named(trace, name) {
            let id = &span["span_id"];
            let outer: Vec<&String> = wanted.within.iter().collect();
            if !outer.is_empty() && index.is_within(span, &outer) == Some(false) {
                complaints.push(format!("`{name}` {id} is in none of {outer:?}"));
            }
            if span["status"]["code"] == "error" {
                continue;
            }
            for key in &wanted.attributes {
                if attribute(span, key).is_none() {
                    complaints.push(format!("`{name}` {id} has no `{key}`"));
                }
            }
            for inner in &wanted.encloses {
                let own = span["span_id"].as_str().unwrap();
                if !named(trace, inner).any(|inner| index.ancestors(inner).any(|id| id == own)) {
                    complaints.push(format!("`{name}` {id} has no `{inner}` inside"));
                }
            }
        }
    }
    complaints
}

/// The spans of a trace by their ids.
struct Index<'a>(HashMap<&'a str, &'a Value>);

impl<'a> Index<'a> {
    fn new(trace: &'a Value) -> Self {
        Self(
            spans(trace)
                .map(|span| (span["span_id"].as_str().unwrap(), span))
                .collect(),
        )
    }

    /// The ids of the spans that a span is inside of, as far as they are there.
    fn ancestors(&self, span: &'a Value) -> impl Iterator<Item = &'a str> {
        let parent = |span: &'a Value| span["parent_span_id"].as_str();
        std::iter::successors(parent(span), move |id| parent(self.0.get(id)?))
            .filter(|id| !id.is_empty())
    }

    /// Whether a span is inside one of these names; `None` if that is not known, since one of those it
    /// is inside of is still open.
    fn is_within(&self, span: &'a Value, names: &[&String]) -> Option<bool> {
        for id in self.ancestors(span) {
            let outer = self.0.get(id)?;
            if names.iter().any(|name| outer["name"] == name.as_str()) {
                return Some(true);
            }
        }
        Some(false)
    }
}

fn named<'a>(trace: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    spans(trace).filter(move |span| span["name"] == name)
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
    let found = found_by(backend, &format!("name = \"{span}\""));
    found.iter().map(|id| trace(backend, id)).collect()
}

/// The ids of a few traces that a query finds.
fn found_by(backend: &Backend, query: &str) -> Vec<String> {
    let found = backend.get(&format!("/api/v1/traces?limit=8&q={}", encoded(query)));
    found["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["trace_id"].as_str().unwrap().to_owned())
        .collect()
}

fn trace(backend: &Backend, id: &str) -> Value {
    backend.get(&format!("/api/v1/traces/{id}"))
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

/// A span lies within its parent, unless it was handed over, or is of a server whose client did not
/// wait for its answer.
#[track_caller]
fn check_enclosed(map: &[MapSpan], trace: &Value) {
    let index = Index::new(trace);
    for span in spans(trace) {
        let handed_over = map.iter().filter(|span| span.is_handed_over);
        let is_handed_over = HANDED_OVER
            .into_iter()
            .chain(handed_over.map(|span| span.name.as_str()))
            .any(|name| span["name"] == name);
        // Of a trace that is still going on, the parent may not be there yet.
        let parent = index.0.get(span["parent_span_id"].as_str().unwrap());
        let (false, Some(parent)) = (is_handed_over, parent) else {
            continue;
        };
        let is_given_up = parent["name"] == "llm.http_request"
            && attribute(parent, "http.response.body.size").is_none();
        let ((start, end), (from, to)) = (interval(span), interval(parent));
        assert!(
            start + CLOCK_TOLERANCE_NANO >= from
                && (is_given_up || end <= to + CLOCK_TOLERANCE_NANO),
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
