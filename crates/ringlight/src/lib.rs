//! Traces, logs and metrics of Rust services, at a cost measured in nanoseconds.
//!
//! A service adds this crate and one line; the [`tracing`] spans and events it and its libraries
//! already have then leave the process as OpenTelemetry traces and logs (OTLP), and readable lines
//! appear on stderr. With no endpoint configured those lines are all there is.
//!
//! ```
//! fn main() -> Result<(), ringlight::InitError> {
//!     let _telemetry = ringlight::init()?;
//!     let span = tracing::info_span!("order", id = 7, customer = "ada");
//!     span.in_scope(|| tracing::info!(items = 3, "order placed"));
//!     Ok(())
//! }
//! ```
//!
//! [`tracing`]: https://docs.rs/tracing
//!
//! # What becomes of spans and events
//!
//! - A **span** is exported once, when its last handle is dropped: with its fields as attributes,
//!   in the types they have. Only what is just `Debug` (`?`) or `Display` (`%`) becomes text.
//! - An **event** is one log record. It carries the ids of the span it happened in, so that a log
//!   line leads to its trace and back. Its message is the record's body.
//! - An event at level **error**, or a **panic** that passes through it, gives its span the status
//!   error, with the first such message; a field `error` follows the message. A panic's message is
//!   `panicked at src/main.rs:12: ` and what it said: [`init`] sets a panic hook, which calls the one
//!   before it. It is the message of the latest panic on that thread while the span was entered;
//!   where the hook saw none, such as when a panic is resumed, it is `panicked`.
//! - The fields `otel.name`, `otel.kind`, `otel.status_code` and `otel.status_message` (also called
//!   `otel.status_description`) of a span set what they say instead of becoming attributes.
//! - `follows_from` becomes a link. `parent: &span` and `parent: None` are followed.
//! - Spans of libraries that use the **OpenTelemetry API** are recorded, too, and are parents and
//!   children of the ones here: see the module `otel`.
//! - A span that is recorded to later (`Span::record`) keeps the last value of each field.
//! - Fields over the limits (128 a record, 32 KiB a text, 64 KiB a record) are dropped or cut, and
//!   the record says so.
//!
//! Spans can also be made and submitted without `tracing`: see [`collector`].
//!
//! **Metrics** of the OpenTelemetry API go the same way: see `metrics`.
//!
//! To take a trace over into another task, process or machine, see [`TraceContext`]; with baggage and
//! trace state, the module `otel`.
//!
//! # What it does to the service
//!
//! - **It never waits.** Records go into a ring of the recording thread; a thread of our own, with
//!   a small runtime of its own, takes them out, encodes and sends them. A backend that is slow,
//!   gone or never answers changes nothing for the application: when a ring is full the newest
//!   record is dropped and counted. [`Builder::overflow`] chooses otherwise.
//! - **It does not fail the start for a variable**, but for one kind. [`init`] returns at once whether a
//!   backend is there or not; a bad variable is warned about and ignored. Only what the program itself says is
//!   checked: see [`InitError`]. The exception is where a secret comes from (`RINGLIGHT_OTLP_HEADERS_*`): two
//!   sources, one that is not understood, or one whose feature this build does not have keep telemetry from
//!   starting, since to ignore it would be to send without authentication. A secret that is not there yet does not:
//!   nothing is sent until it is, unless it is optional. A file of settings is written for this program: what is wrong
//!   with it is an error, too, and so is one that `OTEL_CONFIG_FILE` names where this build does not read it.
//! - **Every record is accounted for**: submitted + recovered = exported + rejected + dropped (by reason) + in
//!   flight + spooled, at every moment. See [`Telemetry::ledger`].
//! - **It does not observe itself.** What the exporter logs on its own threads is not recorded.
//! - **What is filtered out costs a load and a branch.** The filters are asked once a callsite, those of
//!   all outputs together: what any of them wants is recorded once, and each takes from that what it
//!   wants on the collector's thread. See [`Output`].
//!
//! # Configuration
//!
//! From the command line (`TelemetryArgs`, feature `clap`), then code ([`builder`]), then the
//! signal's own `OTEL_*` variables, then `OTLP_ENDPOINT`, then the generic `OTEL_*` variables, then the table
//! `[telemetry]` of `ringlight.toml` or another file (see [`settings`]): the
//! first that says something wins. An empty variable is an unset one. Directives are the exception: what
//! the code says of them is a default, over which the variable for the same outputs wins, and the file. What
//! [`Builder::pipeline`] sets is code, too.
//!
//! | variable | what it does |
//! |---|---|
//! | `RINGLIGHT_CONFIG_FILE` | a file with settings, in place of `ringlight.toml` in the directory the process runs in; `none`: no file |
//! | `RINGLIGHT_RELOAD_ON_HANGUP` | `true`: SIGHUP has the file read again, rather than end the process; see [`Builder::reload_on_hangup`] |
//! | `OTLP_ENDPOINT` | where to send traces, logs and metrics, such as `http://localhost:4317`; gRPC unless the port is 4318 or the protocol is given below |
//! | `RUST_LOG` | what is recorded: directives such as `info,my_crate=debug,hyper=off`; default `info` |
//! | `RUST_LOG_LINES`, `RUST_LOG_LOGS`, `RUST_LOG_TRACES` | the same for one output: log lines, exported log records, spans; default `RUST_LOG`; see [`Output`] |
//! | `RINGLIGHT_AUDIT_TARGET` | the target of audit events, default `audit`; `none`: there are none; see [`Builder::audit_target`] |
//! | `RINGLIGHT_PANIC_BACKTRACE` | whether what is recorded of a panic has a backtrace; default yes, unless `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` is `0` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | which traces are recorded: `always_on`, `always_off`, `traceidratio` (the argument is their share, 0 to 1), each also with `parentbased_` before it; default `parentbased_always_on`; see [`Sampler`]; [`Builder::sampling_rules`] makes exceptions, [`Controls`] changes both while the process runs |
//! | `RINGLIGHT_OVERHEAD_BUDGET` | how much of the CPU time observing may take, such as `2%`, before fewer traces are recorded; see [`OverheadBudget`] |
//! | `OTEL_PROPAGATORS` | how trace context is in headers: some of `tracecontext`, `baggage` (these two by default), `b3`, `b3multi` (feature `b3`), `jaeger` (feature `jaeger`), separated by commas, or `none` |
//! | `RINGLIGHT_LOG_FORMAT` | how log lines look: `text` (the default), `pretty`, `json` or `off`; see [`LogFormat`] |
//! | `RINGLIGHT_LOG_COLOR` | lines in colour: `auto` (the default), `always` or `never` |
//! | `NO_COLOR`, `CLICOLOR_FORCE` | with `auto`: lines without colour, also on a terminal; with colour, also elsewhere |
//! | `RINGLIGHT_LOG_SPANS` | `false`: lines do not name the spans around them |
//! | `RINGLIGHT_LOG_FILE` | file that log lines are written to, besides; see [`LogFile`] |
//! | `RINGLIGHT_LOG_FILE_FORMAT`, `RINGLIGHT_LOG_FILE_ROTATION`, `RINGLIGHT_LOG_FILE_SIZE_LIMIT`, `RINGLIGHT_LOG_FILES_KEPT` | how lines look there, `json` by default; when the file gives way to a new one, `never` (the default), `hourly` or `daily`, and with what size, default `100MiB`; how many are kept, default 10 |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | what the service is called, and more about it |
//! | `OTEL_RESOURCE_DETECTORS` | what finds out where the process runs: some of `host`, `os`, `process`, `process_arguments`, `container`, `k8s`, separated by commas, or `all` (the default: all but the arguments) or `none`; see [`ResourceDetector`] |
//! | `RINGLIGHT_REDACT`, `RINGLIGHT_REDACT_KEYS` | `standard`: what is secret or personal is masked; further keys of attributes, separated by commas, `*` for any text; see [`Redaction`] |
//! | `OTEL_SDK_DISABLED` | `true`: nothing is exported, also not to destinations of the code, and nothing is measured or watched: log lines are left, and sinks of the code |
//! | `OTEL_TRACES_EXPORTER`, `OTEL_LOGS_EXPORTER`, `OTEL_METRICS_EXPORTER` | `none` turns a signal off; `otlp` without any endpoint means `http://localhost:4318`; `prometheus` (feature of that name), for metrics, serves them, and sends none unless `otlp` is named, too |
//! | `OTEL_EXPORTER_PROMETHEUS_HOST`, `OTEL_EXPORTER_PROMETHEUS_PORT` | where they are served; default `localhost` and 9464 |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | where to send everything; over HTTP, `/v1/traces` and so on are appended |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `grpc`, `http/protobuf` or `http/json`; `http/protobuf` is the default unless the port is 4317. Where both endpoint variables are set it belongs to this one |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | `key=value` pairs, separated by commas, percent-encoded |
//! | `RINGLIGHT_OTLP_HEADERS_FILE` | file with headers that hold a secret, as a JSON object or such pairs; see `secrets` |
//! | `RINGLIGHT_OTLP_HEADERS_AGE_FILE`, `RINGLIGHT_OTLP_HEADERS_AGE_IDENTITY_FILE` | the same, encrypted with age, and the identities that decrypt it (feature `age`) |
//! | `RINGLIGHT_OTLP_HEADERS_VAULT` | where they are in HashiCorp Vault, `<mount>/<path>#<key>` (feature `vault`), which `VAULT_ADDR`, `VAULT_TOKEN` and so on lead to |
//! | `RINGLIGHT_OTLP_HEADERS_OPTIONAL` | `true`: where there is no such secret, send without |
//! | `RINGLIGHT_SPOOL_DIR` | directory in which what cannot be sent is kept, also for the next process; default: in memory, 512 KiB; see [`SpoolConfig`] |
//! | `RINGLIGHT_SPOOL_MODE` | what is kept there: `overflow`, what cannot be sent (the default), or `always`, everything before it is sent; see [`SpoolMode`] |
//! | `RINGLIGHT_SPOOL_SIZE_LIMIT`, `RINGLIGHT_SPOOL_MAX_AGE` | how much is kept for a destination, such as `500MiB`, and for how long, such as `12h`; default `1GiB` and `3d` |
//! | `RINGLIGHT_REPORT_INTERVAL` | how often the backend is told of the ledger and of open spans, such as `30s`; `0s`: never; default `2s` |
//! | `RINGLIGHT_TRACE_DIR` | directory for trace files that Perfetto opens (feature `profiling`); default: none; see `Builder::trace_file` |
//! | `RINGLIGHT_TRACE_FORMAT`, `RINGLIGHT_TRACE_FILE_SIZE`, `RINGLIGHT_TRACE_DIR_SIZE_LIMIT` | `json` (the default) or `perfetto`; how large a file becomes, default `64MiB`; how large all become, default `1GiB` |
//! | `RINGLIGHT_INCLUDE_ARGS` | `false`: `#[ringlight::instrument]` records no arguments of functions, wherever its spans go, and trace files are without the fields of spans and log records (feature `profiling`); see `Builder::include_args` |
//! | `RINGLIGHT_BUSY_TIMES` | `true`: spans have `busy_ns` and `idle_ns` (feature `profiling`) |
//! | `RINGLIGHT_WATCH_CURRENT_RUNTIME`, `RINGLIGHT_BLOCKED_WORKER_AFTER` | `false`: the runtime of tokio that telemetry is started in is not watched; after how long in one task a worker counts as blocked, default `100ms` (feature `profiling`) |
//! | `RINGLIGHT_TOKIO_CONSOLE`, `TOKIO_CONSOLE_BIND` | `true`: `tokio-console` sees tasks (feature `tokio-console`); where it connects to, default `127.0.0.1:6669` |
//! | `RINGLIGHT_SPAN_METRICS` | `true`: spans are counted and their durations added up as metrics; see `Builder::span_metrics` (feature `otel`) |
//! | `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between two exports of metrics; default 5 000; see `metrics` |
//! | `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | `cumulative` (the default), `delta` or `lowmemory` |
//! | `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION` | `explicit_bucket_histogram` (the default) or `base2_exponential_bucket_histogram` |
//! | `OTEL_METRICS_EXEMPLAR_FILTER` | which measurements may become exemplars: `trace_based` (the default), `always_on` or `always_off` |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds one attempt may take; default 10 000 |
//! | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip`, `zstd` (feature `zstd`) or `none` (the default) |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | PEM file with the authorities that may vouch for an `https://` endpoint; default: those the platform trusts |
//! | `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CLIENT_KEY` | PEM files by which the process shows the endpoint who it is. Files are read again when a connection is made, if they have changed |
//! | `OTEL_EXPORTER_OTLP_INSECURE` | `true`: an endpoint for gRPC that has neither `http://` nor `https://` before it is without TLS |
//! | `OTEL_EXPORTER_OTLP_{TRACES,LOGS,METRICS}_*` | the variables above for one signal; the endpoint is used as it is, with its path. A signal without any endpoint is not exported; the ledger is reported where metrics go. Of the timeouts for traces and logs the shorter holds for both |
//! | `OTEL_BSP_SCHEDULE_DELAY`, `OTEL_BLRP_SCHEDULE_DELAY` | milliseconds a record waits for others; the shorter holds for both signals; default 200 |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE` | records in a batch at most |
//! | `OTEL_BSP_EXPORT_TIMEOUT`, `OTEL_BLRP_EXPORT_TIMEOUT` | as the OTLP timeout, where that is not set |
//! | `OTEL_ATTRIBUTE_COUNT_LIMIT`, `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` | limits, also as `OTEL_SPAN_*` and `OTEL_LOGRECORD_*` |
//! | `OTEL_SPAN_EVENT_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT`, `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT` | limits of a span, default 128 each |
//!
//! `OTEL_BSP_MAX_QUEUE_SIZE` is not used: buffers are bounded in bytes, see
//! [`Builder::pipeline`]. `OTEL_CONFIG_FILE` names the specification's own file of settings, in YAML (feature
//! `otel-config`), in place of all variables that begin with `OTEL_`: see docs/configuration.md.
//!
//! Where an endpoint that is to be spoken to over gRPC turns out to speak only HTTP, OTLP goes there over HTTP, and a
//! notice says so.
//!
//! # Beside other layers
//!
//! [`init`] is all there is to see spans and events, unless it is told of others. There are two ways
//! to have layers of `tracing_subscriber`, of any kind and with any filters:
//!
//! - [`Builder::beside`] puts them beside the recording. Every callsite goes the shortest way: what no
//!   layer wants is recorded as without any, and never comes near their registry.
//! - [`Builder::layer`] gives a layer for a registry of one's own.
//!
//! In both, `RUST_LOG` (with `RUST_LOG_LINES` and its kin) is about what Ringlight records and the filters of layers about what they see.
//! A span is the child of the nearest one around it that is recorded, on each side; `Span::current()`
//! is the innermost of both. Three things differ from a process without layers:
//!
//! - A span that is in the registry ends when the registry closes it: once its last handle is dropped
//!   and its children, as far as they are in the registry, have ended. On a thread without the
//!   subscriber, where it is scoped, the registry does not close what is around a span that ends.
//! - To helpers of layers, such as `tracing_error::SpanTrace` or
//!   `tracing_opentelemetry::OpenTelemetrySpanExt`, a span that only Ringlight records is the nearest
//!   one around it that layers know. What they write there, they write to that one. Where there is
//!   none and a helper insists, it is given a span named `no span`, which is in no trace.
//! - To layers, a span whose explicit parent (`parent: &span`) only Ringlight records is a child of the
//!   nearest one around that if it is the one the thread is in, and a root otherwise; that a span
//!   follows such a one (`follows_from`), they are not told.
//!
//! [`TraceContext`] and panics work in all of them, but a layer that is itself in a
//! `tracing_subscriber::reload::Layer` is hidden from [`TraceContext::current`].
//!
//! # The end of the process
//!
//! | how it ends | what is still delivered |
//! |---|---|
//! | `main` returns or panics, the guard is dropped | everything, within [`Builder::shutdown_timeout`] (5 s) |
//! | [`Telemetry::flush`], then `process::exit` | everything recorded before the flush |
//! | a panic with `panic = "abort"` | what was recorded before; the panic hook waits up to 1 s for it. Spans still open are lost |
//! | `process::exit` on the thread that called [`init`], or `main` returns without the guard | everything, within 1 s, with glibc; elsewhere as below |
//! | `process::exit` on another thread, a signal without a handler | what left already: all but about the last 0.2 s |
//! | `fork` without `exec` | the parent goes on as before; the child has no collector, nothing waits there, and what it records fills its rings and is dropped |
//!
//! No statics are destroyed at the end of a Rust process and safe code cannot ask to be called
//! then, hence the guard. None of these ends hangs. Log lines are records, too: what is lost above is missing on stderr as
//! well.
//!
//! # Tests
//!
//! [`Builder::build`] gives a `tracing` dispatcher without making it the process's, for
//! `tracing::dispatcher::with_default`; [`Builder::environment`] keeps the process's variables out, and
//! [`Builder::clock`] gives a time that the test sets.
//! `tracing` keeps a scoped subscriber from seeing what is recorded while it records (inside of a
//! field's `Debug`), and threads do not inherit it.
//!
//! # Features
//!
//! A feature that is off has no code in the program; `default-features = false` leaves the defaults out. *Brings* names the
//! features it turns on and the heaviest crates that it adds, and counts the crates that it adds to a build with the defaults,
//! or, for a default, to a build without any feature.
//!
//! | feature | default | gives | brings | guide |
//! |---|---|---|---|---|
//! | `otel` | yes | export over OTLP; the OpenTelemetry API (module `otel`); metrics; spans of cancelled futures (`FutureExt`, also with `profiling`) | `hyper`, `h2`, `rustls`, `ring`, `opentelemetry_sdk`: about 50 crates | docs/delivery.md, docs/metrics.md |
//! | `fmt` | yes | log lines for people, and JSON lines | nothing | docs/logs.md |
//! | `log` | yes | records of the crate `log` are recorded like events | `log`, `tracing-log`: 2 crates | docs/logs.md#the-crate-log |
//! | `profiling` | no | spans of functions with [`#[ringlight::instrument]`](macro@instrument), which is nothing without it; [channels](channel) that say how they are doing; trace files; what the process uses, as metrics; tokio's runtimes and what blocks them (module `runtime`) | `nix`, `ringlight-tracefile`: 5 crates | docs/instrument.md, docs/channels.md, docs/trace-files.md, docs/runtime.md |
//! | `profiling-alloc` | no | what is allocated and freed in each span, where the program has `RinglightAllocator` | `profiling`, `ringlight-alloc`: 6 crates | docs/allocations.md |
//! | `tokio-console` | no | `tokio-console` sees the tasks of a program built with `--cfg tokio_unstable` (`Builder::tokio_console`) | `console-subscriber`, `tonic`, `axum`: about 40 crates | docs/runtime.md#tokio-console |
//! | `prometheus` | no | an endpoint that Prometheus scrapes, and metrics as it takes them (`Builder::prometheus`) | `otel` | docs/metrics.md#prometheus |
//! | `zstd` | no | compression with Zstandard: smaller and much faster than gzip | `otel`, `zstd-sys`, a library in C: 5 crates | docs/delivery.md#what-goes-over-the-wire |
//! | `age` | no | headers in a file that is encrypted with age | `otel`, `age`: about 90 crates | docs/secrets.md |
//! | `vault` | no | headers in HashiCorp Vault | `otel`, `hyper-rustls`, `serde_json`: 6 crates | docs/secrets.md#vault |
//! | `b3` | no | Zipkin's headers for trace context, one or several | nothing | docs/configuration.md#reference |
//! | `jaeger` | no | Jaeger's header for trace context | nothing | docs/configuration.md#reference |
//! | `otel-config` | no | the OpenTelemetry specification's file of settings, which `OTEL_CONFIG_FILE` names | `saphyr-parser`: 2 crates | docs/configuration.md#the-opentelemetry-specifications-file |
//! | `clap` | no | `TelemetryArgs`, for applications that parse their arguments with `clap` | `clap`: 13 crates | docs/configuration.md#on-the-command-line |
//!
//! The guides are in the project's repository, and so is this table, with links to them: docs/features.md.
//!
//! This crate must not know the store, the server or the UI: a service that depends on it compiles
//! none of them.
#![forbid(unsafe_code)]

#[cfg(feature = "clap")]
mod args;
mod budget;
mod build_info;
mod builder;
pub mod channel;
pub mod collector;
mod config;
mod controls;
#[cfg(feature = "profiling")]
mod counters;
#[cfg(feature = "otel")]
mod destinations;
mod error;
mod filter;
#[cfg(any(feature = "otel", feature = "profiling"))]
mod in_span;
mod last_words;
#[cfg(feature = "fmt")]
mod lines;
#[cfg(feature = "log")]
mod log_bridge;
#[cfg(feature = "otel")]
pub mod metrics;
mod notice;
#[cfg(feature = "otel")]
pub mod otel;
#[cfg(all(feature = "profiling", target_os = "linux"))]
mod process;
mod propagation;
#[cfg(any(feature = "fmt", target_os = "linux"))]
mod rfc3339;
#[cfg(feature = "profiling")]
pub mod runtime;
mod sampling;
#[cfg(feature = "otel")]
pub mod secrets;
pub mod settings;
mod subscriber;
mod sync;
mod telemetry;
mod trace_context;
mod uncounted;
mod writer;

#[cfg(feature = "clap")]
pub use args::TelemetryArgs;
pub use budget::{BudgetError, OverheadBudget};
pub use build_info::BuildInfo;
pub use builder::Builder;
pub use config::{
    Compression, LogColor, LogFile, LogFormat, LogRotation, Protocol, ResourceDetector,
};
pub use controls::Controls;
pub use error::{FilterError, InitError};
pub use filter::Output;
#[cfg(any(feature = "otel", feature = "profiling"))]
pub use in_span::{FutureExt, InSpan};
#[cfg(feature = "profiling-alloc")]
pub use ringlight_alloc::RinglightAllocator;
pub use ringlight_clock::{Clock, ManualTime};
pub use ringlight_collector::{
    FlushError, HashKey, OverflowPolicy, Processing, RecordPattern, RecordSink, Redaction,
    RedactionError, Replacement, RuleCount, SensitiveData, SpoolConfig, SpoolMode, TailSampling,
};
#[cfg(feature = "profiling")]
pub use ringlight_macros::instrument;
#[cfg(not(feature = "profiling"))]
pub use ringlight_macros::uninstrumented as instrument;
pub use ringlight_model::{
    Account, ByReason, CostSnapshot, DeliverySnapshot, DropReason, LedgerSnapshot, MemoryUse,
    Severity, Signal, SignalDelivery, ThreadAccount, ThreadCounts, ThreadKind, ThreadLedger,
};
#[cfg(feature = "profiling")]
pub use ringlight_tracefile::{CounterSource, TraceFileConfig, TraceFileError, TraceFileFormat};
pub use sampling::{Sampler, SamplingRule};
pub use subscriber::{Registry, RinglightLayer, RinglightSubscriber, SharedRegistry};
pub use telemetry::Telemetry;
pub use trace_context::TraceContext;

/// What the code that [`macro@instrument`] writes calls, and nothing else does.
#[cfg(feature = "profiling")]
#[doc(hidden)]
pub mod __private {
    use std::sync::atomic::{AtomicBool, Ordering};

    pub use tracing;

    use crate::{FutureExt as _, InSpan};

    /// Whether arguments of functions are recorded.
    static INCLUDE_ARGS: AtomicBool = AtomicBool::new(true);

    /// For the whole process, as the functions are.
    pub(crate) fn set_include_args(include_args: bool) {
        // Relaxed: nothing else is read by it.
        INCLUDE_ARGS.store(include_args, Ordering::Relaxed);
    }

    /// An argument as the value of a field, which is none where they are not to be recorded.
    #[inline]
    pub fn argument<T>(value: T) -> Option<T> {
        INCLUDE_ARGS.load(Ordering::Relaxed).then_some(value)
    }

    /// See [`FutureExt::in_span`](crate::FutureExt::in_span).
    pub fn in_span<F: Future>(future: F, span: tracing::Span) -> InSpan<F> {
        future.in_span(span)
    }

    /// Calls it.
    pub fn call<T>(function: impl FnOnce() -> T) -> T {
        function()
    }

    /// Gives a type to a `return` that is never reached.
    pub fn never<T>() -> T {
        unreachable!("it is called under `if false`")
    }
}

/// Starts telemetry for the whole process, as the environment says.
///
/// Returns at once, whether or not a backend is there. Keep the guard until the end of `main`.
///
/// # Errors
/// There is a global subscriber already; an endpoint asks for TLS, which this build does not have;
/// the system has no thread to give.
pub fn init() -> Result<Telemetry, InitError> {
    builder().init()
}

/// Settings in code, then [`init`](Builder::init) or [`build`](Builder::build).
///
/// ```
/// # fn main() -> Result<(), ringlight::InitError> {
/// let _telemetry = ringlight::builder()
///     .service_name("orders")
///     .default_filter("info,orders=debug")
///     .log_format(ringlight::LogFormat::Json)
///     .init()?;
/// # Ok(())
/// # }
/// ```
pub fn builder() -> Builder {
    Builder::default()
}

/// Compiles and runs the code of the crate's README, the project's, and the guides.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../README.md")]
#[cfg_attr(feature = "otel", doc = include_str!("../../../docs/channels.md"))]
#[cfg_attr(feature = "clap", doc = include_str!("../../../docs/configuration.md"))]
#[cfg_attr(feature = "otel", doc = include_str!("../../../docs/delivery.md"))]
#[doc = include_str!("../../../docs/instrument.md")]
#[cfg_attr(all(feature = "fmt", feature = "log"), doc = include_str!("../../../docs/logs.md"))]
#[doc = include_str!("../../../docs/overhead.md")]
#[doc = include_str!("../../../docs/processing.md")]
#[doc = include_str!("../../../docs/recording.md")]
#[cfg_attr(feature = "profiling", doc = include_str!("../../../docs/trace-files.md"))]
#[cfg_attr(feature = "profiling-alloc", doc = include_str!("../../../docs/allocations.md"))]
#[cfg_attr(feature = "profiling-alloc", doc = include_str!("../../../docs/profiling-playbook.md"))]
#[cfg_attr(all(feature = "age", feature = "vault"), doc = include_str!("../../../docs/secrets.md"))]
#[cfg_attr(feature = "prometheus", doc = include_str!("../../../docs/metrics.md"))]
#[cfg_attr(feature = "otel", doc = include_str!("../../../docs/migration.md"))]
#[cfg_attr(all(feature = "profiling", feature = "tokio-console"), doc = include_str!("../../../docs/runtime.md"))]
struct Readmes;
