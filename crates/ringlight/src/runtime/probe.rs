//! A task that is woken from outside the runtime now and then, and tells how long it took to run.
//!
//! It needs no timer, so it works on runtimes without one, and where the time of tests stands still.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
#[cfg(feature = "otel")]
use std::time::Duration;
use std::time::Instant;

use ringlight_collector::within_pipeline;

use crate::sync::unpoisoned;

/// What the task and who wakes it share.
///
/// Relaxed throughout: each word stands for itself, and who reads it late asks again soon.
#[derive(Debug)]
pub(super) struct Probe {
    /// What threads note that run it; see [`role`](super::role).
    role: u64,
    began: Instant,
    /// When it was woken, in nanoseconds since it began; zero once it has run.
    woken_nano: AtomicU64,
    /// How long it took, until that is taken; zero for nothing.
    lag_nano: AtomicU64,
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
            began: Instant::now(),
            woken_nano: AtomicU64::new(0),
            lag_nano: AtomicU64::new(0),
            waker: Mutex::default(),
            has_run: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Has a task of the runtime answer. Where tokio has spans for tasks, it has none of ours.
    pub(super) fn start(self: &Arc<Self>, runtime: &tokio::runtime::Handle) {
        self.woken_nano.store(self.now_nano(), Ordering::Relaxed);
        let task = Task(Arc::clone(self));
        // Nobody waits for it.
        drop(within_pipeline(|| runtime.spawn(task)));
    }

    fn now_nano(&self) -> u64 {
        // Never zero, which is for nothing.
        (self.began.elapsed().as_nanos() as u64).max(1)
    }

    /// Wakes the task, unless it is still to run.
    pub(super) fn wake(&self) {
        if self.woken_nano.load(Ordering::Relaxed) == 0 {
            self.woken_nano.store(self.now_nano(), Ordering::Relaxed);
            self.wake_task();
        }
    }

    fn wake_task(&self) {
        // Not under the lock, which the task takes.
        let waker = unpoisoned(self.waker.lock()).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How long the task took to run, once each time.
    #[cfg(feature = "otel")]
    pub(super) fn take_lag(&self) -> Option<Duration> {
        let nano = self.lag_nano.swap(0, Ordering::Relaxed);
        (nano != 0).then(|| Duration::from_nanos(nano))
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

    fn answer(&self) {
        let woken_nano = self.woken_nano.swap(0, Ordering::Relaxed);
        if woken_nano != 0 {
            let lag_nano = self.now_nano().saturating_sub(woken_nano).max(1);
            self.lag_nano.store(lag_nano, Ordering::Relaxed);
        }
        self.has_run.store(true, Ordering::Relaxed);
    }
}

struct Task(Arc<Probe>);

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let probe = &self.0;
        super::note_role(probe.role);
        let mut waker = unpoisoned(probe.waker.lock());
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
        drop(waker);
        // After the waker is there: whoever sets it later wakes the task by it.
        probe.answer();
        if probe.is_over.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
        // It keeps the task, and the task this.
        let waker = unpoisoned(self.0.waker.lock()).take();
        drop(waker);
    }
}
