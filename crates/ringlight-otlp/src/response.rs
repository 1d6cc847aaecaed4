//! What a server answers: success, partial success, or a `google.rpc.Status`, in protobuf and JSON.
//!
//! Encoded by the server and read by the client, so that both halves sit side by side.

use std::time::Duration;

use ringlight_model::{Signal, Value};

use crate::encode::proto::{self, Room};
use crate::json::{self, write_text};
use crate::wire::{Field, Reader, Slice, WireError};

/// The type of the detail that tells a client when to try again.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The answer to a request that was taken, wholly or in part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportResponse {
    /// Records refused for good.
    pub rejected: u64,
    /// Why, or a warning when nothing was refused; may be empty.
    pub message: String,
}

impl ExportResponse {
    /// The `Export*ServiceResponse`, the same bytes for every signal. Whole success is the empty
    /// message.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut buf = Vec::new();
        if self.rejected != 0 || !self.message.is_empty() {
            let partial = proto::open(&mut buf, 1, Room::Small);
            if self.rejected != 0 {
                proto::varint_field(&mut buf, 1, self.rejected);
            }
            if !self.message.is_empty() {
                proto::bytes_field(&mut buf, 2, self.message.as_bytes());
            }
            proto::close(&mut buf, partial);
        }
        buf
    }

    /// The same as OTLP/JSON.
    #[must_use]
    pub fn to_json(&self, signal: Signal) -> String {
        if self.rejected == 0 && self.message.is_empty() {
            return "{}".to_owned();
        }
        let count = match signal {
            Signal::Traces => "rejectedSpans",
            Signal::Logs => "rejectedLogRecords",
            Signal::Metrics => "rejectedDataPoints",
            Signal::Profiles => "rejectedProfiles",
        };
        let mut json = format!(
            "{{\"partialSuccess\":{{\"{count}\":\"{}\",\"errorMessage\":",
            self.rejected
        );
        write_text(&mut json, &self.message);
        json.push_str("}}");
        json
    }

    /// Reads a response; `None` when it does not decode, which a client counts as delivered.
    /// Negative counts are read as zero.
    #[must_use]
    pub fn from_protobuf(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes).ok()
    }

    /// Reads a response in JSON; `None` when it is none, which a client counts as delivered. Counts may be
    /// text or numbers; negative ones are read as zero.
    #[must_use]
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        json::export_response(std::str::from_utf8(bytes).ok()?)
    }

    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let mut response = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            if number != 1 {
                continue;
            }
            let mut partial = field.slice(reader.position())?.reader();
            while let Some((number, field)) = partial.next()? {
                let at = partial.position();
                match number {
                    1 => response.rejected = i64::max(0, field.varint(at)? as i64) as u64,
                    2 => response.message = text(field.slice(at)?),
                    _ => {}
                }
            }
        }
        Ok(response)
    }
}

/// A `google.rpc.Status`: why a request was refused, and when to come back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The gRPC status code.
    pub code: i32,
    /// What went wrong.
    pub message: String,
    /// How long the client should wait (`RetryInfo`).
    pub retry_after: Option<Duration>,
}

impl Status {
    /// The encoded message.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut buf = Vec::new();
        if self.code != 0 {
            // Negative codes do not exist; protobuf extends the sign of an int32.
            proto::varint_field(&mut buf, 1, i64::from(self.code) as u64);
        }
        if !self.message.is_empty() {
            proto::bytes_field(&mut buf, 2, self.message.as_bytes());
        }
        if let Some(delay) = self.retry_after {
            let detail = proto::open(&mut buf, 3, Room::Small);
            proto::bytes_field(&mut buf, 1, RETRY_INFO.as_bytes());
            let info = proto::open(&mut buf, 2, Room::Small);
            let duration = proto::open(&mut buf, 1, Room::Small);
            proto::varint_field(&mut buf, 1, delay.as_secs());
            if delay.subsec_nanos() != 0 {
                proto::varint_field(&mut buf, 2, u64::from(delay.subsec_nanos()));
            }
            proto::close(&mut buf, duration);
            proto::close(&mut buf, info);
            proto::close(&mut buf, detail);
        }
        buf
    }

    /// The same as proto3 JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = format!("{{\"code\":{},\"message\":", self.code);
        write_text(&mut json, &self.message);
        if let Some(delay) = self.retry_after {
            json.push_str(&format!(
                ",\"details\":[{{\"@type\":\"{RETRY_INFO}\",\"retryDelay\":\"{}s\"}}]",
                seconds(delay)
            ));
        }
        json.push('}');
        json
    }

    /// The message as the trailer `grpc-status-details-bin` carries it: base64 without padding.
    #[must_use]
    pub fn to_details_bin(&self) -> String {
        let mut text = Value::Bytes(self.to_protobuf().into()).to_string();
        text.truncate(text.trim_end_matches('=').len());
        text
    }

    /// Reads what [`to_details_bin`](Self::to_details_bin) writes, with or without padding; `None` when it does
    /// not decode.
    #[must_use]
    pub fn from_details_bin(text: &str) -> Option<Self> {
        Self::from_protobuf(&json::base64(text)?)
    }

    /// Reads a status; `None` when it does not decode. A retry delay that is negative is taken as
    /// zero.
    #[must_use]
    pub fn from_protobuf(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes).ok()
    }

    /// Reads a status in JSON, without its details; `None` when it is none.
    #[must_use]
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        json::status(std::str::from_utf8(bytes).ok()?)
    }

    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let mut status = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            let at = reader.position();
            match number {
                1 => status.code = field.varint(at)? as i32,
                2 => status.message = text(field.slice(at)?),
                3 => {
                    if let Some(delay) = retry_info(field.slice(at)?)? {
                        status.retry_after = Some(delay);
                    }
                }
                _ => {}
            }
        }
        Ok(status)
    }
}

/// The delay in a detail, if the detail is a `RetryInfo`.
fn retry_info(detail: Slice<'_>) -> Result<Option<Duration>, WireError> {
    let mut is_retry_info = false;
    let mut value = None;
    let mut reader = detail.reader();
    while let Some((number, field)) = reader.next()? {
        match (number, field) {
            // Only the name after the last slash says what the type is.
            (1, Field::Bytes(url)) => {
                is_retry_info =
                    url.bytes.rsplit(|&byte| byte == b'/').next() == Some(b"google.rpc.RetryInfo");
            }
            (2, Field::Bytes(slice)) => value = Some(slice),
            _ => {}
        }
    }
    let (true, Some(info)) = (is_retry_info, value) else {
        return Ok(None);
    };
    let mut reader = info.reader();
    let mut delay = Duration::ZERO;
    while let Some((number, field)) = reader.next()? {
        if let (1, Field::Bytes(duration)) = (number, field) {
            delay = read_duration(duration)?;
        }
    }
    Ok(Some(delay))
}

fn read_duration(duration: Slice<'_>) -> Result<Duration, WireError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut reader = duration.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            1 => seconds = field.varint(at)? as i64,
            2 => nanos = field.varint(at)? as i64,
            _ => {}
        }
    }
    let nanos = nanos.clamp(0, 999_999_999) as u32;
    Ok(u64::try_from(seconds).map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanos)))
}

fn seconds(delay: Duration) -> String {
    match delay.subsec_nanos() {
        0 => delay.as_secs().to_string(),
        nanos => format!("{}.{nanos:09}", delay.as_secs()),
    }
}

fn text(slice: Slice<'_>) -> String {
    String::from_utf8_lossy(slice.bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_survive_the_wire() {
        let check = |rejected, message: &str, signal, json: &str| {
            let response = ExportResponse {
                rejected,
                message: message.to_owned(),
            };
            let bytes = response.to_protobuf();
            assert_eq!(
                ExportResponse::from_protobuf(&bytes),
                Some(response.clone())
            );
            assert_eq!(response.to_json(signal), json);
            assert_eq!(ExportResponse::from_json(json.as_bytes()), Some(response));
        };
        check(0, "", Signal::Traces, "{}");
        check(
            2,
            "2 spans: \"zero\"\n",
            Signal::Traces,
            r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"2 spans: \"zero\"\n"}}"#,
        );
        check(
            0,
            "a warning",
            Signal::Logs,
            r#"{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"a warning"}}"#,
        );
    }

    #[test]
    fn json_is_read_as_far_as_it_is_understood() {
        let check = |json: &[u8], expected: Option<(u64, &str)>| {
            let expected = expected.map(|(rejected, message)| ExportResponse {
                rejected,
                message: message.to_owned(),
            });
            assert_eq!(ExportResponse::from_json(json), expected);
        };
        let partial = br#" {"x":[1,{}],"partialSuccess":{"rejectedDataPoints":7,"new":null}} "#;
        check(partial, Some((7, "")));
        check(
            br#"{"partialSuccess":{"rejectedSpans":"-1"}}"#,
            Some((0, "")),
        );
        check(br#"{"partialSuccess":{"rejectedSpans":[]}}"#, Some((0, "")));
        check(br#"{"partialSuccess":null}"#, Some((0, "")));
        check(b"{}", Some((0, "")));
        for broken in ["", "[]", "ok", "{", "{} {}", r#"{"partialSuccess":{"#] {
            check(broken.as_bytes(), None);
            assert_eq!(Status::from_json(broken.as_bytes()), None);
        }
        check(b"\xff", None);
        check("[".repeat(1_000_000).as_bytes(), None);
    }

    #[test]
    fn the_independent_decoder_reads_our_responses() {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
        use prost::Message as _;
        let bytes = ExportResponse {
            rejected: 3,
            message: "x".repeat(300),
        }
        .to_protobuf();
        let partial = ExportTraceServiceResponse::decode(&bytes[..])
            .unwrap()
            .partial_success
            .unwrap();
        assert_eq!(partial.rejected_spans, 3);
        assert_eq!(partial.error_message.len(), 300);
    }

    #[test]
    fn statuses_survive_the_wire() {
        let check = |retry_after, json: &str| {
            let status = Status {
                code: 14,
                message: "busy".to_owned(),
                retry_after,
            };
            assert_eq!(
                Status::from_protobuf(&status.to_protobuf()),
                Some(status.clone())
            );
            assert_eq!(status.to_json(), json);
            let read = Status::from_json(json.as_bytes()).unwrap();
            assert_eq!((read.code, read.message), (status.code, status.message));
        };
        check(None, r#"{"code":14,"message":"busy"}"#);
        check(
            Some(Duration::from_millis(1500)),
            r#"{"code":14,"message":"busy","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500000000s"}]}"#,
        );
        check(
            Some(Duration::from_secs(2)),
            r#"{"code":14,"message":"busy","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2s"}]}"#,
        );
    }

    #[test]
    fn details_are_base64_without_padding() {
        let status = Status {
            code: 14,
            message: "a".to_owned(),
            retry_after: None,
        };
        assert_eq!(status.to_protobuf(), [0x08, 14, 0x12, 1, b'a']);
        assert_eq!(status.to_details_bin(), "CA4SAWE");
        for text in ["CA4SAWE", "CA4SAWE="] {
            assert_eq!(Status::from_details_bin(text).as_ref(), Some(&status));
        }
        assert_eq!(Status::from_details_bin("CA4SAW"), None);
        assert_eq!(Status::from_details_bin("CA4SAW!"), None);
    }

    #[test]
    fn absurd_delays_are_read_without_harm() {
        let check = |seconds: i64, nanos: i64, expected| {
            let mut duration = Vec::new();
            proto::varint_field(&mut duration, 1, seconds as u64);
            proto::varint_field(&mut duration, 2, nanos as u64);
            let mut info = Vec::new();
            proto::bytes_field(&mut info, 1, &duration);
            let mut detail = Vec::new();
            proto::bytes_field(&mut detail, 1, b"google.rpc.RetryInfo");
            proto::bytes_field(&mut detail, 2, &info);
            let mut status = Vec::new();
            proto::bytes_field(&mut status, 3, &detail);
            let status = Status::from_protobuf(&status).unwrap();
            assert_eq!(status.retry_after, Some(expected));
        };
        check(-5, 7, Duration::ZERO);
        check(1, -7, Duration::from_secs(1));
        check(
            i64::MAX,
            i64::MAX,
            Duration::new(i64::MAX as u64, 999_999_999),
        );
    }
}
