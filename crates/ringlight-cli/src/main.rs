//! The `ringlight` command.
#![forbid(unsafe_code)]

fn main() {}
