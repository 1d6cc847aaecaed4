//! The `fmt` layer: the spans around an event, with their fields.

use ringlight_model::SpanId;
use tracing::{debug_span, info, info_span, warn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{Text, fmt_layer, in_both_modes};

#[test]
fn lines_name_the_spans_around_them_and_records_their_parents() {
    let text = Text::leaked();
    in_both_modes!(move |registry| registry.with(fmt_layer!(text)), |ours| {
        let outer = info_span!("outer", x = 1, late = tracing::field::Empty).entered();
        info_span!("inner", y = "two").in_scope(|| info!(name: "log", z = 3, "hello"));
        outer.record("late", 4);
        warn!(name: "log", "goodbye");
        drop(outer);
        info!(name: "log", "nowhere");
        assert_eq!(
            text.take(),
            " INFO outer{x=1}:inner{y=\"two\"}: hello z=3\n\
             \x20WARN outer{x=1 late=4}: goodbye\n\
             \x20INFO nowhere\n"
        );
        ours.assert_chain(&["outer", "inner"]);
        assert_eq!(ours.span("outer").fields, ["x=1", "late=4"]);
        assert_eq!(ours.span("inner").fields, ["y=two"]);
        let spans: Vec<_> = ours.named("log").iter().map(|log| log.span).collect();
        let (outer, inner) = (ours.span("outer").span, ours.span("inner").span);
        assert_eq!(spans, [inner, outer, SpanId::INVALID]);
    });
}

#[test]
fn what_a_global_filter_hides_is_still_recorded() {
    let text = Text::leaked();
    let (builder, kept) = crate::builder();
    let layer = fmt_layer!(text);
    let builder = builder.beside(|registry| registry.with(layer).with(LevelFilter::INFO));
    let (dispatch, telemetry) = builder.build().unwrap();
    let ours = crate::Ours { telemetry, kept };
    tracing::dispatcher::with_default(&dispatch, || {
        let outer = info_span!("outer").entered();
        let hidden = debug_span!("hidden", x = 1);
        hidden.in_scope(|| {
            info!("in hidden");
            info_span!("inner").in_scope(|| info!("in inner"));
        });
        drop(outer);
        info!(parent: &hidden, "explicitly in hidden");
        info_span!(parent: &hidden, "explicit").in_scope(|| info!("in explicit"));
    });
    assert_eq!(
        text.take(),
        " INFO outer: in hidden\n\
         \x20INFO outer:inner: in inner\n\
         \x20INFO explicitly in hidden\n\
         \x20INFO explicit: in explicit\n"
    );
    ours.assert_chain(&["outer", "hidden", "inner"]);
    ours.assert_chain(&["hidden", "explicit"]);
    assert_eq!(ours.span("hidden").fields, ["x=1"]);
}
