//! What can be changed while a process runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::config::{ReloadError, Reloaded, Reloader};
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
    /// Of the file that was read at the start, if there was one.
    pub(crate) reloader: Option<Arc<Reloader>>,
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

    /// Takes over what is different in the new filters; the rest stays, also where it was changed meanwhile.
    pub(crate) fn take_over(&self, before: &Filters, new: &Filters) {
        if before == new {
            return;
        }
        self.change_filters(|filters| {
            if before.general() != new.general() {
                filters.set_general(new.general().clone());
            }
            for output in Output::ALL {
                if before.own(output) != new.own(output) {
                    filters.set_own(output, new.own(output).cloned());
                }
            }
        });
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

    /// Reads the file of settings again, and goes by what has changed in it: `filter`, `filter_lines`, `filter_logs`,
    /// `filter_traces`, `sample_rate`, `redact` and `redact_keys`. What code and variables say holds over it as at the
    /// start. Other settings that have changed are named in the answer, and take effect with the next start.
    ///
    /// A change is seen without this, within two seconds, unless
    /// [`Builder::watch_config_file`](crate::Builder::watch_config_file) says otherwise, and at SIGHUP where
    /// [`Builder::reload_on_hangup`](crate::Builder::reload_on_hangup) asks for it. This is for who wants it at once, such as
    /// an endpoint for operators. It blocks for as long as the file takes to be read, and is not for a signal handler.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = ringlight::init()?;
    /// let controls = telemetry.controls();
    /// // ... somebody asks for it ...
    /// match controls.reload() {
    ///     Ok(reloaded) => println!("{reloaded}"),
    ///     Err(error) => println!("settings stay as they are: {error}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// There was no file when telemetry started, it cannot be read, or something is wrong with it; then nothing
    /// changes.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let reloader = self.reloader.as_ref().ok_or(ReloadError::NoFile)?;
        Ok(reloader.reload()?)
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls")
            .field("recording", &self.shared)
            .finish()
    }
}
