//! OTLP/HTTP.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use ringlight_model::{
    KeyValue, LedgerSnapshot, LogRecord, RejectReason, Resource, Scope, Signal, Span, SpanId,
    ThreadLedger, TraceId,
};
use ringlight_otlp::encode;
use ringlight_otlp::ledger_report::{self, Report};
use ringlight_otlp::open_report::{self, OpenSpan, Round};
use ringlight_otlp::response::{ExportResponse, Status};

use super::*;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

struct Answer {
    status: StatusCode,
    content_type: String,
    retry_after: Option<String>,
    takes: String,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn send_body<B>(bench: &Bench, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
{
    let response = super::super::http::answer(&bench.receiver, PEER, request).await;
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    Answer {
        status: response.status(),
        content_type: header("content-type").unwrap(),
        retry_after: header("retry-after"),
        takes: header("ringlight-takes").unwrap_or_default(),
        body: response.into_body().collect().await.unwrap().to_bytes(),
    }
}

async fn send(bench: &Bench, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(body));
    send_body(bench, request.body(body).unwrap()).await
}

async fn send_traces(bench: &Bench, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let content_type = [("content-type", PROTOBUF)];
    send(
        bench,
        "/v1/traces",
        &[&content_type, headers].concat(),
        body,
    )
    .await
}

#[tokio::test]
async fn a_request_is_stored_as_it_came_and_answered_in_its_format() {
    let bench = Bench::new();
    let headers = [("ringlight-batch-id", "i-1")];
    let answer = send_traces(&bench, &headers, &traces(&[1, 2])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.content_type, PROTOBUF);
    assert!(answer.body.is_empty());

    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9}]}]}]}"#;
    let content_type = [("Content-Type", "Application/JSON; charset=utf-8")];
    let answer = send(&bench, "/v1/logs", &content_type, json.as_bytes()).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}"));
    assert_eq!(answer.content_type, JSON);

    let kept = bench.intake.requests();
    let batch_id = Some("i-1".to_owned());
    assert_eq!(kept[0], (Signal::Traces, traces(&[1, 2]), batch_id));
    assert_eq!((kept[1].0, &kept[1].2), (Signal::Logs, &None));
    let counts = bench.state.signal(Signal::Traces);
    assert_eq!((counts.requests, counts.accepted, counts.stored), (1, 2, 2));
    assert_eq!(counts.bytes_received, traces(&[1, 2]).len() as u64);
    assert_eq!(bench.state.refused(), [].into());
    bench.assert_memory_is_free();
}

#[tokio::test]
async fn a_report_of_open_spans_is_shown_and_not_stored() {
    let bench = Bench::new();
    let mut scope_spans = Vec::new();
    let span = Span {
        trace_id: TraceId::new(7),
        span_id: SpanId::new(1),
        ..Span::default()
    };
    encode::span(&mut scope_spans, &span);
    let open = |span_id| OpenSpan {
        trace_id: span.trace_id,
        span_id: SpanId::new(span_id),
        scope_spans: Cow::Borrowed(&scope_spans),
    };
    let round = |number| Round {
        sender: "one".into(),
        number,
        ..Round::default()
    };
    // The second is not what it says.
    let report = open_report::encode(&[], &round(1), 5, &[open(1), open(2)]);
    let content_type = [("content-type", PROTOBUF)];
    let answer = send(&bench, "/v1/logs", &content_type, &report).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.takes, "open-spans");
    let nothing = open_report::encode(&[], &round(2), 5, &[]);
    send(&bench, "/v1/logs", &content_type, &nothing).await;
    assert!(bench.intake.requests().is_empty());
    let shown = bench.intake.open.lock().unwrap().clone();
    let expected = open_report::traces_request(&[], [&*scope_spans]);
    assert_eq!(
        shown,
        [(1, expected.clone()), (1, expected)],
        "its record is on its way"
    );
    let counts = bench.state.signal(Signal::Logs);
    assert_eq!(
        (counts.accepted, counts.open_spans, counts.stored),
        (1, 1, 0)
    );
    assert_eq!(counts.rejected, [(RejectReason::Malformed, 1)].into());

    // Beside other records it is log records like them.
    let records = encode::request(
        &Resource::default(),
        &Scope::default(),
        &[LogRecord::default()],
    );
    let report = open_report::encode(&[], &round(3), 5, &[open(1)]);
    let both = [records, report].concat();
    send(&bench, "/v1/logs", &content_type, &both).await;
    assert_eq!(bench.intake.requests(), [(Signal::Logs, both, None)]);
}

#[tokio::test]
async fn an_empty_request_is_a_success() {
    let bench = Bench::new();
    for path in [
        "/v1/traces",
        "/v1/logs",
        "/v1/metrics",
        "/v1development/profiles",
    ] {
        let answer = send(&bench, path, &[("content-type", PROTOBUF)], b"").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let answer = send(&bench, path, &[("content-type", JSON)], b"{}").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    assert!(bench.intake.requests().is_empty());
}

#[tokio::test]
async fn bad_records_are_refused_one_by_one_and_the_client_is_told() {
    let bench = Bench::new();
    let answer = send_traces(&bench, &[], &traces(&[1, 0, 3, 0])).await;
    assert_eq!(answer.status, StatusCode::OK);
    let response = ExportResponse::from_protobuf(&answer.body).unwrap();
    assert_eq!(response.rejected, 2);
    assert_eq!(
        response.message,
        "refused 2 of 4 records: span id is missing or zero (2)"
    );

    // Only bad ones: there is nothing to store.
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01"}]}]}]}"#;
    let content_type = [("content-type", JSON)];
    let answer = send(&bench, "/v1/traces", &content_type, json.as_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.text(),
        r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"refused 1 of 1 records: id has the wrong length (1)"}}"#
    );
    assert_eq!(bench.intake.requests().len(), 1);
    let rejected = bench.state.signal(Signal::Traces).rejected;
    assert_eq!(rejected.get(&RejectReason::IdLength), Some(&1));
}

#[tokio::test]
async fn fault_26_a_request_in_snake_case_is_taken_and_the_mistake_is_named() {
    let bench = Bench::new();
    let content_type = [("content-type", JSON)];
    let answer = send(
        &bench,
        "/v1/traces",
        &content_type,
        br#"{"resource_spans":[]}"#,
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        answer.text().contains("`resource_spans`"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn what_is_refused_says_why_in_the_format_of_the_request() {
    let bench = Bench::new();
    let protobuf = ("content-type", PROTOBUF);
    let json = ("content-type", JSON);
    let check = async |path: &str, headers: &[(&str, &str)], body: &[u8], status, reason| {
        let answer = send(&bench, path, headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {headers:?}");
        assert_eq!(bench.last_refusal(), Some(reason));
        let message = if headers.contains(&protobuf) {
            assert_eq!(answer.content_type, PROTOBUF);
            Status::from_protobuf(&answer.body).unwrap().message
        } else {
            assert_eq!(answer.content_type, JSON);
            let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            status["message"].as_str().unwrap().to_owned()
        };
        assert_eq!(bench.state.recent_refusals()[0].detail, message);
        assert!(!message.is_empty());
    };
    let path = "/v1/traces";
    check(
        path,
        &[protobuf],
        b"garbage",
        400,
        RefusalReason::Undecodable,
    )
    .await;
    check(path, &[json], b"garbage", 400, RefusalReason::Undecodable).await;
    check(
        path,
        &[json],
        &traces(&[1]),
        400,
        RefusalReason::Undecodable,
    )
    .await;
    check(path, &[], b"", 415, RefusalReason::ContentType).await;
    for content_type in ["text/plain", "application/protobuf", "", "a/b;c", "a/b c"] {
        let headers = [("content-type", content_type)];
        check(path, &headers, b"", 415, RefusalReason::ContentType).await;
    }
    for path in [
        "/",
        "/v1/trace",
        "/v1/traces/",
        "/api/v2/spans",
        "/V1/TRACES",
    ] {
        check(path, &[protobuf], b"", 404, RefusalReason::UnknownPath).await;
    }
    let grpc = [("content-type", "application/grpc")];
    let answer = send(&bench, path, &grpc, b"").await;
    assert_eq!(answer.content_type, "application/grpc");
    assert_eq!(bench.last_refusal(), Some(RefusalReason::WrongProtocol));
    assert!(bench.intake.requests().is_empty());
    bench.assert_memory_is_free();
}

#[tokio::test]
async fn only_post_is_allowed() {
    let bench = Bench::new();
    for method in ["GET", "PUT", "OPTIONS"] {
        let request = Request::builder()
            .method(method)
            .uri("/v1/traces")
            .body(Full::new(Bytes::new()))
            .unwrap();
        let response = super::super::http::answer(&bench.receiver, PEER, request).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(bench.last_refusal(), Some(RefusalReason::Method));
    }
}

#[tokio::test]
async fn fault_24_gzip_is_taken_whatever_its_members_and_refused_when_cut_or_damaged() {
    taken_whole_and_refused_when_broken(gzip, &["gzip", "GZIP", "x-gzip", "identity, gzip"]).await;
}

#[tokio::test]
async fn fault_24_zstd_is_taken_whatever_its_frames_and_refused_when_cut_or_damaged() {
    taken_whole_and_refused_when_broken(zstd, &["zstd", "ZSTD", "identity, zstd"]).await;
}

/// With what compresses, and its names.
async fn taken_whole_and_refused_when_broken(compress: fn(&[u8]) -> Vec<u8>, names: &[&str]) {
    let bench = Bench::new();
    let request = traces(&[1, 2]);
    let (front, back) = request.split_at(20);
    let whole = compress(&request);
    let members = [compress(front), compress(b""), compress(back)].concat();
    for body in [&whole, &members] {
        for encoding in names {
            let answer = send_traces(&bench, &[("content-encoding", encoding)], body).await;
            assert_eq!(answer.status, StatusCode::OK, "{encoding}");
        }
    }
    assert_eq!(bench.intake.requests().len(), 2 * names.len());
    assert!(bench.intake.requests().iter().all(|kept| kept.1 == request));

    let mut damaged = whole.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    let mut of_other_sum = whole.clone();
    *of_other_sum.last_mut().unwrap() ^= 1;
    let broken = [
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() - 9].to_vec(),
        whole[..10].to_vec(),
        whole[..5].to_vec(),
        members[..members.len() - 3].to_vec(),
        [&whole[..], b"trailing"].concat(),
        damaged,
        of_other_sum,
        request.clone(),
    ];
    for body in broken {
        let answer = send_traces(&bench, &[("content-encoding", names[0])], &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body:?}");
        assert_eq!(bench.last_refusal(), Some(RefusalReason::Undecodable));
    }
    bench.assert_memory_is_free();
}

#[tokio::test]
async fn fault_24_stacked_and_unknown_encodings_are_refused() {
    let bench = Bench::new();
    let body = gzip(&gzip(&traces(&[1])));
    for encodings in [
        &["gzip, gzip"][..],
        &["gzip", "gzip"],
        &["zstd, zstd"],
        &["zstd", "gzip"],
        &["zstd;q=1"],
        &["deflate"],
        &["br"],
        &["gzip, zstd"],
        &["nonsense"],
    ] {
        let headers: Vec<_> = encodings.iter().map(|e| ("content-encoding", *e)).collect();
        let answer = send_traces(&bench, &headers, &body).await;
        assert_eq!(
            answer.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{encodings:?}"
        );
        assert_eq!(bench.last_refusal(), Some(RefusalReason::Encoding));
    }
}

#[tokio::test]
async fn fault_24_a_bomb_is_refused_within_the_memory_of_one_request() {
    // The bench has memory for a request and its compressed form, so a bomb that was let grow
    // would be refused for lack of memory and not for its size.
    let bench = Bench::small();
    for (encoding, body) in [
        ("gzip", bomb(16)),
        ("gzip", [bomb(8), bomb(8)].concat()),
        ("zstd", zstd_bomb(16)),
        ("zstd", zstd_bomb(8).repeat(2)),
        // Each is as large as a request may be, and compresses to a few bytes.
        ("zstd", zstd(&vec![0; 65_536]).repeat(1000)),
    ] {
        let answer = send_traces(&bench, &[("content-encoding", encoding)], &body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(bench.last_refusal(), Some(RefusalReason::TooLarge));
        let status = Status::from_protobuf(&answer.body).unwrap();
        assert!(status.message.contains("65536"), "{}", status.message);
        bench.assert_memory_is_free();
    }
}

#[tokio::test]
async fn the_limit_of_a_request_is_exact() {
    let bench = Bench::small();
    let sizes = (65_300..65_600).map(large_traces);
    let (fits, exceeds): (Vec<_>, Vec<_>) = sizes.partition(|request| request.len() <= 65_536);
    let (fits, exceeds) = (fits.last().unwrap(), exceeds.first().unwrap());
    assert_eq!((fits.len(), exceeds.len()), (65_536, 65_537));
    let answer = send_traces(&bench, &[], fits).await;
    assert_eq!(answer.status, StatusCode::OK);
    for (encoding, body) in [("gzip", gzip(fits)), ("zstd", zstd(fits))] {
        let answer = send_traces(&bench, &[("content-encoding", encoding)], &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}");
    }
    let answer = send_traces(&bench, &[], exceeds).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    bench.assert_memory_is_free();
}

#[tokio::test]
async fn fault_25_protobuf_that_lies_about_its_size_is_refused() {
    let bench = Bench::new();
    let lie = [
        0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01,
    ];
    let answer = send_traces(&bench, &[], &lie).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(bench.last_refusal(), Some(RefusalReason::Undecodable));
}

#[tokio::test]
async fn fault_28_overload_is_said_and_nothing_is_acknowledged() {
    let retry_after = Duration::from_millis(1500);
    let overloaded = IngestError::Overloaded { retry_after };
    let full = IngestError::DiskFull {
        path: "/data".into(),
        retry_after,
    };
    for (error, reason) in [
        (overloaded, RefusalReason::Overloaded),
        (full, RefusalReason::DiskFull),
    ] {
        let bench = Bench::with(Kept::refusing(error), ReceiverConfig::default());
        let answer = send_traces(&bench, &[], &traces(&[1])).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.retry_after.as_deref(), Some("2"));
        let status = Status::from_protobuf(&answer.body).unwrap();
        assert_eq!((status.code, status.retry_after), (14, Some(retry_after)));
        assert_eq!(bench.last_refusal(), Some(reason));
        assert_eq!(bench.state.signal(Signal::Traces).accepted, 0);

        // The client comes back and finds room.
        let answer = send_traces(&bench, &[], &traces(&[1])).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(bench.state.signal(Signal::Traces).stored, 1);
    }
}

#[tokio::test]
async fn fault_28_a_failed_write_may_be_tried_again() {
    let error = IngestError::Write {
        path: "/data".into(),
        message: "input/output error".to_owned(),
    };
    let bench = Bench::with(Kept::refusing(error), ReceiverConfig::default());
    let answer = send_traces(&bench, &[], &traces(&[1])).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
    assert_eq!(bench.last_refusal(), Some(RefusalReason::StoreFailed));
}

#[tokio::test]
async fn fault_28_memory_of_requests_in_flight_is_bounded() {
    let config = ReceiverConfig {
        request_bytes_max: 64 << 10,
        memory_bytes_max: 128 << 10,
        ..ReceiverConfig::default()
    };
    let (arrived, has_arrived) = std::sync::mpsc::channel();
    let (let_go, go_on) = std::sync::mpsc::channel();
    let gate = Some(Gate {
        arrived,
        go_on: Mutex::new(go_on),
    });
    let kept = Kept {
        gate,
        ..Kept::default()
    };
    let bench = Arc::new(Bench::with(kept, config));
    let body = large_traces(50_000);
    let running: Vec<_> = (0..2)
        .map(|_| {
            let (bench, body) = (Arc::clone(&bench), body.clone());
            tokio::spawn(async move { send_traces(&bench, &[], &body).await.status })
        })
        .collect();
    let has_arrived = tokio::task::spawn_blocking(move || {
        has_arrived.recv().unwrap();
        has_arrived.recv().unwrap();
    });
    has_arrived.await.unwrap();
    // Two requests take what there is; the third is told to come back.
    let answer = send_traces(&bench, &[], &body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
    assert_eq!(bench.last_refusal(), Some(RefusalReason::Overloaded));
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    for request in running {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    bench.assert_memory_is_free();
}

#[tokio::test(start_paused = true)]
async fn fault_28_requests_wait_for_their_turn_and_not_for_ever() {
    let config = ReceiverConfig {
        requests_max: 1,
        ..ReceiverConfig::default()
    };
    let bench = Bench::with(Kept::default(), config);
    let busy = Arc::clone(&bench.receiver.inner.requests)
        .acquire_owned()
        .await
        .unwrap();
    let answer = send_traces(&bench, &[], &traces(&[1])).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.last_refusal(), Some(RefusalReason::Overloaded));
    drop(busy);
    let answer = send_traces(&bench, &[], &traces(&[1])).await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// A body that gives some bytes and then ends with an error, or never.
struct Odd {
    data: Option<Bytes>,
    fails: bool,
}

impl Body for Odd {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if self.fails => Poll::Ready(Some(Err("reset"))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fault_27_a_body_that_never_ends_is_given_up() {
    let bench = Bench::new();
    let check = async |fails, status, reason| {
        let request = Request::post("/v1/traces").header("content-type", PROTOBUF);
        let odd = Odd {
            data: Some(Bytes::from_static(&[0x0a])),
            fails,
        };
        let answer = send_body(&bench, request.body(odd).unwrap()).await;
        assert_eq!(answer.status, status);
        assert_eq!(bench.last_refusal(), Some(reason));
        bench.assert_memory_is_free();
    };
    check(false, StatusCode::REQUEST_TIMEOUT, RefusalReason::Slow).await;
    check(true, StatusCode::BAD_REQUEST, RefusalReason::Incomplete).await;
}

/// Data frames without data, without end.
struct EmptyFrames;

impl Body for EmptyFrames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // As a connection does that has more to read but lets others run.
        if yields(cx) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

/// Wakes the task and says yes every other time.
fn yields(cx: &Context<'_>) -> bool {
    use std::sync::atomic::{AtomicBool, Ordering};
    static TURN: AtomicBool = AtomicBool::new(false);
    cx.waker().wake_by_ref();
    TURN.fetch_xor(true, Ordering::Relaxed)
}

#[tokio::test]
async fn fault_27_empty_frames_do_not_keep_a_request_alive() {
    let config = ReceiverConfig {
        body_timeout: Duration::from_millis(50),
        ..ReceiverConfig::default()
    };
    let bench = Bench::with(Kept::default(), config);
    let request = Request::post("/v1/traces").header("content-type", PROTOBUF);
    let answer = send_body(&bench, request.body(EmptyFrames).unwrap()).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn metrics_are_stored_profiles_counted_and_ledgers_kept() {
    let bench = Bench::new();
    let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"m","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"2"}]}}]}]}]}"#;
    let content_type = [("content-type", JSON)];
    let answer = send(&bench, "/v1/metrics", &content_type, json.as_bytes()).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}"));

    let resource = Resource {
        attributes: vec![
            KeyValue::new("service.name", "shop"),
            KeyValue::new("service.instance.id", "i-1"),
        ],
        ..Resource::default()
    };
    let mut ledger = LedgerSnapshot::default();
    ledger.account_mut(Signal::Traces).submitted = 5;
    ledger.account_mut(Signal::Traces).exported = 5;
    let by_thread = ThreadLedger {
        ledger,
        ..ThreadLedger::default()
    };
    let report = Report {
        ledger: &by_thread,
        cost: None,
        delivery: None,
        rules: &[],
        start_unix_nano: 1,
        time_unix_nano: 2,
        is_final: true,
    };
    let report = ledger_report::encode(&resource, &report);
    let answer = send(
        &bench,
        "/v1/metrics",
        &[("content-type", PROTOBUF)],
        &report,
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK);

    let counts = bench.state.signal(Signal::Metrics);
    assert_eq!(
        (counts.requests, counts.not_stored, counts.stored),
        (2, 0, 2)
    );
    assert!(counts.ledger_points > 0);
    assert_eq!(counts.accepted, counts.stored + counts.ledger_points);
    let clients = bench.state.clients();
    assert_eq!(clients.len(), 1);
    assert_eq!(clients[0].report.service, "shop");
    assert!(clients[0].report.is_final);
    assert_eq!(clients[0].report.ledger, ledger);

    let json = r#"{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{}]}]}]}"#;
    let path = "/v1development/profiles";
    let answer = send(&bench, path, &content_type, json.as_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(bench.state.signal(Signal::Profiles).not_stored, 1);
    // What is only a report is not stored.
    let stored: Vec<Signal> = bench.intake.requests().iter().map(|kept| kept.0).collect();
    assert_eq!(stored, [Signal::Metrics]);
}

#[tokio::test]
async fn batch_ids_that_are_not_ours_are_ignored() {
    let bench = Bench::new();
    let long = "x".repeat(200);
    for id in ["", long.as_str()] {
        send_traces(&bench, &[("ringlight-batch-id", id)], &traces(&[1])).await;
    }
    assert!(bench.intake.requests().iter().all(|kept| kept.2.is_none()));
}
