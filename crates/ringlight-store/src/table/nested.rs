//! Values, resources and scopes as self-contained bytes.

use std::borrow::Cow;

use ringlight_model::{KeyValue, Resource, Scope, Value};

use crate::ValueType;
use crate::codec::{Corrupt, Reader, put_bytes, put_varint, put_zigzag};

/// Levels of lists and maps that are written. What lies deeper is written as no value; receivers
/// refuse it long before (see [`Limits::depth_max`](ringlight_model::Limits::depth_max)).
const DEPTH_MAX: usize = 128;

pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value<'_>) {
    write_value_at(out, value, 0);
}

fn write_value_at(out: &mut Vec<u8>, value: &Value<'_>, depth: usize) {
    if depth > DEPTH_MAX {
        out.push(ValueType::Empty as u8);
        return;
    }
    out.push(ValueType::of(value) as u8);
    match value {
        Value::Empty => {}
        Value::Str(text) => put_bytes(out, text.as_bytes()),
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::Int(value) => put_zigzag(out, *value),
        Value::Double(value) => out.extend_from_slice(&value.to_bits().to_le_bytes()),
        Value::Bytes(bytes) => put_bytes(out, bytes),
        Value::Array(items) => {
            put_varint(out, items.len() as u64);
            for item in items {
                write_value_at(out, item, depth + 1);
            }
        }
        Value::Map(items) => write_attributes_at(out, items, depth + 1),
    }
}

fn write_attributes_at(out: &mut Vec<u8>, attributes: &[KeyValue<'_>], depth: usize) {
    put_varint(out, attributes.len() as u64);
    for attribute in attributes {
        put_bytes(out, attribute.key.as_bytes());
        write_value_at(out, &attribute.value, depth);
    }
}

pub(crate) fn read_value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, Corrupt> {
    read_value_at(reader, 0)
}

fn read_value_at<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<Value<'a>, Corrupt> {
    // The writer puts an empty value one level below the last, so that level is readable.
    if depth > DEPTH_MAX + 1 {
        return Err(Corrupt("value is nested too deep"));
    }
    Ok(match reader.u8()? {
        0 => Value::Empty,
        1 => Value::Str(Cow::Borrowed(reader.text()?)),
        2 => Value::Bool(reader.u8()? != 0),
        3 => Value::Int(reader.zigzag()?),
        4 => Value::Double(f64::from_bits(reader.u64()?)),
        5 => Value::Bytes(Cow::Borrowed(reader.bytes()?)),
        6 => {
            let count = reader.count()?;
            let items = (0..count).map(|_| read_value_at(reader, depth + 1));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        7 => Value::Map(read_attributes_at(reader, depth + 1)?),
        _ => return Err(Corrupt("type of a value is unknown")),
    })
}

fn read_attributes_at<'a>(
    reader: &mut Reader<'a>,
    depth: usize,
) -> Result<Vec<KeyValue<'a>>, Corrupt> {
    let count = reader.count()?;
    (0..count)
        .map(|_| {
            Ok(KeyValue {
                key: Cow::Borrowed(reader.text()?),
                value: read_value_at(reader, depth)?,
            })
        })
        .collect()
}

/// Attributes by themselves.
pub(crate) fn write_attributes(out: &mut Vec<u8>, attributes: &[KeyValue<'_>]) {
    write_attributes_at(out, attributes, 0);
}

/// The same, of attributes that do not lie next to each other.
pub(crate) fn write_attribute_refs(out: &mut Vec<u8>, attributes: &[&KeyValue<'_>]) {
    put_varint(out, attributes.len() as u64);
    for attribute in attributes {
        put_bytes(out, attribute.key.as_bytes());
        write_value_at(out, &attribute.value, 0);
    }
}

/// What [`write_attributes`] wrote.
pub(crate) fn read_attributes(reader: &mut Reader<'_>) -> Result<Vec<KeyValue<'static>>, Corrupt> {
    let attributes = read_attributes_at(reader, 0)?;
    Ok(attributes.into_iter().map(KeyValue::into_owned).collect())
}

pub(crate) fn write_resource(out: &mut Vec<u8>, resource: &Resource<'_>) {
    put_varint(out, u64::from(resource.dropped_attributes_count));
    write_attributes_at(out, &resource.attributes, 0);
}

pub(crate) fn read_resource(reader: &mut Reader<'_>) -> Result<Resource<'static>, Corrupt> {
    let dropped_attributes_count = reader.varint_u32()?;
    let resource = Resource {
        attributes: read_attributes_at(reader, 0)?,
        dropped_attributes_count,
    };
    Ok(resource.into_owned())
}

pub(crate) fn write_scope(out: &mut Vec<u8>, scope: &Scope<'_>) {
    put_bytes(out, scope.name.as_bytes());
    put_bytes(out, scope.version.as_bytes());
    put_varint(out, u64::from(scope.dropped_attributes_count));
    write_attributes_at(out, &scope.attributes, 0);
}

pub(crate) fn read_scope(reader: &mut Reader<'_>) -> Result<Scope<'static>, Corrupt> {
    let scope = Scope {
        name: Cow::Borrowed(reader.text()?),
        version: Cow::Borrowed(reader.text()?),
        dropped_attributes_count: reader.varint_u32()?,
        attributes: read_attributes_at(reader, 0)?,
    };
    Ok(scope.into_owned())
}
