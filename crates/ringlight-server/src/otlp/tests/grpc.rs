//! OTLP/gRPC, called by the clients that tonic and opentelemetry-proto make.

use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use ringlight_model::Signal;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use super::*;

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

fn request(bytes: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(bytes).unwrap()
}

#[tokio::test]
async fn stock_clients_deliver_every_signal() {
    let bench = Bench::new();
    let served = bench.serve().await;
    let channel = connect(served.grpc).await;

    let mut traces_client = TraceServiceClient::new(channel.clone());
    let mut call = tonic::Request::new(request(&traces(&[1, 2])));
    let id = "i-7".parse().unwrap();
    call.metadata_mut().insert("ringlight-batch-id", id);
    let response = traces_client.export(call).await.unwrap().into_inner();
    assert_eq!(response.partial_success, None);

    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![LogRecord::default(); 3],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let mut logs_client = LogsServiceClient::new(channel.clone());
    logs_client.export(logs).await.unwrap();
    let mut metrics_client = MetricsServiceClient::new(channel);
    let metrics = ExportMetricsServiceRequest::default();
    metrics_client.export(metrics).await.unwrap();

    assert_eq!(bench.intake.requests()[0].2.as_deref(), Some("i-7"));
    assert_eq!(bench.state.signal(Signal::Traces).stored, 2);
    assert_eq!(bench.state.signal(Signal::Logs).stored, 3);
    assert_eq!(bench.state.signal(Signal::Metrics).requests, 1);
    assert_eq!(bench.state.refused(), [].into());
    bench.assert_memory_is_free();
    served.stop().await;
}

#[tokio::test]
async fn bad_records_are_told_through_partial_success() {
    let bench = Bench::new();
    let served = bench.serve().await;
    let mut client = TraceServiceClient::new(connect(served.grpc).await);
    let response = client.export(request(&traces(&[1, 0]))).await.unwrap();
    let partial = response.into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("span id"));
    served.stop().await;
}

#[tokio::test]
async fn fault_24_gzip_is_taken_and_its_bombs_are_not() {
    let bench = Bench::small();
    let served = bench.serve().await;
    let channel = connect(served.grpc).await;
    let mut client = TraceServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    client.export(request(&traces(&[1, 2]))).await.unwrap();
    assert_eq!(bench.state.signal(Signal::Traces).stored, 2);

    let status = client
        .export(request(&large_traces(16 << 20)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    // Without RetryInfo, since it would be refused for ever.
    let details = ringlight_otlp::response::Status::from_protobuf(status.details()).unwrap();
    assert_eq!(details.retry_after, None);
    assert_eq!(bench.last_refusal(), Some(RefusalReason::TooLarge));
    bench.assert_memory_is_free();
    served.stop().await;
}

#[tokio::test]
async fn a_request_over_the_limit_is_resource_exhausted() {
    let bench = Bench::small();
    let served = bench.serve().await;
    let mut client = TraceServiceClient::new(connect(served.grpc).await);
    let status = client
        .export(request(&large_traces(1 << 20)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    // The connection goes on.
    client.export(request(&traces(&[1]))).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn fault_28_overload_is_unavailable_with_the_time_to_come_back() {
    let retry_after = Duration::from_secs(3);
    let overloaded = IngestError::Overloaded { retry_after };
    let bench = Bench::with(Kept::refusing(overloaded), ReceiverConfig::default());
    let served = bench.serve().await;
    let mut client = TraceServiceClient::new(connect(served.grpc).await);
    let status = client.export(request(&traces(&[1]))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("overloaded"));
    let details = ringlight_otlp::response::Status::from_protobuf(status.details()).unwrap();
    assert_eq!(details.retry_after, Some(retry_after));
    assert_eq!(details.message, status.message());
    client.export(request(&traces(&[1]))).await.unwrap();
    assert_eq!(bench.state.signal(Signal::Traces).stored, 1);
    served.stop().await;
}

/// The answer to a call with the given headers and body: the gRPC status of it, and the reason it
/// was refused for.
async fn call(bench: &Bench, headers: &[(&str, &str)], body: Vec<u8>) -> (String, RefusalReason) {
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let mut request = Request::post(path)
        .version(::http::Version::HTTP_2)
        .header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let response = super::super::grpc::answer(&bench.receiver, PEER, request).await;
    assert_eq!(response.status(), 200);
    let status = response.headers()["grpc-status"].to_str().unwrap();
    (status.to_owned(), bench.last_refusal().unwrap())
}

fn framed(flag: u8, length: u32, message: &[u8]) -> Vec<u8> {
    let mut body = vec![flag];
    body.extend(length.to_be_bytes());
    body.extend(message);
    body
}

#[tokio::test]
async fn malformed_calls_are_refused_with_their_status() {
    let bench = Bench::small();
    let good = traces(&[1]);
    let length = good.len() as u32;
    let gzip_header = [("grpc-encoding", "gzip")];
    let check = async |headers: &[(&str, &str)], body: Vec<u8>, status: &str, reason| {
        let answer = call(&bench, headers, body).await;
        assert_eq!(answer, (status.to_owned(), reason));
        bench.assert_memory_is_free();
    };
    check(&[], vec![], "3", RefusalReason::Incomplete).await;
    check(&[], vec![0, 0, 0], "3", RefusalReason::Incomplete).await;
    check(
        &[],
        framed(0, length + 1, &good),
        "3",
        RefusalReason::Incomplete,
    )
    .await;
    check(
        &[],
        framed(0, length - 1, &good),
        "3",
        RefusalReason::Undecodable,
    )
    .await;
    check(
        &[],
        framed(7, length, &good),
        "3",
        RefusalReason::Undecodable,
    )
    .await;
    check(&[], framed(1, length, &good), "12", RefusalReason::Encoding).await;
    // A declared length costs nothing but the refusal.
    check(
        &[],
        framed(0, u32::MAX, &good),
        "8",
        RefusalReason::TooLarge,
    )
    .await;
    check(
        &gzip_header,
        framed(1, length, &good),
        "3",
        RefusalReason::Undecodable,
    )
    .await;
    let cut = &gzip(&good)[..20];
    check(
        &gzip_header,
        framed(1, 20, cut),
        "3",
        RefusalReason::Undecodable,
    )
    .await;
    let bomb = bomb(4);
    let bombed = framed(1, bomb.len() as u32, &bomb);
    check(&gzip_header, bombed, "8", RefusalReason::TooLarge).await;
    let zstd_header = [("grpc-encoding", "zstd")];
    for cut in [&zstd(&good)[..20], &gzip(&good), &good] {
        let body = framed(1, cut.len() as u32, cut);
        check(&zstd_header, body, "3", RefusalReason::Undecodable).await;
    }
    let bomb = zstd_bomb(4);
    let bombed = framed(1, bomb.len() as u32, &bomb);
    check(&zstd_header, bombed, "8", RefusalReason::TooLarge).await;
    for encoding in ["snappy", "deflate", "gzip,gzip", "gzip,zstd"] {
        let headers = [("grpc-encoding", encoding)];
        check(
            &headers,
            framed(1, length, &good),
            "12",
            RefusalReason::Encoding,
        )
        .await;
    }
    check(&[], framed(0, 3, b"abc"), "3", RefusalReason::Undecodable).await;
    assert!(bench.intake.requests().is_empty());
}

#[tokio::test]
async fn fault_24_zstd_is_taken_and_offered() {
    let bench = Bench::new();
    let request = traces(&[1, 2]);
    let (front, back) = request.split_at(20);
    for message in [zstd(&request), [zstd(front), zstd(back)].concat()] {
        let framed = framed(1, message.len() as u32, &message);
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let call = Request::post(path)
            .version(::http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("grpc-encoding", "zstd")
            .body(Full::new(Bytes::from(framed)))
            .unwrap();
        let response = super::super::grpc::answer(&bench.receiver, PEER, call).await;
        let offered = &response.headers()["grpc-accept-encoding"];
        assert_eq!(offered, "identity,gzip,zstd");
        let body = http_body_util::BodyExt::collect(response.into_body());
        assert_eq!(body.await.unwrap().trailers().unwrap()["grpc-status"], "0");
    }
    assert_eq!(bench.intake.requests().len(), 2);
    assert!(bench.intake.requests().iter().all(|kept| kept.1 == request));
    bench.assert_memory_is_free();
}

#[tokio::test]
async fn an_empty_message_is_a_success_and_gzip_may_be_declared_but_not_used() {
    let bench = Bench::new();
    let path = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    let request = Request::post(path)
        .version(::http::Version::HTTP_2)
        .header("content-type", "application/grpc+proto")
        .header("grpc-encoding", "gzip")
        .body(Full::new(Bytes::from(framed(0, 0, b""))))
        .unwrap();
    let response = super::super::grpc::answer(&bench.receiver, PEER, request).await;
    assert!(!response.headers().contains_key("grpc-status"));
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), Bytes::from_static(&[0; 5]));
}

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let bench = Bench::new();
    for path in [
        "/grpc.health.v1.Health/Check",
        "/opentelemetry.proto.collector.trace.v1.TraceService/export",
        "/opentelemetry.proto.collector.",
        "/",
    ] {
        let request = Request::post(path)
            .version(::http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::new()))
            .unwrap();
        let response = super::super::grpc::answer(&bench.receiver, PEER, request).await;
        assert_eq!(response.headers()["grpc-status"], "12", "{path}");
        assert_eq!(bench.last_refusal(), Some(RefusalReason::UnknownPath));
    }
}
