//! The `fmt` layer: the spans around an event, with their fields.

use std::cell::Cell;
use std::fmt;
use std::panic::catch_unwind;

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
fn a_field_that_panics_while_a_layer_formats_it_does_no_more_harm() {
    /// Panics in the second who formats it, which is not Ringlight.
    struct PanicsLater(Cell<bool>);
    impl fmt::Debug for PanicsLater {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            if self.0.replace(true) {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            f.write_str("once")
        }
    }
    let text = Text::leaked();
    in_both_modes!(move |registry| registry.with(fmt_layer!(text)), |ours| {
        let caught = catch_unwind(|| {
            // The layer holds the span's extensions, which cannot be used any more then, and the
            // span is left and closed while the thread unwinds.
            let span = info_span!("span", field = tracing::field::Empty).entered();
            let value = PanicsLater(Cell::new(false));
            span.record("field", tracing::field::debug(&value));
        });
        assert!(caught.is_err());
        assert_eq!(ours.span("span").fields, ["field=once"]);
        assert!(ours.span("span").failed);
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
