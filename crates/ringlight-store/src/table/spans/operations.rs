//! What spans come to by operation: how many there are, how many failed, how long they take.
//!
//! It is made when a block is, so that charts over millions of spans read some kilobytes a block. Of what
//! has none, it is made from the columns when it is asked for.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::StatusCode;

use super::SpanTable;
use crate::codec::{Corrupt, Reader, put_varint};
use crate::durations::{BUCKETS, bucket_of};
use crate::table::Pool;

/// Length of a window; they begin at multiples of it.
pub(crate) const WINDOW_NANO: u64 = 10_000_000_000;

/// What an operation is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct OperationKey {
    pub(crate) service: Box<str>,
    pub(crate) name: Box<str>,
    /// As OTLP numbers it.
    pub(crate) kind: u8,
}

/// The spans of an operation in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) key: OperationKey,
    /// By time.
    pub(crate) windows: Vec<Window>,
}

/// The spans of an operation that start in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// Start of the window divided by [`WINDOW_NANO`].
    pub(crate) number: u64,
    pub(crate) error_count: u64,
    /// Spans without a parent.
    pub(crate) root_count: u64,
    pub(crate) total_nano: u64,
    pub(crate) longest_nano: u64,
    /// The row of the longest span, of one of middle length, and of a failed one.
    pub(crate) longest_row: u32,
    pub(crate) middle_row: u32,
    pub(crate) failed_row: Option<u32>,
    /// Buckets of durations, upwards, and how many there are in each.
    pub(crate) durations: Vec<(u16, u64)>,
}

impl Window {
    pub(crate) fn count(&self) -> u64 {
        let counts = self.durations.iter().map(|&(_, count)| count);
        counts.fold(0, u64::saturating_add)
    }
}

impl SpanTable {
    /// What the rows come to, in the order operations first occur. Needs the core and the dictionary.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        // Of rows: number of the operation, window, duration, row.
        let mut rows: Vec<(u32, u64, u64, u32)> = Vec::with_capacity(self.rows());
        let mut numbers = Numbers::new(self);
        for row in 0..self.rows() {
            let number = numbers.of(row, &mut operations);
            let window = self.starts[row] / WINDOW_NANO;
            rows.push((number, window, self.durations[row], row as u32));
        }
        rows.sort_unstable();
        for group in rows.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            if let Some(operation) = operations.get_mut(group[0].0 as usize) {
                operation.windows.push(self.window(group));
            }
        }
        operations
    }

    // Of rows of one operation and window, by duration; there is at least one.
    fn window(&self, group: &[(u32, u64, u64, u32)]) -> Window {
        let (_, number, longest_nano, longest_row) = group[group.len() - 1];
        let mut window = Window {
            number,
            error_count: 0,
            root_count: 0,
            total_nano: 0,
            longest_nano,
            longest_row,
            middle_row: group[group.len() / 2].3,
            failed_row: None,
            durations: Vec::new(),
        };
        for &(_, _, duration, row) in group {
            if self.status(row as usize) == StatusCode::Error {
                window.error_count += 1;
                window.failed_row = Some(row);
            }
            window.root_count += u64::from(self.is_root[row as usize]);
            window.total_nano = window.total_nano.saturating_add(duration);
            let bucket = bucket_of(duration);
            match window.durations.last_mut() {
                Some((last, count)) if *last == bucket => *count += 1,
                _ => window.durations.push((bucket, 1)),
            }
        }
        window
    }
}

/// Numbers the operations of a table's rows.
struct Numbers<'a> {
    table: &'a SpanTable,
    services: Vec<&'a str>,
    known: HashMap<(&'a str, u32, u8), u32, RandomState>,
}

impl<'a> Numbers<'a> {
    fn new(table: &'a SpanTable) -> Self {
        let resources = table.owners.resources().iter();
        Self {
            table,
            services: resources.map(|one| one.service_name()).collect(),
            known: HashMap::default(),
        }
    }

    fn of(&mut self, row: usize, operations: &mut Vec<Operation>) -> u32 {
        let table = self.table;
        let resource = table.resources[row] as usize;
        let service = self.services.get(resource).copied().unwrap_or_default();
        let (name, kind) = (table.names[row], table.kinds[row]);
        *self.known.entry((service, name, kind)).or_insert_with(|| {
            operations.push(Operation {
                key: OperationKey {
                    service: service.into(),
                    name: table.texts.names.get(name).into(),
                    kind,
                },
                windows: Vec::new(),
            });
            operations.len() as u32 - 1
        })
    }
}

/// The bytes of the section of operations, before compression.
pub(crate) fn write_operations(operations: &[Operation]) -> Vec<u8> {
    let (mut texts, mut body) = (Pool::default(), Vec::new());
    for operation in operations {
        put_varint(&mut body, texts.intern(&operation.key.service).into());
        put_varint(&mut body, texts.intern(&operation.key.name).into());
        body.push(operation.key.kind);
        put_varint(&mut body, operation.windows.len() as u64);
        let mut before = 0;
        for window in &operation.windows {
            write_window(window, before, &mut body);
            before = window.number;
        }
    }
    let mut out = Vec::new();
    texts.write(&mut out);
    put_varint(&mut out, operations.len() as u64);
    out.append(&mut body);
    out
}

fn write_window(window: &Window, before: u64, out: &mut Vec<u8>) {
    for number in [
        window.number - before,
        window.error_count,
        window.root_count,
        window.total_nano,
        window.longest_nano,
        window.longest_row.into(),
        window.middle_row.into(),
        window.failed_row.map_or(0, |row| u64::from(row) + 1),
        window.durations.len() as u64,
    ] {
        put_varint(out, number);
    }
    let mut before = 0;
    for &(bucket, count) in &window.durations {
        put_varint(out, (bucket - before).into());
        put_varint(out, count);
        before = bucket;
    }
}

/// Reads what [`write_operations`] wrote.
pub(crate) fn read_operations(bytes: &[u8]) -> Result<Vec<Operation>, Corrupt> {
    let mut reader = Reader::new(bytes);
    let texts = Pool::read(&mut reader)?;
    let mut operations = Vec::new();
    for _ in 0..reader.count()? {
        let service = texts.get(reader.varint_u32()?).into();
        let name = texts.get(reader.varint_u32()?).into();
        let kind = reader.u8()?;
        let count = reader.count()?;
        let (mut windows, mut before) = (Vec::with_capacity(count), 0);
        for _ in 0..count {
            let window = read_window(before, &mut reader)?;
            before = window.number;
            windows.push(window);
        }
        let key = OperationKey {
            service,
            name,
            kind,
        };
        operations.push(Operation { key, windows });
    }
    reader.end()?;
    Ok(operations)
}

fn read_window(before: u64, reader: &mut Reader<'_>) -> Result<Window, Corrupt> {
    const FAR: Corrupt = Corrupt("window of an operation is out of range");
    let number = before.checked_add(reader.varint()?).ok_or(FAR)?;
    let [error_count, root_count] = [reader.varint()?, reader.varint()?];
    let [total_nano, longest_nano] = [reader.varint()?, reader.varint()?];
    let [longest_row, middle_row] = [reader.varint_u32()?, reader.varint_u32()?];
    let failed_row = reader.varint_u32()?.checked_sub(1);
    let count = reader.count()?;
    let (mut durations, mut bucket) = (Vec::with_capacity(count), 0_u64);
    for _ in 0..count {
        bucket = bucket.saturating_add(reader.varint()?);
        let known = u16::try_from(bucket).ok().filter(|known| *known < BUCKETS);
        let known = known.ok_or(Corrupt("bucket of durations is out of range"))?;
        durations.push((known, reader.varint()?));
    }
    Ok(Window {
        number,
        error_count,
        root_count,
        total_nano,
        longest_nano,
        longest_row,
        middle_row,
        failed_row,
        durations,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use ringlight_model::{Resource, Scope, Span, Status};

    use super::*;

    fn table(spans: &[(u64, u64, u8, bool)]) -> SpanTable {
        let mut table = SpanTable::default();
        let resource = table.owners.resource(&Resource::default());
        let scope = table.owners.scope(&Scope::default());
        for &(start, duration, name, is_error) in spans {
            let span = Span {
                name: format!("operation {}", name % 3).into(),
                start_unix_nano: start,
                end_unix_nano: start + duration,
                status: Status {
                    code: if is_error {
                        StatusCode::Error
                    } else {
                        StatusCode::Unset
                    },
                    message: "".into(),
                },
                ..Span::default()
            };
            table.push(&span, resource, scope);
        }
        table
    }

    proptest! {
        #[test]
        fn figures_are_those_of_the_rows_and_come_back(
            spans in vec((0..40 * WINDOW_NANO, 0..1_u64 << 40, any::<u8>(), any::<bool>()), 1..50),
        ) {
            let operations = table(&spans).operations();
            prop_assert_eq!(read_operations(&write_operations(&operations)), Ok(operations.clone()));
            let windows = operations.iter().flat_map(|one| &one.windows);
            let count: u64 = windows.clone().map(Window::count).sum();
            prop_assert_eq!(count, spans.len() as u64);
            let errors: u64 = windows.clone().map(|window| window.error_count).sum();
            prop_assert_eq!(errors, spans.iter().filter(|span| span.3).count() as u64);
            for window in windows {
                let longest = spans[window.longest_row as usize];
                prop_assert_eq!(longest.1, window.longest_nano);
                prop_assert_eq!(longest.0 / WINDOW_NANO, window.number);
                prop_assert_eq!(window.failed_row.is_some(), window.error_count > 0);
                prop_assert!(window.failed_row.is_none_or(|row| spans[row as usize].3));
            }
        }

        #[test]
        fn damaged_bytes_are_refused_or_read_but_never_panic(
            spans in vec((0..40 * WINDOW_NANO, 0..1_u64 << 40, any::<u8>(), any::<bool>()), 1..9),
            position in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = write_operations(&table(&spans).operations());
            let position = position.index(bytes.len());
            bytes[position] = byte;
            if let Ok(operations) = read_operations(&bytes) {
                prop_assert!(operations.len() <= bytes.len());
            }
        }
    }
}
