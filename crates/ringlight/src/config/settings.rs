//! What all inputs come to: the code, variables and the file.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringlight_collector::CollectorConfig;
#[cfg(feature = "otel")]
use ringlight_secrets::SecretHeadersBuilder;

use super::environment::Reader;
use super::filters::filters;
use super::pipeline::pipeline;
#[cfg(not(feature = "profiling"))]
use super::process;
use super::propagators::formats;
use super::sampler::sampler;
use super::{
    Changeable, ConfigFile, Inputs, Lines, OfCode, Routes, lines, otlp, redaction, resource,
    runtime, traces,
};
#[cfg(feature = "otel")]
use super::{metrics, secrets};
use crate::InitError;
use crate::budget::OverheadBudget;
use crate::filter::Filters;
use crate::propagation::Format;
use crate::sampling::Sampler;

/// What the inputs come to.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Nothing leaves the process and nothing is measured: log lines alone are left, and sinks of the program's own.
    pub(crate) is_disabled: bool,
    /// `None` where nothing is exported.
    pub(crate) routes: Option<Routes>,
    /// For all of them.
    #[cfg(feature = "otel")]
    pub(crate) secret_headers: Option<SecretHeadersBuilder>,
    #[cfg(feature = "otel")]
    pub(crate) metrics: crate::metrics::MetricsConfig,
    #[cfg(feature = "profiling")]
    pub(crate) traces: traces::Traces,
    #[cfg(feature = "profiling")]
    pub(crate) runtime: crate::runtime::RuntimeConfig,
    /// Where `tokio-console` connects to, if it is to see tasks.
    #[cfg(feature = "tokio-console")]
    pub(crate) console: Option<std::net::SocketAddr>,
    pub(crate) filters: Filters,
    pub(crate) sampler: Sampler,
    pub(crate) overhead_budget: Option<OverheadBudget>,
    pub(crate) lines: Lines,
    /// Whether what is recorded of a panic has a backtrace.
    pub(crate) panic_backtrace: bool,
    /// How trace context is written into headers.
    pub(crate) formats: Vec<Format>,
    pub(crate) pipeline: CollectorConfig,
    /// The file that was read, if there is one.
    pub(crate) file: Option<Arc<ConfigFile>>,
    /// Whether it is read again at SIGHUP.
    pub(crate) reloads_on_hangup: bool,
    pub(super) redaction: redaction::Said,
    /// To be shown to a person.
    pub(crate) warnings: Vec<String>,
    /// Those of them that another build of the program would not give.
    pub(super) build_warnings: Vec<String>,
    /// The variables that are not understood.
    pub(super) ignored: BTreeSet<String>,
    /// The settings that the code has changed by way of the pipeline.
    pub(super) changed_by_code: Vec<&'static str>,
}

impl Settings {
    /// Puts the inputs together. What is wrong with a variable becomes a warning.
    ///
    /// # Errors
    /// A directive given in code is not understood, or the file, or where a secret comes from; an endpoint of the program
    /// or the file cannot be used; `tokio-console` is asked for in code and cannot be had.
    pub(crate) fn resolve(inputs: Inputs) -> Result<Self, InitError> {
        // A relay is no service: the file where it happens to run is that of one.
        let file = match inputs.is_relay {
            true => None,
            false => ConfigFile::find(inputs.config_file.as_deref(), &inputs.environment)?,
        };
        let Some(mut refused) = file.as_ref().and_then(ConfigFile::refused) else {
            return Self::with_file(inputs, file);
        };
        // Who looks at a file wants to know all there is to say of it.
        if inputs.is_look
            && let Ok(rest) = Self::with_file(inputs, file)
        {
            refused.warnings = rest.warnings;
            refused
                .warnings
                .retain(|warning| !rest.build_warnings.contains(warning));
        }
        Err(refused.into())
    }

    /// Puts the inputs together, with what is right in the file. Warnings are in the order in which this asks.
    fn with_file(inputs: Inputs, file: Option<ConfigFile>) -> Result<Self, InitError> {
        let code = OfCode::of(&inputs);
        let mut reader = Reader::with_file(&code.environment, file.as_ref());
        reader.say_what_files_warn_of();
        let filters = filters(&mut reader, &code)?;
        let is_disabled = is_disabled(&mut reader, &inputs);
        let routes = otlp::routes(&mut reader, &inputs, is_disabled)?;
        #[cfg(feature = "profiling")]
        let traces = traces::traces(&mut reader, inputs.traces, is_disabled);
        #[cfg(feature = "profiling")]
        let runtime = runtime::runtime(&mut reader, &inputs.runtime);
        #[cfg(not(feature = "profiling"))]
        warn_of_no_profiling(&mut reader, is_disabled);
        #[cfg(feature = "tokio-console")]
        let console = runtime::console(&mut reader, inputs.console, is_disabled)?;
        #[cfg(not(feature = "tokio-console"))]
        runtime::warn_of_no_console(&mut reader, inputs.console, is_disabled);
        #[cfg(feature = "otel")]
        let (routes, secret_headers) = secrets::secret_headers(
            &mut reader,
            routes,
            inputs.secret_headers,
            inputs.is_relay,
            inputs.is_look,
        )?;
        #[cfg(all(feature = "otel", feature = "profiling"))]
        let in_code = inputs.metrics.interval;
        #[cfg(feature = "otel")]
        let metrics = metrics::metrics(&mut reader, inputs.metrics, is_disabled);
        #[cfg(all(feature = "otel", feature = "profiling"))]
        metrics::warn_of_intervals(&mut reader, &metrics, in_code, routes.as_ref());
        warn_of_profiles(&mut reader, is_disabled);
        let sampler = sampler(&mut reader, inputs.sampler);
        let budget = overhead_budget(&mut reader);
        let formats = formats(&mut reader);
        let lines = lines::lines(&mut reader, &inputs.lines);
        let panic_backtrace = panic_backtrace(&mut reader, inputs.panic_backtrace);
        let reloads_on_hangup = reloads_on_hangup(&mut reader, inputs.reload_on_hangup);
        let (start, changes) = (inputs.pipeline, inputs.changes);
        let mut pipeline = pipeline(&mut reader, start, changes, is_disabled, inputs.is_look);
        let attributes = &mut pipeline.config.resource.attributes;
        resource::complete(&mut reader, inputs.resource, attributes);
        Ok(Self {
            is_disabled,
            routes,
            #[cfg(feature = "otel")]
            secret_headers,
            #[cfg(feature = "otel")]
            metrics,
            #[cfg(feature = "profiling")]
            traces,
            #[cfg(feature = "profiling")]
            runtime,
            #[cfg(feature = "tokio-console")]
            console,
            filters,
            sampler,
            // A governor that the code has put into the pipeline holds over the variable.
            overhead_budget: (inputs.overhead_budget)
                .or(budget.filter(|_| !pipeline.config.governor.is_set())),
            formats,
            lines,
            panic_backtrace,
            pipeline: pipeline.config,
            warnings: reader.warnings,
            build_warnings: reader.build_warnings,
            ignored: reader.ignored,
            file: file.map(Arc::new),
            reloads_on_hangup,
            redaction: pipeline.redaction,
            changed_by_code: pipeline.changed_by_code,
        })
    }

    /// Tells a person what is ignored.
    pub(crate) fn tell_warnings(&self) {
        for warning in &self.warnings {
            crate::notice::of_settings(&self.pipeline.notices, warning);
        }
    }

    /// What of them can be changed while telemetry runs.
    pub(crate) fn changeable(&self) -> Changeable {
        Changeable {
            filters: self.filters.clone(),
            sampler: self.sampler,
            redaction: self.redaction.clone(),
        }
    }
}

/// Whether nothing is to leave the process.
fn is_disabled(reader: &mut Reader<'_>, inputs: &Inputs) -> bool {
    if inputs.is_relay {
        return false;
    }
    if let Some(is_disabled) = reader.said_truth("OTEL_SDK_DISABLED") {
        return is_disabled;
    }
    let Some((_, origin)) = reader
        .in_file("enabled")
        .filter(|(text, _)| text == "false")
    else {
        return false;
    };
    // Somebody who names an endpoint expects something there.
    if let Some(named) = otlp::who_names_an_endpoint(reader, inputs) {
        reader.say(format!(
            "nothing is sent to the endpoint of {named}, since {origin} is `false`; hint: `OTEL_SDK_DISABLED=false` \
             holds over that"
        ));
    }
    true
}

/// What is asked for and is not in this build.
#[cfg(not(feature = "profiling"))]
fn warn_of_no_profiling(reader: &mut Reader<'_>, is_disabled: bool) {
    if !is_disabled {
        process::warn_of_what_is_missing(reader);
        traces::warn_of_what_is_missing(reader);
        runtime::warn_of_what_is_missing(reader);
    }
}

fn warn_of_profiles(reader: &mut Reader<'_>, is_disabled: bool) {
    if let Some((_, origin)) = reader
        .in_file("pyroscope_endpoint")
        .filter(|_| !is_disabled)
    {
        reader.say(format!(
            "{origin} is ignored: this version takes no profiles"
        ));
    }
}

/// What variables or the file say of it.
fn overhead_budget(reader: &mut Reader<'_>) -> Option<OverheadBudget> {
    reader.choice(
        "RINGLIGHT_OVERHEAD_BUDGET",
        "a percentage from `0.01%` to `100%`",
        |text| text.parse().ok(),
    )
}

/// Whether what is recorded of a panic has a backtrace: unless somebody who knows no more than the standard
/// library's variables wants none.
fn panic_backtrace(reader: &mut Reader<'_>, in_code: Option<bool>) -> bool {
    let said = in_code.or_else(|| reader.said_truth("RINGLIGHT_PANIC_BACKTRACE"));
    said.unwrap_or_else(|| {
        let own = reader.variable("RUST_LIB_BACKTRACE");
        let said = own.or_else(|| reader.variable("RUST_BACKTRACE"));
        said.is_none_or(|said| said != "0")
    })
}

fn reloads_on_hangup(reader: &mut Reader<'_>, in_code: Option<bool>) -> bool {
    in_code.unwrap_or_else(|| reader.truth("RINGLIGHT_RELOAD_ON_HANGUP"))
}
