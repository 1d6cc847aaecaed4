//! The OpenAPI document against the live server: every path, parameter and answer.

use http::{Request, StatusCode};
use http_body_util::Full;
use ringlight_model::{
    KeyValue, LogRecord, Severity, Span, SpanEvent, SpanId, SpanKind, SpanLink, Status,
    StatusCode as SpanStatusCode, TraceId, Value,
};
use serde_json::{Value as Json, json};

use super::Backend;

/// A distribution, which has every aggregation, and a metric of each other kind.
const METRICS: &str = r#"
    {"name":"http.server.duration","unit":"s","description":"how long","histogram":{
        "aggregationTemporality":1,"dataPoints":[{"startTimeUnixNano":"1700000000000000000",
        "timeUnixNano":"1700000010000000000","count":"3","sum":3.5,"bucketCounts":["1","2"],
        "explicitBounds":[1],"attributes":[{"key":"text","value":{"stringValue":"x"}}],"exemplars":[
        {"timeUnixNano":"1700000005000000000","asDouble":1.5,"spanId":"0000000000000002",
        "traceId":"000000000000000000000000000000aa",
        "filteredAttributes":[{"key":"user","value":{"intValue":"7"}}]}]}]}},
    {"name":"a gauge","gauge":{"dataPoints":[{"timeUnixNano":"1700000010000000000","asInt":"3"}]}},
    {"name":"a sum","sum":{"isMonotonic":true,"aggregationTemporality":2,
        "dataPoints":[{"timeUnixNano":"1700000010000000000","asInt":"3"}]}},
    {"name":"a summary","summary":{"dataPoints":[{"timeUnixNano":"1700000010000000000","count":"1"}]}}"#;

/// A record of each signal with everything it can carry.
async fn with_data() -> Backend {
    let backend = Backend::start().await;
    let attributes = vec![
        KeyValue::new("text", "x"),
        KeyValue::new("int", i64::MIN),
        KeyValue::new("double", 0.5),
        KeyValue::new("nan", f64::NAN),
        KeyValue::new("infinite", f64::NEG_INFINITY),
        KeyValue::new("bool", true),
        KeyValue::new("bytes", Value::Bytes(b"\0\xff".as_slice().into())),
        KeyValue::new("empty", Value::Empty),
        KeyValue::new(
            "list",
            Value::Array(vec![Value::Int(1), "x".into(), Value::Array(vec![])]),
        ),
        KeyValue::new(
            "map",
            Value::Map(vec![KeyValue::new("k", Value::Map(vec![]))]),
        ),
    ];
    let root = Span {
        trace_id: TraceId::new(0xaa),
        span_id: SpanId::new(1),
        name: "GET /".into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_100_000_000,
        attributes: attributes.clone(),
        events: vec![SpanEvent {
            time_unix_nano: 1_700_000_000_050_000_000,
            name: "cache miss".into(),
            attributes: attributes.clone(),
            ..SpanEvent::default()
        }],
        links: vec![SpanLink {
            trace_id: TraceId::new(0xbb),
            span_id: SpanId::new(9),
            trace_state: "a=b".into(),
            attributes: attributes.clone(),
            ..SpanLink::default()
        }],
        status: Status {
            code: SpanStatusCode::Error,
            message: "boom".into(),
        },
        ..Span::default()
    };
    let child = Span {
        span_id: SpanId::new(2),
        parent_span_id: root.span_id,
        ..root.clone()
    };
    let other = Span {
        trace_id: TraceId::new(0xbb),
        ..root.clone()
    };
    backend.export_spans("shop", &[root, child, other]).await;
    let record = LogRecord {
        time_unix_nano: 1_700_000_000_050_000_000,
        severity: Severity::WARN,
        severity_text: "WARNING".into(),
        body: "slow".into(),
        attributes,
        trace_id: TraceId::new(0xaa),
        span_id: SpanId::new(2),
        ..LogRecord::default()
    };
    let bare = LogRecord {
        observed_unix_nano: 1_700_000_000_060_000_000,
        event_name: "login".into(),
        body: Value::Map(vec![KeyValue::new("k", 1_i64)]),
        ..LogRecord::default()
    };
    backend.export_logs("shop", &[record, bare]).await;
    backend.export_metrics("shop", METRICS).await;
    backend
}

/// The document, its object schemas closed: what they do not describe may not be there.
async fn closed_document(backend: &Backend) -> Json {
    fn close(schema: &mut Json) {
        match schema {
            Json::Object(members) => {
                members.values_mut().for_each(close);
                if members.contains_key("properties") {
                    members
                        .entry("additionalProperties")
                        .or_insert(Json::Bool(false));
                }
            }
            Json::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut document = backend.json("/api/v1/openapi.json").await;
    assert_eq!(
        document["openapi"].as_str().unwrap().split('.').next(),
        Some("3")
    );
    close(&mut document);
    document
}

/// Checks an answer against what the document says of the operation and the status.
fn check_answer(
    document: &Json,
    operation: &Json,
    status: StatusCode,
    answer: &Json,
    target: &str,
) {
    let described = &operation["responses"][status.as_str()];
    assert!(described.is_object(), "{target}: {status} is not described");
    let mut schema = described["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{target}: {status} has no schema");
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{target}: {problems:#?}\n{answer:#}");
}

/// Values a parameter may have, and values it may not.
fn values(path: &str, parameter: &Json) -> (Vec<String>, Vec<String>) {
    let name = parameter["name"].as_str().unwrap();
    let schema = &parameter["schema"];
    let strings = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let named = schema["enum"].as_array().or_else(|| {
        let alternatives = schema["oneOf"].as_array()?;
        alternatives.iter().find_map(|one| one["enum"].as_array())
    });
    if let Some(named) = named {
        let allowed = named.iter().filter_map(Json::as_str).collect::<Vec<_>>();
        return (strings(&allowed), strings(&["nonsense", "Traces", "1"]));
    }
    let is_number = schema["type"] == "integer"
        || schema["type"]
            .as_array()
            .is_some_and(|types| types.contains(&json!("integer")));
    if is_number {
        let min = schema["minimum"].as_u64().unwrap_or(0);
        let max = schema["maximum"].as_u64();
        let mut bad = strings(&["x", "-1", "+1", "1.5", "99999999999999999999999"]);
        bad.extend(max.map(|max| (max + 1).to_string()));
        bad.extend(min.checked_sub(1).map(|below| below.to_string()));
        return (vec![min.to_string(), max.unwrap_or(7).to_string()], bad);
    }
    match (path, name) {
        (_, "q") => (
            strings(&["", parameter["example"].as_str().unwrap()]),
            strings(&["{ nonsense", "duration >", "name =~ \"(\""]),
        ),
        (_, "prefix") => (strings(&["", "s", "<é"]), vec!["x".repeat(257)]),
        (_, "trace_id") => (
            strings(&[
                "000000000000000000000000000000aa",
                "000000000000000000000000000000AA",
            ]),
            strings(&["xyz", "aa", "+00000000000000000000000000000aa"]),
        ),
        (_, "span_id") => (strings(&["0000000000000002"]), strings(&["xyz", "2"])),
        (_, "key") => (
            strings(&["text", "service.name", "status", "no such key", "a/b"]),
            vec![],
        ),
        (_, "name") => (strings(&["http.server.duration"]), vec![]),
        (_, "metric") => (
            strings(&["", "http.server.duration", "nothing"]),
            vec!["x".repeat(1025)],
        ),
        (_, "service") => (strings(&["", "shop", "nobody"]), vec!["x".repeat(1025)]),
        (_, "kind") => (strings(&["", "histogram"]), strings(&["counter", "Gauge"])),
        (_, "unit") => (strings(&["s"]), vec!["x".repeat(1025)]),
        (_, "monotonic") => (strings(&["", "false"]), strings(&["1", "True"])),
        (_, "by" | "attributes") => (
            strings(&["text", "text,resource.service.name, point.text"]),
            vec!["a,,b".to_owned(), ["k"; 17].join(","), "x".repeat(1025)],
        ),
        (_, "cursor") => (vec![], vec!["nonsense".to_owned(), "x".repeat(513)]),
        other => panic!("no values for {other:?}; say which are good and bad"),
    }
}

/// The path with its parameters filled in with the first good value.
fn filled(path: &str, operation: &Json) -> String {
    let parameters = operation["parameters"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    parameters
        .iter()
        .filter(|parameter| parameter["in"] == "path")
        .fold(path.to_owned(), |filled, parameter| {
            let name = parameter["name"].as_str().unwrap();
            let (good, _) = values(path, parameter);
            filled.replace(&format!("{{{name}}}"), &good[0])
        })
}

fn encoded(value: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    encoded.replace('+', "%20")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_parameter_and_answer_is_as_described() {
    let backend = with_data().await;
    let document = closed_document(&backend).await;
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap();
        assert_eq!(methods.keys().collect::<Vec<_>>(), ["get"], "{path}");
        let operation = &methods["get"];
        assert!(
            operation["summary"].is_string() || operation["description"].is_string(),
            "{path} is not explained"
        );
        let target = filled(path, operation);
        let plain = backend.json(&target).await;
        check_answer(&document, operation, StatusCode::OK, &plain, &target);

        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for parameter in &parameters {
            let name = parameter["name"].as_str().unwrap();
            assert!(parameter["description"].is_string(), "{path} {name}");
            let (good, bad) = values(path, parameter);
            let with = |value: &str| match parameter["in"].as_str() {
                Some("path") => path.replace(&format!("{{{name}}}"), &encoded(value)),
                // What sorts by an attribute wants to know by which.
                _ if (name, value) == ("sort", "attribute") => {
                    format!("{target}?sort=attribute&attributes=text")
                }
                _ if name == "metric" => {
                    format!("{target}?signal=metrics&metric={}", encoded(value))
                }
                _ => format!("{target}?{name}={}", encoded(value)),
            };
            for value in good {
                let target = with(&value);
                let answer = backend.json(&target).await;
                check_answer(&document, operation, StatusCode::OK, &answer, &target);
                asked += 1;
            }
            for value in bad {
                let target = with(&value);
                let reply = backend.get(&target).await;
                assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{target}");
                check_answer(&document, operation, reply.status, &reply.json(), &target);
                let error = reply.error();
                assert_eq!(
                    error["position"].is_object(),
                    name == "q",
                    "{target}: {error}"
                );
                if name != "q" {
                    let message = error["message"].as_str().unwrap();
                    assert!(message.contains(&format!("`{name}`")), "{target}: {error}");
                    assert!(
                        error["hint"].as_str().unwrap().contains("allowed"),
                        "{target}: {error}"
                    );
                }
                asked += 1;
            }
        }

        for (query, status) in [("nonsense=1", 400), ("limit=1&limit=2", 400)] {
            let target = format!("{target}?{query}");
            let reply = backend.get(&target).await;
            assert_eq!(reply.status.as_u16(), status, "{target}");
            check_answer(&document, operation, reply.status, &reply.json(), &target);
        }
        let foreign = Request::get(&target)
            .header("host", "evil.example")
            .body(Full::default())
            .unwrap();
        let reply = backend.send(foreign).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{target}");
        check_answer(&document, operation, reply.status, &reply.json(), &target);
        asked += 3;
    }
    assert!(asked > 100, "{asked} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_answered_as_described() {
    let backend = with_data().await;
    let document = closed_document(&backend).await;
    let target = "/api/v1/traces/000000000000000000000000000000cc";
    let reply = backend.get(target).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let operation = &document["paths"]["/api/v1/traces/{trace_id}"]["get"];
    check_answer(&document, operation, reply.status, &reply.json(), target);

    let target = "/api/v1/metrics/nothing";
    let reply = backend.get(target).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let operation = &document["paths"]["/api/v1/metrics/{name}"]["get"];
    check_answer(&document, operation, reply.status, &reply.json(), target);

    // Pages follow each other by cursors, until there is no more.
    for (path, member, total) in [("/api/v1/traces", "traces", 2), ("/api/v1/logs", "logs", 2)] {
        let operation = &document["paths"][path]["get"];
        let mut cursor = String::new();
        for page in 1..=total {
            let target = format!("{path}?limit=1&cursor={}", encoded(&cursor));
            let answer = backend.json(&target).await;
            check_answer(&document, operation, StatusCode::OK, &answer, &target);
            assert_eq!(answer[member].as_array().unwrap().len(), 1, "{target}");
            match answer["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => assert_eq!(page, total, "{target}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_shows_what_there_is() {
    const GUIDE: &str = include_str!("../../../../docs/api.md");
    let backend = with_data().await;
    let document = closed_document(&backend).await;
    let described: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let mut shown: Vec<&str> = GUIDE
        .lines()
        .filter_map(|line| line.strip_prefix("| `/api"))
        .map(|line| line.split('`').next().unwrap())
        .collect();
    shown.sort_unstable();
    assert_eq!(shown.len(), described.len());
    for (shown, described) in shown.iter().zip(described) {
        assert_eq!(format!("/api{shown}"), *described);
    }

    let examples: Vec<&str> = GUIDE
        .lines()
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert!(examples.len() >= 5);
    for example in examples {
        let mut quoted = example.split('\'').skip(1).step_by(2);
        let url = quoted.next().unwrap();
        let mut target = url
            .strip_prefix("http://127.0.0.1:4320")
            .unwrap()
            .to_owned();
        for pair in quoted {
            let (name, value) = pair.split_once('=').unwrap();
            let separator = if target.contains('?') { '&' } else { '?' };
            target = format!("{target}{separator}{name}={}", encoded(value));
        }
        backend.json(&target).await;
    }

    let error = GUIDE
        .split("```json")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let error: Json = serde_json::from_str(error).unwrap();
    let reply = backend.get("/api/v1/traces?q=status%20=%20oops").await;
    assert_eq!(reply.json(), error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_the_document_does_not_have_is_no_path() {
    let backend = Backend::start().await;
    for target in [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v2/status",
        "/api/v1/nope",
        "/api/v1/traces/",
    ] {
        let reply = backend.get(target).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{target}");
        assert_eq!(reply.error()["code"], "not_found", "{target}");
    }
    for (method, target) in [
        ("PUT", "/api/v1/status"),
        ("DELETE", "/api/v1/runs"),
        ("POST", "/"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("content-type", "application/json")
            .body(Full::default())
            .unwrap();
        let reply = backend.send(request).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{target}");
        assert_eq!(reply.header("allow"), "GET, HEAD", "{target}");
        assert_eq!(reply.error()["code"], "method_not_allowed", "{target}");
    }
}
