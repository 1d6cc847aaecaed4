//! OTLP/JSON: requests to protobuf, records to JSON.

mod write;

pub(crate) use write::write_text;
