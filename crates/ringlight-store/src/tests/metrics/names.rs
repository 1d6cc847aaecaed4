//! Which metrics are one, and how each of several is asked for.

use super::*;
use Aggregation::{Max, Min, Sum};

fn value(value: u64) -> String {
    format!(r#""asInt":"{value}""#)
}

#[test]
fn temporality_makes_no_other_metric() {
    let fill = |store: &Store| {
        let points = [since(0, 5, &value(2))];
        add(store, "shop", &counter("orders", DELTA, &points));
        let points = [since(0, 5, &value(2)), since(0, 9, &value(7))];
        add(store, "till", &counter("orders", CUMULATIVE, &points));
    };
    in_head_and_blocks(fill, |store| {
        let metrics = store.metrics();
        let [orders] = &metrics[..] else {
            panic!("{metrics:?}");
        };
        assert_eq!(orders.series_count, 2);
        assert_eq!(orders.services, ["shop", "till"]);
        // That of the newest point.
        assert_eq!(
            orders.metric.kind.temporality(),
            Some(ringlight_model::Temporality::Cumulative)
        );
        assert_eq!(values(store, &asking("orders", Sum, 10)), [(0, 9.0)]);
    });
}

#[test]
fn ends_are_exact_only_where_all_say_them_of_the_time() {
    let fields = |min: u64, max: u64, count: u64| {
        format!(
            r#""count":"{count}","sum":{count},"min":{min},"max":{max},"bucketCounts":[0,"{count}",0],"explicitBounds":[10,20]"#
        )
    };
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    // Of all time 3 and 90; what was added meanwhile is between 10 and 20.
    let points = [
        since(0, 5, &fields(3, 90, 9)),
        since(0, 15, &fields(3, 90, 10)),
    ];
    add(
        &store,
        "till",
        &metric("took", "histogram", CUMULATIVE, &points),
    );
    let points = [since(10, 15, &fields(12, 18, 4))];
    add(&store, "shop", &metric("took", "histogram", DELTA, &points));
    let ask = |aggregation| {
        values(&store, &asking("took", aggregation, 20))
            .pop()
            .unwrap()
    };
    assert_eq!([ask(Min), ask(Max)], [(10, 10.0), (10, 20.0)]);
}

#[test]
fn each_unit_of_a_name_can_be_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let gauge = |unit: &str, seconds: u64, number: u64| {
        let gauge = gauge("took", &[point(seconds, &value(number))]);
        gauge.replace(r#""unit":"1""#, &format!(r#""unit":"{unit}""#))
    };
    add(&store, "shop", &gauge("s", 1, 2));
    add(&store, "till", &gauge("ms", 2, 2000));
    add(&store, "bank", &gauge("", 3, 7));
    assert_eq!(store.metrics().len(), 3);
    let of = |unit: &str| MetricSearch {
        unit: Some(unit.to_owned()),
        ..asking("took", Max, 10)
    };
    for (unit, found) in [("s", 2.0), ("ms", 2000.0), ("", 7.0)] {
        let answer = answer(&store, &of(unit));
        assert_eq!(answer.metric.unit, unit);
        assert_eq!(points(&answer.series[0]), [(0, found)]);
    }
    assert_eq!(answer(&store, &asking("took", Max, 10)).metric.unit, "");
    let error = store.search_metric(&of("h")).unwrap_err().to_string();
    assert_eq!(error, "nothing is stored of a metric `took` in `h`");
}

#[test]
fn a_sum_that_may_shrink_is_another_than_one_that_may_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(
        &store,
        "shop",
        &counter("jobs", DELTA, &[since(0, 5, &value(3))]),
    );
    add(
        &store,
        "till",
        &metric("jobs", "sum", CUMULATIVE, &[since(0, 9, &value(8))]),
    );
    assert_eq!(store.metrics().len(), 2);
    for (is_monotonic, found) in [(true, 3.0), (false, 8.0)] {
        let search = MetricSearch {
            is_monotonic: Some(is_monotonic),
            ..asking("jobs", Sum, 10)
        };
        assert_eq!(values(&store, &search), [(0, found)]);
    }
}
