//! Tests of the store as a whole, and what they share.

mod bounds;
mod concurrency;
mod cost;
mod duplicates;
mod faults;
mod kills;
mod lifecycle;
mod logs;
mod metrics;
mod open;
mod operations;
mod roots;
mod round_trip;
mod traces;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::{
    KeyValue, LogRecord, Resource, Scope, Severity, Signal, Span, SpanId, Status, StatusCode,
    TraceId,
};
use ringlight_otlp::{OtlpDecoder, encode};

use crate::query::{Query, QuerySignal};
use crate::writer::Message;
use crate::{
    Cancel, Durability, Ingest, IngestError, IngestReceipt, LogPage, LogSearch, Store, StoreConfig,
    TracePage, TraceSearch,
};

/// A moment in 2026, Unix nanoseconds.
pub(crate) const T0: u64 = 1_790_000_000_000_000_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Blocks as large as tests say, not as time says.
pub(crate) fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        command: "test".to_owned(),
        block_records: 65_536,
        block_age: Duration::from_secs(3600),
        durability: Durability::ProcessDeath,
        ..StoreConfig::new(directory)
    }
}

pub(crate) fn open(config: StoreConfig) -> Store {
    Store::open(config, Arc::new(OtlpDecoder::default())).unwrap()
}

pub(crate) fn resource(service: &str) -> Resource<'static> {
    Resource {
        attributes: vec![
            KeyValue::new("service.name", service.to_owned()),
            KeyValue::new("service.instance.id", format!("{service}-1")),
        ],
        dropped_attributes_count: 0,
    }
}

pub(crate) fn scope() -> Scope<'static> {
    Scope {
        name: "tests".into(),
        version: "1".into(),
        ..Scope::default()
    }
}

/// A span of 10 ms, a root unless changed.
pub(crate) fn span(trace: u128, id: u64, name: &str, start: u64) -> Span<'static> {
    Span {
        trace_id: TraceId::new(trace),
        span_id: SpanId::new(id),
        name: name.to_owned().into(),
        start_unix_nano: start,
        end_unix_nano: start + 10 * MS,
        ..Span::default()
    }
}

pub(crate) fn child(trace: u128, id: u64, parent: u64, name: &str, start: u64) -> Span<'static> {
    Span {
        parent_span_id: SpanId::new(parent),
        ..span(trace, id, name, start)
    }
}

pub(crate) fn failed(span: Span<'static>, message: &'static str) -> Span<'static> {
    Span {
        status: Status {
            code: StatusCode::Error,
            message: message.into(),
        },
        ..span
    }
}

pub(crate) fn with(mut span: Span<'static>, attribute: KeyValue<'static>) -> Span<'static> {
    span.attributes.push(attribute);
    span
}

pub(crate) fn log(body: &str, severity: Severity, time: u64) -> LogRecord<'static> {
    LogRecord {
        time_unix_nano: time,
        severity,
        body: body.to_owned().into(),
        ..LogRecord::default()
    }
}

pub(crate) fn span_request(service: &str, spans: &[Span<'_>]) -> Vec<u8> {
    encode::request(&resource(service), &scope(), spans)
}

pub(crate) fn log_request(service: &str, logs: &[LogRecord<'_>]) -> Vec<u8> {
    encode::request(&resource(service), &scope(), logs)
}

pub(crate) fn ingest(
    store: &Store,
    signal: Signal,
    request: &[u8],
    batch_id: Option<&str>,
) -> Result<IngestReceipt, IngestError> {
    store.ingest(Ingest {
        signal,
        request,
        batch_id,
    })
}

pub(crate) fn add(store: &Store, service: &str, spans: &[Span<'_>]) -> IngestReceipt {
    ingest(store, Signal::Traces, &span_request(service, spans), None).unwrap()
}

pub(crate) fn add_logs(store: &Store, service: &str, logs: &[LogRecord<'_>]) -> IngestReceipt {
    ingest(store, Signal::Logs, &log_request(service, logs), None).unwrap()
}

/// Seals everything and waits until it is written, or until writing failed.
pub(crate) fn flush(store: &Store) {
    store.ask(Message::Flush);
}

pub(crate) fn traces_of(query: &str) -> TraceSearch {
    TraceSearch {
        query: Query::parse(query, QuerySignal::Traces).unwrap(),
        from_unix_nano: None,
        to_unix_nano: None,
        limit: 100,
        cursor: None,
        run: None,
        cancel: Cancel::default(),
    }
}

pub(crate) fn logs_of(query: &str) -> LogSearch {
    LogSearch {
        query: Query::parse(query, QuerySignal::Logs).unwrap(),
        from_unix_nano: None,
        to_unix_nano: None,
        limit: 100,
        cursor: None,
        run: None,
        trace_id: None,
        span_id: None,
        cancel: Cancel::default(),
    }
}

pub(crate) fn search(store: &Store, query: &str) -> TracePage {
    store.search_traces(&traces_of(query)).unwrap()
}

/// Low digits of the ids of the traces found, in order.
pub(crate) fn found(store: &Store, query: &str) -> Vec<u128> {
    ids(&search(store, query))
}

pub(crate) fn ids(page: &TracePage) -> Vec<u128> {
    page.traces
        .iter()
        .map(|trace| trace.trace_id.get())
        .collect()
}

pub(crate) fn bodies(page: &LogPage) -> Vec<String> {
    page.logs
        .iter()
        .map(|entry| entry.record.body.to_string())
        .collect()
}

/// Bodies of the log records found, in order.
pub(crate) fn found_logs(store: &Store, query: &str) -> Vec<String> {
    bodies(&store.search_logs(&logs_of(query)).unwrap())
}

/// Runs a check against records in the head and against the same records in blocks.
pub(crate) fn in_head_and_blocks(fill: impl Fn(&Store), check: impl Fn(&Store)) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    fill(&store);
    check(&store);
    flush(&store);
    assert_eq!(store.stats().head_records, 0);
    check(&store);
    drop(store);
    check(&open(config(directory.path())));
}
