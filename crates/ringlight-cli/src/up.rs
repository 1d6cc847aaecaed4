//! `ringlight up`: the backend, and a program beside it.

use std::process::ExitCode;

use ringlight_app_harness::print_json_line;

use crate::address::shown_word;
use crate::backend::{Backend, http_url};
use crate::config::{Program, UpConfig};
use crate::console::{Console, cannot_print};
use crate::error::{CliError, Exit};
use crate::forward::Left;
use crate::program;
use crate::signals::Signals;

pub(crate) async fn run(config: UpConfig, console: Console) -> Result<ExitCode, CliError> {
    let mut signals = Signals::listen().map_err(cannot_listen)?;
    let backend = Backend::start(&config.backend, command_line()).await?;
    announce(&backend, &config, console)?;
    let outcome = match &config.program {
        None => {
            signals.next().await;
            Ok(ExitCode::SUCCESS)
        }
        Some(program) => beside(&backend, program, &mut signals, console).await,
    };
    stop(backend, &mut signals, console).await;
    outcome
}

/// Runs the program to its end; on a terminal, stays for who wants to look at what it did.
async fn beside(
    backend: &Backend,
    program: &Program,
    signals: &mut Signals,
    console: Console,
) -> Result<ExitCode, CliError> {
    let addresses = backend.addresses();
    let mut child = program::start(
        program,
        &http_url(addresses.grpc),
        &http_url(addresses.http),
    )?;
    let ended = program::wait(&mut child, signals).await.map_err(|error| {
        CliError::new(
            Exit::Failure,
            format!("cannot wait for the program: {error}"),
        )
    })?;
    let code = program::exit_code(ended.status);
    let late_max = ended.ctrl_c_late_max();
    let may_stay = console.is_terminal() && !ended.was_asked_to;
    if may_stay && !signals.let_ctrl_c_pass(late_max).await {
        console.line(&format!(
            "{} ended with exit code {code}; what it sent can be looked at until Ctrl-C",
            program.name.to_string_lossy()
        ));
        signals.next().await;
    }
    Ok(ExitCode::from(code))
}

fn announce(backend: &Backend, config: &UpConfig, console: Console) -> Result<(), CliError> {
    console.line(&format!("Ringlight: {}", console.bold(&backend.url())));
    if config.program.is_none() {
        let addresses = backend.addresses();
        console.line(&format!(
            "receiving OTLP on port {} (gRPC) and {} (HTTP), storing in {}; Ctrl-C ends",
            addresses.grpc.port(),
            addresses.http.port(),
            config.backend.data_dir.display()
        ));
    }
    if let Some(destination) = backend.forwards_to() {
        console.line(&format!("passing everything on to {destination}"));
    }
    if config.json {
        print_json_line(&backend.ready()).map_err(cannot_print)?;
    }
    Ok(())
}

/// Stops the backend; a signal that forces the end does not wait for it.
pub(crate) async fn stop(backend: Backend, signals: &mut Signals, console: Console) {
    tokio::select! {
        left = backend.stop() => tell(left.as_ref(), console),
        () = signals.force() => console.warning(
            "ended before everything was written; what was acknowledged is in the intake and is \
             there at the next start",
        ),
    }
}

/// Says what the other backend has not got.
fn tell(left: Option<&Left>, console: Console) {
    let Some(left) = left else { return };
    if left.spooled > 0 {
        console.line(&format!(
            "{} records wait in {} to be passed on at the next start",
            left.spooled,
            left.spool_dir.display()
        ));
    }
    if left.lost > 0 {
        let text = format!(
            "{} records were not passed on: they were refused or there was no room",
            left.lost
        );
        let kept = left.dead_letters.iter();
        let kept: Vec<_> = kept.map(|dir| dir.display().to_string()).collect();
        console.warning(&if kept.is_empty() {
            text
        } else {
            let dirs = kept.join(", ");
            format!("{text}; copies of what was refused, with the reason, are in {dirs}")
        });
    }
}

pub(crate) fn cannot_listen(error: std::io::Error) -> CliError {
    CliError::new(Exit::Failure, format!("cannot take signals over: {error}"))
}

/// The command line of this process, which names the run, without what addresses in it may hold that is secret.
pub(crate) fn command_line() -> String {
    let words: Vec<String> = std::env::args_os()
        .enumerate()
        .map(|(index, word)| {
            if index == 0 {
                "ringlight".to_owned()
            } else {
                shown_word(&word.to_string_lossy())
            }
        })
        .collect();
    words.join(" ")
}
