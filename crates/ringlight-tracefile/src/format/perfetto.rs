//! Perfetto's trace packets. None of them needs another but those at the beginning of the file, so that files can be
//! cut off, and begun, anywhere between two.
//!
//! Source: `perfetto/protos/perfetto/trace/`: `trace_packet.proto`, `clock_snapshot.proto`,
//! `track_event/track_event.proto`, `track_event/track_descriptor.proto`, `track_event/debug_annotation.proto`.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use ringlight_collector::record::ValueRef;
use ringlight_model::SpanId;

use crate::meaning::Args;

use super::{Event, Ids, Label, Process, elements, hex};

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
/// Tracks of threads and counters, told from each other, and most probably from spans, which are drawn.
const THREAD_TRACKS: u64 = 1 << 62;
const COUNTER_TRACKS: u64 = 1 << 63;

pub(super) fn begin(out: &mut Vec<u8>, process: &Process) {
    // The clock of the machine since it was started is what Perfetto reckons in: here, both show the same.
    packet(out, None, |packet| {
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
            flow: _,
            ids,
            args,
        } => {
            let track = thread_track(*thread);
            track_event(out, time.start, SLICE_BEGIN, track, |fields| {
                fields.label(*label);
                fields.arguments(Some(ids), args, None);
                fields.fixed(FLOW_IDS, ids.span.get());
            });
            track_event(out, time.end, SLICE_END, track, |_| {});
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
            track_event(out, time.end, SLICE_END, uuid, |_| {});
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

const fn thread_track(thread: u64) -> u64 {
    thread | THREAD_TRACKS
}

fn packet(out: &mut Vec<u8>, time: Option<u64>, fill: impl FnOnce(&mut Fields<'_>)) {
    Fields(out).message(PACKET, |packet| {
        if let Some(time) = time {
            packet.whole(TIMESTAMP, time);
            packet.whole(TIMESTAMP_CLOCK_ID, REALTIME);
        }
        packet.whole(SEQUENCE_ID, SEQUENCE);
        fill(packet);
    });
}

fn track(out: &mut Vec<u8>, uuid: u64, fill: impl FnOnce(&mut Fields<'_>)) {
    packet(out, None, |packet| {
        packet.message(TRACK_DESCRIPTOR, |track| {
            track.whole(UUID, uuid);
            fill(track);
        });
    });
}

fn track_event(
    out: &mut Vec<u8>,
    time: u64,
    kind: u64,
    track: u64,
    fill: impl FnOnce(&mut Fields<'_>),
) {
    packet(out, Some(time), |packet| {
        packet.message(TRACK_EVENT, |event| {
            event.whole(TYPE, kind);
            event.whole(TRACK_UUID, track);
            fill(event);
        });
    });
}

/// The fields of a message, appended to the bytes.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

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

    fn text(&mut self, field: u32, text: &str) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A message in the message. Its length stands before it, in as many bytes as it takes: most are short.
    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Fields<'_>)) {
        self.varint(u64::from(field << 3 | 2));
        let length_at = self.0.len();
        self.0.push(0);
        fill(&mut Fields(self.0));
        let length = self.0.len() - length_at - 1;
        if length < 0x80 {
            self.0[length_at] = length as u8;
            return;
        }
        let mut bytes = Vec::with_capacity(10);
        Fields(&mut bytes).varint(length as u64);
        self.0.splice(length_at..=length_at, bytes);
    }

    fn label(&mut self, label: Label<'_>) {
        self.text(CATEGORIES, label.category);
        self.text(NAME, label.name);
    }

    fn arguments(&mut self, ids: Option<&Ids>, args: &Args<'_>, level: Option<&str>) {
        if let Some(level) = level {
            self.annotation("level", |fields| fields.text(STRING_VALUE, level));
        }
        args.each(|name, value| self.annotation(name, |fields| fields.value(&value)));
        if let Some(ids) = ids {
            let trace = ids.trace.to_string();
            self.annotation("trace_id", |fields| fields.text(STRING_VALUE, &trace));
            let mut span = |name: &str, id: SpanId| {
                let id = id.to_string();
                self.annotation(name, |fields| fields.text(STRING_VALUE, &id));
            };
            span("span_id", ids.span);
            if ids.parent.is_valid() {
                span("parent_span_id", ids.parent);
            }
        }
    }

    fn annotation(&mut self, name: &str, fill: impl FnOnce(&mut Fields<'_>)) {
        self.message(DEBUG_ANNOTATIONS, |fields| {
            fields.text(ANNOTATION_NAME, name);
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
