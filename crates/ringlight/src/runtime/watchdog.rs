//! The thread that looks at runtimes and threads, again and again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ringlight_collector::mark_thread;
use ringlight_context::{PublishedSpan, SpanWatch, THREADS_MAX, published_threads, watch_spans};
use tracing_core::dispatcher::WeakDispatch;

use super::blocked::{Blocked, Reporter, Stalled};
#[cfg(feature = "otel")]
use super::instruments::Instruments;
use super::{List, Watched};
use crate::subscriber::PublishedSpans;

/// Time between two looks at most, and at least where workers are blocked sooner.
const LOOK_MAX: Duration = Duration::from_millis(25);
const LOOK_MIN: Duration = Duration::from_millis(5);
/// Time between two wakings of a runtime's probe.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// What is known of one that may stand still: for how long it has, counted by looks, so that neither a
/// machine that sleeps nor a process that is stopped counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing<T> {
    seen: Option<T>,
    pub(super) stands: Duration,
}

impl<T: PartialEq + Copy> Standing<T> {
    /// Looks again, so long after the last time; whether it still stands.
    pub(super) fn look(&mut self, now: T, passed: Duration) -> bool {
        let stands = self.seen == Some(now);
        self.stands = if stands {
            self.stands + passed
        } else {
            Duration::ZERO
        };
        self.seen = Some(now);
        stands
    }

    /// For how long it stood, if it has gone on since the last look, so long ago. It began to stand before a look and went on
    /// after one: of both times half of one between two looks is missing on average.
    fn stood(&self, passed: Duration) -> Duration {
        self.stands + passed
    }
}

/// What tokio counts of a worker: how long it was busy, and how often it parked and unparked.
pub(super) type Progress = (Duration, u64);

/// A runtime as it was seen last.
struct Seen {
    runtime: Arc<Watched>,
    workers: Vec<Worker>,
    probed: Instant,
}

#[derive(Default)]
struct Worker {
    progress: Standing<Progress>,
    blocked: Option<Blocked>,
}

/// The thread's state.
pub(super) struct Watchdog {
    blocked_after: Duration,
    list: Arc<List>,
    seen: Vec<Seen>,
    threads: Vec<Standing<PublishedSpan>>,
    reporter: Reporter,
    /// From before the thread runs, so that no span is missed meanwhile.
    _watch: Option<SpanWatch>,
}

impl Watchdog {
    pub(super) fn new(
        blocked_after: Duration,
        list: Arc<List>,
        spans: PublishedSpans,
        dispatch: Arc<OnceLock<WeakDispatch>>,
        #[cfg(feature = "otel")] instruments: Option<Instruments>,
    ) -> Self {
        Self {
            blocked_after,
            list,
            seen: Vec::new(),
            threads: vec![Standing::default(); THREADS_MAX],
            reporter: Reporter::new(
                spans,
                dispatch,
                #[cfg(feature = "otel")]
                instruments,
            ),
            _watch: (!blocked_after.is_zero()).then(watch_spans),
        }
    }

    /// Looks until those who command are gone. While nothing is watched, it waits to be told.
    pub(super) fn run(&mut self, commands: &Receiver<()>) {
        mark_thread();
        let interval = match self.blocked_after {
            Duration::ZERO => LOOK_MAX,
            after => (after / 4).clamp(LOOK_MIN, LOOK_MAX),
        };
        let mut last = Instant::now();
        loop {
            let command = if self.seen.is_empty() {
                commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                commands.recv_timeout(interval)
            };
            if command == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            let now = Instant::now();
            // Where it came late itself, so may have the workers.
            let passed = now.duration_since(last).min(2 * interval);
            last = now;
            self.look(passed, now);
        }
    }

    fn look(&mut self, passed: Duration, now: Instant) {
        self.follow_list(now);
        for seen in &mut self.seen {
            #[cfg(feature = "otel")]
            self.reporter.lag(&seen.runtime);
            if now.duration_since(seen.probed) >= PROBE_INTERVAL {
                seen.probed = now;
                seen.runtime.probe.wake(&seen.runtime.handle);
            }
        }
        if self.blocked_after.is_zero() {
            return;
        }
        for (index, place) in published_threads() {
            if let Some(thread) = self.threads.get_mut(index) {
                thread.look(place.span(), passed);
            }
        }
        for seen in &mut self.seen {
            let stalled = seen.look_at_workers(passed, self.blocked_after, &self.reporter);
            for worker in stalled {
                // What is said after the end is lost.
                if self.list.is_over() {
                    return;
                }
                let others = seen.workers.iter().filter_map(|w| w.blocked.as_ref());
                let blocked = self
                    .reporter
                    .report(&seen.runtime, &worker, &self.threads, others);
                if let Some(worker) = seen.workers.get_mut(worker.index) {
                    worker.blocked = blocked;
                }
            }
        }
    }

    /// Begins with runtimes that are new, and forgets those that have ended.
    fn follow_list(&mut self, now: Instant) {
        let alive = self.list.alive();
        let is_same = |seen: &Seen, runtime: &Arc<Watched>| Arc::ptr_eq(&seen.runtime, runtime);
        self.seen
            .retain(|seen| alive.iter().any(|runtime| is_same(seen, runtime)));
        for runtime in alive {
            if !self.seen.iter().any(|seen| is_same(seen, &runtime)) {
                let workers = runtime.handle.metrics().num_workers();
                self.seen.push(Seen {
                    runtime,
                    workers: (0..workers).map(|_| Worker::default()).collect(),
                    probed: now,
                });
            }
        }
    }
}

impl Seen {
    /// The workers that are blocked since this look.
    fn look_at_workers(
        &mut self,
        passed: Duration,
        after: Duration,
        reporter: &Reporter,
    ) -> Vec<Stalled> {
        let metrics = self.runtime.handle.metrics();
        let may_block = self.may_block();
        let mut stalled = Vec::new();
        for (index, worker) in self.workers.iter_mut().enumerate() {
            let parks = metrics.worker_park_unpark_count(index);
            let progress = (metrics.worker_total_busy_duration(index), parks);
            let stood = worker.progress.stood(passed);
            if !worker.progress.look(progress, passed)
                && let Some(blocked) = worker.blocked.take()
            {
                reporter.unblocked(&self.runtime, &blocked, stood);
            }
            // It has parked once more often than unparked while it is parked.
            let is_parked = parks % 2 == 1;
            let stands = worker.progress.stands;
            if may_block && !is_parked && worker.blocked.is_none() && stands >= after {
                stalled.push(Stalled {
                    index,
                    stands,
                    after,
                    are_all: false,
                });
            }
        }
        let are_all = self.workers.iter().all(|w| w.progress.stands >= after);
        stalled
            .iter_mut()
            .for_each(|worker| worker.are_all = are_all);
        stalled
    }

    /// Whether a worker that stands still is blocked. The only one of a runtime also stands still, and is
    /// not parked, after `block_on` has returned.
    fn may_block(&self) -> bool {
        use tokio::runtime::RuntimeFlavor;

        let is_single = self.runtime.handle.runtime_flavor() == RuntimeFlavor::CurrentThread;
        // The probe is one of the tasks.
        let has_tasks = self.runtime.handle.metrics().num_alive_tasks() > 1;
        !is_single || has_tasks && self.runtime.probe.has_run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_it_stood_is_right_on_average() {
        const LOOK_MS: u64 = 25;
        let stood = |begin: u64, end: u64| {
            let look = Duration::from_millis(LOOK_MS);
            let mut standing = Standing::default();
            let looks = (0..).step_by(LOOK_MS as usize).take_while(|at| *at < end);
            for at in looks {
                standing.look(at.min(begin), look);
            }
            standing.stood(look).as_millis() as u64
        };
        let all = (1_000..1_000 + LOOK_MS).map(|begin| stood(begin, begin + 310));
        assert_eq!(all.sum::<u64>(), 310 * LOOK_MS);
    }

    #[test]
    fn it_stands_from_when_it_was_seen_unchanged() {
        const LOOK: Duration = Duration::from_millis(25);
        let mut standing = Standing::default();
        let mut looks = |now: u64| {
            let stands = standing.look(now, LOOK);
            (stands, standing.stands.as_millis())
        };
        assert_eq!(
            looks(0),
            (false, 0),
            "that it began with nothing is not known"
        );
        assert_eq!(looks(0), (true, 25));
        assert_eq!(looks(0), (true, 50));
        assert_eq!(looks(1), (false, 0));
        assert_eq!(looks(1), (true, 25));
    }
}
