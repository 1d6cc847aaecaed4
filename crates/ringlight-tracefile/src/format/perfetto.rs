//! Perfetto's trace packets. None of them needs another but those at the beginning of the file and those that name
//! something, which come again where one may have been lost, so that files can be cut off, and begun, anywhere between two.
//!
//! Source: `perfetto/protos/perfetto/trace/`: `trace_packet.proto`, `clock_snapshot.proto`,
//! `track_event/track_event.proto`, `track_event/track_descriptor.proto`, `track_event/debug_annotation.proto`.

mod fields;
mod names;

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use ringlight_collector::record::ValueRef;
use ringlight_model::SpanId;

use crate::meaning::Args;

use super::{ArgName, Event, Flow, Ids, Label, Process, Time, elements, hex, hex_digits};

use fields::{Fields, Size, varint_len};
pub(super) use names::Names;
use names::{COMMON_TEXT_AT, Common, common_annotation};

// `Trace`.
const PACKET: u32 = 1;
// `TracePacket`.
const CLOCK_SNAPSHOT: u32 = 6;
const TIMESTAMP: u32 = 8;
const SEQUENCE_ID: u32 = 10;
const TRACK_EVENT: u32 = 11;
const SEQUENCE_FLAGS: u32 = 13;
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
const CATEGORY_IIDS: u32 = 3;
const DEBUG_ANNOTATIONS: u32 = 4;
const TYPE: u32 = 9;
const NAME_IID: u32 = 10;
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

/// `SEQ_INCREMENTAL_STATE_CLEARED` and `SEQ_NEEDS_INCREMENTAL_STATE`, which is what [`Names`] has.
const CLEARS_STATE: u64 = 1;
const NEEDS_STATE: u64 = 2;

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

/// How a file begins, but for what it knows by name.
pub(super) fn begin(out: &mut Vec<u8>, process: &Process) {
    // Times are those of the machine since it was started, as in what else Perfetto records: so several files, one
    // behind the other, are one trace.
    packet(out, Size::Short, None, |packet| {
        packet.message(CLOCK_SNAPSHOT, |snapshot| {
            let clocks = [
                (REALTIME, process.zero_unix_nano),
                (BOOTTIME, process.boot_nano(process.zero_unix_nano)),
            ];
            for (clock, time) in clocks {
                snapshot.message(CLOCKS, |fields| {
                    fields.whole(CLOCK_ID, clock);
                    fields.whole(CLOCK_TIMESTAMP, time);
                });
            }
            snapshot.whole(PRIMARY_CLOCK, BOOTTIME);
        });
    });
    track(out, PROCESS_TRACK, |track| {
        track.message(PROCESS, |fields| {
            fields.whole(PID, process.pid.into());
            fields.text(PROCESS_NAME, &process.name);
        });
    });
}

/// An event, of which the file knows the names.
pub(super) fn event(out: &mut Vec<u8>, process: &Process, event: &Event<'_>) {
    match event {
        Event::Thread { thread, name } => self::thread(out, process, *thread, name),
        Event::Slice {
            thread,
            label,
            time,
            flow,
            ids,
            args,
        } => {
            let track = thread_track(*thread);
            let flow = (*flow != Flow::None).then_some(ids.span);
            slice(out, process, track, *time, |fields| {
                fields.label(*label);
                fields.arguments(Some(ids), args, None);
                fields.flow(flow);
            });
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
            slice(out, process, uuid, *time, |fields| {
                fields.label(*label);
                fields.arguments(Some(ids), args, None);
            });
        }
        Event::Handover {
            from: (thread, time),
            to: _,
            label,
            span,
        } => {
            let (time, track) = (process.boot_nano(*time), thread_track(*thread));
            track_event(out, time, INSTANT, track, |fields| {
                fields.label(*label);
                fields.flow(Some(*span));
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
            let ids = ids.map(|(trace, span)| Ids {
                trace,
                span,
                parent: SpanId::INVALID,
            });
            track_event(out, process.boot_nano(*time), INSTANT, track, |fields| {
                fields.label(*label);
                fields.arguments(ids.as_ref(), args, Some(level));
            });
        }
        Event::Counter {
            name,
            unit,
            time,
            value,
        } => counter(out, process.boot_nano(*time), (name, unit), *value),
    }
}

fn thread(out: &mut Vec<u8>, process: &Process, thread: u64, name: &str) {
    track(out, thread_track(thread), |track| {
        track.whole(PARENT_UUID, PROCESS_TRACK);
        track.message(THREAD, |fields| {
            fields.whole(PID, process.pid.into());
            fields.whole(TID, thread);
            fields.text(THREAD_NAME, name);
        });
    });
}

/// From when to when there is something on a track.
#[inline]
fn slice(
    out: &mut Vec<u8>,
    process: &Process,
    track: u64,
    time: Time,
    fill: impl FnOnce(&mut Fields<'_>),
) {
    track_event(out, process.boot_nano(time.start), SLICE_BEGIN, track, fill);
    let end = process.boot_nano(time.end);
    packet(out, Size::Short, Some(end), |packet| {
        packet.message(TRACK_EVENT, |event| event.kind_and_track(SLICE_END, track));
    });
}

fn counter(out: &mut Vec<u8>, time: u64, (name, unit): (&str, &str), value: f64) {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let uuid = hasher.hash_one(name) | COUNTER_TRACKS;
    track(out, uuid, |track| {
        track.whole(PARENT_UUID, PROCESS_TRACK);
        track.text(TRACK_NAME, name);
        track.message(COUNTER, |fields| fields.text(UNIT_NAME, unit));
    });
    track_event(out, time, VALUE, uuid, |fields| {
        fields.double(DOUBLE_COUNTER_VALUE, value);
    });
}

const fn thread_track(thread: u64) -> u64 {
    thread.wrapping_add(THREAD_TRACKS)
}

fn packet(out: &mut Vec<u8>, size: Size, time: Option<u64>, fill: impl FnOnce(&mut Fields<'_>)) {
    Fields(out).message_of(PACKET, size, |packet| {
        if let Some(time) = time {
            packet.whole(TIMESTAMP, time);
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
        packet.whole(SEQUENCE_FLAGS, NEEDS_STATE);
        packet.message_of(TRACK_EVENT, Size::Long, |event| {
            event.kind_and_track(kind, track);
            fill(event);
        });
    });
}

impl Fields<'_> {
    fn kind_and_track(&mut self, kind: u64, track: u64) {
        self.whole(TYPE, kind);
        self.whole(TRACK_UUID, track);
    }

    fn label(&mut self, label: Label<'_>) {
        if let Some(drawn) = label.drawn {
            return drawn.write(self.0);
        }
        self.text(CATEGORIES, label.category);
        self.text(NAME, label.name);
    }

    /// What events that follow each other have in common: the number of their span.
    fn flow(&mut self, span: Option<SpanId>) {
        if let Some(span) = span {
            self.fixed(FLOW_IDS, span.get());
        }
    }

    fn arguments(&mut self, ids: Option<&Ids>, args: &Args<'_>, level: Option<&str>) {
        if let Some(level) = level {
            self.message(DEBUG_ANNOTATIONS, |fields| {
                fields.common_name(Common::Level);
                fields.text(STRING_VALUE, level);
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
        const fn annotation<const BYTES: usize>(name: Common) -> [u8; BYTES] {
            common_annotation(DEBUG_ANNOTATIONS, name, STRING_VALUE)
        }
        let mut trace = annotation::<{ COMMON_TEXT_AT + 32 }>(Common::TraceId);
        let number = ids.trace.get();
        trace[COMMON_TEXT_AT..][..16].copy_from_slice(&hex_digits((number >> 64) as u64));
        trace[COMMON_TEXT_AT + 16..].copy_from_slice(&hex_digits(number as u64));
        self.0.extend_from_slice(&trace);
        let mut short = |name, id: SpanId| {
            let mut bytes = annotation::<{ COMMON_TEXT_AT + 16 }>(name);
            bytes[COMMON_TEXT_AT..].copy_from_slice(&hex_digits(id.get()));
            self.0.extend_from_slice(&bytes);
        };
        short(Common::SpanId, ids.span);
        if ids.parent.is_valid() {
            short(Common::ParentSpanId, ids.parent);
        }
    }

    fn annotation(&mut self, name: ArgName<'_>, fill: impl FnOnce(&mut Fields<'_>)) {
        self.message(DEBUG_ANNOTATIONS, |fields| {
            match name {
                ArgName::Drawn(name) => name.write(fields.0),
                ArgName::Text(name) => fields.text(ANNOTATION_NAME, name),
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
