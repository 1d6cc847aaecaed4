//! How tokio's runtimes are watched.

use std::time::Duration;

use super::Builder;

impl Builder {
    /// Whether the runtime of tokio that telemetry is started in, if there is one, is
    /// [watched](crate::runtime). Default: yes. [`Telemetry::watch_runtime`](crate::Telemetry::watch_runtime) watches
    /// others.
    pub fn watch_current_runtime(mut self, watch: bool) -> Self {
        self.runtime.watches_current = watch;
        self
    }

    /// After how long in one task a worker of a runtime that is [watched](crate::runtime) counts as blocked, which is
    /// seen up to a quarter of that, or 25 ms, later; zero for never. Less than 20 ms is hardly told from
    /// a busy machine. Default: 100 ms.
    pub fn blocked_worker_after(mut self, after: Duration) -> Self {
        self.runtime.blocked_after = after;
        self
    }
}
