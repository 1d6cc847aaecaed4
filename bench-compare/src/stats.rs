//! Medians and their confidence intervals.

/// A median and the interval that covers the true one with at least 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// The sample's median.
    pub(crate) median: f64,
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

impl Estimate {
    /// From samples, by order statistics: no assumption about their distribution.
    ///
    /// The number of samples below the true median is binomial with p = 1/2, so the interval
    /// between the k-th smallest and the k-th largest misses it with twice the probability of fewer
    /// than k. The largest k that keeps this under 5 % is taken. Fewer than six samples cannot
    /// reach 95 %: they give their extremes.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        if count == 0 {
            return Self {
                median: f64::NAN,
                low: f64::NAN,
                high: f64::NAN,
            };
        }
        let rank = interval_rank(count);
        let median = f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]);
        Self {
            median,
            low: sorted[rank],
            high: sorted[count - 1 - rank],
        }
    }
}

/// How many samples to leave out at each end.
fn interval_rank(count: usize) -> usize {
    let mut below = 0.0;
    let mut probability = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut rank = 0;
    for left_out in 0..count / 2 {
        below += probability;
        if 2.0 * below > 0.05 {
            break;
        }
        rank = left_out;
        probability *= (count - left_out) as f64 / (left_out + 1) as f64;
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
            assert_eq!(interval_rank(count), expected, "of {count}");
        }
    }

    #[test]
    fn a_median_lies_in_its_interval() {
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
