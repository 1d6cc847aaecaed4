//! `ringlight config`: what a service's settings come to, whether a file of them is right, what may be in one, and
//! how one of an earlier version is written now.

mod check;
mod migrate;
mod rewrite;
mod schema;
mod show;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use ringlight::settings::ConfigError;

use crate::args::ConfigCommand;
use crate::console::Console;
use crate::error::{CliError, Exit};

/// The file that is looked at where none is named.
const FILE_NAME: &str = "ringlight.toml";

/// Said of a file that is read for nothing: no error, since an application's own may have its settings alone.
const NO_SECTION: &str = "no `[telemetry]` section; nothing is set by it";

pub(crate) fn run(command: ConfigCommand, console: Console) -> Result<ExitCode, CliError> {
    match command {
        ConfigCommand::Show { file, json } => show::run(file, json, console),
        ConfigCommand::Check { files } => check::run(files, console),
        ConfigCommand::Migrate { file, dry_run } => migrate::run(file, dry_run, console),
        ConfigCommand::Schema => print(&schema::text()),
    }
}

/// Data for standard output. That nobody reads it any longer is no error.
fn print(text: &str) -> Result<ExitCode, CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(crate::up::cannot_print(error))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Tells everything that is wrong with a file, and the last of it as the error.
fn tell(error: &ConfigError, console: Console) -> CliError {
    let mut problems: Vec<_> = error
        .problems
        .iter()
        .map(|problem| {
            CliError::new(Exit::Failure, problem.at(&error.path)).with_hint(&problem.hint)
        })
        .collect();
    let last = problems.pop();
    for problem in &problems {
        console.error(problem);
    }
    last.unwrap_or_else(|| CliError::new(Exit::Failure, error.to_string()))
}

/// The file that lies here, or an error that says what to do.
fn here(command: &str) -> Result<PathBuf, CliError> {
    let path = PathBuf::from(FILE_NAME);
    if path.exists() {
        return Ok(path);
    }
    let message = format!("there is no `{FILE_NAME}` in this directory");
    Err(CliError::new(Exit::Failure, message).with_hint(format!(
        "name a file: `ringlight config {command} path/to/file.toml`"
    )))
}
