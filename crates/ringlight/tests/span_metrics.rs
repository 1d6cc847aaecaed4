//! Metrics that are made of spans, from `tracing` to what an independent decoder reads.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, ScopeMetrics, exemplar,
};
use ringlight::collector::SpanTemplate;
use ringlight::{
    Builder, Clock, LogFormat, ManualTime, Sampler, SamplingRule, Signal, TailSampling, Telemetry,
    TraceContext,
};
use ringlight_model::LedgerSnapshot;
use ringlight_testing::{Backend, Seen, int, named};
use tracing::dispatcher::with_default;
use tracing::{info_span, trace_span};

const LONG: Duration = Duration::from_secs(20);
const CALLS: &str = "traces.span.metrics.calls";
const DURATION: &str = "traces.span.metrics.duration";

/// A trace that is recorded elsewhere.
const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Metrics that are read at a flush and at the end alone.
fn builder(backend: &Backend, variables: &[(&str, &str)]) -> Builder {
    ringlight::builder()
        .environment(variables.iter().copied())
        .service_name("tested")
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .metric_export_interval(Duration::from_secs(3600))
        .span_metrics(true)
}

/// What arrives while `body` works, and the ledger.
fn received(
    variables: &[(&str, &str)],
    change: impl FnOnce(Builder) -> Builder,
    body: impl FnOnce(&Telemetry),
) -> (Seen, LedgerSnapshot) {
    let backend = Backend::start();
    let (dispatch, telemetry) = change(builder(&backend, variables)).build().unwrap();
    with_default(&dispatch, || body(&telemetry));
    let ledger = telemetry.shutdown(LONG);
    assert!(ledger.balances(), "{ledger}");
    (backend.stop(), ledger)
}

/// Attributes as one text.
fn text(attributes: &[KeyValue]) -> String {
    let value = |one: &KeyValue| match one.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        other => format!("{other:?}"),
    };
    let texts = attributes
        .iter()
        .map(|one| format!("{}={}", one.key, value(one)));
    texts.collect::<Vec<_>>().join(" ")
}

/// How many spans there were of each set.
fn calls(scope: &ScopeMetrics) -> BTreeMap<String, i64> {
    let Some(Data::Sum(sum)) = named(&scope.metrics, CALLS).data else {
        panic!("no sum");
    };
    assert!(sum.is_monotonic);
    let points = sum.data_points.iter();
    points
        .map(|point| (text(&point.attributes), int(point)))
        .collect()
}

/// The distribution of each set.
fn histograms(scope: &ScopeMetrics, name: &str) -> BTreeMap<String, ExponentialHistogramDataPoint> {
    let metric = named(&scope.metrics, name);
    assert_eq!(metric.unit, "ns");
    let Some(Data::ExponentialHistogram(histogram)) = metric.data.clone() else {
        panic!("no exponential histogram");
    };
    let points = histogram.data_points.into_iter();
    points
        .map(|point| (text(&point.attributes), point))
        .collect()
}

/// The set of an ordinary span.
fn internal(name: &str) -> String {
    format!("span.name={name} span.kind=SPAN_KIND_INTERNAL status.code=STATUS_CODE_UNSET")
}

/// The one request there is.
fn one(seen: &Seen) -> ScopeMetrics {
    let [scope] = &seen.scopes(|name| name == "ringlight.spans")[..] else {
        panic!("not one");
    };
    scope.clone()
}

/// Work on the processor, of which the optimizer spares none.
fn hash(rounds: u32) -> u64 {
    (0..rounds).fold(7, |hash, round| {
        black_box((hash ^ u64::from(round)).wrapping_mul(0x0100_0000_01b3))
    })
}

/// A clock read by hand before and after a span, and one within it: the span's time lies between the two, however busy
/// the machine is.
#[test]
fn durations_are_within_five_percent_of_manual_timing() {
    let mut around = Duration::ZERO;
    let mut within = Duration::ZERO;
    let mut parts = 0;
    let (seen, _) = received(
        &[],
        |builder| builder,
        |_| {
            for round in 0..20 {
                let outer = Instant::now();
                let span = info_span!("work").entered();
                let inner = Instant::now();
                for _ in 0..5 {
                    info_span!("part").in_scope(|| black_box(hash(20_000)));
                    parts += 1;
                }
                if round % 2 == 0 {
                    std::thread::sleep(Duration::from_millis(4));
                }
                within += inner.elapsed();
                drop(span);
                around += outer.elapsed();
            }
        },
    );
    let durations = histograms(&one(&seen), DURATION);
    let work = &durations[&internal("work")];
    let sum = work.sum.unwrap();
    let (least, most) = (within.as_nanos() as f64, around.as_nanos() as f64);
    assert!(
        least * 0.95 <= sum && sum <= most * 1.05,
        "{least} {sum} {most}"
    );
    assert_eq!(work.count, 20);
    assert!(work.min.unwrap() <= sum / 20.0 && sum / 20.0 <= work.max.unwrap());
    // What a bucket says is within its bounds of what it was.
    let positive = work.positive.as_ref().unwrap();
    let base = 2_f64.powf(2_f64.powi(-work.scale));
    let by_buckets: f64 = (positive.bucket_counts.iter().zip(positive.offset..))
        .map(|(count, index)| *count as f64 * base.powf(f64::from(index) + 0.5))
        .sum();
    assert!((by_buckets / sum - 1.0).abs() < 0.05, "{by_buckets} {sum}");
    assert_eq!(durations[&internal("part")].count, parts);
}

/// A span is measured by the times that it has anyway.
#[test]
fn spans_that_are_measured_read_the_clock_no_more_often() {
    let readings = |measured: bool| {
        let clock = Clock::manual(ManualTime::default());
        let before = ManualTime::readings_here();
        let mut during = 0;
        let (seen, _) = received(
            &[],
            |builder| builder.clock(clock).span_metrics(measured),
            |_| {
                // Where a thread begins to record, it reads more.
                drop(info_span!("first"));
                let before = ManualTime::readings_here();
                for _ in 0..100 {
                    let span = info_span!("request", otel.status_code = "error");
                    span.in_scope(|| info_span!("step").in_scope(|| tracing::info!("done")));
                }
                during = ManualTime::readings_here() - before;
            },
        );
        assert_eq!(
            seen.scopes(|name| name == "ringlight.spans").is_empty(),
            !measured
        );
        (during, ManualTime::readings_here() - before)
    };
    let (during, all) = readings(true);
    // Two for each span, one for each event.
    assert_eq!(during, 100 * (2 * 2 + 1));
    assert_eq!((during, all), readings(false));
}

#[test]
fn calls_and_durations_are_apart_by_name_kind_and_status() {
    let times = ManualTime::default();
    let clock = Clock::manual(times.clone());
    let mut failed_in = None;
    let (seen, _) = received(
        &[],
        |builder| builder.clock(clock),
        |_| {
            for (path, status, nano) in [
                ("/", "unset", 100),
                ("/", "error", 7_000),
                ("/", "unset", 200),
                ("/a", "ok", 0),
            ] {
                let name = format!("GET {path}");
                let span = info_span!(
                    "request",
                    otel.name = name,
                    otel.kind = "server",
                    otel.status_code = status,
                    duration_ns = 1
                );
                span.in_scope(|| {
                    times.pass(nano);
                    if status == "error" {
                        failed_in = TraceContext::current();
                    }
                    info_span!("step").in_scope(|| times.pass(1));
                });
            }
            // Not recorded, and so not counted.
            trace_span!("step").in_scope(|| times.pass(1));
        },
    );
    let scope = one(&seen);
    let server = |name: &str, status: &str| {
        format!("span.name={name} span.kind=SPAN_KIND_SERVER status.code=STATUS_CODE_{status}")
    };
    let expected = [
        (server("GET /", "ERROR"), 1, 7_001.0),
        (server("GET /", "UNSET"), 2, 302.0),
        (server("GET /a", "OK"), 1, 1.0),
        (internal("step"), 4, 4.0),
    ];
    let counts = expected.clone().map(|(set, count, _)| (set, count));
    assert_eq!(calls(&scope), BTreeMap::from(counts));
    let durations = histograms(&scope, DURATION);
    let sums = durations
        .iter()
        .map(|(set, point)| (set.clone(), point.sum.unwrap()));
    let expected_sums = expected.clone().map(|(set, _, sum)| (set, sum));
    assert_eq!(
        sums.collect::<BTreeMap<_, _>>(),
        BTreeMap::from(expected_sums)
    );
    for (set, count, _) in expected {
        assert_eq!(durations[&set].count, count as u64);
    }
    // The exemplar of those that failed is one of them.
    let [exemplar] = &durations[&server("GET /", "ERROR")].exemplars[..] else {
        panic!("not one exemplar");
    };
    let failed_in = failed_in.unwrap();
    assert_eq!(exemplar.trace_id, failed_in.trace_id().to_bytes());
    assert_eq!(exemplar.span_id, failed_in.span_id().to_bytes());
    assert_eq!(exemplar.value, Some(exemplar::Value::AsDouble(7_001.0)));
    // No span says how long it was entered.
    let names: Vec<_> = scope.metrics.iter().map(|metric| &*metric.name).collect();
    assert_eq!(names, [CALLS, DURATION]);
}

#[test]
fn fault_8_a_wall_clock_that_jumps_changes_no_duration() {
    const HOUR: u64 = 3_600_000_000_000;
    let times = ManualTime::default();
    times.set_wall(1000 * HOUR);
    let clock = Clock::manual(times.clone());
    let (seen, _) = received(
        &[],
        |builder| builder.clock(clock),
        |_| {
            for wall in [999, 2000, 1] {
                let span = info_span!("work");
                times.pass(50);
                times.set_wall(wall * HOUR);
                times.pass(50);
                drop(span);
            }
        },
    );
    let work = &histograms(&one(&seen), DURATION)[&internal("work")];
    assert_eq!((work.count, work.sum), (3, Some(300.0)));
    assert_eq!((work.min, work.max), (Some(100.0), Some(100.0)));
}

#[test]
fn a_flush_has_every_span_that_has_ended_and_deltas_are_those_since_the_last_time() {
    let delta = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");
    for (variables, expected, number) in [(&[][..], [100, 150], 2), (&[delta][..], [100, 50], 1)] {
        let work = |spans| (0..spans).for_each(|_| drop(info_span!("work")));
        let (seen, _) = received(
            variables,
            |builder| builder,
            |telemetry| {
                work(100);
                telemetry.flush(LONG).unwrap();
                work(50);
            },
        );
        let scopes = seen.scopes(|name| name == "ringlight.spans");
        let [first, last] = &scopes[..] else {
            panic!("{} requests", scopes.len());
        };
        let counts = [first, last].map(|scope| calls(scope)[&internal("work")]);
        assert_eq!(counts, expected);
        let points = [first, last].map(|scope| {
            let Some(Data::Sum(sum)) = named(&scope.metrics, CALLS).data else {
                panic!("no sum");
            };
            assert_eq!(sum.aggregation_temporality, number);
            sum.data_points[0].clone()
        });
        let start = if number == 1 {
            points[0].time_unix_nano
        } else {
            points[0].start_time_unix_nano
        };
        assert_eq!(points[1].start_time_unix_nano, start);
        let durations = histograms(last, DURATION);
        assert_eq!(durations[&internal("work")].count, expected[1] as u64);
    }
}

#[test]
fn what_the_tail_sampler_leaves_out_is_counted_once_as_all_is_and_the_ledger_is_the_same() {
    let run = |span_metrics: bool| {
        received(
            &[],
            |builder| {
                let tail = TailSampling {
                    otherwise_ratio: 0.0,
                    ..TailSampling::default()
                };
                builder.span_metrics(span_metrics).tail_sampling(tail)
            },
            |_| {
                for number in 0..100 {
                    let status = if number % 10 == 0 { "error" } else { "ok" };
                    info_span!("request", otel.status_code = status)
                        .in_scope(|| drop(info_span!("step")));
                }
            },
        )
    };
    let (seen, ledger) = run(true);
    let scope = one(&seen);
    let status = |code: &str| internal("request").replace("UNSET", code);
    let expected = [
        (internal("step"), 100),
        (status("ERROR"), 10),
        (status("OK"), 90),
    ];
    assert_eq!(calls(&scope), BTreeMap::from(expected));
    let (seen, without) = run(false);
    assert!(seen.scopes(|name| name == "ringlight.spans").is_empty());
    for signal in [Signal::Traces, Signal::Logs] {
        assert_eq!(ledger.account(signal), without.account(signal));
    }
    assert_eq!(ledger.account(Signal::Traces).exported, 20);
}

/// One in ten stands for ten.
#[test]
fn of_traces_that_are_sampled_each_counts_for_those_that_are_not() {
    static PART: SpanTemplate<0> = SpanTemplate::new("shop", "part", []);
    static OWN: SpanTemplate<0> = SpanTemplate::new("shop", "own", []);
    let (seen, ledger) = received(
        &[],
        |builder| {
            let rules = [
                SamplingRule::always_on().span_name("always"),
                SamplingRule::rate_limited(1.0).span_name("poll"),
            ];
            builder
                .sampler(Sampler::trace_id_ratio(0.1).parent_based())
                .sampling_rules(rules)
        },
        |telemetry| {
            let mut producer = telemetry.register_producer().unwrap();
            for _ in 0..3000 {
                info_span!("request").in_scope(|| {
                    drop(info_span!("step"));
                    let context = TraceContext::current().unwrap();
                    let part = producer.start_child(&PART, context.into());
                    producer.end(part, []);
                });
            }
            for _ in 0..10 {
                drop(info_span!("always"));
                // Of its own trace, which no sampler was asked about.
                let own = producer.start(&OWN);
                producer.end(own, []);
            }
            let remote = TraceContext::extract(|name| (name == "traceparent").then_some(REMOTE));
            remote
                .unwrap()
                .parent_of(|| drop(info_span!("from elsewhere")));
            for _ in 0..1000 {
                drop(info_span!("poll"));
            }
        },
    );
    let calls = calls(&one(&seen));
    let count = |name: &str| calls[&internal(name)];
    // How many of them were drawn is chance; what each counts for is not.
    let submitted = i64::try_from(ledger.account(Signal::Traces).submitted).unwrap();
    assert!((100..=900).contains(&(count("request") / 10)), "{calls:?}");
    assert_eq!(count("request") % 10, 0);
    assert_eq!(count("step"), count("request"));
    assert_eq!(count("part"), count("request"));
    assert_eq!(
        [count("always"), count("own"), count("from elsewhere")],
        [10, 10, 1]
    );
    // The last one that was taken stands for those up to it.
    assert!((1..=1000).contains(&count("poll")));
    let polled = submitted - 3 * count("request") / 10 - 21;
    assert!(polled >= 1 && polled <= count("poll"), "{polled} {calls:?}");
}

#[test]
fn what_is_measured_by_hand_stays_beside_them() {
    let (seen, _) = received(
        &[],
        |builder| builder,
        |telemetry| {
            let meter = telemetry.meter_provider().unwrap().meter("by hand");
            let duration = meter.f64_histogram(DURATION).with_unit("s").build();
            info_span!("work", busy_ns = 1, idle_ns = 2, duration = 3)
                .in_scope(|| duration.record(7.0, &[]));
        },
    );
    let Some(Data::Histogram(by_hand)) = seen.scopes(|name| name == "by hand")[0].metrics[0]
        .data
        .clone()
    else {
        panic!("no histogram");
    };
    assert_eq!(by_hand.data_points[0].sum, Some(7.0));
    let scope = one(&seen);
    assert_eq!(calls(&scope)[&internal("work")], 1);
    let work = &histograms(&scope, DURATION)[&internal("work")];
    assert!(work.sum.unwrap() > 3.0);
}

#[test]
fn names_without_end_are_one_set_and_no_span_is_left_out() {
    let (seen, _) = received(
        &[],
        |builder| builder,
        |_| {
            for number in 0..3000 {
                drop(info_span!("request", otel.name = format!("GET /{number}")));
            }
        },
    );
    let calls = calls(&one(&seen));
    assert_eq!(calls.len(), 2001);
    assert_eq!(calls["otel.metric.overflow=BoolValue(true)"], 1000);
    assert_eq!(calls.values().sum::<i64>(), 3000);
}

#[test]
fn rules_for_attributes_hold_for_them_too() {
    let (seen, _) = received(
        &[("RINGLIGHT_REDACT", "standard")],
        |builder| builder.process(|rules| rules.drop_attribute("span.kind")),
        |_| drop(info_span!("request", otel.name = "mail to ada@example.com")),
    );
    let calls = calls(&one(&seen));
    let sets: Vec<_> = calls.keys().collect();
    assert_eq!(sets.len(), 1);
    assert!(!sets[0].contains("ada@example.com"), "{sets:?}");
    assert!(!sets[0].contains("span.kind"), "{sets:?}");
}

/// Spans are recorded for their metrics where nothing else wants them.
#[test]
fn spans_that_are_not_sent_are_counted_where_that_is_asked_for() {
    let backend = Backend::start();
    let url = backend.url();
    for (asked, expected) in [("true", 1), ("false", 0)] {
        let variables = [
            ("OTLP_ENDPOINT", &*url),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("RINGLIGHT_SPAN_METRICS", asked),
        ];
        let builder = ringlight::builder()
            .environment(variables)
            .log_format(LogFormat::Off);
        let (dispatch, telemetry) = builder.build().unwrap();
        with_default(&dispatch, || drop(info_span!("work")));
        let ledger = telemetry.shutdown(LONG);
        assert_eq!(ledger.account(Signal::Traces).submitted, expected);
    }
    let seen = backend.stop();
    assert_eq!(calls(&one(&seen)), BTreeMap::from([(internal("work"), 1)]));
    assert!(seen.spans().is_empty());
}
