//! Records, as they lie in rings and whole.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use ringlight_model::{
    Callsite, CallsiteId, CallsiteKind, CallsiteRegistry, KeyValue, Severity, Span, SpanEvent,
    SpanId, SpanLink, TraceId, Value,
};

use super::SECRETS;
use crate::CollectorConfig;
use crate::processing::{Processed, Processing, Processor, RecordPattern, Redaction, Replacement};
use crate::record::{
    Item, ItemWriter, Items, Key, KeyRef, LogHeader, Record, SpanHeader, Text, ValueRef,
    WORD_BYTES, copy_words, dropped_item, encoded_item,
};

const SPAN: CallsiteId = CallsiteId::new(2);
const EVENT: CallsiteId = CallsiteId::new(4);

fn callsites() -> Arc<CallsiteRegistry> {
    let callsites = Arc::new(CallsiteRegistry::new());
    let callsite = |kind, name, fields: &[&'static str]| Callsite {
        kind,
        name,
        target: "shop::api",
        scope: None,
        severity: Severity::DEBUG,
        module_path: None,
        file: None,
        line: None,
        fields: fields.to_vec(),
    };
    let fields = [
        "otel.name",
        "otel.kind",
        "password",
        "http.method",
        "note",
        "number",
    ];
    callsites.register(SPAN, || callsite(CallsiteKind::Span, "request", &fields));
    let fields = ["message", "password", "user"];
    callsites.register(EVENT, || {
        callsite(CallsiteKind::Event, "event src/a.rs:1", &fields)
    });
    callsites
}

type Writer<'w> = ItemWriter<'w, Vec<u64>>;

fn span(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u64> {
    let mut words = SpanHeader::new(SPAN, TraceId::new(1), SpanId::new(2))
        .to_words()
        .to_vec();
    fill(&mut ItemWriter::new(&mut words, 4096));
    words
}

fn log(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u64> {
    let mut words = LogHeader::new(EVENT, Severity::INFO, 1).to_words().to_vec();
    fill(&mut ItemWriter::new(&mut words, 4096));
    words
}

fn bytes(words: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; words.len() * WORD_BYTES];
    copy_words(words.iter().copied(), &mut bytes);
    bytes
}

/// What a record becomes: its items, or why there are none.
fn processed(processing: &Processing, words: &[u64]) -> Result<Option<Vec<u8>>, &'static str> {
    let config = CollectorConfig {
        processing: processing.clone(),
        ..CollectorConfig::default()
    };
    let mut processor =
        Processor::of(&config.processing, &config.limits, &callsites()).expect("there are rules");
    let bytes = bytes(words);
    match processor.process(&Record::parse(&bytes).expect("it is a record")) {
        Processed::Same => Ok(None),
        Processed::Changed(bytes) => Ok(Some(bytes.to_vec())),
        Processed::Filtered => Err("filtered"),
        Processed::Malformed => Err("malformed"),
    }
}

/// The items of a record, one a line.
fn shown(bytes: &[u8]) -> Vec<String> {
    let record = Record::parse(bytes).expect("it is a record");
    lines(record.items())
}

fn lines(items: Items<'_>) -> Vec<String> {
    let text = |text: Text<'_>| format!("{}{}", text.to_str(), if text.cut { "…" } else { "" });
    let value = |value: ValueRef<'_>| match value {
        ValueRef::Text(value) => text(value),
        value => value.to_value().to_string(),
    };
    let line = |item| match item {
        Item::Attribute(KeyRef::Field(index), of) => format!("{index}={}", value(of)),
        Item::Attribute(KeyRef::Name(name), of) => {
            format!("{}={}", String::from_utf8_lossy(name), value(of))
        }
        Item::Name(name) => format!("name {}", text(name)),
        Item::StatusMessage(message) => format!("status {}", text(message)),
        Item::TraceState(state) => format!("state {}", text(state)),
        Item::Link { items, dropped, .. } => format!("link {dropped} {:?}", lines(items)),
        Item::Event { items, dropped, .. } => format!("event {dropped} {:?}", lines(items)),
        Item::Enclosing(span) => format!("in {:?}", lines(span.items)),
        Item::Dropped { events, links } => format!("dropped {events} {links}"),
        Item::Encoded(_) => "encoded".to_owned(),
    };
    items.map(line).collect()
}

fn check(processing: Processing, words: &[u64], expected: &[&str]) {
    let left = processed(&processing, words).expect("it stays");
    let left = left.unwrap_or_else(|| bytes(words));
    assert_eq!(shown(&left), expected);
}

/// The standard rules; clones of them are made ready once.
fn standard() -> Processing {
    static STANDARD: LazyLock<Processing> =
        LazyLock::new(|| Processing::new().redact(Redaction::standard()));
    STANDARD.clone()
}

/// Puts a few items of all sorts into a record, with a text in each.
fn all_sorts(writer: &mut Writer<'_>, text: &str) {
    let _ = writer.text(Key::Field(4), text);
    let _ = writer.i64(Key::Field(5), 7);
    let _ = writer.bool(Key::Name("flag"), true);
    let _ = writer.text(Key::Name("free"), text);
    let _ = writer.bytes(Key::Name("bytes"), text.as_bytes());
    let _ = writer.list(Key::Name("list"), |elements| {
        let _ = elements.f64(Key::Field(0), 0.5);
        elements.text(Key::Field(0), text)
    });
    let _ = writer.link(TraceId::new(3), SpanId::new(4), 1, |link| {
        let _ = link.trace_state(text);
        let _ = link.text(Key::Name("of link"), text);
        2
    });
    let _ = writer.event(5, |event| {
        let _ = event.name(text);
        let _ = event.text(Key::Name("of event"), text);
        3
    });
    let _ = writer.name(text);
    let _ = writer.status_message(text);
    let _ = writer.trace_state(text);
    let _ = writer.dropped(1, 2);
}

#[test]
fn a_secret_is_replaced_wherever_it_is_in_a_record() {
    let words = span(|writer| all_sorts(writer, "to ada@example.com"));
    let now = "to [redacted]";
    check(
        standard(),
        &words,
        &[
            &format!("4={now}"),
            "5=7",
            "flag=true",
            &format!("free={now}"),
            &format!("bytes={now}"),
            &format!("list=[0.5,\"{now}\"]"),
            &format!("link 2 [\"of link={now}\"]"),
            &format!("event 3 [\"name {now}\", \"of event={now}\"]"),
            &format!("name {now}"),
            &format!("status {now}"),
            "dropped 1 2",
        ],
    );
    let quiet = span(|writer| all_sorts(writer, "nothing to see"));
    assert_eq!(processed(&standard(), &quiet), Ok(None));
}

#[test]
fn the_spans_around_a_log_record_are_looked_into_with_their_own_keys() {
    let mut items = Vec::new();
    let mut within = ItemWriter::new(&mut items, 4096);
    let _ = within.text(Key::Field(2), "hunter2");
    let _ = within.text(Key::Field(3), "GET");
    let words = log(|writer| {
        let _ = writer.text(Key::Field(0), "hello ada@example.com");
        let _ = writer.text(Key::Field(1), "hunter2");
        let _ = writer.text(Key::Field(2), "ada");
        let _ = writer.enclosing(SPAN, &items);
    });
    check(
        standard().rename_attribute("http.method", "http.request.method"),
        &words,
        &[
            "0=hello [redacted]",
            "1=[redacted]",
            "2=ada",
            "in [\"2=[redacted]\", \"http.request.method=GET\"]",
        ],
    );
}

#[test]
fn values_are_replaced_by_their_key_whatever_they_are() {
    let words = span(|writer| {
        let _ = writer.i64(Key::Field(2), 4711);
        let _ = writer.bool(Key::Name("api_key"), true);
        let _ = writer.text(Key::Name("user.id"), "ada");
        let _ = writer.text(Key::Name("support.email"), "help@example.com");
    });
    let redaction = Redaction::standard()
        .key("user.*", Replacement::Remove)
        .allow_key("support.email");
    check(
        Processing::new().redact(redaction),
        &words,
        &[
            "2=[redacted]",
            "api_key=[redacted]",
            "support.email=help@example.com",
        ],
    );
}

#[test]
fn attributes_are_renamed_and_left_out() {
    let rules = Processing::new()
        .rename_attribute("http.method", "http.request.method")
        .rename_attribute("verb", "http.request.method")
        .rename_attribute("note", "secret")
        .redact(Redaction::new().key("secret", Replacement::Mask))
        .drop_attribute("debug.*");
    let words = span(|writer| {
        let _ = writer.text(Key::Field(3), "GET");
        let _ = writer.text(Key::Name("verb"), "HEAD");
        let _ = writer.text(Key::Field(4), "of the new name");
        let _ = writer.i64(Key::Name("debug.step"), 7);
    });
    check(
        rules.clone(),
        &words,
        &["http.request.method=GET", "secret=[redacted]"],
    );
    let has_both = span(|writer| {
        let _ = writer.text(Key::Field(3), "GET");
        let _ = writer.text(Key::Name("http.request.method"), "PUT");
    });
    check(rules, &has_both, &["http.request.method=PUT"]);
}

#[test]
fn what_says_the_kind_and_name_of_a_span_still_does() {
    let all = Redaction::new()
        .pattern("all", ".+", Replacement::Mask)
        .unwrap();
    let rules = Processing::new().redact(all).drop_attribute("otel.*");
    let words = span(|writer| {
        let _ = writer.text(Key::Field(0), "GET /");
        let _ = writer.text(Key::Field(1), "server");
    });
    check(rules, &words, &["0=[redacted]", "1=server"]);
}

#[test]
fn records_are_left_out_by_what_they_are() {
    let words = span(|writer| {
        let _ = writer.text(Key::Field(0), "GET /health");
        let _ = writer.i64(Key::Field(5), 200);
    });
    let check = |records: RecordPattern, expected: bool| {
        let rules = Processing::new().drop_records(records.clone());
        let is_left_out = processed(&rules, &words) == Err("filtered");
        assert_eq!(is_left_out, expected, "{records:?}");
    };
    let spans = RecordPattern::spans;
    check(spans(), true);
    check(RecordPattern::logs(), false);
    check(spans().name("GET /health*"), true);
    check(spans().name("request"), true);
    check(spans().name("GET /orders"), false);
    check(spans().target("shop"), true);
    check(spans().target("other"), false);
    check(spans().less_severe_than(Severity::INFO), true);
    check(spans().less_severe_than(Severity::DEBUG), false);
    check(spans().attribute("number", "200"), true);
    check(spans().attribute("number", "5*"), false);
    check(spans().name("request").attribute("number", "4*"), false);

    let words = log(|writer| {
        let _ = writer.text(Key::Field(0), "tick 7");
    });
    let rules = |records| Processing::new().drop_records(records);
    let logs = RecordPattern::logs;
    assert_eq!(
        processed(&rules(logs().message("tick *")), &words),
        Err("filtered")
    );
    assert_eq!(
        processed(&rules(logs().message("tock *")), &words),
        Ok(None)
    );
    assert_eq!(processed(&rules(RecordPattern::spans()), &words), Ok(None));
}

fn whole_span(text: &str) -> Span<'_> {
    let attributes = || {
        vec![
            KeyValue::new("note", text),
            KeyValue::new("password", 4711_i64),
            KeyValue::new(
                "nested",
                Value::Map(vec![
                    KeyValue::new("token", "hunter2"),
                    KeyValue::new("list", Value::Array(vec![text.into(), Value::Int(1)])),
                ]),
            ),
        ]
    };
    Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(2),
        name: text.into(),
        trace_state: text.into(),
        attributes: attributes(),
        events: vec![SpanEvent {
            name: text.into(),
            attributes: attributes(),
            ..SpanEvent::default()
        }],
        links: vec![SpanLink {
            trace_id: TraceId::new(3),
            span_id: SpanId::new(4),
            attributes: attributes(),
            ..SpanLink::default()
        }],
        ..Span::default()
    }
}

#[test]
fn a_span_that_was_submitted_whole_is_looked_into_everywhere() {
    let span = whole_span("to ada@example.com");
    let mut item = Vec::new();
    ringlight_otlp::encode::span(&mut item, &span);
    let header = SpanHeader::new(CallsiteId::new(0), TraceId::new(1), SpanId::new(2));
    let mut words = header.to_words().to_vec();
    words.push(encoded_item(item.len() as u32));
    let len = item.len();
    item.resize(len.next_multiple_of(WORD_BYTES), 0);
    let chunks = item.as_chunks::<WORD_BYTES>().0.iter();
    words.extend(chunks.map(|chunk| u64::from_le_bytes(*chunk)));

    let left = processed(&standard(), &words).unwrap().expect("it changes");
    let record = Record::parse(&left).unwrap();
    let encoded = record.items().encoded().expect("it stays encoded");
    let left = crate::spans::span_of_item(encoded, &ringlight_model::Limits::default()).unwrap();
    let now = "to [redacted]";
    assert_eq!((&*left.name, &*left.trace_state), (now, ""));
    for attributes in [
        &left.attributes,
        &left.events[0].attributes,
        &left.links[0].attributes,
    ] {
        let shown: Vec<_> = attributes
            .iter()
            .map(|a| format!("{}={}", a.key, a.value))
            .collect();
        let nested = format!(r#"nested={{"token":"[redacted]","list":["{now}",1]}}"#);
        assert_eq!(
            shown,
            [
                format!("note={now}"),
                "password=[redacted]".to_owned(),
                nested
            ]
        );
    }
    let rules =
        Processing::new().drop_records(RecordPattern::spans().attribute("password", "4711"));
    assert_eq!(processed(&rules, &words), Err("filtered"));
}

#[test]
fn what_is_done_is_counted_by_rule() {
    let processing = standard()
        .drop_attribute("note")
        .rename_attribute("free", "freed")
        .drop_records(RecordPattern::spans().attribute("free", "none"));
    let words = span(|writer| {
        let _ = writer.text(Key::Field(2), "hunter2");
        let _ = writer.text(Key::Field(4), "x");
        let _ = writer.text(Key::Name("free"), "a@b.example, c@d.example");
    });
    processed(&processing, &words).unwrap();
    let words = span(|writer| {
        let _ = writer.text(Key::Name("free"), "none");
    });
    assert_eq!(processed(&processing, &words), Err("filtered"));
    let counts = processing.counts().into_iter().map(|c| (c.rule, c.count));
    let expected = [
        ("records spans free=none", 1),
        ("key *password*", 1),
        ("drop note", 1),
        ("rename free", 1),
        ("emails", 2),
    ];
    assert_eq!(
        counts.collect::<Vec<_>>(),
        expected.map(|(rule, n)| (rule.to_owned(), n))
    );
}

proptest! {
    /// Whatever is in a record, what is left of it is a record without the secret, and going through it again
    /// changes nothing.
    #[test]
    fn fault_36_no_secret_is_left_in_a_record(
        texts in prop::collection::vec(r"[ -~]{0,20}", 1..6),
        which in 0..SECRETS.len(),
        at in any::<prop::sample::Index>(),
    ) {
        let (secret, with_secret) = SECRETS[which];
        let mut texts = texts;
        let place = at.index(texts.len());
        texts[place] = with_secret.to_owned();
        let words = span(|writer| texts.iter().for_each(|text| all_sorts(writer, text)));
        let left = processed(&standard(), &words).unwrap().expect("it changes");
        let is_found = left.windows(secret.len()).any(|window| window == secret.as_bytes());
        prop_assert!(!is_found);
        let words: Vec<u64> = left.as_chunks::<WORD_BYTES>().0.iter().map(|w| u64::from_le_bytes(*w)).collect();
        prop_assert_eq!(processed(&standard(), &words), Ok(None));
        let items = Record::parse(&left).unwrap().items();
        let dropped = items.filter(|item| *item == Item::Dropped { events: 1, links: 2 });
        prop_assert_eq!(dropped.count(), texts.len());
        prop_assert!(words.contains(&dropped_item(1, 2)));
    }
}

#[test]
fn another_base_takes_the_place_of_the_first_and_rules_count_on() {
    let key = |key: &str| Redaction::new().key(key, Replacement::Mask);
    let words = span(|writer| {
        let _ = writer.text(Key::Name("a"), "1");
        let _ = writer.text(Key::Name("b"), "2");
        let _ = writer.text(Key::Name("c"), "3");
    });
    let left = |processing: &Processing| shown(&processed(processing, &words).unwrap().unwrap());
    let first = Processing::new().redact(key("a")).base_redaction(key("b"));
    assert_eq!(left(&first), ["a=[redacted]", "b=[redacted]", "c=3"]);
    let second = first.rebased(key("c")).unwrap();
    assert_eq!(left(&second), ["a=[redacted]", "b=2", "c=[redacted]"]);
    let third = second.rebased(key("b")).unwrap();
    left(&third);
    for processing in [first, second, third] {
        let counts = processing.counts().into_iter();
        let counts: Vec<_> = counts.map(|count| (count.rule, count.count)).collect();
        let expected = [("key a", 3), ("key b", 2), ("key c", 1)];
        assert_eq!(counts, expected.map(|(rule, n)| (rule.to_owned(), n)));
    }
    assert!(
        Processing::new()
            .redact(key("a"))
            .rebased(key("b"))
            .is_none()
    );
    let none = Processing::new().base_redaction(Redaction::new());
    assert!(none.is_empty() && none.rules().is_none());
}
