//! Flushes on their way through: rings, then batches, then destinations.

use std::time::Duration;

use tokio::time::Instant;

use crate::control::Answer;
use crate::inbox::Inbox;

/// While what was sealed for a flush is on its way, later ones wait for so long, or for as long as a
/// record waits for others, to share the next batch: who flushes all the time would else fill the
/// queue with small ones.
const SEALS_APART: Duration = Duration::from_millis(100);

/// The flushes that somebody waits for: as many as there are threads and tasks that do.
pub(super) struct Flushes {
    waiting: Vec<Flush>,
    /// When batches were last sealed for a flush, and the last one of them.
    sealed: Option<(Instant, u64)>,
    seals_apart: Duration,
}

struct Flush {
    answer: Answer,
    stage: Stage,
    /// Whether it is through once it is out of the rings, and the sinks have seen it.
    is_for_sinks: bool,
}

#[derive(Clone, Copy)]
enum Stage {
    /// What it is about may be in the rings; record bytes drained since it was asked for.
    Rings { drained_bytes: usize },
    /// It is out of the rings, and may be in open batches.
    Batches,
    /// It is out of the rings, and nothing else is waited for.
    Seen,
    /// The last batch that matters.
    Destinations { up_to: u64 },
}

impl Flushes {
    pub(super) fn new(batch_delay: Duration) -> Self {
        Self {
            waiting: Vec::new(),
            sealed: None,
            seals_apart: SEALS_APART.min(batch_delay),
        }
    }

    pub(super) fn add(&mut self, answer: Answer, is_for_sinks: bool) {
        let stage = Stage::Rings { drained_bytes: 0 };
        self.waiting.push(Flush {
            answer,
            stage,
            is_for_sinks,
        });
    }

    /// Forgets those whose waiter has gone.
    pub(super) fn forget_abandoned(&mut self) {
        self.waiting.retain(|flush| flush.answer.is_awaited());
    }

    pub(super) fn wait_for_rings(&self) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|flush| matches!(flush.stage, Stage::Rings { .. }))
    }

    /// The rings were drained of so many bytes and have more, or not; a flush does not wait for more than
    /// `bytes_max`, since producers go on.
    pub(super) fn note_drained(&mut self, bytes: usize, more: bool, bytes_max: usize) {
        for flush in &mut self.waiting {
            if let Stage::Rings { drained_bytes } = &mut flush.stage {
                *drained_bytes = drained_bytes.saturating_add(bytes);
                if !more || *drained_bytes > bytes_max {
                    flush.stage = match flush.is_for_sinks {
                        true => Stage::Seen,
                        false => Stage::Batches,
                    };
                }
            }
        }
    }

    /// Whether the open batches are to be sealed for one of them.
    pub(super) fn want_seal(&self, now: Instant, inbox: &Inbox) -> bool {
        let is_free = |(at, last)| now >= at + self.seals_apart || inbox.is_settled_up_to(last);
        self.wait_for_seal() && self.sealed.is_none_or(is_free)
    }

    /// When that is so though nothing is settled.
    pub(super) fn next_seal(&self) -> Option<Instant> {
        let (at, _) = self.sealed.filter(|_| self.wait_for_seal())?;
        Some(at + self.seals_apart)
    }

    fn wait_for_seal(&self) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|flush| matches!(flush.stage, Stage::Batches))
    }

    /// The open batches were sealed, the last one with this number.
    pub(super) fn note_sealed(&mut self, now: Instant, last: u64) {
        for flush in &mut self.waiting {
            if matches!(flush.stage, Stage::Batches) {
                flush.stage = Stage::Destinations { up_to: last };
                self.sealed = Some((now, last));
            }
        }
    }

    /// Answers those that are through.
    pub(super) fn answer(&mut self, inbox: &mut Inbox) {
        let is_done = |flush: &Flush, inbox: &Inbox| match flush.stage {
            Stage::Destinations { up_to } => inbox.is_settled_up_to(up_to),
            Stage::Seen => true,
            Stage::Rings { .. } | Stage::Batches => false,
        };
        if !self.waiting.iter().any(|flush| is_done(flush, inbox)) {
            return;
        }
        inbox.flush_sinks();
        let done = self.waiting.extract_if(.., |flush| is_done(flush, inbox));
        done.for_each(|flush| flush.answer.send());
    }

    #[cfg(test)]
    pub(super) const fn count(&self) -> usize {
        self.waiting.len()
    }
}
