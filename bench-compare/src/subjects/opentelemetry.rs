//! The OpenTelemetry SDK: called directly, and under `tracing-opentelemetry`.

use std::time::Duration;

use anyhow::Result;
use bench_workload::{Took, id, route};
use opentelemetry::{
    Context, KeyValue,
    trace::{Span, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{Compression, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Runtime;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

use super::{Ending, Producer, Recording, Settings, macros::Macros};
use crate::plan::{BURST_QUEUE_SPANS, Packing, Room, Sampling, Shape};

/// The SDK, its exporter and the runtime that its connection lives on.
struct Sdk {
    provider: SdkTracerProvider,
    _runtime: Runtime,
}

/// The runtime and exporter of a peer: gRPC, compressed as asked for, everything else by default.
pub(super) fn exporter(settings: &Settings<'_>) -> Result<(Runtime, SpanExporter)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(settings.endpoint);
    let exporter = match settings.shipping.packing {
        Packing::None => exporter,
        Packing::Gzip => exporter.with_compression(Compression::Gzip),
        Packing::Zstd => exporter.with_compression(Compression::Zstd),
    };
    let exporter = exporter.build()?;
    drop(entered);
    Ok((runtime, exporter))
}

/// What all peers say about the process.
pub(super) fn resource() -> Resource {
    Resource::builder()
        .with_service_name("bench-compare")
        .build()
}

impl Sdk {
    fn start(settings: &Settings<'_>) -> Result<Self> {
        let (runtime, exporter) = exporter(settings)?;
        let config = match settings.room {
            Room::Default => BatchConfigBuilder::default(),
            Room::Burst => BatchConfigBuilder::default().with_max_queue_size(BURST_QUEUE_SPANS),
            // It has no policy that waits: a queue that holds everything is the nearest.
            Room::Lossless => BatchConfigBuilder::default()
                .with_max_queue_size(usize::try_from(settings.spans_count)? + 1),
        };
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(config.build())
            .build();
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(resource());
        if settings.sampling == Sampling::AlwaysOff {
            provider = provider.with_sampler(Sampler::AlwaysOff);
        }
        Ok(Self {
            provider: provider.build(),
            _runtime: runtime,
        })
    }

    fn finish(self) -> Result<()> {
        Ok(self
            .provider
            .shutdown_with_timeout(Duration::from_secs(120))?)
    }
}

/// The SDK behind `tracing`'s macros.
pub(super) struct Layer(Sdk);

pub(super) fn start_layer(settings: &Settings<'_>, lean: bool) -> Result<Layer> {
    let sdk = Sdk::start(settings)?;
    let mut layer = tracing_opentelemetry::layer().with_tracer(sdk.provider.tracer("bench"));
    if lean {
        layer = layer
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false);
    }
    // The transport uses `tracing` below this level itself; without a limit the peer would feed on
    // its own output. As a filter of the whole subscriber it costs next to nothing.
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer);
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(Layer(sdk))
}

impl Recording for Layer {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(Macros))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        self.0.finish()?;
        Ok(Ending::default())
    }
}

/// The SDK called directly.
pub(super) struct Direct {
    tracer: SdkTracer,
    sdk: Sdk,
}

pub(super) fn start_tracer(settings: &Settings<'_>) -> Result<Direct> {
    let sdk = Sdk::start(settings)?;
    Ok(Direct {
        tracer: sdk.provider.tracer("bench"),
        sdk,
    })
}

fn attributes(sequence: u64) -> [KeyValue; 3] {
    [
        KeyValue::new("id", id(sequence)),
        KeyValue::new("route", route(sequence)),
        KeyValue::new("took", Took(sequence).to_string()),
    ]
}

impl Producer for &SdkTracer {
    fn burst(&mut self, shape: Shape, first: u64, count: u64) {
        let tracer = *self;
        let none = Context::new();
        for unit in first..first + count {
            match shape {
                Shape::Flat => tracer
                    .span_builder("root")
                    .start_with_context(tracer, &none)
                    .end(),
                Shape::Flat3 => tracer
                    .span_builder("root")
                    .with_attributes(attributes(unit))
                    .start_with_context(tracer, &none)
                    .end(),
                Shape::Event => {
                    let mut span = tracer
                        .span_builder("root")
                        .start_with_context(tracer, &none);
                    span.add_event("ping", vec![KeyValue::new("id", id(unit))]);
                    span.end();
                }
                Shape::Tree => {
                    let root = tracer
                        .span_builder("root")
                        .start_with_context(tracer, &none);
                    let context = none.with_span(root);
                    for _ in 0..Shape::CHILDREN_COUNT {
                        tracer
                            .span_builder("child")
                            .start_with_context(tracer, &context)
                            .end();
                    }
                    context.span().end();
                }
                Shape::Tree3 => {
                    let first = unit * shape.spans_per_unit();
                    let root = tracer
                        .span_builder("root")
                        .with_attributes(attributes(first))
                        .start_with_context(tracer, &none);
                    let context = none.with_span(root);
                    for child in 1..=Shape::CHILDREN_COUNT {
                        tracer
                            .span_builder("child")
                            .with_attributes(attributes(first + child))
                            .start_with_context(tracer, &context)
                            .end();
                    }
                    context.span().end();
                }
                // Made by a service: see `requests`.
                Shape::Request => {}
            }
        }
    }
}

impl Recording for Direct {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(&self.tracer))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        self.sdk.finish()?;
        Ok(Ending::default())
    }
}
