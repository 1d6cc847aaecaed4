//! What a record says: its name, and what is to be shown beside it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use ringlight_collector::record::{
    FieldRole, Item, Items, KeyRef, LogRecord, SpanRecord, ValueRef,
};
use ringlight_model::{Callsite, CallsiteId, CallsiteKind, CallsiteRegistry};

use crate::format::{ArgName, Format, Fragment, Label};

/// A callsite, what its fields mean, and what they look like.
#[derive(Debug)]
pub(crate) struct Known {
    callsite: Arc<Callsite>,
    label: Fragment,
    fields: Box<[Field]>,
    /// The field that gives a span another name.
    renaming: Option<u16>,
    /// Whether its spans have a name in the source.
    has_source_name: bool,
}

#[derive(Debug)]
struct Field {
    role: FieldRole,
    /// Its name as an argument, if it is one.
    shown: Option<Fragment>,
}

impl Field {
    /// What it is shown as is asked of the format, if it is shown.
    fn new(kind: CallsiteKind, name: &'static str, format: Option<&mut Format>) -> Self {
        let role = FieldRole::of(kind, name);
        let name = match role {
            FieldRole::Attribute | FieldRole::StatusCode | FieldRole::SpanKind => {
                Some(distinct(kind, name.into()))
            }
            FieldRole::StatusMessage => Some(STATUS_MESSAGE.into()),
            FieldRole::SpanName => Some(SPAN_NAME.into()),
            FieldRole::Body => None,
        };
        let shown = name.zip(format);
        let shown = shown.map(|(name, format)| format.arg_name(&name));
        Self { role, shown }
    }
}

const STATUS_MESSAGE: &str = "status_message";
/// The name that a span has in place of the one in the source.
const SPAN_NAME: &str = "otel.name";

/// The name of a field as an argument: another one, if it is that of an argument which is no field.
fn distinct(kind: CallsiteKind, name: Cow<'_, str>) -> Cow<'_, str> {
    match (kind, &*name) {
        (_, "level" | "trace_id" | "span_id" | "parent_span_id" | STATUS_MESSAGE)
        | (CallsiteKind::Span, SPAN_NAME) => format!("field.{name}").into(),
        _ => name,
    }
}

impl Known {
    fn new(callsite: Arc<Callsite>, format: &mut Format, shows_args: bool) -> Self {
        let fields = callsite.fields.iter();
        let fields: Box<[_]> = fields
            .map(|name| Field::new(callsite.kind, name, shows_args.then_some(&mut *format)))
            .collect();
        let mut roles = (0..).zip(&fields);
        let renaming = roles.find(|(_, field)| field.role == FieldRole::SpanName);
        Self {
            label: format.label(callsite.name, category(&callsite)),
            renaming: renaming.map(|(index, _)| index),
            has_source_name: callsite.kind == CallsiteKind::Span && !callsite.name.is_empty(),
            fields,
            callsite,
        }
    }

    /// The label of the callsite.
    pub(crate) fn label(&self) -> Label<'_> {
        Label {
            name: self.callsite.name,
            category: category(&self.callsite),
            drawn: Some(&self.label),
        }
    }

    /// The label of something of the callsite that has a name of its own.
    fn label_of<'a>(&'a self, name: &'a str) -> Label<'a> {
        Label {
            name,
            category: category(&self.callsite),
            drawn: None,
        }
    }

    #[inline]
    fn shown(&self, index: u16) -> Option<ArgName<'_>> {
        let field = self.fields.get(usize::from(index))?;
        field.shown.as_ref().map(ArgName::Drawn)
    }
}

fn category(callsite: &Callsite) -> &'static str {
    match callsite.target {
        "" => "span",
        target => target,
    }
}

/// Callsites that are found without hashing.
const RECENT: usize = 64;

/// Callsites met so far: as many as the program's source has.
#[derive(Debug)]
pub(crate) struct Callsites {
    shows_args: bool,
    /// The first one is that of records that have none.
    known: Vec<Known>,
    by_id: HashMap<CallsiteId, usize, RandomState>,
    /// Those met lately, by a few bits of their address.
    recent: [Option<(CallsiteId, usize)>; RECENT],
}

impl Callsites {
    pub(crate) fn new(format: &mut Format, shows_args: bool) -> Self {
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
        let none = Known {
            has_source_name: false,
            ..Known::new(Arc::new(none), format, shows_args)
        };
        Self {
            shows_args,
            known: vec![none],
            by_id: HashMap::default(),
            recent: [None; RECENT],
        }
    }

    /// A callsite by its id.
    #[inline]
    pub(crate) fn get(
        &mut self,
        id: Option<CallsiteId>,
        registry: &CallsiteRegistry,
        format: &mut Format,
    ) -> &Known {
        let Some(id) = id else {
            return &self.known[0];
        };
        // Metadata are statics of more than a hundred bytes.
        let address = id.get();
        let place = (address >> 5 ^ address >> 11) as usize % RECENT;
        let index = match self.recent[place] {
            Some((known, index)) if known == id => index,
            _ => {
                let index = self.index(id, registry, format);
                // One that is not known yet may be so the next time.
                self.recent[place] = (index != 0).then_some((id, index));
                index
            }
        };
        &self.known[index]
    }

    #[cold]
    fn index(&mut self, id: CallsiteId, registry: &CallsiteRegistry, format: &mut Format) -> usize {
        if let Some(&index) = self.by_id.get(&id) {
            return index;
        }
        let Some(callsite) = registry.lookup(id) else {
            return 0;
        };
        self.known
            .push(Known::new(callsite, format, self.shows_args));
        let index = self.known.len() - 1;
        self.by_id.insert(id, index);
        index
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
    #[inline]
    pub(crate) fn each(&self, mut show: impl FnMut(ArgName<'_>, ValueRef<'a>)) {
        let Some((mut items, known)) = self.0 else {
            return;
        };
        // The name that a span has in place of the one in the source. The last one holds.
        let mut own_name = None;
        loop {
            let (index, value) = match items.next_plain() {
                Some((index, value)) => (index, ValueRef::from(value)),
                None => match items.next() {
                    None => break,
                    Some(Item::Attribute(KeyRef::Field(index), value)) => (index, value),
                    Some(Item::Name(text)) => {
                        own_name = Some((ArgName::Text(SPAN_NAME), ValueRef::Text(text)));
                        continue;
                    }
                    Some(item) => {
                        if let Some((name, value)) = named(known.callsite.kind, &item) {
                            show(ArgName::Text(&name), value);
                        }
                        continue;
                    }
                },
            };
            let Some(name) = known.shown(index) else {
                continue;
            };
            if known.renaming == Some(index) {
                // What is no text names nothing.
                if own_name.is_none() || matches!(value, ValueRef::Text(_)) {
                    own_name = Some((name, value));
                }
            } else {
                show(name, value);
            }
        }
        if let Some((name, value)) = own_name.filter(|_| known.has_source_name) {
            show(name, value);
        }
    }
}

/// What is shown under a name that is no field's.
fn named<'a>(kind: CallsiteKind, item: &Item<'a>) -> Option<(Cow<'a, str>, ValueRef<'a>)> {
    match item {
        Item::Attribute(KeyRef::Name(name), value) => {
            Some((distinct(kind, String::from_utf8_lossy(name)), *value))
        }
        Item::StatusMessage(text) => Some((STATUS_MESSAGE.into(), ValueRef::Text(*text))),
        _ => None,
    }
}

/// The texts of items that have this role.
fn said<'a>(
    items: Items<'a>,
    known: &Known,
    role: FieldRole,
) -> impl Iterator<Item = Cow<'a, str>> {
    items.into_iter().filter_map(move |item| match item {
        Item::Name(text) if role == FieldRole::SpanName => Some(text.to_str()),
        Item::Attribute(KeyRef::Field(index), ValueRef::Text(text)) => {
            let field = known.fields.get(usize::from(index))?;
            (field.role == role).then(|| text.to_str())
        }
        _ => None,
    })
}

/// The name that a span says it has, where there is none in the source: slices, of which no more is known than where the
/// span is in the source, and its life are called the same.
pub(crate) fn span_name<'a>(span: &SpanRecord<'a>, known: &Known) -> Option<Cow<'a, str>> {
    if known.has_source_name {
        None
    } else if known.renaming.is_some() {
        // As where it is sent.
        said(span.items(), known, FieldRole::SpanName).last()
    } else {
        span.items().own_name().map(|text| text.to_str())
    }
}

/// What a log record says.
pub(crate) fn message<'a>(log: &LogRecord<'a>, known: &Known) -> Option<Cow<'a, str>> {
    said(log.items(), known, FieldRole::Body).next()
}

impl Known {
    /// The label of something that may have a name of its own.
    pub(crate) fn label_or<'a>(&'a self, name: Option<&'a str>) -> Label<'a> {
        name.map_or_else(|| self.label(), |name| self.label_of(name))
    }
}
