//! Attributes of many rows on disk: column by column.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::pool::Blobs;
use super::{Attribute, Attributes, Cell, Texts};
use crate::ValueType;
use crate::block::filter::{FilterBuilder, FilterScope};
use crate::codec::{Corrupt, Reader, put_bytes, put_varint, put_zigzag};
use crate::query::{EqualityForm, equality_forms};

impl Attributes {
    /// Writes all rows as columns and shows every key and value to the filter.
    pub(crate) fn write(
        &self,
        texts: &Texts,
        scope: FilterScope,
        filter: &mut FilterBuilder,
        out: &mut Vec<u8>,
    ) {
        let layout = Layout::of(self);
        put_varint(out, layout.columns.len() as u64);
        for column in &layout.columns {
            put_varint(out, u64::from(column.key));
            out.push(column.value_type as u8);
        }
        put_varint(out, layout.shapes.len() as u64);
        for shape in &layout.shapes {
            put_varint(out, shape.len() as u64);
            for &column in shape.iter() {
                put_varint(out, u64::from(column));
            }
        }
        for &shape in &layout.row_shapes {
            put_varint(out, u64::from(shape));
        }
        for column in &layout.columns {
            let key = filter.key(scope, texts.names.get(column.key));
            write_column(column, texts, key, filter, out);
        }
    }

    /// Reads what [`write`](Self::write) wrote for so many rows, as far as `is_wanted` says of the
    /// number of a key; the rows are without the others.
    pub(crate) fn read(
        rows: usize,
        reader: &mut Reader<'_>,
        blobs: &mut Blobs,
        is_wanted: impl Fn(u32) -> bool,
    ) -> Result<Self, Corrupt> {
        let mut columns = Vec::new();
        for _ in 0..reader.count()? {
            columns.push((reader.varint_u32()?, reader.u8()?));
        }
        let mut shapes = Vec::new();
        for _ in 0..reader.count()? {
            let count = reader.count()?;
            let shape = reader.varints_u32(count)?;
            if shape.iter().any(|&column| column as usize >= columns.len()) {
                return Err(Corrupt("shape names a column that is not there"));
            }
            shapes.push(shape);
        }
        let row_shapes = reader.varints_u32(rows)?;
        let mut counts = vec![0_usize; columns.len()];
        for &shape in &row_shapes {
            let shape = shapes
                .get(shape as usize)
                .ok_or(Corrupt("row has a shape that is not there"))?;
            for &column in shape {
                counts[column as usize] += 1;
            }
        }
        let mut values = Vec::with_capacity(columns.len());
        for (&(key, value_type), &count) in columns.iter().zip(&counts) {
            let cells = if is_wanted(key) {
                read_column(value_type, count, reader, blobs)?
            } else {
                skip_column(value_type, count, reader)?;
                Vec::new()
            };
            values.push(cells.into_iter());
        }
        let mut table = Self {
            ends: Vec::with_capacity(rows),
            items: Vec::with_capacity(values.iter().map(ExactSizeIterator::len).sum()),
        };
        for &shape in &row_shapes {
            for &column in shapes.get(shape as usize).into_iter().flatten() {
                // Counted above, so that there is a value for each of a wanted column.
                if let Some(cell) = values[column as usize].next() {
                    let (key, _) = columns[column as usize];
                    table.items.push(Attribute { key, cell });
                }
            }
            table.ends.push(table.items.len() as u32);
        }
        Ok(table)
    }
}

struct Column {
    key: u32,
    value_type: ValueType,
    cells: Vec<Cell>,
}

// How rows are made of columns. Most rows of a block share a few shapes.
struct Layout {
    columns: Vec<Column>,
    shapes: Vec<Box<[u32]>>,
    row_shapes: Vec<u32>,
}

impl Layout {
    fn of(attributes: &Attributes) -> Self {
        let mut layout = Self {
            columns: Vec::new(),
            shapes: Vec::new(),
            row_shapes: Vec::with_capacity(attributes.rows()),
        };
        let mut column_numbers: HashMap<(u32, ValueType), u32, RandomState> = HashMap::default();
        let mut shape_numbers: HashMap<Box<[u32]>, u32, RandomState> = HashMap::default();
        let mut shape = Vec::new();
        for row in 0..attributes.rows() {
            let previous = layout.row_shapes.last().map(|&shape| shape as usize);
            shape.clear();
            for (index, attribute) in attributes.row(row).iter().enumerate() {
                let wanted = (attribute.key, attribute.cell.value_type());
                // The row before usually has the same attributes in the same order.
                let guess = previous
                    .and_then(|previous| layout.shapes[previous].get(index).copied())
                    .filter(|&guess| {
                        let column = &layout.columns[guess as usize];
                        (column.key, column.value_type) == wanted
                    });
                let number = guess.unwrap_or_else(|| {
                    *column_numbers.entry(wanted).or_insert_with(|| {
                        layout.columns.push(Column {
                            key: wanted.0,
                            value_type: wanted.1,
                            cells: Vec::new(),
                        });
                        layout.columns.len() as u32 - 1
                    })
                });
                layout.columns[number as usize].cells.push(attribute.cell);
                shape.push(number);
            }
            let number = match previous {
                Some(previous) if *layout.shapes[previous] == *shape => previous as u32,
                _ => match shape_numbers.get(shape.as_slice()) {
                    Some(&number) => number,
                    None => {
                        let number = layout.shapes.len() as u32;
                        shape_numbers.insert(shape.as_slice().into(), number);
                        layout.shapes.push(shape.as_slice().into());
                        number
                    }
                },
            };
            layout.row_shapes.push(number);
        }
        layout
    }
}

fn write_column(
    column: &Column,
    texts: &Texts,
    key: u64,
    filter: &mut FilterBuilder,
    out: &mut Vec<u8>,
) {
    let cells = &column.cells;
    match column.value_type {
        ValueType::Empty => {}
        ValueType::String => {
            let numbers = cells.iter().map(|&cell| match cell {
                Cell::Str(number) => number,
                _ => 0,
            });
            let distinct = write_numbers(numbers, out);
            for number in distinct {
                filter.form(key, &EqualityForm::text(texts.values.get(number)));
            }
        }
        ValueType::Bool => {
            for &cell in cells {
                let value = matches!(cell, Cell::Bool(true));
                out.push(u8::from(value));
                filter.form(key, &EqualityForm::Bool(value));
            }
        }
        ValueType::Int => {
            let values = || {
                cells.iter().map(|&cell| match cell {
                    Cell::Int(value) => value,
                    _ => 0,
                })
            };
            write_integers(values, out);
            values().for_each(|value| filter.form(key, &EqualityForm::Int(value)));
        }
        ValueType::Double => {
            let values = || {
                cells.iter().map(|&cell| match cell {
                    Cell::Double(value) => value,
                    _ => 0.0,
                })
            };
            write_doubles(values, out);
            values().for_each(|value| filter.form(key, &EqualityForm::double(value)));
        }
        ValueType::Bytes | ValueType::Array | ValueType::Map => {
            for &cell in cells {
                if let Cell::Bytes(number) | Cell::Array(number) | Cell::Map(number) = cell {
                    put_bytes(out, texts.blobs.get(number));
                    let value = texts.value(cell);
                    equality_forms(&value, &mut |form| filter.form(key, &form));
                }
            }
        }
    }
}

const EMPTY: u8 = ValueType::Empty as u8;
const STRING: u8 = ValueType::String as u8;
const BOOL: u8 = ValueType::Bool as u8;
const INT: u8 = ValueType::Int as u8;
const DOUBLE: u8 = ValueType::Double as u8;
const BYTES: u8 = ValueType::Bytes as u8;
const ARRAY: u8 = ValueType::Array as u8;
const MAP: u8 = ValueType::Map as u8;

fn read_column(
    value_type: u8,
    count: usize,
    reader: &mut Reader<'_>,
    blobs: &mut Blobs,
) -> Result<Vec<Cell>, Corrupt> {
    Ok(match value_type {
        EMPTY => vec![Cell::Empty; count],
        STRING => {
            let numbers = read_numbers(count, reader)?;
            numbers.into_iter().map(Cell::Str).collect()
        }
        BOOL => {
            let bytes = reader.take(count)?;
            bytes.iter().map(|&byte| Cell::Bool(byte != 0)).collect()
        }
        INT => {
            let values = read_integers(count, reader)?;
            values.into_iter().map(Cell::Int).collect()
        }
        DOUBLE => read_doubles(count, reader)?
            .into_iter()
            .map(Cell::Double)
            .collect(),
        BYTES | ARRAY | MAP => {
            reader.check(count)?;
            let mut cells = Vec::with_capacity(count);
            for _ in 0..count {
                let bytes = reader.bytes()?;
                let number = blobs.push_with(|out| out.extend_from_slice(bytes));
                cells.push(match value_type {
                    BYTES => Cell::Bytes(number),
                    ARRAY => Cell::Array(number),
                    _ => Cell::Map(number),
                });
            }
            cells
        }
        _ => return Err(Corrupt("type of a column is unknown")),
    })
}

// Passes over what `read_column` reads.
fn skip_column(value_type: u8, count: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
    match value_type {
        EMPTY => Ok(()),
        STRING => {
            let distinct_count = reader.count()?;
            reader.skip_varints(distinct_count)?;
            reader.skip_varints(count)
        }
        BOOL => reader.take(count).map(|_| ()),
        INT => {
            let _coding = reader.u8()?;
            reader.skip_varints(count)
        }
        DOUBLE => {
            let bytes = count.checked_mul(8);
            let bytes = bytes.ok_or(Corrupt("count exceeds the data"))?;
            reader.take(bytes).map(|_| ())
        }
        BYTES | ARRAY | MAP => (0..count).try_for_each(|_| reader.bytes().map(|_| ())),
        _ => Err(Corrupt("type of a column is unknown")),
    }
}

/// Writes numbers of a pool: the distinct ones in the order they first occur, then for each value
/// zero where it occurs first, else its place among the distinct ones plus one. A column of unique
/// texts thus costs nothing but the texts. Gives the distinct numbers.
pub(crate) fn write_numbers(numbers: impl Iterator<Item = u32>, out: &mut Vec<u8>) -> Vec<u32> {
    let mut places: HashMap<u32, u32, RandomState> = HashMap::default();
    let mut distinct = Vec::new();
    let mut codes = Vec::new();
    let mut last = None;
    for number in numbers {
        let code = match last {
            Some((known, code)) if known == number => code,
            _ => *places.entry(number).or_insert(0),
        };
        if code == 0 {
            distinct.push(number);
            let code = distinct.len() as u32;
            places.insert(number, code);
            last = Some((number, code));
        } else {
            last = Some((number, code));
        }
        put_varint(&mut codes, u64::from(code));
    }
    put_varint(out, distinct.len() as u64);
    let mut previous = 0;
    for &number in &distinct {
        put_zigzag(out, i64::from(number) - previous);
        previous = i64::from(number);
    }
    out.extend_from_slice(&codes);
    distinct
}

pub(crate) fn read_numbers(count: usize, reader: &mut Reader<'_>) -> Result<Vec<u32>, Corrupt> {
    let distinct_count = reader.count()?;
    let mut distinct = Vec::with_capacity(distinct_count);
    let mut previous = 0_i64;
    for _ in 0..distinct_count {
        previous = previous.wrapping_add(reader.zigzag()?);
        distinct.push(u32::try_from(previous).map_err(|_| Corrupt("number is out of range"))?);
    }
    let mut numbers = reader.varints_u32(count)?;
    let mut next = 0;
    for number in &mut numbers {
        let place = match *number as usize {
            0 => {
                next += 1;
                next - 1
            }
            code => code - 1,
        };
        *number = *distinct.get(place).ok_or(Corrupt("code is out of range"))?;
    }
    Ok(numbers)
}

const PLAIN: u8 = 0;
const DELTAS: u8 = 1;

// Integers as they are, or as differences, whichever is shorter.
pub(super) fn write_integers<I: Iterator<Item = i64>>(values: impl Fn() -> I, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(PLAIN);
    values().for_each(|value| put_zigzag(out, value));
    let mut deltas = vec![DELTAS];
    let mut previous = 0_i64;
    for value in values() {
        put_zigzag(&mut deltas, value.wrapping_sub(previous));
        previous = value;
        // A few bytes saved are not worth the regularity lost to the compressor.
        if deltas.len() + deltas.len() / 4 > out.len() - start {
            return;
        }
    }
    out.truncate(start);
    out.extend_from_slice(&deltas);
}

pub(super) fn read_integers(count: usize, reader: &mut Reader<'_>) -> Result<Vec<i64>, Corrupt> {
    match reader.u8()? {
        PLAIN => reader.zigzags(count),
        DELTAS => {
            let values = reader.deltas(count)?;
            Ok(values.into_iter().map(u64::cast_signed).collect())
        }
        _ => Err(Corrupt("coding of integers is unknown")),
    }
}

// The first bytes of all values, then the second bytes, and so on: like bytes lie together.
pub(super) fn write_doubles<I: Iterator<Item = f64>>(values: impl Fn() -> I, out: &mut Vec<u8>) {
    for plane in 0..8 {
        out.extend(values().map(|value| value.to_bits().to_le_bytes()[plane]));
    }
}

pub(super) fn read_doubles(count: usize, reader: &mut Reader<'_>) -> Result<Vec<f64>, Corrupt> {
    let length = count
        .checked_mul(8)
        .ok_or(Corrupt("count exceeds the data"))?;
    let bytes = reader.take(length)?;
    Ok((0..count)
        .map(|index| {
            let planes: [u8; 8] = std::array::from_fn(|plane| bytes[plane * count + index]);
            f64::from_bits(u64::from_le_bytes(planes))
        })
        .collect())
}
