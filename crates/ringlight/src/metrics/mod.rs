//! Metrics by the OpenTelemetry API, through the same queues, retries, spool and ledger as spans and logs.
//!
//! [`init`](crate::init) makes this crate the process's meter provider where metrics go anywhere; whoever asks
//! [`opentelemetry::global::meter`] for a meter needs nothing else. OpenTelemetry's own SDK aggregates; it is read every
//! five seconds ([`Builder::metric_export_interval`](crate::Builder::metric_export_interval)) and at the end.
//!
//! ```
//! use opentelemetry::KeyValue;
//!
//! # fn main() -> Result<(), ringlight::InitError> {
//! let _telemetry = ringlight::init()?;
//! let meter = opentelemetry::global::meter("shop");
//! let orders = meter.u64_counter("shop.orders").with_unit("{order}").build();
//! orders.add(1, &[KeyValue::new("shop.payment", "card")]);
//! # Ok(())
//! # }
//! ```
//!
//! # Exemplars
//!
//! A measurement that is made in a span that is recorded may become an exemplar: it leads from a point in a chart to
//! the trace it came from. Of each instrument as many as 16 are kept for each export, of different orders of magnitude,
//! so that there is one for what is unusual. `OTEL_METRICS_EXEMPLAR_FILTER` is `trace_based` (the default), `always_on`
//! (also outside of spans) or `always_off`. A metric that a view renames has none.
//!
//! # Metrics of spans
//!
//! With [`Builder::span_metrics`](crate::Builder::span_metrics) spans are counted and their durations added up by name, kind
//! and status, from the times that are sent with them.
//!
//! # Limits
//!
//! A metric has 2000 sets of attributes at most, unless a [view](crate::Builder::metric_view) says otherwise; what comes
//! beyond is in a set of its own, `otel.metric.overflow = true`, a notice says so once a metric, and `ringlight.metrics.overflow` counts it. Between two
//! exports measurements take no memory but that.
//!
//! # What the process uses
//!
//! With the feature `profiling`, on Linux, the metrics of the process are among them, by the semantic conventions:
//! `process.cpu.time` and `.utilization`, `process.memory.usage` and `.virtual`, `process.thread.count`,
//! `process.unix.file_descriptor.count`, `process.paging.faults`, `process.context_switches`, `process.disk.io`,
//! `process.uptime`. They are read from the kernel, at each export but no more often than every five seconds
//! (`system_metrics_interval_secs` in a [file](crate::settings), one second at least; where that is less than the time
//! between two exports, a warning says so).
//!
//! # Channels
//!
//! With the feature `profiling`, the metrics of [channels](crate::channel#metrics) are among them.
//!
//! # Callbacks
//!
//! Callbacks of observable instruments run on a thread of their own, `ringlight-metrics`, on which nothing is recorded. One
//! that panics is left out from then on, and a notice says so; one that never returns holds up all metrics, but neither
//! the application nor its end.

#[cfg(feature = "profiling")]
mod channels;
mod encode;
mod exemplars;
mod instruments;
mod overflows;
#[cfg(all(feature = "profiling", target_os = "linux"))]
mod process;
#[cfg(feature = "prometheus")]
mod prometheus;
mod reader;
mod spans;

use std::sync::Arc;
#[cfg(feature = "prometheus")]
use std::sync::Mutex;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
pub use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

pub(crate) use exemplars::ExemplarFilter;
use exemplars::Reservoirs;
use instruments::Instruments;
use overflows::Overflows;
#[cfg(feature = "prometheus")]
pub use prometheus::PrometheusFormat;
use ringlight_collector::{Notices, Pipeline};

pub(crate) use reader::Reader;
pub(crate) use spans::SpanMetrics;
use spans::Wanted;

/// Makes meters of the OpenTelemetry API whose metrics go into a pipeline.
///
/// [`init`](crate::init) makes one the process's. Beside that it is for those who keep to one, as tests do: see
/// [`Telemetry::meter_provider`](crate::Telemetry::meter_provider).
#[derive(Debug, Clone)]
pub struct MeterProvider {
    sdk: SdkMeterProvider,
    reservoirs: Arc<Reservoirs>,
    overflows: Arc<Overflows>,
    /// Where channels record waits as long as somebody has it.
    #[cfg(feature = "profiling")]
    channel_waits: Option<Arc<opentelemetry::metrics::Histogram<f64>>>,
}

impl opentelemetry::metrics::MeterProvider for MeterProvider {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        let inner = self.sdk.meter_with_scope(scope.clone());
        Meter::new(Arc::new(Instruments::new(
            inner,
            scope,
            Arc::clone(&self.reservoirs),
            Arc::clone(&self.overflows),
        )))
    }
}

/// Chooses what becomes of instruments.
pub(crate) type View = Box<dyn Fn(&Instrument) -> Option<Stream> + Send + Sync>;

/// How metrics are made.
pub(crate) struct MetricsConfig {
    pub(crate) interval: Duration,
    /// How old a reading of the process may be.
    #[cfg(feature = "profiling")]
    pub(crate) process_interval: Duration,
    pub(crate) temporality: Temporality,
    /// Whether histograms without buckets of their own have exponential ones.
    pub(crate) exponential_histograms: bool,
    pub(crate) exemplars: ExemplarFilter,
    /// Whether there are metrics of spans.
    pub(crate) span_metrics: bool,
    pub(crate) views: Vec<View>,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Option<Scraped>,
}

/// How Prometheus gets metrics.
#[cfg(feature = "prometheus")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scraped {
    /// By a server of ours.
    At {
        /// `host:port`.
        address: String,
        /// What names it, for a person who has to name another.
        setting: String,
    },
    /// By a server of the application's own.
    ByApplication,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            #[cfg(feature = "profiling")]
            process_interval: Duration::from_secs(5),
            temporality: Temporality::Cumulative,
            exponential_histograms: false,
            exemplars: ExemplarFilter::default(),
            span_metrics: false,
            views: Vec::new(),
            #[cfg(feature = "prometheus")]
            prometheus: None,
        }
    }
}

impl std::fmt::Debug for MetricsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsConfig")
            .field("interval", &self.interval)
            .field("temporality", &self.temporality)
            .finish_non_exhaustive()
    }
}

/// The most buckets of an exponential histogram, as the specification has it by default.
const EXPONENTIAL_BUCKETS_MAX: u32 = 160;
const EXPONENTIAL_SCALE_MAX: i8 = 20;

impl MetricsConfig {
    /// What adds up spans, if that is asked for and they go anywhere.
    pub(crate) fn of_spans(&self, is_sent: bool) -> Option<SpanMetrics> {
        let wanted = Wanted {
            sent: is_sent.then_some(self.temporality),
            is_scraped: self.is_scraped(),
        };
        let has_exemplars = self.exemplars != ExemplarFilter::AlwaysOff;
        (self.span_metrics && (is_sent || wanted.is_scraped))
            .then(|| SpanMetrics::new(wanted, has_exemplars))
    }

    /// Whether Prometheus gets metrics.
    const fn is_scraped(&self) -> bool {
        #[cfg(feature = "prometheus")]
        let is_scraped = self.prometheus.is_some();
        #[cfg(not(feature = "prometheus"))]
        let is_scraped = false;
        is_scraped
    }
}

/// Metrics that go somewhere.
pub(crate) struct Metrics {
    pub(crate) provider: MeterProvider,
    pub(crate) reader: Arc<Reader>,
    /// Until the end.
    #[cfg(feature = "prometheus")]
    server: Mutex<Option<prometheus::Server>>,
}

impl Metrics {
    /// The metrics of a pipeline; `None` if they go nowhere.
    pub(crate) fn start(
        #[cfg_attr(
            not(feature = "prometheus"),
            expect(unused_mut, reason = "nothing is taken out")
        )]
        mut config: MetricsConfig,
        spans: Option<SpanMetrics>,
        pipeline: &Pipeline,
        notices: &Notices,
    ) -> std::io::Result<Option<Self>> {
        let rules = pipeline.attribute_rules();
        let sender = pipeline.request_sender();
        let is_scraped = config.is_scraped();
        if sender.is_none() && !is_scraped {
            return Ok(None);
        }
        let interval = config.interval;
        #[cfg(feature = "prometheus")]
        let scraped = config.prometheus.take();
        let is_sent = sender.is_some();
        let (provider, readings) = provider(config, notices, is_sent, is_scraped);
        let work = reader::Work {
            reservoirs: Arc::clone(&provider.reservoirs),
            overflows: Arc::clone(&provider.overflows),
            spans,
            encoder: sender.map(|sender| encode::Encoder::new(sender, rules.clone())),
            #[cfg(feature = "prometheus")]
            writer: is_scraped.then(|| prometheus::Writer::new(pipeline.resource(), rules)),
            #[cfg(feature = "prometheus")]
            seen: exemplars::Taken::new(),
            readings,
        };
        let reader = Arc::new(Reader::start(work, interval)?);
        #[cfg(feature = "prometheus")]
        let server = match scraped {
            Some(Scraped::At { address, setting }) => {
                let (reader, notices) = (Arc::clone(&reader), notices.clone());
                Some(prometheus::Server::start(
                    address, setting, reader, notices,
                )?)
            }
            _ => None,
        };
        Ok(Some(Self {
            provider,
            reader,
            #[cfg(feature = "prometheus")]
            server: Mutex::new(server),
        }))
    }

    /// The text for Prometheus, if it is there within the time.
    #[cfg(feature = "prometheus")]
    pub(crate) fn text(&self, format: PrometheusFormat, timeout: Duration) -> Option<String> {
        if ringlight_collector::in_pipeline() {
            return None;
        }
        let (give, given) = std::sync::mpsc::sync_channel(1);
        let give = Box::new(move |text| drop(give.try_send(text)));
        (self.reader.text(format, give)).then(|| given.recv_timeout(timeout).ok())?
    }

    /// Reads for the last time, within the time. Nothing is served any more.
    pub(crate) fn end(&self, timeout: Duration) {
        #[cfg(feature = "prometheus")]
        drop(crate::sync::unpoisoned(self.server.lock()).take());
        self.reader.end(timeout);
    }
}

/// The provider, with its own metrics, and what reads it.
fn provider(
    config: MetricsConfig,
    notices: &Notices,
    is_sent: bool,
    is_scraped: bool,
) -> (MeterProvider, reader::Readings) {
    let readings = reader::Readings::new(config.temporality, is_sent, is_scraped);
    let mut builder = SdkMeterProvider::builder()
        // What the process says about itself is the pipeline's.
        .with_resource(Resource::builder_empty().build());
    for reader in readings.readers() {
        builder = builder.with_reader(reader);
    }
    let views: Arc<[View]> = config.views.into();
    for index in 0..views.len() {
        let views = Arc::clone(&views);
        builder = builder.with_view(move |instrument: &Instrument| views[index](instrument));
    }
    if config.exponential_histograms {
        // The SDK makes a stream for each view that has something for an instrument: this is for those no other is about.
        builder = builder.with_view(move |instrument: &Instrument| {
            let is_viewed = views.iter().any(|view| view(instrument).is_some());
            (!is_viewed).then(|| exponential(instrument)).flatten()
        });
    }
    #[cfg_attr(
        not(feature = "profiling"),
        expect(unused_mut, reason = "nothing is added")
    )]
    let mut provider = MeterProvider {
        sdk: builder.build(),
        reservoirs: Arc::new(Reservoirs::new(config.exemplars)),
        overflows: Arc::new(Overflows::new(notices.clone())),
        #[cfg(feature = "profiling")]
        channel_waits: None,
    };
    #[cfg(feature = "profiling")]
    {
        let meter = opentelemetry::metrics::MeterProvider::meter(&provider, channels::SCOPE);
        provider.channel_waits = Some(channels::register(&meter));
    }
    let meter = |scope| opentelemetry::metrics::MeterProvider::meter(&provider, scope);
    #[cfg(all(feature = "profiling", target_os = "linux"))]
    process::register(&meter(process::SCOPE), config.process_interval);
    provider.overflows.register(&meter(overflows::SCOPE));
    (provider, readings)
}

/// `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram`.
fn exponential(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram || instruments::is_made_with_boundaries() {
        return None;
    }
    let aggregation = Aggregation::Base2ExponentialHistogram {
        max_size: EXPONENTIAL_BUCKETS_MAX,
        max_scale: EXPONENTIAL_SCALE_MAX,
        record_min_max: true,
    };
    let stream = Stream::builder().with_aggregation(aggregation);
    stream.build().ok()
}
