//! From a builder to running telemetry: everything there is before the pipeline runs is put together first.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ringlight_collector::{DestinationConfig, Pipeline, RecordSink};
use ringlight_model::CallsiteRegistry;

use super::Builder;
use super::console::Console;
#[cfg(feature = "otel")]
use super::outputs::span_metrics;
use super::outputs::{Takers, connect, lines, service_name};
#[cfg(feature = "profiling")]
use super::{runtime, traces};
use crate::config::{Changeable, ConfigFile, OfCode, Reloader, Settings};
use crate::controls::{self, Controls};
use crate::filter::{Choice, Output};
#[cfg(feature = "otel")]
use crate::metrics::{Metrics, SpanMetrics};
#[cfg(feature = "otel")]
use crate::otel::Interop;
use crate::sampling::HeadSampling;
#[cfg(feature = "profiling")]
use crate::subscriber::Times;
use crate::subscriber::{Outputs, RinglightSubscriber};
use crate::telemetry::{Shared, Telemetry};
use crate::{InitError, budget};

/// Rings there are at most, unless told otherwise, for each processor, and however few or many there are.
const RINGS_A_PROCESSOR: usize = 4;
const RINGS_MIN: usize = 64;
const RINGS_MAX: usize = 1024;

impl Builder {
    /// Starts what telemetry is made of: what records, what holds it, and what the console is to see.
    pub(super) fn start(self) -> Result<(RinglightSubscriber, Telemetry, Console), InitError> {
        Parts::of(self)?.start()
    }
}

/// What telemetry is started from.
struct Parts {
    settings: Settings,
    reloadable: Option<Reloadable>,
    watches_config_file: bool,
    shutdown_timeout: Duration,
    destinations: Vec<DestinationConfig>,
    sinks: Vec<Box<dyn RecordSink>>,
    outputs: Outputs,
    callsites: Arc<CallsiteRegistry>,
    controls: Arc<controls::Shared>,
    #[cfg(feature = "otel")]
    spans: Option<SpanMetrics>,
    #[cfg(feature = "otel")]
    interop: Interop,
    #[cfg(feature = "profiling")]
    times: Times,
}

/// The file that was read, what the code says of settings, and what they came to.
type Reloadable = (Arc<ConfigFile>, OfCode, Changeable);

impl Parts {
    /// Asks for settings, and opens what they name: exporters, files of log lines, trace files.
    fn of(mut builder: Builder) -> Result<Self, InitError> {
        builder.inputs.read_declared()?;
        let of_code = OfCode::of(&builder.inputs);
        let mut settings = Settings::resolve(builder.inputs)?;
        let mut destinations = builder.destinations;
        let routes = connect(&mut settings, &mut destinations)?;
        if settings.is_disabled {
            destinations.clear();
        }
        settings.tell_warnings();
        let service = service_name(&settings.pipeline.resource.attributes);
        #[cfg(feature = "otel")]
        let spans = span_metrics(&settings, &destinations);
        let sampling = HeadSampling::new(service.clone(), settings.sampler, builder.sampling_rules);
        #[cfg(feature = "otel")]
        let sampling = match spans {
            Some(_) => sampling.with_weights(),
            None => sampling,
        };
        let controls = Arc::new(controls::Shared::new(sampling, settings.filters.clone()));
        let file = settings.file.take();
        let reloadable = file.map(|file| (file, of_code, settings.changeable()));
        let lines = lines(&settings, builder.log_writer, &controls);
        let callsites = Arc::new(CallsiteRegistry::new());
        let mut sinks = builder.sinks;
        // A trace file asks for nothing that is around log records, which it shows in another way.
        let has_sinks = !sinks.is_empty();
        #[cfg(feature = "profiling")]
        let times = traces::begin(&mut settings, &service, &callsites, &mut sinks)?;
        let takers = Takers {
            lines: !lines.is_empty(),
            sinks: has_sinks,
            others: !sinks.is_empty() || destinations.len() > usize::from(routes.is_some()),
            #[cfg(feature = "otel")]
            metrics: spans.is_some(),
            routes,
            span_events: builder.span_events,
            #[cfg(feature = "profiling-alloc")]
            allocations: !settings.is_disabled,
        };
        sinks.extend(lines);
        #[cfg(feature = "otel")]
        sinks.extend(spans.as_ref().map(|spans| spans.sink(&controls)));
        Ok(Self {
            outputs: takers.outputs(),
            settings,
            reloadable,
            watches_config_file: builder.watches_config_file,
            shutdown_timeout: builder.shutdown_timeout,
            destinations,
            sinks,
            callsites,
            controls,
            #[cfg(feature = "otel")]
            spans,
            #[cfg(feature = "otel")]
            interop: builder.interop,
            #[cfg(feature = "profiling")]
            times,
        })
    }

    /// Starts the pipeline, the subscriber that records into it, and what else goes with it.
    fn start(self) -> Result<(RinglightSubscriber, Telemetry, Console), InitError> {
        let (settings, controls) = (self.settings, self.controls);
        let mut config = settings.pipeline;
        let (limits, notices) = (config.limits, config.notices.clone());
        if let Some(budget) = settings.overhead_budget {
            config.governor = budget::governor(budget, Arc::clone(&controls), notices.clone());
        }
        let log_filter = Choice::new(Arc::clone(&controls), Output::Logs);
        let (known, sinks) = (Arc::clone(&self.callsites), self.sinks);
        let pipeline =
            Pipeline::start_filtered(config, known, self.destinations, sinks, log_filter)?;
        let subscriber = RinglightSubscriber::new(
            pipeline.recorder(),
            self.callsites,
            pipeline.clock(),
            Arc::clone(&controls),
            &limits,
            self.outputs,
            pipeline.meter(),
        )
        .with_formats(settings.formats);
        #[cfg(feature = "profiling")]
        let subscriber = subscriber.with_times(self.times);
        #[cfg(feature = "otel")]
        let subscriber = subscriber.with_interop(self.interop);
        #[cfg(feature = "otel")]
        if self.interop == Interop::Always {
            crate::subscriber::shared::set_in_use();
        }
        if let Some(open_spans) = subscriber.open_spans() {
            pipeline.report_open_spans(Arc::new(open_spans));
        }
        #[cfg(feature = "otel")]
        let metrics = Metrics::start(settings.metrics, self.spans, &pipeline, &notices)
            .map_err(ringlight_collector::StartError::Thread)?;
        #[cfg(feature = "profiling")]
        let runtimes = runtime::runtimes(
            settings.runtime,
            settings.is_disabled,
            &subscriber,
            &notices,
            #[cfg(feature = "otel")]
            metrics.as_ref(),
        );
        let telemetry = running(
            pipeline,
            (self.shutdown_timeout, settings.panic_backtrace),
            controls,
            self.reloadable,
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
}

/// Telemetry that has been started, with how long its end waits and whether panics are recorded with a backtrace.
fn running(
    pipeline: Pipeline,
    (shutdown_timeout, panic_backtrace): (Duration, bool),
    controls: Arc<controls::Shared>,
    reloadable: Option<Reloadable>,
    #[cfg(feature = "otel")] metrics: Option<Metrics>,
    #[cfg(feature = "profiling")] runtimes: crate::runtime::Runtimes,
) -> Telemetry {
    let shared = Arc::new_cyclic(|shared: &Weak<Shared>| {
        let reloader = reloadable.map(|(file, of_code, holds)| {
            let shared = Weak::clone(shared);
            let redact = move |redaction| {
                (shared.upgrade())
                    .is_some_and(|shared| shared.pipeline.set_base_redaction(redaction).is_ok())
            };
            let controls = Arc::clone(&controls);
            Arc::new(Reloader::new(file, of_code, holds, controls, redact))
        });
        Shared {
            pipeline,
            shutdown_timeout,
            panic_backtrace,
            controls: Controls {
                shared: controls,
                reloader,
            },
            watch: Mutex::default(),
            #[cfg(feature = "otel")]
            metrics,
            #[cfg(feature = "profiling")]
            runtimes,
        }
    });
    Telemetry { shared }
}

/// How many threads have a ring of their own, unless told otherwise: those of a runtime and as many again
/// that block, on any machine. It costs nothing until they record.
pub(super) fn rings_max() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (RINGS_A_PROCESSOR * processors).clamp(RINGS_MIN, RINGS_MAX)
}
