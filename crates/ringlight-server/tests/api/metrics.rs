//! What the API answers about known metrics.

use http::StatusCode;
use serde_json::json;

use super::Backend;

/// A multiple of ten seconds.
const START: u64 = 1_700_000_000;

fn at(seconds: u64) -> String {
    format!("{}000000000", START + seconds)
}

/// Two points of a counter of each of two services, and a gauge.
async fn with_metrics() -> Backend {
    let backend = Backend::start().await;
    for (service, factor) in [("shop", 1), ("till", 5)] {
        let point = |seconds: u64, value: u64| {
            format!(
                r#"{{"startTimeUnixNano":"{}","timeUnixNano":"{}","asInt":"{}",
                "attributes":[{{"key":"kind","value":{{"stringValue":"online"}}}}],
                "exemplars":[{{"timeUnixNano":"{}","asDouble":0.5,"spanId":"0000000000000002",
                "traceId":"000000000000000000000000000000aa"}}]}}"#,
                at(0),
                at(seconds),
                value * factor,
                at(seconds - 1),
            )
        };
        let points = [point(10, 20), point(20, 50)].join(",");
        let metrics = format!(
            r#"{{"name":"orders","unit":"{{order}}","description":"orders taken","sum":{{
            "isMonotonic":true,"aggregationTemporality":2,"dataPoints":[{points}]}}}},
            {{"name":"depth","gauge":{{"dataPoints":[{{"timeUnixNano":"{}","asDouble":2.5}}]}}}}"#,
            at(12)
        );
        backend.export_metrics(service, &metrics).await;
    }
    backend
}

fn asking(rest: &str) -> String {
    let (from, to) = (at(0), at(19));
    format!("/api/v1/metrics/orders?from={from}&to={to}&step=10000000000{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_listed_and_asked_for() {
    let backend = with_metrics().await;
    let listed = backend.json("/api/v1/metrics").await;
    let orders = json!({
        "name": "orders",
        "kind": "sum",
        "temporality": "cumulative",
        "is_monotonic": true,
        "unit": "{order}",
        "description": "orders taken",
        "aggregations": ["rate", "sum", "count"],
    });
    assert_eq!(listed["metrics"][0]["metric"]["name"], "depth");
    assert_eq!(listed["metrics"][0]["metric"]["temporality"], json!(null));
    assert_eq!(
        listed["metrics"][1],
        json!({
            "metric": orders,
            "series_count": 2,
            "services": ["shop", "till"],
            "scopes": ["tests"],
            "attribute_keys": ["kind"],
            "last_unix_nano": at(20),
        })
    );
    let answer = backend.json(&asking("&by=service.name,kind")).await;
    let label = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
    let exemplar = |seconds: u64| {
        json!({
            "time_unix_nano": at(seconds),
            "value": 0.5,
            "trace_id": "000000000000000000000000000000aa",
            "span_id": "0000000000000002",
            "attributes": [],
        })
    };
    let series = |service: &str, factor: f64| {
        json!({
            "labels": [label("service.name", service), label("kind", "online")],
            "points": [
                {"time_unix_nano": at(0), "value": 2.0 * factor},
                {"time_unix_nano": at(10), "value": 3.0 * factor},
            ],
            "exemplars": [exemplar(9), exemplar(19)],
        })
    };
    assert_eq!(
        answer,
        json!({
            "metric": orders,
            "aggregation": "rate",
            "from_unix_nano": at(0),
            "to_unix_nano": at(19),
            "step_nano": 10_000_000_000_u64,
            "series": [series("shop", 1.0), series("till", 5.0)],
            "series_left_out": 0,
            "stats": {"blocks_total": 0, "blocks_read": 0, "blocks_corrupt": 0, "records_scanned": 4},
        })
    );
    let both = backend
        .json(&asking("&agg=sum&q=point.kind%20=%20%22online%22"))
        .await;
    assert_eq!(both["series"][0]["points"][1]["value"], 180.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_metrics_of_a_name_are_asked_for_one_by_one() {
    let backend = Backend::start().await;
    let metric = |unit: &str, shape: &str, value: u64| {
        format!(
            r#"{{"name":"took","unit":"{unit}",{shape}"dataPoints":[{{"startTimeUnixNano":"{}",
            "timeUnixNano":"{}","asInt":"{value}"}}]}}}}"#,
            at(0),
            at(9),
        )
    };
    let sum = r#""sum":{"aggregationTemporality":1,"#;
    let grows = r#""sum":{"isMonotonic":true,"aggregationTemporality":1,"#;
    let metrics = [
        metric("s", sum, 2),
        metric("ms", sum, 3),
        metric("", sum, 5),
        metric("", grows, 7),
    ];
    backend.export_metrics("shop", &metrics.join(",")).await;
    let listed = backend.json("/api/v1/metrics").await;
    assert_eq!(listed["metrics"].as_array().unwrap().len(), 4);
    let (from, to) = (at(0), at(19));
    let target = |rest: &str| format!("/api/v1/metrics/took?agg=sum&from={from}&to={to}&{rest}");
    for (rest, value) in [
        ("unit=s", 2.0),
        ("unit=ms&kind=sum", 3.0),
        ("unit=&monotonic=false", 5.0),
        ("unit=&monotonic=true", 7.0),
        ("monotonic=true", 7.0),
    ] {
        let answer = backend
            .json(&target(&format!("{rest}&step=20000000000")))
            .await;
        assert_eq!(answer["series"][0]["points"][0]["value"], value, "{rest}");
    }
    let reply = backend.get(&target("unit=h")).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let reply = backend.get(&target("monotonic=1")).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.error()["hint"], "allowed is true, false");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_with_what_does() {
    let backend = with_metrics().await;
    let check = async |target: String, status: StatusCode, message: &str, hint: &str| {
        let reply = backend.get(&target).await;
        assert_eq!(reply.status, status, "{target}");
        let error = reply.error();
        assert_eq!(error["message"], message, "{target}");
        assert_eq!(error["hint"], hint, "{target}");
    };
    check(
        asking("&agg=p95"),
        StatusCode::BAD_REQUEST,
        "parameter `agg` is `p95`",
        "allowed is rate, sum, count for a sum that only grows",
    )
    .await;
    check(
        format!(
            "/api/v1/metrics/orders?from={}&to={}&step=1000000000",
            at(0),
            at(20_000)
        ),
        StatusCode::BAD_REQUEST,
        "parameter `step` is `1000000000`",
        "allowed is a step of which the time has at most 11000",
    )
    .await;
    check(
        asking("&q=span.x%20=%201"),
        StatusCode::BAD_REQUEST,
        "data points have no `span.` attributes",
        "expected `point.`, `resource.` or a dot before it: `.span.x`",
    )
    .await;
    check(
        asking("&kind=gauge"),
        StatusCode::NOT_FOUND,
        "nothing is stored of a metric `orders` that is a gauge",
        "see /api/v1/metrics for what there is",
    )
    .await;
    check(
        "/api/v1/metrics/a%2Fb".to_owned(),
        StatusCode::NOT_FOUND,
        "nothing is stored of a metric `a/b`",
        "see /api/v1/metrics for what there is",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_values_of_series_are_completed() {
    let backend = with_metrics().await;
    let answer = backend.json("/api/v1/attributes?signal=metrics").await;
    let keys: Vec<String> = answer["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            format!(
                "{} {}",
                key["scope"].as_str().unwrap(),
                key["key"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        keys,
        [
            "intrinsic instrumentation:name",
            "intrinsic instrumentation:version",
            "resource service.name",
            "point kind",
        ]
    );
    for (target, expected) in [
        ("kind/values?signal=metrics", json!(["online"])),
        (
            "service.name/values?signal=metrics&prefix=t",
            json!(["till"]),
        ),
        ("kind/values?signal=metrics&scope=resource", json!([])),
        (
            "instrumentation:name/values?signal=metrics",
            json!(["tests"]),
        ),
    ] {
        let answer = backend.json(&format!("/api/v1/attributes/{target}")).await;
        let values = answer["values"].as_array().unwrap().iter();
        let values: Vec<_> = values.map(|value| value["value"].clone()).collect();
        assert_eq!(json!(values), expected, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_values_are_those_of_one_metric_where_it_is_named() {
    let backend = with_metrics().await;
    let answer = async |target: &str| backend.json(&format!("/api/v1/attributes{target}")).await;
    let keys = async |metric: &str| {
        let found = answer(&format!("?signal=metrics&metric={metric}")).await;
        let keys = found["attributes"].as_array().unwrap().clone();
        let of_series = keys.into_iter().filter(|key| key["scope"] != "intrinsic");
        of_series
            .map(|key| key["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("orders").await, ["service.name", "kind"]);
    assert_eq!(keys("depth").await, ["service.name"]);
    assert!(keys("nothing").await.is_empty());
    for (target, expected) in [
        ("kind/values?signal=metrics&metric=orders", json!(1)),
        ("kind/values?signal=metrics&metric=depth", json!(0)),
        (
            "service.name/values?signal=metrics&scope=resource&metric=depth",
            json!(2),
        ),
        (
            "service.name/values?signal=metrics&scope=resource&metric=nothing",
            json!(0),
        ),
    ] {
        let found = answer(&format!("/{target}")).await;
        assert_eq!(
            json!(found["values"].as_array().unwrap().len()),
            expected,
            "{target}"
        );
    }
    for target in ["?metric=orders", "/kind/values?signal=logs&metric=orders"] {
        let reply = backend.get(&format!("/api/v1/attributes{target}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{target}");
        let hint = &reply.json()["error"]["hint"];
        assert_eq!(hint, "allowed is nothing without `signal=metrics`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_of_metrics_is_counted() {
    let backend = with_metrics().await;
    let status = backend.json("/api/v1/status").await;
    let metrics = &status["signals"]["metrics"];
    assert_eq!(metrics["accepted"], 6);
    assert_eq!(metrics["stored"], 6);
    assert_eq!(
        (&metrics["not_stored"], &metrics["ledger_points"]),
        (&json!(0), &json!(0))
    );
    let store = &status["store"];
    assert_eq!(
        (&store["point_count"], &store["series"]),
        (&json!(6), &json!(4))
    );
    assert_eq!(store["series_forgotten"], 0);
    let services = backend.json("/api/v1/services").await;
    assert_eq!(services["services"][1]["name"], "till");
    assert_eq!(services["services"][1]["point_count"], 3);
    let runs = backend.json("/api/v1/runs").await;
    assert_eq!(runs["runs"][0]["point_count"], 6);
}
