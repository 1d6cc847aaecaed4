//! Protobuf's wire format, written in one go: the length of a message is filled in once it is known.
//!
//! Source: "Protocol Buffers: Encoding".

/// What a message is likely to take: one that takes something else is moved.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// Below 128 bytes.
    Short,
    /// Below 16 KiB.
    Long,
}

/// The fields of a message, appended to the bytes.
pub(super) struct Fields<'a>(pub(super) &'a mut Vec<u8>);

/// Bytes of a number in as many as it takes.
pub(super) const fn varint_len(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

impl Fields<'_> {
    #[inline]
    pub(super) fn varint(&mut self, value: u64) {
        if value < 0x80 {
            return self.0.push(value as u8);
        }
        let mut bytes = [0; 10];
        let len = varint_len(value);
        write_varint(&mut bytes[..len], value);
        self.0.extend_from_slice(&bytes[..len]);
    }

    #[inline]
    pub(super) fn whole(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3));
        self.varint(value);
    }

    pub(super) fn fixed(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3 | 1));
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.fixed(field, value.to_bits());
    }

    #[inline]
    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    #[inline]
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message in the message. Its length stands before it, in as many bytes as it takes.
    #[inline]
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Fields<'_>)) {
        self.message_of(field, Size::Short, fill);
    }

    #[inline]
    pub(super) fn message_of(
        &mut self,
        field: u32,
        size: Size,
        fill: impl FnOnce(&mut Fields<'_>),
    ) {
        let guessed = match size {
            Size::Short => 1,
            Size::Long => 2,
        };
        self.varint(u64::from(field << 3 | 2));
        let length_at = self.0.len();
        self.0.extend_from_slice(&[0; 2][..guessed]);
        fill(&mut Fields(self.0));
        let length = (self.0.len() - length_at - guessed) as u64;
        let len = varint_len(length);
        if len != guessed {
            let place = length_at..length_at + guessed;
            self.0.splice(place, std::iter::repeat_n(0, len));
        }
        write_varint(&mut self.0[length_at..length_at + len], length);
    }
}

/// A number into as many bytes as it takes.
#[inline]
fn write_varint(bytes: &mut [u8], value: u64) {
    let mut rest = value;
    let Some((last, before)) = bytes.split_last_mut() else {
        return;
    };
    for byte in before {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    *last = rest as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_length_says_how_long_it_is() {
        for length in [0, 1, 126, 127, 128, 129, 16_383, 16_384, 70_000] {
            for size in [Size::Short, Size::Long] {
                let mut out = vec![9];
                Fields(&mut out).message_of(1, size, |fields| {
                    fields.0.resize(fields.0.len() + length, 7);
                });
                let mut expected = vec![9, 1 << 3 | 2];
                let mut rest = length;
                while rest >= 0x80 {
                    expected.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                expected.push(rest as u8);
                expected.resize(expected.len() + length, 7);
                assert_eq!(out, expected, "{length}");
            }
        }
    }

    #[test]
    fn a_number_takes_as_many_bytes_as_its_bits() {
        for bit in 0..64 {
            assert_eq!(varint_len(1 << bit), bit / 7 + 1);
        }
        assert_eq!((varint_len(0), varint_len(u64::MAX)), (1, 10));
    }
}
