//! Blocks hold what they were made from, whatever that is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use ringlight_model::{
    KeyValue, LogRecord, Resource, Scope, Severity, Span, SpanEvent, SpanId, SpanKind, SpanLink,
    Status, StatusCode, TraceId, Value,
};

use crate::block::section::{Section, unpack};
use crate::block::{BlockInfo, SealedBlock, seal_logs, seal_spans};
use crate::table::{LogTable, Origins, SpanTable, Table, WantedKeys};

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![
        3 => "[a-c]{0,3}".prop_map(Cow::Owned),
        1 => any::<String>().prop_map(Cow::Owned),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        text().prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-3_i64..3).prop_map(Value::Int),
        any::<f64>()
            .prop_filter("comparable", |value| !value.is_nan())
            .prop_map(Value::Double),
        vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(Cow::Owned(bytes))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((text(), inner), 0..4).prop_map(|items| {
                let item = |(key, value)| KeyValue { key, value };
                Value::Map(items.into_iter().map(item).collect())
            }),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue<'static>>> {
    vec(
        (text(), value()).prop_map(|(key, value)| KeyValue { key, value }),
        0..4,
    )
}

fn resource() -> impl Strategy<Value = Resource<'static>> {
    (attributes(), any::<u32>()).prop_map(|(attributes, dropped)| Resource {
        attributes,
        dropped_attributes_count: dropped,
    })
}

fn scope() -> impl Strategy<Value = Scope<'static>> {
    (text(), text(), attributes()).prop_map(|(name, version, attributes)| Scope {
        name,
        version,
        attributes,
        dropped_attributes_count: 3,
    })
}

fn trace_id() -> impl Strategy<Value = TraceId> {
    prop_oneof![0..3_u128, any::<u128>()].prop_map(TraceId::new)
}

fn span_id() -> impl Strategy<Value = SpanId> {
    prop_oneof![0..5_u64, any::<u64>()].prop_map(SpanId::new)
}

fn event() -> impl Strategy<Value = SpanEvent<'static>> {
    (any::<u64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped)| SpanEvent {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: dropped,
        },
    )
}

fn link() -> impl Strategy<Value = SpanLink<'static>> {
    let parts = (trace_id(), span_id(), text(), attributes(), any::<u32>());
    parts.prop_map(
        |(trace_id, span_id, trace_state, attributes, flags)| SpanLink {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count: flags / 2,
            flags,
        },
    )
}

prop_compose! {
    fn span()(
        (trace_id, span_id, parent_span_id) in (trace_id(), span_id(), span_id()),
        (name, trace_state, message) in (text(), text(), text()),
        (kind, code) in (0..6, 0..3),
        (a, b) in any::<(u64, u64)>(),
        (events, links) in (vec(event(), 0..3), vec(link(), 0..3)),
        attributes in attributes(),
        (flags, dropped) in any::<(u32, u32)>(),
    ) -> Span<'static> {
        Span {
            trace_id,
            span_id,
            parent_span_id,
            trace_state,
            flags,
            name,
            kind: SpanKind::from_otlp(kind),
            start_unix_nano: a.min(b),
            end_unix_nano: a.max(b),
            attributes,
            dropped_attributes_count: dropped,
            events,
            dropped_events_count: dropped / 3,
            links,
            dropped_links_count: dropped / 5,
            status: Status { code: StatusCode::from_otlp(code), message },
        }
    }
}

prop_compose! {
    fn log()(
        (trace_id, span_id) in (trace_id(), span_id()),
        (severity_text, event_name) in (text(), text()),
        severity in 0..25,
        (time, observed) in (prop_oneof![Just(0_u64), any::<u64>()], 1..u64::MAX),
        (body, attributes) in (value(), attributes()),
        (flags, dropped) in any::<(u32, u32)>(),
    ) -> LogRecord<'static> {
        LogRecord {
            time_unix_nano: time,
            observed_unix_nano: observed,
            severity: Severity::from_otlp(severity),
            severity_text,
            event_name,
            body,
            attributes,
            dropped_attributes_count: dropped,
            flags,
            trace_id,
            span_id,
        }
    }
}

fn read_back<T: Table>(block: &SealedBlock, keys: &WantedKeys) -> T {
    let info = BlockInfo::read(&block.info.write()).unwrap();
    assert_eq!(info, block.info);
    let mut sections: Vec<_> = block
        .sections
        .iter()
        .filter(|(section, _)| (*section as u8) < 8)
        .collect();
    // The core comes first, then the dictionary.
    sections.sort_by_key(|(section, _)| (*section != Section::Core, *section));
    let mut table = T::default();
    for (section, packed) in sections {
        let bytes = unpack(packed).unwrap();
        table
            .read_section(*section, info.rows as usize, &bytes, keys)
            .unwrap();
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn spans_come_back_from_a_block(
        requests in vec((resource(), scope(), vec(span(), 1..8)), 1..4),
        skipped in any::<prop::sample::Index>(),
    ) {
        let mut merged = SpanTable::default();
        let mut expected = Vec::new();
        for (number, (resource, scope, spans)) in requests.iter().enumerate() {
            let mut table = SpanTable::default();
            let (r, s) = (table.owners.resource(resource), table.owners.scope(scope));
            spans.iter().for_each(|span| table.push(span, r, s));
            table.set_origins(Origins::one(spans.len() as u32, 7 * number as u64 + 1));
            let skipped = skipped.index(spans.len() + 1);
            merged.take(&table, |row| row != skipped);
            let kept = spans.iter().enumerate().filter(|(row, _)| *row != skipped);
            expected.extend(kept.map(|(_, span)| (resource, scope, span)));
        }
        prop_assume!(!expected.is_empty());
        let block = seal_spans(&merged, 3, 4);
        let table: SpanTable = read_back(&block, &WantedKeys::All);
        prop_assert_eq!(table.rows(), expected.len());
        // Every other key is asked for.
        let all = expected.iter().flat_map(|(.., span)| &span.attributes);
        let all: BTreeSet<String> = all.map(|kv| kv.key.to_string()).collect();
        let keys: BTreeSet<String> = all.into_iter().step_by(2).collect();
        let part: SpanTable = read_back(&block, &WantedKeys::Only(keys.iter().cloned().collect()));
        for (row, (resource, scope, span)) in expected.into_iter().enumerate() {
            prop_assert_eq!(&table.span(row), span);
            let mut wanted = span.clone();
            wanted.attributes.retain(|kv| keys.contains(kv.key.as_ref()));
            prop_assert_eq!(part.span(row), wanted);
            let found = table.owners.resource_at(table.resources[row]);
            prop_assert_eq!(&*found, resource);
            prop_assert_eq!(&*table.owners.scope_at(table.scopes[row]), scope);
            prop_assert_eq!(table.origins.of(row as u32), merged.origins.of(row as u32));
        }
    }

    #[test]
    fn log_records_come_back_from_a_block(
        requests in vec((resource(), scope(), vec(log(), 1..8)), 1..4),
    ) {
        let mut merged = LogTable::default();
        let mut expected = Vec::new();
        for (number, (resource, scope, logs)) in requests.iter().enumerate() {
            let mut table = LogTable::default();
            let (r, s) = (table.owners.resource(resource), table.owners.scope(scope));
            logs.iter().for_each(|log| table.push(log, 5, r, s));
            table.set_origins(Origins::one(logs.len() as u32, 7 * number as u64 + 1));
            merged.take(&table);
            expected.extend(logs.iter().map(|log| (resource, scope, log)));
        }
        let table: LogTable = read_back(&seal_logs(&merged, 3, 4), &WantedKeys::All);
        prop_assert_eq!(table.rows(), expected.len());
        for (row, (resource, scope, log)) in expected.into_iter().enumerate() {
            prop_assert_eq!(&table.record(row), log);
            let found = table.owners.resource_at(table.resources[row]);
            prop_assert_eq!(&*found, resource);
            prop_assert_eq!(&*table.owners.scope_at(table.scopes[row]), scope);
            prop_assert_eq!(table.origins.of(row as u32), merged.origins.of(row as u32));
        }
    }

    // The checksum keeps damage away from these readers; they must not rely on it.
    #[test]
    fn sections_of_damaged_bytes_are_refused_or_read_but_never_panic(
        spans in vec(span(), 1..5),
        logs in vec(log(), 1..5),
        section in 0..8_usize,
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut table = SpanTable::default();
        spans.iter().for_each(|span| table.push(span, 0, 0));
        table.set_origins(Origins::one(spans.len() as u32, 1));
        let block = seal_spans(&table, 1, 1);
        damage::<SpanTable>(&block, section, position, byte, |table| {
            (0..spans.len()).for_each(|row| drop(table.span(row)));
        });
        let mut table = LogTable::default();
        logs.iter().for_each(|log| table.push(log, 5, 0, 0));
        table.set_origins(Origins::one(logs.len() as u32, 1));
        let block = seal_logs(&table, 1, 1);
        damage::<LogTable>(&block, section, position, byte, |table| {
            (0..logs.len()).for_each(|row| drop(table.record(row)));
        });
    }
}

fn damage<T: Table>(
    block: &SealedBlock,
    number: usize,
    position: prop::sample::Index,
    byte: u8,
    look: impl Fn(&T),
) {
    let mut table = T::default();
    let mut is_whole = true;
    for (index, (section, packed)) in block.sections.iter().enumerate() {
        if *section as u8 >= 8 {
            continue;
        }
        let mut bytes = unpack(packed).unwrap();
        if index == number && !bytes.is_empty() {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        let rows = block.info.rows as usize;
        is_whole &= table
            .read_section(*section, rows, &bytes, &WantedKeys::All)
            .is_ok();
    }
    if is_whole {
        look(&table);
    }
}
