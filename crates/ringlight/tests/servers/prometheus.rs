//! Prometheus itself, which scrapes the endpoint, and its tool, which reads the text.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use ringlight::metrics::PrometheusFormat;
use ringlight::{Clock, LogFormat, ManualTime, Telemetry};
use ringlight_testing::Backend;
use serde_json::Value;
use tracing::Dispatch;
use tracing::dispatcher::with_default;

use crate::server::{Server, document, free_port};

const VARIABLE: &str = "RINGLIGHT_TEST_PROMETHEUS";
const EXPONENTIAL: (&str, &str) = (
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "base2_exponential_bucket_histogram",
);

/// Telemetry with one metric of each kind, one measured in a span. Its backend takes the spans.
fn measured(port: u16) -> (Backend, Dispatch, Telemetry) {
    let backend = Backend::start();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([EXPONENTIAL])
        .service_name("tested")
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .span_metrics(true)
        .prometheus(format!("127.0.0.1:{port}"))
        .build()
        .unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    with_default(&dispatch, || {
        let _span = tracing::info_span!("pay").entered();
        let orders = meter
            .u64_counter("shop.orders")
            .with_description("A \"text\"\nin two lines.");
        orders
            .build()
            .add(3, &[KeyValue::new("paid.by", "a \"card\"\n")]);
        meter.i64_up_down_counter("shop.open").build().add(-2, &[]);
        meter
            .f64_gauge("shop.full")
            .with_unit("1")
            .build()
            .record(0.25, &[]);
        let wait = meter.f64_histogram("shop.wait").with_unit("s").build();
        [0.05, 0.5, 30.0]
            .iter()
            .for_each(|seconds| wait.record(*seconds, &[]));
        let sizes = meter.u64_histogram("shop.sizes").with_unit("By").build();
        [3, 1_000, 0]
            .iter()
            .for_each(|bytes| sizes.record(*bytes, &[]));
    });
    // So that the span is among its metrics.
    telemetry.flush(Duration::from_secs(20)).unwrap();
    (backend, dispatch, telemetry)
}

/// A server at a port that scrapes another one every second.
fn scraping(scraped: u16, port: u16) -> Server {
    Server::start(VARIABLE, |command, folder| {
        let config = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: tested\n  static_configs:\n  - targets: \
             ['127.0.0.1:{scraped}']\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        command
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg("--enable-feature=exemplar-storage")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    })
}

/// The first series that is the answer to a query.
fn first_of(port: u16, query: &str) -> Option<Value> {
    let encoded = encoded(query);
    let answer = document(port, &format!("/api/v1/query?query={encoded}"))?;
    answer["data"]["result"].get(0).cloned()
}

#[test]
fn what_is_scraped_is_there_with_its_type_its_exemplar_and_its_target() {
    let (scraped, port) = (free_port(), free_port());
    let (_backend, _dispatch, _telemetry) = measured(scraped);
    let mut server = scraping(scraped, port);
    let ask = |query: &str| first_of(port, query);
    server.until("it is scraped", |_| ask("shop_orders_total"));
    for (query, value) in [
        (
            r#"shop_orders_total{paid_by="a \"card\"\n",otel_scope_name="shop",job="tested"}"#,
            "3",
        ),
        ("shop_open", "-2"),
        ("shop_full_ratio", "0.25"),
        (r#"shop_wait_seconds_bucket{le="0.5"}"#, "2"),
        (r#"shop_wait_seconds_bucket{le="+Inf"}"#, "3"),
        ("shop_wait_seconds_sum", "30.55"),
        ("shop_sizes_bytes_count", "3"),
        (r#"shop_sizes_bytes_bucket{le="4.0"}"#, "2"),
        ("histogram_quantile(1, shop_sizes_bytes_bucket)", "1024"),
        (
            r#"target_info{service_name="tested",telemetry_sdk_language="rust"}"#,
            "1",
        ),
        (
            r#"traces_span_metrics_calls_total{span_name="pay",span_kind="SPAN_KIND_INTERNAL",otel_scope_name="ringlight.spans"}"#,
            "1",
        ),
        ("traces_span_metrics_duration_nanoseconds_count", "1"),
        (
            "histogram_quantile(1, traces_span_metrics_duration_nanoseconds_bucket) >= bool \
             traces_span_metrics_duration_nanoseconds_sum",
            "1",
        ),
        (
            "scrape_samples_post_metric_relabeling - scrape_samples_scraped",
            "0",
        ),
        ("up", "1"),
    ] {
        let found = ask(query).unwrap_or_else(|| panic!("nothing for {query}"));
        assert_eq!(found["value"][1], value, "{query}");
    }
    let told = document(port, "/api/v1/metadata").unwrap();
    for (family, kind, unit) in [
        ("shop_orders", "counter", ""),
        ("shop_open", "gauge", ""),
        ("shop_wait_seconds", "histogram", "seconds"),
        ("shop_sizes_bytes", "histogram", "bytes"),
        ("traces_span_metrics_calls", "counter", ""),
        (
            "traces_span_metrics_duration_nanoseconds",
            "histogram",
            "nanoseconds",
        ),
        ("target", "info", ""),
    ] {
        let of = &told["data"][family][0];
        assert_eq!(
            (&of["type"], &of["unit"]),
            (&kind.into(), &unit.into()),
            "{family}: {told}"
        );
    }
    for of in [
        "shop_wait_seconds_bucket",
        "traces_span_metrics_duration_nanoseconds_bucket",
    ] {
        let path = format!(
            "/api/v1/query_exemplars?query={}&start=0&end=9999999999",
            encoded(of)
        );
        let exemplars = document(port, &path).unwrap();
        let labels = &exemplars["data"][0]["exemplars"][0]["labels"];
        let length = |name: &str| labels[name].as_str().map(str::len);
        let lengths = (length("trace_id"), length("span_id"));
        assert_eq!(lengths, (Some(32), Some(16)), "{of}: {exemplars}");
    }
    // It would say what it could not take.
    let output = server.end();
    assert!(
        !output.contains("level=warn component=\"scrape manager\""),
        "{output}"
    );
}

/// Three operations, each a series of its own, that take a microsecond, a millisecond and a second.
#[test]
fn quantiles_are_true_over_series_that_have_nothing_in_common() {
    const EXPONENTS: [(&str, i32); 3] = [("short", 10), ("middle", 20), ("long", 30)];
    let (scraped, port) = (free_port(), free_port());
    let times = ManualTime::default();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([EXPONENTIAL])
        .service_name("tested")
        .log_format(LogFormat::Off)
        .clock(Clock::manual(times.clone()))
        .span_metrics(true)
        .prometheus(format!("127.0.0.1:{scraped}"))
        .build()
        .unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("shop");
    let took = meter.u64_histogram("shop.took").with_unit("ns").build();
    with_default(&dispatch, || {
        for (name, exponent) in EXPONENTS {
            let nano = 1 << exponent;
            tracing::info_span!("work", otel.name = name).in_scope(|| times.pass(nano));
            took.record(nano, &[KeyValue::new("span.name", name)]);
        }
    });
    telemetry.flush(Duration::from_secs(20)).unwrap();
    let mut server = scraping(scraped, port);
    for family in [
        "traces_span_metrics_duration_nanoseconds",
        "shop_took_nanoseconds",
    ] {
        server.until("it is scraped", |_| {
            first_of(port, &format!("{family}_count"))
        });
        let check = |query: &str, exponent| {
            let found = first_of(port, query).unwrap_or_else(|| panic!("nothing for {query}"));
            let found: f64 = found["value"][1].as_str().unwrap().parse().unwrap();
            let factor = found / 2_f64.powi(exponent);
            assert!((0.5..=2.0).contains(&factor), "{query}: {found}");
        };
        for (quantile, (name, exponent)) in [0.1, 0.5, 1.0].into_iter().zip(EXPONENTS) {
            let of_all = format!("histogram_quantile({quantile}, sum by (le) ({family}_bucket))");
            let of_one =
                format!(r#"histogram_quantile(0.5, {family}_bucket{{span_name="{name}"}})"#);
            check(&of_one, exponent);
            // Of the lowest bucket Prometheus knows no lower bound but zero.
            if name != "short" {
                check(&of_all, exponent);
            }
        }
    }
}

#[test]
fn its_tool_reads_the_text() {
    let (_backend, _dispatch, telemetry) = measured(free_port());
    let timeout = Duration::from_secs(20);
    let text = telemetry
        .prometheus_text(PrometheusFormat::Text, timeout)
        .unwrap();
    let program = std::env::var(VARIABLE).unwrap();
    let mut tool = Command::new(program.replace("prometheus", "promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 3 is for advice on names, which are the conventions'.
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{said}\n{text}"
    );
    assert!(!said.contains("error while linting"), "{said}");
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
