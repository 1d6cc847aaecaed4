//! Names of channels beyond those that are counted apart. All names of a process are used up, so this is one of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::process::Command;
use std::time::Duration;

use ringlight::LogFormat;
use ringlight::channel::{mpsc, oneshot};
use ringlight_testing::{Backend, Seen, int, named, points, text_of};
use tracing::dispatcher::with_default;

const LONG: Duration = Duration::from_secs(20);

/// Name, type and value of each point of a counter.
fn counted(seen: &Seen, name: &str) -> Vec<(String, String, i64)> {
    let metric = named(&seen.metrics(|scope| scope == "ringlight.channel"), name);
    let points = points(&metric).into_iter().map(|point| {
        let of = |key| text_of(&point.attributes, key);
        (of("channel.name"), of("channel.type"), int(&point))
    });
    points.collect()
}

/// Sends as many messages through a channel of this name as it has characters.
fn send_through(name: &str) {
    let (sender, mut receiver) = mpsc::named_unbounded(name);
    for character in name.chars() {
        sender.send(character).unwrap();
        receiver.try_recv().unwrap();
    }
}

#[test]
fn names_beyond_256_are_counted_together_by_type() {
    let backend = Backend::start();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("", ""); 0])
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .metric_export_interval(Duration::from_secs(3600))
        .build()
        .unwrap();
    with_default(&dispatch, || {
        (0..256).for_each(|n| send_through(&format!("channel {n}")));
        for _ in 0..3 {
            send_through("beyond");
            send_through("further");
        }
        // Those that were there before are as they were.
        send_through("channel 7");
        // By name, and by where it was opened.
        for (sender, receiver) in [oneshot::named("single"), oneshot::channel()] {
            sender.send(()).unwrap();
            drop(receiver);
        }
    });
    let ledger = telemetry.shutdown(LONG);
    assert!(ledger.balances(), "{ledger}");
    let seen = backend.stop();
    for metric in ["channel.sent", "channel.received"] {
        let points = counted(&seen, metric);
        let count = |name: &str, kind: &str| {
            let mut found = points.iter().filter(|(n, k, _)| n == name && k == kind);
            let count = found.next().map(|(.., count)| *count);
            assert!(found.next().is_none(), "`{name}` is there twice");
            count
        };
        assert_eq!(points.len(), 258);
        assert_eq!(count("channel 255", "mpsc_unbounded"), Some(11));
        assert_eq!(count("channel 7", "mpsc_unbounded"), Some(18));
        assert_eq!(count("beyond", "mpsc_unbounded"), None);
        assert_eq!(count("(other)", "mpsc_unbounded"), Some(3 * (6 + 7)));
        let received_of_two = if metric == "channel.sent" { 2 } else { 0 };
        assert_eq!(count("(other)", "oneshot"), Some(received_of_two));
    }
}

/// Set in the process that is told of it.
const TOLD: &str = "RINGLIGHT_TEST_TOLD_OF_NAMES";

#[test]
fn it_is_told_once_that_there_are_more_names() {
    if std::env::var_os(TOLD).is_some() {
        (0..300).for_each(|n| send_through(&format!("channel {n}")));
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it_is_told_once_that_there_are_more_names"])
        .arg("--nocapture")
        .env(TOLD, "")
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    let told = said.matches("more than 256 names of channels").count();
    assert_eq!(told, 1, "{said}");
}
