//! The writer: the one thread that changes what is stored.
//!
//! It commits requests in groups (whatever arrived while the last group was being synced is the
//! next group), hands what is due to the sealer, writes sealed blocks, begins and deletes slices.
//! It sleeps when there is nothing to do.

mod commit;
mod maintain;
mod open;
mod seal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use ringlight_model::Signal;

use crate::duplicates::{BatchName, Batches, Spans};
use crate::intake::Records;
use crate::slice::{IntakeRow, SliceWriter};
use crate::state::Shared;
use crate::{IngestError, now_unix_nano};

pub(crate) use seal::{SealJob, Sealed, run_sealer};

/// Requests committed together at most.
const GROUP_MAX: usize = 512;
/// How long to wait before writing is tried again after it failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A decoded request that waits for its commit.
pub(crate) struct Pending {
    pub(crate) records: Records,
    /// The request, compressed.
    pub(crate) request: Vec<u8>,
    /// Its length before.
    pub(crate) length: usize,
    pub(crate) batch: Option<BatchName>,
    pub(crate) received_unix_nano: u64,
    /// What was added to the head's bytes for it.
    pub(crate) reserved_bytes: usize,
    pub(crate) reply: SyncSender<Result<Outcome, IngestError>>,
}

/// What became of the records of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    /// Of series for which there is no room.
    pub(crate) refused: u64,
}

/// What the writer is asked to do.
pub(crate) enum Message {
    Ingest(Box<Pending>),
    Sealed(Box<Sealed>),
    /// A block of this signal could not be made. Its records stay where they are.
    NotSealed(Signal),
    /// Seal what is in the head, as a request was refused for lack of room there.
    MakeRoom,
    /// Show the spans that are still open, as reported meanwhile.
    ShowOpen,
    /// Seal everything, then end.
    Close,
    /// Seal everything, then answer.
    #[cfg(test)]
    Flush(SyncSender<()>),
    /// Begin a slice and delete what is too old at this time, then answer.
    #[cfg(test)]
    Maintain(u64, SyncSender<()>),
    /// Bound the size of the slice being written; `None` ends that.
    #[cfg(test)]
    LimitPages(bool, SyncSender<()>),
    /// Seal nothing until told otherwise, or closed.
    #[cfg(test)]
    HoldSeals(bool, SyncSender<()>),
}

/// The state of the writer's thread.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    messages: Receiver<Message>,
    jobs: SyncSender<SealJob>,
    /// Slices with an intake that is not empty, and the active one.
    slices: BTreeMap<u32, SliceWriter>,
    active: u32,
    next_seq: u64,
    spans: Spans,
    batches: Batches,
    open: open::SourceOf,
    /// Whether a block of a signal is being made or waits to be written.
    is_sealing: [bool; 3],
    unwritten: Vec<Sealed>,
    retry_at: Option<Instant>,
    maintain_at: Instant,
    /// Requests up to this one are sealed however few they are.
    seal_until_seq: u64,
    is_closing: bool,
    #[cfg(test)]
    flushes: Vec<SyncSender<()>>,
    #[cfg(test)]
    is_holding: bool,
}

/// What the writer begins with.
pub(crate) struct Start {
    pub(crate) shared: Arc<Shared>,
    pub(crate) slices: BTreeMap<u32, SliceWriter>,
    pub(crate) active: u32,
    pub(crate) next_seq: u64,
    pub(crate) batches: Batches,
}

impl Writer {
    pub(crate) fn new(
        start: Start,
        messages: Receiver<Message>,
        jobs: SyncSender<SealJob>,
    ) -> Self {
        Self {
            shared: start.shared,
            messages,
            jobs,
            slices: start.slices,
            active: start.active,
            next_seq: start.next_seq,
            spans: Spans::new(start.next_seq),
            batches: start.batches,
            open: open::SourceOf::default(),
            is_sealing: [false; 3],
            unwritten: Vec::new(),
            retry_at: None,
            maintain_at: Instant::now(),
            seal_until_seq: 0,
            is_closing: false,
            #[cfg(test)]
            flushes: Vec::new(),
            #[cfg(test)]
            is_holding: false,
        }
    }

    /// The requests in the intakes of all slices, oldest first.
    pub(crate) fn intake_rows(&self) -> Vec<(u32, Signal, IntakeRow)> {
        let mut rows = Vec::new();
        for (&slice, writer) in &self.slices {
            for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
                if writer
                    .intake(signal, |row| rows.push((slice, signal, row)))
                    .is_err()
                {
                    self.shared.count_corrupt();
                }
            }
        }
        rows
    }

    /// Works until closed. What could not be sealed then is in the intake.
    pub(crate) fn run(mut self) {
        loop {
            let mut group = Vec::new();
            match self.next_message() {
                Ok(Some(message)) => self.receive(message, &mut group),
                Ok(None) => {}
                Err(()) => self.is_closing = true,
            }
            while group.len() < GROUP_MAX
                && let Ok(message) = self.messages.try_recv()
            {
                self.receive(message, &mut group);
            }
            self.commit(group);
            self.write_sealed();
            if Instant::now() >= self.maintain_at {
                self.maintain(now_unix_nano());
            }
            self.start_seals();
            if self.is_finished() {
                break;
            }
        }
        for writer in self.slices.values() {
            writer.checkpoint();
        }
    }

    // `Ok(None)` when a deadline passed, an error when nobody can send any more.
    fn next_message(&self) -> Result<Option<Message>, ()> {
        match self.messages.recv_timeout(self.patience()) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    // How long nothing needs to be done if nobody asks.
    fn patience(&self) -> Duration {
        let mut until = self.maintain_at;
        if let Some(retry_at) = self.retry_at {
            until = until.min(retry_at);
        }
        if let Some(due) = self.next_seal_due() {
            until = until.min(due);
        }
        until.saturating_duration_since(Instant::now())
    }

    fn receive(&mut self, message: Message, group: &mut Vec<Pending>) {
        match message {
            Message::Ingest(pending) if self.is_closing => {
                self.refuse(&pending, IngestError::Closed);
            }
            Message::Ingest(pending) => group.push(*pending),
            Message::Sealed(sealed) => {
                self.unwritten.push(*sealed);
                self.retry_at = None;
            }
            Message::NotSealed(signal) => {
                self.is_sealing[signal as usize] = false;
                self.shared.count_corrupt();
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
            }
            Message::MakeRoom => {
                self.shared.wants_room.store(false, Ordering::Relaxed);
                self.seal_until_seq = self.next_seq - 1;
            }
            Message::ShowOpen => self.show_open(),
            Message::Close => self.is_closing = true,
            #[cfg(test)]
            Message::Flush(reply) => self.flushes.push(reply),
            #[cfg(test)]
            Message::Maintain(now, reply) => {
                self.maintain(now);
                let _ = reply.send(());
            }
            #[cfg(test)]
            Message::HoldSeals(is_holding, reply) => {
                self.is_holding = is_holding;
                let _ = reply.send(());
            }
            #[cfg(test)]
            Message::LimitPages(is_limited, reply) => {
                let writer = &self.slices[&self.active];
                writer.limit_pages(match is_limited {
                    true => writer.page_count() + 4,
                    false => 1 << 30,
                });
                let _ = reply.send(());
            }
        }
    }

    fn is_finished(&mut self) -> bool {
        let is_idle = {
            let state = self.shared.read();
            state.spans.head.is_empty()
                && state.logs.head.is_empty()
                && state.metrics.head.is_empty()
        };
        #[cfg(test)]
        if is_idle || self.retry_at.is_some() {
            self.flushes.drain(..).for_each(|flush| {
                let _ = flush.send(());
            });
        }
        // After a failed write the intake keeps what is left; closing does not wait for the disk.
        self.is_closing && (is_idle || self.retry_at.is_some())
    }

    fn must_seal_all(&self) -> bool {
        #[cfg(test)]
        if !self.flushes.is_empty() {
            return true;
        }
        self.is_closing
    }
}
