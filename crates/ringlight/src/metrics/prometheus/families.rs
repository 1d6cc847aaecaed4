//! What was read, as Prometheus has it: families of samples, each name once, each set of labels once.

use std::collections::HashMap;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use ringlight_collector::AttributeRules;
use ringlight_model::{KeyValue as ModelKeyValue, Value as ModelValue};

use super::buckets::{Distribution, Powers, explicit, exponential};
use super::names::{self, Kind};
use super::spans;
use crate::metrics::encode::{OVERFLOW, model_value};
use crate::metrics::exemplars::{self, Number, OfPoints, Taken};
use crate::metrics::spans::Series;

/// A name and a value.
pub(super) type Label = (String, String);

/// Characters that the labels of an exemplar may have together, names and values.
const EXEMPLAR_CHARS_MAX: usize = 128;

#[derive(Debug)]
pub(super) struct Exemplar {
    pub(super) value: Number,
    pub(super) time_unix_nano: u64,
    pub(super) labels: Vec<Label>,
}

#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<Label>,
    pub(super) value: Value,
    pub(super) exemplars: Vec<Exemplar>,
}

#[derive(Debug)]
pub(super) enum Value {
    Number(Number),
    Distribution(Distribution),
}

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) description: &'a str,
    pub(super) kind: Kind,
}

/// Samples of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Without `_total`.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) unit: String,
    pub(super) help: String,
    pub(super) samples: Vec<Sample>,
    by_labels: HashMap<Vec<Label>, usize>,
}

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Families {
    all: Vec<Family>,
    /// Which family has a name, of itself or of its samples.
    by_name: HashMap<String, usize>,
    /// Metrics that have no place beside others.
    pub(super) refused: Vec<String>,
    /// Those with more sets of attributes than they may have, with their scopes.
    pub(super) overflowing: Vec<(String, String)>,
}

/// What goes into the samples besides.
pub(super) struct With<'a> {
    /// The rules that attributes go through.
    pub(super) rules: &'a AttributeRules,
    /// None where the format has none.
    pub(super) exemplars: Option<&'a Taken>,
    /// What is made of spans.
    pub(super) spans: &'a [Series],
}

impl Families {
    pub(super) fn of(metrics: &ResourceMetrics, with: &With<'_>) -> Self {
        let mut families = Self::default();
        // What the process says about itself.
        families.by_name.insert("target".to_owned(), usize::MAX);
        families
            .by_name
            .insert("target_info".to_owned(), usize::MAX);
        let rules = with.rules.has_rules().then_some(with.rules);
        // The SDK has scopes in no order, and of two metrics that would have one name the first has it: the same one after
        // every start.
        let mut scopes: Vec<_> = metrics.scope_metrics().collect();
        scopes.sort_by_key(|metrics| (metrics.scope().name(), metrics.scope().version()));
        for scope_metrics in scopes {
            let scope = scope_metrics.scope();
            let of_scope = scope_labels(scope, rules);
            for metric in scope_metrics.metrics() {
                let name = (scope.clone(), metric.name().to_ascii_lowercase());
                let exemplars = with.exemplars.and_then(|all| all.get(&name));
                let mut adding = Adding {
                    rules,
                    scope: &of_scope,
                    exemplars: exemplars.map_or(&[], Vec::as_slice),
                    of_points: OfPoints::default(),
                    adds: true,
                    has_overflow: false,
                };
                families.add(metric, &mut adding);
                if adding.has_overflow {
                    let names = (scope.name().to_owned(), metric.name().to_owned());
                    families.overflowing.push(names);
                }
            }
        }
        spans::add(&mut families, with);
        for family in &mut families.all {
            family.share_bounds();
            // The SDK has them in no order.
            family.samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        families
    }

    pub(super) fn all(&self) -> &[Family] {
        &self.all
    }

    fn add(&mut self, metric: &Metric, adding: &mut Adding<'_>) {
        match metric.data() {
            AggregatedMetrics::F64(data) => self.add_data(metric, data, adding),
            AggregatedMetrics::U64(data) => self.add_data(metric, data, adding),
            AggregatedMetrics::I64(data) => self.add_data(metric, data, adding),
        }
    }

    fn add_data<T: Copy + Into<Number>>(
        &mut self,
        metric: &Metric,
        data: &MetricData<T>,
        adding: &mut Adding<'_>,
    ) {
        let kind = match data {
            MetricData::Sum(sum) if sum.is_monotonic() => Kind::Counter,
            MetricData::Sum(_) | MetricData::Gauge(_) => Kind::Gauge,
            MetricData::Histogram(_) | MetricData::ExponentialHistogram(_) => Kind::Histogram,
        };
        let about = About {
            name: metric.name(),
            unit: metric.unit(),
            description: metric.description(),
            kind,
        };
        let Some(family) = self.family(about) else {
            return;
        };
        adding.of_points = exemplars::of_points(data, adding.exemplars);
        match data {
            MetricData::Gauge(gauge) => {
                adding.adds = false;
                for point in gauge.data_points() {
                    let value = Value::Number(point.value().into());
                    adding.sample(family, || point.attributes(), value);
                }
            }
            MetricData::Sum(sum) => {
                for point in sum.data_points() {
                    let value = Value::Number(point.value().into());
                    adding.sample(family, || point.attributes(), value);
                }
            }
            MetricData::Histogram(histogram) => {
                for point in histogram.data_points() {
                    let value = Value::Distribution(explicit(point));
                    adding.sample(family, || point.attributes(), value);
                }
            }
            MetricData::ExponentialHistogram(histogram) => {
                for point in histogram.data_points() {
                    let value = Value::Distribution(exponential(point));
                    adding.sample(family, || point.attributes(), value);
                }
            }
        }
    }

    /// The family of a metric; `None` if its name is one of another kind, or of the samples of one, so that it is refused.
    pub(super) fn family(&mut self, about: About<'_>) -> Option<&mut Family> {
        let kind = about.kind;
        let (name, unit) = names::family(about.name, about.unit, kind);
        let known = (self.all.iter()).position(|family| family.name == name && family.kind == kind);
        if let Some(at) = known {
            return self.all.get_mut(at);
        }
        let suffixes: &[&str] = match kind {
            Kind::Counter => &["", "_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_count", "_sum"],
        };
        let names: Vec<_> = (suffixes.iter())
            .map(|suffix| format!("{name}{suffix}"))
            .collect();
        if names.iter().any(|name| self.by_name.contains_key(name)) {
            self.refused.push(about.name.to_owned());
            return None;
        }
        let at = self.all.len();
        self.by_name
            .extend(names.into_iter().map(|name| (name, at)));
        self.all.push(Family {
            name,
            kind,
            unit,
            help: about.description.to_owned(),
            samples: Vec::new(),
            by_labels: HashMap::new(),
        });
        self.all.last_mut()
    }
}

/// What of one metric is added.
struct Adding<'a> {
    rules: Option<&'a AttributeRules>,
    scope: &'a [Label],
    exemplars: &'a [exemplars::Exemplar],
    /// Those of the points that are still to be added.
    of_points: OfPoints<'a>,
    /// Whether values of the same labels are added up; else the last one holds.
    adds: bool,
    has_overflow: bool,
}

impl Adding<'_> {
    fn sample<'p, I: Iterator<Item = &'p KeyValue>>(
        &mut self,
        family: &mut Family,
        attributes: impl Fn() -> I,
        value: Value,
    ) {
        self.has_overflow |= attributes().any(|attribute| attribute.key.as_str() == OVERFLOW);
        let mut labels = labels(attributes(), self.rules);
        if family.kind == Kind::Histogram {
            // The bounds of buckets have that name.
            let named = labels.iter_mut().find(|(name, _)| name == "le");
            named
                .into_iter()
                .for_each(|(name, _)| *name = "exported_le".to_owned());
        }
        // The scope's win: they are what tells metrics of the same name apart.
        labels.retain(|(name, _)| self.scope.iter().all(|(of_scope, _)| of_scope != name));
        labels.extend_from_slice(self.scope);
        let exemplars = self.exemplars_of(attributes);
        let sample = Sample {
            labels,
            value,
            exemplars,
        };
        family.add(sample, self.adds);
    }

    /// Those of the next point, with the rest of their attributes as far as there is room.
    fn exemplars_of<'p, I: Iterator<Item = &'p KeyValue>>(
        &mut self,
        attributes: impl Fn() -> I,
    ) -> Vec<Exemplar> {
        let of_point = self.of_points.next().unwrap_or_default();
        let exemplar = |one: &exemplars::Exemplar| {
            let mut of = Vec::new();
            if let Some((trace_id, span_id)) = one.span {
                of.push(("trace_id".to_owned(), trace_id.to_string()));
                of.push(("span_id".to_owned(), span_id.to_string()));
            }
            let is_further = |one: &&KeyValue| attributes().all(|other| other != *one);
            let further = labels(one.attributes.iter().filter(is_further), self.rules);
            let all = of.iter().chain(&further);
            let chars: usize = all
                .map(|(name, value)| name.chars().count() + value.chars().count())
                .sum();
            let is_new = |(name, _): &Label| of.iter().all(|(other, _)| other != name);
            if chars <= EXEMPLAR_CHARS_MAX && further.iter().all(is_new) {
                of.extend(further);
            }
            Exemplar {
                value: one.value,
                time_unix_nano: one.time_unix_nano,
                labels: of,
            }
        };
        of_point.into_iter().map(exemplar).collect()
    }
}

impl Family {
    /// Adds a sample. Where there is one with its labels already, values are added up, or the last one holds.
    pub(super) fn add(&mut self, sample: Sample, adds: bool) {
        let known = self.by_labels.get(&sample.labels);
        match known.and_then(|at| self.samples.get_mut(*at)) {
            Some(known) => {
                known.add(sample.value, adds);
                known.exemplars.extend(sample.exemplars);
            }
            None => {
                let at = self.samples.len();
                self.by_labels.insert(sample.labels.clone(), at);
                self.samples.push(sample);
            }
        }
    }

    /// Gives all histograms the bounds that any of them needs.
    fn share_bounds(&mut self) {
        let powers = self
            .samples
            .iter()
            .filter_map(|sample| match &sample.value {
                Value::Distribution(of) => of.powers,
                Value::Number(_) => None,
            });
        let Some(powers) = powers.reduce(Powers::joined) else {
            return;
        };
        for sample in &mut self.samples {
            if let Value::Distribution(of) = &mut sample.value {
                of.extend(powers);
            }
        }
    }
}

impl Sample {
    fn add(&mut self, value: Value, adds: bool) {
        match (&mut self.value, value) {
            (Value::Number(Number::Int(sum)), Value::Number(Number::Int(value))) if adds => {
                *sum = sum.saturating_add(value);
            }
            (Value::Number(sum), Value::Number(value)) if adds => {
                *sum = Number::Double(sum.as_f64() + value.as_f64());
            }
            (Value::Distribution(sum), Value::Distribution(value)) => sum.add(value),
            (of, value) => *of = value,
        }
    }
}

/// What tells metrics of one name apart by their scopes.
fn scope_labels(scope: &InstrumentationScope, rules: Option<&AttributeRules>) -> Vec<Label> {
    let mut of = Vec::new();
    for (name, text) in [
        ("otel_scope_name", Some(scope.name())),
        ("otel_scope_version", scope.version()),
        ("otel_scope_schema_url", scope.schema_url()),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            of.push((name.to_owned(), text.to_owned()));
        }
    }
    let attributes = labels(scope.attributes(), rules);
    let attributes = attributes
        .into_iter()
        .map(|(name, value)| (names::label(&format!("otel_scope_{name}")), value));
    for attribute in attributes {
        if of.iter().all(|(name, _)| *name != attribute.0) {
            of.push(attribute);
        }
    }
    of
}

fn labels<'p>(
    attributes: impl Iterator<Item = &'p KeyValue>,
    rules: Option<&AttributeRules>,
) -> Vec<Label> {
    let attributes = attributes.map(|attribute| {
        let value = model_value(&attribute.value);
        ModelKeyValue::new(attribute.key.as_str(), value)
    });
    let attributes: Vec<_> = attributes.collect();
    labels_of(match rules {
        None => attributes,
        Some(rules) => rules.processed(attributes),
    })
}

/// Attributes as labels, by name. Of those that have one name as labels the values are put together.
pub(super) fn labels_of(mut attributes: Vec<ModelKeyValue<'_>>) -> Vec<Label> {
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    let mut labels: Vec<Label> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let name = names::label(&attribute.key);
        let value = match &attribute.value {
            ModelValue::Str(text) => text.to_string(),
            other => other.to_string(),
        };
        match labels.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push(';');
                values.push_str(&value);
            }
            None => labels.push((name, value)),
        }
    }
    labels.sort();
    labels
}
