//! A field whose `Debug` panics while a span is opened, where the whole process has one subscriber:
//! then calls within one of its calls reach it, unlike where a thread has one of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "others look at what was recorded")]
#[path = "../../ringlight/tests/kept/mod.rs"]
mod kept;

use std::fmt;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};

use ringlight::LogFormat;
use tracing::{Subscriber, info_span, span::Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

/// Names of spans that have closed.
#[derive(Debug, Clone, Default)]
struct Closed(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Closed {
    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        self.0.lock().unwrap().push(ctx.span(&id).unwrap().name());
    }
}

#[test]
fn spans_around_one_that_cannot_be_opened_close_once() {
    let closed = Closed::default();
    let layer = closed.clone();
    let _telemetry = ringlight::builder()
        .environment(Vec::<(String, String)>::new())
        .log_format(LogFormat::Off)
        .sink(kept::Kept::default())
        .beside(|registry| registry.with(layer))
        .init()
        .unwrap();
    let outer = info_span!("outer").entered();
    let inner = info_span!("inner").entered();
    for _ in 0..3 {
        assert!(catch_unwind(|| info_span!("bad", field = ?Panics)).is_err());
    }
    // They have not closed too early either.
    assert!(closed.0.lock().unwrap().is_empty());
    inner.in_scope(|| drop(info_span!("after")));
    drop(inner);
    drop(outer);
    assert_eq!(*closed.0.lock().unwrap(), ["after", "inner", "outer"]);
}
