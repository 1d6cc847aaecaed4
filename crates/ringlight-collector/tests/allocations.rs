//! Submitting a span allocates nothing once its producer knows the template and has its buffer
//! (S-1, S-10).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use allocation_counter::measure;
use ringlight_collector::{CollectorConfig, SpanCollector, SpanProducer, SpanTemplate};
use ringlight_model::{KeyValue, Span, SpanEvent, SpanId, TraceId};

static ROOT: SpanTemplate<3> = SpanTemplate::new("shop", "root", ["number", "customer", "total"]);
static CHILD: SpanTemplate<3> = SpanTemplate::new("shop", "child", ["number", "text", "bytes"]);

/// Ten trees of one root and ten children, three attributes each, and one whole span.
fn work(producer: &mut SpanProducer, whole: &Span<'_>) {
    for number in 0..10_u64 {
        let root = producer.start(&ROOT);
        for child in 0..10_u64 {
            let span = producer.start_child(&CHILD, root.context());
            let text = "a text of more than a few words";
            assert!(producer.end(span, [child.into(), text.into(), (&[1, 2, 3][..]).into()]));
        }
        assert!(producer.end(root, [number.into(), "ada".into(), 0.5.into()]));
    }
    producer.submit_span(whole).unwrap();
}

#[test]
fn submitting_allocates_nothing() {
    let mut collector = SpanCollector::new(CollectorConfig::default()).unwrap();
    let mut producer = collector.register().unwrap();
    let whole = Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(2),
        name: "whole".into(),
        attributes: vec![
            KeyValue::new("key", "value"),
            KeyValue::new("number", 7_i64),
        ],
        events: vec![SpanEvent::default()],
        ..Span::default()
    };
    work(&mut producer, &whole);
    let counted = measure(|| (0..5).for_each(|_| work(&mut producer, &whole)));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    let spans = collector.consume_all_up_to(usize::MAX, |_| {});
    assert_eq!(spans, 6 * 111);
}
