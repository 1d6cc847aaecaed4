//! What a directory holds when a log is opened.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::format::{Checkpoint, Foreign, SEGMENT_HEADER};
use crate::log::CHECKPOINT;
use crate::ranges::Ranges;
use crate::scan::{Found, Scan, segment_header};
use crate::segment::{Segment, first_id_of};
use crate::spool::DEAD_LETTERS;

/// Largest checkpoint that is read, in bytes.
const CHECKPOINT_BYTES_MAX: u64 = 1 << 20;

/// What was found when a log was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Frames that wait.
    pub frames: u64,
    /// Their records.
    pub records: u64,
    /// Bytes at the ends of segments that are no whole frame: it was being written when the process ended. It
    /// was not acknowledged.
    pub torn_bytes: u64,
    /// Files that are not read, and why. They are left alone.
    pub ignored: Vec<(PathBuf, String)>,
}

/// What a log begins with.
pub(crate) struct State {
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) next_id: u64,
    pub(crate) records: u64,
    pub(crate) done: Ranges,
    pub(crate) recovered: Recovered,
}

pub(crate) fn look(disk: &dyn Disk, dir: &Path) -> io::Result<State> {
    let mut recovered = Recovered::default();
    let mut first_ids = Vec::new();
    let mut has_checkpoint = false;
    for name in disk.list(dir)? {
        match first_id_of(&name) {
            Some(first_id) => first_ids.push((first_id, dir.join(name))),
            None if name == CHECKPOINT => has_checkpoint = true,
            None if name.to_str().is_some_and(|n| n == DEAD_LETTERS) => {}
            None => {
                let reason = "it does not belong to the spool".to_owned();
                recovered.ignored.push((dir.join(name), reason));
            }
        }
    }
    first_ids.sort_unstable();
    let checkpoint = if has_checkpoint {
        read_checkpoint(disk, dir, &mut recovered)
    } else {
        Checkpoint::default()
    };
    let mut done = Ranges::default();
    for (start, end) in &checkpoint.done {
        done.insert_all(*start, *end);
    }
    let mut state = State {
        segments: VecDeque::new(),
        // A number that a checkpoint calls done must not be given to another frame.
        next_id: checkpoint.last_id.max(done.last().unwrap_or(0)) + 1,
        records: checkpoint.records,
        done,
        recovered,
    };
    for (first_id, path) in first_ids {
        // Also of one that is not read: its name is taken.
        state.next_id = state.next_id.max(first_id + 1);
        match open_segment(disk, &path, first_id, &mut state) {
            Ok(Ok(segment)) => state.segments.push_back(segment),
            Ok(Err(reason)) => state.recovered.ignored.push((path, reason)),
            Err(error) => state.recovered.ignored.push((path, error.to_string())),
        }
    }
    Ok(state)
}

/// What the checkpoint says; nothing, if it cannot be read: then more comes out again than had to.
fn read_checkpoint(disk: &dyn Disk, dir: &Path, recovered: &mut Recovered) -> Checkpoint {
    let path = dir.join(CHECKPOINT);
    let read = || -> io::Result<Vec<u8>> {
        let file = disk.open(&path)?;
        let len = file.size()?;
        if len > CHECKPOINT_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is too large",
            ));
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    let decoded = match read() {
        Ok(bytes) => Checkpoint::decode(&bytes).map_err(|foreign| foreign.to_string()),
        Err(error) => Err(error.to_string()),
    };
    decoded.unwrap_or_else(|reason| {
        recovered.ignored.push((path, reason));
        Checkpoint::default()
    })
}

/// Goes through the headers of all frames of a segment.
fn open_segment(
    disk: &dyn Disk,
    path: &Path,
    first_id: u64,
    state: &mut State,
) -> io::Result<Result<Segment, String>> {
    let file = disk.open(path)?;
    let len = file.size()?;
    let header = match segment_header(&*file, len)? {
        Ok(header) if header.first_id == first_id => header,
        Ok(_) => return Ok(Err("its name is not the one it was made with".to_owned())),
        // It was made when the process ended; no frame in it can have been acknowledged.
        Err(Foreign::Unfinished) => {
            disk.remove(path)?;
            state.recovered.torn_bytes += len;
            return Ok(Err("it was never finished, and is removed".to_owned()));
        }
        Err(foreign) => return Ok(Err(foreign.to_string())),
    };
    let mut segment = Segment {
        path: path.to_owned(),
        salt: header.salt,
        first_id,
        last_id: first_id.saturating_sub(1),
        len,
        frames_left: 0,
        records_left: 0,
        oldest_ms: u64::MAX,
        newest_ms: 0,
        is_unreadable: false,
    };
    let mut scan = Scan::new(&*file, header.salt, len, SEGMENT_HEADER as u64);
    let mut expected = (first_id, header.records_before);
    while let Some(found) = scan.next()? {
        let frame = match found {
            Found::Frame { header, .. } => header,
            Found::Damage { .. } => continue,
            Found::Tail { bytes } => {
                state.recovered.torn_bytes += bytes;
                continue;
            }
        };
        let (next_id, records) = expected;
        let missing = (next_id..frame.id).filter(|id| !state.done.contains(*id));
        let missing = missing.count() as u64;
        if missing > 0 {
            segment.frames_left += missing;
            segment.records_left += frame.records_before.saturating_sub(records);
        }
        segment.last_id = frame.id;
        let records = frame.records_before + u64::from(frame.records);
        expected = (frame.id + 1, records);
        state.records = state.records.max(records);
        state.next_id = state.next_id.max(frame.id + 1);
        if !state.done.contains(frame.id) {
            segment.note(frame.records, frame.appended_ms);
        }
    }
    state.recovered.frames += segment.frames_left;
    state.recovered.records += segment.records_left;
    Ok(Ok(segment))
}
