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
// What is said of it here is not what the application is about.
#[command(next_help_heading = "Telemetry", about = None, long_about = None)]
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
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub prometheus: Option<String>,
}

#[cfg(feature = "prometheus")]
fn host_and_port(text: &str) -> Result<String, &'static str> {
    let is_one = crate::settings::Shape::HostPort.takes(text);
    is_one
        .then(|| text.to_owned())
        .ok_or("allowed is `host:port`, such as `localhost:9464`")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    #[derive(Parser)]
    #[command(about = "Sells things")]
    struct Short {
        #[command(flatten)]
        _telemetry: super::TelemetryArgs,
    }

    /// Sells things
    ///
    /// And buys them.
    #[derive(Parser)]
    struct Long {
        #[command(flatten)]
        _telemetry: super::TelemetryArgs,
    }

    #[cfg(feature = "prometheus")]
    #[test]
    fn an_address_that_is_none_is_an_error_of_the_command_line() {
        for (address, is_one) in [("1", false), ("localhost:9464", true), ("[::1]:0", true)] {
            let parsed = Short::try_parse_from(["app", "--prometheus", address]);
            let error = parsed.err().map(|error| error.to_string());
            let expected =
                "invalid value '1' for '--prometheus <HOST:PORT>': allowed is `host:port`";
            assert_eq!(error.is_none(), is_one, "{error:?}");
            assert!(error.is_none_or(|error| error.contains(expected)));
        }
    }

    #[test]
    fn an_application_is_about_what_it_says_itself() {
        let mut none =
            <super::TelemetryArgs as clap::Args>::augment_args(clap::Command::new("app"));
        let about = |command: &mut clap::Command| {
            let help = command.render_long_help().to_string();
            let (about, options) = help.split_once("Usage:").unwrap_or_default();
            assert!(options.contains("Telemetry:") && options.contains("--otlp-endpoint"));
            about.trim().to_owned()
        };
        assert_eq!(about(&mut none), "");
        assert_eq!(about(&mut Short::command()), "Sells things");
        assert_eq!(
            about(&mut Long::command()),
            "Sells things\n\nAnd buys them."
        );
    }
}
