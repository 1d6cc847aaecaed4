//! Medians, other quantiles, and their confidence intervals.

/// A quantile, the median as a rule, and the interval that covers the true one with at least 95 %
/// confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// The sample's median or quantile.
    pub(crate) median: f64,
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

impl Estimate {
    /// The median, by order statistics: no assumption about the samples' distribution.
    ///
    /// The number of samples below the true median is binomial with p = 1/2, so the interval
    /// between the k-th smallest and the k-th largest misses it with twice the probability of fewer
    /// than k. The largest k that keeps this under 5 % is taken. Fewer than six samples cannot
    /// reach 95 %: they give their extremes.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let sorted = sorted(samples);
        let count = sorted.len();
        if count == 0 {
            return Self::NONE;
        }
        Self::around(middle(&sorted), &sorted, 0.5)
    }

    /// The value that `share` of all do not exceed, in the same way: the samples below it are
    /// binomial with p = `share`, and either end misses it with at most 2.5 %. Where the samples are
    /// too few for that, an end is their extreme.
    pub(crate) fn of_quantile(samples: &[f64], share: f64) -> Self {
        let sorted = sorted(samples);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        match sorted.get(rank.saturating_sub(1)) {
            Some(value) => Self::around(*value, &sorted, share),
            None => Self::NONE,
        }
    }

    const NONE: Self = Self {
        median: f64::NAN,
        low: f64::NAN,
        high: f64::NAN,
    };

    fn around(median: f64, sorted: &[f64], share: f64) -> Self {
        let count = sorted.len();
        Self {
            median,
            low: sorted[left_out(count, share)],
            high: sorted[count - 1 - left_out(count, 1.0 - share)],
        }
    }
}

/// The median; no number if there are no samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    if samples.is_empty() {
        return f64::NAN;
    }
    middle(&sorted(samples))
}

/// The median of sorted samples, of which there is one at least.
fn middle(sorted: &[f64]) -> f64 {
    let count = sorted.len();
    f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2])
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// How many samples to leave out below a quantile: as many as all of them are above it with a
/// probability under 2.5 %. Fewer than `count`.
fn left_out(count: usize, share: f64) -> usize {
    // Logarithms, as the probability of none vanishes for some thousand samples.
    let mut log_probability = count as f64 * (1.0 - share).ln();
    let mut below = 0.0;
    let mut rank = 0;
    for candidate in 0..count {
        below += log_probability.exp();
        if below > 0.025 {
            break;
        }
        rank = candidate;
        let ratio = (count - candidate) as f64 / (candidate + 1) as f64;
        log_probability += (ratio * share / (1.0 - share)).ln();
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_the_ranks_of_the_binomial_tables() {
        // (samples, ranks left out at each end): standard values for the median's interval.
        for (count, expected) in [
            (1, 0),
            (5, 0),
            (6, 0),
            (9, 1),
            (15, 3),
            (20, 5),
            (21, 5),
            (30, 9),
        ] {
            assert_eq!(left_out(count, 0.5), expected, "of {count}");
        }
    }

    #[test]
    fn a_95th_percentile_has_the_ranks_of_the_binomial_distribution() {
        // (samples, left out below, left out above), from cumulative probabilities at 2.5 %.
        for (count, below, above) in [(50, 43, 0), (100, 89, 0), (200, 183, 3)] {
            let ranks = (left_out(count, 0.95), left_out(count, 1.0 - 0.95));
            assert_eq!(ranks, (below, above), "of {count}");
        }
        let samples: Vec<f64> = (1..=200).map(f64::from).collect();
        let estimate = Estimate::of_quantile(&samples, 0.95);
        assert_eq!(estimate.median, 190.0);
        assert!(estimate.low < 190.0 && 190.0 < estimate.high && estimate.high < 200.0);
        assert_eq!(left_out(20_000, 0.5), 9_860);
    }

    #[test]
    fn a_median_lies_in_its_interval() {
        assert_eq!(median(&[5.0, 1.0, 4.0, 2.0]), 3.0);
        assert!(median(&[]).is_nan());
        let estimate = Estimate::of(&[5.0, 1.0, 9.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0]);
        assert_eq!(
            estimate,
            Estimate {
                median: 5.0,
                low: 2.0,
                high: 8.0
            }
        );
        assert_eq!(
            Estimate::of(&[1.0, 2.0]),
            Estimate {
                median: 1.5,
                low: 1.0,
                high: 2.0
            }
        );
    }
}
