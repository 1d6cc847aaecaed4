//! What became of one signal's records at one destination.

use ringlight_model::{Account, ByReason, DropReason};

/// Where a drained record is until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Stage {
    /// In the batch being built.
    Batch = 0,
    /// In a sealed batch that waits for its turn.
    Queue = 1,
    /// In a batch being sent, or waiting to be sent again.
    Request = 2,
    /// On disk, and not on its way.
    Spool = 3,
}

pub(super) const STAGES: usize = 4;

/// What became of records that left a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The destination took `records` minus `rejected`.
    Delivered { rejected: u64 },
    /// The same for records of an earlier process.
    DeliveredRecovered { rejected: u64 },
    /// The destination refused them for good.
    Rejected,
    /// They were given up.
    Dropped(DropReason),
}

impl Fate {
    /// How many of so many records did not arrive.
    pub(crate) fn lost(self, records: u64) -> u64 {
        match self {
            // A backend cannot refuse more than it was given, whatever it claims.
            Self::Delivered { rejected } | Self::DeliveredRecovered { rejected } => {
                rejected.min(records)
            }
            Self::Rejected | Self::Dropped(_) => records,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) stages: [u64; STAGES],
    /// What an earlier process left on disk.
    pub(super) recovered: u64,
    pub(super) exported: u64,
    /// Of these, what the earlier process left.
    pub(super) exported_recovered: u64,
    pub(super) rejected: u64,
    pub(super) dropped: ByReason,
    /// Of those that count as exported, the ones that were for the sinks alone.
    pub(super) unwanted: u64,
}

impl Line {
    /// What became of the records that came out of the rings.
    pub(super) fn drained(&self) -> Account {
        Account {
            exported: self.exported,
            exported_recovered: self.exported_recovered,
            rejected: self.rejected,
            dropped: self.dropped,
            recovered: self.recovered,
            in_flight: self.in_flight(),
            spooled: self.stages[Stage::Spool as usize],
            ..Account::default()
        }
    }

    /// An account of this line without what is not to be exported. Nobody knows whether that is so of
    /// a record in a ring, so it begins to count when it has come out or is given up: no number ever
    /// shrinks but that of records in flight.
    pub(super) fn wanted(&self, account: &Account) -> Account {
        let drained_in_flight = self.in_flight();
        let in_rings = account.in_flight - drained_in_flight;
        Account {
            submitted: account.submitted.saturating_sub(in_rings + self.unwanted),
            exported: account.exported - self.unwanted,
            in_flight: drained_in_flight,
            ..*account
        }
    }

    fn in_flight(&self) -> u64 {
        let all: u64 = self.stages.iter().sum();
        all - self.stages[Stage::Spool as usize]
    }

    pub(super) fn settle(&mut self, records: u64, fate: Fate) {
        match fate {
            Fate::Delivered { .. } => {
                let rejected = fate.lost(records);
                self.rejected += rejected;
                self.exported += records - rejected;
            }
            Fate::DeliveredRecovered { rejected } => {
                let before = self.exported;
                self.settle(records, Fate::Delivered { rejected });
                self.exported_recovered += self.exported - before;
            }
            Fate::Rejected => self.rejected += records,
            Fate::Dropped(reason) => self.dropped[reason] += records,
        }
    }
}
