//! Between which numbers the values of each key lie.

use crate::codec::{Corrupt, Reader, put_varint};

/// Keys whose ranges a block's info lists; with more, none is listed.
const KEYS_MAX: usize = 128;

/// The least and the greatest number among the values of a key. Integers are rounded to the nearest
/// double; that keeps their order, so that comparing with `<=` never excludes too much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    /// The hash of the key and its scope.
    key: u64,
    min: f64,
    max: f64,
}

/// The ranges of a block, as far as they are known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ranges {
    /// Of every key that has a number among its values.
    All(Vec<Range>),
    /// Too many to list.
    Unknown,
}

impl Default for Ranges {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Ranges {
    /// Adds a number to the range of a key. What is no number is in no range.
    pub(crate) fn add(&mut self, key: u64, number: f64) {
        let Self::All(ranges) = self else { return };
        if number.is_nan() {
            return;
        }
        // The values of a key come one after the other.
        let known = match ranges.last() {
            Some(last) if last.key == key => Some(ranges.len() - 1),
            _ => ranges.iter().position(|range| range.key == key),
        };
        match known {
            Some(known) => {
                let range = &mut ranges[known];
                range.min = range.min.min(number);
                range.max = range.max.max(number);
            }
            None if ranges.len() == KEYS_MAX => *self = Self::Unknown,
            None => ranges.push(Range {
                key,
                min: number,
                max: number,
            }),
        }
    }

    /// Whether a key may have a value from `min` to `max`.
    pub(crate) fn may_meet(&self, key: u64, min: f64, max: f64) -> bool {
        match self {
            Self::Unknown => true,
            Self::All(ranges) => ranges
                .iter()
                .any(|range| range.key == key && range.min <= max && range.max >= min),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Self::All(ranges) = self else {
            out.push(0);
            return;
        };
        out.push(1);
        put_varint(out, ranges.len() as u64);
        for range in ranges {
            for bits in [range.key, range.min.to_bits(), range.max.to_bits()] {
                out.extend_from_slice(&bits.to_le_bytes());
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        if reader.u8()? == 0 {
            return Ok(Self::Unknown);
        }
        let mut ranges = Vec::new();
        for _ in 0..reader.count()? {
            ranges.push(Range {
                key: u64::from_le_bytes(reader.array()?),
                min: f64::from_bits(u64::from_le_bytes(reader.array()?)),
                max: f64::from_bits(u64::from_le_bytes(reader.array()?)),
            });
        }
        Ok(Self::All(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_was_added_and_comes_back() {
        let mut ranges = Ranges::default();
        for (key, number) in [(1, 5.0), (1, -2.5), (2, 7.0), (1, f64::NAN), (1, 6.0)] {
            ranges.add(key, number);
        }
        let mut bytes = Vec::new();
        ranges.write(&mut bytes);
        assert_eq!(Ranges::read(&mut Reader::new(&bytes)).as_ref(), Ok(&ranges));
        for (key, min, max, expected) in [
            (1, 6.0, f64::INFINITY, true),
            (1, 6.5, f64::INFINITY, false),
            (1, f64::NEG_INFINITY, -3.0, false),
            (1, 0.0, 1.0, true),
            (2, 6.0, 6.5, false),
            (3, f64::NEG_INFINITY, f64::INFINITY, false),
        ] {
            assert_eq!(
                ranges.may_meet(key, min, max),
                expected,
                "{key} {min} {max}"
            );
        }
    }

    #[test]
    fn too_many_keys_are_not_listed() {
        let mut ranges = Ranges::default();
        for key in 0..=KEYS_MAX as u64 {
            ranges.add(key, 1.0);
        }
        assert_eq!(ranges, Ranges::Unknown);
        assert!(ranges.may_meet(1000, 2.0, 3.0));
        let mut bytes = Vec::new();
        ranges.write(&mut bytes);
        assert_eq!(Ranges::read(&mut Reader::new(&bytes)), Ok(Ranges::Unknown));
    }
}
