//! Perfetto's packets, as far as a file has them whole.

/// A value of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Whole(u64),
    Bytes(&'a [u8]),
}

/// A message: its fields by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message<'a>(Vec<(u64, Value<'a>)>);

/// The packets of a file, up to the first that is not whole.
pub(crate) fn packets(mut file: &[u8]) -> Vec<Message<'_>> {
    let mut packets = Vec::new();
    while let Some((field, value, rest)) = field(file) {
        let (1, Value::Bytes(packet)) = (field, value) else {
            panic!("field {field} of a trace: {value:?}");
        };
        packets.push(Message::parse(packet));
        file = rest;
    }
    packets
}

impl<'a> Message<'a> {
    fn parse(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let (number, value, rest) = field(bytes).expect("a packet has whole fields");
            fields.push((number, value));
            bytes = rest;
        }
        Self(fields)
    }

    fn value(&self, field: u64) -> Option<Value<'a>> {
        let found = self.0.iter().find(|(number, _)| *number == field);
        found.map(|(_, value)| *value)
    }

    pub(crate) fn whole(&self, field: u64) -> Option<u64> {
        match self.value(field)? {
            Value::Whole(whole) => Some(whole),
            Value::Bytes(_) => None,
        }
    }

    pub(crate) fn text(&self, field: u64) -> Option<&'a str> {
        match self.value(field)? {
            Value::Whole(_) => None,
            Value::Bytes(bytes) => Some(std::str::from_utf8(bytes).unwrap()),
        }
    }

    pub(crate) fn message(&self, field: u64) -> Option<Self> {
        self.messages(field).next()
    }

    /// All messages of a repeated field.
    pub(crate) fn messages(&self, field: u64) -> impl Iterator<Item = Self> {
        let all = self.0.iter().filter(move |(number, _)| *number == field);
        all.filter_map(|(_, value)| match value {
            Value::Whole(_) => None,
            Value::Bytes(bytes) => Some(Self::parse(bytes)),
        })
    }
}

/// The first field and what follows it; `None` if it is not whole.
fn field(bytes: &[u8]) -> Option<(u64, Value<'_>, &[u8])> {
    let (key, rest) = varint(bytes)?;
    let (value, rest) = match key & 7 {
        0 => {
            let (whole, rest) = varint(rest)?;
            (Value::Whole(whole), rest)
        }
        1 => {
            let (fixed, rest) = rest.split_first_chunk()?;
            (Value::Whole(u64::from_le_bytes(*fixed)), rest)
        }
        2 => {
            let (len, rest) = varint(rest)?;
            let (bytes, rest) = rest.split_at_checked(usize::try_from(len).unwrap())?;
            (Value::Bytes(bytes), rest)
        }
        other => panic!("wire type {other}"),
    };
    Some((key >> 3, value, rest))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| *byte < 0x80)?;
    let (digits, rest) = bytes.split_at(end + 1);
    let number = digits.iter().rev();
    let number = number.fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f));
    Some((number, rest))
}
