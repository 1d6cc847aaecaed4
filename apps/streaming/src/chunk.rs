//! The binary format of a chunk.
//!
//! ```text
//! offset  size  field (little endian)
//!      0     4  magic `RLC1`
//!      4     4  stream id
//!      8     8  sequence number within the stream, from 0
//!     16     2  number of samples
//!     18     2  reserved, 0
//!     20     4  checksum of the samples' bytes (FNV-1a, folded to 32 bits)
//!     24   2*n  samples, signed 16-bit
//! ```

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};
use ringlight::TraceContext;

const MAGIC: [u8; 4] = *b"RLC1";
const HEADER_BYTES: usize = 24;

/// The most samples in one chunk.
pub(crate) const SAMPLES_MAX: usize = 4_096;

/// Identifies a stream; shown as `stream-0007`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream-{:04}", self.0)
    }
}

/// What is wrong with a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Shorter than its header, or than the header says.
    #[error("chunk is cut short: {have} bytes of {need}")]
    Truncated {
        /// Bytes that arrived.
        have: usize,
        /// Bytes that were announced.
        need: usize,
    },
    /// It does not begin with the magic bytes.
    #[error("not a chunk: begins with {0:02x?}")]
    Magic([u8; 4]),
    /// The samples are not those the sender summed up.
    #[error("checksum mismatch: chunk says {expected:08x}, samples give {actual:08x}")]
    Checksum {
        /// The sum in the header.
        expected: u32,
        /// The sum of the samples.
        actual: u32,
    },
    /// More samples than a chunk may hold.
    #[error("chunk announces {0} samples, at most {SAMPLES_MAX} are allowed")]
    TooManySamples(usize),
    /// The header names another stream than the one the chunk came on.
    #[error("chunk of {found} arrived on {expected}")]
    WrongStream {
        /// The stream it arrived on.
        expected: StreamId,
        /// The stream in the header.
        found: StreamId,
    },
}

/// One message of a stream: bytes as they were read, not yet looked at.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The stream it was read from.
    pub stream_id: StreamId,
    /// The bytes, in the format above unless damaged on the way.
    pub bytes: Bytes,
    /// The span in which it was read, whose trace its processing continues.
    pub read_in: Option<TraceContext>,
}

/// A verified chunk, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Samples<'a> {
    /// The chunk's place in its stream.
    pub sequence: u64,
    bytes: &'a [u8],
}

impl<'a> Samples<'a> {
    /// Reads and verifies a chunk without copying it.
    ///
    /// # Errors
    /// The bytes are no intact chunk of `chunk.stream_id`.
    pub fn parse(chunk: &'a Chunk) -> Result<Self, ChunkError> {
        let bytes: &'a [u8] = &chunk.bytes;
        let Some((header, samples)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(ChunkError::Truncated {
                have: bytes.len(),
                need: HEADER_BYTES,
            });
        };
        let magic = array_at(header, 0);
        if magic != MAGIC {
            return Err(ChunkError::Magic(magic));
        }
        let found = StreamId(u32::from_le_bytes(array_at(header, 4)));
        if found != chunk.stream_id {
            return Err(ChunkError::WrongStream {
                expected: chunk.stream_id,
                found,
            });
        }
        let count = usize::from(u16::from_le_bytes(array_at(header, 16)));
        if count > SAMPLES_MAX {
            return Err(ChunkError::TooManySamples(count));
        }
        if samples.len() != count * 2 {
            return Err(ChunkError::Truncated {
                have: bytes.len(),
                need: HEADER_BYTES + count * 2,
            });
        }
        let expected = u32::from_le_bytes(array_at(header, 20));
        let actual = checksum(samples);
        if expected != actual {
            return Err(ChunkError::Checksum { expected, actual });
        }
        Ok(Self {
            sequence: u64::from_le_bytes(array_at(header, 8)),
            bytes: samples,
        })
    }

    /// The samples in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i16> + use<'a> {
        self.bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
    }

    /// The samples' bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

fn array_at<const N: usize>(header: &[u8; HEADER_BYTES], offset: usize) -> [u8; N] {
    std::array::from_fn(|index| header[offset + index])
}

/// FNV-1a over the bytes, both halves folded together.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash ^= u64::from(*byte);
        hash = hash.wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 32) as u32 ^ hash as u32
}

/// Builds chunks into one growing buffer and splits them off, so that many chunks share one
/// allocation.
#[derive(Debug, Default)]
pub struct ChunkBuilder {
    buffer: BytesMut,
}

impl ChunkBuilder {
    /// Builds one chunk; samples beyond the 4096th are left out.
    pub fn build(&mut self, stream_id: StreamId, sequence: u64, samples: &[i16]) -> Chunk {
        let samples = &samples[..samples.len().min(SAMPLES_MAX)];
        let length = HEADER_BYTES + samples.len() * 2;
        if self.buffer.capacity() < length {
            self.buffer.reserve(length.max(64 * 1024));
        }
        self.buffer.put_slice(&MAGIC);
        self.buffer.put_u32_le(stream_id.0);
        self.buffer.put_u64_le(sequence);
        // At most SAMPLES_MAX, which a u16 holds.
        self.buffer.put_u16_le(samples.len() as u16);
        self.buffer.put_u16_le(0);
        self.buffer.put_u32_le(0);
        for sample in samples {
            self.buffer.put_i16_le(*sample);
        }
        let sum = checksum(&self.buffer[HEADER_BYTES..]);
        self.buffer[20..24].copy_from_slice(&sum.to_le_bytes());
        Chunk {
            stream_id,
            bytes: self.buffer.split().freeze(),
            read_in: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(samples: &[i16]) -> Chunk {
        ChunkBuilder::default().build(StreamId(7), 3, samples)
    }

    fn altered(change: impl FnOnce(&mut Vec<u8>)) -> Chunk {
        let mut bytes = chunk(&[1, -2, 300]).bytes.to_vec();
        change(&mut bytes);
        Chunk {
            stream_id: StreamId(7),
            bytes: bytes.into(),
            read_in: None,
        }
    }

    #[test]
    fn a_chunk_reads_back_as_it_was_built() {
        let chunk = chunk(&[1, -2, 300, i16::MIN, i16::MAX]);
        let samples = Samples::parse(&chunk).unwrap();
        assert_eq!(samples.sequence, 3);
        assert_eq!(
            samples.iter().collect::<Vec<_>>(),
            [1, -2, 300, i16::MIN, i16::MAX]
        );
    }

    #[test]
    fn damage_is_found_and_named() {
        let cases: [(Chunk, &str); 6] = [
            (altered(|bytes| bytes.truncate(5)), "5 bytes of 24"),
            (altered(|bytes| bytes.truncate(29)), "29 bytes of 30"),
            (altered(|bytes| bytes[0] = 0), "not a chunk"),
            (altered(|bytes| bytes[25] ^= 1), "checksum mismatch"),
            (
                altered(|bytes| bytes[4] = 8),
                "chunk of stream-0008 arrived on stream-0007",
            ),
            (
                altered(|bytes| bytes[16..18].fill(0xff)),
                "65535 samples, at most 4096",
            ),
        ];
        for (chunk, expected) in cases {
            let message = Samples::parse(&chunk).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn chunks_of_one_builder_share_memory() {
        let mut builder = ChunkBuilder::default();
        let first = builder.build(StreamId(1), 0, &[5; 8]);
        let second = builder.build(StreamId(1), 1, &[6; 8]);
        assert_eq!(
            first.bytes.as_ptr() as usize + first.bytes.len(),
            second.bytes.as_ptr() as usize
        );
    }
}
