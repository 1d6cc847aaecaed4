//! `console-subscriber` with the spans that tokio has for its tasks, for the whole process.
//!
//! Both are there with `--cfg tokio_unstable` only; `cargo xtask test` builds this test so.

#![cfg(tokio_unstable)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "others look at more of a record")]
#[path = "../../ringlight/tests/kept/mod.rs"]
mod kept;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use console_subscriber::ConsoleLayer;
use kept::Kept;
use ringlight::LogFormat;
use serde_json::Value;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

const TASKS: u64 = 64;

/// The events of a kind in what the console wrote, of which the last line may not be whole yet.
fn events<'a>(text: &'a str, kind: &'a str) -> impl Iterator<Item = Value> + 'a {
    let values = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    values.filter_map(move |value: Value| value.get(kind).cloned())
}

/// Waits until what the console writes, which it does on a thread of its own, `is` all there.
async fn written(recording: &Path, is: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(recording).unwrap();
        if is(&text) {
            return;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_seen_by_the_console_and_their_spans_by_ringlight() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("console.jsonl");
    let console = ConsoleLayer::builder().recording_path(&recording);
    let (console, server) = console.build();
    let parts = server.into_parts();
    let aggregating = tokio::spawn(parts.aggregator.run());
    let for_console =
        filter_fn(|of| of.target().starts_with("tokio") || of.target().starts_with("runtime"));
    let kept = Kept::default();
    let telemetry = ringlight::builder()
        .environment([("RUST_LOG", "info")])
        .log_format(LogFormat::Off)
        .sink(kept.clone())
        .beside(|registry| registry.with(console.with_filter(for_console)))
        .init()
        .unwrap();

    let root = info_span!("root");
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let span = root.in_scope(|| info_span!("work", n));
            let work = async {
                let inner = async {
                    tokio::task::yield_now().await;
                    info_span!("inner").in_scope(|| ());
                    tokio::task::yield_now().await;
                };
                inner.instrument(info_span!("outer")).await;
            };
            tokio::spawn(work.instrument(span))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(root);
    telemetry.flush(Duration::from_secs(20)).unwrap();

    let parents = |name: &str, of: &str| {
        let (children, parents) = (kept.named(name), kept.named(of));
        children.iter().all(|child| {
            parents
                .iter()
                .filter(|parent| parent.span == child.parent)
                .count()
                == 1
        })
    };
    for (name, of) in [("work", "root"), ("outer", "work"), ("inner", "outer")] {
        assert_eq!(kept.named(name).len() as u64, TASKS, "{name}");
        assert!(parents(name, of), "{name} in {of}");
    }
    // Tokio's own are not ours.
    assert!(kept.named("runtime.spawn").is_empty());
    // The console saw every task begin and end.
    written(&recording, |text| {
        let ids = |kind| -> HashSet<u64> {
            let events = events(text, kind);
            events.map(|event| event["id"].as_u64().unwrap()).collect()
        };
        // A task of the pipeline's own runtime may be among them, if it was spawned late.
        ids("Spawn").intersection(&ids("Close")).count() as u64 >= TASKS
    })
    .await;
    aggregating.abort();
    let _ = aggregating.await;
}
