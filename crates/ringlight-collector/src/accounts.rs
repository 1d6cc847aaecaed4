//! The books of the pipeline.
//!
//! Two sides meet here. Producers count in counters of their own ring what they accepted into the
//! ring and what they dropped; the collector counts what it took out, and moves every record from
//! one stage to the next under one lock. Nothing on the recording path touches that lock: the
//! collector takes it a few times a batch, a reader of the ledger once a read.
//!
//! Why a snapshot is exact while producers run: a producer counts a record as submitted before it
//! publishes it, and as dropped after it has been counted as submitted. So the submitted count,
//! read last of a ring's (it has the lowest index) and under the lock, covers every record counted as
//! dropped and every record the collector has counted as drained; what remains is in a ring or in its
//! producer's hands. What was
//! drained is in exactly one stage of its destination, and those are counted one by one, not
//! derived, so that a batch that gets lost shows as an account that does not balance.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use ringlight_model::{
    Account, DeliverySnapshot, DropReason, LedgerSnapshot, Signal, SignalDelivery, ThreadAccount,
    ThreadCounts, ThreadKind, ThreadLedger,
};
use ringlight_ring::{COUNTERS, RingSender};

use crate::batch_processor::RING_SIGNALS;
use crate::metrics::CollectorMetrics;
use crate::sync::unpoisoned;

mod by_thread;
mod counted;
mod line;

use counted::Counters;
pub(crate) use counted::{Counted, SLICES_DROPPED};
pub(crate) use line::{Fate, Stage};
use line::{Line, STAGES};

const SIGNALS: usize = Signal::ALL.len();

/// Some of the signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SignalSet([bool; SIGNALS]);

impl SignalSet {
    pub(crate) const fn insert(&mut self, signal: Signal) {
        self.0[signal as usize] = true;
    }

    pub(crate) const fn contains(self, signal: Signal) -> bool {
        self.0[signal as usize]
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        let mut set = Self::default();
        signals.into_iter().for_each(|signal| set.insert(signal));
        set
    }
}

/// The accounts of one destination.
#[derive(Debug, Clone, Copy, Default)]
struct Book {
    lines: [Line; SIGNALS],
    /// Batches it took; those that were sent and not yet settled; attempts that failed.
    batches_exported: u64,
    batches_under_way: u64,
    export_errors: u64,
    delivery: DeliverySnapshot,
    /// Audit records that came out of the rings and did not arrive.
    audit_lost: u64,
    /// What it takes. Of anything else a record counts as exported once it is out of the ring, where
    /// the sinks have seen it.
    takes: SignalSet,
}

/// What became of records that came out of the rings, for some destinations: all of them are in one of these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share<'a> {
    pub(crate) destinations: &'a [usize],
    /// In their open batch.
    pub(crate) batched: u64,
    /// Not for them.
    pub(crate) unwanted: u64,
    pub(crate) malformed: u64,
}

#[derive(Debug)]
struct Books {
    /// Records taken out of the rings so far.
    drained: [u64; SIGNALS],
    /// Records that came another way.
    received: [u64; SIGNALS],
    /// Spans among them that ended before they began.
    negative_durations: u64,
    /// Once nothing comes out of the rings any more: as what those records count that are not out.
    rest_counts_as: Option<DropReason>,
    destinations: Vec<Book>,
}

/// What threads of the application count beside their rings. Relaxed, all of it: nothing else depends on it.
#[derive(Debug, Default)]
pub(crate) struct Asides {
    /// Audit records that found no way into a ring.
    pub(crate) audit_refused: AtomicU64,
    /// Spans that were left by a thread that had not entered them.
    pub(crate) unmatched_exits: AtomicU64,
}

/// The books, shared by the collector and whoever reads the ledger.
#[derive(Debug)]
pub(crate) struct Accounts {
    sender: RingSender,
    books: Mutex<Books>,
    asides: Arc<Asides>,
}

impl Accounts {
    /// Books for destinations that take these signals.
    pub(crate) fn new(
        sender: RingSender,
        destinations: impl IntoIterator<Item = SignalSet>,
    ) -> Self {
        let book = |takes| Book {
            takes,
            ..Book::default()
        };
        Self {
            sender,
            books: Mutex::new(Books {
                drained: [0; SIGNALS],
                received: [0; SIGNALS],
                negative_durations: 0,
                rest_counts_as: None,
                destinations: destinations.into_iter().map(book).collect(),
            }),
            asides: Arc::default(),
        }
    }

    /// The same where producers count something beside their rings.
    pub(crate) fn with_asides(mut self, asides: Arc<Asides>) -> Self {
        self.asides = asides;
        self
    }

    /// Audit records, which are in the books as others are, do not get to those of these destinations that take log
    /// records.
    pub(crate) fn audit_lost(&self, destinations: &[usize], records: u64) {
        let mut books = self.books();
        for index in destinations {
            let book = &mut books.destinations[*index];
            if book.takes.contains(Signal::Logs) {
                book.audit_lost += records;
            }
        }
    }

    /// Audit records that are lost, at the destination that lost most.
    pub(crate) fn audit_lost_most(&self) -> u64 {
        let books = self.books();
        let most = books.destinations.iter().map(|book| book.audit_lost).max();
        most.unwrap_or(0) + self.asides.audit_refused.load(Ordering::Relaxed)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        unpoisoned(self.books.lock())
    }

    /// Records came out of the rings, and are in the open batches of the destinations that want them.
    pub(crate) fn drained(&self, signal: Signal, records: u64, shares: &[Share<'_>]) {
        let mut books = self.books();
        books.drained[signal as usize] += records;
        for (index, book) in books.destinations.iter_mut().enumerate() {
            let mut shares = shares.iter();
            let share = shares.find(|share| share.destinations.contains(&index));
            let line = &mut book.lines[signal as usize];
            match share.filter(|_| book.takes.contains(signal)) {
                Some(share) => {
                    line.stages[Stage::Batch as usize] += share.batched;
                    line.settle(share.unwanted, Fate::Delivered { rejected: 0 });
                    line.unwanted += share.unwanted;
                    line.settle(share.malformed, Fate::Dropped(DropReason::Malformed));
                }
                None => line.settle(records, Fate::Delivered { rejected: 0 }),
            }
        }
    }

    /// Records came another way than through the rings, and are in the open batches of the destinations that take
    /// them.
    pub(crate) fn received(&self, signal: Signal, records: u64) {
        let mut books = self.books();
        books.received[signal as usize] += records;
        for book in &mut books.destinations {
            let line = &mut book.lines[signal as usize];
            if book.takes.contains(signal) {
                line.stages[Stage::Batch as usize] += records;
            } else {
                line.settle(records, Fate::Delivered { rejected: 0 });
            }
        }
    }

    /// Spans came out of the rings that ended before they began, and go on without a duration.
    pub(crate) fn add_negative_durations(&self, spans: u64) {
        self.books().negative_durations += spans;
    }

    /// How many spans ended before they began.
    pub(crate) fn negative_durations(&self) -> u64 {
        self.books().negative_durations
    }

    /// Records came out of the rings and went no further.
    pub(crate) fn lost(&self, signal: Signal, records: u64, reason: DropReason) {
        let mut books = self.books();
        books.drained[signal as usize] += records;
        for book in &mut books.destinations {
            // Who does not take them would not have got them; the sinks have seen them.
            let is_all_the_same = reason == DropReason::TailSampled && !book.takes.contains(signal);
            let fate = if is_all_the_same {
                Fate::Delivered { rejected: 0 }
            } else {
                Fate::Dropped(reason)
            };
            book.lines[signal as usize].settle(records, fate);
        }
    }

    /// Records came out of the rings, where the sinks have seen them, and are not to be exported.
    pub(crate) fn unwanted(&self, signal: Signal, records: u64) {
        let mut books = self.books();
        books.drained[signal as usize] += records;
        for book in &mut books.destinations {
            let line = &mut book.lines[signal as usize];
            line.settle(records, Fate::Delivered { rejected: 0 });
            line.unwanted += records;
        }
    }

    /// Records of the open batch of these destinations are settled without being sent.
    pub(crate) fn settle_batch(
        &self,
        destinations: &[usize],
        signal: Signal,
        records: u64,
        fate: Fate,
    ) {
        let mut books = self.books();
        for index in destinations {
            let book = &mut books.destinations[*index];
            if !book.takes.contains(signal) {
                continue;
            }
            let line = &mut book.lines[signal as usize];
            line.stages[Stage::Batch as usize] -= records;
            line.settle(records, fate);
        }
    }

    /// Records that an earlier process left on disk are on their way to one destination.
    pub(crate) fn recovered(&self, destination: usize, signal: Signal, records: u64) {
        let mut books = self.books();
        let line = &mut books.destinations[destination].lines[signal as usize];
        line.recovered += records;
        line.stages[Stage::Spool as usize] += records;
    }

    /// A batch of records of one destination goes from one stage to another.
    pub(crate) fn moved(
        &self,
        destination: usize,
        signal: Signal,
        records: u64,
        from: Stage,
        to: Stage,
    ) {
        let mut books = self.books();
        let book = &mut books.destinations[destination];
        let line = &mut book.lines[signal as usize];
        line.stages[from as usize] -= records;
        line.stages[to as usize] += records;
    }

    /// A worker takes a batch.
    pub(crate) fn request_began(&self, destination: usize) {
        self.books().destinations[destination].batches_under_way += 1;
    }

    /// A worker is done with a batch, and whether all of it was taken.
    pub(crate) fn request_ended(&self, destination: usize, is_exported: bool) {
        let mut books = self.books();
        let book = &mut books.destinations[destination];
        book.batches_under_way -= 1;
        book.batches_exported += u64::from(is_exported);
    }

    /// How a destination is sent to changes for a signal.
    pub(crate) fn change_delivery(
        &self,
        destination: usize,
        signal: Signal,
        change: impl FnOnce(&mut SignalDelivery),
    ) {
        let mut books = self.books();
        change(books.destinations[destination].delivery.signal_mut(signal));
    }

    /// How a destination is sent to.
    pub(crate) fn delivery(&self, destination: usize) -> DeliverySnapshot {
        let books = self.books();
        let book = books.destinations.get(destination);
        book.map(|book| book.delivery).unwrap_or_default()
    }

    /// An attempt to send failed.
    pub(crate) fn attempt_failed(&self, destination: usize) {
        self.books().destinations[destination].export_errors += 1;
    }

    /// Records of one destination leave the pipeline.
    pub(crate) fn settled(
        &self,
        destination: usize,
        signal: Signal,
        records: u64,
        from: Stage,
        fate: Fate,
    ) {
        let mut books = self.books();
        let book = &mut books.destinations[destination];
        let line = &mut book.lines[signal as usize];
        line.stages[from as usize] -= records;
        line.settle(records, fate);
    }

    /// Closes the books after the last record came out of the closed rings. A producer that counted a
    /// record before that and has not published it will find its ring closed.
    pub(crate) fn close(&self) {
        self.books().rest_counts_as = Some(DropReason::Closed);
    }

    /// Closes the books after the collector broke down: whatever is still written down as on its
    /// way is lost.
    ///
    /// An orderly end does not need this. It counts what it leaves behind piece by piece, so that
    /// books that went wrong show as records that are in flight for ever.
    pub(crate) fn write_off(&self) {
        let mut books = self.books();
        if books.rest_counts_as.is_none() {
            books.rest_counts_as = Some(DropReason::Shutdown);
        }
        for book in &mut books.destinations {
            for line in &mut book.lines {
                let spooled = std::mem::take(&mut line.stages[Stage::Spool as usize]);
                line.dropped[DropReason::Shutdown] += line.stages.iter().sum::<u64>();
                line.stages = [0; STAGES];
                line.stages[Stage::Spool as usize] = spooled;
            }
        }
    }

    /// Records that are on their way to any destination.
    pub(crate) fn in_flight(&self) -> u64 {
        self.most(|account| account.in_flight)
    }

    /// Records dropped for a reason, all signals together, at the destination that lost most.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.most(|account| account.dropped[reason])
    }

    /// The same at one destination.
    pub(crate) fn dropped_at(&self, destination: usize, reason: DropReason) -> u64 {
        let ledger = self.snapshot(destination);
        let signals = Signal::ALL.into_iter();
        signals
            .map(|signal| ledger.account(signal).dropped[reason])
            .sum()
    }

    /// The sum over all signals, at the destination where it is the largest.
    fn most(&self, of: impl Fn(&Account) -> u64) -> u64 {
        let books = self.books();
        let counters = self.counters();
        let sum = |destination| {
            let snapshot = books.ledger(destination, &counters);
            let signals = Signal::ALL.into_iter();
            signals.map(|signal| of(snapshot.account(signal))).sum()
        };
        (0..books.destinations.len()).map(sum).max().unwrap_or(0)
    }

    /// The ledger of one destination by thread, as it is told about it: without what it does not take,
    /// without log records that it is not to have, and with rows of so many threads. The rows are what
    /// threads recorded, for whatever output.
    pub(crate) fn reported(&self, destination: usize, threads_max: usize) -> ThreadLedger {
        let books = self.books();
        let mut by_thread = self.rows(&books, destination);
        let book = books.destinations.get(destination);
        for signal in Signal::ALL {
            match book.filter(|book| book.takes.contains(signal)) {
                None => by_thread.leave_out(signal),
                Some(book) if signal == Signal::Logs => {
                    let account = by_thread.ledger.account_mut(signal);
                    *account = book.lines[signal as usize].wanted(account);
                }
                Some(_) => {}
            }
        }
        drop(books);
        by_thread.sort();
        by_thread.fold(threads_max);
        by_thread
    }

    /// The accounts of spans of one destination under the names of the span collector.
    pub(crate) fn metrics(&self, destination: usize) -> CollectorMetrics {
        let books = self.books();
        let Some(book) = books.destinations.get(destination) else {
            return CollectorMetrics::default();
        };
        let counters = self.counters();
        let snapshot = books.ledger(destination, &counters);
        let account = snapshot.account(Signal::Traces);
        let total = |what: Counted| counters[what.index(Signal::Traces)];
        CollectorMetrics {
            spans_submitted: account.submitted,
            full_ring_events: total(Counted::FullRing),
            reserve_retries: total(Counted::Retry),
            spans_consumed: books.drained[Signal::Traces as usize],
            spans_exported: account.exported,
            export_errors: book.export_errors,
            batches_exported: book.batches_exported,
            inflight_exports: book.batches_under_way,
        }
    }

    /// The ledger of one destination, exact at the moment of the call.
    pub(crate) fn snapshot(&self, destination: usize) -> LedgerSnapshot {
        // The lock is taken before the counters are read: see the module's documentation.
        let books = self.books();
        let mut ledger = books.ledger(destination, &self.counters());
        let asides = &self.asides;
        ledger.set_unmatched_exits(asides.unmatched_exits.load(Ordering::Relaxed));
        let behind = books
            .destinations
            .get(destination)
            .map_or(0, |book| book.audit_lost);
        ledger.set_audit_lost(behind + asides.audit_refused.load(Ordering::Relaxed));
        ledger
    }

    /// The same with what each thread has to do with it.
    pub(crate) fn by_thread(&self, destination: usize) -> ThreadLedger {
        let mut by_thread = self.rows(&self.books(), destination);
        by_thread.sort();
        by_thread
    }

    /// Reads what stands in the books and in the producers' counters, while the books stand still.
    fn rows(&self, books: &Books, destination: usize) -> ThreadLedger {
        let (counters, mut threads) = by_thread::rows(&self.sender);
        threads.push(books.behind_rings(destination, &counters));
        let mut ledger = books.ledger(destination, &counters);
        ledger.set_unmatched_exits(self.asides.unmatched_exits.load(Ordering::Relaxed));
        ThreadLedger {
            ledger,
            threads,
            ring_bytes: self.sender.ring_bytes() as u64,
        }
    }

    /// What all producers counted.
    fn counters(&self) -> Counters {
        let mut counters = [0; COUNTERS];
        self.sender.visit_rings(|ring| {
            by_thread::add(&mut counters, &ring.counted);
            by_thread::add(&mut counters, &ring.counted_before);
        });
        counters
    }
}

impl Books {
    /// The ledger of one destination, with what all producers counted at the same moment.
    fn ledger(&self, destination: usize, counters: &Counters) -> LedgerSnapshot {
        let mut snapshot = LedgerSnapshot::default();
        let Some(book) = self.destinations.get(destination) else {
            return snapshot;
        };
        snapshot.set_negative_durations(self.negative_durations);
        for signal in Signal::ALL {
            let account = snapshot.account_mut(signal);
            *account = book.lines[signal as usize].drained();
            account.submitted = self.received[signal as usize];
            if !RING_SIGNALS.contains(&signal) {
                continue;
            }
            let produced = Counted::produced(counters, signal);
            account.submitted += produced.submitted;
            account.dropped += produced.dropped;
            let in_rings = self.in_rings(signal, &produced);
            match self.rest_counts_as {
                // A producer caught in the act may still count its record as dropped `Closed`; it
                // then leaves this number by itself.
                Some(reason) => account.dropped[reason] += in_rings,
                None => account.in_flight += in_rings,
            }
        }
        snapshot
    }

    /// What was dropped behind the rings.
    fn behind_rings(&self, destination: usize, counters: &Counters) -> ThreadAccount {
        let mut row = ThreadAccount::of_several(ThreadKind::Pipeline);
        let Some(book) = self.destinations.get(destination) else {
            return row;
        };
        for signal in RING_SIGNALS {
            let counts = row.counts_mut(signal);
            counts.dropped = book.lines[signal as usize].dropped;
            if let Some(reason) = self.rest_counts_as {
                let produced = Counted::produced(counters, signal);
                counts.dropped[reason] += self.in_rings(signal, &produced);
            }
        }
        row
    }

    /// Records in the rings, or in the hands of their producers.
    fn in_rings(&self, signal: Signal, produced: &ThreadCounts) -> u64 {
        let drained = self.drained[signal as usize];
        let left = produced.submitted.saturating_sub(produced.dropped_total());
        left.saturating_sub(drained)
    }
}
