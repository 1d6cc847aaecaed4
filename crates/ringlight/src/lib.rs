//! Logs, metrics, traces and profiles for Rust services at a cost measured in nanoseconds.
#![forbid(unsafe_code)]

#[cfg(feature = "clap")]
mod args;
mod builder;
mod clock;
mod config;
#[cfg(feature = "otel")]
mod destinations;
mod error;
mod filter;
mod lines;
mod notice;
mod panic_hook;
mod subscriber;
mod telemetry;
mod trace_context;

#[cfg(feature = "clap")]
pub use args::TelemetryArgs;
pub use builder::Builder;
pub use config::Protocol;
pub use error::InitError;
pub use lines::LogFormat;
pub use ringlight_collector::{FlushError, OverflowPolicy, PipelineConfig, RecordSink};
pub use ringlight_model::{Account, DropReason, LedgerSnapshot, Signal};
pub use subscriber::RinglightSubscriber;
pub use telemetry::Telemetry;
pub use trace_context::TraceContext;

/// Starts telemetry with what the environment says.
pub fn init() -> Result<Telemetry, InitError> {
    builder().init()
}

/// Settings in code.
pub fn builder() -> Builder {
    Builder::default()
}
