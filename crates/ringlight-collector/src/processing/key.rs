//! What becomes of an attribute, by its key.

use ringlight_model::glob_matches;

use super::Redaction;
use super::Spec;
use super::redaction::KeyRule;
use super::replacement::Replacement;
use super::rules::Counts;

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeyPlan {
    pub(super) action: KeyAction,
    /// Its new key, by [`Keys::new_name`].
    rename: Option<usize>,
}

/// What becomes of an attribute's value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum KeyAction {
    /// It is looked into.
    #[default]
    Look,
    /// It stays as it is.
    Allow,
    /// It is left out; counted there.
    Drop(usize),
    /// What takes its place says [`Keys::replacement`].
    Replace(usize),
}

impl KeyPlan {
    /// Whether the attribute changes whatever its value is.
    pub(super) const fn is_change(self) -> bool {
        self.rename.is_some() || matches!(self.action, KeyAction::Drop(_) | KeyAction::Replace(_))
    }
}

/// Whether the attribute at this place among the keys, each with its new one, is renamed to what another is
/// called, or an earlier one is renamed to, and is left out therefore.
pub(super) fn gives_way(at: usize, keys: &[(&str, Option<&str>)]) -> bool {
    let Some((_, Some(new))) = keys.get(at) else {
        return false;
    };
    let mut others = keys.iter().enumerate().filter(|(other, _)| *other != at);
    others.any(|(other, (key, rename))| match rename {
        None => key == new,
        Some(rename) => other < at && rename == new,
    })
}

/// Rules that go by keys.
pub(super) struct Keys {
    allowed: Vec<String>,
    /// The first one that is about a key decides.
    replaced: Vec<(KeyRule, usize)>,
    dropped: Vec<(String, usize)>,
    renamed: Vec<Rename>,
}

/// A new key for an attribute.
pub(super) struct Rename {
    from: String,
    pub(super) to: String,
    pub(super) count: usize,
}

impl Keys {
    pub(super) fn new(spec: &Spec, redaction: &Redaction, counts: &mut Counts) -> Self {
        let replaced = redaction.keys.iter().rev().map(|rule| {
            let count = counts.index(&format!("key {}", rule.pattern));
            (rule.clone(), count)
        });
        let replaced = replaced.collect();
        let dropped = spec.dropped_attributes.iter().map(|pattern| {
            let count = counts.index(&format!("drop {pattern}"));
            (pattern.clone(), count)
        });
        let dropped = dropped.collect();
        let renamed = spec.renames.iter().map(|(from, to)| Rename {
            from: from.clone(),
            to: to.clone(),
            count: counts.index(&format!("rename {from}")),
        });
        let renamed = renamed.collect();
        Self {
            allowed: redaction.allowed.clone(),
            replaced,
            dropped,
            renamed,
        }
    }

    /// What becomes of an attribute of a record.
    pub(super) fn plan(&self, key: &str) -> KeyPlan {
        // The last one that was given, as everywhere.
        let rename = self.renamed.iter().rposition(|rename| rename.from == key);
        let new = rename.map(|rename| &*self.renamed[rename].to);
        let is_dropped = |name: &str| {
            let rule = self.dropped.iter().find(|(p, _)| glob_matches(p, name));
            rule.map(|(_, count)| KeyAction::Drop(*count))
        };
        let redaction = || match (self.redaction(key), new) {
            (KeyAction::Look, Some(new)) => self.redaction(new),
            (own, _) => own,
        };
        let action = is_dropped(key).or_else(|| new.and_then(is_dropped));
        KeyPlan {
            action: action.unwrap_or_else(redaction),
            rename,
        }
    }

    /// What an attribute is called from now on and where that is counted, if it is renamed.
    pub(super) fn rename(&self, plan: KeyPlan) -> Option<&Rename> {
        self.renamed.get(plan.rename?)
    }

    /// What an attribute is called from now on, if that is something else.
    pub(super) fn new_name(&self, plan: KeyPlan) -> Option<&str> {
        Some(&self.rename(plan)?.to)
    }

    /// What takes the place of a value by a rule, and where that is counted.
    pub(super) fn replacement(&self, rule: usize) -> (&Replacement, usize) {
        let (rule, count) = &self.replaced[rule];
        (&rule.replacement, *count)
    }

    /// What becomes of a value by its key, where it is neither renamed nor left out for it.
    pub(super) fn redaction(&self, key: &str) -> KeyAction {
        if self.replaced.is_empty() && self.allowed.is_empty() {
            return KeyAction::Look;
        }
        let key = key.to_lowercase();
        if self.allowed.iter().any(|p| glob_matches(p, &key)) {
            return KeyAction::Allow;
        }
        let mut rules = self.replaced.iter();
        let rule = rules.position(|(rule, _)| glob_matches(&rule.pattern, &key));
        rule.map_or(KeyAction::Look, KeyAction::Replace)
    }
}
