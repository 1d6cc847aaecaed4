//! What of the spans made under a subscriber of a test's own arrives.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_proto::tonic::trace::v1::Span;
use ringlight::otel::{Tracer, TracerProvider};
use ringlight::{Builder, LogFormat, Telemetry};
use ringlight_testing::Backend;
use tracing::Dispatch;
use tracing::dispatcher::with_default;

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Runs `body` under a subscriber, and gives what arrived.
pub(crate) fn received(
    change: impl FnOnce(Builder) -> Builder,
    body: impl FnOnce(Tracer),
) -> Vec<Span> {
    let backend = Backend::start();
    let builder = ringlight::builder()
        .environment([("RUST_LOG", "trace")])
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off);
    let (dispatch, telemetry): (Dispatch, Telemetry) = change(builder).build().unwrap();
    let provider = TracerProvider::of(&dispatch).unwrap();
    with_default(&dispatch, || body(provider.tracer("tested")));
    let ledger = telemetry.shutdown(LONG);
    assert!(ledger.balances(), "{ledger:?}");
    let seen = backend.stop();
    seen.assert_agrees_with(&ledger);
    seen.spans()
}
