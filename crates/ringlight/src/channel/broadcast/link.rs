//! What the ends of a channel share beside the channel itself, and what a receiver counts.

use std::sync::Arc;

use super::super::counts::{Group, Kind};
use super::super::named::Options;
use super::super::numbers::Spread;
use super::super::sources::{Counted, Registered, Source};
use super::super::spans::SpansToAll;
use super::super::wait::set_fill_ratio;
use crate::sync::{AtomicU64, Ordering};
use crate::uncounted::uncounted;

/// What the ends share.
#[derive(Debug)]
pub(super) struct Link {
    /// Messages that the channel has places for: as many as tokio makes of the capacity.
    pub(super) places: usize,
    pub(super) sent: Registered<Sent>,
    pub(super) extras: Option<Box<Extras>>,
}

/// What was asked for with the channel, beyond being counted.
#[derive(Debug)]
pub(super) struct Extras {
    pub(super) spans: Option<SpansToAll>,
    has_fill_ratio: bool,
}

impl Link {
    pub(super) fn new(options: Options<'_>, capacity: usize) -> Self {
        let group = Group::of(Kind::Broadcast, options.origin);
        let places = capacity.next_power_of_two();
        let extras = || {
            Box::new(Extras {
                spans: (options.has_spans).then(|| SpansToAll::new(group.name(), places)),
                has_fill_ratio: options.has_fill_ratio,
            })
        };
        let has_extras = options.has_spans || options.has_fill_ratio;
        Self {
            places,
            sent: Registered::new(group, Sent::default()),
            extras: has_extras.then(|| uncounted(extras)),
        }
    }

    pub(super) fn spans(&self) -> Option<&SpansToAll> {
        self.extras.as_ref()?.spans.as_ref()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(extras) = self.extras.take() {
            uncounted(|| drop(extras));
        }
    }
}

impl Extras {
    /// A message is sent or received, before which so many of the places were taken for one receiver.
    pub(super) fn note_fill(&self, taken: usize, places: usize) {
        if self.has_fill_ratio {
            set_fill_ratio(taken as f64 / places as f64);
        }
    }
}

/// Messages sent on a channel, which is also how far it is. On cache lines of its own, since others write beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Sent(Spread);

impl Sent {
    #[inline]
    pub(super) fn add(&self, count: u64) {
        self.0.add(count);
    }
}

impl Source for Sent {
    fn counted(&self) -> Counted {
        Counted {
            sent: self.0.sum(),
            ..Counted::default()
        }
    }
}

/// How far a receiver is. On cache lines of its own, since others write beside it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Reader {
    channel: Arc<Sent>,
    /// Messages that the channel has places for: the others that the receiver has before it are overwritten.
    places: u64,
    /// Messages it received. Written by the receiver, which is in one place at a time, as is `skipped`; `Relaxed`: numbers that
    /// nothing else depends on.
    pub(super) received: AtomicU64,
    /// How many others it has behind it: those sent before it came, and those it was too slow for. It is corrected now and
    /// then, since what is being sent in the moment it is set may be among them or not.
    skipped: AtomicU64,
}

/// How often is looked again whether nothing was sent meanwhile.
const LOOKS_MAX: usize = 16;

impl Reader {
    /// One with nothing behind it that is not yet corrected.
    pub(super) fn new(channel: &Arc<Sent>, places: usize) -> Self {
        Self {
            channel: Arc::clone(channel),
            places: places as u64,
            received: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    /// The channel itself says how much is ahead, and the sum how much there was at all: of one moment if that is the same before
    /// and after, but for what is sent and not counted yet.
    pub(super) fn correct(&self, backlog: impl Fn() -> usize) {
        let mut sum = self.channel.0.sum();
        let mut ahead = backlog();
        for _ in 0..LOOKS_MAX {
            let now = self.channel.0.sum();
            if now == sum {
                break;
            }
            (sum, ahead) = (now, backlog());
        }
        let behind = sum.saturating_sub(ahead as u64);
        let skipped = behind.saturating_sub(self.received.load(Ordering::Relaxed));
        self.skipped.store(skipped, Ordering::Relaxed);
    }
}

impl Source for Reader {
    fn counted(&self) -> Counted {
        let received = self.received.load(Ordering::Relaxed);
        let behind = received + self.skipped.load(Ordering::Relaxed);
        let ahead = self.channel.0.sum().saturating_sub(behind);
        Counted {
            received,
            depth: ahead.min(self.places),
            ..Counted::default()
        }
    }
}
