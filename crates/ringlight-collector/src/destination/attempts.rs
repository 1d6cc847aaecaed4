//! Attempts with one batch: whose turn it is, what an answer means, what a person is told.

use std::time::Duration;

use ringlight_model::DropReason;
use tokio::time::Instant;

use super::Destination;
use super::health::{Failure, Turn, backoff};
use super::state::Held;
use crate::accounts::Fate;
use crate::export::{EncodedBatch, ExportError, ExportOutcome};
use crate::notice::Notice;
use crate::send::Unsent;
use crate::text::Readable;

/// What became of a batch that a worker had.
pub(super) enum Ended {
    /// It is done with.
    Settled(Fate),
    /// It is to be kept on disk.
    Kept,
}

impl Destination {
    pub(super) async fn attempts(&self, held: &Held) -> Ended {
        // Waits for its turn end there, too: a destination that is away is asked by one batch for
        // all of them. What is on disk has its time there.
        let until = (held.frame.is_none()).then(|| held.since + self.settings.retry.total_max);
        let batch = &held.batch;
        let mut failures = 0_u32;
        loop {
            let is_probe = match self.turn(held, until).await {
                Ok(is_probe) => is_probe,
                Err(ended) => return ended,
            };
            let error = match self.attempt(batch).await {
                Ok(outcome) => return Ended::Settled(self.succeeded(outcome)),
                Err(error) => error,
            };
            self.accounts.attempt_failed(self.index);
            self.failed(&error, is_probe);
            if !error.is_retryable() {
                let reason = error.to_string();
                self.tell_rejected(u64::from(batch.records), &reason);
                self.keep_letter(batch, reason);
                return Ended::Settled(Fate::Rejected);
            }
            failures = failures.saturating_add(1);
            if until.is_some_and(|until| Instant::now() >= until) {
                return self.given_up(held, DropReason::RetriesExhausted);
            }
            if let ExportError::Retryable { after: None, .. } = error {
                self.sleep(backoff(&self.settings.retry, failures)).await;
            }
        }
    }

    /// What becomes of a batch that is not tried again.
    fn given_up(&self, held: &Held, reason: DropReason) -> Ended {
        let can_be_kept = held.frame.is_none() && self.spool_mode(&self.state()).is_some();
        if can_be_kept {
            Ended::Kept
        } else {
            Ended::Settled(Fate::Dropped(reason))
        }
    }

    async fn attempt(&self, batch: &EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let limit = self.settings.export_timeout;
        let sent = self.send(batch.clone(), Instant::now() + limit).await;
        sent.map_err(|unsent| match unsent {
            Unsent::Failed(error) => error,
            Unsent::TimedOut => ExportError::Unreachable {
                reason: format!("no answer within {}", Readable(limit)),
                source: None,
            },
            // Another attempt would panic as well.
            Unsent::Panicked => ExportError::Permanent {
                reason: "the exporter panicked".to_owned(),
            },
        })
    }

    /// Waits until the destination may be sent to. Returns whether the attempt is the probe, or that there
    /// is to be no further attempt.
    async fn turn(&self, held: &Held, until: Option<Instant>) -> Result<bool, Ended> {
        loop {
            // Registered before the state is read, so that no change in between is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let turn = {
                let mut state = self.state();
                let is_held_up = state.health.is_held_up(now);
                if is_held_up && held.frame.is_none() && self.spool_mode(&state).is_some() {
                    return Err(Ended::Kept);
                }
                state.health.turn(now)
            };
            let wake = match turn {
                Turn::Go { is_probe } => return Ok(is_probe),
                // What is on disk is safe there, and is left to the next process.
                Turn::GiveUp if held.frame.is_some() => None,
                Turn::GiveUp => return Err(self.given_up(held, DropReason::Shutdown)),
                Turn::Sleep(wake) => Some(wake),
                Turn::Wait => None,
            };
            if until.is_some_and(|until| now >= until) {
                return Err(self.given_up(held, DropReason::RetriesExhausted));
            }
            let wake = [wake, until].into_iter().flatten().min();
            tokio::select! {
                () = sleep_until(wake) => {}
                () = changed => {}
            }
        }
    }

    /// A wait of one batch alone, cut short when the application leaves.
    async fn sleep(&self, delay: Duration) {
        let start = Instant::now();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let wake = start + self.state().health.delay(delay);
            tokio::select! {
                () = tokio::time::sleep_until(wake) => return,
                () = changed => {}
            }
        }
    }

    fn succeeded(&self, outcome: ExportOutcome) -> Fate {
        self.answered();
        self.note(&outcome);
        let message = outcome.message.filter(|text| !text.is_empty());
        if outcome.rejected > 0 {
            let reason = message.unwrap_or_else(|| "no reason given".to_owned());
            self.tell_rejected(outcome.rejected, &reason);
        } else if let Some(message) = message {
            let is_first = !std::mem::replace(&mut self.state().told_warning, true);
            if is_first {
                self.tell(&Notice::Warning {
                    destination: self.name(),
                    message,
                });
            }
        }
        Fate::Delivered {
            rejected: outcome.rejected,
        }
    }

    /// The destination answered something other than "not now".
    fn answered(&self) {
        let answered = self.state().health.answered();
        if answered.was_away {
            self.changed.notify_waiters();
            self.rouse_keeper();
        }
        if let Some(since) = answered.recovered_from {
            self.tell(&Notice::Recovered {
                destination: self.name(),
                outage: since.elapsed(),
            });
        }
    }

    fn failed(&self, error: &ExportError, is_probe: bool) {
        let failure = match error {
            ExportError::Unreachable { .. } => Failure::NoAnswer,
            ExportError::Retryable { after, .. } => Failure::NotNow(*after),
            // It answered: only this batch has a problem.
            _ => return self.answered(),
        };
        let now = Instant::now();
        let retry = &self.settings.retry;
        let is_news = self.state().health.failed(failure, is_probe, now, retry);
        self.changed.notify_waiters();
        self.rouse_keeper();
        if is_news {
            self.tell(&Notice::Unreachable {
                destination: self.name(),
                reason: error.to_string(),
            });
        }
    }

    fn tell_rejected(&self, records: u64, reason: &str) {
        let is_first = !std::mem::replace(&mut self.state().told_rejected, true);
        if is_first {
            self.tell(&Notice::Rejected {
                destination: self.name(),
                records,
                reason: reason.to_owned(),
            });
        }
    }
}

/// Without a time, for ever.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
