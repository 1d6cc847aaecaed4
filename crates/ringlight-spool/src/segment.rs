//! One file of a log, as the log knows it.

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile};
use crate::format::{SEGMENT_HEADER, SegmentHeader};
use crate::frame::Entry;

/// A segment: frames in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) salt: u64,
    /// Numbers of its frames are in `first_id..=last_id`; there is none if the last one is below the first.
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
    /// Where the next frame begins, or the end.
    pub(crate) len: u64,
    /// Frames that are not done, and their records.
    pub(crate) frames_left: u64,
    pub(crate) records_left: u64,
    /// When its first and its last frame went in, in milliseconds since the Unix epoch.
    pub(crate) oldest_ms: u64,
    pub(crate) newest_ms: u64,
    /// It could not be read. It stays as it is until the log is opened again.
    pub(crate) is_unreadable: bool,
}

/// The name of the file of a segment.
fn name(first_id: u64) -> String {
    format!("{first_id:020}.segment")
}

/// The first number of the segment with this name, if it is the name of one.
pub(crate) fn first_id_of(file_name: &OsStr) -> Option<u64> {
    let digits = file_name.to_str()?.strip_suffix(".segment")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

impl Segment {
    /// Makes a new one, whose header is written and not yet safe.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        first_id: u64,
        records_before: u64,
    ) -> io::Result<(Self, Box<dyn DiskFile>)> {
        let path = dir.join(name(first_id));
        // The keys of a `RandomState` are the operating system's randomness: nobody can guess the salt.
        let salt = RandomState::new().hash_one(first_id);
        let mut file = disk.create(&path)?;
        let header = SegmentHeader {
            salt,
            first_id,
            records_before,
        };
        if let Err(error) = file.write_all_at(&[&header.encode()], 0) {
            // What is left without a header would be in the way of the next attempt.
            let _ = disk.remove(&path);
            return Err(error);
        }
        let segment = Self {
            path,
            salt,
            first_id,
            last_id: first_id.saturating_sub(1),
            len: SEGMENT_HEADER as u64,
            frames_left: 0,
            records_left: 0,
            oldest_ms: u64::MAX,
            newest_ms: 0,
            is_unreadable: false,
        };
        Ok((segment, file))
    }

    /// Writes frames behind the last one. They count once [`note`](Self::note) is told.
    pub(crate) fn write(
        &self,
        file: &mut dyn DiskFile,
        entries: &[Entry<'_>],
        first_id: u64,
        now_ms: u64,
        records_before: u64,
    ) -> io::Result<u64> {
        let mut headers = Vec::with_capacity(entries.len());
        let (mut id, mut records, mut len) = (first_id, records_before, 0);
        for entry in entries {
            let header = entry.header(id, now_ms, records)?;
            len += header.frame_len();
            headers.push(header.encode(self.salt));
            id += 1;
            records += u64::from(entry.records);
        }
        let mut parts: Vec<&[u8]> = Vec::with_capacity(4 * entries.len());
        for (header, entry) in headers.iter().zip(entries) {
            let texts = [entry.process.as_bytes(), entry.shown_note().as_bytes()];
            parts.extend([&header[..], texts[0], texts[1], entry.bytes]);
        }
        parts.retain(|part| !part.is_empty());
        file.write_all_at(&parts, self.len)?;
        Ok(len)
    }

    /// A frame is in it that is not done.
    pub(crate) fn note(&mut self, records: u32, appended_ms: u64) {
        self.frames_left += 1;
        self.records_left += u64::from(records);
        self.oldest_ms = self.oldest_ms.min(appended_ms);
        self.newest_ms = self.newest_ms.max(appended_ms);
    }
}
