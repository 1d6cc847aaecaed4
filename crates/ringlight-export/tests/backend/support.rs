//! What these tests share.

use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::record::{ItemWriter, SpanHeader, copy_words};
use ringlight_collector::{
    BatchId, CollectorConfig, EncodedBatch, ExportError, ExportOutcome, ExporterBoxed, Pipeline,
    Recorder, RetryConfig,
};
use ringlight_export::{OtlpConfig, OtlpGrpcExporter, OtlpHttpExporter};
use ringlight_model::{
    CallsiteId, CallsiteRegistry, KeyValue, Resource, Scope, Signal, Span, SpanId, TraceId,
};
use ringlight_testing::Format;

/// How long anything is waited for. Only reached when something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
    Json,
}

pub(crate) const PROTOCOLS: [Protocol; 3] = [Protocol::Grpc, Protocol::Http, Protocol::Json];

impl Protocol {
    pub(crate) fn exporter(self, config: &OtlpConfig) -> Arc<dyn ExporterBoxed> {
        match self {
            Self::Grpc => Arc::new(OtlpGrpcExporter::new(config).unwrap()),
            Self::Http => Arc::new(OtlpHttpExporter::new(config).unwrap()),
            Self::Json => Arc::new(OtlpHttpExporter::json(config).unwrap()),
        }
    }

    pub(crate) const fn format(self) -> Format {
        match self {
            Self::Grpc => Format::Grpc,
            Self::Http => Format::Protobuf,
            Self::Json => Format::Json,
        }
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A batch of one span.
pub(crate) fn batch(sequence: u64) -> EncodedBatch {
    let span = Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(sequence),
        name: "alone".into(),
        ..Span::default()
    };
    let request = ringlight_otlp::encode::request(&Resource::default(), &Scope::default(), &[span]);
    EncodedBatch {
        signal: Signal::Traces,
        bytes: request.into(),
        records: 1,
        id: BatchId::new("test".into(), sequence),
    }
}

/// One attempt, on a runtime of its own.
pub(crate) fn export_once(exporter: &Arc<dyn ExporterBoxed>) -> Result<ExportOutcome, ExportError> {
    runtime().block_on(async {
        tokio::time::timeout(PATIENCE, exporter.export_boxed(batch(1)))
            .await
            .expect("an attempt ends")
    })
}

/// Several attempts that begin at once, on a runtime of their own.
pub(crate) fn export_at_once(
    exporter: &Arc<dyn ExporterBoxed>,
    count: u64,
) -> Vec<Result<ExportOutcome, ExportError>> {
    runtime().block_on(async {
        let mut attempts = tokio::task::JoinSet::new();
        for sequence in 1..=count {
            let exporter = Arc::clone(exporter);
            attempts.spawn(async move { exporter.export_boxed(batch(sequence)).await });
        }
        tokio::time::timeout(PATIENCE, attempts.join_all())
            .await
            .expect("attempts end")
    })
}

pub(crate) fn config() -> CollectorConfig {
    CollectorConfig {
        batch_delay: Duration::from_millis(1),
        report_interval: Duration::ZERO,
        retry: RetryConfig {
            delay_first: Duration::from_millis(1),
            delay_max: Duration::from_millis(5),
            ..RetryConfig::default()
        },
        resource: Resource {
            attributes: vec![KeyValue::new("service.name", "test")],
            dropped_attributes_count: 0,
        },
        ..CollectorConfig::default()
    }
}

pub(crate) fn start(config: CollectorConfig, exporter: Arc<dyn ExporterBoxed>) -> Pipeline {
    let callsites = Arc::new(CallsiteRegistry::new());
    Pipeline::start(config, callsites, vec![exporter], Vec::new()).unwrap()
}

/// Hands over a span whose id is `number`.
pub(crate) fn record_span(recorder: &Recorder, number: u64) -> bool {
    let header = SpanHeader::new(CallsiteId::new(0), TraceId::new(1), SpanId::new(number));
    let mut words = header.to_words().to_vec();
    let _ = ItemWriter::new(&mut words, 1024).name("numbered");
    recorder.record(Signal::Traces, words.len() * 8, |buffer| {
        copy_words(words.iter().copied(), buffer);
    })
}
