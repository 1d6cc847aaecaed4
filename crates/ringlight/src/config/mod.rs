//! From arguments, code and variables to settings, once.
//!
//! Precedence, first to last: command line, code, per-signal `OTEL_*` variables, `OTLP_ENDPOINT`,
//! generic `OTEL_*` variables, the file. A bad value on the command line, in code or in the file is an error; a
//! bad value in a variable is warned about and ignored, so that an environment never keeps a service
//! from starting.

mod declared;
mod effective;
mod environment;
mod file;
mod filters;
mod headers;
mod inputs;
mod limits;
mod lines;
#[cfg(feature = "otel")]
mod metrics;
mod old;
mod otlp;
mod pipeline;
mod process;
mod propagators;
mod redaction;
mod reload;
mod resource;
mod runtime;
mod sampler;
#[cfg(feature = "otel")]
mod secrets;
mod setting;
mod settings;
mod spool;
mod traces;
mod units;

#[cfg(test)]
mod tests;

pub(crate) use effective::effective;
pub use effective::{EffectiveSetting, EffectiveSettings, SettingOrigin};
pub(crate) use environment::Environment;
pub(crate) use file::ConfigFile;
pub use file::{ConfigError, ConfigProblem};
pub(crate) use inputs::{Changes, Inputs};
#[cfg(feature = "otel")]
pub(crate) use limits::{WAIT_LEAST, WAIT_MOST};
pub(crate) use lines::{LineInputs, Lines};
pub use lines::{LogColor, LogFile, LogFormat, LogRotation};
#[cfg(feature = "otel")]
pub(crate) use metrics::MetricsInputs;
pub use old::{OLD_SECTIONS, OldKey, OldSection, Replaced};
pub(crate) use otlp::{CERTIFICATE_CODE, CLIENT_CERTIFICATE_CODE, Origin, Route, Routes, TlsFiles};
pub use otlp::{Compression, Protocol};
#[cfg(feature = "otel")]
pub(crate) use otlp::{has_query, path};
pub(crate) use reload::{Changeable, Hangup, OfCode, Reloader, Watch};
pub use reload::{ReloadError, Reloaded};
pub use resource::ResourceDetector;
pub(crate) use resource::ResourceInputs;
pub(crate) use runtime::ConsoleInput;
#[cfg(feature = "profiling")]
pub(crate) use runtime::RuntimeInputs;
pub use setting::{SETTINGS, Setting, Shape};
pub(crate) use settings::Settings;
#[cfg(feature = "profiling")]
pub(crate) use traces::TraceInputs;
