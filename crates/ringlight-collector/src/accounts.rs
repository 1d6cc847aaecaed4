//! The books of the pipeline.
//!
//! Two sides meet here. Producers count in counters of their own ring what they accepted into the
//! ring and what they dropped; the collector counts what it took out, and moves every record from
//! one stage to the next under one lock. Nothing on the recording path touches that lock: the
//! collector takes it a few times a batch, a reader of the ledger once a read.
//!
//! Why a snapshot is exact while producers run: a producer counts a record as submitted before it
//! publishes it, and as dropped after it has been counted as submitted. So the submitted count,
//! read last and under the lock, covers every record counted as dropped and every record the
//! collector has counted as drained; what remains is in a ring or in its producer's hands. What was
//! drained is in exactly one stage of its destination, and those are counted one by one, not
//! derived, so that a batch that gets lost shows as an account that does not balance.

use std::sync::{Mutex, MutexGuard};

use ringlight_model::{Account, DropReason, LedgerSnapshot, Signal};
use ringlight_ring::RingSender;

use crate::metrics::CollectorMetrics;
use crate::sync::unpoisoned;

const SIGNALS: usize = Signal::ALL.len();
const REASONS: usize = DropReason::ALL.len();

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

/// Counters a producer keeps in its ring, one of each for traces and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Counted {
    /// Handed over, whatever became of it.
    Submitted = 0,
    /// Dropped: no room.
    RingFull = 1,
    /// Dropped: the pipeline is closed.
    Closed = 2,
    /// Dropped: larger than a ring may hold.
    TooLarge = 3,
    /// Dropped: whoever wrote it panicked; it was never published.
    Abandoned = 4,
    /// Dropped before it could be made: too many spans were open.
    TooManyOpen = 5,
    /// Not a record: a producer looked for room in its ring, the headroom apart, and found none.
    FullRing = 6,
    /// Not a record: a producer tried again after it had waited for room.
    Retry = 7,
}

impl Counted {
    /// The index of the ring counter. Only traces and logs are recorded through rings; anything
    /// else counts as a log.
    pub(crate) const fn index(self, signal: Signal) -> usize {
        let lane = match signal {
            Signal::Traces => 0,
            _ => 1,
        };
        self as usize * 2 + lane
    }
}

/// Where a drained record is while it is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Stage {
    /// In the batch being built.
    Batch = 0,
    /// In a sealed batch that waits for its turn.
    Queue = 1,
    /// In a batch being sent, or waiting to be sent again.
    Request = 2,
}

const STAGES: usize = 3;

/// What became of records that left a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The destination took `records` minus `rejected`.
    Delivered { rejected: u64 },
    /// The destination refused them for good.
    Rejected,
    /// They were given up.
    Dropped(DropReason),
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    stages: [u64; STAGES],
    exported: u64,
    rejected: u64,
    dropped: [u64; REASONS],
}

impl Line {
    fn settle(&mut self, records: u64, fate: Fate) {
        match fate {
            Fate::Delivered { rejected } => {
                // A backend cannot refuse more than it was given, whatever it claims.
                let rejected = rejected.min(records);
                self.rejected += rejected;
                self.exported += records - rejected;
            }
            Fate::Rejected => self.rejected += records,
            Fate::Dropped(reason) => self.dropped[reason as usize] += records,
        }
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
    /// What it takes. Of anything else a record counts as exported once it is out of the ring, where
    /// the sinks have seen it.
    takes: SignalSet,
}

#[derive(Debug)]
struct Books {
    /// Records taken out of the rings so far.
    drained: [u64; SIGNALS],
    /// Spans among them that ended before they began.
    negative_durations: u64,
    /// Once nothing comes out of the rings any more: as what those records count that are not out.
    rest_counts_as: Option<DropReason>,
    destinations: Vec<Book>,
}

/// The books, shared by the collector and whoever reads the ledger.
#[derive(Debug)]
pub(crate) struct Accounts {
    sender: RingSender,
    books: Mutex<Books>,
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
                negative_durations: 0,
                rest_counts_as: None,
                destinations: destinations.into_iter().map(book).collect(),
            }),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        unpoisoned(self.books.lock())
    }

    /// Records came out of the rings and are in the open batch of every destination that takes them.
    pub(crate) fn drained(&self, signal: Signal, records: u64) {
        let mut books = self.books();
        books.drained[signal as usize] += records;
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
    pub(crate) fn negative_durations(&self, spans: u64) {
        self.books().negative_durations += spans;
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

    /// Records of the open batch are settled at every destination without being sent.
    pub(crate) fn settle_batch(&self, signal: Signal, records: u64, fate: Fate) {
        let mut books = self.books();
        let takers = |book: &&mut Book| book.takes.contains(signal);
        for book in books.destinations.iter_mut().filter(takers) {
            let line = &mut book.lines[signal as usize];
            line.stages[Stage::Batch as usize] -= records;
            line.settle(records, fate);
        }
    }

    /// A batch of records of one destination goes from one stage to the next.
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
        book.batches_under_way += u64::from(to == Stage::Request);
        let line = &mut book.lines[signal as usize];
        line.stages[from as usize] -= records;
        line.stages[to as usize] += records;
    }

    /// An attempt to send failed.
    pub(crate) fn attempt_failed(&self, destination: usize) {
        self.books().destinations[destination].export_errors += 1;
    }

    /// A batch of records of one destination leaves the pipeline.
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
        book.batches_under_way -= u64::from(from == Stage::Request);
        book.batches_exported += u64::from(matches!(fate, Fate::Delivered { .. }));
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
                line.dropped[DropReason::Shutdown as usize] += line.stages.iter().sum::<u64>();
                line.stages = [0; STAGES];
            }
        }
    }

    /// Records that are on their way to any destination.
    pub(crate) fn in_flight(&self) -> u64 {
        self.most(|account| account.in_flight)
    }

    /// Records dropped for a reason, all signals together, at the destination that lost most.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.most(|account| account.dropped[reason as usize])
    }

    /// The sum over all signals, at the destination where it is the largest.
    fn most(&self, of: impl Fn(&Account) -> u64) -> u64 {
        let books = self.books();
        let sum = |book: &Book| {
            let snapshot = self.read(&books, book);
            let signals = Signal::ALL.into_iter();
            signals.map(|signal| of(snapshot.account(signal))).sum()
        };
        books.destinations.iter().map(sum).max().unwrap_or(0)
    }

    /// The ledger of one destination as it is told about it: without what it does not take.
    pub(crate) fn reported(&self, destination: usize) -> LedgerSnapshot {
        let books = self.books();
        let Some(book) = books.destinations.get(destination) else {
            return LedgerSnapshot::default();
        };
        let mut snapshot = self.read(&books, book);
        for signal in Signal::ALL {
            if !book.takes.contains(signal) {
                *snapshot.account_mut(signal) = Account::default();
            }
        }
        snapshot
    }

    /// The accounts of spans of one destination under the names of the span collector.
    pub(crate) fn metrics(&self, destination: usize) -> CollectorMetrics {
        let books = self.books();
        let Some(book) = books.destinations.get(destination) else {
            return CollectorMetrics::default();
        };
        let snapshot = self.read(&books, book);
        let account = snapshot.account(Signal::Traces);
        let total = |what: Counted| self.sender.counter_total(what.index(Signal::Traces));
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
        let books = self.books();
        let book = books.destinations.get(destination);
        book.map(|book| self.read(&books, book)).unwrap_or_default()
    }

    /// Reads what stands in the books and in the producers' counters, while the books stand still.
    fn read(&self, books: &Books, book: &Book) -> LedgerSnapshot {
        let mut snapshot = LedgerSnapshot::default();
        snapshot.set_negative_durations(books.negative_durations);
        for signal in Signal::ALL {
            let line = &book.lines[signal as usize];
            let account = snapshot.account_mut(signal);
            account.exported = line.exported;
            account.rejected = line.rejected;
            account.dropped = line.dropped;
            account.in_flight = line.stages.iter().sum();
            if !matches!(signal, Signal::Traces | Signal::Logs) {
                continue;
            }
            let produced = Produced::read(&self.sender, signal);
            account.submitted = produced.submitted;
            for (reason, count) in produced.dropped {
                account.dropped[reason as usize] += count;
            }
            let in_rings = produced.in_rings(books.drained[signal as usize]);
            match books.rest_counts_as {
                // A producer caught in the act may still count its record as dropped `Closed`; it
                // then leaves this number by itself.
                Some(reason) => account.dropped[reason as usize] += in_rings,
                None => account.in_flight += in_rings,
            }
        }
        snapshot
    }
}

/// The producers' side of one signal.
struct Produced {
    submitted: u64,
    dropped: [(DropReason, u64); 5],
}

impl Produced {
    fn read(sender: &RingSender, signal: Signal) -> Self {
        let total = |what: Counted| sender.counter_total(what.index(signal));
        let dropped = [
            (DropReason::RingFull, total(Counted::RingFull)),
            (DropReason::Closed, total(Counted::Closed)),
            (DropReason::TooLarge, total(Counted::TooLarge)),
            (DropReason::Malformed, total(Counted::Abandoned)),
            (DropReason::TooManyOpen, total(Counted::TooManyOpen)),
        ];
        // Last, so that it covers every drop read before.
        let submitted = total(Counted::Submitted);
        Self { submitted, dropped }
    }

    fn in_rings(&self, drained: u64) -> u64 {
        let dropped: u64 = self.dropped.iter().map(|(_, count)| count).sum();
        self.submitted
            .saturating_sub(dropped)
            .saturating_sub(drained)
    }
}
