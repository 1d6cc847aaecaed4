//! What a record says: its name, and what is to be shown beside it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use ringlight_collector::record::{
    FieldRole, Item, Items, KeyRef, LogRecord, SpanRecord, ValueRef,
};
use ringlight_model::{Callsite, CallsiteId, CallsiteKind, CallsiteRegistry};

/// A callsite and what its fields mean.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) callsite: Arc<Callsite>,
    roles: Vec<FieldRole>,
}

impl Known {
    fn new(callsite: Arc<Callsite>) -> Self {
        let role = |name: &&'static str| FieldRole::of(callsite.kind, name);
        Self {
            roles: callsite.fields.iter().map(role).collect(),
            callsite,
        }
    }

    fn field(&self, index: u16) -> Option<(FieldRole, &'static str)> {
        let index = usize::from(index);
        Some((*self.roles.get(index)?, self.callsite.fields.get(index)?))
    }
}

/// Callsites met so far: as many as the program's source has.
#[derive(Debug)]
pub(crate) struct Callsites {
    known: HashMap<CallsiteId, Arc<Known>>,
    /// Of records that have none.
    none: Arc<Known>,
}

impl Default for Callsites {
    fn default() -> Self {
        let none = Callsite {
            kind: CallsiteKind::Span,
            name: "span",
            target: "",
            scope: None,
            severity: ringlight_model::Severity::INFO,
            module_path: None,
            file: None,
            line: None,
            fields: Vec::new(),
        };
        Self {
            known: HashMap::new(),
            none: Arc::new(Known::new(Arc::new(none))),
        }
    }
}

impl Callsites {
    /// A callsite by its id.
    pub(crate) fn get(
        &mut self,
        id: Option<CallsiteId>,
        registry: &CallsiteRegistry,
    ) -> Arc<Known> {
        let Some(id) = id else {
            return Arc::clone(&self.none);
        };
        if let Some(known) = self.known.get(&id) {
            return Arc::clone(known);
        }
        let Some(callsite) = registry.lookup(id) else {
            return Arc::clone(&self.none);
        };
        let known = Arc::new(Known::new(callsite));
        self.known.insert(id, Arc::clone(&known));
        known
    }
}

/// Attributes that are shown beside something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args<'a>(Option<(Items<'a>, &'a Known)>);

impl<'a> Args<'a> {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) const fn new(items: Items<'a>, known: &'a Known) -> Self {
        Self(Some((items, known)))
    }

    /// Calls `show` with each of them.
    pub(crate) fn each(&self, mut show: impl FnMut(&str, ValueRef<'a>)) {
        let Some((items, known)) = self.0 else { return };
        for item in items {
            match item {
                Item::Attribute(KeyRef::Field(index), value) => match known.field(index) {
                    Some((
                        FieldRole::Attribute | FieldRole::StatusCode | FieldRole::SpanKind,
                        name,
                    )) => {
                        show(name, value);
                    }
                    Some((FieldRole::StatusMessage, _)) => show("status_message", value),
                    Some((FieldRole::SpanName | FieldRole::Body, _)) | None => {}
                },
                Item::Attribute(KeyRef::Name(name), value) => {
                    show(&String::from_utf8_lossy(name), value);
                }
                Item::StatusMessage(text) => show("status_message", ValueRef::Text(text)),
                _ => {}
            }
        }
    }
}

/// The text of an item that has this role.
fn said<'a>(items: Items<'a>, known: &Known, role: FieldRole) -> Option<Cow<'a, str>> {
    items.into_iter().find_map(|item| match item {
        Item::Name(text) if role == FieldRole::SpanName => Some(text.to_str()),
        Item::Attribute(KeyRef::Field(index), ValueRef::Text(text)) => {
            let (found, _) = known.field(index)?;
            (found == role).then(|| text.to_str())
        }
        _ => None,
    })
}

/// What a span is called.
pub(crate) fn span_name<'a>(span: &SpanRecord<'a>, known: &Known) -> Cow<'a, str> {
    let said = said(span.items(), known, FieldRole::SpanName);
    said.unwrap_or(Cow::Borrowed(known.callsite.name))
}

/// What a log record says, or else what it is called.
pub(crate) fn message<'a>(log: &LogRecord<'a>, known: &Known) -> Cow<'a, str> {
    let said = said(log.items(), known, FieldRole::Body);
    said.unwrap_or(Cow::Borrowed(known.callsite.name))
}
