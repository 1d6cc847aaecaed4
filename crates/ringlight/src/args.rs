//! Command line arguments for telemetry, to be flattened into an application's own.

use clap::builder::TypedValueParser as _;
use clap::{Args, builder::PossibleValuesParser};

use crate::LogFormat;

/// `--otlp-endpoint` and `--log-format`, for any application that uses `clap`; with the feature `profiling`
/// `--trace-dir` as well, and with `prometheus` `--prometheus`. The guide is `docs/configuration.md`.
///
/// ```
/// use clap::Parser;
///
/// #[derive(Parser)]
/// struct Arguments {
///     #[command(flatten)]
///     telemetry: ringlight::TelemetryArgs,
/// }
///
/// # fn main() -> Result<(), ringlight::InitError> {
/// let arguments = Arguments::parse_from(["app", "--log-format", "off"]);
/// let _telemetry = ringlight::builder().args(&arguments.telemetry).init()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryArgs {
    /// Send traces, logs and metrics to this OTLP endpoint, for instance http://localhost:4317
    ///
    /// gRPC, or HTTP if the port is 4318. Without it the variables `OTLP_ENDPOINT` and
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` are looked at; without those, log lines are all there is.
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// How log lines look: one line or several on stderr, JSON on stdout, or none [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        value_parser = PossibleValuesParser::new(["text", "pretty", "json", "off"])
            .map(|name| LogFormat::from_name(&name).unwrap_or_default())
    )]
    pub log_format: Option<LogFormat>,

    /// Write trace files that Perfetto opens to this directory, beside everything else
    ///
    /// Without it the variable `RINGLIGHT_TRACE_DIR` is looked at; how they are written, the others of
    /// `RINGLIGHT_TRACE_*` say.
    #[cfg(feature = "profiling")]
    #[arg(long, value_name = "DIRECTORY")]
    pub trace_dir: Option<std::path::PathBuf>,

    /// Serve metrics for Prometheus at this address, for instance localhost:9464
    #[cfg(feature = "prometheus")]
    #[arg(long, value_name = "HOST:PORT")]
    pub prometheus: Option<String>,
}
