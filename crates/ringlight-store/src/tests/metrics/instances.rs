//! What the other series of an instance tell about one that begins or ends.

use super::*;
use Aggregation::{Avg, Count, P50, Sum};

/// Points of one who has counted since [`T0`], with the status "ok" or "failed".
fn counted(status: &str, values: &[(u64, i64)]) -> Vec<String> {
    let rest = |value| format!("{},{}", int(value), text("status", status));
    let values = values.iter();
    values
        .map(|&(seconds, value)| since(0, seconds, &rest(value)))
        .collect()
}

/// A value that grows by one a second, at these times.
fn growing(seconds: impl IntoIterator<Item = u64>) -> Vec<(u64, i64)> {
    let seconds = seconds.into_iter();
    seconds.map(|at| (at, at as i64)).collect()
}

/// Asks for those that failed, from so many seconds after [`T0`] to others.
fn failed(aggregation: Aggregation, from: u64, to: u64) -> MetricSearch {
    let search = filtered(
        asking("orders", aggregation, to),
        r#"point.status = "failed""#,
    );
    MetricSearch {
        from_unix_nano: T0 + from * SECOND,
        ..search
    }
}

#[test]
fn a_series_that_begins_late_counts_from_the_report_it_was_not_in() {
    let fill = |store: &Store| {
        let mut points = counted("ok", &growing([10, 20, 30, 40, 60, 70]));
        points.extend(counted("failed", &[(60, 30), (70, 35)]));
        add(store, "shop", &counter("orders", CUMULATIVE, &points));
        // Another process says nothing about when that was.
        let points = counted("ok", &growing([55]));
        add(store, "till", &counter("orders", CUMULATIVE, &points));
    };
    in_head_and_blocks(fill, |store| {
        let expected = [(40, 15.0), (50, 15.0), (60, 5.0)];
        assert_eq!(values(store, &failed(Sum, 0, 80)), expected);
        // And so if its process began before the time asked for.
        assert_eq!(values(store, &failed(Sum, 30, 80)), expected);
        assert_eq!(values(store, &failed(Sum, 50, 60)), expected[1..2]);
        assert_eq!(values(store, &failed(Sum, 60, 80)), expected[2..]);
    });
}

#[test]
fn the_reports_of_an_instance_are_known_from_one_request_to_the_next() {
    let fill = |store: &Store| {
        let send = |points: &[String]| {
            add(store, "shop", &counter("orders", CUMULATIVE, points));
        };
        for seconds in (10..=40).step_by(10) {
            send(&counted("ok", &growing([seconds])));
        }
        // One report in two requests, as a large one is split.
        send(&counted("ok", &growing([50])));
        send(&counted("failed", &[(50, 7)]));
    };
    in_head_and_blocks(fill, |store| {
        assert_eq!(values(store, &failed(Sum, 0, 60)), [(40, 7.0)]);
        assert_eq!(values(store, &failed(Sum, 20, 60)), [(40, 7.0)]);
    });
    // The request of the point is in the head, those before it are in a block.
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    fill(&store);
    flush(&store);
    let points = counted("late", &[(60, 9)]);
    add(&store, "shop", &counter("orders", CUMULATIVE, &points));
    let late = filtered(asking("orders", Sum, 60), r#"point.status = "late""#);
    assert_eq!(values(&store, &late), [(50, 9.0)]);
}

#[test]
fn a_series_that_comes_back_has_not_begun() {
    let before = counted("failed", &[(10, 1000)]);
    let after = counted("failed", &[(650, 1010), (660, 1015)]);
    let ok = |from: u64, to: u64| counted("ok", &growing((from..=to).step_by(10)));
    let send = |store: &Store, parts: [&[String]; 2]| {
        add(
            store,
            "shop",
            &counter("orders", CUMULATIVE, &parts.concat()),
        );
    };
    // Its earlier point is too old to be looked at. What it says at 650 s is compared with, no more.
    let check = |store: &Store| assert_eq!(values(store, &failed(Sum, 610, 670)), [(650, 5.0)]);
    let in_parts = |store: &Store| {
        send(store, [&before, &ok(10, 100)]);
        send(store, [&ok(110, 660), &after]);
    };
    in_head_and_blocks(in_parts, check);
    let in_one = |store: &Store| {
        send(store, [&before, &[]]);
        send(store, [&ok(10, 660), &after]);
    };
    in_head_and_blocks(in_one, check);
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    send(&store, [&before, &ok(10, 100)]);
    flush(&store);
    send(&store, [&ok(110, 660), &after]);
    flush(&store);
    check(&store);
}

#[test]
fn a_distribution_that_begins_late_counts_from_the_report_it_was_not_in() {
    let fill = |store: &Store| {
        let of = |status: &str, seconds: u64, count: u64| {
            let fields = format!(
                r#""count":"{count}","sum":{count},"bucketCounts":["{count}",0],"explicitBounds":[10],{}"#,
                text("status", status)
            );
            since(0, seconds, &fields)
        };
        let mut points: Vec<String> = (1..=6).map(|n| of("ok", 10 * n, n)).collect();
        points.push(of("failed", 50, 4));
        points.push(of("failed", 60, 6));
        let orders = metric("orders", "histogram", CUMULATIVE, &points);
        add(store, "shop", &orders);
    };
    in_head_and_blocks(fill, |store| {
        let expected = [(40, 4.0), (50, 2.0)];
        assert_eq!(values(store, &failed(Count, 0, 60)), expected);
        assert_eq!(values(store, &failed(Count, 20, 60)), expected);
        let medians = values(store, &failed(P50, 20, 60));
        assert_eq!(medians, [(40, 5.0), (50, 5.0)]);
    });
}

/// Values of a gauge, or of a sum that may shrink, of one who began at the first time given.
fn measured(start: u64, seconds: &[u64], value: i64) -> Vec<String> {
    let seconds = seconds.iter();
    seconds.map(|&at| since(start, at, &int(value))).collect()
}

#[test]
fn a_process_that_starts_again_within_a_step_is_added_up_once() {
    let fill = |store: &Store| {
        for (name, kind, fields) in [("memory", "gauge", ""), ("open", "sum", CUMULATIVE)] {
            let send = |instance: &str, points: &[String]| {
                add(store, instance, &metric(name, kind, fields, points));
            };
            send("shop-1", &measured(0, &[2, 4, 12, 14], 100));
            send("shop-2", &measured(15, &[17, 19, 21, 23], 90));
            // Its points are not the last of their steps, but it goes on.
            send("till-1", &measured(0, &[3, 12, 13, 23], 1000));
        }
    };
    in_head_and_blocks(fill, |store| {
        let expected = [(0, 1100.0), (10, 1090.0), (20, 1090.0)];
        assert_eq!(values(store, &asking("memory", Sum, 30)), expected);
        assert_eq!(values(store, &asking("open", Sum, 30)), expected);
        // It goes on after the time asked for.
        assert_eq!(values(store, &asking("memory", Sum, 20)), expected[..2]);
        // Each process has the values it had.
        let by = series(store, &asking_by("memory", Sum, 30, &["service.name"]));
        assert_eq!(by[0].1, [(0, 100.0), (10, 100.0)]);
        assert_eq!(by[1].1, [(10, 90.0), (20, 90.0)]);
        // All points count in the mean.
        let mean = (2.0 * 100.0 + 2.0 * 90.0 + 2.0 * 1000.0) / 6.0;
        let means = values(store, &asking("memory", Avg, 20));
        assert!((means[1].1 - mean).abs() < 1e-6, "{means:?}");
    });
}

#[test]
fn a_process_that_reports_once_has_ended_after_as_long_as_it_had_run() {
    let fill = |store: &Store| {
        let send = |instance: &str, points: &[String]| {
            add(store, instance, &gauge("memory", points));
        };
        // Three short runs in one step, and one that does not say when it began.
        send("run-1", &measured(0, &[1], 1));
        send("run-2", &measured(3, &[4], 20));
        send("run-3", &measured(7, &[8], 300));
        send("job", &[point(2, &int(4000))]);
    };
    in_head_and_blocks(fill, |store| {
        assert_eq!(values(store, &asking("memory", Sum, 10)), [(0, 4300.0)]);
    });
}

#[test]
fn what_is_not_overdue_has_not_ended() {
    let fill = |store: &Store| {
        let send = |instance: &str, seconds: &[u64]| {
            let points = measured(0, seconds, 7);
            add(store, instance, &gauge("memory", &points));
        };
        // Its next point was due at 34 s, or a little later.
        send("shop-1", &[10, 18, 26]);
        send("shop-2", &[12, 24, 36]);
    };
    in_head_and_blocks(fill, |store| {
        let search = MetricSearch {
            step_nano: 100 * SECOND,
            ..asking("memory", Sum, 100)
        };
        assert_eq!(values(store, &search), [(0, 14.0)]);
    });
}
