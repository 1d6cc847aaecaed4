//! A log of batches: what goes in comes out in its order, until it is said to be done.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::format::Checkpoint;
use crate::frame::{self, Entry, Frame};
use crate::ranges::Ranges;
use crate::recover::{self, Recovered};
use crate::scan::{Found, Scan};
use crate::segment::Segment;

/// The file that says what is done, and what it is called while it is written.
pub(crate) const CHECKPOINT: &str = "checkpoint";
const CHECKPOINT_NEW: &str = "checkpoint.new";

/// How a [`Log`] keeps its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment is finished when it has this many bytes. It may have one group of frames more.
    pub segment_bytes: u64,
    /// Whether [`Log::append`] waits until the disk has what it was given. Without, it survives the end of the
    /// process, not that of the machine.
    pub sync: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            sync: true,
        }
    }
}

/// Frames that will not come out, and their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// Frames, as far as they can be counted.
    pub frames: u64,
    /// Their records.
    pub records: u64,
}

impl Lost {
    pub(crate) fn add(&mut self, frames: u64, records: u64) {
        self.frames += frames;
        self.records += records;
    }
}

/// What [`Log::read`] found.
#[derive(Debug, Default)]
pub struct Read {
    /// Batches, in their order.
    pub frames: Vec<Frame>,
    /// What was damaged and was skipped.
    pub damaged: Lost,
    /// What had waited for too long and was skipped.
    pub aged: Lost,
    /// Why segments could not be read. They are left as they are, for the next start.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// A log of batches in a directory of its own, which nobody else may use.
///
/// A frame is *waiting* until it is read, or handed over while it is appended; then it is *out*; then
/// [`done`](Self::done). All calls block.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: LogOptions,
    segments: VecDeque<Segment>,
    /// Of the last segment, if frames may be added to it.
    active: Option<Box<dyn DiskFile>>,
    next_id: u64,
    /// Records of all frames that ever went in.
    records: u64,
    done: Ranges,
    /// Frames that are out, and their records.
    out: BTreeMap<u64, u32>,
    out_records: u64,
    orphans: Vec<u64>,
    cursor: Cursor,
    /// Something is done that no checkpoint says.
    is_dirty: bool,
}

/// Where the next frame is read.
#[derive(Debug, Default)]
struct Cursor {
    /// The first number of the segment.
    first_id: u64,
    /// Zero for its beginning.
    offset: u64,
    file: Option<Box<dyn DiskFile>>,
}

impl Log {
    /// Opens the log in a directory, and looks at all that is in it.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
    ) -> io::Result<(Self, Recovered)> {
        let _ = disk.remove(&dir.join(CHECKPOINT_NEW));
        let found = recover::look(&*disk, dir)?;
        let mut log = Self {
            dir: dir.to_owned(),
            options,
            segments: found.segments,
            active: None,
            next_id: found.next_id,
            records: found.records,
            done: found.done,
            out: BTreeMap::new(),
            out_records: 0,
            orphans: Vec::new(),
            cursor: Cursor::default(),
            is_dirty: false,
            disk,
        };
        log.is_dirty = log.has_finished();
        Ok((log, found.recovered))
    }

    /// Bytes of its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// Records that wait: neither out nor done.
    #[must_use]
    pub fn waiting_records(&self) -> u64 {
        let left: u64 = self.segments.iter().map(|s| s.records_left).sum();
        left.saturating_sub(self.out_records)
    }

    /// Whether there is anything to be read.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        let left: u64 = self.readable().map(|s| s.frames_left).sum();
        let out = self.out.keys();
        let readable = out.filter(|id| {
            self.readable()
                .any(|s| s.first_id <= **id && **id <= s.last_id)
        });
        left > readable.count() as u64
    }

    fn readable(&self) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .filter(|segment| !segment.is_unreadable)
    }

    /// When the oldest frame that is not done went in, in milliseconds since the Unix epoch, about: as of
    /// its segment.
    #[must_use]
    pub fn oldest_ms(&self) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| segment.frames_left > 0);
        segment.map(|segment| segment.oldest_ms)
    }

    /// Writes batches to the end. When it returns, they are safe, all of them together. The first `out_count` of
    /// them are out at once: whoever appends them keeps them. Returns their numbers.
    ///
    /// # Errors
    /// They could not be written or not be made safe. None of them is in the log then, and none will be taken for
    /// safe, though some may come out after a restart. The next call begins with a new file.
    pub fn append(
        &mut self,
        entries: &[Entry<'_>],
        out_count: usize,
        now_ms: u64,
    ) -> io::Result<Range<u64>> {
        if entries.is_empty() {
            return Ok(self.next_id..self.next_id);
        }
        let first_id = self.next_id;
        // Whatever comes of it, these numbers are taken.
        self.next_id += entries.len() as u64;
        let written = self.write(entries, first_id, now_ms);
        let len = match written {
            Ok(len) => len,
            Err(error) => {
                self.abandon_active();
                return Err(error);
            }
        };
        if let Some(segment) = self.segments.back_mut() {
            segment.len += len;
            segment.last_id = self.next_id - 1;
            for entry in entries {
                segment.note(entry.records, now_ms);
            }
        }
        for (id, entry) in (first_id..).zip(entries) {
            self.records += u64::from(entry.records);
            if ((id - first_id) as usize) < out_count {
                self.out.insert(id, entry.records);
                self.out_records += u64::from(entry.records);
            }
        }
        Ok(first_id..self.next_id)
    }

    fn write(&mut self, entries: &[Entry<'_>], first_id: u64, now_ms: u64) -> io::Result<u64> {
        let is_full = (self.segments.back()).is_some_and(|s| s.len >= self.options.segment_bytes);
        if is_full {
            self.finish_active();
        }
        let is_new = self.active.is_none();
        if is_new {
            let (segment, file) = Segment::create(&*self.disk, &self.dir, first_id, self.records)?;
            self.segments.push_back(segment);
            self.active = Some(file);
        }
        let (Some(segment), Some(file)) = (self.segments.back(), &mut self.active) else {
            return Err(io::Error::other("there is no segment"));
        };
        let len = segment.write(&mut **file, entries, first_id, now_ms, self.records)?;
        if self.options.sync {
            file.sync()?;
            if is_new {
                self.disk.sync_dir(&self.dir)?;
            }
        }
        Ok(len)
    }

    /// Nothing more is added to the last segment.
    fn finish_active(&mut self) {
        self.active = None;
        self.is_dirty |= self.has_finished();
    }

    /// What was written last is not to be relied on. The file is cut back as far as that goes.
    fn abandon_active(&mut self) {
        let Some(mut file) = self.active.take() else {
            return;
        };
        if let Some(segment) = self.segments.back() {
            let _ = file.truncate(segment.len);
        }
        if self.segments.back().is_some_and(|s| s.last_id < s.first_id)
            && let Some(segment) = self.segments.pop_back()
        {
            // The next one has another name, since the numbers are taken.
            let _ = self.disk.remove(&segment.path);
        }
    }

    /// Reads batches that wait until they have `bytes_max` together, one at least if there is any. They are
    /// out then. What went in before `oldest_ms` is done instead, and counted.
    pub fn read(&mut self, bytes_max: usize, oldest_ms: u64) -> Read {
        let mut read = Read::default();
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(index) = self.at_cursor() else { break };
            let before = read.frames.len();
            match self.read_next(index, oldest_ms, &mut read) {
                Ok(true) => {}
                Ok(false) => {
                    self.miss(index, &mut read.damaged);
                    if index + 1 == self.segments.len() && self.active.is_some() {
                        break;
                    }
                    self.next_segment(index);
                }
                Err(error) => {
                    let segment = &mut self.segments[index];
                    segment.is_unreadable = true;
                    read.unreadable.push((segment.path.clone(), error));
                    self.next_segment(index);
                }
            }
            let new = read.frames[before..].iter();
            bytes += new.map(|frame| frame.bytes.len()).sum::<usize>();
        }
        read
    }

    /// The segment the cursor is in, if it has anything to be read; otherwise the next that has.
    fn at_cursor(&mut self) -> Option<usize> {
        let index = (self.segments).partition_point(|s| s.first_id < self.cursor.first_id);
        let mut ahead = self.segments.iter().enumerate().skip(index);
        let (found, segment) = ahead.find(|(_, s)| s.frames_left > 0 && !s.is_unreadable)?;
        if segment.first_id != self.cursor.first_id {
            self.cursor = Cursor {
                first_id: segment.first_id,
                ..Cursor::default()
            };
        }
        Some(found)
    }

    fn next_segment(&mut self, index: usize) {
        self.cursor = Cursor {
            first_id: self.segments[index].first_id + 1,
            ..Cursor::default()
        };
    }

    /// Counts what should have been found in a segment that was read to its end, and was not.
    fn miss(&mut self, index: usize, damaged: &mut Lost) {
        let segment = &self.segments[index];
        let ids = segment.first_id..segment.last_id + 1;
        let out = self.out.range(ids.clone());
        let (out_frames, out_records) = out.fold((0, 0), |(frames, sum), (_, records)| {
            (frames + 1, sum + u64::from(*records))
        });
        if segment.frames_left <= out_frames {
            return;
        }
        let segment = &mut self.segments[index];
        let records = segment.records_left.saturating_sub(out_records);
        damaged.add(segment.frames_left - out_frames, records);
        segment.frames_left = out_frames;
        segment.records_left = out_records;
        for id in ids {
            if !self.out.contains_key(&id) {
                self.done.insert(id);
            }
        }
        self.is_dirty = true;
    }

    /// Looks at one thing in a segment. False at its end.
    fn read_next(&mut self, index: usize, oldest_ms: u64, read: &mut Read) -> io::Result<bool> {
        let segment = &self.segments[index];
        let (len, salt) = (segment.len, segment.salt);
        if self.cursor.file.is_none() {
            self.cursor.file = Some(self.disk.open(&segment.path)?);
        }
        let Some(file) = self.cursor.file.as_deref() else {
            return Ok(false);
        };
        let offset = self.cursor.offset.max(crate::format::SEGMENT_HEADER as u64);
        let mut scan = Scan::new(file, salt, len, offset);
        let found = scan.next()?;
        self.cursor.offset = scan.offset();
        let Some(Found::Frame { offset, header }) = found else {
            return Ok(found.is_some());
        };
        if self.done.contains(header.id) || self.out.contains_key(&header.id) {
            return Ok(true);
        }
        if header.appended_ms < oldest_ms {
            read.aged.add(1, header.records.into());
            self.settle(header.id, header.records);
            return Ok(true);
        }
        let file = self.cursor.file.as_deref();
        let frame = file.map(|file| frame::read(file, offset, &header));
        match frame.transpose()?.flatten() {
            Some(frame) => {
                self.out.insert(frame.id, frame.records);
                self.out_records += u64::from(frame.records);
                read.frames.push(frame);
            }
            None => {
                read.damaged.add(1, header.records.into());
                self.settle(header.id, header.records);
            }
        }
        Ok(true)
    }

    /// A frame that was out has reached its end. False if the log knows of none such any more.
    pub fn done(&mut self, id: u64) -> bool {
        let Some(records) = self.out.remove(&id) else {
            return false;
        };
        self.out_records -= u64::from(records);
        self.settle(id, records);
        true
    }

    fn settle(&mut self, id: u64, records: u32) {
        self.done.insert(id);
        self.is_dirty = true;
        let after = self.segments.partition_point(|s| s.first_id <= id);
        let segment = after.checked_sub(1).and_then(|i| self.segments.get_mut(i));
        if let Some(segment) = segment.filter(|s| id <= s.last_id) {
            segment.frames_left = segment.frames_left.saturating_sub(1);
            segment.records_left = segment.records_left.saturating_sub(records.into());
        }
    }

    /// The id of the frame that is appended next. What was found has lower ones.
    #[must_use]
    pub const fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Frames that were out when their segment was given up, since the last call: they are not on disk any more, and whoever has
    /// them has all there is.
    pub fn take_orphans(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.orphans)
    }

    /// Gives up the oldest segment of which nothing is out, to make room; the oldest of all where there is none such, and
    /// what of it is out goes on as an [orphan](Self::take_orphans). `None` if there is no segment.
    ///
    /// # Errors
    /// The file cannot be removed; it is left, and counts as before.
    pub fn drop_oldest(&mut self) -> io::Result<Option<Lost>> {
        if self.segments.is_empty() {
            return Ok(None);
        }
        let idle = self.segments.iter().position(|s| !self.has_out(s));
        self.drop_segment(idle.unwrap_or(0)).map(Some)
    }

    /// Gives up segments of which nothing is out and all frames went in before this time. Beside what
    /// that was, why it went no further, as for [`drop_oldest`](Self::drop_oldest).
    pub fn drop_older(&mut self, oldest_ms: u64) -> (Lost, io::Result<()>) {
        let mut lost = Lost::default();
        loop {
            let is_old = |s: &Segment| s.frames_left > 0 && s.newest_ms < oldest_ms;
            let mut segments = self.segments.iter();
            let Some(index) = segments.position(|s| is_old(s) && !self.has_out(s)) else {
                return (lost, Ok(()));
            };
            match self.drop_segment(index) {
                Ok(dropped) => lost.add(dropped.frames, dropped.records),
                Err(error) => return (lost, Err(error)),
            }
        }
    }

    fn has_out(&self, segment: &Segment) -> bool {
        let (first, last) = (segment.first_id, segment.last_id);
        first <= last && self.out.range(first..=last).next().is_some()
    }

    fn drop_segment(&mut self, index: usize) -> io::Result<Lost> {
        let segment = &self.segments[index];
        let (first, last) = (segment.first_id, segment.last_id);
        let out: Vec<_> = self.out.range(first..=last.max(first)).collect();
        let lost = Lost {
            frames: segment.frames_left.saturating_sub(out.len() as u64),
            records: segment
                .records_left
                .saturating_sub(out.iter().map(|(_, records)| u64::from(**records)).sum()),
        };
        let gone = Vec::from_iter(out.into_iter().map(|(id, _)| *id));
        if index + 1 == self.segments.len() {
            self.active = None;
        }
        self.disk.remove(&self.segments[index].path)?;
        self.segments.remove(index);
        for id in gone {
            let records = self.out.remove(&id).unwrap_or(0);
            self.out_records -= u64::from(records);
            self.orphans.push(id);
        }
        self.done.insert_all(first, last.saturating_add(1));
        self.is_dirty = true;
        Ok(lost)
    }

    /// Whether [`checkpoint`](Self::checkpoint) has something to say.
    #[must_use]
    pub const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Writes down what is done, and removes segments that are done with. Without it, frames come out again
    /// after a restart.
    ///
    /// # Errors
    /// It cannot be written; what was written before stands.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        if !self.is_dirty {
            return Ok(());
        }
        let lowest = self.segments.front().map_or(self.next_id, |s| s.first_id);
        self.done.forget_below(lowest);
        let checkpoint = Checkpoint {
            last_id: self.next_id - 1,
            records: self.records,
            done: self.done.iter().collect(),
        };
        let (new, old) = (self.dir.join(CHECKPOINT_NEW), self.dir.join(CHECKPOINT));
        let _ = self.disk.remove(&new);
        let mut file = self.disk.create(&new)?;
        file.write_all_at(&[&checkpoint.encode()], 0)?;
        if self.options.sync {
            file.sync()?;
        }
        drop(file);
        self.disk.rename(&new, &old)?;
        self.is_dirty = false;
        self.remove_finished()
    }

    fn remove_finished(&mut self) -> io::Result<()> {
        let mut index = 0;
        while index < self.segments.len() {
            let is_active = index + 1 == self.segments.len() && self.active.is_some();
            let segment = &self.segments[index];
            if segment.frames_left > 0 || segment.is_unreadable || is_active {
                index += 1;
                continue;
            }
            self.disk.remove(&segment.path)?;
            self.segments.remove(index);
        }
        Ok(())
    }

    /// Writes down what is done and lets go of the files.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint).
    pub fn close(mut self) -> io::Result<()> {
        self.active = None;
        self.is_dirty |= self.has_finished();
        self.checkpoint()
    }

    fn has_finished(&self) -> bool {
        self.segments.iter().any(|segment| segment.frames_left == 0)
    }
}
