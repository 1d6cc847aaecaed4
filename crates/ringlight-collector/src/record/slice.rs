//! Records that only sinks see: when a thread was in a span, and what the thread is called.
//!
//! They are made where somebody asks for them, such as a local trace file, and go through the rings like spans and
//! log records, but to no destination and into no account: one that finds no room is counted for itself.

use ringlight_model::{CallsiteId, SpanId, TraceId};

use super::read::Word;
use super::{KIND_SLICE, KIND_THREAD, RecordError, Text, WORD_BYTES};

/// Words of a slice.
pub const SLICE_WORDS: usize = 8;
/// Words of the name of a thread before its text.
const THREAD_WORDS: usize = 3;
/// Bytes of a thread's name that are kept.
const NAME_BYTES_MAX: usize = 64;

/// A stretch of time in which a thread was in a span: from where it entered it to where it left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The callsite of the span.
    pub callsite: CallsiteId,
    /// The trace of the span.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The thread, by the number that [`ThreadName`] gives a name to; zero where it is not known.
    pub thread: u64,
    /// Whether it is the first one of the span, of all threads.
    pub is_first: bool,
    /// The thread that opened the span, if that was another one, which was in the span's parent then, and this is the
    /// first slice; zero otherwise. Of its number the lower 55 bits are kept.
    pub opened_by: u64,
    /// When it was entered, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// When it was left, Unix nanoseconds.
    pub end_unix_nano: u64,
}

impl Slice {
    /// The record.
    #[must_use]
    pub const fn to_words(&self) -> [u64; SLICE_WORDS] {
        [
            KIND_SLICE as u64 | (self.is_first as u64) << 8 | self.opened_by << 9,
            self.callsite.get(),
            (self.trace_id.get() >> 64) as u64,
            self.trace_id.get() as u64,
            self.span_id.get(),
            self.thread,
            self.start_unix_nano,
            self.end_unix_nano,
        ]
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
        let words: &[Word; SLICE_WORDS] = words.try_into().map_err(|_| NOT_A_SLICE)?;
        let word = |at: usize| u64::from_le_bytes(words[at]);
        if !rest.is_empty() || word(0) as u8 != KIND_SLICE {
            return Err(NOT_A_SLICE);
        }
        Ok(Self {
            callsite: CallsiteId::new(word(1)),
            trace_id: TraceId::new(u128::from(word(2)) << 64 | u128::from(word(3))),
            span_id: SpanId::new(word(4)),
            thread: word(5),
            is_first: word(0) >> 8 & 1 != 0,
            opened_by: word(0) >> 9,
            start_unix_nano: word(6),
            end_unix_nano: word(7),
        })
    }
}

/// The name of a thread. The records after it in the same ring are of that thread, except in the ring that threads share. It
/// comes before the first [`Slice`] of that thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadName<'a> {
    /// Its number, which on Linux is the one the kernel gives it.
    pub thread: u64,
    /// Up to 64 bytes of its name.
    pub name: Text<'a>,
}

impl<'a> ThreadName<'a> {
    /// The record.
    #[must_use]
    pub fn to_bytes(thread: u64, name: &str) -> Vec<u8> {
        let kept = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
        let is_cut = u64::from(kept.len() < name.len());
        let head = u64::from(KIND_THREAD) | is_cut << 8;
        let words = [head, thread, kept.len() as u64];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(kept.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(WORD_BYTES), 0);
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        let (header, _) = (words.split_first_chunk::<THREAD_WORDS>()).ok_or(NOT_A_NAME)?;
        let [head, thread, length] = header.map(u64::from_le_bytes);
        let text = &bytes[THREAD_WORDS * WORD_BYTES..];
        if head as u8 != KIND_THREAD || length > text.len() as u64 {
            return Err(NOT_A_NAME);
        }
        Ok(Self {
            thread,
            name: Text {
                bytes: &text[..length as usize],
                cut: head >> 8 != 0,
            },
        })
    }
}

/// Whether a record, by its first byte, is one of those here.
pub(crate) fn is_for_sinks(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(KIND_SLICE | KIND_THREAD)))
}

const NOT_A_SLICE: RecordError = RecordError {
    word: 0,
    reason: "not a slice",
};
const NOT_A_NAME: RecordError = RecordError {
    word: 0,
    reason: "not the name of a thread",
};

#[cfg(test)]
mod tests {
    use super::super::copy_words;
    use super::*;

    fn slice(is_first: bool) -> (Slice, Vec<u8>) {
        let slice = Slice {
            callsite: CallsiteId::new(7),
            trace_id: TraceId::new(1 << 100 | 5),
            span_id: SpanId::new(9),
            thread: 11,
            is_first,
            opened_by: (1 << 55) - 1,
            start_unix_nano: 20,
            end_unix_nano: u64::MAX,
        };
        let mut bytes = vec![0; SLICE_WORDS * WORD_BYTES];
        copy_words(slice.to_words(), &mut bytes);
        (slice, bytes)
    }

    #[test]
    fn a_slice_is_read_as_it_was_written() {
        for is_first in [false, true] {
            let (slice, bytes) = slice(is_first);
            assert!(is_for_sinks(&bytes));
            assert_eq!(Slice::parse(&bytes), Ok(slice));
        }
        let (_, mut bytes) = slice(true);
        for bytes in [
            &bytes[..63],
            &bytes[..56],
            &[],
            &[bytes.clone(), vec![0; 8]].concat(),
        ] {
            assert_eq!(Slice::parse(bytes), Err(NOT_A_SLICE));
        }
        bytes[0] = KIND_THREAD;
        assert_eq!(Slice::parse(&bytes), Err(NOT_A_SLICE));
    }

    #[test]
    fn a_name_is_read_as_it_was_written_and_cut_between_characters() {
        for (name, kept) in [
            ("", ""),
            ("worker-1", "worker-1"),
            (&*"é".repeat(40), &*"é".repeat(32)),
            (
                &*format!("a{}", "é".repeat(40)),
                &*format!("a{}", "é".repeat(31)),
            ),
        ] {
            let bytes = ThreadName::to_bytes(3, name);
            assert!(is_for_sinks(&bytes));
            assert!(bytes.len().is_multiple_of(WORD_BYTES));
            let read = ThreadName::parse(&bytes).unwrap();
            assert_eq!((read.thread, &*read.name.to_str()), (3, kept));
            assert_eq!(read.name.cut, kept != name);
        }
        let mut bytes = ThreadName::to_bytes(3, "worker");
        assert!(ThreadName::parse(&bytes[..16]).is_err());
        bytes[16] = 9;
        assert_eq!(ThreadName::parse(&bytes), Err(NOT_A_NAME));
        assert!(ThreadName::parse(&slice(true).1).is_err());
    }
}
