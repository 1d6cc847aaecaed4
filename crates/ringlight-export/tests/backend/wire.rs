//! What a request is on the wire: every protocol, every compression, in the clear and with TLS.

use std::time::Duration;

use ringlight_collector::{BatchId, CollectorConfig, EncodedBatch};
use ringlight_export::{Compression, OtlpConfig};
use ringlight_model::{
    KeyValue, LogRecord, Resource, Scope, Severity, Signal, Span, SpanId, TraceId, Value,
};
use ringlight_testing::Backend;

use crate::support::{PATIENCE, PROTOCOLS, Protocol, config, record_span, runtime, start};

const COMPRESSIONS: &[Compression] = &[
    Compression::None,
    Compression::Gzip,
    #[cfg(feature = "zstd")]
    Compression::Zstd,
];

/// Every way a request can be written, with its name.
fn every_way(mut check: impl FnMut(Protocol, Compression, bool, &str)) {
    for protocol in PROTOCOLS {
        for &compression in COMPRESSIONS {
            for is_tls in [false, true] {
                if is_tls && !cfg!(feature = "tls") {
                    continue;
                }
                let tls = if is_tls { "TLS" } else { "plain" };
                let name = format!("{protocol:?}, {compression:?}, {tls}");
                check(protocol, compression, is_tls, &name);
            }
        }
    }
}

/// A backend, and how to reach it.
fn backend(is_tls: bool) -> (Backend, OtlpConfig, Option<tempfile::TempDir>) {
    if !is_tls {
        let backend = Backend::start();
        let config = OtlpConfig::new(backend.url());
        return (backend, config, None);
    }
    #[cfg(feature = "tls")]
    {
        let authority = ringlight_testing::Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, authority.certificate()).unwrap();
        let backend = Backend::start_tls(ringlight_testing::TlsSetup::new(authority.server()));
        let config = OtlpConfig::new(backend.url()).ca_certificate_file(file);
        (backend, config, Some(folder))
    }
    #[cfg(not(feature = "tls"))]
    unreachable!("without TLS nobody asks for it")
}

#[test]
fn spans_arrive_by_every_protocol_with_every_compression_with_and_without_tls() {
    const SPANS: u64 = 2_000;
    every_way(|protocol, compression, is_tls, name| {
        let (backend, destination, _files) = backend(is_tls);
        let settings = CollectorConfig {
            batch_delay: Duration::from_secs(60),
            ..config()
        };
        let exporter = protocol.exporter(&destination.compression(compression));
        let pipeline = start(settings, exporter);
        for number in 1..=SPANS {
            assert!(record_span(&pipeline.recorder(), number), "{name}");
        }
        let ledger = pipeline.shutdown(PATIENCE);
        let seen = backend.stop();
        seen.assert_agrees_with(&ledger);
        assert_eq!(seen.spans().len() as u64, SPANS, "{name}");
        let delivery = pipeline.deliveries().remove(0).1;
        let delivery = delivery.signal(Signal::Traces);
        let wire_bytes: usize = seen.data().map(|request| request.wire_bytes).sum();
        assert_eq!(delivery.wire_bytes, wire_bytes as u64, "{name}");
        assert_eq!(delivery.records, SPANS, "{name}");
        let expected = match compression {
            Compression::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Compression::Zstd => "zstd",
            _ => "",
        };
        for request in seen.data() {
            assert_eq!(request.format, protocol.format(), "{name}");
            assert_eq!(request.compression, expected, "{name}");
            if compression != Compression::None {
                let (wire, whole) = (request.wire_bytes, request.body.len());
                assert!(wire < whole / 2, "{name}: {wire} of {whole} bytes");
            }
        }
    });
}

#[test]
fn logs_and_reports_arrive_in_the_same_way() {
    every_way(|protocol, compression, is_tls, name| {
        let (backend, destination, _files) = backend(is_tls);
        let exporter = protocol.exporter(&destination.compression(compression));
        let record = LogRecord {
            severity: Severity::INFO,
            body: Value::from("hello"),
            attributes: vec![KeyValue::new("number", u64::MAX as i64)],
            ..LogRecord::default()
        };
        let bytes =
            ringlight_otlp::encode::request(&Resource::default(), &Scope::default(), &[record]);
        let of = |signal, bytes: Vec<u8>, sequence| EncodedBatch {
            signal,
            bytes: bytes.into(),
            records: 1,
            id: BatchId::new("test".into(), sequence),
        };
        runtime().block_on(async {
            let logs = exporter.export_boxed(of(Signal::Logs, bytes, 1)).await;
            logs.unwrap();
            let report = of(Signal::Metrics, Vec::new(), 2);
            exporter.export_boxed(report).await.unwrap();
        });
        let seen = backend.stop();
        let [record] = &seen.log_records()[..] else {
            panic!("{name}: {seen:?}");
        };
        assert_eq!(record.attributes[0].key, "number", "{name}");
        let report = &seen.requests[1];
        assert_eq!(report.signal, Signal::Metrics, "{name}");
        assert_eq!(report.format, protocol.format(), "{name}");
    });
}

#[test]
fn a_span_is_the_same_in_json_and_in_protobuf() {
    let span = Span {
        trace_id: TraceId::new(0x0102),
        span_id: SpanId::new(0x0304),
        name: "\"quoted\"\n\u{1f980}".into(),
        attributes: vec![
            KeyValue::new("int", i64::MIN),
            KeyValue::new("double", 0.1),
            KeyValue::new("bool", true),
            KeyValue::new("text", "\u{0}\u{7f}é"),
        ],
        ..Span::default()
    };
    let bytes = ringlight_otlp::encode::request(&Resource::default(), &Scope::default(), &[span]);
    let batch = EncodedBatch {
        signal: Signal::Traces,
        bytes: bytes.into(),
        records: 1,
        id: BatchId::new("test".into(), 1),
    };
    let received = PROTOCOLS.map(|protocol| {
        let backend = Backend::start();
        let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
        let sent = runtime().block_on(exporter.export_boxed(batch.clone()));
        sent.unwrap();
        backend.stop().requests[0].traces()
    });
    assert_eq!(received[0], received[1]);
    assert_eq!(received[0], received[2]);
}

#[test]
fn what_cannot_be_written_as_json_is_counted_as_refused() {
    let backend = Backend::start();
    let exporter = Protocol::Json.exporter(&OtlpConfig::new(backend.url()));
    let span = |number| Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(number),
        ..Span::default()
    };
    // As a relay may be given: nobody can read a span without an id.
    let spans = [span(1), span(0), span(2)];
    let bytes = ringlight_otlp::encode::request(&Resource::default(), &Scope::default(), &spans);
    let batch = EncodedBatch {
        signal: Signal::Traces,
        bytes: bytes.into(),
        records: 3,
        id: BatchId::new("test".into(), 1),
    };
    let outcome = runtime().block_on(exporter.export_boxed(batch)).unwrap();
    assert_eq!(backend.stop().spans().len(), 2);
    assert_eq!(outcome.rejected, 1);
    assert_eq!(
        outcome.message.unwrap(),
        "1 records do not decode, and cannot be written as JSON"
    );
}
