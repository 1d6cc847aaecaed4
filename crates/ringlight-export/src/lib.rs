//! Where batches go: OTLP over gRPC.
#![forbid(unsafe_code)]
