//! Gauges and sums.

use super::*;
use Aggregation::{Avg, Count, Max, Min, Rate, Sum};

#[test]
fn a_gauge_is_averaged_and_its_last_values_are_added_up() {
    let fill = |store: &Store| {
        let of = |queue: &str, seconds: u64, value: f64| {
            let rest = format!("{},{}", double(value), text("queue", queue));
            point(seconds, &rest)
        };
        let points = [
            of("a", 0, 1.0),
            of("a", 5, 3.0),
            of("b", 5, 10.0),
            of("a", 10, 5.0),
            of("b", 19, 0.5),
            of("a", 35, 7.0),
        ];
        assert_eq!(add(store, "shop", &gauge("depth", &points)).stored, 6);
    };
    in_head_and_blocks(fill, |store| {
        let ask = |aggregation| values(store, &asking("depth", aggregation, 40));
        // Of "a" the 3, of "b" the 10; then 5 and 0.5; then nothing is known of "b".
        assert_eq!(ask(Sum), [(0, 13.0), (10, 5.5), (30, 7.0)]);
        assert_eq!(ask(Avg), [(0, 4.666_667), (10, 2.75), (30, 7.0)]);
        assert_eq!(ask(Min), [(0, 1.0), (10, 0.5), (30, 7.0)]);
        assert_eq!(ask(Max), [(0, 10.0), (10, 5.0), (30, 7.0)]);
        assert_eq!(ask(Count), [(0, 3.0), (10, 2.0), (30, 1.0)]);
        assert_eq!(
            series(store, &asking_by("depth", Max, 20, &["queue"])),
            [
                ("queue=a".to_owned(), vec![(0, 3.0), (10, 5.0)]),
                ("queue=b".to_owned(), vec![(0, 10.0), (10, 0.5)]),
            ]
        );
    });
}

#[test]
fn the_rate_of_a_cumulative_counter_is_right_across_a_reset() {
    let fill = |store: &Store| {
        // A process that began 10 s before counts 2 a second; it is gone at 25 s with 70 counted, begins
        // anew at 30 s and counts 4 a second.
        let points = [
            point(
                0,
                &format!(r#""startTimeUnixNano":"{}",{}"#, T0 - 10 * SECOND, int(20)),
            ),
            point(
                10,
                &format!(r#""startTimeUnixNano":"{}",{}"#, T0 - 10 * SECOND, int(40)),
            ),
            point(
                20,
                &format!(r#""startTimeUnixNano":"{}",{}"#, T0 - 10 * SECOND, int(60)),
            ),
            since(30, 40, &int(40)),
            since(30, 50, &int(80)),
        ];
        add(store, "shop", &counter("orders", CUMULATIVE, &points));
    };
    in_head_and_blocks(fill, |store| {
        let ask = |aggregation| values(store, &asking("orders", aggregation, 50));
        // What came between the last point of the first process and the begin of the second is lost.
        assert_eq!(ask(Rate), [(0, 2.0), (10, 2.0), (30, 4.0), (40, 4.0)]);
        assert_eq!(ask(Sum), [(0, 20.0), (10, 20.0), (30, 40.0), (40, 40.0)]);
    });
}

#[test]
fn a_counter_that_does_not_say_when_it_began_is_reset_when_it_shrinks() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let values_of = [(0, 100), (10, 130), (20, 10), (30, 20)];
    let points = values_of.map(|(seconds, value)| point(seconds, &int(value)));
    add(&store, "shop", &counter("orders", CUMULATIVE, &points));
    // The first 100 may be of any time.
    assert_eq!(
        values(&store, &asking("orders", Sum, 40)),
        [(0, 30.0), (10, 10.0), (20, 10.0)]
    );
    // Not even if all of time is asked for.
    let ever = MetricSearch {
        from_unix_nano: 0,
        step_nano: T0 / 2,
        ..asking("orders", Sum, 40)
    };
    let of_ever = answer(&store, &ever);
    let total: f64 = of_ever.series[0]
        .points
        .iter()
        .map(|(_, value)| value)
        .sum();
    assert!((total - 50.0).abs() < 1e-6, "{total}");
}

#[test]
fn points_seldom_sent_are_spread_over_the_steps_between() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let points = [since(0, 20, &int(200)), since(0, 80, &int(500))];
    add(&store, "shop", &counter("orders", CUMULATIVE, &points));
    let mut expected = vec![(0, 10.0), (10, 10.0)];
    expected.extend((2..8).map(|step| (10 * step, 5.0)));
    assert_eq!(values(&store, &asking("orders", Rate, 100)), expected);
    // A part of the time is answered in the same way: the neighbours are found.
    let part = MetricSearch {
        from_unix_nano: T0 + 40 * SECOND,
        ..asking("orders", Rate, 60)
    };
    assert_eq!(values(&store, &part), [(40, 5.0), (50, 5.0)]);
}

#[test]
fn a_point_that_begins_where_it_ends_says_only_what_there_was() {
    let fill = |store: &Store| {
        // As the Collector has it of something it reads from Prometheus, and again after it began anew.
        let points = [
            since(5, 5, &int(1_000_000)),
            since(5, 15, &int(1_000_010)),
            since(5, 25, &int(1_000_020)),
            since(35, 35, &int(1_000_030)),
            since(35, 45, &int(1_000_040)),
            // It is lower: what it counts has begun anew.
            since(55, 55, &int(4)),
            since(55, 65, &int(14)),
        ];
        add(store, "shop", &counter("orders", CUMULATIVE, &points));
    };
    in_head_and_blocks(fill, |store| {
        assert_eq!(
            values(store, &asking("orders", Sum, 70)),
            [
                (0, 5.0),
                (10, 10.0),
                (20, 10.0),
                (30, 10.0),
                (40, 5.0),
                (50, 9.0),
                (60, 5.0)
            ]
        );
    });
}

#[test]
fn deltas_add_up_and_may_arrive_in_any_order() {
    let fill = |store: &Store| {
        let points = [
            since(10, 20, &int(30)),
            since(0, 10, &int(10)),
            since(20, 30, &double(0.5)),
        ];
        add(store, "shop", &counter("orders", DELTA, &points));
    };
    in_head_and_blocks(fill, |store| {
        assert_eq!(
            values(store, &asking("orders", Sum, 30)),
            [(0, 10.0), (10, 30.0), (20, 0.5)]
        );
        assert_eq!(
            values(store, &asking("orders", Rate, 30)),
            [(0, 1.0), (10, 3.0), (20, 0.05)]
        );
    });
}

#[test]
fn counters_of_several_processes_are_followed_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for (service, step) in [("shop", 10), ("till", 1000)] {
        for seconds in [10, 20, 30] {
            let value = int(seconds as i64 / 10 * step);
            add(
                &store,
                service,
                &counter("orders", CUMULATIVE, &[since(0, seconds, &value)]),
            );
        }
    }
    assert_eq!(
        values(&store, &asking("orders", Sum, 30)),
        [(0, 1010.0), (10, 1010.0), (20, 1010.0)]
    );
    let by = ["resource.service.name"];
    let by_service = series(&store, &asking_by("orders", Sum, 10, &by));
    assert_eq!(
        by_service,
        [
            ("resource.service.name=shop".to_owned(), vec![(0, 10.0)]),
            ("resource.service.name=till".to_owned(), vec![(0, 1000.0)]),
        ]
    );
    let one = filtered(
        asking("orders", Sum, 10),
        r#"resource.service.name = "till""#,
    );
    assert_eq!(values(&store, &one), [(0, 1000.0)]);
    let none = filtered(asking("orders", Sum, 10), r#".service.name = "bank""#);
    assert_eq!(series(&store, &none), []);
    let left_out = MetricSearch {
        limit: 1,
        ..asking_by("orders", Sum, 10, &by)
    };
    let answer = answer(&store, &left_out);
    assert_eq!((answer.series.len(), answer.series_left_out), (1, 1));
}

/// Processes come and go: those that are gone must not keep those out that run.
#[test]
fn series_of_an_earlier_time_are_left_out_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for (process, seconds) in [("a", 0), ("b", 100), ("c", 1), ("d", 105), ("e", 2)] {
        let point = point(seconds, &int(7));
        add(&store, process, &gauge("threads", &[point]));
    }
    let found = |limit: usize| {
        let search = MetricSearch {
            from_unix_nano: T0 + 100 * SECOND,
            to_unix_nano: T0 + 110 * SECOND - 1,
            limit,
            ..asking_by("threads", Max, 10, &["service.name"])
        };
        let answer = answer(&store, &search);
        let names = answer
            .series
            .iter()
            .map(|one| one.labels[0].value.to_string());
        (names.collect::<Vec<_>>(), answer.series_left_out)
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(found(1), (names(&["b"]), 4));
    assert_eq!(found(2), (names(&["b", "d"]), 3));
    assert_eq!(found(3), (names(&["a", "b", "d"]), 2));
    assert_eq!(found(5), (names(&["a", "b", "c", "d", "e"]), 0));
}

#[test]
fn a_sum_that_may_shrink_is_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let values_of = [(5, 8), (9, 6), (15, 2)];
    let points = values_of.map(|(seconds, value)| since(0, seconds, &int(value)));
    add(&store, "shop", &metric("open", "sum", CUMULATIVE, &points));
    assert_eq!(
        values(&store, &asking("open", Sum, 20)),
        [(0, 6.0), (10, 2.0)]
    );
    assert_eq!(
        values(&store, &asking("open", Avg, 20)),
        [(0, 7.0), (10, 2.0)]
    );
    let error = store.search_metric(&asking("open", Rate, 20)).unwrap_err();
    let SearchError::Aggregation { allowed, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(allowed, [Sum, Avg, Min, Max, Count]);
}

#[test]
fn a_point_without_a_value_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let points = [
        point(1, &double(4.0)),
        point(11, &format!(r#"{},"flags":1"#, double(0.0))),
        point(21, r#""asDouble":"NaN""#),
        point(31, &double(6.0)),
    ];
    assert_eq!(add(&store, "shop", &gauge("depth", &points)).stored, 4);
    flush(&store);
    assert_eq!(
        values(&store, &asking("depth", Avg, 40)),
        [(0, 4.0), (30, 6.0)]
    );
}

#[test]
fn exemplars_lead_to_spans() {
    let fill = |store: &Store| {
        let exemplar = |seconds: u64, value: u64, span: u64| {
            point(
                seconds,
                &format!(
                    r#""asInt":"{value}","spanId":"{span:016x}","traceId":"{:032x}",
                    "filteredAttributes":[{{"key":"user","value":{{"stringValue":"u{span}"}}}}]"#,
                    span + 100
                ),
            )
        };
        let exemplars = [exemplar(2, 5, 1), exemplar(3, 9, 2), exemplar(12, 1, 3)].join(",");
        let rest = format!(r#"{},"exemplars":[{exemplars}]"#, int(15));
        add(
            store,
            "shop",
            &counter("orders", CUMULATIVE, &[since(0, 20, &rest)]),
        );
    };
    in_head_and_blocks(fill, |store| {
        let answer = answer(store, &asking("orders", Rate, 20));
        let found: Vec<_> = answer.series[0]
            .exemplars
            .iter()
            .map(|one| {
                let user = one.attributes[0].value.to_string();
                let seconds = (one.time_unix_nano - T0) / SECOND;
                (
                    seconds,
                    one.value.as_f64(),
                    one.trace_id.get(),
                    one.span_id.get(),
                    user,
                )
            })
            .collect();
        // Of each step the highest.
        assert_eq!(
            found,
            [
                (3, 9.0, 102, 2, "u2".to_owned()),
                (12, 1.0, 103, 3, "u3".to_owned()),
            ]
        );
    });
}
