//! Data points in OTLP/JSON, in and out.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use ringlight_model::{
    Exemplar, ExponentialBuckets, ExponentialHistogram, Histogram, KeyValue, Metric, MetricKind,
    MetricPoint, Number, PointValue, Resource, Scope, Summary, Temporality,
};

use super::*;

/// Of few digits: what reads JSON for the generated types is exact for those, and has no name for what is no number.
fn double() -> impl Strategy<Value = f64> {
    any::<i32>().prop_map(|eighths| f64::from(eighths) / 8.0)
}

/// Without what other code does not read: that of the generated types refuses what is left out where nothing is in it.
fn attributes() -> impl Strategy<Value = Vec<KeyValue<'static>>> {
    let value = prop_oneof![
        "[a-z \"é]{0,8}".prop_map(|text| Value::Str(text.into())),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        double().prop_map(Value::Double),
        vec(any::<u8>(), 0..8).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    vec(("[a-z.]{1,8}", value), 0..3).prop_map(|items| {
        let items = items.into_iter();
        let items = items.map(|(key, value)| KeyValue {
            key: key.into(),
            value,
        });
        items.collect()
    })
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::Int),
        double().prop_map(Number::Double)
    ]
}

fn kind() -> impl Strategy<Value = MetricKind> {
    let temporality = || prop_oneof![Just(Temporality::Delta), Just(Temporality::Cumulative)];
    prop_oneof![
        Just(MetricKind::Gauge),
        (temporality(), any::<bool>()).prop_map(|(temporality, is_monotonic)| MetricKind::Sum {
            temporality,
            is_monotonic,
        }),
        temporality().prop_map(|temporality| MetricKind::Histogram { temporality }),
        temporality().prop_map(|temporality| MetricKind::ExponentialHistogram { temporality }),
        Just(MetricKind::Summary),
    ]
}

fn maybe() -> impl Strategy<Value = Option<f64>> {
    proptest::option::of(prop_oneof![Just(0.0), double()])
}

fn histogram() -> impl Strategy<Value = PointValue> {
    let about = (any::<u64>(), maybe(), maybe(), maybe());
    (about, vec((double(), any::<u64>()), 0..5), any::<u64>()).prop_map(
        |((count, sum, min, max), mut buckets, last)| {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            buckets.dedup_by(|a, b| a.0 == b.0);
            let (bounds, mut buckets): (Vec<_>, Vec<_>) = buckets.into_iter().unzip();
            if !bounds.is_empty() {
                buckets.push(last);
            }
            PointValue::Histogram(Histogram {
                count,
                sum,
                min,
                max,
                bounds,
                buckets,
            })
        },
    )
}

fn buckets() -> impl Strategy<Value = ExponentialBuckets> {
    (-1000..1000_i32, vec(any::<u64>(), 0..5))
        .prop_map(|(offset, counts)| ExponentialBuckets { offset, counts })
}

fn exponential() -> impl Strategy<Value = PointValue> {
    let about = (any::<u64>(), maybe(), maybe(), maybe());
    let zeros = (any::<u64>(), prop_oneof![Just(0.0), double()]);
    (about, -11..=20_i32, zeros, buckets(), buckets()).prop_map(
        |((count, sum, min, max), scale, (zero_count, zero_threshold), positive, negative)| {
            PointValue::Exponential(ExponentialHistogram {
                count,
                sum,
                min,
                max,
                scale,
                zero_count,
                zero_threshold,
                positive,
                negative,
            })
        },
    )
}

fn summary() -> impl Strategy<Value = PointValue> {
    (any::<u64>(), double(), vec((0..=8_u8, double()), 0..4)).prop_map(|(count, sum, quantiles)| {
        let quantiles = quantiles.into_iter();
        let quantiles = quantiles.map(|(eighths, value)| (f64::from(eighths) / 8.0, value));
        PointValue::Summary(Summary {
            count,
            sum,
            quantiles: quantiles.collect(),
        })
    })
}

fn value(kind: MetricKind) -> BoxedStrategy<PointValue> {
    match kind {
        MetricKind::Gauge | MetricKind::Sum { .. } => number().prop_map(PointValue::Number).boxed(),
        MetricKind::Histogram { .. } => histogram().boxed(),
        MetricKind::ExponentialHistogram { .. } => exponential().boxed(),
        MetricKind::Summary => summary().boxed(),
    }
}

fn exemplar() -> impl Strategy<Value = Exemplar<'static>> {
    let ids = (any::<u128>(), any::<u64>());
    (any::<u64>(), number(), ids, attributes()).prop_map(
        |(time_unix_nano, value, (trace_id, span_id), attributes)| Exemplar {
            time_unix_nano,
            value,
            trace_id: TraceId::new(trace_id),
            span_id: SpanId::new(span_id),
            attributes,
        },
    )
}

fn point(kind: MetricKind) -> impl Strategy<Value = MetricPoint<'static>> {
    let times = (any::<u64>(), any::<u64>());
    // A summary has none.
    let exemplars = vec(
        exemplar(),
        if kind == MetricKind::Summary {
            0..1
        } else {
            0..3
        },
    );
    (
        attributes(),
        times,
        value(kind),
        exemplars,
        prop_oneof![Just(0), Just(1), Just(6)],
    )
        .prop_map(|(attributes, times, value, exemplars, flags)| MetricPoint {
            attributes,
            start_unix_nano: times.0,
            time_unix_nano: times.1,
            value: match flags & MetricPoint::NO_RECORDED_VALUE {
                0 => value,
                _ => PointValue::None,
            },
            exemplars,
            flags,
        })
}

type Points = Vec<(Metric<'static>, MetricPoint<'static>)>;

/// The points of some metrics, several of each.
fn points() -> impl Strategy<Value = Points> {
    let metric = (kind(), "[a-z.]{1,8}", "[a-z \"é]{0,8}", "[a-z]{0,3}").prop_flat_map(
        |(kind, name, description, unit)| {
            let metric = Metric {
                name: name.into(),
                description: description.into(),
                unit: unit.into(),
                kind,
            };
            vec(point(kind), 1..4).prop_map(move |points| {
                let points = points.into_iter();
                points
                    .map(|point| (metric.clone(), point))
                    .collect::<Points>()
            })
        },
    );
    vec(metric, 0..4).prop_map(|metrics| metrics.concat())
}

fn written(resource: &Resource<'_>, scope: &Scope<'_>, points: &Points) -> String {
    let mut writer = Writer::new(Signal::Metrics);
    writer.resource(resource);
    writer.scope(scope);
    for (metric, point) in points {
        writer.point(metric, point);
    }
    writer.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn points_of_every_kind_are_read_by_others_and_by_us(
        attributes in attributes(),
        points in points(),
    ) {
        let resource = Resource {
            attributes: attributes.clone(),
            ..Resource::default()
        };
        let scope = Scope {
            name: "a".into(),
            attributes,
            ..Scope::default()
        };
        let json = written(&resource, &scope, &points);
        let ours = read(Signal::Metrics, &json);
        prop_assert_eq!(&ours.points, &points, "{}", json);
        let others: ExportMetricsServiceRequest = serde_json::from_str(&json).unwrap();
        let others = testing::decode(Signal::Metrics, &others.encode_to_vec()).unwrap();
        prop_assert_eq!(&others.points, &points, "{}", json);
        prop_assert_eq!(ours.resources, others.resources);
        prop_assert_eq!(ours.scopes, others.scopes);
        prop_assert_eq!(ours.rejected, []);
    }
}

#[test]
fn points_are_written_under_their_metrics_with_large_integers_as_texts() {
    let metric = |name: &'static str, kind| Metric {
        name: name.into(),
        kind,
        ..Metric::default()
    };
    let temporality = Temporality::Cumulative;
    let sum = metric(
        "sum",
        MetricKind::Sum {
            temporality,
            is_monotonic: true,
        },
    );
    let point = |value, exemplars| MetricPoint {
        attributes: vec![KeyValue::new("a", 1_i64)],
        start_unix_nano: 10,
        time_unix_nano: u64::MAX,
        value: PointValue::Number(value),
        exemplars,
        flags: 0,
    };
    let exemplar = Exemplar {
        time_unix_nano: 5,
        value: Number::Double(f64::NAN),
        trace_id: TraceId::new(0xab),
        span_id: SpanId::new(0xcd),
        attributes: Vec::new(),
    };
    let exponential = ExponentialHistogram {
        count: 3,
        sum: Some(0.0),
        max: Some(f64::INFINITY),
        scale: -2,
        positive: ExponentialBuckets {
            offset: -1,
            counts: vec![1, 0, 2],
        },
        ..ExponentialHistogram::default()
    };
    let exponential = MetricPoint {
        value: PointValue::Exponential(exponential),
        ..MetricPoint::default()
    };
    let points = vec![
        (sum.clone(), point(Number::Int(i64::MIN), vec![exemplar])),
        (sum, point(Number::Int(0), Vec::new())),
        (
            metric("exp", MetricKind::ExponentialHistogram { temporality }),
            exponential,
        ),
        (
            metric("gauge", MetricKind::Gauge),
            point(Number::Double(0.0), Vec::new()),
        ),
    ];
    let json = written(&Resource::default(), &Scope::default(), &points);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let attributes = serde_json::json!([{"key": "a", "value": {"intValue": "1"}}]);
    let number = |name: &str, value: serde_json::Value| {
        let mut point = serde_json::json!({
            "attributes": attributes,
            "startTimeUnixNano": "10",
            "timeUnixNano": "18446744073709551615",
        });
        point[name] = value;
        point
    };
    let mut first = number("asInt", "-9223372036854775808".into());
    first["exemplars"] = serde_json::json!([{
        "timeUnixNano": "5",
        "asDouble": "NaN",
        "spanId": "00000000000000cd",
        "traceId": "000000000000000000000000000000ab",
    }]);
    assert_eq!(
        value["resourceMetrics"][0]["scopeMetrics"][0]["metrics"],
        serde_json::json!([
            {"name": "sum", "sum": {
                "aggregationTemporality": 2,
                "isMonotonic": true,
                "dataPoints": [first, number("asInt", "0".into())],
            }},
            {"name": "exp", "exponentialHistogram": {
                "aggregationTemporality": 2,
                "dataPoints": [{
                    "count": "3",
                    "sum": 0.0,
                    "scale": -2,
                    "positive": {"offset": -1, "bucketCounts": ["1", "0", "2"]},
                    "negative": {},
                    "max": "Infinity",
                }],
            }},
            {"name": "gauge", "gauge": {"dataPoints": [number("asDouble", 0.0.into())]}},
        ])
    );
}

#[test]
fn metrics_are_converted_as_others_would_encode_them() {
    let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"e","exponentialHistogram":{"dataPoints":[{"scale":-2,"zeroCount":"1",
            "positive":{"offset":-1,"bucketCounts":["7","8"]}}]}},
        {"name":"sum","sum":{"isMonotonic":true,"dataPoints":[{"asInt":"-3"}]}}]}]}]}"#;
    let converted = convert(Signal::Metrics, json).unwrap();
    let request = ExportMetricsServiceRequest::decode(&converted.request[..]).unwrap();
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let text = format!("{metrics:?}");
    for part in [
        "scale: -2",
        "zero_count: 1",
        "offset: -1, bucket_counts: [7, 8]",
        "is_monotonic: true",
        "AsInt(-3)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
