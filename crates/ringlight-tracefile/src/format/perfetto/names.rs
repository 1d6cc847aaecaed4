//! Names that a file has once: whatever is called so refers to them by number.
//!
//! Source: `perfetto/protos/perfetto/trace/interned_data/interned_data.proto`.

use super::fields::{Fields, Size};
use super::{CATEGORY_IIDS, CLEARS_STATE, NAME_IID, NEEDS_STATE, SEQUENCE_FLAGS, packet};

// `TracePacket`.
const INTERNED_DATA: u32 = 12;
// `InternedData`, and its `EventCategory`, `EventName` and `DebugAnnotationName`, which are alike.
const EVENT_CATEGORIES: u32 = 1;
const EVENT_NAMES: u32 = 2;
const DEBUG_ANNOTATION_NAMES: u32 = 3;
const IID: u32 = 1;
const TEXT: u32 = 2;
// `DebugAnnotation`.
const ANNOTATION_NAME_IID: u32 = 1;

/// The names of arguments that most events have, which are the first ones.
#[derive(Debug, Clone, Copy)]
pub(super) enum Common {
    TraceId = 1,
    SpanId = 2,
    ParentSpanId = 3,
    Level = 4,
}

/// Names with their numbers, as many as the program's source has.
#[derive(Debug)]
pub(in super::super) struct Names {
    /// All of them, as the fields of an `InternedData`.
    all: Vec<u8>,
    /// Bytes of them that the file is known to have.
    written: usize,
    labels: u64,
    args: u64,
}

impl Names {
    pub(in super::super) fn new() -> Self {
        let mut names = Self {
            all: Vec::new(),
            written: 0,
            labels: 0,
            args: 0,
        };
        let common = [
            (Common::TraceId, "trace_id"),
            (Common::SpanId, "span_id"),
            (Common::ParentSpanId, "parent_span_id"),
            (Common::Level, "level"),
        ];
        for (place, name) in common {
            let iid = names.new_arg(name);
            debug_assert_eq!(iid, place as u64);
        }
        names
    }

    fn add(&mut self, table: u32, iid: u64, text: &str) {
        Fields(&mut self.all).message(table, |entry| {
            entry.whole(IID, iid);
            entry.text(TEXT, text);
        });
    }

    /// Gives both a number, and appends the fields of an event that has it.
    pub(in super::super) fn label(&mut self, out: &mut Vec<u8>, name: &str, category: &str) {
        self.labels += 1;
        let iid = self.labels;
        self.add(EVENT_CATEGORIES, iid, category);
        self.add(EVENT_NAMES, iid, name);
        let mut event = Fields(out);
        event.whole(CATEGORY_IIDS, iid);
        event.whole(NAME_IID, iid);
    }

    /// Gives the name of an argument a number, and appends the field of an annotation that has it.
    pub(in super::super) fn arg_name(&mut self, out: &mut Vec<u8>, name: &str) {
        let iid = self.new_arg(name);
        Fields(out).whole(ANNOTATION_NAME_IID, iid);
    }

    fn new_arg(&mut self, name: &str) -> u64 {
        self.args += 1;
        let iid = self.args;
        self.add(DEBUG_ANNOTATION_NAMES, iid, name);
        iid
    }

    /// All of them: what was said before does not count any more.
    pub(in super::super) fn write_all(&mut self, out: &mut Vec<u8>) {
        self.written = 0;
        self.write_from_there(out, CLEARS_STATE | NEEDS_STATE);
    }

    /// Those that are new.
    #[inline]
    pub(in super::super) fn write_new(&mut self, out: &mut Vec<u8>) {
        if self.written < self.all.len() {
            self.write_from_there(out, NEEDS_STATE);
        }
    }

    #[cold]
    fn write_from_there(&mut self, out: &mut Vec<u8>, flags: u64) {
        packet(out, Size::Long, None, |packet| {
            packet.whole(SEQUENCE_FLAGS, flags);
            packet.bytes(INTERNED_DATA, &self.all[self.written..]);
        });
        self.written = self.all.len();
    }
}

impl Fields<'_> {
    /// The name of an argument that most events have, in its annotation.
    pub(super) fn common_name(&mut self, name: Common) {
        self.whole(ANNOTATION_NAME_IID, name as u64);
    }
}

/// An annotation that is called so, with a text from [`COMMON_TEXT_AT`] on that is yet to be filled in; it is all in all
/// below 128 bytes.
pub(super) const fn common_annotation<const BYTES: usize>(
    annotations: u32,
    name: Common,
    string_value: u32,
) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[0] = (annotations << 3 | 2) as u8;
    bytes[1] = (BYTES - 2) as u8;
    bytes[2] = (ANNOTATION_NAME_IID << 3) as u8;
    bytes[3] = name as u8;
    bytes[4] = (string_value << 3 | 2) as u8;
    bytes[5] = (BYTES - COMMON_TEXT_AT) as u8;
    bytes
}

pub(super) const COMMON_TEXT_AT: usize = 6;
