//! The wake-up: one waiter, any number of wakers, a permit that is never lost.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::sync::{Arc, AtomicU8, Condvar, Mutex, Ordering, lock};

/// Nobody waits and nothing was signalled.
const IDLE: u8 = 0;
/// A waiter has left its waker, or sleeps on the condition variable.
const WAITING: u8 = 1;
/// A permit is stored: the next wait returns at once and takes it.
const PERMIT: u8 = 2;

/// A handle to a wake-up: clone it freely, [`wake`](Self::wake) from anywhere, wait in one place.
///
/// A wake-up stores at most one permit. `wake` stores it and rouses the waiter; a wait returns when
/// it could take one. Whatever the caller of `wake` did before is visible to the wait that takes
/// the permit, so a condition checked after every wait is never missed.
///
/// One thread or task waits at a time. A second one replaces the first waiter's waker, which then
/// is roused only by chance. It works with every async runtime and with none.
///
/// The waiter is one of the process that made the wake-up. In a process forked from it `wake` stores
/// the permit and does no more: it takes no lock, since whoever held it there is not in the copy.
#[derive(Clone)]
pub struct Wake {
    inner: Arc<Inner>,
}

struct Inner {
    /// `IDLE`, `WAITING` or `PERMIT`. Wakers swap in `PERMIT`; the waiter moves it between the
    /// others while it holds the lock of `waker`.
    state: AtomicU8,
    /// The task to rouse. Set before the state says `WAITING`, taken by whoever ended that.
    waker: Mutex<Option<Waker>>,
    /// Where a blocking waiter sleeps, holding the lock of `waker` until it does.
    condvar: Condvar,
    /// The process of the waiter.
    process: u32,
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wake").finish_non_exhaustive()
    }
}

impl Wake {
    /// A wake-up without a permit.
    #[must_use]
    pub fn new() -> Self {
        Self::of_process(std::process::id())
    }

    fn of_process(process: u32) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: AtomicU8::new(IDLE),
                waker: Mutex::new(None),
                condvar: Condvar::new(),
                process,
            }),
        }
    }

    /// Stores a permit and rouses the waiter, if there is one.
    ///
    /// One atomic swap when nobody waits; a lock and a system call when somebody does.
    pub fn wake(&self) {
        // AcqRel: releases what the caller published to the waiter's Acquire in `take_permit`, and
        // acquires nothing that matters; a swap rather than a load first, because only a
        // read-modify-write is ordered after a `take_permit` it did not see.
        if self.inner.state.swap(PERMIT, Ordering::AcqRel) != WAITING {
            return;
        }
        // Asked only where there is a system call to make anyway.
        if self.inner.process != std::process::id() {
            return;
        }
        // The waiter set WAITING under this lock, so once it is ours the waker is in place, or the
        // waiter is inside the condition variable.
        let waker = lock(&self.inner.waker).take();
        self.inner.condvar.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A future that is ready once it has taken a permit. Dropping it loses no permit.
    pub fn notified(&self) -> Notified<'_> {
        Notified { wake: self }
    }

    /// Blocks the thread until there is a permit or the time has passed; says whether a permit was
    /// taken.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        if self.take_permit() {
            return true;
        }
        // A deadline beyond what the clock can express is no deadline: wait in long stretches.
        let deadline = Instant::now().checked_add(timeout);
        let mut guard = lock(&self.inner.waker);
        loop {
            if !self.start_waiting() {
                return true;
            }
            let remaining = deadline.map_or(Duration::from_secs(3600), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if remaining.is_zero() {
                return self.stop_waiting();
            }
            guard = match self.inner.condvar.wait_timeout(guard, remaining) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Takes the permit if there is one.
    fn take_permit(&self) -> bool {
        // Acquire on success pairs with the Release half of the swap in `wake`: what was published
        // before the permit is visible. A failure reads nothing it acts on.
        self.inner
            .state
            .compare_exchange(PERMIT, IDLE, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Announces the waiter, whose waker or sleep is guarded by the lock the caller holds. False
    /// when there was a permit, which then is taken.
    fn start_waiting(&self) -> bool {
        // Relaxed: it publishes nothing by itself (the waker travels under the lock), and it is a
        // read-modify-write, so a `wake` comes wholly before it (the failure here) or after it (and
        // then sees WAITING). WAITING may already be there, left by a dropped future or an earlier
        // turn of the loop.
        match self
            .inner
            .state
            .compare_exchange(IDLE, WAITING, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) | Err(WAITING) => true,
            // A permit: only the waiter takes one, and that is the caller.
            Err(_) => {
                self.stop_waiting();
                false
            }
        }
    }

    /// Withdraws the waiter; true when a permit came in the meantime, which then is taken.
    fn stop_waiting(&self) -> bool {
        // Acquire pairs with `wake` as in `take_permit`.
        self.inner.state.swap(IDLE, Ordering::Acquire) == PERMIT
    }
}

/// The future of [`Wake::notified`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Notified<'a> {
    wake: &'a Wake,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.wake.take_permit() {
            return Poll::Ready(());
        }
        let mut waker = lock(&self.wake.inner.waker);
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        if self.wake.start_waiting() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_copy_leaves_the_lock_and_the_waiter_alone() {
        for (forked, left) in [(0, false), (1, true)] {
            let wake = Wake::of_process(std::process::id().wrapping_add(forked));
            *lock(&wake.inner.waker) = Some(Waker::noop().clone());
            assert!(wake.start_waiting());
            wake.wake();
            assert_eq!(lock(&wake.inner.waker).is_some(), left);
            assert!(wake.take_permit());
        }
    }
}
