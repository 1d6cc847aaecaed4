//! Spans and log records, and what they belong to.
//!
//! Every type here can borrow its text from the request it was decoded from; `into_owned` cuts that
//! tie. Times are nanoseconds since the Unix epoch.

use std::borrow::Cow;

use crate::{KeyValue, SpanId, TraceId, Value};

/// What produced the telemetry: a service, on a host, in a process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource<'a> {
    /// Attributes such as `service.name`.
    pub attributes: Vec<KeyValue<'a>>,
    /// How many attributes were dropped before they got here.
    pub dropped_attributes_count: u32,
}

impl Resource<'_> {
    /// The value of an attribute that is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|kv| kv.key == key)
            .and_then(|kv| kv.value.as_str())
    }

    /// The service name; `unknown_service` where there is none, as the specification says.
    #[must_use]
    pub fn service_name(&self) -> &str {
        self.text("service.name")
            .filter(|name| !name.is_empty())
            .unwrap_or("unknown_service")
    }

    /// The same resource, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Resource<'static> {
        Resource {
            attributes: owned(self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
        }
    }
}

/// The instrumentation scope: which library recorded it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope<'a> {
    /// Name, for `tracing` the callsite's target.
    pub name: Cow<'a, str>,
    /// Version, may be empty.
    pub version: Cow<'a, str>,
    /// Attributes.
    pub attributes: Vec<KeyValue<'a>>,
    /// How many attributes were dropped before they got here.
    pub dropped_attributes_count: u32,
}

impl Scope<'_> {
    /// The same scope, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Scope<'static> {
        Scope {
            name: Cow::Owned(self.name.into_owned()),
            version: Cow::Owned(self.version.into_owned()),
            attributes: owned(self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
        }
    }
}

/// The role of a span. Discriminants are those of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not given.
    Unspecified = 0,
    /// Work inside the process.
    #[default]
    Internal = 1,
    /// Serves a remote request.
    Server = 2,
    /// Makes a remote request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Handles a message.
    Consumer = 5,
}

impl SpanKind {
    /// The kind of an OTLP number; unknown numbers are `Unspecified`.
    #[must_use]
    pub const fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// The name in the query language and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// How the work of a span ended. Discriminants are those of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum StatusCode {
    /// Nothing was said.
    #[default]
    Unset = 0,
    /// The application says it went well.
    Ok = 1,
    /// It failed.
    Error = 2,
}

impl StatusCode {
    /// The code of an OTLP number; unknown numbers are `Unset`.
    #[must_use]
    pub const fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// The name in the query language and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// The status of a span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status<'a> {
    /// The code.
    pub code: StatusCode,
    /// For an error, what went wrong.
    pub message: Cow<'a, str>,
}

/// A finished span: the fields of OTLP's `Span`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Span<'a> {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The parent's id, [`SpanId::INVALID`] for a root.
    pub parent_span_id: SpanId,
    /// The W3C `tracestate` header, may be empty.
    pub trace_state: Cow<'a, str>,
    /// W3C trace flags in the low byte, OTLP's "is remote" bits 8 and 9 above.
    pub flags: u32,
    /// Operation name.
    pub name: Cow<'a, str>,
    /// Role.
    pub kind: SpanKind,
    /// Start, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// End, Unix nanoseconds. Never before the start once decoded.
    pub end_unix_nano: u64,
    /// Attributes.
    pub attributes: Vec<KeyValue<'a>>,
    /// How many attributes were dropped before they got here.
    pub dropped_attributes_count: u32,
    /// Span events.
    pub events: Vec<SpanEvent<'a>>,
    /// How many events were dropped before they got here.
    pub dropped_events_count: u32,
    /// Links to other spans.
    pub links: Vec<SpanLink<'a>>,
    /// How many links were dropped before they got here.
    pub dropped_links_count: u32,
    /// Outcome.
    pub status: Status<'a>,
}

impl Span<'_> {
    /// End minus start, in nanoseconds; zero when the clock went backwards.
    #[must_use]
    pub const fn duration_nano(&self) -> u64 {
        self.end_unix_nano.saturating_sub(self.start_unix_nano)
    }

    /// The same span, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Span<'static> {
        Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            trace_state: Cow::Owned(self.trace_state.into_owned()),
            flags: self.flags,
            name: Cow::Owned(self.name.into_owned()),
            kind: self.kind,
            start_unix_nano: self.start_unix_nano,
            end_unix_nano: self.end_unix_nano,
            attributes: owned(self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
            events: self.events.into_iter().map(SpanEvent::into_owned).collect(),
            dropped_events_count: self.dropped_events_count,
            links: self.links.into_iter().map(SpanLink::into_owned).collect(),
            dropped_links_count: self.dropped_links_count,
            status: Status {
                code: self.status.code,
                message: Cow::Owned(self.status.message.into_owned()),
            },
        }
    }
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpanEvent<'a> {
    /// When, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// What.
    pub name: Cow<'a, str>,
    /// Attributes.
    pub attributes: Vec<KeyValue<'a>>,
    /// How many attributes were dropped before they got here.
    pub dropped_attributes_count: u32,
}

impl SpanEvent<'_> {
    /// The same event, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> SpanEvent<'static> {
        SpanEvent {
            time_unix_nano: self.time_unix_nano,
            name: Cow::Owned(self.name.into_owned()),
            attributes: owned(self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
        }
    }
}

/// A reference to a related span, in this trace or another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpanLink<'a> {
    /// The other span's trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// Its `tracestate`, may be empty.
    pub trace_state: Cow<'a, str>,
    /// Attributes of the link.
    pub attributes: Vec<KeyValue<'a>>,
    /// How many attributes were dropped before they got here.
    pub dropped_attributes_count: u32,
    /// Flags, as in [`Span::flags`].
    pub flags: u32,
}

impl SpanLink<'_> {
    /// The same link, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> SpanLink<'static> {
        SpanLink {
            trace_id: self.trace_id,
            span_id: self.span_id,
            trace_state: Cow::Owned(self.trace_state.into_owned()),
            attributes: owned(self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
            flags: self.flags,
        }
    }
}

/// The severity of a log record: OTLP's number, 1 to 24, or 0 where none was given.
///
/// `trace` is 1 to 4, `debug` 5 to 8, `info` 9 to 12, `warn` 13 to 16, `error` 17 to 20, `fatal` 21
/// to 24 (OpenTelemetry logs data model, "Severity Fields").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Severity(u8);

impl Severity {
    /// No severity.
    pub const UNSPECIFIED: Self = Self(0);
    /// Finest detail.
    pub const TRACE: Self = Self(1);
    /// Debugging.
    pub const DEBUG: Self = Self(5);
    /// Normal events.
    pub const INFO: Self = Self(9);
    /// Something to look at.
    pub const WARN: Self = Self(13);
    /// Something failed.
    pub const ERROR: Self = Self(17);
    /// The program cannot go on.
    pub const FATAL: Self = Self(21);

    /// The severity of an OTLP number; numbers outside 0 to 24 are unspecified.
    #[must_use]
    pub const fn from_otlp(number: i32) -> Self {
        match number {
            1..=24 => Self(number as u8),
            _ => Self::UNSPECIFIED,
        }
    }

    /// The number, 0 to 24.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name of the range it lies in; empty when unspecified.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self.0 {
            1..=4 => "trace",
            5..=8 => "debug",
            9..=12 => "info",
            13..=16 => "warn",
            17..=20 => "error",
            21..=24 => "fatal",
            _ => "",
        }
    }
}

/// A log record: the fields of OTLP's `LogRecord`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogRecord<'a> {
    /// When it happened, Unix nanoseconds, 0 where unknown.
    pub time_unix_nano: u64,
    /// When it was seen by the collecting system, Unix nanoseconds, 0 where unknown.
    pub observed_unix_nano: u64,
    /// How severe.
    pub severity: Severity,
    /// The severity as the source named it, may be empty.
    pub severity_text: Cow<'a, str>,
    /// The event's name, empty for a plain log line.
    pub event_name: Cow<'a, str>,
    /// The body: usually text.
    pub body: Value<'a>,
    /// Attributes.
    pub attributes: Vec<KeyValue<'a>>,
    /// How many attributes were dropped before they got here.
    pub dropped_attributes_count: u32,
    /// W3C trace flags in the low byte.
    pub flags: u32,
    /// The trace it was logged in, or [`TraceId::INVALID`].
    pub trace_id: TraceId,
    /// The span it was logged in, or [`SpanId::INVALID`].
    pub span_id: SpanId,
}

impl LogRecord<'_> {
    /// The time to sort and search by: when it happened, else when it was observed.
    #[must_use]
    pub const fn timestamp_unix_nano(&self) -> u64 {
        if self.time_unix_nano != 0 {
            self.time_unix_nano
        } else {
            self.observed_unix_nano
        }
    }

    /// The same record, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> LogRecord<'static> {
        LogRecord {
            time_unix_nano: self.time_unix_nano,
            observed_unix_nano: self.observed_unix_nano,
            severity: self.severity,
            severity_text: Cow::Owned(self.severity_text.into_owned()),
            event_name: Cow::Owned(self.event_name.into_owned()),
            body: self.body.into_owned(),
            attributes: owned(self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
            flags: self.flags,
            trace_id: self.trace_id,
            span_id: self.span_id,
        }
    }
}

fn owned(attributes: Vec<KeyValue<'_>>) -> Vec<KeyValue<'static>> {
    attributes.into_iter().map(KeyValue::into_owned).collect()
}
