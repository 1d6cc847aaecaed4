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
//! # Limits
//!
//! A metric has 2000 sets of attributes at most, unless a [view](crate::Builder::metric_view) says otherwise; what comes
//! beyond is in a set of its own, `otel.metric.overflow = true`, and a notice says so once a metric. Between two
//! exports measurements take no memory but that.
//!
//! # What the process uses
//!
//! With the feature `profiling`, on Linux, the metrics of the process are among them, by the semantic conventions:
//! `process.cpu.time` and `.utilization`, `process.memory.usage` and `.virtual`, `process.thread.count`,
//! `process.unix.file_descriptor.count`, `process.paging.faults`, `process.context_switches`, `process.disk.io`,
//! `process.uptime`. They are read from the kernel, at each export but no more often than every five seconds
//! (`system_metrics_interval_secs` in a [file](crate::settings), one second at least).
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
#[cfg(all(feature = "profiling", target_os = "linux"))]
mod process;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
pub use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

pub(crate) use exemplars::ExemplarFilter;
use exemplars::Reservoirs;
use instruments::Instruments;
use ringlight_collector::RequestSender;

pub(crate) use reader::Reader;

/// Makes meters of the OpenTelemetry API whose metrics go into a pipeline.
///
/// [`init`](crate::init) makes one the process's. Beside that it is for those who keep to one, as tests do: see
/// [`Telemetry::meter_provider`](crate::Telemetry::meter_provider).
#[derive(Debug, Clone)]
pub struct MeterProvider {
    sdk: SdkMeterProvider,
    reservoirs: Arc<Reservoirs>,
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
    pub(crate) views: Vec<View>,
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
            views: Vec::new(),
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

/// The provider, and what reads it.
pub(crate) fn start(
    config: MetricsConfig,
    sender: RequestSender,
) -> std::io::Result<(MeterProvider, Reader)> {
    let reservoirs = Arc::new(Reservoirs::new(config.exemplars));
    let (manual, reading) = reader::Manual::new(config.temporality);
    let mut builder = SdkMeterProvider::builder()
        // What the process says about itself is the pipeline's.
        .with_resource(Resource::builder_empty().build())
        .with_reader(manual);
    for view in config.views {
        builder = builder.with_view(view);
    }
    if config.exponential_histograms {
        builder = builder.with_view(exponential);
    }
    #[cfg_attr(
        not(feature = "profiling"),
        expect(unused_mut, reason = "nothing is added")
    )]
    let mut provider = MeterProvider {
        sdk: builder.build(),
        reservoirs: Arc::clone(&reservoirs),
        #[cfg(feature = "profiling")]
        channel_waits: None,
    };
    #[cfg(feature = "profiling")]
    {
        let meter = opentelemetry::metrics::MeterProvider::meter(&provider, channels::SCOPE);
        provider.channel_waits = Some(channels::register(&meter));
    }
    #[cfg(all(feature = "profiling", target_os = "linux"))]
    process::register(
        &opentelemetry::metrics::MeterProvider::meter(&provider, process::SCOPE),
        config.process_interval,
    );
    let reader = Reader::start(reading, reservoirs, sender, config.interval)?;
    Ok((provider, reader))
}

/// `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram`.
fn exponential(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram {
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
