//! All rules, ready to be applied.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Spec;
use super::condition::RecordPattern;
use super::key::Keys;
use super::texts::Texts;
use crate::sync::unpoisoned;

/// Rules as they are applied. Taking a value, they say what takes its place.
pub(crate) struct Rules {
    pub(super) keys: Keys,
    pub(super) texts: Texts,
    /// With the index of the counter.
    pub(super) dropped_records: Vec<(RecordPattern, usize)>,
    pub(super) counts: Counts,
}

impl Rules {
    pub(super) fn new(spec: &Spec, tallies: &Tallies) -> Self {
        let mut counts = Counts::of(tallies);
        let redaction = spec.all_redaction();
        let dropped_records = spec.dropped_records.iter().map(|pattern| {
            let count = counts.index(&format!("records {pattern}"));
            (pattern.clone(), count)
        });
        let dropped_records = dropped_records.collect();
        Self {
            keys: Keys::new(spec, &redaction, &mut counts),
            texts: Texts::new(&redaction, &mut counts),
            dropped_records,
            counts,
        }
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

/// How often a rule has replaced, renamed or left out something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleCount {
    /// `key` and its pattern, `pattern` and its name, the name of a [kind of data](super::SensitiveData), `rename` and
    /// the key, `drop` and the pattern of keys, or `records` and the description of records that are left out.
    pub rule: String,
    /// Values, parts of texts, attributes or records.
    pub count: u64,
}

/// The counters of all rules by name, whichever rules there are at the moment: one that comes back counts on.
#[derive(Debug, Clone, Default)]
pub(super) struct Tallies(Arc<Mutex<Vec<(String, Tally)>>>);

/// Relaxed throughout: a number that nothing else depends on.
type Tally = Arc<AtomicU64>;

impl Tallies {
    fn of(&self, name: &str) -> Tally {
        let mut all = unpoisoned(self.0.lock());
        if let Some((_, tally)) = all.iter().find(|(known, _)| known == name) {
            return Arc::clone(tally);
        }
        let tally = Tally::default();
        all.push((name.to_owned(), Arc::clone(&tally)));
        tally
    }

    /// Those that are not zero.
    pub(super) fn snapshot(&self) -> Vec<RuleCount> {
        let all = unpoisoned(self.0.lock());
        let counts = all.iter().map(|(rule, tally)| RuleCount {
            rule: rule.clone(),
            count: tally.load(Ordering::Relaxed),
        });
        counts.filter(|rule| rule.count > 0).collect()
    }
}

/// Counters of the rules there are.
pub(super) struct Counts {
    tallies: Tallies,
    names: Vec<String>,
    /// By index of the name.
    counts: Vec<Tally>,
}

impl Counts {
    pub(super) fn of(tallies: &Tallies) -> Self {
        Self {
            tallies: tallies.clone(),
            names: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// The index of a rule by its name.
    pub(super) fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.iter().position(|known| known == name) {
            return index;
        }
        self.names.push(name.to_owned());
        self.counts.push(self.tallies.of(name));
        self.names.len() - 1
    }

    pub(super) fn add(&self, index: usize) {
        if let Some(count) = self.counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
