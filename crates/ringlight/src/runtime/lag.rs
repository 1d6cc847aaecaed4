//! How long a task took to run after it was woken.
//!
//! A runtime with one thread runs nothing unless somebody drives it, and between one `block_on` and the next there may be
//! an hour: that is no lag. Tokio counts how long the thread was busy, without the time when nobody drove it, and tells
//! when the thread has nothing left to run, or after 61 tasks. So the lag of such a runtime is known some moments after the
//! task has run, and is no longer than the thread was busy meanwhile, and than it may take to wake up if it was parked.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

/// How long a thread that is parked may take to wake up.
const WAKING_MAX: Duration = Duration::from_millis(100);
/// Runs of which it is not known yet how long they took. What comes beyond is not measured.
const RUNS_MAX: usize = 64;

/// The lags of one task.
#[derive(Debug, Default)]
pub(super) struct Lags {
    /// When it was woken, until it has run.
    woken: Option<Moment>,
    /// When it was woken and when it ran then, of each time until that is taken.
    runs: VecDeque<(Moment, Moment)>,
}

/// A moment in the life of a runtime.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    /// `None` of a runtime that has threads which drive it always.
    thread: Option<OnlyThread>,
}

/// What tokio tells of the only thread of a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OnlyThread {
    /// How often it parked and unparked.
    parks: u64,
    busy: Duration,
}

impl Lags {
    /// The task is woken now.
    pub(super) fn note_woken(&mut self, runtime: &Handle) {
        self.woken = Some(Moment::now(runtime));
    }

    /// The task runs, on a thread of the runtime.
    pub(super) fn note_run(&mut self, runtime: &Handle) {
        let woken = self.woken.take();
        if let Some(woken) = woken.filter(|_| self.runs.len() < RUNS_MAX) {
            self.runs.push_back((woken, Moment::now(runtime)));
        }
    }

    /// The next lag, if it is known.
    pub(super) fn take(&mut self, runtime: &Handle) -> Option<Duration> {
        self.take_by(OnlyThread::of(runtime))
    }

    /// The same, by what tokio tells now.
    fn take_by(&mut self, now: Option<OnlyThread>) -> Option<Duration> {
        let (woken, run) = self.runs.front()?;
        let lag = woken.lag_until(run, now)?;
        self.runs.pop_front();
        Some(lag)
    }
}

impl Moment {
    fn now(runtime: &Handle) -> Self {
        Self {
            at: Instant::now(),
            thread: OnlyThread::of(runtime),
        }
    }

    /// How long a task took that was woken then and ran at another moment, if that is known now.
    fn lag_until(&self, run: &Self, now: Option<OnlyThread>) -> Option<Duration> {
        let lag = run.at.saturating_duration_since(self.at);
        let (Some(then), Some(at_run), Some(now)) = (self.thread, run.thread, now) else {
            return Some(lag);
        };
        // What is told next after the run is told of the time until then.
        (now != at_run).then(|| lag.min(then.driven_until(now)))
    }
}

impl OnlyThread {
    fn of(runtime: &Handle) -> Option<Self> {
        let is_single = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        is_single.then(|| {
            let metrics = runtime.metrics();
            Self {
                // First, since tokio stores it last.
                parks: metrics.worker_park_unpark_count(0),
                busy: metrics.worker_total_busy_duration(0),
            }
        })
    }

    /// For how long it was driven since, at most.
    fn driven_until(self, now: Self) -> Duration {
        // It has parked once more often than unparked while it is parked.
        let is_parked = self.parks % 2 == 1;
        let waking = if is_parked {
            WAKING_MAX
        } else {
            Duration::ZERO
        };
        now.busy.saturating_sub(self.busy) + waking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The lag of a task that ran an hour after it was woken, when the thread had parked and unparked so often, if it was
    /// busy so long meanwhile.
    fn of_an_hour(parks: u64, busy: Duration) -> Option<Duration> {
        let at = Instant::now();
        let thread = |parks, busy| OnlyThread { parks, busy };
        let moment = |at, busy| Moment {
            at,
            thread: Some(thread(parks, busy)),
        };
        let mut lags = Lags::default();
        let runs = (moment(at, MS), moment(at + 3_600_000 * MS, MS));
        lags.runs.push_back(runs);
        assert_eq!(lags.take_by(Some(thread(parks, MS))), None, "not told yet");
        let lag = lags.take_by(Some(thread(parks + 2, MS + busy)));
        assert!(lags.runs.is_empty());
        lag
    }

    #[test]
    fn time_in_which_nobody_drives_a_runtime_is_no_lag() {
        assert_eq!(of_an_hour(4, 2 * MS), Some(2 * MS));
        assert_eq!(of_an_hour(5, 2 * MS), Some(102 * MS));
        let hour = 3_600_000 * MS;
        assert_eq!(of_an_hour(4, 2 * hour), Some(hour));
    }

    #[test]
    fn as_many_runs_as_are_kept_are_measured() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let mut lags = Lags::default();
        for _ in 0..2 * RUNS_MAX {
            lags.note_woken(runtime.handle());
            lags.note_run(runtime.handle());
        }
        assert_eq!(lags.runs.len(), RUNS_MAX);
        // Nobody woke it.
        let mut lags = Lags::default();
        lags.note_run(runtime.handle());
        assert!(lags.runs.is_empty());
    }
}
