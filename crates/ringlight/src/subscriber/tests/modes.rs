//! The ways the subscriber is used.

use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::*;

/// A way the subscriber is used.
pub(super) trait Mode {
    /// Whether all spans have ids of our own: nobody else wants any.
    const HAS_OWN_IDS: bool = false;

    fn dispatch(subscriber: RinglightSubscriber) -> Dispatch;
}

/// By itself.
pub(super) struct Alone;

impl Mode for Alone {
    const HAS_OWN_IDS: bool = true;

    fn dispatch(subscriber: RinglightSubscriber) -> Dispatch {
        Dispatch::new(subscriber)
    }
}

/// As a layer, with its filter, on somebody's registry.
pub(super) struct AsLayer;

impl Mode for AsLayer {
    fn dispatch(subscriber: RinglightSubscriber) -> Dispatch {
        let layer = RinglightLayer::new(subscriber);
        let filter = LayerFilter(layer.clone());
        let registry = tracing_subscriber::registry();
        Dispatch::new(registry.with(Strict).with(layer.with_filter(filter)))
    }
}

/// Beside a layer that wants everything.
pub(super) struct BesideAll;

impl Mode for BesideAll {
    fn dispatch(subscriber: RinglightSubscriber) -> Dispatch {
        beside(subscriber, |registry| registry.with(Strict))
    }
}

/// Beside layers that want some callsites: one of them always, another when asked each time.
pub(super) struct BesideSome;

impl Mode for BesideSome {
    fn dispatch(subscriber: RinglightSubscriber) -> Dispatch {
        let line = |metadata: &Metadata<'_>| metadata.line().unwrap_or(0);
        let always = filter_fn(move |metadata| line(metadata) % 3 == 0);
        let asked = filter_fn(move |metadata| line(metadata) % 3 == 1);
        let asked = asked.with_max_level_hint(LevelFilter::TRACE);
        beside(subscriber, |registry| {
            registry
                .with(Strict.with_filter(always))
                .with(Strict.with_filter(asked))
        })
    }
}

/// Beside a layer that wants nothing.
pub(super) struct BesideNone;

impl Mode for BesideNone {
    const HAS_OWN_IDS: bool = true;

    fn dispatch(subscriber: RinglightSubscriber) -> Dispatch {
        beside(subscriber, |registry| {
            registry.with(LevelFilter::OFF).with(Strict)
        })
    }
}

/// A layer that insists on knowing every span it is told of, as many do.
struct Strict;

/// In a span's extensions.
struct Known;

impl<S> Layer<S> for Strict
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if let Some(parent) = attributes.parent() {
            assert!(ctx.span(parent).is_none_or(|span| is_known(&span)));
        }
        let span = ctx.span(id).unwrap();
        span.extensions_mut().replace(Known);
    }

    fn on_record(&self, id: &Id, _: &Record<'_>, ctx: Context<'_, S>) {
        assert!(is_known(&ctx.span(id).unwrap()));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        assert!(is_known(&ctx.span(id).unwrap()));
        assert!(is_known(&ctx.span(follows).unwrap()));
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        for span in ctx.event_scope(event).into_iter().flatten() {
            assert!(is_known(&span));
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        assert!(is_known(&ctx.span(id).unwrap()));
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        assert!(is_known(&ctx.span(id).unwrap()));
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        assert!(is_known(&ctx.span(&id).unwrap()));
    }
}

fn is_known<S>(span: &tracing_subscriber::registry::SpanRef<'_, S>) -> bool
where
    S: for<'a> LookupSpan<'a>,
{
    span.extensions().get::<Known>().is_some()
}
