//! The collector that its owner drains.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use ringlight_collector::{
    AsyncSpanProducer, AttributeValue, BatchProcessor, CollectorConfig, OverflowPolicy,
    RegisterError, SpanCollector, SpanContext, SpanTemplate, SubmitError,
};
use ringlight_model::{
    Account, DropReason, KeyValue, Limits, Scope, Signal, Span, SpanEvent, SpanId, SpanKind,
    SpanLink, Status, StatusCode, TraceId, Value,
};

use super::{STEP, numbered};

const FOREVER: Duration = Duration::from_secs(60);

/// The smallest rings there are: 8 KiB.
fn small(policy: OverflowPolicy) -> CollectorConfig {
    CollectorConfig {
        ring_bits: 6,
        policy,
        ..CollectorConfig::default()
    }
}

fn account(collector: &SpanCollector) -> Account {
    let account = *collector.ledger().account(Signal::Traces);
    assert!(account.balances(), "{account:?}");
    account
}

fn consume(collector: &mut SpanCollector) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    collector.consume_all_up_to(usize::MAX, |span| spans.push(span.clone().into_owned()));
    spans
}

/// A span that has everything a span can have.
fn everything() -> Span<'static> {
    let nested = Value::Map(vec![KeyValue::new(
        "list",
        Value::Array(vec![Value::Int(1), Value::Empty, "text".into()]),
    )]);
    Span {
        trace_id: TraceId::new(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        span_id: SpanId::new(2),
        parent_span_id: SpanId::new(3),
        trace_state: "vendor=value".into(),
        flags: 0x301,
        name: "everything".into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_000_001_000,
        attributes: vec![
            KeyValue::new("text", "value"),
            KeyValue::new("number", 7_i64),
            KeyValue::new("nested", nested),
        ],
        dropped_attributes_count: 1,
        events: vec![SpanEvent {
            time_unix_nano: 1_700_000_000_000_000_500,
            name: "halfway".into(),
            attributes: vec![KeyValue::new("half", 0.5)],
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![SpanLink {
            trace_id: TraceId::new(9),
            span_id: SpanId::new(8),
            trace_state: "other=1".into(),
            attributes: vec![KeyValue::new("why", "because")],
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Status {
            code: StatusCode::Error,
            message: "it broke".into(),
        },
    }
}

#[test]
fn a_whole_span_comes_out_as_it_went_in() {
    let mut collector = SpanCollector::new(CollectorConfig::default()).unwrap();
    let mut producer = collector.register().unwrap();
    let span = everything();
    producer.submit_span(&span).unwrap();
    producer.submit_span(span.clone()).unwrap();
    assert_eq!(consume(&mut collector), [span.clone(), span]);
    let account = account(&collector);
    assert_eq!((account.submitted, account.exported), (2, 2));
}

#[test]
fn a_span_of_a_template_has_its_name_keys_and_values() {
    static ALL: SpanTemplate<7> =
        SpanTemplate::new("scope", "all", ["a", "b", "c", "d", "e", "f", "g"]);
    let mut collector = SpanCollector::new(CollectorConfig::default()).unwrap();
    let mut producer = collector.register().unwrap();

    let root = producer.start(&STEP);
    let mut child = producer.start_child(&ALL, root.context());
    child.set_status(StatusCode::Error);
    let (parent, context) = (root.context(), child.context());
    let values = [
        true.into(),
        (-1).into(),
        u64::MAX.into(),
        0.5.into(),
        "nine text".into(),
        AttributeValue::Bytes(&[1, 2, 3]),
        None::<&str>.into(),
    ];
    assert!(producer.end(child, values));
    assert!(producer.end(root, [7.into(), "ada".into(), 2.5.into()]));

    let spans = consume(&mut collector);
    let [child, root] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(root.name, "step");
    assert_eq!(root.kind, SpanKind::Client);
    assert_eq!(root.flags, 1);
    assert!(!root.parent_span_id.is_valid());
    assert!(root.end_unix_nano >= child.end_unix_nano);
    assert!(child.end_unix_nano >= child.start_unix_nano);
    assert!(child.start_unix_nano >= root.start_unix_nano);
    let attributes = [
        KeyValue::new("number", 7_i64),
        KeyValue::new("customer", "ada"),
        KeyValue::new("total", 2.5),
    ];
    assert_eq!(root.attributes, attributes);
    assert_eq!(child.name, "all");
    assert_eq!(child.status.code, StatusCode::Error);
    assert_eq!(
        (child.trace_id, child.span_id),
        (context.trace_id, context.span_id)
    );
    assert_eq!(
        (child.trace_id, child.parent_span_id),
        (parent.trace_id, parent.span_id)
    );
    let attributes = [
        KeyValue::new("a", true),
        KeyValue::new("b", -1_i64),
        KeyValue::new("c", u64::MAX.to_string()),
        KeyValue::new("d", 0.5),
        KeyValue::new("e", "nine text"),
        KeyValue::new("f", Value::Bytes(vec![1, 2, 3].into())),
    ];
    assert_eq!(child.attributes, attributes);
}

#[test]
fn a_span_that_is_not_taken_comes_back_and_is_not_in_the_ledger() {
    let mut collector = SpanCollector::new(small(OverflowPolicy::Drop)).unwrap();
    let mut producer = collector.register().unwrap();
    let mut taken = 0;
    let refused = loop {
        match producer.submit_span(numbered(0, taken)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, SubmitError::Full(numbered(0, taken)));
    assert_eq!(account(&collector).submitted, taken);
    assert_eq!(collector.metrics().full_ring_events, 1);

    // There is room left for spans that are worth more: roots and failures.
    let root = Span {
        parent_span_id: SpanId::INVALID,
        ..numbered(1, 0)
    };
    let failed = Span {
        status: Status {
            code: StatusCode::Error,
            ..Status::default()
        },
        ..numbered(1, 1)
    };
    producer.submit_span(root).unwrap();
    producer.submit_span(failed).unwrap();
    taken += 2;

    assert_eq!(consume(&mut collector).len() as u64, taken);
    let refused = refused.into_span();
    producer.submit_span(&refused).unwrap();
    assert_eq!(consume(&mut collector), [refused]);

    let huge = Span {
        name: "x".repeat(5_000).into(),
        ..numbered(0, 0)
    };
    assert_eq!(
        producer.submit_span(&huge),
        Err(SubmitError::TooLarge(&huge))
    );
    let nobody = Span {
        span_id: SpanId::INVALID,
        ..numbered(0, 0)
    };
    assert_eq!(
        producer.submit_span(&nobody),
        Err(SubmitError::Invalid(&nobody))
    );

    producer.submit_span(numbered(0, 1)).unwrap();
    assert!(!producer.is_closed());
    collector.close();
    assert!(producer.is_closed());
    for _ in 0..2 {
        let closed = producer.submit_span(numbered(0, 2)).unwrap_err();
        assert_eq!(closed, SubmitError::Closed(numbered(0, 2)));
    }
    assert_eq!(collector.register().unwrap_err(), RegisterError::Closed);
    // What was taken before is there.
    assert_eq!(consume(&mut collector), [numbered(0, 1)]);
    let account = account(&collector);
    assert_eq!(
        (account.submitted, account.exported),
        (taken + 2, taken + 2)
    );
}

#[test]
fn a_timed_span_that_is_not_taken_is_a_drop_with_its_reason() {
    let mut collector = SpanCollector::new(small(OverflowPolicy::Drop)).unwrap();
    let mut producer = collector.register().unwrap();
    let (mut taken, mut dropped) = (0, 0);
    // Children, since there is a little more room for what a trace begins with.
    let parent = producer.start(&STEP).context();
    for number in 0..200_u64 {
        let span = producer.start_child(&STEP, parent);
        if producer.end(span, [number.into(), "ada".into(), 0.5.into()]) {
            taken += 1;
        } else {
            dropped += 1;
        }
    }
    assert!(dropped > 0);
    let found = account(&collector);
    assert_eq!(found.submitted, 200);
    assert_eq!(found.dropped[DropReason::RingFull], dropped);
    assert_eq!(collector.metrics().full_ring_events, dropped);
    assert_eq!(consume(&mut collector).len(), taken);

    collector.close();
    let span = producer.start(&STEP);
    assert!(!producer.end(span, [1.into(), "ada".into(), 0.5.into()]));
    let found = account(&collector);
    assert_eq!(found.dropped[DropReason::Closed], 1);
    assert_eq!(found.in_flight, 0);
}

#[tokio::test]
async fn below_a_span_that_is_not_recorded_nothing_is() {
    let mut collector = SpanCollector::new(CollectorConfig::default()).unwrap();
    let mut producer = collector.register().unwrap();
    let parent = SpanContext {
        trace_id: TraceId::new(7),
        span_id: SpanId::new(8),
        is_remote: true,
        is_sampled: false,
    };
    let child = producer.start_child(&STEP, parent);
    let here = SpanContext {
        is_remote: false,
        ..parent
    };
    assert_eq!(child.context(), here);
    let grandchild = producer.start_child(&STEP, child.context());
    let values = || [1.into(), "ada".into(), 0.5.into()];
    assert!(!producer.end(grandchild, values()));
    let mut producer = AsyncSpanProducer::from(producer);
    assert!(!producer.end(child, values()).await);
    assert_eq!(consume(&mut collector).len(), 0);
    assert_eq!(account(&collector).submitted, 0);
}

#[test]
fn each_look_that_finds_no_room_counts_on_every_way_into_a_ring() {
    let looks = |policy, offer: &dyn Fn(&mut ringlight_collector::SpanProducer) -> bool| {
        let collector = SpanCollector::new(small(policy)).unwrap();
        let mut producer = collector.register().unwrap();
        while offer(&mut producer) {}
        collector.metrics().full_ring_events
    };
    let whole = |producer: &mut ringlight_collector::SpanProducer| {
        producer.submit_span(numbered(0, 1)).is_ok()
    };
    let timed = |producer: &mut ringlight_collector::SpanProducer| {
        let parent = producer.start(&STEP).context();
        let span = producer.start_child(&STEP, parent);
        producer.end(span, [1.into(), "ada".into(), 0.5.into()])
    };
    // One look, and one more after a patience that is used up at once.
    let policies = [
        (OverflowPolicy::Drop, 1),
        (OverflowPolicy::BlockFor(Duration::ZERO), 2),
    ];
    for (policy, expected) in policies {
        assert_eq!(looks(policy, &whole), expected, "{policy:?}");
        assert_eq!(looks(policy, &timed), expected, "{policy:?}");
    }
}

#[test]
fn a_producer_waits_for_room_where_the_policy_says_so() {
    let mut collector = SpanCollector::new(small(OverflowPolicy::Block)).unwrap();
    let mut producer = collector.register().unwrap();
    let worker = std::thread::spawn(move || {
        for number in 0..1_000 {
            producer.submit_span(numbered(0, number)).unwrap();
            let span = producer.start(&STEP);
            assert!(producer.end(span, [number.into(), "ada".into(), 0.5.into()]));
        }
    });
    // Nothing is taken out before it has met a full ring.
    while collector.metrics().full_ring_events == 0 {
        std::thread::yield_now();
    }
    let mut spans = Vec::new();
    while spans.len() < 2_000 {
        assert!(collector.wait(FOREVER));
        spans.extend(consume(&mut collector));
    }
    worker.join().unwrap();
    let expected: Vec<_> = (0..1_000).map(|number| numbered(0, number)).collect();
    spans.retain(|span| span.name == "numbered");
    assert_eq!(spans, expected);
    assert_eq!(account(&collector).exported, 2_000);
    assert!(collector.metrics().reserve_retries > 0);

    let config = small(OverflowPolicy::BlockFor(Duration::from_millis(1)));
    let collector = SpanCollector::new(config).unwrap();
    let mut producer = collector.register().unwrap();
    let error = (0..).find_map(|number| producer.submit_span(numbered(0, number)).err());
    assert!(matches!(error, Some(SubmitError::Full(_))));
}

#[test]
fn producers_come_and_go_without_end_but_only_so_many_at_a_time() {
    let config = CollectorConfig {
        producers_max: 2,
        ..small(OverflowPolicy::Drop)
    };
    let mut collector = SpanCollector::new(config).unwrap();
    let registrar = collector.registrar();
    for round in 0..100 {
        let mut first = registrar.register().unwrap();
        let mut second = collector.register().unwrap();
        assert_eq!(registrar.register().unwrap_err(), RegisterError::NoFreeSlot);
        first.submit_span(numbered(0, round)).unwrap();
        second.submit_span(numbered(1, round)).unwrap();
        drop((first, second));
        let mut spans = consume(&mut collector);
        spans.sort_by_key(|span| span.span_id);
        assert_eq!(spans, [numbered(0, round), numbered(1, round)]);
    }
}

#[test]
fn as_many_are_taken_out_as_asked_for_each_producer_in_its_order() {
    let mut collector = SpanCollector::new(CollectorConfig::default()).unwrap();
    let mut producers = [0, 1, 2].map(|_| collector.register().unwrap());
    for number in 0..10 {
        for (index, producer) in producers.iter_mut().enumerate() {
            producer
                .submit_span(numbered(index as u64, number))
                .unwrap();
        }
    }
    let mut spans = Vec::new();
    let mut take = |collector: &mut SpanCollector, spans_max| {
        collector.consume_all_up_to(spans_max, |span| spans.push(span.clone().into_owned()))
    };
    assert_eq!(take(&mut collector, 0), 0);
    assert_eq!(take(&mut collector, 7), 7);
    assert_eq!(account(&collector).in_flight, 23);
    assert_eq!(take(&mut collector, 100), 23);
    assert_eq!(take(&mut collector, 100), 0);
    for producer in 0..3 {
        let own = spans
            .iter()
            .filter(|span| span.span_id.get() >> 48 == producer + 1);
        let expected: Vec<_> = (0..10).map(|number| numbered(producer, number)).collect();
        assert!(own.eq(&expected));
    }
}

#[test]
fn a_visit_that_panics_loses_only_its_span() {
    let mut collector = SpanCollector::new(CollectorConfig::default()).unwrap();
    let mut producer = collector.register().unwrap();
    (0..3).for_each(|number| producer.submit_span(numbered(0, number)).unwrap());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        collector.consume_all_up_to(3, |_| panic!("on purpose"));
    }));
    assert!(unwound.is_err());
    assert_eq!(account(&collector).exported, 1);
    assert_eq!(consume(&mut collector), [numbered(0, 1), numbered(0, 2)]);
    assert_eq!(account(&collector).exported, 3);
}

#[test]
fn what_is_over_the_limits_is_dropped_or_cut_and_says_so() {
    let config = CollectorConfig {
        limits: Limits {
            attributes_max: 2,
            text_bytes_max: 5,
            depth_max: 2,
            ..Limits::default()
        },
        ..CollectorConfig::default()
    };
    let mut collector = SpanCollector::new(config).unwrap();
    let mut producer = collector.register().unwrap();
    let text = |key| KeyValue::new(key, "dreißig");
    let span = Span {
        attributes: vec![text("a"), text("b"), text("c"), text("d")],
        end_unix_nano: 1,
        ..numbered(0, 0)
    };
    producer.submit_span(span).unwrap();
    let open = producer.start(&STEP);
    let long = "dreißig".into();
    assert!(producer.end(open, [long, AttributeValue::Bytes(&[7; 9]), long]));

    let spans = consume(&mut collector);
    let cut = |key| KeyValue::new(key, "drei…");
    assert_eq!(spans[0].attributes, [cut("a"), cut("b")]);
    assert_eq!(spans[0].dropped_attributes_count, 2);
    assert_eq!(spans[0].end_unix_nano, spans[0].start_unix_nano);
    assert_eq!(collector.ledger().negative_durations(), 1);
    let bytes = KeyValue::new("customer", Value::Bytes(vec![7; 5].into()));
    assert_eq!(spans[1].attributes, [cut("number"), bytes]);
    assert_eq!(spans[1].dropped_attributes_count, 1);

    let nested = |levels: usize| {
        let value = (0..levels).fold(Value::Int(1), |value, _| Value::Array(vec![value]));
        Span {
            attributes: vec![KeyValue::new("nested", value)],
            ..numbered(0, 0)
        }
    };
    producer.submit_span(nested(2)).unwrap();
    assert_eq!(consume(&mut collector), [nested(2)]);
    let refused = producer.submit_span(nested(3));
    assert!(matches!(refused, Err(SubmitError::Invalid(_))));
}

#[test]
fn texts_are_cut_wherever_they_are_in_a_span() {
    let config = CollectorConfig {
        limits: Limits {
            text_bytes_max: 4,
            ..Limits::default()
        },
        ..CollectorConfig::default()
    };
    let mut collector = SpanCollector::new(config).unwrap();
    let mut producer = collector.register().unwrap();
    let holding = |text: &'static str, bytes: &'static [u8]| {
        let list = Value::Array(vec![text.into(), Value::Bytes(bytes.into()), Value::Int(1)]);
        let attributes = vec![
            KeyValue::new("text", text),
            KeyValue::new("map", Value::Map(vec![KeyValue::new("list", list)])),
        ];
        Span {
            events: vec![SpanEvent {
                attributes: attributes.clone(),
                ..SpanEvent::default()
            }],
            links: vec![SpanLink {
                trace_id: TraceId::new(1),
                span_id: SpanId::new(1),
                attributes: attributes.clone(),
                ..SpanLink::default()
            }],
            attributes,
            ..numbered(0, 0)
        }
    };
    producer
        .submit_span(holding("long text", b"long bytes"))
        .unwrap();
    producer.submit_span(holding("text", b"byte")).unwrap();
    let expected = [holding("long…", b"long"), holding("text", b"byte")];
    assert_eq!(consume(&mut collector), expected);
}

/// The limit on texts and byte strings below.
const LIMIT: usize = 20;

/// The value of an attribute, what it is written as, and what comes out under the limit.
fn value() -> impl Strategy<Value = (Written, Option<Value<'static>>)> {
    fn same(
        written: Written,
        value: impl Into<Value<'static>>,
    ) -> (Written, Option<Value<'static>>) {
        (written, Some(value.into()))
    }
    prop_oneof![
        Just((Written::Unset, None)),
        any::<bool>().prop_map(|value| same(Written::Bool(value), value)),
        any::<i64>().prop_map(|value| same(Written::I64(value), value)),
        (0..=i64::MAX).prop_map(|value| same(Written::U64(value.cast_unsigned()), value)),
        any::<f64>().prop_map(|value| same(Written::F64(value), value)),
        "[a-zß]{0,40}".prop_map(|text| {
            let end = text.floor_char_boundary(LIMIT);
            let shown = if end < text.len() {
                format!("{}…", &text[..end])
            } else {
                text.clone()
            };
            same(Written::Text(text), shown)
        }),
        vec(any::<u8>(), 0..40).prop_map(|bytes| {
            let shown = bytes[..bytes.len().min(LIMIT)].to_vec();
            same(Written::Bytes(bytes), Value::Bytes(shown.into()))
        }),
    ]
}

#[derive(Debug, Clone)]
enum Written {
    Unset,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Written {
    fn value(&self) -> AttributeValue<'_> {
        match self {
            Self::Unset => AttributeValue::Unset,
            Self::Bool(value) => (*value).into(),
            Self::I64(value) => (*value).into(),
            Self::U64(value) => (*value).into(),
            Self::F64(value) => (*value).into(),
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => bytes.as_slice().into(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 10 } else { 500 }))]

    #[test]
    fn any_values_of_a_template_come_out((a, b, c) in (value(), value(), value())) {
        let config = CollectorConfig {
            limits: Limits { text_bytes_max: LIMIT, ..Limits::default() },
            ..CollectorConfig::default()
        };
        let mut collector = SpanCollector::new(config).unwrap();
        let mut producer = collector.register().unwrap();
        let span = producer.start(&STEP);
        prop_assert!(producer.end(span, [a.0.value(), b.0.value(), c.0.value()]));
        let span = consume(&mut collector).remove(0);
        let expected: Vec<_> = ["number", "customer", "total"]
            .into_iter()
            .zip([a.1, b.1, c.1])
            .filter_map(|(key, value)| Some(KeyValue::new(key, value?)))
            .collect();
        prop_assert_eq!(span.attributes, expected);
    }
}

#[test]
fn values_that_are_empty_or_cut_to_nothing_leave_a_whole_record() {
    for text_bytes_max in [0, 1, 7, 8, 20] {
        let config = CollectorConfig {
            limits: Limits {
                text_bytes_max,
                ..Limits::default()
            },
            ..CollectorConfig::default()
        };
        let mut collector = SpanCollector::new(config).unwrap();
        let mut producer = collector.register().unwrap();
        for last in [
            AttributeValue::Bytes(&[]),
            AttributeValue::Bytes(&[1; 9]),
            AttributeValue::Str(""),
            AttributeValue::Str("ßßßßß"),
        ] {
            let span = producer.start(&STEP);
            assert!(producer.end(span, [1.into(), AttributeValue::Unset, last]));
            let spans = consume(&mut collector);
            assert_eq!(spans[0].attributes.len(), 2, "{last:?} at {text_bytes_max}");
        }
        assert_eq!(account(&collector).exported, 4);
    }
}

#[test]
fn drained_spans_become_batches_by_number_and_age() {
    let config = CollectorConfig {
        batch_records_max: 4,
        scope: Scope {
            name: "mine".into(),
            version: "1".into(),
            ..Scope::default()
        },
        ..CollectorConfig::default()
    };
    let mut batches = BatchProcessor::new(&config).unwrap();
    let mut collector = SpanCollector::new(config.clone()).unwrap();
    let mut producer = collector.register().unwrap();
    (0..10).for_each(|number| producer.submit_span(numbered(0, number)).unwrap());

    let mut full = Vec::new();
    collector.consume_all_up_to(10, |span| full.extend(batches.add(span)));
    assert_eq!(full.len(), 2);
    assert_eq!(batches.pending(), 2);
    let due = batches.next_due().unwrap();
    assert!(batches.take_due(due - Duration::from_millis(1)).is_none());
    full.extend(batches.take_due(due));
    assert!(batches.flush().is_none() && batches.next_due().is_none());

    let numbers: Vec<_> = full.iter().map(|batch| batch.id().sequence()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let spans: Vec<_> = full
        .iter()
        .flat_map(|batch| batch.to_spans().unwrap())
        .collect();
    let expected: Vec<_> = (0..10).map(|number| numbered(0, number)).collect();
    assert_eq!(spans, expected);
    full[0]
        .for_each(|_, scope, _| assert_eq!(*scope, config.scope))
        .unwrap();
}
