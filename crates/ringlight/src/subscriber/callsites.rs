//! Which callsites are wanted by whom.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use tracing_core::Metadata;
use tracing_core::subscriber::Interest;

use super::callsite::address;
use crate::sync::unpoisoned;

/// Callsites the first segment has room for, a power of two; each further one has twice as much.
const FIRST_PLACES: usize = 1024;
/// Places, from the one a callsite's address leads to, in which a segment may hold it.
const PROBES: usize = 16;

// Below an address, who wants the callsite. The uppermost bits of an address make way for it: all
// statics of a process have the same.
const WANTED_BITS: u32 = 3;
const THEIRS_MASK: u64 = 0b011;
const THEIRS_SOMETIMES: u64 = 0b001;
const THEIRS_ALWAYS: u64 = 0b010;
const OURS: u64 = 0b100;
const WANTED_MASK: u64 = (1 << WANTED_BITS) - 1;

/// Who wants a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted(u64);

/// How much the layers beside us want a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theirs {
    Never,
    /// They are to be asked each time.
    Sometimes,
    Always,
}

impl Wanted {
    pub(super) fn new(ours: bool, theirs: &Interest) -> Self {
        let theirs = if theirs.is_always() {
            THEIRS_ALWAYS
        } else if theirs.is_sometimes() {
            THEIRS_SOMETIMES
        } else {
            0
        };
        Self(if ours { OURS | theirs } else { theirs })
    }

    /// Whether we record it.
    #[inline]
    pub(super) const fn ours(self) -> bool {
        self.0 & OURS != 0
    }

    #[inline]
    pub(super) const fn theirs(self) -> Theirs {
        match self.0 & THEIRS_MASK {
            0 => Theirs::Never,
            THEIRS_SOMETIMES => Theirs::Sometimes,
            _ => Theirs::Always,
        }
    }
}

/// What is known of callsites: a hash table that is read without a lock and only grows, by further
/// segments. There are as many entries as the process has callsites, which are statics.
#[derive(Debug)]
pub(super) struct Callsites {
    first: Segment,
    /// Held while writing.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Segment {
    /// An address and what is wanted, or zero. An address stays where it is.
    places: Box<[AtomicU64]>,
    /// Where callsites are that found no place here.
    next: OnceLock<Box<Segment>>,
}

impl Segment {
    fn new(places: usize) -> Self {
        Self {
            places: (0..places).map(|_| AtomicU64::new(0)).collect(),
            next: OnceLock::new(),
        }
    }

    /// The place of an address: the one that has it, or the first that is free.
    #[inline]
    fn place(&self, address: u64) -> Option<(&AtomicU64, u64)> {
        let (mask, key) = (self.places.len() - 1, address << WANTED_BITS);
        // The upper half of the product depends on all bits of the address.
        let hash = (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        let first = hash & mask;
        (first..first + PROBES).find_map(|at| {
            let place = &self.places[at & mask];
            // Pairs with the store in `Callsites::set`: what was registered before is seen.
            let word = place.load(Ordering::Acquire);
            (word == 0 || word & !WANTED_MASK == key).then_some((place, word))
        })
    }
}

impl Callsites {
    pub(super) fn new() -> Self {
        Self {
            first: Segment::new(FIRST_PLACES),
            writing: Mutex::new(()),
        }
    }

    /// Who wants a callsite; `None` before it was registered, and for metadata of no callsite, which
    /// are at no such address.
    #[inline]
    pub(super) fn get(&self, metadata: &Metadata<'_>) -> Option<Wanted> {
        let address = std::ptr::from_ref(metadata).addr() as u64;
        let mut segment = &self.first;
        loop {
            match segment.place(address) {
                Some((_, 0)) => return None,
                Some((_, word)) => return Some(Wanted(word & WANTED_MASK)),
                None => segment = segment.next.get()?,
            }
        }
    }

    /// Says who wants a callsite from now on.
    pub(super) fn set(&self, metadata: &'static Metadata<'static>, wanted: Wanted) {
        let address = address(metadata);
        let _writing = unpoisoned(self.writing.lock());
        let mut segment = &self.first;
        loop {
            if let Some((place, _)) = segment.place(address) {
                // Pairs with the load in `Segment::place`.
                place.store(address << WANTED_BITS | wanted.0, Ordering::Release);
                return;
            }
            let places = 2 * segment.places.len();
            segment = segment.next.get_or_init(|| Box::new(Segment::new(places)));
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_core::callsite::{Callsite, Identifier};
    use tracing_core::field::FieldSet;
    use tracing_core::{Kind, Level};

    use super::*;

    struct Nowhere;
    impl Callsite for Nowhere {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            metadata()
        }
    }
    static NOWHERE: Nowhere = Nowhere;

    fn metadata() -> &'static Metadata<'static> {
        let fields = FieldSet::new(&[], Identifier(&NOWHERE));
        let metadata = Metadata::new("", "", Level::INFO, None, None, None, fields, Kind::SPAN);
        Box::leak(Box::new(metadata))
    }

    #[test]
    fn every_callsite_is_found_with_what_was_said_last() {
        let callsites = Callsites::new();
        let all: Vec<_> = (0..3 * FIRST_PLACES).map(|_| metadata()).collect();
        let interests = [Interest::never(), Interest::sometimes(), Interest::always()];
        let expected = [Theirs::Never, Theirs::Sometimes, Theirs::Always];
        for round in 0..2 {
            for (n, metadata) in all.iter().enumerate() {
                let (ours, theirs) = (n % 2 == round, &interests[(n + round) % 3]);
                callsites.set(metadata, Wanted::new(ours, theirs));
            }
            for (n, metadata) in all.iter().enumerate() {
                let wanted = callsites.get(metadata).unwrap();
                let found = (wanted.ours(), wanted.theirs());
                assert_eq!(found, (n % 2 == round, expected[(n + round) % 3]));
            }
        }
        assert!(callsites.first.next.get().is_some());
        assert_eq!(callsites.get(metadata()), None);
    }
}
