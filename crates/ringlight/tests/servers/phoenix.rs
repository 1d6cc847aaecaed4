//! Arize Phoenix, a backend for traces, read back by its API as OTLP.

use opentelemetry::{Array, Value};
use ringlight::{Compression, Protocol, Signal};
use serde_json::Value as Json;

use crate::received::{Attributes, ReceivedSpan, assert_spans};
use crate::sent::{Endpoints, Sent, Way};
use crate::server::{Server, document, free_port, text};

/// The server, where it takes OTLP, and the port of its API, which is that of HTTP.
fn start() -> (Server, Endpoints, u16) {
    let (grpc, http) = (free_port(), free_port());
    let mut server = Server::start("RINGLIGHT_TEST_PHOENIX", |command, folder| {
        command
            .arg("serve")
            .env("PHOENIX_HOST", "127.0.0.1")
            .env("PHOENIX_PORT", http.to_string())
            .env("PHOENIX_GRPC_PORT", grpc.to_string())
            .env("PHOENIX_WORKING_DIR", folder)
            .env("PHOENIX_TELEMETRY_ENABLED", "false");
    });
    server.until_it_listens(http);
    server.until_it_listens(grpc);
    let endpoints = Endpoints {
        grpc: format!("http://127.0.0.1:{grpc}"),
        http: format!("http://127.0.0.1:{http}"),
    };
    (server, endpoints, http)
}

/// Spans are what it takes: log records and the report it refuses.
#[test]
fn spans_arrive_by_every_protocol_and_what_it_refuses_is_said() {
    let (mut server, endpoints, api) = start();
    for compression in [Compression::None, Compression::Gzip] {
        for (protocol, refusal) in [
            (
                Protocol::Grpc,
                "gRPC status UNIMPLEMENTED: Method not found!",
            ),
            (
                Protocol::HttpProtobuf,
                "HTTP status 405: Method Not Allowed",
            ),
        ] {
            let way = Way {
                protocol,
                compression,
            };
            check(&mut server, api, &Sent::by(way, &endpoints), refusal);
        }
    }

    let json = "HTTP status 415: Unsupported content type: application/json";
    for (protocol, compression, refusal) in [
        (
            Protocol::Grpc,
            Compression::Zstd,
            "gRPC status INTERNAL: Error parsing 'grpc-encoding' metadata",
        ),
        (
            Protocol::HttpProtobuf,
            Compression::Zstd,
            "HTTP status 415: Unsupported content encoding: zstd",
        ),
        (Protocol::HttpJson, Compression::None, json),
        (Protocol::HttpJson, Compression::Gzip, json),
        (Protocol::HttpJson, Compression::Zstd, json),
    ] {
        let way = Way {
            protocol,
            compression,
        };
        let sent = Sent::spans_by(way, &endpoints);
        sent.assert_rejected(Signal::Traces);
        sent.assert_said(refusal);
    }
}

/// Checks that it has all the spans, and refused the log records.
fn check(server: &mut Server, api: u16, sent: &Sent, refusal: &str) {
    let account = sent.ledger.account(Signal::Traces);
    let recorded = sent.spans.len();
    assert_eq!(account.exported, recorded as u64, "{}", sent.service);
    sent.assert_rejected(Signal::Logs);
    sent.assert_said(refusal);

    let path = format!(
        "/v1/projects/default/spans/otlpv1?trace_id={}",
        sent.trace_id
    );
    let found = server.until("all spans are stored", |_| {
        let found = document(api, &path)?;
        (found["data"].as_array()?.len() >= recorded).then_some(found)
    });
    let spans = found["data"].as_array().unwrap();
    assert_spans(sent, spans.iter().map(span).collect(), show);
}

/// A value as OTLP has it in JSON, the parts that are null left out.
fn show(value: &Value) -> String {
    fn list<T: Clone + Into<Value>>(values: &[T]) -> String {
        let values: Vec<_> = values
            .iter()
            .map(|value| show(&value.clone().into()))
            .collect();
        format!("[{}]", values.join(", "))
    }
    match value {
        Value::Array(Array::Bool(values)) => list(values),
        Value::Array(Array::I64(values)) => list(values),
        Value::Array(Array::F64(values)) => list(values),
        Value::Array(Array::String(values)) => list(values),
        Value::Bool(value) => format!("bool {value}"),
        Value::I64(value) => format!("int {value}"),
        Value::F64(value) => format!("double {value:?}"),
        Value::String(value) => format!("string {value}"),
        other => panic!("{other:?} is not sent"),
    }
}

fn shown(value: &Json) -> String {
    let mut kinds = value
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| !value.is_null());
    let (kind, value) = kinds.next().unwrap();
    match (kind.as_str(), value) {
        ("array_value", array) => {
            let values: Vec<_> = array["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(shown)
                .collect();
            format!("[{}]", values.join(", "))
        }
        ("double_value", value) => format!("double {:?}", value.as_f64().unwrap()),
        ("string_value", value) => format!("string {}", value.as_str().unwrap()),
        (kind, value) => format!("{} {value}", kind.trim_end_matches("_value")),
    }
}

fn attributes(of: &Json) -> Attributes {
    let attributes = of["attributes"].as_array().into_iter().flatten();
    attributes
        .map(|pair| (text(pair, "key"), shown(&pair["value"])))
        .collect()
}

fn span(span: &Json) -> ReceivedSpan {
    let events = span["events"].as_array().into_iter().flatten();
    let status = match span["status"]["code"].as_u64() {
        Some(1) => "ok",
        Some(2) => "error",
        _ => "unset",
    };
    ReceivedSpan {
        name: text(span, "name"),
        trace_id: text(span, "trace_id"),
        span_id: text(span, "span_id"),
        parent: text(span, "parent_span_id"),
        kind: None,
        status: (status.to_owned(), text(&span["status"], "message")),
        attributes: attributes(span),
        events: events
            .map(|event| (text(event, "name"), attributes(event)))
            .collect(),
        links: None,
    }
}
