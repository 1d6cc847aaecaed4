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
    /// What is left of it is to be tried again, behind others: it may be the batch's own fault.
    Failed,
    /// What is left of it is to be kept on disk.
    Kept,
}

/// What became of an attempt.
enum Attempted {
    /// The part has come to its end.
    Settled(Fate),
    /// It is too large for the destination.
    TooLarge(String),
    /// It is to be tried again.
    Failed,
    /// It is to be kept on disk.
    Kept,
}

/// A batch that fails though others are taken between its attempts is tried in halves from the second time on, and is given
/// up after so many times: it would be read from disk and tried for ever.
const PASSED_HALVES: u32 = 2;
const PASSED_MAX: u32 = 100;

/// How long a person is not told again that records are refused.
const TELL_AGAIN: Duration = Duration::from_secs(60);

impl Destination {
    /// Sends a batch: in parts, where the destination does not take that much at a time.
    pub(super) async fn attempts(&self, ticket: u64, held: &Held) -> Ended {
        let mut is_exported = true;
        while let Some(part) = self.next_part(ticket) {
            let fate = match self.attempt_part(ticket, &part, held).await {
                Attempted::Settled(fate) => fate,
                Attempted::Kept => return Ended::Kept,
                Attempted::Failed => return Ended::Failed,
                Attempted::TooLarge(reason) => {
                    let mut state = self.state();
                    if Self::split_next(&mut state, ticket) {
                        state.adaptive.refused(part.bytes.len(), Instant::now());
                        continue;
                    }
                    drop(state);
                    self.tell_rejected(part.records.into(), &reason);
                    self.keep_letter(&part, reason);
                    Fate::Dropped(DropReason::TooLarge)
                }
            };
            is_exported &= matches!(
                fate,
                Fate::Delivered { .. } | Fate::DeliveredRecovered { .. }
            );
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

    /// One attempt with a part, when its turn has come.
    async fn attempt_part(&self, ticket: u64, part: &EncodedBatch, held: &Held) -> Attempted {
        // Waits for its turn end there, too: a destination that is away is asked by one batch for all of them.
        let until = held.since + self.settings.retry.total_max;
        let is_over = || Instant::now() >= until && !self.is_on_disk(ticket);
        if held.failures > 0 && is_over() {
            return self.given_up(ticket, DropReason::RetriesExhausted);
        }
        let is_probe = match self.turn(ticket, until).await {
            Ok(is_probe) => is_probe,
            Err(attempted) => return attempted,
        };
        let error = match self.attempt(part, held.has_waited).await {
            Ok(outcome) => {
                let fate = self.succeeded(outcome, part.records.into(), held.is_recovered);
                return Attempted::Settled(fate);
            }
            Err(error) => error,
        };
        self.accounts.attempt_failed(self.index);
        self.failed(&error, is_probe);
        if let ExportError::TooLarge { reason } = error {
            return Attempted::TooLarge(reason);
        }
        let reason = error.to_string();
        if !error.is_retryable() {
            self.tell_rejected(u64::from(part.records), &reason);
            self.keep_letter(part, reason);
            return Attempted::Settled(Fate::Rejected);
        }
        let asked_for_time = matches!(error, ExportError::Retryable { after: Some(_), .. });
        if self.is_hopeless(ticket, asked_for_time) {
            self.keep_letter(part, reason);
            return Attempted::Settled(Fate::Dropped(DropReason::RetriesExhausted));
        }
        if is_over() {
            return self.given_up(ticket, DropReason::RetriesExhausted);
        }
        Attempted::Failed
    }

    /// Notes that an attempt failed; whether there is to be no other, since the destination takes others and never this one.
    fn is_hopeless(&self, ticket: u64, asked_for_time: bool) -> bool {
        let mut state = self.state();
        let (delivered, retry) = (state.delivered, &self.settings.retry);
        let Some(request) = state.requests.get_mut(&ticket) else {
            return false;
        };
        let held = &mut request.held;
        held.failures = held.failures.saturating_add(1);
        let delay = match asked_for_time {
            // All wait for that.
            true => Duration::ZERO,
            false => backoff(retry, held.failures),
        };
        held.rests = Some((Instant::now(), delay));
        let before = held.delivered_before.replace(delivered);
        if before.is_some_and(|before| delivered > before) {
            held.passed += 1;
        }
        if held.passed < PASSED_HALVES {
            return false;
        }
        if held.frame.is_some() && held.passed >= PASSED_MAX {
            // What is left of the batch has its chance.
            held.passed = PASSED_HALVES;
            return true;
        }
        if !Self::split_next(&mut state, ticket)
            && let Some(request) = state.requests.get_mut(&ticket)
        {
            // The other parts go first.
            request.left.rotate_right(1);
        }
        false
    }

    /// Whether a batch is on disk as well, where it is safe.
    fn is_on_disk(&self, ticket: u64) -> bool {
        let state = self.state();
        let request = state.requests.get(&ticket);
        request.is_some_and(|request| request.held.frame.is_some())
    }

    /// What becomes of a batch that is not tried again.
    fn given_up(&self, ticket: u64, reason: DropReason) -> Attempted {
        let can_be_kept = !self.is_on_disk(ticket) && self.spool_mode(&self.state()).is_some();
        if can_be_kept {
            Attempted::Kept
        } else {
            Attempted::Settled(Fate::Dropped(reason))
        }
    }

    async fn attempt(
        &self,
        batch: &EncodedBatch,
        has_waited: bool,
    ) -> Result<ExportOutcome, ExportError> {
        let limit = self.timeout(batch.signal);
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
            Ok(_) => adaptive.answered(sent, now),
            // How soon something is refused says nothing about what is taken.
            Err(Unsent::Failed(_) | Unsent::Panicked) => {}
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
    /// is to be none.
    async fn turn(&self, ticket: u64, until: Instant) -> Result<bool, Attempted> {
        loop {
            // Registered before the state is read, so that no change in between is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let is_on_disk = self.is_on_disk(ticket);
            let turn = {
                let mut state = self.state();
                let is_held_up = state.health.is_held_up(now);
                if is_held_up && !is_on_disk && self.spool_mode(&state).is_some() {
                    return Err(Attempted::Kept);
                }
                state.health.turn(now)
            };
            let wake = match turn {
                Turn::Go { is_probe } => return Ok(is_probe),
                // What is on disk is safe there, and is left to the next process.
                Turn::GiveUp if is_on_disk => None,
                Turn::GiveUp => return Err(self.given_up(ticket, DropReason::Shutdown)),
                Turn::Sleep(wake) => Some(wake),
                Turn::Wait => None,
            };
            // What is on disk has its time there.
            let until = (!is_on_disk).then_some(until);
            if until.is_some_and(|until| now >= until) {
                return Err(self.given_up(ticket, DropReason::RetriesExhausted));
            }
            let wake = [wake, until].into_iter().flatten().min();
            tokio::select! {
                () = sleep_until(wake) => {}
                () = changed => {}
            }
        }
    }

    /// An answer to so many records that were taken, all of them or some.
    fn succeeded(&self, outcome: ExportOutcome, records: u64, is_recovered: bool) -> Fate {
        self.answered();
        self.note(&outcome);
        let message = outcome.message.filter(|text| !text.is_empty());
        // A backend cannot refuse more than it was given, whatever it claims.
        let rejected = outcome.rejected.min(records);
        if rejected > 0 {
            let reason = message.unwrap_or_else(|| "no reason given".to_owned());
            self.tell_rejected(rejected, &reason);
        } else if let Some(message) = message {
            let is_first = !std::mem::replace(&mut self.state().told_warning, true);
            if is_first {
                self.tell(&Notice::Warning {
                    destination: self.name(),
                    message,
                });
            }
        }
        match is_recovered {
            true => Fate::DeliveredRecovered { rejected },
            false => Fate::Delivered { rejected },
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
        // New batches may go to disk from now on.
        self.settled.notify_one();
        if is_news {
            self.tell(&Notice::Unreachable {
                destination: self.name(),
                reason: error.to_string(),
            });
        }
    }

    /// Records were refused for good. A person is told at once, then every minute while it goes on, and at the end.
    fn tell_rejected(&self, records: u64, reason: &str) {
        let now = Instant::now();
        let mut state = self.state();
        let refused = state.refused.get_or_insert_default();
        refused.records += records;
        reason.clone_into(&mut refused.reason);
        let is_due = refused.told.is_none_or(|(_, at)| now >= at + TELL_AGAIN);
        drop(state);
        if is_due {
            self.tell_refused();
        }
    }

    /// Tells what was refused and is not told yet.
    pub(crate) fn tell_refused(&self) {
        let mut state = self.state();
        let Some(refused) = &mut state.refused else {
            return;
        };
        let records = refused.records;
        if refused.told.is_some_and(|(told, _)| told == records) {
            return;
        }
        refused.told = Some((records, Instant::now()));
        let notice = Notice::Rejected {
            destination: self.name(),
            records,
            reason: refused.reason.clone(),
        };
        drop(state);
        self.tell(&notice);
    }
}
