//! What goes to the destinations that get the same records: open batches, and what is not yet in the books.

use std::sync::Arc;

use ringlight_model::{CallsiteRegistry, Signal};
use tokio::time::Instant;

use crate::accounts::Share;
use crate::batch_processor::{BatchIds, BatchProcessor, LANES};
use crate::destination::Destination;
use crate::export::EncodedBatch;
use crate::record::Record;
use crate::sink::RecordFilter;

/// All of them, and the names of their batches.
pub(crate) struct Streams {
    pub(crate) all: Vec<Stream>,
    pub(crate) ids: BatchIds,
}

impl Streams {
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &Arc<Destination>> {
        self.all.iter().flat_map(|stream| &stream.destinations)
    }
}

/// Destinations without a filter share one; each of the others has one of its own.
pub(crate) struct Stream {
    batches: BatchProcessor,
    filter: Option<Box<dyn RecordFilter>>,
    destinations: Vec<Arc<Destination>>,
    /// Of the accounts, each once.
    indexes: Vec<usize>,
    /// Whether any destination takes them, of traces and of logs.
    is_taken: [bool; LANES.len()],
    unposted: [Unposted; LANES.len()],
}

/// Records that were drained and are not yet in the books.
#[derive(Debug, Clone, Copy, Default)]
struct Unposted {
    batched: u64,
    unwanted: u64,
    malformed: u64,
}

impl Stream {
    pub(crate) fn new(
        batches: BatchProcessor,
        filter: Option<Box<dyn RecordFilter>>,
        destinations: Vec<Arc<Destination>>,
    ) -> Self {
        let mut indexes: Vec<_> = destinations.iter().map(|d| d.index()).collect();
        indexes.dedup();
        Self {
            is_taken: LANES.map(|signal| destinations.iter().any(|d| d.takes(signal))),
            batches,
            filter,
            destinations,
            indexes,
            unposted: Default::default(),
        }
    }

    pub(crate) fn takes(&self, lane: usize) -> bool {
        self.is_taken[lane]
    }

    pub(crate) const fn batches(&self) -> &BatchProcessor {
        &self.batches
    }

    pub(crate) const fn batches_mut(&mut self) -> &mut BatchProcessor {
        &mut self.batches
    }

    /// Those of the destinations that take a signal.
    pub(crate) fn takers(&self, signal: Signal) -> impl Iterator<Item = &Arc<Destination>> {
        self.destinations.iter().filter(move |d| d.takes(signal))
    }

    /// Puts a record into the open batch if it is for these destinations; whether the batch is to be
    /// [sealed](BatchProcessor::seal) then.
    #[inline]
    pub(crate) fn take(
        &mut self,
        lane: usize,
        record: &Record<'_>,
        since: Instant,
        callsites: &CallsiteRegistry,
    ) -> bool {
        let unposted = &mut self.unposted[lane];
        if let Some(filter) = &mut self.filter
            && !filter.wants(record, callsites)
        {
            unposted.unwanted += 1;
            return false;
        }
        match self.batches.take(lane, record, since) {
            Ok(is_full) => {
                unposted.batched += 1;
                is_full
            }
            Err(_) => {
                unposted.malformed += 1;
                false
            }
        }
    }

    /// What has not been posted of a lane. The next call has what came since.
    pub(crate) fn post(&mut self, lane: usize) -> Share<'_> {
        let Unposted {
            batched,
            unwanted,
            malformed,
        } = std::mem::take(&mut self.unposted[lane]);
        Share {
            destinations: &self.indexes,
            batched,
            unwanted,
            malformed,
        }
    }

    /// When the open batch of a lane is to be sealed. While it would have to wait behind another at each of its
    /// destinations, there is no such time: it waits here for what is to come, so that what is answered slowly is sent
    /// in few large requests. It is sealed when it is full in any case.
    pub(crate) fn due(&self, lane: usize) -> Option<Instant> {
        let due = self.batches.due(lane)?;
        let is_awaited = self.takers(LANES[lane]).any(|d| d.is_ready());
        is_awaited.then_some(due)
    }

    /// Makes the batches to come as large as their destinations take them, by what those have answered. The largest
    /// counts: for who takes less they are split, so that nobody is held to the limits of another.
    pub(crate) fn adapt(&mut self) {
        for (lane, signal) in LANES.into_iter().enumerate() {
            let bytes = self.takers(signal).map(|d| d.batch_bytes()).max();
            if let Some(bytes) = bytes {
                self.batches.set_bytes_max(lane, bytes);
            }
        }
    }

    pub(crate) fn indexes(&self) -> &[usize] {
        &self.indexes
    }

    pub(crate) fn seal(&mut self, lane: usize) -> Option<EncodedBatch> {
        self.batches.seal(lane)
    }
}
