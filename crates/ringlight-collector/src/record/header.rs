//! The headers of records.

use ringlight_model::{CallsiteId, Severity, SpanId, SpanKind, StatusCode, TraceId};

use super::{Head, LOG_HEADER_WORDS, SPAN_HEADER_WORDS};

/// The header of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanHeader {
    /// Kind, status, flags, what was dropped.
    pub head: Head,
    /// Where in the source it was made; zero where there is no callsite.
    pub callsite: CallsiteId,
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent, or [`SpanId::INVALID`].
    pub parent_span_id: SpanId,
    /// Start, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// End, Unix nanoseconds.
    pub end_unix_nano: u64,
}

impl SpanHeader {
    /// A header of an ordinary span: internal, status unset.
    #[must_use]
    pub const fn new(callsite: CallsiteId, trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            head: Head::span(SpanKind::Internal, StatusCode::Unset, 1),
            callsite,
            trace_id,
            span_id,
            parent_span_id: SpanId::INVALID,
            start_unix_nano: 0,
            end_unix_nano: 0,
        }
    }

    /// The words of the header.
    #[must_use]
    pub const fn to_words(&self) -> [u64; SPAN_HEADER_WORDS] {
        [
            self.head.word(),
            self.callsite.get(),
            (self.trace_id.get() >> 64) as u64,
            self.trace_id.get() as u64,
            self.span_id.get(),
            self.parent_span_id.get(),
            self.start_unix_nano,
            self.end_unix_nano,
        ]
    }
}

/// The header of a log record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHeader {
    /// Severity, flags, what was dropped.
    pub head: Head,
    /// Where in the source it was made; zero where there is no callsite.
    pub callsite: CallsiteId,
    /// The trace it was logged in, or [`TraceId::INVALID`].
    pub trace_id: TraceId,
    /// The span it was logged in, or [`SpanId::INVALID`].
    pub span_id: SpanId,
    /// When, Unix nanoseconds.
    pub time_unix_nano: u64,
}

impl LogHeader {
    /// A header of a log record outside of spans.
    #[must_use]
    pub const fn new(callsite: CallsiteId, severity: Severity, time_unix_nano: u64) -> Self {
        Self {
            head: Head::log(severity, 0),
            callsite,
            trace_id: TraceId::INVALID,
            span_id: SpanId::INVALID,
            time_unix_nano,
        }
    }

    /// The words of the header.
    #[must_use]
    pub const fn to_words(&self) -> [u64; LOG_HEADER_WORDS] {
        [
            self.head.word(),
            self.callsite.get(),
            (self.trace_id.get() >> 64) as u64,
            self.trace_id.get() as u64,
            self.span_id.get(),
            self.time_unix_nano,
        ]
    }
}
