//! What the decoder takes, refuses and repairs. Numbers are those of the project's list of faults.

mod metrics;

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use ringlight_model::{
    Decoder as _, KeyValue, LogRecord, RejectReason, Resource, Scope, Signal, Span, SpanId,
    SpanKind, TraceId, Value,
};

use super::*;
use crate::encode::{self, Owner, proto};
use crate::testing::{self, Records};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn traces_of_an_independent_encoder_are_read(
        resource in testing::resource(),
        scope in testing::scope(),
        spans in vec(testing::span(), 1..4),
    ) {
        let bytes = testing::pb_traces(&resource, &scope, &spans).encode_to_vec();
        let read = testing::decode(Signal::Traces, &bytes).unwrap();
        prop_assert_eq!(read.decoded.records, spans.len() as u64);
        prop_assert_eq!(read.resources, vec![resource]);
        prop_assert_eq!(read.scopes, vec![scope]);
        prop_assert_eq!(read.spans, spans);
        prop_assert_eq!(read.rejected, vec![]);
    }

    #[test]
    fn logs_of_an_independent_encoder_are_read(
        resource in testing::resource(),
        scope in testing::scope(),
        logs in vec(testing::log(), 1..4),
    ) {
        let bytes = testing::pb_log_request(&resource, &scope, &logs).encode_to_vec();
        let read = testing::decode(Signal::Logs, &bytes).unwrap();
        prop_assert_eq!(read.resources, vec![resource]);
        prop_assert_eq!(read.scopes, vec![scope]);
        prop_assert_eq!(read.logs, logs);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        for signal in Signal::ALL {
            let _ = testing::decode(signal, &bytes);
        }
    }

    #[test]
    fn mutated_requests_never_panic_and_lose_nothing_silently(
        spans in vec(testing::span(), 1..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode::request(&Resource::default(), &Scope::default(), &spans);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(read) = testing::decode(Signal::Traces, bytes) {
                prop_assert_eq!(read.decoded.records, read.spans.len() as u64);
                prop_assert_eq!(read.decoded.rejected, read.rejected.len() as u64);
            }
            let _ = testing::decode(Signal::Logs, bytes);
            let _ = testing::decode(Signal::Metrics, bytes);
        }
    }
}

fn good_span(name: &'static str) -> Span<'static> {
    Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(2),
        name: name.into(),
        ..Span::default()
    }
}

/// A request whose only scope holds `items`, each the bytes of a span or log record.
fn request_of(items: &[Vec<u8>]) -> Vec<u8> {
    let mut buf = Vec::new();
    let resource = encode::open_resource(&mut buf, &Resource::default());
    let scope = encode::open_scope(&mut buf, &Scope::default());
    for item in items {
        proto::bytes_field(&mut buf, 2, item);
    }
    encode::close(&mut buf, scope);
    encode::close(&mut buf, resource);
    buf
}

/// The bytes of a good span, followed by what `more` appends.
fn span_bytes(name: &str, more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut buf = Vec::new();
    encode::span_ids(&mut buf, TraceId::new(1), SpanId::new(2), SpanId::INVALID);
    encode::span_name(&mut buf, name);
    more(&mut buf);
    buf
}

/// Decodes a request of one span between two good ones, of which both must arrive.
fn between_good_spans(item: Vec<u8>) -> Records {
    let request = request_of(&[
        span_bytes("before", |_| {}),
        item,
        span_bytes("after", |_| {}),
    ]);
    let read = testing::decode(Signal::Traces, &request).unwrap();
    assert_eq!(read.spans.first().unwrap().name, "before");
    assert_eq!(read.spans.last().unwrap().name, "after");
    read
}

#[test]
fn bad_items_are_refused_one_by_one() {
    let check = |item: Vec<u8>, reason| {
        let read = between_good_spans(item);
        assert_eq!((read.spans.len(), &read.rejected[..]), (2, &[reason][..]));
        assert_eq!(read.decoded.rejected, 1);
    };
    let with = |field, bytes: &'static [u8]| {
        span_bytes("bad", |buf| proto::bytes_field(buf, field, bytes))
    };
    check(Vec::new(), RejectReason::ZeroTraceId);
    check(with(1, &[0; 16]), RejectReason::ZeroTraceId);
    check(with(1, &[]), RejectReason::ZeroTraceId);
    check(with(2, &[0; 8]), RejectReason::ZeroSpanId);
    check(with(1, &[1; 15]), RejectReason::IdLength);
    check(with(1, &[1; 32]), RejectReason::IdLength);
    check(with(2, &[1; 16]), RejectReason::IdLength);
    check(with(4, &[1; 7]), RejectReason::IdLength);
    check(
        span_bytes("bad", |buf| buf.push(0x0a)),
        RejectReason::Malformed,
    );
    // The name as a number.
    check(
        span_bytes("bad", |buf| proto::varint_field(buf, 5, 1)),
        RejectReason::Malformed,
    );
    // An event that ends inside a number.
    check(
        span_bytes("bad", |buf| proto::bytes_field(buf, 11, &[0x09, 1])),
        RejectReason::Malformed,
    );
}

#[test]
fn ids_of_log_records_may_be_missing_but_not_misshapen() {
    let check = |id: &[u8], expected: Result<TraceId, RejectReason>| {
        let mut item = Vec::new();
        proto::bytes_field(&mut item, 9, id);
        let read = testing::decode(Signal::Logs, &request_of(&[item])).unwrap();
        let got = match read.logs.first() {
            Some(record) => Ok(record.trace_id),
            None => Err(read.rejected[0]),
        };
        assert_eq!(got, expected);
    };
    check(&[], Ok(TraceId::INVALID));
    check(&[0; 16], Ok(TraceId::INVALID));
    check(&[1; 16], Ok(TraceId::from_bytes([1; 16])));
    check(&[1; 8], Err(RejectReason::IdLength));
}

#[test]
fn fault_8_a_span_that_ends_before_it_starts_has_no_duration_and_is_counted() {
    let read = between_good_spans(span_bytes("back", |buf| encode::span_times(buf, 9, 4)));
    let span = &read.spans[1];
    assert_eq!((span.start_unix_nano, span.end_unix_nano), (9, 9));
    assert_eq!(read.decoded.negative_durations, 1);
}

#[test]
fn a_span_without_a_kind_is_unspecified() {
    let read = between_good_spans(span_bytes("plain", |_| {}));
    assert_eq!(read.spans[1].kind, SpanKind::Unspecified);
    let odd = span_bytes("odd", |buf| proto::varint_field(buf, 6, 77));
    assert_eq!(between_good_spans(odd).spans[1].kind, SpanKind::Unspecified);
}

/// A value inside `depth` lists, written by hand so that no encoder limits it.
fn nested(depth: usize, field: u32) -> Vec<u8> {
    let mut value = vec![0x18, 1];
    for _ in 0..depth {
        let mut list = Vec::with_capacity(value.len() + 16);
        if field == 5 {
            proto::bytes_field(&mut list, 1, &value);
        } else {
            let mut item = Vec::with_capacity(value.len() + 8);
            proto::bytes_field(&mut item, 2, &value);
            proto::bytes_field(&mut list, 1, &item);
        }
        value.clear();
        proto::bytes_field(&mut value, field, &list);
    }
    value
}

fn span_with_value(value: &[u8]) -> Vec<u8> {
    span_bytes("deep", |buf| {
        let mut attribute = Vec::new();
        proto::bytes_field(&mut attribute, 1, b"key");
        proto::bytes_field(&mut attribute, 2, value);
        proto::bytes_field(buf, Owner::Span.field(), &attribute);
    })
}

#[test]
fn fault_25_values_are_taken_to_the_depth_sdks_may_send_and_refused_beyond() {
    for field in [5, 6] {
        let read = between_good_spans(span_with_value(&nested(64, field)));
        assert_eq!(read.spans.len(), 3);
        let read = between_good_spans(span_with_value(&nested(65, field)));
        assert_eq!(read.rejected, [RejectReason::TooDeep]);
    }
}

#[test]
fn fault_25_a_million_nested_values_neither_overflow_nor_take_the_request_down() {
    // Lengths are written from the inside out into the front of one buffer, since wrapping the
    // bytes a million times would take a million copies.
    let mut reversed = vec![1, 0x18];
    for level in 0..2_000_000_u32 {
        let length = reversed.len() as u64;
        let mut head = vec![if level % 2 == 0 { 0x0a } else { 0x2a }];
        proto::varint(&mut head, length);
        reversed.extend(head.iter().rev());
    }
    reversed.reverse();
    let read = between_good_spans(span_with_value(&reversed));
    assert_eq!(read.rejected, [RejectReason::TooDeep]);
}

#[test]
fn fault_25_lengths_beyond_the_request_are_refused_without_allocating() {
    for length in [1_u64 << 63, u64::MAX, 1 << 31, 5] {
        let mut request = vec![0x0a];
        proto::varint(&mut request, length);
        request.extend([0; 4]);
        let error = testing::decode(Signal::Traces, &request).unwrap_err();
        assert_eq!(error.reason, "a length reaches beyond its message");

        let item = span_bytes("bad", |buf| {
            buf.push(0x4a);
            proto::varint(buf, length);
        });
        let read = between_good_spans(item);
        assert_eq!(read.rejected, [RejectReason::Malformed]);
    }
}

#[test]
fn fault_25_groups_and_unknown_fields_are_skipped() {
    let item = span_bytes("odd", |buf| {
        proto::varint_field(buf, 1000, 7);
        proto::fixed32_field(buf, 99, 7);
        proto::fixed64_field(buf, 98, 7);
        proto::bytes_field(buf, 97, b"\xff\xff");
        // Group 20 holding group 21 holding a number.
        buf.extend([0xa3, 0x01, 0xab, 0x01, 0x08, 0x01, 0xac, 0x01, 0xa4, 0x01]);
    });
    let read = between_good_spans(item);
    assert_eq!(read.spans[1].name, "odd");

    let unclosed = span_bytes("bad", |buf| buf.extend([0xa3, 0x01]));
    assert_eq!(
        between_good_spans(unclosed).rejected,
        [RejectReason::Malformed]
    );
    let endless = span_bytes("bad", |buf| {
        for _ in 0..1_000_000 {
            buf.extend([0xa3, 0x01]);
        }
    });
    assert_eq!(
        between_good_spans(endless).rejected,
        [RejectReason::Malformed]
    );
}

#[test]
fn fault_25_text_that_is_not_utf8_is_kept_with_its_bad_bytes_marked() {
    let read = between_good_spans(span_bytes("", |buf| {
        proto::bytes_field(buf, 5, b"caf\xe9 au lait");
    }));
    assert_eq!(read.spans[1].name, "caf\u{fffd} au lait");
    assert_eq!(read.decoded.repaired_texts, 1);
}

#[test]
fn fault_30_a_record_may_have_many_attributes_but_not_unboundedly_many() {
    let with_empty_attributes =
        |count| span_bytes("wide", |buf| buf.extend([0x4a, 0].repeat(count)));
    let read = between_good_spans(with_empty_attributes(10_000));
    assert_eq!(read.spans[1].attributes.len(), 10_000);
    let read = between_good_spans(with_empty_attributes(200_000));
    assert_eq!(read.rejected, [RejectReason::TooLarge]);

    let long = "x".repeat(10 << 20);
    let span = Span {
        attributes: vec![KeyValue::new("long", long.as_str())],
        ..good_span("long")
    };
    let request = encode::request(&Resource::default(), &Scope::default(), &[span]);
    let read = testing::decode(Signal::Traces, &request).unwrap();
    assert_eq!(
        read.spans[0].attributes[0].value.as_str().map(str::len),
        Some(10 << 20)
    );
}

#[test]
fn fields_may_come_in_any_order_and_messages_in_pieces() {
    // Scopes before the resource, spans before the scope, the resource in two pieces.
    let mut scope = Vec::new();
    proto::bytes_field(&mut scope, 2, &span_bytes("early", |_| {}));
    proto::bytes_field(&mut scope, 1, &[0x0a, 1, b's']);
    let mut resource = Vec::new();
    proto::bytes_field(&mut resource, 2, &scope);
    for value in [&b"\x0a\x03\x0a\x01a"[..], b"\x0a\x03\x0a\x01b"] {
        proto::bytes_field(&mut resource, 1, value);
    }
    let mut request = Vec::new();
    proto::bytes_field(&mut request, 1, &resource);

    let read = testing::decode(Signal::Traces, &request).unwrap();
    let keys: Vec<_> = read.resources[0]
        .attributes
        .iter()
        .map(|item| &*item.key)
        .collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(read.scopes[0].name, "s");
    assert_eq!(read.spans[0].name, "early");
}

#[test]
fn the_last_of_several_values_counts_and_lists_are_joined() {
    let check = |value: &[u8], expected: Value<'_>| {
        let read = between_good_spans(span_with_value(value));
        assert_eq!(read.spans[1].attributes[0].value, expected);
    };
    check(&[0x18, 1, 0x18, 2], Value::Int(2));
    check(&[0x18, 1, 0x10, 1], Value::Bool(true));
    check(
        &[0x2a, 4, 0x0a, 2, 0x18, 1, 0x2a, 4, 0x0a, 2, 0x18, 2],
        Value::Array(vec![Value::Int(1), Value::Int(2)]),
    );
    check(&[0x2a, 4, 0x0a, 2, 0x18, 1, 0x0a, 1, b'x'], "x".into());
    check(&[], Value::Empty);
}

#[test]
fn a_resource_beyond_the_limits_refuses_what_is_under_it_and_nothing_else() {
    let mut attribute = Vec::new();
    proto::bytes_field(&mut attribute, 2, &nested(65, 5));
    let mut resource = Vec::new();
    proto::bytes_field(&mut resource, 1, &attribute);
    let mut request = Vec::new();
    let outer = encode::open_resource_encoded(&mut request, &resource);
    let inner = encode::open_scope(&mut request, &Scope::default());
    encode::span(&mut request, &good_span("one"));
    encode::span(&mut request, &good_span("two"));
    encode::close(&mut request, inner);
    encode::close(&mut request, outer);
    request.extend(request_of(&[span_bytes("three", |_| {})]));

    let read = testing::decode(Signal::Traces, &request).unwrap();
    assert_eq!(read.rejected, [RejectReason::TooDeep; 2]);
    assert_eq!(read.spans.len(), 1);
}

#[test]
fn a_request_that_is_no_protobuf_is_refused_whole() {
    let check = |bytes: &[u8]| {
        for signal in Signal::ALL {
            assert!(testing::decode(signal, bytes).is_err(), "{bytes:?}");
        }
    };
    check(b"garbage");
    check(b"{\"resourceSpans\":[]}");
    check(&[0x08, 0x80]);
    // The resources as a number.
    check(&[0x08, 1]);
    // A scope that ends inside a length.
    check(&[0x0a, 2, 0x12, 5]);
    let mut cut = request_of(&[span_bytes("cut", |_| {})]);
    cut.pop();
    check(&cut);
}

#[test]
fn an_empty_request_is_good() {
    for signal in Signal::ALL {
        assert_eq!(testing::decode(signal, &[]), Ok(Records::default()));
        assert_eq!(testing::decode(signal, &[0x0a, 0]), Ok(Records::default()));
    }
}

#[test]
fn data_points_are_counted() {
    let ledger = ringlight_model::ThreadLedger::default();
    let report = crate::ledger_report::Report {
        ledger: &ledger,
        cost: None,
        delivery: None,
        rules: &[],
        start_unix_nano: 0,
        time_unix_nano: 0,
        is_final: false,
    };
    let request = crate::ledger_report::encode(&Resource::default(), &report);
    let read = testing::decode(Signal::Metrics, &request).unwrap();
    // Two signals, each with six outcomes and the drops by reason; and the negative durations.
    let points = 2 * (6 + ringlight_model::DropReason::ALL.len() as u64) + 1;
    assert_eq!(read.decoded.records, points);
}

#[test]
fn the_memory_of_one_record_does_not_leak_into_the_next() {
    let full = LogRecord {
        severity_text: "WARN".into(),
        body: "text".into(),
        attributes: vec![KeyValue::new("a", 1_i64)],
        trace_id: TraceId::new(1),
        ..LogRecord::default()
    };
    let logs = [full.clone(), LogRecord::default(), full];
    let request = encode::request(&Resource::default(), &Scope::default(), &logs);
    let mut read = Records::default();
    OtlpDecoder::default()
        .decode(Signal::Logs, &request, &mut read)
        .unwrap();
    assert_eq!(read.logs, logs);
}

#[test]
fn a_request_has_no_more_log_records_than_it_may() {
    // Empty ones, in one scope of one resource.
    let records = LOGS_MAX + 3;
    let mut scope = Vec::new();
    (0..records).for_each(|_| proto::bytes_field(&mut scope, 2, &[]));
    let (mut resource, mut request) = (Vec::new(), Vec::new());
    proto::bytes_field(&mut resource, 2, &scope);
    proto::bytes_field(&mut request, 1, &resource);
    let decoder = crate::OtlpDecoder::default();
    let decoded = decoder.walk(Signal::Logs, &request, &mut crate::Ignore);
    let decoded = decoded.unwrap();
    assert_eq!((decoded.records, decoded.rejected), (LOGS_MAX, 3));
}
