//! Logs, metrics, traces and profiles for Rust services at a cost measured in nanoseconds.
#![forbid(unsafe_code)]

mod clock;
mod filter;
mod lines;
mod notice;
mod subscriber;

pub use subscriber::RinglightSubscriber;
