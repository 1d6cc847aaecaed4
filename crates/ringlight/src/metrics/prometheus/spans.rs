//! What is made of spans, among the families.

use std::iter::empty;

use super::families::{
    About, Exemplar, Exponential, Families, Label, Sample, Value, With, labels_of,
};
use super::names::Kind;
use crate::metrics::exemplars::Number;
use crate::metrics::spans::{self, CALLS, HISTOGRAMS, Histogram, Longest, SCALE, Series};

/// Adds all of it.
pub(super) fn add(families: &mut Families, with: &With<'_>) {
    if with.spans.is_empty() {
        return;
    }
    let labels: Vec<_> = with.spans.iter().map(|one| labels(one, with)).collect();
    let labelled = || with.spans.iter().zip(&labels);
    let calls = labelled().map(|(series, labels)| Sample {
        labels: labels.clone(),
        value: Value::Number(series.duration.count().into()),
        exemplars: Vec::new(),
    });
    add_metric(families, CALLS, Kind::Counter, calls);
    for of in HISTOGRAMS {
        let filled = labelled().filter(|(series, _)| (of.histogram)(series).count() > 0);
        let samples = filled.map(|(series, labels)| Sample {
            labels: labels.clone(),
            value: distribution((of.histogram)(series)),
            exemplars: match with.exemplars {
                None => Vec::new(),
                Some(_) => (of.exemplar)(series).map(exemplar).into_iter().collect(),
            },
        });
        add_metric(families, of.about, Kind::Histogram, samples);
    }
}

fn add_metric(
    families: &mut Families,
    about: spans::About,
    kind: Kind,
    samples: impl Iterator<Item = Sample>,
) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    let family = families.family(About {
        name: &about.name(),
        unit: about.unit,
        description: about.description,
        kind,
    });
    if let Some(family) = family {
        samples.for_each(|sample| family.add(sample, true));
    }
}

fn labels(series: &Series, with: &With<'_>) -> Vec<Label> {
    let attributes = series.attributes();
    let mut labels = labels_of(match with.rules.has_rules() {
        false => attributes,
        true => with.rules.processed(attributes),
    });
    let scope = spans::scope();
    labels.push(("otel_scope_name".to_owned(), scope.name.into_owned()));
    labels.push(("otel_scope_version".to_owned(), scope.version.into_owned()));
    labels
}

fn distribution(histogram: &Histogram) -> Value {
    let (first, counts) = histogram.buckets();
    let buckets = Exponential {
        scale: SCALE,
        zeros: (0.0, histogram.zeros()),
        negative: (0, empty()),
        positive: (first, counts.iter().copied()),
    };
    let sum = Some(histogram.sum() as f64);
    Value::Distribution(buckets.distribution(histogram.count(), sum))
}

fn exemplar(longest: Longest) -> Exemplar {
    Exemplar {
        value: Number::from(longest.nano),
        time_unix_nano: longest.end_unix_nano,
        labels: vec![
            ("trace_id".to_owned(), longest.trace_id.to_string()),
            ("span_id".to_owned(), longest.span_id.to_string()),
        ],
    }
}
