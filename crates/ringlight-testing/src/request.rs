//! Requests, as they come over the wire.

use std::io::Read as _;

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use ringlight_model::Signal;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Protobuf in gRPC.
    Grpc,
    /// Protobuf over HTTP.
    Protobuf,
    /// JSON over HTTP.
    Json,
}

pub(crate) fn signal_of(path: &str) -> Option<Signal> {
    Some(match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        path if path.ends_with("/v1/traces") => Signal::Traces,
        path if path.ends_with("/v1/logs") => Signal::Logs,
        path if path.ends_with("/v1/metrics") => Signal::Metrics,
        _ => return None,
    })
}

pub(crate) fn format_of(headers: &HeaderMap) -> Format {
    match headers
        .get(http::header::CONTENT_TYPE)
        .map(|value| value.as_bytes())
    {
        Some(value) if value.starts_with(b"application/grpc") => Format::Grpc,
        Some(b"application/json") => Format::Json,
        _ => Format::Protobuf,
    }
}

/// The request without framing and compression, as protobuf, and the name of its compression.
///
/// # Panics
/// If it is not what its headers say.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub(crate) fn whole(
    mut body: Bytes,
    format: Format,
    signal: Signal,
    headers: &HeaderMap,
) -> (Bytes, String) {
    let text = |name: &str| {
        let value = headers.get(name).map(|value| value.to_str());
        value.map(|value| value.expect("encodings are text").to_owned())
    };
    let encoding = if format == Format::Grpc {
        // One message: a byte for compression, four for the length.
        let is_compressed = body.get_u8() == 1;
        assert_eq!(body.get_u32() as usize, body.len(), "the length is right");
        let named = text("grpc-encoding");
        assert_eq!(is_compressed, named.is_some());
        named
    } else {
        text("content-encoding")
    };
    let encoding = encoding.unwrap_or_default();
    let body = decompressed(&encoding, body);
    let body = if format == Format::Json {
        from_json(&body, signal)
    } else {
        body
    };
    (body, encoding)
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn decompressed(encoding: &str, body: Bytes) -> Bytes {
    let mut whole = Vec::new();
    match encoding {
        "" => return body,
        "gzip" => {
            let mut decoder = flate2::bufread::GzDecoder::new(&body[..]);
            decoder.read_to_end(&mut whole).expect("it is gzip");
            assert!(decoder.into_inner().is_empty(), "nothing follows");
        }
        "zstd" => whole = zstd::decode_all(&body[..]).expect("it is zstd"),
        other => panic!("no backend takes `{other}`"),
    }
    whole.into()
}

/// By the generated types, which also read JSON: other code than ours.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn from_json(json: &[u8], signal: Signal) -> Bytes {
    const IS_JSON: &str = "it is OTLP in JSON";
    let protobuf = match signal {
        Signal::Logs => {
            let request: ExportLogsServiceRequest = serde_json::from_slice(json).expect(IS_JSON);
            request.encode_to_vec()
        }
        Signal::Metrics => {
            let request: ExportMetricsServiceRequest = serde_json::from_slice(json).expect(IS_JSON);
            request.encode_to_vec()
        }
        _ => {
            let request: ExportTraceServiceRequest = serde_json::from_slice(json).expect(IS_JSON);
            request.encode_to_vec()
        }
    };
    protobuf.into()
}
