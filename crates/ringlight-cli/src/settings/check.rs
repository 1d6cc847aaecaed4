//! `ringlight config check`: whether files of settings are right.

use std::path::PathBuf;
use std::process::ExitCode;

use ringlight::InitError;

use super::{NO_SECTION, here, print, tell};
use crate::console::Console;
use crate::error::{CliError, Exit};

pub(super) fn run(mut files: Vec<PathBuf>, console: Console) -> Result<ExitCode, CliError> {
    if files.is_empty() {
        files.push(here("check")?);
    }
    let mut failed = None;
    let mut good = String::new();
    for file in files {
        // Without variables: it is the file that is checked, not what holds here.
        let builder = ringlight::builder().environment([("", ""); 0]);
        match builder.config_file(&file).effective_settings() {
            Ok(holds) => {
                for warning in &holds.warnings {
                    console.warning(warning);
                }
                let what = if holds.has_section { "ok" } else { NO_SECTION };
                good.push_str(&format!("{}: {what}\n", file.display()));
            }
            Err(error) => {
                // The one before, since the last is told by whoever called.
                if let Some(error) = failed.take() {
                    console.error(&error);
                }
                failed = Some(match error {
                    InitError::Config(error) => {
                        for warning in &error.warnings {
                            console.warning(warning);
                        }
                        tell(&error, console)
                    }
                    other => explained(&other),
                });
            }
        }
    }
    print(&good)?;
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// An error of the service's start, with its hint where a hint goes.
pub(super) fn explained(error: &InitError) -> CliError {
    let text = error.to_string();
    match text.rsplit_once("; hint: ") {
        Some((what, hint)) => CliError::new(Exit::Failure, what).with_hint(hint),
        None => CliError::new(Exit::Failure, text),
    }
}
