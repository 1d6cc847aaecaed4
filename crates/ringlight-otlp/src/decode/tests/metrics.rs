//! Metrics, encoded by the prost types as an independent hand.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as PbValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as PbKeyValue};
use opentelemetry_proto::tonic::metrics::v1 as pb;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use ringlight_model::{
    Exemplar, ExponentialBuckets, ExponentialHistogram, Histogram, KeyValue, Metric, MetricKind,
    MetricPoint, Number, PointValue, RejectReason, Signal, SpanId, Summary, Temporality, TraceId,
};

use crate::testing::{self, Records};

fn request(metrics: Vec<pb::Metric>) -> Vec<u8> {
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![pb::ResourceMetrics {
            scope_metrics: vec![pb::ScopeMetrics {
                metrics,
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    request.encode_to_vec()
}

fn named(data: Data) -> pb::Metric {
    pb::Metric {
        name: "m".to_owned(),
        description: "about m".to_owned(),
        unit: "s".to_owned(),
        data: Some(data),
        ..Default::default()
    }
}

fn decode(data: Data) -> Records {
    testing::decode(Signal::Metrics, &request(vec![named(data)])).unwrap()
}

fn attributes() -> Vec<PbKeyValue> {
    vec![PbKeyValue {
        key: "a".to_owned(),
        value: Some(AnyValue {
            value: Some(PbValue::IntValue(7)),
        }),
        ..Default::default()
    }]
}

fn exemplar() -> pb::Exemplar {
    pb::Exemplar {
        filtered_attributes: attributes(),
        time_unix_nano: 15,
        span_id: SpanId::new(2).to_bytes().to_vec(),
        trace_id: TraceId::new(3).to_bytes().to_vec(),
        value: Some(pb::exemplar::Value::AsInt(-4)),
    }
}

/// What a point with everything is read as.
fn point(value: PointValue, flags: u32) -> MetricPoint<'static> {
    MetricPoint {
        attributes: vec![KeyValue::new("a", 7_i64)],
        start_unix_nano: 10,
        time_unix_nano: 20,
        value,
        exemplars: vec![Exemplar {
            time_unix_nano: 15,
            value: Number::Int(-4),
            trace_id: TraceId::new(3),
            span_id: SpanId::new(2),
            attributes: vec![KeyValue::new("a", 7_i64)],
        }],
        flags,
    }
}

fn number(value: pb::number_data_point::Value) -> pb::NumberDataPoint {
    pb::NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 10,
        time_unix_nano: 20,
        exemplars: vec![exemplar()],
        flags: 0,
        value: Some(value),
    }
}

fn histogram() -> pb::HistogramDataPoint {
    pb::HistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 10,
        time_unix_nano: 20,
        count: 6,
        sum: Some(8.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![-1.0, 2.5],
        exemplars: vec![exemplar()],
        flags: 0,
        min: Some(-2.0),
        max: Some(9.0),
    }
}

fn exponential() -> pb::ExponentialHistogramDataPoint {
    pb::ExponentialHistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 10,
        time_unix_nano: 20,
        count: 9,
        sum: None,
        scale: -3,
        zero_count: 4,
        positive: Some(pb::exponential_histogram_data_point::Buckets {
            offset: -7,
            bucket_counts: vec![300, 0, 1],
        }),
        negative: Some(pb::exponential_histogram_data_point::Buckets {
            offset: 5,
            bucket_counts: vec![2],
        }),
        flags: 0,
        exemplars: vec![exemplar()],
        min: None,
        max: Some(1.0),
        zero_threshold: 0.25,
    }
}

fn summary() -> pb::SummaryDataPoint {
    pb::SummaryDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 10,
        time_unix_nano: 20,
        count: 3,
        sum: 6.0,
        quantile_values: vec![pb::summary_data_point::ValueAtQuantile {
            quantile: 0.5,
            value: 2.0,
        }],
        flags: 0,
    }
}

fn histograms(points: Vec<pb::HistogramDataPoint>) -> Data {
    Data::Histogram(pb::Histogram {
        data_points: points,
        aggregation_temporality: 1,
    })
}

fn exponentials(points: Vec<pb::ExponentialHistogramDataPoint>) -> Data {
    Data::ExponentialHistogram(pb::ExponentialHistogram {
        data_points: points,
        aggregation_temporality: 2,
    })
}

#[test]
fn every_kind_of_point_is_read_as_it_was_encoded() {
    let check = |data: Data, kind: MetricKind, expected: Vec<MetricPoint<'static>>| {
        let read = decode(data);
        assert_eq!(read.rejected, []);
        assert_eq!(read.decoded.records, expected.len() as u64);
        let metric = Metric {
            name: "m".into(),
            description: "about m".into(),
            unit: "s".into(),
            kind,
        };
        let expected: Vec<_> = expected
            .into_iter()
            .map(|point| (metric.clone(), point))
            .collect();
        assert_eq!(read.points, expected);
    };
    use pb::number_data_point::Value::{AsDouble, AsInt};
    let numbers = || vec![number(AsInt(i64::MIN)), number(AsDouble(0.5))];
    let expected = || {
        [Number::Int(i64::MIN), Number::Double(0.5)]
            .map(|value| point(PointValue::Number(value), 0))
            .to_vec()
    };
    let gauge = pb::Gauge {
        data_points: numbers(),
    };
    check(Data::Gauge(gauge), MetricKind::Gauge, expected());
    for (code, temporality) in [(1, Temporality::Delta), (2, Temporality::Cumulative)] {
        let sum = pb::Sum {
            data_points: numbers(),
            aggregation_temporality: code,
            is_monotonic: code == 1,
        };
        let kind = MetricKind::Sum {
            temporality,
            is_monotonic: code == 1,
        };
        check(Data::Sum(sum), kind, expected());
    }
    let value = PointValue::Histogram(Histogram {
        count: 6,
        sum: Some(8.5),
        min: Some(-2.0),
        max: Some(9.0),
        bounds: vec![-1.0, 2.5],
        buckets: vec![1, 2, 3],
    });
    let temporality = Temporality::Delta;
    let kind = MetricKind::Histogram { temporality };
    check(histograms(vec![histogram()]), kind, vec![point(value, 0)]);
    let value = PointValue::Exponential(ExponentialHistogram {
        count: 9,
        sum: None,
        min: None,
        max: Some(1.0),
        scale: -3,
        zero_count: 4,
        zero_threshold: 0.25,
        positive: ExponentialBuckets {
            offset: -7,
            counts: vec![300, 0, 1],
        },
        negative: ExponentialBuckets {
            offset: 5,
            counts: vec![2],
        },
    });
    let temporality = Temporality::Cumulative;
    let kind = MetricKind::ExponentialHistogram { temporality };
    check(
        exponentials(vec![exponential()]),
        kind,
        vec![point(value, 0)],
    );
    let value = PointValue::Summary(Summary {
        count: 3,
        sum: 6.0,
        quantiles: vec![(0.5, 2.0)],
    });
    let mut expected = point(value, 0);
    expected.exemplars.clear();
    let data = Data::Summary(pb::Summary {
        data_points: vec![summary()],
    });
    check(data, MetricKind::Summary, vec![expected]);
}

#[test]
fn a_point_that_says_it_has_no_value_has_none() {
    let mut point = histogram();
    point.flags = 1;
    let read = decode(histograms(vec![point]));
    assert_eq!(read.points[0].1.value, PointValue::None);
    assert_eq!(read.points[0].1.flags, 1);
}

#[test]
fn bad_points_are_refused_one_by_one() {
    let check = |data: Data, reason: RejectReason, good: usize| {
        let read = decode(data);
        assert_eq!(read.rejected, [reason]);
        assert_eq!(read.decoded.rejected, 1);
        assert_eq!(read.points.len(), good);
    };
    let with = |change: &dyn Fn(&mut pb::HistogramDataPoint)| {
        let mut bad = histogram();
        change(&mut bad);
        histograms(vec![histogram(), bad, histogram()])
    };
    use RejectReason::{BadBuckets, IdLength, NoTemporality, TooLarge};
    check(with(&|bad| bad.bucket_counts.push(1)), BadBuckets, 2);
    check(with(&|bad| bad.explicit_bounds.reverse()), BadBuckets, 2);
    check(
        with(&|bad| bad.explicit_bounds[0] = f64::NAN),
        BadBuckets,
        2,
    );
    check(with(&|bad| bad.bucket_counts = vec![0; 5000]), TooLarge, 2);
    check(with(&|bad| bad.exemplars[0].span_id = vec![1]), IdLength, 2);
    let with = |change: &dyn Fn(&mut pb::ExponentialHistogramDataPoint)| {
        let mut bad = exponential();
        change(&mut bad);
        exponentials(vec![exponential(), bad])
    };
    check(with(&|bad| bad.scale = 100), BadBuckets, 1);
    let far = |offset| {
        let bucket_counts = vec![1];
        Some(pb::exponential_histogram_data_point::Buckets {
            offset,
            bucket_counts,
        })
    };
    check(with(&|bad| bad.positive = far(i32::MAX)), BadBuckets, 1);
    check(with(&|bad| bad.negative = far(i32::MIN)), BadBuckets, 1);
    let mut bad = summary();
    bad.quantile_values[0].quantile = 50.0;
    let data = Data::Summary(pb::Summary {
        data_points: vec![bad, summary()],
    });
    check(data, BadBuckets, 1);
    let sum = pb::Sum {
        data_points: vec![number(pb::number_data_point::Value::AsInt(1))],
        ..Default::default()
    };
    check(Data::Sum(sum), NoTemporality, 0);
}

#[test]
fn points_of_a_metric_without_a_name_are_refused() {
    let gauge = pb::Gauge {
        data_points: vec![number(pb::number_data_point::Value::AsInt(1)); 3],
    };
    let mut nameless = named(Data::Gauge(gauge.clone()));
    nameless.name.clear();
    let request = request(vec![nameless, named(Data::Gauge(gauge))]);
    let read = testing::decode(Signal::Metrics, &request).unwrap();
    assert_eq!(read.rejected, [RejectReason::Malformed; 3]);
    assert_eq!(read.points.len(), 3);
}

#[test]
fn a_number_without_a_value_is_refused_unless_it_says_so() {
    let mut without = number(pb::number_data_point::Value::AsInt(1));
    without.value = None;
    let mut flagged = without.clone();
    flagged.flags = 1;
    let data_points = vec![without, flagged];
    let read = decode(Data::Gauge(pb::Gauge { data_points }));
    assert_eq!(read.rejected, [RejectReason::Malformed]);
    assert_eq!(read.points.len(), 1);
    assert_eq!(read.points[0].1.value, PointValue::None);
}

#[test]
fn a_request_has_no_more_points_than_it_may() {
    let points = super::POINTS_MAX as usize;
    let histograms = histograms(vec![pb::HistogramDataPoint::default(); points + 3]);
    let request = request(vec![named(histograms)]);
    struct Count(u64, u64);
    impl ringlight_model::RecordVisitor for Count {
        fn resource(&mut self, _: &ringlight_model::Resource<'_>) {}
        fn scope(&mut self, _: &ringlight_model::Scope<'_>) {}
        fn span(&mut self, _: &ringlight_model::Span<'_>) {}
        fn log(&mut self, _: &ringlight_model::LogRecord<'_>) {}
        fn point(&mut self, _: &Metric<'_>, _: &MetricPoint<'_>) {
            self.0 += 1;
        }
        fn rejected(&mut self, reason: RejectReason) {
            assert_eq!(reason, RejectReason::TooLarge);
            self.1 += 1;
        }
    }
    let mut count = Count(0, 0);
    let decoder = crate::OtlpDecoder::default();
    decoder.walk(Signal::Metrics, &request, &mut count).unwrap();
    assert_eq!((count.0, count.1), (super::POINTS_MAX, 3));
}

#[test]
fn a_histogram_without_buckets_is_count_and_sum() {
    let mut point = histogram();
    point.bucket_counts.clear();
    let read = decode(histograms(vec![point]));
    let PointValue::Histogram(value) = &read.points[0].1.value else {
        panic!("{:?}", read.points);
    };
    assert_eq!((value.count, value.bounds.len()), (6, 0));
}

#[test]
fn lists_are_read_packed_or_not() {
    use crate::encode::proto;
    // Buckets and bounds one by one, as proto2 would.
    let mut point = Vec::new();
    for count in [1, 2] {
        proto::fixed64_field(&mut point, 6, count);
    }
    proto::fixed64_field(&mut point, 7, 1.5_f64.to_bits());
    let mut data = Vec::new();
    proto::bytes_field(&mut data, 1, &point);
    proto::varint_field(&mut data, 2, 1);
    let mut metric = Vec::new();
    proto::bytes_field(&mut metric, 1, b"m");
    proto::bytes_field(&mut metric, 9, &data);
    let mut request = metric;
    for field in [2, 2, 1] {
        let mut outer = Vec::new();
        proto::bytes_field(&mut outer, field, &request);
        request = outer;
    }
    let read = testing::decode(Signal::Metrics, &request).unwrap();
    let PointValue::Histogram(value) = &read.points[0].1.value else {
        panic!("{read:?}");
    };
    assert_eq!(
        (&value.buckets[..], &value.bounds[..]),
        (&[1, 2][..], &[1.5][..])
    );
}
