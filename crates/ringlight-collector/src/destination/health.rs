//! What is known about a destination's ability to take batches, and what follows for the next
//! attempt. Pure state: the caller brings the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::RetryConfig;
pub(super) use crate::resilience::backoff::{asked_for, backoff};

/// Answers of "not now" in a row after which the destination counts as away.
const FAILURES_TO_BE_AWAY: u32 = 3;

/// A backend that asks for more time than this is as good as away to who could keep batches on disk.
const DELAY_SHORT: Duration = Duration::from_secs(1);

/// The longest wait between attempts while the application leaves.
const DELAY_LEAVING: Duration = Duration::from_millis(100);

/// Attempts without an answer, in a row, after which a leaving application gives up.
const FAILURES_TO_LEAVE: u32 = 3;

#[derive(Default)]
pub(super) struct Health {
    /// When the destination stopped taking batches.
    away_since: Option<Instant>,
    /// Attempts failed since the last success.
    failures: u32,
    /// Whether a person was told that it is away.
    is_told: bool,
    /// Whether it ever answered. One that did may close an idle connection at any time; that is
    /// found out by an attempt that fails, and is no news.
    has_answered: bool,
    /// While the destination is away, one attempt at a time finds out whether it is back.
    is_probing: bool,
    /// Nothing is sent before this: our own backoff.
    pause_until: Option<Instant>,
    /// Nothing is sent before this: the backend asked for it, and an answer to a request that was
    /// under way already does not change that.
    throttled_until: Option<Instant>,
    /// The application is leaving, at this time at the latest: no long waits, and few chances for a
    /// backend that is away.
    leaving: Option<Instant>,
    /// Attempts without an answer, one after the other, since the application began to leave.
    failures_leaving: u32,
}

/// What a worker with a batch does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send it.
    Go { is_probe: bool },
    /// Drop it: the application leaves and there is no hope.
    GiveUp,
    /// Look again at this time, or when the health changes.
    Sleep(Instant),
    /// Look again when the health changes.
    Wait,
}

/// What an answer changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    /// Others may wait for this.
    pub(super) was_away: bool,
    /// Since when it had been away, if a person was told so.
    pub(super) recovered_from: Option<Instant>,
}

/// An attempt that may be repeated.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// There was no answer.
    NoAnswer,
    /// The answer was "not now", perhaps with a time.
    NotNow(Option<Duration>),
}

impl Health {
    pub(super) const fn is_away(&self) -> bool {
        self.away_since.is_some()
    }

    /// Whether nothing will be sent for a while: it is away, or asked for time.
    pub(super) fn is_held_up(&self, now: Instant) -> bool {
        let is_throttled = self
            .throttled_until
            .is_some_and(|until| until > now + DELAY_SHORT);
        self.is_away() || is_throttled
    }

    /// When a destination that asked for time is held up no longer, if that is to come.
    pub(super) fn rested(&self, now: Instant) -> Option<Instant> {
        let until = self
            .throttled_until
            .filter(|until| *until > now + DELAY_SHORT);
        until.map(|until| until - DELAY_SHORT)
    }

    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    pub(super) const fn leave(&mut self, deadline: Instant) {
        self.leaving = Some(deadline);
        self.pause_until = None;
    }

    /// Whose turn it is. After [`Turn::Go`] the attempt's end must be told.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        if let Some(deadline) = self.leaving {
            let is_throttled_past = self.throttled_until.is_some_and(|until| until >= deadline);
            if is_throttled_past || self.failures_leaving >= FAILURES_TO_LEAVE {
                return Turn::GiveUp;
            }
        }
        if let Some(until) = self.pause_until.max(self.throttled_until)
            && until > now
        {
            return Turn::Sleep(until);
        }
        if !self.is_away() {
            return Turn::Go { is_probe: false };
        }
        if self.is_probing {
            return Turn::Wait;
        }
        self.is_probing = true;
        Turn::Go { is_probe: true }
    }

    /// The destination answered something other than "not now".
    pub(super) fn answered(&mut self) -> Answered {
        let answered = Answered {
            was_away: self.is_away(),
            recovered_from: self.away_since.filter(|_| self.is_told),
        };
        self.away_since = None;
        self.is_told = false;
        self.has_answered = true;
        self.failures = 0;
        self.failures_leaving = 0;
        self.is_probing = false;
        self.pause_until = None;
        answered
    }

    /// An attempt failed. Whether a person is to be told that the destination is away.
    pub(super) fn failed(
        &mut self,
        failure: Failure,
        is_probe: bool,
        now: Instant,
        retry: &RetryConfig,
    ) -> bool {
        if is_probe {
            self.is_probing = false;
        }
        self.failures = self.failures.saturating_add(1);
        let (is_away, is_news) = match failure {
            Failure::NoAnswer => {
                // Requests that were under way together fail together when their connection is lost. That
                // is one failure; whether there is another way only a new attempt finds out.
                let is_new = is_probe || !self.is_away();
                self.failures_leaving += u32::from(self.is_leaving() && is_new);
                (true, self.failures > 1 || !self.has_answered)
            }
            Failure::NotNow(after) => {
                if let Some(after) = after {
                    let until = now + asked_for(after);
                    self.throttled_until = self.throttled_until.max(Some(until));
                }
                let is_away = self.failures >= FAILURES_TO_BE_AWAY;
                (is_away, is_away)
            }
        };
        if is_away {
            self.away_since.get_or_insert(now);
        }
        if self.is_away() {
            let delay = self.delay(backoff(retry, self.failures));
            self.pause_until = Some(now + delay);
        }
        let tell = is_news && !self.is_told;
        self.is_told |= tell;
        tell
    }

    /// A wait, cut where the application is leaving.
    pub(super) fn delay(&self, delay: Duration) -> Duration {
        if self.is_leaving() {
            delay.min(DELAY_LEAVING)
        } else {
            delay
        }
    }
}
