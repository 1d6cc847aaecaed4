//! What producers count.

use ringlight_model::{DropReason, Signal, ThreadCounts};
use ringlight_ring::COUNTERS;

/// The counters of a ring, or the sums of those of several.
pub(super) type Counters = [u64; COUNTERS];

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

/// The counter of slices that found no room, which no account has: they go to no destination.
pub(crate) const SLICES_DROPPED: usize = 16;

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

    /// What producers counted of the records of a signal. Everything else is counted behind the rings.
    pub(super) fn produced(counters: &Counters, signal: Signal) -> ThreadCounts {
        let counted = |what: Self| counters[what.index(signal)];
        let mut counts = ThreadCounts {
            submitted: counted(Self::Submitted),
            ..ThreadCounts::default()
        };
        for (reason, what) in [
            (DropReason::RingFull, Self::RingFull),
            (DropReason::Closed, Self::Closed),
            (DropReason::TooLarge, Self::TooLarge),
            (DropReason::Malformed, Self::Abandoned),
            (DropReason::TooManyOpen, Self::TooManyOpen),
        ] {
            counts.dropped[reason] = counted(what);
        }
        counts
    }
}
