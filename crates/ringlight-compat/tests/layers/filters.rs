//! Layers with filters of their own, which want different spans.

use tracing::{debug, debug_span, info, info_span, trace_span};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::{Text, fmt_layer, in_both_modes};

#[test]
fn each_layer_sees_what_its_filter_lets_through_and_ringlight_everything() {
    let (brief, long) = (Text::leaked(), Text::leaked());
    in_both_modes!(
        move |registry| registry
            .with(fmt_layer!(brief).with_filter(LevelFilter::INFO))
            .with(
                fmt_layer!(long).with_filter(filter_fn(|of| *of.level() <= tracing::Level::DEBUG))
            ),
        |ours| {
            let _outer = info_span!("outer").entered();
            let _middle = debug_span!("middle").entered();
            let _hidden = trace_span!("hidden").entered();
            info_span!("inner").in_scope(|| {
                info!("both");
                debug!("one");
            });
            assert_eq!(brief.take(), " INFO outer:inner: both\n");
            assert_eq!(
                long.take(),
                " INFO outer:middle:inner: both\nDEBUG outer:middle:inner: one\n"
            );
            drop((_hidden, _middle, _outer));
            ours.assert_chain(&["outer", "middle", "hidden", "inner"]);
        }
    );
}

#[test]
fn a_layer_without_a_filter_sees_what_the_filters_of_others_hide() {
    // The layer next to the registry, which combines its interest with the registry's.
    let (all, some) = (Text::leaked(), Text::leaked());
    in_both_modes!(
        move |registry| registry
            .with(fmt_layer!(all))
            .with(fmt_layer!(some).with_filter(LevelFilter::WARN)),
        |ours| {
            let outer = info_span!("outer").entered();
            info!("quiet");
            drop(outer);
            assert_eq!(all.take(), " INFO outer: quiet\n");
            assert_eq!(some.take(), "");
            ours.span("outer");
        }
    );
}

#[test]
fn directives_of_ringlight_are_its_own_affair() {
    let text = Text::leaked();
    let (builder, kept) = crate::builder();
    let builder = builder.environment([("RUST_LOG", "off,layers=info")]);
    let layer = fmt_layer!(text).with_filter(EnvFilter::new("debug,layers::reload=off"));
    let (dispatch, telemetry) = builder
        .beside(|registry| registry.with(layer))
        .build()
        .unwrap();
    let ours = crate::Ours { telemetry, kept };
    tracing::dispatcher::with_default(&dispatch, || {
        let outer = info_span!("outer").entered();
        // For them alone: what is in it is, for us, in the one around it.
        let theirs = debug_span!("theirs").entered();
        let inner = info_span!("inner").entered();
        debug!("hello");
        drop(inner);
        drop(info_span!(parent: &theirs, "explicit"));
        drop(theirs);
        drop(outer);
        // For nobody.
        assert!(trace_span!("nobody's").is_disabled());
    });
    assert_eq!(text.take(), "DEBUG outer:theirs:inner: hello\n");
    ours.assert_chain(&["outer", "inner"]);
    ours.assert_chain(&["outer", "explicit"]);
    assert!(ours.named("theirs").is_empty());
}

#[test]
fn a_filter_may_choose_by_the_fields_of_spans() {
    let text = Text::leaked();
    in_both_modes!(
        move |registry| registry
            .with(fmt_layer!(text))
            .with(EnvFilter::new("warn,[request{vip=true}]=debug")),
        |ours| {
            for vip in [false, true] {
                let request = info_span!("request", vip).entered();
                debug!("looked into");
                info_span!("step").in_scope(|| tracing::warn!("careful"));
                drop(request);
            }
            assert_eq!(
                text.take(),
                " WARN request{vip=false}: careful\n\
                 DEBUG request{vip=true}: looked into\n\
                 \x20WARN request{vip=true}:step: careful\n"
            );
            assert_eq!(ours.named("request").len(), 2);
        }
    );
}

#[test]
fn a_layer_of_ringlight_may_be_filtered_like_any_other() {
    let text = Text::leaked();
    let (builder, kept) = crate::builder();
    let (layer, telemetry) = builder.layer().unwrap();
    let layer = layer.with_filter(filter_fn(|of| !of.name().starts_with("hidden")));
    let registry = tracing_subscriber::registry();
    let stack = registry.with(fmt_layer!(text)).with(layer);
    let ours = crate::Ours { telemetry, kept };
    tracing::subscriber::with_default(stack, || {
        let outer = info_span!("outer").entered();
        let hidden = info_span!("hidden").entered();
        info_span!("inner").in_scope(|| info!("hello"));
        drop(info_span!(parent: &hidden, "explicit"));
        drop((hidden, outer));
    });
    assert_eq!(text.take(), " INFO outer:hidden:inner: hello\n");
    ours.assert_chain(&["outer", "inner"]);
    ours.assert_chain(&["outer", "explicit"]);
    assert!(ours.named("hidden").is_empty());
}

#[test]
fn two_layers_of_ringlight_do_not_mix() {
    let (first, second) = (crate::builder(), crate::builder());
    let (layer, telemetry) = first.0.layer().unwrap();
    let brief = second.0.environment([("RUST_LOG", "info")]);
    let (brief, telemetry_brief) = brief.layer().unwrap();
    let stack = tracing_subscriber::registry().with(layer).with(brief);
    let (all, brief) = (
        crate::Ours {
            telemetry,
            kept: first.1,
        },
        crate::Ours {
            telemetry: telemetry_brief,
            kept: second.1,
        },
    );
    tracing::subscriber::with_default(stack, || {
        let outer = info_span!("outer").entered();
        let middle = debug_span!("middle").entered();
        drop(info_span!("inner"));
        drop((middle, outer));
    });
    all.assert_chain(&["outer", "middle", "inner"]);
    brief.assert_chain(&["outer", "inner"]);
    assert_ne!(all.span("inner").span, brief.span("inner").span);
}
