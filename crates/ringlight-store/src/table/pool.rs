//! Distinct texts and byte strings, referred to by number.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

use crate::codec::{Corrupt, Reader, put_varint};

/// Distinct texts in the order they were first seen. Number 0 is always the empty text.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    text: String,
    ends: Vec<u32>,
    // Holds every number, or nothing: a pool that was read back and is only looked at has none.
    table: HashTable<u32>,
    // Seeded by the process, so that chosen texts cannot be made to collide.
    hasher: FixedState,
}

impl Default for Pool {
    fn default() -> Self {
        let mut pool = Self {
            text: String::new(),
            ends: Vec::new(),
            table: HashTable::new(),
            hasher: FixedState::with_seed(process_seed()),
        };
        pool.intern("");
        pool
    }
}

fn process_seed() -> u64 {
    use std::hash::RandomState;
    use std::sync::OnceLock;
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one(0_u8))
}

impl Pool {
    /// The number of a text, a new one if it was not there.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        self.ensure_table();
        let Self {
            text: all,
            ends,
            table,
            hasher,
        } = self;
        let hash = hasher.hash_one(text);
        if let Some(&number) = table.find(hash, |&number| slice(all, ends, number) == text) {
            return number;
        }
        let number = ends.len() as u32;
        all.push_str(text);
        ends.push(all.len() as u32);
        table.insert_unique(hash, number, |&number| {
            hasher.hash_one(slice(all, ends, number))
        });
        number
    }

    /// The text of a number; empty for one that was never given.
    pub(crate) fn get(&self, number: u32) -> &str {
        slice(&self.text, &self.ends, number)
    }

    /// The number of a text that is there.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        if self.table.is_empty() {
            return (0..self.ends.len() as u32).find(|&number| self.get(number) == text);
        }
        self.table
            .find(self.hasher.hash_one(text), |&number| {
                self.get(number) == text
            })
            .copied()
    }

    /// How many texts there are.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// All texts, in order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|number| self.get(number))
    }

    /// Numbers in this pool for the texts of another, by their number there. Texts that are asked
    /// for by nobody are not taken over.
    pub(crate) fn remapping(&self, other: &Self) -> Remap {
        Remap {
            numbers: vec![u32::MAX; other.count()],
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.capacity() + 12 * self.ends.capacity()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.ends.len() as u64);
        let mut previous = 0;
        for &end in &self.ends {
            put_varint(out, u64::from(end - previous));
            previous = end;
        }
        out.extend_from_slice(self.text.as_bytes());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let count = reader.count()?;
        let mut ends = Vec::with_capacity(count);
        let mut total = 0_u32;
        for _ in 0..count {
            total = total
                .checked_add(reader.varint_u32()?)
                .ok_or(Corrupt("text is too long"))?;
            ends.push(total);
        }
        let bytes = reader.take(total as usize)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Corrupt("text is not UTF-8"))?;
        if !ends.iter().all(|&end| text.is_char_boundary(end as usize)) {
            return Err(Corrupt("text is cut inside a character"));
        }
        Ok(Self {
            text: text.to_owned(),
            ends,
            table: HashTable::new(),
            hasher: FixedState::with_seed(process_seed()),
        })
    }

    fn ensure_table(&mut self) {
        if self.table.len() == self.ends.len() {
            return;
        }
        let Self {
            text,
            ends,
            table,
            hasher,
        } = self;
        let rehash = |&number: &u32| hasher.hash_one(slice(text, ends, number));
        table.clear();
        table.reserve(ends.len(), rehash);
        for number in 0..ends.len() as u32 {
            table.insert_unique(rehash(&number), number, rehash);
        }
    }
}

fn slice<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let index = number as usize;
    let Some(&end) = ends.get(index) else {
        return "";
    };
    let start = match index.checked_sub(1) {
        Some(before) => ends[before],
        None => 0,
    };
    text.get(start as usize..end as usize).unwrap_or_default()
}

/// Numbers of one pool translated to another, each text looked up once.
#[derive(Debug)]
pub(crate) struct Remap {
    numbers: Vec<u32>,
}

impl Remap {
    /// The number in `to` of what is `number` in `from`.
    pub(crate) fn map(&mut self, number: u32, from: &Pool, to: &mut Pool) -> u32 {
        match self.numbers.get_mut(number as usize) {
            Some(known) if *known != u32::MAX => *known,
            Some(unknown) => {
                *unknown = to.intern(from.get(number));
                *unknown
            }
            None => 0,
        }
    }
}

/// Byte strings, not made distinct.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blobs {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Blobs {
    /// Adds a byte string that `write` appends, and gives its number.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
        self.ends.len() as u32 - 1
    }

    /// The byte string of a number; empty for one that was never given.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let index = number as usize;
        let end = self.ends.get(index).copied().unwrap_or(0);
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        self.bytes
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + 4 * self.ends.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number_through_writing_and_reading() {
        let mut pool = Pool::default();
        let numbers: Vec<u32> = ["a", "", "żółw", "a", "b"]
            .map(|text| pool.intern(text))
            .into();
        assert_eq!(numbers, [1, 0, 2, 1, 3]);
        let mut bytes = Vec::new();
        pool.write(&mut bytes);
        let mut reader = Reader::new(&bytes);
        let mut read = Pool::read(&mut reader).unwrap();
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(read.find("żółw"), Some(2));
        assert_eq!(read.find("c"), None);
        assert_eq!(read.intern("b"), 3);
        assert_eq!(read.intern("c"), 4);
        assert_eq!(read.iter().collect::<Vec<_>>(), ["", "a", "żółw", "b", "c"]);
    }

    #[test]
    fn a_pool_cut_inside_a_character_is_refused() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 2);
        put_varint(&mut bytes, 1);
        put_varint(&mut bytes, 1);
        bytes.extend_from_slice("ż".as_bytes());
        assert!(Pool::read(&mut Reader::new(&bytes)).is_err());
    }
}
