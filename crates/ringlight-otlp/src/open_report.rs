//! Spans that are still open on their way to a backend, as an OTLP logs request.
//!
//! OTLP knows spans only once they have ended. A client of ours reports those that have been open for
//! long, again and again, each time all of them: a *round*. Under the scope `ringlight`, whose
//! attributes say what round it is, there is a log record for each span, with the event name
//! `ringlight.span.open`, the ids of the span, and in its body the span as it is then: the bytes of an
//! OTLP `ScopeSpans` with that one span in it, which ends at the time of the report. A round without
//! records says that nothing is open any more.

use std::borrow::Cow;

use ringlight_model::{DecodeError, KeyValue, LogRecord, Scope, SpanId, TraceId, Value};

use crate::decode::{self, Budget, ItemError, lenient};
use crate::encode;
use crate::encode::proto;
use crate::fields::{per_resource, per_scope, request};
use crate::ledger_report::SCOPE;
use crate::wire::{Reader, Slice};

/// Event name of the log records.
pub const EVENT: &str = "ringlight.span.open";
/// Scope attribute: a random name of the sender, which no other process has or had.
pub const SENDER: &str = "ringlight.open_spans.sender";
/// Scope attribute: the number of the round, counted from 1 by each sender.
pub const ROUND: &str = "ringlight.open_spans.round";
/// Scope attribute: milliseconds until the next round, while anything is open.
pub const INTERVAL_MS: &str = "ringlight.open_spans.interval_ms";
/// Scope attribute: spans that are open for long and were too many for the round.
pub const LEFT_OUT: &str = "ringlight.open_spans.left_out";
/// Scope attribute that is true on the last round of a process, which ends.
pub const FINAL: &str = "ringlight.open_spans.final";

/// What a round is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round<'a> {
    /// A random name of the sender, which no other process has or had.
    pub sender: Cow<'a, str>,
    /// Its number, counted from 1 by each sender.
    pub number: u64,
    /// Milliseconds until the next one, while anything is open.
    pub interval_ms: u64,
    /// Spans that are open for long and were too many for it.
    pub left_out: u64,
    /// Whether it is the last one of its process, which ends.
    pub is_final: bool,
}

/// A span that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSpan<'a> {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// An OTLP `ScopeSpans` with the span, which ends when it was looked at.
    pub scope_spans: Cow<'a, [u8]>,
}

/// One round as a backend received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport<'a> {
    /// The encoded `Resource` message.
    pub resource: &'a [u8],
    /// The round.
    pub round: Round<'a>,
    /// The spans that are open.
    pub spans: Vec<OpenSpan<'a>>,
}

/// The `ExportLogsServiceRequest` of a round. `resource` is an encoded `Resource` message.
#[must_use]
pub fn encode(
    resource: &[u8],
    round: &Round<'_>,
    time_unix_nano: u64,
    spans: &[OpenSpan<'_>],
) -> Vec<u8> {
    let mut buf = Vec::new();
    let outer = encode::open_resource_encoded(&mut buf, resource);
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let scope = Scope {
        name: SCOPE.into(),
        attributes: vec![
            KeyValue::new(SENDER, &*round.sender),
            KeyValue::new(ROUND, number(round.number)),
            KeyValue::new(INTERVAL_MS, number(round.interval_ms)),
            KeyValue::new(LEFT_OUT, number(round.left_out)),
            KeyValue::new(FINAL, round.is_final),
        ],
        ..Scope::default()
    };
    let inner = encode::open_scope(&mut buf, &scope);
    for span in spans {
        let record = LogRecord {
            time_unix_nano,
            observed_unix_nano: time_unix_nano,
            event_name: EVENT.into(),
            body: Value::Bytes(Cow::Borrowed(&span.scope_spans)),
            trace_id: span.trace_id,
            span_id: span.span_id,
            ..LogRecord::default()
        };
        encode::log_record(&mut buf, &record);
    }
    proto::close(&mut buf, inner);
    proto::close(&mut buf, outer);
    buf
}

/// The rounds in an `ExportLogsServiceRequest`, usually none. Anything else in it is passed over.
///
/// # Errors
/// When the request does not decode.
pub fn read(request: &[u8]) -> Result<Vec<OpenReport<'_>>, DecodeError> {
    let mut reports = Vec::new();
    let mut reader = Reader::new(request);
    while let Some((number, field)) = reader.next()? {
        if number == request::RESOURCES {
            read_resource(field.slice(reader.position())?, &mut reports)?;
        }
    }
    Ok(reports)
}

fn read_resource<'a>(
    message: Slice<'a>,
    reports: &mut Vec<OpenReport<'a>>,
) -> Result<(), DecodeError> {
    let mut resource: &[u8] = &[];
    let mut rounds = Vec::new();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        match number {
            per_resource::RESOURCE => resource = field.slice(reader.position())?.bytes,
            per_resource::SCOPES => rounds.extend(read_scope(field.slice(reader.position())?)?),
            _ => {}
        }
    }
    reports.extend(rounds.into_iter().map(|(round, spans)| OpenReport {
        resource,
        round,
        spans,
    }));
    Ok(())
}

/// The round a scope is, which it says before anything else.
fn read_scope<'a>(
    message: Slice<'a>,
) -> Result<Option<(Round<'a>, Vec<OpenSpan<'a>>)>, DecodeError> {
    let mut reader = message.reader();
    let mut scope = Scope::default();
    match reader.next()? {
        Some((per_scope::SCOPE, field)) => {
            let slice = field.slice(reader.position())?;
            lenient(decode::scope(&mut Budget::default(), slice, &mut scope))?;
        }
        _ => return Ok(None),
    }
    let Some(round) = round_of(scope) else {
        return Ok(None);
    };
    let mut spans = Vec::new();
    while let Some((number, field)) = reader.next()? {
        if number == per_scope::ITEMS {
            let mut record = LogRecord::default();
            let slice = field.slice(reader.position())?;
            match decode::log(&mut Budget::default(), slice, &mut record) {
                Ok(()) => spans.extend(open_span(record)),
                Err(ItemError::Reject(_)) => {}
                Err(ItemError::Wire(error)) => return Err(error.into()),
            }
        }
    }
    Ok(Some((round, spans)))
}

fn round_of(scope: Scope<'_>) -> Option<Round<'_>> {
    if scope.name != SCOPE {
        return None;
    }
    let (mut round, mut has_number) = (Round::default(), false);
    for item in scope.attributes {
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        match (&*item.key, item.value) {
            (SENDER, Value::Str(sender)) => round.sender = sender,
            (ROUND, Value::Int(value)) => {
                round.number = number(value);
                has_number = true;
            }
            (INTERVAL_MS, Value::Int(value)) => round.interval_ms = number(value),
            (LEFT_OUT, Value::Int(value)) => round.left_out = number(value),
            (FINAL, Value::Bool(is_final)) => round.is_final = is_final,
            _ => {}
        }
    }
    (has_number && !round.sender.is_empty()).then_some(round)
}

fn open_span(record: LogRecord<'_>) -> Option<OpenSpan<'_>> {
    match record.body {
        Value::Bytes(scope_spans) if record.event_name == EVENT => Some(OpenSpan {
            trace_id: record.trace_id,
            span_id: record.span_id,
            scope_spans,
        }),
        _ => None,
    }
}

/// The `ExportTraceServiceRequest` of open spans, each a whole `ScopeSpans`, of one encoded `Resource`.
#[must_use]
pub fn traces_request<'a>(resource: &[u8], spans: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut buf = Vec::new();
    let open = encode::open_resource_encoded(&mut buf, resource);
    for scope_spans in spans {
        proto::bytes_field(&mut buf, per_resource::SCOPES, scope_spans);
    }
    proto::close(&mut buf, open);
    buf
}

#[cfg(test)]
mod tests {
    use ringlight_model::{Resource, Span};

    use super::*;

    fn round() -> Round<'static> {
        Round {
            sender: "a-process".into(),
            number: 3,
            interval_ms: 2000,
            left_out: 5,
            is_final: true,
        }
    }

    fn resource() -> Vec<u8> {
        let mut bytes = Vec::new();
        let resource = Resource {
            attributes: vec![KeyValue::new("service.name", "shop")],
            ..Resource::default()
        };
        encode::resource_message(&mut bytes, &resource);
        bytes
    }

    fn open_span(number: u64) -> OpenSpan<'static> {
        let mut scope_spans = Vec::new();
        let scope = Scope {
            name: "cart".into(),
            ..Scope::default()
        };
        encode::scope_fields(&mut scope_spans, &scope, "");
        let span = Span {
            trace_id: TraceId::new(7),
            span_id: SpanId::new(number),
            name: "checkout".into(),
            ..Span::default()
        };
        encode::span(&mut scope_spans, &span);
        OpenSpan {
            trace_id: span.trace_id,
            span_id: span.span_id,
            scope_spans: Cow::Owned(scope_spans),
        }
    }

    #[test]
    fn a_round_is_read_as_it_was_written() {
        for spans in [vec![], vec![open_span(1), open_span(2)]] {
            let resource = resource();
            let request = encode(&resource, &round(), 9, &spans);
            let reports = read(&request).unwrap();
            assert_eq!(
                reports,
                [OpenReport {
                    resource: &resource,
                    round: round(),
                    spans,
                }]
            );
        }
    }

    #[test]
    fn a_round_is_log_records_to_others_and_its_spans_are_spans() {
        use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
        use prost::Message as _;
        let spans = [open_span(1), open_span(2)];
        let request = encode(&resource(), &round(), 9, &spans);
        let request = ExportLogsServiceRequest::decode(&request[..]).unwrap();
        let logs = &request.resource_logs[0].scope_logs[0];
        assert_eq!(logs.scope.as_ref().unwrap().name, SCOPE);
        let record = &logs.log_records[1];
        assert_eq!((&*record.event_name, record.time_unix_nano), (EVENT, 9));
        assert_eq!(record.span_id, 2_u64.to_be_bytes());

        let bodies = spans.iter().map(|span| &*span.scope_spans);
        let traces = traces_request(&resource(), bodies);
        let traces = ExportTraceServiceRequest::decode(&traces[..]).unwrap();
        let scopes = &traces.resource_spans[0].scope_spans;
        let names: Vec<_> = scopes.iter().map(|scope| &*scope.spans[0].name).collect();
        assert_eq!(names, ["checkout", "checkout"]);
        assert_eq!(scopes[0].scope.as_ref().unwrap().name, "cart");
    }

    #[test]
    fn other_log_records_are_no_round() {
        let record = |body: Value<'static>, event_name: &'static str| LogRecord {
            event_name: event_name.into(),
            body,
            ..LogRecord::default()
        };
        let scope = |name: &'static str| Scope {
            name: name.into(),
            ..Scope::default()
        };
        let bytes = || Value::Bytes(vec![1].into());
        // Of ours, without saying which round; and of somebody else's.
        for name in [SCOPE, "shop"] {
            let records = [record(bytes(), EVENT)];
            let request = encode::request(&Resource::default(), &scope(name), &records);
            assert_eq!(read(&request), Ok(vec![]), "{name}");
        }
        // In a round, what is no open span is left out.
        let numbered = Scope {
            attributes: vec![KeyValue::new(SENDER, "s"), KeyValue::new(ROUND, 1_i64)],
            ..scope(SCOPE)
        };
        let records = [record(bytes(), "other"), record(Value::Int(1), EVENT)];
        let request = encode::request(&Resource::default(), &numbered, &records);
        assert_eq!(read(&request).unwrap()[0].spans, []);
        assert!(read(&[0x0a, 5]).is_err());
        assert_eq!(read(&[]), Ok(vec![]));
    }
}
