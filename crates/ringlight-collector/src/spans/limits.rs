//! The limits of a record, applied to whole spans.

use std::borrow::Cow;

use ringlight_model::{KeyValue, Limits, Span, Value};

/// What follows a text that was cut.
const CUT_MARK: &str = "…";

/// The span as it is, or a copy without what is over the limits and with its end not before its
/// start.
pub(crate) fn within_limits<'s, 'a>(span: &'s Span<'a>, limits: &Limits) -> Cow<'s, Span<'a>> {
    let event_max = limits.event_attributes_max;
    let link_max = limits.link_attributes_max;
    let are_short = |items: &[KeyValue<'_>]| !items.iter().any(|item| is_long(&item.value, limits));
    let is_within = span.attributes.len() <= limits.attributes_max
        && span.events.len() <= limits.events_max
        && span.links.len() <= limits.links_max
        && span.events.iter().all(|e| e.attributes.len() <= event_max)
        && span.links.iter().all(|l| l.attributes.len() <= link_max)
        && span.end_unix_nano >= span.start_unix_nano
        && are_short(&span.attributes)
        && span.events.iter().all(|event| are_short(&event.attributes))
        && span.links.iter().all(|link| are_short(&link.attributes));
    if is_within {
        Cow::Borrowed(span)
    } else {
        Cow::Owned(trimmed(span.clone(), limits))
    }
}

/// Whether a text or byte string is too long, also within a list or map.
fn is_long(value: &Value<'_>, limits: &Limits) -> bool {
    match value {
        Value::Str(text) => text.len() > limits.text_bytes_max,
        Value::Bytes(bytes) => bytes.len() > limits.text_bytes_max,
        Value::Array(items) => items.iter().any(|item| is_long(item, limits)),
        Value::Map(items) => items.iter().any(|item| is_long(&item.value, limits)),
        _ => false,
    }
}

/// Cuts what is too long.
fn shorten(value: &mut Value<'_>, limits: &Limits) {
    match value {
        Value::Str(text) if text.len() > limits.text_bytes_max => {
            let end = text.floor_char_boundary(limits.text_bytes_max);
            *text = Cow::Owned(text[..end].to_owned() + CUT_MARK);
        }
        Value::Bytes(bytes) if bytes.len() > limits.text_bytes_max => {
            *bytes = Cow::Owned(bytes[..limits.text_bytes_max].to_vec());
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, limits)),
        Value::Map(items) => items
            .iter_mut()
            .for_each(|item| shorten(&mut item.value, limits)),
        _ => {}
    }
}

#[cold]
fn trimmed<'a>(mut span: Span<'a>, limits: &Limits) -> Span<'a> {
    span.end_unix_nano = span.end_unix_nano.max(span.start_unix_nano);
    cut(
        &mut span.attributes,
        &mut span.dropped_attributes_count,
        limits.attributes_max,
    );
    cut(
        &mut span.events,
        &mut span.dropped_events_count,
        limits.events_max,
    );
    cut(
        &mut span.links,
        &mut span.dropped_links_count,
        limits.links_max,
    );
    for event in &mut span.events {
        let dropped = &mut event.dropped_attributes_count;
        cut(&mut event.attributes, dropped, limits.event_attributes_max);
    }
    for link in &mut span.links {
        let dropped = &mut link.dropped_attributes_count;
        cut(&mut link.attributes, dropped, limits.link_attributes_max);
    }
    let of_events = span.events.iter_mut().map(|event| &mut event.attributes);
    let of_links = span.links.iter_mut().map(|link| &mut link.attributes);
    let all = of_events.chain(of_links).chain([&mut span.attributes]);
    for item in all.flatten() {
        shorten(&mut item.value, limits);
    }
    span
}

/// Leaves so many of a list, and counts the others.
fn cut<T>(list: &mut Vec<T>, dropped: &mut u32, max: usize) {
    let over = u32::try_from(list.len().saturating_sub(max)).unwrap_or(u32::MAX);
    list.truncate(max);
    *dropped = dropped.saturating_add(over);
}

/// Whether the span can be told from others and read back: its ids are not zero, and its values are
/// not nested deeper than the limit.
pub(super) fn is_valid(span: &Span<'_>, limits: &Limits) -> bool {
    let is_shallow = |items: &[KeyValue<'_>]| {
        items
            .iter()
            .all(|item| depth_within(&item.value, limits.depth_max))
    };
    span.trace_id.is_valid()
        && span.span_id.is_valid()
        && is_shallow(&span.attributes)
        && span
            .events
            .iter()
            .all(|event| is_shallow(&event.attributes))
        && span.links.iter().all(|link| is_shallow(&link.attributes))
}

/// Whether the value has at most so many levels of lists and maps; looks no deeper than that.
fn depth_within(value: &Value<'_>, levels: usize) -> bool {
    match value {
        Value::Array(items) => {
            levels > 0 && items.iter().all(|item| depth_within(item, levels - 1))
        }
        Value::Map(items) => {
            let mut items = items.iter();
            levels > 0 && items.all(|item| depth_within(&item.value, levels - 1))
        }
        _ => true,
    }
}
