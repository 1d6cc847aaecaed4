//! The memory of one ring: zeroed words that two threads write and read in turns.
//!
//! All unsafe code of the crate is in this module and in [`spsc`](crate::spsc), which decides
//! whose turn it is.
#![expect(
    unsafe_code,
    reason = "two threads share plain memory, handed over by the ring's indices"
)]

use std::slice;

/// Bytes of a word; records start at multiples of it.
pub(crate) const WORD_BYTES: usize = size_of::<u64>();

/// A block of initialized memory without any notion of who may touch what.
pub(crate) struct Memory {
    /// The start of the words, owned: made from a box, given back to one on drop. All
    /// access is derived from this pointer, never from a reference to the whole.
    words: *mut u64,
    /// A multiple of the size of a word.
    size_bytes: usize,
    /// One cell a word, by which loom sees the accesses and reports those that race.
    #[cfg(ringlight_loom)]
    cells: Vec<loom::cell::UnsafeCell<()>>,
}

// SAFETY: the pointer owns its memory as a box does; words may be used from any thread.
unsafe impl Send for Memory {}
// SAFETY: every access through a shared reference is by an unsafe method whose caller promises
// that no other thread touches those words meanwhile.
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeroed memory; the system provides its pages when they are first touched.
    pub(crate) fn zeroed(size_bytes: usize) -> Self {
        let words_count = size_bytes / WORD_BYTES;
        let words = Box::into_raw(vec![0u64; words_count].into_boxed_slice()).cast::<u64>();
        Self {
            words,
            size_bytes: words_count * WORD_BYTES,
            #[cfg(ringlight_loom)]
            cells: (0..words_count)
                .map(|_| loom::cell::UnsafeCell::new(()))
                .collect(),
        }
    }

    #[inline]
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Writes the word at a byte offset.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and below the size; nobody else reads or writes the word
    /// meanwhile.
    #[inline]
    pub(crate) unsafe fn write_word(&self, offset: usize, value: u64) {
        self.track_write(offset, WORD_BYTES);
        debug_assert!(offset.is_multiple_of(WORD_BYTES) && offset < self.size_bytes());
        // SAFETY: in bounds and aligned by the caller's promise.
        let word = unsafe { self.words.byte_add(offset) };
        // SAFETY: as above, and not accessed by anybody else.
        unsafe { word.write(value) };
    }

    /// Reads the word at a byte offset.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and below the size; nobody writes the word meanwhile.
    #[inline]
    pub(crate) unsafe fn read_word(&self, offset: usize) -> u64 {
        self.track_read(offset, WORD_BYTES);
        debug_assert!(offset.is_multiple_of(WORD_BYTES) && offset < self.size_bytes());
        // SAFETY: in bounds and aligned by the caller's promise.
        let word = unsafe { self.words.byte_add(offset) };
        // SAFETY: as above, initialized since allocation, and not written meanwhile.
        unsafe { word.read() }
    }

    /// The bytes of a range, to write.
    ///
    /// # Safety
    /// The range lies within the memory; nobody else reads or writes the words it touches for as
    /// long as the slice lives.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "exclusive by the caller's promise, as for a cell"
    )]
    pub(crate) unsafe fn bytes_mut(&self, offset: usize, length: usize) -> &mut [u8] {
        self.track_write(offset, length);
        debug_assert!(offset + length <= self.size_bytes());
        // SAFETY: in bounds by the caller's promise.
        let start = unsafe { self.words.byte_add(offset) }.cast::<u8>();
        // SAFETY: in bounds, initialized since allocation, and exclusive by the caller's promise.
        unsafe { slice::from_raw_parts_mut(start, length) }
    }

    /// The bytes of a range, to read.
    ///
    /// # Safety
    /// The range lies within the memory; nobody writes the words it touches for as long as the
    /// slice lives.
    #[inline]
    pub(crate) unsafe fn bytes(&self, offset: usize, length: usize) -> &[u8] {
        self.track_read(offset, length);
        debug_assert!(offset + length <= self.size_bytes());
        // SAFETY: in bounds by the caller's promise.
        let start = unsafe { self.words.byte_add(offset) }.cast::<u8>();
        // SAFETY: in bounds, initialized since allocation, and not written by the caller's promise.
        unsafe { slice::from_raw_parts(start, length) }
    }

    /// Tells loom of a write that happens now; nothing otherwise.
    #[inline]
    #[cfg_attr(
        not(ringlight_loom),
        expect(clippy::unused_self, reason = "only loom tracks")
    )]
    pub(crate) fn track_write(&self, _offset: usize, _length: usize) {
        #[cfg(ringlight_loom)]
        for cell in &self.cells[_offset / WORD_BYTES..(_offset + _length).div_ceil(WORD_BYTES)] {
            cell.with_mut(|_| ());
        }
    }

    /// Tells loom of a read that happens now; nothing otherwise.
    #[inline]
    #[cfg_attr(
        not(ringlight_loom),
        expect(clippy::unused_self, reason = "only loom tracks")
    )]
    pub(crate) fn track_read(&self, _offset: usize, _length: usize) {
        #[cfg(ringlight_loom)]
        for cell in &self.cells[_offset / WORD_BYTES..(_offset + _length).div_ceil(WORD_BYTES)] {
            cell.with(|_| ());
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let words = std::ptr::slice_from_raw_parts_mut(self.words, self.size_bytes / WORD_BYTES);
        // SAFETY: made by `Box::into_raw` with this length in `zeroed`, and given back only here.
        drop(unsafe { Box::from_raw(words) });
    }
}
