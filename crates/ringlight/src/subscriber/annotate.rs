//! What is added to a span while it is open, beyond its fields.

use ringlight_collector::record::{
    Item, ItemKind, ItemWriter, Key, KeyRef, Record as RecordBytes, ValueRef, Written, copy_words,
    item_kind,
};
use ringlight_model::{Limits, SpanId, TraceId};
use tracing_core::Metadata;

use super::slab::{Slot, SlotItems};

/// An open span that is recorded, under whatever keeps it open meanwhile.
pub(super) struct OpenSpan<'a> {
    pub(super) slot: &'a Slot,
    pub(super) limits: &'a Limits,
}

/// Writes the items of an open span.
pub(super) type SpanItems<'w, 'a> = ItemWriter<'w, SlotItems<'a>>;

impl OpenSpan<'_> {
    /// Adds a link, unless there are too many. `fill` writes what is within it and says how many
    /// attributes were dropped.
    pub(super) fn link(
        &self,
        (trace_id, span_id): (TraceId, SpanId),
        flags: u8,
        fill: impl FnOnce(&mut SpanItems<'_, '_>) -> u16,
    ) {
        let is_full = |items: &SlotItems<'_>| count(items, ItemKind::Link) >= self.limits.links_max;
        self.add(is_full, (0, 1), |items| {
            items.link(trace_id, span_id, flags, fill)
        });
    }

    /// Adds an event, as [`link`](Self::link) does a link.
    pub(super) fn event(
        &self,
        time_unix_nano: u64,
        fill: impl FnOnce(&mut SpanItems<'_, '_>) -> u16,
    ) {
        let is_full =
            |items: &SlotItems<'_>| count(items, ItemKind::Event) >= self.limits.events_max;
        self.add(is_full, (1, 0), |items| items.event(time_unix_nano, fill));
    }

    /// Adds an event of `tracing`, from its log record.
    #[cold]
    pub(super) fn event_of_log(&self, record: &[u64], metadata: &Metadata<'_>) {
        let mut bytes = vec![0; record.len() * 8];
        copy_words(record.iter().copied(), &mut bytes);
        let Ok(RecordBytes::Log(log)) = RecordBytes::parse(&bytes) else {
            return;
        };
        let name_of = |index: u16| {
            let mut fields = metadata.fields().iter();
            fields.nth(usize::from(index)).map_or("", |f| f.name())
        };
        self.event(log.time_unix_nano(), |items| {
            let mut dropped = log.head().dropped_attributes();
            let mut name = None;
            let level = metadata.level().as_str();
            let mut left = self.limits.event_attributes_max;
            let mut write = |write: &mut dyn FnMut() -> Written| {
                let written = left > 0 && write() != Written::Dropped;
                left -= usize::from(written);
                dropped = dropped.saturating_add(u16::from(!written));
            };
            for item in log.items() {
                let Item::Attribute(KeyRef::Field(index), value) = item else {
                    continue;
                };
                match (name_of(index), value) {
                    ("message", ValueRef::Text(text)) => name = Some(text),
                    (key, value) => write(&mut || copy(items, Key::Name(key), value)),
                }
            }
            write(&mut || items.text(Key::Name("level"), level));
            write(&mut || items.text(Key::Name("target"), metadata.target()));
            let _ = match name {
                Some(text) => items.name(&text.to_str()),
                None => items.name(metadata.name()),
            };
            dropped
        });
    }

    /// Adds an item, or counts it as dropped.
    fn add(
        &self,
        is_full: impl FnOnce(&SlotItems<'_>) -> bool,
        (event, link): (u32, u16),
        write: impl FnOnce(&mut SpanItems<'_, '_>) -> Written,
    ) {
        let is_count = |head| matches!(item_kind(head), ItemKind::Dropped { .. });
        let mut items = self.slot.items_locked();
        if !items.item_heads().any(is_count) {
            // Now, since there may be no room for it when it is needed.
            let _ = self.writer(&mut items).dropped(0, 0);
        }
        let is_dropped = is_full(&items) || write(&mut self.writer(&mut items)) == Written::Dropped;
        if is_dropped {
            let before = items.item_heads().find(|head| is_count(*head));
            let (events, links) = match before.map(item_kind) {
                Some(ItemKind::Dropped { events, links }) => (events, links),
                _ => (0, 0),
            };
            items.remove_item(is_count);
            let (events, links) = (events.saturating_add(event), links.saturating_add(link));
            if self.writer(&mut items).dropped(events, links) == Written::Dropped {
                // The span is full of attributes, to the last word.
                self.slot.set_head(self.slot.head().with_dropped(1));
            }
        }
        items.finish();
    }

    pub(super) const fn writer<'w, 'a>(&self, items: &'w mut SlotItems<'a>) -> SpanItems<'w, 'a> {
        ItemWriter::new(items, self.limits.text_bytes_max)
    }
}

/// How many items of a kind there are.
pub(super) fn count(items: &SlotItems<'_>, kind: ItemKind) -> usize {
    items
        .item_heads()
        .filter(|head| item_kind(*head) == kind)
        .count()
}

/// Writes a value that was read from another record.
fn copy(items: &mut SpanItems<'_, '_>, key: Key<'_>, value: ValueRef<'_>) -> Written {
    match value {
        ValueRef::Bool(value) => items.bool(key, value),
        ValueRef::I64(value) => items.i64(key, value),
        ValueRef::U64(value) => items.u64(key, value),
        ValueRef::F64(value) => items.f64(key, value),
        ValueRef::Text(text) => items.text(key, &text.to_str()),
        ValueRef::Bytes(bytes, _) => items.bytes(key, bytes),
        // `tracing` has no lists.
        ValueRef::List(_) => Written::Dropped,
    }
}
