//! Attributes of a span that are set while it is open and need not be among its fields.

use ringlight_collector::record::{
    ItemKind, ItemWriter, Key, WORD_BYTES, Written, item_field, item_name_bytes,
};
use ringlight_model::{CallsiteId, CallsiteRegistry};
use tracing_core::Dispatch;
use tracing_core::span::Id;

use super::annotate::{OpenItems, OpenSpan};
use super::slab::{Slot, SlotId, SlotItems};
use super::{RinglightLayer, RinglightSubscriber};

impl RinglightSubscriber {
    /// The one behind a dispatcher, and what a span of that dispatcher is called here.
    pub(super) fn behind_span<'d>(dispatch: &'d Dispatch, id: &Id) -> Option<(&'d Self, SlotId)> {
        let id = match dispatch.downcast_ref::<RinglightLayer>() {
            Some(layer) => layer.own(id)?,
            None => id.clone(),
        };
        Some((Self::behind(dispatch)?, SlotId::from_u64(id.into_u64())))
    }

    /// Runs `body` on a span that the caller holds open, if it is recorded.
    pub(super) fn with_open(dispatch: &Dispatch, id: &Id, body: impl FnOnce(&Self, &Slot)) {
        if let Some((subscriber, id)) = Self::behind_span(dispatch, id)
            && subscriber.outputs.spans
            && id.is_sampled()
            && let Some(slot) = subscriber.slab.slot(id)
        {
            body(subscriber, slot);
        }
    }

    /// Sets an attribute of a span that the caller holds open to `true`.
    pub(crate) fn mark(dispatch: &Dispatch, id: &Id, name: &str) {
        Self::set(dispatch, id, name, |items, key| items.bool(key, true));
    }

    /// Sets an attribute of a span that the caller holds open to a whole number.
    #[cfg(feature = "profiling")]
    pub(crate) fn set_u64(dispatch: &Dispatch, id: &Id, name: &str, value: u64) {
        Self::set(dispatch, id, name, |items, key| items.u64(key, value));
    }

    /// Sets an attribute of a span that the caller holds open to a number.
    #[cfg(feature = "profiling")]
    pub(crate) fn set_f64(dispatch: &Dispatch, id: &Id, name: &str, value: f64) {
        Self::set(dispatch, id, name, |items, key| items.f64(key, value));
    }

    fn set(
        dispatch: &Dispatch,
        id: &Id,
        name: &str,
        write: impl FnOnce(&mut ItemWriter<'_, SlotItems<'_>>, Key<'_>) -> Written,
    ) {
        Self::with_open(dispatch, id, |subscriber, slot| {
            let field = slot.field_named(name, &subscriber.callsites);
            slot.edit(&subscriber.limits, |span| {
                span.set_attribute(field, name, write);
            });
        });
    }
}

impl Slot {
    /// The span's field of this name, if it has one.
    pub(super) fn field_named(&self, name: &str, callsites: &CallsiteRegistry) -> Option<u16> {
        let callsite = callsites.lookup(CallsiteId::new(self.callsite()))?;
        let index = callsite.fields.iter().position(|field| *field == name)?;
        u16::try_from(index).ok()
    }
}

impl<I: OpenItems> OpenSpan<'_, I> {
    /// Sets an attribute, which `write` writes: this field, or else the one of this name. A later value
    /// of a key replaces the earlier one.
    pub(super) fn set_attribute(
        &mut self,
        field: Option<u16>,
        name: &str,
        write: impl FnOnce(&mut ItemWriter<'_, I>, Key<'_>) -> Written,
    ) {
        remove(self.items, field, name);
        let key = field.map_or(Key::Name(name), Key::Field);
        let is_full = self.items.count(ItemKind::Attribute) >= self.limits.attributes_max;
        let written = if is_full {
            Written::Dropped
        } else {
            write(&mut self.writer(), key)
        };
        match written {
            Written::Whole => {}
            Written::Cut => self.head = self.head.with_cut(1),
            Written::Dropped => self.head = self.head.with_dropped(1),
        }
    }
}

/// Removes the attribute under this field or this name.
fn remove(items: &mut impl OpenItems, field: Option<u16>, name: &str) {
    items.remove_first(|items, at, word| match item_name_bytes(word) {
        Some(len) => len == name.len() && has_text(items, at + 1, name.as_bytes()),
        None => field.is_some() && item_field(word) == field,
    });
}

/// Whether the words from `at` on hold this text.
fn has_text(items: &impl OpenItems, at: usize, text: &[u8]) -> bool {
    let mut pieces = text.chunks(WORD_BYTES).enumerate();
    pieces.all(|(index, piece)| {
        let word = items.word_at(at + index).to_le_bytes();
        word.starts_with(piece)
    })
}
