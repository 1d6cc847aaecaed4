//! Between a destination and its logs: what goes to disk, what comes back, and when.
//!
//! One step at a time on a thread for what blocks; what the step is about is taken from the destination's state
//! before it, what came of it is put there after it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringlight_model::{DropReason, Signal};
use ringlight_spool::Spool;
use tokio::sync::Notify;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::Destination;
use super::logs::{Done, Found, Logs, Work};
use super::room::Way;
use super::state::{Held, State};
use crate::accounts::{Fate, Stage};
use crate::destination_config::{DestinationConfig, DestinationSpoolMode};
use crate::export::EncodedBatch;
use crate::notice::Notice;
use crate::spool::{SpoolConfig, SpoolMode};
use crate::wait::sleep_until;

/// How often is written down what is done. What is done and not written down is sent again after a kill.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// How often is looked whether something has waited for too long.
const AGE_LOOK: Duration = Duration::from_secs(60);

/// How long a disk that failed is left alone: the first time, and at most.
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);

/// Batches that find out, one after the other, whether a destination is back.
const PROBES: usize = 2;

/// Bytes of refused batches that wait to be written down, at most. What is beyond that is refused and not kept.
pub(crate) const LETTER_BYTES_MAX: usize = 4 << 20;

/// The spool of one destination.
pub(crate) struct DestinationSpool {
    pub(crate) spool: Spool,
    /// The destination's name there.
    pub(crate) name: String,
    pub(crate) mode: SpoolMode,
    pub(crate) bytes_max: u64,
    pub(crate) age_max: Duration,
    pub(crate) drain_bytes_per_second: u64,
    pub(crate) sync: bool,
    /// The signals that are kept, of those the destination takes.
    pub(crate) kept: &'static [Signal],
}

impl DestinationSpool {
    /// That of the destination with this index, unless it is to have none.
    pub(super) fn of(
        config: &SpoolConfig,
        spool: Spool,
        destination: &DestinationConfig,
        index: usize,
        kept: &'static [Signal],
    ) -> Option<Self> {
        let mode = match destination.spool {
            None => config.mode,
            Some(DestinationSpoolMode::On(mode)) => mode,
            Some(DestinationSpoolMode::Off) => return None,
        };
        Some(Self {
            spool,
            name: destination.spool_name(index),
            mode,
            bytes_max: config.bytes_max,
            age_max: config.age_max,
            drain_bytes_per_second: config.drain_bytes_per_second,
            sync: config.sync,
            kept,
        })
    }
}

/// What a destination has to do with its spool.
pub(super) struct Keeper {
    spool: DestinationSpool,
    /// There may be something to do.
    roused: Notify,
    /// The wall clock when the keeper was made, in milliseconds since the Unix epoch, and the other one.
    epoch: (u64, Instant),
}

/// How fast the backlog comes back.
struct Pace {
    bytes_per_second: f64,
    /// Bytes that may be read; what was read beyond is owed.
    bytes: f64,
    at: Instant,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second as f64,
            bytes: 0.0,
            at: Instant::now(),
        }
    }

    /// Bytes that may be read now: never more than a second's.
    fn allowed(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let earned = self.bytes + elapsed * self.bytes_per_second;
        self.bytes = earned.min(self.bytes_per_second);
        self.bytes.max(0.0) as usize
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
    }

    /// When something may be read again.
    fn next(&self) -> Instant {
        let owed = (1.0 - self.bytes).max(0.0);
        self.at + Duration::from_secs_f64(owed / self.bytes_per_second)
    }
}

/// What the keeper remembers between two steps.
struct Rhythm {
    pace: Pace,
    checkpoint_at: Instant,
    is_dirty: bool,
    age_at: Instant,
    /// Until when the disk is left alone, and for how long the next time.
    rest_until: Option<Instant>,
    rest: Duration,
    is_ending: bool,
}

impl Keeper {
    pub(super) fn new(spool: DestinationSpool) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall_ms = wall.map_or(0, |wall| wall.as_millis() as u64);
        Self {
            spool,
            roused: Notify::new(),
            epoch: (wall_ms, Instant::now()),
        }
    }

    pub(super) const fn mode(&self) -> SpoolMode {
        self.spool.mode
    }

    /// Milliseconds since the Unix epoch, by a clock that does not jump.
    fn now_ms(&self) -> u64 {
        self.epoch.0 + self.epoch.1.elapsed().as_millis() as u64
    }
}

impl Destination {
    pub(super) fn rouse_keeper(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.roused.notify_one();
        }
    }

    /// Has a batch written, which is booked as queued until it is safe.
    pub(super) fn write(&self, state: &mut State, batch: EncodedBatch) {
        state.spool.write_bytes += batch.bytes.len();
        state.spool.to_write.push_back(batch);
        self.rouse_keeper();
    }

    /// Keeps a batch that was refused for good, as far as there is room.
    pub(super) fn keep_letter(&self, batch: &EncodedBatch, reason: String) {
        if self.keeper.is_none() {
            return;
        }
        let mut state = self.state();
        let bytes = state.spool.letter_bytes + batch.bytes.len();
        if bytes <= LETTER_BYTES_MAX || state.spool.letters.is_empty() {
            state.spool.letter_bytes = bytes;
            state.spool.letters.push((batch.clone(), reason));
            self.rouse_keeper();
        }
    }

    /// Looks after the logs until the end has come and everything that is left is on disk, or is not going to
    /// be. Without a spool it returns at once.
    pub(crate) async fn keep(&self) {
        let Some(keeper) = &self.keeper else { return };
        let mut rhythm = Rhythm {
            pace: Pace::new(keeper.spool.drain_bytes_per_second),
            checkpoint_at: Instant::now(),
            is_dirty: false,
            age_at: Instant::now() + AGE_LOOK,
            rest_until: None,
            rest: REST_FIRST,
            is_ending: false,
        };
        let Some(mut logs) = self.open(keeper, &mut rhythm).await else {
            return;
        };
        loop {
            let Some(work) = self.next_work(keeper, &mut rhythm).await else {
                break;
            };
            let step = move || {
                let done = logs.work(work);
                (logs, done)
            };
            match blocking(step).await {
                Ok((back, done)) => {
                    logs = back;
                    self.apply(done, &mut rhythm);
                }
                Err(error) => {
                    // What it was to write is still here.
                    let writing = std::mem::take(&mut self.state().spool.writing);
                    self.state().spool.to_write.extend(writing);
                    return self.fail(&error.to_string(), &mut rhythm);
                }
            }
        }
        // What was done and is not written down is sent again.
        let _ = blocking(move || logs.close()).await;
    }

    /// Opens the logs, again and again until that works or the end comes.
    async fn open(&self, keeper: &Keeper, rhythm: &mut Rhythm) -> Option<Logs> {
        loop {
            let (spool, name) = (keeper.spool.spool.clone(), keeper.spool.name.clone());
            let (bytes_max, sync) = (keeper.spool.bytes_max, keeper.spool.sync);
            let kept = keeper.spool.kept.iter().copied();
            let signals: Vec<_> = kept.filter(|signal| self.takes(*signal)).collect();
            let open = move || Logs::open(&spool, &name, &signals, bytes_max, sync);
            let reason = match blocking(open).await {
                Ok(Ok((logs, found))) => {
                    self.take_over(&logs, found, rhythm);
                    return Some(logs);
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            self.fail(&reason, rhythm);
            while rhythm
                .rest_until
                .is_some_and(|until| Instant::now() < until)
            {
                if self.state().spool.is_ending {
                    return None;
                }
                tokio::select! {
                    () = sleep_until(rhythm.rest_until) => {}
                    () = keeper.roused.notified() => {}
                }
            }
        }
    }

    fn take_over(&self, logs: &Logs, found: Found, rhythm: &mut Rhythm) {
        let mut records = 0;
        for (signal, waiting) in found.waiting {
            self.accounts.recovered(self.index, signal, waiting);
            records += waiting;
        }
        let mut state = self.state();
        state.spool.has_waiting = logs.has_waiting();
        state.spool.is_broken = false;
        drop(state);
        self.settled.notify_one();
        self.restored(rhythm);
        let destination = self.name();
        for reason in found.files {
            let destination = destination.clone();
            self.tell(&Notice::SpoolFile {
                destination,
                reason,
            });
        }
        if records > 0 {
            self.tell(&Notice::TakenOver {
                destination,
                records,
            });
        }
    }

    /// Waits until there is something to do, and takes it. `None` at the end.
    async fn next_work(&self, keeper: &Keeper, rhythm: &mut Rhythm) -> Option<Work> {
        loop {
            let mut roused = std::pin::pin!(keeper.roused.notified());
            roused.as_mut().enable();
            let now = Instant::now();
            let wake = {
                let mut state = self.state();
                // At the end it is tried once more.
                let is_last_try = state.spool.is_ending && !rhythm.is_ending;
                rhythm.is_ending |= state.spool.is_ending;
                let is_rested = rhythm.rest_until.is_some_and(|until| now >= until);
                if is_last_try || is_rested {
                    rhythm.rest_until = None;
                    // The next step finds out.
                    state.spool.is_broken = false;
                    // What goes to disk again needs not wait for others.
                    self.settled.notify_one();
                }
                let work = self.gather(keeper, rhythm, &mut state, now);
                if let Some(work) = work {
                    return Some(work);
                }
                if state.spool.is_ending {
                    return None;
                }
                self.next_look(rhythm, &state)
            };
            tokio::select! {
                () = sleep_until(wake) => {}
                () = roused => {}
            }
        }
    }

    fn gather(
        &self,
        keeper: &Keeper,
        rhythm: &mut Rhythm,
        state: &mut State,
        now: Instant,
    ) -> Option<Work> {
        let is_held_up = state.health.is_held_up(now);
        if !state.spool.is_broken && (is_held_up || state.spool.is_ending) {
            self.spill(state);
        }
        let read_bytes = self.read_bytes(rhythm, state, now);
        let is_dirty = rhythm.is_dirty || !state.spool.done.is_empty();
        let is_checkpoint = is_dirty && (state.spool.is_ending || now >= rhythm.checkpoint_at);
        let is_aging = now >= rhythm.age_at && state.spool.has_waiting;
        let spool = &mut state.spool;
        let has_work = !spool.to_write.is_empty() || !spool.letters.is_empty();
        let is_resting = rhythm.rest_until.is_some();
        if is_resting || !(has_work || read_bytes > 0 || is_checkpoint || is_aging) {
            return None;
        }
        if is_checkpoint {
            rhythm.checkpoint_at = now + CHECKPOINT_EVERY;
        }
        rhythm.age_at = now + AGE_LOOK;
        spool.writing = std::mem::take(&mut spool.to_write).into();
        spool.letter_bytes = 0;
        let keeps = !is_held_up && !spool.is_ending;
        let new_bytes = state.held_bytes - state.backlog_bytes;
        let room = self.new_bytes_max(state).saturating_sub(new_bytes);
        let now_ms = keeper.now_ms();
        let age_ms = keeper.spool.age_max.as_millis() as u64;
        Some(Work {
            write: state.spool.writing.clone(),
            keep_bytes: if keeps { room } else { 0 },
            done: std::mem::take(&mut state.spool.done),
            letters: std::mem::take(&mut state.spool.letters),
            read_bytes,
            now_ms,
            oldest_ms: now_ms.saturating_sub(age_ms),
            is_checkpoint,
        })
    }

    /// Everything that is in memory alone, but for what workers have, is to be written.
    fn spill(&self, state: &mut State) {
        let queues = [
            std::mem::take(&mut state.queue),
            std::mem::take(&mut state.backlog),
        ];
        for held in queues.into_iter().flatten() {
            if held.frame.is_some() {
                state.requeue(held);
                continue;
            }
            state.release(&held);
            for part in held.left {
                state.spool.write_bytes += part.bytes.len();
                state.spool.to_write.push_back(part);
            }
        }
    }

    /// Whether what is on disk may come back.
    fn may_read(state: &State) -> bool {
        let spool = &state.spool;
        let is_over = state.health.is_leaving()
            && spool
                .backlog_until
                .is_none_or(|until| Instant::now() >= until);
        spool.has_waiting && !spool.is_ending && !is_over
    }

    /// Room in memory for what comes back.
    fn room_for_backlog(&self, state: &State) -> usize {
        (self.settings.queue_bytes_max / 2).saturating_sub(state.backlog_bytes)
    }

    /// How much of what is on disk is to come back now.
    fn read_bytes(&self, rhythm: &mut Rhythm, state: &State, now: Instant) -> usize {
        if !Self::may_read(state) {
            return 0;
        }
        if state.health.is_held_up(now) {
            // One batch finds out whether the destination is back, and another if it was not for that one.
            let count = state.queue.len() + state.backlog.len() + state.requests.len();
            return usize::from(count < PROBES);
        }
        let room = self.room_for_backlog(state);
        room.min(rhythm.pace.allowed(now))
    }

    /// When there may be something to do though nothing rouses the keeper.
    fn next_look(&self, rhythm: &Rhythm, state: &State) -> Option<Instant> {
        if rhythm.rest_until.is_some() {
            return rhythm.rest_until;
        }
        let is_dirty = rhythm.is_dirty || !state.spool.done.is_empty();
        let is_held_up = state.health.is_held_up(Instant::now());
        let reads = Self::may_read(state) && self.room_for_backlog(state) > 0 && !is_held_up;
        // It is not held up any more shortly before that, and the backlog may come back.
        let rested = state.health.rested(Instant::now());
        let looks = [
            rested.filter(|_| Self::may_read(state)),
            is_dirty.then_some(rhythm.checkpoint_at),
            (state.spool.has_waiting).then_some(rhythm.age_at),
            reads.then(|| rhythm.pace.next()),
        ];
        looks.into_iter().flatten().min()
    }

    fn apply(&self, done: Done, rhythm: &mut Rhythm) {
        let mut state = self.state();
        let bytes = state.spool.writing.iter().map(|batch| batch.bytes.len());
        let bytes: usize = bytes.sum();
        state.spool.write_bytes -= bytes;
        state.spool.writing.clear();
        state.spool.is_stalled = false;
        for (batch, frame) in done.written {
            match frame {
                Some(_) => {
                    state.enqueue(Held {
                        frame,
                        ..Held::new(batch)
                    });
                }
                None => self.move_to(&batch, Stage::Queue, Stage::Spool),
            }
        }
        for read in done.read {
            self.move_to(&read.batch, Stage::Spool, Stage::Queue);
            rhythm.pace.spend(read.batch.bytes.len());
            state.enqueue(Held {
                frame: Some(read.frame),
                is_backlog: true,
                is_recovered: read.is_recovered,
                ..Held::new(read.batch)
            });
        }
        state.spool.has_waiting = done.has_waiting;
        for orphan in done.orphans {
            state.forget_frame(orphan);
        }
        rhythm.is_dirty = done.is_dirty;
        drop(state);
        for (key, reason, lost) in done.lost {
            self.settle_records(key, lost.records, Stage::Spool, Fate::Dropped(reason));
        }
        for batch in done.refused {
            let fate = Fate::Dropped(DropReason::SpoolFull);
            self.settle(&batch, Stage::Queue, fate);
        }
        for reason in done.files {
            let destination = self.name();
            self.tell(&Notice::SpoolFile {
                destination,
                reason,
            });
        }
        match done.error {
            Some(error) => self.fail(&error.to_string(), rhythm),
            None => self.restored(rhythm),
        }
        for batch in done.unwritten {
            self.take_back(batch);
        }
        self.queued.notify_one();
        self.settled.notify_one();
    }

    /// A batch that could not be written is kept in memory, where there is room, or others make room for it.
    pub(super) fn take_back(&self, batch: EncodedBatch) {
        let mut state = self.state();
        if self.make_room(&mut state, Way::Queue, &batch) {
            state.enqueue(Held::new(batch));
        } else {
            drop(state);
            let fate = Fate::Dropped(DropReason::QueueFull);
            self.settle(&batch, Stage::Queue, fate);
        }
    }

    fn fail(&self, reason: &str, rhythm: &mut Rhythm) {
        rhythm.rest_until = Some(Instant::now() + rhythm.rest);
        rhythm.rest = (rhythm.rest * 2).min(REST_MAX);
        let mut state = self.state();
        state.spool.is_broken = true;
        let is_first = !std::mem::replace(&mut state.spool.told_broken, true);
        let unwritten = std::mem::take(&mut state.spool.to_write);
        state.spool.write_bytes -= unwritten.iter().map(|b| b.bytes.len()).sum::<usize>();
        drop(state);
        for batch in unwritten {
            self.take_back(batch);
        }
        self.queued.notify_one();
        // Who waits for the disk is to look again.
        self.changed.notify_waiters();
        if is_first {
            self.tell(&Notice::SpoolFailed {
                destination: self.name(),
                reason: reason.to_owned(),
            });
        }
    }

    fn restored(&self, rhythm: &mut Rhythm) {
        rhythm.rest = REST_FIRST;
        let was_told = std::mem::take(&mut self.state().spool.told_broken);
        if was_told {
            self.tell(&Notice::SpoolRestored {
                destination: self.name(),
            });
        }
    }

    /// The workers have ended: what they had and what waits is to be written, and then the keeper ends.
    pub(crate) fn end_keeping(&self) {
        if self.keeper.is_none() {
            return;
        }
        let mut state = self.state();
        state.spool.is_ending = true;
        let requests = std::mem::take(&mut state.requests);
        for (ticket, request) in requests {
            if request.held.frame.is_some() {
                state.requests.insert(ticket, request);
                continue;
            }
            self.accounts.request_ended(self.index, false);
            state.release(&request.held);
            for part in request.left {
                self.move_to(&part, Stage::Request, Stage::Queue);
                self.write(&mut state, part);
            }
        }
        drop(state);
        self.rouse_keeper();
    }
}

async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(step).await
}
