//! What the receivers may use.

use std::time::Duration;

/// Bounds of the receivers. [`ReceiverConfig::default`] gives the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// Bytes of a request after decompression, and before. Default 64 MiB, as the OTLP
    /// specification recommends. From 1 KiB to 256 MiB.
    pub request_bytes_max: usize,
    /// Bytes of memory all requests together may take while they are received and stored. Default
    /// 160 MiB, so that one request of the largest size fits together with its compressed or JSON
    /// form. At least twice `request_bytes_max`. Beyond it requests are refused as overload.
    pub memory_bytes_max: usize,
    /// Requests that are decoded and stored at the same time. Default 64: the store commits many
    /// at once, so more bring nothing. From 1 to 512. Others wait for a second, then they are
    /// refused as overload.
    pub requests_max: usize,
    /// Connections each listener keeps open. Default 1024; further ones are closed at once. From 1
    /// to 65 536.
    pub connections_max: usize,
    /// How long a connection may stay without a complete request head, also between two requests.
    /// Default 75 s.
    pub head_timeout: Duration,
    /// How long the body of a request may take to arrive. Default 30 s.
    pub body_timeout: Duration,
    /// How long running requests may take to end when the server stops. Default 5 s.
    pub drain_timeout: Duration,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            request_bytes_max: 64 << 20,
            memory_bytes_max: 160 << 20,
            requests_max: 64,
            connections_max: 1024,
            head_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// A field of a [`ReceiverConfig`] is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}, allowed is {allowed}")]
pub struct ReceiverConfigError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: usize,
    /// What it may be.
    pub allowed: &'static str,
}

impl ReceiverConfig {
    pub(super) fn validate(&self) -> Result<(), ReceiverConfigError> {
        let check = |field, value, range: std::ops::RangeInclusive<usize>, allowed| {
            if range.contains(&value) {
                Ok(())
            } else {
                Err(ReceiverConfigError {
                    field,
                    value,
                    allowed,
                })
            }
        };
        check(
            "request_bytes_max",
            self.request_bytes_max,
            1024..=256 << 20,
            "1 KiB to 256 MiB",
        )?;
        check(
            "memory_bytes_max",
            self.memory_bytes_max,
            2 * self.request_bytes_max..=usize::MAX,
            "at least twice `request_bytes_max`",
        )?;
        check("requests_max", self.requests_max, 1..=512, "1 to 512")?;
        check(
            "connections_max",
            self.connections_max,
            1..=65_536,
            "1 to 65536",
        )
    }
}
