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
    /// The same, without spans of functions with `#[ringlight::instrument]`, by a directive of the filter.
    OtlpUninstrumented,
    /// Traces and logs over OTLP, in which the usual rules look for what is secret or personal, and find nothing.
    Redaction,
    /// The same, and one attribute of nearly every span is replaced by a keyed hash.
    RedactionHash,
    /// Log lines, as JSON in a file.
    LogFile,
    /// Log lines for people, one an event, on stderr.
    LogText,
    /// Log lines for people, several an event, in a file.
    LogPretty,
    /// Metrics over OTLP, every second: the application's own, and in a build with `profiling` those of the process,
    /// of the runtime and of channels.
    Metrics,
    /// The application's own alone, also in a build with `profiling`.
    OwnMetrics,
    /// Those, and the metrics of the process.
    ProcessMetrics,
    /// The application's own, and the metrics of the runtime, which is watched.
    RuntimeMetrics,
    /// The application's own, and the metrics of channels.
    ChannelMetrics,
    /// The metrics of [`Metrics`](Self::Metrics), and metrics of spans.
    SpanMetrics,
    /// The metrics of [`Metrics`](Self::Metrics), where somebody asks for them.
    Prometheus,
    /// Traces and logs over OTLP, with how long spans were busy.
    BusyTimes,
    /// Trace files of JSON.
    TraceJson,
    /// Trace files of Perfetto.
    TracePerfetto,
    /// All of it together: OTLP, log lines and the trace file as JSON, all metrics, sent and served, busy times.
    All,
    /// A file of `tracing-chrome`.
    Chrome,
}

impl Telemetry {
    /// Whether spans and log records are sent.
    #[must_use]
    pub fn sends_records(self) -> bool {
        matches!(
            self,
            Self::Otlp
                | Self::OtlpUninstrumented
                | Self::Redaction
                | Self::RedactionHash
                | Self::BusyTimes
                | Self::All
        )
    }

    /// Whether metrics are sent.
    #[must_use]
    pub fn sends_metrics(self) -> bool {
        matches!(
            self,
            Self::Metrics
                | Self::OwnMetrics
                | Self::ProcessMetrics
                | Self::RuntimeMetrics
                | Self::ChannelMetrics
                | Self::SpanMetrics
                | Self::All
        )
    }

    /// Whether metrics are there to be asked for.
    #[must_use]
    pub fn serves_metrics(self) -> bool {
        matches!(self, Self::Prometheus | Self::All)
    }

    /// Whether these are among the metrics of a build with `profiling`.
    #[must_use]
    pub fn tells_of(self, part: Part) -> bool {
        match self {
            Self::OwnMetrics => false,
            Self::ProcessMetrics => part == Part::Process,
            Self::RuntimeMetrics => part == Part::Runtime,
            Self::ChannelMetrics => part == Part::Channels,
            _ => self.sends_metrics() || self.serves_metrics(),
        }
    }

    /// Whether files are written.
    #[must_use]
    pub fn writes_files(self) -> bool {
        matches!(
            self,
            Self::LogFile
                | Self::LogPretty
                | Self::TraceJson
                | Self::TracePerfetto
                | Self::All
                | Self::Chrome
        )
    }

    /// Whether log lines are written to stderr.
    #[must_use]
    pub fn writes_stderr(self) -> bool {
        self == Self::LogText
    }
}

/// What the product has metrics of by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the process uses.
    Process,
    /// What tokio's runtime does.
    Runtime,
    /// What goes through channels.
    Channels,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Process, Self::Runtime, Self::Channels];

    /// The scope of these metrics.
    #[must_use]
    pub fn scope(self) -> &'static str {
        match self {
            Self::Process => "ringlight.process",
            Self::Runtime => "ringlight.runtime",
            Self::Channels => "ringlight.channel",
        }
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
    /// Values and parts of texts that were replaced.
    pub redacted: u64,
    /// Slices of trace files that found no room.
    pub slices_dropped: u64,
    /// Log lines that found no room, which only notices on stderr tell, to whoever reads that.
    pub lines_dropped: u64,
    /// Bytes in the files that were written, and on stderr.
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
