//! What the API answers about operations.

use http::StatusCode;
use ringlight_model::{
    KeyValue, Span, SpanId, SpanKind, Status, StatusCode as SpanStatus, TraceId,
};
use serde_json::json;

use super::Backend;

const SECOND: u64 = 1_000_000_000;
/// A multiple of twenty seconds.
const START: u64 = 1_700_000_000 * SECOND;

fn span(id: u64, start: u64, duration: u64) -> Span<'static> {
    Span {
        trace_id: TraceId::new(0xaa),
        span_id: SpanId::new(id),
        name: "pay".into(),
        kind: SpanKind::Client,
        start_unix_nano: start,
        end_unix_nano: start + duration,
        attributes: vec![KeyValue::new("alloc.bytes", 512_i64)],
        ..Span::default()
    }
}

async fn with_spans() -> Backend {
    let backend = Backend::start().await;
    let failed = Span {
        parent_span_id: SpanId::new(1),
        status: Status {
            code: SpanStatus::Error,
            message: "boom".into(),
        },
        ..span(2, START + 25 * SECOND, 20)
    };
    let spans = [span(1, START, 10), failed];
    backend.export_spans("shop", &spans).await;
    backend.export_spans("till", &[span(3, START, 10)]).await;
    backend
}

fn asking(rest: &str) -> String {
    let to = START + 39 * SECOND;
    format!("/api/v1/operations?from={START}&to={to}&step=20000000000{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_have_their_figures_and_examples() {
    let backend = with_spans().await;
    let answer = backend
        .json(&asking("&service=shop&attributes=alloc.bytes,x"))
        .await;
    let example = |id: u64, start: u64, duration: u64| {
        json!({
            "trace_id": "000000000000000000000000000000aa",
            "span_id": format!("{id:016x}"),
            "start_unix_nano": start.to_string(),
            "duration_nano": duration,
        })
    };
    let second = START + 20 * SECOND;
    let failed = example(2, START + 25 * SECOND, 20);
    assert_eq!(
        answer,
        json!({
            "from_unix_nano": START.to_string(),
            "to_unix_nano": (START + 40 * SECOND).to_string(),
            "step_nano": 20 * SECOND,
            "operations": [{
                "service": "shop",
                "name": "pay",
                "kind": "client",
                "count": 2,
                "rate": 0.05,
                "error_count": 1,
                "root_count": 1,
                "total_nano": 30,
                "p50_nano": 10,
                "p95_nano": 20,
                "p99_nano": 20,
                "longest_nano": 20,
                "steps": [
                    {"time_unix_nano": START.to_string(), "count": 1, "error_count": 0, "p95_nano": 10},
                    {"time_unix_nano": second.to_string(), "count": 1, "error_count": 1, "p95_nano": 20},
                ],
                "examples": {
                    "typical": example(1, START, 10),
                    "longest": failed,
                    "failed": failed,
                },
                "attributes": [{"key": "alloc.bytes", "count": 2, "sum": 1024.0, "max": 512.0}],
            }],
            "operations_left_out": 0,
            "spans_left_out": 0,
            "inner_error_count": 0,
            "attribute_spans_left_out": 0,
            "stats": {"blocks_total": 0, "blocks_read": 0, "blocks_corrupt": 0, "records_scanned": 6},
        })
    );
    let both = backend.json(&asking("&sort=count&limit=1")).await;
    assert_eq!(both["operations"][0]["service"], "shop");
    assert_eq!(both["operations_left_out"], 1);
    let most = asking("&sort=attribute&attributes=alloc.bytes,x&limit=1");
    assert_eq!(
        backend.json(&most).await["operations"][0]["service"],
        "shop"
    );
    let reply = backend.get(&asking("&sort=attribute")).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let hint = "allowed is `attribute` with at least one key in `attributes`";
    assert_eq!(reply.error()["hint"], hint);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_within_entries_is_counted_beside_them() {
    let backend = with_spans().await;
    let failed = Span {
        name: "charge".into(),
        parent_span_id: SpanId::new(1),
        status: Status {
            code: SpanStatus::Error,
            message: "declined".into(),
        },
        ..span(4, START, 5)
    };
    backend.export_spans("shop", &[failed]).await;
    let entries = backend.json(&asking("&service=shop&which=entry")).await;
    assert_eq!(entries["operations"].as_array().unwrap().len(), 1);
    assert_eq!(entries["inner_error_count"], 1);
    let till = backend.json(&asking("&service=till&which=entry")).await;
    assert_eq!(till["inner_error_count"], 0);
    // All of them have figures of their own.
    let all = backend.json(&asking("&service=shop")).await;
    assert_eq!(all["inner_error_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_steps_are_refused_with_how_many_there_may_be() {
    let backend = with_spans().await;
    let reply = backend
        .get("/api/v1/operations?from=0&step=10000000000")
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let error = reply.error();
    assert_eq!(error["message"], "parameter `step` is `10000000000`");
    assert_eq!(
        error["hint"],
        "allowed is a step of which the time has at most 1000"
    );
}
