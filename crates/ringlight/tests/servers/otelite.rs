//! otelite, a receiver with a store, read back by its API, which shows all values as text.

use opentelemetry::{Array, Value};
use ringlight::{Compression, Protocol};
use serde_json::Value as Json;

use crate::ledger::{Points, assert_ledger};
use crate::received::{
    Attributes, ReceivedLog, ReceivedSpan, assert_logs, assert_resource, assert_spans,
};
use crate::sent::{Endpoints, Sent, Way};
use crate::server::{Server, document, free_port, text};

/// The server, where it takes OTLP, and the port of its API.
fn start() -> (Server, Endpoints, u16) {
    let (grpc, http, api) = (free_port(), free_port(), free_port());
    let mut server = Server::start("RINGLIGHT_TEST_OTELITE", |command, folder| {
        command
            .args(["serve", "--addr", &format!("127.0.0.1:{api}")])
            .env("OTELITE_DATA_DIR", folder.join("data"))
            .env("OTELITE_OTLP_GRPC_PORT", grpc.to_string())
            .env("OTELITE_OTLP_HTTP_PORT", http.to_string());
    });
    for port in [grpc, http, api] {
        server.until_it_listens(port);
    }
    let endpoints = Endpoints {
        grpc: format!("http://127.0.0.1:{grpc}"),
        http: format!("http://127.0.0.1:{http}"),
    };
    (server, endpoints, api)
}

fn check(way: Way) {
    let (mut server, endpoints, api) = start();
    let sent = Sent::by(way, &endpoints);
    sent.assert_taken();
    let trace = server.until("all spans are stored", |_| {
        let trace = document(api, &format!("/api/traces/{}", sent.trace_id))?;
        (trace["spans"].as_array()?.len() >= sent.spans.len()).then_some(trace)
    });
    let spans = trace["spans"].as_array().unwrap();
    for span in spans {
        assert_resource(&sent, &attributes(&span["resource"]), show);
    }
    assert_spans(&sent, spans.iter().map(span).collect(), show);

    let logs = server.until("all log records are stored", |_| {
        let logs = document(api, "/api/logs?limit=100")?;
        (logs["logs"].as_array()?.len() >= sent.logs.len()).then_some(logs)
    });
    let logs = logs["logs"].as_array().unwrap();
    for log in logs {
        assert_resource(&sent, &attributes(&log["resource"]), show);
    }
    assert_logs(&sent, logs.iter().map(log).collect(), show);

    let points = server.until("the report is stored", |_| {
        let points = points(&document(
            api,
            "/api/metrics?name=ringlight.ledger.records&limit=1000",
        )?);
        (!points.is_empty()).then_some(points)
    });
    assert_ledger(&sent, &points);
}

#[test]
fn everything_arrives_by_every_protocol_over_http() {
    let over_http = |way: &Way| way.protocol != Protocol::Grpc;
    let ways = Way::all(&[Compression::None, Compression::Gzip]);
    ways.into_iter().filter(over_http).for_each(check);
}

#[test]
fn everything_arrives_over_grpc() {
    check(Way {
        protocol: Protocol::Grpc,
        compression: Compression::None,
    });
}

#[test]
fn what_it_refuses_is_said() {
    let (_server, endpoints, _) = start();
    for (protocol, compression, refusal) in [
        (
            Protocol::Grpc,
            Compression::Gzip,
            "gRPC status UNIMPLEMENTED: Content is compressed with `gzip`",
        ),
        (
            Protocol::HttpProtobuf,
            Compression::Zstd,
            "HTTP status 415: {\"error\":\"Invalid content type: Unsupported Content-Encoding: zstd",
        ),
        (
            Protocol::Grpc,
            Compression::Zstd,
            "gRPC status UNIMPLEMENTED: Content is compressed with `zstd`",
        ),
        (
            Protocol::HttpJson,
            Compression::Zstd,
            "HTTP status 415: {\"error\":\"Invalid content type: Unsupported Content-Encoding: zstd",
        ),
    ] {
        let way = Way {
            protocol,
            compression,
        };
        Sent::by(way, &endpoints).assert_refused(refusal);
    }
}

fn show(value: &Value) -> String {
    fn list<T: ToString>(values: &[T]) -> String {
        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
        format!("[{}]", values.join(", "))
    }
    match value {
        Value::Array(Array::Bool(values)) => list(values),
        Value::Array(Array::I64(values)) => list(values),
        Value::Array(Array::F64(values)) => list(values),
        Value::Array(Array::String(values)) => list(values),
        Value::Bool(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::String(value) => value.to_string(),
        other => panic!("{other:?} is not sent"),
    }
}

/// Without what it adds of the scope.
fn attributes(of: &Json) -> Attributes {
    let attributes = of["attributes"].as_object().unwrap().iter();
    attributes
        .filter(|(key, _)| !key.starts_with("otel.scope."))
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

fn span(span: &Json) -> ReceivedSpan {
    let events = span["events"].as_array().unwrap().iter();
    ReceivedSpan {
        name: text(span, "name"),
        trace_id: text(span, "trace_id"),
        span_id: text(span, "span_id"),
        parent: text(span, "parent_span_id"),
        kind: Some(text(span, "kind").to_lowercase()),
        status: (
            text(&span["status"], "code").to_lowercase(),
            text(&span["status"], "message"),
        ),
        attributes: attributes(span),
        events: events
            .map(|event| (text(event, "name"), attributes(event)))
            .collect(),
        links: None,
    }
}

fn log(log: &Json) -> ReceivedLog {
    ReceivedLog {
        body: text(log, "body"),
        severity: text(log, "severity"),
        span_id: text(log, "span_id"),
        attributes: attributes(log),
    }
}

/// The newest value of each data point.
fn points(metrics: &Json) -> Points {
    let mut metrics: Vec<_> = metrics.as_array().unwrap().iter().collect();
    metrics.sort_by_key(|metric| metric["timestamp"].as_i64());
    metrics
        .into_iter()
        .map(|metric| {
            let attributes = attributes(metric);
            (attributes, metric["value"].as_i64().unwrap_or_default())
        })
        .collect()
}
