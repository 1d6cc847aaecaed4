//! Attempts with one batch: whose turn it is, what an answer means, what a person is told.

use std::time::Duration;

use ringlight_model::DropReason;
use tokio::time::Instant;

use super::Destination;
use super::adaptive::{Refusal, Sent};
use super::health::{Failure, Turn, backoff};
use super::state::{Held, State};
use crate::accounts::{Fate, Stage};
use crate::export::{EncodedBatch, ExportError, ExportOutcome};
use crate::notice::Notice;
use crate::send::Unsent;
use crate::text::Readable;
use crate::wait::sleep_until;

/// What became of a batch that a worker had.
pub(super) enum Ended {
    /// It is done with, and in the books.
    Settled {
        /// All of it was taken.
        is_exported: bool,
    },
    /// What is left of it is to be kept on disk.
    Kept,
}

/// Why there is no further attempt.
enum NoMore {
    /// The batch has come to its end.
    Settled(Fate),
    /// It is too large for the destination.
    TooLarge(String),
    /// It is to be tried in parts, since a request of its size is not answered in time.
    TooSlow,
    /// It is to be kept on disk.
    Kept,
}

impl Destination {
    /// Sends a batch: in parts, where the destination does not take that much at a time.
    pub(super) async fn attempts(&self, ticket: u64, held: &Held) -> Ended {
        let mut is_exported = true;
        while let Some(part) = self.next_part(ticket) {
            let fate = match self.attempts_with(&part, held).await {
                NoMore::Settled(fate) => fate,
                NoMore::Kept => return Ended::Kept,
                NoMore::TooSlow => continue,
                NoMore::TooLarge(reason) => {
                    let is_split = {
                        let mut state = self.state();
                        state.adaptive.refused(part.bytes.len(), Instant::now());
                        Self::split_next(&mut state, ticket)
                    };
                    if is_split {
                        continue;
                    }
                    self.tell_rejected(part.records.into(), &reason);
                    self.keep_letter(&part, reason);
                    Fate::Dropped(DropReason::TooLarge)
                }
            };
            is_exported &= matches!(fate, Fate::Delivered { .. });
            self.settle(&part, Stage::Request, fate);
            if let Some(request) = self.state().requests.get_mut(&ticket) {
                request.left.pop();
            }
            self.settled.notify_one();
        }
        Ended::Settled { is_exported }
    }

    /// The next part of a batch, as large as may be sent.
    fn next_part(&self, ticket: u64) -> Option<EncodedBatch> {
        let mut state = self.state();
        loop {
            let part = state.requests.get(&ticket)?.left.last()?.clone();
            let is_too_large = part.bytes.len() > state.adaptive.request_bytes_max();
            if !is_too_large || !Self::split_next(&mut state, ticket) {
                return Some(part);
            }
        }
    }

    /// Makes two of the next part of a batch. False if it is one record.
    fn split_next(state: &mut State, ticket: u64) -> bool {
        let Some(request) = state.requests.get_mut(&ticket) else {
            return false;
        };
        let Some(halves) = request.left.last().and_then(EncodedBatch::split) else {
            return false;
        };
        request.left.pop();
        request.left.extend(halves.into_iter().rev());
        true
    }

    async fn attempts_with(&self, batch: &EncodedBatch, held: &Held) -> NoMore {
        // Waits for its turn end there, too: a destination that is away is asked by one batch for
        // all of them. What is on disk has its time there.
        let until = (held.frame.is_none()).then(|| held.since + self.settings.retry.total_max);
        let mut failures = 0_u32;
        loop {
            let is_probe = match self.turn(held, until).await {
                Ok(is_probe) => is_probe,
                Err(no_more) => return no_more,
            };
            let error = match self.attempt(batch, held.has_waited).await {
                Ok(outcome) => return NoMore::Settled(self.succeeded(outcome)),
                Err(error) => error,
            };
            self.accounts.attempt_failed(self.index);
            self.failed(&error, is_probe);
            if let ExportError::TooLarge { reason } = error {
                return NoMore::TooLarge(reason);
            }
            if !error.is_retryable() {
                let reason = error.to_string();
                self.tell_rejected(u64::from(batch.records), &reason);
                self.keep_letter(batch, reason);
                return NoMore::Settled(Fate::Rejected);
            }
            failures = failures.saturating_add(1);
            if until.is_some_and(|until| Instant::now() >= until) {
                return self.given_up(held, DropReason::RetriesExhausted);
            }
            if let ExportError::Retryable { after: None, .. } = error {
                self.sleep(backoff(&self.settings.retry, failures)).await;
            }
            if self.is_too_slow(batch) {
                return NoMore::TooSlow;
            }
        }
    }

    /// What becomes of a batch that is not tried again.
    fn given_up(&self, held: &Held, reason: DropReason) -> NoMore {
        let can_be_kept = held.frame.is_none() && self.spool_mode(&self.state()).is_some();
        if can_be_kept {
            NoMore::Kept
        } else {
            NoMore::Settled(Fate::Dropped(reason))
        }
    }

    /// Whether requests of this size are not answered in time, and this one can be made smaller.
    fn is_too_slow(&self, batch: &EncodedBatch) -> bool {
        batch.records > 1 && batch.bytes.len() > self.state().adaptive.request_bytes_max()
    }

    async fn attempt(
        &self,
        batch: &EncodedBatch,
        has_waited: bool,
    ) -> Result<ExportOutcome, ExportError> {
        let limit = self.settings.export_timeout;
        let sent = Sent {
            at: Instant::now(),
            bytes: batch.bytes.len(),
            has_waited,
        };
        let answer = self.send(batch.clone(), sent.at + limit).await;
        self.adapt(batch, sent, &answer);
        answer.map_err(|unsent| match unsent {
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

    /// Follows an answer with the number and size of requests.
    fn adapt(&self, batch: &EncodedBatch, sent: Sent, answer: &Result<ExportOutcome, Unsent>) {
        let now = Instant::now();
        let mut state = self.state();
        let adaptive = &mut state.adaptive;
        match answer {
            Err(Unsent::Failed(ExportError::Retryable { .. })) => {
                adaptive.failed(sent, Refusal::NotNow, now);
            }
            Err(Unsent::Failed(ExportError::Unreachable { .. })) => {
                adaptive.failed(sent, Refusal::Lost, now);
            }
            Err(Unsent::TimedOut) => adaptive.failed(sent, Refusal::TimedOut, now),
            Err(Unsent::Panicked) => {}
            // Whatever it says, it answered.
            Ok(_) | Err(Unsent::Failed(_)) => adaptive.answered(sent, now),
        }
        let (latency, concurrency) = (adaptive.latency(), adaptive.concurrency());
        let batch_bytes = adaptive.batch_bytes();
        drop(state);
        self.accounts
            .change_delivery(self.index, batch.signal, |delivery| {
                delivery.latency = latency;
                delivery.concurrency = concurrency as u64;
                delivery.batch_bytes = batch_bytes as u64;
                if let Ok(outcome) = answer {
                    delivery.requests += 1;
                    delivery.records += u64::from(batch.records);
                    delivery.encoded_bytes += batch.bytes.len() as u64;
                    delivery.wire_bytes += outcome.wire_bytes;
                }
            });
    }

    /// Waits until the destination may be sent to. Returns whether the attempt is the probe, or that there
    /// is to be no further attempt.
    async fn turn(&self, held: &Held, until: Option<Instant>) -> Result<bool, NoMore> {
        loop {
            // Registered before the state is read, so that no change in between is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let turn = {
                let mut state = self.state();
                let is_held_up = state.health.is_held_up(now);
                if is_held_up && held.frame.is_none() && self.spool_mode(&state).is_some() {
                    return Err(NoMore::Kept);
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
