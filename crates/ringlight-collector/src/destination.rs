//! One destination: its queue, its workers, its retries.
//!
//! A destination never touches another. Its workers run on the collector's runtime; all its state
//! is changed there, so the lock around it is never contended.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ringlight_model::{DropReason, Signal};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::accounts::{Accounts, Fate, Stage};
use crate::config::{PipelineConfig, RetryConfig};
use crate::export::{EncodedBatch, ExportError, ExportOutcome, ExporterBoxed};
use crate::notice::{Notice, Notices};

/// The longest wait a backend may ask for; a longer one is cut to this.
pub(crate) const SERVER_DELAY_MAX: Duration = Duration::from_secs(60);

/// Answers of "not now" in a row after which a person is told.
const FAILURES_TO_TELL: u32 = 3;

/// The longest wait between attempts while the application leaves.
const DELAY_LEAVING: Duration = Duration::from_millis(100);

/// Attempts without an answer, in a row, after which a leaving application gives up.
const FAILURES_TO_LEAVE: u32 = 3;

pub(crate) struct Destination {
    index: usize,
    exporter: Arc<dyn ExporterBoxed>,
    accounts: Arc<Accounts>,
    settings: Settings,
    state: Mutex<State>,
    /// A batch was queued.
    queued: Notify,
    /// The state of the connection changed, or the end is near: waits are to be looked at again.
    changed: Notify,
    /// A batch has left; the collector listens.
    settled: Arc<Notify>,
}

struct Settings {
    queue_bytes_max: usize,
    export_timeout: Duration,
    retry: RetryConfig,
    notices: Notices,
}

#[derive(Default)]
struct State {
    /// Batches and when they came.
    queue: VecDeque<(EncodedBatch, Instant)>,
    /// Bytes in the queue and in requests.
    held_bytes: usize,
    /// Batches that have left the queue and have not been settled: signal and records by sequence
    /// number.
    requests: BTreeMap<u64, (Signal, u64)>,
    health: Health,
    /// Its queue stayed full for too long; holding the drain up for it again is futile until a
    /// batch has left.
    is_stalled: bool,
    /// The application is leaving, at this time at the latest: no long waits, and few chances for a
    /// backend that is away.
    leaving: Option<Instant>,
    /// Nothing is sent before this: the backend asked for it, and an answer to a request that was
    /// under way already does not change that.
    throttled_until: Option<Instant>,
    /// Attempts failed in a row since the application began to leave.
    failures_leaving: u32,
    told_rejected: bool,
    told_warning: bool,
}

#[derive(Default)]
struct Health {
    /// When the destination stopped answering.
    away_since: Option<Instant>,
    told_away: bool,
    /// Attempts failed since the last success.
    failures: u32,
    /// Nothing is sent before this: our own backoff.
    pause_until: Option<Instant>,
    /// While the destination is away, one attempt at a time finds out whether it is back.
    is_probing: bool,
}

enum Turn {
    Go { is_probe: bool },
    GiveUp,
    Sleep(Instant),
    Wait,
}

impl Destination {
    pub(crate) fn new(
        index: usize,
        exporter: Arc<dyn ExporterBoxed>,
        accounts: Arc<Accounts>,
        config: &PipelineConfig,
        settled: Arc<Notify>,
    ) -> Self {
        Self {
            index,
            exporter,
            accounts,
            settings: Settings {
                queue_bytes_max: config.queue_bytes_max,
                export_timeout: config.export_timeout,
                retry: config.retry,
                notices: config.notices.clone(),
            },
            state: Mutex::default(),
            queued: Notify::new(),
            changed: Notify::new(),
            settled,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would have come from a notices hook; the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another batch of this size fits. An empty queue takes any.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let state = self.state();
        state.held_bytes == 0 || state.held_bytes + bytes <= self.settings.queue_bytes_max
    }

    /// Whether the destination does not answer, so that waiting for room in its queue is futile.
    pub(crate) fn is_away(&self) -> bool {
        self.state().health.away_since.is_some()
    }

    /// Whether it makes sense to wait for room in its queue.
    pub(crate) fn is_lively(&self) -> bool {
        let state = self.state();
        !state.is_stalled && state.health.away_since.is_none()
    }

    /// It makes no sense to wait for room in its queue until a batch has left.
    pub(crate) fn set_stalled(&self) {
        self.state().is_stalled = true;
    }

    /// Takes a sealed batch over from the batch stage, or drops it where there is no room.
    pub(crate) fn push(&self, batch: EncodedBatch) {
        let records = u64::from(batch.records);
        if !self.has_room(batch.bytes.len()) {
            let fate = Fate::Dropped(DropReason::QueueFull);
            self.accounts
                .settled(self.index, batch.signal, records, Stage::Batch, fate);
            return;
        }
        self.accounts.moved(
            self.index,
            batch.signal,
            records,
            Stage::Batch,
            Stage::Queue,
        );
        let mut state = self.state();
        state.held_bytes += batch.bytes.len();
        state.queue.push_back((batch, Instant::now()));
        drop(state);
        self.queued.notify_one();
    }

    /// Whether every batch up to this sequence number has been settled.
    pub(crate) fn is_settled_up_to(&self, sequence: u64) -> bool {
        let state = self.state();
        let queued = state.queue.front().map(|(batch, _)| batch.id.sequence());
        let sent = state.requests.keys().next().copied();
        [queued, sent]
            .iter()
            .flatten()
            .all(|&first| first > sequence)
    }

    /// Says that the application is leaving, by `deadline`.
    pub(crate) fn leave(&self, deadline: Instant) {
        let mut state = self.state();
        state.leaving = Some(deadline);
        state.health.pause_until = None;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Sends batches one after the other, for ever. Several of these run side by side.
    pub(crate) async fn work(self: Arc<Self>) {
        loop {
            match self.take() {
                Some((batch, since)) => self.deliver(batch, since).await,
                None => self.queued.notified().await,
            }
        }
    }

    fn take(&self) -> Option<(EncodedBatch, Instant)> {
        let mut state = self.state();
        let (batch, since) = state.queue.pop_front()?;
        let records = u64::from(batch.records);
        state
            .requests
            .insert(batch.id.sequence(), (batch.signal, records));
        drop(state);
        self.accounts.moved(
            self.index,
            batch.signal,
            records,
            Stage::Queue,
            Stage::Request,
        );
        Some((batch, since))
    }

    async fn deliver(&self, batch: EncodedBatch, since: Instant) {
        let records = u64::from(batch.records);
        let fate = self.attempts(&batch, since).await;
        self.accounts
            .settled(self.index, batch.signal, records, Stage::Request, fate);
        let mut state = self.state();
        state.is_stalled = false;
        state.held_bytes -= batch.bytes.len();
        state.requests.remove(&batch.id.sequence());
        drop(state);
        self.settled.notify_one();
    }

    /// Drops every batch that has not been settled. The workers have ended.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        let queue = std::mem::take(&mut state.queue);
        let requests = std::mem::take(&mut state.requests);
        state.held_bytes = 0;
        drop(state);
        let fate = Fate::Dropped(DropReason::Shutdown);
        for (batch, _) in queue {
            let records = u64::from(batch.records);
            self.accounts
                .settled(self.index, batch.signal, records, Stage::Queue, fate);
        }
        for (signal, records) in requests.into_values() {
            self.accounts
                .settled(self.index, signal, records, Stage::Request, fate);
        }
    }

    async fn attempts(&self, batch: &EncodedBatch, since: Instant) -> Fate {
        // Waits for its turn end there, too: a destination that is away is asked by one batch for
        // all of them.
        let until = since + self.settings.retry.total_max;
        let mut failures = 0_u32;
        loop {
            let is_probe = match self.turn(until).await {
                Ok(is_probe) => is_probe,
                Err(reason) => return Fate::Dropped(reason),
            };
            let error = match self.attempt(batch).await {
                Ok(outcome) => return self.succeeded(outcome),
                Err(error) => error,
            };
            self.failed(&error, is_probe);
            if !error.is_retryable() {
                self.tell_rejected(u64::from(batch.records), &error.to_string());
                return Fate::Rejected;
            }
            failures = failures.saturating_add(1);
            if Instant::now() >= until {
                return Fate::Dropped(DropReason::RetriesExhausted);
            }
            if let ExportError::Retryable { after: None, .. } = error {
                self.sleep(backoff(&self.settings.retry, failures)).await;
            }
        }
    }

    async fn attempt(&self, batch: &EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let limit = self.settings.export_timeout;
        // A panic of an exporter is its own; it must not take the worker with it.
        let start = || self.exporter.export_boxed(batch.clone());
        let Ok(mut attempt) = catch_unwind(AssertUnwindSafe(start)) else {
            return Err(panicked());
        };
        let attempt = std::future::poll_fn(|context| {
            let poll = || attempt.as_mut().poll(context);
            catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|_| Poll::Ready(Err(panicked())))
        });
        match tokio::time::timeout(limit, attempt).await {
            Ok(result) => result,
            Err(_) => Err(ExportError::Unreachable {
                reason: format!("no answer within {limit:?}"),
                source: None,
            }),
        }
    }

    /// Waits until the destination may be sent to. Returns whether the attempt is the probe, or why
    /// there is to be no further attempt.
    async fn turn(&self, until: Instant) -> Result<bool, DropReason> {
        loop {
            // Registered before the state is read, so that no change in between is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let wake = match self.next_turn() {
                Turn::Go { is_probe } => return Ok(is_probe),
                Turn::GiveUp => return Err(DropReason::Shutdown),
                Turn::Sleep(wake) => wake.min(until),
                Turn::Wait => until,
            };
            if Instant::now() >= until {
                return Err(DropReason::RetriesExhausted);
            }
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                () = changed => {}
            }
        }
    }

    fn next_turn(&self) -> Turn {
        let mut state = self.state();
        if let Some(deadline) = state.leaving {
            let is_throttled_past = state.throttled_until.is_some_and(|until| until >= deadline);
            if is_throttled_past || state.failures_leaving >= FAILURES_TO_LEAVE {
                return Turn::GiveUp;
            }
        }
        let pause_until = state.health.pause_until.max(state.throttled_until);
        if let Some(until) = pause_until
            && until > Instant::now()
        {
            return Turn::Sleep(until);
        }
        let health = &mut state.health;
        if health.away_since.is_some() {
            if health.is_probing {
                return Turn::Wait;
            }
            health.is_probing = true;
            return Turn::Go { is_probe: true };
        }
        Turn::Go { is_probe: false }
    }

    /// A wait of one batch alone, cut short when the application leaves.
    async fn sleep(&self, delay: Duration) {
        let mut changed = std::pin::pin!(self.changed.notified());
        changed.as_mut().enable();
        let delay = if self.state().leaving.is_some() {
            delay.min(DELAY_LEAVING)
        } else {
            delay
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = changed => {}
        }
    }

    fn succeeded(&self, outcome: ExportOutcome) -> Fate {
        self.answered();
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
        let mut state = self.state();
        state.failures_leaving = 0;
        let health = std::mem::take(&mut state.health);
        drop(state);
        if let Some(since) = health.away_since {
            self.changed.notify_waiters();
            if health.told_away {
                self.tell(&Notice::Recovered {
                    destination: self.name(),
                    outage: since.elapsed(),
                });
            }
        }
    }

    fn failed(&self, error: &ExportError, is_probe: bool) {
        let (is_away, after) = match error {
            ExportError::Unreachable { .. } => (true, None),
            ExportError::Retryable { after, .. } => (false, *after),
            // It answered: only this batch has a problem.
            _ => return self.answered(),
        };
        let now = Instant::now();
        let mut state = self.state();
        let is_leaving = state.leaving.is_some();
        let mut failures_leaving = state.failures_leaving;
        let mut throttled_until = state.throttled_until;
        let health = &mut state.health;
        if is_probe {
            health.is_probing = false;
        }
        health.failures = health.failures.saturating_add(1);
        if is_away {
            health.away_since.get_or_insert(now);
            failures_leaving += u32::from(is_leaving);
            let mut delay = backoff(&self.settings.retry, health.failures);
            if is_leaving {
                delay = delay.min(DELAY_LEAVING);
            }
            health.pause_until = Some(now + delay);
        } else if let Some(after) = after {
            throttled_until = throttled_until.max(Some(now + after.min(SERVER_DELAY_MAX)));
        }
        let tell = !health.told_away && (is_away || health.failures >= FAILURES_TO_TELL);
        if tell {
            health.told_away = true;
            health.away_since.get_or_insert(now);
        }
        state.failures_leaving = failures_leaving;
        state.throttled_until = throttled_until;
        drop(state);
        self.changed.notify_waiters();
        if tell {
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

    fn tell(&self, notice: &Notice) {
        self.settings.notices.send(notice);
    }

    fn name(&self) -> String {
        self.exporter.name_boxed().to_owned()
    }

    pub(crate) fn exporter(&self) -> &Arc<dyn ExporterBoxed> {
        &self.exporter
    }
}

fn panicked() -> ExportError {
    ExportError::Permanent {
        reason: "the exporter panicked".to_owned(),
    }
}

/// The wait after the given number of failures in a row: exponential, of which a random part
/// between one half and all is taken.
fn backoff(retry: &RetryConfig, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let whole = retry
        .delay_first
        .saturating_mul(1 << doublings)
        .min(retry.delay_max);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests;
