//! Rules: what is recorded of the traces that begin with certain spans.

use std::sync::atomic::{AtomicU64, Ordering};

use ringlight_model::{glob_matches, target_matches};

use super::Sampler;

const SECOND_NANO: f64 = 1e9;
/// Longer than any process runs, and twice that is still a time.
const INTERVAL_MAX_NANO: u64 = u64::MAX / 4;

/// What is recorded of the traces that begin here with certain spans, in place of what the
/// [`Sampler`] says.
///
/// A rule is about all traces until it is narrowed; of several rules the first that is about a trace
/// decides. Patterns are compared with what the code says of the span when it is opened, its name and
/// target for `tracing`, and its field `otel.name`: `*` stands for any text, also none.
///
/// The name for `tracing` is fixed in the code, such as `request` of tower-http's spans, whatever is
/// requested. To go by more than that, open the span with an `otel.name`. What is recorded later, by
/// `Span::record`, comes too late: by then it is decided whether the span is recorded.
///
/// ```
/// use ringlight::SamplingRule;
///
/// let path = "/healthz";
/// let _rules = [
///     // About `request` below.
///     SamplingRule::always_off().span_name("GET /health*"),
///     SamplingRule::always_on().target("shop::checkout"),
///     SamplingRule::rate_limited(5.0).span_name("poll"),
///     SamplingRule::trace_id_ratio(0.01).service("shop-batch"),
/// ];
/// let request = tracing::info_span!("request", otel.name = format!("GET {path}"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingRule {
    name: Option<String>,
    target: Option<String>,
    service: Option<String>,
    share: Share,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Share {
    OfAll(Sampler),
    PerSecond(f64),
}

impl SamplingRule {
    const fn new(share: Share) -> Self {
        Self {
            name: None,
            target: None,
            service: None,
            share,
        }
    }

    /// Every trace is recorded.
    #[must_use]
    pub const fn always_on() -> Self {
        Self::new(Share::OfAll(Sampler::always_on()))
    }

    /// No trace is recorded.
    #[must_use]
    pub const fn always_off() -> Self {
        Self::new(Share::OfAll(Sampler::always_off()))
    }

    /// A share of the traces is recorded, from 0 to 1, as by [`Sampler::trace_id_ratio`].
    #[must_use]
    pub fn trace_id_ratio(ratio: f64) -> Self {
        Self::new(Share::OfAll(Sampler::trace_id_ratio(ratio)))
    }

    /// So many traces a second are recorded at most, on average; after a pause as many at once, but
    /// one at least. Zero, less, or no number at all means none.
    #[must_use]
    pub const fn rate_limited(traces_per_second: f64) -> Self {
        Self::new(Share::PerSecond(traces_per_second))
    }

    /// Only traces whose first span here is called so, by its name or by the field `otel.name` it is opened
    /// with. A span that has such a field costs more to open where a rule asks for names, since the value
    /// is formatted once more.
    #[must_use]
    pub fn span_name(mut self, pattern: impl Into<String>) -> Self {
        self.name = Some(pattern.into());
        self
    }

    /// Only traces whose first span here has this target, or one below it: `shop` is also about
    /// `shop::checkout`. The target of a span is the path of its module unless it says otherwise.
    #[must_use]
    pub fn target(mut self, pattern: impl Into<String>) -> Self {
        self.target = Some(pattern.into());
        self
    }

    /// Only in the service called so (`service.name`), for rules that several services share.
    #[must_use]
    pub fn service(mut self, pattern: impl Into<String>) -> Self {
        self.service = Some(pattern.into());
        self
    }

    /// Whether it can be about anything in this service.
    pub(super) fn is_for(&self, service: &str) -> bool {
        self.service
            .as_deref()
            .is_none_or(|p| glob_matches(p, service))
    }

    /// Whether it is about some names and not about others.
    pub(super) const fn asks_for_name(&self) -> bool {
        self.name.is_some()
    }

    /// Whether it is about traces that begin with such a span.
    pub(super) fn is_about(&self, name: &str, otel_name: Option<&str>, target: &str) -> bool {
        let is_called = |pattern: &str| {
            glob_matches(pattern, name) || otel_name.is_some_and(|name| glob_matches(pattern, name))
        };
        self.name.as_deref().is_none_or(is_called)
            && self
                .target
                .as_deref()
                .is_none_or(|p| target_matches(p, target))
    }

    /// Whether a trace that it is about is recorded, where only a part is of what it says, and how many it then stands
    /// for.
    pub(super) fn takes(
        &self,
        trace_low: u64,
        now_unix_nano: u64,
        limiter: &Limiter,
        part: f64,
    ) -> Option<f64> {
        match self.share {
            Share::OfAll(sampler) => sampler.scaled(part).takes(trace_low),
            Share::PerSecond(rate) => limiter.takes(rate * part, now_unix_nano),
        }
    }
}

/// How much of a rate is used up: the generic cell rate algorithm, a token bucket in one word.
///
/// Source: ITU-T I.371, annex A, "Virtual scheduling algorithm".
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// When the bucket is full again, Unix nanoseconds. `Relaxed` throughout: it tells nothing about
    /// other memory.
    full_at: AtomicU64,
    /// Traces that were not taken since the last one that was, which stands for them as well. `Relaxed`, too.
    passed_over: AtomicU64,
}

impl Limiter {
    /// Whether a trace is taken, and how many it then stands for.
    fn takes(&self, per_second: f64, now: u64) -> Option<f64> {
        if per_second.is_nan() || per_second <= 0.0 {
            return None;
        }
        // A float beyond the range of the integer becomes the nearest one.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "as intended, see above"
        )]
        let interval = ((SECOND_NANO / per_second) as u64).min(INTERVAL_MAX_NANO);
        // A second's worth, but one trace at least.
        let burst = interval.max(SECOND_NANO as u64);
        // Relaxed: one word that stands for itself, and an exchange sees the latest value of it.
        let taken = self
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                // Further ahead than it can be: the wall clock was set back.
                let is_stale = full_at > now.saturating_add(burst);
                let start = if is_stale { now } else { full_at.max(now) };
                let next = start.saturating_add(interval);
                (next <= now.saturating_add(burst)).then_some(next)
            });
        if taken.is_err() {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(1.0 + self.passed_over.swap(0, Ordering::Relaxed) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_about_names_and_targets_and_what_is_below_them() {
        let check = |rule: SamplingRule, name: &str, target: &str, expected: bool| {
            assert_eq!(
                rule.is_about(name, None, target),
                expected,
                "{rule:?} {name} {target}"
            );
        };
        let all = SamplingRule::always_on;
        check(all(), "a", "b", true);
        check(all().span_name("a"), "a", "b", true);
        check(all().span_name("a"), "b", "a", false);
        check(all().target("shop"), "a", "shop::api", true);
        check(all().target("shop"), "a", "shopping", false);
        check(all().target("shop::api"), "a", "shop", false);
        check(all().target("*::api"), "a", "shop::api::v1", true);
        check(all().span_name("a").target("b"), "a", "c", false);
        let health = all().span_name("GET /health*");
        assert!(health.is_about("request", Some("GET /healthz"), "shop"));
        assert!(health.is_about("GET /health", Some("other"), "shop"));
        assert!(!health.is_about("request", Some("GET /"), "shop"));
        assert!(all().service("shop-*").is_for("shop-api"));
        assert!(!all().service("shop-*").is_for("other"));
        assert!(all().is_for("other"));
    }

    /// How many of the traces that begin at these times, in milliseconds, are taken.
    fn taken(per_second: f64, times_ms: impl IntoIterator<Item = u64>) -> usize {
        let limiter = Limiter::default();
        let at = |ms: u64| 1_000_000_000_000_000 + ms * 1_000_000;
        let times = times_ms.into_iter();
        times
            .filter(|ms| limiter.takes(per_second, at(*ms)).is_some())
            .count()
    }

    #[test]
    fn one_that_is_taken_stands_for_those_that_were_passed_over_since_the_last() {
        let limiter = Limiter::default();
        let at = |ms: u64| 1_000_000_000_000_000 + ms * 1_000_000;
        let weights: Vec<f64> = (0..3_000)
            .filter_map(|ms| limiter.takes(2.0, at(ms)))
            .collect();
        assert_eq!(weights[..4], [1.0, 1.0, 499.0, 500.0]);
        assert_eq!(weights.iter().sum::<f64>(), 2_501.0);
    }

    #[test]
    fn a_rate_takes_so_many_a_second_and_a_seconds_worth_at_once() {
        assert_eq!(taken(10.0, (0..100).map(|_| 0)), 10);
        assert_eq!(taken(10.0, 0..10_000), 10 + 99);
        assert_eq!(taken(0.5, 0..10_000), 5);
        assert_eq!(taken(1000.0, (0..500).map(|n| n * 2)), 500);
        for none in [0.0, -1.0, f64::NAN] {
            assert_eq!(taken(none, 0..10), 0);
        }
        assert_eq!(taken(f64::INFINITY, (0..100).map(|_| 0)), 100);
        assert_eq!(taken(1e-300, [0, 1, 10_000]), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_a_rate() {
        assert_eq!(taken(1.0, [10_000, 10_001, 0, 1, 1_000]), 3);
    }
}
