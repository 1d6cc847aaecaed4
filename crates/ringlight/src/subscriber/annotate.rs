//! What is added to a span while it is open, beyond its fields.

use ringlight_collector::record::{
    Head, Item, ItemKind, ItemWriter, Key, KeyRef, Record as RecordBytes, ValueRef, Words, Written,
    dropped_item, item_kind, item_words,
};
use ringlight_model::{Limits, SpanId, TraceId};
use tracing_core::Metadata;

use super::panics::is_panic;
use super::slab::{Slot, SlotItems};

/// The items of an open span, which may be read and removed again.
pub(crate) trait OpenItems: Words {
    /// A word written before.
    fn word_at(&self, at: usize) -> u64;

    /// The places of all items and their first words.
    fn places(&self) -> impl Iterator<Item = (usize, u64)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let word = (at < self.len()).then(|| self.word_at(at))?;
            let place = (at, word);
            at += item_words(word)?;
            Some(place)
        })
    }

    /// The first words of all items.
    fn item_heads(&self) -> impl Iterator<Item = u64> {
        self.places().map(|(_, word)| word)
    }

    /// How many items of a kind there are.
    fn count(&self, kind: ItemKind) -> usize {
        let is_it = |head: &u64| item_kind(*head) == kind;
        self.item_heads().filter(is_it).count()
    }

    /// Removes the first item `is` says yes to; it is shown the item's place and first word.
    fn remove_first(&mut self, is: impl Fn(&Self, usize, u64) -> bool) {
        let found = self.places().find(|(at, word)| is(self, *at, *word));
        if let Some((at, word)) = found
            && let Some(words) = item_words(word)
        {
            for from in (at + words)..self.len() {
                let word = self.word_at(from);
                self.set(from - words, word);
            }
            self.truncate(self.len() - words);
        }
    }

    /// The same, shown the first word alone.
    fn remove_item(&mut self, is: impl Fn(u64) -> bool) {
        self.remove_first(|_, _, word| is(word));
    }
}

/// A span that is recorded and open, while nobody else changes it.
pub(crate) struct OpenSpan<'a, I> {
    pub(crate) head: Head,
    pub(crate) items: &'a mut I,
    pub(crate) limits: &'a Limits,
}

impl Slot {
    /// Changes the span, under its lock.
    pub(super) fn edit(
        &self,
        limits: &Limits,
        body: impl FnOnce(&mut OpenSpan<'_, SlotItems<'_>>),
    ) {
        let mut items = self.items_locked();
        let mut span = OpenSpan {
            head: self.head(),
            items: &mut items,
            limits,
        };
        body(&mut span);
        self.set_head(span.head);
        items.finish();
    }
}

/// What of an event or a link was lost.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// Attributes that were dropped.
    pub(crate) attributes: u16,
    /// Texts that were cut.
    pub(crate) texts: u8,
}

impl Lost {
    /// Counts an attribute.
    fn count(&mut self, written: Written) {
        match written {
            Written::Whole => {}
            Written::Cut => self.texts = self.texts.saturating_add(1),
            Written::Dropped => self.attributes = self.attributes.saturating_add(1),
        }
    }

    /// Counts a text that is no attribute.
    pub(crate) fn count_text(&mut self, written: Written) {
        let is_cut = written != Written::Whole;
        self.texts = self.texts.saturating_add(u8::from(is_cut));
    }
}

/// Attributes of an event or a link, up to a limit.
pub(crate) struct Attributes<'l> {
    left: usize,
    lost: &'l mut Lost,
}

impl<'l> Attributes<'l> {
    pub(crate) const fn new(attributes_max: usize, lost: &'l mut Lost) -> Self {
        Self {
            left: attributes_max,
            lost,
        }
    }

    /// One more, which `write` writes.
    pub(crate) fn add(&mut self, write: impl FnOnce() -> Written) {
        let written = if self.left > 0 {
            write()
        } else {
            Written::Dropped
        };
        self.left -= usize::from(written != Written::Dropped);
        self.lost.count(written);
    }
}

impl<I: OpenItems> OpenSpan<'_, I> {
    /// Adds a link, unless there are too many. `fill` writes what is within it.
    pub(crate) fn link(
        &mut self,
        (trace_id, span_id): (TraceId, SpanId),
        flags: u8,
        fill: impl FnOnce(&mut ItemWriter<'_, I>, &mut Lost),
    ) {
        let max = self.limits.links_max;
        self.add(ItemKind::Link, max, |items, lost| {
            items.link(trace_id, span_id, flags, |items| {
                fill(items, lost);
                lost.attributes
            })
        });
    }

    /// Adds an event, as [`link`](Self::link) does a link.
    pub(crate) fn event(
        &mut self,
        time_unix_nano: u64,
        fill: impl FnOnce(&mut ItemWriter<'_, I>, &mut Lost),
    ) {
        let max = self.limits.events_max;
        self.add(ItemKind::Event, max, |items, lost| {
            items.event(time_unix_nano, |items| {
                fill(items, lost);
                lost.attributes
            })
        });
    }

    /// Adds an item, or counts it as dropped.
    fn add(
        &mut self,
        kind: ItemKind,
        max: usize,
        write: impl FnOnce(&mut ItemWriter<'_, I>, &mut Lost) -> Written,
    ) {
        if self.dropped().is_none() {
            // Now, since there may be no room for it when it is needed.
            let _ = self.writer().dropped(0, 0);
        }
        let mut lost = Lost::default();
        let is_full = self.items.count(kind) >= max;
        if is_full || write(&mut self.writer(), &mut lost) == Written::Dropped {
            self.drop_one(kind);
        } else {
            self.head = self.head.with_cut(lost.texts);
        }
    }

    /// Where it is counted how many events and links were dropped, and how many of each.
    fn dropped(&self) -> Option<(usize, u32, u16)> {
        self.items
            .places()
            .find_map(|(at, word)| match item_kind(word) {
                ItemKind::Dropped { events, links } => Some((at, events, links)),
                _ => None,
            })
    }

    fn drop_one(&mut self, kind: ItemKind) {
        let is_event = kind == ItemKind::Event;
        if let Some((at, events, links)) = self.dropped() {
            let events = events.saturating_add(u32::from(is_event));
            let links = links.saturating_add(u16::from(!is_event));
            self.items.set(at, dropped_item(events, links));
        } else {
            // The span is full of attributes, to the last word.
            self.head = self.head.with_dropped(1);
        }
    }

    pub(crate) fn writer(&mut self) -> ItemWriter<'_, I> {
        ItemWriter::new(self.items, self.limits.text_bytes_max)
    }
}

/// Adds an event of `tracing` to a span, from its log record.
#[cold]
pub(super) fn add_event_of_log(
    slot: &Slot,
    limits: &Limits,
    record: &[u8],
    metadata: &Metadata<'_>,
    target: &str,
) {
    let Ok(RecordBytes::Log(log)) = RecordBytes::parse(record) else {
        return;
    };
    let name_of = |index: u16| {
        let mut fields = metadata.fields().iter();
        fields.nth(usize::from(index)).map_or("", |f| f.name())
    };
    let fill = |items: &mut ItemWriter<'_, SlotItems<'_>>, lost: &mut Lost| {
        lost.attributes = log.head().dropped_attributes();
        let mut name = None;
        let mut attributes = Attributes::new(limits.event_attributes_max, lost);
        for item in log.items() {
            let (key, value) = match item {
                Item::Attribute(KeyRef::Field(index), value) => (name_of(index), value),
                Item::Attribute(KeyRef::Name(name), value) => {
                    (std::str::from_utf8(name).unwrap_or_default(), value)
                }
                _ => continue,
            };
            match (key, value) {
                // By convention that of an exception is `exception`.
                ("message", _) if is_panic(metadata) => {}
                ("message", ValueRef::Text(text)) => name = Some(text),
                (key, value) => attributes.add(|| copy(items, Key::Name(key), value)),
            }
        }
        attributes.add(|| items.text(Key::Name("level"), metadata.level().as_str()));
        attributes.add(|| items.text(Key::Name("target"), target));
        lost.count_text(match name {
            Some(text) => items.copy_name(text),
            None => items.name(metadata.name()),
        });
    };
    slot.edit(limits, |span| span.event(log.time_unix_nano(), fill));
}

/// Writes a value that was read from another record.
fn copy<W: Words>(items: &mut ItemWriter<'_, W>, key: Key<'_>, value: ValueRef<'_>) -> Written {
    match value {
        ValueRef::Bool(value) => items.bool(key, value),
        ValueRef::I64(value) => items.i64(key, value),
        ValueRef::U64(value) => items.u64(key, value),
        ValueRef::F64(value) => items.f64(key, value),
        ValueRef::Text(text) => items.copy_text(key, text),
        ValueRef::Bytes(bytes, _) => items.bytes(key, bytes),
        // `tracing` has no lists.
        ValueRef::List(_) => Written::Dropped,
    }
}
