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

/// The logs of the signals of one destination.
#[derive(Debug)]
pub(super) struct Logs {
    logs: Vec<SignalLog>,
    bytes_max: u64,
    /// The name of the process whose batch was read last, which is mostly that of the next.
    process: Arc<str>,
}

#[derive(Debug)]
struct SignalLog {
    signal: Signal,
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
    pub(super) done: Vec<(Signal, u64)>,
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
    pub(super) read: Vec<Backlog>,
    pub(super) lost: Vec<(Signal, DropReason, Lost)>,
    /// Frames of batches in memory that were given up to make room.
    pub(super) orphans: Vec<(Signal, u64)>,
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
        for signal in signals {
            let (log, recovered) = spool.log(destination, signal.as_str(), options)?;
            let (letters, _) = spool.dead_letters(destination, signal.as_str(), options)?;
            found.waiting.push((*signal, recovered.records));
            let files = recovered.ignored.iter();
            let named = files.map(|(path, reason)| format!("`{}`: {reason}", path.display()));
            found.files.extend(named);
            logs.push(SignalLog {
                signal: *signal,
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

    fn of(&mut self, signal: Signal) -> Option<&mut SignalLog> {
        self.logs.iter_mut().find(|one| one.signal == signal)
    }

    pub(super) fn work(&mut self, work: Work) -> Done {
        let mut done = Done::default();
        for (signal, id) in work.done {
            if let Some(one) = self.of(signal) {
                one.log.done(id);
            }
        }
        self.drop_older(work.oldest_ms, &mut done);
        let mut keep_bytes = work.keep_bytes;
        for part in parts(work.write, segment_bytes(self.bytes_max)) {
            self.make_room(&part, &mut done);
            self.write(part, &mut keep_bytes, work.now_ms, &mut done);
        }
        for one in &mut self.logs {
            let orphans = one.log.take_orphans().into_iter();
            done.orphans.extend(orphans.map(|id| (one.signal, id)));
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
                done.lost.push((one.signal, DropReason::SpoolExpired, lost));
            }
            if let Err(error) = removed {
                done.error.get_or_insert(error);
            }
        }
    }

    /// Drops the oldest there is until what is to be written has room.
    fn make_room(&mut self, write: &[EncodedBatch], done: &mut Done) {
        let wanted: u64 = write.iter().map(|batch| batch.bytes.len() as u64).sum();
        if wanted > 0 && self.bytes() + wanted > self.bytes_max {
            // What is done makes room by itself.
            self.checkpoint(done);
        }
        while wanted > 0 && self.bytes() + wanted > self.bytes_max {
            let logs = self.logs.iter_mut().filter(|one| one.log.bytes() > 0);
            let oldest = logs.min_by_key(|one| one.log.oldest_ms().unwrap_or(0));
            let Some(oldest) = oldest else { return };
            match oldest.log.drop_oldest() {
                Ok(Some(lost)) if lost.frames > 0 => {
                    done.lost.push((oldest.signal, DropReason::SpoolFull, lost));
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => {
                    done.error.get_or_insert(error);
                    return;
                }
            }
        }
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
            let of_signal = |batch: &&EncodedBatch| batch.signal == one.signal;
            let batches: Vec<&EncodedBatch> = write.iter().filter(of_signal).collect();
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
            let Some(one) = self.of(batch.signal) else {
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
        // Of several signals, the one whose oldest frame is the oldest goes first.
        self.logs.sort_by_key(|one| one.log.oldest_ms());
        for index in 0..self.logs.len() {
            if bytes_max == 0 {
                return;
            }
            let one = &mut self.logs[index];
            let (signal, first_own) = (one.signal, one.first_own);
            let read = one.log.read(bytes_max, oldest_ms);
            for (reason, lost) in [
                (DropReason::SpoolDamaged, read.damaged),
                (DropReason::SpoolExpired, read.aged),
            ] {
                if lost.frames > 0 {
                    done.lost.push((signal, reason, lost));
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
                let batch = EncodedBatch {
                    signal,
                    bytes: frame.bytes,
                    records: frame.records,
                    id: BatchId::new(Arc::clone(&self.process), frame.sequence),
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
mod tests {
    use super::*;

    #[test]
    fn what_is_written_at_a_time_is_kept_to_the_quota() {
        const QUOTA: u64 = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        let (mut logs, _) = Logs::open(&spool, "d", &[Signal::Traces], QUOTA, false).unwrap();
        let batch = |sequence| EncodedBatch {
            signal: Signal::Traces,
            bytes: Bytes::from(vec![7; 64 << 10]),
            records: 1,
            id: BatchId::new("p".into(), sequence),
        };
        let work = Work {
            write: (1..=64).map(batch).collect(),
            ..Work::default()
        };
        let done = logs.work(work);
        assert!(done.error.is_none(), "{:?}", done.error);
        assert_eq!(done.written.len(), 64);
        let bytes = logs.bytes();
        assert!(bytes <= QUOTA + (64 << 10), "{bytes} bytes are on disk");
        let lost: u64 = done.lost.iter().map(|(_, _, lost)| lost.records).sum();
        let read = logs.work(Work {
            read_bytes: 1 << 30,
            ..Work::default()
        });
        // The newest are kept, and every one of the others is counted.
        assert_eq!(read.read.len() as u64 + lost, 64);
        assert_eq!(read.read.last().unwrap().batch.id.sequence(), 64);
    }
}
