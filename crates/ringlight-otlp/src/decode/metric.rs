//! Metrics and their data points.

use ringlight_model::{
    Exemplar, ExponentialBuckets, ExponentialHistogram, Histogram, Metric, MetricKind, MetricPoint,
    Number, PointValue, RejectReason, Summary, Temporality,
};

use super::ItemError;
use super::record::{span_id, trace_id};
use super::value::{Budget, attribute, text};
use crate::fields::{data, exemplar as x, exponential as e, histogram as h};
use crate::fields::{metric as m, number as n, summary as s};
use crate::wire::{Field, Slice, WireError};

/// Buckets, or quantiles, of one point.
const BUCKETS_MAX: usize = 4096;
/// Exemplars of one point.
const EXEMPLARS_MAX: usize = 4096;
/// Indices of exponential buckets lie within so much of zero: more than any double needs at any
/// scale in use.
const EXPONENTIAL_INDEX_MAX: i64 = 1 << 30;
/// Scales of exponential histograms: beyond it neighbouring doubles share a bucket, or all do.
const SCALES: std::ops::RangeInclusive<i32> = -11..=20;

/// How many data points a `Metric` has: its oneof's fields hold messages that all list them as
/// field 1.
pub(super) fn data_points(metric: Slice<'_>) -> Result<u64, WireError> {
    let mut points = 0;
    let mut reader = metric.reader();
    while let Some((number, field)) = reader.next()? {
        if let (true, Field::Bytes(data)) = (m::is_data(number), field) {
            let mut data = data.reader();
            while let Some((number, _)) = data.next()? {
                points += u64::from(number == data::POINTS);
            }
        }
    }
    Ok(points)
}

/// What a `Metric` is, but for its kind.
pub(super) fn metric<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
) -> Result<Metric<'a>, RejectReason> {
    let mut read = || -> Result<Metric<'a>, ItemError> {
        let mut metric = Metric::default();
        let mut reader = message.reader();
        while let Some((number, field)) = reader.next()? {
            let at = reader.position();
            match number {
                m::NAME => metric.name = text(budget, field, at)?,
                m::DESCRIPTION => metric.description = text(budget, field, at)?,
                m::UNIT => metric.unit = text(budget, field, at)?,
                _ => {}
            }
        }
        Ok(metric)
    };
    match read() {
        Ok(metric) if !metric.name.is_empty() => Ok(metric),
        Ok(_) | Err(ItemError::Wire(_)) => Err(RejectReason::Malformed),
        Err(ItemError::Reject(reason)) => Err(reason),
    }
}

/// The kind of the data in a field of a `Metric`; `None` if it does not say what it is relative to.
pub(super) fn kind(number: u32, message: Slice<'_>) -> Result<Option<MetricKind>, WireError> {
    let (mut temporality, mut is_monotonic) = (None, false);
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            data::TEMPORALITY => temporality = Temporality::from_otlp(field.varint(at)? as i32),
            data::IS_MONOTONIC => is_monotonic = field.varint(at)? != 0,
            _ => {}
        }
    }
    let of = |kind: fn(Temporality, bool) -> MetricKind| {
        temporality.map(|temporality| kind(temporality, is_monotonic))
    };
    Ok(match number {
        m::GAUGE => Some(MetricKind::Gauge),
        m::SUMMARY => Some(MetricKind::Summary),
        m::SUM => of(|temporality, is_monotonic| MetricKind::Sum {
            temporality,
            is_monotonic,
        }),
        m::HISTOGRAM => of(|temporality, _| MetricKind::Histogram { temporality }),
        _ => of(|temporality, _| MetricKind::ExponentialHistogram { temporality }),
    })
}

/// Reads a data point of a kind over whatever `point` held before.
pub(super) fn point<'a>(
    budget: &mut Budget,
    kind: MetricKind,
    message: Slice<'a>,
    point: &mut MetricPoint<'a>,
) -> Result<(), ItemError> {
    point.attributes.clear();
    point.exemplars.clear();
    *point = MetricPoint {
        attributes: std::mem::take(&mut point.attributes),
        exemplars: std::mem::take(&mut point.exemplars),
        ..MetricPoint::default()
    };
    match kind {
        MetricKind::Gauge | MetricKind::Sum { .. } => number(budget, message, point)?,
        MetricKind::Histogram { .. } => histogram(budget, message, point)?,
        MetricKind::ExponentialHistogram { .. } => exponential(budget, message, point)?,
        MetricKind::Summary => summary(budget, message, point)?,
    }
    if point.flags & MetricPoint::NO_RECORDED_VALUE != 0 {
        point.value = PointValue::None;
    } else if point.value == PointValue::None {
        return Err(RejectReason::Malformed.into());
    }
    Ok(())
}

fn number<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    point: &mut MetricPoint<'a>,
) -> Result<(), ItemError> {
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            n::START => point.start_unix_nano = field.fixed64(at)?,
            n::TIME => point.time_unix_nano = field.fixed64(at)?,
            n::DOUBLE => point.value = PointValue::Number(Number::Double(double(field, at)?)),
            n::INT => {
                let value = field.fixed64(at)?.cast_signed();
                point.value = PointValue::Number(Number::Int(value));
            }
            n::EXEMPLARS => exemplar(budget, field.slice(at)?, point)?,
            n::ATTRIBUTES => attribute(budget, field, at, &mut point.attributes)?,
            n::FLAGS => point.flags = field.varint(at)? as u32,
            _ => {}
        }
    }
    Ok(())
}

fn histogram<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    point: &mut MetricPoint<'a>,
) -> Result<(), ItemError> {
    let mut value = Histogram::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            h::START => point.start_unix_nano = field.fixed64(at)?,
            h::TIME => point.time_unix_nano = field.fixed64(at)?,
            h::COUNT => value.count = field.fixed64(at)?,
            h::SUM => value.sum = Some(double(field, at)?),
            h::MIN => value.min = Some(double(field, at)?),
            h::MAX => value.max = Some(double(field, at)?),
            h::BUCKETS => fixed64s(field, at, &mut value.buckets, |bits| bits)?,
            h::BOUNDS => fixed64s(field, at, &mut value.bounds, f64::from_bits)?,
            h::EXEMPLARS => exemplar(budget, field.slice(at)?, point)?,
            h::ATTRIBUTES => attribute(budget, field, at, &mut point.attributes)?,
            h::FLAGS => point.flags = field.varint(at)? as u32,
            _ => {}
        }
    }
    // Without buckets there is nothing between bounds.
    if value.buckets.is_empty() {
        value.bounds.clear();
    } else if value.buckets.len() != value.bounds.len() + 1
        || value.bounds.iter().any(|bound| bound.is_nan())
        || !value.bounds.windows(2).all(|pair| pair[0] < pair[1])
    {
        return Err(RejectReason::BadBuckets.into());
    }
    point.value = PointValue::Histogram(value);
    Ok(())
}

fn exponential<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    point: &mut MetricPoint<'a>,
) -> Result<(), ItemError> {
    let mut value = ExponentialHistogram::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            e::ATTRIBUTES => attribute(budget, field, at, &mut point.attributes)?,
            e::START => point.start_unix_nano = field.fixed64(at)?,
            e::TIME => point.time_unix_nano = field.fixed64(at)?,
            e::COUNT => value.count = field.fixed64(at)?,
            e::SUM => value.sum = Some(double(field, at)?),
            e::SCALE => value.scale = zigzag(field.varint(at)?),
            e::ZERO_COUNT => value.zero_count = field.fixed64(at)?,
            e::POSITIVE => buckets(field.slice(at)?, &mut value.positive)?,
            e::NEGATIVE => buckets(field.slice(at)?, &mut value.negative)?,
            e::FLAGS => point.flags = field.varint(at)? as u32,
            e::EXEMPLARS => exemplar(budget, field.slice(at)?, point)?,
            e::MIN => value.min = Some(double(field, at)?),
            e::MAX => value.max = Some(double(field, at)?),
            e::ZERO_THRESHOLD => value.zero_threshold = double(field, at)?,
            _ => {}
        }
    }
    let fits = |buckets: &ExponentialBuckets| {
        let (first, count) = (i64::from(buckets.offset), buckets.counts.len() as i64);
        first >= -EXPONENTIAL_INDEX_MAX && first + count <= EXPONENTIAL_INDEX_MAX
    };
    if !SCALES.contains(&value.scale) || !fits(&value.positive) || !fits(&value.negative) {
        return Err(RejectReason::BadBuckets.into());
    }
    point.value = PointValue::Exponential(value);
    Ok(())
}

fn buckets(message: Slice<'_>, buckets: &mut ExponentialBuckets) -> Result<(), ItemError> {
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match (number, field) {
            (e::OFFSET, field) => buckets.offset = zigzag(field.varint(at)?),
            (e::COUNTS, Field::Varint(count)) => push(&mut buckets.counts, count)?,
            (e::COUNTS, field) => {
                let mut packed = field.slice(at)?.reader();
                while !packed.is_at_end() {
                    push(&mut buckets.counts, packed.packed_varint()?)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn summary<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    point: &mut MetricPoint<'a>,
) -> Result<(), ItemError> {
    let mut value = Summary::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            s::START => point.start_unix_nano = field.fixed64(at)?,
            s::TIME => point.time_unix_nano = field.fixed64(at)?,
            s::COUNT => value.count = field.fixed64(at)?,
            s::SUM => value.sum = double(field, at)?,
            s::QUANTILES => push(&mut value.quantiles, quantile(field.slice(at)?)?)?,
            s::ATTRIBUTES => attribute(budget, field, at, &mut point.attributes)?,
            s::FLAGS => point.flags = field.varint(at)? as u32,
            _ => {}
        }
    }
    if value
        .quantiles
        .iter()
        .any(|(quantile, _)| !(0.0..=1.0).contains(quantile))
    {
        return Err(RejectReason::BadBuckets.into());
    }
    point.value = PointValue::Summary(value);
    Ok(())
}

fn quantile(message: Slice<'_>) -> Result<(f64, f64), WireError> {
    let mut pair = (0.0, 0.0);
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            s::QUANTILE => pair.0 = double(field, at)?,
            s::VALUE => pair.1 = double(field, at)?,
            _ => {}
        }
    }
    Ok(pair)
}

fn exemplar<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    point: &mut MetricPoint<'a>,
) -> Result<(), ItemError> {
    budget.take_value()?;
    if point.exemplars.len() >= EXEMPLARS_MAX {
        return Err(RejectReason::TooLarge.into());
    }
    let mut item = Exemplar::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            x::TIME => item.time_unix_nano = field.fixed64(at)?,
            x::DOUBLE => item.value = Number::Double(double(field, at)?),
            x::INT => item.value = Number::Int(field.fixed64(at)?.cast_signed()),
            x::SPAN_ID => item.span_id = span_id(field, at)?,
            x::TRACE_ID => item.trace_id = trace_id(field, at)?,
            x::ATTRIBUTES => attribute(budget, field, at, &mut item.attributes)?,
            _ => {}
        }
    }
    point.exemplars.push(item);
    Ok(())
}

fn double(field: Field<'_>, at: usize) -> Result<f64, WireError> {
    field.fixed64(at).map(f64::from_bits)
}

/// Appends 64-bit numbers, packed or one by one.
fn fixed64s<T>(
    field: Field<'_>,
    at: usize,
    list: &mut Vec<T>,
    of: fn(u64) -> T,
) -> Result<(), ItemError> {
    if let Field::Fixed64(bits) = field {
        return push(list, of(bits));
    }
    let mut packed = field.slice(at)?.reader();
    while !packed.is_at_end() {
        push(list, of(packed.packed_fixed64()?))?;
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), ItemError> {
    if list.len() >= BUCKETS_MAX {
        return Err(RejectReason::TooLarge.into());
    }
    list.push(item);
    Ok(())
}

/// A `sint32`.
const fn zigzag(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
