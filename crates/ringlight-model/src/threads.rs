//! The ledger by the threads that recorded.
//!
//! The rule: what the rows submitted and dropped, summed up, is what the ledger says, for each signal and
//! reason, at every moment. (In a report to a backend that is not to have all log records, their account is
//! of fewer than their rows.) Threads that are gone share a row, as does what went past the rings of
//! threads, so there are never more rows than rings plus a few.

use crate::ledger::ByReason;
use crate::{LedgerSnapshot, Signal};

/// Whose records a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ThreadKind {
    /// Those of a thread with a ring of its own.
    Thread,
    /// Those in the ring that threads share: of threads for which no ring was left, and those that a
    /// thread recorded while it was recording another one or after its thread-local values were gone. Also
    /// the spans that could not be opened because too many were, of any thread.
    Shared,
    /// Those of threads that are gone.
    Ended,
    /// Those that were dropped behind the rings, where it is not known any more whose they are.
    Pipeline,
    /// Those of the threads that a [folded](ThreadLedger::fold) ledger has no rows for.
    Others,
}

impl ThreadKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Thread,
        Self::Shared,
        Self::Ended,
        Self::Pipeline,
        Self::Others,
    ];

    /// The name in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Shared => "shared",
            Self::Ended => "ended",
            Self::Pipeline => "pipeline",
            Self::Others => "others",
        }
    }

    /// The kind of a name, the inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What became of the records of one signal as far as it is known by thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadCounts {
    /// Records handed over.
    pub submitted: u64,
    /// Records dropped.
    pub dropped: ByReason,
}

impl ThreadCounts {
    /// Drops for every reason together.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.total()
    }

    fn add(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.dropped += other.dropped;
    }
}

/// A row: the records of one thread, or of several that are not told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadAccount {
    /// Whose they are.
    pub kind: ThreadKind,
    /// The thread's name; empty for a row of several.
    pub name: String,
    /// The number the standard library gives the thread (the one in `ThreadId(1)`); 0 for a row of
    /// several.
    pub id: u64,
    /// Bytes waiting in the rings of the row, framing included, as they were a moment ago.
    pub ring_used_bytes: u64,
    /// Of traces and of logs.
    counts: [ThreadCounts; 2],
}

impl ThreadAccount {
    /// An empty row of one thread.
    #[must_use]
    pub const fn of_thread(name: String, id: u64) -> Self {
        Self {
            kind: ThreadKind::Thread,
            name,
            id,
            ring_used_bytes: 0,
            counts: [ThreadCounts {
                submitted: 0,
                dropped: ByReason::NONE,
            }; 2],
        }
    }

    /// An empty row of several.
    #[must_use]
    pub const fn of_several(kind: ThreadKind) -> Self {
        let mut row = Self::of_thread(String::new(), 0);
        row.kind = kind;
        row
    }

    /// What was counted of a signal: traces, else logs.
    #[must_use]
    pub const fn counts(&self, signal: Signal) -> &ThreadCounts {
        &self.counts[Self::lane(signal)]
    }

    /// The same, to be filled in.
    pub const fn counts_mut(&mut self, signal: Signal) -> &mut ThreadCounts {
        &mut self.counts[Self::lane(signal)]
    }

    const fn lane(signal: Signal) -> usize {
        match signal {
            Signal::Traces => 0,
            _ => 1,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts == [ThreadCounts::default(); 2]
    }

    /// Adds what another row counted.
    pub fn add(&mut self, other: &Self) {
        self.ring_used_bytes += other.ring_used_bytes;
        for (sum, counts) in self.counts.iter_mut().zip(&other.counts) {
            sum.add(counts);
        }
    }

    fn total(&self, of: impl Fn(&ThreadCounts) -> u64) -> u64 {
        self.counts.iter().map(of).sum()
    }
}

/// The ledger and its rows by thread, of the same moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadLedger {
    /// The whole.
    pub ledger: LedgerSnapshot,
    /// The rows that have anything in them: threads first, those that lost most before the busiest;
    /// then those of several.
    pub threads: Vec<ThreadAccount>,
    /// Bytes of one ring.
    pub ring_bytes: u64,
}

impl ThreadLedger {
    /// Puts the rows in order, and leaves the empty ones out.
    pub fn sort(&mut self) {
        let is_thread = |row: &ThreadAccount| row.kind == ThreadKind::Thread;
        self.threads.retain(|row| !row.is_empty());
        self.threads.sort_by_key(|row| {
            let lost = row.total(ThreadCounts::dropped_total);
            let submitted = row.total(|counts| counts.submitted);
            let order = std::cmp::Reverse((lost, submitted));
            (row.kind, is_thread(row).then_some(order), row.id)
        });
    }

    /// Keeps the rows of `threads_max` threads, the first ones, and adds the others up in one of kind
    /// [`Others`](ThreadKind::Others).
    pub fn fold(&mut self, threads_max: usize) {
        let is_thread = |row: &&ThreadAccount| row.kind == ThreadKind::Thread;
        let threads_count = self.threads.iter().filter(is_thread).count();
        if threads_count <= threads_max {
            return;
        }
        let mut others = ThreadAccount::of_several(ThreadKind::Others);
        for row in self.threads.drain(threads_max..threads_count) {
            others.add(&row);
        }
        if !others.is_empty() {
            self.threads.push(others);
        }
    }

    /// Whether the rows add up to the ledger.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        [Signal::Traces, Signal::Logs].into_iter().all(|signal| {
            let mut sum = ThreadCounts::default();
            for row in &self.threads {
                sum.add(row.counts(signal));
            }
            let account = self.ledger.account(signal);
            sum.submitted == account.submitted && sum.dropped == account.dropped
        })
    }

    /// Whether another one counts the same in the same rows, however full the rings are.
    #[must_use]
    pub fn has_same_rows(&self, other: &Self) -> bool {
        let same = |(a, b): (&ThreadAccount, &ThreadAccount)| {
            (a.kind, a.id, a.counts) == (b.kind, b.id, b.counts)
        };
        self.threads.len() == other.threads.len()
            && self.threads.iter().zip(&other.threads).all(same)
    }

    /// Forgets a signal, in the ledger and in all rows.
    pub fn leave_out(&mut self, signal: Signal) {
        *self.ledger.account_mut(signal) = crate::Account::default();
        for row in &mut self.threads {
            *row.counts_mut(signal) = ThreadCounts::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DropReason;

    fn thread(id: u64, submitted: u64, dropped: u64) -> ThreadAccount {
        let mut row = ThreadAccount::of_thread(format!("worker-{id}"), id);
        let counts = row.counts_mut(Signal::Traces);
        counts.submitted = submitted;
        counts.dropped[DropReason::RingFull] = dropped;
        row
    }

    fn ledger(threads: Vec<ThreadAccount>) -> ThreadLedger {
        let mut ledger = ThreadLedger {
            threads,
            ..ThreadLedger::default()
        };
        let mut sum = ThreadCounts::default();
        for row in &ledger.threads {
            sum.add(row.counts(Signal::Traces));
        }
        let account = ledger.ledger.account_mut(Signal::Traces);
        account.submitted = sum.submitted;
        account.dropped = sum.dropped;
        ledger
    }

    #[test]
    fn rows_add_up_or_do_not() {
        let mut ledger = ledger(vec![thread(1, 10, 2), thread(2, 5, 0)]);
        assert!(ledger.adds_up());
        ledger.threads[1].counts_mut(Signal::Logs).submitted = 1;
        assert!(!ledger.adds_up());
        ledger.leave_out(Signal::Logs);
        assert!(ledger.adds_up());
        ledger.threads.pop();
        assert!(!ledger.adds_up());
    }

    #[test]
    fn those_that_lost_most_come_first_and_the_rest_is_folded() {
        let mut ended = thread(9, 100, 100);
        ended.kind = ThreadKind::Ended;
        let empty = ThreadAccount::of_several(ThreadKind::Pipeline);
        let rows = vec![
            ended,
            thread(1, 7, 0),
            thread(2, 3, 1),
            empty,
            thread(3, 9, 0),
        ];
        let mut ledger = ledger(rows);
        ledger.sort();
        let ids =
            |ledger: &ThreadLedger| ledger.threads.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(&ledger), [2, 3, 1, 9]);
        ledger.fold(3);
        assert_eq!(ids(&ledger), [2, 3, 1, 9]);
        ledger.fold(1);
        assert_eq!(ids(&ledger), [2, 9, 0]);
        let others = &ledger.threads[2];
        assert_eq!(others.kind, ThreadKind::Others);
        assert_eq!(others.counts(Signal::Traces).submitted, 16);
        assert!(ledger.adds_up());
    }

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in ThreadKind::ALL {
            assert_eq!(ThreadKind::from_name(kind.as_str()), Some(kind));
        }
    }
}
