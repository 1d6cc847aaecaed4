//! Going through whole spans, resources and scopes.

use std::borrow::Cow;

use ringlight_model::{CallsiteKind, KeyValue, Resource, Scope, Severity, Span, Value};

use super::condition::{Origin, Subject};
use super::key::{self, KeyAction, KeyPlan};
use super::rules::Rules;
use crate::record::Text;

/// What a text that was cut ends with.
const CUT_MARK: char = '…';

impl Rules {
    /// What takes the place of a span; `None` where that is the span itself.
    pub(super) fn span<'a>(&self, span: &Span<'a>) -> Option<Span<'a>> {
        let mut new = span.clone();
        let mut is_changed = self.text(&mut new.name);
        is_changed |= self.text(&mut new.status.message);
        is_changed |= self.trace_state(&mut new.trace_state);
        is_changed |= self.record_attributes(&mut new.attributes);
        for event in &mut new.events {
            is_changed |= self.text(&mut event.name);
            is_changed |= self.record_attributes(&mut event.attributes);
        }
        for link in &mut new.links {
            is_changed |= self.trace_state(&mut link.trace_state);
            is_changed |= self.record_attributes(&mut link.attributes);
        }
        is_changed.then_some(new)
    }

    /// Whether a span is to be left out.
    pub(super) fn is_span_filtered(&self, span: &Span<'_>) -> bool {
        let origin = Origin {
            kind: CallsiteKind::Span,
            target: "",
        };
        let mut rules = self.dropped_records.iter();
        let rule = rules.find(|(rule, _)| rule.may_mean(&origin) && rule.means(span));
        rule.inspect(|(_, count)| self.counts.add(*count)).is_some()
    }

    /// Redacts what is sent with everything.
    pub(crate) fn resource(&self, resource: &mut Resource<'static>) {
        self.redact(&mut resource.attributes);
    }

    /// Redacts a scope.
    pub(crate) fn scope(&self, scope: &mut Scope<'static>) {
        self.text(&mut scope.name);
        self.redact(&mut scope.attributes);
    }

    /// Renames, leaves out and redacts attributes; whether anything was done.
    pub(crate) fn record_attributes(&self, attributes: &mut Vec<KeyValue<'_>>) -> bool {
        let plans: Vec<KeyPlan> = attributes.iter().map(|a| self.keys.plan(&a.key)).collect();
        let keys = attributes.iter().map(|attribute| &*attribute.key);
        let keys: Vec<_> = keys
            .zip(&plans)
            .map(|(key, plan)| (key, self.keys.new_name(*plan)))
            .collect();
        let gives_way: Vec<bool> = (0..keys.len())
            .map(|at| key::gives_way(at, &keys))
            .collect();
        let mut plans = plans.iter().zip(gives_way);
        let mut is_changed = false;
        attributes.retain_mut(|attribute| {
            // There is one for each.
            let Some((plan, gives_way)) = plans.next() else {
                return true;
            };
            is_changed |= plan.is_change();
            if let KeyAction::Drop(count) = plan.action {
                self.counts.add(count);
                return false;
            }
            if gives_way {
                return false;
            }
            if let Some(rename) = self.keys.rename(*plan) {
                self.counts.add(rename.count);
                attribute.key = Cow::Owned(rename.to.clone());
            }
            self.by_key(plan.action, &mut attribute.value, &mut is_changed)
        });
        is_changed
    }

    /// Replaces values, also those within maps.
    fn redact(&self, attributes: &mut Vec<KeyValue<'_>>) -> bool {
        let mut is_changed = false;
        attributes.retain_mut(|attribute| {
            let action = self.keys.redaction(&attribute.key);
            self.by_key(action, &mut attribute.value, &mut is_changed)
        });
        is_changed
    }

    /// Whether the value stays, changed or not.
    fn by_key(&self, action: KeyAction, value: &mut Value<'_>, is_changed: &mut bool) -> bool {
        match action {
            KeyAction::Allow | KeyAction::Drop(_) => {}
            KeyAction::Look => *is_changed |= self.value(value),
            KeyAction::Replace(rule) => {
                let (replacement, count) = self.keys.replacement(rule);
                self.counts.add(count);
                *is_changed = true;
                let new = match &*value {
                    Value::Bytes(bytes) => replacement.of(bytes),
                    value => replacement.of(value.to_string().as_bytes()),
                };
                let Some(new) = new else { return false };
                *value = Value::Str(Cow::Owned(new));
            }
        }
        true
    }

    fn value(&self, value: &mut Value<'_>) -> bool {
        let counts = Some(&self.counts);
        let new = match value {
            Value::Empty | Value::Bool(_) | Value::Double(_) => return false,
            Value::Str(text) => return self.text(text),
            Value::Int(number) => {
                let absolute = number.unsigned_abs();
                self.texts.of_number(absolute, *number < 0, counts)
            }
            Value::Bytes(bytes) => self.texts.of_bytes(bytes, false, counts),
            Value::Array(items) => {
                let changed = items.iter_mut().map(|item| u32::from(self.value(item)));
                return changed.sum::<u32>() > 0;
            }
            Value::Map(items) => return self.redact(items),
        };
        let Some(new) = new else { return false };
        *value = Value::Str(Cow::Owned(new));
        true
    }

    fn text(&self, text: &mut Cow<'_, str>) -> bool {
        let (whole, is_cut) = match text.strip_suffix(CUT_MARK) {
            Some(whole) => (whole, true),
            None => (&**text, false),
        };
        let Some(mut new) = self.texts.replaced(whole, is_cut, Some(&self.counts)) else {
            return false;
        };
        if is_cut {
            new.push(CUT_MARK);
        }
        *text = Cow::Owned(new);
        true
    }

    /// Whether something is found in a text; counted.
    pub(super) fn counts_secret(&self, text: Text<'_>) -> bool {
        let counts = Some(&self.counts);
        (self.texts.replaced(&text.to_str(), text.cut, counts)).is_some()
    }

    /// One in which something is found is left out: with a part replaced it would be none.
    fn trace_state(&self, state: &mut Cow<'_, str>) -> bool {
        let is_found = self
            .texts
            .replaced(state, false, Some(&self.counts))
            .is_some();
        if is_found {
            *state = Cow::Borrowed("");
        }
        is_found
    }
}

impl Subject for Span<'_> {
    fn has_name(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        is_meant(&self.name)
    }

    fn severity(&self) -> Severity {
        Severity::UNSPECIFIED
    }

    fn has_message(&self, _: impl Fn(&str) -> bool) -> bool {
        false
    }

    fn has_attribute(&self, key: &str, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut named = self.attributes.iter().filter(|a| a.key == key);
        named.any(|attribute| is_meant(&attribute.value.to_string()))
    }
}
