//! Trace and span ids: random, never zero.
//!
//! Every thread has a generator of its own, seeded from the operating system's randomness. Each
//! step also takes in the clock, so a forked child, which inherits its parent's generator, parts
//! from it at its first id.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use super::slab::SpanContext;

/// A generator: the wyrand step over a state that never stands still.
#[derive(Debug)]
pub(super) struct IdGenerator {
    /// Zero until seeded.
    state: Cell<u64>,
}

impl IdGenerator {
    /// A generator that seeds itself at its first use.
    pub(super) const fn unseeded() -> Self {
        Self {
            state: Cell::new(0),
        }
    }

    /// Any 64 bits but all zeros.
    #[inline]
    pub(super) fn next(&self, now: u64) -> u64 {
        let mut state = self.state.get();
        if state == 0 {
            state = seed();
        }
        // The low bit keeps the state moving even where the clock stands still.
        state = state.wrapping_add(now.wrapping_mul(0x9e37_79b9_7f4a_7c15) << 1 | 1);
        state = state.wrapping_add(0xa076_1d64_78bd_642e);
        self.state.set(state);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        let id = (product >> 64) as u64 ^ product as u64;
        // Once in 2^64.
        if id == 0 { 1 } else { id }
    }

    /// Ids of a trace and a span.
    pub(super) fn next_context(&self, now: u64) -> SpanContext {
        SpanContext {
            trace_high: self.next(now),
            trace_low: self.next(now),
            span: self.next(now),
        }
    }
}

#[cold]
fn seed() -> u64 {
    // The keys of a `RandomState` are the operating system's randomness, different at each call.
    RandomState::new().hash_one(std::process::id()) | 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_are_never_zero_even_where_the_clock_stands_still() {
        let generator = IdGenerator::unseeded();
        let ids: HashSet<u64> = (0..100_000).map(|_| generator.next(7)).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(!ids.contains(&0));
    }

    #[test]
    fn threads_do_not_share_a_sequence() {
        let (a, b) = (IdGenerator::unseeded(), IdGenerator::unseeded());
        assert_ne!(a.next(7), b.next(7));
    }

    #[test]
    fn a_copied_generator_parts_from_the_original_with_the_clock() {
        let parent = IdGenerator::unseeded();
        parent.next(1);
        let child = IdGenerator {
            state: Cell::new(parent.state.get()),
        };
        assert_ne!(parent.next(1_000_000), child.next(1_000_001));
        assert_ne!(parent.next(2_000_000), child.next(2_000_000));
    }
}
