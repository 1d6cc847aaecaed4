//! Every setting a file may have: its key, the variable that says the same, what it may be, and what it is without.
//!
//! The one list of them: files are checked by it, and the reference, the JSON Schema and `ringlight config show` are
//! made from it.

use std::fmt;
use std::time::Duration;

use super::lines::{FILE_BYTES_LEAST, FILES_KEPT_MOST};
use super::units::{self, DURATIONS, SIZES};
use crate::budget::OverheadBudget;
use crate::filter::Filter;

/// One setting below `[telemetry]`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// The variable about the same thing, for all signals, which holds over the file.
    pub variable: Option<&'static str>,
    /// Whether the variable has the same values, so that the file's is read in its place.
    pub(super) is_same: bool,
    /// What it may be.
    pub shape: Shape,
    /// What it is where nothing says otherwise, for a person to read.
    pub default: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
}

/// What a setting may be in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Shape {
    /// `true` or `false`.
    Truth,
    /// Any text that is not empty.
    Text,
    /// A path, below the directory the process runs in unless it is absolute.
    Path,
    /// `http://host:port` or `https://host:port`, without credentials.
    Url,
    /// `host:port`, the host a name or an address.
    HostPort,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An array of these words, or of any texts if there are none here.
    Words(&'static [&'static str]),
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// A number from 0 to 1.
    Ratio,
    /// A time such as `"200ms"` or `"12h"`, from the first to the second.
    Time(Duration, Duration),
    /// A size such as `"500MiB"`, of so many bytes at least.
    Size(u64),
    /// Something such as `"2%"`.
    Percentage,
    /// Directives such as `"info,my_crate=debug"`.
    Directives,
    /// A table of texts, numbers and truths.
    Table,
}

impl Shape {
    /// Whether a text, as a variable or a string of the file has it, is of this shape.
    pub(super) fn takes(self, text: &str) -> bool {
        match self {
            Self::Truth => matches!(text, "true" | "false"),
            Self::Text | Self::Path => !text.trim().is_empty(),
            Self::Url => is_address(text),
            Self::HostPort => is_host_and_port(text),
            Self::Word(words) => words.contains(&text),
            Self::Words(words) => {
                words.is_empty() && !text.trim().is_empty() || words.contains(&text)
            }
            Self::Whole(least, most) => {
                (text.parse()).is_ok_and(|number: u64| (least..=most).contains(&number))
            }
            Self::Ratio => (text.parse()).is_ok_and(|number: f64| (0.0..=1.0).contains(&number)),
            Self::Time(least, most) => {
                units::duration(text).is_some_and(|time| (least..=most).contains(&time))
            }
            Self::Size(least) => units::size(text).is_some_and(|bytes| bytes >= least),
            Self::Percentage => text.parse::<OverheadBudget>().is_ok(),
            Self::Directives => Filter::parse_strictly(text).is_ok_and(|filter| filter.is_some()),
            Self::Table => false,
        }
    }
}

/// An address that names no secret: what stands before an `@` would be a user's name and password.
fn is_address(text: &str) -> bool {
    let rest = (text.strip_prefix("http://")).or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !authority.is_empty() && !authority.contains('@')
    })
}

/// A name or an address, one of version 6 in brackets, and a port.
pub(super) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let in_brackets = (host.strip_prefix('[')).and_then(|host| host.strip_suffix(']'));
    let is_host = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_wrong = |c: char| c.is_whitespace() || "/:[]@?#".contains(c);
            !host.is_empty() && !host.contains(is_wrong)
        }
    };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && is_number && port.parse::<u16>().is_ok()
}

/// What is allowed, as errors and the reference say it.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth => f.write_str("`true` or `false`"),
            Self::Text => f.write_str("a text"),
            Self::Path => f.write_str("a path"),
            Self::Url => f.write_str(
                "an address such as `\"http://localhost:4317\"`, without credentials",
            ),
            Self::HostPort => f.write_str("`host:port`, such as `\"localhost:9464\"` or `\"0.0.0.0:9464\"`"),
            Self::Word(words) => quoted(words, " or ", f),
            Self::Words([]) => f.write_str("an array of texts"),
            Self::Words(words) => {
                f.write_str("an array of ")?;
                quoted(words, " and ", f)
            }
            Self::Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Ratio => f.write_str("a number from 0 to 1"),
            Self::Time(least, most) => write!(
                f,
                "{DURATIONS}, from `\"{}\"` to `\"{}\"`",
                units::written(*least),
                units::written(*most)
            ),
            Self::Size(least) => {
                write!(f, "{SIZES}, at least `\"{}\"`", units::written_size(*least))
            }
            Self::Percentage => f.write_str("a percentage from `\"0.01%\"` to `\"100%\"`"),
            Self::Directives => f.write_str(
                "directives such as `\"info,my_crate=debug\"`, with the levels `off`, `error`, `warn`, `info`, \
                 `debug` and `trace`",
            ),
            Self::Table => f.write_str("a table of texts, numbers, `true` and `false`"),
        }
    }
}

fn quoted(words: &[&str], last: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, word) in words.iter().enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == words.len() => last,
            _ => ", ",
        };
        write!(f, "{before}`\"{word}\"`")?;
    }
    Ok(())
}

/// The setting of a key.
pub(super) fn of_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

const fn setting(
    key: &'static str,
    variable: &'static str,
    shape: Shape,
    default: &'static str,
    about: &'static str,
) -> Setting {
    let variable = if variable.is_empty() {
        None
    } else {
        Some(variable)
    };
    Setting {
        key,
        variable,
        is_same: true,
        shape,
        default,
        about,
    }
}

impl Setting {
    /// The variable is about the same thing, but says it otherwise.
    const fn kin(self) -> Self {
        Self {
            is_same: false,
            ..self
        }
    }
}

/// All of them, in the order of the reference.
pub const SETTINGS: &[Setting] = &[
    setting(
        "enabled",
        "OTEL_SDK_DISABLED",
        Shape::Truth,
        "true",
        "Whether anything leaves the process, is measured or watched; log lines are written in any case. The variable says the opposite",
    )
    .kin(),
    setting(
        "reload_on_hangup",
        "RINGLIGHT_RELOAD_ON_HANGUP",
        Shape::Truth,
        "false",
        "Whether SIGHUP has the file read again, rather than end the process",
    ),
    setting(
        "service_name",
        "OTEL_SERVICE_NAME",
        Shape::Text,
        "`unknown_service:` and the name of the executable",
        "The attribute `service.name` of everything that is sent",
    ),
    setting(
        "resource_attributes",
        "OTEL_RESOURCE_ATTRIBUTES",
        Shape::Table,
        "none",
        "Further attributes of everything that is sent; of one key the variable's holds",
    )
    .kin(),
    setting(
        "resource_detectors",
        "OTEL_RESOURCE_DETECTORS",
        Shape::Words(&[
            "host",
            "os",
            "process",
            "process_arguments",
            "container",
            "k8s",
            "all",
            "none",
        ]),
        "`[\"all\"]`, which is all but `process_arguments`",
        "What finds out where the process runs",
    )
    .kin(),
    setting(
        "filter",
        "RUST_LOG",
        Shape::Directives,
        "`info`",
        "What is recorded",
    ),
    setting(
        "filter_lines",
        "RUST_LOG_LINES",
        Shape::Directives,
        "`filter`",
        "The same, for log lines alone",
    ),
    setting(
        "filter_logs",
        "RUST_LOG_LOGS",
        Shape::Directives,
        "`filter`",
        "The same, for exported log records alone",
    ),
    setting(
        "filter_traces",
        "RUST_LOG_TRACES",
        Shape::Directives,
        "`filter`",
        "The same, for spans alone",
    ),
    setting(
        "log_format",
        "RINGLIGHT_LOG_FORMAT",
        Shape::Word(&["text", "pretty", "json", "off"]),
        "`text`",
        "How log lines look: one line or several for people on stderr, JSON on stdout, or none",
    ),
    setting(
        "log_color",
        "RINGLIGHT_LOG_COLOR",
        Shape::Word(&["auto", "always", "never"]),
        "`auto`",
        "Whether lines for people are in colour: on a terminal, as `NO_COLOR` and `CLICOLOR_FORCE` say, always or never",
    ),
    setting(
        "log_spans",
        "RINGLIGHT_LOG_SPANS",
        Shape::Truth,
        "true",
        "Whether lines name the spans around them; ids are there in any case",
    ),
    setting(
        "log_file",
        "RINGLIGHT_LOG_FILE",
        Shape::Path,
        "none",
        "File that lines are written to besides; `log_format = \"off\"` has them there alone",
    ),
    setting(
        "log_file_format",
        "RINGLIGHT_LOG_FILE_FORMAT",
        Shape::Word(&["json", "text", "pretty"]),
        "`json`",
        "How the lines in the file look",
    ),
    setting(
        "log_file_rotation",
        "RINGLIGHT_LOG_FILE_ROTATION",
        Shape::Word(&["never", "hourly", "daily"]),
        "`never`",
        "When the file gives way to a new one, besides when it is full",
    ),
    setting(
        "log_file_size_limit",
        "RINGLIGHT_LOG_FILE_SIZE_LIMIT",
        Shape::Size(FILE_BYTES_LEAST),
        "`100MiB`",
        "How large the file becomes before it gives way to a new one",
    ),
    setting(
        "log_files_kept",
        "RINGLIGHT_LOG_FILES_KEPT",
        Shape::Whole(0, FILES_KEPT_MOST),
        "10",
        "How many files are kept besides the one that is written to",
    ),
    setting(
        "audit_target",
        "RINGLIGHT_AUDIT_TARGET",
        Shape::Text,
        "`audit`",
        "The target of audit events, which are recorded from level `info` on whatever else is said, and dropped last; `none`: there are none",
    ),
    setting(
        "panic_backtrace",
        "RINGLIGHT_PANIC_BACKTRACE",
        Shape::Truth,
        "true, unless `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` is `0`",
        "Whether what is recorded of a panic has a backtrace",
    ),
    setting(
        "sample_rate",
        "OTEL_TRACES_SAMPLER",
        Shape::Ratio,
        "1",
        "The share of traces that are recorded of those that begin here; a trace that comes from elsewhere is if it is there. The variable names a sampler",
    )
    .kin(),
    setting(
        "overhead_budget",
        "RINGLIGHT_OVERHEAD_BUDGET",
        Shape::Percentage,
        "none",
        "How much of the CPU time observing may take before fewer traces are recorded",
    ),
    setting(
        "propagators",
        "OTEL_PROPAGATORS",
        Shape::Words(&["tracecontext", "baggage", "b3", "b3multi", "jaeger", "none"]),
        "`[\"tracecontext\", \"baggage\"]`",
        "How trace context is in headers; `b3`, `b3multi` and `jaeger` with the features of these names",
    ),
    setting(
        "redact",
        "RINGLIGHT_REDACT",
        Shape::Word(&["standard", "none"]),
        "`none`",
        "Whether what is secret or personal is masked",
    ),
    setting(
        "redact_keys",
        "RINGLIGHT_REDACT_KEYS",
        Shape::Words(&[]),
        "none",
        "Further attributes that are masked, `*` for any text; the variable's are added",
    )
    .kin(),
    setting(
        "backend",
        "",
        Shape::Word(&["otlp", "local"]),
        "where an endpoint leads",
        "`otlp`: everything is sent, without an endpoint to `http://localhost:4317`; `local`: trace files are written, \
         and nothing is sent to the endpoint of this file (feature `profiling`)",
    ),
    setting(
        "pyroscope_endpoint",
        "",
        Shape::Url,
        "none",
        "Where profiles go. This version takes none, and says so",
    ),
    setting(
        "trace_dir",
        "RINGLIGHT_TRACE_DIR",
        Shape::Path,
        "none; `.local/traces` where `backend` is `local`",
        "Directory for trace files that Perfetto opens, also beside OTLP (feature `profiling`)",
    ),
    setting(
        "trace_format",
        "RINGLIGHT_TRACE_FORMAT",
        Shape::Word(&["json", "perfetto"]),
        "`json`",
        "What they are written as: Trace Event Format or Perfetto's own, half as large",
    ),
    setting(
        "trace_file_size",
        "RINGLIGHT_TRACE_FILE_SIZE",
        Shape::Size(64 << 10),
        "`64MiB`",
        "How large a trace file becomes before another one is begun, which is also done every hour",
    ),
    setting(
        "trace_dir_size_limit",
        "RINGLIGHT_TRACE_DIR_SIZE_LIMIT",
        Shape::Size(64 << 10),
        "`1GiB`",
        "How large all trace files in the directory may be together before the oldest are deleted",
    ),
    setting(
        "include_args",
        "RINGLIGHT_INCLUDE_ARGS",
        Shape::Truth,
        "true",
        "Whether `#[ringlight::instrument]` records arguments, and trace files have the fields of spans and log records",
    ),
    setting(
        "busy_times",
        "RINGLIGHT_BUSY_TIMES",
        Shape::Truth,
        "false",
        "Whether spans have `busy_ns` and `idle_ns`, for which the clock is read when one is entered and when it is left \
         (feature `profiling`)",
    ),
    setting(
        "watch_current_runtime",
        "RINGLIGHT_WATCH_CURRENT_RUNTIME",
        Shape::Truth,
        "true",
        "Whether the runtime of tokio that telemetry is started in is watched (feature `profiling`)",
    ),
    setting(
        "blocked_worker_after",
        "RINGLIGHT_BLOCKED_WORKER_AFTER",
        Shape::Time(Duration::ZERO, HOUR),
        "`100ms`",
        "After how long in one task a worker of a runtime that is watched counts as blocked; `0ms` for never (feature \
         `profiling`)",
    ),
    setting(
        "tokio_console",
        "RINGLIGHT_TOKIO_CONSOLE",
        Shape::Truth,
        "false",
        "Whether `tokio-console` sees tasks (feature `tokio-console`, in a program built with `--cfg tokio_unstable`)",
    ),
    setting(
        "tokio_console_bind",
        "TOKIO_CONSOLE_BIND",
        Shape::HostPort,
        "`127.0.0.1:6669`",
        "Where `tokio-console` connects to",
    ),
    setting(
        "otlp_endpoint",
        "OTLP_ENDPOINT",
        Shape::Url,
        "none",
        "Where everything is sent; gRPC unless the port is 4318 or `otlp_protocol` says otherwise",
    )
    .kin(),
    setting(
        "otlp_protocol",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        Shape::Word(&["grpc", "http/protobuf", "http/json"]),
        "by the port",
        "How OTLP is spoken to the endpoint of this file",
    )
    .kin(),
    setting(
        "otlp_compression",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        Shape::Word(&["gzip", "zstd", "none"]),
        "`none`",
        "How requests are compressed; `zstd` with the feature of that name",
    ),
    setting(
        "otlp_timeout",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        Shape::Time(MS, HOUR),
        "`10s`",
        "How long one attempt may take. The variable has milliseconds",
    )
    .kin(),
    setting(
        "otlp_certificate",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        Shape::Path,
        "those the platform trusts",
        "PEM file with the authorities that may vouch for an `https://` endpoint",
    ),
    setting(
        "otlp_client_certificate",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        Shape::Path,
        "none",
        "PEM file by which the process shows the endpoint who it is",
    ),
    setting(
        "otlp_client_key",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        Shape::Path,
        "none",
        "PEM file with the key of that certificate",
    ),
    setting(
        "otlp_headers_file",
        "RINGLIGHT_OTLP_HEADERS_FILE",
        Shape::Path,
        "none",
        "File with headers that hold a secret",
    ),
    setting(
        "otlp_headers_age_file",
        "RINGLIGHT_OTLP_HEADERS_AGE_FILE",
        Shape::Path,
        "none",
        "The same, encrypted with age (feature `age`)",
    ),
    setting(
        "otlp_headers_age_identity_file",
        "RINGLIGHT_OTLP_HEADERS_AGE_IDENTITY_FILE",
        Shape::Path,
        "none",
        "The identities that decrypt it",
    ),
    setting(
        "otlp_headers_vault_key",
        "RINGLIGHT_OTLP_HEADERS_VAULT",
        Shape::Text,
        "none",
        "Where headers are in HashiCorp Vault, `<mount>/<path>#<key>` (feature `vault`)",
    ),
    setting(
        "otlp_headers_optional",
        "RINGLIGHT_OTLP_HEADERS_OPTIONAL",
        Shape::Truth,
        "false",
        "Whether to send without where there is no such secret",
    ),
    setting(
        "metric_export_interval",
        "OTEL_METRIC_EXPORT_INTERVAL",
        Shape::Time(MS, HOUR),
        "`5s`",
        "How often metrics are read and sent. The variable has milliseconds",
    )
    .kin(),
    setting(
        "system_metrics_interval_secs",
        "",
        Shape::Whole(0, 3_600),
        "5; in trace files 1",
        "Seconds that a reading of what the process uses may be old, 1 at least. Metrics have it no more often than they are sent or scraped, the counters of trace files that the code does not open as often as this says (feature `profiling`)",
    ),
    setting(
        "metric_temporality",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        Shape::Word(&["cumulative", "delta", "lowmemory"]),
        "`cumulative`",
        "Whether counters and histograms are sent as what they come to since the start, or since the last time",
    ),
    setting(
        "metric_histograms",
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        Shape::Word(&["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]),
        "`explicit_bucket_histogram`",
        "The buckets of histograms that have none of their own",
    ),
    setting(
        "metric_exemplars",
        "OTEL_METRICS_EXEMPLAR_FILTER",
        Shape::Word(&["trace_based", "always_on", "always_off"]),
        "`trace_based`",
        "Which measurements may become exemplars: those in spans that are recorded, all or none",
    ),
    setting(
        "prometheus_address",
        "OTEL_METRICS_EXPORTER",
        Shape::HostPort,
        "nowhere",
        "Where metrics are served for Prometheus (feature `prometheus`). The variable names `prometheus`, and `OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT` say where",
    )
    .kin(),
    setting(
        "span_metrics",
        "RINGLIGHT_SPAN_METRICS",
        Shape::Truth,
        "false",
        "Whether spans are counted and their durations added up as metrics, by name, kind and status",
    ),
    setting(
        "batch_delay",
        "OTEL_BSP_SCHEDULE_DELAY",
        Shape::Time(MS, HOUR),
        "`200ms`",
        "How long a record waits for others. The variable has milliseconds",
    )
    .kin(),
    setting(
        "report_interval",
        "RINGLIGHT_REPORT_INTERVAL",
        Shape::Time(Duration::ZERO, HOUR),
        "`2s`",
        "How often the backend is told of the ledger and of spans that are open, where there is something new; `0s` for never",
    ),
    setting(
        "batch_records_max",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        Shape::Whole(1, 1_000_000),
        "10000",
        "Records in a batch at most",
    ),
    setting(
        "spool_dir",
        "RINGLIGHT_SPOOL_DIR",
        Shape::Path,
        "in memory, 512 KiB",
        "Directory in which what cannot be sent is kept, also for the next process",
    ),
    setting(
        "spool_mode",
        "RINGLIGHT_SPOOL_MODE",
        Shape::Word(&["overflow", "always"]),
        "`overflow`",
        "What is kept there: what cannot be sent, or everything before it is sent",
    ),
    setting(
        "spool_size_limit",
        "RINGLIGHT_SPOOL_SIZE_LIMIT",
        Shape::Size(1 << 20),
        "`1GiB`",
        "How much is kept for a destination",
    ),
    setting(
        "spool_max_age",
        "RINGLIGHT_SPOOL_MAX_AGE",
        Shape::Time(MINUTE, YEAR),
        "`3d`",
        "For how long it is kept",
    ),
    setting(
        "attribute_count_limit",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        Shape::Whole(0, 1_000_000),
        "128",
        "Attributes of a record at most",
    ),
    setting(
        "attribute_value_length_limit",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        Shape::Whole(0, 1 << 30),
        "32768",
        "Bytes of a text at most",
    ),
    setting(
        "span_event_count_limit",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        Shape::Whole(0, 1_000_000),
        "128",
        "Events of a span at most",
    ),
    setting(
        "span_link_count_limit",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        Shape::Whole(0, 1_000_000),
        "128",
        "Links of a span at most",
    ),
    setting(
        "event_attribute_count_limit",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        Shape::Whole(0, 1_000_000),
        "128",
        "Attributes of a span's event at most",
    ),
    setting(
        "link_attribute_count_limit",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        Shape::Whole(0, 1_000_000),
        "128",
        "Attributes of a link at most",
    ),
];
