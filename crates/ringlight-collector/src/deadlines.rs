//! What the time of a shutdown is spent on.

use std::time::Duration;

use tokio::time::Instant;

/// Time kept for the last report, and as much again for the end after it: a part of the whole, at most the second.
const CLOSING_PART: u32 = 8;
const CLOSING_MAX: Duration = Duration::from_millis(100);

/// Time kept for writing to disk what could not be sent: a part of the whole, at most the second.
const SPOOLING_PART: u32 = 4;
const SPOOLING_MAX: Duration = Duration::from_secs(1);

/// For so long at most what waits on disk is waited for: a part of the whole, at most the second.
const BACKLOG_PART: u32 = 4;
const BACKLOG_MAX: Duration = Duration::from_secs(1);

/// Longer than anybody waits, and short enough for every clock.
const EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// When each part of an end is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// What waits on disk is not waited for any more, though the destination takes it.
    pub(crate) backlog: Instant,
    /// Nothing is sent any more; what is left is written to disk, or dropped.
    pub(crate) sent: Instant,
    /// Nothing is written any more.
    pub(crate) spooled: Instant,
    /// The thread ends.
    pub(crate) end: Instant,
}

impl Deadlines {
    /// When there is something to be looked at again, while things are sent.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        [self.backlog, self.sent].into_iter().find(|at| *at > now)
    }

    /// Those of an end that begins now and takes no longer than `timeout`.
    pub(crate) fn new(timeout: Duration, has_spool: bool) -> Self {
        let now = Instant::now();
        let timeout = timeout.min(EVER);
        let closing = (timeout / CLOSING_PART).min(CLOSING_MAX);
        let spooled = now + (timeout - 2 * closing);
        let spooling = if has_spool {
            (timeout / SPOOLING_PART).min(SPOOLING_MAX)
        } else {
            Duration::ZERO
        };
        Self {
            backlog: now + (timeout / BACKLOG_PART).min(BACKLOG_MAX),
            sent: spooled - spooling,
            spooled,
            end: now + (timeout - closing),
        }
    }
}
