//! Spans without `tracing`: build them, submit them, drain or export them.
//!
//! For services and tools that make spans themselves: load generators, proxies, bridges from other
//! formats, hot paths that want nothing between them and the ring. It is the pipeline that
//! [`init`](crate::init) uses (rings, batches, retries, one exact ledger) with its parts in hand.
//!
//! | to | use |
//! |---|---|
//! | export spans from tasks, with backpressure | [`AsyncSpanCollector`], [`AsyncSpanProducer`] |
//! | time spans on a hot path, without an allocation | [`SpanTemplate`], [`SpanProducer::start`], [`SpanProducer::end`] |
//! | submit whole spans with events, links, nested values | [`Span`], [`SpanProducer::submit_span`] |
//! | drain the rings oneself | [`SpanCollector`], [`SpanCollector::consume_all_up_to`], [`BatchProcessor`] |
//! | send spans somewhere else | [`SpanExporter`], or [`SpanExporterBoxed`] for a choice at run time |
//! | repeat, limit, or leave a backend alone by rules of one's own | [`ResilientExporterBuilder`] |
//! | send what `init` records somewhere else | [`Exporter`]; [`SpanBatch`] looks into its batches |
//! | send to several places, each with its own rules | [`DestinationConfig`], [`Builder::destination`](crate::Builder::destination) |
//! | pass on requests that others have made | [`Relay`], `Builder::start_relay` |
//! | see every record in this process | [`RecordSink`](crate::RecordSink), [`record`] |
//! | add such spans to those of `tracing` | [`Telemetry::register_producer`](crate::Telemetry::register_producer), [`TraceContext`](crate::TraceContext) as their parent |
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ringlight::collector::{AsyncSpanCollector, CollectorConfig, SpanTemplate};
//! # #[cfg(feature = "otel")]
//! use ringlight::collector::{FallbackExporter, OtlpConfig, OtlpGrpcExporter, OtlpHttpExporter};
//!
//! static ORDER: SpanTemplate<2> = SpanTemplate::new("shop", "place order", ["id", "customer"]);
//! static STEP: SpanTemplate<1> = SpanTemplate::new("shop", "step", ["number"]);
//!
//! # #[cfg(feature = "otel")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // gRPC, and HTTP where a network does not let that through.
//! let exporter = FallbackExporter::new(
//!     OtlpGrpcExporter::new(&OtlpConfig::new("http://localhost:4317"))?,
//!     OtlpHttpExporter::new(&OtlpConfig::new("http://localhost:4318"))?,
//! );
//! let collector = AsyncSpanCollector::new(CollectorConfig::low_latency(), Arc::new(exporter))?;
//! let mut producer = collector.register()?; // one for each task
//!
//! let order = producer.start(&ORDER);
//! let step = producer.start_child(&STEP, order.context());
//! producer.end(step, [1.into()]).await;
//! producer.end(order, [7.into(), "ada".into()]).await;
//!
//! let ledger = collector.shutdown(Duration::from_secs(5)).await;
//! assert!(ledger.balances());
//! # Ok(())
//! # }
//! ```
//!
//! `examples/demo.rs` and `examples/span_generator.rs` are whole programs.

pub use ringlight_collector::record;
pub use ringlight_collector::{
    AsyncSpanCollector, AsyncSpanProducer, AttributeValue, BatchId, BatchProcessor, CircuitBreaker,
    CircuitBreakerConfig, CircuitBreakerExporter, CircuitBreakerStats, CircuitOpen, CircuitPermit,
    CircuitState, CollectorConfig, CollectorConfigError, CollectorMetrics, Cost, DestinationConfig,
    DestinationSpoolMode, EncodedBatch, ExportError, ExportFuture, ExportOutcome, Exporter,
    ExporterBoxed, Notice, Notices, OpenSpan, Quota, RateLimitStats, RateLimitedExporter,
    RateLimiter, RateLimiterBoxed, RateUnit, RecordFilter, RegisterError, Relay, ResilienceStats,
    ResilientExporter, ResilientExporterBuilder, RetryConfig, RetryPolicy, RetryStats,
    RetryingExporter, SlidingWindow, SpanBatch, SpanCollector, SpanContext, SpanExporter,
    SpanExporterAdapter, SpanExporterBoxed, SpanProducer, SpanRegistrar, SpanTemplate, StartError,
    SubmitError, TimeoutExporter, TimeoutStats, TokenBucket,
};
#[cfg(feature = "otel")]
pub use ringlight_export::{
    Compression, EndpointError, FallbackExporter, JsonLinesExporter, NullExporter, OtlpConfig,
    OtlpExporter, OtlpGrpcExporter, OtlpHttpExporter,
};
pub use ringlight_model::{
    Callsite, CallsiteId, CallsiteRegistry, KeyValue, Limits, Resource, Scope, Span, SpanEvent,
    SpanId, SpanKind, SpanLink, Status, StatusCode, TraceId, Value,
};
