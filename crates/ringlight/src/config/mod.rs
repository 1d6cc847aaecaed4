//! From arguments, code and variables to settings, once.
//!
//! Precedence, first to last: command line, code, per-signal `OTEL_*` variables, `OTLP_ENDPOINT`,
//! generic `OTEL_*` variables, the file. A bad value on the command line, in code or in the file is an error; a
//! bad value in a variable is warned about and ignored, so that an environment never keeps a service
//! from starting.

mod declared;
mod effective;
mod environment;
mod file;
mod headers;
mod lines;
#[cfg(feature = "otel")]
mod metrics;
mod old;
mod otlp;
mod process;
mod redaction;
mod reload;
mod resource;
mod runtime;
#[cfg(feature = "otel")]
mod secrets;
mod setting;
mod spool;
mod traces;
mod units;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::{CollectorConfig, SpoolConfig};
use ringlight_model::Signal;
#[cfg(feature = "otel")]
use ringlight_secrets::SecretHeadersBuilder;

use crate::InitError;
use crate::budget::OverheadBudget;
use crate::filter::{ALLOWED, Filter, Filters, Output};
use crate::propagation::Format;
use crate::sampling::Sampler;
pub(crate) use effective::effective;
pub use effective::{EffectiveSetting, EffectiveSettings, SettingOrigin};
pub(crate) use environment::Environment;
use environment::Reader;
pub(crate) use file::ConfigFile;
pub use file::{ConfigError, ConfigProblem};
pub(crate) use lines::{LineInputs, Lines};
pub use lines::{LogColor, LogFile, LogFormat, LogRotation};
#[cfg(feature = "otel")]
pub(crate) use metrics::MetricsInputs;
pub use old::{OLD_SECTIONS, OldKey, OldSection, Replaced};
pub(crate) use otlp::{CERTIFICATE_CODE, CLIENT_CERTIFICATE_CODE, Origin, Route, Routes, TlsFiles};
pub use otlp::{Compression, Protocol};
#[cfg(feature = "otel")]
pub(crate) use otlp::{has_query, path};
pub(crate) use reload::{Changeable, Hangup, OfCode, Reloader, Watch};
pub use reload::{ReloadError, Reloaded};
pub use resource::ResourceDetector;
pub(crate) use resource::ResourceInputs;
pub(crate) use runtime::ConsoleInput;
#[cfg(feature = "profiling")]
pub(crate) use runtime::RuntimeInputs;
pub use setting::{SETTINGS, Setting, Shape};
#[cfg(feature = "profiling")]
pub(crate) use traces::TraceInputs;

/// What the application said in code and on its command line.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) environment: Environment,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) reload_on_hangup: Option<bool>,
    pub(crate) argument_endpoint: Option<String>,
    pub(crate) endpoint: Option<String>,
    /// Nothing of this process is recorded, so what keeps it from being sent does not apply.
    pub(crate) is_relay: bool,
    /// Nothing starts, what holds is told: no directory is made, and no source of a secret opened, which may be there for
    /// the service alone.
    pub(crate) is_look: bool,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) headers: Vec<(String, String)>,
    #[cfg(feature = "otel")]
    pub(crate) secret_headers: Option<SecretHeadersBuilder>,
    #[cfg(feature = "otel")]
    pub(crate) metrics: MetricsInputs,
    #[cfg(feature = "profiling")]
    pub(crate) traces: TraceInputs,
    #[cfg(feature = "profiling")]
    pub(crate) runtime: RuntimeInputs,
    pub(crate) console: ConsoleInput,
    pub(crate) compression: Option<Compression>,
    pub(crate) tls_files: TlsFiles,
    pub(crate) resource: ResourceInputs,
    pub(crate) lines: LineInputs,
    pub(crate) panic_backtrace: Option<bool>,
    pub(crate) audit_target: Option<String>,
    pub(crate) default_directives: Option<String>,
    /// Those of single outputs; the last ones of an output hold.
    pub(crate) output_directives: Vec<(Output, String)>,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) overhead_budget: Option<OverheadBudget>,
    /// Where variables begin.
    pub(crate) pipeline: CollectorConfig,
    /// What the code changes about that, after the variables.
    pub(crate) changes: Changes,
}

impl Inputs {
    /// Has the file that `OTEL_CONFIG_FILE` names take the place of the specification's variables. Not for a relay, which
    /// is no service.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong with it.
    pub(crate) fn read_declared(&mut self) -> Result<(), InitError> {
        let environment = std::mem::take(&mut self.environment);
        self.environment = declared::applied(environment)?;
        Ok(())
    }
}

/// Changes of the pipeline's settings, in the order the code has them.
#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

type Change = Box<dyn FnOnce(&mut CollectorConfig) + Send>;

impl Changes {
    pub(crate) fn add(&mut self, change: impl FnOnce(&mut CollectorConfig) + Send + 'static) {
        self.0.push(Box::new(change));
    }

    fn apply(self, config: &mut CollectorConfig) {
        for change in self.0 {
            change(config);
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changes").field(&self.0.len()).finish()
    }
}

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
    redaction: redaction::Said,
    /// To be shown to a person.
    pub(crate) warnings: Vec<String>,
    /// Those of them that another build of the program would not give.
    build_warnings: Vec<String>,
    /// The variables that are not understood.
    ignored: BTreeSet<String>,
    /// The settings that the code has changed by way of the pipeline.
    changed_by_code: Vec<&'static str>,
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

    /// Puts the inputs together, with what is right in the file.
    fn with_file(inputs: Inputs, file: Option<ConfigFile>) -> Result<Self, InitError> {
        let environment = inputs.environment.clone();
        let mut reader = Reader::with_file(&environment, file.as_ref());
        let deprecated = file.iter().flat_map(|file| &file.warnings);
        let declared = environment.declared().into_iter();
        let declared = declared.flat_map(|file| &file.warnings);
        let warnings = deprecated.chain(declared);
        warnings.for_each(|warning| reader.say(warning.clone()));
        let filters = filters(
            &mut reader,
            inputs.default_directives.as_deref(),
            &inputs.output_directives,
            inputs.audit_target.as_deref(),
        )?;
        let is_disabled = !inputs.is_relay && is_disabled(&mut reader, &inputs);
        let routes = if is_disabled {
            None
        } else {
            otlp::routes(&mut reader, &inputs)?
        };
        #[cfg(feature = "otel")]
        let mut routes = routes;
        #[cfg(feature = "profiling")]
        let traces = traces::traces(&mut reader, inputs.traces, is_disabled);
        #[cfg(feature = "profiling")]
        let runtime = runtime::runtime(&mut reader, &inputs.runtime);
        #[cfg(not(feature = "profiling"))]
        if !is_disabled {
            process::warn_of_what_is_missing(&mut reader);
            traces::warn_of_what_is_missing(&mut reader);
            runtime::warn_of_what_is_missing(&mut reader);
        }
        let console = match is_disabled {
            true => ConsoleInput::Impossible,
            false => inputs.console,
        };
        #[cfg(feature = "tokio-console")]
        let console = runtime::console(&mut reader, console)?;
        #[cfg(not(feature = "tokio-console"))]
        runtime::warn_of_no_console(&mut reader, console);
        #[cfg(feature = "otel")]
        let secret_headers = match (&mut routes, inputs.secret_headers) {
            (None, _) => None,
            (Some(routes), Some(given)) => {
                secrets::give_to_all(routes);
                Some(given)
            }
            (Some(routes), None) => {
                secrets::withhold_from_others(&mut reader, routes);
                if inputs.is_look {
                    secrets::look(&reader)?;
                    None
                } else {
                    secrets::headers(&mut reader, inputs.is_relay)?
                }
            }
        };
        #[cfg(all(feature = "otel", feature = "profiling"))]
        let metrics_interval = inputs.metrics.interval;
        #[cfg(feature = "otel")]
        let metrics = metrics::metrics(&mut reader, inputs.metrics, is_disabled);
        #[cfg(all(feature = "otel", feature = "profiling"))]
        if routes.as_ref().is_some_and(|to| to.metrics.is_some()) {
            metrics::warn_of_intervals(&mut reader, &metrics, metrics_interval.is_some());
        }
        if let Some((_, origin)) = reader
            .in_file("pyroscope_endpoint")
            .filter(|_| !is_disabled)
        {
            reader.say(format!(
                "{origin} is ignored: this version takes no profiles"
            ));
        }
        let from_environment = sampler(&mut reader);
        let sampler = inputs.sampler.or(from_environment).unwrap_or_default();
        let budget = reader.choice(
            "RINGLIGHT_OVERHEAD_BUDGET",
            "a percentage from `0.01%` to `100%`",
            |text| text.parse().ok(),
        );
        let formats = formats(&mut reader);
        let lines = lines::lines(&mut reader, &inputs.lines);
        let panic_backtrace =
            (inputs.panic_backtrace).unwrap_or_else(|| panic_backtrace(&mut reader));
        let reloads_on_hangup =
            (inputs.reload_on_hangup).unwrap_or_else(|| reader.truth("RINGLIGHT_RELOAD_ON_HANGUP"));
        let mut pipeline = inputs.pipeline;
        batching(&mut reader, &mut pipeline);
        let redaction = redaction::Said::of(&mut reader);
        pipeline.processing = pipeline.processing.base_redaction(redaction.redaction());
        // To look whether its directory can be used is to make it, which is not done for nothing.
        if let Some(spool) = spool::spool(&mut reader).filter(|_| !is_disabled) {
            pipeline.spool = Some(spool);
        }
        let by_variable = pipeline.spool.as_ref().map(|spool| spool.dir.clone());
        let before = effective::of_pipeline(&pipeline);
        inputs.changes.apply(&mut pipeline);
        let after = effective::of_pipeline(&pipeline).into_iter();
        let changed = after.filter(|now| !before.contains(now));
        let changed_by_code = changed.map(|(key, _)| key).collect();
        if is_disabled {
            pipeline.spool = None;
        } else if pipeline.spool.is_none() {
            spool::warn_of_what_needs_a_directory(&mut reader);
        }
        // One that the code asks for is an error where it cannot be used, when the pipeline starts.
        let is_by_variable = |spool: &SpoolConfig| by_variable.as_ref() == Some(&spool.dir);
        if let Some(spool) = pipeline
            .spool
            .as_ref()
            .filter(|spool| is_by_variable(spool))
            && let Some(warning) =
                spool::unusable(spool, inputs.is_look, &reader.origin(spool::DIR))
        {
            reader.say(warning);
            pipeline.spool = None;
        }
        let mut resource = inputs.resource;
        let further = &mut pipeline.resource.attributes;
        resource.attributes.append(further);
        pipeline.resource.attributes = resource::attributes(&mut reader, resource);
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
                .or(budget.filter(|_| !pipeline.governor.is_set())),
            formats,
            lines,
            panic_backtrace,
            pipeline,
            warnings: reader.warnings,
            build_warnings: reader.build_warnings,
            ignored: reader.ignored,
            file: file.map(Arc::new),
            reloads_on_hangup,
            redaction,
            changed_by_code,
        })
    }
}

impl Settings {
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

/// Whether what is recorded of a panic has a backtrace: unless somebody who knows no more than the standard
/// library's variables wants none.
fn panic_backtrace(reader: &mut Reader<'_>) -> bool {
    let said = reader.said_truth("RINGLIGHT_PANIC_BACKTRACE");
    said.unwrap_or_else(|| {
        let own = reader.variable("RUST_LIB_BACKTRACE");
        let said = own.or_else(|| reader.variable("RUST_BACKTRACE"));
        said.is_none_or(|said| said != "0")
    })
}

/// The target of audit events, unless told otherwise.
const AUDIT_TARGET: &str = "audit";

/// What a variable or the file says holds over what the code has as a default for the same outputs.
fn filters(
    reader: &mut Reader<'_>,
    default: Option<&str>,
    own: &[(Output, String)],
    audit: Option<&str>,
) -> Result<Filters, InitError> {
    let of_code = |origin: String, directives: &str| {
        Filter::parse_strictly(directives).map_err(|bad| InitError::Filter {
            origin,
            directive: bad.directive,
            reason: bad.reason,
        })
    };
    let origin = "`default_filter` in code".to_owned();
    let default = of_code(origin, default.unwrap_or_default())?;
    let general = directives(reader, "RUST_LOG").or(default);
    let audit = audit
        .map(str::to_owned)
        .or_else(|| reader.text("RINGLIGHT_AUDIT_TARGET"));
    let audit = audit.as_deref().unwrap_or(AUDIT_TARGET);
    let mut filters = Filters::new(general.unwrap_or_default())
        .with_audit(Some(audit).filter(|audit| !matches!(*audit, "none" | "")));
    for (output, text) in own {
        let origin = format!("`default_filter_for({output:?}, ..)` in code");
        filters.set_own(*output, of_code(origin, text)?);
    }
    for output in Output::ALL {
        if let Some(filter) = directives(reader, output.variable()) {
            filters.set_own(output, Some(filter));
        }
    }
    Ok(filters)
}

/// The filter a variable describes, or the file in its place; `None` if there is no directive that is understood.
fn directives(reader: &mut Reader<'_>, variable: &str) -> Option<Filter> {
    let in_file = |reader: &Reader<'_>| {
        let text = reader.by_file(variable)?;
        Filter::parse_any(&text).0
    };
    let Some(text) = reader.variable(variable) else {
        return in_file(reader);
    };
    let (filter, bad) = Filter::parse_any(&text);
    for bad in bad {
        let (directive, reason) = (bad.directive, bad.reason);
        reader.say(format!(
            "log directive `{directive}` of `{variable}` is ignored: {reason}; hint: {ALLOWED}"
        ));
    }
    if filter.is_none() {
        reader.ignored.insert(variable.to_owned());
    }
    filter.or_else(|| in_file(reader))
}

/// `OTEL_TRACES_SAMPLER` and its argument. The specification has a bad argument ignored, which
/// leaves the share it has without one: all.
fn sampler(reader: &mut Reader<'_>) -> Option<Sampler> {
    const NAMES: &str =
        "`always_on`, `always_off`, `traceidratio`, each also with `parentbased_` before it";
    let name = reader.choice("OTEL_TRACES_SAMPLER", NAMES, |name| {
        let root = name.strip_prefix("parentbased_").unwrap_or(name);
        let is_known = ["always_on", "always_off", "traceidratio"].contains(&root);
        is_known.then(|| name.to_owned())
    });
    let Some(name) = name else {
        let (rate, _) = reader.in_file("sample_rate")?;
        return Some(Sampler::trace_id_ratio(rate.parse().ok()?).parent_based());
    };
    let (root, is_parent_based) = match name.strip_prefix("parentbased_") {
        Some(root) => (root, true),
        None => (name.as_str(), false),
    };
    let sampler = match root {
        "always_off" => Sampler::always_off(),
        "traceidratio" => {
            let ratio = reader.choice("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", |text| {
                text.parse()
                    .ok()
                    .filter(|ratio| (0.0..=1.0).contains(ratio))
            });
            Sampler::trace_id_ratio(ratio.unwrap_or(1.0))
        }
        _ => Sampler::always_on(),
    };
    Some(if is_parent_based {
        sampler.parent_based()
    } else {
        sampler
    })
}

/// `OTEL_PROPAGATORS`: names separated by commas, or `none`. What is not known is left out.
fn formats(reader: &mut Reader<'_>) -> Vec<Format> {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    const KNOWN: &str = "`tracecontext`, `baggage`, `b3`, `b3multi`, `jaeger`, `none`";
    let Some(text) = reader.text(VARIABLE) else {
        return Format::DEFAULT.to_vec();
    };
    let mut formats = Vec::new();
    let names = text.split(',').map(str::trim).filter(|n| !n.is_empty());
    for name in names {
        match Format::from_name(name) {
            Some(format) if formats.contains(&format) => {}
            Some(format) => formats.push(format),
            None if name == "none" => {}
            None => match Format::feature_of(name) {
                Some(feature) => {
                    let what = format!("`{name}` of {}", reader.origin(VARIABLE));
                    reader.say_without(&what, feature);
                }
                None => reader.warn(VARIABLE, name, KNOWN),
            },
        }
    }
    formats
}

/// Spans and logs share one pipeline, so of two settings for the same thing the shorter or smaller
/// holds for both.
fn batching(reader: &mut Reader<'_>, pipeline: &mut CollectorConfig) {
    const HOUR_MS: u64 = 3_600_000;
    let of_file = |key| {
        reader
            .in_file(key)
            .and_then(|(text, _)| units::duration(&text))
    };
    let (file_delay, file_timeout) = (of_file("batch_delay"), of_file("otlp_timeout"));
    let mut millis = |name: &str| {
        reader.number(name, "1 to 3600000 (milliseconds)", |ms| {
            (1..=HOUR_MS)
                .contains(&ms)
                .then(|| Duration::from_millis(ms))
        })
    };
    let delay = shorter(
        millis("OTEL_BSP_SCHEDULE_DELAY"),
        millis("OTEL_BLRP_SCHEDULE_DELAY"),
    );
    if let Some(delay) = delay.or(file_delay) {
        pipeline.batch_delay = delay;
    }
    let per_signal = shorter(
        millis("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
        millis("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"),
    );
    let processors = shorter(
        millis("OTEL_BSP_EXPORT_TIMEOUT"),
        millis("OTEL_BLRP_EXPORT_TIMEOUT"),
    );
    let generic = millis("OTEL_EXPORTER_OTLP_TIMEOUT");
    if let Some(timeout) = per_signal.or(generic).or(processors).or(file_timeout) {
        pipeline.export_timeout = timeout;
    }
    if let Some(timeout) = millis("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT")
        .or(generic)
        .or(file_timeout)
    {
        pipeline.metrics_timeout = Some(timeout);
    }
    let allowed = "a time such as `30s`, at most `1h`, or `0s` for never";
    if let Some(interval) = reader.choice("RINGLIGHT_REPORT_INTERVAL", allowed, |text| {
        units::duration(text).filter(|interval| *interval <= Duration::from_millis(HOUR_MS))
    }) {
        pipeline.report_interval = interval;
    }
    let names = [
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    ];
    let records = reader.least(names, "1 to 1000000", |text| {
        text.parse()
            .ok()
            .filter(|count| (1..=1_000_000).contains(count))
    });
    if let Some(records) = records {
        pipeline.batch_records_max = records;
    }
    let mut limit = |name: &str| reader.number(name, "a number", |n| usize::try_from(n).ok());
    if let Some(count) = shorter(
        limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
        limit("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"),
    )
    .or(limit("OTEL_ATTRIBUTE_COUNT_LIMIT"))
    {
        pipeline.limits.attributes_max = count;
    }
    if let Some(bytes) = shorter(
        limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        limit("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    )
    .or(limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"))
    {
        pipeline.limits.text_bytes_max = bytes;
    }
    let limits = &mut pipeline.limits;
    for (name, place) in [
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", &mut limits.events_max),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", &mut limits.links_max),
        (
            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
            &mut limits.event_attributes_max,
        ),
        (
            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
            &mut limits.link_attributes_max,
        ),
    ] {
        if let Some(count) = limit(name) {
            *place = count;
        }
    }
}

fn shorter<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

/// The part of a per-signal variable's name.
const fn upper(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "TRACES",
        Signal::Logs => "LOGS",
        Signal::Metrics => "METRICS",
        Signal::Profiles => "PROFILES",
    }
}
