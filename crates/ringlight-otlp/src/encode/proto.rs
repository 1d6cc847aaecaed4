//! The protobuf wire, written: tags, numbers, bytes, and messages closed after the fact.

/// Wire type of varints.
const VARINT: u32 = 0;
/// Wire type of 64-bit numbers.
const FIXED64: u32 = 1;
/// Wire type of length-delimited bytes.
const DELIMITED: u32 = 2;
/// Wire type of 32-bit numbers.
const FIXED32: u32 = 5;

/// How many bytes [`open`] keeps free for the length of a message.
///
/// A length that turns out shorter is padded (protobuf allows varints with redundant bytes); one
/// that turns out longer costs a move of the message. So guess the usual size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Room {
    /// One byte: messages below 128 bytes.
    Small = 1,
    /// Two bytes: messages below 16 KiB, the usual span or log record.
    Medium = 2,
    /// Four bytes: messages below 256 MiB, whole resources and scopes.
    Large = 4,
}

/// A message that has been begun with [`open`] and must be ended with [`close`].
#[derive(Debug)]
#[must_use = "a message that is not closed has no length"]
pub struct Open {
    /// Where the message's first byte is in the buffer.
    start: usize,
    room: Room,
}

/// Appends a varint.
#[inline]
pub fn varint(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push(value as u8 | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// How many bytes [`varint`] appends.
#[inline]
#[must_use]
pub const fn varint_size(value: u64) -> usize {
    // 7 bits a byte, and zero still takes one.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[inline]
fn tag(buf: &mut Vec<u8>, field: u32, wire: u32) {
    varint(buf, u64::from(field << 3 | wire));
}

/// Appends a field of type `uint32`, `uint64`, `int64`, `bool` or an enum.
#[inline]
pub fn varint_field(buf: &mut Vec<u8>, field: u32, value: u64) {
    tag(buf, field, VARINT);
    varint(buf, value);
}

/// Appends a field of type `fixed64`, `sfixed64` or, as its bits, `double`.
#[inline]
pub fn fixed64_field(buf: &mut Vec<u8>, field: u32, value: u64) {
    tag(buf, field, FIXED64);
    buf.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of type `fixed32`.
#[inline]
pub fn fixed32_field(buf: &mut Vec<u8>, field: u32, value: u32) {
    tag(buf, field, FIXED32);
    buf.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of type `string`, `bytes`, or a message that is encoded already.
#[inline]
pub fn bytes_field(buf: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    delimited(buf, field, bytes.len());
    buf.extend_from_slice(bytes);
}

/// Appends the tag and length of a length-delimited field whose `length` bytes the caller appends
/// next.
#[inline]
pub fn delimited(buf: &mut Vec<u8>, field: u32, length: usize) {
    tag(buf, field, DELIMITED);
    varint(buf, length as u64);
}

/// How many bytes a length-delimited field with a one-byte tag takes (fields 1 to 15).
#[inline]
pub(crate) const fn delimited_size(length: usize) -> usize {
    1 + varint_size(length as u64) + length
}

/// Begins a message in field `field`; what is appended until [`close`] is its content. Messages
/// nest: the last one opened is the first one closed.
#[inline]
pub fn open(buf: &mut Vec<u8>, field: u32, room: Room) -> Open {
    tag(buf, field, DELIMITED);
    buf.resize(buf.len() + room as usize, 0);
    Open {
        start: buf.len(),
        room,
    }
}

/// Ends a message: fills in its length.
#[inline]
pub fn close(buf: &mut Vec<u8>, open: Open) {
    let room = open.room as usize;
    let length = buf.len().saturating_sub(open.start);
    let needed = varint_size(length as u64);
    if needed > room {
        let extra = needed - room;
        buf.resize(buf.len() + extra, 0);
        buf.copy_within(open.start..open.start + length, open.start + extra);
    }
    let width = needed.max(room);
    let at = open.start - room;
    let mut rest = length;
    for (index, byte) in buf[at..at + width].iter_mut().enumerate() {
        let more = if index + 1 < width { 0x80 } else { 0 };
        *byte = (rest & 0x7f) as u8 | more;
        rest >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_size_they_say() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1_u64 << shift) - 1, (1_u64 << shift) + 1] {
                let mut buf = Vec::new();
                varint(&mut buf, value);
                assert_eq!(buf.len(), varint_size(value), "{value}");
            }
        }
        assert_eq!(varint_size(u64::MAX), 10);
    }

    #[test]
    fn a_message_is_closed_whatever_room_was_kept_for_its_length() {
        for room in [Room::Small, Room::Medium, Room::Large] {
            for length in [0_usize, 1, 127, 128, 16_383, 16_384, 70_000] {
                let mut buf = vec![7];
                let message = open(&mut buf, 1, room);
                buf.extend(std::iter::repeat_n(9, length));
                close(&mut buf, message);
                varint_field(&mut buf, 2, 5);

                let mut reader = crate::wire::Reader::new(&buf[1..]);
                let (_, field) = reader.next().unwrap().unwrap();
                let inner = field.slice(0).unwrap();
                assert_eq!(inner.bytes, vec![9; length]);
                assert_eq!(
                    reader.next().unwrap(),
                    Some((2, crate::wire::Field::Varint(5)))
                );
            }
        }
    }
}
