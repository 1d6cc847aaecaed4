use ringlight_collector::record::{ItemWriter, Key, LogHeader, SpanHeader, copy_words};
use ringlight_model::{Callsite, CallsiteId, CallsiteKind, TraceId};
use serde_json::Value;
use std::collections::HashSet;

use super::pen::BUFFER_BYTES_MAX;
use super::*;
use crate::TraceFileFormat;
use crate::format::Process;

mod names;

const CALLSITE: CallsiteId = CallsiteId::new(2);
const ROOT: u64 = 0;

struct Drawn {
    drawing: Drawing,
    /// Those that somebody was in.
    entered: HashSet<u64>,
    registry: CallsiteRegistry,
}

impl Drawn {
    fn new() -> Self {
        Self::of(TraceFileFormat::Json, true)
    }

    fn of(format: TraceFileFormat, include_args: bool) -> Self {
        let registry = CallsiteRegistry::new();
        registry.register(CALLSITE, || Callsite {
            kind: CallsiteKind::Span,
            name: "work",
            target: "shop",
            scope: None,
            severity: Severity::INFO,
            module_path: None,
            file: None,
            line: None,
            fields: vec!["count"],
        });
        let process = Process {
            pid: 1,
            name: String::new(),
            zero_unix_nano: 0,
            zero_boot_nano: 0,
        };
        let format = Format::new(format, process);
        Self {
            drawing: Drawing::new(format, include_args),
            entered: HashSet::new(),
            registry,
        }
    }

    /// A thread was in a span, which another one opened if `opened_by` is not zero. The first slice is the first one of
    /// the span.
    fn slice(&mut self, span: u64, threads: (u64, u64), time: (u64, u64)) {
        let is_first = self.entered.insert(span);
        self.slice_at(span, is_first, threads, time);
    }

    fn slice_at(
        &mut self,
        span: u64,
        is_first: bool,
        (thread, opened_by): (u64, u64),
        (start, end): (u64, u64),
    ) {
        let slice = Slice {
            is_first,
            callsite: CALLSITE,
            trace_id: TraceId::new(5),
            span_id: SpanId::new(span),
            thread,
            opened_by,
            start_unix_nano: start,
            end_unix_nano: end,
        };
        self.drawing.slice(&slice, &self.registry);
    }

    fn span(&mut self, span: u64, parent: u64, (start, end): (u64, u64)) {
        let mut header = SpanHeader::new(CALLSITE, TraceId::new(5), SpanId::new(span));
        header.parent_span_id = SpanId::new(parent);
        (header.start_unix_nano, header.end_unix_nano) = (start, end);
        let mut items = Vec::new();
        let _ = ItemWriter::new(&mut items, 64).i64(Key::Field(0), 7);
        self.record(&header.to_words(), &items);
    }

    fn log(&mut self, span: u64, time: u64) {
        let mut header = LogHeader::new(CALLSITE, Severity::INFO, time);
        header.span_id = SpanId::new(span);
        self.record(&header.to_words(), &[]);
    }

    fn record(&mut self, header: &[u64], items: &[u64]) {
        let mut bytes = vec![0; (header.len() + items.len()) * 8];
        copy_words(header.iter().chain(items).copied(), &mut bytes);
        let record = Record::parse(&bytes).unwrap();
        self.drawing.record(&record, None, &self.registry);
    }

    fn look(&mut self, times: u64) {
        (0..times).for_each(|_| self.drawing.look(&self.registry));
    }

    /// What was drawn since the last time, each event by its phase, its thread and when it begins, in nanoseconds; `+` if
    /// it has fields.
    fn events(&mut self) -> Vec<String> {
        let buffer = self.drawing.take(Buffer::default());
        assert_eq!(buffer.dropped, 0);
        let text = String::from_utf8(buffer.bytes).unwrap();
        let events = text.lines().map(|line| {
            let event: Value = serde_json::from_str(line.trim_end_matches(',')).unwrap();
            let at = (event["ts"].as_f64().unwrap() * 1000.0).round();
            let fields = if event["args"]["count"] == 7 { "+" } else { "" };
            let phase = event["ph"].as_str().unwrap();
            format!("{phase}{} {at}{fields}", event["tid"])
        });
        events.collect()
    }
}

#[test]
fn a_span_that_closes_where_it_was_left_is_one_slice_and_is_forgotten() {
    let mut drawn = Drawn::new();
    for span in 1..10_000 {
        drawn.slice(span, (3, 0), (10, 90));
        drawn.span(span, ROOT, (9, 91));
        assert_eq!(drawn.events(), ["X3 10+"]);
        assert!(drawn.drawing.live.is_empty() && drawn.drawing.last.is_none());
    }
}

#[test]
fn what_dropping_a_future_takes_is_no_slice_of_its_own() {
    // Between them come others, or nothing does.
    for is_between in [false, true] {
        let mut drawn = Drawn::new();
        drawn.slice(1, (3, 0), (1000, 60_000));
        if is_between {
            drawn.slice(2, (3, 0), (20, 30));
        }
        drawn.slice(1, (3, 0), (60_100, 62_100));
        drawn.span(1, ROOT, (900, 62_200));
        assert_eq!(drawn.events(), ["X3 1000+"]);
    }
    // A nanosecond more is something, and so is what another thread does.
    for (thread, end) in [(3, 62_101), (4, 62_100)] {
        let mut drawn = Drawn::new();
        drawn.slice(1, (3, 0), (1000, 60_000));
        drawn.slice(1, (thread, 0), (60_100, end));
        drawn.span(1, ROOT, (900, 62_200));
        let second = format!("X{thread} 60100");
        let follows = format!("t{thread} 60100");
        let expected = [
            "X3 1000", "s3 1000", &second, &follows, "b0 900+", "e0 62200",
        ];
        assert_eq!(drawn.events(), expected);
    }
}

#[test]
fn a_slice_that_is_shorter_than_its_span_is_none_of_its_life() {
    const MS: u64 = 1_000_000;
    for (slice, life, is_whole) in [
        ((9 * MS, 100 * MS), (0, 100 * MS), false),
        ((MS, 100 * MS), (0, 100 * MS), true),
        ((MS, 100 * MS - 1), (0, 100 * MS), false),
        // Opening and closing takes its time.
        ((3_000, 6_000), (0, 8_000), true),
        ((3_000, 6_000), (0, 8_001), false),
    ] {
        let mut drawn = Drawn::new();
        drawn.slice(1, (3, 0), slice);
        drawn.span(1, ROOT, life);
        let mut expected = vec![format!("X3 {}+", slice.0)];
        if !is_whole {
            expected.push(format!("b0 {}+", life.0));
            expected.push(format!("e0 {}", life.1));
        }
        assert_eq!(drawn.events(), expected);
    }
}

#[test]
fn slices_of_a_span_follow_each_other_however_many_there_are() {
    let mut drawn = Drawn::new();
    for poll in 0..4 {
        drawn.slice(1, (3, 0), (poll * 100_000, poll * 100_000 + 10));
        // Nothing is known of it until it is polled for the third time, and the last one is kept back.
        let expected: &[&str] = match poll {
            2 => &["X3 0", "s3 0", "X3 100000", "t3 100000"],
            3 => &["X3 200000", "t3 200000"],
            _ => &[],
        };
        assert_eq!(drawn.events(), expected);
    }
    drawn.span(1, ROOT, (0, 300_020));
    let expected = ["X3 300000", "t3 300000", "b0 0+", "e0 300020"];
    assert_eq!(drawn.events(), expected);
    assert!(drawn.drawing.live.is_empty());
}

#[test]
fn of_two_threads_the_slice_that_began_first_is_the_first() {
    let mut drawn = Drawn::new();
    for (thread, start) in [(4, 100_000), (3, 0), (4, 200_000)] {
        drawn.slice_at(1, thread == 3, (thread, 0), (start, start + 10));
    }
    let expected = ["X3 0", "s3 0", "X4 100000", "t4 100000"];
    assert_eq!(drawn.events(), expected);
}

#[test]
fn the_first_slice_is_the_first_though_others_came_before_it() {
    // Another thread's ring is emptied sooner: three of its slices, or two, or one come first.
    for before in 1..=3 {
        for is_closed in [false, true] {
            let mut drawn = Drawn::new();
            for slice in 1..=before {
                let start = slice * 100_000;
                drawn.slice_at(1, false, (4, 0), (start, start + 10));
            }
            if is_closed {
                drawn.span(1, 9, (0, 900_000));
            }
            drawn.slice_at(1, true, (3, 5), (10, 20));
            drawn.look(1);
            if !is_closed {
                drawn.span(1, 9, (0, 900_000));
            }
            let events = drawn.events();
            let is_there = |event: String| events.contains(&event);
            assert!(
                is_there("s3 10".into()) && is_there("X3 10".into()),
                "{events:?}"
            );
            for slice in 1..=before {
                assert!(is_there(format!("t4 {slice}00000")), "{events:?}");
            }
            // Who opened it is told at its end.
            assert_eq!(is_there("f3 10".into()), !is_closed, "{events:?}");
            assert!(is_there("b0 0+".into()));
        }
    }
}

#[test]
fn what_dropping_a_future_takes_that_was_polled_often_is_no_slice_either() {
    // The last poll was at 200 to 210 us, on thread 3.
    for (slice, thread, is_drop) in [
        ((211_000, 213_000), 3, true),
        ((211_000, 213_001), 3, false),
        ((215_001, 215_002), 3, false),
        ((211_000, 213_000), 4, false),
    ] {
        for polls in [1, 2, 3, 5] {
            let mut drawn = Drawn::new();
            for poll in (0..polls).rev() {
                let start = 200_000 - poll * 20_000;
                drawn.slice(1, (3, 0), (start, start + 10_000));
            }
            drawn.slice(1, (thread, 0), slice);
            drawn.span(1, ROOT, (0, 220_000));
            let events = drawn.events();
            let slices = events.iter().filter(|event| event.starts_with('X'));
            let expected = polls + u64::from(!is_drop);
            assert_eq!(slices.count() as u64, expected, "{events:?}");
        }
    }
}

#[test]
fn what_an_open_span_keeps_back_is_drawn_after_a_while() {
    let mut drawn = Drawn::new();
    drawn.slice(1, (3, 0), (0, 10));
    drawn.log(1, 20);
    drawn.look(LOOKS_KEPT);
    assert_eq!(drawn.events().len(), 0);
    drawn.look(1);
    assert_eq!(drawn.events(), ["X3 0", "s3 0", "i0 20"]);
    // It is still known that there was one.
    drawn.look(100);
    drawn.slice(1, (3, 0), (30, 40));
    drawn.look(LOOKS_KEPT + 1);
    assert_eq!(drawn.events(), ["X3 30", "t3 30"]);
}

#[test]
fn a_log_record_is_of_the_slice_it_was_logged_in() {
    let mut drawn = Drawn::new();
    drawn.log(1, 15);
    drawn.log(1, 200);
    drawn.slice(1, (3, 0), (10, 90));
    assert_eq!(drawn.events(), ["i3 15"]);
    drawn.span(1, ROOT, (9, 201));
    assert_eq!(drawn.events(), ["X3 10+", "i0 200"]);
    // One that comes later waits for nothing.
    drawn.log(1, 30);
    assert_eq!(drawn.events(), ["i0 30"]);
}

#[test]
fn a_slice_that_comes_after_its_span_is_drawn_and_not_remembered() {
    let mut drawn = Drawn::new();
    drawn.span(1, ROOT, (0, 50));
    assert_eq!(drawn.events(), ["b0 0+", "e0 50"]);
    drawn.slice(1, (3, 0), (10, 20));
    drawn.slice(2, (3, 0), (30, 40));
    assert_eq!(drawn.events(), ["X3 10", "s3 10"]);
    assert!(drawn.drawing.live.is_empty());
}

#[test]
fn who_opened_a_span_leads_to_its_first_slice() {
    let mut drawn = Drawn::new();
    drawn.slice(1, (4, 3), (100, 200));
    drawn.span(1, 9, (20, 201));
    assert_eq!(drawn.events(), ["X4 100+", "s3 20", "f4 100"]);
    drawn.slice(2, (4, 3), (100, 200));
    drawn.slice(5, (4, 0), (100, 200));
    drawn.slice(2, (3, 0), (300, 400));
    drawn.slice(2, (4, 0), (500, 600));
    drawn.events();
    drawn.span(2, 9, (20, 601));
    let expected = ["X4 500", "t4 500", "b0 20+", "e0 601", "s3 20", "f4 100"];
    assert_eq!(drawn.events(), expected);
    // Nobody was in the parent of a root.
    drawn.slice(6, (4, 3), (100, 200));
    drawn.span(6, ROOT, (99, 201));
    assert_eq!(drawn.events(), ["X4 100+"]);
}

/// As many spans as are remembered, each with a slice that has been drawn and an end that never comes.
fn full_of_lost_spans() -> Drawn {
    let mut drawn = Drawn::new();
    for span in 1..=LIVE_MAX as u64 {
        drawn.slice(span, (3, 0), (span, span + 1));
        if span % 4096 == 0 {
            drawn.look(LOOKS_KEPT + 1);
            drawn.events();
        }
    }
    assert_eq!(drawn.drawing.live.len(), LIVE_MAX);
    drawn
}

#[test]
fn spans_that_never_end_leave_room_for_others() {
    let mut drawn = full_of_lost_spans();
    for span in (1_000_000..1_000_200).step_by(2) {
        // One within the other, polled once and dropped: neither is drawn before it closes.
        drawn.slice(span, (3, 0), (10, 90));
        drawn.slice(span + 1, (3, 0), (5, 95));
        drawn.slice(span, (3, 0), (96, 97));
        drawn.span(span, ROOT, (9, 98));
        drawn.span(span + 1, ROOT, (4, 96));
        assert_eq!(drawn.events(), ["X3 10+", "X3 5+"]);
    }
}

#[test]
fn the_span_that_came_up_longest_ago_makes_room() {
    let mut drawn = full_of_lost_spans();
    // The oldest comes up again.
    drawn.slice(1, (3, 0), (20, 30));
    for span in 0..LIVE_MAX as u64 + 9 {
        drawn.look(u64::from(span % 4096 == 0));
        drawn.slice(1_000_000 + span, (3, 0), (5, 6));
        drawn.log(1_000_000 + span, 5);
        assert_eq!(drawn.drawing.live.len(), LIVE_MAX);
        let is_known = |span: u64| drawn.drawing.live.contains_key(&SpanId::new(span));
        assert_eq!(is_known(1), span < LIVE_MAX as u64 - 1);
        assert!(!is_known(2) || span < 4096);
        assert!(is_known(1_000_000 + span));
        assert!(drawn.drawing.oldest.len() <= LIVE_MAX);
    }
}

#[test]
fn what_waits_of_a_span_that_makes_room_is_drawn() {
    let mut drawn = Drawn::new();
    let most = LIVE_MAX as u64;
    for span in 1..most {
        drawn.slice(span, (3, 0), (span, span + 1));
        drawn.look(u64::from(span == 1));
    }
    drawn.log(1, 9);
    drawn.slice(most, (3, 0), (5, 6));
    drawn.slice(most + 1, (3, 0), (5, 6));
    assert_eq!(drawn.events().len(), 0);
    drawn.drawing.live.get_mut(&SpanId::new(1)).unwrap().seen = 0;
    drawn.slice(most + 2, (3, 0), (5, 6));
    assert_eq!(drawn.events(), ["X3 1", "s3 1", "i0 9"]);
    assert_eq!(drawn.drawing.live.len(), LIVE_MAX);
}

#[test]
fn no_field_has_the_name_of_what_else_is_shown_beside_it() {
    let fields = [
        "level",
        "trace_id",
        "span_id",
        "parent_span_id",
        "status_message",
    ];
    for kind in [CallsiteKind::Span, CallsiteKind::Event] {
        let mut drawn = Drawn::new();
        let id = CallsiteId::new(4);
        drawn.registry.register(id, || Callsite {
            kind,
            fields: fields.to_vec(),
            ..Callsite::clone(&Drawn::new().registry.lookup(CALLSITE).unwrap())
        });
        let mut items = Vec::new();
        for (index, name) in (0..).zip(fields) {
            let _ = ItemWriter::new(&mut items, 640).i64(Key::Field(index), 7);
            let _ = ItemWriter::new(&mut items, 640).i64(Key::Name(name), 7);
        }
        if kind == CallsiteKind::Span {
            let mut header = SpanHeader::new(id, TraceId::new(5), SpanId::new(6));
            header.parent_span_id = SpanId::new(7);
            drawn.record(&header.to_words(), &items);
        } else {
            let mut header = LogHeader::new(id, Severity::INFO, 5);
            (header.trace_id, header.span_id) = (TraceId::new(5), SpanId::new(6));
            drawn.record(&header.to_words(), &items);
            drawn.look(LOOKS_KEPT + 1);
        }
        let text = String::from_utf8(drawn.drawing.take(Buffer::default()).bytes).unwrap();
        for field in fields {
            let times = |name: String| text.matches(&name).count();
            assert!(times(format!("\"{field}\":")) <= 1, "{field}: {text}");
            assert_eq!(times(format!("\"field.{field}\":7")), 2, "{field}: {text}");
        }
    }
}

#[test]
fn a_file_begins_with_the_threads_that_were_in_spans_last() {
    let mut drawn = Drawn::new();
    for thread in 1..=THREADS_MAX as u64 + 100 {
        let bytes = ThreadName::to_bytes(thread, &format!("worker {thread}"));
        drawn.drawing.thread(&ThreadName::parse(&bytes).unwrap());
        drawn.look(1);
        drawn.slice(thread, (1, 0), (10, 90));
    }
    let beginning = String::from_utf8(drawn.drawing.beginning()).unwrap();
    assert_eq!(beginning.matches("thread_name").count(), THREADS_MAX);
    let is_there = |thread| beginning.contains(&format!("\"worker {thread}\""));
    assert!(is_there(1) && is_there(102) && is_there(THREADS_MAX + 100));
    assert!((2..102).all(|thread| !is_there(thread)));
}

#[test]
fn a_name_that_finds_no_room_comes_with_what_is_written_next() {
    let mut drawn = Drawn::new();
    let full = BUFFER_BYTES_MAX;
    drawn.drawing.pen.buffer.bytes.resize(full, b' ');
    let bytes = ThreadName::to_bytes(3, "late");
    drawn.drawing.thread(&ThreadName::parse(&bytes).unwrap());
    let mut named = || {
        drawn.slice(1, (3, 0), (10, 90));
        drawn.span(1, ROOT, (9, 91));
        let buffer = drawn.drawing.take(Buffer::default());
        let text = String::from_utf8(buffer.bytes).unwrap();
        (
            text.find("\"late\"").is_some_and(|at| at < 100),
            buffer.dropped,
        )
    };
    // The name is not among what is missing.
    assert_eq!(named(), (true, 1));
    assert_eq!(named(), (false, 0));
}

#[test]
fn log_records_wait_within_a_bound_of_bytes() {
    let mut drawn = Drawn::new();
    drawn.log(1, 5);
    let record_bytes = drawn.drawing.waiting_bytes;
    assert!(record_bytes > 0);
    let most = WAITING_BYTES_MAX.div_ceil(record_bytes);
    for waiting in 1..most as u64 {
        drawn.log(1 + waiting / 8, 5);
    }
    assert_eq!(drawn.events().len(), 0);
    drawn.log(1_000_000, 6);
    assert_eq!(drawn.events(), ["i0 6"]);
    // Wherever those that wait go to, there is room again.
    drawn.slice(1, (3, 0), (4, 6));
    drawn.span(2, ROOT, (3, 9));
    assert_eq!(drawn.events().len(), 8 + 2 + 8);
    let left_bytes = (most - 16) * record_bytes;
    assert_eq!(drawn.drawing.waiting_bytes, left_bytes);
    drawn.look(LOOKS_KEPT + 1);
    assert_eq!(drawn.drawing.waiting_bytes, 0);
}
