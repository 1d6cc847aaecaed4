//! The anchor in use, read by everyone and renewed by one thread at a time.

use std::sync::TryLockError;

use crate::Pair;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// How readings become times.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    /// A reading...
    pub(crate) ticks: u64,
    /// ... and the time it was taken at.
    pub(crate) unix_nano: u64,
    /// Nanoseconds a tick, in 2^-32.
    pub(crate) per_tick: u64,
    /// Where the measurement of the speed began.
    pub(crate) base: Pair,
    /// Nanoseconds until the next renewal.
    pub(crate) renew_nano: u64,
}

/// What readers need of an anchor.
#[derive(Debug)]
struct Words {
    ticks: AtomicU64,
    unix_nano: AtomicU64,
    per_tick: AtomicU64,
}

impl Words {
    fn of(anchor: &Anchor) -> Self {
        Self {
            ticks: AtomicU64::new(anchor.ticks),
            unix_nano: AtomicU64::new(anchor.unix_nano),
            per_tick: AtomicU64::new(anchor.per_tick),
        }
    }
}

/// The current anchor and the one before it, in turns: the next is written over the one before, so
/// that readers go on with the current one however long that takes. A reader reads again only if a
/// whole renewal and the beginning of another, a second later, fell into its three loads.
#[derive(Debug)]
pub(crate) struct Anchors {
    /// Anchors published so far; the lowest bit says which of the two is current.
    published: AtomicU64,
    turns: [Words; 2],
    /// The writer's copy, and the lock that makes it one writer.
    latest: Mutex<Anchor>,
}

/// The right to publish a new anchor.
pub(crate) struct Renewal<'a> {
    latest: MutexGuard<'a, Anchor>,
}

impl std::ops::Deref for Renewal<'_> {
    type Target = Anchor;

    fn deref(&self) -> &Anchor {
        &self.latest
    }
}

impl std::ops::DerefMut for Renewal<'_> {
    fn deref_mut(&mut self) -> &mut Anchor {
        &mut self.latest
    }
}

impl Anchors {
    pub(crate) fn new(anchor: Anchor) -> Self {
        Self {
            published: AtomicU64::new(0),
            turns: [Words::of(&anchor), Words::of(&anchor)],
            latest: Mutex::new(anchor),
        }
    }

    #[inline]
    const fn turn(&self, published: u64) -> &Words {
        &self.turns[(published % 2) as usize]
    }

    /// Ticks, time and speed that belong together.
    #[inline]
    pub(crate) fn current(&self) -> (u64, u64, u64) {
        loop {
            // Pairs with the last store of `publish`: the words of that anchor are seen.
            let published = self.published.load(Ordering::Acquire);
            let words = self.turn(published);
            // Each pairs with its store in `publish`: whoever sees a word of the anchor after the next
            // sees that the next has been published, in the load after these.
            let ticks = words.ticks.load(Ordering::Acquire);
            let unix_nano = words.unix_nano.load(Ordering::Acquire);
            let per_tick = words.per_tick.load(Ordering::Acquire);
            // Relaxed: it cannot come before the loads above, which acquire.
            if self.published.load(Ordering::Relaxed) == published {
                return (ticks, unix_nano, per_tick);
            }
        }
    }

    /// The speed alone; any recent one will do.
    #[inline]
    pub(crate) fn per_tick(&self) -> u64 {
        // Relaxed: the word is used alone, and either of the two turns is recent.
        self.turns[0].per_tick.load(Ordering::Relaxed)
    }

    /// The right to renew, unless another thread has it.
    pub(crate) fn begin(&self) -> Option<Renewal<'_>> {
        let latest = match self.latest.try_lock() {
            Ok(latest) => latest,
            // Nothing panics under the lock.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Renewal { latest })
    }

    #[cfg(all(test, not(ringlight_loom)))]
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Makes the anchor current.
    pub(crate) fn publish(&self, renewal: Renewal<'_>) {
        let anchor = &*renewal;
        // Relaxed: writers come one after the other, by the lock the caller holds.
        let next = self.published.load(Ordering::Relaxed).wrapping_add(1);
        let words = self.turn(next);
        // For the pairing see `current`.
        words.ticks.store(anchor.ticks, Ordering::Release);
        words.unix_nano.store(anchor.unix_nano, Ordering::Release);
        words.per_tick.store(anchor.per_tick, Ordering::Release);
        self.published.store(next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(number: u64) -> Anchor {
        Anchor {
            ticks: number,
            unix_nano: number,
            per_tick: number,
            base: Pair {
                ticks: 0,
                monotonic_nano: 0,
                unix_nano: 0,
            },
            renew_nano: 0,
        }
    }

    #[cfg(not(ringlight_loom))]
    fn publish(anchors: &Anchors, number: u64) {
        let mut renewal = anchors.begin().unwrap();
        *renewal = anchor(number);
        anchors.publish(renewal);
    }

    /// A model of the real anchors, explored by loom.
    ///
    /// Run with `RUSTFLAGS="--cfg ringlight_loom" cargo test -p ringlight-clock --lib --release anchor` and a target folder of
    /// its own. Bounds: three threads, three anchors, at most three preemptions an execution (threads that block or end switch
    /// freely), every value a load may return. Any of the orderings weakened that is not `Relaxed`, the second look at the count
    /// left out, and the count stored first make it fail.
    #[cfg(ringlight_loom)]
    #[test]
    fn an_anchor_is_whole_while_two_threads_renew_it() {
        use std::sync::Arc;

        let mut builder = loom::model::Builder::new();
        // `LOOM_MAX_PREEMPTIONS` says otherwise.
        builder.preemption_bound.get_or_insert(3);
        builder.check(|| {
            let anchors = Arc::new(Anchors::new(anchor(0)));
            let renewing = [(); 2].map(|()| {
                let anchors = Arc::clone(&anchors);
                loom::thread::spawn(move || {
                    let mut renewal = anchors.begin()?;
                    let next = renewal.ticks + 1;
                    *renewal = anchor(next);
                    anchors.publish(renewal);
                    Some(next)
                })
            });
            let mut latest = 0;
            for _ in 0..2 {
                let (ticks, unix_nano, per_tick) = anchors.current();
                assert_eq!((unix_nano, per_tick), (ticks, ticks));
                assert!(ticks >= latest);
                latest = ticks;
            }
            let renewed = renewing.map(|renewing| renewing.join().unwrap());
            let last = renewed.iter().flatten().max();
            assert_eq!(Some(&anchors.current().0), last);
        });
    }

    #[cfg(not(ringlight_loom))]
    #[test]
    fn a_writer_that_is_stopped_on_its_way_holds_nobody_up() {
        let anchors = Anchors::new(anchor(1));
        for number in 2..5 {
            publish(&anchors, number);
            let renewal = anchors.begin().unwrap();
            let next = anchors.published.load(Ordering::Relaxed) + 1;
            anchors.turn(next).ticks.store(99, Ordering::Release);
            // It got as far as that. Another one does not wait for it, and readers have what there was.
            assert!(anchors.begin().is_none());
            assert_eq!(anchors.current(), (number, number, number));
            drop(renewal);
        }
    }
}
