//! Tests of `ringlight` beside other layers of `tracing_subscriber`; see the README.
//!
//! There is nothing in this crate but its tests, and it must not be depended on.
#![forbid(unsafe_code)]
