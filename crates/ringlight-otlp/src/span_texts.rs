//! What an encoded span says that is looked for now and then, without decoding all of it.

use crate::fields::{per_scope, span};
use crate::wire::{Field, Reader};

/// Texts of a span. They need not be UTF-8: nobody has looked at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SpanTexts<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its W3C trace state.
    pub trace_state: &'a [u8],
}

/// Reads the texts of a span that is encoded as an item of a `ScopeSpans`, its tag and length included. `None` if that is
/// not what the bytes are.
#[must_use]
pub fn span_texts(item: &[u8]) -> Option<SpanTexts<'_>> {
    let (number, item) = Reader::new(item).next().ok()??;
    let Field::Bytes(message) = item else {
        return None;
    };
    if number != per_scope::ITEMS {
        return None;
    }
    let mut texts = SpanTexts::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next().ok()? {
        let Field::Bytes(text) = field else { continue };
        match number {
            span::NAME => texts.name = text.bytes,
            span::TRACE_STATE => texts.trace_state = text.bytes,
            _ => {}
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
    use prost::Message as _;

    use super::*;

    fn item(name: &str, trace_state: &str) -> Vec<u8> {
        let span = Span {
            name: name.to_owned(),
            trace_state: trace_state.to_owned(),
            trace_id: vec![5; 16],
            flags: 1,
            start_time_unix_nano: 7,
            ..Span::default()
        };
        let spans = ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        };
        spans.encode_to_vec()
    }

    #[test]
    fn texts_are_those_of_the_span() {
        for (name, state) in [("order", "ot=th:8"), ("", ""), ("a", "")] {
            let bytes = item(name, state);
            let texts = span_texts(&bytes).unwrap();
            assert_eq!(
                (texts.name, texts.trace_state),
                (name.as_bytes(), state.as_bytes())
            );
        }
    }

    #[test]
    fn what_is_not_a_span_has_none() {
        let bytes = item("order", "a=b");
        for length in 0..bytes.len() {
            assert_eq!(span_texts(&bytes[..length]), None, "{length}");
        }
        assert_eq!(span_texts(b"\x1a\x00"), None);
        assert_eq!(span_texts(b"\x10\x00"), None);
    }
}
