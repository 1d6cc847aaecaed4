//! What is looked after now and then: whether records were dropped or rings are short, and the budget.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::{DropReason, Signal};
use tokio::time::Instant;

use crate::accounts::Accounts;
use crate::meter::Meter;
use crate::notice::{Notice, Notices};
use crate::submit::Shared;

/// How often is looked whether records were dropped, so that a person can be told.
const DROPS_LOOK: Duration = Duration::from_secs(1);

/// How long a person is told no more of a reason, though records go on being dropped for it.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// It is over when nothing has been dropped for as long.
const QUIET: Duration = Duration::from_secs(5);

/// How often the budget is looked after.
pub(super) const COST_LOOK: Duration = Duration::from_secs(1);

/// Tells a person that records are dropped: of each reason at once, then every minute while it goes on,
/// once it is over, and at the end. The same of spans that end before they begin. And, once, that threads find no ring.
pub(super) struct Drops {
    accounts: Arc<Accounts>,
    shared: Arc<Shared>,
    told_no_ring: bool,
    /// How many lost audit records a person was told of, and when.
    told_audit: Option<(u64, Instant)>,
    notices: Notices,
    /// The names of the destinations.
    names: Vec<String>,
    /// By reason and, where it is a matter of one of several destinations, which.
    told: HashMap<(Option<usize>, DropReason), Option<Told>>,
    /// The same of slices.
    told_slices: Option<Told>,
    /// The same of spans that ended before they began.
    told_negative: Option<Told>,
    look_at: Instant,
}

/// What a person was last told of a reason, and what was seen of it since.
struct Told {
    records: u64,
    at: Instant,
    seen: u64,
    grown_at: Instant,
}

impl Told {
    /// Whether there are so many by now that a person should be told, which they are then.
    fn is_news(
        told: &mut Option<Self>,
        records: u64,
        now: Instant,
        is_due: impl Fn(&Self) -> bool,
    ) -> bool {
        let is_news = match told {
            None => records > 0,
            Some(told) => {
                if records > told.seen {
                    (told.seen, told.grown_at) = (records, now);
                }
                records > told.records && is_due(told)
            }
        };
        if is_news {
            *told = Some(Self {
                records,
                at: now,
                seen: records,
                grown_at: now,
            });
        }
        is_news
    }
}

impl Drops {
    pub(super) fn new(
        accounts: Arc<Accounts>,
        shared: Arc<Shared>,
        notices: Notices,
        names: Vec<String>,
    ) -> Self {
        Self {
            names,
            accounts,
            shared,
            told_no_ring: false,
            told_audit: None,
            notices,
            told: HashMap::new(),
            told_slices: None,
            told_negative: None,
            look_at: Instant::now() + DROPS_LOOK,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.look_at
    }

    pub(super) fn look(&mut self, now: Instant) {
        self.look_at = now + DROPS_LOOK;
        self.tell(now, |told| {
            now >= told.at + TELL_AGAIN || now >= told.grown_at + QUIET
        });
        self.tell_audit(now, TELL_AGAIN);
    }

    /// Tells that audit records are lost, if a person does not know and was not told just now.
    fn tell_audit(&mut self, now: Instant, again_after: Duration) {
        let records = self.accounts.audit_lost_most();
        let (known, is_due) = match self.told_audit {
            Some((known, at)) => (known, now >= at + again_after),
            None => (0, true),
        };
        if records > known && is_due {
            self.told_audit = Some((records, now));
            self.notices.send(&Notice::AuditLost { records });
        }
    }

    /// Tells what a person does not know yet, at the end.
    pub(super) fn finish(&mut self) {
        self.tell(Instant::now(), |_| true);
        self.tell_audit(Instant::now(), Duration::ZERO);
        for (index, name) in self.names.iter().enumerate() {
            let ledger = self.accounts.snapshot(index);
            let signals = Signal::ALL.into_iter();
            let records = signals.map(|signal| ledger.account(signal).spooled).sum();
            if records > 0 {
                self.notices.send(&Notice::LeftOnDisk {
                    destination: name.clone(),
                    records,
                });
            }
        }
    }

    fn tell(&mut self, now: Instant, is_due: impl Fn(&Told) -> bool) {
        if !self.told_no_ring && self.shared.found_no_ring() {
            self.told_no_ring = true;
            self.notices.send(&Notice::RingsInUse);
        }
        let slices = self.shared.slices_dropped();
        if Told::is_news(&mut self.told_slices, slices, now, &is_due) {
            self.notices.send(&Notice::SlicesDropped { slices });
        }
        let spans = self.accounts.negative_durations();
        if Told::is_news(&mut self.told_negative, spans, now, &is_due) {
            self.notices.send(&Notice::NegativeDurations { spans });
        }
        for (destination, reason) in self.subjects() {
            let records = match destination {
                Some(index) => self.accounts.dropped_at(index, reason),
                None => self.accounts.dropped(reason),
            };
            let told = self.told.entry((destination, reason)).or_default();
            if Told::is_news(told, records, now, &is_due) {
                self.notices.send(&Notice::Dropped {
                    destination: destination.map(|index| self.names[index].clone()),
                    reason,
                    records,
                });
            }
        }
    }

    /// What a person is told of each by itself.
    fn subjects(&self) -> Vec<(Option<usize>, DropReason)> {
        let reasons = DropReason::ALL.into_iter();
        let unasked = reasons.filter(|reason| !reason.is_asked_for());
        unasked
            .flat_map(|reason| {
                let whose = if self.names.len() > 1 && is_of_one_destination(reason) {
                    (0..self.names.len()).map(Some).collect()
                } else {
                    vec![None]
                };
                whose
                    .into_iter()
                    .map(move |destination| (destination, reason))
            })
            .collect()
    }
}

/// Whether records are dropped for this reason at one destination, while others may have them.
const fn is_of_one_destination(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::QueueFull
            | DropReason::RetriesExhausted
            | DropReason::Shutdown
            | DropReason::SpoolFull
            | DropReason::SpoolExpired
            | DropReason::SpoolDamaged
    )
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
