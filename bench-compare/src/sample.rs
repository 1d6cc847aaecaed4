//! A sample of what arrived, compared with what was sent: names, parents, attributes, times.

use bench_workload::{Took, id, route};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::LogRecord,
    trace::v1::Span,
};
use prost::Message as _;

use crate::{
    plan::Shape,
    server::{Received, Signal},
    wire,
};

/// One trace in so many is kept.
const EVERY: u32 = 32;
/// Traces kept at most.
const TRACES_MAX: usize = 4_000;
/// Differences told at most.
const DIFFERENCES_MAX: usize = 5;

/// The traces kept, whole.
pub(crate) struct Sample {
    shape: Shape,
    traces: HashMap<Vec<u8>, Trace>,
}

#[derive(Default)]
struct Trace {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    /// Records that the generated types refuse.
    undecodable: u32,
}

impl Sample {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            traces: HashMap::new(),
        }
    }

    /// Keeps a record, as bytes, if its trace is kept.
    pub(crate) fn offer(&mut self, signal: Signal, record: &[u8]) {
        let trace_id_field = match signal {
            Signal::Traces => 1,
            Signal::Logs => 9,
            Signal::Metrics => return,
        };
        let trace_id = wire::bytes_field(record, trace_id_field).unwrap_or_default();
        let Some(trace) = self.trace(trace_id) else {
            return;
        };
        let decoded = match signal {
            Signal::Traces => Span::decode(record).map(|span| trace.spans.push(span)),
            _ => LogRecord::decode(record).map(|log| trace.logs.push(log)),
        };
        trace.undecodable += u32::from(decoded.is_err());
    }

    /// The trace of an id, if that is kept. Ids are random, but not in every byte for everyone.
    fn trace(&mut self, trace_id: &[u8]) -> Option<&mut Trace> {
        let hash = trace_id.iter().fold(0_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        let kept = (hash >> 8) % EVERY == 0
            && (self.traces.len() < TRACES_MAX || self.traces.contains_key(trace_id));
        kept.then(|| self.traces.entry(trace_id.to_vec()).or_default())
    }

    /// Compares everything kept.
    pub(crate) fn compare(&self, received: &mut Received) {
        for (trace_id, trace) in &self.traces {
            received.compared += (trace.spans.len() + trace.logs.len()) as u64;
            let is_whole = trace.spans.len() as u64 >= self.shape.spans_per_unit()
                && trace.events().len() as u64 >= self.shape.events_per_unit();
            received.incomplete += u64::from(!is_whole);
            let result = check_ids(trace_id, trace)
                .and_then(|()| check_structure(self.shape, trace))
                .and_then(|()| check_attributes(self.shape, trace))
                .and_then(|()| check_events(self.shape, trace));
            if let Err(difference) = result
                && received.differences.len() < DIFFERENCES_MAX
            {
                received.differences.push(difference);
            }
        }
    }
}

/// An event, however it came.
struct Event<'a> {
    span_id: &'a [u8],
    name: &'a str,
    attributes: &'a [KeyValue],
}

impl Trace {
    fn events(&self) -> Vec<Event<'_>> {
        let in_spans = self.spans.iter().flat_map(|span| {
            span.events.iter().map(|event| Event {
                span_id: &span.span_id,
                name: &event.name,
                attributes: &event.attributes,
            })
        });
        let as_logs = self.logs.iter().map(|log| Event {
            span_id: &log.span_id,
            name: log.body.as_ref().and_then(as_text).unwrap_or_default(),
            attributes: &log.attributes,
        });
        in_spans.chain(as_logs).collect()
    }
}

type Check = Result<(), String>;

fn check_ids(trace_id: &[u8], trace: &Trace) -> Check {
    if trace.undecodable > 0 {
        return Err(format!("{} records that do not decode", trace.undecodable));
    }
    if trace_id.len() != 16 || trace_id.iter().all(|byte| *byte == 0) {
        return Err(format!("trace id {trace_id:02x?}"));
    }
    let mut ids = BTreeSet::new();
    for span in &trace.spans {
        let id = &span.span_id;
        if id.len() != 8 || id.iter().all(|byte| *byte == 0) || !ids.insert(id) {
            return Err(format!("span id {id:02x?}, twice or not valid"));
        }
        if span.start_time_unix_nano == 0 || span.end_time_unix_nano < span.start_time_unix_nano {
            return Err(format!(
                "span `{}` from {} to {}",
                span.name, span.start_time_unix_nano, span.end_time_unix_nano
            ));
        }
    }
    Ok(())
}

/// At most one root, all others its children.
fn check_structure(shape: Shape, trace: &Trace) -> Check {
    if trace.spans.len() as u64 > shape.spans_per_unit() {
        return Err(format!("{} spans in a trace", trace.spans.len()));
    }
    let is_root = |span: &&Span| span.parent_span_id.iter().all(|byte| *byte == 0);
    let roots: Vec<&Span> = trace.spans.iter().filter(is_root).collect();
    if roots.len() > 1 || roots.iter().any(|root| root.name != "root") {
        return Err(format!(
            "roots {:?}",
            roots.iter().map(|span| &span.name).collect::<Vec<_>>()
        ));
    }
    // Where the root was dropped, the children still agree on it.
    let mut parents: BTreeSet<&[u8]> = roots.iter().map(|root| root.span_id.as_slice()).collect();
    for child in trace.spans.iter().filter(|span| !is_root(span)) {
        parents.insert(&child.parent_span_id);
        if child.name != "child" {
            return Err(format!("a child called `{}`", child.name));
        }
    }
    if parents.len() > 1 {
        return Err(format!("parents {parents:02x?} in one trace"));
    }
    Ok(())
}

/// The three attributes of every span belong to one unit's sequence numbers.
fn check_attributes(shape: Shape, trace: &Trace) -> Check {
    if !shape.has_attributes() {
        return Ok(());
    }
    let mut units = BTreeMap::new();
    let mut sequences = BTreeSet::new();
    for span in &trace.spans {
        let sequence = integer(&span.attributes, "id")?;
        let expected_route = route(sequence);
        let expected_took = Took(sequence).to_string();
        let found = (
            text(&span.attributes, "route")?,
            text(&span.attributes, "took")?,
        );
        if found != (expected_route, expected_took.as_str()) {
            return Err(format!("span {sequence}: route and took are {found:?}"));
        }
        let is_root = sequence.is_multiple_of(shape.spans_per_unit());
        if is_root != (span.name == "root") || !sequences.insert(sequence) {
            return Err(format!(
                "span {sequence} is called `{}`, or came twice",
                span.name
            ));
        }
        *units
            .entry(sequence / shape.spans_per_unit())
            .or_insert(0_u64) += 1;
    }
    if units.len() > 1 {
        return Err(format!("spans of units {units:?} in one trace"));
    }
    Ok(())
}

/// Each event is a span event, or a log record with the ids of its span, of which it has at most
/// one; where spans have attributes, it has the number of its span.
fn check_events(shape: Shape, trace: &Trace) -> Check {
    let events = trace.events();
    // Any of them may have been dropped.
    if events.len() as u64 > shape.events_per_unit() {
        return Err(format!("{} events in one trace", events.len()));
    }
    let mut spans = BTreeSet::new();
    for event in events {
        // Whether the span was dropped or the event strayed cannot be told when some are missing.
        let span = trace
            .spans
            .iter()
            .find(|span| span.span_id == event.span_id);
        let is_known = span.is_some() || (trace.spans.len() as u64) < shape.spans_per_unit();
        if event.name != "ping" || !is_known || !spans.insert(event.span_id) {
            return Err(format!(
                "an event `{}` of span {:02x?}, or a second one there",
                event.name, event.span_id
            ));
        }
        let number = integer(event.attributes, "id")?;
        let Some(span) = span.filter(|_| shape.has_attributes()) else {
            continue;
        };
        if span.name != "child" || integer(&span.attributes, "id")? != number {
            return Err(format!("event {number} in span {:?}", span.attributes));
        }
    }
    Ok(())
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Result<&'a AnyValue, String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key);
    attribute
        .and_then(|attribute| attribute.value.as_ref())
        .ok_or_else(|| format!("no attribute `{key}` in {attributes:?}"))
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Result<&'a str, String> {
    let value = value(attributes, key)?;
    as_text(value).ok_or_else(|| format!("attribute `{key}` is {value:?}"))
}

fn as_text(value: &AnyValue) -> Option<&str> {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => Some(text),
        _ => None,
    }
}

/// An integer, or one as text for the subject that knows only text.
fn integer(attributes: &[KeyValue], key: &str) -> Result<u64, String> {
    let value = value(attributes, key)?;
    let number = match &value.value {
        Some(any_value::Value::IntValue(number)) => Some(*number),
        Some(any_value::Value::StringValue(text)) => text.parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| id(number.cast_unsigned()) == *number && *number >= 0);
    number
        .map(i64::cast_unsigned)
        .ok_or_else(|| format!("attribute `{key}` is {value:?}"))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::span::Event as SpanEvent;

    use super::*;

    fn attribute(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    }

    fn number(sequence: u64) -> KeyValue {
        attribute("id", any_value::Value::IntValue(id(sequence)))
    }

    /// The spans of request 5, as they should arrive: each child with its event.
    fn request() -> Vec<Span> {
        let text = |key, value: &str| attribute(key, any_value::Value::StringValue(value.into()));
        let span = |sequence: u64| Span {
            trace_id: vec![1; 16],
            span_id: vec![sequence as u8; 8],
            parent_span_id: if sequence == 15 { vec![] } else { vec![15; 8] },
            name: if sequence == 15 { "root" } else { "child" }.to_owned(),
            start_time_unix_nano: 1,
            end_time_unix_nano: 2,
            attributes: vec![
                number(sequence),
                text("route", route(sequence)),
                text("took", &Took(sequence).to_string()),
            ],
            events: if sequence == 15 {
                vec![]
            } else {
                vec![ping(sequence)]
            },
            ..Span::default()
        };
        vec![span(15), span(16), span(17)]
    }

    fn ping(sequence: u64) -> SpanEvent {
        SpanEvent {
            name: "ping".to_owned(),
            attributes: vec![number(sequence)],
            ..SpanEvent::default()
        }
    }

    fn check(change: impl FnOnce(&mut Vec<Span>), expected: (u64, usize)) {
        let mut spans = request();
        change(&mut spans);
        let trace = Trace {
            spans,
            ..Trace::default()
        };
        let mut sample = Sample::new(Shape::Request);
        sample.traces.insert(vec![1; 16], trace);
        let mut received = Received::default();
        sample.compare(&mut received);
        let found = (received.incomplete, received.differences.len());
        assert_eq!(found, expected, "{:?}", received.differences);
    }

    #[test]
    fn a_request_is_compared_down_to_the_span_of_each_event() {
        check(|_| (), (0, 0));
        // Lost on the way.
        check(|spans| drop(spans.pop()), (1, 0));
        check(|spans| spans[1].events.clear(), (1, 0));
        // Not what was sent.
        check(|spans| spans[1].events[0].name.push('!'), (0, 1));
        check(|spans| spans[1].events[0] = ping(17), (0, 1));
        check(|spans| spans[1].events.push(ping(16)), (0, 1));
        check(|spans| spans[2].parent_span_id[0] = 16, (0, 1));
        check(|spans| drop(spans[2].attributes.pop()), (0, 1));
        let move_event = |spans: &mut Vec<Span>| {
            let event = spans[1].events.remove(0);
            spans[2].events.push(event);
        };
        check(move_event, (0, 1));
    }
}
