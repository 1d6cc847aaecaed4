//! Integers and byte strings as the on-disk format writes them. Reading never trusts its input.

/// Stored bytes do not say what the format says they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged: {0}")]
pub(crate) struct Corrupt(pub(crate) &'static str);

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Unsigned integers as signed differences from the one before.
pub(crate) fn put_deltas(out: &mut Vec<u8>, values: impl IntoIterator<Item = u64>) {
    let mut previous = 0_u64;
    for value in values {
        put_zigzag(out, value.wrapping_sub(previous).cast_signed());
        previous = value;
    }
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads what the functions above wrote.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Corrupt> {
        let (&first, rest) = self.rest.split_first().ok_or(Corrupt("data ends early"))?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Corrupt("data ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Corrupt("data ends early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Corrupt> {
        // Most integers are small.
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    break;
                }
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Corrupt("integer does not end"))
    }

    pub(crate) fn varint_u32(&mut self) -> Result<u32, Corrupt> {
        u32::try_from(self.varint()?).map_err(|_| Corrupt("integer is too large"))
    }

    pub(crate) fn zigzag(&mut self) -> Result<i64, Corrupt> {
        self.varint().map(unzigzag)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let count = self.count()?;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Corrupt("text is not UTF-8"))
    }

    /// A number of things that follow, each of at least one byte: so it cannot make a reader
    /// reserve more than there is.
    pub(crate) fn count(&mut self) -> Result<usize, Corrupt> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(Corrupt("count exceeds the data")),
        }
    }

    // Reads so many integers and keeps what `each` makes of them.
    fn collect<T>(
        &mut self,
        count: usize,
        mut each: impl FnMut(u64) -> T,
    ) -> Result<Vec<T>, Corrupt> {
        self.check(count)?;
        // Most columns have nothing but small integers, each of one byte.
        if let Some((bytes, rest)) = self.rest.split_at_checked(count)
            && bytes.is_ascii()
        {
            self.rest = rest;
            return Ok(bytes.iter().map(|&byte| each(byte.into())).collect());
        }
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(each(self.varint()?));
        }
        Ok(values)
    }

    /// Passes over so many integers without looking at them.
    pub(crate) fn skip_varints(&mut self, count: usize) -> Result<(), Corrupt> {
        let mut left = count;
        let mut length = 0;
        while left > 0 {
            let byte = self.rest.get(length).ok_or(Corrupt("data ends early"))?;
            left -= usize::from(*byte < 0x80);
            length += 1;
        }
        self.take(length).map(|_| ())
    }

    pub(crate) fn varints_u32(&mut self, count: usize) -> Result<Vec<u32>, Corrupt> {
        let mut all = 0;
        let values = self.collect(count, |value| {
            all |= value;
            value as u32
        })?;
        if all > u64::from(u32::MAX) {
            return Err(Corrupt("integer is too large"));
        }
        Ok(values)
    }

    pub(crate) fn varints(&mut self, count: usize) -> Result<Vec<u64>, Corrupt> {
        self.collect(count, |value| value)
    }

    pub(crate) fn deltas(&mut self, count: usize) -> Result<Vec<u64>, Corrupt> {
        let mut previous = 0_u64;
        self.collect(count, |value| {
            previous = previous.wrapping_add(unzigzag(value).cast_unsigned());
            previous
        })
    }

    /// Signed integers.
    pub(crate) fn zigzags(&mut self, count: usize) -> Result<Vec<i64>, Corrupt> {
        self.collect(count, unzigzag)
    }

    pub(crate) fn check(&self, count: usize) -> Result<(), Corrupt> {
        if count > self.rest.len() {
            return Err(Corrupt("count exceeds the data"));
        }
        Ok(())
    }

    /// Fails unless everything was read.
    pub(crate) fn end(&self) -> Result<(), Corrupt> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Corrupt("data goes on after its end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(values in proptest::collection::vec(any::<u64>(), 0..50)) {
            let mut out = Vec::new();
            put_deltas(&mut out, values.iter().copied());
            for &value in &values {
                put_varint(&mut out, value);
                put_zigzag(&mut out, value.cast_signed());
            }
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.deltas(values.len()), Ok(values.clone()));
            for &value in &values {
                prop_assert_eq!(reader.varint(), Ok(value));
                prop_assert_eq!(reader.zigzag(), Ok(value.cast_signed()));
            }
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.varint().is_ok() || reader.u8().is_ok() {}
            let _ = Reader::new(&bytes).text();
            let _ = Reader::new(&bytes).deltas(usize::MAX);
        }
    }
}
