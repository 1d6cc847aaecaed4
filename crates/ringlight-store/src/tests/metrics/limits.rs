//! What is kept, for how long, and how much of it.

use ringlight_model::{MetricKind, RejectReason};

use super::*;
use crate::StoreConfig;
use crate::writer::Message;

fn one(name: &str, value: &str, seconds: u64) -> String {
    let rest = format!(r#""asInt":"1",{}"#, text("user", value));
    gauge(name, &[point(seconds, &rest)])
}

#[test]
fn metrics_are_listed_with_what_they_are() {
    let fill = |store: &Store| {
        add(store, "shop", &one("a", "x", 1));
        add(store, "till", &one("a", "y", 7));
        let described = counter("b", DELTA, &[since(0, 1, r#""asInt":"1""#)]);
        let described = described.replace(r#""unit":"1""#, r#""unit":"s","description":"about b""#);
        add(store, "shop", &described);
    };
    in_head_and_blocks(fill, |store| {
        let metrics = store.metrics();
        let [a, b] = &metrics[..] else {
            panic!("{metrics:?}");
        };
        assert_eq!((&*a.metric.name, a.metric.kind), ("a", MetricKind::Gauge));
        assert_eq!(
            (a.series_count, &a.services[..]),
            (2, &["shop".to_owned(), "till".to_owned()][..])
        );
        assert_eq!(a.attribute_keys, ["user"]);
        assert_eq!(a.last_unix_nano, T0 + 7 * SECOND);
        assert_eq!((&*b.metric.unit, &*b.metric.description), ("s", "about b"));
        assert!(b.metric.kind.is_monotonic());
        assert_eq!(b.last_unix_nano, T0 + SECOND);
        assert_eq!(store.stats().series, 3);
        assert_eq!(store.stats().point_count, 3);
    });
}

#[test]
fn attributes_in_another_order_are_the_same_series() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let pair = |key: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"v"}}}}"#);
    for keys in [["a", "b"], ["b", "a"]] {
        let rest = format!(
            r#""asInt":"1","attributes":[{},{}]"#,
            pair(keys[0]),
            pair(keys[1])
        );
        add(&store, "shop", &gauge("depth", &[point(1, &rest)]));
    }
    assert_eq!(store.stats().series, 1);
    let other = one("depth", "v", 1);
    add(&store, "shop", &other);
    add(&store, "till", &other);
    add(
        &store,
        "shop",
        &other.replace(r#""unit":"1""#, r#""unit":"s""#),
    );
    assert_eq!(store.stats().series, 4);
}

#[test]
fn fault_30_a_label_with_too_many_values_is_refused_by_reason() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        series_max: 50,
        ..config(directory.path())
    };
    let store = open(config.clone());
    let (mut stored, mut refused) = (0, 0);
    for request in 0..20 {
        let points: Vec<String> = (0..10)
            .map(|n| {
                let user = format!("u{}", request * 10 + n);
                point(request, &format!(r#""asInt":"1",{}"#, text("user", &user)))
            })
            .collect();
        let receipt = add(&store, "shop", &gauge("sessions", &points));
        stored += receipt.stored;
        assert_eq!(receipt.accepted, receipt.stored);
        refused += receipt
            .rejected
            .iter()
            .map(|&(reason, count)| {
                assert_eq!(reason, RejectReason::TooManySeries);
                count
            })
            .sum::<u64>();
    }
    assert_eq!((stored, refused), (50, 150));
    // The series there are go on.
    assert_eq!(add(&store, "shop", &one("sessions", "u3", 30)).stored, 1);
    flush(&store);
    assert_eq!(store.stats().series, 50);
    drop(store);
    let store = open(config);
    assert_eq!(store.stats().series, 50);
    assert_eq!(add(&store, "shop", &one("sessions", "u3", 40)).stored, 1);
    let receipt = add(&store, "shop", &one("sessions", "u199", 40));
    assert_eq!(receipt.rejected, [(RejectReason::TooManySeries, 1)]);
    assert_eq!(
        values(&store, &asking("sessions", Aggregation::Count, 50)),
        [(0, 50.0), (30, 1.0), (40, 1.0)]
    );
}

#[test]
fn the_memory_of_series_is_bounded_whatever_their_size() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let long = "x".repeat(1 << 20);
    let receipts: Vec<_> = (0..40)
        .map(|n| add(&store, "shop", &one("depth", &format!("{n}{long}"), n)))
        .collect();
    let stored: u64 = receipts.iter().map(|receipt| receipt.stored).sum();
    assert!((10..40).contains(&stored), "{stored} series of 1 MiB");
    assert!(
        receipts[39]
            .rejected
            .contains(&(RejectReason::TooManySeries, 1))
    );
}

#[test]
fn a_batch_that_is_sent_again_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let request = request(
        "shop",
        &counter("orders", DELTA, &[since(0, 10, r#""asInt":"3""#)]),
    );
    let send = |store: &Store| ingest(store, Signal::Metrics, &request, Some("p-1")).unwrap();
    let first = send(&store);
    assert_eq!((first.stored, first.duplicates), (1, 0));
    let again = send(&store);
    assert_eq!((again.accepted, again.stored, again.duplicates), (1, 0, 1));
    let instance = store.stored_by_instance().remove(0);
    assert_eq!(instance.service, "shop");
    assert_eq!((instance.points, instance.points_duplicate), (1, 1));
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(send(&store).duplicates, 1);
    assert_eq!(
        values(&store, &asking("orders", Aggregation::Sum, 10)),
        [(0, 3.0)]
    );
}

#[test]
fn series_are_known_after_a_start_and_forgotten_with_their_last_points() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let store = open(config.clone());
    add(&store, "shop", &one("old", "x", 1));
    add(&store, "shop", &one("both", "x", 1));
    flush(&store);
    // A slice is a sixteenth of the retention, the next is begun when that is over.
    let now = crate::now_unix_nano();
    let age = config.retention.as_nanos() as u64;
    store.ask(|reply| Message::Maintain(now + age / 16, reply));
    assert_eq!(store.stats().slices, 2);
    add(&store, "shop", &one("both", "x", 2));
    flush(&store);
    drop(store);
    let store = open(config.clone());
    let names = |store: &Store| -> Vec<String> {
        let metrics = store.metrics();
        metrics
            .iter()
            .map(|one| one.metric.name.to_string())
            .collect()
    };
    assert_eq!(names(&store), ["both", "old"]);
    let count = |store: &Store| values(store, &asking("both", Aggregation::Count, 10));
    assert_eq!(count(&store), [(0, 2.0)]);
    store.ask(|reply| Message::Maintain(now + 2 * age, reply));
    store.ask(|reply| Message::Maintain(now + 2 * age, reply));
    assert_eq!(names(&store), ["both"]);
    assert_eq!(count(&store), [(0, 1.0)]);
    assert!(matches!(
        store.search_metric(&asking("old", Aggregation::Avg, 10)),
        Err(SearchError::NoSuchMetric { .. })
    ));
    drop(store);
    // The slice that is left says itself what its series are.
    let store = open(config);
    assert_eq!(names(&store), ["both"]);
    assert_eq!(count(&store), [(0, 1.0)]);
}

#[test]
fn a_metric_that_changes_its_kind_is_two() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(
        &store,
        "shop",
        &gauge("orders", &[point(1, r#""asInt":"5""#)]),
    );
    add(
        &store,
        "shop",
        &counter("orders", DELTA, &[since(0, 2, r#""asInt":"7""#)]),
    );
    assert_eq!(store.metrics().len(), 2);
    let asking = |kind: Option<&str>| MetricSearch {
        kind: kind.map(str::to_owned),
        aggregation: None,
        ..asking("orders", Aggregation::Sum, 10)
    };
    let newest = answer(&store, &asking(None));
    assert_eq!(
        (newest.metric.kind.as_str(), newest.aggregation),
        ("sum", Aggregation::Rate)
    );
    let gauge = answer(&store, &asking(Some("gauge")));
    assert_eq!(points(&gauge.series[0]), [(0, 5.0)]);
    assert!(store.search_metric(&asking(Some("summary"))).is_err());
}

#[test]
fn an_answer_has_a_largest_size() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(&store, "shop", &one("depth", "x", 1));
    let many = MetricSearch {
        step_nano: SECOND / 2,
        ..asking("depth", Aggregation::Avg, 10_000)
    };
    assert!(matches!(
        store.search_metric(&many),
        Err(SearchError::TooManyWindows {
            windows: 20_000,
            ..
        })
    ));
    // Eighty series of ten thousand windows each.
    for n in 0..80 {
        add(&store, "shop", &one("depth", &n.to_string(), 9_999));
    }
    let large = MetricSearch {
        step_nano: SECOND,
        ..asking_by("depth", Aggregation::Avg, 10_000, &["user"])
    };
    assert!(matches!(
        store.search_metric(&large),
        Err(SearchError::TooMuch)
    ));
    let smaller = MetricSearch { limit: 10, ..large };
    assert_eq!(answer(&store, &smaller).series.len(), 10);
}

#[test]
fn damage_costs_the_block_and_no_series_is_taken_for_another() {
    let check = |sql: &str, found_x: &[(u64, f64)]| {
        let directory = tempfile::tempdir().unwrap();
        let store = open(config(directory.path()));
        add(&store, "shop", &one("depth", "x", 1));
        flush(&store);
        add(&store, "shop", &one("depth", "x", 11));
        flush(&store);
        drop(store);
        let path = directory.path().join("slice-00000001.db");
        let connection = rusqlite::Connection::open(path).unwrap();
        assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
        drop(connection);
        let store = open(config(directory.path()));
        add(&store, "shop", &one("depth", "y", 21));
        let of = |user: &str| {
            let search = asking("depth", Aggregation::Count, 30);
            let search = filtered(search, &format!("point.user = \"{user}\""));
            series(&store, &search)
                .into_iter()
                .flat_map(|(_, points)| points)
        };
        assert_eq!(of("x").collect::<Vec<_>>(), found_x, "{sql}");
        assert_eq!(of("y").collect::<Vec<_>>(), [(20, 1.0)], "{sql}");
        assert_eq!(store.stats().corrupt, 1, "{sql}");
    };
    // The row id is block * 16 + section: the core, the points, the values and the exemplars.
    for section in [1, 11, 4, 12] {
        let zeros = format!("UPDATE section SET data = zeroblob(20) WHERE id = 16 + {section}");
        check(&zeros, &[(10, 1.0)]);
        let missing = format!("DELETE FROM section WHERE id = 16 + {section}");
        check(&missing, &[(10, 1.0)]);
    }
    check("UPDATE block SET info = x'00' WHERE id = 2", &[(0, 1.0)]);
    // What says which series there are.
    check("UPDATE section SET data = zeroblob(20) WHERE id = 16", &[]);
}
