//! A task that is woken from outside the runtime now and then, and tells how long it took to run.
//!
//! It needs no timer, so it works on runtimes without one, and where the time of tests stands still.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
#[cfg(feature = "otel")]
use std::time::Duration;

use ringlight_collector::within_pipeline;
use tokio::runtime::Handle;

#[cfg(feature = "otel")]
use super::lag::Lags;
use crate::sync::unpoisoned;

/// What the task and who wakes it share.
///
/// Relaxed throughout: each word stands for itself, and who reads it late asks again soon.
#[derive(Debug)]
pub(super) struct Probe {
    /// What threads note that run it; see [`role`](super::role).
    role: u64,
    /// It was woken, and is still to run.
    is_awaited: AtomicBool,
    #[cfg(feature = "otel")]
    lags: Mutex<Lags>,
    waker: Mutex<Option<Waker>>,
    has_run: AtomicBool,
    /// It is to end.
    is_over: AtomicBool,
    /// It has ended, most likely with its runtime.
    has_ended: AtomicBool,
}

impl Probe {
    pub(super) fn new(role: u64) -> Self {
        Self {
            role,
            is_awaited: AtomicBool::new(false),
            #[cfg(feature = "otel")]
            lags: Mutex::default(),
            waker: Mutex::default(),
            has_run: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Has a task of the runtime answer. Where tokio has spans for tasks, it has none of ours.
    pub(super) fn start(self: &Arc<Self>, runtime: &Handle) {
        self.note_woken(runtime);
        let task = Task {
            probe: Arc::clone(self),
            runtime: runtime.clone(),
        };
        // Nobody waits for it.
        drop(within_pipeline(|| runtime.spawn(task)));
    }

    /// Wakes the task, unless it is still to run.
    pub(super) fn wake(&self, runtime: &Handle) {
        if !self.is_awaited.load(Ordering::Relaxed) {
            self.note_woken(runtime);
            self.wake_task();
        }
    }

    #[cfg_attr(
        not(feature = "otel"),
        expect(unused_variables, reason = "there are no metrics")
    )]
    fn note_woken(&self, runtime: &Handle) {
        #[cfg(feature = "otel")]
        unpoisoned(self.lags.lock()).note_woken(runtime);
        self.is_awaited.store(true, Ordering::Relaxed);
    }

    fn wake_task(&self) {
        // Not under the lock, which the task takes.
        let waker = unpoisoned(self.waker.lock()).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How long the task took to run, once each time, as soon as that is known.
    #[cfg(feature = "otel")]
    pub(super) fn take_lag(&self, runtime: &Handle) -> Option<Duration> {
        unpoisoned(self.lags.lock()).take(runtime)
    }

    /// Whether the runtime has ever run it.
    pub(super) fn has_run(&self) -> bool {
        self.has_run.load(Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Has the task end.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake_task();
    }

    #[cfg_attr(
        not(feature = "otel"),
        expect(unused_variables, reason = "there are no metrics")
    )]
    fn answer(&self, runtime: &Handle) {
        #[cfg(feature = "otel")]
        unpoisoned(self.lags.lock()).note_run(runtime);
        self.is_awaited.store(false, Ordering::Relaxed);
        self.has_run.store(true, Ordering::Relaxed);
    }
}

struct Task {
    probe: Arc<Probe>,
    runtime: Handle,
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { probe, runtime } = &*self;
        super::note_role(probe.role);
        let mut waker = unpoisoned(probe.waker.lock());
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
        drop(waker);
        // After the waker is there: whoever sets it later wakes the task by it.
        probe.answer(runtime);
        if probe.is_over.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.probe.has_ended.store(true, Ordering::Relaxed);
        // It keeps the task, and the task this.
        let waker = unpoisoned(self.probe.waker.lock()).take();
        drop(waker);
    }
}

#[cfg(all(test, feature = "otel"))]
mod tests {
    use std::time::Instant;

    use super::*;

    const WHILE: Duration = Duration::from_millis(50);

    #[expect(
        clippy::unwrap_used,
        reason = "a test fails by panicking, in its helpers too"
    )]
    fn started() -> (tokio::runtime::Runtime, Arc<Probe>) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let probe = Arc::new(Probe::new(1));
        probe.start(runtime.handle());
        (runtime, probe)
    }

    /// Has the runtime run what is to be run; how long that took.
    fn drive(runtime: &tokio::runtime::Runtime) -> Duration {
        let began = Instant::now();
        runtime.block_on(tokio::task::yield_now());
        began.elapsed()
    }

    #[test]
    fn a_runtime_that_nobody_drives_is_not_late() {
        let (runtime, probe) = started();
        let handle = runtime.handle();
        for _ in 0..3 {
            std::thread::sleep(WHILE);
            assert_eq!(probe.take_lag(handle), None, "it has not run");
            let driven = drive(&runtime);
            let lag = probe.take_lag(handle).unwrap();
            assert!(lag <= driven, "{lag:?}, driven for {driven:?}");
            probe.wake(handle);
        }
    }

    #[test]
    fn a_task_that_blocks_a_runtime_makes_it_late() {
        let (runtime, probe) = started();
        let handle = runtime.handle();
        drive(&runtime);
        probe.take_lag(handle).unwrap();
        runtime.block_on(async {
            let (probe, handle) = (Arc::clone(&probe), handle.clone());
            let task = tokio::spawn(async move {
                probe.wake(&handle);
                std::thread::sleep(WHILE);
            });
            task.await.unwrap();
        });
        assert!(probe.take_lag(handle).unwrap() >= WHILE);
    }

    #[test]
    fn a_runtime_that_is_parked_is_measured() {
        let (runtime, probe) = started();
        let handle = runtime.handle();
        drive(&runtime);
        probe.take_lag(handle).unwrap();
        let (measured, is_measured) = tokio::sync::oneshot::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let is_parked = || handle.metrics().worker_park_unpark_count(0) % 2 == 1;
                while !is_parked() {
                    std::thread::yield_now();
                }
                probe.wake(handle);
                let lag = loop {
                    if let Some(lag) = probe.take_lag(handle) {
                        break lag;
                    }
                    std::thread::yield_now();
                };
                measured.send(lag).unwrap();
            });
            assert!(runtime.block_on(is_measured).unwrap() > Duration::ZERO);
        });
    }
}
