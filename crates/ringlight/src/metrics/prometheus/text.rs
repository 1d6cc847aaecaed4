//! Families of samples as text: Prometheus's own format, or OpenMetrics.
//!
//! Source: "Prometheus exposition formats", text format 0.0.4; "OpenMetrics 1.0".

use std::fmt::Write as _;

use super::PrometheusFormat;
use super::buckets::Distribution;
use super::families::{Exemplar, Families, Family, Label, Sample, Value};
use super::names::{Kind, help, quoted};
use crate::metrics::exemplars::Number;

/// The whole text.
pub(super) fn write(format: PrometheusFormat, families: &Families, target: &[Label]) -> String {
    let mut text = Text {
        out: String::with_capacity(4096),
        is_open_metrics: format == PrometheusFormat::OpenMetrics,
    };
    text.target(target);
    for family in families.all() {
        text.family(family);
    }
    if text.is_open_metrics {
        text.out.push_str("# EOF\n");
    }
    text.out
}

struct Text {
    out: String,
    is_open_metrics: bool,
}

impl Text {
    /// What the process says about itself.
    fn target(&mut self, labels: &[Label]) {
        if labels.is_empty() {
            return;
        }
        let (family, kind) = match self.is_open_metrics {
            true => ("target", "info"),
            false => ("target_info", "gauge"),
        };
        self.about(family, kind, "", "What the process says about itself.");
        self.line("target_info", labels, &[], "1");
        self.out.push('\n');
    }

    fn family(&mut self, family: &Family) {
        // OpenMetrics has the type of what is counted, the older format that of the sample.
        let total = match family.kind {
            Kind::Counter => format!("{}_total", family.name),
            Kind::Gauge | Kind::Histogram => family.name.clone(),
        };
        let named = match self.is_open_metrics {
            true => &family.name,
            false => &total,
        };
        self.about(named, family.kind.as_str(), &family.unit, &family.help);
        for sample in &family.samples {
            match &sample.value {
                Value::Number(number) => {
                    self.line(&total, &sample.labels, &[], &written(*number));
                    if family.kind == Kind::Counter {
                        self.exemplar(sample.exemplars.first());
                    }
                    self.out.push('\n');
                }
                Value::Distribution(of) => self.distribution(family, sample, of),
            }
        }
    }

    fn about(&mut self, name: &str, kind: &str, unit: &str, description: &str) {
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        if self.is_open_metrics && !unit.is_empty() {
            let _ = writeln!(self.out, "# UNIT {name} {unit}");
        }
        if !description.is_empty() {
            let description = help(description, self.is_open_metrics);
            let _ = writeln!(self.out, "# HELP {name} {description}");
        }
    }

    fn distribution(&mut self, family: &Family, sample: &Sample, of: &Distribution) {
        let bucket = format!("{}_bucket", family.name);
        let mut sum = 0_u64;
        let mut from = f64::NEG_INFINITY;
        for (bound, count) in &of.buckets {
            sum = sum.saturating_add(*count);
            self.bucket(&bucket, sample, (from, *bound), sum);
            from = *bound;
        }
        self.bucket(&bucket, sample, (from, f64::INFINITY), of.count);
        let of_all = |suffix: &str| format!("{}{suffix}", family.name);
        // A sum that may shrink is none that rates can be taken of.
        if let Some(sum) = of.sum {
            let sum = written(Number::Double(sum));
            self.line(&of_all("_sum"), &sample.labels, &[], &sum);
            self.out.push('\n');
        }
        self.line(
            &of_all("_count"),
            &sample.labels,
            &[],
            &of.count.to_string(),
        );
        self.out.push('\n');
    }

    fn bucket(&mut self, name: &str, sample: &Sample, (from, to): (f64, f64), count: u64) {
        let le = written(Number::Double(to));
        self.line(name, &sample.labels, &[("le", &le)], &count.to_string());
        let is_in = |exemplar: &&Exemplar| {
            let value = exemplar.value.as_f64();
            value > from && value <= to
        };
        let within = sample.exemplars.iter().filter(is_in);
        let largest = within.max_by(|a, b| a.value.as_f64().total_cmp(&b.value.as_f64()));
        self.exemplar(largest);
        self.out.push('\n');
    }

    /// A sample without its exemplar and the end of its line.
    fn line(&mut self, name: &str, labels: &[Label], further: &[(&str, &str)], value: &str) {
        self.out.push_str(name);
        let labels = labels.iter().map(|(name, value)| (&**name, &**value));
        self.labels(labels.chain(further.iter().copied()), false);
        let _ = write!(self.out, " {value}");
    }

    fn labels<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>, is_always: bool) {
        let mut separator = '{';
        for (name, value) in labels {
            let _ = write!(self.out, "{separator}{name}=\"{}\"", quoted(value));
            separator = ',';
        }
        match separator {
            ',' => self.out.push('}'),
            _ if is_always => self.out.push_str("{}"),
            _ => {}
        }
    }

    /// The older format has none.
    fn exemplar(&mut self, exemplar: Option<&Exemplar>) {
        let Some(exemplar) = exemplar.filter(|_| self.is_open_metrics) else {
            return;
        };
        self.out.push_str(" # ");
        let labels = exemplar.labels.iter();
        self.labels(labels.map(|(name, value)| (&**name, &**value)), true);
        let seconds = exemplar.time_unix_nano / 1_000_000_000;
        let millis = exemplar.time_unix_nano / 1_000_000 % 1_000;
        let value = written(exemplar.value);
        let _ = write!(self.out, " {value} {seconds}.{millis:03}");
    }
}

/// A number as both formats have it.
fn written(number: Number) -> String {
    match number {
        Number::Int(value) => value.to_string(),
        Number::Double(value) if value.is_nan() => "NaN".to_owned(),
        Number::Double(f64::INFINITY) => "+Inf".to_owned(),
        Number::Double(f64::NEG_INFINITY) => "-Inf".to_owned(),
        // Always with a point or an exponent, and so that it is read as the same.
        Number::Double(value) => format!("{value:?}"),
    }
}
