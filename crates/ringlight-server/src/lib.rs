//! OTLP receivers and the query API.
#![forbid(unsafe_code)]
