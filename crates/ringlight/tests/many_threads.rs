//! More threads than a runtime has, as a pool for blocking work makes them.

use std::sync::Barrier;

use ringlight::{LogFormat, ThreadKind};
use tracing::dispatcher::with_default;

#[test]
fn sixty_four_threads_have_a_ring_each_on_any_machine() {
    const THREADS: usize = 64;
    let none: [(&str, &str); 0] = [];
    let (dispatch, telemetry) = ringlight::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .exporter(ringlight::collector::NullExporter)
        .build()
        .unwrap();
    let together = Barrier::new(THREADS + 1);
    let rows = std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                with_default(&dispatch, || drop(tracing::info_span!("span")));
                together.wait();
                // Its ring is its own until it ends.
                together.wait();
            });
        }
        together.wait();
        let ledger = telemetry.ledger_by_thread();
        together.wait();
        ledger.threads
    });
    assert_eq!(rows.len(), THREADS, "{rows:?}");
    assert!(rows.iter().all(|row| row.kind == ThreadKind::Thread));
}
