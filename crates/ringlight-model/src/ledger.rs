//! The ledger: an account of every record, by signal.
//!
//! The rule: `submitted + recovered = exported + rejected + dropped (by reason) + in flight + spooled`. In
//! flight is counted on its own, not derived, so that the equation can fail.

use std::fmt;
use std::ops::{AddAssign, Index, IndexMut};

use crate::Signal;

/// Why a record was dropped inside the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum DropReason {
    /// The producer's ring had no room.
    RingFull = 0,
    /// Submitted after the collector was closed.
    Closed = 1,
    /// The record alone is larger than a ring or a request may be.
    TooLarge = 2,
    /// The queue of a destination had no room.
    QueueFull = 3,
    /// The destination could not be reached, or kept failing, until the attempts were used up.
    RetriesExhausted = 4,
    /// The deadline of a shutdown passed first.
    Shutdown = 5,
    /// The record's bytes did not decode: a defect of the product, counted rather than hidden.
    Malformed = 6,
    /// So many spans were open that there was no place to keep another.
    TooManyOpen = 7,
    /// Its trace was judged, once it was over, not to be worth sending.
    TailSampled = 8,
    /// Made room on disk for later ones, or found none there that was not audit records'.
    SpoolFull = 9,
    /// Waited on disk for too long.
    SpoolExpired = 10,
    /// Damaged on disk.
    SpoolDamaged = 11,
    /// A rule was to leave it out.
    Filtered = 12,
}

impl DropReason {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 13] = [
        Self::RingFull,
        Self::Closed,
        Self::TooLarge,
        Self::QueueFull,
        Self::RetriesExhausted,
        Self::Shutdown,
        Self::Malformed,
        Self::TooManyOpen,
        Self::TailSampled,
        Self::SpoolFull,
        Self::SpoolExpired,
        Self::SpoolDamaged,
        Self::Filtered,
    ];

    /// Whether records are dropped for it because somebody asked for that, so that nobody need be told.
    #[must_use]
    pub const fn is_asked_for(self) -> bool {
        matches!(self, Self::TailSampled | Self::Filtered)
    }

    /// The name in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::Closed => "closed",
            Self::TooLarge => "too_large",
            Self::QueueFull => "queue_full",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Shutdown => "shutdown",
            Self::Malformed => "malformed",
            Self::TooManyOpen => "too_many_open",
            Self::TailSampled => "tail_sampled",
            Self::SpoolFull => "spool_full",
            Self::SpoolExpired => "spool_expired",
            Self::SpoolDamaged => "spool_damaged",
            Self::Filtered => "filtered",
        }
    }

    /// The reason of a name, the inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

const REASONS: usize = DropReason::ALL.len();
const SIGNALS: usize = Signal::ALL.len();

/// Numbers of records, one for each reason to drop them: `counts[DropReason::RingFull]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByReason([u64; REASONS]);

impl ByReason {
    pub(crate) const NONE: Self = Self([0; REASONS]);

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Index<DropReason> for ByReason {
    type Output = u64;

    fn index(&self, reason: DropReason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl IndexMut<DropReason> for ByReason {
    fn index_mut(&mut self, reason: DropReason) -> &mut u64 {
        &mut self.0[reason as usize]
    }
}

impl AddAssign for ByReason {
    fn add_assign(&mut self, other: Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

/// The account of one signal at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Records the application handed over, whatever became of them.
    pub submitted: u64,
    /// Records an earlier process left on disk, which this one has taken over.
    pub recovered: u64,
    /// Records the backend accepted.
    pub exported: u64,
    /// Of these, records of an earlier process: the backend has them under the name of that one.
    pub exported_recovered: u64,
    /// Records the backend refused for good.
    pub rejected: u64,
    /// Records dropped.
    pub dropped: ByReason,
    /// Records in a ring, a batch, a queue or a request.
    pub in_flight: u64,
    /// Records on disk, waiting.
    pub spooled: u64,
}

impl Account {
    /// Drops for every reason together.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.total()
    }

    /// Whether every submitted or recovered record is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.submitted + self.recovered
            == self.exported + self.rejected + self.dropped_total() + self.in_flight + self.spooled
    }
}

/// The accounts of all signals at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerSnapshot {
    accounts: [Account; SIGNALS],
    negative_durations: u64,
    unmatched_exits: u64,
    audit_lost: u64,
}

impl LedgerSnapshot {
    /// The account of a signal.
    #[must_use]
    pub const fn account(&self, signal: Signal) -> &Account {
        &self.accounts[signal as usize]
    }

    /// The account of a signal, to be filled in.
    pub const fn account_mut(&mut self, signal: Signal) -> &mut Account {
        &mut self.accounts[signal as usize]
    }

    /// Spans that came out of their rings with an end before their start, as times that were set by
    /// hand or read from a clock that went back may be. They are sent with a duration of zero.
    #[must_use]
    pub const fn negative_durations(&self) -> u64 {
        self.negative_durations
    }

    /// Sets how many spans ended before they began.
    pub const fn set_negative_durations(&mut self, spans: u64) {
        self.negative_durations = spans;
    }

    /// How often a thread left a span that it had not entered, or had left already. Nothing comes of it but this
    /// number: what the thread is in, and what is charged to its spans, stays as it was.
    #[must_use]
    pub const fn unmatched_exits(&self) -> u64 {
        self.unmatched_exits
    }

    /// Sets how often a thread left a span that it had not entered.
    pub const fn set_unmatched_exits(&mut self, exits: u64) {
        self.unmatched_exits = exits;
    }

    /// Audit records that did not arrive: refused, or dropped for whichever reason, those that an earlier process left on
    /// disk among them. The account of logs counts them under these as well. Where it is not zero, something is wrong. What
    /// a collector that broke down had in hand is in the accounts alone.
    #[must_use]
    pub const fn audit_lost(&self) -> u64 {
        self.audit_lost
    }

    /// Sets how many audit records did not arrive.
    pub const fn set_audit_lost(&mut self, records: u64) {
        self.audit_lost = records;
    }

    /// Whether every account balances.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.accounts.iter().all(Account::balances)
    }
}

/// One line, the signals that have something to say separated by semicolons: `traces: 12 submitted, 9
/// exported, 0 rejected, 3 dropped (ring_full 3), 0 in flight`.
impl fmt::Display for LedgerSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for signal in Signal::ALL {
            let account = self.account(signal);
            if *account == Account::default() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                f.write_str("; ")?;
            }
            write!(f, "{signal}: {account}")?;
        }
        if is_first {
            f.write_str("nothing submitted")?;
        }
        if self.audit_lost > 0 {
            write!(f, "; {} audit records lost", self.audit_lost)?;
        }
        Ok(())
    }
}

/// `12 submitted, 9 exported, 0 rejected, 3 dropped (ring_full 3), 0 in flight`.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} submitted, ", self.submitted)?;
        if self.recovered > 0 {
            write!(f, "{} recovered, ", self.recovered)?;
        }
        write!(
            f,
            "{} exported, {} rejected, {} dropped",
            self.exported,
            self.rejected,
            self.dropped_total()
        )?;
        let reasons = DropReason::ALL
            .into_iter()
            .filter(|reason| self.dropped[*reason] > 0);
        for (index, reason) in reasons.enumerate() {
            let before = if index == 0 { " (" } else { ", " };
            write!(f, "{before}{} {}", reason.as_str(), self.dropped[reason])?;
        }
        if self.dropped_total() > 0 {
            f.write_str(")")?;
        }
        write!(f, ", {} in flight", self.in_flight)?;
        if self.spooled > 0 {
            write!(f, ", {} spooled", self.spooled)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_balances_only_when_every_record_is_somewhere() {
        let mut account = Account {
            submitted: 10,
            exported: 6,
            rejected: 1,
            ..Account::default()
        };
        account.dropped[DropReason::RingFull] = 2;
        assert!(!account.balances());
        account.in_flight = 1;
        assert!(account.balances());
    }

    #[test]
    fn a_ledger_is_read_in_one_line() {
        let mut ledger = LedgerSnapshot::default();
        assert_eq!(ledger.to_string(), "nothing submitted");
        let traces = ledger.account_mut(Signal::Traces);
        traces.submitted = 12;
        traces.exported = 8;
        traces.dropped[DropReason::RingFull] = 2;
        traces.dropped[DropReason::Shutdown] = 1;
        traces.in_flight = 1;
        let logs = ledger.account_mut(Signal::Logs);
        logs.submitted = 1;
        logs.spooled = 1;
        assert_eq!(
            ledger.to_string(),
            "traces: 12 submitted, 8 exported, 0 rejected, 3 dropped (ring_full 2, shutdown 1), 1 in flight; \
             logs: 1 submitted, 0 exported, 0 rejected, 0 dropped, 0 in flight, 1 spooled"
        );
    }

    #[test]
    fn a_reason_is_found_by_its_name() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert_eq!(DropReason::from_name(reason.as_str()), Some(reason));
        }
    }
}
