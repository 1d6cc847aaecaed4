//! `tracing-opentelemetry`: spans for the OpenTelemetry SDK, and its helpers.

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::{Span, debug_span, info, info_span};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::{Ours, in_both_modes};

/// What the SDK exported.
struct Theirs {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
}

impl Theirs {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        Self { exporter, provider }
    }

    #[track_caller]
    fn span(&self, name: &str) -> SpanData {
        let mut spans = self.exporter.get_finished_spans().unwrap();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 1, "{name}");
        spans.remove(0)
    }

    fn reset(&self) {
        self.exporter.reset();
    }
}

fn remote() -> Context {
    let context = SpanContext::new(
        TraceId::from(4),
        SpanId::from(5),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(context)
}

#[test]
fn both_exports_have_the_right_parents() {
    let theirs: &'static Theirs = Box::leak(Box::new(Theirs::new()));
    in_both_modes!(
        move |registry| registry.with(OpenTelemetryLayer::new(theirs.provider.tracer("test"))),
        |ours: Ours| {
            let root = info_span!("root");
            root.set_parent(remote()).unwrap();
            let entered = root.enter();
            let inner = info_span!("inner", x = 1).entered();
            let context = Span::current().context();
            info!("hello");
            Span::current().set_attribute("late", 2);
            drop((inner, entered));
            let explicit = info_span!(parent: &root, "explicit");
            explicit.follows_from(&root);
            drop((explicit, root));

            let (root, inner) = (theirs.span("root"), theirs.span("inner"));
            assert_eq!(root.span_context.trace_id(), TraceId::from(4));
            assert_eq!(root.parent_span_id, SpanId::from(5));
            assert_eq!(inner.parent_span_id, root.span_context.span_id());
            assert_eq!(context.span().span_context(), &inner.span_context);
            assert_eq!(inner.events.len(), 1);
            let keys: Vec<_> = inner.attributes.iter().map(|a| a.key.as_str()).collect();
            assert!(keys.contains(&"x") && keys.contains(&"late"), "{keys:?}");
            let explicit = theirs.span("explicit");
            assert_eq!(explicit.parent_span_id, root.span_context.span_id());
            assert_eq!(explicit.links.len(), 1);

            ours.assert_chain(&["root", "inner"]);
            ours.assert_chain(&["root", "explicit"]);
            theirs.reset();
        }
    );
}

#[test]
fn helpers_on_a_span_that_only_ringlight_records_find_the_one_around_it() {
    let theirs = Theirs::new();
    let (builder, kept) = crate::builder();
    let layer = OpenTelemetryLayer::new(theirs.provider.tracer("test"));
    let layer = layer.with_filter(LevelFilter::INFO);
    let builder = builder.beside(|registry| registry.with(layer));
    let (dispatch, telemetry) = builder.build().unwrap();
    let ours = Ours { telemetry, kept };
    tracing::dispatcher::with_default(&dispatch, || {
        let outer = info_span!("outer").entered();
        let hidden = debug_span!("hidden").entered();
        let context = Span::current().context();
        // As if the hidden span was disabled, which for the layer it is.
        let around = outer.context();
        assert_eq!(context.span().span_context(), around.span().span_context());
        assert!(context.span().span_context().is_valid());
        drop(info_span!("inner"));
        drop((hidden, outer));

        // In no span the layer knows there is nothing to be found, and nothing to be done.
        let alone = debug_span!("alone");
        let _ = alone.set_parent(remote());
        alone.set_attribute("x", 1);
        alone.in_scope(|| {
            assert!(!Span::current().context().span().span_context().is_valid());
            let below = info_span!("below");
            drop(below);
        });
    });
    let outer = theirs.span("outer").span_context;
    assert_eq!(theirs.span("inner").parent_span_id, outer.span_id());
    assert_eq!(theirs.span("below").parent_span_id, SpanId::INVALID);
    ours.assert_chain(&["outer", "hidden", "inner"]);
    ours.assert_chain(&["alone", "below"]);
}
