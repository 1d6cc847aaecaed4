//! From the API's attributes to items of records.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{Array, KeyValue, Value};
use ringlight_collector::record::{ItemWriter, Key, Words, Written};

use crate::subscriber::{ItemAttributes, Lost};

/// Nanoseconds since the Unix epoch; times before it are at it, those too late at the last one.
pub(crate) fn unix_nano(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes one value.
pub(crate) fn write_value<W: Words>(
    items: &mut ItemWriter<'_, W>,
    key: Key<'_>,
    value: &Value,
) -> Written {
    match value {
        Value::Bool(value) => items.bool(key, *value),
        Value::I64(value) => items.i64(key, *value),
        Value::F64(value) => items.f64(key, *value),
        Value::String(text) => items.text(key, text.as_str()),
        Value::Array(Array::Bool(values)) => {
            write_list(items, key, values, |items, v| items.bool(ELEMENT, *v))
        }
        Value::Array(Array::I64(values)) => {
            write_list(items, key, values, |items, v| items.i64(ELEMENT, *v))
        }
        Value::Array(Array::F64(values)) => {
            write_list(items, key, values, |items, v| items.f64(ELEMENT, *v))
        }
        Value::Array(Array::String(values)) => write_list(items, key, values, |items, v| {
            items.text(ELEMENT, v.as_str())
        }),
        // What the API may add has a text at least.
        other => items.text(key, &other.as_str()),
    }
}

/// The key of what is within a list.
const ELEMENT: Key<'static> = Key::Field(0);

fn write_list<W: Words, T>(
    items: &mut ItemWriter<'_, W>,
    key: Key<'_>,
    values: &[T],
    write: impl Fn(&mut ItemWriter<'_, W>, &T) -> Written,
) -> Written {
    items.list(key, |items| {
        let mut list = Written::Whole;
        for value in values {
            match write(items, value) {
                Written::Whole => {}
                Written::Cut => list = Written::Cut,
                Written::Dropped => return Written::Dropped,
            }
        }
        list
    })
}

/// Writes attributes of an event or a link, up to a limit.
pub(crate) fn write_attributes<W: Words>(
    items: &mut ItemWriter<'_, W>,
    attributes: &[KeyValue],
    attributes_max: usize,
    lost: &mut Lost,
) {
    let mut written = ItemAttributes::new(attributes_max, lost);
    for attribute in attributes {
        let key = Key::Name(attribute.key.as_str());
        written.add(|| write_value(items, key, &attribute.value));
    }
}
