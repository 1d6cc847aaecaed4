//! What can be changed while a process runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::error::FilterError;
use crate::filter::{Filter, Filters, Output};
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
    filters: ArcSwap<Filters>,
    /// Whether outputs may want different things, at present. Relaxed: it is a hint that saves looking
    /// at the filters, and a record that is made while they change may go by either.
    are_split: AtomicBool,
    /// Held while the filters and what is known of them change together.
    changing: Mutex<()>,
}

impl Shared {
    pub(crate) fn new(sampling: HeadSampling, filters: Filters) -> Self {
        Self {
            sampling,
            are_split: AtomicBool::new(filters.are_split()),
            changing: Mutex::new(()),
            filters: ArcSwap::from_pointee(filters),
        }
    }

    /// Runs `read` with the filters.
    pub(crate) fn with_filters<R>(&self, read: impl FnOnce(&Filters) -> R) -> R {
        read(&self.filters.load())
    }

    /// The filters, to be kept.
    pub(crate) fn filters(&self) -> Arc<Filters> {
        self.filters.load_full()
    }

    /// Whether the filters are still these.
    pub(crate) fn are_current(&self, filters: &Arc<Filters>) -> bool {
        Arc::ptr_eq(&self.filters.load(), filters)
    }

    /// Whether outputs may want different things.
    #[inline]
    pub(crate) fn are_split(&self) -> bool {
        self.are_split.load(Ordering::Relaxed)
    }

    fn change_filters(&self, change: impl FnOnce(&mut Filters)) {
        let changing = unpoisoned(self.changing.lock());
        let mut filters = Filters::clone(&self.filters.load());
        change(&mut filters);
        self.are_split.store(filters.are_split(), Ordering::Relaxed);
        self.filters.store(Arc::new(filters));
        drop(changing);
        // `tracing` asks once a callsite, so it must be told to ask again.
        tracing_core::callsite::rebuild_interest_cache();
    }
}

impl Controls {
    /// Records what these directives say from now on, in place of `RUST_LOG`: such as
    /// `info,my_crate=debug,hyper=off`. Outputs that have directives of their own keep those. Spans that
    /// are open stay as they are.
    ///
    /// # Errors
    /// A directive is not understood; then nothing changes.
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        let filter = Filter::parse_strictly(directives)?.unwrap_or_default();
        self.shared
            .change_filters(|filters| filters.set_general(filter.clone()));
        Ok(())
    }

    /// Gives one output directives of its own from now on; without any (`""`) it goes by those for all
    /// again. Log records that have not left the rings go by the new ones.
    ///
    /// ```
    /// use ringlight::Output;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (_, telemetry) = ringlight::builder().build()?;
    /// let controls = telemetry.controls();
    /// controls.set_filter_for(Output::Logs, "info,shop::checkout=trace")?;
    /// controls.set_filter_for(Output::Logs, "")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A directive is not understood; then nothing changes.
    pub fn set_filter_for(&self, output: Output, directives: &str) -> Result<(), FilterError> {
        let filter = Filter::parse_strictly(directives)?;
        self.shared
            .change_filters(|filters| filters.set_own(output, filter.clone()));
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
