//! Which fields there are, how they are written, and which values fit them.

use ringlight_model::{SpanId, SpanKind, StatusCode, TraceId};

use super::QuerySignal;
use super::ast::{Field, Intrinsic, Level, Literal};

pub(super) const STATUSES: [StatusCode; 3] = [StatusCode::Ok, StatusCode::Error, StatusCode::Unset];
pub(super) const KINDS: [SpanKind; 6] = [
    SpanKind::Unspecified,
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

const TRACE_INTRINSICS: &[(&str, Intrinsic)] = &[
    ("name", Intrinsic::Name),
    ("duration", Intrinsic::Duration),
    ("status", Intrinsic::Status),
    ("statusMessage", Intrinsic::StatusMessage),
    ("kind", Intrinsic::Kind),
    ("rootName", Intrinsic::RootName),
    ("rootServiceName", Intrinsic::RootServiceName),
    ("traceDuration", Intrinsic::TraceDuration),
    ("span:name", Intrinsic::Name),
    ("span:duration", Intrinsic::Duration),
    ("span:status", Intrinsic::Status),
    ("span:statusMessage", Intrinsic::StatusMessage),
    ("span:kind", Intrinsic::Kind),
    ("span:id", Intrinsic::SpanId),
    ("span:parentID", Intrinsic::ParentSpanId),
    ("trace:id", Intrinsic::TraceId),
    ("trace:rootName", Intrinsic::RootName),
    ("trace:rootService", Intrinsic::RootServiceName),
    ("trace:duration", Intrinsic::TraceDuration),
    ("event:name", Intrinsic::EventName),
    ("instrumentation:name", Intrinsic::ScopeName),
    ("instrumentation:version", Intrinsic::ScopeVersion),
];

const LOG_INTRINSICS: &[(&str, Intrinsic)] = &[
    ("severity", Intrinsic::Severity),
    ("severityText", Intrinsic::SeverityText),
    ("body", Intrinsic::Body),
    ("eventName", Intrinsic::EventName),
    ("event_name", Intrinsic::EventName),
    ("event:name", Intrinsic::EventName),
    ("log:severity", Intrinsic::Severity),
    ("log:severityText", Intrinsic::SeverityText),
    ("log:body", Intrinsic::Body),
    ("trace:id", Intrinsic::TraceId),
    ("span:id", Intrinsic::SpanId),
    ("instrumentation:name", Intrinsic::ScopeName),
    ("instrumentation:version", Intrinsic::ScopeVersion),
];

const METRIC_INTRINSICS: &[(&str, Intrinsic)] = &[
    ("instrumentation:name", Intrinsic::ScopeName),
    ("instrumentation:version", Intrinsic::ScopeVersion),
];

// Every way to write an intrinsic of a signal.
pub(super) fn intrinsics(signal: QuerySignal) -> impl Iterator<Item = (&'static str, Intrinsic)> {
    match signal {
        QuerySignal::Traces => TRACE_INTRINSICS,
        QuerySignal::Logs => LOG_INTRINSICS,
        QuerySignal::Metrics => METRIC_INTRINSICS,
    }
    .iter()
    .copied()
}

pub(super) fn intrinsic_of(word: &str) -> Option<Intrinsic> {
    TRACE_INTRINSICS
        .iter()
        .chain(LOG_INTRINSICS)
        .find(|(name, _)| *name == word)
        .map(|(_, intrinsic)| *intrinsic)
}

pub(super) fn takes_text(field: &Field) -> bool {
    match field {
        Field::Attribute { .. } => true,
        Field::Intrinsic(intrinsic) => !matches!(
            intrinsic,
            Intrinsic::Duration
                | Intrinsic::TraceDuration
                | Intrinsic::Status
                | Intrinsic::Kind
                | Intrinsic::Severity
                | Intrinsic::SpanId
                | Intrinsic::ParentSpanId
                | Intrinsic::TraceId
        ),
    }
}

pub(super) fn value_fits(field: &Field, value: &Literal) -> bool {
    let Field::Intrinsic(intrinsic) = field else {
        return !matches!(
            value,
            Literal::Status(_) | Literal::Kind(_) | Literal::Level(_)
        );
    };
    match (intrinsic, value) {
        (_, Literal::Nil) => true,
        (Intrinsic::Duration | Intrinsic::TraceDuration, value) => matches!(
            value,
            Literal::Duration(_) | Literal::Int(_) | Literal::Double(_)
        ),
        (Intrinsic::Status, value) => matches!(value, Literal::Status(_)),
        (Intrinsic::Kind, value) => matches!(value, Literal::Kind(_)),
        (Intrinsic::Severity, value) => matches!(value, Literal::Level(_) | Literal::Int(_)),
        (Intrinsic::TraceId, Literal::Str(text)) => text.parse::<TraceId>().is_ok(),
        (Intrinsic::SpanId | Intrinsic::ParentSpanId, Literal::Str(text)) => {
            text.parse::<SpanId>().is_ok()
        }
        (_, Literal::Str(_)) => takes_text(field),
        _ => false,
    }
}

pub(super) fn described(value: &Literal) -> String {
    match value {
        Literal::Str(_) => "this text".to_owned(),
        Literal::Int(_) | Literal::Double(_) => "a number".to_owned(),
        Literal::Duration(_) => "a duration".to_owned(),
        Literal::Bool(_) => "`true` or `false`".to_owned(),
        named => format!("`{named}`"),
    }
}

pub(super) fn expected_values(field: &Field) -> Vec<String> {
    let names = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect();
    match field {
        Field::Intrinsic(Intrinsic::Status) => names(&STATUSES.map(StatusCode::as_str)),
        Field::Intrinsic(Intrinsic::Kind) => names(&KINDS.map(SpanKind::as_str)),
        Field::Intrinsic(Intrinsic::Severity) => names(&Level::ALL.map(Level::as_str)),
        Field::Intrinsic(Intrinsic::Duration | Intrinsic::TraceDuration) => {
            vec!["a duration such as `100ms`".to_owned()]
        }
        Field::Intrinsic(Intrinsic::TraceId) => {
            vec!["32 hexadecimal digits in quotes".to_owned()]
        }
        Field::Intrinsic(Intrinsic::SpanId | Intrinsic::ParentSpanId) => {
            vec!["16 hexadecimal digits in quotes".to_owned()]
        }
        Field::Intrinsic(_) => vec!["text in quotes".to_owned()],
        Field::Attribute { .. } => vec![
            "text in quotes".to_owned(),
            "a number".to_owned(),
            "a duration".to_owned(),
            "`true`".to_owned(),
            "`false`".to_owned(),
            "`nil`".to_owned(),
        ],
    }
}
