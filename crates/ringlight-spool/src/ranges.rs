//! A set of numbers that are mostly next to each other.

use std::collections::BTreeMap;

/// Numbers of frames, kept as ranges: as large as it has gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// From the first number of a range to the one after its last. No two touch.
    ranges: BTreeMap<u64, u64>,
}

impl Ranges {
    pub(crate) fn contains(&self, id: u64) -> bool {
        let at_or_before = self.ranges.range(..=id).next_back();
        at_or_before.is_some_and(|(_, &end)| id < end)
    }

    pub(crate) fn insert(&mut self, id: u64) {
        self.insert_all(id, id.saturating_add(1));
    }

    /// Adds `start..end`.
    pub(crate) fn insert_all(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        if let Some((&before, &before_end)) = self.ranges.range(..=start).next_back()
            && before_end >= start
        {
            start = before;
            end = end.max(before_end);
        }
        while let Some((&next, &next_end)) = self.ranges.range(start..=end).next() {
            end = end.max(next_end);
            self.ranges.remove(&next);
        }
        self.ranges.insert(start, end);
    }

    /// Forgets the numbers below `id`.
    pub(crate) fn forget_below(&mut self, id: u64) {
        while let Some((&start, &end)) = self.ranges.first_key_value()
            && start < id
        {
            self.ranges.remove(&start);
            if end > id {
                self.ranges.insert(id, end);
            }
        }
    }

    /// The ranges in their order, each from its first number to the one after its last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(&start, &end)| (start, end))
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, &end)| end - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_put_in(
            steps in proptest::collection::vec((0_u64..60, 0_u64..8, any::<bool>()), 0..60)
        ) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for (start, count, forget) in steps {
                if forget && count == 0 {
                    ranges.forget_below(start);
                    set.retain(|id| *id >= start);
                } else {
                    ranges.insert_all(start, start + count);
                    set.extend(start..start + count);
                }
            }
            let listed: BTreeSet<u64> = ranges.iter().flat_map(|(start, end)| start..end).collect();
            prop_assert_eq!(&listed, &set);
            let mut ends = ranges.iter().map(|(_, end)| end);
            prop_assert!(ranges.iter().skip(1).all(|(start, _)| ends.next().unwrap() < start));
            for id in 0..70 {
                prop_assert_eq!(ranges.contains(id), set.contains(&id));
            }
            prop_assert_eq!(ranges.last(), set.last().copied());
        }
    }
}
