//! Sections: the parts of a block that are read on their own, compressed and checked.

use twox_hash::XxHash3_64;
use zstd::bulk::{Compressor, Decompressor};

use crate::codec::Corrupt;

/// A part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Section {
    /// Names, keys, resources, scopes.
    Dictionary = 0,
    /// Times, names and what else most searches look at.
    Core = 1,
    /// Distinct trace ids.
    Traces = 2,
    /// Ids of spans and their parents.
    Ids = 3,
    /// Texts of attribute values.
    Values = 4,
    /// Attributes of the rows.
    Attributes = 5,
    /// What is rarely there or rarely asked for: events, links, trace states.
    Extra = 6,
    /// Bodies of log records.
    Body = 7,
    /// Filter of keys and values.
    Filter = 8,
    /// Filter of trace ids.
    TraceFilter = 9,
    /// Filter of what bodies contain.
    BodyFilter = 10,
    /// Times of metric points.
    Points = 11,
    /// Exemplars of metric points.
    Exemplars = 12,
    /// What spans come to by operation.
    Operations = 13,
}

impl Section {
    /// The sections that hold columns, in the order they are read.
    pub(crate) const COLUMNS: [Self; 10] = [
        Self::Core,
        Self::Dictionary,
        Self::Traces,
        Self::Ids,
        Self::Points,
        Self::Values,
        Self::Attributes,
        Self::Extra,
        Self::Body,
        Self::Exemplars,
    ];
}

/// A set of sections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SectionSet(u16);

impl SectionSet {
    pub(crate) fn of(sections: impl IntoIterator<Item = Section>) -> Self {
        let mut set = Self::default();
        sections.into_iter().for_each(|section| set.insert(section));
        set
    }

    pub(crate) const fn insert(&mut self, section: Section) {
        self.0 |= 1 << section as u8;
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Section> {
        Section::COLUMNS
            .into_iter()
            .filter(move |&section| self.contains(section))
    }

    pub(crate) const fn contains(self, section: Section) -> bool {
        self.0 & (1 << section as u8) != 0
    }
}

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// zstd's own default. Level 1 is a fifth faster and leaves a tenth more.
const LEVEL: i32 = 3;

/// Shorter bytes are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 32;

/// No section is larger before compression; one that says so is damaged.
const SECTION_BYTES_MAX: usize = 1 << 30;

/// Bytes of the header: coding, length before compression, checksum.
const HEADER: usize = 1 + 4 + 8;

// XXH3 of the stored bytes, seeded with the two header fields before it.
fn checksum(coding: u8, length: u32, payload: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(u64::from(coding) << 32 | u64::from(length), payload)
}

/// A section as it is stored: coding (1 byte), length before compression (4, little-endian),
/// checksum (8, little-endian), then the bytes, compressed where that helps.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    Packer::default().pack(bytes)
}

/// [`pack`], for many sections: the compressor's tables are made once.
#[derive(Default)]
pub(crate) struct Packer {
    compressor: Option<Compressor<'static>>,
}

impl Packer {
    /// See [`pack`].
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> Vec<u8> {
        let compressed = if bytes.len() < COMPRESSED_BYTES_MIN {
            None
        } else {
            self.compress(bytes)
                .filter(|compressed| compressed.len() < bytes.len() - bytes.len() / 32)
        };
        assemble(bytes, compressed.as_deref())
    }

    // Bytes that cannot be compressed for lack of memory are stored as they are.
    fn compress(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(LEVEL).ok();
        }
        self.compressor.as_mut()?.compress(bytes).ok()
    }
}

fn assemble(bytes: &[u8], compressed: Option<&[u8]>) -> Vec<u8> {
    let (coding, payload) = match compressed {
        Some(compressed) => (ZSTD, compressed),
        None => (PLAIN, bytes),
    };
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.push(coding);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(coding, bytes.len() as u32, payload).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// The bytes that [`pack`] was given.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Corrupt> {
    Unpacker::default().unpack(packed)
}

/// [`unpack`], for many sections: the decompressor's tables are made once.
#[derive(Default)]
pub(crate) struct Unpacker {
    decompressor: Option<Decompressor<'static>>,
}

impl Unpacker {
    /// See [`unpack`].
    pub(crate) fn unpack(&mut self, packed: &[u8]) -> Result<Vec<u8>, Corrupt> {
        let (coding, length, payload) = parts(packed)?;
        let bytes = match coding {
            PLAIN => payload.to_vec(),
            ZSTD => self.decompress(payload, length)?,
            _ => return Err(Corrupt("coding of a section is unknown")),
        };
        if bytes.len() != length {
            return Err(Corrupt("section has another length than it says"));
        }
        Ok(bytes)
    }

    fn decompress(&mut self, payload: &[u8], length: usize) -> Result<Vec<u8>, Corrupt> {
        const FAILED: Corrupt = Corrupt("section does not decompress");
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().map_err(|_| FAILED)?),
        };
        decompressor.decompress(payload, length).map_err(|_| FAILED)
    }
}

// Coding, length before compression and the stored bytes, their checksum verified.
fn parts(packed: &[u8]) -> Result<(u8, usize, &[u8]), Corrupt> {
    let (coding, rest) = packed
        .split_first()
        .ok_or(Corrupt("section has no header"))?;
    let (length, rest) = rest
        .split_first_chunk::<4>()
        .ok_or(Corrupt("section has no header"))?;
    let (stated, payload) = rest
        .split_first_chunk::<8>()
        .ok_or(Corrupt("section has no header"))?;
    let length = u32::from_le_bytes(*length);
    if checksum(*coding, length, payload) != u64::from_le_bytes(*stated) {
        return Err(Corrupt("checksum of a section does not match"));
    }
    let length = length as usize;
    if length > SECTION_BYTES_MAX {
        return Err(Corrupt("section is too large"));
    }
    Ok((*coding, length, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sections_come_back(bytes in proptest::collection::vec(0_u8..4, 0..500)) {
            prop_assert_eq!(unpack(&pack(&bytes)), Ok(bytes));
        }

        #[test]
        fn a_flipped_bit_is_noticed(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            position in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let mut packed = pack(&bytes);
            let index = position.index(packed.len());
            packed[index] ^= 1_u8 << bit;
            prop_assert!(unpack(&packed).is_err());
        }
    }
}
