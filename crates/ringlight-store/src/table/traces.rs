//! The traces rows belong to.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::TraceId;

use crate::codec::{Corrupt, Reader, put_deltas, put_varint};

/// The trace of each row, by its number among the different ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces {
    /// Distinct ids, in the order they first occur; of log records the invalid one may be among them.
    pub(crate) ids: Vec<TraceId>,
    // Empty after reading back: then nothing is added any more.
    numbers: HashMap<TraceId, u32, RandomState>,
    /// Index into `ids`, a row.
    pub(crate) rows: Vec<u32>,
}

impl Traces {
    /// Adds a row.
    pub(super) fn push(&mut self, trace_id: TraceId) {
        let number = match self.rows.last() {
            Some(&last) if self.ids.get(last as usize) == Some(&trace_id) => last,
            _ => *self.numbers.entry(trace_id).or_insert_with(|| {
                self.ids.push(trace_id);
                self.ids.len() as u32 - 1
            }),
        };
        self.rows.push(number);
    }

    /// The trace of a row; the invalid one where it is not known.
    pub(super) fn of(&self, row: usize) -> TraceId {
        let number = self.rows.get(row).copied().unwrap_or_default();
        self.ids.get(number as usize).copied().unwrap_or_default()
    }

    /// Bytes of memory of the ids, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        48 * self.ids.capacity()
    }

    pub(super) fn write_ids(&self, out: &mut Vec<u8>) {
        put_varint(out, self.ids.len() as u64);
        for id in &self.ids {
            out.extend_from_slice(&id.to_bytes());
        }
    }

    pub(super) fn read_ids(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for _ in 0..reader.count()? {
            self.ids.push(TraceId::from_bytes(reader.array()?));
        }
        Ok(())
    }

    pub(super) fn write_rows(&self, out: &mut Vec<u8>) {
        put_deltas(out, self.rows.iter().map(|&number| number.into()));
    }

    pub(super) fn read_rows(
        &mut self,
        rows: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), Corrupt> {
        let numbers = reader.deltas(rows)?.into_iter();
        self.rows = numbers
            .map(|number| u32::try_from(number).map_err(|_| Corrupt("trace is out of range")))
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// Whether a trace is among those of a section of traces; true for one that does not read.
pub(crate) fn traces_contain(section: &[u8], trace_id: TraceId) -> bool {
    let mut reader = Reader::new(section);
    let Ok(count) = reader.count() else {
        return true;
    };
    let Ok(ids) = reader.take(count.saturating_mul(16)) else {
        return true;
    };
    let wanted = trace_id.to_bytes();
    ids.chunks_exact(16).any(|id| id == wanted)
}
