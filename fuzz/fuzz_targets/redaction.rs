//! The standard rules, and texts of all kinds: whatever they say, nothing that the rules are about is left of
//! them, and what is left is within the limits.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use regex::bytes::{Regex, RegexBuilder};
use ringlight_collector::{BatchProcessor, CollectorConfig, Processing, Redaction};
use ringlight_model::{KeyValue, Limits, Span, SpanEvent, SpanId, TraceId, Value};

#[path = "../../crates/ringlight-collector/src/processing/tests/expressions.rs"]
mod expressions;

const MASK: &[u8] = b"[redacted";
const CUT_MARK: char = '…';

static EXPRESSIONS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let ready = expressions::EXPRESSIONS.map(|(_, expression)| {
        let mut builder = RegexBuilder::new(expression);
        builder.unicode(false).build().expect("it is an expression")
    });
    ready.into()
});

static RULES: LazyLock<Processing> =
    LazyLock::new(|| Processing::new().redact(Redaction::standard()));

fuzz_target!(|bytes: &[u8]| {
    let Some((limit, text)) = bytes.split_first() else {
        return;
    };
    let text = &*String::from_utf8_lossy(text);
    for text in processed(text, Limits::default().text_bytes_max) {
        assert_nothing_left(text.as_bytes());
    }
    let limit = usize::from(*limit);
    for text in processed(text, limit).into_iter().skip(1) {
        assert!(text.len() <= limit + CUT_MARK.len_utf8(), "{text}");
    }
});

/// A text after it has been through the rules: as a name, and then, limited, in every place of a value.
fn processed(text: &str, text_bytes_max: usize) -> Vec<String> {
    let list = Value::Array(vec![text.into(), Value::Bytes(text.as_bytes().into())]);
    let attributes = vec![KeyValue::new("note", text), KeyValue::new("list", list)];
    let span = Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(1),
        name: text.into(),
        events: vec![SpanEvent {
            attributes: attributes.clone(),
            ..SpanEvent::default()
        }],
        attributes,
        ..Span::default()
    };
    let config = CollectorConfig {
        processing: RULES.clone(),
        limits: Limits {
            text_bytes_max,
            ..Limits::default()
        },
        ..CollectorConfig::default()
    };
    let mut batches = BatchProcessor::new(&config).expect("the settings are valid");
    assert!(batches.add(&span).is_none());
    let batch = batches.flush().expect("there is a span");
    let spans = batch.to_spans().expect("what was written can be read");
    let [span] = <[_; 1]>::try_from(spans).expect("there is one span");
    let mut texts = vec![span.name.clone().into_owned()];
    let of_events = span.events.iter().flat_map(|event| &event.attributes);
    for attribute in span.attributes.iter().chain(of_events) {
        collect(&attribute.value, &mut texts);
    }
    texts
}

fn collect(value: &Value<'_>, texts: &mut Vec<String>) {
    match value {
        Value::Str(text) => texts.push(text.clone().into_owned()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        // Bytes in which nothing was found are cut anywhere.
        _ => {}
    }
}

/// What the rules have put there may be next to the beginning of something, or be taken for a part of it.
fn assert_nothing_left(text: &[u8]) {
    for expression in &*EXPRESSIONS {
        for found in expression.captures_iter(text) {
            let whole = found.get(0).expect("it is the match");
            let group = found.iter().flatten().nth(1).unwrap_or(whole).as_bytes();
            let is_ours = group.windows(MASK.len()).any(|window| window == MASK)
                || group.windows(6).any(|window| window == b"[hash:")
                || text[..whole.start()].ends_with(b"[redacted]");
            let is_word = whole.as_bytes()[..5].eq_ignore_ascii_case(b"basic")
                && group[1..].iter().all(u8::is_ascii_lowercase);
            assert!(
                is_ours || is_word,
                "{:?} is left in {:?}",
                String::from_utf8_lossy(group),
                String::from_utf8_lossy(text)
            );
        }
    }
}
