//! OTLP/JSON in and out. Numbers are those of the project's list of faults.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use ringlight_model::{
    DecodeError, Limits, RecordVisitor as _, RejectReason, Signal, SpanId, SpanKind, TraceId, Value,
};

use super::*;
use crate::testing::{self, Records};

mod metrics;

fn convert(signal: Signal, json: &str) -> Result<Converted, DecodeError> {
    to_protobuf(signal, json.as_bytes(), &Limits::default())
}

/// What a JSON request holds once it is converted and decoded.
fn read(signal: Signal, json: &str) -> Records {
    let converted = convert(signal, json).unwrap();
    testing::decode(signal, &converted.request).unwrap()
}

/// A request of one span with valid ids and `members` besides.
fn request(members: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[
        {{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"{members}}}]}}]}}]}}"#
    )
}

fn span_with(members: &str) -> ringlight_model::Span<'static> {
    let mut records = read(Signal::Traces, &request(&format!(",{members}")));
    assert_eq!(records.rejected, []);
    records.spans.remove(0)
}

fn rejected_with(members: &str) -> Vec<RejectReason> {
    let json = request(&format!(",{members}")).replacen(
        "[\n",
        r#"[{"traceId":"01020304050607080102030405060708","spanId":"0102030405060709"},"#,
        1,
    );
    let records = read(Signal::Traces, &json);
    assert_eq!(records.spans.len(), 1, "the good span arrives");
    records.rejected
}

fn value_of(value: &str) -> Value<'static> {
    let mut span = span_with(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#));
    span.attributes.remove(0).value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn our_traces_are_read_by_others_and_by_us(
        resource in testing::resource(),
        scope in testing::scope(),
        spans in vec(testing::span(), 0..4),
    ) {
        let mut writer = Writer::new(Signal::Traces);
        writer.resource(&resource);
        writer.scope(&scope);
        for span in &spans {
            writer.span(span);
        }
        let json = writer.finish();
        let records = read(Signal::Traces, &json);
        prop_assert_eq!(&records.spans, &spans);
        // Others: as far as prost's JSON goes, which is checked through plain JSON here since it
        // refuses absent members.
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let written = value["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        prop_assert_eq!(written.len(), spans.len());
        for (json, span) in written.iter().zip(&spans) {
            prop_assert_eq!(json["traceId"].as_str().unwrap(), span.trace_id.to_string());
            if !span.name.is_empty() {
                prop_assert_eq!(json["name"].as_str().unwrap(), &span.name);
            }
        }
    }

    #[test]
    fn traces_of_an_independent_writer_are_read(
        resource in testing::resource(),
        scope in testing::scope(),
        spans in vec(testing::span(), 1..3),
    ) {
        let request: ExportTraceServiceRequest = testing::pb_traces(&resource, &scope, &spans);
        let json = serde_json::to_string(&request).unwrap();
        let records = read(Signal::Traces, &json);
        prop_assert_eq!(records.resources, vec![resource]);
        prop_assert_eq!(records.scopes, vec![scope]);
        prop_assert_eq!(records.spans, spans);
    }

    #[test]
    fn logs_of_an_independent_writer_are_read(
        resource in testing::resource(),
        scope in testing::scope(),
        logs in vec(testing::log(), 1..3),
    ) {
        let request: ExportLogsServiceRequest =
            testing::pb_log_request(&resource, &scope, &logs);
        let json = serde_json::to_string(&request).unwrap();
        let records = read(Signal::Logs, &json);
        prop_assert_eq!(&records.logs, &logs);

        let mut writer = Writer::new(Signal::Logs);
        writer.resource(&resource);
        writer.scope(&scope);
        for log in &logs {
            writer.log(log);
        }
        prop_assert_eq!(read(Signal::Logs, &writer.finish()).logs, logs);
    }

    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        for signal in Signal::ALL {
            let _ = convert(signal, &text);
        }
    }

    #[test]
    fn mutated_requests_never_panic(
        spans in vec(testing::span(), 1..3),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut writer = Writer::new(Signal::Traces);
        for span in &spans {
            writer.span(span);
        }
        let mut json = writer.finish().into_bytes();
        for (at, byte) in changes {
            let at = at.index(json.len());
            json[at] = byte;
        }
        for json in [&json[..], &json[..cut.index(json.len())]] {
            if let Ok(converted) = to_protobuf(Signal::Traces, json, &Limits::default()) {
                testing::decode(Signal::Traces, &converted.request).unwrap();
            }
        }
    }
}

#[test]
fn fault_26_ids_are_hexadecimal_in_any_case_and_nothing_else() {
    let ids = |trace: &str, span: &str| {
        let json = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":{trace},"spanId":{span}}}]}}]}}]}}"#
        );
        let records = read(Signal::Traces, &json);
        match records.spans.first() {
            Some(span) => Ok((span.trace_id, span.span_id)),
            None => Err(records.rejected[0]),
        }
    };
    let upper = r#""5B8EFFF798038103D269B633813FC60C""#;
    let lower = r#""5b8efff798038103d269b633813fc60c""#;
    let expected = Ok((
        TraceId::new(0x5b8e_fff7_9803_8103_d269_b633_813f_c60c),
        SpanId::new(0xeee1_9b7e_c3c1_b174),
    ));
    assert_eq!(ids(upper, r#""EEE19B7EC3C1B174""#), expected);
    assert_eq!(ids(lower, r#""eee19b7ec3c1b174""#), expected);

    let check = |trace: &str, span: &str, reason| assert_eq!(ids(trace, span), Err(reason));
    check("17", r#""eee19b7ec3c1b174""#, RejectReason::Malformed);
    check(lower, "1", RejectReason::Malformed);
    // Base64, as plain proto3 JSON would have it.
    check(
        r#""W47/95gDgQPSabYzgT/GDA==""#,
        lower,
        RejectReason::Malformed,
    );
    check(r#""5b8e""#, r#""eee19b7ec3c1b174""#, RejectReason::IdLength);
    // 31 and 33 digits must not be rounded to 16 bytes.
    check(
        &format!("\"{}\"", "1".repeat(31)),
        r#""01""#,
        RejectReason::IdLength,
    );
    check(
        &format!("\"{}\"", "1".repeat(33)),
        r#""01""#,
        RejectReason::IdLength,
    );
    check(r#""""#, r#""eee19b7ec3c1b174""#, RejectReason::ZeroTraceId);
    check("null", r#""eee19b7ec3c1b174""#, RejectReason::ZeroTraceId);
    check(lower, r#""0000000000000000""#, RejectReason::ZeroSpanId);
}

#[test]
fn fault_26_integers_are_read_from_numbers_and_from_text() {
    for (start, expected) in [
        ("\"1790000000000000001\"", 1_790_000_000_000_000_001),
        ("1790000000000000001", 1_790_000_000_000_000_001),
        ("\"18446744073709551615\"", u64::MAX),
        ("18446744073709551615", u64::MAX),
        ("1e3", 1000),
        ("17.0", 17),
        ("null", 0),
    ] {
        let span = span_with(&format!(
            r#""startTimeUnixNano":{start},"endTimeUnixNano":"18446744073709551615""#
        ));
        assert_eq!(span.start_unix_nano, expected, "{start}");
    }
    assert_eq!(
        value_of(r#"{"intValue":"-9223372036854775808"}"#),
        Value::Int(i64::MIN)
    );
    assert_eq!(value_of(r#"{"intValue":-3}"#), Value::Int(-3));
    for (number, expected) in [
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("9223372036854775808", Value::Double(2_f64.powi(63))),
        // What JavaScript writes for -2^63 and for 10^21.
        ("-9223372036854776000", Value::Double(-(2_f64.powi(63)))),
        ("1e+21", Value::Double(1e21)),
    ] {
        let value = value_of(&format!(r#"{{"intValue":{number}}}"#));
        assert_eq!(value, expected, "{number}");
    }
    for bad in [
        r#""startTimeUnixNano":"18446744073709551616""#,
        r#""startTimeUnixNano":-1"#,
        r#""startTimeUnixNano":1.5"#,
        r#""startTimeUnixNano":"soon""#,
        r#""startTimeUnixNano":true"#,
        r#""flags":4294967296"#,
        r#""attributes":[{"key":"k","value":{"intValue":"9223372036854775808"}}]"#,
        r#""attributes":[{"key":"k","value":{"intValue":1.5}}]"#,
        r#""attributes":[{"key":"k","value":{"intValue":1e400}}]"#,
    ] {
        assert_eq!(rejected_with(bad), [RejectReason::Malformed], "{bad}");
    }
}

#[test]
fn fault_26_enums_are_integers_only() {
    assert_eq!(span_with(r#""kind":2"#).kind, SpanKind::Server);
    assert_eq!(span_with(r#""kind":99"#).kind, SpanKind::Unspecified);
    let named = rejected_with(r#""kind":"SPAN_KIND_SERVER""#);
    assert_eq!(named, [RejectReason::Malformed]);
    let named = rejected_with(r#""status":{"code":"STATUS_CODE_ERROR"}"#);
    assert_eq!(named, [RejectReason::Malformed]);
}

#[test]
fn fault_26_doubles_may_be_named() {
    let check = |json: &str, expected: f64| {
        let Value::Double(value) = value_of(&format!(r#"{{"doubleValue":{json}}}"#)) else {
            panic!("{json}");
        };
        assert!(
            value == expected || value.is_nan() && expected.is_nan(),
            "{json}"
        );
    };
    check("0.5", 0.5);
    check("-1e-3", -0.001);
    check("3", 3.0);
    check("\"0.5\"", 0.5);
    check("\"NaN\"", f64::NAN);
    check("\"Infinity\"", f64::INFINITY);
    check("\"-Infinity\"", f64::NEG_INFINITY);
    for bad in ["\"inf\"", "\"nan\"", "\"\"", "1e999", "true", "{}"] {
        let member = format!(r#""attributes":[{{"key":"k","value":{{"doubleValue":{bad}}}}}]"#);
        assert_eq!(rejected_with(&member), [RejectReason::Malformed], "{bad}");
    }
    // A bare NaN is not JSON at all.
    let bare = request(r#","attributes":[{"key":"k","value":{"doubleValue":NaN}}]"#);
    assert!(convert(Signal::Traces, &bare).is_err());
}

#[test]
fn fault_26_of_a_repeated_member_the_last_counts_and_lists_are_joined() {
    let span = span_with(
        r#""name":"first","name":"last",
        "attributes":[{"key":"a"}],"attributes":[{"key":"b"}]"#,
    );
    assert_eq!(span.name, "last");
    let keys: Vec<_> = span.attributes.iter().map(|item| &*item.key).collect();
    assert_eq!(keys, ["a", "b"]);
    let value = value_of(r#"{"stringValue":"x","boolValue":true}"#);
    assert_eq!(value, Value::Bool(true));
}

#[test]
fn fault_26_snake_case_and_unknown_members_are_ignored_and_the_likely_mistake_is_named() {
    let check = |json: &str, expected: Option<&str>| {
        let converted = convert(Signal::Traces, json).unwrap();
        assert_eq!(converted.snake_case.as_deref(), expected);
        converted
    };
    let converted = check(r#"{"resource_spans":[{}]}"#, Some("resource_spans"));
    assert!(converted.request.is_empty());
    check(
        r#"{"some_thing":[{"a":[1,"]}",{}]}],"else":{"b":null}}"#,
        None,
    );
    check(
        &request(r#","start_time_unix_nano":"5""#),
        Some("start_time_unix_nano"),
    );
}

#[test]
fn fault_26_values_are_taken_to_the_depth_limit_and_deeper_ones_refused_alone() {
    let nested = |depth: usize, open: &str, close: &str| {
        format!(
            r#"{}{{"intValue":1}}{}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    for (open, close) in [
        (r#"{"arrayValue":{"values":["#, "]}}"),
        (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}"),
    ] {
        assert_ne!(value_of(&nested(64, open, close)), Value::Empty);
        let member = |depth| {
            format!(
                r#""attributes":[{{"key":"k","value":{}}}]"#,
                nested(depth, open, close)
            )
        };
        assert_eq!(rejected_with(&member(65)), [RejectReason::TooDeep]);
        assert_eq!(rejected_with(&member(100)), [RejectReason::TooDeep]);
    }
}

#[test]
fn fault_26_a_million_levels_are_refused_without_overflowing() {
    for (open, close) in [
        ("[", "]"),
        (r#"{"a":"#, "}"),
        (r#"{"arrayValue":{"values":["#, "]}}"),
    ] {
        let deep = format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
        let places = [
            deep.clone(),
            format!(r#"{{"unknown":{deep}}}"#),
            request(&format!(r#","attributes":[{{"key":"k","value":{deep}}}]"#)),
            open.repeat(1_000_000),
        ];
        for json in places {
            let error = convert(Signal::Traces, &json).unwrap_err();
            assert!(
                error.reason.contains("512") || error.reason.contains("expected"),
                "{error}"
            );
        }
    }
}

#[test]
fn text_is_read_with_every_escape() {
    let check = |json: &str, expected: &str| {
        assert_eq!(span_with(&format!(r#""name":"{json}""#)).name, expected);
    };
    check("plain é", "plain é");
    check(r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t");
    check(r"\u00e9 \ud83d\ude00 end", "é 😀 end");
    check(r"\ud83d alone", "\u{fffd} alone");
    check(r"\ud83d\u0041", "\u{fffd}A");
    check(r"\ude00", "\u{fffd}");
}

#[test]
fn bytes_are_base64_of_either_alphabet() {
    let check = |json: &str, expected: &[u8]| {
        let value = value_of(&format!(r#"{{"bytesValue":"{json}"}}"#));
        assert_eq!(value, Value::Bytes(expected.into()));
    };
    check("", b"");
    check("/+8=", b"\xff\xef");
    check("_-8", b"\xff\xef");
    check("YWJj", b"abc");
    for bad in ["A", "????", "YW=Jj"] {
        let member = format!(r#""attributes":[{{"key":"k","value":{{"bytesValue":"{bad}"}}}}]"#);
        assert_eq!(rejected_with(&member), [RejectReason::Malformed], "{bad}");
    }
}

#[test]
fn what_is_no_json_or_no_request_is_refused_with_its_place() {
    let check = |json: &[u8], offset: usize, reason: &str| {
        let error = to_protobuf(Signal::Traces, json, &Limits::default()).unwrap_err();
        assert_eq!((error.offset, error.reason), (offset, reason));
    };
    check(b"", 0, "the JSON text ends too early");
    check(b"garbage", 0, "expected a JSON value");
    check(b"[]", 0, "expected a JSON object");
    check(b"{", 1, "expected the name of an object member in quotes");
    check(
        b"{}x",
        2,
        "there is more text after the end of the JSON value",
    );
    check(
        b"{\"a\"1}",
        4,
        "expected `:` after the name of an object member",
    );
    check(
        b"{\"a\":1 \"b\":2}",
        7,
        "expected `,` or the end of the list or object",
    );
    check(
        b"{\"a\":01}",
        6,
        "expected `,` or the end of the list or object",
    );
    check(b"{\"a\":-}", 6, "expected a digit");
    check(
        b"{\"a\":\"\n\"}",
        6,
        "a control character in a string is not escaped",
    );
    check(b"{\"a\":\"\\x\"}", 8, "an unknown escape in a string");
    check(
        b"{\"a\":\"\\u12\"}",
        8,
        "expected four hexadecimal digits after `\\u`",
    );
    check(b"{\"a\":\"x", 7, "the JSON text ends inside a string");
    check(b"{\"a\":\"\xff\"}", 6, "the JSON text is not UTF-8");
    check(b"{\"resourceSpans\":{}}", 17, "expected a JSON list");
    check(b"{\"resourceSpans\":[1]}", 18, "expected a JSON object");
}

#[test]
fn empty_and_null_requests_are_good() {
    for json in [
        "{}",
        " {\"resourceSpans\":[]}\n",
        "{\"resourceSpans\":null}",
        "{\"resourceSpans\":[{\"resource\":null,\"scopeSpans\":[{\"spans\":[]}]}]}",
    ] {
        assert_eq!(read(Signal::Traces, json).spans, []);
    }
}

#[test]
fn metrics_and_profiles_are_counted() {
    let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"m","gauge":{"dataPoints":[{"asDouble":0.5},{"asInt":"3"}]}},
        {"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[
            {"count":"2","sum":3,"bucketCounts":["1",1],"explicitBounds":[1.5],"min":0}]}},
        {"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[
            {"scale":-2,"positive":{"offset":-1,"bucketCounts":["7"]}}]}},
        {"name":"s","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5,"value":1}]}]}}
    ]}]}]}"#;
    assert_eq!(read(Signal::Metrics, json).decoded.records, 5);
    let json = r#"{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"sample":[]},{}]}]}],
        "dictionary":{"stringTable":[""]}}"#;
    assert_eq!(read(Signal::Profiles, json).decoded.records, 2);
}
