//! The panic hook is set once for the process, however often telemetry is started in it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic;
use std::time::Duration;

use ringlight::{LogFormat, Telemetry};

fn start() -> Telemetry {
    let builder = ringlight::builder()
        .environment(Vec::<(String, String)>::new())
        .log_format(LogFormat::Off);
    let (layer, telemetry) = builder.layer::<tracing_subscriber::Registry>().unwrap();
    drop(layer);
    telemetry
}

/// Where the present hook lies, which stays there.
fn hook() -> *const () {
    let hook = panic::take_hook();
    let at = (&raw const *hook).cast();
    panic::set_hook(hook);
    at
}

#[test]
fn the_hook_is_set_once_however_often_telemetry_starts() {
    let first = start();
    let set = hook();
    let second = start();
    assert_eq!(hook(), set);
    for telemetry in [first, second] {
        telemetry.shutdown(Duration::from_secs(20));
    }
    let third = start();
    assert_eq!(hook(), set);
    third.shutdown(Duration::from_secs(20));
}
