//! Spans without `tracing`: producers that submit them, and collectors that drain them.
//!
//! - [`SpanCollector`]: rings and nothing else. Whoever owns it drains it.
//! - [`AsyncSpanCollector`]: the whole pipeline behind the same rings, with producers that wait
//!   without holding a thread.
//! - [`SpanProducer`] and [`AsyncSpanProducer`]: one ring each, owned by one task or thread at a time.
//!
//! A span is submitted in one of two ways. An [`OpenSpan`] is timed here: begun from a
//! [`SpanTemplate`], whose name and keys are `'static`, it is written straight into the ring when it
//! ends, without an allocation. A whole [`Span`](ringlight_model::Span), with whatever OTLP knows of
//! (events, links, nested values), is encoded by the thread that submits it.

mod batch;
mod bridge;
mod collector;
mod exporter;
mod limits;
mod producer;
mod template;

pub use batch::SpanBatch;
pub(crate) use batch::span_of_item;
pub use bridge::{AsyncSpanCollector, AsyncSpanProducer};
pub use collector::{SpanCollector, SpanRegistrar};
pub use exporter::{SpanExporter, SpanExporterAdapter, SpanExporterBoxed};
pub(crate) use limits::within_limits;
pub(crate) use producer::Origin;
pub use producer::{OpenSpan, SpanContext, SpanProducer, SubmitError};
pub use template::{AttributeValue, SpanTemplate};
