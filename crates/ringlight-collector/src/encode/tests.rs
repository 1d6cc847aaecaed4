//! Whatever a record holds, a reader of OTLP finds the same.

use proptest::collection::vec;
use proptest::prelude::*;
use ringlight_model::{
    KeyValue, LogRecord as ModelLog, RecordVisitor, RejectReason, Resource, Signal, Span,
    SpanEvent, SpanId, SpanLink, TraceId, Value,
};
use ringlight_otlp::OtlpDecoder;
use tokio::time::Instant;

use super::*;
use crate::batch::{OpenBatch, Spare};
use crate::record::{Head, ItemWriter, Key, LogHeader, Record, SpanHeader, Written, copy_words};

const SPAN: CallsiteId = CallsiteId::new(0x5000);
const FIELDS: [&str; 3] = ["first", "second", "third"];

fn registry() -> Arc<CallsiteRegistry> {
    let registry = CallsiteRegistry::new();
    registry.register(SPAN, || Callsite {
        kind: CallsiteKind::Span,
        name: "known",
        target: "target",
        scope: None,
        severity: Severity::INFO,
        module_path: None,
        file: None,
        line: None,
        fields: FIELDS.to_vec(),
    });
    Arc::new(registry)
}

#[derive(Default)]
struct Read {
    spans: Vec<Span<'static>>,
    logs: Vec<ModelLog<'static>>,
}

impl RecordVisitor for Read {
    fn resource(&mut self, _: &Resource<'_>) {}
    fn scope(&mut self, _: &Scope<'_>) {}
    fn span(&mut self, span: &Span<'_>) {
        self.spans.push(span.clone().into_owned());
    }
    fn log(&mut self, record: &ModelLog<'_>) {
        self.logs.push(record.clone().into_owned());
    }
    fn rejected(&mut self, reason: RejectReason) {
        panic!("refused: {reason}");
    }
}

/// Words to bytes to a request to what a reader finds.
fn through_the_wire(words: &[u64]) -> Read {
    let mut bytes = vec![0; words.len() * 8];
    copy_words(words.iter().copied(), &mut bytes);
    let record = Record::parse(&bytes).unwrap();
    let mut encoder = Encoder::new(registry(), &CollectorConfig::default());
    let callsite = encoder.callsite(record.callsite()).unwrap();
    let mut batch = OpenBatch::new();
    let scope = encoder.scope_index(callsite);
    let now = Instant::from_std(std::time::Instant::now());
    batch.add(scope, now, |buf| match &record {
        Record::Span(span) => encoder.span(buf, callsite, span),
        Record::Log(log) => encoder.log(buf, callsite, log),
    });
    let request = batch.seal(&[], &encoder, &Spare::new(0));
    let signal = match record {
        Record::Span(_) => Signal::Traces,
        Record::Log(_) => Signal::Logs,
    };
    let mut read = Read::default();
    OtlpDecoder::default()
        .walk(signal, &request, &mut read)
        .unwrap();
    read
}

fn scalar() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e300..1e300_f64).prop_map(Value::Double),
        any::<String>().prop_map(|text| Value::Str(text.into())),
        "[a-z ]{100,200}".prop_map(|text| Value::Str(text.into())),
        vec(any::<u8>(), 0..200).prop_map(|bytes| Value::Bytes(bytes.into())),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        4 => scalar(),
        1 => vec(scalar(), 0..5).prop_map(Value::Array),
    ]
}

/// Attributes under the fields of the callsite, and under names of their own.
fn attributes() -> impl Strategy<Value = Vec<(Option<u16>, KeyValue<'static>)>> {
    let fields = vec(proptest::option::of(value()), FIELDS.len());
    let others = vec(("[a-z.]{1,140}", value()), 0..6);
    (fields, others).prop_map(|(fields, others)| {
        let fields = (0_u16..).zip(fields).filter_map(|(index, value)| {
            let key = FIELDS[usize::from(index)].into();
            Some((Some(index), KeyValue { key, value: value? }))
        });
        let others = others.into_iter().map(|(key, value)| {
            (
                None,
                KeyValue {
                    key: key.into(),
                    value,
                },
            )
        });
        fields.chain(others).collect()
    })
}

fn write(words: &mut Vec<u64>, attributes: &[(Option<u16>, KeyValue<'static>)]) {
    let mut items = ItemWriter::new(words, usize::MAX >> 40);
    for (index, attribute) in attributes {
        let key = match index {
            Some(index) => Key::Field(*index),
            None => Key::Name(&attribute.key),
        };
        assert_eq!(
            write_value(&mut items, key, &attribute.value),
            Written::Whole
        );
    }
}

fn write_value(
    items: &mut ItemWriter<'_, Vec<u64>>,
    key: Key<'_>,
    value: &Value<'static>,
) -> Written {
    match value {
        Value::Bool(value) => items.bool(key, *value),
        Value::Int(value) => items.i64(key, *value),
        Value::Double(value) => items.f64(key, *value),
        Value::Str(text) => items.text(key, text),
        Value::Bytes(bytes) => items.bytes(key, bytes),
        Value::Array(elements) => items.list(key, |items| {
            for element in elements {
                let _ = write_value(items, Key::Field(0), element);
            }
            Written::Whole
        }),
        other => panic!("{other:?} is not recorded"),
    }
}

fn named() -> impl Strategy<Value = Vec<KeyValue<'static>>> {
    let one = ("[a-z.]{1,20}", value());
    let named = one.prop_map(|(key, value)| KeyValue::new(key, value));
    vec(named, 0..4)
}

fn event() -> impl Strategy<Value = SpanEvent<'static>> {
    (1_u64.., ".{0,20}", named(), 0..9_u32).prop_map(|(time_unix_nano, name, attributes, n)| {
        SpanEvent {
            time_unix_nano,
            name: name.into(),
            attributes,
            dropped_attributes_count: n,
        }
    })
}

fn link() -> impl Strategy<Value = SpanLink<'static>> {
    let ids = (1_u128.., 1_u64.., any::<u8>());
    let parts = (ids, "[a-z=]{0,20}", named(), 0..9_u32);
    parts.prop_map(|((trace, span, flags), state, attributes, n)| SpanLink {
        trace_id: TraceId::new(trace),
        span_id: SpanId::new(span),
        trace_state: state.into(),
        flags: flags.into(),
        attributes,
        dropped_attributes_count: n,
    })
}

fn write_named(items: &mut ItemWriter<'_, Vec<u64>>, attributes: &[KeyValue<'static>]) {
    for attribute in attributes {
        let _ = write_value(items, Key::Name(&attribute.key), &attribute.value);
    }
}

proptest! {
    #[test]
    fn a_span_arrives_as_it_was(
        trace in 1_u128.., span in 1_u64.., parent: u64, start: u64, length in 0_u64..1 << 40,
        kind in 0..=5_i32, flags: u8, dropped: u16, attributes in attributes(),
        name in proptest::option::of("[^\0]{1,40}"),
    ) {
        let kind = SpanKind::from_otlp(kind);
        let header = SpanHeader {
            head: Head::span(kind, StatusCode::Ok, flags).with_dropped(dropped),
            callsite: SPAN,
            trace_id: TraceId::new(trace),
            span_id: SpanId::new(span),
            parent_span_id: SpanId::new(parent),
            start_unix_nano: start,
            end_unix_nano: start.saturating_add(length),
        };
        let mut words = header.to_words().to_vec();
        write(&mut words, &attributes);
        if let Some(name) = &name {
            let _ = ItemWriter::new(&mut words, 1024).name(name);
        }
        let read = through_the_wire(&words);
        prop_assert_eq!(read.spans.len(), 1);
        let found = &read.spans[0];
        prop_assert_eq!(found.trace_id, header.trace_id);
        prop_assert_eq!(found.span_id, header.span_id);
        prop_assert_eq!(found.parent_span_id, header.parent_span_id);
        prop_assert_eq!(found.start_unix_nano, start);
        prop_assert_eq!(found.end_unix_nano, header.end_unix_nano);
        prop_assert_eq!(found.kind, kind);
        prop_assert_eq!(found.flags, u32::from(flags));
        prop_assert_eq!(found.status.code, StatusCode::Ok);
        prop_assert_eq!(found.dropped_attributes_count, u32::from(dropped));
        prop_assert_eq!(&found.name, name.as_deref().unwrap_or("known"));
        let expected: Vec<_> = attributes.into_iter().map(|(_, attribute)| attribute).collect();
        prop_assert_eq!(&found.attributes, &expected);
    }

    #[test]
    fn events_links_and_what_was_dropped_of_them_arrive_as_they_were(
        events in vec(event(), 0..4), links in vec(link(), 0..4), state in "[a-z=,]{0,40}",
        dropped_events: u32, dropped_links: u16,
    ) {
        let header = SpanHeader::new(SPAN, TraceId::new(1), SpanId::new(2));
        let mut words = header.to_words().to_vec();
        let mut items = ItemWriter::new(&mut words, 1024);
        for event in &events {
            let _ = items.event(event.time_unix_nano, |items| {
                let _ = items.name(&event.name);
                write_named(items, &event.attributes);
                event.dropped_attributes_count as u16
            });
        }
        for link in &links {
            let _ = items.link(link.trace_id, link.span_id, link.flags as u8, |items| {
                write_named(items, &link.attributes);
                let _ = items.trace_state(&link.trace_state);
                link.dropped_attributes_count as u16
            });
        }
        let _ = items.trace_state(&state);
        let _ = items.dropped(dropped_events, dropped_links);
        let read = through_the_wire(&words);
        let found = &read.spans[0];
        prop_assert_eq!(&found.events, &events);
        prop_assert_eq!(&found.links, &links);
        prop_assert_eq!(&found.trace_state, &state);
        prop_assert_eq!(found.dropped_events_count, dropped_events);
        prop_assert_eq!(found.dropped_links_count, u32::from(dropped_links));
    }

    #[test]
    fn a_log_record_arrives_as_it_was(
        trace: u128, span: u64, time in 1_u64.., severity in 1..=24_i32,
        attributes in attributes(),
    ) {
        let mut header = LogHeader::new(
            CallsiteId::new(0),
            Severity::from_otlp(severity),
            time,
        );
        header.trace_id = TraceId::new(trace);
        header.span_id = SpanId::new(span);
        let mut words = header.to_words().to_vec();
        let named: Vec<_> = attributes.into_iter().map(|(_, kv)| (None, kv)).collect();
        write(&mut words, &named);
        let read = through_the_wire(&words);
        prop_assert_eq!(read.logs.len(), 1);
        let found = &read.logs[0];
        prop_assert_eq!(found.trace_id, header.trace_id);
        prop_assert_eq!(found.span_id, header.span_id);
        prop_assert_eq!(found.time_unix_nano, time);
        prop_assert_eq!(i32::from(found.severity.number()), severity);
        let expected: Vec<_> = named.into_iter().map(|(_, attribute)| attribute).collect();
        prop_assert_eq!(&found.attributes, &expected);
    }
}

#[test]
fn a_record_of_an_unknown_callsite_is_refused() {
    let mut encoder = Encoder::new(registry(), &CollectorConfig::default());
    assert_eq!(
        encoder.callsite(Some(CallsiteId::new(1))),
        Err(UnknownCallsite)
    );
    assert!(encoder.callsite(Some(SPAN)).is_ok());
    // Two callsites that share a place among the recent ones.
    assert_ne!(encoder.callsite(Some(SPAN)), encoder.callsite(None));
}
