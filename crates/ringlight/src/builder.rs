//! Putting it together.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringlight_clock::Clock;
use ringlight_collector::{
    CollectorConfig, DestinationConfig, ExporterBoxed, OverflowPolicy, Pipeline, Processing,
    RecordSink, Redaction, SpoolConfig,
};
use ringlight_model::{CallsiteRegistry, KeyValue, Value};
use tracing_core::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use self::console::Console;
#[cfg(feature = "otel")]
use self::outputs::span_metrics;
use self::outputs::{connect, lines, service_name};
use self::start::{rings_max, running};
use crate::InitError;
use crate::budget;
use crate::config::{
    ConsoleInput, Environment, Inputs, OfCode, ResourceDetector, Route, Routes, Settings,
};
use crate::controls;
use crate::filter::{Choice, Output};
use crate::sampling::{HeadSampling, SamplingRule};
use crate::subscriber::{
    LayerFilter, Outputs, Registry, RinglightLayer, RinglightSubscriber, beside,
};
use crate::telemetry::Telemetry;

#[cfg(feature = "clap")]
mod arguments;
mod console;
mod logs;
mod otlp;
mod outputs;
#[cfg(feature = "profiling")]
mod runtime;
mod sampling;
mod start;
#[cfg(test)]
mod tests;
#[cfg(feature = "profiling")]
mod traces;

/// How long the guard waits for the backend when it is dropped, unless told otherwise.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a record waits for others, unless told otherwise: a span is seen within a second of its
/// end.
const BATCH_DELAY: Duration = Duration::from_millis(200);

/// Whether the process's subscriber is ours.
static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Settings in code, for what variables do not say or must not change.
///
/// Command line beats code, code beats variables; see [the crate](crate#configuration).
#[must_use = "a builder does nothing until `init` or `build`"]
pub struct Builder {
    inputs: Inputs,
    destinations: Vec<DestinationConfig>,
    sinks: Vec<Box<dyn RecordSink>>,
    log_writer: Option<Box<dyn io::Write + Send>>,
    shutdown_timeout: Duration,
    sampling_rules: Vec<SamplingRule>,
    beside: Option<Beside>,
    span_events: bool,
    watches_config_file: bool,
    #[cfg(feature = "log")]
    bridges_log: bool,
    #[cfg(feature = "otel")]
    interop: crate::otel::Interop,
}

/// Puts a subscriber beside layers.
type Beside = Box<dyn FnOnce(RinglightSubscriber, Console) -> Dispatch + Send>;

impl Default for Builder {
    fn default() -> Self {
        let mut inputs = Inputs::default();
        inputs.pipeline.batch_delay = BATCH_DELAY;
        inputs.pipeline.producers_max = rings_max();
        inputs.pipeline.notices = crate::notice::of_pipeline();
        Self {
            inputs,
            destinations: Vec::new(),
            sinks: Vec::new(),
            log_writer: None,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
            sampling_rules: Vec::new(),
            beside: None,
            span_events: false,
            watches_config_file: true,
            #[cfg(feature = "log")]
            bridges_log: true,
            #[cfg(feature = "otel")]
            interop: crate::otel::Interop::default(),
        }
    }
}

impl Builder {
    /// The name of the service: `service.name` of everything it sends.
    ///
    /// Default: `OTEL_SERVICE_NAME`, else `unknown_service:` and the name of the executable, as the
    /// OpenTelemetry specification asks.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.inputs.resource.service_name = Some(name.into());
        self
    }

    /// An attribute of everything this process sends, such as `deployment.environment.name`.
    pub fn resource_attribute(
        mut self,
        key: impl Into<String>,
        value: impl Into<Value<'static>>,
    ) -> Self {
        self.inputs
            .resource
            .attributes
            .push(KeyValue::new(key.into(), value.into()));
        self
    }

    /// Which build of the application runs: `service.version` and `vcs.ref.head.revision` of everything this process sends. Made by
    /// [`build_info!`](crate::build_info).
    pub fn build_info(self, build: crate::BuildInfo) -> Self {
        let builder = self.resource_attribute("service.version", build.version);
        match build.revision {
            Some(revision) => builder.resource_attribute("vcs.ref.head.revision", revision),
            None => builder,
        }
    }

    /// What finds out where this process runs. Default: as `OTEL_RESOURCE_DETECTORS` says, else
    /// [all](ResourceDetector::ALL) but the one that tells the process's arguments.
    ///
    /// ```
    /// use ringlight::ResourceDetector;
    ///
    /// let builder = ringlight::builder()
    ///     .resource_detectors([ResourceDetector::Host, ResourceDetector::Kubernetes]);
    /// ```
    pub fn resource_detectors(
        mut self,
        detectors: impl IntoIterator<Item = ResourceDetector>,
    ) -> Self {
        self.inputs.resource.detectors = Some(detectors.into_iter().collect());
        self
    }

    /// Reads settings from this file, in place of `ringlight.toml` and of what `RINGLIGHT_CONFIG_FILE` names: from its
    /// table `[telemetry]`, so that it may be the application's own. They come last, behind code and variables; see
    /// [`settings`](crate::settings).
    pub fn config_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.inputs.config_file = Some(file.into());
        self
    }

    /// Whether a change of the file of settings is seen while telemetry runs, within two seconds. Default: yes. Which
    /// settings then take effect: [`Controls::reload`](crate::Controls::reload). What has changed, and what is wrong with it, is told on stderr.
    ///
    /// A thread looks every second at when the file was changed; there is none without a file.
    pub fn watch_config_file(mut self, watch: bool) -> Self {
        self.watches_config_file = watch;
        self
    }

    /// Whether the file of settings is read again when the process is sent SIGHUP, as services do that an operator changes
    /// while they run. What came of it is told on stderr within a second, with or without
    /// [`watch_config_file`](Self::watch_config_file). Default: as `RINGLIGHT_RELOAD_ON_HANGUP` or `reload_on_hangup` in the
    /// [file](crate::settings) says, else no, and SIGHUP does what it does without telemetry: by default, it ends the
    /// process.
    ///
    /// The signal then no longer ends the process, whether or not there is a file, and not after the end of telemetry
    /// either. Handlers of the program's own go on: those of `signal-hook` and tokio in any case, others if they were there
    /// first. Where the process was started with SIGHUP ignored, as by `nohup`, it stays so, and that is told; that can be
    /// seen on Linux alone. A program that wants its end at SIGHUP, such as one on a terminal, does not ask for this.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder().reload_on_hangup(true).init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reload_on_hangup(mut self, reload: bool) -> Self {
        self.inputs.reload_on_hangup = Some(reload);
        self
    }

    /// What is recorded where `RUST_LOG` is not set: directives such as `info,my_crate=debug`.
    /// Default: `info`.
    pub fn default_filter(mut self, directives: impl Into<String>) -> Self {
        self.inputs.default_directives = Some(directives.into());
        self
    }

    /// What one output wants where its variable (`RUST_LOG_LINES`, `RUST_LOG_LOGS`,
    /// `RUST_LOG_TRACES`) is not set, in place of `RUST_LOG` and [`default_filter`](Self::default_filter).
    /// Default: nothing of its own.
    ///
    /// ```
    /// use ringlight::Output;
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder()
    ///     .default_filter_for(Output::Lines, "warn")
    ///     .default_filter_for(Output::Logs, "info,my_crate=debug")
    ///     .default_filter_for(Output::Traces, "debug")
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn default_filter_for(mut self, output: Output, directives: impl Into<String>) -> Self {
        self.inputs
            .output_directives
            .push((output, directives.into()));
        self
    }

    /// Whether an event is, besides a log record, an event of the `tracing` span it happened in: named
    /// by its message, with its fields and its level and target as attributes. Default: no, since a backend
    /// that keeps log records shows them with their span anyway.
    ///
    /// A span has 128 of them at most, or `OTEL_SPAN_EVENT_COUNT_LIMIT`; further ones are counted in
    /// its `dropped_events_count`. This costs an allocation an event.
    pub fn span_events(mut self, span_events: bool) -> Self {
        self.span_events = span_events;
        self
    }

    /// Whether and when contexts are shared with the OpenTelemetry API, and whether
    /// [`init`](Self::init) sets its global tracer provider and propagator. Default: both, the former
    /// from the first use of the API on.
    #[cfg(feature = "otel")]
    pub fn otel_interop(mut self, interop: crate::otel::Interop) -> Self {
        self.interop = interop;
        self
    }

    /// Replaces what is secret or personal in everything that leaves the process, be it sent, written to a file or
    /// shown as a log line. Default: as `RINGLIGHT_REDACT` says (`standard` or `none`), else nothing is. What the
    /// variable asks for is added to what the code does. The guide is `docs/processing.md`.
    ///
    /// ```
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder()
    ///     .redact(ringlight::Redaction::standard())
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn redact(self, redaction: Redaction) -> Self {
        self.process(|processing| processing.redact(redaction))
    }

    /// Renames and leaves out attributes, and leaves out whole records, before they go to any output.
    ///
    /// ```
    /// use ringlight::RecordPattern;
    ///
    /// let builder = ringlight::builder().process(|rules| {
    ///     rules
    ///         .rename_attribute("http.method", "http.request.method")
    ///         .drop_attribute("debug.*")
    ///         .drop_records(RecordPattern::spans().name("GET /health*"))
    /// });
    /// ```
    pub fn process(self, add: impl FnOnce(Processing) -> Processing + Send + 'static) -> Self {
        self.pipeline(move |config| {
            config.processing = add(std::mem::take(&mut config.processing));
        })
    }

    /// How long a record waits for others to travel with. Default: `OTEL_BSP_SCHEDULE_DELAY`, else
    /// 200 ms, so that a span is seen within a second of its end.
    pub fn batch_delay(self, delay: Duration) -> Self {
        self.pipeline(move |config| config.batch_delay = delay)
    }

    /// A Ringlight backend is told of spans that have been open for longer than this, every two seconds
    /// ([`CollectorConfig::report_interval`]), and shows them as in progress; zero turns that off. Default:
    /// 10 s. Spans of the OpenTelemetry API and those of a producer are seen when they end.
    pub fn open_span_after(self, after: Duration) -> Self {
        self.pipeline(move |config| config.open_span_after = after)
    }

    /// Keeps in this directory what cannot be sent, so that it outlives an outage of the backend, and the process.
    /// Default: `RINGLIGHT_SPOOL_DIR` (with `RINGLIGHT_SPOOL_MODE`, `.._SIZE_LIMIT` and `.._MAX_AGE`), else what
    /// cannot be sent is kept in memory as far as there is room.
    ///
    /// Give each process a directory of its own, on a disk that stays. A path stands for the
    /// [defaults](SpoolConfig): up to 1 GiB, for 3 days.
    ///
    /// ```no_run
    /// use ringlight::{SpoolConfig, SpoolMode};
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let mut spool = SpoolConfig::new("/var/lib/shop/telemetry");
    /// spool.mode = SpoolMode::Always;
    /// let _telemetry = ringlight::builder().spool(spool).init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spool(self, spool: impl Into<SpoolConfig>) -> Self {
        let spool = spool.into();
        self.pipeline(move |config| config.spool = Some(spool))
    }

    /// What a thread does when its ring is full. Default: drop the new record and count it.
    pub fn overflow(self, policy: OverflowPolicy) -> Self {
        self.pipeline(move |config| config.policy = policy)
    }

    /// Anything about the pipeline: buffers, queues, retries, limits, where
    /// [notices](CollectorConfig::notices) go, which by default is stderr.
    ///
    /// `change` is called when telemetry starts, with what the variables say (`OTEL_BSP_*` and so on), and
    /// what it sets holds over that. Of several calls, those of methods for single settings among
    /// them, the last one holds. Attributes of the resource are added to those of
    /// [`resource_attribute`](Self::resource_attribute) and of the variables.
    ///
    /// The defaults are those of [`CollectorConfig`], but for [`batch_delay`](Self::batch_delay) and
    /// [`producers_max`](CollectorConfig::producers_max), how many threads have a ring of their own: four for each
    /// processor this process may use, 64 at least and 1024 at most. A ring takes its memory (512 KiB, see
    /// [`ring_bits`](CollectorConfig::ring_bits)) when its thread first records, and is used again when that
    /// has ended: so all of them are 32 MiB at most on up to 16 processors, and 2 MiB a processor beyond. Further
    /// threads share one ring behind a lock, which costs them time and nothing else; a person is told.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder()
    ///     .pipeline(|config| {
    ///         config.ring_bits = 14;
    ///         config.export_timeout = Duration::from_secs(3);
    ///     })
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn pipeline(mut self, change: impl FnOnce(&mut CollectorConfig) + Send + 'static) -> Self {
        self.inputs.changes.add(change);
        self
    }

    /// One more destination, beside the one for OTLP. As to that one, nothing goes there where telemetry is turned off
    /// (`OTEL_SDK_DISABLED`, `enabled = false`).
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    ///
    /// use ringlight::Signal;
    /// use ringlight::collector::{EncodedBatch, ExportError, ExportOutcome, Exporter, SpanBatch};
    ///
    /// /// Keeps the names of spans.
    /// struct Names(Arc<Mutex<Vec<String>>>);
    ///
    /// impl Exporter for Names {
    ///     async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
    ///         let batch = SpanBatch::try_from(batch).expect("only spans are taken");
    ///         let keep = |name: &str| self.0.lock().unwrap().push(name.to_owned());
    ///         batch.for_each(|_, _, span| keep(&span.name)).expect("it is our own");
    ///         Ok(ExportOutcome::default())
    ///     }
    ///
    ///     fn name(&self) -> &str {
    ///         "names"
    ///     }
    ///
    ///     fn place(&self, signal: Signal) -> Option<&str> {
    ///         (signal == Signal::Traces).then_some("names")
    ///     }
    /// }
    ///
    /// let names = Arc::new(Mutex::new(Vec::new()));
    /// let (dispatch, telemetry) = ringlight::builder().exporter(Names(Arc::clone(&names))).build()?;
    /// tracing::dispatcher::with_default(&dispatch, || tracing::info_span!("order").in_scope(|| {}));
    /// telemetry.shutdown(Duration::from_secs(5));
    /// assert_eq!(*names.lock().unwrap(), ["order"]);
    /// # Ok::<_, ringlight::InitError>(())
    /// ```
    pub fn exporter(self, exporter: impl ExporterBoxed + 'static) -> Self {
        self.destination(DestinationConfig::from(Arc::new(exporter)))
    }

    /// One more destination, with settings of its own: a name, signals, which records it gets, its queue,
    /// retries and part of the [spool](Self::spool). Destinations never touch each other.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// # #[cfg(feature = "otel")] {
    /// use ringlight::Signal;
    /// use ringlight::collector::{DestinationConfig, OtlpConfig, OtlpHttpExporter};
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let vendor = OtlpConfig::new("https://otlp.example.com");
    /// let vendor = DestinationConfig {
    ///     name: Some("vendor".to_owned()),
    ///     signals: Some(vec![Signal::Traces]),
    ///     ..DestinationConfig::new(Arc::new(OtlpHttpExporter::new(&vendor)?))
    /// };
    /// let _telemetry = ringlight::builder()
    ///     .otlp_endpoint("http://localhost:4317")
    ///     .destination(vendor)
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    pub fn destination(mut self, destination: DestinationConfig) -> Self {
        self.destinations.push(destination);
        self
    }

    /// One more local consumer of records, beside log lines. It is called on the collector's
    /// thread, with all records: those of [`Output::Logs`] and [`Output::Traces`], and what only log lines
    /// want.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use ringlight::RecordSink;
    /// use ringlight::collector::{CallsiteRegistry, StatusCode, record::Record};
    ///
    /// /// Counts spans that failed.
    /// struct Failures(Arc<AtomicU64>);
    ///
    /// impl RecordSink for Failures {
    ///     fn record(&mut self, record: &Record<'_>, _: &CallsiteRegistry) {
    ///         if let Record::Span(span) = record
    ///             && span.head().status() == StatusCode::Error
    ///         {
    ///             self.0.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     }
    ///
    ///     fn flush(&mut self) {}
    /// }
    /// # let failures = Arc::<AtomicU64>::default();
    /// let builder = ringlight::builder().sink(Failures(Arc::clone(&failures)));
    /// ```
    pub fn sink(mut self, sink: impl RecordSink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// How long dropping the guard waits for the backend. Default: 5 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Puts layers of `tracing_subscriber` beside the recording: any layers, with any filters.
    ///
    /// `layers` puts them on the registry it is given. They see what they want to see, whatever
    /// `RUST_LOG` says; a span or event that none of them wants goes past them at the cost it has
    /// without any. A span that some layer wants ends, here too, when the registry closes it: after the
    /// last of its children that are in the registry. Where the `Debug` of a field panics while a layer opens
    /// such a child, that is never: the registry then keeps the child for good, whoever is on it. Not so
    /// where Ringlight opens it, which is before all layers: such a child is in neither.
    ///
    /// ```
    /// use tracing_subscriber::filter::LevelFilter;
    /// use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let warnings = tracing_subscriber::fmt::layer().with_filter(LevelFilter::WARN);
    /// let _telemetry = ringlight::builder()
    ///     .log_format(ringlight::LogFormat::Off)
    ///     .beside(|registry| registry.with(warnings))
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn beside<S>(mut self, layers: impl FnOnce(Registry) -> S + Send + 'static) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        self.beside = Some(Box::new(|subscriber, console| match console.layer() {
            Some(console) => beside(subscriber, |registry| layers(registry).with(console)),
            None => beside(subscriber, layers),
        }));
        self
    }

    /// Times of what is recorded through `tracing` and the OpenTelemetry API are read from this clock; for
    /// tests, with a [`ManualTime`](crate::ManualTime) that they set. Default: the best clock there is.
    pub fn clock(self, clock: Clock) -> Self {
        self.pipeline(move |config| config.clock = Some(Arc::new(clock)))
    }

    /// Reads these variables instead of the process's own; for tests, and for programs that run
    /// several configurations.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter();
        self.inputs.environment =
            Environment::Fixed(variables.map(|(n, v)| (n.into(), v.into())).collect());
        self
    }

    /// What all settings come to, and who said so: code, variables and the file together. Nothing is started, and no
    /// secret is shown. `ringlight config show` prints the same for what a service finds where it is run.
    ///
    /// ```
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let builder = ringlight::builder().environment([("OTLP_ENDPOINT", "http://localhost:4317")]);
    /// let holds = builder.effective_settings()?;
    /// let endpoint = holds.settings.iter().find(|setting| setting.key == "otlp_endpoint");
    /// assert_eq!(endpoint.unwrap().origin.to_string(), "OTLP_ENDPOINT");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`init`](Self::init), as far as settings are concerned.
    pub fn effective_settings(self) -> Result<crate::settings::EffectiveSettings, InitError> {
        crate::config::effective(self.inputs)
    }

    /// Starts telemetry without making it the process's: the subscriber goes wherever the caller
    /// takes it, such as into `tracing::dispatcher::with_default`.
    ///
    /// # Errors
    /// As [`init`](Self::init), except for [`InitError::AlreadyInitialized`].
    pub fn build(mut self) -> Result<(Dispatch, Telemetry), InitError> {
        let layers = self.beside.take();
        let (subscriber, telemetry, console) = self.start()?;
        let dispatch = match layers {
            Some(layers) => layers(subscriber, console),
            None => match console.layer() {
                Some(console) => beside(subscriber, |registry| registry.with(console)),
                None => Dispatch::new(subscriber),
            },
        };
        #[cfg(feature = "profiling")]
        telemetry.shared.runtimes.begin(Some(&dispatch));
        Ok((dispatch, telemetry))
    }

    /// Starts telemetry as a layer, for a registry of the caller's own.
    ///
    /// `RUST_LOG`, or [`default_filter`](Self::default_filter), and the directives of single outputs say
    /// what this layer records and nothing about others; [`with_filter`](Layer::with_filter) narrows that
    /// down. A span ends when the registry closes it, which is after the last of its children.
    ///
    /// As [`init`](Self::init) it sets a panic hook, so that spans learn what a panic said. Layers given
    /// to [`beside`](Self::beside) are not part of it.
    ///
    /// The layer costs more than the subscriber of [`init`](Self::init): every span is kept in the
    /// registry as well. [`beside`](Self::beside) keeps spans that no other layer wants out of it.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let (layer, _telemetry) = ringlight::builder().layer()?;
    /// tracing_subscriber::registry().with(layer).init();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`init`](Self::init), except for [`InitError::AlreadyInitialized`].
    pub fn layer<S>(
        mut self,
    ) -> Result<(impl Layer<S> + Send + Sync + use<S>, Telemetry), InitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.inputs.console = ConsoleInput::Impossible;
        let (subscriber, telemetry, _) = self.start()?;
        let layer = RinglightLayer::new(subscriber);
        let filter = LayerFilter(layer.clone());
        crate::last_words::arrange(&Arc::downgrade(&telemetry.shared));
        #[cfg(feature = "profiling")]
        telemetry.shared.runtimes.begin(None);
        Ok((layer.with_filter(filter), telemetry))
    }

    fn start(mut self) -> Result<(RinglightSubscriber, Telemetry, Console), InitError> {
        self.inputs.read_declared()?;
        let of_code = OfCode::of(&self.inputs);
        let mut settings = Settings::resolve(self.inputs)?;
        let mut destinations = self.destinations;
        let routes = connect(&mut settings, &mut destinations)?;
        if settings.is_disabled {
            destinations.clear();
        }
        settings.tell_warnings();
        let service = service_name(&settings.pipeline.resource.attributes);
        let sampling = HeadSampling::new(service.clone(), settings.sampler, self.sampling_rules);
        #[cfg(feature = "otel")]
        let spans = span_metrics(&settings, &destinations);
        #[cfg(feature = "otel")]
        let sampling = match spans {
            Some(_) => sampling.with_weights(),
            None => sampling,
        };
        let filters = settings.filters.clone();
        let controls = Arc::new(controls::Shared::new(sampling, filters));
        let file = settings.file.take();
        let file = file.map(|file| (file, of_code, settings.changeable()));
        let lines = lines(&settings, self.log_writer, &controls);
        let has_lines = !lines.is_empty();
        let callsites = Arc::new(CallsiteRegistry::new());
        // They ask for what is around log records, which a trace file shows in another way.
        let has_sinks = !self.sinks.is_empty();
        #[cfg(feature = "profiling")]
        let times = traces::begin(&mut settings, &service, &callsites, &mut self.sinks)?;
        let has_others =
            !self.sinks.is_empty() || destinations.len() > usize::from(routes.is_some());
        let sent = |route: fn(&Routes) -> &Option<Route>| {
            routes
                .as_ref()
                .is_some_and(|routes| route(routes).is_some())
        };
        let exported_logs = has_others || sent(|routes| &routes.logs);
        #[cfg(feature = "otel")]
        let are_counted = spans.is_some();
        #[cfg(not(feature = "otel"))]
        let are_counted = false;
        let outputs = Outputs {
            spans: are_counted || has_others || sent(|routes| &routes.traces),
            logs: has_lines || exported_logs,
            lines: has_lines,
            exported_logs,
            sinks: has_sinks,
            span_events: self.span_events,
            #[cfg(feature = "profiling-alloc")]
            allocations: !settings.is_disabled,
        };

        let mut sinks = self.sinks;
        sinks.extend(lines);
        #[cfg(feature = "otel")]
        sinks.extend(spans.as_ref().map(|spans| spans.sink(&controls)));
        let mut config = settings.pipeline;
        let limits = config.limits;
        let notices = config.notices.clone();
        if let Some(budget) = settings.overhead_budget {
            config.governor = budget::governor(budget, Arc::clone(&controls), notices.clone());
        }
        let log_filter = Choice::new(Arc::clone(&controls), Output::Logs);
        let known = Arc::clone(&callsites);
        let pipeline = Pipeline::start_filtered(config, known, destinations, sinks, log_filter)?;
        let subscriber = RinglightSubscriber::new(
            pipeline.recorder(),
            callsites,
            pipeline.clock(),
            Arc::clone(&controls),
            &limits,
            outputs,
            pipeline.meter(),
        )
        .with_formats(settings.formats);
        #[cfg(feature = "profiling")]
        let subscriber = subscriber.with_times(times);
        #[cfg(feature = "otel")]
        let subscriber = subscriber.with_interop(self.interop);
        #[cfg(feature = "otel")]
        if self.interop == crate::otel::Interop::Always {
            crate::subscriber::shared::set_in_use();
        }
        if let Some(open_spans) = subscriber.open_spans() {
            pipeline.report_open_spans(Arc::new(open_spans));
        }
        #[cfg(feature = "otel")]
        let metrics = crate::metrics::Metrics::start(settings.metrics, spans, &pipeline, &notices)
            .map_err(ringlight_collector::StartError::Thread)?;
        #[cfg(feature = "profiling")]
        let runtimes = crate::runtime::Runtimes::new(
            settings.runtime,
            subscriber.published_spans(),
            notices.clone(),
            #[cfg(feature = "otel")]
            metrics.as_ref().map(|metrics| metrics.provider.clone()),
        );
        #[cfg(feature = "profiling")]
        if settings.is_disabled {
            // Whoever asks for it, none is watched.
            runtimes.end();
        }
        let telemetry = running(
            pipeline,
            (self.shutdown_timeout, settings.panic_backtrace),
            controls,
            file,
            #[cfg(feature = "otel")]
            metrics,
            #[cfg(feature = "profiling")]
            runtimes,
        );
        let on_hangup = settings.reloads_on_hangup;
        telemetry.watch_config_file(self.watches_config_file, on_hangup, &notices);
        let console = Console {
            #[cfg(feature = "tokio-console")]
            place: settings.console.map(|address| (address, notices)),
        };
        Ok((subscriber, telemetry, console))
    }

    /// Starts a [relay](ringlight_collector::Relay) in place of telemetry: it sends requests that others have made to the OTLP endpoint, with
    /// the protocol, headers, compression, certificates, spool and pipeline settings that this builder and the variables
    /// name. Nothing of this process is recorded, and `OTEL_SDK_DISABLED` and `OTEL_*_EXPORTER` do not
    /// apply.
    ///
    /// # Errors
    /// There is no endpoint, or it cannot be used; a setting is out of its range; the spool's directory cannot be
    /// used; the system has no thread to give.
    #[cfg(feature = "otel")]
    pub fn start_relay(mut self) -> Result<ringlight_collector::Relay, InitError> {
        self.inputs.is_relay = true;
        self.inputs.console = ConsoleInput::Impossible;
        let mut settings = Settings::resolve(self.inputs)?;
        let mut destinations = Vec::new();
        connect(&mut settings, &mut destinations)?;
        settings.tell_warnings();
        let destination = destinations.pop().ok_or_else(|| InitError::Endpoint {
            origin: "`start_relay`".to_owned(),
            reason: "there is no endpoint to pass anything on to".to_owned(),
            hint: "name one with `otlp_endpoint`",
        })?;
        Ok(ringlight_collector::Relay::start(
            settings.pipeline,
            destination,
        )?)
    }

    /// Starts telemetry for the whole process. Returns at once, whether or not a backend is there.
    ///
    /// # Errors
    /// There is a global subscriber already; an endpoint given in code or on the command line
    /// cannot be used; a directive given in code is not understood; a setting is out of its range; the
    /// system has no thread to give.
    pub fn init(self) -> Result<Telemetry, InitError> {
        // Looked at first, so that a second call starts nothing. Relaxed: nothing is read by it; of
        // two calls at once `set_global_default` lets one through.
        if INITIALIZED.load(Ordering::Relaxed) {
            return Err(InitError::AlreadyInitialized);
        }
        #[cfg(feature = "otel")]
        let interop = self.interop;
        #[cfg(feature = "log")]
        let bridges_log = self.bridges_log;
        let (dispatch, telemetry) = self.build()?;
        #[cfg(feature = "otel")]
        let globals = crate::otel::Globals::of(&dispatch, interop, telemetry.meter_provider());
        tracing_core::dispatcher::set_global_default(dispatch)
            .map_err(|_| InitError::AlreadyInitialized)?;
        // What another thread met for the first time since the subscriber is known, and before it was the process's, is of
        // no interest to anybody so far, and would never be.
        tracing_core::callsite::rebuild_interest_cache();
        // Relaxed: as it is read.
        INITIALIZED.store(true, Ordering::Relaxed);
        #[cfg(feature = "otel")]
        globals.set();
        #[cfg(feature = "log")]
        if bridges_log {
            crate::log_bridge::set();
        }
        crate::last_words::arrange(&Arc::downgrade(&telemetry.shared));
        Ok(telemetry)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Endpoints and headers may hold secrets.
        f.debug_struct("Builder")
            .field("service_name", &self.inputs.resource.service_name)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .finish_non_exhaustive()
    }
}
