//! Room for another batch: in the queue, or on the way to the disk.

use ringlight_model::DropReason;

use super::Destination;
use super::state::{Held, State};
use crate::accounts::{Fate, Stage};
use crate::export::EncodedBatch;
use crate::spool::SpoolMode;

/// Where a new batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Queue,
    Disk,
}

impl Destination {
    /// Whether another batch of this size fits. An empty queue takes any.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let state = self.state();
        self.has_room_on(&state, self.way(&state), bytes, 0)
    }

    /// The same on a way, if there were so many bytes less of what waits there.
    fn has_room_on(&self, state: &State, way: Way, bytes: usize, less_bytes: usize) -> bool {
        let (there, bytes_max) = match way {
            Way::Queue => {
                let new_bytes = state.held_bytes - state.backlog_bytes;
                (new_bytes, self.new_bytes_max(state))
            }
            Way::Disk => (state.spool.write_bytes, self.settings.queue_bytes_max),
        };
        let there = there - less_bytes;
        there == 0 || there + bytes <= bytes_max
    }

    /// How much of what may be held is for new batches: what the backlog does not take, of which half is the most.
    pub(super) fn new_bytes_max(&self, state: &State) -> usize {
        let queue_bytes_max = self.settings.queue_bytes_max;
        queue_bytes_max - state.backlog_bytes.min(queue_bytes_max / 2)
    }

    /// Where a new batch goes.
    pub(super) fn way(&self, state: &State) -> Way {
        match self.spool_mode(state) {
            Some(SpoolMode::Always) => Way::Disk,
            Some(SpoolMode::Overflow) if state.is_stalled || self.is_held_up(state) => Way::Disk,
            _ => Way::Queue,
        }
    }

    /// Whether there is room for a batch. For audit records others that wait are dropped, the newest first, where that
    /// makes enough of it.
    pub(super) fn make_room(&self, state: &mut State, way: Way, batch: &EncodedBatch) -> bool {
        let bytes = batch.bytes.len();
        if self.has_room_on(state, way, bytes, 0) {
            return true;
        }
        let is_worth_it = batch.id.is_audit()
            && self.has_room_on(state, way, bytes, Self::droppable_bytes(state, way));
        while is_worth_it && !self.has_room_on(state, way, bytes, 0) {
            if !self.drop_newest(state, way) {
                return false;
            }
        }
        is_worth_it
    }

    /// Bytes of the batches that [`drop_newest`](Self::drop_newest) may drop.
    fn droppable_bytes(state: &State, way: Way) -> usize {
        match way {
            Way::Queue => {
                let droppable = state.queue.iter().filter(|held| is_droppable(held));
                droppable.map(Held::bytes).sum()
            }
            Way::Disk => {
                let batches = state.spool.to_write.iter();
                let others = batches.filter(|batch| !batch.id.is_audit());
                others.map(|batch| batch.bytes.len()).sum()
            }
        }
    }

    /// Drops the newest batch that waits and holds no audit records; false where there is none.
    #[cold]
    fn drop_newest(&self, state: &mut State, way: Way) -> bool {
        let dropped = match way {
            Way::Queue => {
                let newest = state.queue.iter().rposition(is_droppable);
                let Some(held) = newest.and_then(|at| state.queue.remove(at)) else {
                    return false;
                };
                state.release(&held);
                held.left
            }
            Way::Disk => {
                let is_other = |batch: &EncodedBatch| !batch.id.is_audit();
                let newest = state.spool.to_write.iter().rposition(is_other);
                let Some(batch) = newest.and_then(|at| state.spool.to_write.remove(at)) else {
                    return false;
                };
                state.spool.write_bytes -= batch.bytes.len();
                vec![batch]
            }
        };
        for batch in &dropped {
            self.settle(batch, Stage::Queue, Fate::Dropped(DropReason::QueueFull));
        }
        true
    }
}

/// Whether a batch in the queue may be dropped for audit records: it is of others, and nowhere but in memory.
fn is_droppable(held: &Held) -> bool {
    !held.batch.id.is_audit() && held.frame.is_none()
}
