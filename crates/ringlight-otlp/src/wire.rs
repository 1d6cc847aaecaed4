//! Reading the protobuf wire: varints, tags and length-delimited slices of a borrowed request.

/// Nested groups that are skipped before the input is called malformed. Groups are deprecated and
/// no OTLP message has one; they can only occur as unknown fields.
const GROUPS_MAX: usize = 32;

/// Why some bytes are not protobuf, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WireError {
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// The value of one field, as the wire carries it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Slice<'a>),
    /// A group, skipped whole.
    Group,
}

impl<'a> Field<'a> {
    pub(crate) fn varint(self, at: usize) -> Result<u64, WireError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(wire_type(at)),
        }
    }

    pub(crate) fn fixed64(self, at: usize) -> Result<u64, WireError> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(wire_type(at)),
        }
    }

    pub(crate) fn fixed32(self, at: usize) -> Result<u32, WireError> {
        match self {
            Self::Fixed32(value) => Ok(value),
            _ => Err(wire_type(at)),
        }
    }

    pub(crate) fn slice(self, at: usize) -> Result<Slice<'a>, WireError> {
        match self {
            Self::Bytes(slice) => Ok(slice),
            _ => Err(wire_type(at)),
        }
    }
}

fn wire_type(offset: usize) -> WireError {
    WireError {
        offset,
        reason: "a field has another wire type than its definition",
    }
}

/// Length-delimited bytes and where in the request they start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slice<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: usize,
}

impl<'a> Slice<'a> {
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader {
            bytes: self.bytes,
            at: 0,
            offset: self.offset,
        }
    }
}

/// A cursor over one message.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Always at most `bytes.len()`.
    at: usize,
    /// Where `bytes` start in the request.
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Slice { bytes, offset: 0 }.reader()
    }

    /// Where in the request the cursor stands.
    pub(crate) fn position(&self) -> usize {
        self.offset + self.at
    }

    fn error(&self, reason: &'static str) -> WireError {
        WireError {
            offset: self.position(),
            reason,
        }
    }

    /// The next field's number and value; `None` at the end of the message.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let (number, wire) = self.tag()?;
        let field = match wire {
            3 => {
                self.skip_group(number)?;
                Field::Group
            }
            4 => return Err(self.error("a group ends that did not begin")),
            _ => self.value(wire)?,
        };
        Ok(Some((number, field)))
    }

    #[inline(always)]
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = self.varint()?;
        let Ok(tag) = u32::try_from(tag) else {
            return Err(self.error("a field number is too large"));
        };
        if tag >> 3 == 0 {
            return Err(self.error("a field has the number 0"));
        }
        Ok((tag >> 3, (tag & 7) as u8))
    }

    #[inline(always)]
    fn value(&mut self, wire: u8) -> Result<Field<'a>, WireError> {
        match wire {
            0 => self.varint().map(Field::Varint),
            1 => self.array().map(u64::from_le_bytes).map(Field::Fixed64),
            2 => self.delimited().map(Field::Bytes),
            5 => self.array().map(u32::from_le_bytes).map(Field::Fixed32),
            _ => Err(self.error("a field has an unknown wire type")),
        }
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, WireError> {
        if let Some(&byte) = self.bytes.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        self.varint_long()
    }

    #[inline(never)]
    fn varint_long(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for index in 0..10 {
            let Some(&byte) = self.bytes.get(self.at + index) else {
                return Err(self.error("the message ends inside a number"));
            };
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(self.error("a number is longer than 64 bits"))
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        match self.bytes[self.at..].first_chunk() {
            Some(array) => {
                self.at += N;
                Ok(*array)
            }
            None => Err(self.error("the message ends inside a fixed-size number")),
        }
    }

    #[inline(always)]
    fn delimited(&mut self) -> Result<Slice<'a>, WireError> {
        let length = self.varint()?;
        let rest = &self.bytes[self.at..];
        match usize::try_from(length) {
            Ok(length) if length <= rest.len() => {
                let slice = Slice {
                    bytes: &rest[..length],
                    offset: self.position(),
                };
                self.at += length;
                Ok(slice)
            }
            _ => Err(self.error("a length reaches beyond its message")),
        }
    }

    /// Whether the message is read to its end.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next element of a packed list of varints.
    pub(crate) fn packed_varint(&mut self) -> Result<u64, WireError> {
        self.varint()
    }

    /// The next element of a packed list of 64-bit numbers.
    pub(crate) fn packed_fixed64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Skips to the end of the group that `number` began, without recursion.
    #[cold]
    fn skip_group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open = [0_u32; GROUPS_MAX];
        open[0] = number;
        let mut depth = 1;
        while depth > 0 {
            if self.at == self.bytes.len() {
                return Err(self.error("the message ends inside a group"));
            }
            let (number, wire) = self.tag()?;
            match wire {
                3 if depth == GROUPS_MAX => {
                    return Err(self.error("groups are nested too deep"));
                }
                3 => {
                    open[depth] = number;
                    depth += 1;
                }
                4 if open[depth - 1] != number => {
                    return Err(self.error("a group ends that did not begin"));
                }
                4 => depth -= 1,
                _ => {
                    self.value(wire)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Field<'_>)>, &'static str> {
        let mut reader = Reader::new(bytes);
        let mut fields = Vec::new();
        while let Some(field) = reader.next().map_err(|error| error.reason)? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64 1
            0x1d, 2, 0, 0, 0, // 3: fixed32 2
            0x22, 2, b'h', b'i', // 4: "hi"
            0x2b, 0x33, 0x08, 0x01, 0x34, 0x2c, // 5: group holding group 6
        ];
        let fields = read(&bytes).unwrap();
        assert_eq!(fields[0], (1, Field::Varint(150)));
        assert_eq!(fields[1], (2, Field::Fixed64(1)));
        assert_eq!(fields[2], (3, Field::Fixed32(2)));
        let (4, Field::Bytes(slice)) = fields[3] else {
            panic!("{:?}", fields[3]);
        };
        assert_eq!((slice.bytes, slice.offset), (&b"hi"[..], 19));
        assert_eq!(fields[4], (5, Field::Group));
    }

    #[test]
    fn malformed_bytes_name_what_is_wrong() {
        let check = |bytes: &[u8], reason: &str| assert_eq!(read(bytes), Err(reason));
        check(&[0x08], "the message ends inside a number");
        check(&[0x08, 0x80], "the message ends inside a number");
        check(
            &[
                0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02,
            ],
            "a number is longer than 64 bits",
        );
        check(&[0x09, 1, 2], "the message ends inside a fixed-size number");
        check(&[0x0d, 1], "the message ends inside a fixed-size number");
        check(&[0x0a, 2, 1], "a length reaches beyond its message");
        // A length of 2^63: nothing may be allocated for it and nothing may overflow.
        check(
            &[
                0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01,
            ],
            "a length reaches beyond its message",
        );
        check(&[0x00], "a field has the number 0");
        check(&[0x0e], "a field has an unknown wire type");
        check(&[0x0c], "a group ends that did not begin");
        check(&[0x0b, 0x14], "a group ends that did not begin");
        check(&[0x0b], "the message ends inside a group");
        check(&[0x0b; 100], "groups are nested too deep");
        check(
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0],
            "a field number is too large",
        );
    }
}
