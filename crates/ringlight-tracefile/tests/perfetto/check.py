"""Reads a trace file with Perfetto's own definitions of its packets, and holds it against what the example does.

    check.py DIRECTORY
"""

import sys
import time
from pathlib import Path
from collections import Counter, defaultdict

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb

TrackEvent = pb.TrackEvent


class Names:
    """What names stand for, which are said once, before whatever is called so."""

    def __init__(self):
        self.categories, self.events, self.args = {}, {}, {}

    def learn(self, packet):
        if packet.sequence_flags & pb.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED:
            self.__init__()
        data = packet.interned_data
        for known, said in (
            (self.categories, data.event_categories),
            (self.events, data.event_names),
            (self.args, data.debug_annotation_names),
        ):
            known.update({entry.iid: entry.name for entry in said})

    def fill_in(self, event):
        """The same event, with names instead of numbers."""
        event.categories.extend(self.categories[iid] for iid in event.category_iids)
        if event.name_iid:
            event.name = self.events[event.name_iid]
        for annotation in event.debug_annotations:
            if annotation.name_iid:
                annotation.name = self.args[annotation.name_iid]


def value_of(annotation):
    """The value of an annotation, whatever kind it is of."""
    kind = annotation.WhichOneof("value")
    return getattr(annotation, kind)


def main(path):
    trace = pb.Trace()
    with open(path, "rb") as file:
        assert trace.ParseFromString(file.read()) > 0
    unknown = [p for p in trace.packet if not p.WhichOneof("data") and not p.HasField("interned_data")]
    assert not unknown, unknown
    said = Names()

    clocks = [p.clock_snapshot for p in trace.packet if p.HasField("clock_snapshot")]
    assert len(clocks) == 1 and clocks[0].primary_trace_clock == pb.BUILTIN_CLOCK_BOOTTIME
    assert {c.clock_id for c in clocks[0].clocks} == {pb.BUILTIN_CLOCK_REALTIME, pb.BUILTIN_CLOCK_BOOTTIME}
    (began,) = (c.timestamp for c in clocks[0].clocks if c.clock_id == pb.BUILTIN_CLOCK_BOOTTIME)
    assert 0 < time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began < 600 * 10**9, began
    (unix,) = (c.timestamp for c in clocks[0].clocks if c.clock_id == pb.BUILTIN_CLOCK_REALTIME)
    assert 0 < time.time_ns() - unix < 600 * 10**9, unix

    tracks = {}
    for packet in trace.packet:
        if packet.HasField("track_descriptor"):
            tracks[packet.track_descriptor.uuid] = packet.track_descriptor
    processes = [t for t in tracks.values() if t.HasField("process")]
    assert [t.process.process_name for t in processes] == ["kitchen"]
    threads = {u: t for u, t in tracks.items() if t.HasField("thread")}
    assert all(t.thread.pid == processes[0].process.pid for t in threads.values())
    assert all(t.parent_uuid == processes[0].uuid for u, t in tracks.items() if u != processes[0].uuid)
    assert sum(t.thread.thread_name == "cook" for t in threads.values()) >= 2

    by_track, counters = defaultdict(list), defaultdict(list)
    names, flows = Counter(), defaultdict(list)
    for packet in trace.packet:
        said.learn(packet)
        if not packet.HasField("track_event"):
            continue
        assert began <= packet.timestamp < began + 60 * 10**9
        event = packet.track_event
        assert event.track_uuid in tracks, event
        assert packet.sequence_flags == (pb.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE if event.name_iid else packet.sequence_flags)
        said.fill_in(event)
        if event.type == TrackEvent.TYPE_COUNTER:
            track = tracks[event.track_uuid]
            assert track.HasField("counter") and track.counter.unit_name, track
            counters[track.name].append(event.double_counter_value)
            continue
        by_track[event.track_uuid].append((packet.timestamp, event))
        if event.type != TrackEvent.TYPE_SLICE_END:
            names[event.type, event.name] += 1
            for flow in event.flow_ids:
                flows[flow].append((packet.timestamp, event))

    # What begins ends, one within another.
    for track, events in by_track.items():
        depth = 0
        order = {TrackEvent.TYPE_SLICE_BEGIN: 1, TrackEvent.TYPE_INSTANT: 1, TrackEvent.TYPE_SLICE_END: 0}
        for _, event in sorted(events, key=lambda at: (at[0], order[at[1].type])):
            depth += {TrackEvent.TYPE_SLICE_BEGIN: 1, TrackEvent.TYPE_SLICE_END: -1}.get(event.type, 0)
            assert depth >= 0, (track, event)
        assert depth == 0, tracks[track]

    assert counters["memory"][0] > 100_000, counters
    assert counters["threads"][0] >= 2 and counters["open files"][0] >= 3, counters

    begun = TrackEvent.TYPE_SLICE_BEGIN
    assert names[begun, "chop"] >= 24 and names[begun, "bake"] >= 8 and names[begun, "dish"] > 40, names
    assert names[TrackEvent.TYPE_INSTANT, "chopped"] == 24
    lives = [t for t in tracks.values() if t.name == "dish"]
    assert len(lives) == 8
    assert {len(by_track[t.uuid]) for t in lives} == {2}

    shown = next(e for events in by_track.values() for _, e in events if e.name == "chop")
    args = {a.name: value_of(a) for a in shown.debug_annotations}
    assert args["sharp"] is True and args["share"] == 0.5 and args["step"] in (0, 1, 2), args
    assert len(args["trace_id"]) == 32 and len(args["span_id"]) == 16
    assert list(shown.categories) == ["trace_file"]
    baked = next(e for events in by_track.values() for _, e in events if e.name == "bake" and e.debug_annotations)
    assert {a.name: value_of(a) for a in baked.debug_annotations}["degrees"] == 220

    # The polls of a dish are one chain, and baking comes from the thread that asked for it.
    for life in lives:
        assert len({e.track_uuid for _, e in flows[life.uuid]} - {life.uuid}) >= 1
        assert len(flows[life.uuid]) >= 4
    led = [f for f in flows.values() if {e.name for _, e in f} == {"bake"} and len(f) >= 2]
    assert any(e.type == TrackEvent.TYPE_INSTANT for f in led for _, e in f), "nothing leads to another thread"
    print(f"{len(trace.packet)} packets, {sum(names.values())} events on {len(by_track)} tracks")


if __name__ == "__main__":
    (file,) = Path(sys.argv[1]).glob("*.pftrace")
    main(file)
