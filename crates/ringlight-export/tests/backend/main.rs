//! The exporters, alone and in a pipeline, against a backend that does as it is told.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod answers;
mod connections;
mod conservation;
mod http2;
mod http_only;
mod others;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod wire;
