//! Data points of metrics to OTLP/JSON.

use ringlight_model::{
    Exemplar, ExponentialBuckets, ExponentialHistogram, Histogram, MetricKind, MetricPoint, Number,
    PointValue, Summary,
};

use super::write::{Members, append, write_double};

/// Begins the data of a metric as its last member, up to the first of its points.
pub(super) fn begin(mut metric: Members<'_>, kind: MetricKind) {
    let name = match kind {
        MetricKind::Gauge => "gauge",
        MetricKind::Sum { .. } => "sum",
        MetricKind::Histogram { .. } => "histogram",
        MetricKind::ExponentialHistogram { .. } => "exponentialHistogram",
        MetricKind::Summary => "summary",
    };
    let mut data = Members::begin(metric.name(name));
    // A summary, which is cumulative, does not say so.
    if let Some(temporality) = kind.temporality().filter(|_| kind != MetricKind::Summary) {
        data.number("aggregationTemporality", temporality as u32);
    }
    if let MetricKind::Sum { is_monotonic, .. } = kind {
        append(data.name("isMonotonic"), format_args!("{is_monotonic}"));
    }
    data.name("dataPoints").push('[');
}

pub(super) fn write(json: &mut String, point: &MetricPoint<'_>) {
    let mut members = Members::begin(json);
    members.attributes("attributes", &point.attributes);
    members.integer("startTimeUnixNano", point.start_unix_nano);
    members.integer("timeUnixNano", point.time_unix_nano);
    match &point.value {
        PointValue::None => {}
        PointValue::Number(value) => number(&mut members, *value),
        PointValue::Histogram(value) => histogram(&mut members, value),
        PointValue::Exponential(value) => exponential(&mut members, value),
        PointValue::Summary(value) => summary(&mut members, value),
    }
    members.list("exemplars", &point.exemplars, exemplar);
    members.number("flags", point.flags);
    members.end();
}

/// One of two members, so that it is there when it is zero as well.
fn number(members: &mut Members<'_>, value: Number) {
    match value {
        Number::Int(value) => append(members.name("asInt"), format_args!("\"{value}\"")),
        Number::Double(value) => write_double(members.name("asDouble"), value),
    }
}

/// A number that may be unknown, so that zero is written.
fn known(members: &mut Members<'_>, name: &str, value: Option<f64>) {
    if let Some(value) = value {
        write_double(members.name(name), value);
    }
}

fn histogram(members: &mut Members<'_>, value: &Histogram) {
    members.integer("count", value.count);
    known(members, "sum", value.sum);
    members.list("bucketCounts", &value.buckets, count);
    members.list("explicitBounds", &value.bounds, |json, bound| {
        write_double(json, *bound);
    });
    known(members, "min", value.min);
    known(members, "max", value.max);
}

fn exponential(members: &mut Members<'_>, value: &ExponentialHistogram) {
    members.integer("count", value.count);
    known(members, "sum", value.sum);
    signed(members, "scale", value.scale);
    members.integer("zeroCount", value.zero_count);
    buckets(members, "positive", &value.positive);
    buckets(members, "negative", &value.negative);
    known(members, "min", value.min);
    known(members, "max", value.max);
    let threshold = Some(value.zero_threshold).filter(|threshold| *threshold != 0.0);
    known(members, "zeroThreshold", threshold);
}

fn buckets(members: &mut Members<'_>, name: &str, value: &ExponentialBuckets) {
    let mut inner = Members::begin(members.name(name));
    signed(&mut inner, "offset", value.offset);
    inner.list("bucketCounts", &value.counts, count);
    inner.end();
}

fn summary(members: &mut Members<'_>, value: &Summary) {
    members.integer("count", value.count);
    known(members, "sum", Some(value.sum));
    members.list(
        "quantileValues",
        &value.quantiles,
        |json, (quantile, value)| {
            let mut members = Members::begin(json);
            known(&mut members, "quantile", Some(*quantile));
            known(&mut members, "value", Some(*value));
            members.end();
        },
    );
}

fn exemplar(json: &mut String, exemplar: &Exemplar<'_>) {
    let mut members = Members::begin(json);
    members.attributes("filteredAttributes", &exemplar.attributes);
    members.integer("timeUnixNano", exemplar.time_unix_nano);
    number(&mut members, exemplar.value);
    members.id("spanId", exemplar.span_id.is_valid(), &exemplar.span_id);
    members.id("traceId", exemplar.trace_id.is_valid(), &exemplar.trace_id);
    members.end();
}

fn signed(members: &mut Members<'_>, name: &str, number: i32) {
    if number != 0 {
        append(members.name(name), format_args!("{number}"));
    }
}

/// A 64-bit integer is a text.
fn count(json: &mut String, count: &u64) {
    append(json, format_args!("\"{count}\""));
}
