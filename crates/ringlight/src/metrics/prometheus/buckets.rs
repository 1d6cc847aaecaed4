//! Histograms as both formats have them: buckets with an upper bound each.

use opentelemetry_sdk::metrics::data::{
    ExponentialBucket, ExponentialHistogramDataPoint, HistogramDataPoint,
};

use crate::metrics::exemplars::Number;

/// A histogram.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Distribution {
    /// How much is at most so much and more than the bound before, by bound, ascending.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    /// `None` if it may shrink.
    pub(super) sum: Option<f64>,
    /// The bounds it needs, where they are not those that were asked for.
    pub(super) powers: Option<Powers>,
}

impl Distribution {
    pub(super) fn add(&mut self, other: Self) {
        for (bound, count) in other.buckets {
            self.add_bucket(bound, count);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.zip(other.sum).map(|(a, b)| a + b);
        let powers = self.powers.into_iter().chain(other.powers);
        self.powers = powers.reduce(Powers::joined);
    }

    /// Gives it all of these bounds, if its own are among them.
    pub(super) fn extend(&mut self, powers: Powers) {
        if self.powers.is_some() {
            powers.bounds().for_each(|bound| self.add_bucket(bound, 0));
        }
    }

    fn add_bucket(&mut self, bound: f64, count: u64) {
        match self
            .buckets
            .binary_search_by(|(known, _)| known.total_cmp(&bound))
        {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bound, count)),
        }
    }
}

/// The least and the greatest exponent of a power of two that is a bound, so that no value that strays makes bounds
/// without end: from a picosecond in seconds to what 64 bits hold.
const EXPONENT_MIN: i32 = -40;
const EXPONENT_MAX: i32 = 64;

/// Bounds that are powers of two, without a gap.
///
/// Prometheus adds up buckets of several series by bound, and takes a quantile between a bound and the one before. So all
/// series of a family need the same ones, those included in which there is nothing. From one scrape to the next they
/// become more where something is measured that lies outside; none goes, since a histogram forgets nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Powers {
    /// The least and the greatest exponent of bounds below zero.
    negative: Option<(i32, i32)>,
    has_zero: bool,
    positive: Option<(i32, i32)>,
}

impl Powers {
    pub(super) fn joined(self, other: Self) -> Self {
        Self {
            negative: both(self.negative, other.negative),
            has_zero: self.has_zero || other.has_zero,
            positive: both(self.positive, other.positive),
        }
    }

    /// Ascending.
    fn bounds(self) -> impl Iterator<Item = f64> {
        let exponents = |range: Option<(i32, i32)>| {
            let range = range.map(|(least, greatest)| least..=greatest);
            range.into_iter().flatten()
        };
        let negative = exponents(self.negative).rev();
        let negative = negative.map(|exponent| -two_to(exponent));
        let zero = self.has_zero.then_some(0.0);
        let positive = exponents(self.positive).map(two_to);
        negative.chain(zero).chain(positive)
    }
}

pub(super) fn two_to(exponent: i32) -> f64 {
    2_f64.powi(exponent)
}

/// A range that has all of both.
fn both(one: Option<(i32, i32)>, other: Option<(i32, i32)>) -> Option<(i32, i32)> {
    let ranges = one.into_iter().chain(other);
    ranges.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}

pub(super) fn explicit<T: Copy + Into<Number>>(point: &HistogramDataPoint<T>) -> Distribution {
    Distribution {
        // What is above the last bound is in the count alone.
        buckets: point.bounds().zip(point.bucket_counts()).collect(),
        count: point.count(),
        sum: sum(point.sum(), point.min()),
        powers: None,
    }
}

/// Neither format has exponential buckets: those of each power of two are one, which halves nothing but the resolution. The
/// bound below the lowest of them is one, too, for what is in that is not spread as far as zero.
pub(super) fn exponential<T: Copy + Into<Number>>(
    point: &ExponentialHistogramDataPoint<T>,
) -> Distribution {
    let scale = i32::from(point.scale());
    // The exponents of the powers of two between which a bucket is.
    let between = |index: i64| match u32::try_from(scale) {
        Ok(scale) => (index >> scale, (index >> scale) + 1),
        Err(_) => (index << -scale, (index + 1) << -scale),
    };
    let limited = |exponent: i64| exponent.clamp(EXPONENT_MIN.into(), EXPONENT_MAX.into()) as i32;
    let mut of = Distribution {
        count: point.count() as u64,
        sum: sum(point.sum(), point.min()),
        ..Distribution::default()
    };
    let mut powers = Powers::default();
    for (index, count) in filled(point.negative_bucket()) {
        let (from, to) = between(index);
        powers.negative = both(powers.negative, Some((limited(from), limited(to))));
        let bound = match from < i64::from(EXPONENT_MIN) {
            true => 0.0,
            false => -two_to(limited(from)),
        };
        of.add_bucket(bound, count);
    }
    if point.zero_count() > 0 {
        of.add_bucket(0.0, point.zero_count());
    }
    powers.has_zero = !of.buckets.is_empty();
    for (index, count) in filled(point.positive_bucket()) {
        let (from, to) = between(index);
        powers.positive = both(powers.positive, Some((limited(from), limited(to))));
        // What is above the last bound is in the count alone.
        if to <= i64::from(EXPONENT_MAX) {
            of.add_bucket(two_to(limited(to)), count);
        }
    }
    of.powers = Some(powers);
    of
}

/// The buckets that have something in them, by index.
fn filled(buckets: &ExponentialBucket) -> impl Iterator<Item = (i64, u64)> {
    let counted = (i64::from(buckets.offset())..).zip(buckets.counts());
    counted.filter(|(_, count)| *count > 0)
}

/// A sum that values below zero are part of may shrink.
fn sum<T: Into<Number>>(sum: T, min: Option<T>) -> Option<f64> {
    let is_negative = min.is_some_and(|min| min.into().as_f64() < 0.0);
    (!is_negative).then(|| sum.into().as_f64())
}
