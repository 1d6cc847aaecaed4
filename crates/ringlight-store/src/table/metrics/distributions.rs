//! Distributions on disk.

use ringlight_model::{ExponentialBuckets, ExponentialHistogram, Histogram, PointValue, Summary};

use super::sections::Order;
use super::{MetricTable, Stored};
use crate::codec::{Corrupt, Reader, put_varint, put_zigzag};

const HAS_SUM: u8 = 1;
const HAS_MIN: u8 = 2;
const HAS_MAX: u8 = 4;

/// What the buckets of a histogram are written as differences from: those of the one before, if that
/// is of the same series and has the same bounds.
#[derive(Default)]
struct Before {
    place: usize,
    bounds: usize,
    buckets: Vec<u64>,
}

impl Before {
    fn buckets(&self, place: usize, bounds: usize, count: usize) -> &[u64] {
        let is_alike = (place, bounds, count) == (self.place, self.bounds, self.buckets.len());
        if is_alike { &self.buckets } else { &[] }
    }
}

impl MetricTable {
    /// `places` are the series of the rows.
    pub(super) fn write_distributions(&self, order: &Order, places: &[usize], out: &mut Vec<u8>) {
        let mut bounds: Vec<&[f64]> = Vec::new();
        let mut rows = Vec::new();
        let (mut count_before, mut before) = (0_u64, Before::default());
        for (&row, &place) in order.rows.iter().zip(places) {
            let Stored::Distribution(value) = &self.values[row as usize] else {
                continue;
            };
            let count = count_of(value);
            put_zigzag(&mut rows, count.wrapping_sub(count_before).cast_signed());
            count_before = count;
            match &**value {
                PointValue::Histogram(value) => {
                    put_statistics(&mut rows, value.sum, value.min, value.max);
                    let number = bounds.iter().position(|known| *known == value.bounds);
                    let number = number.unwrap_or_else(|| {
                        bounds.push(&value.bounds);
                        bounds.len() - 1
                    });
                    put_varint(&mut rows, number as u64);
                    put_varint(&mut rows, value.buckets.len() as u64);
                    let known = before.buckets(place, number, value.buckets.len());
                    let known = known.iter().copied().chain(std::iter::repeat(0));
                    for (&bucket, known) in value.buckets.iter().zip(known) {
                        put_zigzag(&mut rows, bucket.wrapping_sub(known).cast_signed());
                    }
                    before = Before {
                        place,
                        bounds: number,
                        buckets: value.buckets.clone(),
                    };
                }
                PointValue::Exponential(value) => write_exponential(&mut rows, value),
                PointValue::Summary(value) => {
                    put_double(&mut rows, value.sum);
                    put_varint(&mut rows, value.quantiles.len() as u64);
                    for &(quantile, value) in &value.quantiles {
                        put_double(&mut rows, quantile);
                        put_double(&mut rows, value);
                    }
                }
                PointValue::None | PointValue::Number(_) => {}
            }
        }
        put_varint(out, bounds.len() as u64);
        for bounds in bounds {
            put_varint(out, bounds.len() as u64);
            bounds.iter().for_each(|&bound| put_double(out, bound));
        }
        out.extend_from_slice(&rows);
    }

    // Needs the values.
    pub(super) fn read_distributions(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let mut bounds = Vec::new();
        for _ in 0..reader.count()? {
            bounds.push(read_doubles(reader)?);
        }
        let (mut count, mut before) = (0_u64, Before::default());
        for (value, &place) in self.values.iter_mut().zip(&self.of) {
            let Stored::Distribution(value) = value else {
                continue;
            };
            count = count.wrapping_add(reader.zigzag()?.cast_unsigned());
            match &mut **value {
                PointValue::Histogram(value) => {
                    *value = read_histogram(reader, count, &bounds, place as usize, &mut before)?;
                }
                PointValue::Exponential(value) => *value = read_exponential(reader, count)?,
                PointValue::Summary(value) => {
                    *value = Summary {
                        count,
                        sum: read_double(reader)?,
                        quantiles: read_quantiles(reader)?,
                    };
                }
                PointValue::None | PointValue::Number(_) => {}
            }
        }
        Ok(())
    }
}

fn count_of(value: &PointValue) -> u64 {
    match value {
        PointValue::Histogram(value) => value.count,
        PointValue::Exponential(value) => value.count,
        PointValue::Summary(value) => value.count,
        PointValue::None | PointValue::Number(_) => 0,
    }
}

fn read_histogram(
    reader: &mut Reader<'_>,
    count: u64,
    bounds: &[Vec<f64>],
    place: usize,
    before: &mut Before,
) -> Result<Histogram, Corrupt> {
    let [sum, min, max] = read_statistics(reader)?;
    let number = reader.varint_u32()? as usize;
    let bounds = bounds
        .get(number)
        .ok_or(Corrupt("histogram of no bounds"))?;
    let length = reader.count()?;
    if length != 0 && length != bounds.len() + 1 {
        return Err(Corrupt("buckets do not fit their bounds"));
    }
    let known = before.buckets(place, number, length);
    let known = known.iter().copied().chain(std::iter::repeat(0));
    let differences = reader.zigzags(length)?;
    let buckets: Vec<u64> = differences
        .into_iter()
        .zip(known)
        .map(|(difference, known)| known.wrapping_add(difference.cast_unsigned()))
        .collect();
    *before = Before {
        place,
        bounds: number,
        buckets: buckets.clone(),
    };
    Ok(Histogram {
        count,
        sum,
        min,
        max,
        bounds: bounds.clone(),
        buckets,
    })
}

fn write_exponential(out: &mut Vec<u8>, value: &ExponentialHistogram) {
    put_statistics(out, value.sum, value.min, value.max);
    put_zigzag(out, i64::from(value.scale));
    put_varint(out, value.zero_count);
    put_double(out, value.zero_threshold);
    for buckets in [&value.positive, &value.negative] {
        put_zigzag(out, i64::from(buckets.offset));
        put_varint(out, buckets.counts.len() as u64);
        for &count in &buckets.counts {
            put_varint(out, count);
        }
    }
}

fn read_exponential(reader: &mut Reader<'_>, count: u64) -> Result<ExponentialHistogram, Corrupt> {
    let [sum, min, max] = read_statistics(reader)?;
    Ok(ExponentialHistogram {
        count,
        sum,
        min,
        max,
        scale: read_i32(reader)?,
        zero_count: reader.varint()?,
        zero_threshold: read_double(reader)?,
        positive: read_buckets(reader)?,
        negative: read_buckets(reader)?,
    })
}

fn read_buckets(reader: &mut Reader<'_>) -> Result<ExponentialBuckets, Corrupt> {
    let offset = read_i32(reader)?;
    let length = reader.count()?;
    Ok(ExponentialBuckets {
        offset,
        counts: reader.varints(length)?,
    })
}

fn read_quantiles(reader: &mut Reader<'_>) -> Result<Vec<(f64, f64)>, Corrupt> {
    let length = reader.count()?;
    let pairs = (0..length).map(|_| Ok((read_double(reader)?, read_double(reader)?)));
    pairs.collect()
}

fn put_statistics(out: &mut Vec<u8>, sum: Option<f64>, min: Option<f64>, max: Option<f64>) {
    let known = [(sum, HAS_SUM), (min, HAS_MIN), (max, HAS_MAX)];
    out.push(known.iter().fold(0, |mask, (value, bit)| {
        mask | if value.is_some() { *bit } else { 0 }
    }));
    known
        .iter()
        .filter_map(|(value, _)| *value)
        .for_each(|value| put_double(out, value));
}

fn read_statistics(reader: &mut Reader<'_>) -> Result<[Option<f64>; 3], Corrupt> {
    let mask = reader.u8()?;
    let mut statistics = [None; 3];
    for (statistic, bit) in statistics.iter_mut().zip([HAS_SUM, HAS_MIN, HAS_MAX]) {
        if mask & bit != 0 {
            *statistic = Some(read_double(reader)?);
        }
    }
    Ok(statistics)
}

fn put_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn read_double(reader: &mut Reader<'_>) -> Result<f64, Corrupt> {
    reader.u64().map(f64::from_bits)
}

fn read_doubles(reader: &mut Reader<'_>) -> Result<Vec<f64>, Corrupt> {
    let length = reader.count()?;
    (0..length).map(|_| read_double(reader)).collect()
}

fn read_i32(reader: &mut Reader<'_>) -> Result<i32, Corrupt> {
    i32::try_from(reader.zigzag()?).map_err(|_| Corrupt("number is out of range"))
}
