//! What the tests of the workspace share: an OTLP backend that does as it is told.
//!
//! [`Backend`] speaks OTLP over gRPC and over HTTP with protobuf on one port. It reads requests with
//! the generated types of `opentelemetry-proto`, so that it is an independent reader of what our own
//! encoder writes, remembers every request, and answers as its script says: take, refuse, answer
//! partial success, delay, hang, reset the connection, send garbage.
//!
//! It must not know the crates under test beyond the model and the answers of OTLP.
#![forbid(unsafe_code)]

mod backend;
mod disk;
mod received;
mod reply;

pub use backend::{Backend, PATIENCE};
pub use disk::{DiskOperation, FaultDisk};
pub use received::{Received, Seen};
pub use reply::{Code, Reply};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
