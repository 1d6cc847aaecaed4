//! What matches.

use std::borrow::Cow;

use ringlight_model::{KeyValue, Severity, SpanId, SpanKind, StatusCode, TraceId, Value};

use super::super::{Constraint, QuerySignal, equality_forms};
use super::{Query, TestRecord, logs, traces};

fn span() -> TestRecord {
    TestRecord {
        name: "GET /cart".to_owned(),
        duration_nano: 150_000_000,
        status: StatusCode::Error,
        status_message: "timed out".to_owned(),
        kind: SpanKind::Server,
        trace_id: TraceId::new(0xaa),
        span_id: SpanId::new(0xbb),
        trace_duration_nano: 2_000_000_000,
        root_name: Some("root".to_owned()),
        own: vec![
            KeyValue::new("method", "GET"),
            KeyValue::new("code", 500_i64),
            KeyValue::new("big", 9_007_199_254_740_993_i64),
            KeyValue::new("share", 0.25),
            KeyValue::new("round", 3.0),
            KeyValue::new("nan", f64::NAN),
            KeyValue::new("cached", true),
            KeyValue::new("cold", false),
            KeyValue::new("empty", ""),
            KeyValue::new("none", Value::Empty),
            KeyValue::new("blob", Value::Bytes(Cow::Borrowed(b"x"))),
            KeyValue::new("map", Value::Map(vec![KeyValue::new("k", "v")])),
            KeyValue::new("tags", Value::Array(vec!["a".into(), "b".into()])),
            KeyValue::new("mixed", Value::Array(vec!["a".into(), Value::Int(7)])),
            KeyValue::new("nested", Value::Array(vec![Value::Array(vec!["a".into()])])),
            KeyValue::new("nothing", Value::Array(Vec::new())),
            KeyValue::new("shared", "own"),
            KeyValue::new("lines", "one\ntwo"),
        ],
        resource: vec![
            KeyValue::new("service.name", "shop"),
            KeyValue::new("shared", "resource"),
        ],
        events: vec![
            ("start".to_owned(), vec![KeyValue::new("attempt", 1_i64)]),
            (
                "exception".to_owned(),
                vec![KeyValue::new("attempt", 2_i64)],
            ),
        ],
        ..TestRecord::default()
    }
}

fn check_all(record: &TestRecord, parse: fn(&str) -> Query, expected: bool, queries: &[&str]) {
    for text in queries {
        let query = parse(text);
        assert_eq!(query.matches(record), expected, "`{text}`");
        // A comparison in parentheses behind `!` is its opposite, always.
        let inner = text.trim_start_matches('{').trim_end_matches('}');
        if !inner.trim().is_empty() {
            let opposite = parse(&format!("!({inner})"));
            assert_eq!(opposite.matches(record), !expected, "`{opposite}`");
        }
    }
}

#[test]
fn spans_that_match() {
    check_all(
        &span(),
        traces,
        true,
        &[
            "",
            "{ }",
            "true",
            "!false",
            r#"name = "GET /cart""#,
            r#"name != "x""#,
            r#"name > "GET""#,
            r#"name <= "GET /cart""#,
            "duration = 150ms",
            "duration > 100ms",
            "duration >= 150ms",
            "duration < 0.2s",
            "duration != 1s",
            "duration = 150000000",
            "duration < 150000000.5",
            "duration > 1.5",
            "100ms < duration",
            "duration != nil",
            "status = error",
            "status != ok",
            "error = status",
            "kind = server",
            "kind != client",
            r#"statusMessage =~ "timed.*""#,
            r#"rootName = "root""#,
            "traceDuration = 2s",
            "rootServiceName = nil",
            "span:parentID = nil",
            "span:id != nil",
            r#"trace:id = "000000000000000000000000000000aa""#,
            r#"span:id = "00000000000000BB""#,
            r#"span:id != "0000000000000001""#,
            r#"span.method = "GET""#,
            r#".method = "GET""#,
            r#"resource.service.name = "shop""#,
            r#".service.name = "shop""#,
            "span.code = 500",
            "span.code >= 500",
            "span.code = 500.0",
            "span.code < 500.5",
            "span.code > -1",
            "span.code > 499ns",
            "500 = span.code",
            "span.share = 0.25",
            "span.share < 1",
            "span.round = 3",
            "span.round = 3.0",
            "span.big = 9007199254740993",
            "span.big != 9007199254740992.0",
            "span.big > 9007199254740992.0",
            "span.nan != 1",
            "span.nan != nil",
            "span.cached",
            "span.cached = true",
            "span.cached != false",
            "span.cold = false",
            "!span.cold",
            r#"span.empty = """#,
            "span.empty != nil",
            "span.none = nil",
            "span.missing = nil",
            "span.blob != nil",
            "span.map != nil",
            "span.nothing != nil",
            r#"span.tags = "a""#,
            r#"span.tags = "b""#,
            r#"span.tags != "c""#,
            r#"span.tags =~ "[ab]""#,
            r#"span.tags !~ "c.*""#,
            r#"span.mixed = "a""#,
            "span.mixed = 7",
            "span.mixed > 6",
            // The span's own attribute hides the resource's.
            r#".shared = "own""#,
            r#"resource.shared = "resource""#,
            // Some event.
            "event.attempt = 1",
            "event.attempt = 2",
            "event.attempt != 1",
            r#"event:name = "exception""#,
            // Anchored at both ends; `.` is every character but the line feed, `(?s)` makes it that too.
            r#"name =~ "GET.*""#,
            r#"name =~ ".*cart""#,
            r#"name !~ "GET""#,
            r#"name =~ "x|GET /cart""#,
            r#"span.lines =~ "(?s)one.*""#,
            r#"span.lines !~ "one.*""#,
            r#"name =~ "(?i)get /CART""#,
            "name =~ `(?x) GET .* # any path`",
            // Logic.
            "span.cached && status = error",
            "span.cold || span.cached",
            "span.cold || span.missing || true",
            "span.cached && span.cold || status = error",
        ],
    );
}

#[test]
fn spans_that_do_not_match() {
    check_all(
        &span(),
        traces,
        false,
        &[
            "false",
            "!true",
            r#"name = "get /cart""#,
            r#"name = "GET""#,
            r#"name =~ "GET""#,
            r#"name =~ "/cart""#,
            "duration > 150ms",
            "duration < -5s",
            "duration = nil",
            "status = unset",
            "kind != server",
            r#"rootServiceName = "shop""#,
            r#"rootServiceName != "shop""#,
            "rootServiceName != nil",
            r#"span:parentID = "00000000000000bb""#,
            r#"trace:id != "000000000000000000000000000000aa""#,
            // The wrong type is no match, whatever the operator.
            r#"span.code = "500""#,
            r#"span.code != "x""#,
            "span.method = 5",
            "span.method != 5",
            "span.cached = 1",
            r#"span.cached = "true""#,
            "span.method",
            "span.code",
            r#"span.code =~ "5.*""#,
            r#"span.code !~ "x""#,
            "span.blob = 1",
            r#"span.blob != "x""#,
            r#"span.map = "v""#,
            r#"span.map != "v""#,
            // Nor is what is missing.
            "span.missing",
            "span.missing = 1",
            "span.missing != 1",
            r#"span.missing !~ "x""#,
            "span.missing != nil",
            "span.none != nil",
            "span.none != 1",
            "span.method = nil",
            r#"resource.method = "GET""#,
            r#"span.service.name = "shop""#,
            r#".shared = "resource""#,
            "span.nan = 1",
            "span.nan < 1",
            "span.nan >= 1",
            "span.big = 9007199254740992.0",
            r#"span.tags != "a""#,
            r#"span.tags !~ "a|x""#,
            r#"span.tags = "c""#,
            "span.tags = 1",
            r#"span.mixed != "z""#,
            r#"span.nested = "a""#,
            r#"span.nested != "a""#,
            r#"span.nothing = "a""#,
            r#"span.nothing != "a""#,
            "event.attempt = 3",
            "event.attempt = nil",
            "event.missing != nil",
            r#"event:name = "stop""#,
            r#"span.lines =~ "one""#,
            "span.cached && span.cold",
            "span.cold || span.missing",
        ],
    );
}

#[test]
fn log_records() {
    let record = TestRecord {
        severity: Severity::from_otlp(14),
        body: "request timeout after 5 s".to_owned(),
        own: vec![KeyValue::new("user", 7_i64)],
        resource: vec![KeyValue::new("service.name", "shop")],
        ..TestRecord::default()
    };
    check_all(
        &record,
        logs,
        true,
        &[
            "severity = warn",
            "severity >= warn",
            "severity <= warn",
            "severity > info",
            "severity < error",
            "severity != error",
            "severity = 14",
            "severity > 13",
            "warn <= severity",
            r#"body =~ ".*timeout.*""#,
            r#"body != "x""#,
            "log.user = 7",
            ".user = 7",
            r#"resource.service.name = "shop""#,
            "trace:id = nil",
            "span:id = nil",
            r#"severity >= warn && body =~ ".*timeout.*""#,
        ],
    );
    check_all(
        &record,
        logs,
        false,
        &[
            "severity > warn",
            "severity < warn",
            "severity != warn",
            "severity = 13",
            "severity = nil",
            r#"body =~ "timeout""#,
            "log.service.name != nil",
            "trace:id != nil",
        ],
    );
    // Without a severity every comparison fails: nothing is known.
    let silent = TestRecord::default();
    check_all(&silent, logs, true, &["severity = nil"]);
    check_all(
        &silent,
        logs,
        false,
        &[
            "severity < warn",
            "severity >= trace",
            "severity != warn",
            "severity = 0",
            "severity != nil",
        ],
    );
}

/// Each query and what a block must have for it.
fn constraints(signal: QuerySignal, queries: &[&str]) -> String {
    queries
        .iter()
        .map(|text| {
            let query = Query::parse(text, signal).unwrap();
            format!("{text}\n  {:?}\n", query.constraints().all)
        })
        .collect()
}

#[test]
fn what_a_block_must_have() {
    insta::assert_snapshot!(constraints(QuerySignal::Traces, &[
        "{ }", "false", "!true", "span.a && false", "false || false", "span.a || true",
        r#"name = "x" && status = error && kind = server && duration > 100ms"#,
        r#"resource.service.name = "shop" && span.code = 500.0 && .flag"#,
        "duration < 1s", "duration = 5", "duration < 0s", "duration > -1s", "duration != 1s",
        "traceDuration >= 1s", "span.a = nil", "span.a != nil", "span.a != 5", "span.a > 5", "span.a <= 2ms",
        r#"span.a =~ "x""#, "!(span.a = 5)", "!span.a", r#"name != "x""#, "status != error",
        r#"name = "x" || name = "y" && status = error"#.split(" || ").next().unwrap(),
        r#"name = "x" || (name = "y" && status = error)"#, "span.a || span.b > 1", "span.a || false",
        r#"rootName = "x""#, r#"event:name = "exception""#,
        r#"trace:id = "000000000000000000000000000000aa""#,
    ]), @r#"
    { }
      []
    false
      [Never]
    !true
      [Never]
    span.a && false
      [Never]
    false || false
      [Never]
    span.a || true
      []
    name = "x" && status = error && kind = server && duration > 100ms
      [Intrinsic(Name, "x"), Status(Error), Kind(Server), Duration { min_nano: 100000001, max_nano: 18446744073709551615 }]
    resource.service.name = "shop" && span.code = 500.0 && .flag
      [Equals { scope: Resource, key: "service.name", form: Str("shop") }, Number { scope: Span, key: "code", min: 500.0, max: 500.0 }, Equals { scope: Span, key: "code", form: Int(500) }, Equals { scope: Any, key: "flag", form: Bool(true) }]
    duration < 1s
      [Duration { min_nano: 0, max_nano: 999999999 }]
    duration = 5
      [Duration { min_nano: 5, max_nano: 5 }]
    duration < 0s
      [Never]
    duration > -1s
      [Duration { min_nano: 0, max_nano: 18446744073709551615 }]
    duration != 1s
      [Duration { min_nano: 0, max_nano: 18446744073709551615 }]
    traceDuration >= 1s
      [TraceDuration { min_nano: 1000000000 }]
    span.a = nil
      []
    span.a != nil
      [Present { scope: Span, key: "a" }]
    span.a != 5
      [Present { scope: Span, key: "a" }]
    span.a > 5
      [Present { scope: Span, key: "a" }, Number { scope: Span, key: "a", min: 5.0, max: inf }]
    span.a <= 2ms
      [Present { scope: Span, key: "a" }, Number { scope: Span, key: "a", min: -inf, max: 2000000.0 }]
    span.a =~ "x"
      [Present { scope: Span, key: "a" }, Contains { scope: Span, key: "a", text: "x" }]
    !(span.a = 5)
      []
    !span.a
      []
    name != "x"
      []
    status != error
      []
    name = "x"
      [Intrinsic(Name, "x")]
    name = "x" || (name = "y" && status = error)
      [AnyOf([Constraints { all: [Intrinsic(Name, "x")] }, Constraints { all: [Intrinsic(Name, "y"), Status(Error)] }])]
    span.a || span.b > 1
      [AnyOf([Constraints { all: [Equals { scope: Span, key: "a", form: Bool(true) }] }, Constraints { all: [Present { scope: Span, key: "b" }, Number { scope: Span, key: "b", min: 1.0, max: inf }] }])]
    span.a || false
      [Equals { scope: Span, key: "a", form: Bool(true) }]
    rootName = "x"
      [Intrinsic(RootName, "x")]
    event:name = "exception"
      [Intrinsic(EventName, "exception")]
    trace:id = "000000000000000000000000000000aa"
      [TraceId(000000000000000000000000000000aa)]
    "#);
    insta::assert_snapshot!(constraints(QuerySignal::Logs, &[
        "severity >= warn", "severity < warn", "severity = error", "severity < trace", "severity > 24",
        "severity != warn", "severity = 14", r#"body = "a b""#, r#"body = """#,
        r#"body =~ ".*connection (reset|closed) by peer.*""#, r#"body =~ "(?i)x""#, r#"body =~ "a|b""#,
        r#"body =~ "(?i)ö 4a""#, r#"body =~ "(?i)ab.*cd[0-9]e""#,
        r#"body =~ "(abc)+d?e*""#, r#"log.user = "x""#, r#"eventName = "login""#,
    ]), @r#"
    severity >= warn
      [Severity { min: 13, max: 24 }]
    severity < warn
      [Severity { min: 1, max: 12 }]
    severity = error
      [Severity { min: 17, max: 20 }]
    severity < trace
      [Never]
    severity > 24
      [Never]
    severity != warn
      [Severity { min: 1, max: 24 }]
    severity = 14
      [Severity { min: 14, max: 14 }]
    body = "a b"
      [BodyContains("a b")]
    body = ""
      []
    body =~ ".*connection (reset|closed) by peer.*"
      [BodyContains("connection "), BodyContains(" by peer")]
    body =~ "(?i)x"
      []
    body =~ "a|b"
      []
    body =~ "(?i)ö 4a"
      [BodyContains(" 4"), AnyOf([Constraints { all: [BodyContains("Ö 4")] }, Constraints { all: [BodyContains("ö 4")] }]), AnyOf([Constraints { all: [BodyContains(" 4A")] }, Constraints { all: [BodyContains(" 4a")] }])]
    body =~ "(?i)ab.*cd[0-9]e"
      []
    body =~ "(abc)+d?e*"
      [BodyContains("abc")]
    log.user = "x"
      [Equals { scope: Log, key: "user", form: Str("x") }]
    eventName = "login"
      [Intrinsic(EventName, "login")]
    "#);
}

#[test]
fn equal_values_have_an_equal_form() {
    fn forms<'a>(value: &'a Value<'_>) -> Vec<super::super::EqualityForm<'a>> {
        let mut forms = Vec::new();
        equality_forms(value, &mut |form| forms.push(form));
        forms
    }
    assert_eq!(forms(&Value::Int(5)), forms(&Value::Double(5.0)));
    assert_eq!(forms(&Value::Double(0.0)), forms(&Value::Double(-0.0)));
    assert_ne!(forms(&Value::Double(0.5)), forms(&Value::Int(0)));
    assert_eq!(forms(&Value::Double(2_f64.powi(63))).len(), 1);
    assert_eq!(
        forms(&Value::Double(-(2_f64.powi(63)))),
        forms(&Value::Int(i64::MIN))
    );
    assert_eq!(
        forms(&Value::Array(vec![Value::Int(1), "x".into()])).len(),
        2
    );
    let nested = Value::Array(vec![Value::Array(vec![Value::Int(1)])]);
    assert_eq!(forms(&nested), []);
    assert_eq!(forms(&Value::Empty), []);

    let query = traces("span.a = 5");
    let constraints = query.constraints().all;
    let [Constraint::Number { .. }, Constraint::Equals { form, .. }] = &constraints[..] else {
        panic!("`span.a = 5` has two constraints");
    };
    assert_eq!(forms(&Value::Double(5.0)), std::slice::from_ref(form));
}
