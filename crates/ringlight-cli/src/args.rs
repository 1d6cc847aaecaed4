//! The command line as it is written. It is parsed once, and turned into a validated configuration
//! by [`crate::config`]; nothing else looks at it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::address::Address;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed; `demo`: not everything the applications submitted was stored
  2  the command line is wrong
  3  an address cannot be listened on, for example its port is in use
  4  the data directory cannot be used, for example another process has it open";

const UP_HELP: &str = "\
Examples:
  ringlight up
  ringlight up -- cargo run
  ringlight up --data-dir ./telemetry --retention 2d --size-limit 500MiB
  ringlight up --forward https://otlp.example.com:4317

SIGINT, SIGTERM and SIGHUP end it in order. Another one, a second later or more,
does not wait until everything is written; what was acknowledged is not lost.

With a program, these signals are passed to it, and its exit code is passed on:
128 + n if signal n ended it, 126 if it cannot be run, 127 if it is not found.
On a terminal the backend stays after the program ended, until Ctrl-C, so that the
data can be looked at; otherwise it ends with the program.

Set for the program:
  OTLP_ENDPOINT                gRPC, for services with Ringlight
  OTEL_EXPORTER_OTLP_ENDPOINT  HTTP, for every other OpenTelemetry SDK
  OTEL_EXPORTER_OTLP_PROTOCOL  http/protobuf
  OTEL_SERVICE_NAME            unless set already: the program's file name, or its
                               script's for an interpreter such as `python`; not
                               set for a launcher such as `sh` or `cargo`

Not passed to the program, since they could switch its telemetry off or are meant
for another backend: OTEL_SDK_DISABLED, OTEL_CONFIG_FILE,
OTEL_EXPERIMENTAL_CONFIG_FILE, OTEL_*_EXPORTER, RINGLIGHT_OTLP_HEADERS_* and all
other OTEL_EXPORTER_OTLP_*, such as OTEL_EXPORTER_OTLP_HEADERS. With `--forward` the
backend itself uses them, but for OTEL_SDK_DISABLED, OTEL_CONFIG_FILE and
OTEL_*_EXPORTER.

Exit codes:
  0  done
  1  it failed
  2  the command line is wrong
  3  an address cannot be listened on, for example its port is in use
  4  the data directory cannot be used, for example another process has it open";

const DEMO_HELP: &str = "\
Three services are seen in the browser, each a process:
  streaming  an application that reads chunks of many streams, checks and analyses them
  agent      one that answers questions, with tools, a memory and a language model
  model      stands in for the provider of that model; its spans are in the traces of `agent`

Examples:
  ringlight demo
  ringlight demo --duration 20s
  ringlight demo --duration 20s --rate 1000 --json
  ringlight demo --duration 20s --trace-dir ./traces

The applications wait up to a second for room before they drop a record, so on a slow
machine a high rate is not reached rather than records lost. A service does not wait
unless it is told to.

SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in order, with the account. Another one,
a second later or more, kills the applications, and then there is no account.";

const CHECK_HELP: &str = "\
Examples:
  ringlight check map.toml
  ringlight check map.toml --since 15m --service shop
  ringlight check map.toml --url http://127.0.0.1:14320 --json

How a map is written is in docs/span-map.md.

Spans arrive when they end, and in batches: where something is wrong with a trace whose
newest span ended less than ten seconds ago, it is asked for again for as long.

Exit codes:
  0  every span of the map was seen, and is as it says
  1  something is missing or wrong
  2  the command line or the map is wrong, or the backend cannot be asked";

const CONFIG_SHOW_HELP: &str = "\
Examples:
  ringlight config show
  OTLP_ENDPOINT=http://localhost:4317 ringlight config show shop.toml

What the program says in its code, or is told on its command line, is not known here; it
holds over all of this. Secrets are not shown.

Exit codes:
  0  done
  1  the file cannot be used
  2  the command line is wrong";

const CONFIG_CHECK_HELP: &str = "\
Example:
  ringlight config check ringlight.toml

Of a file without a section `[telemetry]`, as an application's own may be, it is said that
nothing is set by it.

Exit codes:
  0  the files are right, or set nothing
  1  something is wrong, or there is no file
  2  the command line is wrong";

const CONFIG_MIGRATE_HELP: &str = "\
Examples:
  ringlight config migrate --dry-run
  ringlight config migrate ringlight.toml

The new file is written beside the old one and put in its place once it has turned out to say
the same. Each change is told: on standard output, or, with `--dry-run`, on standard error, since
standard output has the new text then. A file without such sections is left as it is.

Exit codes:
  0  the file is as it should be now, or was before
  1  something is wrong with it, or there is no file
  2  the command line is wrong";

const CONFIG_SCHEMA_HELP: &str = "\
Example:
  ringlight config schema > ringlight.schema.json

Exit codes:
  0  done
  2  the command line is wrong";

const COMPLETIONS_HELP: &str = "\
Example:
  ringlight completions bash > ~/.local/share/bash-completion/completions/ringlight

Exit codes:
  0  done
  2  the command line is wrong";

/// Traces, logs and metrics of Rust services: one process that receives, stores and shows them
#[derive(Debug, Parser)]
#[command(name = "ringlight", version, disable_help_subcommand = true,
    subcommand_required = true, arg_required_else_help = true,
    after_help = format!("Example:\n  ringlight up -- cargo run\n\n{EXIT_CODES}"))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive, store and show telemetry; start a program pointed at it
    #[command(after_help = UP_HELP)]
    Up(UpArgs),
    /// See it work: the backend and two sample applications, streaming and agent
    #[command(after_help = format!("{DEMO_HELP}\n\n{EXIT_CODES}"))]
    Demo(DemoArgs),
    /// Check the spans that a running backend has against an instrumentation map: which have to be
    /// there, inside of which others, and with which attributes
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// See and check a service's settings
    #[command(subcommand, after_help = "Example:\n  ringlight config show")]
    Config(ConfigCommand),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Run a sample application, as `demo` does
    #[command(
        hide = true,
        subcommand,
        after_help = "Example:\n  ringlight app streaming --duration 20s"
    )]
    App(AppCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Bounded-channel stream processing
    Streaming(ringlight_app_streaming::Args),
    /// An agent loop with tools, memory and a model provider
    Agent(ringlight_app_agent::Args),
    /// The stand-in model the agent talks to
    Model(ringlight_app_agent::model::Args),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show what every setting comes to where a service is run, and who said so: the variables that
    /// are set here, the file, or the default
    #[command(after_help = CONFIG_SHOW_HELP)]
    Show {
        /// The file with the settings [default: what `RINGLIGHT_CONFIG_FILE` names, or `ringlight.toml` in this
        /// directory]
        file: Option<PathBuf>,

        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Check files of settings
    #[command(after_help = CONFIG_CHECK_HELP)]
    Check {
        /// The files [default: `ringlight.toml` in this directory]
        files: Vec<PathBuf>,
    },
    /// Rewrite a file of an earlier version: what is in `[observability]` and `[debug.traces]` goes below
    /// `[telemetry]`. Comments and everything else stay
    #[command(after_help = CONFIG_MIGRATE_HELP)]
    Migrate {
        /// The file [default: `ringlight.toml` in this directory]
        file: Option<PathBuf>,

        /// Print the new text and leave the file as it is
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the JSON Schema of a file of settings, for editors
    #[command(after_help = CONFIG_SCHEMA_HELP)]
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct BackendArgs {
    /// Where telemetry is stored [default: `ringlight/up` (for `demo`: `ringlight/demo`) in
    /// $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,

    /// How long it is kept; units `m`, `h`, `d`, `w`
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    pub(crate) retention: String,

    /// How much of it is kept, the oldest goes first; units `MiB`, `GiB`, `MB`, `GB`
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    pub(crate) size_limit: String,

    /// The loopback address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) listen: String,

    /// Port for OTLP over gRPC; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 4317)]
    pub(crate) grpc_port: u16,

    /// Port for OTLP over HTTP; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 4318)]
    pub(crate) http_port: u16,

    /// Port for the browser and the API; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 4320)]
    pub(crate) ui_port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) backend: BackendArgs,

    /// Pass everything on to this OTLP endpoint as well; gRPC, or HTTP if the port is 4318
    ///
    /// Headers, certificates, compression and protocol as `OTEL_EXPORTER_OTLP_*` and
    /// `RINGLIGHT_OTLP_HEADERS_*` say (those of age and Vault where it was built with the features
    /// `age` and `vault`). What cannot be sent waits in the data directory, also for the next start.
    #[arg(long, value_name = "URL")]
    pub(crate) forward: Option<Address>,

    /// How much waits there for the endpoint, the oldest goes first
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        requires = "forward"
    )]
    pub(crate) forward_size_limit: String,

    /// Print the addresses as one line of JSON on standard output once everything is ready
    #[arg(long)]
    pub(crate) json: bool,

    /// A program to start with its telemetry pointed here, and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) backend: BackendArgs,

    /// End by itself after this long [default: until Ctrl-C]
    #[arg(long, value_name = "DURATION")]
    pub(crate) duration: Option<String>,

    /// Chunks a second the streaming application reads, two to three spans each; the agent is
    /// paced by its model
    #[arg(long, value_name = "N", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,

    /// Have the applications write trace files that Perfetto opens to this directory as well
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) trace_dir: Option<PathBuf>,

    /// Print the addresses and the closing account as one line of JSON each on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// Show what the applications write to standard error
    #[arg(long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The map, in TOML
    pub(crate) map: PathBuf,

    /// Where the backend is, as it prints when it starts
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4320")]
    pub(crate) url: Address,

    /// The service whose spans are looked at [default: the map's `service`, or all]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,

    /// Look at traces with spans that began at most this long ago [default: at all that came since
    /// the backend started]
    #[arg(long, value_name = "DURATION")]
    pub(crate) since: Option<String>,

    /// Traces looked at, at most; the newest first
    #[arg(long, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,

    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}
