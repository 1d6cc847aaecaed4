//! All rules, ready to be applied.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Spec;
use super::condition::RecordPattern;
use super::key::Keys;
use super::texts::Texts;

/// Rules as they are applied. Taking a value, they say what takes its place.
pub(crate) struct Rules {
    pub(super) keys: Keys,
    pub(super) texts: Texts,
    /// With the index of the counter.
    pub(super) dropped_records: Vec<(RecordPattern, usize)>,
    pub(super) counts: Counts,
}

impl Rules {
    pub(super) fn new(spec: &Spec) -> Self {
        let mut counts = Counts::default();
        let dropped_records = spec.dropped_records.iter().map(|pattern| {
            let count = counts.index(&format!("records {pattern}"));
            (pattern.clone(), count)
        });
        let dropped_records = dropped_records.collect();
        Self {
            keys: Keys::new(spec, &mut counts),
            texts: Texts::new(&spec.redaction, &mut counts),
            dropped_records,
            counts,
        }
    }

    /// What the rules have done so far.
    pub(crate) fn counts(&self) -> Vec<RuleCount> {
        self.counts.snapshot()
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

/// Counters of the rules.
#[derive(Default)]
pub(super) struct Counts {
    names: Vec<String>,
    /// By index of the name. Relaxed throughout: numbers that nothing else depends on.
    counts: Vec<AtomicU64>,
}

impl Counts {
    /// The index of a rule by its name.
    pub(super) fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.iter().position(|known| known == name) {
            return index;
        }
        self.names.push(name.to_owned());
        self.counts.push(AtomicU64::new(0));
        self.names.len() - 1
    }

    pub(super) fn add(&self, index: usize) {
        if let Some(count) = self.counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that are not zero.
    fn snapshot(&self) -> Vec<RuleCount> {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let rules = self.names.iter().cloned().zip(counts);
        rules
            .filter(|(_, count)| *count > 0)
            .map(|(rule, count)| RuleCount { rule, count })
            .collect()
    }
}
