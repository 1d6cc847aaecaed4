//! Histograms, exponential histograms and summaries.

use super::*;
use Aggregation::{Avg, Count, Max, Min, P50, P90, P95, P99, Rate, Sum};

/// Values that look random, between 1 and 1000, many of them small.
fn observed(count: u64) -> Vec<f64> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count).map(|_| 1000_f64.powf(next())).collect()
}

/// The value below which a part of the values lies.
fn exact(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((values.len() - 1) as f64 * quantile) as usize]
}

const BOUNDS: [f64; 9] = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(",")
}

/// The fields of a histogram of values.
fn histogram_of(values: &[f64]) -> String {
    let mut buckets = [0_u64; BOUNDS.len() + 1];
    for value in values {
        buckets[BOUNDS.partition_point(|bound| bound < value)] += 1;
    }
    format!(
        r#""count":"{}","sum":{},"bucketCounts":[{}],"explicitBounds":[{}]"#,
        values.len(),
        values.iter().sum::<f64>(),
        list(buckets),
        list(BOUNDS)
    )
}

/// The fields of an exponential histogram of positive values.
fn exponential_of(values: &[f64], scale: i32) -> String {
    let index = |value: f64| (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1;
    let offset = values.iter().map(|&value| index(value)).min().unwrap_or(0);
    let last = values.iter().map(|&value| index(value)).max().unwrap_or(0);
    let mut buckets = vec![0_u64; (last - offset + 1) as usize];
    for &value in values {
        buckets[(index(value) - offset) as usize] += 1;
    }
    format!(
        r#""count":"{}","sum":{},"scale":{scale},"positive":{{"offset":{offset},"bucketCounts":[{}]}}"#,
        values.len(),
        values.iter().sum::<f64>(),
        list(buckets)
    )
}

#[test]
fn quantiles_of_a_histogram_are_within_the_bucket_of_the_exact_value() {
    let (first, second) = (observed(5000), observed(9000));
    let (first, second) = (&first[..], &second[5000..]);
    let fill = |store: &Store| {
        let both = [first, second].concat();
        let points = [
            since(0, 10, &histogram_of(first)),
            since(0, 20, &histogram_of(&both)),
        ];
        add(
            store,
            "shop",
            &metric("latency", "histogram", CUMULATIVE, &points),
        );
    };
    in_head_and_blocks(fill, |store| {
        for (aggregation, quantile) in [(P50, 0.5), (P90, 0.9), (P95, 0.95), (P99, 0.99)] {
            let found = values(store, &asking("latency", aggregation, 20));
            for ((_, value), of) in found.iter().zip([first, second]) {
                let exact = exact(of, quantile);
                let bucket = BOUNDS.partition_point(|bound| *bound < exact);
                let lower = bucket.checked_sub(1).map_or(0.0, |below| BOUNDS[below]);
                assert!(
                    (lower..=BOUNDS[bucket]).contains(value),
                    "{aggregation} is {value}, exactly {exact}"
                );
            }
            assert_eq!(found.len(), 2);
        }
        let ask = |aggregation| values(store, &asking("latency", aggregation, 20));
        assert_eq!(ask(Count), [(0, 5000.0), (10, 4000.0)]);
        assert_eq!(ask(Rate), [(0, 500.0), (10, 400.0)]);
        let (_, sum) = ask(Sum)[1];
        assert!((sum - second.iter().sum::<f64>()).abs() < 1.0);
        let (_, mean) = ask(Avg)[1];
        assert!((mean - second.iter().sum::<f64>() / 4000.0).abs() < 0.01);
    });
}

/// As of times in seconds, by the bounds that SDKs have where nothing is said, which suit milliseconds.
#[test]
fn quantiles_of_values_that_are_all_in_one_bucket_lie_between_their_ends() {
    let fill = |store: &Store| {
        let values = r#""count":"60","sum":5.7,"min":0.005,"max":0.256,"bucketCounts":[0,60,0],"explicitBounds":[0,5]"#;
        let points = [since(0, 10, values)];
        add(store, "shop", &metric("wait", "histogram", DELTA, &points));
    };
    in_head_and_blocks(fill, |store| {
        for (aggregation, quantile) in [(P50, 0.5), (P95, 0.95)] {
            let found = values(store, &asking("wait", aggregation, 20));
            let expected = 0.005 + quantile * 0.251;
            assert!((found[0].1 - expected).abs() < 1e-9, "{found:?}");
        }
    });
}

#[test]
fn quantiles_of_an_exponential_histogram_are_within_its_relative_error() {
    let all = observed(8000);
    let (first, second) = all.split_at(3000);
    let fill = |store: &Store| {
        // Its resolution is less from the second point on.
        let points = [
            since(0, 10, &exponential_of(first, 5)),
            since(0, 20, &exponential_of(&all, 3)),
        ];
        let metric = metric("latency", "exponentialHistogram", CUMULATIVE, &points);
        add(store, "shop", &metric);
    };
    in_head_and_blocks(fill, |store| {
        for (aggregation, quantile) in [(P50, 0.5), (P90, 0.9), (P95, 0.95), (P99, 0.99)] {
            let found = values(store, &asking("latency", aggregation, 20));
            for ((_, value), (of, scale)) in found.iter().zip([(first, 5), (second, 3)]) {
                let error = f64::exp2(f64::exp2(-f64::from(scale))) - 1.0;
                let exact = exact(of, quantile);
                assert!(
                    (value / exact - 1.0).abs() <= error + 0.01,
                    "{aggregation} is {value}, exactly {exact}"
                );
            }
            assert_eq!(found.len(), 2);
        }
        let count = values(store, &asking("latency", Count, 20));
        assert_eq!(count, [(0, 3000.0), (10, 5000.0)]);
    });
}

#[test]
fn distributions_are_put_together_and_begin_anew_after_a_reset() {
    let fill = |store: &Store| {
        let fields = |count: [u64; 3]| {
            let total: u64 = count.iter().sum();
            format!(
                r#""count":"{total}","sum":{total},"bucketCounts":[{}],"explicitBounds":[10,20]"#,
                list(count)
            )
        };
        let points = [
            since(0, 10, &fields([10, 0, 0])),
            since(10, 20, &fields([0, 4, 0])),
        ];
        add(
            store,
            "shop",
            &metric("latency", "histogram", CUMULATIVE, &points),
        );
        let points = [
            since(0, 10, &fields([0, 0, 10])),
            since(10, 20, &fields([0, 4, 0])),
        ];
        add(
            store,
            "till",
            &metric("latency", "histogram", DELTA, &points),
        );
    };
    in_head_and_blocks(fill, |store| {
        let ask = |aggregation| values(store, &asking("latency", aggregation, 20));
        assert_eq!(ask(Count), [(0, 20.0), (10, 8.0)]);
        // Half of the values are in the first bucket; all are in the second one.
        assert_eq!(ask(P50), [(0, 10.0), (10, 15.0)]);
        assert_eq!(ask(P90), [(0, 20.0), (10, 19.0)]);
    });
}

#[test]
fn a_distribution_that_begins_where_it_ends_says_only_what_there_was() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let fields = |count: u64| {
        format!(
            r#""count":"{count}","sum":{count},"bucketCounts":["{count}",0],"explicitBounds":[10]"#
        )
    };
    let points = [
        since(5, 5, &fields(1_000_000)),
        since(5, 15, &fields(1_000_010)),
        since(5, 25, &fields(1_000_020)),
    ];
    let latency = metric("latency", "histogram", CUMULATIVE, &points);
    add(&store, "shop", &latency);
    assert_eq!(
        values(&store, &asking("latency", Count, 30)),
        [(0, 5.0), (10, 10.0), (20, 5.0)]
    );
}

#[test]
fn a_zero_bucket_that_widens_is_no_reset() {
    let fields = |zeros: u64, threshold: f64, offset: i32, counts: &[u64]| {
        let count = zeros + counts.iter().sum::<u64>();
        format!(
            r#""count":"{count}","sum":{count},"scale":0,"zeroCount":"{zeros}","zeroThreshold":{threshold},
            "positive":{{"offset":{offset},"bucketCounts":[{}]}}"#,
            list(counts)
        )
    };
    let exponential = |temporality, points: &[String]| {
        metric("latency", "exponentialHistogram", temporality, points)
    };
    // A thousand in (1/8, 1/4], a thousand in (1, 2]; then the first are zeros, and five are added to each.
    let before = fields(0, 0.0, -3, &[1000, 0, 0, 1000]);
    let after = fields(1005, 0.5, 0, &[1005]);
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let points = [since(0, 10, &before), since(0, 20, &after)];
    add(&store, "shop", &exponential(CUMULATIVE, &points));
    let ask = |aggregation| values(&store, &asking("latency", aggregation, 20));
    assert_eq!(ask(Count), [(0, 2000.0), (10, 10.0)]);
    // A threshold within a bucket is one at its end.
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let cut = fields(3, 0.2, -2, &[4]);
    add(
        &store,
        "shop",
        &exponential(DELTA, &[since(0, 10, &before)]),
    );
    add(&store, "till", &exponential(DELTA, &[since(0, 10, &cut)]));
    let ask = |aggregation| values(&store, &asking("latency", aggregation, 10))[0].1;
    assert_eq!(ask(Count), 2007.0);
    // 1003 of 2007 are zeros, up to a quarter; none is left of the bucket below that.
    assert_eq!((ask(Min), ask(P90) > 1.0), (-0.25, true));
    let just_above_zeros = ask(P50);
    assert!(
        (0.25..=0.5).contains(&just_above_zeros),
        "{just_above_zeros}"
    );
}

#[test]
fn lowest_and_highest_are_exact_where_they_are_said() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let fields =
        r#""count":"3","sum":45,"min":3,"max":31,"bucketCounts":[1,1,1],"explicitBounds":[10,20]"#;
    let delta = metric("delta", "histogram", DELTA, &[since(0, 10, fields)]);
    let without = fields.replace(r#""min":3,"max":31,"#, "");
    let cumulative = metric(
        "cumulative",
        "histogram",
        CUMULATIVE,
        &[since(0, 10, &without)],
    );
    add(&store, "shop", &format!("{delta},{cumulative}"));
    let ask = |name, aggregation| values(&store, &asking(name, aggregation, 10))[0].1;
    assert_eq!([ask("delta", Min), ask("delta", Max)], [3.0, 31.0]);
    assert_eq!(
        [ask("cumulative", Min), ask("cumulative", Max)],
        [0.0, 20.0]
    );
}

#[test]
fn a_time_without_values_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let some =
        r#""count":"2","sum":7,"min":3,"max":4,"bucketCounts":[0,2,0],"explicitBounds":[1,5]"#;
    // It has other bounds, and neither a sum nor ends.
    let none = r#""count":"0","bucketCounts":[0,0],"explicitBounds":[2]"#;
    let points = [
        since(0, 2, none),
        since(2, 5, some),
        since(5, 8, none),
        since(10, 15, none),
    ];
    add(
        &store,
        "shop",
        &metric("latency", "histogram", DELTA, &points),
    );
    let ask = |aggregation| values(&store, &asking("latency", aggregation, 20));
    assert_eq!([ask(Min), ask(Max)], [[(0, 3.0)], [(0, 4.0)]]);
    assert_eq!(ask(P50), [(0, 3.5)]);
    assert_eq!(ask(Sum), [(0, 7.0), (10, 0.0)]);
    assert_eq!(ask(Count), [(0, 2.0), (10, 0.0)]);
    assert_eq!(ask(Avg), [(0, 3.5)]);
}

#[test]
fn values_below_zero_and_zeros_have_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    // Ten in (-4, -2], ten zeros, ten in (1, 2].
    let fields = r#""count":"30","sum":0,"scale":0,"zeroCount":"10",
        "negative":{"offset":1,"bucketCounts":["10"]},"positive":{"offset":0,"bucketCounts":["10"]}"#;
    let metric = metric(
        "change",
        "exponentialHistogram",
        DELTA,
        &[since(0, 10, fields)],
    );
    add(&store, "shop", &metric);
    let ask = |aggregation| values(&store, &asking("change", aggregation, 10))[0].1;
    assert_eq!([ask(Min), ask(P50), ask(Max)], [-4.0, 0.0, 2.0]);
    assert!((1.0..=2.0).contains(&ask(P90)));
}

#[test]
fn a_summary_says_its_quantiles_itself() {
    let fill = |store: &Store| {
        let fields = |count: u64, p50: u64, p99: u64| {
            format!(
                r#""count":"{count}","sum":{},"quantileValues":[
                {{"quantile":0.5,"value":{p50}}},{{"quantile":0.99,"value":{p99}}}]"#,
                2 * count
            )
        };
        let points = [
            since(0, 10, &fields(10, 3, 9)),
            since(0, 20, &fields(40, 4, 8)),
        ];
        add(store, "shop", &metric("latency", "summary", "", &points));
    };
    in_head_and_blocks(fill, |store| {
        let ask = |aggregation| values(store, &asking("latency", aggregation, 30));
        assert_eq!(ask(P50), [(10, 3.0), (20, 4.0)]);
        assert_eq!(ask(P99), [(10, 9.0), (20, 8.0)]);
        // It says nothing of the 90th percentile.
        assert_eq!(ask(P90), []);
        assert_eq!(ask(Rate), [(0, 1.0), (10, 3.0)]);
        assert_eq!(ask(Avg), [(0, 2.0), (10, 2.0)]);
    });
}
