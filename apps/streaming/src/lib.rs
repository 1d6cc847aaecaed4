//! Sample application: bounded-channel stream processing.
#![forbid(unsafe_code)]
