//! What the program says of settings, on its command line and in its code.

#[cfg(feature = "profiling")]
use std::path::Path;

use super::SettingOrigin;
#[cfg(feature = "otel")]
use crate::config::MetricsInputs;
use crate::config::{ConsoleInput, Inputs, LineInputs, LogFormat, ResourceInputs, TlsFiles, units};
#[cfg(feature = "profiling")]
use crate::config::{RuntimeInputs, TraceInputs};
use crate::filter::Output;

/// What the program says of settings, before it is used up. Of several values for a key the first holds.
#[derive(Debug, Default)]
pub(super) struct Said(Vec<(&'static str, String, SettingOrigin)>);

impl Said {
    pub(super) fn of(inputs: &Inputs) -> Self {
        let mut said = Self::default();
        said.command_line(inputs);
        said.requests(inputs);
        said.tls_files(&inputs.tls_files);
        said.filters(inputs);
        said.lines(&inputs.lines);
        said.resource(&inputs.resource);
        #[cfg(feature = "otel")]
        said.metrics(&inputs.metrics);
        #[cfg(feature = "profiling")]
        said.traces(&inputs.traces);
        #[cfg(feature = "profiling")]
        said.runtime(&inputs.runtime);
        said.code("sample_rate", inputs.sampler);
        said.code("overhead_budget", inputs.overhead_budget);
        said.code("panic_backtrace", inputs.panic_backtrace);
        said.code("reload_on_hangup", inputs.reload_on_hangup);
        let is_wanted = inputs.console == ConsoleInput::Wanted;
        said.code("tokio_console", is_wanted.then_some(true));
        said
    }

    pub(super) fn of_key(&self, key: &str) -> Option<(String, SettingOrigin)> {
        self.all_of_key(key).next()
    }

    /// Of what has many values.
    pub(super) fn all_of_key(&self, key: &str) -> impl Iterator<Item = (String, SettingOrigin)> {
        let said = self.0.iter().filter(move |(known, ..)| *known == key);
        said.map(|(_, value, origin)| (value.clone(), origin.clone()))
    }

    fn add(&mut self, key: &'static str, value: Option<impl ToString>, origin: SettingOrigin) {
        let value = value.map(|value| value.to_string());
        self.0.extend(value.map(|value| (key, value, origin)));
    }

    fn code(&mut self, key: &'static str, value: Option<impl ToString>) {
        self.add(key, value, SettingOrigin::Code);
    }

    /// Before the code, over which it holds.
    fn command_line(&mut self, inputs: &Inputs) {
        let line = || SettingOrigin::CommandLine;
        self.add("otlp_endpoint", inputs.argument_endpoint.as_ref(), line());
        let format = inputs.lines.argument_format.map(LogFormat::name);
        self.add("log_format", format, line());
        #[cfg(feature = "profiling")]
        {
            let directory = inputs.traces.argument_dir.as_deref().map(Path::display);
            self.add("trace_dir", directory, line());
        }
        #[cfg(feature = "prometheus")]
        {
            let address = inputs.metrics.argument_prometheus.as_ref();
            self.add("prometheus_address", address, line());
        }
    }

    fn requests(&mut self, inputs: &Inputs) {
        self.code("otlp_endpoint", inputs.endpoint.as_ref());
        let protocol = inputs.protocol.map(|protocol| protocol.name());
        self.code("otlp_protocol", protocol);
        let compression = inputs.compression.map(|compression| compression.name());
        self.code("otlp_compression", compression);
    }

    fn tls_files(&mut self, files: &TlsFiles) {
        let certificate = files.certificate.as_ref();
        let certificate = certificate.map(|(file, _)| file.display());
        self.code("otlp_certificate", certificate);
        let client = files.client.as_ref();
        let certificate = client.map(|(certificate, ..)| certificate.display());
        self.code("otlp_client_certificate", certificate);
        let key = client.map(|(_, key, _)| key.display());
        self.code("otlp_client_key", key);
    }

    /// They are defaults: see `Trail::holds`.
    fn filters(&mut self, inputs: &Inputs) {
        self.code("filter", inputs.default_directives.as_ref());
        for (output, directives) in &inputs.output_directives {
            self.code(filter_key(*output), Some(directives));
        }
        self.code("audit_target", inputs.audit_target.as_ref());
    }

    fn lines(&mut self, said: &LineInputs) {
        self.code("log_format", said.format.map(LogFormat::name));
        self.code("log_color", said.color.map(|color| color.name()));
        self.code("log_spans", said.spans);
        let Some(file) = &said.file else { return };
        self.code("log_file", Some(file.path.display()));
        self.code("log_file_format", Some(file.format.name()));
        self.code("log_file_rotation", Some(file.rotation.name()));
        let size = units::written_size(file.bytes_max);
        self.code("log_file_size_limit", Some(size));
        self.code("log_files_kept", Some(file.files_kept));
    }

    fn resource(&mut self, said: &ResourceInputs) {
        self.code("service_name", said.service_name.as_ref());
        let detectors = said.detectors.as_ref().map(|detectors| {
            let names: Vec<_> = detectors.iter().map(|detector| detector.name()).collect();
            names.join(",")
        });
        self.code("resource_detectors", detectors);
        for attribute in &said.attributes {
            let pair = format!("{}={}", attribute.key, attribute.value);
            self.code("resource_attributes", Some(pair));
        }
    }

    #[cfg(feature = "otel")]
    fn metrics(&mut self, said: &MetricsInputs) {
        self.code("span_metrics", said.span_metrics);
        let interval = said.interval.map(units::written);
        self.code("metric_export_interval", interval);
        #[cfg(feature = "prometheus")]
        if let Some(crate::metrics::Scraped::At { address, .. }) = &said.prometheus {
            self.code("prometheus_address", Some(address));
        }
    }

    #[cfg(feature = "profiling")]
    fn traces(&mut self, said: &TraceInputs) {
        if let Some(file) = &said.file {
            self.code("trace_dir", Some(file.directory.display()));
            self.code("trace_format", Some(file.format));
            self.code("include_args", (!file.include_args).then_some(false));
            let size = units::written_size(file.file_bytes_max);
            self.code("trace_file_size", Some(size));
            let size = units::written_size(file.directory_bytes_max);
            self.code("trace_dir_size_limit", Some(size));
        }
        self.code("include_args", said.include_args);
        self.code("busy_times", said.busy_times);
    }

    #[cfg(feature = "profiling")]
    fn runtime(&mut self, said: &RuntimeInputs) {
        self.code("watch_current_runtime", said.watches_current);
        let after = said.blocked_after.map(units::written);
        self.code("blocked_worker_after", after);
    }
}

const fn filter_key(output: Output) -> &'static str {
    match output {
        Output::Lines => "filter_lines",
        Output::Logs => "filter_logs",
        Output::Traces => "filter_traces",
    }
}
