//! What the API answers about known records.

use http::{Request, StatusCode};
use http_body_util::Full;
use ringlight_model::{
    Decoder as _, KeyValue, Limits, LogRecord, RecordVisitor, RejectReason, Resource, Scope,
    Severity, Signal, Span, SpanEvent, SpanId, SpanKind, SpanLink, Status,
    StatusCode as SpanStatusCode, TraceId, Value,
};
use ringlight_otlp::OtlpDecoder;
use serde_json::{Value as Json, json};

use super::Backend;

pub(crate) const START: u64 = 1_700_000_000_000_000_000;

pub(crate) fn span(trace: u128, id: u64, parent: u64, name: &'static str) -> Span<'static> {
    Span {
        trace_id: TraceId::new(trace),
        span_id: SpanId::new(id),
        parent_span_id: SpanId::new(parent),
        name: name.into(),
        kind: SpanKind::Internal,
        start_unix_nano: START + id * 1000,
        end_unix_nano: START + id * 1000 + 500,
        ..Span::default()
    }
}

/// A span with everything a span can carry.
fn rich() -> Span<'static> {
    Span {
        kind: SpanKind::Server,
        end_unix_nano: START + 5_000_000,
        trace_state: "vendor=1".into(),
        flags: 0x101,
        attributes: vec![
            KeyValue::new("text", "x"),
            KeyValue::new("int", 9_007_199_254_740_993_i64),
            KeyValue::new("double", 0.25),
            KeyValue::new("infinite", f64::INFINITY),
            KeyValue::new("bool", false),
            KeyValue::new("bytes", Value::Bytes(b"abcd".as_slice().into())),
            KeyValue::new("empty", Value::Empty),
            KeyValue::new("list", Value::Array(vec![Value::Int(1), "x".into()])),
            KeyValue::new("map", Value::Map(vec![KeyValue::new("k", true)])),
        ],
        dropped_attributes_count: 1,
        events: vec![SpanEvent {
            time_unix_nano: START + 7,
            name: "exception".into(),
            attributes: vec![KeyValue::new("exception.type", "io::Error")],
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![SpanLink {
            trace_id: TraceId::new(0xbb),
            span_id: SpanId::new(0xcc),
            trace_state: "a=b".into(),
            attributes: vec![KeyValue::new("why", "retry")],
            dropped_attributes_count: 4,
            flags: 0,
        }],
        dropped_links_count: 5,
        status: Status {
            code: SpanStatusCode::Error,
            message: "no more cups".into(),
        },
        ..span(0xaa, 1, 0, "GET /cart")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_with_everything_a_span_can_carry() {
    let backend = Backend::start().await;
    let child = span(0xaa, 2, 1, "query");
    backend.export_spans("shop", &[child, rich()]).await;
    let trace = backend
        .json("/api/v1/traces/000000000000000000000000000000AA")
        .await;
    insta::assert_snapshot!(format!("{:#}", trace), @r#"
    {
      "resources": [
        {
          "attributes": [
            {
              "key": "service.name",
              "type": "string",
              "value": "shop"
            },
            {
              "key": "service.instance.id",
              "type": "string",
              "value": "instance-1"
            }
          ],
          "dropped_attributes_count": 0,
          "service": "shop"
        }
      ],
      "scopes": [
        {
          "attributes": [],
          "dropped_attributes_count": 0,
          "name": "shop::cart",
          "version": "1.2.0"
        }
      ],
      "spans": [
        {
          "attributes": [
            {
              "key": "text",
              "type": "string",
              "value": "x"
            },
            {
              "key": "int",
              "type": "int",
              "value": "9007199254740993"
            },
            {
              "key": "double",
              "type": "double",
              "value": 0.25
            },
            {
              "key": "infinite",
              "type": "double",
              "value": "Infinity"
            },
            {
              "key": "bool",
              "type": "bool",
              "value": false
            },
            {
              "key": "bytes",
              "type": "bytes",
              "value": "YWJjZA=="
            },
            {
              "key": "empty",
              "type": "empty",
              "value": null
            },
            {
              "key": "list",
              "type": "array",
              "value": [
                {
                  "type": "int",
                  "value": "1"
                },
                {
                  "type": "string",
                  "value": "x"
                }
              ]
            },
            {
              "key": "map",
              "type": "map",
              "value": [
                {
                  "key": "k",
                  "type": "bool",
                  "value": true
                }
              ]
            }
          ],
          "dropped_attributes_count": 1,
          "dropped_events_count": 3,
          "dropped_links_count": 5,
          "duration_nano": 4999000,
          "events": [
            {
              "attributes": [
                {
                  "key": "exception.type",
                  "type": "string",
                  "value": "io::Error"
                }
              ],
              "dropped_attributes_count": 2,
              "name": "exception",
              "time_unix_nano": "1700000000000000007"
            }
          ],
          "flags": 257,
          "kind": "server",
          "links": [
            {
              "attributes": [
                {
                  "key": "why",
                  "type": "string",
                  "value": "retry"
                }
              ],
              "dropped_attributes_count": 4,
              "span_id": "00000000000000cc",
              "trace_id": "000000000000000000000000000000bb",
              "trace_state": "a=b"
            }
          ],
          "name": "GET /cart",
          "parent_span_id": "",
          "resource": 0,
          "scope": 0,
          "span_id": "0000000000000001",
          "start_unix_nano": "1700000000000001000",
          "state": "ended",
          "status": {
            "code": "error",
            "message": "no more cups"
          },
          "trace_state": "vendor=1"
        },
        {
          "attributes": [],
          "dropped_attributes_count": 0,
          "dropped_events_count": 0,
          "dropped_links_count": 0,
          "duration_nano": 500,
          "events": [],
          "flags": 0,
          "kind": "internal",
          "links": [],
          "name": "query",
          "parent_span_id": "0000000000000001",
          "resource": 0,
          "scope": 0,
          "span_id": "0000000000000002",
          "start_unix_nano": "1700000000000002000",
          "state": "ended",
          "status": {
            "code": "unset",
            "message": ""
          },
          "trace_state": ""
        }
      ],
      "spans_left_out": 0,
      "trace_id": "000000000000000000000000000000aa"
    }
    "#);
}

/// Keeps what it is shown.
#[derive(Default)]
struct Collected {
    resources: Vec<Resource<'static>>,
    scopes: Vec<Scope<'static>>,
    spans: Vec<Span<'static>>,
}

impl RecordVisitor for Collected {
    fn resource(&mut self, resource: &Resource<'_>) {
        self.resources.push(resource.clone().into_owned());
    }
    fn scope(&mut self, scope: &Scope<'_>) {
        self.scopes.push(scope.clone().into_owned());
    }
    fn span(&mut self, span: &Span<'_>) {
        self.spans.push(span.clone().into_owned());
    }
    fn log(&mut self, _: &LogRecord<'_>) {
        panic!("a log record among spans");
    }
    fn rejected(&mut self, reason: RejectReason) {
        panic!("{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_as_otlp_holds_everything() {
    let backend = Backend::start().await;
    let child = span(0xaa, 2, 1, "query");
    backend.export_spans("shop", &[child.clone(), rich()]).await;
    let target = "/api/v1/traces/000000000000000000000000000000aa?format=otlp";
    let reply = backend.get(target).await;
    let limits = Limits::default();
    let converted =
        ringlight_otlp::json::to_protobuf(Signal::Traces, &reply.body, &limits).unwrap();
    assert_eq!(converted.snake_case, None);
    let mut collected = Collected::default();
    OtlpDecoder::default()
        .decode(Signal::Traces, &converted.request, &mut collected)
        .unwrap();
    assert_eq!(collected.spans, [rich(), child]);
    assert_eq!(collected.resources.len(), 1);
    assert_eq!(collected.resources[0].service_name(), "shop");
    assert_eq!(collected.scopes.len(), 1);
    assert_eq!(collected.scopes[0].version, "1.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_as_otlp_is_the_request_it_came_in() {
    let backend = Backend::start().await;
    backend
        .export_spans("shop", &[span(0xaa, 1, 0, "a"), span(0xaa, 2, 1, "b")])
        .await;
    backend.export_spans("bank", &[span(0xaa, 3, 2, "c")]).await;
    let target = "/api/v1/traces/000000000000000000000000000000aa?format=otlp";
    let otlp = backend.json(target).await;
    let services: Vec<(&Json, usize)> = otlp["resourceSpans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let spans = one["scopeSpans"][0]["spans"].as_array().unwrap();
            (
                &one["resource"]["attributes"][0]["value"]["stringValue"],
                spans.len(),
            )
        })
        .collect();
    assert_eq!(services, [(&json!("shop"), 2), (&json!("bank"), 1)]);

    // What is answered can be sent again, and is known then.
    let reply = super::send(
        backend.server.addresses().http,
        Request::post("/v1/traces")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::from(otlp.to_string()))
            .unwrap(),
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK);
    let status = backend.server.status();
    assert_eq!(status.signals["traces"].stored, 3);
    assert_eq!(status.signals["traces"].duplicates, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_find_what_matches_newest_first() {
    let backend = Backend::start().await;
    let failed = Span {
        status: Status {
            code: SpanStatusCode::Error,
            message: "".into(),
        },
        attributes: vec![KeyValue::new("retry", 2_i64)],
        ..span(3, 30, 0, "pay")
    };
    let spans = [
        span(1, 10, 0, "list"),
        span(1, 11, 10, "query"),
        span(2, 20, 0, "list"),
        failed,
    ];
    backend.export_spans("shop", &spans).await;
    let found = async |q: &str| -> Vec<String> {
        let q: String = form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let page = backend.json(&format!("/api/v1/traces?q={q}")).await;
        let traces = page["traces"].as_array().unwrap();
        let id = |trace: &Json| trace["trace_id"].as_str().unwrap()[31..].to_owned();
        traces.iter().map(id).collect()
    };
    assert_eq!(found("").await, ["3", "2", "1"]);
    assert_eq!(found("{ }").await, ["3", "2", "1"]);
    assert_eq!(found(r#"{ name = "list" }"#).await, ["2", "1"]);
    assert_eq!(found("status = error").await, ["3"]);
    assert_eq!(
        found("span.retry >= 2 && resource.service.name = \"shop\"").await,
        ["3"]
    );
    assert_eq!(found("{ } | count() > 1").await, ["1"]);
    assert_eq!(found(r#"{ rootName = "list" } | count() = 1"#).await, ["2"]);
    assert_eq!(found(r#"name =~ "qu.*""#).await, ["1"]);
    assert_eq!(found("duration > 1s").await, Vec::<String>::new());

    let in_range = backend
        .json(&format!(
            "/api/v1/traces?from={}&to={}",
            START + 20_000,
            START + 20_000
        ))
        .await;
    assert_eq!(in_range["traces"].as_array().unwrap().len(), 1);
    let summary = &backend.json("/api/v1/traces?limit=1").await["traces"][0];
    insta::assert_snapshot!(format!("{:#}", summary), @r#"
    {
      "duration_nano": 500,
      "error_count": 1,
      "first_name": "pay",
      "first_service": "shop",
      "in_progress_count": 0,
      "lost_count": 0,
      "root_name": "pay",
      "root_service": "shop",
      "services": [
        "shop"
      ],
      "span_count": 1,
      "start_unix_nano": "1700000000000030000",
      "trace_id": "00000000000000000000000000000003"
    }
    "#);
}

fn full_record() -> LogRecord<'static> {
    LogRecord {
        time_unix_nano: START,
        observed_unix_nano: START + 1,
        severity: Severity::from_otlp(14),
        severity_text: "WARNING".into(),
        event_name: "cart.full".into(),
        body: "no more cups".into(),
        attributes: vec![KeyValue::new("cups", 7_i64)],
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: TraceId::new(0xaa),
        span_id: SpanId::new(1),
    }
}

fn bare_record() -> LogRecord<'static> {
    LogRecord {
        observed_unix_nano: START - 1,
        body: Value::Map(vec![KeyValue::new("k", "v")]),
        ..LogRecord::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_records_with_everything_they_can_carry() {
    let backend = Backend::start().await;
    backend
        .export_logs("shop", &[full_record(), bare_record()])
        .await;
    let mut page = backend.json("/api/v1/logs").await;
    page["stats"] = Json::Null;
    insta::assert_snapshot!(format!("{:#}", page), @r#"
    {
      "logs": [
        {
          "attributes": [
            {
              "key": "cups",
              "type": "int",
              "value": "7"
            }
          ],
          "body": {
            "type": "string",
            "value": "no more cups"
          },
          "dropped_attributes_count": 1,
          "event_name": "cart.full",
          "observed_unix_nano": "1700000000000000001",
          "resource": [
            {
              "key": "service.name",
              "type": "string",
              "value": "shop"
            },
            {
              "key": "service.instance.id",
              "type": "string",
              "value": "instance-1"
            }
          ],
          "scope": "shop::cart",
          "service": "shop",
          "severity": "warn",
          "severity_number": 14,
          "severity_text": "WARNING",
          "span_id": "0000000000000001",
          "time_unix_nano": "1700000000000000000",
          "trace_id": "000000000000000000000000000000aa"
        },
        {
          "attributes": [],
          "body": {
            "type": "map",
            "value": [
              {
                "key": "k",
                "type": "string",
                "value": "v"
              }
            ]
          },
          "dropped_attributes_count": 0,
          "event_name": "",
          "observed_unix_nano": "1699999999999999999",
          "resource": [
            {
              "key": "service.name",
              "type": "string",
              "value": "shop"
            },
            {
              "key": "service.instance.id",
              "type": "string",
              "value": "instance-1"
            }
          ],
          "scope": "shop::cart",
          "service": "shop",
          "severity": "",
          "severity_number": 0,
          "severity_text": "",
          "span_id": "",
          "time_unix_nano": "0",
          "trace_id": ""
        }
      ],
      "next": null,
      "stats": null
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_records_are_found_by_trace_span_query_and_time() {
    let backend = Backend::start().await;
    backend
        .export_logs("shop", &[full_record(), bare_record()])
        .await;
    let count = async |parameters: &str| {
        let page = backend.json(&format!("/api/v1/logs?{parameters}")).await;
        page["logs"].as_array().unwrap().len()
    };
    assert_eq!(count("trace_id=000000000000000000000000000000aa").await, 1);
    assert_eq!(count("span_id=0000000000000001").await, 1);
    assert_eq!(count("span_id=0000000000000002").await, 0);
    assert_eq!(
        count("q=severity%20%3E=%20warn%20%26%26%20body%20=~%20%22.*cups%22").await,
        1
    );
    assert_eq!(count("q=severity%20=%20nil").await, 1);
    assert_eq!(count(&format!("from={START}")).await, 1);
    assert_eq!(count(&format!("to={}", START - 1)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_query_points_at_the_character() {
    let backend = Backend::start().await;
    let reply = backend
        .get("/api/v1/traces?q=%7B%20name%20=%20%22%C3%A9%22%20%26%26%20status%20=%20oops%20%7D")
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    insta::assert_snapshot!(format!("{:#}", reply.json()), @r#"
    {
      "error": {
        "code": "bad_query",
        "hint": "expected `ok`, `error` or `unset`",
        "message": "`oops` is not a value `status` is compared with",
        "position": {
          "length": 4,
          "offset": 25
        }
      }
    }
    "#);
    let reply = backend.get("/api/v1/logs?limit=10001").await;
    insta::assert_snapshot!(format!("{:#}", reply.json()), @r#"
    {
      "error": {
        "code": "bad_parameter",
        "hint": "allowed is a whole number from 1 to 10000",
        "message": "parameter `limit` is `10001`",
        "position": null
      }
    }
    "#);
    let reply = backend.get("/api/v1/logs?from=5&to=4").await;
    insta::assert_snapshot!(format!("{:#}", reply.json()), @r#"
    {
      "error": {
        "code": "bad_parameter",
        "hint": "allowed is at most the value of `to`, 4",
        "message": "parameter `from` is `5`",
        "position": null
      }
    }
    "#);
    let reply = backend.get("/api/v1/traces?cursor=nonsense").await;
    insta::assert_snapshot!(format!("{:#}", reply.json()), @r#"
    {
      "error": {
        "code": "bad_parameter",
        "hint": "allowed is the `next` of an earlier page of the same search",
        "message": "parameter `cursor` is `nonsense`",
        "position": null
      }
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_trace_is_answered_whole_and_compressed() {
    const SPANS: u64 = 20_000;
    let backend = Backend::start().await;
    let spans: Vec<Span<'_>> = (1..=SPANS)
        .map(|id| Span {
            attributes: vec![
                KeyValue::new("http.request.method", "GET"),
                KeyValue::new("index", i64::try_from(id).unwrap()),
            ],
            ..span(0xaa, id, id / 2, "step")
        })
        .collect();
    backend.export_spans("shop", &spans).await;
    let request = Request::get("/api/v1/traces/000000000000000000000000000000aa")
        .header("accept-encoding", "gzip, br")
        .body(Full::default())
        .unwrap();
    let reply = backend.send(request).await;
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert_eq!(reply.header("vary"), "accept-encoding");
    let length: usize = reply.header("content-length").parse().unwrap();
    assert!(
        length * 5 < reply.body.len(),
        "{length} of {}",
        reply.body.len()
    );
    let trace = reply.json();
    let spans = trace["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 20_000);
    // Resources and scopes are said once, not with every span.
    assert_eq!(trace["resources"].as_array().unwrap().len(), 1);
    assert_eq!(trace["scopes"].as_array().unwrap().len(), 1);
    assert_eq!(spans[19_999]["attributes"][1]["value"], "20000");

    let plain = backend
        .get("/api/v1/traces/000000000000000000000000000000aa")
        .await;
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.body, reply.body);
}
