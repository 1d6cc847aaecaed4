//! The producing side: how a thread hands a record to the pipeline.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringlight_model::Signal;
use ringlight_ring::{RegisterError, RingProducer, RingSender};

use crate::accounts::Counted;
use crate::notice::Notices;
use crate::record::Slice;
use crate::submit::{Shared, Worth, offer_slice};
use crate::thread::{current_thread, name_record};

/// A thread that found no free slot looks for one again after this many records.
const REGISTER_AGAIN_RECORDS: u32 = 1024;

/// Hands records to a pipeline, from any thread. Cheap to clone.
///
/// Each thread gets a ring of its own when it first records, and gives it back when it ends; what
/// it recorded is still delivered. Threads beyond `producers_max`, and threads whose locals are
/// already gone, share one locked ring.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
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
    /// The thread's number, once its name has been told.
    thread: Option<u64>,
}

impl Recorder {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Where the pipeline's notices go, for those who record.
    #[must_use]
    pub fn notices(&self) -> &Notices {
        self.shared.notices()
    }

    /// Hands over one record of `len_bytes` bytes, which `fill` writes in place.
    ///
    /// Returns whether the record was accepted. A record that was not is counted as dropped with
    /// its reason: the ring is full and the policy does not wait (any longer), the pipeline is
    /// closed, or the record is larger than a ring takes. `fill` must not record anything itself;
    /// if it does, that record goes through the shared ring.
    #[inline]
    pub fn record(&self, signal: Signal, len_bytes: usize, fill: impl Fn(&mut [u8])) -> bool {
        self.record_urgent_if(signal, len_bytes, || false, fill)
    }

    /// The same for a record that may be one of those for which part of each ring is kept, which is
    /// asked only when the rest of it is full: the failed ones, and those that traces begin with.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is the way of every record, and called in few places, where signal and `fill` are known"
    )]
    pub fn record_urgent_if(
        &self,
        signal: Signal,
        len_bytes: usize,
        is_urgent: impl Fn() -> bool,
        fill: impl Fn(&mut [u8]),
    ) -> bool {
        self.submit(signal, len_bytes, || Worth::urgent_if(is_urgent()), fill)
    }

    /// Hands over an audit record, which is to have [said so](crate::record::Head::with_audit): a log record that is
    /// dropped last. Where its ring is full, whatever the policy, it takes what is kept for urgent records, and then
    /// waits for a second, or longer if the policy says so. Behind the rings no rule leaves it out, and records that
    /// are none make room for it.
    #[cold]
    pub fn record_audit(&self, len_bytes: usize, fill: impl Fn(&mut [u8])) -> bool {
        self.submit(Signal::Logs, len_bytes, || Worth::Audit, fill)
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is the way of every record, and called in few places, where signal and `fill` are known"
    )]
    fn submit(
        &self,
        signal: Signal,
        len_bytes: usize,
        worth: impl Fn() -> Worth,
        fill: impl Fn(&mut [u8]),
    ) -> bool {
        let shared = &*self.shared;
        let own = LOCAL.try_with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            let producer = local.seat(shared).producer(shared)?;
            Some(shared.submit(producer, signal, len_bytes, &worth, &fill))
        });
        match own {
            Ok(Some(accepted)) => accepted,
            // Thread locals are gone, in use further up this stack, or there is no free slot.
            Ok(None) | Err(_) => shared.submit_shared(signal, len_bytes, worth, &fill),
        }
    }

    /// Hands over when the calling thread was in a span, for the sinks; whether there was room. It waits for none,
    /// whatever the policy, since spans and log records are worth more, and a slice that is not recorded is counted:
    /// see [`Pipeline::slices_dropped`](crate::Pipeline::slices_dropped).
    ///
    /// The thread's name goes before its first one. What the slice says of the thread is replaced by its number; who
    /// opened the span is left out if it was this thread.
    #[inline]
    pub fn record_slice(&self, slice: &Slice) -> bool {
        let shared = &*self.shared;
        let own = LOCAL.try_with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            let seat = local.seat(shared);
            let thread = seat.thread(shared);
            let opened_by = Some(slice.opened_by).filter(|opener| *opener != thread);
            let slice = Slice {
                thread,
                opened_by: opened_by.unwrap_or(0),
                ..*slice
            };
            let offered = seat.producer(shared).map(|own| offer_slice(own, &slice));
            Some(offered.unwrap_or_else(|| shared.offer_slice_shared(&slice)))
        });
        match own {
            Ok(Some(accepted)) => accepted,
            // Which thread it is cannot be told where thread locals are gone.
            Ok(None) | Err(_) => shared.offer_slice_shared(&Slice {
                thread: 0,
                ..*slice
            }),
        }
    }

    /// The number of the calling thread, as [slices](Self::record_slice) have it; zero where it cannot be told.
    #[inline]
    #[must_use]
    pub fn thread_number(&self) -> u64 {
        self.with_seat(Seat::thread).unwrap_or(0)
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

    /// Counts that a thread left a span which it had not entered.
    #[cold]
    pub fn count_unmatched_exit(&self) {
        // Relaxed: see `Asides`.
        let exits = &self.shared.asides.unmatched_exits;
        exits.fetch_add(1, Ordering::Relaxed);
    }

    /// Rouses the collector, which asked to hear of the next span that is opened.
    #[cold]
    pub fn rouse(&self) {
        self.shared.sender.wake();
    }

    /// Has a function called on each thread that records, now and then: after some 400 records of
    /// usual size, from within the recording of one. It must be quick, must not panic, and must not
    /// record. Threads that have a ring already, and threads that share one, do not call it; a second
    /// function is not taken.
    pub fn set_on_look(&self, on_look: fn()) {
        let _ = self.shared.on_look.set(on_look);
    }

    /// Has each thread that gets a ring from now on tell its name first, as with its first [slice](Self::record_slice)
    /// otherwise: sinks then know [who recorded](crate::RecordSink::recorded_by) what they are shown.
    pub fn tell_threads(&self) {
        // Relaxed: see `Shared::tells_threads`.
        self.shared.tells_threads.store(true, Ordering::Relaxed);
    }

    /// Has sinks take the spans and log records that the calling thread submits during `record` for
    /// [those of another thread](crate::RecordSink::recorded_by), which has this [number](crate::current_thread_number) and
    /// this name: it is for those who watch a thread and say something of it. Slices have a thread of their own, and are to be
    /// recorded outside of it; nor does it go within itself.
    ///
    /// Where threads [do not tell their names](Self::tell_threads), or the caller has no ring of its own or a full one, what
    /// it submits is shown as its own.
    #[cold]
    pub fn record_for<R>(&self, thread: u64, name: Option<&str>, record: impl FnOnce() -> R) -> R {
        /// Says whose the ring is, whatever becomes of the recording.
        struct LentRing<'a>(&'a Recorder);
        impl Drop for LentRing<'_> {
            fn drop(&mut self) {
                self.0.with_seat(Seat::take_back_ring);
            }
        }
        let lend = |seat: &mut Seat, shared: &Shared| seat.lend_ring(shared, thread, name);
        let is_lent = self.with_seat(lend) == Some(true);
        let _lent = is_lent.then(|| LentRing(self));
        record()
    }

    /// Calls with what the calling thread has of this pipeline, unless its locals are gone or in use.
    #[inline]
    fn with_seat<R>(&self, call: impl FnOnce(&mut Seat, &Shared) -> R) -> Option<R> {
        let called = LOCAL.try_with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            Some(call(local.seat(&self.shared), &self.shared))
        });
        called.ok().flatten()
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
            thread: None,
        }
    }

    #[inline]
    fn producer(&mut self, shared: &Shared) -> Option<&mut RingProducer> {
        if self.producer.is_none() {
            self.register(shared);
        }
        self.producer.as_mut()
    }

    /// The thread's number, whose name has been told.
    #[inline]
    fn thread(&mut self, shared: &Shared) -> u64 {
        self.thread.unwrap_or_else(|| self.tell_name(shared))
    }

    #[cold]
    fn tell_name(&mut self, shared: &Shared) -> u64 {
        let has_ring = self.producer(shared).is_some();
        if has_ring && let Some(thread) = self.thread {
            // It has just got the ring.
            return thread;
        }
        let (thread, record) = current_thread();
        let told = match self.producer(shared) {
            Some(producer) => producer.push(&record),
            None => shared.sender.overflow(|producer| producer.push(&record)),
        };
        self.thread = told.is_ok().then_some(thread);
        thread
    }

    /// Has the thread's ring be another one's, as far as sinks know, if it has one; whether it is.
    fn lend_ring(&mut self, shared: &Shared, thread: u64, name: Option<&str>) -> bool {
        let own = shared.tells_threads().then(|| self.producer(shared));
        own.flatten()
            .is_some_and(|own| own.push(&name_record(thread, name)).is_ok())
    }

    /// The ring is the thread's own again. Where that cannot be said, it is given up for another one.
    fn take_back_ring(&mut self, shared: &Shared) {
        self.thread = None;
        self.tell_name(shared);
        if self.thread.is_none() {
            self.producer = None;
        }
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
            Ok(mut producer) => {
                if let Some(on_look) = shared.on_look.get() {
                    producer.set_on_look(*on_look);
                }
                self.producer = Some(producer);
                if shared.tells_threads() {
                    // Also if it told it through the shared ring: this one is its own.
                    self.thread = None;
                    self.tell_name(shared);
                }
            }
            Err(RegisterError::NoFreeSlot) => {
                self.patience = REGISTER_AGAIN_RECORDS;
                shared.note_no_ring();
            }
            // The shared ring counts what comes after the end.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OverflowPolicy;

    #[test]
    fn a_forked_copy_does_not_ask_for_a_ring() {
        let config = ringlight_ring::RingConfig::new(1024, 1);
        let (sender, _receiver) = ringlight_ring::channel(config).unwrap();
        let elsewhere = std::process::id().wrapping_add(1);
        let (policy, notices) = (OverflowPolicy::Block, Notices::default());
        let shared = Shared::of_process(elsewhere, sender.clone(), policy, notices);
        let recorder = Recorder::new(shared);
        assert!(recorder.shared.register().is_err());
        // Both the registry and the shared ring have a lock.
        assert!(!recorder.record(Signal::Logs, 8, |_| {}));
        recorder.count_too_many_open();
        let counted: u64 = (0..ringlight_ring::COUNTERS)
            .map(|index| sender.counter_total(index))
            .sum();
        assert_eq!(counted, 0);
    }

    #[test]
    fn which_process_it_is_matters_once_a_ring_is_full() {
        let config = ringlight_ring::RingConfig::new(1024, 1);
        let (sender, _receiver) = ringlight_ring::channel(config).unwrap();
        let elsewhere = std::process::id().wrapping_add(1);
        let (policy, notices) = (OverflowPolicy::Block, Notices::default());
        let shared = Shared::of_process(elsewhere, sender.clone(), policy, notices);
        // A ring that was copied with the process takes what it has room for, and then says that
        // nobody drains it.
        let mut copy = sender.register().unwrap();
        let mut offer = || shared.offer(&mut copy, Signal::Traces, &[0; 56], false);
        for _ in 0..16 {
            assert_eq!(offer(), Ok(()));
        }
        assert_eq!(offer(), Err(ringlight_ring::ReserveError::Closed));
    }

    #[test]
    fn urgent_records_find_room_where_others_are_dropped() {
        let config = ringlight_ring::RingConfig::new(1024, 1).with_headroom(128);
        let (sender, mut receiver) = ringlight_ring::channel(config).unwrap();
        let (policy, notices) = (OverflowPolicy::Drop, Notices::default());
        let recorder = Recorder::new(Shared::new(sender, policy, notices));
        let accepted = |is_urgent: bool| {
            let record = || recorder.record_urgent_if(Signal::Logs, 56, || is_urgent, |_| {});
            (0..20).filter(|_| record()).count()
        };
        // 64 bytes each: the thread's own ring, then, for a thread without one, that of all.
        assert_eq!(
            [accepted(false), accepted(true), accepted(false)],
            [14, 2, 0]
        );
        std::thread::scope(|scope| {
            let shared = scope.spawn(|| [accepted(false), accepted(true), accepted(false)]);
            assert_eq!(shared.join().unwrap(), [14, 2, 0]);
        });
        assert_eq!(receiver.drain(usize::MAX, |_| {}).records, 32);
        assert_eq!(accepted(false), 14);
    }

    #[test]
    fn a_failed_span_and_one_that_a_trace_begins_with_are_urgent() {
        use ringlight_model::{SpanId, SpanKind, StatusCode};

        use crate::record::Head;

        let head = |status| Head::span(SpanKind::Internal, status, 1);
        let (root, child) = (SpanId::INVALID, SpanId::new(1));
        assert!(head(StatusCode::Unset).is_urgent(root));
        assert!(
            head(StatusCode::Unset)
                .with_remote_parent()
                .is_urgent(child)
        );
        assert!(head(StatusCode::Error).is_urgent(child));
        assert!(!head(StatusCode::Ok).is_urgent(child));
    }
}
