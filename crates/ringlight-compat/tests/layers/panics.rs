//! Fields whose `Debug` panics while a span is opened.

use std::fmt;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};

use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Level, Subscriber, info_span, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::{Text, fmt_layer};

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

/// What a layer is told of spans: `+` and the name of one that opens, `-` of one that closes.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn push(&self, what: &str, name: &str) {
        self.0.lock().unwrap().push(format!("{what}{name}"));
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        assert_eq!(*self.0.lock().unwrap(), expected);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Told {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.push("+", attributes.metadata().name());
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        self.push("-", ctx.span(&id).unwrap().name());
    }
}

/// Opens a span that panics, of this level, in a span, in a span.
macro_rules! open {
    ($level:expr, $dispatch:expr) => {
        tracing::dispatcher::with_default($dispatch, || {
            let _outer = info_span!("outer").entered();
            let _inner = info_span!("inner").entered();
            for _ in 0..3 {
                let opened = catch_unwind(|| span!($level, "bad", field = ?Panics));
                assert!(opened.is_err());
            }
        })
    };
}

#[test]
fn spans_around_one_that_ringlight_cannot_open_close() {
    let (told, text) = (Told::default(), Text::default());
    let layers = (told.clone(), fmt_layer!(text));
    let (builder, kept) = crate::builder();
    let builder = builder.beside(|registry| registry.with(layers.0).with(layers.1));
    let (dispatch, telemetry) = builder.build().unwrap();
    open!(Level::INFO, &dispatch);
    told.check(&["+outer", "+inner", "-inner", "-outer"]);
    let ours = crate::Ours { telemetry, kept };
    ours.assert_chain(&["outer", "inner"]);
    assert!(ours.named("bad").is_empty());
}

/// What `tracing_subscriber` does by itself, and what is left to it: what its registry has made stays there,
/// and spans around it with it, if a layer panics before anybody is given the id.
#[test]
fn spans_around_one_that_another_layer_cannot_open_stay_open_with_and_without_ringlight() {
    let expected = ["+outer", "+inner", "+bad", "+bad", "+bad"];

    let (told, text) = (Told::default(), Text::default());
    let stack = tracing_subscriber::registry().with(told.clone());
    open!(Level::INFO, &Dispatch::new(stack.with(fmt_layer!(text))));
    told.check(&expected);

    let (told, text) = (Told::default(), Text::default());
    let layers = (told.clone(), fmt_layer!(text));
    let (builder, _) = crate::builder();
    // Not of Ringlight's.
    let builder = builder.environment([("RUST_LOG", "info")]);
    let builder = builder.beside(|registry| registry.with(layers.0).with(layers.1));
    let (dispatch, _telemetry) = builder.build().unwrap();
    open!(Level::DEBUG, &dispatch);
    told.check(&expected);
}
