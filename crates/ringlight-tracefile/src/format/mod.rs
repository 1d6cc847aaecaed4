//! How a trace file says what there is to draw.

mod json;
mod perfetto;

use std::fmt;
use std::str::FromStr;

use ringlight_collector::record::ValueRef;
use ringlight_model::{SpanId, TraceId};

use crate::meaning::Args;

/// What a trace file is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TraceFileFormat {
    /// Trace Event Format, its array of JSON objects: `.json`. Perfetto, chrome://tracing and Speedscope open it.
    ///
    /// Source: "Trace Event Format", the Chromium project.
    #[default]
    Json,
    /// Perfetto's protobuf: `.pftrace`, half as large.
    ///
    /// Source: `perfetto/protos/perfetto/trace/trace_packet.proto`.
    Perfetto,
}

impl TraceFileFormat {
    /// What a file's name ends with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Perfetto => "pftrace",
        }
    }
}

/// Neither `json` nor `perfetto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither `json` nor `perfetto`")]
pub struct UnknownFormat;

impl FromStr for TraceFileFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "json" => Ok(Self::Json),
            "perfetto" => Ok(Self::Perfetto),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for TraceFileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Perfetto => "perfetto",
        })
    }
}

/// The process that draws.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// Where JSON's times begin, Unix nanoseconds: its numbers are not precise enough for absolute ones.
    pub(crate) zero_unix_nano: u64,
    /// The same time in nanoseconds since the machine was started; where that is not known, Unix nanoseconds.
    pub(crate) zero_boot_nano: u64,
}

impl Process {
    /// Nanoseconds since the machine was started, of Unix nanoseconds.
    #[inline]
    const fn boot_nano(&self, unix_nano: u64) -> u64 {
        unix_nano
            .saturating_add(self.zero_boot_nano)
            .saturating_sub(self.zero_unix_nano)
    }
}

/// Whose a slice is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) parent: SpanId,
}

/// A time from one to another, Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Time {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Something to draw.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// What a thread is called.
    Thread { thread: u64, name: &'a str },
    /// A thread was in a span.
    Slice {
        thread: u64,
        label: Label<'a>,
        time: Time,
        flow: Flow,
        ids: Ids,
        args: Args<'a>,
    },
    /// The life of a span that was not on one thread all the time.
    Life {
        label: Label<'a>,
        time: Time,
        ids: Ids,
        args: Args<'a>,
    },
    /// A thread opened a span that another one was in first: whence and whither, threads and times.
    Handover {
        from: (u64, u64),
        to: (u64, u64),
        label: Label<'a>,
        span: SpanId,
    },
    /// Something happened: on a thread, or in the process.
    Instant {
        thread: Option<u64>,
        label: Label<'a>,
        time: u64,
        ids: Option<(TraceId, SpanId)>,
        level: &'a str,
        args: Args<'a>,
    },
    /// What something measured came to.
    Counter {
        name: &'a str,
        unit: &'a str,
        time: u64,
        value: f64,
    },
}

/// How something is called, and what kind of thing it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label<'a> {
    pub(crate) name: &'a str,
    pub(crate) category: &'a str,
    /// Both as [`Format::label`] has them, where that was asked before.
    pub(crate) drawn: Option<&'a Fragment>,
}

/// The name of something that is shown beside an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ArgName<'a> {
    /// As [`Format::arg_name`] has it.
    Drawn(&'a Fragment),
    Text(&'a str),
}

/// Bytes that are written over and over. Behind them there is room for as many as are copied at a time, so that a few of
/// them take no call: what was copied too much is taken back.
#[derive(Debug)]
pub(crate) struct Fragment {
    padded: Box<[u8]>,
    len: usize,
}

impl Fragment {
    const STEP: usize = 32;

    fn new(mut bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        bytes.resize(len.next_multiple_of(Self::STEP), 0);
        Self {
            padded: bytes.into(),
            len,
        }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len;
        for step in self.padded.as_chunks::<{ Self::STEP }>().0 {
            out.extend_from_slice(step);
        }
        out.truncate(end);
    }
}

/// Where a slice stands among those of its span, perhaps of several threads, which are shown to follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It is the only one, or not known to be one of several.
    None,
    /// The same, and a handover leads to it.
    Led,
    First,
    Later,
}

/// One of the formats, for one process.
#[derive(Debug)]
pub(crate) struct Format {
    kind: Kind,
    process: Process,
}

/// Which one, and what it knows.
#[derive(Debug)]
enum Kind {
    Json,
    Perfetto(perfetto::Names),
}

impl Format {
    pub(crate) fn new(format: TraceFileFormat, process: Process) -> Self {
        let kind = match format {
            TraceFileFormat::Json => Kind::Json,
            TraceFileFormat::Perfetto => Kind::Perfetto(perfetto::Names::new()),
        };
        Self { kind, process }
    }

    /// How a file begins.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Json => json::begin(out, &self.process),
            Kind::Perfetto(_) => perfetto::begin(out, &self.process),
        }
        self.names(out);
    }

    /// All names that events refer to, some of which may have been lost.
    pub(crate) fn names(&mut self, out: &mut Vec<u8>) {
        if let Kind::Perfetto(names) = &mut self.kind {
            names.write_all(out);
        }
    }

    /// An event, which means the same in every file.
    pub(crate) fn event(&mut self, out: &mut Vec<u8>, event: &Event<'_>) {
        match &mut self.kind {
            Kind::Json => json::event(out, &self.process, event),
            Kind::Perfetto(names) => {
                names.write_new(out);
                perfetto::event(out, &self.process, event);
            }
        }
    }

    /// What a label looks like in an event: the same every time, so that it need not be drawn each time.
    pub(crate) fn label(&mut self, name: &str, category: &str) -> Fragment {
        let mut out = Vec::new();
        match &mut self.kind {
            Kind::Json => json::label(&mut out, name, category),
            Kind::Perfetto(names) => names.label(&mut out, name, category),
        }
        Fragment::new(out)
    }

    /// What the name of an argument looks like, likewise.
    pub(crate) fn arg_name(&mut self, name: &str) -> Fragment {
        let mut out = Vec::new();
        match &mut self.kind {
            Kind::Json => json::arg_name(&mut out, name),
            Kind::Perfetto(names) => names.arg_name(&mut out, name),
        }
        Fragment::new(out)
    }

    /// How a file ends that is not cut off.
    pub(crate) fn end(&self, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Json => json::end(out, &self.process),
            Kind::Perfetto(_) => {}
        }
    }
}

/// The sixteen hexadecimal digits of a number, all at once.
const fn hex_digits(number: u64) -> [u8; 16] {
    const fn eight(half: u32) -> u64 {
        // A byte for each half of one.
        let mut spread = half as u64;
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
        spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // One in each byte that is above nine.
        let above = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        spread + 0x3030_3030_3030_3030 + above * (b'a' - b'9' - 1) as u64
    }
    let digits = (eight((number >> 32) as u32) as u128) << 64 | eight(number as u32) as u128;
    digits.to_be_bytes()
}

/// Bytes of a value as text: hexadecimal, of the first 32.
fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 32;
    let digits = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    digits.collect::<String>() + more
}

/// The elements of a list, as both formats have them.
fn elements<'a>(value: &ValueRef<'a>) -> impl Iterator<Item = ValueRef<'a>> + use<'a> {
    let list = match value {
        ValueRef::List(list) => Some(*list),
        _ => None,
    };
    list.into_iter()
        .flat_map(ringlight_collector::record::List::iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_written_as_it_is() {
        let bytes: Vec<u8> = (0..200).collect();
        for len in 0..bytes.len() {
            let mut out = vec![9; 3];
            Fragment::new(bytes[..len].to_vec()).write(&mut out);
            assert_eq!(out, [&[9; 3], &bytes[..len]].concat());
        }
    }

    #[test]
    fn all_digits_of_a_number_are_those_it_has_one_by_one() {
        let numbers = [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX];
        let shifted = (0..64).map(|bit| 0x9a0f_u64 << bit);
        for number in numbers.into_iter().chain(shifted) {
            let digits = hex_digits(number);
            assert_eq!(str::from_utf8(&digits).unwrap(), format!("{number:016x}"));
        }
    }
}
