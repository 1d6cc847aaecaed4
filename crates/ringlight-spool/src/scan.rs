//! Finds the frames of a segment, whatever has become of its bytes.

use std::io;

use crate::disk::DiskFile;
use crate::format::{FRAME_HEADER, Foreign, FrameHeader, MARKER, SEGMENT_HEADER, SegmentHeader};

/// Bytes that are looked through at a time for the next frame behind damage.
const LOOK_BYTES: usize = 64 * 1024;

/// Something in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A frame that is there whole. Its body has not been looked at.
    Frame { offset: u64, header: FrameHeader },
    /// So many bytes that are no frame, with a frame behind them.
    Damage { bytes: u64 },
    /// So many bytes at the end that are no whole frame: it was being written when the process ended, or
    /// is damaged.
    Tail { bytes: u64 },
}

/// Goes through a segment from a place where a frame begins.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    file: &'a dyn DiskFile,
    salt: u64,
    len: u64,
    offset: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, salt: u64, len: u64, offset: u64) -> Self {
        Self {
            file,
            salt,
            len,
            offset,
        }
    }

    /// Where the next frame is looked for.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        let left = self.len.saturating_sub(self.offset);
        if left == 0 {
            return Ok(None);
        }
        if let Some(header) = self.header_at(self.offset)? {
            let offset = self.offset;
            if header.frame_len() <= left {
                self.offset += header.frame_len();
                return Ok(Some(Found::Frame { offset, header }));
            }
            self.offset = self.len;
            return Ok(Some(Found::Tail { bytes: left }));
        }
        let found = self.find_from(self.offset + 1)?;
        let bytes = found.unwrap_or(self.len) - self.offset;
        self.offset += bytes;
        Ok(Some(match found {
            Some(_) => Found::Damage { bytes },
            None => Found::Tail { bytes },
        }))
    }

    fn header_at(&self, offset: u64) -> io::Result<Option<FrameHeader>> {
        if offset + FRAME_HEADER as u64 > self.len {
            return Ok(None);
        }
        let mut bytes = [0; FRAME_HEADER];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(FrameHeader::decode(&bytes, self.salt))
    }

    /// The next place a whole frame begins at.
    fn find_from(&self, start: u64) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; LOOK_BYTES];
        let mut at = start;
        while at + FRAME_HEADER as u64 <= self.len {
            let count = (self.len - at).min(LOOK_BYTES as u64) as usize;
            let bytes = &mut buffer[..count];
            self.file.read_exact_at(bytes, at)?;
            let marked = bytes.windows(MARKER.len()).enumerate();
            for (index, _) in marked.filter(|(_, window)| *window == MARKER) {
                let offset = at + index as u64;
                if let Some(header) = self.header_at(offset)?
                    && offset + header.frame_len() <= self.len
                {
                    return Ok(Some(offset));
                }
            }
            // A marker may begin in the last bytes and end behind them.
            at += (count - (MARKER.len() - 1)) as u64;
        }
        Ok(None)
    }
}

/// The header of a segment, or why it is none.
pub(crate) fn segment_header(
    file: &dyn DiskFile,
    len: u64,
) -> io::Result<Result<SegmentHeader, Foreign>> {
    if len < SEGMENT_HEADER as u64 {
        return Ok(Err(Foreign::Unfinished));
    }
    let mut bytes = [0; SEGMENT_HEADER];
    file.read_exact_at(&mut bytes, 0)?;
    if bytes == [0; SEGMENT_HEADER] {
        // Its length was safe before its content.
        return Ok(Err(Foreign::Unfinished));
    }
    Ok(SegmentHeader::decode(&bytes))
}
