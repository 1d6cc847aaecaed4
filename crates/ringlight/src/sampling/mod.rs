//! Which traces are recorded: a sampler, and rules that come before it.

mod rule;
mod sampler;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::sync::unpoisoned;

use rule::Limiter;
pub use rule::SamplingRule;
pub use sampler::Sampler;

/// What is known of a trace when it begins here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning<'a> {
    /// The first span's name.
    pub(crate) name: &'a str,
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
    policy: ArcSwap<Policy>,
    /// Held while the policy is changed.
    change: Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct Policy {
    sampler: Sampler,
    /// Those that can be about anything here.
    rules: Vec<(SamplingRule, Arc<Limiter>)>,
}

impl HeadSampling {
    pub(crate) fn new(service: String, sampler: Sampler, rules: Vec<SamplingRule>) -> Self {
        let sampling = Self {
            service,
            takes_all: AtomicBool::new(false),
            policy: ArcSwap::default(),
            change: Mutex::new(()),
        };
        sampling.set_sampler(sampler);
        sampling.set_rules(rules);
        sampling
    }

    pub(crate) fn set_sampler(&self, sampler: Sampler) {
        self.change(|policy| policy.sampler = sampler);
    }

    pub(crate) fn set_rules(&self, rules: Vec<SamplingRule>) {
        let ours = rules.into_iter().filter(|rule| rule.is_for(&self.service));
        let rules = ours.map(|rule| (rule, Arc::default())).collect();
        self.change(|policy| policy.rules = rules);
    }

    fn change(&self, change: impl FnOnce(&mut Policy)) {
        let _one_at_a_time = unpoisoned(self.change.lock());
        let mut policy = Policy::clone(&self.policy.load());
        change(&mut policy);
        let takes_all = policy.sampler.takes_all() && policy.rules.is_empty();
        self.policy.store(Arc::new(policy));
        // Relaxed: as it is read; writers come one after the other.
        self.takes_all.store(takes_all, Ordering::Relaxed);
    }

    /// Whether every trace is recorded that begins here.
    #[inline]
    pub(crate) fn takes_all(&self) -> bool {
        self.takes_all.load(Ordering::Relaxed)
    }

    /// Whether a trace that begins here is recorded.
    pub(crate) fn takes(&self, beginning: Beginning<'_>) -> bool {
        self.policy.load().takes(beginning)
    }

    /// Whether a trace is recorded that began elsewhere, where it is recorded or not.
    pub(crate) fn takes_remote(&self, beginning: Beginning<'_>, is_sampled: bool) -> bool {
        let policy = self.policy.load();
        if policy.sampler.follows_remote() {
            is_sampled
        } else {
            policy.takes(beginning)
        }
    }
}

impl Policy {
    fn takes(&self, beginning: Beginning<'_>) -> bool {
        let Beginning {
            name,
            target,
            trace_low,
            now_unix_nano,
        } = beginning;
        let mut rules = self.rules.iter();
        match rules.find(|(rule, _)| rule.is_about(name, target)) {
            Some((rule, limiter)) => rule.takes(trace_low, now_unix_nano, limiter),
            None => self.sampler.takes(trace_low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(name: &str) -> Beginning<'_> {
        Beginning {
            name,
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
    fn what_began_elsewhere_is_left_to_it_or_not() {
        let rules = vec![SamplingRule::always_on()];
        let sampling = HeadSampling::new("shop".to_owned(), Sampler::always_off(), rules);
        assert!(sampling.takes_remote(beginning("a"), false));
        sampling.set_sampler(Sampler::always_off().parent_based());
        assert!(!sampling.takes_remote(beginning("a"), false));
        assert!(sampling.takes_remote(beginning("a"), true));
    }
}
