//! Attributes of many rows, row by row.

use std::borrow::Cow;

use ringlight_model::{KeyValue, Value};

use super::nested;
use super::pool::{Blobs, Pool, Remap};
use crate::ValueType;
use crate::codec::Reader;

/// A value, its text and bytes kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Empty,
    /// A number in [`Texts::values`].
    Str(u32),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// A number in [`Texts::blobs`], as are the next two.
    Bytes(u32),
    Array(u32),
    Map(u32),
}

impl Cell {
    pub(crate) const fn value_type(self) -> ValueType {
        match self {
            Self::Empty => ValueType::Empty,
            Self::Str(_) => ValueType::String,
            Self::Bool(_) => ValueType::Bool,
            Self::Int(_) => ValueType::Int,
            Self::Double(_) => ValueType::Double,
            Self::Bytes(_) => ValueType::Bytes,
            Self::Array(_) => ValueType::Array,
            Self::Map(_) => ValueType::Map,
        }
    }
}

/// The texts and bytes that rows refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    /// Names of spans and events, keys: few, and needed by most searches.
    pub(crate) names: Pool,
    /// Texts of values: possibly many.
    pub(crate) values: Pool,
    /// Bytes, lists and maps.
    pub(crate) blobs: Blobs,
}

/// Numbers of one [`Texts`] translated to another.
#[derive(Debug)]
pub(crate) struct TextsRemap {
    pub(crate) names: Remap,
    pub(crate) values: Remap,
}

impl Texts {
    pub(crate) fn cell(&mut self, value: &Value<'_>) -> Cell {
        match value {
            Value::Empty => Cell::Empty,
            Value::Str(text) => Cell::Str(self.values.intern(text)),
            Value::Bool(value) => Cell::Bool(*value),
            Value::Int(value) => Cell::Int(*value),
            Value::Double(value) => Cell::Double(*value),
            Value::Bytes(bytes) => {
                Cell::Bytes(self.blobs.push_with(|out| out.extend_from_slice(bytes)))
            }
            Value::Array(_) => {
                Cell::Array(self.blobs.push_with(|out| nested::write_value(out, value)))
            }
            Value::Map(_) => Cell::Map(self.blobs.push_with(|out| nested::write_value(out, value))),
        }
    }

    pub(crate) fn value(&self, cell: Cell) -> Value<'_> {
        match cell {
            Cell::Empty => Value::Empty,
            Cell::Str(number) => Value::Str(Cow::Borrowed(self.values.get(number))),
            Cell::Bool(value) => Value::Bool(value),
            Cell::Int(value) => Value::Int(value),
            Cell::Double(value) => Value::Double(value),
            Cell::Bytes(number) => Value::Bytes(Cow::Borrowed(self.blobs.get(number))),
            Cell::Array(number) | Cell::Map(number) => {
                // Written by this program or covered by a checksum; anything else reads as nothing.
                nested::read_value(&mut Reader::new(self.blobs.get(number))).unwrap_or_default()
            }
        }
    }

    pub(crate) fn remapping(&self, other: &Self) -> TextsRemap {
        TextsRemap {
            names: self.names.remapping(&other.names),
            values: self.values.remapping(&other.values),
        }
    }

    /// The cell here for a cell of another [`Texts`].
    pub(crate) fn take_cell(&mut self, cell: Cell, from: &Self, remap: &mut TextsRemap) -> Cell {
        let mut copy = |number| {
            let bytes = from.blobs.get(number);
            self.blobs.push_with(|out| out.extend_from_slice(bytes))
        };
        match cell {
            Cell::Bytes(number) => Cell::Bytes(copy(number)),
            Cell::Array(number) => Cell::Array(copy(number)),
            Cell::Map(number) => Cell::Map(copy(number)),
            Cell::Str(number) => {
                Cell::Str(remap.values.map(number, &from.values, &mut self.values))
            }
            plain => plain,
        }
    }

    pub(crate) fn take_name(&mut self, number: u32, from: &Self, remap: &mut TextsRemap) -> u32 {
        remap.names.map(number, &from.names, &mut self.names)
    }

    pub(crate) fn take_text(&mut self, number: u32, from: &Self, remap: &mut TextsRemap) -> u32 {
        remap.values.map(number, &from.values, &mut self.values)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.names.memory_bytes() + self.values.memory_bytes() + self.blobs.memory_bytes()
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Attribute {
    /// A number in [`Texts::names`].
    pub(crate) key: u32,
    pub(crate) cell: Cell,
}

/// Attributes of many rows, in the order of the rows and within each as they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(super) ends: Vec<u32>,
    pub(super) items: Vec<Attribute>,
}

impl Attributes {
    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, attributes: &[KeyValue<'_>], texts: &mut Texts) {
        for attribute in attributes {
            let key = texts.names.intern(&attribute.key);
            let cell = texts.cell(&attribute.value);
            self.items.push(Attribute { key, cell });
        }
        self.ends.push(self.items.len() as u32);
    }

    pub(crate) fn row(&self, row: usize) -> &[Attribute] {
        let end = self.ends.get(row).copied().unwrap_or(0);
        let start = match row.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        self.items
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    pub(crate) fn items(&self) -> &[Attribute] {
        &self.items
    }

    pub(crate) fn materialize(&self, row: usize, texts: &Texts) -> Vec<KeyValue<'static>> {
        self.row(row)
            .iter()
            .map(|attribute| {
                KeyValue {
                    key: Cow::Borrowed(texts.names.get(attribute.key)),
                    value: texts.value(attribute.cell),
                }
                .into_owned()
            })
            .collect()
    }

    /// Takes over a row of another table.
    pub(crate) fn take_row(
        &mut self,
        row: usize,
        from: &Self,
        texts: &mut Texts,
        from_texts: &Texts,
        remap: &mut TextsRemap,
    ) {
        for attribute in from.row(row) {
            let key = texts.take_name(attribute.key, from_texts, remap);
            let cell = texts.take_cell(attribute.cell, from_texts, remap);
            self.items.push(Attribute { key, cell });
        }
        self.ends.push(self.items.len() as u32);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        4 * self.ends.capacity() + size_of::<Attribute>() * self.items.capacity()
    }
}
