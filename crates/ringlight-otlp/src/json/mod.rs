//! OTLP/JSON: requests to protobuf ([`to_protobuf`]), records to JSON ([`Writer`]).
//!
//! OTLP/JSON is proto3 JSON with exceptions (opentelemetry-proto, `docs/specification.md`, "JSON
//! Protobuf Encoding"): ids are hexadecimal, enums are integers, names are lowerCamelCase only and
//! unknown ones are ignored.

mod answer;
mod convert;
mod lex;
mod points;
mod schema;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use answer::{export_response, status};
pub(crate) use convert::base64;
pub use convert::{Converted, to_protobuf};
pub use write::Writer;
pub(crate) use write::write_text;
