//! Searches over generated records agree with looking at every record, whatever was sealed, skipped
//! or still in memory, page by page.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use ringlight_model::{
    KeyValue, LogRecord, Resource, Scope, Severity, Signal, Span, SpanEvent, SpanId, SpanKind,
    Status, StatusCode, TraceId, Value,
};
use ringlight_otlp::{OtlpDecoder, encode};
use ringlight_store::query::{
    AttributeScope, Field, FieldValue, Fields, Intrinsic, Query, QuerySignal,
};
use ringlight_store::{Cancel, Durability, Ingest, LogSearch, Store, StoreConfig, TraceSearch};

const START: u64 = 1_790_000_000_000_000_000;

const ABOUT_SPANS: [&str; 54] = [
    "",
    "false",
    r#"name = "a""#,
    r#"name != "a""#,
    r#"name =~ "[ab]""#,
    r#"name = "nowhere""#,
    r#"name > "b""#,
    "duration > 500ns",
    "duration <= 100ns",
    "duration = 7ns",
    "duration > 1h",
    "status = error",
    "status != error && kind = server",
    "kind = client || kind = producer",
    r#"statusMessage =~ "bad.*""#,
    r#"resource.service.name = "shop""#,
    r#".service.name = "bank""#,
    r#"resource.service.name != "shop""#,
    r#"resource.service.name = "nowhere""#,
    "span.number = 3",
    "span.number = 3.0",
    "span.number > 3 && span.number < 6.5",
    "span.number != 3",
    "span.number = nil",
    "span.number != nil",
    r#"span.text = "x""#,
    r#"span.text =~ "x|y""#,
    r#"span.text = "nowhere""#,
    r#"span.text = 3"#,
    "span.flag",
    "!span.flag",
    "span.flag = false",
    r#"span.list = "x""#,
    r#"span.list != "x""#,
    r#".mixed = "x" || .mixed = 3"#,
    "span.missing != nil",
    r#"event:name = "exception""#,
    "event.attempt = 2",
    "event.attempt != nil && status = error",
    r#"rootName = "a""#,
    r#"rootName = "a" && name = "b""#,
    r#"rootServiceName = "shop" && status = error"#,
    "rootName = nil",
    r#"rootName =~ "[ab]""#,
    r#"rootName != "a" && span.flag"#,
    r#"!(rootName = "a")"#,
    r#"rootServiceName =~ "s.*" && name != "a""#,
    r#"rootName = "a" || span.number = 3"#,
    r#"(rootName = "a" && name = "b") || (rootServiceName != "shop" && name = "c")"#,
    "traceDuration > 2us && span.flag",
    "span:parentID = nil",
    "{ } | count() > 3",
    r#"{ name = "a" } | count() = 2"#,
    r#"{ !(name = "a") && duration > 10ns } | count() >= 2 | count() < 5"#,
];

const ABOUT_LOGS: [&str; 24] = [
    "",
    "false",
    "severity >= warn",
    "severity < warn",
    "severity = error",
    "severity != info",
    "severity = nil",
    "severity = 14",
    r#"body = "request timeout""#,
    r#"body =~ ".*timeout.*""#,
    r#"body =~ ".*(timeout|refused).*""#,
    r#"body !~ ".*timeout.*""#,
    r#"body =~ ".*nowhere.*""#,
    r#"severity >= warn && body =~ ".*timeout.*""#,
    r#"resource.service.name = "shop""#,
    r#".service.name != "shop""#,
    "log.number = 3",
    r#"log.text = "x""#,
    "log.flag",
    "log.number = nil && log.text = nil",
    r#"eventName = "login""#,
    "trace:id = nil",
    r#"trace:id = "00000000000000000000000000000002""#,
    r#"instrumentation:name = "tests""#,
];

fn attributes() -> impl Strategy<Value = Vec<KeyValue<'static>>> {
    let number = prop_oneof![
        (0_i64..8).prop_map(Value::Int),
        proptest::sample::select(vec![3.0, 4.5]).prop_map(Value::Double),
    ];
    let text = || proptest::sample::select(vec!["x", "y", "z"]).prop_map(Value::from);
    let flag = || any::<bool>().prop_map(Value::Bool);
    let list = proptest::collection::vec(text(), 0..3).prop_map(Value::Array);
    let mixed = prop_oneof![(0_i64..5).prop_map(Value::Int), text(), flag()];
    let with = |key: &'static str, value: BoxedStrategy<Value<'static>>| {
        proptest::option::of(value.prop_map(move |value| KeyValue::new(key, value)))
    };
    (
        with("number", number.boxed()),
        with("text", text().boxed()),
        with("flag", flag().boxed()),
        with("list", list.boxed()),
        with("mixed", mixed.boxed()),
    )
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e].into_iter().flatten().collect())
}

/// A span of one of few traces; its own id is given later.
fn span() -> impl Strategy<Value = Span<'static>> {
    let names = proptest::sample::select(vec!["a", "b", "c"]);
    let kinds = proptest::sample::select(vec![
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
    ]);
    let statuses = proptest::sample::select(vec![
        (StatusCode::Unset, ""),
        (StatusCode::Ok, ""),
        (StatusCode::Error, "bad luck"),
    ]);
    let events = proptest::collection::vec(
        (
            proptest::sample::select(vec!["exception", "start"]),
            0_i64..4,
        ),
        0..2,
    );
    (
        (1_u128..40, 0_u64..4, 0_u64..5000, 0_u64..1000),
        names,
        kinds,
        statuses,
        attributes(),
        events,
    )
        .prop_map(|(numbers, name, kind, status, attributes, events)| Span {
            trace_id: TraceId::new(numbers.0),
            // Mostly a parent that exists or not, sometimes none.
            parent_span_id: SpanId::new(numbers.1 * 1000),
            name: name.into(),
            kind,
            start_unix_nano: START + numbers.2,
            end_unix_nano: START + numbers.2 + numbers.3,
            attributes,
            events: events
                .into_iter()
                .map(|(name, attempt)| SpanEvent {
                    time_unix_nano: START,
                    name: name.into(),
                    attributes: vec![KeyValue::new("attempt", attempt)],
                    ..SpanEvent::default()
                })
                .collect(),
            status: Status {
                code: status.0,
                message: status.1.into(),
            },
            ..Span::default()
        })
}

fn log_record() -> impl Strategy<Value = LogRecord<'static>> {
    let bodies = vec![
        "request timeout",
        "timeout",
        "connection refused",
        "hello",
        "",
    ];
    (
        (0_u64..5000, 0_i32..25, 0_u128..4, any::<bool>()),
        proptest::sample::select(bodies),
        attributes(),
    )
        .prop_map(|(numbers, body, attributes)| LogRecord {
            time_unix_nano: START + numbers.0,
            severity: Severity::from_otlp(numbers.1),
            event_name: if numbers.3 { "login" } else { "" }.into(),
            body: body.into(),
            attributes,
            trace_id: TraceId::new(numbers.2),
            ..LogRecord::default()
        })
}

/// What is known of a trace as a whole.
#[derive(Debug, Default, Clone)]
struct Facts {
    root: Option<(String, String)>,
    start_unix_nano: u64,
    end_unix_nano: u64,
}

struct SpanFields<'a> {
    span: &'a Span<'static>,
    resource: &'a Resource<'static>,
    facts: &'a Facts,
}

fn with_key<'a>(attributes: &'a [KeyValue<'static>], key: &str) -> Option<FieldValue<'a>> {
    let found = attributes.iter().find(|kv| kv.key == key);
    found.map(|kv| FieldValue::Value(&kv.value))
}

impl Fields for SpanFields<'_> {
    fn any(&self, _: usize, field: &Field, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        let span = self.span;
        match field {
            Field::Attribute { scope, key } => match scope {
                AttributeScope::Span => with_key(&span.attributes, key).is_some_and(test),
                AttributeScope::Resource => {
                    with_key(&self.resource.attributes, key).is_some_and(test)
                }
                AttributeScope::Event => span
                    .events
                    .iter()
                    .filter_map(|event| with_key(&event.attributes, key))
                    .any(test),
                AttributeScope::Any | AttributeScope::Log | AttributeScope::Point => {
                    panic!("`{field}` of a span")
                }
            },
            Field::Intrinsic(intrinsic) => match intrinsic {
                Intrinsic::Name => test(FieldValue::Str(&span.name)),
                Intrinsic::Duration => test(FieldValue::Duration(span.duration_nano())),
                Intrinsic::Status => test(FieldValue::Status(span.status.code)),
                Intrinsic::StatusMessage => test(FieldValue::Str(&span.status.message)),
                Intrinsic::Kind => test(FieldValue::Kind(span.kind)),
                Intrinsic::ParentSpanId => test(FieldValue::SpanId(span.parent_span_id)),
                Intrinsic::EventName => span
                    .events
                    .iter()
                    .any(|event| test(FieldValue::Str(&event.name))),
                Intrinsic::RootName => {
                    let root = self.facts.root.as_ref();
                    root.is_some_and(|(name, _)| test(FieldValue::Str(name)))
                }
                Intrinsic::RootServiceName => {
                    let root = self.facts.root.as_ref();
                    root.is_some_and(|(_, service)| test(FieldValue::Str(service)))
                }
                Intrinsic::TraceDuration => test(FieldValue::Duration(
                    self.facts.end_unix_nano - self.facts.start_unix_nano,
                )),
                other => panic!("no query here asks for {other:?}"),
            },
        }
    }
}

struct LogFields<'a> {
    record: &'a LogRecord<'static>,
    resource: &'a Resource<'static>,
}

impl Fields for LogFields<'_> {
    fn any(&self, _: usize, field: &Field, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        let record = self.record;
        match field {
            Field::Attribute { scope, key } => match scope {
                AttributeScope::Log => with_key(&record.attributes, key).is_some_and(test),
                AttributeScope::Resource => {
                    with_key(&self.resource.attributes, key).is_some_and(test)
                }
                _ => panic!("`{field}` of a log record"),
            },
            Field::Intrinsic(intrinsic) => match intrinsic {
                Intrinsic::Severity => test(FieldValue::Severity(record.severity)),
                Intrinsic::Body => test(FieldValue::Str(&record.body.to_string())),
                // Most records are no events.
                Intrinsic::EventName => {
                    !record.event_name.is_empty() && test(FieldValue::Str(&record.event_name))
                }
                Intrinsic::TraceId => test(FieldValue::TraceId(record.trace_id)),
                Intrinsic::ScopeName => test(FieldValue::Str("tests")),
                other => panic!("no query here asks for {other:?}"),
            },
        }
    }
}

/// Everything that was stored, as it was sent.
struct Stored {
    store: Store,
    _directory: tempfile::TempDir,
    spans: Vec<(Span<'static>, Resource<'static>)>,
    logs: Vec<(LogRecord<'static>, Resource<'static>)>,
}

fn resource(service: &str) -> Resource<'static> {
    Resource {
        attributes: vec![KeyValue::new("service.name", service.to_owned())],
        ..Resource::default()
    }
}

const SERVICES: [&str; 3] = ["shop", "bank", "mail"];

/// Stores the records in requests of some records each: some are sealed and some are not, or all are.
fn stored(
    spans: Vec<Span<'static>>,
    logs: Vec<LogRecord<'static>>,
    request_records: usize,
    is_closed: bool,
) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        block_records: 64,
        block_age: Duration::from_secs(3600),
        durability: Durability::ProcessDeath,
        ..StoreConfig::new(directory.path())
    };
    let store = Store::open(config, Arc::new(OtlpDecoder::default())).unwrap();
    let scope = Scope {
        name: "tests".into(),
        ..Scope::default()
    };
    let mut all = Stored {
        store,
        _directory: directory,
        spans: Vec::new(),
        logs: Vec::new(),
    };
    for (number, chunk) in spans.chunks(request_records).enumerate() {
        let resource = resource(SERVICES[number % SERVICES.len()]);
        let mut sent = Vec::new();
        for span in chunk {
            let mut span = span.clone();
            span.span_id = SpanId::new(1000 + all.spans.len() as u64);
            all.spans.push((span.clone(), resource.clone()));
            sent.push(span);
        }
        let request = encode::request(&resource, &scope, &sent);
        ingest(&all.store, Signal::Traces, &request);
    }
    for (number, chunk) in logs.chunks(request_records).enumerate() {
        let resource = resource(SERVICES[number % SERVICES.len()]);
        let request = encode::request(&resource, &scope, chunk);
        ingest(&all.store, Signal::Logs, &request);
        all.logs.extend(
            chunk
                .iter()
                .map(|record| (record.clone(), resource.clone())),
        );
    }
    if is_closed {
        // Seals everything; searches go on.
        all.store.close();
        let stats = all.store.stats();
        assert_eq!(stats.head_records, 0);
        assert!(stats.blocks > 0);
    }
    all
}

fn ingest(store: &Store, signal: Signal, request: &[u8]) {
    let receipt = store
        .ingest(Ingest {
            signal,
            request,
            batch_id: None,
        })
        .unwrap();
    assert!(receipt.rejected.is_empty());
}

impl Stored {
    fn facts(&self) -> BTreeMap<TraceId, Facts> {
        let mut facts: BTreeMap<TraceId, Facts> = BTreeMap::new();
        let mut roots: BTreeMap<TraceId, (u64, SpanId)> = BTreeMap::new();
        for (span, resource) in &self.spans {
            let of_trace = facts.entry(span.trace_id).or_insert_with(|| Facts {
                start_unix_nano: u64::MAX,
                ..Facts::default()
            });
            of_trace.start_unix_nano = of_trace.start_unix_nano.min(span.start_unix_nano);
            of_trace.end_unix_nano = of_trace.end_unix_nano.max(span.end_unix_nano);
            // Of several roots, the first one.
            let place = (span.start_unix_nano, span.span_id);
            let is_first = roots.get(&span.trace_id).is_none_or(|first| place < *first);
            if !span.parent_span_id.is_valid() && is_first {
                roots.insert(span.trace_id, place);
                of_trace.root = Some((span.name.to_string(), resource.service_name().to_owned()));
            }
        }
        facts
    }

    /// The traces a search should find, newest first.
    fn traces(&self, query: &Query, from: u64, to: u64) -> Vec<(u64, TraceId)> {
        let facts = self.facts();
        let mut matching: BTreeMap<TraceId, u64> = BTreeMap::new();
        for (span, resource) in &self.spans {
            let fields = SpanFields {
                span,
                resource,
                facts: &facts[&span.trace_id],
            };
            if (from..=to).contains(&span.start_unix_nano) && query.matches(&fields) {
                *matching.entry(span.trace_id).or_default() += 1;
            }
        }
        let mut found: Vec<(u64, TraceId)> = matching
            .into_iter()
            .filter(|(_, count)| query.accepts_count(*count))
            .map(|(trace_id, _)| (facts[&trace_id].start_unix_nano, trace_id))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// Every page of a search for traces.
    fn found_traces(&self, query: &Query, from: u64, to: u64, limit: usize) -> Vec<(u64, TraceId)> {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .store
                .search_traces(&TraceSearch {
                    query: query.clone(),
                    from_unix_nano: Some(from),
                    to_unix_nano: Some(to),
                    limit,
                    cursor,
                    run: None,
                    cancel: Cancel::default(),
                })
                .unwrap();
            assert!(page.traces.len() <= limit);
            found.extend(
                page.traces
                    .iter()
                    .map(|one| (one.start_unix_nano, one.trace_id)),
            );
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    }

    /// The times of the log records a search should find, newest first.
    fn logs(&self, query: &Query, from: u64, to: u64) -> Vec<(u64, String)> {
        let mut found: Vec<(u64, String)> = self
            .logs
            .iter()
            .filter(|(record, _)| (from..=to).contains(&record.time_unix_nano))
            .filter(|(record, resource)| query.matches(&LogFields { record, resource }))
            .map(|(record, _)| (record.time_unix_nano, format!("{record:?}")))
            .collect();
        found.sort_unstable();
        found
    }

    fn found_logs(&self, query: &Query, from: u64, to: u64, limit: usize) -> Vec<(u64, String)> {
        let mut found: Vec<(u64, String)> = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .store
                .search_logs(&LogSearch {
                    query: query.clone(),
                    from_unix_nano: Some(from),
                    to_unix_nano: Some(to),
                    limit,
                    cursor,
                    run: None,
                    trace_id: None,
                    span_id: None,
                    cancel: Cancel::default(),
                })
                .unwrap();
            assert!(page.logs.len() <= limit);
            for entry in &page.logs {
                let time = entry.record.time_unix_nano;
                let before = found.last().map_or(u64::MAX, |(time, _)| *time);
                assert!(time <= before, "`{query}`: not newest first");
                found.push((time, format!("{:?}", entry.record)));
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        found.sort_unstable();
        found
    }
}

/// Parts of the time the records are in: all of it, some of it, and none.
fn windows() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![
        Just((0, u64::MAX)),
        (0_u64..5000, 0_u64..3000).prop_map(|(from, length)| (START + from, START + from + length)),
        Just((0, START - 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn traces_found_are_those_a_look_at_every_span_finds(
        spans in proptest::collection::vec(span(), 1..300),
        request_records in 1_usize..60,
        is_closed in any::<bool>(),
        limit in proptest::sample::select(vec![2_usize, 20, 1000]),
        (from, to) in windows(),
    ) {
        let stored = stored(spans, Vec::new(), request_records, is_closed);
        for text in ABOUT_SPANS {
            let query = Query::parse(text, QuerySignal::Traces).expect(text);
            let found = stored.found_traces(&query, from, to, limit);
            let unique: HashSet<_> = found.iter().collect();
            prop_assert_eq!(unique.len(), found.len(), "`{}`: shown twice", text);
            prop_assert!(found.is_sorted_by_key(|(start, _)| std::cmp::Reverse(*start)), "`{}`", text);
            let mut found = found;
            found.sort_unstable_by(|a, b| b.cmp(a));
            prop_assert_eq!(found, stored.traces(&query, from, to), "`{}` {} {}", text, from, to);
        }
    }

    #[test]
    fn log_records_found_are_those_a_look_at_every_record_finds(
        logs in proptest::collection::vec(log_record(), 1..300),
        request_records in 1_usize..60,
        is_closed in any::<bool>(),
        limit in proptest::sample::select(vec![7_usize, 50, 10_000]),
        (from, to) in windows(),
    ) {
        let stored = stored(Vec::new(), logs, request_records, is_closed);
        for text in ABOUT_LOGS {
            let query = Query::parse(text, QuerySignal::Logs).expect(text);
            let found = stored.found_logs(&query, from, to, limit);
            prop_assert_eq!(found, stored.logs(&query, from, to), "`{}` {} {}", text, from, to);
        }
    }
}

#[test]
fn large_log_records_come_in_shorter_pages() {
    const RECORD_BYTES: usize = 3 << 20;
    const RECORDS: u64 = 14;
    let logs: Vec<LogRecord<'_>> = (0..RECORDS)
        .map(|number| LogRecord {
            time_unix_nano: START + number,
            body: "x".repeat(RECORD_BYTES).into(),
            ..LogRecord::default()
        })
        .collect();
    let stored = stored(Vec::new(), logs, 1, false);
    let mut cursor = None;
    let mut pages = Vec::new();
    loop {
        let page = stored
            .store
            .search_logs(&LogSearch {
                query: Query::everything(QuerySignal::Logs),
                from_unix_nano: None,
                to_unix_nano: None,
                limit: 100,
                cursor,
                run: None,
                trace_id: None,
                span_id: None,
                cancel: Cancel::default(),
            })
            .unwrap();
        let times = page
            .logs
            .iter()
            .map(|entry| entry.record.time_unix_nano - START);
        pages.push(times.collect::<Vec<_>>());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    // Ten of them are within 32 MiB, newest first, none twice and none left out.
    assert_eq!(pages[0].len(), 10);
    assert_eq!(pages.concat(), (0..RECORDS).rev().collect::<Vec<_>>());
}
