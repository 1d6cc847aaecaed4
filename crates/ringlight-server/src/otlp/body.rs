//! Request bodies within bounds: of one request, of all together, and of time.

use std::fmt;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;

/// The smallest step in which a buffer grows.
const STEP_BYTES: usize = 4096;

/// The memory all requests in flight share.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    max: usize,
    /// Never above `max`. `Relaxed`: it guards no other data.
    used: AtomicUsize,
}

impl Memory {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Pool {
            max: bytes_max,
            used: AtomicUsize::new(0),
        }))
    }

    /// Bytes in use by requests in flight.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), BodyError> {
        let pool = &self.0;
        let taken = pool
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= pool.max)
            });
        taken.map(|_| ()).map_err(|_| BodyError::Memory)
    }
}

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Larger than one request may be.
    TooLarge,
    /// All requests together would take too much memory.
    Memory,
    /// It took too long to arrive.
    Slow,
    /// The connection ended first.
    Incomplete,
    /// It does not decompress.
    Corrupt,
}

/// Bytes that count against the shared memory for as long as they are kept.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Where the content starts; at most `bytes.len()`.
    start: usize,
    max: usize,
    memory: Memory,
    taken: usize,
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.as_slice().len())
    }
}

impl Buffer {
    /// An empty buffer that takes up to `max` bytes.
    pub(super) fn new(memory: &Memory, max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            max,
            memory: memory.clone(),
            taken: 0,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Forgets the first `count` bytes.
    pub(super) fn skip(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
    }

    fn append(&mut self, more: &[u8]) -> Result<(), BodyError> {
        let needed = self.bytes.len() + more.len();
        if needed > self.max {
            return Err(BodyError::TooLarge);
        }
        if needed > self.taken {
            let target = needed.max(self.taken * 2).max(STEP_BYTES).min(self.max);
            self.memory.take(target - self.taken)?;
            self.taken = target;
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Counts bytes that were made elsewhere.
    pub(super) fn adopt(memory: &Memory, bytes: Vec<u8>) -> Result<Self, BodyError> {
        let taken = bytes.capacity();
        memory.take(taken)?;
        Ok(Self {
            max: taken,
            bytes,
            start: 0,
            memory: memory.clone(),
            taken,
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Pairs with nothing: the count guards no other data.
        self.memory.0.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Reads a whole body of at most `max` bytes within `timeout`.
pub(super) async fn collect<B>(
    body: &mut B,
    memory: &Memory,
    max: usize,
    timeout: Duration,
) -> Result<Buffer, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut buffer = Buffer::new(memory, max);
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| BodyError::Incomplete)?;
            if let Some(data) = frame.data_ref() {
                buffer.append(data)?;
            }
        }
        Ok(())
    };
    match tokio::time::timeout(timeout, all).await {
        Ok(Ok(())) => Ok(buffer),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(BodyError::Slow),
    }
}

/// Reads up to `max` more bytes and throws them away, so that a client which sends its whole
/// request before it looks for an answer finds one instead of a reset connection.
pub(super) async fn drain<B>(body: &mut B, max: usize, timeout: Duration)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = max;
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(size) else {
                break;
            };
            left = rest;
        }
    };
    // Whether it ended, was too much or too slow makes no difference to the answer.
    let _ = tokio::time::timeout(timeout, all).await;
}

/// Decompresses gzip, any number of members, to at most `max` bytes. Blocks.
pub(super) fn gunzip(compressed: &[u8], memory: &Memory, max: usize) -> Result<Buffer, BodyError> {
    let mut buffer = Buffer::new(memory, max);
    if compressed.is_empty() {
        return Ok(buffer);
    }
    let mut decoder = flate2::bufread::MultiGzDecoder::new(compressed);
    let mut chunk = [0; 16 * 1024];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(buffer),
            Ok(length) => buffer.append(&chunk[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(BodyError::Corrupt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_and_given_back() {
        let memory = Memory::new(10_000);
        let mut first = Buffer::new(&memory, 8192);
        first.append(&[1; 6000]).unwrap();
        assert_eq!(memory.used(), 6000);
        let mut second = Buffer::new(&memory, 8192);
        assert_eq!(second.append(&[1; 1]), Err(BodyError::Memory));
        assert_eq!(first.append(&[1; 3000]), Err(BodyError::TooLarge));
        drop(first);
        second.append(&[1; 1]).unwrap();
        assert_eq!(memory.used(), STEP_BYTES);
        second.skip(1);
        assert!(second.as_slice().is_empty());
        drop(second);
        assert_eq!(memory.used(), 0);
        assert!(Buffer::adopt(&memory, Vec::with_capacity(10_001)).is_err());
        assert_eq!(memory.used(), 0);
    }
}
