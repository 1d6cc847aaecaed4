//! Metrics as Prometheus scrapes them, by a server of ours and by one of the application's own.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use ringlight::collector::{Notice, Notices};
use ringlight::metrics::{Instrument, PrometheusFormat, Stream};
use ringlight::{Builder, Clock, LogFormat, ManualTime, Signal, Telemetry};
use ringlight_testing::Backend;
use tracing::dispatcher::with_default;
use tracing::info_span;

const LONG: Duration = Duration::from_secs(20);
const ACCEPT_OPEN_METRICS: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.2";

fn builder(variables: &[(&str, &str)]) -> Builder {
    ringlight::builder()
        .environment(variables.iter().copied())
        .service_name("tested")
        .resource_detectors([])
        .resource_attribute("service.instance.id", "one")
        .resource_attribute("service.version", "1.2.3")
        .log_format(LogFormat::Off)
        .metric_export_interval(Duration::from_secs(3600))
}

/// A port that nobody has at present.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The status, the head and the body of what is answered, as soon as somebody does.
fn get(address: &str, request: &str) -> (u16, String, String) {
    let until = Instant::now() + LONG;
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn request(method: &str, path: &str, accept: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: tested\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )
}

/// The text of what the scopes of the test have, without what the process and metrics say of themselves.
fn text(telemetry: &Telemetry, format: PrometheusFormat) -> String {
    telemetry.prometheus_text(format, LONG).unwrap()
}

/// The lines about these families.
fn about(text: &str, names: &[&str]) -> String {
    let is_about = |line: &&str| {
        let rest = ["# TYPE ", "# HELP ", "# UNIT "].iter();
        let rest = rest.filter_map(|start| line.strip_prefix(start));
        let rest = rest.chain([*line]).next().unwrap_or_default();
        names.iter().any(|name| {
            rest.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
        })
    };
    let lines: Vec<&str> = text.lines().filter(is_about).collect();
    lines.join("\n")
}

fn measure(meter: &Meter) {
    let orders = meter
        .u64_counter("shop.orders")
        .with_unit("{order}")
        .with_description("Orders, \"all\" of them\nand more \\.")
        .build();
    orders.add(2, &[KeyValue::new("paid.by", "a \"card\"\n\\")]);
    orders.add(3, &[KeyValue::new("paid.by", true)]);
    meter.i64_up_down_counter("shop.open").build().add(-4, &[]);
    let ratio = meter.f64_gauge("shop.full").with_unit("1").build();
    ratio.record(0.25, &[KeyValue::new("a.b", 1), KeyValue::new("a_b", 2)]);
    let wait = meter
        .f64_histogram("shop.wait")
        .with_boundaries(vec![0.1, 1.0])
        .with_unit("s")
        .build();
    [0.05, 0.5, 0.75, 30.0]
        .iter()
        .for_each(|seconds| wait.record(*seconds, &[]));
}

#[test]
fn every_kind_is_written_as_prometheus_has_it() {
    let (dispatch, telemetry) = builder(&[]).prometheus_text().build().unwrap();
    let provider = telemetry.meter_provider().unwrap();
    let scope = InstrumentationScope::builder("shop")
        .with_version("7")
        .build();
    with_default(&dispatch, || measure(&provider.meter_with_scope(scope)));
    let names = [
        "shop_orders",
        "shop_orders_total",
        "shop_open",
        "shop_full_ratio",
        "shop_wait_seconds",
        "shop_wait_seconds_bucket",
        "shop_wait_seconds_sum",
        "shop_wait_seconds_count",
    ];
    let scope = r#"otel_scope_name="shop",otel_scope_version="7""#;
    let plain = text(&telemetry, PrometheusFormat::Text);
    assert_eq!(
        about(&plain, &names)
            .replace(scope, "S")
            .lines()
            .collect::<Vec<_>>()
            .join("\n"),
        r#"# TYPE shop_orders_total counter
# HELP shop_orders_total Orders, "all" of them\nand more \\.
shop_orders_total{paid_by="a \"card\"\n\\",S} 2
shop_orders_total{paid_by="true",S} 3
# TYPE shop_open gauge
shop_open{S} -4
# TYPE shop_full_ratio gauge
shop_full_ratio{a_b="1;2",S} 0.25
# TYPE shop_wait_seconds histogram
shop_wait_seconds_bucket{S,le="0.1"} 1
shop_wait_seconds_bucket{S,le="1.0"} 3
shop_wait_seconds_bucket{S,le="+Inf"} 4
shop_wait_seconds_sum{S} 31.3
shop_wait_seconds_count{S} 4"#
    );
    let target =
        r#"target_info{service_instance_id="one",service_name="tested",service_version="1.2.3","#;
    assert!(plain.contains(target), "{plain}");
    assert!(plain.contains("# TYPE target_info gauge\n"), "{plain}");
    assert!(!plain.contains("EOF"), "{plain}");

    let open = text(&telemetry, PrometheusFormat::OpenMetrics);
    let orders = about(&open, &names[..2]).replace(scope, "S");
    assert!(
        orders.starts_with(
            "# TYPE shop_orders counter\n# HELP shop_orders Orders, \\\"all\\\" of them\\nand more \\\\.\nshop_orders_total{"
        ),
        "{orders}"
    );
    assert!(
        open.contains("# UNIT shop_wait_seconds seconds\n"),
        "{open}"
    );
    assert!(open.contains("# TYPE target info\n"), "{open}");
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    drop(telemetry);
}

#[test]
fn exemplars_lead_from_buckets_and_counters_to_spans() {
    let backend = Backend::start();
    let builder = builder(&[]).otlp_endpoint(backend.url());
    let (dispatch, telemetry) = builder.prometheus_text().build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    let wait = meter
        .f64_histogram("wait")
        .with_boundaries(vec![1.0, 2.0])
        .build();
    let orders = meter.u64_counter("orders").build();
    // A set that is part of another has none of its exemplars.
    orders.add(3, &[]);
    let ids = with_default(&dispatch, || {
        info_span!("pay").in_scope(|| {
            wait.record(0.5, &[]);
            wait.record(16.0, &[]);
            orders.add(1, &[KeyValue::new("paid", true)]);
            let context = ringlight::TraceContext::current().unwrap();
            format!(
                r##"{{trace_id="{}",span_id="{}"}}"##,
                context.trace_id(),
                context.span_id()
            )
        })
    });
    // Once more, as Prometheus does; and after an export has taken them.
    for _ in 0..2 {
        let open = text(&telemetry, PrometheusFormat::OpenMetrics);
        for (line, value) in [
            (r#"wait_bucket{otel_scope_name="shop",le="1.0"} 1"#, "0.5"),
            (r#"wait_bucket{otel_scope_name="shop",le="+Inf"} 2"#, "16.0"),
            (r#"orders_total{paid="true",otel_scope_name="shop"} 1"#, "1"),
        ] {
            let expected = format!("{line} # {ids} {value} ");
            assert!(open.contains(&expected), "{expected}\n{open}");
        }
        for without in [
            "wait_bucket{otel_scope_name=\"shop\",le=\"2.0\"} 1\n",
            "orders_total{otel_scope_name=\"shop\"} 3\n",
        ] {
            assert!(open.contains(without), "{open}");
        }
        let plain = text(&telemetry, PrometheusFormat::Text);
        assert!(!plain.contains("trace_id"), "{plain}");
        telemetry.flush(LONG).unwrap();
    }
    drop((telemetry, backend));
}

/// Metrics are read more often than somebody scrapes them, whether they are sent or not.
#[test]
fn an_exemplar_that_is_rare_is_there_until_another_one_of_its_size_comes() {
    let (dispatch, telemetry) = builder(&[]).prometheus_text().build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    let wait = meter
        .u64_histogram("wait")
        .with_boundaries(vec![10.0])
        .build();
    let measure = |value| {
        with_default(&dispatch, || {
            info_span!("pay").in_scope(|| wait.record(value, &[]));
        });
        telemetry.flush(LONG).unwrap();
    };
    for value in [100, 2, 2, 3] {
        measure(value);
    }
    let check = |rare: &str, usual: &str| {
        let open = text(&telemetry, PrometheusFormat::OpenMetrics);
        for (bound, value) in [("+Inf", rare), ("10.0", usual)] {
            let bucket = format!("le=\"{bound}\"");
            let line = open.lines().find(|line| line.contains(&bucket));
            let (_, exemplar) = line.unwrap().split_once(" # {").unwrap_or_default();
            assert!(exemplar.contains(&format!("}} {value} ")), "{open}");
        }
    };
    check("100", "3");
    measure(90);
    check("90", "3");
}

#[test]
fn exponential_histograms_have_buckets_by_powers_of_two() {
    let variables = [(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "base2_exponential_bucket_histogram",
    )];
    let (dispatch, telemetry) = builder(&variables).prometheus_text().build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    with_default(&dispatch, || {
        let wait = meter.f64_histogram("wait").build();
        [0.0, 1.0, 1.5, 1.75, 2.0, 100.0]
            .iter()
            .for_each(|value| wait.record(*value, &[]));
        let change = meter.f64_histogram("change").build();
        [-3.0, -1.0, 5.0]
            .iter()
            .for_each(|value| change.record(*value, &[]));
    });
    let plain = text(&telemetry, PrometheusFormat::Text);
    let names = ["wait_bucket", "wait_sum", "wait_count"];
    assert_eq!(
        about(&plain, &names)
            .replace(r#"otel_scope_name="shop","#, "")
            .replace(r#"{otel_scope_name="shop"}"#, ""),
        "wait_bucket{le=\"0.0\"} 1\nwait_bucket{le=\"0.5\"} 1\nwait_bucket{le=\"1.0\"} 2\nwait_bucket{le=\"2.0\"} 5\n\
         wait_bucket{le=\"4.0\"} 5\nwait_bucket{le=\"8.0\"} 5\nwait_bucket{le=\"16.0\"} 5\nwait_bucket{le=\"32.0\"} 5\n\
         wait_bucket{le=\"64.0\"} 5\nwait_bucket{le=\"128.0\"} 6\nwait_bucket{le=\"+Inf\"} 6\nwait_sum 106.25\nwait_count 6"
    );
    let change = about(&plain, &["change_bucket", "change_sum"]);
    // A sum that may shrink is left out.
    assert_eq!(
        change.replace(r#"otel_scope_name="shop","#, ""),
        "change_bucket{le=\"-4.0\"} 0\nchange_bucket{le=\"-2.0\"} 1\nchange_bucket{le=\"-1.0\"} 1\n\
         change_bucket{le=\"-0.5\"} 2\nchange_bucket{le=\"0.0\"} 2\nchange_bucket{le=\"4.0\"} 2\n\
         change_bucket{le=\"8.0\"} 3\nchange_bucket{le=\"+Inf\"} 3"
    );
}

/// The bounds of each series of a histogram, in their order.
fn bounds(text: &str, bucket: &str) -> BTreeMap<String, Vec<f64>> {
    let mut bounds = BTreeMap::<_, Vec<_>>::new();
    for line in text.lines().filter(|line| line.starts_with(bucket)) {
        let (series, rest) = line.split_once("le=\"").unwrap();
        let (bound, _) = rest.split_once('"').unwrap();
        let bound = bound.parse().unwrap();
        bounds.entry(series.to_owned()).or_default().push(bound);
    }
    bounds
}

/// Else sums of buckets by bound are of other series for each bound.
#[test]
fn all_series_of_an_exponential_histogram_have_the_same_bounds_and_none_goes() {
    let variables = [(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "base2_exponential_bucket_histogram",
    )];
    let (_dispatch, telemetry) = builder(&variables).prometheus_text().build().unwrap();
    let provider = telemetry.meter_provider().unwrap();
    let mut before = Vec::new();
    // The exponents of the least and the greatest bound above zero, where those below are the same.
    let steps = [
        ("shop", "card", 1000.0, (9, 10), false),
        ("shop", "cash", 3.0, (1, 10), false),
        ("market", "card", 0.3, (-2, 10), false),
        ("market", "card", 0.0, (-2, 10), false),
        ("shop", "none", -0.75, (-2, 10), true),
        // What strays makes no more bounds than there may be.
        ("shop", "cash", 1e300, (-2, 64), true),
        ("shop", "cash", 1e-300, (-40, 64), true),
        ("shop", "cash", -1e-300, (-40, 64), true),
    ];
    for (scope, paid_by, value, (least, greatest), has_negative) in steps {
        let wait = provider.meter(scope).f64_histogram("wait").build();
        wait.record(value, &[KeyValue::new("paid.by", paid_by)]);
        let plain = text(&telemetry, PrometheusFormat::Text);
        let found = bounds(&plain, "wait_bucket");
        let all = found.values().next().unwrap();
        assert!(found.values().all(|bounds| bounds == all), "{plain}");
        assert!(all.is_sorted(), "{all:?}");
        assert!(before.iter().all(|bound| all.contains(bound)), "{all:?}");
        let positive: Vec<_> = all.iter().copied().filter(|bound| *bound > 0.0).collect();
        let expected = (least..=greatest).map(|exponent| 2_f64.powi(exponent));
        let expected: Vec<_> = expected.chain([f64::INFINITY]).collect();
        assert_eq!(positive, expected);
        assert_eq!(all.contains(&-0.5), has_negative, "{all:?}");
        before = all.clone();
    }
    // Both that are next to nothing, and with them what is below zero; all but the one that is beyond all bounds.
    let plain = text(&telemetry, PrometheusFormat::Text);
    let cash =
        about(&plain, &["wait_bucket"]).replace(r#"paid_by="cash",otel_scope_name="shop","#, "C");
    let first = format!("{{Cle=\"{:?}\"}} 2", 2_f64.powi(-40));
    let last = format!("{{Cle=\"{:?}\"}} 3", 2_f64.powi(64));
    for line in ["{Cle=\"0.0\"} 1", &first, &last, "{Cle=\"+Inf\"} 4"] {
        assert!(cash.contains(line), "{line}\n{cash}");
    }
    drop(telemetry);
}

#[test]
fn sets_that_become_the_same_are_added_up_and_names_are_there_once() {
    let (told, notices) = mpsc::channel();
    let variables = [("RINGLIGHT_REDACT_KEYS", "user")];
    let (dispatch, telemetry) = builder(&variables)
        .pipeline(move |config| {
            config.notices = Notices::new(move |notice| drop(told.send(notice.clone())));
        })
        .prometheus_text()
        .build()
        .unwrap();
    let provider = telemetry.meter_provider().unwrap();
    with_default(&dispatch, || {
        let meter = provider.meter("one");
        let orders = meter.u64_counter("orders").build();
        for user in ["a", "b", "c"] {
            orders.add(2, &[KeyValue::new("user", user)]);
            let wait = meter
                .u64_histogram("wait")
                .with_boundaries(vec![10.0])
                .build();
            wait.record(5, &[KeyValue::new("user", user)]);
        }
        // The same name in another scope is the same family, of another kind it is none.
        provider
            .meter("two")
            .u64_counter("orders")
            .build()
            .add(7, &[]);
        provider
            .meter("three")
            .i64_gauge("orders")
            .build()
            .record(9, &[]);
        provider
            .meter("three")
            .i64_gauge("wait.count")
            .build()
            .record(9, &[]);
    });
    let plain = text(&telemetry, PrometheusFormat::Text);
    assert_eq!(plain.matches("# TYPE orders").count(), 1, "{plain}");
    let orders = about(&plain, &["orders_total"]);
    let values: Vec<_> = orders
        .lines()
        .skip(1)
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(values, ["7", "6"], "{orders}");
    assert!(!orders.contains("\"a\""), "{orders}");
    let wait = about(&plain, &["wait_bucket", "wait_count", "wait_sum"]);
    let values: Vec<_> = wait
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(values, ["3", "3", "15.0", "3"], "{wait}");
    // Each is told of once, however often it is asked for.
    let _ = text(&telemetry, PrometheusFormat::OpenMetrics);
    let mut refused: Vec<_> = notices
        .try_iter()
        .filter_map(|notice| match notice {
            Notice::Metric { metric, message } => {
                assert!(message.contains("not shown to Prometheus"), "{message}");
                Some(metric)
            }
            _ => None,
        })
        .collect();
    refused.sort();
    assert_eq!(refused, ["orders", "wait.count"]);
}

#[test]
fn what_has_too_many_sets_is_counted_and_told_of_once() {
    let (told, notices) = mpsc::channel();
    let few = |instrument: &Instrument| {
        let stream = Stream::builder().with_cardinality_limit(2);
        (instrument.name() == "visits")
            .then(|| stream.build().ok())
            .flatten()
    };
    let (dispatch, telemetry) = builder(&[])
        .pipeline(move |config| {
            config.notices = Notices::new(move |notice| drop(told.send(notice.clone())));
        })
        .metric_view(few)
        .prometheus_text()
        .build()
        .unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    with_default(&dispatch, || {
        let visits = meter.u64_counter("visits").build();
        for user in 0..5 {
            visits.add(1, &[KeyValue::new("user", user)]);
        }
    });
    let overflow = "otel_metric_overflow=\"true\",otel_scope_name=\"shop\"} 3\n";
    for times in 0..3 {
        let plain = text(&telemetry, PrometheusFormat::Text);
        assert!(plain.contains(overflow), "{plain}");
        // As it was before this reading.
        let counted = about(&plain, &["ringlight_metrics_overflow_total"]);
        let labels = "{metric=\"visits\",scope=\"shop\",otel_scope_name=\"ringlight.metrics\"}";
        let line = format!("ringlight_metrics_overflow_total{labels} {times}");
        assert_eq!(counted.contains(&line), times > 0, "{counted}");
    }
    let told: Vec<_> = notices
        .try_iter()
        .map(|notice| notice.to_string())
        .collect();
    let of_visits = told
        .iter()
        .filter(|text| text.contains("`visits` has more sets"));
    assert_eq!(of_visits.count(), 1, "{told:?}");
}

#[test]
fn the_endpoint_answers_in_the_format_that_is_asked_for() {
    let port = free_port().to_string();
    let variables = [
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", &port),
    ];
    let (dispatch, telemetry) = builder(&variables).build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    with_default(&dispatch, || {
        meter.u64_counter("orders").build().add(1, &[])
    });
    let address = format!("127.0.0.1:{port}");
    let (status, head, body) = get(&address, &request("GET", "/metrics", "*/*"));
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(body.contains("orders_total{"), "{body}");
    let (_, head, body) = get(&address, &request("GET", "/metrics", ACCEPT_OPEN_METRICS));
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"), "{body}");
    let (status, _, body) = get(&address, &request("HEAD", "/metrics", "*/*"));
    assert_eq!((status, &*body), (200, ""));
    assert_eq!(get(&address, &request("GET", "/", "*/*")).0, 404);
    assert_eq!(get(&address, &request("POST", "/metrics", "*/*")).0, 405);
    // More than a request may have.
    let huge = format!(
        "GET /metrics HTTP/1.1\r\nA: {}\r\n\r\n",
        "a".repeat(64 << 10)
    );
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // It may be refused while it is still on its way.
    let _ = stream.write_all(huge.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(
        !answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    // Nothing is sent, and nothing is in the ledger.
    let ledger = telemetry.shutdown(LONG);
    assert_eq!(ledger.account(Signal::Metrics).submitted, 0);
    assert!(
        telemetry
            .prometheus_text(PrometheusFormat::Text, LONG)
            .is_none()
    );
}

#[test]
fn an_address_that_is_taken_is_told_of_and_had_as_soon_as_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (told, notices) = mpsc::channel();
    let (_, telemetry) = builder(&[])
        .pipeline(move |config| {
            config.notices = Notices::new(move |notice| drop(told.send(notice.clone())));
        })
        .prometheus(&*address)
        .build()
        .unwrap();
    let text = notices.recv_timeout(LONG).unwrap().to_string();
    assert!(
        text.contains(&address) && text.contains("cannot listen"),
        "{text}"
    );
    let hint = "; hint: another program, or another run of this one, has the port: name another port with \
                `Builder::prometheus`";
    assert!(text.ends_with(hint), "{text}");
    drop(taken);
    let text = notices.recv_timeout(LONG).unwrap().to_string();
    assert!(text.contains("listening now"), "{text}");
    assert_eq!(get(&address, &request("GET", "/metrics", "*/*")).0, 200);
    telemetry.shutdown(LONG);
}

#[test]
fn what_is_sent_as_deltas_is_scraped_as_sums() {
    let backend = Backend::start();
    let variables = [("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")];
    let (dispatch, telemetry) = builder(&variables)
        .otlp_endpoint(backend.url())
        .prometheus_text()
        .build()
        .unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    let orders = meter.u64_counter("orders").build();
    for sum in [2, 4] {
        with_default(&dispatch, || orders.add(2, &[]));
        telemetry.flush(LONG).unwrap();
        let plain = text(&telemetry, PrometheusFormat::Text);
        assert!(
            plain.contains(&format!("orders_total{{otel_scope_name=\"shop\"}} {sum}\n")),
            "{plain}"
        );
    }
    telemetry.shutdown(LONG);
    drop(backend);
}

/// The lines of the buckets of span durations: how many took 2^n ns at most.
fn buckets(set: &str, at_most: impl Fn(i32) -> u64) -> String {
    let bucket = "traces_span_metrics_duration_nanoseconds_bucket";
    let line = |bound: &str, count| format!("{bucket}{{C_{set}\",S,le=\"{bound}\"}} {count}");
    let bounds = (10..=37).map(|n| line(&format!("{:?}", 2_f64.powi(n)), at_most(n)));
    let all = bounds.chain([line("+Inf", at_most(i32::MAX))]);
    all.collect::<Vec<_>>().join("\n")
}

/// Whatever they are sent as, and whether they are.
#[test]
fn metrics_of_spans_are_scraped_since_the_start_with_the_longest_as_exemplar() {
    const PREFERENCE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for sent in [Some("cumulative"), Some("delta"), None] {
        let backend = Backend::start();
        let times = ManualTime::default();
        let variables = [(PREFERENCE, sent.unwrap_or("delta"))];
        let mut builder = builder(&variables)
            .clock(Clock::manual(times.clone()))
            .span_metrics(true)
            .prometheus_text();
        if sent.is_some() {
            builder = builder.otlp_endpoint(backend.url());
        }
        let (dispatch, telemetry) = builder.build().unwrap();
        let mut ids = String::new();
        let mut call = |nano, status: &str| {
            with_default(&dispatch, || {
                let kind = "server";
                let span = info_span!("pay", otel.kind = kind, otel.status_code = status);
                span.in_scope(|| {
                    times.pass(nano);
                    let context = ringlight::TraceContext::current().unwrap();
                    let (trace_id, span_id) = (context.trace_id(), context.span_id());
                    ids = format!(r#"{{trace_id="{trace_id}",span_id="{span_id}"}}"#);
                });
            });
            ids.clone()
        };
        call(1, "unset");
        let longest = call(1_000_000, "unset");
        call(3, "unset");
        let failed = call(0, "error");
        // The collector has seen them then.
        telemetry.flush(LONG).unwrap();
        let scope = format!(
            r#"otel_scope_name="ringlight.spans",otel_scope_version="{}""#,
            env!("CARGO_PKG_VERSION")
        );
        let names = [
            "traces_span_metrics_calls_total",
            "traces_span_metrics_duration_nanoseconds",
            "traces_span_metrics_duration_nanoseconds_bucket",
            "traces_span_metrics_duration_nanoseconds_sum",
            "traces_span_metrics_duration_nanoseconds_count",
        ];
        let shown = |format| {
            let text = text(&telemetry, format);
            let of = r#"span_kind="SPAN_KIND_SERVER",span_name="pay",status_code="STATUS_CODE_"#;
            about(&text, &names).replace(&scope, "S").replace(of, "C_")
        };
        let plain = shown(PrometheusFormat::Text);
        assert_eq!(
            plain,
            r#"# TYPE traces_span_metrics_calls_total counter
# HELP traces_span_metrics_calls_total Spans that have ended.
traces_span_metrics_calls_total{C_ERROR",S} 1
traces_span_metrics_calls_total{C_UNSET",S} 3
# TYPE traces_span_metrics_duration_nanoseconds histogram
# HELP traces_span_metrics_duration_nanoseconds How long spans took.
{buckets of ERROR}
traces_span_metrics_duration_nanoseconds_sum{C_ERROR",S} 0.0
traces_span_metrics_duration_nanoseconds_count{C_ERROR",S} 1
{buckets of UNSET}
traces_span_metrics_duration_nanoseconds_sum{C_UNSET",S} 1000004.0
traces_span_metrics_duration_nanoseconds_count{C_UNSET",S} 3"#
                .replace("{buckets of ERROR}", &buckets("ERROR", |_| 1))
                .replace(
                    "{buckets of UNSET}",
                    &buckets("UNSET", |exponent| if exponent < 20 { 2 } else { 3 }),
                ),
            "{sent:?}"
        );
        let open = shown(PrometheusFormat::OpenMetrics);
        for (set, bound, count, exemplar, value) in [
            ("UNSET", "1048576.0", 3, &longest, "1000000"),
            ("ERROR", "1024.0", 1, &failed, "0"),
        ] {
            let line =
                format!(r#"_bucket{{C_{set}",S,le="{bound}"}} {count} # {exemplar} {value} "#);
            assert!(open.contains(&line), "{line}\n{open}");
        }
        call(0, "error");
        telemetry.flush(LONG).unwrap();
        let plain = shown(PrometheusFormat::Text);
        assert!(plain.contains("calls_total{C_ERROR\",S} 2\n"), "{plain}");
        assert!(plain.contains("calls_total{C_UNSET\",S} 3\n"), "{plain}");
        telemetry.shutdown(LONG);
        drop(backend);
    }
}

#[test]
fn sets_of_spans_without_end_are_one_and_told_of_though_nothing_is_sent() {
    let (told, notices) = mpsc::channel();
    let (dispatch, telemetry) = builder(&[("RINGLIGHT_REDACT_KEYS", "span.kind")])
        .pipeline(move |config| {
            config.notices = Notices::new(move |notice| drop(told.send(notice.clone())));
        })
        .span_metrics(true)
        .prometheus_text()
        .build()
        .unwrap();
    with_default(&dispatch, || {
        for number in 0..2100 {
            drop(info_span!("request", otel.name = format!("GET /{number}")));
        }
    });
    telemetry.flush(LONG).unwrap();
    for _ in 0..2 {
        let plain = text(&telemetry, PrometheusFormat::Text);
        let calls = about(&plain, &["traces_span_metrics_calls_total"]);
        let overflow = "{otel_metric_overflow=\"true\",";
        let of_others = calls.lines().find(|line| line.contains(overflow)).unwrap();
        assert!(of_others.ends_with(" 100"), "{of_others}");
        assert_eq!(calls.lines().count(), 2 + 2001);
        assert!(!calls.contains("SPAN_KIND"), "rules hold for them too");
    }
    let about_calls = |notice: &Notice| matches!(notice, Notice::Metric { metric, .. } if metric == "traces.span.metrics.calls");
    assert_eq!(notices.try_iter().filter(about_calls).count(), 1);
    let counted = text(&telemetry, PrometheusFormat::Text);
    let counted = about(&counted, &["ringlight_metrics_overflow_total"]);
    let of_calls = |line: &&str| line.contains(r#"metric="traces.span.metrics.calls""#);
    let of_calls = counted.lines().find(of_calls).unwrap();
    // At both looks before this one: what is read at a flush goes nowhere.
    assert!(of_calls.ends_with(" 2"), "{of_calls}");
    telemetry.shutdown(LONG);
}
