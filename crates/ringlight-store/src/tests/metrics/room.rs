//! Series that nothing comes of any more make room for new ones.

use ringlight_model::RejectReason;

use super::*;
use crate::StoreConfig;
use crate::writer::Message;

const SERIES_MAX: usize = 50;
const HOUR: u64 = 3600 * SECOND;

fn limited(directory: &std::path::Path) -> StoreConfig {
    StoreConfig {
        series_max: SERIES_MAX,
        ..config(directory)
    }
}

/// What a process sends of ten series; `sent` tells its instance from those before.
fn start(store: &Store, sent: u64) -> IngestReceipt {
    let points: Vec<String> = (0..10)
        .map(|n| {
            point(
                sent,
                &format!(r#""asInt":"1",{}"#, text("n", &n.to_string())),
            )
        })
        .collect();
    add(store, &format!("instance-{sent}"), &gauge("depth", &points))
}

/// The instances something is found of.
fn instances(store: &Store) -> Vec<u64> {
    let search = asking_by("depth", Aggregation::Count, 1000, &["service.name"]);
    let mut found: Vec<u64> = series(store, &search)
        .into_iter()
        .filter(|(_, points)| !points.is_empty())
        .filter_map(|(label, _)| label.rsplit_once('-')?.1.parse().ok())
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn a_process_that_starts_again_and_again_is_never_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(limited(directory.path()));
    for sent in 1..=40 {
        let receipt = start(&store, sent);
        assert_eq!(
            (receipt.stored, receipt.rejected.len()),
            (10, 0),
            "start {sent}"
        );
        store.shared().series_mut().age(HOUR);
        if sent % 7 == 0 {
            flush(&store);
        }
    }
    assert_eq!(instances(&store), [36, 37, 38, 39, 40]);
    let stats = store.stats();
    assert_eq!((stats.series, stats.series_forgotten), (50, 350));
    // Whether they are in blocks or in the intake, the newest are known after a start.
    drop(store);
    let store = open(limited(directory.path()));
    assert_eq!(instances(&store), [36, 37, 38, 39, 40]);
    assert_eq!(store.stats().point_count, 400);
    flush(&store);
    drop(store);
    let store = open(limited(directory.path()));
    assert_eq!(instances(&store), [36, 37, 38, 39, 40]);
    let stats = store.stats();
    assert_eq!((stats.series, stats.series_forgotten), (50, 350));
    // Those are written to, as far as is known.
    assert_eq!(
        start(&store, 41).rejected,
        [(RejectReason::TooManySeries, 10)]
    );
    drop(store);
    // Nothing that made room is lost for a store with more room, also what was in no block yet.
    let store = open(config(directory.path()));
    assert_eq!(instances(&store), (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_series_that_comes_again_is_one_with_what_was_stored_before() {
    let check = |is_sealed_between: bool| {
        let directory = tempfile::tempdir().unwrap();
        let store = open(limited(directory.path()));
        let counted = |seconds: u64, value: u64| {
            let point = since(0, seconds, &format!(r#""asInt":"{value}""#));
            counter("orders", CUMULATIVE, &[point])
        };
        let orders = |store: &Store| values(store, &asking("orders", Aggregation::Sum, 20));
        add(&store, "shop", &counted(10, 100));
        for sent in 1..=5 {
            store.shared().series_mut().age(HOUR);
            start(&store, sent);
        }
        let metrics = store.metrics();
        assert!(metrics.iter().all(|one| one.metric.name != "orders"));
        if is_sealed_between {
            flush(&store);
        }
        store.shared().series_mut().age(HOUR);
        add(&store, "shop", &counted(20, 103));
        // What it counted before cannot be found.
        let alone = [(0, 51.5), (10, 51.5)];
        assert_eq!(orders(&store), alone);
        flush(&store);
        assert_eq!(orders(&store), alone);
        drop(store);
        let store = open(config(directory.path()));
        let metrics = store.metrics();
        let found = metrics.iter().find(|one| one.metric.name == "orders");
        assert_eq!(found.unwrap().series_count, 1);
        assert_eq!(orders(&store), [(0, 100.0), (10, 3.0)]);
        // It goes on under its newest number.
        add(&store, "shop", &counted(30, 107));
        let search = asking("orders", Aggregation::Sum, 30);
        assert_eq!(values(&store, &search)[2], (20, 4.0));
        flush(&store);
        assert_eq!(values(&store, &search)[2], (20, 4.0));
    };
    check(false);
    check(true);
}

#[test]
fn the_newest_series_are_known_after_a_start_with_less_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let now = crate::now_unix_nano();
    let age = config(directory.path()).retention.as_nanos() as u64 / 16;
    for sent in 1..=8 {
        start(&store, sent);
        start(&store, 100);
        flush(&store);
        store.ask(|reply| Message::Maintain(now + sent * age, reply));
    }
    drop(store);
    let store = open(limited(directory.path()));
    assert_eq!(instances(&store), [5, 6, 7, 8, 100]);
    assert_eq!(store.stats().series_forgotten, 40);
}

#[test]
fn a_start_knows_when_series_were_last_seen() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for sent in [3, 8] {
        let depth = gauge("depth", &[point(sent, r#""asInt":"1""#)]);
        add(&store, "shop", &depth);
        flush(&store);
    }
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(store.metrics()[0].last_unix_nano, T0 + 8 * SECOND);
}
