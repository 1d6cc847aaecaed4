//! Which request each row came with.

use crate::codec::{Corrupt, Reader, put_varint};

/// Runs of rows and the sequence number of the request they came with.
///
/// The numbers grow over the life of a store, so "the store as it was" is "rows up to a number".
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    // End of the run (exclusive) and number; both increasing.
    runs: Vec<(u32, u64)>,
}

impl Origins {
    /// So many rows, all of one request.
    pub(crate) fn one(rows: u32, seq: u64) -> Self {
        Self {
            runs: vec![(rows, seq)],
        }
    }

    /// Adds rows behind the last.
    pub(crate) fn push(&mut self, rows: u32, seq: u64) {
        if rows == 0 {
            return;
        }
        let end = self.rows() + rows;
        match self.runs.last_mut() {
            Some((last, known)) if *known == seq => *last = end,
            _ => self.runs.push((end, seq)),
        }
    }

    pub(crate) fn rows(&self) -> u32 {
        self.runs.last().map_or(0, |&(end, _)| end)
    }

    /// Rows of requests up to `seq`.
    pub(crate) fn rows_until(&self, seq: u64) -> u32 {
        let runs = self.runs.partition_point(|&(_, known)| known <= seq);
        match runs.checked_sub(1) {
            Some(last) => self.runs[last].0,
            None => 0,
        }
    }

    /// The request of a row and the row's place among those of that request here.
    pub(crate) fn of(&self, row: u32) -> (u64, u32) {
        let run = self.runs.partition_point(|&(end, _)| end <= row);
        let start = match run.checked_sub(1) {
            Some(before) => self.runs[before].0,
            None => 0,
        };
        let seq = self.runs.get(run).map_or(0, |&(_, seq)| seq);
        (seq, row - start)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        let mut start = 0;
        self.runs.iter().map(move |&(end, seq)| {
            let rows = end - start;
            start = end;
            (rows, seq)
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.runs.len() as u64);
        let mut previous = 0;
        for (rows, seq) in self.iter() {
            put_varint(out, u64::from(rows));
            put_varint(out, seq - previous);
            previous = seq;
        }
    }

    pub(crate) fn read(rows: usize, reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let mut origins = Self::default();
        let mut seq = 0_u64;
        let mut end = 0_u32;
        for _ in 0..reader.count()? {
            let (count, step) = (reader.varint_u32()?, reader.varint()?);
            end = end
                .checked_add(count)
                .ok_or(Corrupt("origins exceed the rows"))?;
            seq = seq
                .checked_add(step)
                .ok_or(Corrupt("sequence number is too large"))?;
            origins.runs.push((end, seq));
        }
        if end as usize != rows {
            return Err(Corrupt("origins do not cover the rows"));
        }
        Ok(origins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_knows_its_request() {
        let mut origins = Origins::one(2, 5);
        origins.push(1, 5);
        origins.push(0, 6);
        origins.push(4, 9);
        assert_eq!(origins.rows(), 7);
        assert_eq!(origins.of(0), (5, 0));
        assert_eq!(origins.of(2), (5, 2));
        assert_eq!(origins.of(3), (9, 0));
        assert_eq!(origins.of(6), (9, 3));
        assert_eq!(
            [4, 5, 8, 9].map(|seq| origins.rows_until(seq)),
            [0, 3, 3, 7]
        );
        let mut bytes = Vec::new();
        origins.write(&mut bytes);
        let read = Origins::read(7, &mut Reader::new(&bytes)).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), [(3, 5), (4, 9)]);
        assert!(Origins::read(8, &mut Reader::new(&bytes)).is_err());
    }
}
