//! The memory of requests in flight: bounded for all together, and given back to the system.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use memmap2::{MmapMut, MmapOptions};

use super::body::BodyError;
use crate::state::lock;

/// The smallest step in which a buffer grows.
const STEP_BYTES: usize = 4096;

/// Beyond this, content lies in memory of its own and not in the allocator's, which keeps what was
/// freed for a while, once per thread and size: many large requests at once would take several
/// times what they are charged for.
const ALLOCATED_BYTES_MAX: usize = 64 * 1024;

/// The step in which content in memory of its own grows.
const MAPPED_STEP_BYTES: usize = 64 * 1024;

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

/// Bytes that count against the shared memory for as long as they are kept.
pub(super) struct Buffer {
    content: Content,
    /// Where the content starts; at most its length.
    start: usize,
    max: usize,
    memory: Memory,
    taken: usize,
}

/// Where the bytes of a buffer are.
enum Content {
    Allocated(Vec<u8>),
    /// Room for twice the content at most. Pages that were not written take no memory, and all of
    /// it goes back to the system when it is dropped.
    Mapped {
        map: MmapMut,
        length: usize,
    },
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
            content: Content::Allocated(Vec::new()),
            start: 0,
            max,
            memory: memory.clone(),
            taken: 0,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.content()[self.start..]
    }

    /// Forgets the first `count` bytes.
    pub(super) fn skip(&mut self, count: usize) {
        self.start = (self.start + count).min(self.content().len());
    }

    fn content(&self) -> &[u8] {
        match &self.content {
            Content::Allocated(bytes) => bytes,
            Content::Mapped { map, length } => &map[..*length],
        }
    }

    pub(super) fn append(&mut self, more: &[u8]) -> Result<(), BodyError> {
        let needed = self.content().len() + more.len();
        if needed > self.max {
            return Err(BodyError::TooLarge);
        }
        if needed > self.taken {
            let target = if needed > ALLOCATED_BYTES_MAX {
                needed.next_multiple_of(MAPPED_STEP_BYTES)
            } else {
                needed.max(self.taken * 2).max(STEP_BYTES)
            };
            self.reserve(target.min(self.max))?;
        }
        match &mut self.content {
            Content::Allocated(bytes) => bytes.extend_from_slice(more),
            Content::Mapped { map, length } => {
                map[*length..needed].copy_from_slice(more);
                *length = needed;
            }
        }
        Ok(())
    }

    /// Makes room for exactly `length` bytes in all, at most as many as the buffer may take.
    pub(super) fn reserve(&mut self, length: usize) -> Result<(), BodyError> {
        if length <= self.taken {
            return Ok(());
        }
        let more = length - self.taken;
        self.memory.take(more)?;
        let has_room = match &self.content {
            Content::Allocated(bytes) => length <= bytes.capacity(),
            Content::Mapped { map, .. } => length <= map.len(),
        };
        if !has_room && let Err(error) = self.move_to(length) {
            self.memory.give_back(more);
            return Err(error);
        }
        self.taken = length;
        Ok(())
    }

    /// Moves the content to where `length` bytes have room.
    fn move_to(&mut self, length: usize) -> Result<(), BodyError> {
        if let Content::Allocated(bytes) = &mut self.content
            && length <= ALLOCATED_BYTES_MAX
        {
            bytes.reserve_exact(length - bytes.len());
            return Ok(());
        }
        // For a moment the content is there twice.
        let copied = self.content().len();
        self.memory.take(copied)?;
        let moved = self.copied_to(length);
        self.memory.give_back(copied);
        self.content = moved?;
        Ok(())
    }

    /// A copy of the content, with room for `length` bytes.
    fn copied_to(&self, length: usize) -> Result<Content, BodyError> {
        let content = self.content();
        if let Ok(mut map) = map(self.max.min(length.next_power_of_two())) {
            map[..content.len()].copy_from_slice(content);
            let length = content.len();
            return Ok(Content::Mapped { map, length });
        }
        // The system gives out no more address space; the allocator may have some left.
        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(length);
        reserved.map_err(|_| BodyError::Memory)?;
        bytes.extend_from_slice(content);
        Ok(Content::Allocated(bytes))
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
        let bytes = make()?;
        let size = bytes.capacity();
        buffer.content = Content::Allocated(bytes);
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

/// Memory of its own, of which only what is written to is taken.
fn map(length: usize) -> std::io::Result<MmapMut> {
    let map = MmapOptions::new()
        .len(length)
        .no_reserve_swap()
        .map_anon()?;
    // Otherwise the first byte of a huge page takes all of it, where the system has them for
    // everyone. Where it has none, there is nothing to refuse.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::NoHugePage);
    Ok(map)
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.memory.give_back(self.taken);
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
