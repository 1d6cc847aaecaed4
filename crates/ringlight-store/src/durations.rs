//! How durations are distributed, to within a sixty-fourth.
//!
//! Buckets are log-linear: 32 of equal width between a power of two and the next one, and one for each
//! number below 32. A bucket is as wide as a thirty-second of its lowest number at most, so that its middle
//! is off by a sixty-fourth (1.6 %) of any number in it at most.

/// Buckets between two powers of two, as a power of two.
const PRECISION: u32 = 5;
/// Buckets that hold one number each.
const EXACT: u64 = 1 << PRECISION;

/// How many buckets there are.
pub(crate) const BUCKETS: u16 = ((64 - PRECISION as u16) + 1) << PRECISION;

/// The bucket of a number.
pub(crate) const fn bucket_of(number: u64) -> u16 {
    if number < EXACT {
        return number as u16;
    }
    let shift = u64::BITS - 1 - number.leading_zeros() - PRECISION;
    ((shift + 1) << PRECISION) as u16 + ((number >> shift) & (EXACT - 1)) as u16
}

/// The middle of a bucket.
pub(crate) const fn middle_of(bucket: u16) -> u64 {
    let (power, place) = (bucket >> PRECISION, bucket as u64 & (EXACT - 1));
    match power {
        0 => place,
        _ => {
            let shift = power as u32 - 1;
            ((EXACT + place) << shift) + ((1 << shift) >> 1)
        }
    }
}

/// How many numbers are in each bucket, of those between the lowest and the highest that has any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Durations {
    first: u16,
    counts: Vec<u64>,
}

impl Durations {
    /// Adds so many numbers of a bucket.
    pub(crate) fn add(&mut self, bucket: u16, count: u64) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = usize::from(self.first - bucket);
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let place = usize::from(bucket - self.first);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(count);
    }

    /// Adds all of another.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (bucket, count) in other.buckets() {
            self.add(bucket, count);
        }
    }

    /// The buckets that have any, with how many.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = (self.first..).zip(self.counts.iter().copied());
        counts.filter(|&(_, count)| count > 0)
    }

    /// The number that so many thousandths of all are not above, nearest rank; `None` if there are none. `highest` is
    /// the highest of them, which is the answer where its rank is asked for, and which no answer is above.
    pub(crate) fn quantile(&self, per_mille: u64, highest: u64) -> Option<u64> {
        let total: u64 = self.counts.iter().sum();
        let rank = (u128::from(total) * u128::from(per_mille)).div_ceil(1000);
        if total > 0 && rank >= u128::from(total) {
            return Some(highest);
        }
        let mut seen = 0_u128;
        self.buckets().find_map(|(bucket, count)| {
            seen += u128::from(count);
            // The middle of the last bucket may lie above all that is in it.
            (seen >= rank).then(|| middle_of(bucket).min(highest))
        })
    }

    /// Bytes of memory beside itself.
    pub(crate) const fn memory_bytes(&self) -> usize {
        8 * self.counts.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_up_to_the_highest_number() {
        assert_eq!(
            [0, 1, 31, 32, 63, 64, 66].map(bucket_of),
            [0, 1, 31, 32, 63, 64, 65]
        );
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Durations::default().quantile(500, 0), None);
    }

    proptest! {
        #[test]
        fn the_middle_of_a_bucket_is_off_by_a_sixty_fourth_at_most(
            number in any::<u64>(),
            shift in 0..64_u32,
        ) {
            let number = number >> shift;
            let middle = middle_of(bucket_of(number));
            prop_assert_eq!(bucket_of(middle), bucket_of(number));
            prop_assert!(middle.abs_diff(number) <= number / 64);
        }

        #[test]
        fn quantiles_are_those_of_the_numbers(
            mut numbers in proptest::collection::vec(0..1_u64 << 40, 1..200),
            split in any::<prop::sample::Index>(),
            per_mille in 1..=1000_u64,
        ) {
            let (mut all, mut rest) = (Durations::default(), Durations::default());
            let split = split.index(numbers.len());
            numbers[..split].iter().for_each(|&n| all.add(bucket_of(n), 1));
            numbers[split..].iter().for_each(|&n| rest.add(bucket_of(n), 1));
            all.add_all(&rest);
            numbers.sort_unstable();
            let rank = (numbers.len() as u64 * per_mille).div_ceil(1000) as usize;
            let exact = numbers[rank - 1];
            let highest = numbers[numbers.len() - 1];
            let found = all.quantile(per_mille, highest).unwrap();
            prop_assert!(found.abs_diff(exact) <= exact / 64, "{} for {}", found, exact);
            prop_assert!(found <= highest && (found == highest || rank < numbers.len()));
        }
    }
}
