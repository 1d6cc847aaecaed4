//! Distributions that are added up, subtracted and asked for quantiles.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlight_model::{ExponentialBuckets, ExponentialHistogram, Histogram, PointValue, Summary};

/// Values that were observed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sample {
    pub(super) count: f64,
    /// NaN where it is not known.
    pub(super) sum: f64,
    /// Between which all values lie, where that is known.
    pub(super) range: Option<(f64, f64)>,
    /// Whether the ends of the range are among the values. Those of something cumulative may be of any time.
    pub(super) is_range_exact: bool,
    pub(super) buckets: Buckets,
}

/// How values are distributed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Buckets {
    /// Not known.
    #[default]
    None,
    Explicit {
        bounds: Arc<[f64]>,
        counts: Vec<f64>,
    },
    Exponential(Exponential),
}

/// Buckets whose bounds are powers of 2^(2^-scale).
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Exponential {
    scale: i32,
    zero: f64,
    zero_threshold: f64,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
}

impl Sample {
    /// What a point says; `None` if it is no distribution.
    pub(super) fn of(value: &PointValue) -> Option<Self> {
        match value {
            PointValue::Histogram(value) => Some(Self::of_histogram(value)),
            PointValue::Exponential(value) => Some(Self::of_exponential(value)),
            PointValue::Summary(Summary { count, sum, .. }) => Some(Self {
                count: *count as f64,
                sum: *sum,
                ..Self::default()
            }),
            PointValue::None | PointValue::Number(_) => None,
        }
    }

    fn of_histogram(value: &Histogram) -> Self {
        let buckets = if value.buckets.len() < 2 {
            Buckets::None
        } else {
            Buckets::Explicit {
                bounds: value.bounds.as_slice().into(),
                counts: value.buckets.iter().map(|&count| count as f64).collect(),
            }
        };
        Self {
            count: value.count as f64,
            sum: value.sum.unwrap_or(f64::NAN),
            range: value.min.zip(value.max),
            is_range_exact: false,
            buckets,
        }
    }

    fn of_exponential(value: &ExponentialHistogram) -> Self {
        let side = |buckets: &ExponentialBuckets| {
            let counts = (0_i32..).zip(&buckets.counts);
            counts
                .filter(|&(_, &count)| count > 0)
                .map(|(place, &count)| (buckets.offset.saturating_add(place), count as f64))
                .collect()
        };
        Self {
            count: value.count as f64,
            sum: value.sum.unwrap_or(f64::NAN),
            range: value.min.zip(value.max),
            is_range_exact: false,
            buckets: Buckets::Exponential(Exponential {
                scale: value.scale,
                zero: value.zero_count as f64,
                zero_threshold: value.zero_threshold,
                positive: side(&value.positive),
                negative: side(&value.negative),
            }),
        }
    }

    /// What was observed since `before`; `None` if that is no earlier state of the same.
    pub(super) fn since(&self, before: &Self) -> Option<Self> {
        let count = self.count - before.count;
        if count < 0.0 {
            return None;
        }
        Some(Self {
            count,
            sum: self.sum - before.sum,
            // The values since then lie between those of all time.
            range: self.range,
            is_range_exact: false,
            buckets: self.buckets.since(&before.buckets)?,
        })
    }

    /// Adds a part of another.
    pub(super) fn add(&mut self, other: &Self, part: f64) {
        if other.count == 0.0 && (self.count != 0.0 || self.buckets != Buckets::None) {
            return;
        }
        if self.count == 0.0 {
            // What held nothing says nothing about the range and the bounds either.
            *self = other.clone();
            self.count *= part;
            self.sum = if self.count == 0.0 {
                0.0
            } else {
                self.sum * part
            };
            self.buckets.scale_by(part);
            return;
        }
        self.range = match (self.range, other.range) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            _ => None,
        };
        self.is_range_exact &= other.is_range_exact;
        self.count += other.count * part;
        self.sum += other.sum * part;
        self.buckets.add(&other.buckets, part);
    }

    /// The value below which that part of the values lies, 0 to 1, as far as the buckets tell.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        let bars = self.buckets.bars(self.range);
        let total: f64 = bars.iter().map(|bar| bar.count).sum();
        if total <= 0.0 {
            return None;
        }
        let rank = quantile * total;
        let (min, max) = (self.range)
            .filter(|(min, max)| min <= max)
            .unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        let mut below = 0.0;
        let mut found = None;
        for bar in bars.iter().filter(|bar| bar.count > 0.0) {
            let part = ((rank - below) / bar.count).clamp(0.0, 1.0);
            // Nothing of a bucket is beyond the ends, which may be all in one.
            found = Some(bar.within(min, max).at(part));
            below += bar.count;
            if below >= rank {
                break;
            }
        }
        found.map(|value| value.clamp(min, max))
    }

    /// Bytes of memory, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.buckets {
                Buckets::None => 0,
                Buckets::Explicit { counts, .. } => 8 * counts.len(),
                Buckets::Exponential(one) => 24 * (one.positive.len() + one.negative.len()),
            }
    }
}

/// A bucket: between which values, how many.
struct Bar {
    lower: f64,
    upper: f64,
    count: f64,
    is_geometric: bool,
}

impl Bar {
    /// The part of it between the ends of all values; all of it if it is not there.
    fn within(&self, min: f64, max: f64) -> Self {
        let (lower, upper) = (self.lower.max(min), self.upper.min(max));
        let ends = if lower <= upper {
            (lower, upper)
        } else {
            (self.lower, self.upper)
        };
        Self {
            lower: ends.0,
            upper: ends.1,
            ..*self
        }
    }

    // The value at a part of the way from the lower to the upper end.
    fn at(&self, part: f64) -> f64 {
        if self.is_geometric {
            return self.lower * (self.upper / self.lower).powf(part);
        }
        self.lower + (self.upper - self.lower) * part
    }
}

impl Buckets {
    fn since(&self, before: &Self) -> Option<Self> {
        match (self, before) {
            (
                Self::Explicit { bounds, counts },
                Self::Explicit {
                    bounds: bounds_before,
                    counts: counts_before,
                },
            ) => {
                if bounds != bounds_before {
                    return None;
                }
                let counts: Vec<f64> = counts
                    .iter()
                    .zip(counts_before)
                    .map(|(now, before)| now - before)
                    .collect();
                let is_later = counts.iter().all(|&count| count >= 0.0);
                is_later.then(|| Self::Explicit {
                    bounds: Arc::clone(bounds),
                    counts,
                })
            }
            (Self::Exponential(now), Self::Exponential(before)) => {
                now.since(before).map(Self::Exponential)
            }
            (Self::None, Self::None) => Some(Self::None),
            _ => None,
        }
    }

    fn add(&mut self, other: &Self, part: f64) {
        match (&mut *self, other) {
            (
                Self::Explicit { bounds, counts },
                Self::Explicit {
                    bounds: other_bounds,
                    counts: other_counts,
                },
            ) => {
                if bounds == other_bounds {
                    for (count, other) in counts.iter_mut().zip(other_counts) {
                        *count += other * part;
                    }
                    return;
                }
                // Only the bounds both have say the same of all values.
                let common: Arc<[f64]> = bounds
                    .iter()
                    .copied()
                    .filter(|bound| other_bounds.contains(bound))
                    .collect();
                let mut joined = coarser(bounds, counts, &common);
                let other = coarser(other_bounds, other_counts, &common);
                for (count, other) in joined.iter_mut().zip(other) {
                    *count += other * part;
                }
                *self = Self::Explicit {
                    bounds: common,
                    counts: joined,
                };
            }
            (Self::Exponential(own), Self::Exponential(other)) => own.add(other, part),
            _ => *self = Self::None,
        }
    }

    fn scale_by(&mut self, part: f64) {
        match self {
            Self::None => {}
            Self::Explicit { counts, .. } => counts.iter_mut().for_each(|count| *count *= part),
            Self::Exponential(one) => {
                one.zero *= part;
                let both = one.positive.values_mut().chain(one.negative.values_mut());
                both.for_each(|count| *count *= part);
            }
        }
    }

    // Buckets in the order of their values.
    fn bars(&self, range: Option<(f64, f64)>) -> Vec<Bar> {
        match self {
            Self::Explicit { bounds, counts } => explicit_bars(bounds, counts, range),
            Self::Exponential(one) => one.bars(),
            Self::None => Vec::new(),
        }
    }
}

// The ends are where the lowest and highest values are, or else: the first bucket begins at zero if
// its bound is above it, and the last has no width.
fn explicit_bars(bounds: &[f64], counts: &[f64], range: Option<(f64, f64)>) -> Vec<Bar> {
    let (Some(&first), Some(&last)) = (bounds.first(), bounds.last()) else {
        return Vec::new();
    };
    let (min, max) = range.unwrap_or((if first > 0.0 { 0.0 } else { first }, last));
    let lowers = std::iter::once(min.min(first)).chain(bounds.iter().copied());
    let uppers = bounds.iter().copied().chain(std::iter::once(max.max(last)));
    lowers
        .zip(uppers)
        .zip(counts)
        .map(|((lower, upper), &count)| Bar {
            lower,
            upper,
            count,
            is_geometric: false,
        })
        .collect()
}

// The counts for fewer bounds.
fn coarser(bounds: &[f64], counts: &[f64], wanted: &[f64]) -> Vec<f64> {
    let mut joined = vec![0.0; wanted.len() + 1];
    for (place, count) in counts.iter().enumerate() {
        let bucket = match bounds.get(place) {
            Some(bound) => wanted.partition_point(|known| known < bound),
            None => wanted.len(),
        };
        joined[bucket] += count;
    }
    joined
}

/// The lower bound of a bucket of exponential ones, each of which is so many powers of two wide.
fn bound(index: i32, width: f64) -> f64 {
    f64::exp2(f64::from(index) * width)
}

impl Exponential {
    fn since(&self, before: &Self) -> Option<Self> {
        let scale = self.scale.min(before.scale);
        let (mut now, mut before) = (self.at_scale(scale), before.at_scale(scale));
        now.join_zeros(&mut before);
        now.zero -= before.zero;
        for (side, before) in [
            (&mut now.positive, before.positive),
            (&mut now.negative, before.negative),
        ] {
            for (index, count) in before {
                *side.entry(index).or_default() -= count;
            }
        }
        let both = now.positive.values().chain(now.negative.values());
        let is_later = now.zero >= 0.0 && both.into_iter().all(|&count| count >= 0.0);
        is_later.then_some(now)
    }

    fn add(&mut self, other: &Self, part: f64) {
        let scale = self.scale.min(other.scale);
        if scale != self.scale {
            *self = self.at_scale(scale);
        }
        let mut other = other.at_scale(scale);
        self.join_zeros(&mut other);
        self.zero += other.zero * part;
        for (side, other) in [
            (&mut self.positive, other.positive),
            (&mut self.negative, other.negative),
        ] {
            for (index, count) in other {
                *side.entry(index).or_default() += count * part;
            }
        }
    }

    // Gives two of one scale the same zero bucket: the wider one, up to the end of a bucket that it would
    // cut in two.
    fn join_zeros(&mut self, other: &mut Self) {
        if self.zero_threshold == other.zero_threshold {
            return;
        }
        let widest = self.zero_threshold.max(other.zero_threshold);
        let threshold = self.uncut(widest).max(other.uncut(widest));
        self.widen_zero(threshold);
        other.widen_zero(threshold);
    }

    // The threshold, or the upper end of the bucket that it lies within.
    fn uncut(&self, threshold: f64) -> f64 {
        let both = self.positive.iter().chain(&self.negative);
        let both = both.filter(|&(_, &count)| count > 0.0);
        let mut ends =
            both.map(|(&index, _)| (self.bound(index), self.bound(index.saturating_add(1))));
        let cut = ends.find(|&(lower, upper)| lower < threshold && threshold < upper);
        cut.map_or(threshold, |(_, upper)| upper)
    }

    fn widen_zero(&mut self, threshold: f64) {
        self.zero_threshold = threshold;
        let width = self.width();
        let mut zeros = 0.0;
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|&index, count| {
                let is_beyond = bound(index.saturating_add(1), width) > threshold;
                zeros += if is_beyond { 0.0 } else { *count };
                is_beyond
            });
        }
        self.zero += zeros;
    }

    fn width(&self) -> f64 {
        f64::exp2(f64::from(-self.scale))
    }

    fn bound(&self, index: i32) -> f64 {
        bound(index, self.width())
    }

    // The same with coarser buckets: each level of scale joins two.
    fn at_scale(&self, scale: i32) -> Self {
        let shift = (self.scale - scale).clamp(0, 31);
        let side = |buckets: &BTreeMap<i32, f64>| {
            let mut joined = BTreeMap::new();
            for (index, count) in buckets {
                *joined.entry(index >> shift).or_default() += count;
            }
            joined
        };
        Self {
            scale,
            zero: self.zero,
            zero_threshold: self.zero_threshold,
            positive: side(&self.positive),
            negative: side(&self.negative),
        }
    }

    fn bars(&self) -> Vec<Bar> {
        let bound = |index: i32| self.bound(index);
        let negative = self.negative.iter().rev().map(|(&index, &count)| Bar {
            lower: -bound(index.saturating_add(1)),
            upper: -bound(index),
            count,
            is_geometric: true,
        });
        let zero = Bar {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            count: self.zero,
            is_geometric: false,
        };
        let positive = self.positive.iter().map(|(&index, &count)| Bar {
            lower: bound(index),
            upper: bound(index.saturating_add(1)),
            count,
            is_geometric: true,
        });
        negative
            .chain(std::iter::once(zero))
            .chain(positive)
            .collect()
    }
}
