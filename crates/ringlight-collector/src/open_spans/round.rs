//! Which spans a report is about.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::SeenSpan;

/// Spans in a report at most: those that have been open for longest. The others are counted.
const SPANS_MAX: usize = 128;

/// The spans that have been open for longest.
pub(super) struct Oldest {
    /// From when on a span is of interest.
    after: Duration,
    /// At most [`SPANS_MAX`], the one to give way first on top.
    kept: BinaryHeap<Reverse<(Duration, u64)>>,
    found: usize,
    open_for: Option<Duration>,
}

impl Oldest {
    pub(super) const fn new(after: Duration) -> Self {
        Self {
            after,
            kept: BinaryHeap::new(),
            found: 0,
            open_for: None,
        }
    }

    pub(super) fn add(&mut self, seen: SeenSpan) {
        self.open_for = self.open_for.max(Some(seen.open_for));
        if seen.open_for < self.after {
            return;
        }
        self.found += 1;
        self.kept.push(Reverse((seen.open_for, seen.key)));
        if self.kept.len() > SPANS_MAX {
            self.kept.pop();
        }
    }

    /// How long the oldest of all spans has been open; `None` if none is.
    pub(super) const fn open_for(&self) -> Option<Duration> {
        self.open_for
    }

    /// Spans that have been open for long, also those that are too many.
    pub(super) const fn found(&self) -> usize {
        self.found
    }

    /// The keys of the oldest, the oldest first.
    pub(super) fn keys(self) -> impl Iterator<Item = u64> {
        let sorted = self.kept.into_sorted_vec();
        sorted.into_iter().map(|Reverse((_, key))| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_kept_and_all_are_counted() {
        let mut oldest = Oldest::new(Duration::from_secs(10));
        assert_eq!(oldest.open_for(), None);
        let count = 3 * SPANS_MAX as u64;
        // In an order that is neither up nor down.
        for n in (0..count).map(|n| n * 7 % count) {
            oldest.add(SeenSpan {
                key: n,
                open_for: Duration::from_secs(n),
            });
        }
        assert_eq!(oldest.open_for(), Some(Duration::from_secs(count - 1)));
        assert_eq!(oldest.found() as u64, count - 10);
        let expected: Vec<_> = (0..count).rev().take(SPANS_MAX).collect();
        assert_eq!(oldest.keys().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_has_not_been_open_for_long_only_says_for_how_long() {
        let mut oldest = Oldest::new(Duration::from_secs(10));
        oldest.add(SeenSpan {
            key: 1,
            open_for: Duration::from_secs(9),
        });
        assert_eq!(oldest.open_for(), Some(Duration::from_secs(9)));
        assert_eq!((oldest.found(), oldest.keys().count()), (0, 0));
    }
}
