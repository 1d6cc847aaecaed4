//! Panics of OpenTelemetry's that the application is not told of.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry::trace::get_active_span;
use opentelemetry::{Context, global};
use ringlight::LogFormat;
use tracing::{info, info_span};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Panics the application was told of.
fn panics() -> usize {
    PANICS.load(Ordering::Relaxed)
}

/// Records as its thread ends.
struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        info_span!("late").in_scope(|| info!("late"));
    }
}

thread_local! {
    static LATE: Cell<Option<Late>> = const { Cell::new(None) };
}

#[test]
fn no_panic_hook_hears_of_contexts_that_cannot_be_attached() {
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }));
    let none: [(&str, &str); 0] = [];
    let _telemetry = ringlight::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .init()
        .unwrap();
    let _tracer = global::tracer("tested");

    let outer = info_span!("outer").entered();
    get_active_span(|_| info_span!("inner").in_scope(|| info!("inner")));
    Context::map_current(|_| drop(outer));
    assert_eq!(panics(), 0, "where the context is borrowed");

    // OpenTelemetry logs that there are too many, while it attaches one.
    let mut attached: Vec<_> = (0..=u16::MAX).map(|_| Context::new().attach()).collect();
    while attached.pop().is_some() {}
    assert_eq!(panics(), 0, "while a context is being attached");

    let thread = std::thread::spawn(|| {
        // Goes last, after OpenTelemetry's.
        LATE.with(|late| late.set(Some(Late)));
        drop(Context::current());
    });
    thread.join().unwrap();
    assert_eq!(panics(), 0, "while the locals of a thread go");

    let caught = std::panic::catch_unwind(|| info_span!("failing").in_scope(|| panic!("failed")));
    assert!(caught.is_err());
    assert_eq!(panics(), 1, "of the application's own");
}
