//! What each feature of the product costs an application that uses it, alone and with all others: two applications,
//! built with different features of Cargo, as `bench-features`.

mod measure;
mod scrape;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bench_workload::{Part, Telemetry};

use crate::cargo;

/// A set of Cargo features that the applications are built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Build {
    /// The defaults of the product, the system's allocator.
    Plain,
    /// With `profiling` and `prometheus`.
    Profiling,
    /// With `profiling-alloc` besides, and the allocator that counts around the system's.
    ProfilingAlloc,
    /// With `tracing-chrome`.
    Chrome,
    /// As `Plain`, with mimalloc.
    Mimalloc,
    /// As `Plain`, with jemalloc.
    Jemalloc,
}

impl Build {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Plain,
        Self::Profiling,
        Self::ProfilingAlloc,
        Self::Chrome,
        Self::Mimalloc,
        Self::Jemalloc,
    ];

    /// Cargo's name of the features.
    fn features(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Profiling => "profiling",
            Self::ProfilingAlloc => "profiling-alloc",
            Self::Chrome => "chrome",
            Self::Mimalloc => "mimalloc",
            Self::Jemalloc => "jemalloc",
        }
    }

    /// Whether the product's channels count, and its metrics tell of more than the application's.
    fn has_profiling(self) -> bool {
        matches!(self, Self::Profiling | Self::ProfilingAlloc)
    }

    /// Builds it, and gives the place of a copy that later builds leave alone.
    fn make(self) -> Result<PathBuf> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let arguments = ["--package", "bench-features", "--features", self.features()];
        let built = cargo::build_release(&manifest, &arguments, "bench-features")?;
        let name = format!("bench-features-{self:?}").to_lowercase();
        let kept = std::env::current_exe()?.with_file_name(name);
        std::fs::copy(&built, &kept)
            .with_context(|| format!("cannot copy `{}`", built.display()))?;
        Ok(kept)
    }
}

/// The applications in every build.
pub(crate) struct Binaries(Vec<(Build, PathBuf)>);

impl Binaries {
    /// Builds what is not built yet.
    pub(crate) fn build() -> Result<Self> {
        let make = |build: Build| Ok((build, build.make()?));
        Build::ALL
            .into_iter()
            .map(make)
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// An application, and how it is kept at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    /// The streaming application, as fast as it goes.
    StreamingFlat,
    /// The streaming application at [`PACED_RATE`].
    StreamingPaced,
    /// The axum service.
    Axum,
}

/// Chunks a second of the streaming application: what its README runs it with.
pub(crate) const PACED_RATE: u32 = 500;

impl Case {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::StreamingFlat, Self::StreamingPaced, Self::Axum];

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StreamingFlat => "streaming-flat",
            Self::StreamingPaced => "streaming-paced",
            Self::Axum => "axum",
        }
    }

    /// The name in tables.
    pub(crate) fn title(self) -> String {
        match self {
            Self::StreamingFlat => "streaming, flat out".to_owned(),
            Self::StreamingPaced => format!("streaming, {PACED_RATE} chunks/s"),
            Self::Axum => "axum".to_owned(),
        }
    }

    /// The unit of CPU time in results.
    pub(crate) fn cpu_unit(self) -> &'static str {
        match self {
            Self::StreamingFlat | Self::StreamingPaced => "us_cpu_per_chunk",
            Self::Axum => "us_cpu_per_request",
        }
    }
}

/// Units of the other figures.
pub(crate) const OVER_OFF: &str = "percent_cpu_over_off";
pub(crate) const OVER_BASE: &str = "percent_cpu_over_base";
pub(crate) const RESIDENT: &str = "resident_mib_max";
pub(crate) const SLICES_DROPPED: &str = "slices_and_events_missing_per_process";
pub(crate) const LINES_DROPPED: &str = "log_lines_missing_per_process";
/// Of the case [`BINARY`].
pub(crate) const BINARY_SIZE: &str = "kib";
pub(crate) const BINARY: &str = "features-binary";

/// One line of the tables.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name in results.
    pub(crate) name: &'static str,
    /// What is on.
    pub(crate) what: &'static str,
    pub(crate) build: Build,
    pub(crate) telemetry: Telemetry,
    /// The row that has everything but this feature.
    pub(crate) base: &'static str,
    /// Per cent over the base that requirement Z-4 allows.
    pub(crate) ceiling: Option<f64>,
    /// Per cent over the base that the design aims at, on the streaming application.
    pub(crate) aim: Option<f64>,
    cases: &'static [Case],
}

impl AsRef<str> for Row {
    fn as_ref(&self) -> &str {
        self.name
    }
}

impl Row {
    const fn new(
        name: &'static str,
        what: &'static str,
        (build, telemetry): (Build, Telemetry),
        base: &'static str,
    ) -> Self {
        Self {
            name,
            what,
            build,
            telemetry,
            base,
            ceiling: None,
            aim: None,
            cases: &Case::ALL,
        }
    }

    const fn at_most(self, ceiling: f64, aim: Option<f64>) -> Self {
        Self {
            ceiling: Some(ceiling),
            aim,
            ..self
        }
    }

    const fn only(self, cases: &'static [Case]) -> Self {
        Self { cases, ..self }
    }

    /// Whether it is measured in this case.
    pub(crate) fn is_in(&self, case: Case) -> bool {
        self.cases.contains(&case)
    }

    /// Whether these are among the metrics; the service has no channels that count.
    fn tells_of(&self, part: Part, case: Case) -> bool {
        let has_part = part != Part::Channels || case != Case::Axum;
        has_part && self.build.has_profiling() && self.telemetry.tells_of(part)
    }

    /// Whether metrics are sent: the service has none of its own.
    fn has_metrics(&self, case: Case) -> bool {
        let has_others = matches!(self.telemetry, Telemetry::SpanMetrics | Telemetry::All)
            || Part::ALL.iter().any(|part| self.tells_of(*part, case));
        self.telemetry.sends_metrics() && (case != Case::Axum || has_others)
    }

    /// Whether it is in the table of features, rather than in that of allocators alone.
    pub(crate) fn is_feature(&self) -> bool {
        !matches!(self.build, Build::Mimalloc | Build::Jemalloc)
    }
}

const STREAMING: [Case; 2] = [Case::StreamingFlat, Case::StreamingPaced];
const FLAT: [Case; 1] = [Case::StreamingFlat];
const LOADED: [Case; 2] = [Case::StreamingFlat, Case::Axum];

/// The row that all others are compared with.
pub(crate) const OFF: &str = "off";

/// The rows in the order of the tables; each comes after its base.
pub(crate) static ROWS: [Row; 26] = [
    Row::new(
        OFF,
        "nothing: `tracing` without a subscriber",
        (Build::Plain, Telemetry::Off),
        OFF,
    ),
    Row::new(
        "otlp",
        "traces and logs over OTLP, as `init` has them",
        (Build::Plain, Telemetry::Otlp),
        OFF,
    )
    .at_most(12.0, None),
    Row::new(
        "log-file",
        "log lines, JSON in a file",
        (Build::Plain, Telemetry::LogFile),
        OFF,
    ),
    Row::new(
        "log-text",
        "log lines for people, one an event, on stderr, which is a file",
        (Build::Plain, Telemetry::LogText),
        OFF,
    )
    .only(&LOADED),
    Row::new(
        "log-pretty",
        "log lines for people, several an event, in a file",
        (Build::Plain, Telemetry::LogPretty),
        OFF,
    )
    .only(&LOADED),
    Row::new(
        "redaction",
        "OTLP, the standard rules look for what is secret or personal, and find nothing",
        (Build::Plain, Telemetry::Redaction),
        "otlp",
    )
    .only(&LOADED),
    Row::new(
        "redaction-hash",
        "the same, and one attribute of nearly every span is hashed",
        (Build::Plain, Telemetry::RedactionHash),
        "otlp",
    )
    .only(&LOADED),
    Row::new(
        "metrics",
        "metrics over OTLP every second: the application's own, of which the service has none",
        (Build::Plain, Telemetry::Metrics),
        OFF,
    ),
    Row::new(
        "span-metrics",
        "metrics, those of spans among them",
        (Build::Plain, Telemetry::SpanMetrics),
        "metrics",
    ),
    Row::new(
        "metrics-profiling",
        "the application's own metrics, built with `profiling`: channels are counted, nothing is told of them",
        (Build::Profiling, Telemetry::OwnMetrics),
        "metrics",
    ),
    Row::new(
        "process-metrics",
        "metrics, those of the process among them",
        (Build::Profiling, Telemetry::ProcessMetrics),
        "metrics-profiling",
    )
    .at_most(1.0, None),
    Row::new(
        "runtime-metrics",
        "metrics, those of the runtime among them, which is watched",
        (Build::Profiling, Telemetry::RuntimeMetrics),
        "metrics-profiling",
    ),
    Row::new(
        "channel-metrics",
        "metrics, those of channels among them",
        (Build::Profiling, Telemetry::ChannelMetrics),
        "metrics-profiling",
    )
    .only(&FLAT),
    Row::new(
        "system-metrics",
        "metrics, those of the process, the runtime and the channels among them",
        (Build::Profiling, Telemetry::Metrics),
        "metrics",
    )
    .at_most(1.0, None),
    Row::new(
        "channels",
        "built with `profiling`: channels are counted, nothing is told",
        (Build::Profiling, Telemetry::Off),
        OFF,
    )
    .at_most(1.0, Some(1.0))
    .only(&STREAMING),
    Row::new(
        "otlp-channels",
        "OTLP, built with `profiling`: channels are counted and on spans; a directive turns the spans of `#[ringlight::instrument]` off",
        (Build::Profiling, Telemetry::OtlpUninstrumented),
        "otlp",
    )
    .only(&FLAT),
    Row::new(
        "otlp-profiling",
        "the same, functions with `#[ringlight::instrument]` are spans",
        (Build::Profiling, Telemetry::Otlp),
        "otlp-channels",
    ),
    Row::new(
        "prometheus",
        "the metrics of `system-metrics`, scraped every second",
        (Build::Profiling, Telemetry::Prometheus),
        OFF,
    ),
    Row::new(
        "busy-times",
        "OTLP, spans with the time they were busy",
        (Build::Profiling, Telemetry::BusyTimes),
        "otlp-profiling",
    ),
    Row::new(
        "allocations",
        "OTLP, spans with what was allocated in them",
        (Build::ProfilingAlloc, Telemetry::Otlp),
        "otlp-profiling",
    )
    .at_most(2.0, Some(2.0)),
    Row::new(
        "trace-json",
        "trace file, JSON",
        (Build::Profiling, Telemetry::TraceJson),
        OFF,
    )
    .at_most(8.0, Some(3.0)),
    Row::new(
        "trace-perfetto",
        "trace file, Perfetto",
        (Build::Profiling, Telemetry::TracePerfetto),
        OFF,
    )
    .at_most(8.0, Some(3.0)),
    Row::new(
        "tracing-chrome",
        "tracing-chrome's file, with the fields of spans",
        (Build::Chrome, Telemetry::Chrome),
        OFF,
    ),
    Row::new(
        "all",
        "all of it together, the trace file as JSON",
        (Build::ProfilingAlloc, Telemetry::All),
        OFF,
    ),
    Row::new(
        "otlp-mimalloc",
        "mimalloc",
        (Build::Mimalloc, Telemetry::Otlp),
        "otlp",
    )
    .only(&LOADED),
    Row::new(
        "otlp-jemalloc",
        "jemalloc",
        (Build::Jemalloc, Telemetry::Otlp),
        "otlp",
    )
    .only(&LOADED),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_after_its_base_and_is_measured_beside_it() {
        for (index, row) in ROWS.iter().enumerate() {
            let before = ROWS[..=index].iter().find(|other| other.name == row.base);
            let base = before.unwrap_or_else(|| panic!("{}: no base before it", row.name));
            let is_beside = Case::ALL.map(|case| row.is_in(case) && base.is_in(case));
            assert!(is_beside.contains(&true), "{}", row.name);
            // What may cost so much is held against that wherever it is measured.
            for case in Case::ALL.into_iter().filter(|case| row.is_in(*case)) {
                assert!(row.ceiling.is_none() || base.is_in(case), "{}", row.name);
                assert!(ROWS[0].is_in(case), "{}", row.name);
            }
        }
        assert_eq!(ROWS[0].name, OFF);
    }

    #[test]
    fn the_rate_is_the_one_the_application_is_documented_with() {
        let readme = include_str!("../../../apps/streaming/README.md");
        assert!(readme.contains(&format!("--rate {PACED_RATE}\n")));
    }
}
