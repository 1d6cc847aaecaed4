//! Running an application from its arguments to its exit code.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::stop::first_reason;
use crate::{Report, Stop, parse_duration, print_json_line};

/// The arguments every sample application takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// End after this long, for example `20s`; without it, run until a signal
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub duration: Option<Duration>,

    /// End as well when standard input closes, so that no process outlives the one that started it
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Starts telemetry, runs `app` until a reason to stop comes or it ends by itself, shuts telemetry
/// down and prints the [`Report`].
///
/// `app` gets a [`Stop`] and should return soon after it is requested; what it returns becomes
/// [`Report::work`]. The exit code is 0, or 1 when `app` failed or the report could not be printed.
pub fn run<F, Fut>(service: &str, args: &RunArgs, app: F) -> ExitCode
where
    F: FnOnce(Stop) -> Fut,
    Fut: Future<Output = Result<serde_json::Value, Box<dyn Error + Send + Sync>>>,
{
    match try_run(service, args, app) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "error: {service}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run<F, Fut>(
    service: &str,
    args: &RunArgs,
    app: F,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    F: FnOnce(Stop) -> Fut,
    Fut: Future<Output = Result<serde_json::Value, Box<dyn Error + Send + Sync>>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(until_stopped(args, app));
    // Tasks that still run are dropped here, so that what they record still goes out below.
    runtime.shutdown_timeout(Duration::from_secs(2));
    let report = Report {
        service: service.to_owned(),
        instance: String::new(),
        ledger: BTreeMap::new(),
        work: outcome?,
    };
    print_json_line(&report)?;
    Ok(())
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
        reason = reason => reason?,
    }
    request_stop.send_replace(true);
    working.await
}
