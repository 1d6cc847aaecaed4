//! One destination: its queue, its workers, its retries, its logs on disk.
//!
//! A destination is one place an exporter sends to; those of one exporter share an account, in which
//! they have no signal in common. A destination never touches another. Its workers run on the
//! collector's runtime; all its state is changed there, so the lock around it is never contended. What
//! blocks, which is the disk, runs on a thread beside, one step at a time.

mod adaptive;
mod attempts;
mod health;
mod keeper;
mod logs;
mod place;
mod room;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringlight_model::{DropReason, Signal};
use ringlight_spool::Spool;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::attempts::Ended;
pub(crate) use self::keeper::LETTER_BYTES_MAX;
use self::keeper::{DestinationSpool, Keeper};
use self::logs::LogKey;
pub(crate) use self::place::BY_PIPELINE;
use self::place::Place;
use self::room::Way;
use self::state::{Held, InHand, State};
use crate::accounts::{Accounts, Fate, Stage};
use crate::config::CollectorConfig;
use crate::deadlines::Deadlines;
use crate::destination_config::{DestinationConfig, DestinationSettings};
use crate::export::{EncodedBatch, ExportOutcome, ExporterBoxed};
use crate::meter::Meter;
use crate::notice::{Notice, Notices};
use crate::send::{Unsent, send};
use crate::spool::SpoolMode;
use crate::sync::unpoisoned;
use crate::wait::sleep_until;

pub(crate) struct Destination {
    /// Of the account.
    index: usize,
    place: Place,
    exporter: Arc<dyn ExporterBoxed>,
    accounts: Arc<Accounts>,
    meter: Arc<Meter>,
    settings: DestinationSettings,
    notices: Notices,
    state: Mutex<State>,
    /// A batch was queued.
    queued: Notify,
    /// The state of the connection changed, or the end is near: waits are to be looked at again.
    changed: Notify,
    /// A batch has left, or is safe; the collector listens.
    settled: Arc<Notify>,
    /// Without one, what cannot be sent is kept in memory as far as there is room.
    keeper: Option<Keeper>,
}

/// What a destination shares with the rest of its pipeline.
pub(crate) struct Shared<'a> {
    pub(crate) accounts: &'a Arc<Accounts>,
    pub(crate) meter: &'a Arc<Meter>,
    pub(crate) notices: &'a Notices,
    pub(crate) settled: &'a Arc<Notify>,
}

impl Destination {
    /// One for every place of every exporter.
    pub(crate) fn all(
        configs: &[DestinationConfig],
        config: &CollectorConfig,
        spool: Option<&Spool>,
        carried: &'static [Signal],
        shared: &Shared<'_>,
    ) -> Vec<Arc<Self>> {
        let of = |(index, destination): (usize, &DestinationConfig)| {
            let signals = carried.iter().copied();
            let taken = signals.filter(|signal| destination.takes(*signal));
            let new = |place| {
                let spool = (config.spool.as_ref()).zip(spool.cloned());
                let spool = spool.and_then(|(config, spool)| {
                    DestinationSpool::of(config, spool, destination, index, carried)
                });
                let exporter = Arc::clone(&destination.exporter);
                let settings = destination.settings(config);
                Arc::new(Self::new(index, place, exporter, settings, shared, spool))
            };
            let places = Place::of(&*destination.exporter, taken).into_iter();
            places.map(new).collect::<Vec<_>>()
        };
        configs.iter().enumerate().flat_map(of).collect()
    }

    /// The destination with this index in the accounts: one place of an exporter.
    fn new(
        index: usize,
        place: Place,
        exporter: Arc<dyn ExporterBoxed>,
        settings: DestinationSettings,
        shared: &Shared<'_>,
        spool: Option<DestinationSpool>,
    ) -> Self {
        Self {
            index,
            place,
            exporter,
            accounts: Arc::clone(shared.accounts),
            meter: Arc::clone(shared.meter),
            settings,
            notices: shared.notices.clone(),
            state: Mutex::new(State::new(&settings, spool.is_some())),
            queued: Notify::new(),
            changed: Notify::new(),
            settled: Arc::clone(shared.settled),
            keeper: spool.map(Keeper::new),
        }
    }

    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// Requests under way at a time.
    pub(crate) const fn concurrent_exports_max(&self) -> usize {
        self.settings.concurrent_exports_max
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

    /// Whether a new batch would soon be on its way, so that it makes no sense to wait for more records: none waits, or
    /// it goes to disk.
    /// The collector is roused once that changes.
    pub(crate) fn is_ready(&self) -> bool {
        let mut state = self.state();
        let is_ready = state.queue.is_empty() || self.way(&state) == Way::Disk;
        state.is_awaited |= !is_ready;
        is_ready
    }

    /// Bytes that a new batch is to have at most, about, by what the destination takes.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.state().adaptive.batch_bytes()
    }

    /// The mode of the spool, if there is one and it takes batches.
    fn spool_mode(&self, state: &State) -> Option<SpoolMode> {
        let keeper = self.keeper.as_ref()?;
        (!state.spool.is_broken).then(|| keeper.mode())
    }

    fn is_held_up(&self, state: &State) -> bool {
        state.health.is_held_up(Instant::now())
    }

    /// Whether the destination does not answer, so that waiting for room in its queue is futile.
    pub(crate) fn is_away(&self) -> bool {
        self.state().health.is_away()
    }

    /// Whether it makes sense to wait for room in its queue.
    pub(crate) fn is_lively(&self) -> bool {
        let state = self.state();
        match self.way(&state) {
            Way::Disk => !state.spool.is_stalled,
            Way::Queue => !state.is_stalled && !state.health.is_away(),
        }
    }

    /// It makes no sense to wait for room in its queue until a batch has left.
    pub(crate) fn set_stalled(&self) {
        let mut state = self.state();
        match self.way(&state) {
            Way::Disk => state.spool.is_stalled = true,
            Way::Queue => state.is_stalled = true,
        }
    }

    /// Takes a sealed batch over from the batch stage, or drops it where there is no room.
    pub(crate) fn push(&self, batch: EncodedBatch) {
        let mut state = self.state();
        let way = self.way(&state);
        if !self.make_room(&mut state, way, &batch) {
            drop(state);
            let fate = Fate::Dropped(DropReason::QueueFull);
            self.settle(&batch, Stage::Batch, fate);
            return;
        }
        self.move_to(&batch, Stage::Batch, Stage::Queue);
        match way {
            Way::Disk => self.write(&mut state, batch),
            Way::Queue => {
                state.enqueue(Held::new(batch));
                drop(state);
                self.queued.notify_one();
            }
        }
    }

    /// Takes over what is left in the batch stage at the end: it goes to disk, or is dropped.
    pub(crate) fn push_last(&self, batch: EncodedBatch) {
        if self.keeper.is_none() {
            let fate = Fate::Dropped(DropReason::Shutdown);
            self.settle(&batch, Stage::Batch, fate);
            return;
        }
        self.move_to(&batch, Stage::Batch, Stage::Queue);
        self.write(&mut self.state(), batch);
    }

    fn move_to(&self, batch: &EncodedBatch, from: Stage, to: Stage) {
        let records = u64::from(batch.records);
        self.accounts
            .moved(self.index, batch.signal, records, from, to);
    }

    fn settle(&self, batch: &EncodedBatch, from: Stage, fate: Fate) {
        self.settle_records(LogKey::of(batch), u64::from(batch.records), from, fate);
    }

    /// The same of so many records of a kind.
    fn settle_records(&self, key: LogKey, records: u64, from: Stage, fate: Fate) {
        if key.is_audit {
            self.accounts.audit_lost(&[self.index], fate.lost(records));
        }
        self.accounts
            .settled(self.index, key.signal, records, from, fate);
    }

    /// Whether every batch up to this sequence number has been settled, or is safe on disk while the
    /// destination takes nothing.
    pub(crate) fn is_settled_up_to(&self, sequence: u64) -> bool {
        let state = self.state();
        let is_held_up = self.is_held_up(&state);
        state.is_settled_up_to(sequence, is_held_up)
    }

    /// Whether the end waits for what an outage or an earlier process left on disk: for a moment, if the destination
    /// takes it. A process that never lives for long would leave it there for ever.
    pub(crate) fn awaits_backlog(&self) -> bool {
        let (state, now) = (self.state(), Instant::now());
        let spool = &state.spool;
        let is_left = spool.has_waiting
            || !state.backlog.is_empty()
            || state
                .requests
                .values()
                .any(|request| request.held.is_backlog);
        is_left
            && spool.backlog_until.is_some_and(|until| now < until)
            && !spool.is_broken
            && !state.health.is_held_up(now)
    }

    /// Says that the application is leaving.
    pub(crate) fn leave(&self, until: &Deadlines) {
        let mut state = self.state();
        state.health.leave(until.sent);
        state.spool.backlog_until = self.keeper.as_ref().map(|_| until.backlog);
        drop(state);
        self.changed.notify_waiters();
        self.rouse_keeper();
    }

    /// Sends batches one after the other, for ever. Several of these run side by side.
    pub(crate) async fn work(self: Arc<Self>) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.take() {
                Ok((ticket, held)) => self.deliver(ticket, held).await,
                Err(due) => tokio::select! {
                    () = self.queued.notified() => {}
                    () = sleep_until(due) => {}
                    // Whoever leaves does not rest for long.
                    () = changed => {}
                },
            }
        }
    }

    /// The next batch, or when there is one, if that is known.
    fn take(&self) -> Result<(u64, Held), Option<Instant>> {
        let mut state = self.state();
        let held = state.next(Instant::now(), self.settings.retry.total_max)?;
        state.taken += 1;
        let ticket = state.taken;
        let request = InHand {
            left: held.left.clone(),
            held: held.clone(),
        };
        state.requests.insert(ticket, request);
        if state.has_place() && state.has_queued() {
            // One call may have been for several batches, or there may be more requests than before.
            self.queued.notify_one();
        }
        if state.queue.is_empty() && std::mem::take(&mut state.is_awaited) {
            self.settled.notify_one();
        }
        drop(state);
        self.accounts.request_began(self.index);
        for part in &held.left {
            self.move_to(part, Stage::Queue, Stage::Request);
        }
        if held.is_backlog {
            self.rouse_keeper();
        }
        Ok((ticket, held))
    }

    async fn deliver(&self, ticket: u64, held: Held) {
        let ended = self.attempts(ticket, &held).await;
        let mut state = self.state();
        // It is there until here: what takes requests away is done when the workers have ended.
        let Some(InHand { mut held, left }) = state.requests.remove(&ticket) else {
            return;
        };
        let is_exported = matches!(ended, Ended::Settled { is_exported: true });
        self.accounts.request_ended(self.index, is_exported);
        match ended {
            Ended::Settled { .. } => {
                state.release(&held);
                state.delivered += u64::from(is_exported);
                if let Some(frame) = held.frame {
                    state.spool.done.push((LogKey::of(&held.batch), frame));
                }
            }
            Ended::Failed => {
                for part in &left {
                    self.move_to(part, Stage::Request, Stage::Queue);
                }
                held.left = left;
                state.requeue(held);
            }
            Ended::Kept => {
                state.release(&held);
                for part in left {
                    self.move_to(&part, Stage::Request, Stage::Queue);
                    self.write(&mut state, part);
                }
            }
        }
        // One that is full again with the next batch is not worth waiting for.
        if state.held_bytes <= self.settings.queue_bytes_max / 2 {
            state.is_stalled = false;
        }
        drop(state);
        self.rouse_keeper();
        self.settled.notify_one();
    }

    /// Drops every batch that has not been settled and is not on disk. The workers have ended.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        let queues = [
            std::mem::take(&mut state.queue),
            std::mem::take(&mut state.backlog),
        ];
        let requests = std::mem::take(&mut state.requests);
        let unwritten: Vec<_> = std::mem::take(&mut state.spool.to_write).into();
        let writing = std::mem::take(&mut state.spool.writing);
        state.held_bytes = 0;
        state.backlog_bytes = 0;
        drop(state);
        let drop_or_leave = |batch: &EncodedBatch, from: Stage, is_safe: bool| {
            if is_safe {
                self.move_to(batch, from, Stage::Spool);
            } else {
                self.settle(batch, from, Fate::Dropped(DropReason::Shutdown));
            }
        };
        for held in queues.iter().flatten() {
            for part in &held.left {
                drop_or_leave(part, Stage::Queue, held.frame.is_some());
            }
        }
        for batch in unwritten.iter().chain(&writing) {
            drop_or_leave(batch, Stage::Queue, false);
        }
        for request in requests.values() {
            self.accounts.request_ended(self.index, false);
            for part in &request.left {
                drop_or_leave(part, Stage::Request, request.held.frame.is_some());
            }
        }
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

    /// How long an attempt with records of this signal may take.
    pub(crate) fn timeout(&self, signal: Signal) -> Duration {
        self.settings.timeout(signal)
    }

    /// Whether it wants to be told of open spans; `None` before its first answer.
    pub(crate) fn takes_open_spans(&self) -> Option<bool> {
        self.state().takes_open_spans
    }

    /// Notes what an answer says about the backend.
    pub(crate) fn note(&self, outcome: &ExportOutcome) {
        self.state().takes_open_spans = Some(outcome.takes_open_spans);
    }

    fn tell(&self, notice: &Notice) {
        self.notices.send(notice);
    }

    fn name(&self) -> String {
        self.place.name.clone()
    }
}
