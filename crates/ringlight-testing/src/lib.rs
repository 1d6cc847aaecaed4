//! What the tests of the workspace share: an OTLP backend that does as it is told.
//!
//! [`Backend`] speaks OTLP over gRPC and over HTTP with protobuf and JSON on one port, with gzip and zstd,
//! in the clear or with TLS by certificates that an [`Authority`] made for the test. It reads requests with
//! the generated types of `opentelemetry-proto`, so that it is an independent reader of what our own
//! encoder writes, remembers every request, and answers as its script says: take, refuse, answer
//! partial success, delay, hang, reset the connection, send garbage. [`attribute`], [`points`] and others read what arrived.
//!
//! It must not know the crates under test beyond the model and the answers of OTLP.
#![forbid(unsafe_code)]

mod answer;
mod backend;
mod disk;
mod otlp;
mod received;
mod reply;
mod request;
mod tls;

pub use backend::{Backend, PATIENCE, Speech};
pub use disk::{DiskOperation, FaultDisk};
pub use otlp::{attribute, body, int, named, points, text, text_of};
pub use received::{Received, Seen, wholes};
pub use reply::{Code, Reply};
pub use request::Format;
pub use tls::{Authority, Identity, TlsSetup};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
