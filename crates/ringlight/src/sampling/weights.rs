//! How many traces each one stands for that is recorded.
//!
//! Where a share of the traces is recorded, each of them stands for others, too: one of a tenth for ten. Whoever counts
//! spans has to count it so often (the *adjusted count* of OpenTelemetry's probability sampling). The sampler alone knows
//! how often, at the trace's beginning, and spans are counted when they are over, on another thread; so it notes it here,
//! by trace.

use std::hash::BuildHasher as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;

/// Sets of entries, of 64 bytes each: 512 KiB, which are taken when the first trace is noted.
const SETS: usize = 1 << 13;
/// Words of a set: how often something was noted there, and its entries.
const WORDS: usize = 8;
const ENTRIES: u64 = WORDS as u64 - 1;

/// The weights of the last traces that have one, about 50 000: an older one is forgotten, and counts as one of its own.
///
/// Any thread may note one, and read them. An entry is one word, so that it is whole: the upper half of the hash of its
/// trace, and the weight as `f32`; zero for none. All of them are `Relaxed`: a span comes to the reader through its ring,
/// by which what was noted at its trace's beginning has happened before.
#[derive(Debug, Default)]
pub(super) struct Weights {
    sets: OnceLock<Box<[[AtomicU64; WORDS]]>>,
}

/// A trace's place and mark.
fn hash(trace_low: u64) -> (usize, u64) {
    let hash = FixedState::with_seed(0).hash_one(trace_low);
    (hash as usize % SETS, hash >> 32 << 32)
}

impl Weights {
    /// Notes how many traces one stands for.
    pub(super) fn note(&self, trace_low: u64, weight: f64) {
        let sets = self.sets.get_or_init(|| {
            let none = || [const { AtomicU64::new(0) }; WORDS];
            std::iter::repeat_with(none).take(SETS).collect()
        });
        let (set, mark) = hash(trace_low);
        let [noted, entries @ ..] = &sets[set];
        let oldest = noted.fetch_add(1, Ordering::Relaxed) % ENTRIES;
        let entry = mark | u64::from((weight as f32).to_bits());
        entries[oldest as usize].store(entry, Ordering::Relaxed);
    }

    /// How many traces this one stands for, if that was noted.
    pub(super) fn of(&self, trace_low: u64) -> Option<f64> {
        let sets = self.sets.get()?;
        let (set, mark) = hash(trace_low);
        let [noted, entries @ ..] = &sets[set];
        // The latest of those that are there counts.
        let next = noted.load(Ordering::Relaxed);
        (1..=ENTRIES)
            .map(|back| {
                let at = next.wrapping_sub(back) % ENTRIES;
                entries[at as usize].load(Ordering::Relaxed)
            })
            .find(|entry| *entry != 0 && entry >> 32 << 32 == mark)
            .map(|entry| f64::from(f32::from_bits(entry as u32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_their_traces_and_the_last_ones_are_kept() {
        let weights = Weights::default();
        assert_eq!(weights.of(7), None);
        let traces: Vec<u64> = (0..200_000).map(|_| fastrand::u64(..)).collect();
        let weight = |at: usize| 1.0 + (at % 1000) as f64;
        for (at, trace) in traces.iter().enumerate() {
            weights.note(*trace, weight(at));
            assert_eq!(weights.of(*trace), Some(weight(at)));
        }
        let kept = |from: usize| {
            let last = traces.iter().enumerate().skip(from);
            last.filter(|(at, trace)| {
                let found = weights.of(**trace);
                assert!(found.is_none_or(|found| found == weight(*at)), "{at}");
                found.is_some()
            })
            .count()
        };
        assert!(kept(190_000) > 9_990);
        assert!(kept(0) <= SETS * ENTRIES as usize);
        assert_eq!(weights.of(fastrand::u64(..)), None);
    }

    #[test]
    fn a_trace_that_is_decided_about_again_has_its_new_weight() {
        let weights = Weights::default();
        weights.note(7, 2.0);
        weights.note(7, 1e9);
        assert_eq!(weights.of(7), Some(1e9));
    }
}
