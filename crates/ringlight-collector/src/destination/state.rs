//! What a destination holds in memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::adaptive::Adaptive;
use super::health::Health;
use super::logs::LogKey;
use crate::destination_config::DestinationSettings;
use crate::export::EncodedBatch;

/// A batch on its way.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) batch: EncodedBatch,
    /// What of it is not in the books yet: all of it, or the parts it was split into, the next one last.
    pub(super) left: Vec<EncodedBatch>,
    /// When it came.
    pub(super) since: Instant,
    /// Its frame in the spool, if it is on disk as well.
    pub(super) frame: Option<u64>,
    /// Whether there were others before it, or all requests that there may be were under way, when it came.
    pub(super) has_waited: bool,
    /// Attempts that failed; when the last one did, and for how long it is not tried again then.
    pub(super) failures: u32,
    pub(super) rests: Option<(Instant, Duration)>,
    /// Batches that had been delivered when it last failed, and how often others were delivered between two failures.
    pub(super) delivered_before: Option<u64>,
    pub(super) passed: u32,
    /// Whether it was left by an outage or an earlier process, and came back from the disk.
    pub(super) is_backlog: bool,
    /// Whether it is from an earlier process.
    pub(super) is_recovered: bool,
}

/// A batch that a worker has.
#[derive(Debug)]
pub(super) struct InHand {
    pub(super) held: Held,
    /// What of it is not in the books yet, the next part last.
    pub(super) left: Vec<EncodedBatch>,
}

impl Held {
    pub(super) fn new(batch: EncodedBatch) -> Self {
        Self {
            left: vec![batch.clone()],
            batch,
            since: Instant::now(),
            frame: None,
            has_waited: false,
            failures: 0,
            rests: None,
            delivered_before: None,
            passed: 0,
            is_backlog: false,
            is_recovered: false,
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.batch.bytes.len()
    }
}

pub(super) struct State {
    /// Batches that wait for a worker.
    pub(super) queue: VecDeque<Held>,
    /// Those that came back from the disk, and their bytes with those of requests: never more than half of what may be
    /// held, one batch apart.
    pub(super) backlog: VecDeque<Held>,
    pub(super) backlog_bytes: usize,
    /// Batches workers have, by the order they were taken in.
    pub(super) requests: BTreeMap<u64, InHand>,
    /// Takes and deliveries so far.
    pub(super) taken: u64,
    pub(super) delivered: u64,
    /// Bytes in the queues and in requests.
    pub(super) held_bytes: usize,
    pub(super) health: Health,
    /// Its queue stayed full for too long; holding the drain up for it again is futile until a
    /// batch has left.
    pub(super) is_stalled: bool,
    pub(super) adaptive: Adaptive,
    /// The collector keeps back a batch until there is none before it.
    pub(super) is_awaited: bool,
    pub(super) refused: Option<Refused>,
    pub(super) told_warning: bool,
    /// Whether it wants to be told of open spans, by its last answer.
    pub(super) takes_open_spans: Option<bool>,
    pub(super) spool: SpoolState,
}

/// What the destination refused for good.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) records: u64,
    /// What it said last.
    pub(super) reason: String,
    /// How many a person was told, and when.
    pub(super) told: Option<(u64, Instant)>,
}

/// What is between a destination and its spool.
#[derive(Default)]
pub(super) struct SpoolState {
    /// Batches that are to be written, and those that are being written now.
    pub(super) to_write: VecDeque<EncodedBatch>,
    pub(super) writing: Vec<EncodedBatch>,
    /// Bytes of both.
    pub(super) write_bytes: usize,
    /// Frames that are done, and not yet in the log's books. Bounded by what a second's checkpoints leave.
    pub(super) done: Vec<(LogKey, u64)>,
    /// What was refused for good, and why; `letter_bytes` of it.
    pub(super) letters: Vec<(EncodedBatch, String)>,
    pub(super) letter_bytes: usize,
    /// Whether there is anything on disk to be read, as far as is known.
    pub(super) has_waiting: bool,
    /// At the end: until when it is still read.
    pub(super) backlog_until: Option<Instant>,
    /// It does not take anything at the moment, and a person was told so.
    pub(super) is_broken: bool,
    pub(super) told_broken: bool,
    /// What is to be written had no room for too long; it makes no sense to wait for it until some was written.
    pub(super) is_stalled: bool,
    /// What is left is to be written, and that is all.
    pub(super) is_ending: bool,
}

impl State {
    pub(super) fn new(settings: &DestinationSettings, has_spool: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            requests: BTreeMap::new(),
            taken: 0,
            delivered: 0,
            held_bytes: 0,
            health: Health::default(),
            is_stalled: false,
            adaptive: Adaptive::new(
                settings.concurrent_exports_max,
                settings.batch_bytes_max,
                settings.export_timeout,
            ),
            is_awaited: false,
            refused: None,
            told_warning: false,
            takes_open_spans: None,
            spool: SpoolState {
                has_waiting: has_spool,
                ..SpoolState::default()
            },
        }
    }
}

/// Of this many batches a worker takes, one is of the backlog, if there are both kinds.
const BACKLOG_TURN: u64 = 4;

impl State {
    /// Whether another request may begin.
    pub(super) fn has_place(&self) -> bool {
        self.requests.len() < self.adaptive.concurrency()
    }

    pub(super) fn has_queued(&self) -> bool {
        !(self.queue.is_empty() && self.backlog.is_empty())
    }

    /// Puts a batch behind those that wait for a worker.
    pub(super) fn enqueue(&mut self, mut held: Held) {
        held.has_waited = !self.has_place() || self.has_queued();
        self.held_bytes += held.bytes();
        if held.is_backlog {
            self.backlog_bytes += held.bytes();
            self.backlog.push_back(held);
        } else {
            self.queue.push_back(held);
        }
    }

    /// Puts a batch whose attempt failed behind the others, without a change of what is held.
    pub(super) fn requeue(&mut self, held: Held) {
        if held.is_backlog {
            self.backlog.push_back(held);
        } else {
            self.queue.push_back(held);
        }
    }

    /// A batch in memory is not on disk any more.
    pub(super) fn forget_frame(&mut self, (key, frame): (LogKey, u64)) {
        let requests = self.requests.values_mut().map(|request| &mut request.held);
        let waiting = self.queue.iter_mut().chain(&mut self.backlog);
        for held in waiting.chain(requests) {
            if LogKey::of(&held.batch) == key && held.frame == Some(frame) {
                held.frame = None;
            }
        }
    }

    /// A batch is held no longer.
    pub(super) fn release(&mut self, held: &Held) {
        self.held_bytes -= held.bytes();
        if held.is_backlog {
            self.backlog_bytes -= held.bytes();
        }
    }

    /// The next batch for a worker. New ones go first, but for every now and then. Or when there is one, if that is
    /// known.
    pub(super) fn next(
        &mut self,
        now: Instant,
        total_max: Duration,
    ) -> Result<Held, Option<Instant>> {
        if !self.has_place() {
            return Err(None);
        }
        let health = &self.health;
        let due = |held: &Held| {
            let rested = held.rests.map(|(since, rest)| since + health.delay(rest));
            // It does not rest beyond its time.
            rested.map(|rested| match held.frame {
                None => rested.min(held.since + total_max),
                Some(_) => rested,
            })
        };
        let is_due = |held: &Held| due(held).is_none_or(|due| now >= due);
        let new = self.queue.iter().position(is_due);
        let old = self.backlog.iter().position(is_due);
        let is_turn = self.taken % BACKLOG_TURN == BACKLOG_TURN - 1;
        let taken = match (new, old) {
            (None, None) => None,
            (Some(_), Some(old)) if is_turn => self.backlog.remove(old),
            (Some(new), _) => self.queue.remove(new),
            (None, Some(old)) => self.backlog.remove(old),
        };
        taken.ok_or_else(|| self.queue.iter().chain(&self.backlog).filter_map(due).min())
    }

    /// Whether no batch of this process up to a number waits for anything but its destination's return, with the
    /// disk keeping it.
    pub(super) fn is_settled_up_to(&self, sequence: u64, is_held_up: bool) -> bool {
        let matters = |held: &Held| {
            let is_safe = held.frame.is_some() && is_held_up;
            !held.is_backlog && !is_safe && held.batch.id.sequence() <= sequence
        };
        let unwritten = self.spool.to_write.iter().chain(&self.spool.writing);
        !self.queue.iter().any(matters)
            && !self.requests.values().any(|request| matters(&request.held))
            && unwritten
                .map(|batch| batch.id.sequence())
                .all(|s| s > sequence)
    }
}
