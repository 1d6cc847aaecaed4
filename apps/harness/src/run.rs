//! Running an application from its arguments to its exit code.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ringlight::{BuildInfo, Builder, OverflowPolicy, Redaction, Signal};

use crate::settings::RunSettings;
use crate::stop::{first_reason, is_on_terminal};
use crate::{AccountReport, Report, Stop, parse_duration, print_json_line};

/// How long a thread waits for room when telemetry cannot keep up, before it drops a record.
///
/// A service would keep the default, which never waits. The samples rather run slower for a moment,
/// because `ringlight demo` is to store everything they submit, on a slow machine too.
const OVERFLOW_WAIT: Duration = Duration::from_secs(1);

/// How long telemetry may take to deliver what was recorded, once the application has ended.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments every sample application takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// End after this long, for example `20s`; without it, run until a signal
    #[arg(long, value_parser = duration_argument, value_name = "DURATION")]
    pub duration: Option<Duration>,

    /// File with settings: of this process in `[run]` (`workers`), of its telemetry in `[telemetry]`, of which levels,
    /// sampling and redaction change with the file, and at SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where telemetry goes.
    #[command(flatten)]
    pub telemetry: ringlight::TelemetryArgs,

    /// End when standard input closes, and leave signals to the process that started this one,
    /// which this one then never outlives
    #[arg(long)]
    pub until_stdin_closes: bool,
}

fn duration_argument(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("{error}; {}", error.hint()))
}

/// Starts telemetry, runs `app` until a reason to stop comes or it ends by itself, shuts telemetry
/// down and prints the [`Report`]. That it was told to stop, and by what, is an audit record.
///
/// `build` says which build of the application runs: only its own crate can tell. `tune` adds to telemetry what is the
/// application's own, such as views of its metrics. `app` gets a [`Stop`] and should return soon after it is requested; what it returns becomes
/// [`Report::work`]. The exit code is 0, or 1 when `app` failed or the report could not be printed.
pub fn run<F, Fut>(
    service: &str,
    build: BuildInfo,
    args: &RunArgs,
    tune: impl FnOnce(Builder) -> Builder,
    app: F,
) -> ExitCode
where
    F: FnOnce(Stop) -> Fut,
    Fut: Future<Output = Result<serde_json::Value, Box<dyn Error + Send + Sync>>>,
{
    match try_run(service, build, args, tune, app) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = error.to_string();
            let (what, hint) = match message.split_once("; hint: ") {
                Some((what, hint)) => (what, format!("hint: {hint}\n")),
                None => (message.as_str(), String::new()),
            };
            // Standard error may be closed; the exit code still tells.
            let _ = write!(std::io::stderr(), "error: {service}: {what}\n{hint}");
            ExitCode::FAILURE
        }
    }
}

fn try_run<F, Fut>(
    service: &str,
    build: BuildInfo,
    args: &RunArgs,
    tune: impl FnOnce(Builder) -> Builder,
    app: F,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    F: FnOnce(Stop) -> Fut,
    Fut: Future<Output = Result<serde_json::Value, Box<dyn Error + Send + Sync>>>,
{
    let settings = match &args.config {
        Some(file) => RunSettings::read(file)?,
        None => RunSettings::default(),
    };
    let instance = instance_id();
    let builder = ringlight::builder()
        .service_name(service)
        .build_info(build)
        .resource_attribute("service.instance.id", instance.clone())
        .overflow(OverflowPolicy::BlockFor(OVERFLOW_WAIT))
        .redact(Redaction::standard())
        .span_metrics(true)
        // On a terminal that is closed there is nobody to change anything for.
        .reload_on_hangup(!is_on_terminal())
        .args(&args.telemetry);
    let builder = match &args.config {
        Some(file) => builder.config_file(file),
        None => builder,
    };
    #[cfg(feature = "profiling")]
    let builder = builder.busy_times(true);
    let telemetry = tune(builder).init()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .name(service)
        .worker_threads(settings.workers)
        .enable_all()
        .build()?;
    #[cfg(feature = "profiling")]
    telemetry.watch_runtime(runtime.handle());
    let outcome = runtime.block_on(until_stopped(args, app));
    // Tasks that still run are dropped here, so that what they record still goes out below.
    runtime.shutdown_timeout(Duration::from_secs(2));
    let ledger = telemetry.shutdown(SHUTDOWN_TIMEOUT);
    let report = Report {
        service: service.to_owned(),
        instance,
        ledger: [Signal::Traces, Signal::Logs, Signal::Metrics]
            .into_iter()
            .map(|signal| {
                let account = AccountReport::from(ledger.account(signal));
                (signal.as_str().to_owned(), account)
            })
            .collect(),
        work: outcome?,
    };
    print_json_line(&report)?;
    Ok(())
}

/// A name for this process that no other has: a random UUID (version 4, RFC 9562), given to
/// telemetry rather than left to it, so that the report can tell it.
fn instance_id() -> String {
    let bits = fastrand::u128(..);
    let versioned = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{versioned:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

async fn until_stopped<F, Fut>(
    args: &RunArgs,
    app: F,
) -> Result<serde_json::Value, Box<dyn Error + Send + Sync>>
where
    F: FnOnce(Stop) -> Fut,
    Fut: Future<Output = Result<serde_json::Value, Box<dyn Error + Send + Sync>>>,
{
    let (request_stop, stop) = Stop::new();
    let working = app(stop);
    let reason = first_reason(args.duration, args.until_stdin_closes);
    let mut working = std::pin::pin!(working);
    tokio::select! {
        outcome = &mut working => return outcome,
        reason = reason => tracing::info!(target: "audit", reason = %reason?, "stopping"),
    }
    request_stop.send_replace(true);
    working.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_uuid_of_its_own() {
        let (one, other) = (instance_id(), instance_id());
        assert_ne!(one, other);
        let groups: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }
}
