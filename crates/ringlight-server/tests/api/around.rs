//! What the API answers beside records: what there is to ask for, the state of the backend, the UI.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use ringlight_model::{
    Account, CostSnapshot, DeliverySnapshot, DropReason, KeyValue, LedgerSnapshot, LogRecord,
    Resource, Severity, Signal, SignalDelivery, Span, ThreadAccount, ThreadLedger,
};
use ringlight_otlp::ledger_report::{Cost, Report};
use serde_json::{Value as Json, json};

use super::Backend;
use super::answers::{START, span};

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_to_ask_for() {
    let backend = Backend::start().await;
    let paid = Span {
        attributes: vec![KeyValue::new("retry", 2_i64), KeyValue::new("region", "eu")],
        ..span(1, 1, 0, "pay")
    };
    backend
        .export_spans("shop", &[paid, span(1, 2, 1, "query")])
        .await;
    let record = LogRecord {
        time_unix_nano: START,
        severity: Severity::INFO,
        body: "hello".into(),
        attributes: vec![KeyValue::new("user", "ada")],
        ..LogRecord::default()
    };
    backend.export_logs("bank", &[record]).await;

    let names = async |target: &str, list: &str, member: &str| -> Vec<String> {
        let answer = backend.json(target).await;
        let text = |one: &Json| one[member].as_str().unwrap().to_owned();
        answer[list].as_array().unwrap().iter().map(text).collect()
    };
    assert_eq!(
        names("/api/v1/services", "services", "name").await,
        ["bank", "shop"]
    );
    let runs = backend.json("/api/v1/runs").await;
    assert_eq!(runs["runs"][0]["command"], "ringlight up");
    assert_eq!(runs["runs"][0]["ended_unix_nano"], Json::Null);
    assert_eq!(runs["runs"][0]["span_count"], 2);

    let keys = names(
        "/api/v1/attributes?signal=traces&prefix=re",
        "attributes",
        "key",
    )
    .await;
    assert_eq!(keys, ["region", "retry"]);
    let keys = names("/api/v1/attributes?signal=logs", "attributes", "key").await;
    assert!(
        keys.contains(&"user".to_owned()) && keys.contains(&"severity".to_owned()),
        "{keys:?}"
    );
    let values = names("/api/v1/attributes/name/values", "values", "value").await;
    assert_eq!(values, ["pay", "query"]);
    let values = names(
        "/api/v1/attributes/service.name/values?scope=resource&signal=logs",
        "values",
        "value",
    )
    .await;
    assert_eq!(values, ["bank"]);
    let values = backend
        .json("/api/v1/attributes/retry/values?scope=span")
        .await;
    assert_eq!(values, json!({"values": [{"type": "int", "value": "2"}]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_accounts_for_everything() {
    let backend = Backend::start().await;
    backend
        .export_spans("shop", &[span(1, 1, 0, "a"), span(1, 2, 1, "b")])
        .await;
    // Once more: known already.
    backend.export_spans("shop", &[span(1, 1, 0, "a")]).await;
    let mut ledger = LedgerSnapshot::default();
    let account = ledger.account_mut(Signal::Traces);
    *account = Account {
        submitted: 4,
        exported: 3,
        ..Account::default()
    };
    account.dropped[DropReason::RingFull] = 1;
    ledger.set_negative_durations(2);
    ledger.set_unmatched_exits(3);
    let resource = Resource {
        attributes: vec![
            KeyValue::new("service.name", "shop"),
            KeyValue::new("service.instance.id", "instance-1"),
        ],
        ..Resource::default()
    };
    let mut worker = ThreadAccount::of_thread("worker".to_owned(), 2);
    let counts = worker.counts_mut(Signal::Traces);
    counts.submitted = 4;
    counts.dropped = ledger.account(Signal::Traces).dropped;
    worker.ring_used_bytes = 512;
    let by_thread = ThreadLedger {
        ledger,
        threads: vec![worker],
        ring_bytes: 524_288,
    };
    let cost = Cost {
        total: CostSnapshot {
            span_nano: Some(85.25),
            spans_measured: 3,
            collector_time: Duration::from_millis(250),
            elapsed: Duration::from_secs(10),
            sent_bytes: 1_000,
            sampling_ratio: 1.0,
            ..CostSnapshot::default()
        },
        core_ratio: 0.025,
        process_ratio: 0.05,
    };
    let mut delivery = DeliverySnapshot::default();
    *delivery.signal_mut(Signal::Traces) = SignalDelivery {
        requests: 2,
        records: 8,
        encoded_bytes: 2_000,
        wire_bytes: 500,
        latency: Some(Duration::from_millis(250)),
        concurrency: 4,
        batch_bytes: 262_144,
    };
    let report = Report {
        ledger: &by_thread,
        cost: Some(&cost),
        delivery: Some(&delivery),
        rules: &[],
        start_unix_nano: START,
        time_unix_nano: START,
        is_final: true,
    };
    let report = ringlight_otlp::ledger_report::encode(&resource, &report);
    backend.export("/v1/metrics", report).await;

    let mut status = backend.json("/api/v1/status").await;
    assert_eq!(status["pid"], std::process::id());
    assert_eq!(
        status["data_dir"],
        backend.directory.path().join("data").display().to_string()
    );
    assert_eq!(
        status["listen"]["ui"],
        backend.server.addresses().ui.to_string()
    );
    let client = &mut status["clients"][0];
    assert!(client["last_report_unix_nano"].take().is_string());
    insta::assert_snapshot!(format!("{:#}", client), @r#"
    {
      "cost": {
        "budget_ratio": null,
        "collector_seconds": 0.25,
        "core_ratio": 0.025,
        "elapsed_seconds": 10.0,
        "log_nano": null,
        "logs_measured": 0,
        "memory": {
          "buffers_bytes": 0,
          "open_spans_bytes": 0,
          "rings_bytes": 0
        },
        "process_ratio": 0.05,
        "process_seconds": 0.0,
        "producer_seconds": 0.0,
        "sampling_ratio": 1.0,
        "sent_bytes": 1000,
        "span_nano": 85.25,
        "spans_measured": 3
      },
      "delivery": {
        "logs": {
          "batch_bytes": 0,
          "concurrency": 0,
          "encoded_bytes": 0,
          "latency_seconds": null,
          "records": 0,
          "requests": 0,
          "wire_bytes": 0
        },
        "metrics": {
          "batch_bytes": 0,
          "concurrency": 0,
          "encoded_bytes": 0,
          "latency_seconds": null,
          "records": 0,
          "requests": 0,
          "wire_bytes": 0
        },
        "traces": {
          "batch_bytes": 262144,
          "concurrency": 4,
          "encoded_bytes": 2000,
          "latency_seconds": 0.25,
          "records": 8,
          "requests": 2,
          "wire_bytes": 500
        }
      },
      "final": true,
      "instance": "instance-1",
      "last_report_unix_nano": null,
      "negative_durations": 2,
      "ring_bytes": 524288,
      "service": "shop",
      "signals": {
        "logs": {
          "balanced": true,
          "dropped": {},
          "exported": 0,
          "exported_recovered": 0,
          "in_flight": 0,
          "recovered": 0,
          "rejected": 0,
          "spooled": 0,
          "submitted": 0
        },
        "metrics": {
          "balanced": true,
          "dropped": {},
          "exported": 0,
          "exported_recovered": 0,
          "in_flight": 0,
          "recovered": 0,
          "rejected": 0,
          "spooled": 0,
          "submitted": 0
        },
        "traces": {
          "balanced": true,
          "dropped": {
            "ring_full": 1
          },
          "exported": 3,
          "exported_recovered": 0,
          "in_flight": 0,
          "recovered": 0,
          "rejected": 0,
          "spooled": 0,
          "submitted": 4
        }
      },
      "started_unix_nano": "1700000000000000000",
      "stored": {
        "logs": 0,
        "metrics": 0,
        "traces": 2
      },
      "threads": [
        {
          "id": 2,
          "kind": "thread",
          "name": "worker",
          "ring_used_bytes": 512,
          "signals": {
            "logs": {
              "dropped": {},
              "submitted": 0
            },
            "traces": {
              "dropped": {
                "ring_full": 1
              },
              "submitted": 4
            }
          }
        }
      ],
      "unmatched_exits": 3
    }
    "#);
    let traces = &mut status["signals"]["traces"];
    assert!(traces["bytes_received"].take().as_u64() > Some(0));
    insta::assert_snapshot!(format!("{:#}", traces), @r#"
    {
      "accepted": 3,
      "bytes_received": null,
      "duplicates": 1,
      "ledger_points": 0,
      "negative_durations": 0,
      "not_stored": 0,
      "open_spans": 0,
      "rejected": {},
      "repaired_texts": 0,
      "requests": 2,
      "stored": 2
    }
    "#);
    let metrics = &status["signals"]["metrics"];
    assert!(metrics["ledger_points"].as_u64() > Some(0));
    assert_eq!(metrics["accepted"], metrics["ledger_points"]);
    assert_eq!(metrics["not_stored"], 0);
    assert_eq!(
        serde_json::to_value(backend.server.status()).unwrap()["signals"]["traces"]["stored"],
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ui_is_served_with_what_caches_need() {
    let backend = Backend::start().await;
    let index = backend.get("/").await;
    assert_eq!(index.status, StatusCode::OK);
    assert!(index.header("content-type").starts_with("text/html"));
    assert_eq!(index.header("cache-control"), "no-cache");
    let body = String::from_utf8(index.body).unwrap();
    assert!(!body.contains("<script>"), "an inline script");
    // The UI routes in the browser.
    for page in [
        "/traces",
        "/traces/0af7651916cd43dd8448eb211c80319c",
        "/logs?q=x",
        "/health",
    ] {
        let reply = backend.get(page).await;
        assert_eq!(reply.status, StatusCode::OK, "{page}");
        assert_eq!(reply.header("etag"), index.headers["etag"], "{page}");
    }
    for file in ringlight_ui::files() {
        let target = format!("/{}", file.path);
        let plain = backend.get(&target).await;
        assert_eq!(
            (plain.status, plain.body.as_slice()),
            (StatusCode::OK, file.body),
            "{target}"
        );
        assert_eq!(plain.header("content-type"), file.content_type);
        let with = |name: &str, value: &str| {
            Request::get(&target)
                .header(name, value)
                .body(Full::default())
                .unwrap()
        };
        let reply = backend.send(with("accept-encoding", "gzip")).await;
        assert_eq!(
            reply.header("content-encoding") == "gzip",
            file.gzip.is_some(),
            "{target}"
        );
        assert_eq!(reply.body, file.body, "{target}");
        for tags in [
            file.etag.to_owned(),
            format!("\"x\", W/{}", file.etag),
            "*".to_owned(),
        ] {
            let reply = backend.send(with("if-none-match", &tags)).await;
            assert_eq!(
                (reply.status, reply.body.len()),
                (StatusCode::NOT_MODIFIED, 0),
                "{target}"
            );
        }
        let reply = backend.send(with("if-none-match", "\"other\"")).await;
        assert_eq!(reply.status, StatusCode::OK, "{target}");
    }
    let head = backend
        .send(Request::head("/").body(Full::default()).unwrap())
        .await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), body.len().to_string());
}
