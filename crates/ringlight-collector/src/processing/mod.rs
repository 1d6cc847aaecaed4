//! What becomes of records before they leave the process: what is secret or personal in them is
//! replaced, attributes are renamed or left out, whole records are left out.
//!
//! Rules are put together as a [`Processing`], of which a [`Redaction`] is a part, and turned once into
//! [`Rules`], which take a value and say what takes its place: no input or output, no state but counters.
//! [`Processor`] goes through records with them, on the collector's thread, between the rings and
//! everything else: log lines, sinks, tail sampling, batches and reports all get what it leaves. Recording
//! costs what it costs without rules.
//!
//! A record that no rule is about is looked at and passed on as it is; of any other a copy is made.

mod condition;
mod detect;
mod key;
mod model;
mod plans;
mod processor;
mod redaction;
mod replacement;
mod rules;
mod standard;
mod texts;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

pub use condition::RecordPattern;
pub(crate) use processor::{Processed, Processor};
pub use redaction::{Redaction, RedactionError, SensitiveData};
pub use replacement::{HashKey, Replacement};
pub use rules::RuleCount;
pub(crate) use rules::Rules;
use rules::Tallies;

use crate::config::CollectorConfig;

/// Rules for all records of a pipeline, applied before anything leaves the process. Without any, nothing is
/// looked at.
///
/// What is to be left out is looked for first, by what was recorded. Then each attribute is left out,
/// renamed or redacted. A rule that goes by a key looks at the key as it was recorded and at what it is renamed
/// to.
///
/// ```
/// use ringlight_collector::{CollectorConfig, Processing, RecordPattern, Redaction};
///
/// let config = CollectorConfig {
///     processing: Processing::new()
///         .redact(Redaction::standard())
///         .rename_attribute("http.method", "http.request.method")
///         .drop_attribute("debug.*")
///         .drop_records(RecordPattern::spans().name("GET /health*")),
///     ..CollectorConfig::default()
/// };
/// ```
#[derive(Clone, Default)]
pub struct Processing {
    spec: Spec,
    /// Made of the rules by whoever asks first.
    rules: Arc<OnceLock<Option<Arc<Rules>>>>,
    tallies: Tallies,
}

/// What a [`Processing`] was told.
#[derive(Debug, Clone, Default)]
struct Spec {
    /// What comes before `redaction`, and may be changed while a pipeline runs; `None` where it may not.
    base: Option<Redaction>,
    redaction: Redaction,
    renames: Vec<(String, String)>,
    dropped_attributes: Vec<String>,
    dropped_records: Vec<RecordPattern>,
}

impl Processing {
    /// No rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces what is secret or personal. Of several calls, the rules of later ones come before those of
    /// earlier ones.
    #[must_use]
    pub fn redact(self, redaction: Redaction) -> Self {
        self.changed(|spec| spec.redaction.add(redaction))
    }

    /// Redacts this as if it had been given to [`redact`](Self::redact) first, in place of what was given here before. It
    /// can be changed while a pipeline runs ([`Pipeline::set_base_redaction`](crate::Pipeline::set_base_redaction)):
    /// it is for what settings say, beside what the code does.
    #[must_use]
    pub fn base_redaction(self, redaction: Redaction) -> Self {
        self.changed(|spec| spec.base = Some(redaction))
    }

    /// Gives an attribute of spans, their events and links, and log records another key. Where a record
    /// has an attribute of that key already, that one stays and the renamed one is left out.
    #[must_use]
    pub fn rename_attribute(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.changed(|spec| spec.renames.push((from.into(), to.into())))
    }

    /// Leaves out attributes of spans, their events and links, and log records. `*` in the pattern stands for any
    /// text.
    #[must_use]
    pub fn drop_attribute(self, key_pattern: impl Into<String>) -> Self {
        self.changed(|spec| spec.dropped_attributes.push(key_pattern.into()))
    }

    /// Leaves out whole records. They are counted as dropped, with the reason `filtered`.
    #[must_use]
    pub fn drop_records(self, records: RecordPattern) -> Self {
        self.changed(|spec| spec.dropped_records.push(records))
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Spec {
            base,
            redaction,
            renames,
            dropped_attributes,
            dropped_records,
        } = &self.spec;
        base.as_ref().is_none_or(Redaction::is_empty)
            && redaction.is_empty()
            && renames.is_empty()
            && dropped_attributes.is_empty()
            && dropped_records.is_empty()
    }

    fn changed(mut self, change: impl FnOnce(&mut Spec)) -> Self {
        change(&mut self.spec);
        self.rules = Arc::default();
        self.tallies = Tallies::default();
        self
    }

    /// The same with another [base](Self::base_redaction), counting on; `None` without one.
    pub(crate) fn rebased(&self, redaction: Redaction) -> Option<Self> {
        self.spec.base.as_ref()?;
        let mut new = self.clone();
        new.spec.base = Some(redaction);
        new.rules = Arc::default();
        Some(new)
    }

    /// What the rules have done so far, in the pipelines that were started with this or a clone of it.
    #[must_use]
    pub fn counts(&self) -> Vec<RuleCount> {
        self.tallies.snapshot()
    }

    /// Redacts what is sent with everything.
    pub(crate) fn process_settings(config: &mut CollectorConfig) {
        if let Some(rules) = config.processing.rules() {
            rules.resource(&mut config.resource);
            rules.scope(&mut config.scope);
        }
    }

    /// The rules, ready; `None` where there are none. Clones share them, and their counters.
    pub(crate) fn rules(&self) -> Option<Arc<Rules>> {
        let compile =
            || (!self.is_empty()).then(|| Arc::new(Rules::new(&self.spec, &self.tallies)));
        self.rules.get_or_init(compile).clone()
    }
}

impl Spec {
    /// All that is redacted, the base first.
    fn all_redaction(&self) -> Redaction {
        let mut all = self.base.clone().unwrap_or_default();
        all.add(self.redaction.clone());
        all
    }
}

impl fmt::Debug for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}
