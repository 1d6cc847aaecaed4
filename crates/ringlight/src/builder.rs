//! Putting it together.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ringlight_collector::{DestinationConfig, RecordSink};
use ringlight_model::{KeyValue, Value};

use self::init::Beside;
use self::start::rings_max;
use crate::InitError;
use crate::config::{Environment, Inputs, ResourceDetector};
use crate::filter::Output;
use crate::sampling::SamplingRule;

#[cfg(feature = "clap")]
mod arguments;
mod console;
mod init;
mod logs;
mod otlp;
mod outputs;
mod pipeline;
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

    /// How long dropping the guard waits for the backend. Default: 5 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
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
