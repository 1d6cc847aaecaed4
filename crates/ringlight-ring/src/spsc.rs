//! The ring itself: one producer end, one consumer end, records as runs of bytes.
//!
//! # Layout
//! A record is a header word followed by its bytes, rounded up to whole words. The header holds
//! the length in bytes; the value [`PADDING`] means that the rest of the memory up to its end is
//! unused, because the next record did not fit there in one piece. Positions count bytes since the
//! ring was made, wrap with the integer, and are multiples of 8, which leaves three low bits for
//! flags: two in the tail's word, one in the head's.
//!
//! # Whose turn it is
//! Bytes from the head to the tail belong to the consumer, the others to the producer. The
//! producer hands over by moving the tail, the consumer gives back by moving the head. Each index
//! word is changed by read-modify-writes where a flag could be set at the same time, so that
//! moving an index and setting its flag are totally ordered; no fence is needed anywhere:
//! - [`CLOSED`] in the tail word: set by whoever closes. From then on the tail cannot move, so
//!   what the consumer reads is final and a commit that failed was not delivered.
//! - [`LISTENING`] in the tail word: set by a consumer that has found nothing and is going to
//!   sleep. The producer clears it by moving the tail and rouses the consumer. A producer expects a
//!   tail without flags, so a commit pays for this only where it finds one.
//! - [`WAITING`] in the head word: set by a producer that needs room. The consumer clears it by
//!   moving the head and rouses the producer.
#![expect(
    unsafe_code,
    reason = "the ends touch the memory that their indices say is theirs"
)]

use std::{cell::Cell, marker::PhantomData};

use crate::{
    Closed, ReserveError, WaitError, Wake,
    memory::{Memory, WORD_BYTES},
    sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, CachePadded, Ordering},
};

/// How many counters a producer keeps.
pub const COUNTERS: usize = 17;

const HEADER_BYTES: usize = WORD_BYTES;
/// A producer looks at the head after so many bytes at the latest: one cache miss in some 400 records.
const LOOK_BYTES: usize = 64 * 1024;
/// Header of the unused end of the memory. No record is that long.
const PADDING: u64 = u64::MAX;
/// Flag in the tail word: nothing can be published any more.
const CLOSED: usize = 1;
/// Flag in the tail word: the consumer wants to be roused when the tail moves.
const LISTENING: usize = 2;
/// Flag in the head word: the producer wants to be roused when the head moves.
const WAITING: usize = 1;
/// The bits of an index word that are flags.
const FLAGS: usize = WORD_BYTES - 1;

/// What the two ends share.
pub(crate) struct Ring {
    memory: Memory,
    /// Bytes of the memory for urgent records only.
    headroom_bytes: usize,
    /// Rouses a producer that waits for room, and on close.
    room: Wake,
    /// Whether a [`Producer`] exists.
    producer_taken: AtomicBool,
    /// Whether the [`Consumer`] was taken.
    consumer_taken: AtomicBool,
    /// Position after the last published record, `CLOSED` and `LISTENING`. Moved by the producer,
    /// flagged by anybody; the consumer's copy may be behind.
    tail: CachePadded<AtomicUsize>,
    /// Position of the first record not yet given back, and `WAITING`. Moved by the consumer; the
    /// producer's copy may be behind, which only makes the ring look fuller than it is.
    head: CachePadded<AtomicUsize>,
    /// Written by the producer, read by anybody at any time.
    counters: CachePadded<[AtomicU64; COUNTERS]>,
}

impl Ring {
    /// An empty ring; `size_bytes` is a power of two and at least 64, the headroom a multiple of 8 up
    /// to half of it.
    pub(crate) fn new(size_bytes: usize, headroom_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            memory: Memory::zeroed(size_bytes),
            headroom_bytes,
            room: Wake::new(),
            producer_taken: AtomicBool::new(false),
            consumer_taken: AtomicBool::new(false),
            // The consumer does not know this ring yet and may be asleep.
            tail: CachePadded(AtomicUsize::new(LISTENING)),
            head: CachePadded(AtomicUsize::new(0)),
            counters: CachePadded(std::array::from_fn(|_| AtomicU64::new(0))),
        })
    }

    /// Bytes that any record may use.
    fn ordinary_bytes(&self) -> usize {
        self.memory.size_bytes() - self.headroom_bytes
    }

    /// The producer end, unless there is one. `wake` rouses the consumer.
    pub(crate) fn producer(this: &Arc<Self>, wake: &Wake) -> Option<Producer> {
        // Acquire pairs with the Release of the former producer's drop: its words in memory, its
        // tail and its counters are ours to continue.
        if this.producer_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        // Relaxed: the former producer's store is visible by the Acquire above, and nobody else
        // moves the tail.
        let tail = this.tail.load(Ordering::Relaxed) & !FLAGS;
        // No limit yet: the first reservation looks at the head.
        Some(Producer {
            ring: Arc::clone(this),
            wake: wake.clone(),
            record_bytes_max: this.ordinary_bytes() / 2 - HEADER_BYTES,
            tail,
            limit: tail,
            roused_at_head: None,
            on_look: None,
            has_looked: false,
            unsync: PhantomData,
        })
    }

    /// The consumer end; there is one in a ring's life.
    pub(crate) fn consumer(this: &Arc<Self>) -> Option<Consumer> {
        // Relaxed: only one caller gets `false`, and it takes over nothing from anybody.
        if this.consumer_taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(Consumer {
            ring: Arc::clone(this),
            head: 0,
            tail: 0,
        })
    }

    /// Ends publishing for good. Idempotent.
    pub(crate) fn close(&self) {
        // Relaxed: it publishes nothing. The tail's modification order decides for every commit
        // whether it came before, and being a read-modify-write it continues that commit's release
        // sequence, so who sees the flag sees the records.
        self.tail.fetch_or(CLOSED, Ordering::Relaxed);
        self.room.wake();
    }

    /// Whether a producer owns the ring now; may change at any moment.
    pub(crate) fn has_producer(&self) -> bool {
        // Relaxed: a hint, the swap in `producer` decides.
        self.producer_taken.load(Ordering::Relaxed)
    }

    /// Bytes from the head to the tail as they were a moment ago, framing included.
    pub(crate) fn fill_bytes(&self) -> usize {
        // Relaxed: a measure, nothing is read by it. The head first, so that a head moved in
        // between cannot pass the tail; the clamp covers a tail that moved far.
        let head = self.head.load(Ordering::Relaxed) & !FLAGS;
        let tail = self.tail.load(Ordering::Relaxed) & !FLAGS;
        tail.wrapping_sub(head).min(self.memory.size_bytes())
    }

    /// The current value of a counter; 0 for an index that does not exist.
    pub(crate) fn counter(&self, index: usize) -> u64 {
        // Acquire pairs with the Release in `Producer::add`: whoever sees an addition also sees what
        // the producer added to any counter before it. One added before a record was committed is
        // visible to who has drained the record, by the tail's Release and Acquire.
        self.counters
            .get(index)
            .map_or(0, |counter| counter.load(Ordering::Acquire))
    }
}

/// The end that writes.
pub(crate) struct Producer {
    ring: Arc<Ring>,
    /// Rouses the consumer.
    wake: Wake,
    /// Half of what ordinary records may use, less the header.
    record_bytes_max: usize,
    /// The tail as this end, the only one to move it, last set it.
    tail: usize,
    /// Up to here ordinary records fit, in one piece, without looking at the head again; at most
    /// [`LOOK_BYTES`] or one record after `tail`, and behind it when the next reservation is to look in
    /// any case. It stops at the end of the memory, at half a ring after the last head seen, to notice the
    /// watermark, and before the headroom.
    limit: usize,
    /// The head at the last time this end roused the consumer: it is not roused again for it.
    roused_at_head: Option<usize>,
    /// Called with each look at the head but the first.
    on_look: Option<fn()>,
    has_looked: bool,
    /// Moving between threads is fine, sharing is not.
    unsync: PhantomData<Cell<()>>,
}

impl Producer {
    /// The longest record, such that one always fits into an empty ring wherever its tail is.
    #[inline]
    pub(crate) const fn record_bytes_max(&self) -> usize {
        self.record_bytes_max
    }

    #[inline]
    pub(crate) fn reserve(&mut self, length: usize) -> Result<Reservation<'_>, ReserveError> {
        if length > self.record_bytes_max() {
            return Err(ReserveError::TooLarge);
        }
        let room = self.limit.wrapping_sub(self.tail).cast_signed();
        let needed = HEADER_BYTES + length.next_multiple_of(WORD_BYTES);
        let start = if needed.cast_signed() <= room {
            self.tail
        } else {
            self.make_room(needed, self.ring.ordinary_bytes())?
        };
        Ok(self.take(start, length))
    }

    /// The same, with the headroom.
    #[cold]
    pub(crate) fn reserve_urgent(
        &mut self,
        length: usize,
    ) -> Result<Reservation<'_>, ReserveError> {
        if length > self.record_bytes_max() {
            return Err(ReserveError::TooLarge);
        }
        let needed = HEADER_BYTES + length.next_multiple_of(WORD_BYTES);
        let made = self.make_room(needed, self.ring.memory.size_bytes());
        // For this record alone: the next ordinary one looks again.
        self.limit = self.tail;
        made.map(|start| self.take(start, length))
    }

    /// Room that is there, from `start` on.
    #[inline]
    fn take(&mut self, start: usize, length: usize) -> Reservation<'_> {
        Reservation {
            offset: start & (self.ring.memory.size_bytes() - 1),
            start,
            length,
            producer: self,
        }
    }

    /// Bytes from the tail to the end of the memory.
    fn to_end(&self) -> usize {
        let size_bytes = self.ring.memory.size_bytes();
        size_bytes - (self.tail & (size_bytes - 1))
    }

    /// Unused bytes before a record that needs so many: those that are left before the end of the
    /// memory if it does not fit there in one piece.
    fn padding(&self, needed: usize) -> usize {
        let to_end = self.to_end();
        if needed > to_end { to_end } else { 0 }
    }

    /// Looks at the head again, rouses the consumer past the watermark, and says where there is room
    /// for so many bytes among the `usable` ones of the ring.
    #[cold]
    fn make_room(&mut self, needed: usize, usable_bytes: usize) -> Result<usize, ReserveError> {
        // Relaxed: the flag alone ends the call; it tells nothing about other memory.
        if self.ring.tail.load(Ordering::Relaxed) & CLOSED != 0 {
            return Err(ReserveError::Closed);
        }
        // Acquire pairs with the Release of the swap in `Consumer::give_back`: the consumer's reads
        // of what it gave back are over before we write there.
        let head = self.ring.head.load(Ordering::Acquire) & !FLAGS;
        if std::mem::replace(&mut self.has_looked, true)
            && let Some(on_look) = self.on_look
        {
            on_look();
        }
        let padding = self.padding(needed);
        self.use_head(head, padding + needed, usable_bytes)?;
        if padding > 0 {
            let size_bytes = self.ring.memory.size_bytes();
            // SAFETY: the tail's word belongs to the producer, since the head is at most a ring
            // behind the end of what was found to be room, and the index is masked into the memory.
            unsafe {
                self.ring
                    .memory
                    .write_word(self.tail & (size_bytes - 1), PADDING)
            };
        }
        Ok(self.tail.wrapping_add(padding))
    }

    pub(crate) const fn set_on_look(&mut self, on_look: fn()) {
        self.on_look = Some(on_look);
    }

    /// Sets the limit by a head read with Acquire, and says whether `total` bytes fit.
    fn use_head(
        &mut self,
        head: usize,
        total: usize,
        usable_bytes: usize,
    ) -> Result<(), ReserveError> {
        let half_bytes = self.ring.memory.size_bytes() / 2;
        let fill = self.tail.wrapping_sub(head);
        let fits = fill + total <= usable_bytes;
        // Urgent records may have filled more than what is usable now.
        let mut room = usable_bytes.saturating_sub(fill);
        if fill >= half_bytes || !fits {
            // Once per head: until the head moves, the permit of the first time is still there or
            // the consumer is at work.
            if self.roused_at_head != Some(head) {
                self.roused_at_head = Some(head);
                self.wake.wake();
            }
        } else {
            room = half_bytes.max(fill + total) - fill;
        }
        // Looks are this often at least, since they are also what others go by.
        room = room.min(LOOK_BYTES.max(total)).min(self.to_end());
        self.limit = self.tail.wrapping_add(room);
        if fits {
            Ok(())
        } else {
            Err(ReserveError::Full)
        }
    }

    pub(crate) fn wait_room(
        &mut self,
        length: usize,
        mut wait: impl FnMut(&Wake) -> bool,
    ) -> Result<(), WaitError> {
        if length > self.record_bytes_max() {
            return Err(WaitError::TooLarge);
        }
        let needed = HEADER_BYTES + length.next_multiple_of(WORD_BYTES);
        let total = self.padding(needed) + needed;
        loop {
            // Relaxed: as in `make_room`. Closing rouses this wait after it set the flag.
            if self.ring.tail.load(Ordering::Relaxed) & CLOSED != 0 {
                return Err(WaitError::Closed);
            }
            // Acquire pairs with `Consumer::give_back` as in `make_room`. A read-modify-write, so
            // the consumer's next move of the head either came before, and we see it here, or
            // comes after, and then it sees the flag and rouses us.
            let head = self.ring.head.fetch_or(WAITING, Ordering::Acquire) & !FLAGS;
            match self.use_head(head, total, self.ring.ordinary_bytes()) {
                Ok(()) => return Ok(()),
                Err(_) if wait(&self.ring.room) => {}
                Err(_) => return Err(WaitError::TimedOut),
            }
        }
    }

    /// Publishes the record that ends at `tail_new`.
    #[inline]
    fn publish(&mut self, tail_new: usize) -> Result<(), Closed> {
        // Release pairs with the Acquire in `Consumer::refresh`: the record is written before it
        // can be seen. Only this end moves the tail, so the exchange fails for a flag alone, which
        // tells nothing about other memory; hence Relaxed.
        match self.ring.tail.compare_exchange(
            self.tail,
            tail_new,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            Ok(_) => {
                self.tail = tail_new;
                Ok(())
            }
            Err(_) => self.publish_flagged(tail_new),
        }
    }

    /// The rest of [`publish`](Self::publish), for a tail with a flag.
    #[cold]
    fn publish_flagged(&mut self, tail_new: usize) -> Result<(), Closed> {
        // Both orders as in `publish`. Only this end clears LISTENING, so this fails for CLOSED
        // alone, after which nothing is read.
        match self.ring.tail.compare_exchange(
            self.tail | LISTENING,
            tail_new,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            Ok(_) => {
                self.tail = tail_new;
                self.wake.wake();
                Ok(())
            }
            Err(_) => {
                // The next reservation takes the slow path, which says so.
                self.limit = self.tail;
                Err(Closed)
            }
        }
    }

    /// Rouses the consumer if it listens.
    #[cold]
    pub(crate) fn rouse_listener(&mut self) {
        // Release pairs with the Acquire in `Consumer::listen`: of the two read-modify-writes the
        // later one sees the other, so either this rouses the consumer, or the consumer sees what
        // was counted before this once it listens.
        if self.ring.tail.fetch_and(!LISTENING, Ordering::Release) & LISTENING != 0 {
            self.wake.wake();
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, index: usize, amount: u64) {
        debug_assert!(index < COUNTERS, "counter {index} does not exist");
        if let Some(counter) = self.ring.counters.get(index) {
            // No read-modify-write, and Relaxed to load: only this end writes it. Release pairs with
            // the Acquire in `Ring::counter`.
            let value = counter.load(Ordering::Relaxed);
            counter.store(value.wrapping_add(amount), Ordering::Release);
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `Ring::producer`.
        self.ring.producer_taken.store(false, Ordering::Release);
    }
}

/// Room for one record, to be filled and then committed. Dropping it abandons the record.
///
/// The bytes are initialized, with whatever was there before.
#[must_use = "a reservation that is not committed publishes nothing"]
pub struct Reservation<'a> {
    producer: &'a mut Producer,
    /// Position of the record's header.
    start: usize,
    /// Offset of the record's header in the memory.
    offset: usize,
    /// Bytes reserved, header not included.
    length: usize,
}

impl Reservation<'_> {
    /// Adds to a counter of the producer, as [`RingProducer::add`](crate::RingProducer::add) does.
    #[inline]
    pub fn add(&mut self, index: usize, amount: u64) {
        self.producer.add(index, amount);
    }

    /// Publishes the first `length` bytes as one record. More than was reserved is a mistake of
    /// the caller: debug builds stop there, others publish what was reserved.
    ///
    /// # Errors
    /// [`Closed`] when the channel was closed since the reservation was made; the record is not
    /// delivered then.
    #[inline]
    pub fn commit(self, length: usize) -> Result<(), Closed> {
        debug_assert!(
            length <= self.length,
            "{length} bytes of {} reserved",
            self.length
        );
        let length = length.min(self.length);
        let memory = &self.producer.ring.memory;
        memory.track_write(self.offset + HEADER_BYTES, length);
        // SAFETY: the word at the reservation's start belongs to the producer until published.
        unsafe { memory.write_word(self.offset, length as u64) };
        let end = self
            .start
            .wrapping_add(HEADER_BYTES + length.next_multiple_of(WORD_BYTES));
        self.producer.publish(end)
    }
}

impl std::ops::Deref for Reservation<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `reserve` made sure that these bytes lie in one piece between the tail and the
        // head plus the ring's size, which only the producer touches, and it is borrowed by us.
        unsafe {
            self.producer
                .ring
                .memory
                .bytes(self.offset + HEADER_BYTES, self.length)
        }
    }
}

impl std::ops::DerefMut for Reservation<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe {
            self.producer
                .ring
                .memory
                .bytes_mut(self.offset + HEADER_BYTES, self.length)
        }
    }
}

impl std::fmt::Debug for Reservation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The end that reads.
pub(crate) struct Consumer {
    ring: Arc<Ring>,
    /// The head as this end, the only one to move it, last set it.
    head: usize,
    /// The tail as last seen; between it and `head` lie records ready to be read.
    tail: usize,
}

impl Consumer {
    /// Looks at the tail. What is published later waits for the next time, so that a drain does
    /// not chase a producer.
    pub(crate) fn refresh(&mut self) {
        // Acquire pairs with the Release in `Producer::publish`: records before the tail are
        // complete.
        self.tail = self.ring.tail.load(Ordering::Acquire) & !FLAGS;
    }

    /// Asks the producer to rouse the consumer when it publishes the next record; whether there is
    /// none to be read before that.
    pub(crate) fn listen(&self) -> bool {
        // A read-modify-write, so the producer's next move of the tail either came before, and we
        // see it here, or comes after, and then finds the flag. Acquire pairs with the Release in
        // `Producer::rouse_listener`; for records, `refresh` acquires.
        let tail = self.ring.tail.fetch_or(LISTENING, Ordering::Acquire) & !FLAGS;
        tail == self.head
    }

    /// Whether records known since the last [`refresh`](Self::refresh) are left.
    pub(crate) fn has_more(&self) -> bool {
        self.head != self.tail
    }

    /// Visits records until they amount to `quota_bytes` or to `quota_records`, or none is left, then
    /// gives their room back. At least one if there is any. Also when a visit unwinds: its record
    /// counts as read.
    pub(crate) fn drain(
        &mut self,
        quota_bytes: usize,
        quota_records: u64,
        mut visit: impl FnMut(&[u8]),
    ) -> (u64, usize) {
        let mut reading = Reading {
            consumer: self,
            records: 0,
            bytes: 0,
        };
        while reading.bytes < quota_bytes.max(1)
            && reading.records < quota_records
            && reading.next(&mut visit)
        {}
        (reading.records, reading.bytes)
    }

    /// The number of records ready to be read now.
    pub(crate) fn records_ready(&mut self) -> u64 {
        self.refresh();
        let mut position = self.head;
        let mut records = 0;
        while position != self.tail {
            let (length, next) = self.record_at(position);
            records += u64::from(length.is_some());
            position = next;
        }
        records
    }

    /// The length of the record at a position, `None` for padding, and the position after it.
    #[inline]
    fn record_at(&self, position: usize) -> (Option<usize>, usize) {
        let size_bytes = self.ring.memory.size_bytes();
        let offset = position & (size_bytes - 1);
        // SAFETY: the position lies between the head and a tail seen with Acquire, and is the
        // start of a record or of padding: a word that is the consumer's until given back.
        match unsafe { self.ring.memory.read_word(offset) } {
            PADDING => (None, position.wrapping_add(size_bytes - offset)),
            length => {
                // It was a `usize` when the producer wrote it.
                let length = length as usize;
                let taken = HEADER_BYTES + length.next_multiple_of(WORD_BYTES);
                (Some(length), position.wrapping_add(taken))
            }
        }
    }

    /// Makes room up to the head for the producer, and rouses it if it waits for that.
    fn give_back(&self) {
        // Release pairs with the Acquire loads of the head by the producer: our reads are over.
        // The flag needs nothing more: it carries no data, and the wake-up synchronizes itself.
        if self.ring.head.swap(self.head, Ordering::Release) & WAITING != 0 {
            self.ring.room.wake();
        }
    }
}

/// A drain under way; gives back what was read when it ends, however it ends.
struct Reading<'a> {
    consumer: &'a mut Consumer,
    records: u64,
    bytes: usize,
}

impl Reading<'_> {
    #[inline]
    fn next(&mut self, visit: &mut impl FnMut(&[u8])) -> bool {
        while self.consumer.has_more() {
            let position = self.consumer.head;
            let (length, next) = self.consumer.record_at(position);
            self.consumer.head = next;
            let Some(length) = length else { continue };
            self.records += 1;
            self.bytes += length;
            let memory = &self.consumer.ring.memory;
            let offset = (position & (memory.size_bytes() - 1)) + HEADER_BYTES;
            // SAFETY: a record published before the tail was seen lies there in one piece, and it
            // is the consumer's until given back, after the visit.
            visit(unsafe { memory.bytes(offset, length) });
            memory.track_read(offset, length);
            return true;
        }
        false
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.consumer.give_back();
    }
}
