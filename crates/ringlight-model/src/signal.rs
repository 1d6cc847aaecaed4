//! The four signals.

use std::fmt;

/// What kind of telemetry a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Signal {
    /// Spans.
    Traces = 0,
    /// Log records.
    Logs = 1,
    /// Metric data points.
    Metrics = 2,
    /// Profile samples.
    Profiles = 3,
}

impl Signal {
    /// All signals, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Traces, Self::Logs, Self::Metrics, Self::Profiles];

    /// The name in paths, configuration and JSON: `traces`, `logs`, `metrics`, `profiles`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Profiles => "profiles",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
