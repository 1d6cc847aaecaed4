//! `ringlight demo`: the backend and the sample applications, each a process of its own.

mod account;
mod process;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ringlight_app_harness::print_json_line;

use crate::backend::{Backend, http_url};
use crate::config::DemoConfig;
use crate::console::{self, Console, cannot_print};
use crate::error::{CliError, Exit};
use crate::signals::Signals;
use crate::size::show_size;
use crate::up::{cannot_listen, command_line, stop};

use account::Summary;
use process::{AppProcess, Ended, VERBOSE_HINT};

/// How long the model may take to say where it listens, far beyond what it takes: it is this program
/// again, and all it does before is to bind a port.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the progress line is drawn.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) async fn run(config: DemoConfig, console: Console) -> Result<ExitCode, CliError> {
    let mut signals = Signals::listen().map_err(cannot_listen)?;
    let backend = Backend::start(&config.backend, command_line()).await?;
    let outcome = demonstrate(&config, &backend, &mut signals, console).await;
    let printed = match &outcome {
        Ok(summary) => print(summary, &config, console),
        Err(_) => Ok(()),
    };
    stop(backend, &mut signals, console).await;
    let summary = outcome?;
    printed?;
    Ok(if summary.balanced {
        ExitCode::SUCCESS
    } else {
        Exit::Failure.into()
    })
}

async fn demonstrate(
    config: &DemoConfig,
    backend: &Backend,
    signals: &mut Signals,
    console: Console,
) -> Result<Summary, CliError> {
    console.line(&format!("Ringlight: {}", console.bold(&backend.url())));
    if config.json {
        print_json_line(&backend.ready()).map_err(cannot_print)?;
    }
    let started = Instant::now();
    let mut apps = start_apps(config, backend, signals).await?;
    console.line(&format!(
        "the applications are running: streaming, and agent with the model it asks; their data goes \
         to {}; Ctrl-C ends them{}",
        config.backend.data_dir.display(),
        if config.duration.is_some() {
            " sooner"
        } else {
            ""
        },
    ));
    let early = until_done(config, backend, &mut apps, signals, console, started).await;
    let ran = started.elapsed();
    let Some(ended) = stop_apps(apps, signals.force()).await else {
        return Err(CliError::new(
            Exit::Failure,
            "the applications were killed before they could report",
        )
        .with_hint("after the first Ctrl-C they end by themselves within seconds"));
    };
    if let Some(name) = early
        && let Some(failed) = ended.iter().find(|app| app.name == name)
    {
        return Err(failed.error());
    }
    Summary::new(ran, &ended, &backend.stored(), &backend.client_reports())
}

/// Starts the model, and when it listens the applications.
async fn start_apps(
    config: &DemoConfig,
    backend: &Backend,
    signals: &mut Signals,
) -> Result<[AppProcess; 3], CliError> {
    let endpoint = http_url(backend.addresses().grpc);
    let start = |name, args: &[&str]| AppProcess::start(name, args, &endpoint, config);
    let model = start("model", &["--port", "0"])?;
    let (model, model_url) = until_listening(model, LISTEN_TIMEOUT, signals.next()).await?;
    let rate = config.rate.to_string();
    Ok([
        start("streaming", &["--rate", &rate])?,
        start("agent", &["--model-url", &model_url])?,
        // Last, so that it is stopped last: the agent still asks it.
        model,
    ])
}

/// Waits until the model says where it listens. One that does not in time, or is not waited for any
/// longer, is killed.
async fn until_listening<T>(
    mut model: AppProcess,
    limit: Duration,
    interrupted: impl Future<Output = T>,
) -> Result<(AppProcess, String), CliError> {
    // What it says is waited for first, should it come together with the rest.
    tokio::select! {
        biased;
        url = model.listening() => match url {
            Some(url) => Ok((model, url)),
            None => Err(model.stop().await.error()),
        },
        _ = interrupted => Err(CliError::new(
            Exit::Failure,
            "asked to end before the applications were running",
        )),
        () = tokio::time::sleep(limit) => Err(CliError::new(
            Exit::Failure,
            format!(
                "the application `model` did not say within {} s where it listens",
                limit.as_secs()
            ),
        )
        .with_hint(VERBOSE_HINT)),
    }
}

/// Waits for the end of the time, a signal or the end of an application, whose name is returned.
async fn until_done(
    config: &DemoConfig,
    backend: &Backend,
    [first, second, third]: &mut [AppProcess; 3],
    signals: &mut Signals,
    console: Console,
    started: Instant,
) -> Option<&'static str> {
    let deadline = async {
        match config.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let mut deadline = std::pin::pin!(deadline);
    let mut progress = tokio::time::interval(PROGRESS_INTERVAL);
    loop {
        tokio::select! {
            () = &mut deadline => break None,
            _ = signals.next() => break None,
            name = first.ended() => break Some(name),
            name = second.ended() => break Some(name),
            name = third.ended() => break Some(name),
            _ = progress.tick(), if console.is_terminal() => {
                console.progress(&progress_line(backend, started.elapsed(), config.duration));
            }
        }
    }
}

fn progress_line(backend: &Backend, elapsed: Duration, duration: Option<Duration>) -> String {
    let stored = backend.stored();
    let spans: u64 = stored.iter().map(|instance| instance.spans).sum();
    let logs: u64 = stored.iter().map(|instance| instance.logs).sum();
    let time = match duration {
        Some(duration) => format!("{} s of {} s", elapsed.as_secs(), duration.as_secs()),
        None => format!("{} s", elapsed.as_secs()),
    };
    let on_disk = show_size(backend.stats().bytes);
    format!("{time}: {spans} spans and {logs} log records stored, {on_disk} on disk")
}

/// Asks the applications to stop, the model when the others have, and collects what they report. A
/// signal that forces the end kills them: then there is no report.
async fn stop_apps(
    [streaming, agent, model]: [AppProcess; 3],
    interrupted: impl Future<Output = ()>,
) -> Option<[Ended; 3]> {
    // Nothing here is a task of its own, so that dropping it drops the processes, which kills them.
    let stopping = async {
        let (streaming, agent) = tokio::join!(streaming.stop(), agent.stop());
        [streaming, agent, model.stop().await]
    };
    tokio::select! {
        ended = stopping => Some(ended),
        () = interrupted => None,
    }
}

fn print(summary: &Summary, config: &DemoConfig, console: Console) -> Result<(), CliError> {
    if config.json {
        print_json_line(summary).map_err(cannot_print)?;
    } else {
        console::print(&summary.as_text(console::window()))?;
    }
    if let Some(shortfall) = summary.shortfall() {
        console.error(&shortfall);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use rustix::process::{Pid, test_kill_process};
    use tokio::process::Command;

    use super::*;

    /// An application that neither says where it listens nor ends when it is asked to.
    fn stuck() -> AppProcess {
        let mut command = Command::new("sleep");
        command.arg("600");
        AppProcess::spawn("model", command, false).unwrap()
    }

    async fn check_gone(pid: u32) {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let gone = async {
            while test_kill_process(pid).is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // Less than after which one that is still waited for is killed.
        let waited = tokio::time::timeout(Duration::from_secs(15), gone).await;
        assert!(waited.is_ok(), "{pid:?} still runs");
    }

    #[track_caller]
    fn check_refused(outcome: Result<(AppProcess, String), CliError>, expected: &str) {
        let error = outcome.map(|(_, url)| url).unwrap_err();
        assert_eq!(error.message, expected);
    }

    #[tokio::test]
    async fn a_model_that_does_not_say_where_it_listens_is_not_waited_for_in_vain() {
        let app = stuck();
        let pid = app.pid();
        check_refused(
            until_listening(app, Duration::ZERO, pending::<()>()).await,
            "the application `model` did not say within 0 s where it listens",
        );
        check_gone(pid).await;

        let app = stuck();
        let pid = app.pid();
        check_refused(
            until_listening(app, LISTEN_TIMEOUT, ready(())).await,
            "asked to end before the applications were running",
        );
        check_gone(pid).await;
    }

    #[tokio::test]
    async fn a_forced_end_kills_the_applications() {
        let apps = [stuck(), stuck(), stuck()];
        let pids = apps.each_ref().map(AppProcess::pid);
        let forced = async {
            // Once they have been asked to end.
            tokio::task::yield_now().await;
        };
        assert!(stop_apps(apps, forced).await.is_none());
        for pid in pids {
            check_gone(pid).await;
        }
    }
}
