//! Work that leaves nothing out, and what recording it allocates.

use std::time::Duration;

use allocation_counter::measure;
use ringlight::{Builder, LogFormat, RecordSink};
use ringlight_collector::record::Record;
use ringlight_model::CallsiteRegistry;
use tracing::{Instrument as _, error, info, info_span};

struct Nowhere;

impl RecordSink for Nowhere {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {}

    fn flush(&mut self) {}
}

/// One root with ten children, three attributes and an event each; more attributes than a slot
/// holds in place; fields recorded later; a hundred spans within each other; a future.
fn work(n: u64) {
    let root = info_span!("root", n, kind = "tree", id = %n, late = tracing::field::Empty);
    let _root = root.enter();
    for child in 0..10_u64 {
        let span = info_span!("child", child, kind = "leaf", id = %child);
        let _entered = span.enter();
        info!(child, text = "some text", debug = ?Some(child), "did {child} of {n}");
    }
    const LONG: &str = "a text that does not fit into the slot of a span together with others";
    let long = info_span!(
        "long",
        a = LONG,
        b = LONG,
        c = LONG,
        d = LONG,
        e = LONG,
        f = LONG
    );
    // As much of it as is in the slot is shown with the event.
    long.in_scope(|| info!("in long"));
    drop(long);
    root.record("late", n);
    nested(100);
    let mut future =
        std::pin::pin!(async { info!("in a future") }.instrument(info_span!("future")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_ready());
}

/// So many spans within each other, and an error in the innermost.
fn nested(depth: usize) {
    let _entered = info_span!("nested", depth).entered();
    match depth.checked_sub(1) {
        Some(depth) => nested(depth),
        None => error!(error = %depth, "it fails here"),
    }
}

/// Asserts that the process's subscriber, with these settings, records without allocating.
pub(crate) fn check(builder: Builder) {
    let telemetry = builder
        .environment([("RUST_LOG", "trace")])
        .log_format(LogFormat::Off)
        .sink(Nowhere)
        .init()
        .unwrap();
    // The thread gets what it needs, and every callsite is registered.
    (0..10).for_each(work);
    telemetry.flush(Duration::from_secs(20)).unwrap();

    let counted = measure(|| (0..100).for_each(work));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    let ledger = telemetry.shutdown(Duration::from_secs(20));
    assert!(ledger.balances());
}
