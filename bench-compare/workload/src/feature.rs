//! What a process with features is told to do, and what it says in the end.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is switched on while a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Telemetry {
    /// Nothing: no subscriber.
    Off,
    /// Traces and logs over OTLP.
    Otlp,
    /// Log lines, as JSON in a file.
    LogFile,
    /// Metrics over OTLP, every second: the application's own, and in a build with `profiling` those of the process,
    /// of the runtime and of channels.
    Metrics,
    /// Those, and metrics of spans.
    SpanMetrics,
    /// The metrics of [`Metrics`](Self::Metrics), where somebody asks for them.
    Prometheus,
    /// Traces and logs over OTLP, with how long spans were busy.
    BusyTimes,
    /// Trace files of JSON.
    TraceJson,
    /// Trace files of Perfetto.
    TracePerfetto,
    /// All of the above, the trace file as JSON.
    All,
    /// A file of `tracing-chrome`.
    Chrome,
}

impl Telemetry {
    /// Whether spans and log records are sent.
    #[must_use]
    pub fn sends_records(self) -> bool {
        matches!(self, Self::Otlp | Self::BusyTimes | Self::All)
    }

    /// Whether metrics are sent.
    #[must_use]
    pub fn sends_metrics(self) -> bool {
        matches!(self, Self::Metrics | Self::SpanMetrics | Self::All)
    }

    /// Whether metrics are there to be asked for.
    #[must_use]
    pub fn serves_metrics(self) -> bool {
        matches!(self, Self::Prometheus | Self::All)
    }

    /// Whether files are written.
    #[must_use]
    pub fn writes_files(self) -> bool {
        matches!(
            self,
            Self::LogFile | Self::TraceJson | Self::TracePerfetto | Self::All | Self::Chrome
        )
    }
}

/// What a process did and what it took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// CPU time of the whole process, from before the first chunk or request until everything is delivered and written.
    pub cpu_ns: u64,
    /// The most memory it had resident.
    pub resident_mib: f64,
    /// Chunks that were processed; of the service 0, whoever asks knows.
    pub chunks: u64,
    /// What became of spans.
    pub spans: SignalOutcome,
    /// What became of log records.
    pub logs: SignalOutcome,
    /// Slices of trace files that found no room.
    pub slices_dropped: u64,
    /// Bytes in the files that were written.
    pub written_bytes: u64,
}

/// What the product's ledger says of a signal.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct SignalOutcome {
    /// Records the application made.
    pub submitted: u64,
    /// Records dropped, for whatever reason.
    pub dropped: u64,
}
