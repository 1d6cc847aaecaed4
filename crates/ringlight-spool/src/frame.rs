//! What goes into a log, and comes out of it.

use std::io;

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::format::{FRAME_HEADER, FrameHeader};

/// A batch on its way into a log.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The name of the process that made the batch, and the batch's number there: together they name it for
    /// good. At most 64 KiB.
    pub process: &'a str,
    /// See [`process`](Self::process).
    pub sequence: u64,
    /// Records in the batch.
    pub records: u32,
    /// Why it is here, for people; empty but in dead letters. What is beyond 64 KiB is cut.
    pub note: &'a str,
    /// The batch. At most 1 GiB.
    pub bytes: &'a [u8],
}

/// A batch that came out of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its number in the log: higher than that of every frame before it.
    pub id: u64,
    /// When it went in, in milliseconds since the Unix epoch.
    pub appended_ms: u64,
    /// See [`Entry::process`].
    pub process: String,
    /// See [`Entry::sequence`].
    pub sequence: u64,
    /// See [`Entry::records`].
    pub records: u32,
    /// See [`Entry::note`].
    pub note: String,
    /// The batch.
    pub bytes: Bytes,
}

const BYTES_MAX: usize = 1 << 30;

impl Entry<'_> {
    /// Bytes it takes in a log.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        FRAME_HEADER + self.process.len() + self.shown_note().len() + self.bytes.len()
    }

    pub(crate) fn shown_note(&self) -> &str {
        let end = self.note.floor_char_boundary(u16::MAX.into());
        &self.note[..end]
    }

    pub(crate) fn header(&self, id: u64, now_ms: u64, records: u64) -> io::Result<FrameHeader> {
        let too_long = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let process_len = u16::try_from(self.process.len())
            .map_err(|_| too_long("the name of the process is longer than 64 KiB"))?;
        if self.bytes.len() > BYTES_MAX {
            return Err(too_long("the batch is larger than 1 GiB"));
        }
        let note = self.shown_note();
        let mut sum = crc32c::crc32c(self.process.as_bytes());
        sum = crc32c::crc32c_append(sum, note.as_bytes());
        sum = crc32c::crc32c_append(sum, self.bytes);
        Ok(FrameHeader {
            id,
            appended_ms: now_ms,
            records_before: records,
            records: self.records,
            process_len,
            note_len: note.len() as u16,
            body_len: (self.process.len() + note.len() + self.bytes.len()) as u32,
            sequence: self.sequence,
            body_sum: sum,
        })
    }
}

/// The frame at an offset; `None` if its body is damaged.
pub(crate) fn read(
    file: &dyn DiskFile,
    offset: u64,
    header: &FrameHeader,
) -> io::Result<Option<Frame>> {
    let mut body = vec![0; header.body_len as usize];
    file.read_exact_at(&mut body, offset + FRAME_HEADER as u64)?;
    if crc32c::crc32c(&body) != header.body_sum {
        return Ok(None);
    }
    let mut body = Bytes::from(body);
    let process = body.split_to(header.process_len.into());
    let note = body.split_to(header.note_len.into());
    Ok(Some(Frame {
        id: header.id,
        appended_ms: header.appended_ms,
        process: String::from_utf8_lossy(&process).into_owned(),
        sequence: header.sequence,
        records: header.records,
        note: String::from_utf8_lossy(&note).into_owned(),
        bytes: body,
    }))
}
