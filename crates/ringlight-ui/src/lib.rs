//! The built web UI as bytes.
#![forbid(unsafe_code)]
