//! Halves are together what the whole was.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::*;

fn request(scopes: &[&[usize]]) -> ExportTraceServiceRequest {
    let mut number = 0;
    let mut span = || {
        number += 1;
        Span {
            name: format!("span {number}"),
            ..Span::default()
        }
    };
    let scope = |(index, count): (usize, usize), span: &mut dyn FnMut() -> Span| ScopeSpans {
        scope: Some(InstrumentationScope {
            name: format!("scope {index}"),
            ..InstrumentationScope::default()
        }),
        spans: (0..count).map(|_| span()).collect(),
        schema_url: "https://schema".to_owned(),
    };
    let resource = |(index, counts): (usize, &&[usize])| ResourceSpans {
        resource: Some(Resource {
            dropped_attributes_count: index as u32 + 1,
            ..Resource::default()
        }),
        scope_spans: counts
            .iter()
            .copied()
            .enumerate()
            .map(|one| scope(one, &mut span))
            .collect(),
        schema_url: "https://resource".to_owned(),
    };
    ExportTraceServiceRequest {
        resource_spans: scopes.iter().enumerate().map(resource).collect(),
    }
}

/// Spans with what they belong to.
fn all(request: &ExportTraceServiceRequest) -> Vec<(u32, String, String, String)> {
    let mut all = Vec::new();
    for resource in &request.resource_spans {
        let count = resource.resource.as_ref().unwrap().dropped_attributes_count;
        assert_eq!(resource.schema_url, "https://resource");
        for scope in &resource.scope_spans {
            let name = &scope.scope.as_ref().unwrap().name;
            for span in &scope.spans {
                let schema = scope.schema_url.clone();
                all.push((count, name.clone(), schema, span.name.clone()));
            }
        }
    }
    all
}

/// A data point's number with all it belongs to.
type Belonging = (String, String, i32, i64);

fn metrics(kinds: &[(Kind, usize)]) -> ExportMetricsServiceRequest {
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let metric = |(kind, points): &(Kind, usize), next: &mut dyn FnMut() -> u64| Metric {
        name: format!("{kind:?} {}", next()),
        unit: "s".to_owned(),
        data: Some(kind.data((0..*points).map(|_| next()))),
        ..Metric::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: kinds.iter().map(|one| metric(one, &mut next)).collect(),
                schema_url: "https://schema".to_owned(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

impl Kind {
    fn data(self, times: impl Iterator<Item = u64>) -> Data {
        macro_rules! points {
            ($point:ident) => {
                times
                    .map(|time_unix_nano| $point {
                        time_unix_nano,
                        ..$point::default()
                    })
                    .collect()
            };
        }
        match self {
            Self::Gauge => Data::Gauge(Gauge {
                data_points: points!(NumberDataPoint),
            }),
            Self::Sum => Data::Sum(Sum {
                data_points: points!(NumberDataPoint),
                aggregation_temporality: 1,
                is_monotonic: true,
            }),
            Self::Histogram => Data::Histogram(Histogram {
                data_points: points!(HistogramDataPoint),
                aggregation_temporality: 2,
            }),
            Self::Exponential => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: points!(ExponentialHistogramDataPoint),
                aggregation_temporality: 1,
            }),
            Self::Summary => Data::Summary(Summary {
                data_points: points!(SummaryDataPoint),
            }),
        }
    }
}

fn all_points(request: &ExportMetricsServiceRequest) -> Vec<Belonging> {
    let mut all = Vec::new();
    for scope in (request.resource_metrics.iter()).flat_map(|one| &one.scope_metrics) {
        for metric in &scope.metrics {
            let (temporality, times): (i32, Vec<u64>) = match metric.data.as_ref().unwrap() {
                Data::Gauge(data) => (
                    0,
                    data.data_points.iter().map(|p| p.time_unix_nano).collect(),
                ),
                Data::Sum(data) => (
                    data.aggregation_temporality + 10 * i32::from(data.is_monotonic),
                    data.data_points.iter().map(|p| p.time_unix_nano).collect(),
                ),
                Data::Histogram(data) => (
                    data.aggregation_temporality,
                    data.data_points.iter().map(|p| p.time_unix_nano).collect(),
                ),
                Data::ExponentialHistogram(data) => (
                    data.aggregation_temporality,
                    data.data_points.iter().map(|p| p.time_unix_nano).collect(),
                ),
                Data::Summary(data) => (
                    0,
                    data.data_points.iter().map(|p| p.time_unix_nano).collect(),
                ),
            };
            assert_eq!((&*metric.unit, &*scope.schema_url), ("s", "https://schema"));
            all.extend(times.into_iter().map(|time| {
                (
                    metric.name.clone(),
                    metric.unit.clone(),
                    temporality,
                    time as i64,
                )
            }));
        }
    }
    all
}

#[test]
fn metrics_are_split_between_points_those_of_one_metric_too() {
    for kinds in [
        &[(Kind::Sum, 2)][..],
        &[(Kind::Gauge, 1), (Kind::Histogram, 5)],
        &[(Kind::Exponential, 7), (Kind::Gauge, 0), (Kind::Summary, 2)],
        &[(Kind::Sum, 1), (Kind::Sum, 1), (Kind::Sum, 1)],
    ] {
        let whole = metrics(kinds);
        let count: usize = kinds.iter().map(|(_, points)| points).sum();
        let bytes = whole.encode_to_vec();
        assert_eq!(items(Signal::Metrics, &bytes), Some(count as u32));
        let halves = split(Signal::Metrics, &bytes).unwrap();
        assert!(halves[0].items.abs_diff(halves[1].items) <= 1);
        let together: Vec<_> = (halves.iter())
            .flat_map(|half| {
                let decoded = ExportMetricsServiceRequest::decode(&half.bytes[..]).unwrap();
                let points = all_points(&decoded);
                assert_eq!(points.len(), half.items as usize);
                points
            })
            .collect();
        assert_eq!(together, all_points(&whole), "{kinds:?}");
    }
    for kinds in [&[(Kind::Sum, 1)][..], &[(Kind::Gauge, 0)], &[]] {
        assert_eq!(
            split(Signal::Metrics, &metrics(kinds).encode_to_vec()),
            None
        );
    }
}

#[test]
fn both_halves_together_are_the_whole_with_all_it_belongs_to() {
    for scopes in [
        &[&[2][..]][..],
        &[&[5, 1], &[0, 7]],
        &[&[1], &[1], &[1]],
        &[&[3, 0, 0]],
    ] {
        let whole = request(scopes);
        let halves = split(Signal::Traces, &whole.encode_to_vec()).unwrap();
        let decoded = halves.clone().map(|half| {
            let decoded = ExportTraceServiceRequest::decode(&half.bytes[..]).unwrap();
            assert_eq!(all(&decoded).len(), half.items as usize);
            decoded
        });
        let together: Vec<_> = decoded.iter().flat_map(all).collect();
        assert_eq!(together, all(&whole), "{scopes:?}");
        assert!(halves[0].items.abs_diff(halves[1].items) <= 1);
    }
}

#[test]
fn what_is_one_or_none_or_broken_cannot_be_split() {
    for scopes in [&[&[1][..]][..], &[&[0, 1]], &[]] {
        assert_eq!(
            split(Signal::Traces, &request(scopes).encode_to_vec()),
            None,
            "{scopes:?}"
        );
    }
    let whole = request(&[&[4]]).encode_to_vec();
    for len in 1..whole.len() {
        // Cut anywhere, it is no request any more.
        assert_eq!(split(Signal::Traces, &whole[..len]), None, "{len}");
    }
}
