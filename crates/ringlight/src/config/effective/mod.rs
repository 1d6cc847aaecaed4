//! What holds of every setting, and who said so.

use std::fmt;

use ringlight_collector::{CollectorConfig, SpoolMode};
use ringlight_model::Signal;

use super::environment::Reader;
use super::file::ConfigFile;
use super::setting::{SETTINGS, Setting, Shape};
use super::{ConsoleInput, Inputs, LineInputs, LogFormat, Settings, units, upper};
use crate::InitError;
use crate::filter::Output;

/// What holds where telemetry would start now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EffectiveSettings {
    /// The file that was read, if there is one.
    pub file: Option<std::path::PathBuf>,
    /// Whether that file has the table `[telemetry]`, or sections of an earlier version in its place. Without, it sets
    /// nothing, as where an application has other settings in it.
    pub has_section: bool,
    /// The settings, in the order of [`SETTINGS`]. No secret is among them: of headers there are the names, of addresses
    /// neither credentials nor queries.
    pub settings: Vec<EffectiveSetting>,
    /// What is ignored, and why.
    pub warnings: Vec<String>,
    /// What is ignored since this build of the program does not have it: of no interest to a tool that looks at the settings
    /// of another.
    pub build_warnings: Vec<String>,
}

/// One setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveSetting {
    /// Its key; for what holds for one signal alone followed by ` (traces)` and so on.
    pub key: String,
    /// Its value, as a variable would have it; a default may be a description.
    pub value: String,
    /// Who said so.
    pub origin: SettingOrigin,
}

/// Who said what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingOrigin {
    /// The command line of the program.
    CommandLine,
    /// The code of the program.
    Code,
    /// This variable.
    Variable(String),
    /// The file, at `path:line`.
    File(String),
    /// Nobody.
    Default,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Code => f.write_str("code"),
            Self::Variable(name) => f.write_str(name),
            Self::File(place) => f.write_str(place),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Puts the inputs together as [`Settings::resolve`] does, and tells what came of it.
///
/// # Errors
/// As [`Settings::resolve`].
pub(crate) fn effective(mut inputs: Inputs) -> Result<EffectiveSettings, InitError> {
    inputs.is_look = true;
    inputs.read_declared()?;
    let environment = inputs.environment.clone();
    let file = ConfigFile::find(inputs.config_file.as_deref(), &environment)?;
    let said = Said::of(&inputs);
    let settings = Settings::resolve(inputs)?;
    let mut trail = Trail {
        reader: Reader::with_file(&environment, file.as_ref()),
        file: file.as_ref(),
        settings: &settings,
        said,
        found: Vec::new(),
    };
    for setting in SETTINGS {
        trail.follow(setting);
    }
    let found = trail.found;
    let mut warnings = settings.warnings;
    warnings.retain(|warning| !settings.build_warnings.contains(warning));
    Ok(EffectiveSettings {
        settings: found,
        has_section: file.as_ref().is_some_and(|file| file.has_section),
        file: file.map(|file| file.path().to_owned()),
        warnings,
        build_warnings: settings.build_warnings,
    })
}

/// What the program says of settings, before it is used up.
#[derive(Debug, Default)]
struct Said(Vec<(&'static str, String, SettingOrigin)>);

impl Said {
    fn of(inputs: &Inputs) -> Self {
        let mut said = Self::default();
        let mut add = |key, value: Option<String>, origin| {
            said.0.extend(value.map(|value| (key, value, origin)));
        };
        let (line, code) = (SettingOrigin::CommandLine, SettingOrigin::Code);
        let format = |format: LogFormat| format.name().to_owned();
        let path = |path: &std::path::Path| path.display().to_string();
        add(
            "otlp_endpoint",
            inputs.argument_endpoint.clone(),
            line.clone(),
        );
        let argument = inputs.lines.argument_format.map(format);
        add("log_format", argument, line.clone());
        #[cfg(feature = "profiling")]
        {
            let directory = inputs.traces.argument_dir.as_deref().map(path);
            add("trace_dir", directory, line.clone());
        }
        #[cfg(feature = "prometheus")]
        {
            let argument = inputs.metrics.argument_prometheus.clone();
            add("prometheus_address", argument, line.clone());
        }
        add("otlp_endpoint", inputs.endpoint.clone(), code.clone());
        add("log_format", inputs.lines.format.map(format), code.clone());
        let backtrace = inputs.panic_backtrace.map(|said| said.to_string());
        add("panic_backtrace", backtrace, code.clone());
        add("audit_target", inputs.audit_target.clone(), code.clone());
        of_lines(&inputs.lines, |key, value| {
            add(key, Some(value), code.clone())
        });
        add(
            "service_name",
            inputs.resource.service_name.clone(),
            code.clone(),
        );
        let protocol = inputs.protocol.map(|protocol| protocol.name().to_owned());
        add("otlp_protocol", protocol, code.clone());
        let compression = inputs
            .compression
            .map(|compression| compression.name().to_owned());
        add("otlp_compression", compression, code.clone());
        let files = &inputs.tls_files;
        let certificate = files.certificate.as_ref().map(|(file, _)| path(file));
        add("otlp_certificate", certificate, code.clone());
        if let Some((certificate, key, _)) = &files.client {
            add(
                "otlp_client_certificate",
                Some(path(certificate)),
                code.clone(),
            );
            add("otlp_client_key", Some(path(key)), code.clone());
        }
        let sampler = inputs.sampler.map(|sampler| sampler.to_string());
        add("sample_rate", sampler, code.clone());
        let budget = inputs.overhead_budget.map(|budget| budget.to_string());
        add("overhead_budget", budget, code.clone());
        #[cfg(feature = "otel")]
        {
            let spans = inputs.metrics.span_metrics;
            add(
                "span_metrics",
                spans.map(|spans| spans.to_string()),
                code.clone(),
            );
        }
        #[cfg(feature = "otel")]
        {
            let interval = inputs.metrics.interval.map(units::written);
            add("metric_export_interval", interval, code.clone());
        }
        #[cfg(feature = "prometheus")]
        if let Some(crate::metrics::Scraped::At { address, .. }) = &inputs.metrics.prometheus {
            add("prometheus_address", Some(address.clone()), code.clone());
        }
        let detectors = inputs.resource.detectors.as_ref().map(|detectors| {
            let names: Vec<_> = detectors.iter().map(|detector| detector.name()).collect();
            names.join(",")
        });
        add("resource_detectors", detectors, code.clone());
        for attribute in &inputs.resource.attributes {
            let pair = format!("{}={}", attribute.key, attribute.value);
            add("resource_attributes", Some(pair), code.clone());
        }
        #[cfg(feature = "profiling")]
        if let Some(file) = &inputs.traces.file {
            add("trace_dir", Some(path(&file.directory)), code.clone());
            add("trace_format", Some(file.format.to_string()), code.clone());
            if !file.include_args {
                add("include_args", Some("false".to_owned()), code.clone());
            }
            let size = |bytes| Some(units::written_size(bytes));
            add("trace_file_size", size(file.file_bytes_max), code.clone());
            add(
                "trace_dir_size_limit",
                size(file.directory_bytes_max),
                code.clone(),
            );
        }
        #[cfg(feature = "profiling")]
        if let Some(include_args) = inputs.traces.include_args {
            add("include_args", Some(include_args.to_string()), code.clone());
        }
        #[cfg(feature = "profiling")]
        add(
            "busy_times",
            inputs.traces.busy_times.map(|is_on| is_on.to_string()),
            code.clone(),
        );
        #[cfg(feature = "profiling")]
        {
            let said = &inputs.runtime;
            let watches = said.watches_current.map(|watches| watches.to_string());
            add("watch_current_runtime", watches, code.clone());
            let after = said.blocked_after.map(units::written);
            add("blocked_worker_after", after, code.clone());
        }
        if inputs.console == ConsoleInput::Wanted {
            add("tokio_console", Some("true".to_owned()), code.clone());
        }
        let reload = inputs.reload_on_hangup.map(|reload| reload.to_string());
        add("reload_on_hangup", reload, code.clone());
        // Filters of the code are defaults: see `Trail::last`.
        add("filter", inputs.default_directives.clone(), code.clone());
        for (output, directives) in &inputs.output_directives {
            add(filter_key(*output), Some(directives.clone()), code.clone());
        }
        said
    }

    fn of_key(&self, key: &str) -> Option<(String, SettingOrigin)> {
        let (_, value, origin) = self.0.iter().find(|(known, ..)| *known == key)?;
        Some((value.clone(), origin.clone()))
    }
}

/// What the code says of log lines, besides their format.
fn of_lines(said: &LineInputs, mut add: impl FnMut(&'static str, String)) {
    if let Some(color) = said.color {
        add("log_color", color.name().to_owned());
    }
    if let Some(spans) = said.spans {
        add("log_spans", spans.to_string());
    }
    let Some(file) = &said.file else { return };
    add("log_file", file.path.display().to_string());
    add("log_file_format", file.format.name().to_owned());
    add("log_file_rotation", file.rotation.name().to_owned());
    add("log_file_size_limit", units::written_size(file.bytes_max));
    add("log_files_kept", file.files_kept.to_string());
}

const fn filter_key(output: Output) -> &'static str {
    match output {
        Output::Lines => "filter_lines",
        Output::Logs => "filter_logs",
        Output::Traces => "filter_traces",
    }
}

/// What the sampler of `OTEL_TRACES_SAMPLER` wants to know.
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Follows settings through everything that may say something about them.
struct Trail<'a> {
    reader: Reader<'a>,
    file: Option<&'a ConfigFile>,
    settings: &'a Settings,
    said: Said,
    found: Vec<EffectiveSetting>,
}

impl Trail<'_> {
    fn follow(&mut self, setting: &'static Setting) {
        match setting.key {
            "resource_attributes" => return self.attributes(setting),
            "redact_keys" => return self.redacted_keys(setting),
            _ => {}
        }
        let (value, origin) = self.holds(setting);
        let value = match setting.shape {
            Shape::Url => without_secrets(&value),
            _ => value,
        };
        self.add(setting.key, value, origin);
        self.of_single_signals(setting);
        if setting.key == "otlp_timeout" {
            self.headers();
        }
    }

    fn add(&mut self, key: impl Into<String>, value: impl Into<String>, origin: SettingOrigin) {
        self.found.push(EffectiveSetting {
            key: key.into(),
            value: value.into(),
            origin,
        });
    }

    fn holds(&self, setting: &'static Setting) -> (String, SettingOrigin) {
        let is_filter = setting.shape == Shape::Directives;
        let by_program = self.said.of_key(setting.key);
        if let Some(found) = by_program.clone().filter(|_| !is_filter) {
            return found;
        }
        if self.settings.changed_by_code.contains(&setting.key) {
            let now = of_pipeline(&self.settings.pipeline);
            if let Some((_, value)) = now.into_iter().find(|(key, _)| *key == setting.key) {
                return (value, SettingOrigin::Code);
            }
        }
        if let Some(found) = self.by_variable(setting) {
            return found;
        }
        if let Some(entry) = self.file.and_then(|file| file.by_key(setting.key))
            && !self.is_beside_the_point(setting.key)
        {
            let place = self.file.map(|file| file.position_of(entry));
            let value = match setting.key {
                // The least there is.
                "system_metrics_interval_secs" if entry.text == "0" => "1".to_owned(),
                _ => entry.text.clone(),
            };
            return (value, SettingOrigin::File(place.unwrap_or_default()));
        }
        by_program.unwrap_or_else(|| (setting.default.replace('`', ""), SettingOrigin::Default))
    }

    /// The protocol in the file is that of the endpoint in the file.
    fn is_beside_the_point(&self, key: &str) -> bool {
        let endpoints = ["OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        key == "otlp_protocol"
            && (self.said.of_key("otlp_endpoint").is_some()
                || (endpoints.iter()).any(|name| self.counts(name)))
    }

    fn by_variable(&self, setting: &'static Setting) -> Option<(String, SettingOrigin)> {
        let also = match setting.key {
            "otlp_endpoint" => &["OTEL_EXPORTER_OTLP_ENDPOINT"][..],
            "batch_delay" => &["OTEL_BLRP_SCHEDULE_DELAY"],
            "batch_records_max" => &["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"],
            "attribute_count_limit" => &[
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
                "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
            ],
            "attribute_value_length_limit" => &[
                "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            ],
            "resource_detectors" => &["OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"],
            _ => &[],
        };
        let names = setting.variable.iter().chain(also).copied();
        let names: Vec<_> = names.filter(|name| self.counts(name)).collect();
        // Where there is one for each signal, the smaller holds.
        let holds = |name: &&&str| {
            let number = self
                .reader
                .variable(name)
                .and_then(|text| text.parse().ok());
            number.is_some() && number == self.number_of(setting.key)
        };
        let name = *names.iter().find(holds).or(names.first())?;
        let value = self.reader.variable(name)?;
        let value = match setting.key {
            "enabled" => (!value.eq_ignore_ascii_case("true")).to_string(),
            "batch_delay" | "metric_export_interval" | "otlp_timeout" => format!("{value}ms"),
            "sample_rate" => match self.reader.variable(SAMPLER_ARGUMENT) {
                Some(argument)
                    if value.ends_with("traceidratio") && self.counts(SAMPLER_ARGUMENT) =>
                {
                    format!("{value} {argument}")
                }
                _ => value,
            },
            _ => value,
        };
        Some((value, self.of_variable(name)))
    }

    /// Whether a variable is set and was not ignored.
    fn counts(&self, name: &str) -> bool {
        self.reader.variable(name).is_some() && !self.settings.ignored.contains(name)
    }

    /// What came of a setting that several variables may say, in their unit.
    fn number_of(&self, key: &str) -> Option<u128> {
        let pipeline = &self.settings.pipeline;
        match key {
            "batch_delay" => Some(pipeline.batch_delay.as_millis()),
            "batch_records_max" => Some(pipeline.batch_records_max as u128),
            "attribute_count_limit" => Some(pipeline.limits.attributes_max as u128),
            "attribute_value_length_limit" => Some(pipeline.limits.text_bytes_max as u128),
            _ => None,
        }
    }

    /// Who says what a variable does: it, or the specification's file in its place.
    fn of_variable(&self, name: &str) -> SettingOrigin {
        let place = (self.reader.declared()).and_then(|file| file.position(name));
        place.map_or_else(
            || SettingOrigin::Variable(name.to_owned()),
            SettingOrigin::File,
        )
    }

    /// The specification has variables for single signals, which hold for those.
    fn of_single_signals(&mut self, setting: &'static Setting) {
        let Some(what) = setting.key.strip_prefix("otlp_") else {
            return;
        };
        if self.said.of_key(setting.key).is_some() {
            return;
        }
        for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
            let name = format!(
                "OTEL_EXPORTER_OTLP_{}_{}",
                upper(signal),
                what.to_ascii_uppercase()
            );
            let value = self.reader.variable(&name);
            if let Some(value) = value.filter(|_| !self.settings.ignored.contains(&name)) {
                let value = match (setting.shape, what) {
                    (Shape::Url, _) => without_secrets(&value),
                    (_, "timeout") => format!("{value}ms"),
                    _ => value,
                };
                let key = format!("{} ({})", setting.key, signal.as_str());
                let origin = self.of_variable(&name);
                self.add(key, value, origin);
            }
        }
    }

    /// Headers are no setting of the file, but of the process: their names, and where they are.
    fn headers(&mut self) {
        let mut names: Vec<(String, String, SettingOrigin)> = Vec::new();
        let routes = self.settings.routes.iter();
        let routes = routes.flat_map(|routes| {
            [
                (Signal::Traces, routes.traces.as_ref()),
                (Signal::Logs, routes.logs.as_ref()),
                (Signal::Metrics, routes.metrics.as_ref()),
            ]
        });
        for (signal, route) in routes {
            let Some(route) = route.filter(|route| !route.headers.is_empty()) else {
                continue;
            };
            let shown: Vec<_> = route
                .headers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            let shown = format!("{} (values not shown)", shown.join(", "));
            let own = format!("OTEL_EXPORTER_OTLP_{}_HEADERS", upper(signal));
            let (is_own, origin) = match &route.headers_origin {
                super::Origin::Variable(name) => {
                    (*name == own, SettingOrigin::Variable(name.clone()))
                }
                super::Origin::File(_) => (true, self.of_variable(&own)),
                super::Origin::Application(_) => (false, SettingOrigin::Code),
            };
            let key = if is_own {
                format!("otlp_headers ({})", signal.as_str())
            } else {
                "otlp_headers".to_owned()
            };
            let row = (key, shown, origin);
            if !names.contains(&row) {
                names.push(row);
            }
        }
        for (key, value, origin) in names {
            self.add(key, value, origin);
        }
    }

    fn attributes(&mut self, setting: &'static Setting) {
        let before = self.found.len();
        let mut seen = Vec::new();
        let of_code: Vec<_> = (self.said.0.iter())
            .filter(|(key, ..)| *key == setting.key)
            .map(|(_, pair, origin)| (pair.clone(), origin.clone()))
            .collect();
        let pairs = self.reader.pairs("OTEL_RESOURCE_ATTRIBUTES");
        let variable = self.of_variable("OTEL_RESOURCE_ATTRIBUTES");
        let declared = self.reader.declared().into_iter();
        let declared = declared.flat_map(|file| file.attributes());
        let declared: Vec<_> = declared
            .map(|(key, value, place)| (format!("{key}={value}"), SettingOrigin::File(place)))
            .collect();
        let of_variable = pairs
            .into_iter()
            .map(|(key, value)| (format!("{key}={value}"), variable.clone()));
        let place = (self.file)
            .and_then(|file| Some(file.position_of(file.by_key(setting.key)?)))
            .unwrap_or_default();
        let of_file = self.reader.file_attributes().map(|(key, value)| {
            (
                format!("{key}={}", value),
                SettingOrigin::File(place.clone()),
            )
        });
        for (pair, origin) in (of_code.into_iter())
            .chain(declared)
            .chain(of_variable)
            .chain(of_file)
        {
            let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
            if !seen.contains(&key.to_owned()) {
                seen.push(key.to_owned());
                self.add(format!("{}.{key}", setting.key), value, origin);
            }
        }
        if self.found.len() == before {
            self.add(setting.key, setting.default, SettingOrigin::Default);
        }
    }

    /// Those of the variable and those of the file.
    fn redacted_keys(&mut self, setting: &'static Setting) {
        let before = self.found.len();
        if let Some((value, origin)) = self.by_variable(setting) {
            self.add(setting.key, value, origin);
        }
        if let Some((file, entry)) = self
            .file
            .and_then(|file| Some((file, file.by_key(setting.key)?)))
        {
            let origin = SettingOrigin::File(file.position_of(entry));
            self.add(setting.key, entry.text.clone(), origin);
        }
        if self.found.len() == before {
            self.add(setting.key, setting.default, SettingOrigin::Default);
        }
    }
}

/// The settings that code changes by way of the pipeline's configuration.
pub(super) fn of_pipeline(config: &CollectorConfig) -> Vec<(&'static str, String)> {
    let limits = &config.limits;
    let mut shown = vec![
        ("otlp_timeout", units::written(config.export_timeout)),
        ("batch_delay", units::written(config.batch_delay)),
        ("report_interval", units::written(config.report_interval)),
        ("batch_records_max", config.batch_records_max.to_string()),
        ("attribute_count_limit", limits.attributes_max.to_string()),
        (
            "attribute_value_length_limit",
            limits.text_bytes_max.to_string(),
        ),
        ("span_event_count_limit", limits.events_max.to_string()),
        ("span_link_count_limit", limits.links_max.to_string()),
        (
            "event_attribute_count_limit",
            limits.event_attributes_max.to_string(),
        ),
        (
            "link_attribute_count_limit",
            limits.link_attributes_max.to_string(),
        ),
    ];
    if let Some(spool) = &config.spool {
        let mode = match spool.mode {
            SpoolMode::Always => "always",
            _ => "overflow",
        };
        shown.extend([
            ("spool_dir", spool.dir.display().to_string()),
            ("spool_mode", mode.to_owned()),
            ("spool_size_limit", units::written_size(spool.bytes_max)),
            ("spool_max_age", units::written(spool.age_max)),
        ]);
    }
    shown
}

/// An address without what may be secret in it: credentials and the query.
pub(super) fn without_secrets(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (rest, query) = rest.split_at(end);
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => authority.to_owned(),
    };
    let query = if query.is_empty() { "" } else { "?…" };
    format!("{scheme}{authority}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn what_is_told_to_hold_is_what_does() {
        let variables = [
            ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "1000"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "no"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "70"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "7"),
            ("RINGLIGHT_TRACE_DIR", "there"),
            ("RINGLIGHT_TRACE_FILE_SIZE", "1KiB"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut inputs = Inputs {
            environment: Environment::Fixed(variables.into()),
            ..Inputs::default()
        };
        #[cfg(feature = "otel")]
        {
            inputs.metrics.interval = Some(std::time::Duration::from_secs(2));
        }
        inputs.resource.service_name = Some("shop".to_owned());
        let held = effective(inputs).unwrap();
        let check = |key: &str, value: &str, origin: &str| {
            let mut all = held.settings.iter();
            let found = all.find(|setting| setting.key == key).unwrap();
            let shown = (&*found.value, &*found.origin.to_string());
            assert_eq!(shown, (value, origin), "{key}");
        };
        check("batch_delay", "1000ms", "OTEL_BLRP_SCHEDULE_DELAY");
        check("batch_records_max", "70", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE");
        check(
            "attribute_count_limit",
            "5",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        );
        check("sample_rate", "traceidratio", "OTEL_TRACES_SAMPLER");
        #[cfg(feature = "otel")]
        check("metric_export_interval", "2s", "code");
        #[cfg(feature = "profiling")]
        check("trace_file_size", "64MiB", "default");
    }
}
