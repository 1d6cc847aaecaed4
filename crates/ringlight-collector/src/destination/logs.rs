//! The logs of a destination: everything about them that blocks.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ringlight_model::{DropReason, Signal};
use ringlight_spool::{Entry, Log, LogOptions, Lost, Spool, SpoolError};

use crate::export::{BatchId, EncodedBatch};

/// Segments of a full spool, about: what is dropped at a time to make room is a part of so many.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// Refused batches may take this part of the spool.
const LETTERS_PART: u64 = 8;

/// What is in one of a destination's logs: the batches of a signal. Those of audit records have a log of their own,
/// so that what they are is known for as long as they are on disk, and they are dropped last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogKey {
    pub(super) signal: Signal,
    pub(super) is_audit: bool,
}

/// The name of the log of audit records, in place of a signal's.
const AUDIT: &str = "audit";

impl LogKey {
    /// The log that a batch goes to.
    pub(super) const fn of(batch: &EncodedBatch) -> Self {
        Self {
            signal: batch.signal,
            is_audit: batch.id.is_audit(),
        }
    }

    /// Those of batches of a signal.
    fn all(signal: Signal) -> impl Iterator<Item = Self> {
        let of = move |is_audit| Self { signal, is_audit };
        let audit = (signal == Signal::Logs).then(|| of(true));
        std::iter::once(of(false)).chain(audit)
    }

    const fn name(self) -> &'static str {
        if self.is_audit {
            AUDIT
        } else {
            self.signal.as_str()
        }
    }
}

/// The logs of one destination.
#[derive(Debug)]
pub(super) struct Logs {
    logs: Vec<KeyedLog>,
    bytes_max: u64,
    /// The name of the process whose batch was read last, which is mostly that of the next.
    process: Arc<str>,
}

#[derive(Debug)]
struct KeyedLog {
    key: LogKey,
    log: Log,
    letters: Log,
    /// Frames of earlier processes have lower ids.
    first_own: u64,
}

/// A batch that was read.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) batch: EncodedBatch,
    pub(super) frame: u64,
    /// Whether an earlier process made it.
    pub(super) is_recovered: bool,
}

/// What was found when logs were opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) waiting: Vec<(Signal, u64)>,
    /// Files a person should look at, and why.
    pub(super) files: Vec<String>,
}

/// What is to be done with the logs.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) write: Vec<EncodedBatch>,
    /// Of batches that are written, those up to so many bytes are kept in memory as well.
    pub(super) keep_bytes: usize,
    pub(super) done: Vec<(LogKey, u64)>,
    pub(super) letters: Vec<(EncodedBatch, String)>,
    /// About so many bytes are to be read.
    pub(super) read_bytes: usize,
    pub(super) now_ms: u64,
    /// What was written before is too old.
    pub(super) oldest_ms: u64,
    /// Whether it is time to write down what is done.
    pub(super) is_checkpoint: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Batches that are safe, and their frames where they are kept in memory, too.
    pub(super) written: Vec<(EncodedBatch, Option<u64>)>,
    /// Batches that could not be written, and why.
    pub(super) unwritten: Vec<EncodedBatch>,
    pub(super) error: Option<io::Error>,
    /// Batches that were not written, since audit records have all the room.
    pub(super) refused: Vec<EncodedBatch>,
    pub(super) read: Vec<Backlog>,
    pub(super) lost: Vec<(LogKey, DropReason, Lost)>,
    /// Frames of batches in memory that were given up to make room.
    pub(super) orphans: Vec<(LogKey, u64)>,
    pub(super) files: Vec<String>,
    pub(super) has_waiting: bool,
    /// Whether something is done that is not written down.
    pub(super) is_dirty: bool,
}

impl Logs {
    pub(super) fn open(
        spool: &Spool,
        destination: &str,
        signals: &[Signal],
        bytes_max: u64,
        sync: bool,
    ) -> Result<(Self, Found), SpoolError> {
        let options = LogOptions {
            segment_bytes: segment_bytes(bytes_max),
            sync,
        };
        let mut found = Found::default();
        let mut logs = Vec::new();
        for key in signals.iter().copied().flat_map(LogKey::all) {
            let (log, recovered) = spool.log(destination, key.name(), options)?;
            let (letters, _) = spool.dead_letters(destination, key.name(), options)?;
            found.waiting.push((key.signal, recovered.records));
            let files = recovered.ignored.iter();
            let named = files.map(|(path, reason)| format!("`{}`: {reason}", path.display()));
            found.files.extend(named);
            logs.push(KeyedLog {
                key,
                first_own: log.next_id(),
                log,
                letters,
            });
        }
        let logs = Self {
            logs,
            bytes_max,
            process: Arc::from(""),
        };
        Ok((logs, found))
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.logs.iter().any(|one| one.log.is_dirty())
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.logs.iter().any(|one| one.log.has_waiting())
    }

    fn of(&mut self, key: LogKey) -> Option<&mut KeyedLog> {
        self.logs.iter_mut().find(|one| one.key == key)
    }

    pub(super) fn work(&mut self, work: Work) -> Done {
        let mut done = Done::default();
        for (key, id) in work.done {
            if let Some(one) = self.of(key) {
                one.log.done(id);
            }
        }
        self.drop_older(work.oldest_ms, &mut done);
        let mut keep_bytes = work.keep_bytes;
        let is_audit = |batch: &EncodedBatch| batch.id.is_audit();
        let (audit, others): (Vec<_>, Vec<_>) = work.write.into_iter().partition(is_audit);
        for (batches, are_audit) in [(audit, true), (others, false)] {
            for part in parts(batches, segment_bytes(self.bytes_max)) {
                if self.make_room(&part, are_audit, &mut done) {
                    self.write(part, &mut keep_bytes, work.now_ms, &mut done);
                } else {
                    done.refused.extend(part);
                }
            }
        }
        for one in &mut self.logs {
            let orphans = one.log.take_orphans().into_iter();
            done.orphans.extend(orphans.map(|id| (one.key, id)));
        }
        self.keep_letters(&work.letters, work.now_ms, &mut done);
        self.read(work.read_bytes, work.oldest_ms, &mut done);
        if work.is_checkpoint {
            self.checkpoint(&mut done);
        }
        done.has_waiting = self.has_waiting();
        done.is_dirty = self.is_dirty();
        done
    }

    fn checkpoint(&mut self, done: &mut Done) {
        for one in &mut self.logs {
            if let Err(error) = one.log.checkpoint() {
                done.error.get_or_insert(error);
            }
        }
    }

    fn drop_older(&mut self, oldest_ms: u64, done: &mut Done) {
        for one in &mut self.logs {
            let (lost, removed) = one.log.drop_older(oldest_ms);
            if lost.frames > 0 {
                done.lost.push((one.key, DropReason::SpoolExpired, lost));
            }
            if let Err(error) = removed {
                done.error.get_or_insert(error);
            }
        }
    }

    /// Drops the oldest there is until what is to be written has room: audit records only when there is nothing else, and
    /// only for others of their kind. Whether it may be written.
    fn make_room(&mut self, write: &[EncodedBatch], are_audit: bool, done: &mut Done) -> bool {
        let wanted: u64 = write.iter().map(|batch| batch.bytes.len() as u64).sum();
        if wanted > 0 && self.bytes() + wanted > self.bytes_max {
            // What is done makes room by itself.
            self.checkpoint(done);
        }
        while wanted > 0 && self.bytes() + wanted > self.bytes_max {
            let logs = self.logs.iter_mut().filter(|one| one.log.bytes() > 0);
            // One with nothing that waits is at no loss.
            let worth = |one: &KeyedLog| {
                let oldest_ms = one.log.oldest_ms();
                (one.key.is_audit && oldest_ms.is_some(), oldest_ms)
            };
            let Some(first) = logs.min_by_key(|one| worth(one)) else {
                return true;
            };
            if !are_audit && worth(first).0 {
                return false;
            }
            match first.log.drop_oldest() {
                Ok(Some(lost)) if lost.frames > 0 => {
                    done.lost.push((first.key, DropReason::SpoolFull, lost));
                }
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(error) => {
                    done.error.get_or_insert(error);
                    return true;
                }
            }
        }
        true
    }

    fn bytes(&self) -> u64 {
        self.logs.iter().map(|one| one.log.bytes()).sum()
    }

    fn write(
        &mut self,
        write: Vec<EncodedBatch>,
        keep_bytes: &mut usize,
        now_ms: u64,
        done: &mut Done,
    ) {
        for one in &mut self.logs {
            let of_log = |batch: &&EncodedBatch| LogKey::of(batch) == one.key;
            let batches: Vec<&EncodedBatch> = write.iter().filter(of_log).collect();
            if batches.is_empty() {
                continue;
            }
            let mut kept = 0;
            for batch in &batches {
                let Some(left) = keep_bytes.checked_sub(batch.bytes.len()) else {
                    break;
                };
                *keep_bytes = left;
                kept += 1;
            }
            let entries: Vec<Entry<'_>> = batches.iter().map(|batch| entry(batch, "")).collect();
            match one.log.append(&entries, kept, now_ms) {
                Ok(ids) => {
                    let frames = ids.enumerate();
                    let frames = frames.map(|(index, id)| (index < kept).then_some(id));
                    let batches = batches.into_iter().cloned();
                    done.written.extend(batches.zip(frames));
                }
                Err(error) => {
                    done.unwritten.extend(batches.into_iter().cloned());
                    done.error.get_or_insert(error);
                }
            }
        }
    }

    fn keep_letters(&mut self, letters: &[(EncodedBatch, String)], now_ms: u64, done: &mut Done) {
        let bytes_max = self.bytes_max / LETTERS_PART;
        for (batch, reason) in letters {
            let Some(one) = self.of(LogKey::of(batch)) else {
                continue;
            };
            let log = &mut one.letters;
            // They are in the accounts as refused, whatever becomes of them here.
            while log.bytes() + batch.bytes.len() as u64 > bytes_max {
                if !matches!(log.drop_oldest(), Ok(Some(_))) {
                    break;
                }
            }
            if let Err(error) = log.append(&[entry(batch, reason)], 0, now_ms) {
                done.error.get_or_insert(error);
            }
        }
    }

    fn read(&mut self, mut bytes_max: usize, oldest_ms: u64, done: &mut Done) {
        // Of several logs, the one whose oldest frame is the oldest goes first.
        self.logs.sort_by_key(|one| one.log.oldest_ms());
        for index in 0..self.logs.len() {
            if bytes_max == 0 {
                return;
            }
            let one = &mut self.logs[index];
            let (key, first_own) = (one.key, one.first_own);
            let read = one.log.read(bytes_max, oldest_ms);
            for (reason, lost) in [
                (DropReason::SpoolDamaged, read.damaged),
                (DropReason::SpoolExpired, read.aged),
            ] {
                if lost.frames > 0 {
                    done.lost.push((key, reason, lost));
                }
            }
            let unreadable = read.unreadable.into_iter();
            let named = unreadable.map(|(path, error)| {
                format!(
                    "cannot read `{}`: {error}; it is left for the next start",
                    path.display()
                )
            });
            done.files.extend(named);
            for frame in read.frames {
                bytes_max = bytes_max.saturating_sub(frame.bytes.len());
                if *self.process != *frame.process {
                    self.process = Arc::from(frame.process.as_str());
                }
                let id = BatchId::new(Arc::clone(&self.process), frame.sequence);
                let batch = EncodedBatch {
                    signal: key.signal,
                    bytes: frame.bytes,
                    records: frame.records,
                    id: id.of_audit(key.is_audit),
                };
                done.read.push(Backlog {
                    batch,
                    frame: frame.id,
                    is_recovered: frame.id < first_own,
                });
            }
        }
    }

    /// Writes down what is done and lets go of the files.
    pub(super) fn close(self) -> io::Result<()> {
        let mut outcome = Ok(());
        for one in self.logs {
            outcome = outcome.and(one.log.close()).and(one.letters.close());
        }
        outcome
    }
}

fn segment_bytes(bytes_max: u64) -> u64 {
    (bytes_max / SEGMENTS).min(SEGMENT_BYTES_MAX)
}

/// Batches in parts of about so many bytes, one of which makes room for the next where there is little.
fn parts(write: Vec<EncodedBatch>, bytes: u64) -> Vec<Vec<EncodedBatch>> {
    let mut parts: Vec<Vec<EncodedBatch>> = Vec::new();
    let mut left = 0;
    for batch in write {
        let size = batch.bytes.len() as u64;
        match parts.last_mut() {
            Some(part) if size <= left => {
                left -= size;
                part.push(batch);
            }
            _ => {
                left = bytes.saturating_sub(size);
                parts.push(vec![batch]);
            }
        }
    }
    parts
}

fn entry<'a>(batch: &'a EncodedBatch, note: &'a str) -> Entry<'a> {
    Entry {
        process: batch.id.process(),
        sequence: batch.id.sequence(),
        records: batch.records,
        note,
        bytes: Bytes::as_ref(&batch.bytes),
    }
}

#[cfg(test)]
mod tests;
