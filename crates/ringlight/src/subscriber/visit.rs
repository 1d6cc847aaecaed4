//! From `tracing`'s field values to items.

use std::fmt::{self, Write as _};

use ringlight_collector::record::{FIELD_INDEX_MAX, Head, ItemWriter, Key, Words, Written};
use ringlight_model::Limits;
use tracing_core::field::{Field, FieldSet, Visit};

/// Writes visited fields as items.
///
/// Numbers, truth values and texts keep their type; what is only `Debug` or `Display` is formatted
/// here and now, since it may be gone later.
pub(super) struct FieldVisitor<W> {
    words: W,
    text_bytes_max: usize,
    attributes_left: usize,
    /// The fields of an event, until its message has got a place of its own.
    event: Option<&'static FieldSet>,
    /// Counts what was lost.
    head: Head,
}

impl<W: Words> FieldVisitor<W> {
    /// Writes behind a record's head.
    #[inline]
    pub(super) const fn new(head: Head, words: W, limits: &Limits) -> Self {
        Self {
            words,
            text_bytes_max: limits.text_bytes_max,
            attributes_left: limits.attributes_max,
            event: None,
            head,
        }
    }

    /// The same for an event, whose message is the body of its log record.
    #[inline]
    pub(super) const fn of_event(
        fields: &'static FieldSet,
        head: Head,
        words: W,
        limits: &Limits,
    ) -> Self {
        Self {
            words,
            text_bytes_max: limits.text_bytes_max,
            attributes_left: limits.attributes_max,
            event: Some(fields),
            head,
        }
    }

    /// The head, which now says how many fields were dropped and how many texts cut, and what was
    /// written.
    #[inline]
    pub(super) fn finish(self) -> (Head, W) {
        (self.head, self.words)
    }

    #[inline]
    fn write(
        &mut self,
        field: &Field,
        write: impl FnOnce(&mut ItemWriter<'_, W>, Key<'_>) -> Written,
    ) {
        let index = field.index();
        if (self.attributes_left > 0 || self.makes_room(field)) && index <= FIELD_INDEX_MAX {
            let mut writer = ItemWriter::new(&mut self.words, self.text_bytes_max);
            let written = write(&mut writer, Key::Field(index as u16));
            if written == Written::Whole {
                self.attributes_left -= 1;
            } else {
                self.lose(written);
            }
        } else {
            self.lose(Written::Dropped);
        }
    }

    /// Makes room for a field over the limit: for the message, or for the attribute whose place the message has taken.
    #[cold]
    #[inline(never)]
    fn makes_room(&mut self, field: &Field) -> bool {
        let message = self.event.and_then(|fields| fields.field("message"));
        let is_free = message.is_some_and(|message| message.index() <= field.index());
        if is_free {
            self.event = None;
            self.attributes_left = 1;
        }
        is_free
    }

    /// Counts what was not written, or not whole.
    #[cold]
    #[inline(never)]
    fn lose(&mut self, written: Written) {
        if written == Written::Cut {
            self.head = self.head.with_cut(1);
            self.attributes_left -= 1;
        } else {
            self.head = self.head.with_dropped(1);
        }
    }

    #[inline]
    fn write_formatted(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.write(field, |writer, key| {
            writer.format(key, |packer| {
                // The packer does not fail. A `Debug` that does has said what it could.
                let _ = packer.write_fmt(value);
            })
        });
    }
}

impl<W: Words> Visit for FieldVisitor<W> {
    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, |writer, key| writer.f64(key, value));
    }

    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |writer, key| writer.i64(key, value));
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |writer, key| writer.u64(key, value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.write_formatted(field, format_args!("{value}")),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.write_formatted(field, format_args!("{value}")),
        }
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |writer, key| writer.bool(key, value));
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |writer, key| writer.text(key, value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.write(field, |writer, key| writer.bytes(key, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.write_formatted(field, format_args!("{value}"));
    }

    #[inline]
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write_formatted(field, format_args!("{value:?}"));
    }
}
