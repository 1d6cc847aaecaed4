//! What is looked after now and then: whether records were dropped, and the budget.

use std::sync::Arc;
use std::time::Duration;

use ringlight_model::DropReason;
use tokio::time::Instant;

use crate::accounts::Accounts;
use crate::meter::Meter;
use crate::notice::{Notice, Notices};

/// How often is looked whether records were dropped, so that a person can be told.
pub(super) const DROPS_LOOK: Duration = Duration::from_secs(1);

/// How often the budget is looked after.
pub(super) const COST_LOOK: Duration = Duration::from_secs(1);

/// Tells a person once for each reason that records are dropped.
pub(super) struct Drops {
    pub(super) accounts: Arc<Accounts>,
    pub(super) notices: Notices,
    pub(super) told: Vec<DropReason>,
    pub(super) look_at: Instant,
}

impl Drops {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.look_at
    }

    pub(super) fn look(&mut self, now: Instant) {
        self.look_at = now + DROPS_LOOK;
        for reason in DropReason::ALL {
            // What tail sampling leaves out is what was asked for.
            if reason == DropReason::TailSampled || self.told.contains(&reason) {
                continue;
            }
            let records = self.accounts.dropped(reason);
            if records > 0 {
                self.told.push(reason);
                self.notices.send(&Notice::Dropped { reason, records });
            }
        }
    }
}

/// When the budget is looked after next.
pub(super) struct Watch {
    pub(super) look_at: Instant,
    /// Whether that is to happen though nothing is recorded.
    pub(super) is_awaited: bool,
}

impl Watch {
    pub(super) fn look(&mut self, now: Instant, meter: &Meter) {
        if meter.is_governed() && now >= self.look_at {
            self.look_at = now + COST_LOOK;
            self.is_awaited = meter.govern();
        }
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.is_awaited.then_some(self.look_at)
    }
}
