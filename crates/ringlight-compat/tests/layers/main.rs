//! Ringlight and other layers on the same spans: both must come out right.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chrome;
mod error;
mod filters;
mod fmt;
#[expect(dead_code, reason = "others look at more of a record")]
#[path = "../../../ringlight/tests/kept/mod.rs"]
mod kept;
mod opentelemetry;
mod panics;
mod reload;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kept::{Kept, KeptRecord};
use ringlight::{Builder, LogFormat, Telemetry};

/// What Ringlight made of it.
struct Ours {
    telemetry: Telemetry,
    kept: Kept,
}

impl Ours {
    /// Everything recorded so far by callsites of that name.
    fn named(&self, name: &str) -> Vec<KeptRecord> {
        self.telemetry.flush(Duration::from_secs(20)).unwrap();
        self.kept.named(name)
    }

    /// The one span of that name.
    #[track_caller]
    fn span(&self, name: &str) -> KeptRecord {
        let mut named = self.named(name);
        assert_eq!(named.len(), 1, "{name}: {named:?}");
        named.remove(0)
    }

    /// Asserts that each span is the child of the one before it.
    #[track_caller]
    fn assert_chain(&self, names: &[&str]) {
        for pair in names.windows(2) {
            let (parent, child) = (self.span(pair[0]), self.span(pair[1]));
            assert_eq!(child.parent, parent.span, "{} in {}", pair[1], pair[0]);
        }
    }
}

/// A builder of telemetry that records everything, and what it records.
fn builder() -> (Builder, Kept) {
    let kept = Kept::default();
    let builder = ringlight::builder()
        .environment([("RUST_LOG", "trace")])
        .log_format(LogFormat::Off)
        .sink(kept.clone());
    (builder, kept)
}

/// Makes a stack of a registry.
fn apply<R, S>(registry: R, layers: impl FnOnce(R) -> S) -> S {
    layers(registry)
}

/// Runs the body with these layers beside Ringlight, then with Ringlight as one of them.
macro_rules! in_both_modes {
    ($layers:expr, $body:expr) => {{
        let (builder, kept) = crate::builder();
        let (dispatch, telemetry) = builder.beside($layers).build().unwrap();
        let body: &dyn Fn(crate::Ours) = &$body;
        tracing::dispatcher::with_default(&dispatch, || body(crate::Ours { telemetry, kept }));

        let (builder, kept) = crate::builder();
        let (layer, telemetry) = builder.layer().unwrap();
        let stack = crate::apply(
            tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), layer),
            $layers,
        );
        let dispatch = tracing::Dispatch::new(stack);
        tracing::dispatcher::with_default(&dispatch, || body(crate::Ours { telemetry, kept }));
    }};
}
use in_both_modes;

/// Text that a layer writes.
#[derive(Debug, Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    /// One that closures can capture again and again.
    fn leaked() -> &'static Self {
        Box::leak(Box::default())
    }

    /// What was written since it was last taken.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A layer of `fmt` that writes there.
macro_rules! fmt_layer {
    ($text:expr) => {{
        let text: crate::Text = $text.clone();
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || text.clone())
    }};
}
use fmt_layer;
