//! Perfetto's trace packets. None of them needs another but those at the beginning of the file and those that name
//! threads, which come again where one may have been lost, so that files can be cut off, and begun, anywhere between two.
//!
//! Source: `perfetto/protos/perfetto/trace/`: `trace_packet.proto`, `clock_snapshot.proto`,
//! `track_event/track_event.proto`, `track_event/track_descriptor.proto`, `track_event/debug_annotation.proto`.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use ringlight_collector::record::ValueRef;
use ringlight_model::SpanId;

use crate::meaning::Args;

use super::{ArgName, Event, Flow, Ids, Label, Process, elements, hex, hex_digits};

// `Trace`.
const PACKET: u32 = 1;
// `TracePacket`.
const CLOCK_SNAPSHOT: u32 = 6;
const TIMESTAMP: u32 = 8;
const SEQUENCE_ID: u32 = 10;
const TRACK_EVENT: u32 = 11;
const TIMESTAMP_CLOCK_ID: u32 = 58;
const TRACK_DESCRIPTOR: u32 = 60;
// `ClockSnapshot`, and its `Clock`.
const CLOCKS: u32 = 1;
const PRIMARY_CLOCK: u32 = 2;
const CLOCK_ID: u32 = 1;
const CLOCK_TIMESTAMP: u32 = 2;
// `TrackDescriptor`, and what it may hold.
const UUID: u32 = 1;
const TRACK_NAME: u32 = 2;
const PROCESS: u32 = 3;
const THREAD: u32 = 4;
const PARENT_UUID: u32 = 5;
const COUNTER: u32 = 8;
const PID: u32 = 1;
const PROCESS_NAME: u32 = 6;
const TID: u32 = 2;
const THREAD_NAME: u32 = 5;
const UNIT_NAME: u32 = 6;
// `TrackEvent`.
const DEBUG_ANNOTATIONS: u32 = 4;
const TYPE: u32 = 9;
const TRACK_UUID: u32 = 11;
const CATEGORIES: u32 = 22;
const NAME: u32 = 23;
const DOUBLE_COUNTER_VALUE: u32 = 44;
const FLOW_IDS: u32 = 47;
// `DebugAnnotation`.
const BOOL_VALUE: u32 = 2;
const UINT_VALUE: u32 = 3;
const INT_VALUE: u32 = 4;
const DOUBLE_VALUE: u32 = 5;
const STRING_VALUE: u32 = 6;
const ANNOTATION_NAME: u32 = 10;
const ARRAY_VALUES: u32 = 12;

const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;
const VALUE: u64 = 4;

/// `BUILTIN_CLOCK_REALTIME` and `BUILTIN_CLOCK_BOOTTIME`.
const REALTIME: u64 = 1;
const BOOTTIME: u64 = 6;

/// Everything comes from one sequence of packets.
const SEQUENCE: u64 = 1;
const PROCESS_TRACK: u64 = 1;
/// The first of the tracks of threads, and what those of counters have: told from each other, and most probably from
/// spans, which are drawn. Numbers of threads are small, and so are those of their tracks then.
const THREAD_TRACKS: u64 = PROCESS_TRACK + 1;
const COUNTER_TRACKS: u64 = 1 << 63;

pub(super) fn begin(out: &mut Vec<u8>, process: &Process) {
    // The clock of the machine since it was started is what Perfetto reckons in: here, both show the same.
    packet(out, Size::Short, None, |packet| {
        packet.message(CLOCK_SNAPSHOT, |snapshot| {
            for clock in [REALTIME, BOOTTIME] {
                snapshot.message(CLOCKS, |fields| {
                    fields.whole(CLOCK_ID, clock);
                    fields.whole(CLOCK_TIMESTAMP, process.zero_unix_nano);
                });
            }
            snapshot.whole(PRIMARY_CLOCK, REALTIME);
        });
    });
    track(out, PROCESS_TRACK, |track| {
        track.message(PROCESS, |fields| {
            fields.whole(PID, process.pid.into());
            fields.text(PROCESS_NAME, &process.name);
        });
    });
}

pub(super) fn event(out: &mut Vec<u8>, process: &Process, event: &Event<'_>) {
    match event {
        Event::Thread { thread, name } => track(out, thread_track(*thread), |track| {
            track.whole(PARENT_UUID, PROCESS_TRACK);
            track.message(THREAD, |fields| {
                fields.whole(PID, process.pid.into());
                fields.whole(TID, *thread);
                fields.text(THREAD_NAME, name);
            });
        }),
        Event::Slice {
            thread,
            label,
            time,
            flow,
            ids,
            args,
        } => {
            let track = thread_track(*thread);
            track_event(out, time.start, SLICE_BEGIN, track, |fields| {
                fields.label(*label);
                fields.arguments(Some(ids), args, None);
                if *flow != Flow::None {
                    fields.fixed(FLOW_IDS, ids.span.get());
                }
            });
            track_event_end(out, time.end, track);
        }
        Event::Life {
            label,
            time,
            ids,
            args,
        } => {
            let uuid = ids.span.get();
            track(out, uuid, |track| {
                track.whole(PARENT_UUID, PROCESS_TRACK);
                track.text(TRACK_NAME, label.name);
            });
            track_event(out, time.start, SLICE_BEGIN, uuid, |fields| {
                fields.label(*label);
                fields.arguments(Some(ids), args, None);
            });
            track_event_end(out, time.end, uuid);
        }
        Event::Handover {
            from: (thread, time),
            to: _,
            label,
            span,
        } => {
            track_event(out, *time, INSTANT, thread_track(*thread), |fields| {
                fields.label(*label);
                fields.fixed(FLOW_IDS, span.get());
            });
        }
        Event::Instant {
            thread,
            label,
            time,
            ids,
            level,
            args,
        } => {
            let track = thread.map_or(PROCESS_TRACK, thread_track);
            track_event(out, *time, INSTANT, track, |fields| {
                fields.label(*label);
                let ids = ids.map(|(trace, span)| Ids {
                    trace,
                    span,
                    parent: SpanId::INVALID,
                });
                fields.arguments(ids.as_ref(), args, Some(level));
            });
        }
        Event::Counter {
            name,
            unit,
            time,
            value,
        } => {
            let hasher = BuildHasherDefault::<DefaultHasher>::default();
            let uuid = hasher.hash_one(name) | COUNTER_TRACKS;
            track(out, uuid, |track| {
                track.whole(PARENT_UUID, PROCESS_TRACK);
                track.text(TRACK_NAME, name);
                track.message(COUNTER, |fields| fields.text(UNIT_NAME, unit));
            });
            track_event(out, *time, VALUE, uuid, |fields| {
                fields.double(DOUBLE_COUNTER_VALUE, *value);
            });
        }
    }
}

/// What is the same in each event of a name and category.
pub(super) fn label(out: &mut Vec<u8>, name: &str, category: &str) {
    let mut fields = Fields(out);
    fields.text(CATEGORIES, category);
    fields.text(NAME, name);
}

/// What comes before the value of an argument, within its message.
pub(super) fn arg_name(out: &mut Vec<u8>, name: &str) {
    Fields(out).text(ANNOTATION_NAME, name);
}

const fn thread_track(thread: u64) -> u64 {
    thread.wrapping_add(THREAD_TRACKS)
}

fn packet(out: &mut Vec<u8>, size: Size, time: Option<u64>, fill: impl FnOnce(&mut Fields<'_>)) {
    Fields(out).message_of(PACKET, size, |packet| {
        if let Some(time) = time {
            packet.whole(TIMESTAMP, time);
            packet.whole(TIMESTAMP_CLOCK_ID, REALTIME);
        }
        packet.whole(SEQUENCE_ID, SEQUENCE);
        fill(packet);
    });
}

fn track(out: &mut Vec<u8>, uuid: u64, fill: impl FnOnce(&mut Fields<'_>)) {
    packet(out, Size::Short, None, |packet| {
        packet.message(TRACK_DESCRIPTOR, |track| {
            track.whole(UUID, uuid);
            fill(track);
        });
    });
}

/// An event with what it says of itself.
fn track_event(
    out: &mut Vec<u8>,
    time: u64,
    kind: u64,
    track: u64,
    fill: impl FnOnce(&mut Fields<'_>),
) {
    packet(out, Size::Long, Some(time), |packet| {
        packet.message_of(TRACK_EVENT, Size::Long, |event| {
            event.whole(TYPE, kind);
            event.whole(TRACK_UUID, track);
            fill(event);
        });
    });
}

/// The end of what began on a track last.
fn track_event_end(out: &mut Vec<u8>, time: u64, track: u64) {
    packet(out, Size::Short, Some(time), |packet| {
        packet.message(TRACK_EVENT, |event| {
            event.whole(TYPE, SLICE_END);
            event.whole(TRACK_UUID, track);
        });
    });
}

/// What a message is likely to take: one that takes something else is moved.
#[derive(Debug, Clone, Copy)]
enum Size {
    /// Below 128 bytes.
    Short,
    /// Below 16 KiB.
    Long,
}

/// The fields of a message, appended to the bytes.
struct Fields<'a>(&'a mut Vec<u8>);

/// Bytes of a number in as many as it takes.
const fn varint_len(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

impl Fields<'_> {
    #[inline]
    fn varint(&mut self, value: u64) {
        if value < 0x80 {
            return self.0.push(value as u8);
        }
        let mut bytes = [0; 10];
        let len = varint_len(value);
        write_varint(&mut bytes[..len], value);
        self.0.extend_from_slice(&bytes[..len]);
    }

    #[inline]
    fn whole(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3));
        self.varint(value);
    }

    fn fixed(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3 | 1));
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn double(&mut self, field: u32, value: f64) {
        self.fixed(field, value.to_bits());
    }

    #[inline]
    fn text(&mut self, field: u32, text: &str) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A message in the message. Its length stands before it, in as many bytes as it takes.
    #[inline]
    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Fields<'_>)) {
        self.message_of(field, Size::Short, fill);
    }

    #[inline]
    fn message_of(&mut self, field: u32, size: Size, fill: impl FnOnce(&mut Fields<'_>)) {
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

    fn label(&mut self, label: Label<'_>) {
        match label.drawn {
            Some(drawn) => drawn.write(self.0),
            None => self::label(self.0, label.name, label.category),
        }
    }

    fn arguments(&mut self, ids: Option<&Ids>, args: &Args<'_>, level: Option<&str>) {
        if let Some(level) = level {
            self.annotation(ArgName::Text("level"), |fields| {
                fields.text(STRING_VALUE, level)
            });
        }
        args.each(|name, value| match (name, value) {
            // Most are of these kinds, and it is known how long they become.
            (ArgName::Drawn(name), ValueRef::I64(whole)) => {
                let value = whole.cast_unsigned();
                self.varint(u64::from(DEBUG_ANNOTATIONS << 3 | 2));
                self.varint((name.len + 1 + varint_len(value)) as u64);
                name.write(self.0);
                self.whole(INT_VALUE, value);
            }
            (ArgName::Drawn(name), ValueRef::Text(text)) => {
                let text = text.to_str();
                let head = 1 + varint_len(text.len() as u64);
                self.varint(u64::from(DEBUG_ANNOTATIONS << 3 | 2));
                self.varint((name.len + head + text.len()) as u64);
                name.write(self.0);
                self.text(STRING_VALUE, &text);
            }
            (name, value) => self.annotation(name, |fields| fields.value(&value)),
        });
        if let Some(ids) = ids {
            self.ids(ids);
        }
    }

    /// Ids as annotations, which are long: put together at once, since a place for each digit is known.
    fn ids(&mut self, ids: &Ids) {
        const TRACE_AT: usize = 14;
        const SPAN_AT: usize = 13;
        const PARENT_AT: usize = 20;
        let mut trace = annotation_of::<{ TRACE_AT + 32 }>("trace_id", TRACE_AT);
        let number = ids.trace.get();
        trace[TRACE_AT..][..16].copy_from_slice(&hex_digits((number >> 64) as u64));
        trace[TRACE_AT + 16..].copy_from_slice(&hex_digits(number as u64));
        self.0.extend_from_slice(&trace);
        let mut span = annotation_of::<{ SPAN_AT + 16 }>("span_id", SPAN_AT);
        span[SPAN_AT..].copy_from_slice(&hex_digits(ids.span.get()));
        self.0.extend_from_slice(&span);
        if ids.parent.is_valid() {
            let mut parent = annotation_of::<{ PARENT_AT + 16 }>("parent_span_id", PARENT_AT);
            parent[PARENT_AT..].copy_from_slice(&hex_digits(ids.parent.get()));
            self.0.extend_from_slice(&parent);
        }
    }

    fn annotation(&mut self, name: ArgName<'_>, fill: impl FnOnce(&mut Fields<'_>)) {
        self.message(DEBUG_ANNOTATIONS, |fields| {
            match name {
                ArgName::Drawn(name) => name.write(fields.0),
                ArgName::Text(name) => arg_name(fields.0, name),
            }
            fill(fields);
        });
    }

    fn value(&mut self, value: &ValueRef<'_>) {
        match value {
            ValueRef::Bool(truth) => self.whole(BOOL_VALUE, u64::from(*truth)),
            ValueRef::I64(whole) => self.whole(INT_VALUE, whole.cast_unsigned()),
            ValueRef::U64(whole) => self.whole(UINT_VALUE, *whole),
            ValueRef::F64(real) => self.double(DOUBLE_VALUE, *real),
            ValueRef::Text(text) => self.text(STRING_VALUE, &text.to_str()),
            ValueRef::Bytes(bytes, _) => self.text(STRING_VALUE, &hex(bytes)),
            ValueRef::List(_) => {
                for element in elements(value) {
                    self.message(ARRAY_VALUES, |fields| fields.value(&element));
                }
            }
        }
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

/// An annotation with a text from `text_at` on that is yet to be filled in; all of its lengths are below 128.
const fn annotation_of<const BYTES: usize>(name: &str, text_at: usize) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[0] = (DEBUG_ANNOTATIONS << 3 | 2) as u8;
    bytes[1] = (BYTES - 2) as u8;
    bytes[2] = (ANNOTATION_NAME << 3 | 2) as u8;
    bytes[3] = name.len() as u8;
    let mut at = 0;
    while at < name.len() {
        bytes[4 + at] = name.as_bytes()[at];
        at += 1;
    }
    bytes[text_at - 2] = (STRING_VALUE << 3 | 2) as u8;
    bytes[text_at - 1] = (BYTES - text_at) as u8;
    bytes
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
