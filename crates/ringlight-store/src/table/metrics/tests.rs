//! What is written of points is what is read.

use proptest::collection::vec;
use proptest::prelude::*;
use ringlight_model::{
    ExponentialBuckets, ExponentialHistogram, Histogram, KeyValue, SpanId, Summary, TraceId,
};

use super::*;
use crate::block::section::Section;
use crate::table::WantedKeys;

const SECTIONS: [Section; 5] = [
    Section::Core,
    Section::Points,
    Section::Values,
    Section::Extra,
    Section::Exemplars,
];

#[test]
fn a_kind_keeps_its_code() {
    for code in 0..=9 {
        assert_eq!(kind_of_code(code).map(kind_code), Some(code));
    }
    assert_eq!(kind_of_code(10), None);
}

fn double() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("equal to itself", |value| !value.is_nan())
}

fn value() -> impl Strategy<Value = PointValue> {
    let buckets = || vec(any::<u64>(), 0..5);
    let statistic = || proptest::option::of(double());
    let number = prop_oneof![
        any::<i64>().prop_map(Number::Int),
        double().prop_map(Number::Double)
    ];
    let histogram = (
        any::<u64>(),
        statistic(),
        statistic(),
        statistic(),
        buckets(),
    );
    let histogram = histogram.prop_map(|(count, sum, min, max, buckets)| {
        let bounds = (1..buckets.len()).map(|bound| bound as f64).collect();
        PointValue::Histogram(Histogram {
            count,
            sum,
            min,
            max,
            bounds,
            buckets,
        })
    });
    let side = || {
        (any::<i32>(), buckets()).prop_map(|(offset, counts)| ExponentialBuckets { offset, counts })
    };
    let exponential = (
        any::<u64>(),
        statistic(),
        any::<i32>(),
        double(),
        side(),
        side(),
    );
    let exponential = exponential.prop_map(|(count, sum, scale, zero, positive, negative)| {
        PointValue::Exponential(ExponentialHistogram {
            count,
            sum,
            min: sum,
            max: None,
            scale,
            zero_count: count / 2,
            zero_threshold: zero,
            positive,
            negative,
        })
    });
    let summary = (any::<u64>(), double(), vec((double(), double()), 0..3));
    let summary = summary.prop_map(|(count, sum, quantiles)| {
        PointValue::Summary(Summary {
            count,
            sum,
            quantiles,
        })
    });
    prop_oneof![
        1 => Just(PointValue::None),
        3 => number.prop_map(PointValue::Number),
        2 => histogram,
        1 => exponential,
        1 => summary,
    ]
}

fn exemplar() -> impl Strategy<Value = Exemplar<'static>> {
    (any::<u64>(), any::<i64>(), any::<u64>()).prop_map(|(time_unix_nano, int, id)| Exemplar {
        time_unix_nano,
        value: match int % 2 {
            0 => Number::Int(int),
            _ => Number::Double(int as f64),
        },
        trace_id: TraceId::new(id.into()),
        span_id: SpanId::new(id),
        attributes: vec![KeyValue::new("id", int)],
    })
}

/// A point and which of a few series it is of.
fn point() -> impl Strategy<Value = (u8, MetricPoint<'static>)> {
    let times = (1..u64::MAX, any::<u64>());
    (0..4_u8, times, value(), vec(exemplar(), 0..2)).prop_map(
        |(series, (time_unix_nano, start_unix_nano), value, exemplars)| {
            let point = MetricPoint {
                attributes: vec![KeyValue::new("series", i64::from(series))],
                start_unix_nano,
                time_unix_nano,
                value,
                exemplars,
                flags: 0,
            };
            (series, point)
        },
    )
}

fn table(points: &[(u8, MetricPoint<'static>)]) -> MetricTable {
    let mut table = MetricTable::default();
    let resource = table.owners.resource(&Default::default());
    let scope = table.owners.scope(&Default::default());
    let mut owners = PointOwners::new(resource, scope, &table.owners);
    let metric = Metric {
        name: "m".into(),
        ..Metric::default()
    };
    for (_, point) in points {
        table.push(&metric, point, 0, &mut owners);
    }
    for (place, series) in table.series.iter_mut().enumerate() {
        // Not in the order they came.
        series.id = 100 - place as u64;
    }
    table
}

fn read(rows: usize, sections: &[Vec<u8>]) -> Result<MetricTable, crate::codec::Corrupt> {
    let mut table = MetricTable::default();
    for (section, bytes) in SECTIONS.into_iter().zip(sections) {
        table.read_section(section, rows, bytes, &WantedKeys::All)?;
    }
    Ok(table)
}

/// All there is to know of the rows, in an order of their own.
fn rows(table: &MetricTable) -> Vec<String> {
    let exemplars = |row: usize| {
        let of_row = table
            .exemplars
            .iter()
            .filter(move |(of, _)| *of as usize == row);
        of_row.map(|(_, exemplar)| exemplar).collect::<Vec<_>>()
    };
    let mut rows: Vec<String> = (0..table.rows())
        .map(|row| {
            let (time, start, value) = (table.times[row], table.starts[row], &table.values[row]);
            format!(
                "{} {time} {start} {value:?} {:?}",
                table.id(row),
                exemplars(row)
            )
        })
        .collect();
    rows.sort();
    rows
}

proptest! {
    #[test]
    fn points_come_back_as_they_were(points in vec(point(), 1..30)) {
        let table = table(&points);
        let order = Order::of(&table);
        let sections = SECTIONS.map(|section| table.write_section(section, &order));
        let back = read(table.rows(), &sections).unwrap();
        prop_assert_eq!(rows(&back), rows(&table));
        let mut ids: Vec<u64> = table.series.iter().map(|series| series.id).collect();
        ids.sort_unstable();
        let listed = read_listed(&table.write_listed(&ids)).unwrap();
        prop_assert_eq!(listed.len(), ids.len());
        for (id, series) in listed {
            let known = table.series.iter().find(|known| known.id == id).unwrap();
            prop_assert_eq!(known.series.as_deref(), Some(&series));
            prop_assert_eq!(known.fingerprint, Fingerprint::of(&series));
        }
        // Two requests together are what they were.
        let mut both = MetricTable::default();
        both.take_all(&table);
        both.take_all(&table);
        prop_assert_eq!(both.rows(), 2 * table.rows());
        prop_assert_eq!(both.series.len(), table.series.len());
        prop_assert_eq!(both.exemplars.len(), 2 * table.exemplars.len());
    }

    #[test]
    fn damaged_sections_never_panic(
        points in vec(point(), 1..10),
        section in 0..SECTIONS.len(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        rows in 0..20_usize,
    ) {
        let table = table(&points);
        let order = Order::of(&table);
        let mut sections = SECTIONS.map(|section| table.write_section(section, &order));
        for (at, byte) in changes {
            if let Some(length) = std::num::NonZero::new(sections[section].len()) {
                sections[section][at.index(length.get())] = byte;
            }
        }
        let _ = read(table.rows(), &sections);
        let _ = read(rows, &sections);
        let _ = read_listed(&sections[section]);
    }
}
