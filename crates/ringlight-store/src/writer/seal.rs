//! Sealing: from the head to blocks.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use ringlight_model::Signal;

use super::{Message, RETRY_AFTER, Writer};
use crate::block::SealedBlock;
use crate::duplicates::BATCHES_MAX;
use crate::error::is_disk_full;
use crate::state::{Block, Chunk, State};
use crate::steps::{Step, reached};
use crate::table::{LogTable, MetricTable, SpanTable, Table};

/// Bytes of memory of the head of a signal after which it is sealed, however few records it has.
const HEAD_SEAL_BYTES: usize = 16 << 20;
/// Part of what the head may take after which a signal is sealed: of both signals one part is filled
/// while another is sealed.
const HEAD_PART: usize = 4;

/// Requests that are worth a block when the oldest reach the age for sealing.
const REQUESTS_OLD: usize = 512;
/// Requests after which the head of a signal is sealed however few records they have: a search
/// looks at each.
const REQUESTS_MAX: usize = 2048;
/// Part of a block's records that is worth a block when the oldest reach the age for sealing.
const ROWS_PART: usize = 8;
/// Ages for sealing after which any number of records is worth a block.
const AGES_MAX: u32 = 60;

/// Requests to be made into a block: of one slice and one run.
pub(crate) enum SealJob {
    Spans(Vec<Arc<Chunk<SpanTable>>>),
    Logs(Vec<Arc<Chunk<LogTable>>>),
    /// And the series that no block of the slice lists yet.
    Metrics(Vec<Arc<Chunk<MetricTable>>>, Vec<u64>),
}

/// A block that is ready, made from the first so many requests of the head.
pub(crate) struct Sealed {
    block: SealedBlock,
    slice: u32,
    chunks: usize,
    memory_bytes: usize,
    /// Series it lists.
    listed: Vec<u64>,
}

/// Makes blocks until nobody asks for any more.
pub(crate) fn run_sealer(jobs: &Receiver<SealJob>, writer: &Sender<Message>) {
    while let Ok(job) = jobs.recv() {
        let signal = match job {
            SealJob::Spans(_) => Signal::Traces,
            SealJob::Logs(_) => Signal::Logs,
            SealJob::Metrics(..) => Signal::Metrics,
        };
        // A defect must not leave the writer waiting for ever. What was to be sealed is unharmed, as
        // sealing only looks at it.
        let sealed = catch_unwind(AssertUnwindSafe(|| match job {
            SealJob::Spans(chunks) => seal(&chunks, Vec::new()),
            SealJob::Logs(chunks) => seal(&chunks, Vec::new()),
            SealJob::Metrics(chunks, unlisted) => seal(&chunks, unlisted),
        }));
        let message = match sealed {
            Ok(Some(sealed)) => Message::Sealed(Box::new(sealed)),
            Ok(None) | Err(_) => Message::NotSealed(signal),
        };
        if writer.send(message).is_err() {
            return;
        }
    }
}

fn seal<T: Table>(chunks: &[Arc<Chunk<T>>], unlisted: Vec<u64>) -> Option<Sealed> {
    let first = chunks.first()?;
    let received_max = chunks.iter().map(|chunk| chunk.received_unix_nano).max()?;
    let block = if chunks.len() == 1 {
        first.table.seal(first.run, received_max, &unlisted)
    } else {
        let mut table = T::default();
        for chunk in chunks {
            table.take_all(&chunk.table);
        }
        table.seal(first.run, received_max, &unlisted)
    };
    reached(Step::Encoded);
    Some(Sealed {
        block,
        slice: first.slice,
        chunks: chunks.len(),
        memory_bytes: chunks.iter().map(|chunk| chunk.memory_bytes).sum(),
        listed: unlisted,
    })
}

impl Writer {
    /// When the next block is due because of its age.
    pub(super) fn next_seal_due(&self) -> Option<Instant> {
        let state = self.shared.read();
        let spans = self.due_at(&state.spans.head);
        let logs = self.due_at(&state.logs.head);
        let metrics = self.due_at(&state.metrics.head);
        [spans, logs, metrics]
            .into_iter()
            .zip(self.is_sealing)
            .filter(|&(_, is_sealing)| !is_sealing)
            .filter_map(|(due, _)| due)
            .min()
    }

    // When the head of a signal is old enough for what it holds.
    fn due_at<T: Table>(&self, head: &VecDeque<Arc<Chunk<T>>>) -> Option<Instant> {
        let config = &self.shared.config;
        let wanted = config.block_records / ROWS_PART;
        let mut rows = 0;
        let is_worth_a_block = head.len() >= REQUESTS_OLD
            || head.iter().any(|chunk| {
                rows += chunk.table.rows();
                rows >= wanted
            });
        let age = if is_worth_a_block {
            config.block_age
        } else {
            config.block_age * AGES_MAX
        };
        head.front()?.since.checked_add(age)
    }

    /// Hands what is due to the sealer: at most one block a signal at a time.
    pub(super) fn start_seals(&mut self) {
        if self.retry_at.is_some() {
            return;
        }
        #[cfg(test)]
        if self.is_holding && !self.is_closing {
            return;
        }
        if let Some(chunks) = self.due::<SpanTable>() {
            self.is_sealing[Signal::Traces as usize] = true;
            let _ = self.jobs.send(SealJob::Spans(chunks));
        }
        if let Some(chunks) = self.due::<LogTable>() {
            self.is_sealing[Signal::Logs as usize] = true;
            let _ = self.jobs.send(SealJob::Logs(chunks));
        }
        if let Some(chunks) = self.due::<MetricTable>() {
            self.is_sealing[Signal::Metrics as usize] = true;
            let unlisted = self.unlisted(&chunks);
            let _ = self.jobs.send(SealJob::Metrics(chunks, unlisted));
        }
    }

    fn unlisted(&self, chunks: &[Arc<Chunk<MetricTable>>]) -> Vec<u64> {
        let registry = self.shared.series();
        let mut unlisted: Vec<u64> = chunks
            .iter()
            .flat_map(|chunk| {
                chunk
                    .table
                    .series
                    .iter()
                    .map(|series| (series.id, chunk.slice))
            })
            .filter(|&(id, slice)| registry.is_unlisted(id, slice))
            .map(|(id, _)| id)
            .collect();
        unlisted.sort_unstable();
        unlisted.dedup();
        unlisted
    }

    fn due<T: Table>(&self) -> Option<Vec<Arc<Chunk<T>>>> {
        if self.is_sealing[T::SIGNAL as usize] {
            return None;
        }
        let state = self.shared.read();
        let head = &T::state(&state).head;
        let first = head.front()?;
        let (mut rows, mut bytes, mut count) = (0, 0, 0);
        let bytes_max = HEAD_SEAL_BYTES.min(self.shared.config.head_bytes_max / HEAD_PART);
        let mut is_due = self.must_seal_all()
            || first.seq <= self.seal_until_seq
            || first.slice != self.active
            || self.due_at(head).is_some_and(|due| due <= Instant::now());
        for chunk in head {
            // A block is of one run and replaces requests of one slice.
            if chunk.run != first.run || chunk.slice != first.slice {
                is_due = true;
                break;
            }
            rows += chunk.table.rows();
            bytes += chunk.memory_bytes;
            count += 1;
            if rows >= self.shared.config.block_records
                || bytes >= bytes_max
                || count >= REQUESTS_MAX
            {
                is_due = true;
                break;
            }
        }
        is_due.then(|| head.iter().take(count).cloned().collect())
    }

    /// Writes the blocks that are ready. One that cannot be written is tried again later; until
    /// then its records stay in the head.
    pub(super) fn write_sealed(&mut self) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.retry_at = None;
        while let Some(sealed) = self.unwritten.pop() {
            if let Err(error) = self.write_one(&sealed) {
                if is_disk_full(&error, &self.shared.config.data_dir) {
                    self.shared.disk_full.store(true, Ordering::Relaxed);
                }
                self.unwritten.push(sealed);
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
                return;
            }
            self.after_write(&sealed);
        }
    }

    fn write_one(&mut self, sealed: &Sealed) -> Result<(), rusqlite::Error> {
        let forget_until = self.next_seq.saturating_sub(BATCHES_MAX);
        let writer = self
            .slices
            .get_mut(&sealed.slice)
            .ok_or(rusqlite::Error::InvalidQuery)?;
        let id = writer.insert_block(&sealed.block, forget_until)?;
        reached(Step::Committed);
        let mut state = self.shared.write();
        let slice = state.slices.iter().find(|slice| slice.id == sealed.slice);
        let Some(slice) = slice.cloned() else {
            return Ok(());
        };
        let mut info = sealed.block.info.clone();
        state.add_keys(&mut info);
        let signal = info.signal;
        let block = Arc::new(Block { slice, id, info });
        match signal {
            Signal::Logs => replace::<LogTable>(&mut state, sealed.chunks, block),
            Signal::Metrics => {
                replace::<MetricTable>(&mut state, sealed.chunks, block);
                self.shared
                    .series_mut()
                    .set_listed(&sealed.listed, sealed.slice);
            }
            _ => replace::<SpanTable>(&mut state, sealed.chunks, block),
        }
        Ok(())
    }

    fn after_write(&mut self, sealed: &Sealed) {
        reached(Step::Shown);
        self.is_sealing[sealed.block.info.signal as usize] = false;
        self.shared
            .head_bytes
            .fetch_sub(sealed.memory_bytes, Ordering::Relaxed);
        self.measure(sealed.slice);
        self.retire_slices();
        if self.is_over_size() {
            self.maintain_at = Instant::now();
        }
    }
}

// In one step, so that a search sees the records either in the head or in the block.
fn replace<T: Table>(state: &mut State, chunks: usize, block: Arc<Block>) {
    let signal = T::state_mut(state);
    signal.head.drain(..chunks.min(signal.head.len()));
    Arc::make_mut(&mut signal.blocks).push(block);
}
