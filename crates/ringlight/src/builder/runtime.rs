//! How tokio's runtimes are watched.

use std::time::Duration;

use ringlight_collector::Notices;

use super::Builder;
#[cfg(feature = "otel")]
use crate::metrics::Metrics;
use crate::runtime::{RuntimeConfig, Runtimes};
use crate::subscriber::RinglightSubscriber;

impl Builder {
    /// Whether the runtime of tokio that telemetry is started in, if there is one, is
    /// [watched](crate::runtime). Default: as `RINGLIGHT_WATCH_CURRENT_RUNTIME` says, else yes. [`Telemetry::watch_runtime`](crate::Telemetry::watch_runtime) watches
    /// others.
    pub fn watch_current_runtime(mut self, watch: bool) -> Self {
        self.inputs.runtime.watches_current = Some(watch);
        self
    }

    /// After how long in one task a worker of a runtime that is [watched](crate::runtime) counts as blocked, which is
    /// seen up to a quarter of that, or 25 ms, later; zero for never. Less than 20 ms is hardly told from
    /// a busy machine. Default: `RINGLIGHT_BLOCKED_WORKER_AFTER`, such as `100ms`, which it is without.
    pub fn blocked_worker_after(mut self, after: Duration) -> Self {
        self.inputs.runtime.blocked_after = Some(after);
        self
    }
}

/// The runtimes that are watched, and will be.
pub(super) fn runtimes(
    config: RuntimeConfig,
    is_disabled: bool,
    subscriber: &RinglightSubscriber,
    notices: &Notices,
    #[cfg(feature = "otel")] metrics: Option<&Metrics>,
) -> Runtimes {
    let runtimes = Runtimes::new(
        config,
        subscriber.published_spans(),
        notices.clone(),
        #[cfg(feature = "otel")]
        metrics.map(|metrics| metrics.provider.clone()),
    );
    if is_disabled {
        // Whoever asks for it, none is watched.
        runtimes.end();
    }
    runtimes
}
