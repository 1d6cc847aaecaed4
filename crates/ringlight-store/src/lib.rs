//! The embedded store: ingest, query, retention.
#![forbid(unsafe_code)]
