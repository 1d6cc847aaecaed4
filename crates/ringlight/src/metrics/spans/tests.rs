//! Spans as hand-made records.

use ringlight_collector::record::{Head, ItemWriter, Key, SpanHeader, copy_words, encoded_item};
use ringlight_model::{
    Callsite, CallsiteId, CallsiteKind, Severity, SpanId, SpanKind, StatusCode, TraceId,
};

use super::*;

const ORDER: CallsiteId = CallsiteId::new(0x1000);
/// In another place of the source, with the same name.
const ORDER_TOO: CallsiteId = CallsiteId::new(0x2000);
const REQUEST: CallsiteId = CallsiteId::new(0x3000);
const NOWHERE: CallsiteId = CallsiteId::new(0x4000);

/// Fields of `REQUEST`, in their order.
const FIELDS: [&str; 4] = ["otel.name", "otel.kind", "otel.status_code", "path"];
const NAME: Key<'static> = Key::Field(0);
const KIND: Key<'static> = Key::Field(1);
const STATUS: Key<'static> = Key::Field(2);
const PATH: Key<'static> = Key::Field(3);

fn registry() -> CallsiteRegistry {
    let registry = CallsiteRegistry::new();
    for (id, name) in [(ORDER, "order"), (ORDER_TOO, "order"), (REQUEST, "request")] {
        registry.register(id, || Callsite {
            kind: CallsiteKind::Span,
            name,
            target: "shop",
            scope: None,
            severity: Severity::INFO,
            module_path: None,
            file: None,
            line: None,
            fields: if id == REQUEST {
                FIELDS.to_vec()
            } else {
                Vec::new()
            },
        });
    }
    registry
}

/// A span of so many nanoseconds.
fn header(callsite: CallsiteId, nano: u64) -> SpanHeader {
    let (trace, span) = (TraceId::new(u128::from(nano) + 1), SpanId::new(nano + 2));
    SpanHeader {
        start_unix_nano: 1_000,
        end_unix_nano: 1_000 + nano,
        ..SpanHeader::new(callsite, trace, span)
    }
}

fn bytes(header: SpanHeader, items: impl FnOnce(&mut ItemWriter<'_, Vec<u64>>)) -> Vec<u8> {
    let mut words = header.to_words().to_vec();
    items(&mut ItemWriter::new(&mut words, 4096));
    let mut bytes = vec![0; words.len() * 8];
    copy_words(words, &mut bytes);
    bytes
}

/// Aggregates records.
struct Rig {
    table: Table,
    registry: CallsiteRegistry,
}

impl Rig {
    fn new() -> Self {
        Self {
            table: Table::new(true),
            registry: registry(),
        }
    }

    fn add(&mut self, bytes: &[u8], weight: Option<f64>) {
        let Ok(Record::Span(span)) = Record::parse(bytes) else {
            panic!("not a span");
        };
        self.table.add(&span, &self.registry, weight);
    }

    fn add_plain(&mut self, callsite: CallsiteId, nano: u64) {
        self.add(&bytes(header(callsite, nano), |_| ()), None);
    }
}

/// Name, kind, status and how many of each series.
fn counts(series: &[Series]) -> Vec<(&str, SpanKind, StatusCode, u64)> {
    let counts = series.iter().map(|one| {
        let (name, kind, status) = one.of.as_ref().expect("no overflow");
        (&**name, *kind, *status, one.duration.count())
    });
    counts.collect()
}

#[test]
fn spans_of_one_name_kind_and_status_are_one_series() {
    use SpanKind::{Client, Internal, Server};
    use StatusCode::{Error, Ok, Unset};
    let mut rig = Rig::new();
    rig.add_plain(ORDER, 5);
    rig.add_plain(ORDER_TOO, 7);
    let failed = SpanHeader {
        head: Head::span(Client, Error, 1),
        ..header(ORDER, 11)
    };
    rig.add(&bytes(failed, |_| ()), None);
    // What fields say counts, where it makes sense, and the last of what is said.
    rig.add(
        &bytes(header(REQUEST, 1), |items| {
            let _ = items.text(NAME, "GET /");
            let _ = items.text(KIND, "server");
            let _ = items.text(STATUS, "OK");
            let _ = items.text(PATH, "error");
            let _ = items.text(Key::Name("otel.kind"), "client");
            let _ = items.text(STATUS, "no status");
            let _ = items.i64(NAME, 7);
        }),
        None,
    );
    rig.add(
        &bytes(header(REQUEST, 1), |items| {
            let _ = items.text(NAME, "first");
            let _ = items.name("order");
        }),
        None,
    );
    rig.add_plain(REQUEST, 1);
    // Nobody knows it, and it is not sent either.
    rig.add_plain(NOWHERE, 1);
    // One without a callsite has no name but its own.
    rig.add(
        &bytes(header(CallsiteId::new(0), 1), |items| {
            let _ = items.name("request");
        }),
        None,
    );
    let series = rig.table.copy();
    assert_eq!(
        counts(&series),
        [
            ("order", Internal, Unset, 3),
            ("order", Client, Error, 1),
            ("GET /", Server, Ok, 1),
            ("request", Internal, Unset, 2),
        ]
    );
    assert_eq!(series[0].duration.sum(), 13);
    assert_eq!(series[0].duration.extremes(), Some((1, 7)));
}

#[test]
fn a_name_that_was_cut_shows_it_and_a_very_long_one_is_shortened() {
    let mut rig = Rig::new();
    let long = |last: char| format!("{}ä{last}", "a".repeat(1023));
    for name in ["ab", &long('x'), &long('y')] {
        let mut words = header(REQUEST, 1).to_words().to_vec();
        let bytes_max = if name == "ab" { 1 } else { 4096 };
        let _ = ItemWriter::new(&mut words, bytes_max).text(NAME, name);
        let mut bytes = vec![0; words.len() * 8];
        copy_words(words, &mut bytes);
        rig.add(&bytes, None);
    }
    let series = rig.table.copy();
    let names: Vec<_> = counts(&series).iter().map(|one| (one.0, one.3)).collect();
    assert_eq!(names, [("a…", 1), (&*"a".repeat(1023), 2)]);
}

#[test]
fn a_span_that_was_submitted_whole_is_what_it_says() {
    let span = ringlight_model::Span {
        name: "whole".into(),
        kind: SpanKind::Producer,
        trace_state: "ot=th:8".into(),
        ..ringlight_model::Span::default()
    };
    let mut item = Vec::new();
    ringlight_otlp::encode::span(&mut item, &span);
    let mut words = header(CallsiteId::new(0), 1).to_words().to_vec();
    words[0] = Head::span(SpanKind::Producer, StatusCode::Error, 1).word();
    words.push(encoded_item(item.len() as u32));
    item.resize(item.len().next_multiple_of(8), 0);
    let (chunks, _) = item.as_chunks::<8>();
    words.extend(chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)));
    let mut bytes = vec![0; words.len() * 8];
    copy_words(words, &mut bytes);
    let mut rig = Rig::new();
    rig.add(&bytes, None);
    let expected = [("whole", SpanKind::Producer, StatusCode::Error, 2)];
    assert_eq!(counts(&rig.table.copy()), expected);
}

#[test]
fn busy_and_idle_times_are_added_up_where_spans_have_them() {
    let mut rig = Rig::new();
    rig.add_plain(ORDER, 10);
    assert_eq!(rig.table.copy()[0].busy.count(), 0);
    for (busy, idle) in [(6, 4), (1, -1)] {
        let span = bytes(header(ORDER, 10), |items| {
            let _ = items.i64(Key::Name("busy_ns"), busy);
            let _ = items.i64(Key::Name("idle_ns"), idle);
        });
        rig.add(&span, None);
    }
    let unsigned = bytes(header(ORDER, 10), |items| {
        let _ = items.u64(Key::Name("busy_ns"), 3);
        let _ = items.text(Key::Name("idle_ns"), "4");
    });
    rig.add(&unsigned, None);
    let series = rig.table.copy();
    let sums = [&series[0].duration, &series[0].busy, &series[0].idle]
        .map(|histogram| (histogram.count(), histogram.sum()));
    assert_eq!(sums, [(4, 40), (3, 10), (1, 4)]);
}

#[test]
fn what_is_over_the_limit_is_in_one_series_of_its_own() {
    let mut rig = Rig::new();
    rig.add_plain(ORDER, 1);
    for number in 0..SERIES_MAX as u64 + 100 {
        let span = bytes(header(REQUEST, number), |items| {
            let _ = items.text(NAME, &format!("request {number}"));
        });
        rig.add(&span, None);
    }
    // Those that are there go on; a callsite that found no room has none either.
    rig.add_plain(ORDER, 1);
    rig.add_plain(REQUEST, 1);
    let series = rig.table.copy();
    assert_eq!(series.len(), SERIES_MAX + 1);
    assert_eq!(series[0].duration.count(), 2);
    let of_all: u64 = series.iter().map(|one| one.duration.count()).sum();
    assert_eq!(of_all, SERIES_MAX as u64 + 103);
    let overflow = series.last().unwrap();
    assert_eq!((&overflow.of, overflow.duration.count()), (&None, 102));
    // Where they begin anew, there is room again.
    assert_eq!(rig.table.take().len(), SERIES_MAX + 1);
    rig.add_plain(REQUEST, 1);
    let expected = [("request", SpanKind::Internal, StatusCode::Unset, 1)];
    assert_eq!(counts(&rig.table.take()), expected);
    assert!(rig.table.take().is_empty());
}

#[test]
fn a_span_that_ends_before_it_starts_takes_no_time() {
    let mut rig = Rig::new();
    let backwards = SpanHeader {
        start_unix_nano: u64::MAX,
        end_unix_nano: 0,
        ..header(ORDER, 0)
    };
    let forever = SpanHeader {
        start_unix_nano: 0,
        end_unix_nano: u64::MAX,
        ..header(ORDER, 0)
    };
    rig.add(&bytes(backwards, |_| ()), None);
    rig.add(&bytes(forever, |_| ()), Some(f64::MAX));
    let series = rig.table.copy();
    assert_eq!(series[0].duration.extremes(), Some((0, u64::MAX)));
    assert_eq!(series[0].duration.zeros(), 1);
    assert_eq!(series[0].duration.count(), u64::MAX);
}

#[test]
fn a_span_counts_as_many_times_as_it_stands_for_and_over_all_it_adds_up() {
    let state = |text: &'static str| {
        bytes(header(ORDER, 10), |items| {
            let _ = items.trace_state(text);
        })
    };
    for (spans, span, weight, expected) in [
        (3000, state("ot=th:8"), Some(10.0 / 3.0), 10_000),
        (10, state("ot=th:c"), None, 40),
        (10, state("a=b"), None, 10),
        (7, bytes(header(ORDER, 10), |_| ()), Some(1.0), 7),
    ] {
        let mut rig = Rig::new();
        for _ in 0..spans {
            rig.add(&span, weight);
        }
        let series = rig.table.copy();
        let (count, sum) = (series[0].duration.count(), series[0].duration.sum());
        // Up to what one stands for in part.
        assert!(count.abs_diff(expected) <= 1, "{count}");
        assert_eq!(sum, u128::from(count) * 10);
    }
}

/// However few of them there are between two exports.
#[test]
fn what_a_span_stands_for_in_part_adds_up_over_intervals() {
    const RATIO: f64 = 0.6;
    const INTERVALS: u64 = 20_000;
    fastrand::seed(7);
    let span = bytes(header(ORDER, 10), |_| ());
    for spans in [1, 2, 5] {
        let mut rig = Rig::new();
        let exact = spans as f64 / RATIO;
        let mut counted = 0;
        for _ in 0..INTERVALS {
            for _ in 0..spans {
                rig.add(&span, Some(1.0 / RATIO));
            }
            let taken = rig.table.take();
            let count: u64 = taken.iter().map(|one| one.duration.count()).sum();
            assert!((count as f64 - exact).abs() < 1.0, "{count} of {exact}");
            counted += count;
        }
        let share = counted as f64 / (INTERVALS as f64 * exact);
        assert!((0.99..=1.01).contains(&share), "{share}");
    }
}

#[test]
fn the_longest_span_since_the_last_time_is_kept() {
    let mut rig = Rig::new();
    for nano in [3, 9, 4] {
        rig.add_plain(ORDER, nano);
    }
    let longest = rig.table.copy()[0].longest.unwrap();
    assert_eq!((longest.nano, longest.end_unix_nano), (9, 1_009));
    assert_eq!(longest.trace_id, TraceId::new(10));
    assert_eq!(longest.span_id, SpanId::new(11));
    assert_eq!(rig.table.copy()[0].longest, None);
    rig.add_plain(ORDER, 1);
    assert_eq!(rig.table.copy()[0].longest.map(|one| one.nano), Some(1));
    rig.table = Table::new(false);
    rig.add_plain(ORDER, 1);
    assert_eq!(rig.table.copy()[0].longest, None);
}

/// Whatever is in the ring: the parser lets through what is a record at all.
#[test]
fn no_record_makes_it_panic() {
    let whole = bytes(header(REQUEST, 5), |items| {
        let _ = items.text(NAME, "a name");
        let _ = items.text(KIND, "server");
        let _ = items.i64(Key::Name("busy_ns"), 5);
        let _ = items.trace_state("ot=th:8");
        let _ = items.name("another");
    });
    let mut random = fastrand::Rng::with_seed(7);
    let mut rig = Rig::new();
    let mut seen = 0;
    for _ in 0..50_000 {
        let mut broken = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..broken.len());
            broken[at] = random.u8(..);
        }
        // Half of the time, a span submitted whole.
        if random.bool() {
            let item = encoded_item(broken.len() as u32 - 72);
            broken[64..72].copy_from_slice(&item.to_le_bytes());
        }
        if let Ok(Record::Span(span)) = Record::parse(&broken) {
            rig.table.add(&span, &rig.registry, None);
            seen += 1;
        }
    }
    assert!(seen > 1000, "{seen}");
    assert!(rig.table.copy().len() <= SERIES_MAX + 1);
}

fn sink(spans: &SpanMetrics) -> Box<dyn RecordSink> {
    let sampling =
        crate::sampling::HeadSampling::new(String::new(), crate::Sampler::always_on(), Vec::new());
    let controls = controls::Shared::new(
        sampling,
        crate::filter::Filters::new(crate::filter::Filter::default()),
    );
    spans.sink(&Arc::new(controls))
}

/// Wanted by whom it is sent to alone.
fn sent(temporality: Temporality) -> Wanted {
    Wanted {
        sent: Some(temporality),
        is_scraped: false,
    }
}

#[test]
fn who_reads_waits_for_the_pass_that_goes_on() {
    let registry = registry();
    let bytes = bytes(header(ORDER, 5), |_| ());
    let record = Record::parse(&bytes).unwrap();
    let mut spans = SpanMetrics::new(sent(Temporality::Cumulative), true);
    let mut sink = sink(&spans);
    sink.record(&record, &registry);
    let read = std::thread::spawn(move || spans.read().map(|reading| (reading, spans)));
    while !read.is_finished() {
        sink.record(&record, &registry);
        sink.flush();
    }
    let (reading, mut spans) = read.join().unwrap().unwrap();
    let first = reading.series[0].duration.count();
    assert!(first >= 1);
    // Nothing is lost by reading, nor with the sink.
    sink.record(&record, &registry);
    drop(sink);
    let last = spans.read().unwrap();
    assert!(last.series[0].duration.count() > first);
    assert_eq!(last.start_unix_nano, reading.start_unix_nano);
    assert!(last.time_unix_nano >= reading.time_unix_nano);
}

#[test]
fn deltas_follow_each_other_without_a_gap_though_the_wall_clock_is_set_back() {
    let registry = registry();
    let bytes = bytes(header(ORDER, 5), |_| ());
    let record = Record::parse(&bytes).unwrap();
    let mut spans = SpanMetrics::new(sent(Temporality::Delta), true);
    let mut sink = sink(&spans);
    let mut ended = spans.since_unix_nano;
    for spans_count in [1, 3, 0, 2] {
        for _ in 0..spans_count {
            sink.record(&record, &registry);
        }
        sink.flush();
        let reading = spans.read().unwrap();
        let counts: Vec<_> = reading
            .series
            .iter()
            .map(|one| one.duration.count())
            .collect();
        assert_eq!(
            counts,
            if spans_count > 0 {
                vec![spans_count]
            } else {
                vec![]
            }
        );
        assert_eq!(reading.start_unix_nano, ended);
        assert!(reading.time_unix_nano >= reading.start_unix_nano);
        ended = reading.time_unix_nano;
        if spans_count == 1 {
            // As if it had been an hour later until now.
            spans.since_unix_nano += 3_600_000_000_000;
            ended = spans.since_unix_nano;
        }
    }
    assert_eq!(spans.since_unix_nano, ended);
}

/// What is shown is all there is since the start, with the longest span of the last time there was one.
#[cfg(feature = "prometheus")]
#[test]
fn whatever_is_taken_meanwhile_all_since_the_start_is_shown() {
    let registry = registry();
    for temporality in [
        Some(Temporality::Cumulative),
        Some(Temporality::Delta),
        None,
    ] {
        let wanted = Wanted {
            sent: temporality,
            is_scraped: true,
        };
        let mut spans = SpanMetrics::new(wanted, true);
        let mut sink = sink(&spans);
        let mut add = |callsite, nano| {
            let bytes = bytes(header(callsite, nano), |_| ());
            sink.record(&Record::parse(&bytes).unwrap(), &registry);
            sink.flush();
        };
        let shown = |spans: &SpanMetrics| -> Vec<_> {
            let shown = spans.look().unwrap().into_iter();
            let one = |one: Series| {
                let longest = one.longest.unwrap().nano;
                (one.duration.count(), one.duration.sum(), longest)
            };
            shown.map(one).collect()
        };
        add(ORDER, 7);
        add(ORDER, 5);
        assert_eq!(shown(&spans), [(2, 12, 7)]);
        assert_eq!(shown(&spans), [(2, 12, 7)]);
        let _ = spans.read().unwrap();
        assert_eq!(shown(&spans), [(2, 12, 7)]);
        // Of another time, although it is shorter.
        add(ORDER, 2);
        add(REQUEST, 1);
        assert_eq!(shown(&spans), [(3, 14, 2), (1, 1, 1)]);
        let read = spans.read().unwrap();
        let of_order = if temporality == Some(Temporality::Delta) {
            1
        } else {
            3
        };
        assert_eq!(read.series[0].duration.count(), of_order);
        add(REQUEST, 4);
        assert_eq!(shown(&spans), [(3, 14, 2), (2, 5, 4)]);
    }
}

/// Series that are new with every export are together no more than a table has, and nothing shrinks.
#[cfg(feature = "prometheus")]
#[test]
fn all_since_the_start_are_no_more_sets_than_there_may_be() {
    let registry = registry();
    let wanted = Wanted {
        sent: Some(Temporality::Delta),
        is_scraped: true,
    };
    let mut spans = SpanMetrics::new(wanted, false);
    let mut sink = sink(&spans);
    let mut counted = 0;
    for round in 0..3 {
        for number in 0..900 {
            let name = format!("{round} {number}");
            let bytes = bytes(header(REQUEST, 1), |items| {
                let _ = items.text(NAME, &name);
            });
            sink.record(&Record::parse(&bytes).unwrap(), &registry);
            counted += 1;
        }
        sink.flush();
        let before = spans.look().unwrap();
        let _ = spans.read().unwrap();
        let after = spans.look().unwrap();
        for shown in [&before, &after] {
            let counts = shown.iter().map(|one| one.duration.count());
            assert_eq!(counts.sum::<u64>(), counted);
            assert_eq!(shown.len(), (900 * (round + 1)).min(SERIES_MAX + 1));
            assert_eq!(shown.iter().any(|one| one.of.is_none()), round == 2);
        }
        let of = |shown: &[Series]| shown.iter().map(|one| one.of.clone()).collect::<Vec<_>>();
        assert_eq!(of(&before), of(&after));
    }
}
