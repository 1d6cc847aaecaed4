//! Which traces are recorded: a sampler, and rules that come before it.

mod rule;
mod sampler;
#[cfg(feature = "otel")]
mod weights;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
#[cfg(feature = "otel")]
use ringlight_model::TraceId;

use crate::sync::unpoisoned;

use rule::Limiter;
pub use rule::SamplingRule;
pub use sampler::Sampler;
#[cfg(feature = "otel")]
use weights::Weights;

/// What is known of a trace when it begins here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning<'a> {
    /// The first span's name.
    pub(crate) name: &'a str,
    /// What its field `otel.name` says at its opening, if anybody [asks](HeadSampling::asks_for_names).
    pub(crate) otel_name: Option<&'a str>,
    /// The first span's target.
    pub(crate) target: &'a str,
    /// The lower half of the trace's id.
    pub(crate) trace_low: u64,
    pub(crate) now_unix_nano: u64,
}

/// Decides where traces begin. What it goes by may be changed at any time; a decision is made by
/// what holds at its beginning.
#[derive(Debug)]
pub(crate) struct HeadSampling {
    service: String,
    /// Whether every trace is taken that no other process decides about. Behind the policy for as
    /// long as a change takes; `Relaxed`, since it stands for itself.
    takes_all: AtomicBool,
    /// Whether a rule is about names. Like the one before.
    asks_for_names: AtomicBool,
    policy: ArcSwap<Policy>,
    /// How many traces each stands for, where anybody counts them.
    #[cfg(feature = "otel")]
    weights: Option<Weights>,
    /// Held while the policy is changed.
    change: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Policy {
    sampler: Sampler,
    /// Those that can be about anything here.
    rules: Vec<(SamplingRule, Arc<Limiter>)>,
    /// The part, from 0 to 1, that is recorded of what sampler and rules would take.
    part: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            sampler: Sampler::default(),
            rules: Vec::new(),
            part: 1.0,
        }
    }
}

impl HeadSampling {
    pub(crate) fn new(service: String, sampler: Sampler, rules: Vec<SamplingRule>) -> Self {
        let sampling = Self {
            service,
            takes_all: AtomicBool::new(false),
            asks_for_names: AtomicBool::new(false),
            policy: ArcSwap::default(),
            #[cfg(feature = "otel")]
            weights: None,
            change: Mutex::new(()),
        };
        sampling.set_sampler(sampler);
        sampling.set_rules(rules);
        sampling
    }

    /// The same, but [how many traces one stands for](Self::weight) is noted.
    #[cfg(feature = "otel")]
    pub(crate) fn with_weights(self) -> Self {
        Self {
            weights: Some(Weights::default()),
            ..self
        }
    }

    /// How many traces one that was decided about here stands for, itself included. `None` if it is the only one, if it
    /// was decided about elsewhere, or too long ago.
    #[cfg(feature = "otel")]
    pub(crate) fn weight(&self, trace_id: TraceId) -> Option<f64> {
        self.weights.as_ref()?.of(trace_id.get() as u64)
    }

    pub(crate) fn set_sampler(&self, sampler: Sampler) {
        self.change(|policy| policy.sampler = sampler);
    }

    pub(crate) fn set_rules(&self, rules: Vec<SamplingRule>) {
        let ours = rules.into_iter().filter(|rule| rule.is_for(&self.service));
        let rules = ours.map(|rule| (rule, Arc::default())).collect();
        self.change(|policy| policy.rules = rules);
    }

    /// Records only this part, from 0 to 1, of what sampler and rules would take; not of the traces that
    /// others decide about.
    pub(crate) fn set_part(&self, part: f64) {
        self.change(|policy| policy.part = part);
    }

    fn change(&self, change: impl FnOnce(&mut Policy)) {
        let _one_at_a_time = unpoisoned(self.change.lock());
        let mut policy = Policy::clone(&self.policy.load());
        change(&mut policy);
        let takes_all = policy.sampler.takes_all() && policy.rules.is_empty() && policy.part >= 1.0;
        let asks_for_names = policy.rules.iter().any(|(rule, _)| rule.asks_for_name());
        self.policy.store(Arc::new(policy));
        // Relaxed: as it is read; writers come one after the other.
        self.takes_all.store(takes_all, Ordering::Relaxed);
        self.asks_for_names.store(asks_for_names, Ordering::Relaxed);
    }

    /// Whether every trace is recorded that begins here.
    #[inline]
    pub(crate) fn takes_all(&self) -> bool {
        self.takes_all.load(Ordering::Relaxed)
    }

    /// Whether the field `otel.name` of a trace's first span counts.
    #[inline]
    pub(crate) fn asks_for_names(&self) -> bool {
        self.asks_for_names.load(Ordering::Relaxed)
    }

    /// Whether a trace that begins here is recorded.
    pub(crate) fn takes(&self, beginning: Beginning<'_>) -> bool {
        self.noted(beginning, self.policy.load().takes(beginning))
    }

    /// Whether a trace is recorded that began elsewhere, where it is recorded or not.
    pub(crate) fn takes_remote(&self, beginning: Beginning<'_>, is_sampled: bool) -> bool {
        let policy = self.policy.load();
        if policy.sampler.follows_remote() {
            is_sampled
        } else {
            self.noted(beginning, policy.takes(beginning))
        }
    }

    /// Notes how many traces one stands for that is taken, if it is not only itself; whether it is.
    fn noted(&self, beginning: Beginning<'_>, taken: Option<f64>) -> bool {
        #[cfg(feature = "otel")]
        if let Some(weight) = taken.filter(|weight| *weight > 1.0)
            && let Some(weights) = &self.weights
        {
            weights.note(beginning.trace_low, weight);
        }
        #[cfg(not(feature = "otel"))]
        let _ = beginning;
        taken.is_some()
    }
}

impl Policy {
    /// Whether a trace is recorded, and how many it then stands for.
    fn takes(&self, beginning: Beginning<'_>) -> Option<f64> {
        let Beginning {
            name,
            otel_name,
            target,
            trace_low,
            now_unix_nano,
        } = beginning;
        let mut rules = self.rules.iter();
        match rules.find(|(rule, _)| rule.is_about(name, otel_name, target)) {
            Some((rule, limiter)) => rule.takes(trace_low, now_unix_nano, limiter, self.part),
            None => self.sampler.scaled(self.part).takes(trace_low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(name: &str) -> Beginning<'_> {
        Beginning {
            name,
            otel_name: None,
            target: "shop",
            trace_low: u64::MAX / 2,
            now_unix_nano: 1_000_000_000_000,
        }
    }

    #[test]
    fn the_first_rule_that_is_about_a_trace_decides_and_else_the_sampler() {
        let rules = vec![
            SamplingRule::always_on().service("other"),
            SamplingRule::always_off().span_name("health"),
            SamplingRule::always_on().span_name("h*"),
        ];
        let sampling = HeadSampling::new("shop".to_owned(), Sampler::always_off(), rules);
        assert!(!sampling.takes_all());
        assert!(!sampling.takes(beginning("health")));
        assert!(sampling.takes(beginning("hello")));
        assert!(!sampling.takes(beginning("world")));
        sampling.set_sampler(Sampler::always_on());
        assert!(!sampling.takes_all());
        assert!(sampling.takes(beginning("world")));
        sampling.set_rules(vec![SamplingRule::always_off().service("other")]);
        assert!(sampling.takes_all());
        sampling.set_sampler(Sampler::trace_id_ratio(0.6));
        assert!(!sampling.takes_all());
        assert!(sampling.takes(beginning("health")));
    }

    #[test]
    fn a_part_is_one_of_what_sampler_and_rules_take() {
        let at = |position: f64| Beginning {
            trace_low: (position * u64::MAX as f64) as u64,
            ..beginning("a")
        };
        let sampler = Sampler::trace_id_ratio(0.5).parent_based();
        let sampling = HeadSampling::new("shop".to_owned(), sampler, Vec::new());
        sampling.set_part(0.5);
        assert!(sampling.takes(at(0.24)) && !sampling.takes(at(0.26)));
        // A decision that was made elsewhere stands.
        assert!(sampling.takes_remote(at(0.9), true));
        sampling.set_rules(vec![SamplingRule::always_on()]);
        assert!(sampling.takes(at(0.49)) && !sampling.takes(at(0.51)));
        sampling.set_rules(vec![SamplingRule::rate_limited(4.0)]);
        let taken = (0..10).filter(|_| sampling.takes(at(0.9))).count();
        assert_eq!(taken, 2);
        sampling.set_rules(Vec::new());
        sampling.set_sampler(Sampler::always_on());
        assert!(!sampling.takes_all());
        sampling.set_part(1.0);
        assert!(sampling.takes_all());
    }

    #[cfg(feature = "otel")]
    #[test]
    fn what_a_trace_stands_for_is_noted_where_it_is_decided_here() {
        let trace = |low: u64| Beginning {
            trace_low: low,
            ..beginning("a")
        };
        let weight = |sampling: &HeadSampling, low: u64| sampling.weight(TraceId::new(low.into()));
        let sampler = Sampler::trace_id_ratio(0.25).parent_based();
        let sampling = HeadSampling::new("shop".to_owned(), sampler, Vec::new());
        assert!(sampling.takes(trace(1)));
        assert_eq!(weight(&sampling, 1), None);

        let sampling = sampling.with_weights();
        assert!(sampling.takes(trace(1)));
        assert_eq!(weight(&sampling, 1), Some(4.0));
        // Decided elsewhere.
        assert!(sampling.takes_remote(trace(2), true));
        assert_eq!(weight(&sampling, 2), None);
        // A part of what the sampler takes, and a rule that comes before it.
        sampling.set_part(0.5);
        assert!(sampling.takes(trace(3)));
        assert_eq!(weight(&sampling, 3), Some(8.0));
        sampling.set_rules(vec![SamplingRule::always_on()]);
        assert!(sampling.takes(trace(4)));
        assert_eq!(weight(&sampling, 4), Some(2.0));
        sampling.set_part(1.0);
        assert!(sampling.takes(trace(5)));
        assert_eq!(weight(&sampling, 5), None);
        // One that goes by itself decides about others, too.
        sampling.set_sampler(Sampler::trace_id_ratio(0.5));
        sampling.set_rules(Vec::new());
        assert!(sampling.takes_remote(trace(6), false));
        assert_eq!(weight(&sampling, 6), Some(2.0));
        // What was decided stays so.
        assert_eq!(weight(&sampling, 1), Some(4.0));
    }

    #[test]
    fn what_began_elsewhere_is_left_to_it_or_not() {
        let rules = vec![SamplingRule::always_on()];
        let sampling = HeadSampling::new("shop".to_owned(), Sampler::always_off(), rules);
        assert!(sampling.takes_remote(beginning("a"), false));
        sampling.set_sampler(Sampler::always_off().parent_based());
        assert!(!sampling.takes_remote(beginning("a"), false));
        assert!(sampling.takes_remote(beginning("a"), true));
    }
}
