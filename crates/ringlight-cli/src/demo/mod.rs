//! `ringlight demo`: the backend and the sample applications, each a process of its own.

mod account;
mod process;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ringlight_app_harness::print_json_line;

use crate::backend::{Backend, http_url};
use crate::config::DemoConfig;
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::signals::Signals;
use crate::size::show_size;
use crate::up::{cannot_listen, cannot_print, command_line, stop};

use account::Summary;
use process::{AppProcess, Ended};

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
    let mut apps = start_apps(config, backend).await?;
    console.line(match config.duration {
        Some(_) => {
            "the applications streaming, agent and model are running; Ctrl-C ends them sooner"
        }
        None => "the applications streaming, agent and model are running; Ctrl-C ends them",
    });
    let early = until_done(config, backend, &mut apps, signals, console, started).await;
    let ran = started.elapsed();
    let Some(ended) = stop_apps(apps, signals).await else {
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
async fn start_apps(config: &DemoConfig, backend: &Backend) -> Result<Vec<AppProcess>, CliError> {
    let endpoint = http_url(backend.addresses().grpc);
    let start = |name, args: &[&str]| AppProcess::start(name, args, &endpoint, config.verbose);
    let mut model = start("model", &["--port", "0"])?;
    let Some(model_url) = model.listening().await else {
        return Err(model.stop().await.error());
    };
    let rate = config.rate.to_string();
    Ok(vec![
        start("streaming", &["--rate", &rate])?,
        start("agent", &["--model-url", &model_url])?,
        // Last, so that it is stopped last: the agent still asks it.
        model,
    ])
}

/// Waits for the end of the time, a signal or the end of an application, whose name is returned.
async fn until_done(
    config: &DemoConfig,
    backend: &Backend,
    apps: &mut [AppProcess],
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
    let [first, second, third] = apps else {
        return None;
    };
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

/// Asks the applications to stop, all but the model at once, and collects what they report. A
/// signal that forces the end kills them: then there is no report.
async fn stop_apps(mut apps: Vec<AppProcess>, signals: &mut Signals) -> Option<Vec<Ended>> {
    let model = apps.pop();
    let stopping = async {
        let running: Vec<_> = apps
            .into_iter()
            .map(|app| tokio::spawn(app.stop()))
            .collect();
        let mut ended = Vec::new();
        for app in running {
            // A task of ours does not panic; were one to, its application misses in the account.
            ended.extend(app.await.ok());
        }
        if let Some(model) = model {
            ended.push(model.stop().await);
        }
        ended
    };
    tokio::select! {
        ended = stopping => Some(ended),
        // Dropping the processes kills them.
        () = signals.force() => None,
    }
}

fn print(summary: &Summary, config: &DemoConfig, console: Console) -> Result<(), CliError> {
    if config.json {
        print_json_line(summary).map_err(cannot_print)?;
    } else {
        summary.print_table().map_err(cannot_print)?;
    }
    if let Some(shortfall) = summary.shortfall() {
        console.error(&shortfall);
    }
    Ok(())
}
