//! How a gRPC call ended: a code, a text and details, in headers or trailers (`PROTOCOL-HTTP2.md` of gRPC).

use http::{HeaderMap, HeaderValue};
use ringlight_otlp::response::Status as RpcStatus;

/// The status codes of gRPC, with their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code with a number; unknown, as gRPC has it, where there is none.
    pub(crate) fn from_number(number: usize) -> Self {
        Self::ALL.get(number).copied().unwrap_or(Self::Unknown)
    }

    /// The name in gRPC's documentation.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// What is in `grpc-status-details-bin`; nothing where that cannot be read.
    pub(crate) details: Option<RpcStatus>,
}

impl Status {
    /// The status in headers or trailers; nothing where there is none.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let number = headers.get("grpc-status")?.to_str().ok();
        let number = number.and_then(|number| number.parse().ok());
        let message = headers.get("grpc-message").map(HeaderValue::as_bytes);
        let details = headers.get("grpc-status-details-bin");
        Some(Self {
            code: number.map_or(Code::Unknown, Code::from_number),
            message: message.map(percent_decoded).unwrap_or_default(),
            details: details
                .and_then(|details| details.to_str().ok())
                .and_then(RpcStatus::from_details_bin),
        })
    }
}

/// Undoes percent-encoding. What is no escape stands for itself, and what is no text is replaced: a message is never
/// thrown away for how it is written.
fn percent_decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let digit = |index: usize| char::from(*behind.get(index)?).to_digit(16);
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Option<Status> {
        let value = |text| HeaderValue::from_bytes(str::as_bytes(text)).unwrap();
        let headers = headers.iter().map(|(name, text)| {
            let name = http::HeaderName::from_static(name);
            (name, value(*text))
        });
        Status::of(&headers.collect())
    }

    #[test]
    fn codes_have_their_numbers() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            assert_eq!(Code::from_number(number), code);
        }
        assert_eq!(Code::from_number(17), Code::Unknown);
    }

    #[test]
    fn a_status_is_read_whatever_it_looks_like() {
        assert_eq!(of(&[("grpc-message", "lost")]), None);
        let check = |number: &str, code| {
            let status = of(&[("grpc-status", number)]).unwrap();
            assert_eq!(status.code, code, "{number}");
        };
        check("0", Code::Ok);
        check("14", Code::Unavailable);
        check("17", Code::Unknown);
        check("-1", Code::Unknown);
        check("", Code::Unknown);
        check("OK", Code::Unknown);
        check("é", Code::Unknown);
    }

    #[test]
    fn a_message_is_decoded_as_far_as_it_is_encoded() {
        let check = |text: &str, expected: &str| {
            let status = of(&[("grpc-status", "3"), ("grpc-message", text)]).unwrap();
            assert_eq!(status.message, expected);
        };
        check("50%25 of caf%C3%A9%0a", "50% of café\n");
        check("100% of %zz and %4", "100% of %zz and %4");
        check("%ff", "\u{fffd}");
        check("é", "é");
        check("", "");
    }

    #[test]
    fn details_are_read_or_are_none() {
        let details = RpcStatus {
            code: 14,
            message: "busy".to_owned(),
            retry_after: Some(Duration::from_secs(2)),
        };
        let check = |text: &str, expected: Option<&RpcStatus>| {
            let status = of(&[("grpc-status", "14"), ("grpc-status-details-bin", text)]).unwrap();
            assert_eq!(status.details.as_ref(), expected, "{text}");
        };
        let text = details.to_details_bin();
        check(&text, Some(&details));
        check(&format!("{text}=="), Some(&details));
        check("no base64", None);
        check(&text[1..], None);
    }
}
