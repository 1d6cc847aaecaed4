//! What is made of spans, among the families.

use super::buckets::{Distribution, two_to};
use super::families::{About, Exemplar, Families, Label, Sample, Value, With, labels_of};
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

/// The exponents of the powers of two that are bounds, in nanoseconds: from a microsecond to two minutes. They are the same at
/// all times, so that what is added up or compared is of the same buckets, whatever took how long so far.
const EXPONENT_MIN: i32 = 10;
const EXPONENT_MAX: i32 = 37;

/// What is not longer than the first bound is in the first bucket, and what is longer than the last one in the count alone.
fn distribution(histogram: &Histogram) -> Value {
    let bounds = (EXPONENT_MIN..=EXPONENT_MAX).map(two_to);
    let mut buckets: Vec<(f64, u64)> = bounds.map(|bound| (bound, 0)).collect();
    let (first, counts) = histogram.buckets();
    let zeros = (EXPONENT_MIN, histogram.zeros());
    let counted = (first..).zip(counts).map(|(index, count)| {
        let exponent = (index >> SCALE) + 1;
        (exponent.max(EXPONENT_MIN), *count)
    });
    for (exponent, count) in counted.chain([zeros]) {
        if let Some((_, of)) = buckets.get_mut((exponent - EXPONENT_MIN) as usize) {
            *of = of.saturating_add(count);
        }
    }
    Value::Distribution(Distribution {
        buckets,
        count: histogram.count(),
        sum: Some(histogram.sum() as f64),
        powers: None,
    })
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
