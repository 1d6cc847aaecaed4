//! Where batches go: OTLP over gRPC ([`OtlpGrpcExporter`]) and over HTTP with protobuf
//! ([`OtlpHttpExporter`]), or over whichever of two ways leads there ([`FallbackExporter`]); OTLP/JSON
//! to a file or standard output ([`JsonLinesExporter`]); nowhere ([`NullExporter`]).
//!
//! An exporter makes one attempt at a time and says what came of it in the terms of the OTLP
//! specification: taken, taken in part, not now, never. When to try again, for how long, and the
//! accounts are the pipeline's.
//!
//! It guarantees of OTLP that the encoded bytes go to the socket without another copy, that responses are
//! read up to a limit, that redirects are not followed, and that nothing secret is in an error.
//!
//! It must not know where records come from.
//!
//! # Examples
//! ```
//! use ringlight_export::{EndpointError, OtlpConfig, OtlpGrpcExporter, OtlpHttpExporter};
//!
//! let config = OtlpConfig::new("http://localhost:4317").header("x-tenant", "shop");
//! let exporter = OtlpGrpcExporter::new(&config)?;
//!
//! // Without TLS in the build, an https endpoint is an error and never sent in the clear.
//! let secure = OtlpConfig::new("https://otlp.example.com");
//! let refused = OtlpHttpExporter::new(&secure);
//! assert!(matches!(refused, Err(EndpointError::TlsUnavailable { .. })));
//! # Ok::<(), EndpointError>(())
//! ```
#![forbid(unsafe_code)]

mod config;
mod failure;
mod fallback;
mod grpc;
mod http1;
mod json_lines;
mod null;
mod secret;

pub use config::{EndpointError, OtlpConfig};
pub use fallback::FallbackExporter;
pub use grpc::OtlpGrpcExporter;
pub use http1::OtlpHttpExporter;
pub use json_lines::JsonLinesExporter;
pub use null::NullExporter;

/// Bytes of a response that are read, after which the batch counts as refused (OTLP
/// specification, "response size").
const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whether the headers of an answer, or the metadata of a call, say that the backend wants to be told
/// of open spans: it is a Ringlight.
fn takes_open_spans(headers: &http::HeaderMap) -> bool {
    headers
        .get("ringlight-takes")
        .is_some_and(|takes| takes == "open-spans")
}

/// How this client introduces itself.
const USER_AGENT: &str = concat!("ringlight/", env!("CARGO_PKG_VERSION"));

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
