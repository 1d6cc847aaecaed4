//! Logs, metrics, traces and profiles for Rust services at a cost measured in nanoseconds.
#![forbid(unsafe_code)]
