//! What a server shows, in one shape for all of them, and its comparison with what was sent.

use std::collections::BTreeMap;

use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, SpanId, Value};

use crate::sent::{Log, Sent, Span, TEXT};

/// Attributes as a server shows them: of each its type, where the server keeps that, and its value.
pub(crate) type Attributes = BTreeMap<String, String>;

/// How a server shows a value.
pub(crate) type Show = fn(&Value) -> String;

/// A span as a server shows it. What a server does not keep is `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReceivedSpan {
    pub(crate) name: String,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    /// In lower case, such as `server`.
    pub(crate) kind: Option<String>,
    /// `unset`, `ok` or `error`, and its message.
    pub(crate) status: (String, String),
    pub(crate) attributes: Attributes,
    pub(crate) events: Vec<(String, Attributes)>,
    /// Trace and span ids.
    pub(crate) links: Option<Vec<(String, String)>>,
}

/// A log record as a server shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReceivedLog {
    pub(crate) body: String,
    /// In upper case, such as `INFO`.
    pub(crate) severity: String,
    /// Empty without one.
    pub(crate) span_id: String,
    pub(crate) attributes: Attributes,
}

/// How a server shows attributes.
pub(crate) fn shown(attributes: &[KeyValue], show: Show) -> Attributes {
    let shown = attributes.iter();
    shown
        .map(|pair| (pair.key.to_string(), show(&pair.value)))
        .collect()
}

/// Checks that what a server shows of a sender's spans is what was sent, each once.
#[track_caller]
pub(crate) fn assert_spans(sent: &Sent, mut received: Vec<ReceivedSpan>, show: Show) {
    let has_kinds = received.iter().all(|span| span.kind.is_some());
    let has_links = received.iter().all(|span| span.links.is_some());
    let expected = sent.spans.iter();
    let expected = expected.map(|span| {
        let span = expected_span(sent, span, show);
        ReceivedSpan {
            kind: span.kind.filter(|_| has_kinds),
            links: span.links.filter(|_| has_links),
            ..span
        }
    });
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    received.sort();
    assert_eq!(received, expected, "{}", sent.service);
}

/// Checks that what a server shows of a sender's log records is what was sent, each once.
#[track_caller]
pub(crate) fn assert_logs(sent: &Sent, mut received: Vec<ReceivedLog>, show: Show) {
    let mut expected: Vec<_> = sent
        .logs
        .iter()
        .map(|log| expected_log(log, show))
        .collect();
    expected.sort();
    received.sort();
    assert_eq!(received, expected, "{}", sent.service);
}

/// Checks that a server shows who was sending.
#[track_caller]
pub(crate) fn assert_resource(sent: &Sent, received: &Attributes, show: Show) {
    let expected = [
        ("service.name", sent.service.clone()),
        ("shop.text", TEXT.to_owned()),
        ("telemetry.sdk.language", "rust".to_owned()),
    ];
    for (key, value) in expected {
        assert_eq!(received.get(key), Some(&show(&value.into())), "{key}");
    }
}

fn id(id: SpanId) -> String {
    if id == SpanId::INVALID {
        String::new()
    } else {
        id.to_string()
    }
}

fn expected_span(sent: &Sent, span: &Span, show: Show) -> ReceivedSpan {
    let events = span.events.iter();
    let links = span.links.iter();
    ReceivedSpan {
        name: span.name.to_owned(),
        trace_id: sent.trace_id.to_string(),
        span_id: id(span.span_id),
        parent: id(span.parent),
        kind: Some(format!("{:?}", span.kind).to_lowercase()),
        status: match &span.status {
            Status::Unset => ("unset".to_owned(), String::new()),
            Status::Ok => ("ok".to_owned(), String::new()),
            Status::Error { description } => ("error".to_owned(), description.to_string()),
        },
        attributes: shown(&span.attributes, show),
        events: events
            .map(|(name, attributes)| ((*name).to_owned(), shown(attributes, show)))
            .collect(),
        links: Some(
            links
                .map(|link| (link.trace_id().to_string(), link.span_id().to_string()))
                .collect(),
        ),
    }
}

fn expected_log(log: &Log, show: Show) -> ReceivedLog {
    ReceivedLog {
        body: show(&Value::from(log.body)),
        severity: log.severity.to_owned(),
        span_id: id(log.span_id),
        attributes: shown(&log.attributes, show),
    }
}
