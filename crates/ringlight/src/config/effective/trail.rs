//! Following a setting to whoever says what it is.

use ringlight_model::Signal;

use super::said::Said;
use super::{EffectiveSetting, SettingOrigin, without_secrets};
use crate::config::environment::{Environment, Reader, upper};
use crate::config::{ConfigFile, Origin, Setting, Settings, Shape, pipeline};

/// What the sampler of `OTEL_TRACES_SAMPLER` wants to know.
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Follows settings through everything that may say something about them.
pub(super) struct Trail<'a> {
    reader: Reader<'a>,
    file: Option<&'a ConfigFile>,
    settings: &'a Settings,
    said: Said,
    pub(super) found: Vec<EffectiveSetting>,
}

impl<'a> Trail<'a> {
    pub(super) const fn new(
        environment: &'a Environment,
        file: Option<&'a ConfigFile>,
        settings: &'a Settings,
        said: Said,
    ) -> Self {
        Self {
            reader: Reader::with_file(environment, file),
            file,
            settings,
            said,
            found: Vec::new(),
        }
    }

    /// Adds what holds of a setting.
    pub(super) fn follow(&mut self, setting: &'static Setting) {
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
            let now = pipeline::shown(&self.settings.pipeline);
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
                Origin::Variable(name) => (*name == own, SettingOrigin::Variable(name.clone())),
                Origin::File(_) => (true, self.of_variable(&own)),
                Origin::Application(_) => (false, SettingOrigin::Code),
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
        let of_code: Vec<_> = self.said.all_of_key(setting.key).collect();
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
