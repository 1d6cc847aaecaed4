//! Request bodies within bounds: of one request, of all together, and of time.

use std::fmt;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http_body::Body;
use http_body_util::BodyExt as _;

use crate::state::lock;

/// The smallest step in which a buffer grows.
const STEP_BYTES: usize = 4096;

/// Decompressed bytes that are kept without knowing how many follow.
const UNMEASURED_BYTES: usize = 1024 * 1024;

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

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
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

    /// Makes room for exactly `length` bytes in all.
    fn reserve(&mut self, length: usize) -> Result<(), BodyError> {
        if length > self.taken {
            self.memory.take(length - self.taken)?;
            self.taken = length;
            self.bytes.reserve_exact(length - self.bytes.len());
        }
        Ok(())
    }

    /// The bytes that `make` makes, of which there are about `expected`.
    pub(super) fn made<E>(
        memory: &Memory,
        expected: usize,
        make: impl FnOnce() -> Result<Vec<u8>, E>,
        refused: impl FnOnce(BodyError) -> E,
    ) -> Result<Self, E> {
        let mut buffer = Self::new(memory, usize::MAX);
        if let Err(error) = buffer.memory.take(expected) {
            return Err(refused(error));
        }
        buffer.taken = expected;
        buffer.bytes = make()?;
        let size = buffer.bytes.capacity();
        if let Some(more) = size.checked_sub(expected) {
            if let Err(error) = buffer.memory.take(more) {
                return Err(refused(error));
            }
        } else {
            buffer.memory.give_back(expected - size);
        }
        buffer.taken = size;
        Ok(buffer)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.memory.give_back(self.taken);
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
///
/// What grows large is measured before it is kept, so that a bomb costs time and no memory, and
/// large requests take no more than their size.
pub(super) fn gunzip(compressed: &[u8], memory: &Memory, max: usize) -> Result<Buffer, BodyError> {
    let mut buffer = Buffer::new(memory, max);
    if compressed.is_empty() {
        return Ok(buffer);
    }
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut chunk = [0; 16 * 1024];
    while buffer.bytes.len() < UNMEASURED_BYTES {
        match read(&mut decoder, &mut chunk)? {
            0 => return Ok(buffer),
            length => buffer.append(&chunk[..length])?,
        }
    }
    let mut size = buffer.bytes.len();
    loop {
        match read(&mut decoder, &mut chunk)? {
            0 => break,
            length => size += length,
        }
        if size > max {
            return Err(BodyError::TooLarge);
        }
    }
    let kept = buffer.bytes.len();
    buffer.reserve(size)?;
    // What is kept already is read again and passed over: a decoder cannot go back.
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut passed = 0;
    loop {
        let length = match read(&mut decoder, &mut chunk)? {
            0 => return Ok(buffer),
            length => length,
        };
        let known = kept.saturating_sub(passed).min(length);
        buffer.append(&chunk[known..length])?;
        passed += length;
    }
}

fn read(decoder: &mut MultiGzDecoder<&[u8]>, chunk: &mut [u8]) -> Result<usize, BodyError> {
    loop {
        match decoder.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|_| BodyError::Corrupt),
        }
    }
}

/// Places for work that needs a processor, so that it does not take the memory of more requests
/// than there are processors to work on them.
#[derive(Debug)]
pub(super) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Turns {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Mutex::new(count),
            freed: Condvar::new(),
        }
    }

    /// Does `work` as soon as there is a place. Blocks.
    pub(super) fn take<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = lock(&self.free);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let _turn = Turn(self);
        work()
    }
}

/// Gives its place back, also when the work panics.
struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
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
    }

    #[test]
    fn bytes_made_elsewhere_are_counted_before_and_after() {
        let memory = Memory::new(10_000);
        let make = |expected, size| {
            let make = || {
                assert_eq!(memory.used(), expected);
                Ok(Vec::with_capacity(size))
            };
            Buffer::made(&memory, expected, make, |error| error)
        };
        for (expected, size) in [(100, 5000), (5000, 100), (100, 100)] {
            let buffer = make(expected, size).unwrap();
            assert_eq!(memory.used(), size);
            drop(buffer);
            assert_eq!(memory.used(), 0);
        }
        assert_eq!(make(100, 10_001).unwrap_err(), BodyError::Memory);
        let never = || unreachable!("there is no memory for it");
        let refused = Buffer::made(&memory, 10_001, never, |error| error);
        assert_eq!(refused.unwrap_err(), BodyError::Memory);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn large_gzip_takes_the_memory_of_its_content_and_bombs_take_none() {
        use std::io::Write as _;
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let content: Vec<u8> = (0..5_000_000_u32).map(|i| (i / 7) as u8).collect();
        let memory = Memory::new(content.len());
        let members = [gzip(&content[..1_500_000]), gzip(&content[1_500_000..])].concat();
        for compressed in [gzip(&content), members] {
            let buffer = gunzip(&compressed, &memory, content.len()).unwrap();
            assert!(buffer.as_slice() == content);
            assert_eq!(memory.used(), content.len());
            drop(buffer);
            let refused = gunzip(&compressed, &memory, content.len() - 1);
            assert_eq!(refused.unwrap_err(), BodyError::TooLarge);
            let cut = &compressed[..compressed.len() - 5];
            let refused = gunzip(cut, &memory, content.len());
            assert_eq!(refused.unwrap_err(), BodyError::Corrupt);
        }
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn turns_are_taken_by_no_more_than_there_are() {
        let turns = Turns::new(2);
        let (working, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        turns.take(|| {
                            let now = working.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            std::thread::yield_now();
                            working.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }
}
