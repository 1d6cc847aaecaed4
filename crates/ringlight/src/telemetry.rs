//! The guard: flush, shut down, read the ledger.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::{FlushError, Pipeline};
use ringlight_model::LedgerSnapshot;

/// Keeps telemetry running; shuts it down when dropped.
///
/// Keep it in a variable of `main` (`let _telemetry = ...`, not `let _ = ...`, which drops at once)
/// until the end. What is recorded after a shutdown is counted as dropped.
///
/// All methods work from any thread, inside or outside any async runtime, of any kind: they wait
/// for the collector's own thread and return by their deadline.
#[must_use = "telemetry shuts down when this is dropped: keep it, `let _telemetry = ...`"]
pub struct Telemetry {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) pipeline: Pipeline,
    pub(crate) shutdown_timeout: Duration,
    /// The process this was started in. A forked child has a copy of everything except for the
    /// collector's thread; it must not wait for it.
    pub(crate) process: u32,
}

impl Shared {
    fn is_ours(&self) -> bool {
        std::process::id() == self.process
    }

    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if self.is_ours() {
            self.pipeline.flush(timeout)
        } else {
            Err(FlushError::Closed)
        }
    }
}

impl Telemetry {
    /// Waits until everything recorded before the call has been delivered, refused or dropped, and
    /// log lines have been written; at most for `timeout`.
    ///
    /// # Errors
    /// The time was up first; telemetry has been shut down already, or belongs to the process this
    /// one was forked from; or the caller is a thread of the pipeline itself.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.shared.flush(timeout)
    }

    /// Records nothing more, delivers what there is within `timeout`, and ends. What could not be
    /// delivered is counted as dropped in the ledger, which is returned.
    ///
    /// A second call, and dropping the guard afterwards, change nothing and return at once.
    pub fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        if self.shared.is_ours() {
            self.shared.pipeline.shutdown(timeout)
        } else {
            self.ledger()
        }
    }

    /// What became of every record so far. It balances at every moment.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.shared.pipeline.ledger()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let _ = self.shutdown(self.shared.shutdown_timeout);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("pipeline", &self.shared.pipeline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    // A real fork needs unsafe code; what a child sees is a process id that is not the one
    // telemetry was started in, and a collector thread that does not answer.
    #[test]
    fn a_forked_child_waits_for_nothing() {
        let (_, mut child) = crate::builder()
            .environment::<String, String>([])
            .log_format(crate::LogFormat::Off)
            .build()
            .unwrap();
        let shared = Arc::get_mut(&mut child.shared).unwrap();
        shared.process = shared.process.wrapping_add(1);
        let long = Duration::from_secs(600);
        let begin = Instant::now();
        assert_eq!(child.flush(long), Err(FlushError::Closed));
        assert!(child.shutdown(long).balances());
        drop(child);
        assert!(begin.elapsed() < long);
    }
}
