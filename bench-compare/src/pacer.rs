//! When bursts are recorded.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

/// Starts a burst every so often. One that is late moves those after it, so that bursts never run into
/// each other because the machine was away.
pub(crate) struct Pacer {
    next: Instant,
    interval: Duration,
    pause: fn(Instant),
}

impl Pacer {
    /// Sleeps between bursts, as the whole process's CPU time is what counts, or as others want the
    /// processor meanwhile.
    pub(crate) fn sleeping(interval: Duration) -> Self {
        Self::new(interval, |until| {
            thread::sleep(until.saturating_duration_since(Instant::now()));
        })
    }

    /// Stays on the processor between bursts: what a span costs a thread at work is asked, not what
    /// it costs to warm a processor up that was given away meanwhile.
    pub(crate) fn awake(interval: Duration) -> Self {
        Self::new(interval, |until| {
            while Instant::now() < until {
                hint::spin_loop();
            }
        })
    }

    fn new(interval: Duration, pause: fn(Instant)) -> Self {
        Self {
            next: Instant::now() + interval,
            interval,
            pause,
        }
    }

    pub(crate) fn wait(&mut self) {
        let now = Instant::now();
        (self.pause)(self.next);
        self.next = self.next.max(now) + self.interval;
    }
}
