//! One destination: its queue, its workers, its retries.
//!
//! A destination is one place an exporter sends to; those of one exporter share an account, in which
//! they have no signal in common. A destination never touches another. Its workers run on the
//! collector's runtime; all its state is changed there, so the lock around it is never contended.

mod health;
mod place;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringlight_model::{DropReason, Signal};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::health::{Failure, Health, Turn, backoff};
pub(crate) use self::place::Place;
use crate::accounts::{Accounts, Fate, Stage};
use crate::config::{CollectorConfig, RetryConfig};
use crate::export::{EncodedBatch, ExportError, ExportOutcome, ExporterBoxed};
use crate::meter::Meter;
use crate::notice::{Notice, Notices};
use crate::send::{Unsent, send};
use crate::sync::unpoisoned;
use crate::text::Readable;

pub(crate) struct Destination {
    /// Of the account.
    index: usize,
    place: Place,
    exporter: Arc<dyn ExporterBoxed>,
    accounts: Arc<Accounts>,
    meter: Arc<Meter>,
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
    told_rejected: bool,
    told_warning: bool,
    /// Whether it wants to be told of open spans, by its last answer.
    takes_open_spans: Option<bool>,
}

impl Destination {
    pub(crate) fn new(
        index: usize,
        place: Place,
        exporter: Arc<dyn ExporterBoxed>,
        accounts: Arc<Accounts>,
        meter: Arc<Meter>,
        config: &CollectorConfig,
        settled: Arc<Notify>,
    ) -> Self {
        Self {
            index,
            place,
            exporter,
            accounts,
            meter,
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

    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// Whether records of this signal go here.
    pub(crate) const fn takes(&self, signal: Signal) -> bool {
        self.place.signals.contains(signal)
    }

    /// Whether spans that are still open may be reported here.
    pub(crate) fn reports_open_spans(&self) -> bool {
        self.takes(Signal::Logs) && self.exporter.reports_open_spans_boxed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    /// Whether another batch of this size fits. An empty queue takes any.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let state = self.state();
        state.held_bytes == 0 || state.held_bytes + bytes <= self.settings.queue_bytes_max
    }

    /// Whether the destination does not answer, so that waiting for room in its queue is futile.
    pub(crate) fn is_away(&self) -> bool {
        self.state().health.is_away()
    }

    /// Whether it makes sense to wait for room in its queue.
    pub(crate) fn is_lively(&self) -> bool {
        let state = self.state();
        !state.is_stalled && !state.health.is_away()
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
        self.state().health.leave(deadline);
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
            self.accounts.attempt_failed(self.index);
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

    /// One attempt with a batch or with a report, which is in nobody's books.
    pub(crate) async fn send(
        &self,
        batch: EncodedBatch,
        until: Instant,
    ) -> Result<ExportOutcome, Unsent> {
        self.meter.add_sent(batch.bytes.len());
        send(&*self.exporter, batch, until).await
    }

    /// Waits until the destination may be sent to. Returns whether the attempt is the probe, or why
    /// there is to be no further attempt.
    async fn turn(&self, until: Instant) -> Result<bool, DropReason> {
        loop {
            // Registered before the state is read, so that no change in between is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let turn = self.state().health.turn(Instant::now());
            let wake = match turn {
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

    /// Whether it wants to be told of open spans; `None` before its first answer.
    pub(crate) fn takes_open_spans(&self) -> Option<bool> {
        self.state().takes_open_spans
    }

    /// Notes what an answer says about the backend.
    pub(crate) fn note(&self, outcome: &ExportOutcome) {
        self.state().takes_open_spans = Some(outcome.takes_open_spans);
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

    fn tell(&self, notice: &Notice) {
        self.settings.notices.send(notice);
    }

    fn name(&self) -> String {
        self.place.name.clone()
    }
}
