//! How measurements are spread: a histogram of bounded size that any thread adds to.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets an octave is divided into: a value is known within 6 %.
const PARTS: u64 = 16;
/// The bits of the largest value that is counted: some 67 ms, if they are nanoseconds, beyond which a
/// thread was interrupted.
const BITS_MAX: u32 = 26;
/// How many in a hundred, the highest, count no more than the highest of the others.
const WINSORIZED_PERCENT: u64 = 3;
/// How many times the median a value counts at most.
const MEDIANS_MAX: f64 = 16.0;
/// The first ones are one wide each.
const BUCKETS: usize = (PARTS as usize) * (BITS_MAX - PARTS.trailing_zeros() + 1) as usize;

/// Counts values below 2^26 in buckets that widen with them. `Relaxed` throughout: each count stands for
/// itself.
#[derive(Debug)]
pub(crate) struct Spread {
    buckets: [AtomicU64; BUCKETS],
}

impl Spread {
    pub(crate) fn new() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    /// Counts a value, unless it is too large.
    pub(crate) fn add(&self, value: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(value)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The mean, winsorized above, and how many values there are in all; `None` without any. The highest
    /// 3 in 100, one at least, count no more than the highest of the others, and none more than 16 times
    /// the median: times have a long tail that belongs to the mean, and at its end some of which the
    /// thread was interrupted or had to wait, whose length says nothing.
    pub(crate) fn mean_and_count(&self) -> Option<(f64, u64)> {
        let counts: [u64; BUCKETS] =
            std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        let count: u64 = counts.iter().sum();
        let highest = (count * WINSORIZED_PERCENT).div_ceil(100);
        let median = value_at(&counts, count.div_ceil(2));
        let limit = value_at(&counts, count - highest).min(MEDIANS_MAX * median);
        let limited = |(at, count): (usize, &u64)| *count as f64 * middle_of(at).min(limit);
        let sum: f64 = counts.iter().enumerate().map(limited).sum();
        (count > 0).then(|| (sum / count as f64, count))
    }
}

/// The value that is the `rank`th lowest of those counted, the lowest one for zero.
fn value_at(counts: &[u64; BUCKETS], rank: u64) -> f64 {
    let mut before = 0;
    let reaches = |count: &u64| {
        before += count;
        before >= rank.max(1)
    };
    counts.iter().position(reaches).map_or(0.0, middle_of)
}

/// The bucket of a value; out of range for one that is too large.
fn bucket_of(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PARTS.trailing_zeros() + 1);
    // Each shift halves what is left to a value from `PARTS` to twice that, or below for the first ones.
    let bucket = u64::from(shift) * PARTS + (value >> shift);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The middle of the values in a bucket.
fn middle_of(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    let shift = (bucket / PARTS).saturating_sub(1);
    let first = (bucket - shift * PARTS) << shift;
    let width = 1_u64 << shift;
    first as f64 + (width - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_near_the_middle_of_its_bucket() {
        let large =
            (17..=BITS_MAX).flat_map(|bits| [(1 << bits) - 1, (1 << bits) - (1 << (bits - 3))]);
        for value in (0..1 << 17).chain(large) {
            let bucket = bucket_of(value);
            assert!(bucket < BUCKETS, "{value}");
            let off = (middle_of(bucket) - value as f64).abs();
            assert!(off <= value as f64 / 32.0, "{value} is {off} off");
        }
        assert!(bucket_of(1 << BITS_MAX) >= BUCKETS);
        assert!(bucket_of(u64::MAX) >= BUCKETS);
    }

    #[test]
    fn the_mean_is_that_of_all_but_of_what_was_interrupted() {
        let check = |values: &[u64], expected: Option<f64>| {
            let spread = Spread::new();
            values.iter().for_each(|value| spread.add(*value));
            let mean = spread.mean_and_count().map(|(mean, _)| mean);
            let is_near = match (mean, expected) {
                (Some(mean), Some(expected)) => (mean - expected).abs() < 1e-9,
                (mean, expected) => mean == expected,
            };
            assert!(is_near, "{values:?}: {mean:?}");
        };
        check(&[], None);
        check(&[u64::MAX], None);
        check(&[7], Some(7.0));
        // Of few, the highest counts as the next one, ...
        check(&[1, 3], Some(1.0));
        check(&[10, 12, 5_000_000], Some((10.0 + 12.0 + 12.0) / 3.0));
        // ... and several that were interrupted no more than 16 times the usual.
        let interrupted = [[10; 8].as_slice(), &[5_000_000; 2]].concat();
        check(&interrupted, Some((80.0 + 2.0 * 160.0) / 10.0));
        let forty = [[10; 38].as_slice(), &[30, 5_000_000]].concat();
        check(&forty, Some(10.0));
        // Of many, the highest 3 in 100 count as the highest of the others, which is dearer than usual.
        let tail = [[10; 96].as_slice(), &[20, 100, 1000, 100_000]].concat();
        check(&tail, Some((96.0 * 10.0 + 4.0 * 20.0) / 100.0));
        let usual = [[10; 97].as_slice(), &[1_000_000; 3]].concat();
        check(&usual, Some(10.0));
    }
}
