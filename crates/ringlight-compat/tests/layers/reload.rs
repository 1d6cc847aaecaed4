//! Filters and layers that change while the program runs.

use tracing::{info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::reload;

use crate::{Ours, Text, fmt_layer};

/// What one callsite leads to, again and again.
fn work() {
    info_span!("work").in_scope(|| info!("hello"));
}

#[test]
fn a_filter_that_is_changed_takes_effect_beside_ringlight() {
    let text = Text::default();
    let (builder, kept) = crate::builder();
    let (filter, handle) = reload::Layer::new(LevelFilter::WARN);
    let layer = fmt_layer!(text).with_filter(filter);
    let builder = builder.beside(|registry| registry.with(layer));
    let (dispatch, telemetry) = builder.build().unwrap();
    let ours = Ours { telemetry, kept };
    tracing::dispatcher::with_default(&dispatch, || {
        let outer = info_span!("outer").entered();
        for (level, expected) in [
            (LevelFilter::WARN, ""),
            (LevelFilter::INFO, " INFO work: hello\n"),
            (LevelFilter::OFF, ""),
        ] {
            handle.reload(level).unwrap();
            work();
            assert_eq!(text.take(), expected, "{level}");
        }
        drop(outer);
    });
    let outer = ours.span("outer").span;
    let parents: Vec<_> = ours.named("work").iter().map(|span| span.parent).collect();
    assert_eq!(parents, [outer; 3]);
}

#[test]
fn a_layer_that_is_exchanged_takes_effect_beside_ringlight() {
    let text = Text::default();
    let (builder, kept) = crate::builder();
    type Boxed = Box<dyn Layer<ringlight::Registry> + Send + Sync>;
    let (layer, handle) = reload::Layer::new(None::<Boxed>);
    let builder = builder.beside(|registry| registry.with(layer));
    let (dispatch, telemetry) = builder.build().unwrap();
    let ours = Ours { telemetry, kept };
    tracing::dispatcher::with_default(&dispatch, || {
        work();
        handle.reload(Some(fmt_layer!(text).boxed())).unwrap();
        work();
        handle.reload(None).unwrap();
        work();
    });
    assert_eq!(text.take(), " INFO work: hello\n");
    assert_eq!(ours.named("work").len(), 3);
}

#[test]
fn ringlight_may_be_reloaded_as_a_layer() {
    let (builder, kept) = crate::builder();
    let (layer, telemetry) = builder.layer().unwrap();
    let ours = Ours { telemetry, kept };
    let (filter, handle) = reload::Layer::new(LevelFilter::OFF);
    let stack = tracing_subscriber::registry().with(layer.with_filter(filter));
    tracing::subscriber::with_default(stack, || {
        work();
        assert!(ours.named("work").is_empty());
        handle.reload(LevelFilter::INFO).unwrap();
        work();
    });
    assert_eq!(ours.named("work").len(), 1);
}
