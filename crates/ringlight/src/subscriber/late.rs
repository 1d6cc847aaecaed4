//! Fields recorded while a span is open.

use ringlight_collector::record::{Head, Words, item_field, item_words};
use tracing_core::span::Record;

use super::RinglightSubscriber;
use super::annotate::OpenItems as _;
use super::scratch::Bounded;
use super::slab::Slot;
use super::thread::Thread;
use super::visit::FieldVisitor;

impl RinglightSubscriber {
    /// Merges items built in `scratch` into an open span: a later value of a field replaces the
    /// earlier one.
    fn merge(&self, slot: &Slot, scratch: &[u64], losses: Head) {
        let mut items = slot.items_locked();
        let mut head = slot
            .head()
            .with_dropped(losses.dropped_attributes())
            .with_cut(losses.texts_cut());
        let mut rest = scratch;
        while let Some(word) = rest.first().copied() {
            let Some(words) = item_words(word) else {
                break;
            };
            let (item, after) = rest.split_at(words.min(rest.len()));
            rest = after;
            if let Some(field) = item_field(word) {
                items.remove_item(|earlier| item_field(earlier) == Some(field));
            }
            let attributes = items
                .item_heads()
                .filter(|head| item_field(*head).is_some());
            if attributes.count() >= self.limits.attributes_max || items.room() < words {
                head = head.with_dropped(1);
                continue;
            }
            for word in item {
                items.push(*word);
            }
        }
        slot.set_head(head);
        items.finish();
    }

    /// Writes fields of a span that is open.
    pub(super) fn record_fields(&self, thread: &Thread, slot: &Slot, values: &Record<'_>) {
        // Formatted before the slot is locked: a field's `Debug` may use the same span.
        let mut scratch = thread.take_scratch();
        let nothing = Head::from_word(0);
        let mut visitor = FieldVisitor::new(nothing, Bounded(&mut scratch), &self.limits);
        values.record(&mut visitor);
        let (losses, _) = visitor.finish();
        self.merge(slot, &scratch, losses);
        thread.give_scratch(scratch);
    }
}
