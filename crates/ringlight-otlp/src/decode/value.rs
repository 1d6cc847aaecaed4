//! Attributes and values, within bounds.

use std::borrow::Cow;

use ringlight_model::{KeyValue, Limits, RejectReason, Value};

use super::ItemError;
use crate::fields::{any, kv};
use crate::wire::{Field, Reader, Slice};

/// Attributes, events, links and nested values one record may have. An empty attribute is two
/// bytes on the wire and some fifty in memory, so without a bound a request of 64 MiB would need
/// gigabytes.
const VALUES_MAX: usize = 1 << 17;

/// What reading one record may still use up, and what it repaired.
pub(crate) struct Budget {
    depth_max: usize,
    values_left: usize,
    pub(super) repaired_texts: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Limits::default().depth_max)
    }
}

impl Budget {
    pub(super) const fn new(depth_max: usize) -> Self {
        Self {
            depth_max,
            values_left: VALUES_MAX,
            repaired_texts: 0,
        }
    }

    pub(super) fn take_value(&mut self) -> Result<(), ItemError> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or(RejectReason::TooLarge)?;
        Ok(())
    }
}

/// Text, with bytes that are not UTF-8 replaced.
#[inline]
pub(super) fn text<'a>(
    budget: &mut Budget,
    field: Field<'a>,
    at: usize,
) -> Result<Cow<'a, str>, ItemError> {
    let bytes = field.slice(at)?.bytes;
    // Several times as fast as the lossy reading, which is for the rare text that needs it.
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => {
            budget.repaired_texts += 1;
            Ok(Cow::Owned(String::from_utf8_lossy(bytes).into_owned()))
        }
    }
}

/// Appends the attribute in `field` to `list`.
pub(crate) fn attribute<'a>(
    budget: &mut Budget,
    field: Field<'a>,
    at: usize,
    list: &mut Vec<KeyValue<'a>>,
) -> Result<(), ItemError> {
    let depth = budget.depth_max;
    list.push(key_value(budget, field.slice(at)?, depth)?);
    Ok(())
}

/// Reads the `AnyValue` in `field` into `value`.
pub(super) fn value<'a>(
    budget: &mut Budget,
    field: Field<'a>,
    at: usize,
    value: &mut Value<'a>,
) -> Result<(), ItemError> {
    let depth = budget.depth_max;
    any_value(budget, field.slice(at)?, depth, value)
}

fn key_value<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    depth: usize,
) -> Result<KeyValue<'a>, ItemError> {
    budget.take_value()?;
    let mut item = KeyValue::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        match number {
            kv::KEY => item.key = text(budget, field, reader.position())?,
            kv::VALUE => {
                let slice = field.slice(reader.position())?;
                any_value(budget, slice, depth, &mut item.value)?;
            }
            _ => {}
        }
    }
    Ok(item)
}

/// Reads an `AnyValue`; `depth` is how many more lists or maps may be opened.
fn any_value<'a>(
    budget: &mut Budget,
    message: Slice<'a>,
    depth: usize,
    value: &mut Value<'a>,
) -> Result<(), ItemError> {
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            any::STRING => *value = Value::Str(text(budget, field, at)?),
            any::BOOL => *value = Value::Bool(field.varint(at)? != 0),
            any::INT => *value = Value::Int(field.varint(at)? as i64),
            any::DOUBLE => *value = Value::Double(f64::from_bits(field.fixed64(at)?)),
            any::BYTES => *value = Value::Bytes(Cow::Borrowed(field.slice(at)?.bytes)),
            any::ARRAY => {
                let depth = depth.checked_sub(1).ok_or(RejectReason::TooDeep)?;
                let mut items = match std::mem::take(value) {
                    Value::Array(items) => items,
                    _ => Vec::new(),
                };
                array(budget, field.slice(at)?.reader(), depth, &mut items)?;
                *value = Value::Array(items);
            }
            any::MAP => {
                let depth = depth.checked_sub(1).ok_or(RejectReason::TooDeep)?;
                let mut items = match std::mem::take(value) {
                    Value::Map(items) => items,
                    _ => Vec::new(),
                };
                map(budget, field.slice(at)?.reader(), depth, &mut items)?;
                *value = Value::Map(items);
            }
            _ => {}
        }
    }
    Ok(())
}

fn array<'a>(
    budget: &mut Budget,
    mut reader: Reader<'a>,
    depth: usize,
    items: &mut Vec<Value<'a>>,
) -> Result<(), ItemError> {
    while let Some((number, field)) = reader.next()? {
        if number == any::LIST_ITEM {
            budget.take_value()?;
            let mut item = Value::Empty;
            any_value(budget, field.slice(reader.position())?, depth, &mut item)?;
            items.push(item);
        }
    }
    Ok(())
}

fn map<'a>(
    budget: &mut Budget,
    mut reader: Reader<'a>,
    depth: usize,
    items: &mut Vec<KeyValue<'a>>,
) -> Result<(), ItemError> {
    while let Some((number, field)) = reader.next()? {
        if number == any::LIST_ITEM {
            let slice = field.slice(reader.position())?;
            items.push(key_value(budget, slice, depth)?);
        }
    }
    Ok(())
}
