//! What answers mean: the tables of the OTLP specification.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use ringlight_collector::ExportError;

use crate::connect::BoxError;
use crate::status::Code;

/// Longest text taken over from a server into a message.
const TEXT_CHARS_MAX: usize = 200;

/// The error for a gRPC status other than OK.
///
/// Cancelled, deadline exceeded, aborted, out of range, unavailable and data loss are repeated;
/// resource exhausted only where the server says when. A message that is too large, which servers
/// report as either of the two, stays too large.
pub(crate) fn of_grpc(code: Code, message: &str, after: Option<Duration>) -> ExportError {
    let mut reason = format!("gRPC status {}", code.name());
    let text = shown(message);
    if !text.is_empty() {
        let _ = write!(reason, ": {text}");
    }
    match code {
        Code::OutOfRange if says_too_large(message) => ExportError::TooLarge { reason },
        Code::ResourceExhausted if after.is_none() && says_too_large(message) => {
            ExportError::TooLarge { reason }
        }
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => ExportError::Retryable { reason, after },
        Code::ResourceExhausted if after.is_some() => ExportError::Retryable { reason, after },
        Code::Unimplemented => ExportError::Unsupported { reason },
        _ => ExportError::Permanent { reason },
    }
}

/// Whether a server says that a message has too many bytes for it: in the words of tonic, of the gRPC
/// libraries for Go, for C and what is built on it, and for Java, and in those of Ringlight.
fn says_too_large(message: &str) -> bool {
    const WORDS: [&str; 4] = [
        "message length too large",
        "larger than max",
        "exceeds maximum size",
        "request is larger than",
    ];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

/// The error for an HTTP status outside of 200 to 299.
///
/// 429, 502, 503 and 504 are repeated, nothing else. Servers in Go, the OpenTelemetry Collector among them,
/// say 400 to a body that is too large, rather than 413.
pub(crate) fn of_http(status: StatusCode, text: &str, after: Option<Duration>) -> ExportError {
    let mut reason = format!("HTTP status {}", status.as_u16());
    let text = shown(text);
    if !text.is_empty() {
        let _ = write!(reason, ": {text}");
    }
    match status.as_u16() {
        429 | 502 | 503 | 504 => ExportError::Retryable { reason, after },
        413 => ExportError::TooLarge { reason },
        400 if reason.contains("request body too large") => ExportError::TooLarge { reason },
        404 | 501 => ExportError::Unsupported { reason },
        _ => ExportError::Permanent { reason },
    }
}

/// Whether a backend refused a batch for who sent it: HTTP 401 and 403, or what gRPC calls that. Told by
/// how the functions above begin.
pub(crate) fn is_of_credentials(error: &ExportError) -> bool {
    const BEGINNINGS: [&str; 4] = [
        "HTTP status 401",
        "HTTP status 403",
        "gRPC status UNAUTHENTICATED",
        "gRPC status PERMISSION_DENIED",
    ];
    let ExportError::Permanent { reason } = error else {
        return false;
    };
    BEGINNINGS
        .iter()
        .any(|beginning| reason.starts_with(beginning))
}

/// What gRPC takes an HTTP status for that comes instead of a gRPC response
/// (`http-grpc-status-mapping.md`).
pub(crate) const fn grpc_code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date. A date that has passed is zero; a number too
/// large for the type is its maximum, which the pipeline cuts; anything else is nothing.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The error for a connection that was lost, with what was said at its end.
pub(crate) fn lost(error: impl Into<BoxError>, farewell: Option<String>) -> ExportError {
    let error = error.into();
    let mut reason = chain(&*error);
    if let Some(farewell) = farewell
        && !reason.contains(&farewell)
    {
        let _ = write!(reason, ": {farewell}");
    }
    ExportError::Unreachable {
        reason,
        source: Some(error),
    }
}

/// An error and what it was caused by, without repetitions.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if !text.contains(&part) {
            let _ = write!(text, ": {part}");
        }
        source = cause.source();
    }
    text
}

/// A server's text for a message: one line, without control characters, not too long.
fn shown(text: &str) -> String {
    let mut shown: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TEXT_CHARS_MAX)
        .collect();
    if text.chars().count() > TEXT_CHARS_MAX {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grpc_status_is_repeated_or_not_as_the_table_says() {
        let soon = Some(Duration::from_secs(1));
        for number in 1..=16 {
            let code = Code::from_number(number);
            let is_retryable = matches!(number, 1 | 4 | 10 | 11 | 14 | 15);
            assert_eq!(
                of_grpc(code, "", None).is_retryable(),
                is_retryable,
                "{code:?}"
            );
            let with_delay = of_grpc(code, "", soon).is_retryable();
            assert_eq!(with_delay, is_retryable || number == 8, "{code:?}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_told_from_a_server_that_has_no_room() {
        use Code::{OutOfRange, ResourceExhausted};
        let check = |code, message: &str, after, expected: bool| {
            let error = of_grpc(code, message, after);
            let is_too_large = matches!(error, ExportError::TooLarge { .. });
            assert_eq!(is_too_large, expected, "{code:?} {message}: {error:?}");
            assert!(!(is_too_large && error.is_retryable()));
        };
        let tonic = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        check(OutOfRange, tonic, None, true);
        check(ResourceExhausted, tonic, None, true);
        for message in [
            "grpc: received message larger than max (5000000 vs. 4194304)",
            "grpc: received message after decompression larger than max 4194304",
            "SERVER: Received message larger than max (5000000 vs. 4194304)",
            "gRPC message exceeds maximum size 4194304: 5000000",
        ] {
            check(ResourceExhausted, message, None, true);
            // With the time to come back it is about room.
            let after = Some(Duration::from_secs(1));
            check(ResourceExhausted, message, after, false);
        }
        check(OutOfRange, "no such offset", None, false);
        check(ResourceExhausted, "quota used up", None, false);
        check(Code::Internal, tonic, None, false);
        let of_status = |status| of_http(status, "http: request body too large", None);
        for status in [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::BAD_REQUEST] {
            assert!(matches!(of_status(status), ExportError::TooLarge { .. }));
        }
    }

    #[test]
    fn every_http_status_is_repeated_or_not_as_the_table_says() {
        for number in (300..=599).filter(|n| ![429, 502, 503, 504].contains(n)) {
            let status = StatusCode::from_u16(number).unwrap();
            assert!(!of_http(status, "", None).is_retryable(), "{number}");
        }
        for number in [429, 502, 503, 504] {
            let status = StatusCode::from_u16(number).unwrap();
            assert!(of_http(status, "", None).is_retryable(), "{number}");
        }
    }

    #[test]
    fn what_is_refused_for_who_sent_it_is_told_from_the_rest() {
        for number in 300..=599 {
            let error = of_http(StatusCode::from_u16(number).unwrap(), "no", None);
            let expected = matches!(number, 401 | 403);
            assert_eq!(is_of_credentials(&error), expected, "{number}");
        }
        for number in 1..=16 {
            let error = of_grpc(Code::from_number(number), "no", None);
            let expected = matches!(number, 7 | 16);
            assert_eq!(is_of_credentials(&error), expected, "{number}");
        }
    }

    #[test]
    fn retry_after_is_never_negative_and_never_a_panic() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |value: &str, expected: Option<u64>| {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(value, now), expected, "{value}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("1000000000000000000", Some(1_000_000_000_000_000_000));
        check("99999999999999999999999999", Some(u64::MAX));
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(10));
        check("Sun, 06 Nov 1994 08:49:27 GMT", Some(0));
        check("-5", None);
        check("1.5", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn a_servers_text_cannot_take_over_a_terminal_or_fill_it() {
        let text = shown(&format!("\x1b[2J\nboo{}", "x".repeat(500)));
        assert!(text.starts_with(" [2J boo"), "{text}");
        assert_eq!(text.chars().count(), TEXT_CHARS_MAX + 1);
    }
}
