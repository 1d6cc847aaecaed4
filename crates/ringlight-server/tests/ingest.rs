//! What clients send, through the receivers, into a real store. Numbers are those of the project's
//! list of faults.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; the lint knows only the tests themselves"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message as _;
use ringlight_model::{
    KeyValue, Limits, LogRecord, Resource, Scope, Signal, Span, SpanEvent, SpanId, SpanKind,
    SpanLink, Status, StatusCode as SpanStatus, TraceId, Value,
};
use ringlight_otlp::response::ExportResponse;
use ringlight_otlp::{OtlpDecoder, encode, json};
use ringlight_server::{Server, ServerConfig};
use ringlight_store::{Durability, Store, StoreConfig};
use tempfile::TempDir;
use tokio::net::TcpStream;

struct Backend {
    server: Server,
    store: Arc<Store>,
    // Removed when dropped, after the server.
    _directory: TempDir,
}

impl Backend {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut StoreConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::new(directory.path().join("data"));
        config.durability = Durability::ProcessDeath;
        change(&mut config);
        let store = Arc::new(Store::open(config, Arc::new(OtlpDecoder::default())).unwrap());
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let config = ServerConfig {
            grpc: any,
            http: any,
            ui: any,
            ..ServerConfig::default()
        };
        let server = Server::start(config, Arc::clone(&store)).await.unwrap();
        Self {
            server,
            store,
            _directory: directory,
        }
    }

    /// Posts an OTLP request; gives the status and the body of the answer.
    async fn post(&self, path: &str, batch_id: Option<&str>, body: Vec<u8>) -> (StatusCode, Bytes) {
        let http = self.server.addresses().http;
        let stream = TcpStream::connect(http).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::post(path)
            .header("host", http.to_string())
            .header("content-type", "application/x-protobuf");
        if let Some(id) = batch_id {
            request = request.header("ringlight-batch-id", id);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        connection.await.unwrap().unwrap();
        (head.status, body)
    }
}

fn request<R: encode::Record>(records: &[R]) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            KeyValue::new("service.name", "shop"),
            KeyValue::new("service.instance.id", "i-1"),
        ],
        ..Resource::default()
    };
    let scope = Scope {
        name: "shop::cart".into(),
        ..Scope::default()
    };
    encode::request(&resource, &scope, records)
}

fn span(trace: u128, id: u64) -> Span<'static> {
    Span {
        trace_id: TraceId::new(trace),
        span_id: SpanId::new(id),
        name: "checkout".into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_790_000_000_000_000_000 + id,
        end_unix_nano: 1_790_000_000_000_000_100 + id,
        ..Span::default()
    }
}

fn log(text: &'static str) -> LogRecord<'static> {
    LogRecord {
        time_unix_nano: 1_790_000_000_000_000_000,
        body: text.into(),
        ..LogRecord::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_with_everything_comes_out_as_it_went_in() {
    let backend = Backend::start().await;
    let mut nested = Value::Int(1);
    for _ in 0..63 {
        nested = Value::Array(vec![nested]);
    }
    let everything = Span {
        parent_span_id: SpanId::new(3),
        trace_state: "vendor=opaque".into(),
        flags: 0x301,
        attributes: vec![
            KeyValue::new("text", "caf\u{e9} \u{0}\u{1b}[31m <b>"),
            KeyValue::new("flag", true),
            KeyValue::new("int", i64::MIN),
            KeyValue::new("double", 0.1),
            KeyValue::new("infinite", f64::NEG_INFINITY),
            KeyValue::new("bytes", Value::Bytes(vec![0, 255].into())),
            KeyValue::new("deep", nested),
            KeyValue::new("map", Value::Map(vec![KeyValue::new("", Value::Empty)])),
            KeyValue::new("long", "x".repeat(200_000)),
        ],
        dropped_attributes_count: 1,
        events: vec![SpanEvent {
            time_unix_nano: 5,
            name: "event".into(),
            attributes: vec![KeyValue::new("k", "v")],
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![SpanLink {
            trace_id: TraceId::new(8),
            span_id: SpanId::new(9),
            trace_state: "a=b".into(),
            attributes: vec![KeyValue::new("k", 1_i64)],
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Status {
            code: SpanStatus::Error,
            message: "broken".into(),
        },
        ..span(7, 1)
    };
    let body = request(&[everything.clone(), span(7, 3)]);
    assert_eq!(
        backend.post("/v1/traces", None, body).await,
        (StatusCode::OK, Bytes::new())
    );
    let trace = backend.store.trace(TraceId::new(7)).unwrap();
    assert_eq!(trace.spans.len(), 2);
    assert_eq!(trace.spans[0].span, everything);
    assert_eq!(trace.resources[0].text("service.name"), Some("shop"));
    backend.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_again_is_stored_once_over_whichever_protocol() {
    let backend = Backend::start().await;
    let logs = request(&[log("one"), log("two")]);
    let again = (StatusCode::OK, Bytes::new());
    for _ in 0..2 {
        let answer = backend.post("/v1/logs", Some("i-1-1"), logs.clone()).await;
        assert_eq!(answer, again);
    }
    let endpoint = format!("http://{}", backend.server.addresses().grpc);
    let mut client = LogsServiceClient::connect(endpoint).await.unwrap();
    let decoded = ExportLogsServiceRequest::decode(&logs[..]).unwrap();
    let mut call = tonic::Request::new(decoded);
    let id = "i-1-1".parse().unwrap();
    call.metadata_mut().insert("ringlight-batch-id", id);
    client.export(call).await.unwrap();
    // Without an id, and with another one, it is another batch.
    backend.post("/v1/logs", None, logs.clone()).await;
    backend.post("/v1/logs", Some("i-1-2"), logs).await;

    let status = backend.server.status();
    let counted = &status.signals["logs"];
    assert_eq!((counted.stored, counted.duplicates), (6, 4));
    assert_eq!(counted.accepted, 10);
    assert_eq!(backend.store.stats().log_count, 6);
    backend.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_is_told_is_what_is_counted_also_when_it_sends_again() {
    let backend = Backend::start().await;
    let bad = Span {
        span_id: SpanId::INVALID,
        ..span(1, 1)
    };
    let body = request(&[span(1, 1), bad, span(1, 2)]);
    for _ in 0..2 {
        let (status, answer) = backend
            .post("/v1/traces", Some("i-1-1"), body.clone())
            .await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(ExportResponse::from_protobuf(&answer).unwrap().rejected, 1);
    }
    let status = backend.server.status();
    let counted = &status.signals["traces"];
    assert_eq!((counted.stored, counted.duplicates), (2, 2));
    assert_eq!(counted.rejected, [("zero_span_id", 1)].into());
    backend.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_28_under_overload_every_acknowledged_span_is_stored_and_no_other() {
    const CLIENTS: u64 = 8;
    const REQUESTS: u64 = 12;
    const SPANS: u64 = 300;
    let backend = Backend::with(|config| {
        // So little that the clients outrun it.
        config.head_bytes_max = 1 << 20;
        config.block_records = 512;
        config.block_age = Duration::from_millis(20);
    })
    .await;
    let backend = Arc::new(backend);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                let mut refused = 0_u64;
                for number in 0..REQUESTS {
                    let first = number * SPANS + 1;
                    let spans: Vec<_> = (first..first + SPANS)
                        .map(|id| span(u128::from(client) + 1, id))
                        .collect();
                    let body = request(&spans);
                    loop {
                        let (status, _) = backend.post("/v1/traces", None, body.clone()).await;
                        if status == StatusCode::OK {
                            break;
                        }
                        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                        refused += 1;
                    }
                }
                refused
            })
        })
        .collect();
    let mut refused = 0;
    for client in clients {
        refused += client.await.unwrap();
    }
    let sent = CLIENTS * REQUESTS * SPANS;
    let status = backend.server.status();
    let counted = &status.signals["traces"];
    assert_eq!((counted.accepted, counted.stored), (sent, sent));
    assert_eq!(counted.duplicates, 0);
    assert_eq!(backend.store.stats().span_count, sent);
    let overloaded = status.refused_requests.get("overloaded").copied();
    assert_eq!(overloaded.unwrap_or(0), refused);
    for client in 0..CLIENTS {
        let trace = backend.store.trace(TraceId::new(u128::from(client) + 1));
        assert_eq!(trace.unwrap().spans.len() as u64, REQUESTS * SPANS);
    }
    let Ok(backend) = Arc::try_unwrap(backend) else {
        panic!("every client is done");
    };
    backend.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_30_points_of_too_many_series_are_refused_and_the_rest_is_stored() {
    let backend = Backend::with(|config| config.series_max = 100).await;
    let mut rejected = 0;
    for request in 0..10 {
        let points: Vec<String> = (0..50)
            .map(|n| {
                format!(
                    r#"{{"timeUnixNano":"1","asInt":"1","attributes":[
                    {{"key":"user","value":{{"intValue":"{}"}}}}]}}"#,
                    request * 50 + n
                )
            })
            .collect();
        let json = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[
            {{"name":"sessions","gauge":{{"dataPoints":[{}]}}}}]}}]}}]}}"#,
            points.join(",")
        );
        let limits = Limits::default();
        let converted = json::to_protobuf(Signal::Metrics, json.as_bytes(), &limits).unwrap();
        let (status, body) = backend.post("/v1/metrics", None, converted.request).await;
        assert_eq!(status, StatusCode::OK);
        let answer = ExportResponse::from_protobuf(&body).unwrap();
        rejected += answer.rejected;
        if answer.rejected > 0 {
            assert_eq!(
                answer.message,
                "refused 50 of 50 records: there are too many series, some attribute has too many \
                 values (50)"
            );
        }
    }
    assert_eq!(rejected, 400);
    let counts = backend.server.status();
    let status = serde_json::to_value(counts).unwrap();
    let metrics = &status["signals"]["metrics"];
    assert_eq!(metrics["accepted"], 100);
    assert_eq!(metrics["stored"], 100);
    assert_eq!(metrics["rejected"]["too_many_series"], 400);
    assert_eq!(backend.store.stats().series, 100);
}
