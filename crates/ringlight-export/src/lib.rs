//! Where batches go: OTLP over gRPC, or over HTTP where an endpoint speaks only that ([`OtlpExporter`]); over
//! gRPC alone ([`OtlpGrpcExporter`]) and over HTTP with protobuf or JSON ([`OtlpHttpExporter`]), or over whichever of two
//! ways leads there ([`FallbackExporter`]); OTLP/JSON to a file or standard output
//! ([`JsonLinesExporter`]); nowhere ([`NullExporter`]).
//!
//! An exporter makes one attempt at a time and says what came of it in the terms of the OTLP
//! specification: taken, taken in part, not now, never. When to try again, for how long, and the
//! accounts are the pipeline's.
//!
//! It guarantees of OTLP that requests are no larger than 64 MiB, that without compression and TLS the encoded bytes go to
//! the socket without another copy, that responses are read up to 4 MiB, before and after decompression, that redirects
//! are not followed, that what is to be encrypted never goes in the clear, and that nothing secret is in an error.
//!
//! It must not know where records come from.
//!
//! # TLS
//! Feature `tls`: `https://` endpoints, by rustls with `ring`. Servers are vouched for by whom the platform
//! trusts, or by the authorities in a file; a client may have a certificate of its own. Files are
//! read again when a connection is made, if they have changed. Without the feature an `https://` endpoint is an error.
//!
//! # Compression
//! gzip, and, with the feature `zstd`, Zstandard, whose library is written in C.
//!
//! # gRPC
//! Unary calls over HTTP/2 by hyper, which OTLP/HTTP needs, too: what a client of gRPC adds to that is five bytes
//! before a message and a status in the trailers, and tonic is much that every service would compile.
//!
//! # Examples
//! ```
//! use ringlight_export::{Compression, EndpointError, OtlpConfig, OtlpExporter};
//!
//! let config = OtlpConfig::new("http://localhost:4317")
//!     .header("x-tenant", "shop")
//!     .compression(Compression::Gzip);
//! let exporter = OtlpExporter::new(&config)?;
//!
//! let secure = OtlpExporter::new(&OtlpConfig::new("https://otlp.example.com"));
//! assert_eq!(secure.is_ok(), cfg!(feature = "tls"));
//! # Ok::<(), EndpointError>(())
//! ```
#![forbid(unsafe_code)]

mod body;
mod compress;
mod config;
mod connect;
mod endpoint;
mod failure;
mod fallback;
mod grpc;
mod http1;
mod http2;
mod json_lines;
mod null;
mod otlp;
mod secret;
mod status;
#[cfg(feature = "tls")]
mod tls;

pub use compress::Compression;
pub use config::OtlpConfig;
pub use endpoint::EndpointError;
pub use fallback::FallbackExporter;
pub use grpc::OtlpGrpcExporter;
pub use http1::OtlpHttpExporter;
pub use json_lines::JsonLinesExporter;
pub use null::NullExporter;
pub use otlp::OtlpExporter;

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
