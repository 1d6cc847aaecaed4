//! The bytes of a segment, as `docs/spool-format.md` has them: version 1. All numbers are little-endian.

use std::fmt;

/// First bytes of a segment.
const SEGMENT_MAGIC: [u8; 8] = *b"RLSPOOL\n";

/// First bytes of a checkpoint.
const CHECKPOINT_MAGIC: [u8; 8] = *b"RLCHECK\n";

/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u16 = 1;

/// Bytes of the header of a segment.
pub(crate) const SEGMENT_HEADER: usize = 40;

/// First bytes of a frame.
pub(crate) const MARKER: [u8; 4] = *b"RLF1";

/// Bytes of the header of a frame.
pub(crate) const FRAME_HEADER: usize = 56;

/// Ranges a checkpoint has at most. What is done beyond them is sent again after a restart.
const CHECKPOINT_RANGES_MAX: usize = 4096;

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It does not begin as one.
    NotOurs,
    /// It does, but is of this version.
    Version(u16),
    /// It does, but the header is damaged.
    Damaged,
    /// Its header was never written whole.
    Unfinished,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("it is not a file of a spool"),
            Self::Version(version) => write!(
                f,
                "its format is version {version}, this build reads version {VERSION}"
            ),
            Self::Damaged => f.write_str("its header is damaged"),
            Self::Unfinished => f.write_str("its header was never written whole"),
        }
    }
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Goes into the checksum of each frame's header, so that nothing that was recorded can pass for one.
    pub(crate) salt: u64,
    /// The lowest number a frame in it has.
    pub(crate) first_id: u64,
    /// Records of all frames of the log before that one.
    pub(crate) records_before: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first_id.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.salt.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.records_before.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Self, Foreign> {
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(Foreign::NotOurs);
        }
        let version = u16_at(bytes, 8);
        if version != VERSION {
            return Err(Foreign::Version(version));
        }
        if u32_at(bytes, 36) != crc32c::crc32c(&bytes[..36]) {
            return Err(Foreign::Damaged);
        }
        Ok(Self {
            first_id: u64_at(bytes, 12),
            salt: u64_at(bytes, 20),
            records_before: u64_at(bytes, 28),
        })
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) id: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) appended_ms: u64,
    /// Records of all frames of the log before this one.
    pub(crate) records_before: u64,
    pub(crate) records: u32,
    /// Bytes of the three parts of the body.
    pub(crate) process_len: u16,
    pub(crate) note_len: u16,
    pub(crate) body_len: u32,
    pub(crate) sequence: u64,
    pub(crate) body_sum: u32,
}

impl FrameHeader {
    pub(crate) fn encode(&self, salt: u64) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[..4].copy_from_slice(&MARKER);
        bytes[4..8].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.appended_ms.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.records_before.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.records.to_le_bytes());
        bytes[36..38].copy_from_slice(&self.process_len.to_le_bytes());
        bytes[38..40].copy_from_slice(&self.note_len.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.body_sum.to_le_bytes());
        let sum = header_sum(&bytes, salt);
        bytes[52..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header, if these bytes are one of a segment with this salt.
    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER], salt: u64) -> Option<Self> {
        if bytes[..4] != MARKER || u32_at(bytes, 52) != header_sum(bytes, salt) {
            return None;
        }
        let header = Self {
            body_len: u32_at(bytes, 4),
            id: u64_at(bytes, 8),
            appended_ms: u64_at(bytes, 16),
            records_before: u64_at(bytes, 24),
            records: u32_at(bytes, 32),
            process_len: u16_at(bytes, 36),
            note_len: u16_at(bytes, 38),
            sequence: u64_at(bytes, 40),
            body_sum: u32_at(bytes, 48),
        };
        let texts = u32::from(header.process_len) + u32::from(header.note_len);
        (texts <= header.body_len).then_some(header)
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_len(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.body_len)
    }
}

fn header_sum(bytes: &[u8; FRAME_HEADER], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &bytes[..52])
}

/// What a log knows of frames that are done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// The highest number a frame has had.
    pub(crate) last_id: u64,
    /// Records of all frames so far.
    pub(crate) records: u64,
    /// Numbers of frames that are done: from the first of a range to the one after its last, in order.
    pub(crate) done: Vec<(u64, u64)>,
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let done = &self.done[..self.done.len().min(CHECKPOINT_RANGES_MAX)];
        let mut bytes = Vec::with_capacity(36 + 16 * done.len());
        bytes.extend_from_slice(&CHECKPOINT_MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(done.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.last_id.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        for (start, end) in done {
            bytes.extend_from_slice(&start.to_le_bytes());
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Foreign> {
        if !bytes.starts_with(&CHECKPOINT_MAGIC) || bytes.len() < 36 {
            return Err(Foreign::NotOurs);
        }
        let version = u16_at(bytes, 8);
        if version != VERSION {
            return Err(Foreign::Version(version));
        }
        let (content, sum) = bytes.split_at(bytes.len() - 4);
        let count = u32_at(bytes, 12) as usize;
        if u32_at(sum, 0) != crc32c::crc32c(content) || content.len() != 32 + 16 * count {
            return Err(Foreign::Damaged);
        }
        let ranges = content[32..].chunks_exact(16);
        Ok(Self {
            last_id: u64_at(bytes, 16),
            records: u64_at(bytes, 24),
            done: ranges.map(|r| (u64_at(r, 0), u64_at(r, 8))).collect(),
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// The callers know that there are as many bytes.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FrameHeader = FrameHeader {
        id: 7,
        appended_ms: 1_700_000_000_000,
        records_before: 600,
        records: 100,
        process_len: 4,
        note_len: 0,
        body_len: 14,
        sequence: 3,
        body_sum: 0xdead_beef,
    };

    #[test]
    fn what_is_written_is_as_documented() {
        let segment = SegmentHeader {
            salt: 0x1122_3344_5566_7788,
            first_id: 7,
            records_before: 600,
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(&segment.encode()),
            "524c53504f4f4c0a01000000070000000000000088776655443322115802000000000000".to_owned()
                + &hex(&crc32c::crc32c(&segment.encode()[..36]).to_le_bytes())
        );
        assert_eq!(SegmentHeader::decode(&segment.encode()), Ok(segment));
        let frame = HEADER.encode(segment.salt);
        assert_eq!(
            hex(&frame[..52]),
            "524c46310e00000007000000000000000068e5cf8b0100005802000000000000640000000400000003\
             00000000000000efbeadde"
        );
        assert_eq!(FrameHeader::decode(&frame, segment.salt), Some(HEADER));
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_header_is_noticed() {
        let frame = HEADER.encode(1);
        for bit in 0..8 * FRAME_HEADER {
            let mut flipped = frame;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&flipped, 1), None, "bit {bit}");
        }
        let segment = SegmentHeader {
            salt: 5,
            first_id: 9,
            records_before: 1,
        }
        .encode();
        for bit in 0..8 * SEGMENT_HEADER {
            let mut flipped = segment;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
        // What somebody recorded does not pass for a frame: they do not know the salt.
        assert_eq!(FrameHeader::decode(&frame, 2), None);
    }

    #[test]
    fn a_checkpoint_is_read_back_or_refused() {
        let checkpoint = Checkpoint {
            last_id: 90,
            records: 1234,
            done: vec![(3, 8), (10, 11)],
        };
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint));
        for len in 0..bytes.len() {
            assert!(Checkpoint::decode(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(Checkpoint::decode(&flipped).is_err(), "{at}");
        }
    }
}
