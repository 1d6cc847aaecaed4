//! Metrics of the OpenTelemetry API, from the instruments to what an independent decoder reads.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Metric, NumberDataPoint, exemplar, number_data_point,
};
use ringlight::metrics::{Instrument, Stream};
use ringlight::{Builder, LogFormat, Signal, Telemetry, TraceContext};
use ringlight_testing::{Backend, Reply, Seen, attribute, int, named, points};
use tracing::dispatcher::with_default;
use tracing::info_span;

const LONG: Duration = Duration::from_secs(20);

/// Metrics that are read at a flush and at the end alone.
fn builder(backend: &Backend, variables: &[(&str, &str)]) -> Builder {
    ringlight::builder()
        .environment(variables.iter().copied())
        .service_name("tested")
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .metric_export_interval(Duration::from_secs(3600))
}

/// Those that a test makes, without the ledger and the process.
fn metrics(seen: &Seen) -> Vec<Metric> {
    seen.metrics(|name| !name.starts_with("ringlight"))
}

/// What arrives of the metrics that `body` makes.
fn received(
    variables: &[(&str, &str)],
    change: impl FnOnce(Builder) -> Builder,
    body: impl FnOnce(&Meter, &Telemetry),
) -> Vec<Metric> {
    let backend = Backend::start();
    let (dispatch, telemetry) = change(builder(&backend, variables)).build().unwrap();
    let provider = telemetry.meter_provider().unwrap();
    with_default(&dispatch, || body(&provider.meter("tested"), &telemetry));
    let ledger = telemetry.shutdown(LONG);
    assert!(ledger.balances(), "{ledger}");
    let seen = backend.stop();
    let account = ledger.account(Signal::Metrics);
    // All but the ledger's own, with what the process uses, where that is among them.
    let sent = seen.metrics(|name| name != "ringlight");
    let points: usize = sent.iter().map(points_count).sum();
    assert_eq!(account.exported, points as u64);
    assert_eq!(account.exported, account.submitted);
    metrics(&seen)
}

fn points_count(metric: &Metric) -> usize {
    match metric.data.as_ref().unwrap() {
        Data::Gauge(data) => data.data_points.len(),
        Data::Sum(data) => data.data_points.len(),
        Data::Histogram(data) => data.data_points.len(),
        Data::ExponentialHistogram(data) => data.data_points.len(),
        Data::Summary(data) => data.data_points.len(),
    }
}

#[test]
fn every_instrument_arrives_as_it_was_measured() {
    for protocol in ["grpc", "http/protobuf", "http/json"] {
        check_every_instrument(protocol);
    }
}

fn check_every_instrument(protocol: &str) {
    let metrics = received(
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)],
        |builder| builder,
        |meter, _| {
            let counter = meter
                .u64_counter("orders")
                .with_unit("{order}")
                .with_description("Orders taken.")
                .build();
            counter.add(2, &[KeyValue::new("paid", true)]);
            counter.add(3, &[KeyValue::new("paid", true)]);
            meter.f64_counter("weight").build().add(0.5, &[]);
            meter.i64_up_down_counter("open").build().add(-4, &[]);
            meter.f64_up_down_counter("level").build().add(-0.5, &[]);
            meter.u64_gauge("size").build().record(7, &[]);
            meter.i64_gauge("depth").build().record(-7, &[]);
            meter.f64_gauge("heat").build().record(36.6, &[]);
            let histogram = meter
                .f64_histogram("wait")
                .with_boundaries(vec![1.0, 10.0])
                .with_unit("s")
                .build();
            for wait in [0.5, 5.0, 50.0, 0.25] {
                histogram.record(wait, &[]);
            }
            meter
                .u64_histogram("sizes")
                .with_boundaries(vec![10.0])
                .build()
                .record(11, &[]);
            meter
                .u64_observable_counter("seen")
                .with_callback(|o| o.observe(9, &[]))
                .build();
            meter
                .f64_observable_gauge("load")
                .with_callback(|o| o.observe(1.5, &[]))
                .build();
            meter
                .i64_observable_up_down_counter("held")
                .with_callback(|o| o.observe(-1, &[]))
                .build();
        },
    );
    let orders = named(&metrics, "orders");
    assert_eq!(
        (&*orders.unit, &*orders.description),
        ("{order}", "Orders taken.")
    );
    let Some(Data::Sum(sum)) = &orders.data else {
        panic!("{orders:?}");
    };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality, 2, "cumulative");
    let [point] = &sum.data_points[..] else {
        panic!("{sum:?}");
    };
    assert_eq!(int(point), 5);
    assert_eq!(
        attribute(&point.attributes, "paid"),
        Some(Value::BoolValue(true))
    );
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano < point.time_unix_nano);
    for (name, value) in [
        ("open", -4),
        ("size", 7),
        ("depth", -7),
        ("seen", 9),
        ("held", -1),
    ] {
        assert_eq!(int(&points(&named(&metrics, name))[0]), value, "{name}");
    }
    for (name, value) in [
        ("weight", 0.5),
        ("level", -0.5),
        ("heat", 36.6),
        ("load", 1.5),
    ] {
        let point = &points(&named(&metrics, name))[0];
        assert_eq!(
            point.value,
            Some(number_data_point::Value::AsDouble(value)),
            "{name}"
        );
    }
    let Some(Data::Histogram(histogram)) = named(&metrics, "wait").data else {
        panic!("no histogram");
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (4, Some(55.75)));
    assert_eq!(
        (&point.explicit_bounds[..], &point.bucket_counts[..]),
        (&[1.0, 10.0][..], &[2, 1, 1][..])
    );
    assert_eq!((point.min, point.max), (Some(0.25), Some(50.0)));
    let Some(Data::Histogram(histogram)) = named(&metrics, "sizes").data else {
        panic!("no histogram");
    };
    assert_eq!(histogram.data_points[0].bucket_counts, [0, 1]);
}

/// With little memory, that of what is added to: what is read by a callback is since the start then.
#[test]
fn a_flush_reads_them_and_deltas_are_those_since_the_last_time() {
    const DELTA: i32 = 1;
    const CUMULATIVE: i32 = 2;
    for (preference, expected, temporality, of_read) in [
        ("", [1, 3], CUMULATIVE, CUMULATIVE),
        ("delta", [1, 2], DELTA, DELTA),
        ("lowmemory", [1, 2], DELTA, CUMULATIVE),
    ] {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        let metrics = received(
            &[(name, preference)],
            |builder| builder,
            |meter, telemetry| {
                let seen = meter.u64_observable_counter("seen");
                seen.with_callback(|o| o.observe(9, &[])).build();
                let counter = meter.u64_counter("orders").build();
                counter.add(1, &[]);
                telemetry.flush(LONG).unwrap();
                counter.add(2, &[]);
            },
        );
        let sums = |name: &str| {
            let of_name = metrics.iter().filter(|metric| metric.name == name);
            let sums = of_name.map(|metric| match &metric.data {
                Some(Data::Sum(sum)) => (int(&sum.data_points[0]), sum.aggregation_temporality),
                other => panic!("{other:?}"),
            });
            sums.collect::<Vec<_>>()
        };
        let expected = expected.map(|value| (value, temporality));
        assert_eq!(sums("orders"), expected, "{preference}");
        assert_eq!(sums("seen")[0], (9, of_read), "{preference}");
    }
}

#[test]
fn histograms_are_exponential_where_asked_for() {
    for protocol in ["grpc", "http/json"] {
        check_exponential(protocol);
    }
}

fn check_exponential(protocol: &str) {
    let name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    let exponential = [
        (name, "base2_exponential_bucket_histogram"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
    ];
    let metrics = received(
        &exponential,
        |builder| builder,
        |meter, _| {
            let histogram = meter.f64_histogram("wait").build();
            for wait in [0.0, 1.5, 3.0, -6.0] {
                histogram.record(wait, &[KeyValue::new("of", "all")]);
            }
        },
    );
    let Some(Data::ExponentialHistogram(histogram)) = named(&metrics, "wait").data else {
        panic!("no exponential histogram");
    };
    assert_eq!(histogram.aggregation_temporality, 2);
    let point = &histogram.data_points[0];
    assert_eq!(
        (point.count, point.zero_count, point.sum),
        (4, 1, Some(-1.5))
    );
    assert_eq!((point.min, point.max), (Some(-6.0), Some(3.0)));
    let count = |buckets: &Option<_>| {
        let buckets: &opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets =
            buckets.as_ref().unwrap();
        (buckets.offset, buckets.bucket_counts.clone())
    };
    // By the formula of the specification: a bucket holds what is above base^index.
    let base = 2_f64.powf(2_f64.powi(-point.scale));
    let index = |value: f64| (value.log(base)).ceil() as i32 - 1;
    let (offset, counts) = count(&point.positive);
    assert_eq!(counts.iter().sum::<u64>(), 2);
    assert_eq!(counts[(index(1.5) - offset) as usize], 1);
    assert_eq!(counts[(index(3.0) - offset) as usize], 1);
    let (offset, counts) = count(&point.negative);
    assert_eq!((offset, &counts[..]), (index(6.0), &[1][..]));
    assert!(attribute(&point.attributes, "of").is_some());
}

#[test]
fn metrics_alone_may_be_sent() {
    let alone = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
    ];
    let metrics = received(
        &alone,
        |builder| builder,
        |meter, _| meter.u64_counter("orders").build().add(1, &[]),
    );
    assert_eq!(points(&named(&metrics, "orders")).len(), 1);
}

#[test]
fn only_histograms_that_nothing_else_is_said_of_are_exponential() {
    let exponential = [(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "base2_exponential_bucket_histogram",
    )];
    let renamed = |instrument: &Instrument| {
        let stream = Stream::builder().with_name("public").build();
        (instrument.name() == "secret").then(|| stream.unwrap())
    };
    let metrics = received(
        &exponential,
        |builder| builder.metric_view(renamed),
        |meter, _| {
            meter.f64_histogram("secret").build().record(1.0, &[]);
            let bounded = meter.f64_histogram("bounded").with_boundaries(vec![2.0]);
            bounded.build().record(1.0, &[]);
            meter.f64_histogram("plain").build().record(1.0, &[]);
        },
    );
    assert!(metrics.iter().all(|metric| metric.name != "secret"));
    assert!(matches!(
        named(&metrics, "public").data,
        Some(Data::Histogram(_))
    ));
    let Some(Data::Histogram(bounded)) = named(&metrics, "bounded").data else {
        panic!("it has boundaries of its own");
    };
    assert_eq!(bounded.data_points[0].explicit_bounds, [2.0]);
    assert!(matches!(
        named(&metrics, "plain").data,
        Some(Data::ExponentialHistogram(_))
    ));
}

#[test]
fn an_exemplar_leads_to_the_span_it_was_measured_in() {
    for protocol in ["grpc", "http/json"] {
        check_exemplar(protocol);
    }
}

fn check_exemplar(protocol: &str) {
    let mut context = None;
    let metrics = received(
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)],
        |builder| builder,
        |meter, _| {
            let histogram = meter.f64_histogram("wait").build();
            let counter = meter.u64_counter("orders").build();
            histogram.record(1.0, &[KeyValue::new("in", "no span")]);
            // A set that is part of another.
            histogram.record(2.0, &[]);
            info_span!("request").in_scope(|| {
                context = TraceContext::current();
                histogram.record(7.0, &[KeyValue::new("in", "a span")]);
                counter.add(1, &[]);
            });
        },
    );
    let context = context.unwrap();
    let check = |exemplars: &[Exemplar], value: exemplar::Value| {
        let [exemplar] = exemplars else {
            panic!("{exemplars:?}");
        };
        assert_eq!(exemplar.trace_id, context.trace_id().to_bytes());
        assert_eq!(exemplar.span_id, context.span_id().to_bytes());
        assert_eq!(exemplar.value, Some(value));
        assert!(exemplar.time_unix_nano > 0);
        assert_eq!(exemplar.filtered_attributes, []);
    };
    let Some(Data::Histogram(histogram)) = named(&metrics, "wait").data else {
        panic!("no histogram");
    };
    let of = |text: Option<&str>| {
        let mut points = histogram.data_points.iter();
        let expected = text.map(|text| Value::StringValue(text.to_owned()));
        points
            .find(|point| attribute(&point.attributes, "in") == expected)
            .unwrap()
    };
    check(
        &of(Some("a span")).exemplars,
        exemplar::Value::AsDouble(7.0),
    );
    assert_eq!(of(Some("no span")).exemplars, []);
    assert_eq!(of(None).exemplars, []);
    check(
        &points(&named(&metrics, "orders"))[0].exemplars,
        exemplar::Value::AsInt(1),
    );
}

#[test]
fn exemplars_are_as_their_filter_says_and_never_many() {
    let count = |filter: &str| {
        let variables = [
            ("OTEL_METRICS_EXEMPLAR_FILTER", filter),
            ("OTEL_TRACES_SAMPLER", "always_off"),
        ];
        let metrics = received(
            &variables,
            |builder| builder,
            |meter, _| {
                let histogram = meter.f64_histogram("wait").build();
                // Not recorded, so not what an exemplar of a trace can lead to.
                let _span = info_span!("request").entered();
                for number in 0..10_000 {
                    histogram.record(f64::from(number), &[]);
                }
            },
        );
        let Some(Data::Histogram(histogram)) = named(&metrics, "wait").data else {
            panic!("no histogram");
        };
        histogram.data_points[0].exemplars.len()
    };
    assert_eq!(count("trace_based"), 0);
    assert_eq!(count("always_off"), 0);
    let all = count("always_on");
    assert!((2..=16).contains(&all), "{all}");
}

#[test]
fn the_exemplar_of_a_set_that_found_no_room_is_of_the_one_of_those() {
    let few = |instrument: &Instrument| {
        let stream = Stream::builder().with_cardinality_limit(3);
        let keys = [opentelemetry::Key::new("number")];
        let stream = stream.with_allowed_attribute_keys(keys).build().ok();
        stream.filter(|_| instrument.name() == "orders")
    };
    let metrics = received(
        &[],
        |builder| builder.metric_view(few),
        |meter, _| {
            let orders = meter.u64_counter("orders").build();
            orders.add(1, &[]);
            for number in 0..50 {
                orders.add(1, &[KeyValue::new("number", number)]);
            }
            // Of different orders of magnitude, so that each has an exemplar.
            info_span!("request").in_scope(|| {
                let left_out = KeyValue::new("left out", true);
                orders.add(1, &[KeyValue::new("number", 0), left_out.clone()]);
                orders.add(64, &[KeyValue::new("number", 49), left_out.clone()]);
                orders.add(4096, &[left_out]);
            });
        },
    );
    let orders = points(&named(&metrics, "orders"));
    let of = |key: &str, value: Option<Value>| {
        let mut points = orders.iter();
        let point = points.find(|point| attribute(&point.attributes, key) == value);
        let exemplars = point.unwrap().exemplars.iter();
        exemplars.map(|one| one.value.unwrap()).collect::<Vec<_>>()
    };
    let int = exemplar::Value::AsInt;
    assert_eq!(of("number", Some(Value::IntValue(0))), [int(1)]);
    let overflow = Some(Value::BoolValue(true));
    assert_eq!(of("otel.metric.overflow", overflow), [int(64)]);
    let mut without = orders.iter().filter(|point| point.attributes.is_empty());
    let exemplars = &without.next().unwrap().exemplars;
    assert_eq!(exemplars.len(), 1);
    assert_eq!(exemplars[0].value, Some(int(4096)));
}

#[test]
fn views_rename_and_leave_out_and_too_many_sets_are_one() {
    let few = |instrument: &Instrument| match instrument.name() {
        "orders" => Stream::builder().with_cardinality_limit(10).build().ok(),
        "secret" => {
            let stream = Stream::builder().with_name("public");
            stream
                .with_allowed_attribute_keys([opentelemetry::Key::new("kept")])
                .build()
                .ok()
        }
        _ => None,
    };
    let metrics = received(
        &[],
        |builder| builder.metric_view(few),
        |meter, _| {
            let orders = meter.u64_counter("orders").build();
            for number in 0..1000 {
                orders.add(1, &[KeyValue::new("number", number)]);
            }
            let secret = meter.u64_counter("secret").build();
            secret.add(1, &[KeyValue::new("kept", 1), KeyValue::new("dropped", 2)]);
        },
    );
    let orders = points(&named(&metrics, "orders"));
    assert_eq!(orders.iter().map(int).sum::<i64>(), 1000);
    assert!(orders.len() <= 11, "{}", orders.len());
    let is_overflow =
        |point: &&NumberDataPoint| attribute(&point.attributes, "otel.metric.overflow").is_some();
    let overflow: Vec<_> = orders.iter().filter(is_overflow).collect();
    assert_eq!(overflow.len(), 1);
    assert!(int(overflow[0]) >= 989);
    let public = &points(&named(&metrics, "public"))[0];
    let keys: Vec<_> = public
        .attributes
        .iter()
        .map(|attribute| &*attribute.key)
        .collect();
    assert_eq!(keys, ["kept"]);
}

/// The limit that a metric has by default. What is beyond is one set, and each export that was like this is counted.
#[test]
fn fault_30_a_million_values_of_an_attribute_are_as_many_sets_as_there_may_be_and_one() {
    const VALUES: i64 = 1_000_000;
    let backend = Backend::start();
    let (_, telemetry) = builder(&backend, &[]).build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    let orders = meter.u64_counter("orders").build();
    for user in 0..VALUES {
        orders.add(1, &[KeyValue::new("user", user)]);
    }
    for times in 0..3 {
        telemetry.flush(LONG).unwrap();
        let seen = backend.seen();
        let of_shop = seen.metrics(|name| name == "shop");
        let points = points(of_shop.last().unwrap());
        assert_eq!(points.len(), 2001);
        assert_eq!(points.iter().map(int).sum::<i64>(), VALUES);
        let mut beyond = points
            .iter()
            .filter(|point| attribute(&point.attributes, "otel.metric.overflow").is_some());
        assert_eq!(beyond.next().map(int), Some(VALUES - 2000));
        assert!(beyond.next().is_none());
        let largest = seen.requests.iter().map(|request| request.body.len()).max();
        assert!(largest < Some(512 << 10), "{largest:?}");

        // As it was before this export.
        let counted = seen.metrics(|name| name == "ringlight.metrics");
        assert_eq!(counted.len(), times);
        if let Some(counted) = counted.last() {
            assert_eq!(counted.name, "ringlight.metrics.overflow");
            let [point] = &self::points(counted)[..] else {
                panic!("{counted:?}");
            };
            assert_eq!(int(point), times as i64);
            for (key, value) in [("metric", "orders"), ("scope", "shop")] {
                let value = Some(Value::StringValue(value.to_owned()));
                assert_eq!(attribute(&point.attributes, key), value);
            }
        }
    }
    telemetry.shutdown(LONG);
}

#[test]
fn a_callback_that_panics_ends_itself_alone() {
    let metrics = received(
        &[],
        |builder| builder,
        |meter, telemetry| {
            meter
                .u64_observable_gauge("broken")
                .with_callback(|_| panic!("as it likes"))
                .build();
            meter
                .u64_observable_gauge("whole")
                .with_callback(|o| o.observe(1, &[]))
                .build();
            telemetry.flush(LONG).unwrap();
        },
    );
    let names: Vec<_> = metrics.iter().map(|metric| &*metric.name).collect();
    assert_eq!(names, ["whole", "whole"]);
}

#[test]
fn a_callback_that_never_returns_holds_up_no_end() {
    let backend = Backend::start();
    let (_, telemetry) = builder(&backend, &[]).build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("tested");
    let (_held, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let wait = move || drop(gate.lock().map(|gate| gate.recv()));
    meter
        .u64_observable_gauge("stuck")
        .with_callback(move |_| wait())
        .build();
    let began = std::time::Instant::now();
    telemetry.flush(Duration::from_millis(200)).unwrap();
    let ledger = telemetry.shutdown(Duration::from_millis(200));
    // A generous bound: what is tested is that it ends at all.
    assert!(began.elapsed() < LONG);
    assert!(ledger.balances());
    // Nobody waits for it again: this returns at once, or hangs.
    telemetry.shutdown(Duration::from_secs(24 * 3600));
}

#[test]
fn metrics_go_on_their_own_every_so_often_and_outlive_a_backend_that_is_away() {
    let backend = Backend::start();
    backend.set_reports(Reply::Http(503, None));
    let builder = builder(&backend, &[]).metric_export_interval(Duration::from_millis(20));
    let (_, telemetry) = builder.build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("tested");
    let counter = meter.u64_counter("orders").build();
    counter.add(1, &[]);
    backend.wait_for(|seen| metrics(seen).len() >= 2);
    backend.set_reports(Reply::Ok);
    let ledger = telemetry.shutdown(LONG);
    let account = ledger.account(Signal::Metrics);
    assert_eq!(account.submitted, account.exported);
    drop(backend);
}

#[test]
fn metrics_are_sent_where_nothing_else_is() {
    let backend = Backend::start();
    let variables = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
    ];
    let (dispatch, telemetry) = builder(&backend, &variables).build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("tested");
    with_default(&dispatch, || {
        info_span!("order").in_scope(|| tracing::info!("placed"));
        meter.u64_counter("orders").build().add(3, &[]);
    });
    let ledger = telemetry.shutdown(LONG);
    assert!(ledger.balances(), "{ledger}");
    for signal in [Signal::Traces, Signal::Logs] {
        assert_eq!(ledger.account(signal).submitted, 0, "{ledger}");
    }
    let seen = backend.stop();
    assert_eq!(int(&points(&named(&metrics(&seen), "orders"))[0]), 3);
    let others = |request: &&ringlight_testing::Received| request.signal != Signal::Metrics;
    assert_eq!(seen.requests.iter().filter(others).count(), 0);
}

#[test]
fn without_a_place_for_metrics_there_is_no_provider() {
    let backend = Backend::start();
    let url = backend.url();
    let variables = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*url)];
    let builder = ringlight::builder()
        .environment(variables)
        .log_format(LogFormat::Off);
    let (_, telemetry) = builder.build().unwrap();
    assert!(telemetry.meter_provider().is_none());
    let off = ringlight::builder().environment([("OTEL_METRICS_EXPORTER", "none")]);
    let (_, telemetry) = off
        .otlp_endpoint(url)
        .log_format(LogFormat::Off)
        .build()
        .unwrap();
    assert!(telemetry.meter_provider().is_none());
}

#[test]
fn fault_36_attributes_of_metrics_go_through_the_rules_too() {
    let variables = [
        ("RINGLIGHT_REDACT", "standard"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on"),
    ];
    let rename = |builder: Builder| {
        let kept = |_: &Instrument| {
            let stream = Stream::builder();
            let keys = ["password", "old"].map(opentelemetry::Key::new);
            stream.with_allowed_attribute_keys(keys).build().ok()
        };
        let builder = builder.process(|rules| rules.rename_attribute("old", "new"));
        builder.metric_view(kept)
    };
    let metrics = received(&variables, rename, |meter, _| {
        let attributes = [
            KeyValue::new("password", "hunter2"),
            KeyValue::new("old", 1),
            // Not of the point, but of the exemplar.
            KeyValue::new("token", "hunter2"),
        ];
        meter.u64_counter("orders").build().add(1, &attributes);
    });
    let point = &points(&named(&metrics, "orders"))[0];
    let shown = format!("{point:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(
        attribute(&point.attributes, "new"),
        Some(Value::IntValue(1))
    );
    assert_eq!(attribute(&point.attributes, "old"), None);
    assert_eq!(point.exemplars.len(), 1);
    assert!(attribute(&point.exemplars[0].filtered_attributes, "token").is_some());
}

#[cfg(all(feature = "profiling", target_os = "linux"))]
#[test]
fn the_process_is_among_the_metrics() {
    let backend = Backend::start();
    let (_, telemetry) = builder(&backend, &[]).build().unwrap();
    telemetry.flush(LONG).unwrap();
    telemetry.shutdown(LONG);
    let metrics = backend.stop().metrics(|name| name == "ringlight.process");
    // Two exports at once share one reading, which has nothing to be compared with.
    let names: std::collections::BTreeSet<_> = metrics.iter().map(|metric| &*metric.name).collect();
    let expected = [
        "process.context_switches",
        "process.cpu.time",
        "process.disk.io",
        "process.memory.usage",
        "process.memory.virtual",
        "process.paging.faults",
        "process.thread.count",
        "process.unix.file_descriptor.count",
        "process.uptime",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    let usage = metrics
        .iter()
        .find(|metric| metric.name == "process.memory.usage")
        .unwrap();
    assert_eq!(usage.unit, "By");
    assert!(int(&points(usage)[0]) > 100_000);
    let times = metrics
        .iter()
        .find(|metric| metric.name == "process.cpu.time")
        .unwrap();
    let mut modes: Vec<_> = points(times)
        .iter()
        .map(|point| format!("{:?}", attribute(&point.attributes, "cpu.mode")))
        .collect();
    // The SDK gives the sets of attributes in any order.
    modes.sort_unstable();
    let mode = |mode: &str| format!("{:?}", Some(Value::StringValue(mode.to_owned())));
    assert_eq!(modes, [mode("system"), mode("user")]);
}

/// However young the reading before is.
#[cfg(all(feature = "profiling", target_os = "linux"))]
#[test]
fn the_last_reading_of_the_process_is_of_the_end() {
    const THREADS: usize = 50;
    let backend = Backend::start();
    let (_, telemetry) = builder(&backend, &[]).build().unwrap();
    telemetry.flush(LONG).unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| std::thread::spawn(std::thread::park))
        .collect();
    telemetry.shutdown(LONG);
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
    let metrics = backend.stop().metrics(|name| name == "ringlight.process");
    let counts = metrics.iter().filter(|m| m.name == "process.thread.count");
    let counts: Vec<_> = counts.map(|metric| int(&points(metric)[0])).collect();
    let [first, last] = counts[..] else {
        panic!("{counts:?}");
    };
    // Other tests have threads, too.
    assert!(last >= first + THREADS as i64 / 2, "{counts:?}");
}

/// Of the time between two readings, which are a second apart.
#[cfg(all(feature = "profiling", target_os = "linux"))]
#[test]
fn the_second_reading_of_the_process_says_how_much_of_the_processors_it_uses() {
    const NAME: &str = "process.cpu.utilization";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringlight.toml");
    std::fs::write(&file, "[telemetry]\nsystem_metrics_interval_secs = 1\n").unwrap();
    let backend = Backend::start();
    let builder = builder(&backend, &[]).config_file(file);
    let (_, telemetry) = builder.build().unwrap();
    let of_process = || backend.seen().metrics(|name| name == "ringlight.process");
    let began = std::time::Instant::now();
    telemetry.flush(LONG).unwrap();
    let first = of_process();
    assert!(first.iter().all(|metric| metric.name != NAME), "{first:?}");
    // Busy, so that there is something to be seen.
    while began.elapsed() < Duration::from_secs(1) {
        std::hint::black_box(first.len());
    }
    telemetry.flush(LONG).unwrap();
    let utilization = named(&of_process(), NAME);
    telemetry.shutdown(LONG);
    assert_eq!(utilization.unit, "1");
    let shares: std::collections::BTreeMap<_, _> = points(&utilization)
        .iter()
        .map(
            |point| match (attribute(&point.attributes, "cpu.mode"), point.value) {
                (
                    Some(Value::StringValue(mode)),
                    Some(number_data_point::Value::AsDouble(share)),
                ) => (mode, share),
                other => panic!("{other:?}"),
            },
        )
        .collect();
    let modes: Vec<_> = shares.keys().map(String::as_str).collect();
    assert_eq!(modes, ["system", "user"]);
    for (mode, share) in &shares {
        assert!((0.0..=1.0).contains(share), "{mode}: {share}");
    }
    assert!(shares["user"] > 0.0, "{shares:?}");
}
