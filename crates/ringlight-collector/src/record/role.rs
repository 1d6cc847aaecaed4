//! What a field of a callsite means, by its name.

use ringlight_model::{CallsiteKind, SpanKind, StatusCode};

/// What the encoder does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldRole {
    /// An attribute under the field's name.
    Attribute,
    /// `message` of an event: the log record's body.
    Body,
    /// `otel.name` of a span: its name in place of the callsite's.
    SpanName,
    /// `otel.kind` of a span: see [`parse_span_kind`].
    SpanKind,
    /// `otel.status_code` of a span: see [`parse_status_code`]. Wins over the header's status.
    StatusCode,
    /// `otel.status_message` of a span. Wins over a status message item.
    StatusMessage,
}

impl FieldRole {
    /// The role of a field of that name in callsites of that kind.
    #[must_use]
    pub fn of(kind: CallsiteKind, name: &str) -> Self {
        match (kind, name) {
            (CallsiteKind::Event, "message") => Self::Body,
            (CallsiteKind::Span, "otel.name") => Self::SpanName,
            (CallsiteKind::Span, "otel.kind") => Self::SpanKind,
            (CallsiteKind::Span, "otel.status_code") => Self::StatusCode,
            (CallsiteKind::Span, "otel.status_message" | "otel.status_description") => {
                Self::StatusMessage
            }
            _ => Self::Attribute,
        }
    }
}

/// Reads the value of `otel.kind`: `internal`, `server`, `client`, `producer` or `consumer`, in any
/// case.
#[must_use]
pub fn parse_span_kind(text: &[u8]) -> Option<SpanKind> {
    let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    [
        ("internal", SpanKind::Internal),
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ]
    .into_iter()
    .find_map(|(name, kind)| is(name).then_some(kind))
}

/// Reads the value of `otel.status_code`: `unset`, `ok` or `error`, in any case.
#[must_use]
pub fn parse_status_code(text: &[u8]) -> Option<StatusCode> {
    let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    [
        ("unset", StatusCode::Unset),
        ("ok", StatusCode::Ok),
        ("error", StatusCode::Error),
    ]
    .into_iter()
    .find_map(|(name, code)| is(name).then_some(code))
}
