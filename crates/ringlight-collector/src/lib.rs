//! The pipeline: takes records out of the rings, encodes them once, batches them, delivers them,
//! and accounts for every one.
//!
//! [`Pipeline::start`] starts one thread with a small runtime of its own. Application threads
//! [record](Recorder::record) into rings; the collector thread drains them, woken when a ring is
//! half full and by deadline, encodes each record once to OTLP bytes, and shares the finished
//! batches among the destinations ([`Exporter`]) and local [sinks](RecordSink).
//!
//! Spans that are made without `tracing` are submitted by a [`SpanProducer`], to the pipeline behind
//! an [`AsyncSpanCollector`] or to a [`SpanCollector`] that its owner drains.
//!
//! Policies of one's own (repetitions, a rate, a circuit breaker, a timeout) go around any exporter by a
//! [`ResilientExporterBuilder`], in front of a pipeline or without one.
//!
//! It guarantees:
//! - the application never waits for telemetry unless the policy says so ([`OverflowPolicy`]), and
//!   never shares a runtime or a lock with the exporting side;
//! - nothing is unbounded, and whatever is dropped is counted with its reason;
//! - the ledger balances whenever it is read: `submitted + recovered = exported + rejected + dropped + in
//!   flight + spooled`;
//! - [`Pipeline::flush`] and [`Pipeline::shutdown`] work from anywhere and return by their
//!   deadline.
//!
//! It must not know `tracing`, nor any concrete backend.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ringlight_collector::record::{SpanHeader, copy_words};
//! use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
//! use ringlight_collector::{Pipeline, CollectorConfig};
//! use ringlight_model::{CallsiteId, CallsiteRegistry, Signal, SpanId, TraceId};
//!
//! /// Takes every batch and keeps none.
//! struct Sink;
//!
//! impl Exporter for Sink {
//!     async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
//!         Ok(ExportOutcome::default())
//!     }
//!
//!     fn name(&self) -> &str {
//!         "sink"
//!     }
//! }
//!
//! let callsites = Arc::new(CallsiteRegistry::new());
//! let config = CollectorConfig::default();
//! let pipeline = Pipeline::start(config, callsites, vec![Arc::new(Sink)], vec![])?;
//!
//! let span = SpanHeader::new(CallsiteId::new(0), TraceId::new(1), SpanId::new(2)).to_words();
//! let recorder = pipeline.recorder();
//! assert!(recorder.record(Signal::Traces, span.len() * 8, |room| copy_words(span, room)));
//!
//! let ledger = pipeline.shutdown(Duration::from_secs(5));
//! assert!(ledger.balances());
//! assert_eq!(ledger.account(Signal::Traces).exported, 1);
//! # Ok::<(), ringlight_collector::StartError>(())
//! ```
#![forbid(unsafe_code)]

mod accounts;
mod batch;
mod batch_processor;
mod collector;
mod config;
mod control;
mod deadlines;
mod destination;
mod destination_config;
mod encode;
mod export;
mod inbox;
mod lent;
mod mark;
mod meter;
mod metrics;
mod notice;
mod open_spans;
mod pipeline;
mod processing;
pub mod record;
mod recorder;
mod relay;
mod report;
mod requests;
mod resilience;
mod send;
mod sink;
mod sinks;
mod spans;
mod spool;
mod spread;
mod stream;
mod submit;
mod sync;
mod tail;
mod template;
mod text;
mod thread;
mod wait;

pub use batch_processor::BatchProcessor;
pub use config::{CollectorConfig, CollectorConfigError, OverflowPolicy, RetryConfig};
pub use destination_config::{DestinationConfig, DestinationSpoolMode};
pub use export::{
    BatchId, EncodedBatch, ExportError, ExportFuture, ExportOutcome, Exporter, ExporterBoxed,
};
pub use lent::Lent;
pub use mark::{in_pipeline, mark_thread, outside_pipeline, within_pipeline};
pub use meter::{Governor, Measured, Meter};
pub use metrics::CollectorMetrics;
pub use notice::{Notice, Notices};
pub use open_spans::{OpenSpanSource, SeenSpan};
pub use pipeline::{FlushError, Pipeline, StartError};
pub use processing::{
    HashKey, Processing, RecordPattern, Redaction, RedactionError, Replacement, RuleCount,
    SensitiveData,
};
pub use recorder::Recorder;
pub use relay::Relay;
pub use requests::{AttributeRules, RequestSender};
pub use resilience::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerExporter, CircuitBreakerStats, CircuitOpen,
    CircuitPermit, CircuitState, Cost, Quota, RateLimitStats, RateLimitedExporter, RateLimiter,
    RateLimiterBoxed, RateUnit, ResilienceStats, ResilientExporter, ResilientExporterBuilder,
    RetryPolicy, RetryStats, RetryingExporter, SlidingWindow, TimeoutExporter, TimeoutStats,
    TokenBucket,
};
pub use ringlight_ring::RegisterError;
pub use ringlight_spool::{Disk, SpoolError, SystemDisk};
pub use sink::{LogFilter, RecordFilter, RecordSink};
pub use spans::{
    AsyncSpanCollector, AsyncSpanProducer, AttributeValue, OpenSpan, SpanBatch, SpanCollector,
    SpanContext, SpanExporter, SpanExporterAdapter, SpanExporterBoxed, SpanProducer, SpanRegistrar,
    SpanTemplate, SubmitError,
};
pub use spool::{SpoolConfig, SpoolMode};
pub use tail::TailSampling;
pub use thread::current_thread_number;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
