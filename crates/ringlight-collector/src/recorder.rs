//! The producing side: how a thread hands a record to the pipeline.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringlight_model::Signal;
use ringlight_ring::{RegisterError, ReserveError, RingProducer, RingSender, WaitError};

use crate::accounts::Counted;
use crate::config::OverflowPolicy;
use crate::mark::in_pipeline;
use crate::notice::{Notice, Notices};

/// A thread that found no free slot looks for one again after this many records.
const REGISTER_AGAIN_RECORDS: u32 = 1024;

/// A waiting producer looks at its ring at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Records up to this size are written beside the shared ring without an allocation.
const SHARED_BYTES: usize = 1024;

/// How long a waiting thread holds the shared ring before others get a look.
const SHARED_WAIT: Duration = Duration::from_millis(5);

/// Hands records to a pipeline, from any thread. Cheap to clone.
///
/// Each thread gets a ring of its own when it first records, and gives it back when it ends; what
/// it recorded is still delivered. Threads beyond `producers_max`, and threads whose locals are
/// already gone, share one locked ring.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// What all producers of one pipeline share.
pub(crate) struct Shared {
    /// Tells pipelines of one process apart; never zero.
    id: u64,
    sender: RingSender,
    policy: OverflowPolicy,
    notices: Notices,
    /// Whether a person was told that records come after the end. Relaxed: nothing else depends on
    /// it.
    told_late: AtomicBool,
    /// The process of the collector's thread. A forked child has a copy of everything else.
    process: u32,
}

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local { current: None, others: Vec::new() }) };
}

/// The rings of one thread: one for each pipeline it records to. Nearly always that is one
/// pipeline, so the one used last is at hand.
struct Local {
    current: Option<Seat>,
    others: Vec<Seat>,
}

struct Seat {
    pipeline: u64,
    sender: RingSender,
    /// `None` while no slot is free.
    producer: Option<RingProducer>,
    /// Records until a slot is asked for again.
    patience: u32,
}

impl Recorder {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Hands over one record of `len_bytes` bytes, which `fill` writes in place.
    ///
    /// Returns whether the record was accepted. A record that was not is counted as dropped with
    /// its reason: the ring is full and the policy does not wait (any longer), the pipeline is
    /// closed, or the record is larger than a ring takes. `fill` must not record anything itself;
    /// if it does, that record goes through the shared ring.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is the way of every record, and called in few places, where signal and `fill` are known"
    )]
    pub fn record(&self, signal: Signal, len_bytes: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        let mut fill = Some(fill);
        let shared = &*self.shared;
        let own = LOCAL.try_with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            let producer = local.seat(shared).producer(shared)?;
            Some(shared.submit(producer, signal, len_bytes, &mut fill))
        });
        match own {
            Ok(Some(accepted)) => accepted,
            // Thread locals are gone, in use further up this stack, or there is no free slot.
            Ok(None) | Err(_) => shared.submit_shared(signal, len_bytes, &mut fill),
        }
    }

    /// Counts a span that could not be recorded because too many were open.
    #[cold]
    pub fn count_too_many_open(&self) {
        if !self.has_collector() {
            return;
        }
        self.shared.sender.overflow(|producer| {
            for counted in [Counted::Submitted, Counted::TooManyOpen] {
                producer.add(counted.index(Signal::Traces), 1);
            }
            producer.rouse_listener();
        });
    }

    /// Whether this process has the collector's thread: one that was forked has not, and must not
    /// wait for it.
    pub(crate) fn has_collector(&self) -> bool {
        self.shared.has_collector()
    }

    /// Whether the pipeline takes no more records.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.sender.is_closed()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("policy", &self.shared.policy)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Local {
    #[inline]
    fn seat(&mut self, shared: &Shared) -> &mut Seat {
        let is_current = self
            .current
            .as_ref()
            .is_some_and(|seat| seat.pipeline == shared.id);
        if !is_current {
            self.change_seat(shared);
        }
        self.current.get_or_insert_with(|| Seat::new(shared))
    }

    #[cold]
    fn change_seat(&mut self, shared: &Shared) {
        // Rings of pipelines that have ended are given back here.
        self.others.retain(|seat| !seat.sender.is_closed());
        if let Some(previous) = self.current.take()
            && !previous.sender.is_closed()
        {
            self.others.push(previous);
        }
        let kept = self.others.iter().position(|s| s.pipeline == shared.id);
        self.current = Some(match kept {
            Some(index) => self.others.swap_remove(index),
            None => Seat::new(shared),
        });
    }
}

impl Seat {
    fn new(shared: &Shared) -> Self {
        Self {
            pipeline: shared.id,
            sender: shared.sender.clone(),
            producer: None,
            patience: 0,
        }
    }

    #[inline]
    fn producer(&mut self, shared: &Shared) -> Option<&mut RingProducer> {
        if self.producer.is_none() {
            self.register(shared);
        }
        self.producer.as_mut()
    }

    #[cold]
    fn register(&mut self, shared: &Shared) {
        if self.patience > 0 {
            self.patience -= 1;
            return;
        }
        if !shared.has_collector() {
            return;
        }
        match self.sender.register() {
            Ok(producer) => self.producer = Some(producer),
            Err(RegisterError::NoFreeSlot) => self.patience = REGISTER_AGAIN_RECORDS,
            // The shared ring counts what comes after the end.
            Err(_) => {}
        }
    }
}

impl Shared {
    pub(crate) fn new(sender: RingSender, policy: OverflowPolicy, notices: Notices) -> Arc<Self> {
        // Relaxed: only the uniqueness of the number matters.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            sender,
            policy,
            notices,
            told_late: AtomicBool::new(false),
            process: std::process::id(),
        })
    }

    /// A ring for one owner. None after the end, and none in a forked process, which has no
    /// collector.
    pub(crate) fn register(&self) -> Result<RingProducer, RegisterError> {
        if self.has_collector() {
            self.sender.register()
        } else {
            Err(RegisterError::Closed)
        }
    }

    /// One record that its maker keeps when it is refused, and that only counts when it is not.
    /// Waits for room as the policy says.
    pub(crate) fn offer(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        record: &[u8],
    ) -> Result<(), ReserveError> {
        match try_offer(producer, signal, record) {
            Err(ReserveError::Full) if self.may_wait() => {}
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
            match try_offer(producer, signal, record) {
                Err(ReserveError::Full) => {}
                decided => return decided,
            }
        }
        try_offer(producer, signal, record)
    }

    /// One record through a ring of the caller's own; a record that is refused is counted as dropped.
    #[inline]
    pub(crate) fn submit(
        &self,
        producer: &mut RingProducer,
        signal: Signal,
        len_bytes: usize,
        fill: &mut Option<impl FnOnce(&mut [u8])>,
    ) -> bool {
        // Counted before it can be published: see `accounts`.
        producer.add(Counted::Submitted.index(signal), 1);
        match attempt(producer, signal, len_bytes, fill) {
            Ok(()) => true,
            Err(ReserveError::Full) if self.may_wait() => {
                self.wait_and_submit(producer, signal, len_bytes, fill)
            }
            Err(error) => self.refuse_own(producer, signal, error),
        }
    }

    #[cold]
    fn refuse_own(&self, producer: &mut RingProducer, signal: Signal, error: ReserveError) -> bool {
        if error == ReserveError::Closed {
            self.tell_late(signal);
        }
        refuse(producer, signal, error)
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
        fill: &mut Option<impl FnOnce(&mut [u8])>,
    ) -> bool {
        producer.add(Counted::FullRing.index(signal), 1);
        let patience = Patience::new(self.policy);
        while let Some(left) = patience.left() {
            match producer.wait_room(len_bytes, left) {
                Ok(()) | Err(WaitError::TimedOut) => {}
                Err(_) => break,
            }
            producer.add(Counted::Retry.index(signal), 1);
            match attempt_again(producer, signal, len_bytes, fill) {
                Ok(()) => return true,
                Err(ReserveError::Full) => {}
                Err(error) => return self.refuse_own(producer, signal, error),
            }
        }
        // Says why, and takes the room that may have come with the last look at the clock.
        match attempt_again(producer, signal, len_bytes, fill) {
            Ok(()) => true,
            Err(error) => self.refuse_own(producer, signal, error),
        }
    }

    /// One record through the ring all threads share.
    ///
    /// It is written beside the ring first, so that the lock is held for a copy only and not while
    /// code runs that may record in turn. A forked process does not take it: who held it when the
    /// process was copied may be missing there.
    #[cold]
    fn submit_shared(
        &self,
        signal: Signal,
        len_bytes: usize,
        fill: &mut Option<impl FnOnce(&mut [u8])>,
    ) -> bool {
        if !self.has_collector() {
            return false;
        }
        let fits = self.sender.overflow(|producer| {
            producer.add(Counted::Submitted.index(signal), 1);
            if len_bytes <= producer.record_bytes_max() {
                return true;
            }
            refuse(producer, signal, ReserveError::TooLarge)
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
        if let Some(fill) = fill.take() {
            let mut guard = AbandonShared {
                sender: &self.sender,
                signal,
                armed: true,
            };
            fill(bytes);
            guard.armed = false;
        }
        let accepted = self.push_shared(signal, bytes);
        // Without the lock, since whoever is told may record in turn.
        if !accepted && self.sender.is_closed() {
            self.tell_late(signal);
        }
        accepted
    }

    fn push_shared(&self, signal: Signal, bytes: &[u8]) -> bool {
        let may_wait = self.may_wait();
        let patience = Patience::new(self.policy);
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
                match producer.push(bytes) {
                    Ok(()) => Some(true),
                    Err(ReserveError::Full) if left.is_some() => None,
                    Err(error) => Some(refuse(producer, signal, error)),
                }
            });
            if let Some(done) = done {
                return done;
            }
        }
    }

    /// Whether the calling thread may wait for room. A thread of the pipeline must not: it would
    /// wait for itself. One of a forked process would wait for ever.
    fn may_wait(&self) -> bool {
        self.policy != OverflowPolicy::Drop && !in_pipeline() && self.has_collector()
    }

    pub(crate) fn has_collector(&self) -> bool {
        self.process == std::process::id()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(crate) const fn sender(&self) -> &RingSender {
        &self.sender
    }
}

/// One attempt at a record that only counts when it is accepted.
pub(crate) fn try_offer(
    producer: &mut RingProducer,
    signal: Signal,
    record: &[u8],
) -> Result<(), ReserveError> {
    let submitted = Counted::Submitted.index(signal);
    let mut slot = match producer.reserve(record.len()) {
        Ok(slot) => slot,
        Err(error) => {
            if error == ReserveError::Full {
                producer.add(Counted::FullRing.index(signal), 1);
            }
            return Err(error);
        }
    };
    slot.copy_from_slice(record);
    // Counted before it can be published: see `accounts`.
    slot.add(submitted, 1);
    slot.commit(record.len()).map_err(|_closed| {
        // Counters wrap: this takes one off.
        producer.add(submitted, u64::MAX);
        ReserveError::Closed
    })
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

/// Reserves, fills, publishes, where that has failed before.
#[cold]
#[inline(never)]
fn attempt_again(
    producer: &mut RingProducer,
    signal: Signal,
    len_bytes: usize,
    fill: &mut Option<impl FnOnce(&mut [u8])>,
) -> Result<(), ReserveError> {
    attempt(producer, signal, len_bytes, fill)
}

/// Reserves, fills, publishes.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "it is the way of every record, and called in one place beside the rare one above"
)]
fn attempt(
    producer: &mut RingProducer,
    signal: Signal,
    len_bytes: usize,
    fill: &mut Option<impl FnOnce(&mut [u8])>,
) -> Result<(), ReserveError> {
    let mut guard = Abandon {
        producer,
        signal,
        armed: false,
    };
    let mut slot = guard.producer.reserve(len_bytes)?;
    guard.armed = true;
    if let Some(fill) = fill.take() {
        fill(&mut slot[..len_bytes]);
    }
    let committed = slot.commit(len_bytes);
    guard.armed = false;
    committed.map_err(|_closed| ReserveError::Closed)
}

/// Counts a record whose `fill` panicked; the ring takes the reserved room back by itself.
struct Abandon<'a> {
    producer: &'a mut RingProducer,
    signal: Signal,
    armed: bool,
}

impl Drop for Abandon<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.armed {
            self.producer.add(Counted::Abandoned.index(self.signal), 1);
            self.producer.rouse_listener();
        }
    }
}

/// The same for a record on its way to the shared ring.
struct AbandonShared<'a> {
    sender: &'a RingSender,
    signal: Signal,
    armed: bool,
}

impl Drop for AbandonShared<'_> {
    fn drop(&mut self) {
        if self.armed {
            let index = Counted::Abandoned.index(self.signal);
            self.sender.overflow(|producer| {
                producer.add(index, 1);
                producer.rouse_listener();
            });
        }
    }
}

#[cold]
fn refuse(producer: &mut RingProducer, signal: Signal, error: ReserveError) -> bool {
    let counted = match error {
        ReserveError::Closed => Counted::Closed,
        ReserveError::TooLarge => Counted::TooLarge,
        _ => Counted::RingFull,
    };
    if counted == Counted::RingFull {
        producer.add(Counted::FullRing.index(signal), 1);
    }
    producer.add(counted.index(signal), 1);
    if counted == Counted::TooLarge {
        // Nothing else tells a collector that sleeps.
        producer.rouse_listener();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_copy_does_not_ask_for_a_ring() {
        let config = ringlight_ring::RingConfig::new(1024, 1);
        let (sender, _receiver) = ringlight_ring::channel(config).unwrap();
        let recorder = Recorder::new(Arc::new(Shared {
            id: u64::MAX,
            sender: sender.clone(),
            policy: OverflowPolicy::Block,
            notices: Notices::default(),
            told_late: AtomicBool::new(false),
            process: std::process::id().wrapping_add(1),
        }));
        assert!(recorder.shared.register().is_err());
        // Both the registry and the shared ring have a lock.
        assert!(!recorder.record(Signal::Logs, 8, |_| {}));
        recorder.count_too_many_open();
        let counted: u64 = (0..ringlight_ring::COUNTERS)
            .map(|index| sender.counter_total(index))
            .sum();
        assert_eq!(counted, 0);
    }
}
