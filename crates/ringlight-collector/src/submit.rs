//! How a record gets into a ring: at once, after a wait, or not at all and counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ringlight_model::Signal;
use ringlight_ring::{
    RegisterError, Reservation, ReserveError, RingProducer, RingSender, WaitError,
};

use crate::accounts::{Asides, Counted, SLICES_DROPPED};
use crate::config::OverflowPolicy;
use crate::mark::in_pipeline;
use crate::notice::{Notice, Notices};
use crate::record::{SLICE_WORDS, Slice, ThreadName, WORD_BYTES, copy_words};

/// A waiting producer looks at its ring at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Records up to this size are written beside the shared ring without an allocation.
const SHARED_BYTES: usize = 1024;

/// How long an audit record waits for room in its ring at least, whatever the policy: for longer than a destination
/// that is slow holds up the drain ([`HOLD_MAX`](crate::inbox::HOLD_MAX)).
const AUDIT_WAIT: Duration = Duration::from_secs(1);

/// What a record is worth, which is asked when its ring is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// As much as most.
    Usual,
    /// Part of each ring is kept for it.
    Urgent,
    /// The same, and it waits for room.
    Audit,
}

impl Worth {
    pub(crate) const fn urgent_if(is_urgent: bool) -> Self {
        if is_urgent { Self::Urgent } else { Self::Usual }
    }
}

/// How long a waiting thread holds the shared ring before others get a look.
const SHARED_WAIT: Duration = Duration::from_millis(5);

/// What all producers of one pipeline share.
pub(crate) struct Shared {
    /// Tells pipelines of one process apart; never zero.
    pub(crate) id: u64,
    pub(crate) sender: RingSender,
    pub(crate) policy: OverflowPolicy,
    pub(crate) asides: Arc<Asides>,
    notices: Notices,
    /// Whether a person was told that records come after the end. Relaxed: nothing else depends on
    /// it.
    told_late: AtomicBool,
    /// Whether a thread found all rings in use; as `told_late`.
    found_no_ring: AtomicBool,
    /// Called on threads that record, now and then: see [`Recorder::set_on_look`].
    ///
    /// [`Recorder::set_on_look`]: crate::Recorder::set_on_look
    pub(crate) on_look: OnceLock<fn()>,
    /// Whether threads tell their names before what they record.
    pub(crate) tells_threads: AtomicBool,
    /// The process of the collector's thread. A forked child has a copy of everything else.
    process: u32,
}

impl Shared {
    pub(crate) fn new(sender: RingSender, policy: OverflowPolicy, notices: Notices) -> Arc<Self> {
        Self::of_process(std::process::id(), sender, policy, notices)
    }

    pub(crate) fn of_process(
        process: u32,
        sender: RingSender,
        policy: OverflowPolicy,
        notices: Notices,
    ) -> Arc<Self> {
        // Relaxed: only the uniqueness of the number matters.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            sender,
            policy,
            asides: Arc::default(),
            notices,
            told_late: AtomicBool::new(false),
            found_no_ring: AtomicBool::new(false),
            on_look: OnceLock::new(),
            tells_threads: AtomicBool::new(false),
            process,
        })
    }

    pub(crate) const fn notices(&self) -> &Notices {
        &self.notices
    }

    /// A ring for one owner. None after the end, and none in a forked process, which has no
    /// collector.
    pub(crate) fn register(&self) -> Result<RingProducer, RegisterError> {
        if !self.has_collector() {
            return Err(RegisterError::Closed);
        }
        let mut producer = self.sender.register()?;
        if self.tells_threads() {
            // It may be on any thread, and the ring may have been another one's.
            let _ = producer.push(&ThreadName::to_bytes(0, ""));
        }
        Ok(producer)
    }

    pub(crate) fn tells_threads(&self) -> bool {
        // Relaxed: whether a ring that is registered meanwhile has a name does not matter.
        self.tells_threads.load(Ordering::Relaxed)
    }

    /// One record that its maker keeps when it is refused, and that only counts when it is not.
    /// Waits for room as the policy says.
    pub(crate) fn offer(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        record: &[u8],
        is_urgent: bool,
    ) -> Result<(), ReserveError> {
        match self.try_offer(producer, signal, record, is_urgent) {
            Err(ReserveError::Full) if self.may_wait(self.policy) => {}
            decided => return decided,
        }
        let patience = Patience::new(self.policy);
        while let Some(left) = patience.left() {
            match producer.wait_room(record.len(), left) {
                Ok(()) | Err(WaitError::TimedOut) => {}
                // Whether it is closed shows in the attempt.
                Err(_) => break,
            }
            producer.add(Counted::Retry.index(signal), 1);
            match offer_once(producer, signal, record, is_urgent) {
                Err(ReserveError::Full) => {}
                decided => return decided,
            }
        }
        offer_once(producer, signal, record, is_urgent)
    }

    /// The same without a wait, whatever the policy.
    pub(crate) fn try_offer(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        record: &[u8],
        is_urgent: bool,
    ) -> Result<(), ReserveError> {
        match offer_once(producer, signal, record, is_urgent) {
            // Nobody drains in a forked process. Asked of a full ring only, since it is a system call.
            Err(ReserveError::Full) if !self.has_collector() => Err(ReserveError::Closed),
            decided => decided,
        }
    }

    /// One record through a ring of the caller's own; a record that is refused is counted as dropped.
    #[inline]
    pub(crate) fn submit(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        len_bytes: usize,
        worth: impl FnOnce() -> Worth,
        fill: &impl Fn(&mut [u8]),
    ) -> bool {
        // Counted before it can be published: see `accounts`.
        producer.add(Counted::Submitted.index(signal), 1);
        match attempt(producer, RingProducer::reserve, signal, len_bytes, fill) {
            Ok(()) => true,
            Err(ReserveError::Full) => self.submit_full(producer, signal, len_bytes, worth, fill),
            Err(error) => self.refuse_own(producer, signal, error, worth()),
        }
    }

    /// The rest of [`submit`](Self::submit), for a ring that is full but for its headroom.
    #[cold]
    #[inline(never)]
    fn submit_full(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        len_bytes: usize,
        worth: impl FnOnce() -> Worth,
        fill: &impl Fn(&mut [u8]),
    ) -> bool {
        producer.add(Counted::FullRing.index(signal), 1);
        let worth = worth();
        if worth != Worth::Usual {
            let urgent = RingProducer::reserve_urgent;
            match attempt(producer, urgent, signal, len_bytes, fill) {
                Ok(()) => return true,
                Err(ReserveError::Full) => {}
                Err(error) => return self.refuse_own(producer, signal, error, worth),
            }
        }
        let policy = self.policy_for(worth);
        if self.may_wait(policy) {
            self.wait_and_submit(producer, signal, len_bytes, worth, fill)
        } else {
            self.refuse_own(producer, signal, ReserveError::Full, worth)
        }
    }

    /// What a thread does whose ring is full, for this record.
    fn policy_for(&self, worth: Worth) -> OverflowPolicy {
        match self.policy {
            policy if worth != Worth::Audit => policy,
            OverflowPolicy::Drop => OverflowPolicy::BlockFor(AUDIT_WAIT),
            OverflowPolicy::BlockFor(limit) => OverflowPolicy::BlockFor(limit.max(AUDIT_WAIT)),
            OverflowPolicy::Block => OverflowPolicy::Block,
        }
    }

    #[cold]
    fn refuse_own(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        error: ReserveError,
        worth: Worth,
    ) -> bool {
        if error == ReserveError::Closed {
            self.tell_late(signal);
        }
        self.refuse(producer, signal, error, worth)
    }

    /// Counts a record that is refused.
    fn refuse(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        error: ReserveError,
        worth: Worth,
    ) -> bool {
        if worth == Worth::Audit {
            let refused = &self.asides.audit_refused;
            refused.fetch_add(1, Ordering::Relaxed);
        }
        refuse(producer, signal, error)
    }

    /// Notes that a thread found all rings in use. The collector says so: to tell a person may take long.
    pub(crate) fn note_no_ring(&self) {
        self.found_no_ring.store(true, Ordering::Relaxed);
    }

    /// Whether a thread found all rings in use.
    pub(crate) fn found_no_ring(&self) -> bool {
        self.found_no_ring.load(Ordering::Relaxed)
    }

    /// Says that what is recorded now is lost. Only of log records: that spans are still open when
    /// telemetry ends, and close later, is the way runtimes end.
    #[cold]
    fn tell_late(&self, signal: Signal) {
        if signal == Signal::Logs && !self.told_late.swap(true, Ordering::Relaxed) {
            self.notices.send(&Notice::RecordedLate);
        }
    }

    #[cold]
    fn wait_and_submit(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        len_bytes: usize,
        worth: Worth,
        fill: &impl Fn(&mut [u8]),
    ) -> bool {
        let patience = Patience::new(self.policy_for(worth));
        while let Some(left) = patience.left() {
            match producer.wait_room(len_bytes, left) {
                Ok(()) | Err(WaitError::TimedOut) => {}
                Err(_) => break,
            }
            producer.add(Counted::Retry.index(signal), 1);
            match attempt_again(producer, signal, len_bytes, fill) {
                Ok(()) => return true,
                Err(ReserveError::Full) => producer.add(Counted::FullRing.index(signal), 1),
                Err(error) => return self.refuse_own(producer, signal, error, worth),
            }
        }
        // Says why, and takes the room that may have come with the last look at the clock.
        let last = if worth == Worth::Usual {
            attempt_again(producer, signal, len_bytes, fill)
        } else {
            attempt(
                producer,
                RingProducer::reserve_urgent,
                signal,
                len_bytes,
                fill,
            )
        };
        match last {
            Ok(()) => true,
            Err(error) => {
                let is_full = error == ReserveError::Full;
                producer.add(Counted::FullRing.index(signal), u64::from(is_full));
                self.refuse_own(producer, signal, error, worth)
            }
        }
    }

    /// One record through the ring all threads share.
    ///
    /// It is written beside the ring first, so that the lock is held for a copy only and not while
    /// code runs that may record in turn. A forked process does not take it: who held it when the
    /// process was copied may be missing there.
    #[cold]
    pub(crate) fn submit_shared(
        &self,
        signal: Signal,
        len_bytes: usize,
        worth: impl FnOnce() -> Worth,
        fill: &impl Fn(&mut [u8]),
    ) -> bool {
        if !self.has_collector() {
            return false;
        }
        let worth = worth();
        let fits = self.sender.overflow(|producer| {
            producer.add(Counted::Submitted.index(signal), 1);
            if len_bytes <= producer.record_bytes_max() {
                return true;
            }
            self.refuse(producer, signal, ReserveError::TooLarge, worth)
        });
        if !fits {
            return false;
        }
        let (mut few, mut many);
        let bytes = if len_bytes <= SHARED_BYTES {
            few = [0; SHARED_BYTES];
            &mut few[..len_bytes]
        } else {
            many = vec![0; len_bytes];
            &mut many[..]
        };
        let guard = AbandonShared {
            sender: &self.sender,
            signal,
        };
        fill(bytes);
        std::mem::forget(guard);
        let accepted = self.push_shared(signal, bytes, worth);
        // Without the lock, since whoever is told may record in turn.
        if !accepted && self.sender.is_closed() {
            self.tell_late(signal);
        }
        accepted
    }

    fn push_shared(&self, signal: Signal, bytes: &[u8], worth: Worth) -> bool {
        let policy = self.policy_for(worth);
        let may_wait = self.may_wait(policy);
        let patience = Patience::new(policy);
        let mut is_first = true;
        loop {
            // The lock is given up between looks, so that no thread waits behind another's
            // patience.
            let left = if may_wait { patience.left() } else { None };
            let done = self.sender.overflow(|producer| {
                if !std::mem::take(&mut is_first)
                    && let Some(left) = left
                {
                    // Whether there is room shows in the attempt.
                    let _ = producer.wait_room(bytes.len(), left.min(SHARED_WAIT));
                }
                let mut pushed = producer.push(bytes);
                if pushed == Err(ReserveError::Full) {
                    producer.add(Counted::FullRing.index(signal), 1);
                    if worth != Worth::Usual {
                        pushed = push_urgent(producer, bytes);
                    }
                }
                match pushed {
                    Ok(()) => Some(true),
                    Err(ReserveError::Full) if left.is_some() => None,
                    Err(error) => Some(self.refuse(producer, signal, error, worth)),
                }
            });
            if let Some(done) = done {
                return done;
            }
        }
    }

    /// Slices that found no room.
    pub(crate) fn slices_dropped(&self) -> u64 {
        self.sender.counter_total(SLICES_DROPPED)
    }

    /// One slice through the ring all threads share.
    #[cold]
    pub(crate) fn offer_slice_shared(&self, slice: &Slice) -> bool {
        self.has_collector()
            && self
                .sender
                .overflow(|producer| offer_slice(producer, slice))
    }

    /// Whether the calling thread may wait for room. A thread of the pipeline must not: it would
    /// wait for itself. One of a forked process would wait for ever.
    fn may_wait(&self, policy: OverflowPolicy) -> bool {
        policy != OverflowPolicy::Drop && !in_pipeline() && self.has_collector()
    }

    /// Whether this process has the collector's thread, which is a system call to find out.
    pub(crate) fn has_collector(&self) -> bool {
        self.process == std::process::id()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// One attempt at a record that only counts when it is accepted.
fn offer_once(
    producer: &mut RingProducer,
    signal: Signal,
    record: &[u8],
    is_urgent: bool,
) -> Result<(), ReserveError> {
    match offer_into(producer, RingProducer::reserve, signal, record) {
        Err(ReserveError::Full) => {}
        decided => return decided,
    }
    producer.add(Counted::FullRing.index(signal), 1);
    if is_urgent {
        offer_into(producer, RingProducer::reserve_urgent, signal, record)
    } else {
        Err(ReserveError::Full)
    }
}

fn offer_into(
    producer: &mut RingProducer,
    reserve: impl FnOnce(&mut RingProducer, usize) -> Result<Reservation<'_>, ReserveError>,
    signal: Signal,
    record: &[u8],
) -> Result<(), ReserveError> {
    let submitted = Counted::Submitted.index(signal);
    let mut slot = reserve(producer, record.len())?;
    slot.copy_from_slice(record);
    // Counted before it can be published: see `accounts`.
    slot.add(submitted, 1);
    slot.commit(record.len()).map_err(|_closed| {
        // Counters wrap: this takes one off.
        producer.add(submitted, u64::MAX);
        ReserveError::Closed
    })
}

/// One slice into a ring, or counted as one that is not.
#[inline]
pub(crate) fn offer_slice(producer: &mut RingProducer, slice: &Slice) -> bool {
    const BYTES: usize = SLICE_WORDS * WORD_BYTES;
    if let Ok(mut room) = producer.reserve(BYTES) {
        copy_words(slice.to_words(), &mut room);
        if room.commit(BYTES).is_ok() {
            return true;
        }
    }
    producer.add(SLICES_DROPPED, 1);
    false
}

/// How long a producer goes on waiting.
struct Patience {
    until: Option<Instant>,
}

impl Patience {
    fn new(policy: OverflowPolicy) -> Self {
        let until = match policy {
            OverflowPolicy::Block => None,
            OverflowPolicy::Drop => Some(Instant::now()),
            // A limit no clock can express is none.
            OverflowPolicy::BlockFor(limit) => Instant::now().checked_add(limit),
        };
        Self { until }
    }

    /// What is left of it; `None` when it is used up.
    fn left(&self) -> Option<Duration> {
        match self.until {
            None => Some(LOOK_AGAIN),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                (!left.is_zero()).then_some(left.min(LOOK_AGAIN))
            }
        }
    }
}

fn push_urgent(producer: &mut RingProducer, bytes: &[u8]) -> Result<(), ReserveError> {
    let mut slot = producer.reserve_urgent(bytes.len())?;
    slot.copy_from_slice(bytes);
    slot.commit(bytes.len())
        .map_err(|_closed| ReserveError::Closed)
}

/// Reserves, fills, publishes, where that has failed before.
#[cold]
#[inline(never)]
fn attempt_again(
    producer: &mut RingProducer,
    signal: Signal,
    len_bytes: usize,
    fill: &impl Fn(&mut [u8]),
) -> Result<(), ReserveError> {
    attempt(producer, RingProducer::reserve, signal, len_bytes, fill)
}

/// Reserves, fills, publishes.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "it is the way of every record, and called in one place beside the rare ones above"
)]
fn attempt(
    producer: &mut RingProducer,
    reserve: impl FnOnce(&mut RingProducer, usize) -> Result<Reservation<'_>, ReserveError>,
    signal: Signal,
    len_bytes: usize,
    fill: &impl Fn(&mut [u8]),
) -> Result<(), ReserveError> {
    let guard = Abandon { producer, signal };
    let accepted = match reserve(guard.producer, len_bytes) {
        Ok(mut slot) => {
            fill(&mut slot[..len_bytes]);
            let committed = slot.commit(len_bytes);
            committed.map_err(|_closed| ReserveError::Closed)
        }
        Err(error) => Err(error),
    };
    std::mem::forget(guard);
    accepted
}

/// Counts a record whose `fill` panicked; the ring takes the reserved room back by itself.
struct Abandon<'a> {
    producer: &'a mut RingProducer,
    signal: Signal,
}

impl Drop for Abandon<'_> {
    // Inlined, so that the guard does not have to lie in memory.
    #[inline]
    fn drop(&mut self) {
        abandoned(self.producer, self.signal);
    }
}

#[cold]
fn abandoned(producer: &mut RingProducer, signal: Signal) {
    producer.add(Counted::Abandoned.index(signal), 1);
    producer.rouse_listener();
}

/// The same for a record on its way to the shared ring.
struct AbandonShared<'a> {
    sender: &'a RingSender,
    signal: Signal,
}

impl Drop for AbandonShared<'_> {
    fn drop(&mut self) {
        let signal = self.signal;
        self.sender.overflow(|producer| abandoned(producer, signal));
    }
}

#[cold]
fn refuse(producer: &mut RingProducer, signal: Signal, error: ReserveError) -> bool {
    let counted = match error {
        ReserveError::Closed => Counted::Closed,
        ReserveError::TooLarge => Counted::TooLarge,
        _ => Counted::RingFull,
    };
    producer.add(counted.index(signal), 1);
    if counted == Counted::TooLarge {
        // Nothing else tells a collector that sleeps.
        producer.rouse_listener();
    }
    false
}
