//! A sink that keeps what comes out of the rings, in a form that is easy to compare.

use std::sync::{Arc, Mutex};

use ringlight::RecordSink;
use ringlight::collector::record::{Item, KeyRef, Record, ValueRef};
use ringlight_model::{CallsiteRegistry, SpanId, StatusCode};

/// Everything that came out of the rings.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<KeptRecord>>>);

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct KeptRecord {
    /// Name of the callsite.
    pub(crate) name: &'static str,
    /// The span, or the span a log record belongs to.
    pub(crate) span: SpanId,
    /// The span's parent.
    pub(crate) parent: SpanId,
    /// Whether the span has the status error.
    pub(crate) failed: bool,
    /// The span's status message.
    pub(crate) status_message: Option<String>,
    /// `name=value`, in order.
    pub(crate) fields: Vec<String>,
}

impl Kept {
    /// The records of callsites of that name.
    pub(crate) fn named(&self, name: &str) -> Vec<KeptRecord> {
        let kept = self.0.lock().unwrap();
        kept.iter().filter(|r| r.name == name).cloned().collect()
    }
}

impl RecordSink for Kept {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        let callsite = callsites.lookup(record.callsite().unwrap()).unwrap();
        let field = |item| match item {
            Item::Attribute(key, value) => {
                let name = match key {
                    KeyRef::Field(index) => callsite.fields[usize::from(index)],
                    KeyRef::Name(name) => str::from_utf8(name).unwrap(),
                };
                Some(match value {
                    ValueRef::Bool(value) => format!("{name}={value}"),
                    ValueRef::Text(text) => format!("{name}={}", text.to_str()),
                    ValueRef::I64(value) => format!("{name}={value}"),
                    ValueRef::U64(value) => format!("{name}={value}"),
                    other => format!("{name}={other:?}"),
                })
            }
            _ => None,
        };
        let (span, parent, failed) = match record {
            Record::Span(span) => (
                span.span_id(),
                span.parent_span_id(),
                span.head().status() == StatusCode::Error,
            ),
            Record::Log(log) => (log.span_id(), SpanId::INVALID, false),
        };
        self.0.lock().unwrap().push(KeptRecord {
            name: callsite.name,
            span,
            parent,
            failed,
            status_message: record.items().find_map(|item| match item {
                Item::StatusMessage(text) => Some(text.to_str().into_owned()),
                _ => None,
            }),
            fields: record.items().filter_map(field).collect(),
        });
    }

    fn flush(&mut self) {}
}
