//! About how many bytes a record takes in memory, for the bounds of answers.

use ringlight_model::{KeyValue, LogRecord, Span, Value};

pub(super) fn bytes_of_log(record: &LogRecord<'_>) -> usize {
    size_of::<LogRecord<'_>>()
        + record.severity_text.len()
        + record.event_name.len()
        + bytes_of_value(&record.body)
        + bytes_of_attributes(&record.attributes)
}

pub(super) fn bytes_of_span(span: &Span<'_>) -> usize {
    let event = |event: &ringlight_model::SpanEvent<'_>| {
        size_of_val(event) + event.name.len() + bytes_of_attributes(&event.attributes)
    };
    let link = |link: &ringlight_model::SpanLink<'_>| {
        size_of_val(link) + link.trace_state.len() + bytes_of_attributes(&link.attributes)
    };
    size_of::<Span<'_>>()
        + span.name.len()
        + span.trace_state.len()
        + span.status.message.len()
        + bytes_of_attributes(&span.attributes)
        + span.events.iter().map(event).sum::<usize>()
        + span.links.iter().map(link).sum::<usize>()
}

fn bytes_of_attributes(attributes: &[KeyValue<'_>]) -> usize {
    let each = |one: &KeyValue<'_>| size_of_val(one) + one.key.len() + bytes_of_value(&one.value);
    attributes.iter().map(each).sum()
}

fn bytes_of_value(value: &Value<'_>) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => {
            let each = |item| size_of_val(item) + bytes_of_value(item);
            items.iter().map(each).sum()
        }
        Value::Map(items) => bytes_of_attributes(items),
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
    }
}
