//! Rotel, a collector in Rust, which prints what it receives the way the OpenTelemetry Collector's debug exporter
//! does, with the type of each value.

use opentelemetry::{Array, Value};
use ringlight::{Compression, Protocol};

use crate::ledger::{Points, assert_ledger};
use crate::received::{
    Attributes, ReceivedLog, ReceivedSpan, assert_logs, assert_resource, assert_spans,
};
use crate::sent::{Endpoints, Sent, Way};
use crate::server::{Server, free_port};

fn start() -> (Server, Endpoints) {
    let (grpc, http) = (free_port(), free_port());
    let mut server = Server::start("RINGLIGHT_TEST_ROTEL", |command, folder| {
        command
            .args(["start", "--exporter", "blackhole"])
            .args(["--debug-log", "traces", "--debug-log", "logs"])
            .args([
                "--debug-log",
                "metrics",
                "--debug-log-verbosity",
                "detailed",
            ])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .arg("--pid-file")
            .arg(folder.join("pid"));
    });
    server.until_it_listens(grpc);
    server.until_it_listens(http);
    let endpoints = Endpoints {
        grpc: format!("http://127.0.0.1:{grpc}"),
        http: format!("http://127.0.0.1:{http}"),
    };
    (server, endpoints)
}

#[test]
fn everything_arrives_by_every_protocol() {
    let (server, endpoints) = start();
    let sent: Vec<_> = Way::all(&[Compression::None, Compression::Gzip])
        .into_iter()
        .map(|way| Sent::by(way, &endpoints))
        .collect();
    // It prints all that it took before it ends.
    let output = server.end();
    for sent in &sent {
        sent.assert_taken();
        let printed = Printed::parse(&output, &sent.service);
        assert_spans(sent, printed.spans, show);
        assert_logs(sent, printed.logs, show);
        for resource in printed.resources {
            assert_resource(sent, &resource, show);
        }
        match sent.protocol {
            // 64-bit integers are texts there, as the specification has it, which it leaves out of data points.
            Protocol::HttpJson => assert!(printed.points.is_empty(), "it reads integers now"),
            _ => assert_ledger(sent, &printed.points),
        }
    }
}

/// Zstandard is not among what it takes, which it says by a refusal without a reason.
#[test]
fn what_it_refuses_is_said() {
    let (_server, endpoints) = start();
    for (protocol, refusal) in [
        (
            Protocol::Grpc,
            "gRPC status UNIMPLEMENTED: Content is compressed with `zstd`",
        ),
        (Protocol::HttpProtobuf, "HTTP status 400: Bad Request"),
        (Protocol::HttpJson, "HTTP status 400"),
    ] {
        let way = Way {
            protocol,
            compression: Compression::Zstd,
        };
        Sent::by(way, &endpoints).assert_refused(refusal);
    }
}

/// How it prints a value.
fn show(value: &Value) -> String {
    fn slice<T: Clone + Into<Value>>(values: &[T]) -> String {
        let values: Vec<_> = values
            .iter()
            .map(|value| show(&value.clone().into()))
            .collect();
        format!("Slice({})", values.join(", "))
    }
    match value {
        Value::Bool(value) => format!("Bool({value})"),
        Value::I64(value) => format!("Int({value})"),
        Value::F64(value) => format!("Double({value})"),
        Value::String(value) => format!("Str({value})"),
        Value::Array(Array::Bool(values)) => slice(values),
        Value::Array(Array::I64(values)) => slice(values),
        Value::Array(Array::F64(values)) => slice(values),
        Value::Array(Array::String(values)) => slice(values),
        other => panic!("{other:?} is not sent"),
    }
}

/// What it printed of one sender.
#[derive(Debug, Default)]
struct Printed {
    spans: Vec<ReceivedSpan>,
    logs: Vec<ReceivedLog>,
    resources: Vec<Attributes>,
    /// Of the last report of the ledger.
    points: Points,
}

impl Printed {
    fn parse(output: &str, service: &str) -> Self {
        let service = format!("Str({service})");
        let mut printed = Self::default();
        for (kind, block) in blocks(output) {
            let (resource, records) = split_resource(&block);
            if resource.get("service.name") != Some(&service) {
                continue;
            }
            match kind {
                "Spans" => printed.spans.extend(records_of(records, "Span").map(span)),
                "Log" => printed
                    .logs
                    .extend(records_of(records, "LogRecord").map(log)),
                "Metrics" => printed.points = points(records),
                other => panic!("{other} was not sent"),
            }
            printed.resources.push(resource);
        }
        printed
    }
}

/// The lines about each request, of which ours have one resource each, and the kind of what is in it.
fn blocks(output: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    for line in output.lines() {
        let kind = line
            .strip_prefix("Resource")
            .and_then(|rest| rest.strip_suffix(" #0"));
        if let Some(kind) = kind {
            blocks.push((kind, String::new()));
        } else if let Some((_, block)) = blocks.last_mut() {
            block.push('\n');
            block.push_str(line);
        }
    }
    blocks
}

/// What is printed of each record, or part of one, after a line with its number.
fn records_of<'a>(lines: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let separator = format!("\n{name} #");
    let records: Vec<_> = lines.split(&*separator).skip(1).collect();
    records.into_iter()
}

/// The attributes of the resource, and what comes after them.
fn split_resource(block: &str) -> (Attributes, &str) {
    let at = block.find("\nScope").unwrap();
    let (resource, records) = block.split_at(at);
    (attributes(resource, "     -> "), records)
}

/// The attributes among lines, which begin with `indent`.
fn attributes(lines: &str, indent: &str) -> Attributes {
    let lines = lines
        .split('\n')
        .filter_map(|line| line.strip_prefix(indent));
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The value of a field, whose name may be followed by blanks.
fn field(record: &str, name: &str) -> String {
    let value = record.split('\n').find_map(|line| {
        let rest = line.trim_start().strip_prefix(name)?.trim_start();
        rest.strip_prefix(": ").or(rest.strip_prefix(':'))
    });
    value.unwrap_or_default().to_owned()
}

fn span(record: &str) -> ReceivedSpan {
    let (record, links) = record.split_once("\nLinks:").unwrap_or((record, ""));
    let (record, events) = record.split_once("\nEvents:").unwrap_or((record, ""));
    let lower = |name: &str, prefix: &str| {
        let value = field(record, name);
        value.strip_prefix(prefix).unwrap_or(&value).to_lowercase()
    };
    let events = records_of(events, "SpanEvent");
    let links = records_of(links, "SpanLink");
    // It prints none where none was sent, which is what OTLP sends of one that is unset.
    let status = match lower("Status code", "STATUS_CODE_") {
        none if none.is_empty() => "unset".to_owned(),
        status => status,
    };
    ReceivedSpan {
        name: field(record, "Name"),
        trace_id: field(record, "Trace ID"),
        span_id: field(record, "ID"),
        parent: field(record, "Parent ID"),
        kind: Some(lower("Kind", "SPAN_KIND_")),
        status: (status, field(record, "Status message")),
        attributes: attributes(record, "     -> "),
        events: events
            .map(|event| {
                let name = attributes(event, "     -> ").remove("Name").unwrap();
                (name, attributes(event, "          -> "))
            })
            .collect(),
        links: Some(
            links
                .map(|link| {
                    let fields = attributes(link, "     -> ");
                    (fields["Trace ID"].clone(), fields["ID"].clone())
                })
                .collect(),
        ),
    }
}

fn log(record: &str) -> ReceivedLog {
    ReceivedLog {
        body: field(record, "Body"),
        severity: field(record, "SeverityText"),
        span_id: field(record, "Span ID"),
        attributes: attributes(record, "     -> "),
    }
}

/// The data points of the ledger's metric that have a value.
fn points(records: &str) -> Points {
    let mut metrics = records_of(records, "Metric");
    let ledger = metrics.find(|metric| field(metric, "-> Name") == "ringlight.ledger.records");
    let points = records_of(ledger.unwrap_or_default(), "NumberDataPoints");
    points
        .filter(|point| !field(point, "Value").is_empty())
        .map(|point| {
            let attributes = attributes(point, "     -> ")
                .into_iter()
                .map(|(key, value)| {
                    let text = value
                        .strip_prefix("Str(")
                        .and_then(|text| text.strip_suffix(')'));
                    (key, text.unwrap_or(&value).to_owned())
                });
            (attributes.collect(), field(point, "Value").parse().unwrap())
        })
        .collect()
}
