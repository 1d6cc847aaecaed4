//! What can be changed while a process runs.

use std::fmt;
use std::sync::{Arc, RwLock};

use crate::error::FilterError;
use crate::filter::Filter;
use crate::sampling::{HeadSampling, Sampler, SamplingRule};
use crate::sync::unpoisoned;

/// Changes what is recorded while the process runs: from a signal handler's thread, an endpoint for
/// operators, or whatever watches a configuration. Cheap to clone.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_, telemetry) = ringlight::builder().build()?;
/// let controls = telemetry.controls();
/// controls.set_filter("info,shop::checkout=debug")?;
/// controls.set_sampler(ringlight::Sampler::trace_id_ratio(0.1).parent_based());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Controls {
    pub(crate) shared: Arc<Shared>,
}

/// What recording goes by.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) sampling: HeadSampling,
    filter: RwLock<Filter>,
}

impl Shared {
    pub(crate) fn new(sampling: HeadSampling, filter: Filter) -> Self {
        Self {
            sampling,
            filter: RwLock::new(filter),
        }
    }

    /// Runs `read` with the filter.
    pub(crate) fn with_filter<R>(&self, read: impl FnOnce(&Filter) -> R) -> R {
        let filter = unpoisoned(self.filter.read());
        read(&filter)
    }
}

impl Controls {
    /// Records what these directives say from now on, in place of `RUST_LOG`: such as
    /// `info,my_crate=debug,hyper=off`. Spans that are open stay as they are.
    ///
    /// # Errors
    /// A directive is not understood; then nothing changes.
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        let (filter, bad) = Filter::parse(directives);
        if let Some(bad) = bad.into_iter().next() {
            return Err(FilterError {
                directive: bad.directive,
                reason: bad.reason,
            });
        }
        *unpoisoned(self.shared.filter.write()) = filter;
        // `tracing` asks once a callsite, so it must be told to ask again.
        tracing_core::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Goes by this sampler from now on. Traces that have begun stay recorded, or not.
    pub fn set_sampler(&self, sampler: Sampler) {
        self.shared.sampling.set_sampler(sampler);
    }

    /// Goes by these rules from now on, in place of those before. Traces that have begun stay
    /// recorded, or not.
    pub fn set_sampling_rules(&self, rules: impl IntoIterator<Item = SamplingRule>) {
        let rules = rules.into_iter().collect();
        self.shared.sampling.set_rules(rules);
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls")
            .field("recording", &self.shared)
            .finish()
    }
}
