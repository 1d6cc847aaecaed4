//! How metrics are made, by variables and the file.

use std::fmt;
use std::time::Duration;

use opentelemetry_sdk::metrics::Temporality;

#[cfg(feature = "prometheus")]
use super::declared::Declared;
use super::environment::Reader;
#[cfg(feature = "profiling")]
use super::otlp::Routes;
use super::otlp::metrics_exporters;
#[cfg(feature = "profiling")]
use super::process;
#[cfg(feature = "prometheus")]
use super::setting::is_host_and_port;
use super::units;
#[cfg(feature = "prometheus")]
use crate::metrics::Scraped;
use crate::metrics::{ExemplarFilter, MetricsConfig, View};

/// What the code says of metrics.
#[derive(Default)]
pub(crate) struct MetricsInputs {
    pub(crate) interval: Option<Duration>,
    pub(crate) span_metrics: Option<bool>,
    pub(crate) views: Vec<View>,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Option<Scraped>,
    /// The address that the command line names.
    #[cfg(feature = "prometheus")]
    pub(crate) argument_prometheus: Option<String>,
}

impl MetricsInputs {
    /// Served at this address, if the command line names one.
    #[cfg(all(feature = "clap", feature = "prometheus"))]
    pub(crate) fn take_argument(&mut self, address: Option<&str>) {
        self.argument_prometheus = address.map(str::to_owned);
    }
}

impl fmt::Debug for MetricsInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsInputs")
            .field("interval", &self.interval)
            .field("span_metrics", &self.span_metrics)
            .finish_non_exhaustive()
    }
}

pub(super) fn metrics(
    reader: &mut Reader<'_>,
    inputs: MetricsInputs,
    is_disabled: bool,
) -> MetricsConfig {
    #[cfg(feature = "prometheus")]
    let prometheus =
        prometheus(reader, inputs.argument_prometheus, inputs.prometheus).filter(|_| !is_disabled);
    #[cfg(not(feature = "prometheus"))]
    if !is_disabled {
        warn_of_prometheus(reader);
    }
    let default = MetricsConfig::default();
    MetricsConfig {
        interval: (inputs.interval)
            .or_else(|| interval(reader))
            .unwrap_or(default.interval),
        #[cfg(feature = "profiling")]
        process_interval: process::interval(reader).unwrap_or(default.process_interval),
        temporality: temporality(reader).unwrap_or(default.temporality),
        exponential_histograms: has_exponential_histograms(reader),
        exemplars: exemplars(reader).unwrap_or(default.exemplars),
        span_metrics: (inputs.span_metrics)
            .or_else(|| reader.said_truth("RINGLIGHT_SPAN_METRICS"))
            .unwrap_or(default.span_metrics),
        views: inputs.views,
        #[cfg(feature = "prometheus")]
        prometheus,
    }
}

/// The command line, code, variables, the file.
#[cfg(feature = "prometheus")]
fn prometheus(
    reader: &mut Reader<'_>,
    argument: Option<String>,
    in_code: Option<Scraped>,
) -> Option<Scraped> {
    let in_file = reader.in_file("prometheus_address");
    let (address, setting) = match (argument, in_code) {
        (Some(address), _) => (address, "`--prometheus`".to_owned()),
        (None, Some(Scraped::ByApplication)) => return Some(Scraped::ByApplication),
        (None, Some(Scraped::At { address, setting })) => (address, setting),
        (None, None)
            if metrics_exporters(reader)
                .iter()
                .any(|name| name == "prometheus") =>
        {
            let host = reader.text("OTEL_EXPORTER_PROMETHEUS_HOST");
            let host = host.unwrap_or_else(|| "localhost".to_owned());
            let port = reader.number("OTEL_EXPORTER_PROMETHEUS_PORT", "1 to 65535", |port| {
                u16::try_from(port).ok().filter(|port| *port > 0)
            });
            // An address of version 6 has colons of its own.
            let host = match host.contains(':') && !host.starts_with('[') {
                true => format!("[{host}]"),
                false => host,
            };
            let address = format!("{host}:{}", port.unwrap_or(9464));
            (address, who_says_where(reader))
        }
        (None, None) => {
            let (address, origin) = in_file?;
            (address, origin.to_string())
        }
    };
    if is_host_and_port(&address) {
        return Some(Scraped::At { address, setting });
    }
    reader.say(format!(
        "{setting} is `{address}`, and nothing is served for Prometheus; hint: an address is `host:port`, such as `localhost:9464`"
    ));
    None
}

/// What names the address by variables: they, or what the specification's file says in their place.
#[cfg(feature = "prometheus")]
fn who_says_where(reader: &Reader<'_>) -> String {
    let names = [
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "OTEL_METRICS_EXPORTER",
    ];
    let place = |file: &Declared| names.into_iter().find_map(|name| file.place(name));
    let place = reader.declared().and_then(place);
    place.unwrap_or_else(|| "`OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT`".to_owned())
}

#[cfg(not(feature = "prometheus"))]
fn warn_of_prometheus(reader: &mut Reader<'_>) {
    if let Some((_, origin)) = reader.in_file("prometheus_address") {
        reader.say_without(&origin.to_string(), "prometheus");
    }
    if metrics_exporters(reader)
        .iter()
        .any(|name| name == "prometheus")
    {
        let origin = reader.origin("OTEL_METRICS_EXPORTER");
        reader.say_without(&format!("`prometheus` of {origin}"), "prometheus");
    }
}

const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

fn interval(reader: &mut Reader<'_>) -> Option<Duration> {
    let by_variable = reader.millis(INTERVAL);
    let in_file = reader.in_file("metric_export_interval");
    by_variable.or_else(|| units::duration(&in_file?.0))
}

/// Warns where the file wants to know more often what the process uses than metrics are sent: for these it is read with all
/// others, which have one point each time. `in_code`: how often they are sent, if the code says so.
#[cfg(feature = "profiling")]
pub(super) fn warn_of_intervals(
    reader: &mut Reader<'_>,
    config: &MetricsConfig,
    in_code: Option<Duration>,
    routes: Option<&Routes>,
) {
    if routes.is_none_or(|to| to.metrics.is_none()) {
        return;
    }
    let interval = config.interval;
    // Prometheus has it read as often as it asks.
    #[cfg(feature = "prometheus")]
    if config.prometheus.is_some() {
        return;
    }
    let Some((seconds, origin)) = reader
        .in_file(process::KEY)
        .filter(|_| config.process_interval < interval)
    else {
        return;
    };
    let by_variable = reader.variable(INTERVAL).is_some() && !reader.ignored.contains(INTERVAL);
    let said = match reader.in_file("metric_export_interval") {
        _ if in_code.is_some() => "by `Builder::metric_export_interval`".to_owned(),
        _ if by_variable => format!("by {}", reader.variable_origin(INTERVAL)),
        Some((_, origin)) => format!("by {origin}"),
        None => "by default".to_owned(),
    };
    let interval = units::written(interval);
    reader.say(format!(
        "{origin} is `{seconds}`, and for metrics what the process uses is read when they are sent, every {interval} {said}; hint: \
         `metric_export_interval` of as many seconds sends all of them as often"
    ));
}

fn temporality(reader: &mut Reader<'_>) -> Option<Temporality> {
    let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    reader.choice(name, "`cumulative`, `delta` or `lowmemory`", |text| {
        text.parse().ok()
    })
}

fn has_exponential_histograms(reader: &mut Reader<'_>) -> bool {
    let name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    let allowed = "`explicit_bucket_histogram` or `base2_exponential_bucket_histogram`";
    let found = reader.choice(name, allowed, |text| {
        match text.to_ascii_lowercase().as_str() {
            "explicit_bucket_histogram" => Some(false),
            "base2_exponential_bucket_histogram" => Some(true),
            _ => None,
        }
    });
    found.unwrap_or(false)
}

fn exemplars(reader: &mut Reader<'_>) -> Option<ExemplarFilter> {
    let name = "OTEL_METRICS_EXEMPLAR_FILTER";
    reader.choice(
        name,
        "`trace_based`, `always_on` or `always_off`",
        ExemplarFilter::from_name,
    )
}
