//! An exponential histogram of nanoseconds.
//!
//! Source: OpenTelemetry specification, "Metrics Data Model", "ExponentialHistogram".

/// Eight buckets for each power of two: the bounds of a bucket are within 9.1 % of each other, and what it stands for
/// is known within 4.4 %. It is what Prometheus takes by default for its native histograms, too.
pub(in crate::metrics) const SCALE: i32 = 3;

const BUCKETS_A_POWER: i32 = 1 << SCALE;

/// The bounds within a power of two, `2^(63 + k/8)`: those that are no whole numbers are rounded down, which no whole
/// number lies between.
const BOUNDS: [u64; BUCKETS_A_POWER as usize] = [
    9_223_372_036_854_775_808,
    10_058_158_527_438_640_870,
    10_968_499_650_544_839_023,
    11_961_233_684_655_323_370,
    13_043_817_825_332_782_212,
    14_224_384_202_002_324_189,
    15_511_800_964_685_064_948,
    16_915_738_899_553_466_670,
];

/// The bucket of a number: the one with index `i` holds what is above `2^(i/8)` and not above `2^((i+1)/8)`. Integers
/// alone, so that it is exact. For 0, which has none, the one of 1.
const fn index(value: u64) -> i32 {
    let value = if value == 0 { 1 } else { value };
    let zeros = value.leading_zeros();
    let normal = value << zeros;
    let mut above = 0;
    let mut at = 0;
    while at < BOUNDS.len() {
        above += (normal > BOUNDS[at]) as i32;
        at += 1;
    }
    (63 - zeros as i32) * BUCKETS_A_POWER + above - 1
}

/// How often what was seen, in nanoseconds. It has as many buckets as lie between the least and the most that was
/// seen, at most 513: all there are for 64 bits.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::metrics) struct Histogram {
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    zeros: u64,
    /// The index of the first of the buckets.
    first: i32,
    buckets: Vec<u64>,
}

impl Histogram {
    pub(super) const fn new() -> Self {
        Self {
            count: 0,
            sum: 0,
            min: 0,
            max: 0,
            zeros: 0,
            first: 0,
            buckets: Vec::new(),
        }
    }

    /// Adds a number as often as it counts.
    pub(super) fn add(&mut self, value: u64, times: u64) {
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count = self.count.saturating_add(times);
        self.sum = (self.sum).saturating_add(u128::from(value).saturating_mul(times.into()));
        let bucket = match value {
            0 => &mut self.zeros,
            value => self.bucket(index(value)),
        };
        *bucket = bucket.saturating_add(times);
    }

    /// Adds all that another one has.
    #[cfg(feature = "prometheus")]
    pub(super) fn merge(&mut self, other: &Self) {
        let Some((min, max)) = other.extremes() else {
            return;
        };
        self.min = match self.count {
            0 => min,
            _ => self.min.min(min),
        };
        self.max = self.max.max(max);
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (index, count) in (other.first..).zip(&other.buckets) {
            let bucket = self.bucket(index);
            *bucket = bucket.saturating_add(*count);
        }
    }

    #[inline]
    fn bucket(&mut self, index: i32) -> &mut u64 {
        let at = usize::try_from(index - self.first).unwrap_or(usize::MAX);
        if at >= self.buckets.len() {
            self.grow(index);
        }
        // After growing it is there.
        &mut self.buckets[(index - self.first) as usize]
    }

    /// Makes room for a bucket.
    #[cold]
    fn grow(&mut self, index: i32) {
        if self.buckets.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let more = (self.first - index) as usize;
            self.buckets.splice(..0, std::iter::repeat_n(0, more));
            self.first = index;
        }
        let length = (index - self.first) as usize + 1;
        if length > self.buckets.len() {
            self.buckets.resize(length, 0);
        }
    }

    pub(in crate::metrics) const fn count(&self) -> u64 {
        self.count
    }

    /// All of it in nanoseconds.
    pub(in crate::metrics) const fn sum(&self) -> u128 {
        self.sum
    }

    /// The least and the most, where there is any.
    pub(in crate::metrics) const fn extremes(&self) -> Option<(u64, u64)> {
        if self.count == 0 {
            None
        } else {
            Some((self.min, self.max))
        }
    }

    /// How often it was nothing.
    pub(in crate::metrics) const fn zeros(&self) -> u64 {
        self.zeros
    }

    /// The index of the first bucket, and how often something fell into it and those that follow.
    pub(in crate::metrics) fn buckets(&self) -> (i32, &[u64]) {
        (self.first, &self.buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_above_its_lower_bound_and_not_above_its_upper_one() {
        let mut values: Vec<u64> = (1..5000).collect();
        for power in 0..64 {
            for eighth in 0..8 {
                let bound = 2_f64.powf(f64::from(power) + f64::from(eighth) / 8.0);
                let near = bound as u64;
                values.extend([near.saturating_sub(1).max(1), near, near.saturating_add(1)]);
            }
        }
        values.push(u64::MAX);
        for value in values {
            let index = index(value);
            // In logarithms, where the error of a float is far below the distance of two numbers as small as these.
            let eighths = (value as f64).log2() * 8.0;
            let (below, above) = (f64::from(index), f64::from(index + 1));
            assert!(
                below - 1e-9 < eighths && eighths < above + 1e-9,
                "{value} in {index}"
            );
        }
    }

    #[test]
    fn powers_of_two_are_the_upper_bounds_of_their_buckets() {
        for power in 0..64 {
            assert_eq!(index(1 << power), power * 8 - 1);
            if power > 3 {
                assert_eq!(index((1 << power) + 1), power * 8);
            }
        }
        assert_eq!((index(0), index(u64::MAX)), (-1, 511));
    }

    #[test]
    fn count_sum_and_extremes_are_exact_and_every_number_is_in_a_bucket() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.extremes(), None);
        let values = [1_000_000_007, 3, 0, u64::MAX, 1, 3, 0];
        for value in values {
            histogram.add(value, 2);
        }
        assert_eq!((histogram.count(), histogram.zeros()), (14, 4));
        let sum: u128 = values.iter().map(|value| u128::from(*value) * 2).sum();
        assert_eq!(histogram.sum(), sum);
        assert_eq!(histogram.extremes(), Some((0, u64::MAX)));
        let (first, buckets) = histogram.buckets();
        assert_eq!((first, buckets.len()), (-1, 513));
        let filled = buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        let filled: Vec<_> = filled.map(|(at, count)| (at as i32 - 1, *count)).collect();
        let expected = [(1, 2), (3, 4), (1_000_000_007, 2), (u64::MAX, 2)];
        assert_eq!(filled, expected.map(|(value, times)| (index(value), times)));
    }

    #[cfg(feature = "prometheus")]
    #[test]
    fn what_is_merged_is_what_was_added_to_one() {
        let values = [7, 0, 3_000_000, 1, u64::MAX, 12];
        for at in 0..=values.len() {
            let mut all = Histogram::new();
            let mut parts = [Histogram::new(), Histogram::new()];
            for (index, value) in values.into_iter().enumerate() {
                all.add(value, 3);
                parts[usize::from(index >= at)].add(value, 3);
            }
            let [mut first, second] = parts;
            first.merge(&second);
            assert_eq!(first, all, "{at}");
        }
    }

    #[test]
    fn nothing_overflows() {
        let mut histogram = Histogram::new();
        for _ in 0..3 {
            histogram.add(u64::MAX, u64::MAX);
        }
        assert_eq!(histogram.count(), u64::MAX);
        assert_eq!(histogram.buckets(), (511, &[u64::MAX][..]));
    }
}
