//! Which traces are recorded, and which of these are sent.

use ringlight_collector::TailSampling;

use super::Builder;
use crate::budget::OverheadBudget;
use crate::sampling::{Sampler, SamplingRule};

impl Builder {
    /// Which traces are recorded. Default: `OTEL_TRACES_SAMPLER` and its argument, else every trace
    /// that is not said elsewhere not to be.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.inputs.sampler = Some(sampler);
        self
    }

    /// Exceptions from what the sampler says. The first rule that is about a trace decides; a
    /// trace that began elsewhere is none of their business if the sampler is
    /// [parent-based](Sampler::parent_based). Default: none.
    pub fn sampling_rules(mut self, rules: impl IntoIterator<Item = SamplingRule>) -> Self {
        self.sampling_rules = rules.into_iter().collect();
        self
    }

    /// How much of the process's CPU time observing may take; when it takes more, fewer traces are
    /// recorded until it does not. Default: the [governor](crate::CollectorConfig::governor) given to
    /// [`pipeline`](Self::pipeline), else `RINGLIGHT_OVERHEAD_BUDGET`, such as `2%`, else as much as it
    /// takes.
    pub fn overhead_budget(mut self, budget: OverheadBudget) -> Self {
        self.inputs.overhead_budget = Some(budget);
        self
    }

    /// Of the traces that are recorded, sends those that failed or were slow, and a share of the
    /// others: judged once they are over. Default: all are sent, at once.
    pub fn tail_sampling(self, tail_sampling: TailSampling) -> Self {
        self.pipeline(move |config| config.tail_sampling = Some(tail_sampling))
    }
}
