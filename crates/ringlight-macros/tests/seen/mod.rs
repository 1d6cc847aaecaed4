//! Everything that is recorded while a future runs, in a form that is easy to compare.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight::{LogFormat, OverflowPolicy, RecordSink};
use ringlight_collector::record::{Item, KeyRef, Record, ValueRef};
use ringlight_model::{Callsite, CallsiteRegistry, SpanId, StatusCode};
use tracing::dispatcher::with_default;

/// A span that has ended, or an event.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) is_span: bool,
    pub(crate) name: String,
    /// `name=value`, in order, then the links.
    pub(crate) fields: Vec<String>,
    pub(crate) has_failed: bool,
    status_message: Option<String>,
    described: String,
    /// The name of the span it is in.
    parent: String,
    id: SpanId,
    parent_id: SpanId,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_span { "span" } else { "event" };
        // An event is named after its place in the source, which is another one.
        let name = if self.is_span { &self.name } else { "" };
        let Self {
            described, fields, ..
        } = self;
        write!(
            f,
            "{kind} {name} {described} {fields:?} in {:?}",
            self.parent
        )?;
        let failed = self.has_failed.then_some(&self.status_message);
        failed.map_or(Ok(()), |message| write!(f, " failed: {message:?}"))
    }
}

/// Runs a future, and gives what was recorded meanwhile, in the order in which it ended.
pub(crate) fn record(future: impl Future<Output = ()>) -> Vec<Seen> {
    record_by(&[], future)
}

/// The same with variables set.
pub(crate) fn record_by(variables: &[(&str, &str)], future: impl Future<Output = ()>) -> Vec<Seen> {
    let sink = Sink::default();
    let all = [("RUST_LOG", "trace")];
    let (dispatch, telemetry) = ringlight::builder()
        .environment(all.iter().chain(variables).copied())
        .log_format(LogFormat::Off)
        .sink(sink.clone())
        .overflow(OverflowPolicy::Block)
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    with_default(&dispatch, || runtime.block_on(future));
    let ledger = telemetry.shutdown(Duration::from_secs(20));
    assert!(ledger.balances(), "{ledger:?}");
    let mut seen = std::mem::take(&mut *sink.0.lock().unwrap());
    let names: Vec<(SpanId, String)> = seen
        .iter()
        .filter(|seen| seen.is_span)
        .map(|seen| (seen.id, seen.name.clone()))
        .collect();
    for seen in &mut seen {
        let parent = names.iter().find(|(id, _)| *id == seen.parent_id);
        seen.parent = parent.map_or_else(String::new, |(_, name)| name.clone());
    }
    seen
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<Seen>>>);

impl RecordSink for Sink {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        let callsite = callsites.lookup(record.callsite().unwrap()).unwrap();
        let (is_span, id, parent_id, has_failed) = match record {
            Record::Span(span) => {
                let has_failed = span.head().status() == StatusCode::Error;
                (true, span.span_id(), span.parent_span_id(), has_failed)
            }
            Record::Log(log) => (false, SpanId::INVALID, log.span_id(), false),
        };
        let field = |item| field(&callsite, item);
        self.0.lock().unwrap().push(Seen {
            is_span,
            name: callsite.name.to_owned(),
            fields: record.items().filter_map(field).collect(),
            has_failed,
            status_message: record.items().find_map(|item| match item {
                Item::StatusMessage(text) => Some(text.to_str().into_owned()),
                _ => None,
            }),
            described: format!(
                "{:?} {} {:?} {:?}",
                callsite.severity, callsite.target, callsite.module_path, callsite.fields
            ),
            parent: String::new(),
            id,
            parent_id,
        });
    }

    fn flush(&mut self) {}
}

fn field(callsite: &Callsite, item: Item<'_>) -> Option<String> {
    let (key, value) = match item {
        Item::Attribute(key, value) => (key, value),
        Item::Link { .. } => return Some("a link".to_owned()),
        _ => return None,
    };
    let name = match key {
        KeyRef::Field(index) => callsite.fields[usize::from(index)],
        KeyRef::Name(name) => str::from_utf8(name).unwrap(),
    };
    Some(match value {
        ValueRef::Text(text) => format!("{name}={:?}", text.to_str()),
        ValueRef::Bool(value) => format!("{name}={value}"),
        ValueRef::I64(value) => format!("{name}={value}i"),
        ValueRef::U64(value) => format!("{name}={value}u"),
        other => format!("{name}={other:?}"),
    })
}
