//! `tracing-log`: records of `log`, whose callsites are never registered and whose metadata say less
//! than what filters are asked about.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "others look at more of a record")]
#[path = "../../ringlight/tests/kept/mod.rs"]
mod kept;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kept::Kept;
use ringlight::{Builder, LogFormat, Telemetry};
use tracing::{Dispatch, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Identity, Layer as _, SubscriberExt as _};

/// Lines written so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asserts that records of `log` arrive as the directives say, in the span they were made in, and
/// become lines as those for lines say.
fn check(start: impl FnOnce(Builder) -> (Dispatch, Telemetry)) {
    let (kept, lines) = (Kept::default(), Lines::default());
    let builder = ringlight::builder()
        .environment([
            ("RUST_LOG", "warn,mine=debug"),
            ("RUST_LOG_LINES", "warn,other=off,mine::deep=debug"),
            ("RUST_LOG_TRACES", "info,other=off"),
        ])
        .log_format(LogFormat::Text)
        .log_writer(lines.clone())
        .sink(kept.clone());
    let (dispatch, telemetry) = start(builder);
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!(target: "mine", "outer").in_scope(|| {
            log::debug!(target: "mine::deep", "wanted");
            log::debug!(target: "other", "unwanted");
            log::error!(target: "other", "wanted, too");
        });
    });
    telemetry.flush(Duration::from_secs(20)).unwrap();
    let outer = &kept.named("outer")[0];
    // The error is none that spans are to learn of.
    assert!(!outer.failed);
    let outer = outer.span;
    let logs = kept.named("log event");
    let message = |fields: &[String]| {
        let found = fields.iter().find_map(|f| f.strip_prefix("message="));
        found.unwrap().to_owned()
    };
    let messages: Vec<_> = logs.iter().map(|log| message(&log.fields)).collect();
    assert_eq!(messages, ["wanted", "wanted, too"]);
    assert!(logs.iter().all(|log| log.span == outer));
    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("wanted"));
}

#[test]
fn records_of_log_are_recorded_in_every_mode() {
    tracing_log::LogTracer::init().unwrap();
    check(|builder| builder.build().unwrap());
    for level in [LevelFilter::OFF, LevelFilter::WARN, LevelFilter::TRACE] {
        let layer = Identity::new().with_filter(level);
        check(|builder| {
            let builder = builder.beside(|registry| registry.with(layer));
            builder.build().unwrap()
        });
        check(|builder| {
            let (layer, telemetry) = builder.layer().unwrap();
            let other = Identity::new().with_filter(level);
            let stack = tracing_subscriber::registry().with(layer).with(other);
            (Dispatch::new(stack), telemetry)
        });
    }
}
