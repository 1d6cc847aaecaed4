//! Metrics for Prometheus: as text, and at an endpoint that it scrapes.
//!
//! The crate `opentelemetry-prometheus` has neither OpenMetrics nor exemplars nor exponential histograms, and brings a
//! registry of its own with protobuf's other implementation; so the text is written here.

mod buckets;
mod families;
mod names;
mod serve;
mod spans;
mod text;

#[cfg(test)]
mod tests;

use opentelemetry_sdk::metrics::data::ResourceMetrics;
use ringlight_collector::AttributeRules;
use ringlight_model::Resource;

use super::exemplars::Taken;
use super::overflows::Overflows;
use super::spans::Series;
use families::{Families, Label, With};
pub(crate) use serve::Server;

/// How metrics are written for Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PrometheusFormat {
    /// Prometheus's text format, version 0.0.4. It has no exemplars.
    #[default]
    Text,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
}

impl PrometheusFormat {
    /// The format that the header `Accept` of a request asks for: what it likes best, [`Text`](Self::Text) where it likes
    /// both as much, or neither.
    #[must_use]
    pub fn of_accept(header: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default() {
                "application/openmetrics-text" => Self::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Self::Text,
                _ => continue,
            };
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |quality| quality.trim().parse::<f64>().ok());
            if let Some(quality) = quality.filter(|quality| *quality > best.0) {
                best = (quality, format);
            }
        }
        best.1
    }

    /// The header `Content-Type` of a text in this format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes what was read.
pub(crate) struct Writer {
    target: Vec<Label>,
    rules: AttributeRules,
}

impl Writer {
    pub(crate) fn new(resource: &Resource<'_>, rules: AttributeRules) -> Self {
        Self {
            target: families::labels_of(resource.attributes.clone()),
            rules,
        }
    }

    pub(super) fn write(
        &self,
        format: PrometheusFormat,
        metrics: &ResourceMetrics,
        exemplars: &Taken,
        spans: &[Series],
        overflows: &Overflows,
    ) -> String {
        let with = With {
            rules: &self.rules,
            exemplars: (format == PrometheusFormat::OpenMetrics).then_some(exemplars),
            spans,
        };
        let families = Families::of(metrics, &with);
        for (scope, metric) in &families.overflowing {
            overflows.count(scope, metric);
        }
        for metric in &families.refused {
            overflows.tell_refused(metric);
        }
        text::write(format, &families, &self.target)
    }
}
