//! The OTLP wire: model to protobuf and JSON and back, within size and depth limits.
#![forbid(unsafe_code)]
