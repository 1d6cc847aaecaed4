//! Rings joined into one channel: registration, the overflow ring, fair draining, closing.

use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    Closed, ConfigError, RegisterError, Reservation, ReserveError, RingConfig, WaitError, Wake,
    owner::{Entry, RingUse},
    spsc::{Consumer, Producer, Ring},
    sync::{Arc, AtomicUsize, Mutex, Ordering, lock},
};

/// A channel of these sizes: the handle that threads register with, and the end that drains.
///
/// # Errors
/// [`ConfigError`] names the field that is out of range.
pub fn channel(config: RingConfig) -> Result<(RingSender, RingReceiver), ConfigError> {
    let config = config.validate()?;
    let wake = Wake::new();
    let ring = Ring::new(config.ring_bytes, config.headroom_bytes);
    #[expect(
        clippy::expect_used,
        reason = "the ring was made right above: both ends are free"
    )]
    let (producer, consumer) = (
        Ring::producer(&ring, &wake).expect("the producer end of a new ring is free"),
        Ring::consumer(&ring).expect("the consumer end of a new ring is free"),
    );
    let shared = Arc::new(Shared {
        config,
        wake,
        overflow: Mutex::new(RingProducer { producer }),
        rings_count: AtomicUsize::new(1),
        registry: Mutex::new(Registry {
            rings: vec![Entry::shared(ring)],
            closed: false,
        }),
    });
    let receiver = RingReceiver {
        shared: Arc::clone(&shared),
        consumers: vec![consumer],
        next_index: 0,
    };
    Ok((RingSender { shared }, receiver))
}

struct Shared {
    config: RingConfig,
    /// Rouses the receiver.
    wake: Wake,
    /// The producer of the first ring, for whoever has none.
    overflow: Mutex<RingProducer>,
    /// How many rings the registry holds; only grows, under the registry's lock. The receiver's
    /// copy may be behind until its next drain.
    rings_count: AtomicUsize,
    registry: Mutex<Registry>,
}

struct Registry {
    /// The overflow ring, then one ring per slot used so far.
    rings: Vec<Entry>,
    closed: bool,
}

impl Shared {
    fn close(&self) {
        let mut registry = lock(&self.registry);
        registry.closed = true;
        for entry in &registry.rings {
            entry.ring.close();
        }
        drop(registry);
        self.wake.wake();
    }
}

/// The handle by which threads get a ring. Clones are the same channel.
#[derive(Clone)]
pub struct RingSender {
    shared: Arc<Shared>,
}

impl fmt::Debug for RingSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingSender")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl RingSender {
    /// Gives the caller a ring of its own: one whose former owner is gone, an empty one first, or
    /// a new one while there are fewer than [`RingConfig::producers_max`].
    ///
    /// What a former owner left in the ring is drained before anything the new one adds. A ring
    /// that is still half full is not handed on. The calling thread is written down as the owner:
    /// [`visit_rings`](Self::visit_rings) shows it.
    ///
    /// # Errors
    /// [`RegisterError::NoFreeSlot`] when every ring is in use, [`RegisterError::Closed`] after
    /// [`close`](Self::close).
    pub fn register(&self) -> Result<RingProducer, RegisterError> {
        let mut registry = lock(&self.shared.registry);
        if registry.closed {
            return Err(RegisterError::Closed);
        }
        if let Some(producer) = self.free_ring(&mut registry, 0) {
            return Ok(RingProducer { producer });
        }
        if registry.rings.len() <= self.shared.config.producers_max {
            let config = &self.shared.config;
            let ring = Ring::new(config.ring_bytes, config.headroom_bytes);
            if let Some(producer) = Ring::producer(&ring, &self.shared.wake) {
                registry.rings.push(Entry::owned(ring));
                // Relaxed, as is the load in `adopt_rings`: the rings travel under the lock, and a
                // receiver roused by this producer, or by the close, sees the count through that.
                self.shared
                    .rings_count
                    .store(registry.rings.len(), Ordering::Relaxed);
                return Ok(RingProducer { producer });
            }
        }
        self.free_ring(&mut registry, self.shared.config.ring_bytes / 2 - 1)
            .map(|producer| RingProducer { producer })
            .ok_or(RegisterError::NoFreeSlot)
    }

    /// A ring without a producer, with no more than this in it.
    fn free_ring(&self, registry: &mut Registry, fill_bytes_max: usize) -> Option<Producer> {
        registry.rings.iter_mut().find_map(|entry| {
            let ring = &entry.ring;
            if ring.has_producer() || ring.fill_bytes() > fill_bytes_max {
                return None;
            }
            let producer = Ring::producer(ring, &self.shared.wake)?;
            entry.hand_over();
            Some(producer)
        })
    }

    /// Runs a closure with the overflow ring, which all threads without a ring of their own share.
    ///
    /// It takes a lock, so the closure should do no more than copy a record and count it. It must
    /// not call this method again.
    pub fn overflow<R>(&self, use_producer: impl FnOnce(&mut RingProducer) -> R) -> R {
        use_producer(&mut lock(&self.shared.overflow))
    }

    /// The sum of a counter over all producers that ever were, the overflow ring's included.
    ///
    /// What a producer added before it committed a record is in the sum for whoever has drained
    /// that record; later additions may or may not be.
    #[must_use]
    pub fn counter_total(&self, index: usize) -> u64 {
        let registry = lock(&self.shared.registry);
        registry
            .rings
            .iter()
            .fold(0, |sum, entry| sum.wrapping_add(entry.ring.counter(index)))
    }

    /// Shows every ring there is: whose it is, what was counted in it, how full it is. The overflow
    /// ring is the first.
    ///
    /// The counters of a ring are read from the last to the first: what is seen of one covers what a
    /// producer added to it before it added what is seen of a later one. Over all rings they are the
    /// [totals](Self::counter_total). `visit` is called under the lock that registration takes, so it
    /// must neither register nor take long.
    pub fn visit_rings(&self, mut visit: impl FnMut(RingUse<'_>)) {
        let registry = lock(&self.shared.registry);
        registry.rings.iter().for_each(|entry| visit(entry.view()));
    }

    /// Bytes of the memory of all rings there are.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        // Relaxed: a measure, nothing is read by it.
        let rings = self.shared.rings_count.load(Ordering::Relaxed);
        rings * self.shared.config.ring_bytes
    }

    /// Bytes of the memory of one ring.
    #[must_use]
    pub fn ring_bytes(&self) -> usize {
        self.shared.config.ring_bytes
    }

    /// Rouses the receiver.
    pub fn wake(&self) {
        self.shared.wake.wake();
    }

    /// Ends the channel: every reservation, commit and registration from now on is refused, and
    /// whoever waits for room is released. What was committed before stays to be drained.
    /// Idempotent.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether the channel was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.shared.registry).closed
    }
}

/// A ring's end for one producer. It may move to another thread, and is given back when dropped.
pub struct RingProducer {
    producer: Producer,
}

impl fmt::Debug for RingProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingProducer").finish_non_exhaustive()
    }
}

impl RingProducer {
    /// The longest record this ring takes: half of it without the headroom, less the framing.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.producer.record_bytes_max()
    }

    /// Room for a record of up to `length` bytes, aligned to 8.
    ///
    /// It never waits. When the ring is found half full, the receiver is roused, once until it has
    /// made room; a receiver that [listens](RingReceiver::listen) is roused by the commit.
    ///
    /// # Errors
    /// [`ReserveError::Full`] when there is no room now, [`ReserveError::TooLarge`] when there
    /// never will be. [`ReserveError::Closed`] after the channel was closed, though perhaps only
    /// the commit tells.
    #[inline]
    pub fn reserve(&mut self, length: usize) -> Result<Reservation<'_>, ReserveError> {
        self.producer.reserve(length)
    }

    /// The same for a record that must not be lost if it can be helped: it may use the
    /// [headroom](crate::RingConfig::headroom_bytes). For when [`reserve`](Self::reserve) found the ring
    /// full; it looks at the ring anew every time.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    #[inline]
    pub fn reserve_urgent(&mut self, length: usize) -> Result<Reservation<'_>, ReserveError> {
        self.producer.reserve_urgent(length)
    }

    /// Copies a record into the ring.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); `Ok` means that the record will be drained.
    #[inline]
    pub fn push(&mut self, record: &[u8]) -> Result<(), ReserveError> {
        let mut reservation = self.reserve(record.len())?;
        reservation.copy_from_slice(record);
        reservation
            .commit(record.len())
            .map_err(|Closed| ReserveError::Closed)
    }

    /// Blocks until a record of `length` bytes fits, at most for `timeout`.
    ///
    /// After `Ok` the next reservation of that length finds room.
    ///
    /// # Errors
    /// [`WaitError`] says why there is none.
    pub fn wait_room(&mut self, length: usize, timeout: Duration) -> Result<(), WaitError> {
        let deadline = Instant::now().checked_add(timeout);
        self.producer.wait_room(length, |room| {
            room.wait_timeout(deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            }))
        })
    }

    /// Whether a record of `length` bytes fits; if not, `context`'s task is roused when there may be
    /// room, or when the channel is closed. For tasks what [`wait_room`](Self::wait_room) is for
    /// threads, with every runtime and without a limit of time.
    ///
    /// After `Ok` the next reservation of that length finds room. A task that stops polling loses
    /// nothing.
    ///
    /// # Errors
    /// As [`wait_room`](Self::wait_room), but for the timeout.
    pub fn poll_room(
        &mut self,
        length: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), WaitError>> {
        let waited = self.producer.wait_room(length, |room| {
            // Without a permit the waker has been left there, and this call ends.
            Pin::new(&mut room.notified()).poll(context).is_ready()
        });
        match waited {
            Err(WaitError::TimedOut) => Poll::Pending,
            decided => Poll::Ready(decided),
        }
    }

    /// Adds to one of the producer's [`COUNTERS`](crate::COUNTERS) counters, whose meaning is the
    /// caller's. They are never reset: the ring's next owner continues them.
    ///
    /// An index that does not exist is a mistake of the caller: debug builds stop there, others
    /// count nothing.
    #[inline]
    pub fn add(&mut self, index: usize, amount: u64) {
        self.producer.add(index, amount);
    }

    /// Has a function called by whoever reserves, every time this producer looks how far the receiver
    /// has come: now and then, after 64 KiB of records at the latest. Not at its first look. For what
    /// is to be done seldom and must cost nothing in between; it must be quick and must not panic.
    pub const fn set_on_look(&mut self, on_look: fn()) {
        self.producer.set_on_look(on_look);
    }

    /// Rouses the receiver if it [listens](RingReceiver::listen), as a commit does: for whoever has
    /// counted something without a record that would say so.
    pub fn rouse_listener(&mut self) {
        self.producer.rouse_listener();
    }
}

/// What [`RingReceiver::drain_turns`] visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visited<'a> {
    /// The records that come next are of this ring, by its place in the order of
    /// [`RingSender::visit_rings`]: zero is the overflow ring.
    Turn(usize),
    /// A record.
    Record(&'a [u8]),
}

/// What one [`RingReceiver::drain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records visited.
    pub records: u64,
    /// Their bytes, framing not included.
    pub bytes: usize,
    /// Whether records are left that were there when the drain began.
    pub more: bool,
}

/// The end that drains all rings. Dropping it closes the channel.
pub struct RingReceiver {
    shared: Arc<Shared>,
    /// The consumers of the registry's rings, in its order; those registered since the last drain
    /// are still missing.
    consumers: Vec<Consumer>,
    /// Whose turn it is next; below the number of consumers.
    next_index: usize,
}

impl fmt::Debug for RingReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingReceiver")
            .field("rings", &self.consumers.len())
            .finish_non_exhaustive()
    }
}

impl RingReceiver {
    /// Visits records, in the order of each producer, until those that were there at the start are
    /// done or `bytes_max` is reached; at least one if there is any.
    ///
    /// Rings take turns, each for a quarter of its size at most, and the next drain goes on where
    /// this one stopped. After the channel is closed, a drain that leaves no `more` was the last
    /// one to visit anything.
    ///
    /// When `visit` unwinds, the record it was given counts as drained.
    pub fn drain(&mut self, bytes_max: usize, visit: impl FnMut(&[u8])) -> Drained {
        self.drain_within(bytes_max, u64::MAX, records(visit))
    }

    /// As [`drain`](Self::drain), and says before the records of each turn of which ring they are.
    pub fn drain_turns(&mut self, bytes_max: usize, visit: impl FnMut(Visited<'_>)) -> Drained {
        self.drain_within(bytes_max, u64::MAX, visit)
    }

    /// As [`drain`](Self::drain), bounded by a number of records instead of bytes.
    pub fn drain_records(&mut self, records_max: u64, visit: impl FnMut(&[u8])) -> Drained {
        self.drain_within(usize::MAX, records_max, records(visit))
    }

    fn drain_within(
        &mut self,
        bytes_max: usize,
        records_max: u64,
        mut visit: impl FnMut(Visited<'_>),
    ) -> Drained {
        self.adopt_rings();
        for consumer in &mut self.consumers {
            consumer.refresh();
        }
        let turn_bytes_max = self.shared.config.ring_bytes / 4;
        let mut drained = Drained::default();
        let mut idle_count = 0;
        while idle_count < self.consumers.len() {
            let consumer = &mut self.consumers[self.next_index];
            if consumer.has_more() {
                let is_enough = drained.records > 0 && drained.bytes >= bytes_max;
                if is_enough || drained.records >= records_max {
                    drained.more = true;
                    break;
                }
                let quota_bytes = turn_bytes_max.min(bytes_max.saturating_sub(drained.bytes));
                let quota_records = records_max - drained.records;
                visit(Visited::Turn(self.next_index));
                let record = |record: &[u8]| visit(Visited::Record(record));
                let (records, bytes) = consumer.drain(quota_bytes, quota_records, record);
                drained.records += records;
                drained.bytes += bytes;
                idle_count = 0;
            } else {
                idle_count += 1;
            }
            self.next_index = (self.next_index + 1) % self.consumers.len();
        }
        drained
    }

    /// Asks every producer to rouse the receiver with the next record it commits, unless there is
    /// something to be drained already. Whether there is not: then the receiver may sleep until it is
    /// roused.
    ///
    /// It holds for one record of each producer, and for producers that register later. What a
    /// producer counted before it called [`RingProducer::rouse_listener`] is either visible when this
    /// returns true, or rouses the receiver.
    pub fn listen(&mut self) -> bool {
        self.adopt_rings();
        self.consumers.iter().all(Consumer::listen)
    }

    /// Bytes in all rings as they were a moment ago, framing included.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        lock(&self.shared.registry)
            .rings
            .iter()
            .map(|entry| entry.ring.fill_bytes())
            .sum()
    }

    /// Records in all rings now, found by walking them: for an occasional account.
    pub fn pending_records(&mut self) -> u64 {
        self.adopt_rings();
        self.consumers.iter_mut().map(Consumer::records_ready).sum()
    }

    /// The wake-up that producers use when a ring is half full and when the receiver
    /// [listens](Self::listen), and [`RingSender::wake`] and [`RingSender::close`] always. The receiver
    /// waits on it.
    #[must_use]
    pub fn wake_handle(&self) -> Wake {
        self.shared.wake.clone()
    }

    /// A sender of this channel.
    #[must_use]
    pub fn sender(&self) -> RingSender {
        RingSender {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Whether the channel was closed: then the next drains find the last records.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.shared.registry).closed
    }

    /// Takes the consumer ends of rings registered since the last time.
    fn adopt_rings(&mut self) {
        // Relaxed: see `register`. A count that is behind leaves a ring to the next drain.
        if self.shared.rings_count.load(Ordering::Relaxed) == self.consumers.len() {
            return;
        }
        let registry = lock(&self.shared.registry);
        let known_count = self.consumers.len();
        // Each ring has one consumer, and this is the only place that takes it after the first.
        self.consumers.extend(
            registry.rings[known_count..]
                .iter()
                .filter_map(|entry| Ring::consumer(&entry.ring)),
        );
    }
}

/// Visits records, whichever ring they are of.
fn records(mut visit: impl FnMut(&[u8])) -> impl FnMut(Visited<'_>) {
    move |visited| {
        if let Visited::Record(record) = visited {
            visit(record);
        }
    }
}

impl Drop for RingReceiver {
    fn drop(&mut self) {
        self.shared.close();
    }
}
