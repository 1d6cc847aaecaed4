//! Which traces are recorded.

use std::fmt;

/// Which traces are recorded, decided where a trace begins and before anything of it is.
///
/// A trace is recorded as a whole or not at all: every span follows the one around it, and one that
/// begins a trace here follows the sampler. Work that is taken over from elsewhere, by
/// [`TraceContext::parent_of`](crate::TraceContext::parent_of), is recorded if it is recorded there,
/// for a sampler made [`parent_based`](Self::parent_based), and as the sampler says for another.
///
/// A span that is not recorded still has a context: log records in it carry its trace, and what it
/// calls elsewhere learns that the trace is not recorded.
///
/// Source: OpenTelemetry specification, "Tracing SDK", "Sampling".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// Traces whose id, as [`position`], is below this are recorded.
    bound: u64,
    follows_remote: bool,
}

/// The bound of all traces: one above the last position.
const ALL: u64 = 1 << 63;

/// Where a trace id lies among all of them.
const fn position(trace_low: u64) -> u64 {
    trace_low >> 1
}

impl Sampler {
    /// Every trace.
    #[must_use]
    pub const fn always_on() -> Self {
        Self {
            bound: ALL,
            follows_remote: false,
        }
    }

    /// No trace.
    #[must_use]
    pub const fn always_off() -> Self {
        Self {
            bound: 0,
            follows_remote: false,
        }
    }

    /// This share of all traces, from 0 to 1, chosen by their ids, so that services with the same
    /// share choose the same ones. A share below 0, or none at all, counts as 0, one above 1 as 1.
    #[must_use]
    pub fn trace_id_ratio(ratio: f64) -> Self {
        Self {
            // A float beyond the range of the integer becomes the nearest one, and no number 0.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "as intended, see above"
            )]
            bound: ((ratio * ALL as f64) as u64).min(ALL),
            follows_remote: false,
        }
    }

    /// The same, but a trace that began elsewhere is recorded if it is recorded there.
    #[must_use]
    pub const fn parent_based(self) -> Self {
        Self {
            follows_remote: true,
            ..self
        }
    }

    /// The same, of which only this share, from 0 to 1, is recorded that begins here.
    #[must_use]
    pub(super) fn scaled(self, share: f64) -> Self {
        if share >= 1.0 {
            return self;
        }
        let Self { bound, .. } = Self::trace_id_ratio(self.bound as f64 / ALL as f64 * share);
        Self { bound, ..self }
    }

    /// Whether every trace that begins here is recorded.
    pub(super) const fn takes_all(self) -> bool {
        self.bound == ALL
    }

    /// Whether a trace that begins here is recorded, and how many it then stands for.
    pub(super) fn takes(self, trace_low: u64) -> Option<f64> {
        (position(trace_low) < self.bound).then(|| ALL as f64 / self.bound as f64)
    }

    /// Whether a trace that began elsewhere is recorded if it is recorded there.
    pub(super) const fn follows_remote(self) -> bool {
        self.follows_remote
    }
}

/// As `OTEL_TRACES_SAMPLER` and its argument name it: `parentbased_traceidratio 0.1`.
impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.follows_remote {
            f.write_str("parentbased_")?;
        }
        match self.bound {
            0 => f.write_str("always_off"),
            ALL => f.write_str("always_on"),
            bound => write!(f, "traceidratio {}", bound as f64 / ALL as f64),
        }
    }
}

/// What the specification asks for where nothing is configured.
impl Default for Sampler {
    fn default() -> Self {
        Self::always_on().parent_based()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_takes_its_share_of_the_ids() {
        for (ratio, share) in [
            (0.0, 0.0),
            (-3.0, 0.0),
            (f64::NAN, 0.0),
            (0.25, 0.25),
            (1.0, 1.0),
            (7.0, 1.0),
            (f64::INFINITY, 1.0),
        ] {
            let sampler = Sampler::trace_id_ratio(ratio);
            let ids = (0..1000_u64).map(|n| n * (u64::MAX / 999));
            let taken = ids.filter_map(|id| sampler.takes(id)).collect::<Vec<_>>();
            assert!(
                (taken.len() as f64 / 1000.0 - share).abs() <= 0.001,
                "{ratio}"
            );
            // Each stands for as many as it takes to make all of them.
            let weight = 1.0 / share;
            assert!(taken.iter().all(|one| (one - weight).abs() < 1e-9));
        }
        let half = Sampler::trace_id_ratio(0.5).parent_based();
        let quarter = Sampler::trace_id_ratio(0.25).parent_based();
        assert_eq!(half.scaled(0.5), quarter);
        assert_eq!(half.scaled(1.0), half);
        assert_eq!(half.to_string(), "parentbased_traceidratio 0.5");
        assert_eq!(Sampler::always_off().to_string(), "always_off");
        assert_eq!(Sampler::default().to_string(), "parentbased_always_on");
        assert!(Sampler::trace_id_ratio(1.0).takes_all());
        assert_eq!(Sampler::trace_id_ratio(1.0), Sampler::always_on());
        assert_eq!(Sampler::trace_id_ratio(0.0), Sampler::always_off());
    }
}
