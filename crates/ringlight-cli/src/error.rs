//! Errors of the command line and its exit codes.

use std::fmt;
use std::process::ExitCode;

/// What the process ends with.
///
/// `up -- PROGRAM` ends with the program's exit code instead, or with 128 plus the number of the
/// signal that ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did not do what it was asked to.
    Failure = 1,
    /// The command line is wrong; `check`: or the map is, or the backend cannot be asked.
    Usage = 2,
    /// An address cannot be listened on.
    Listen = 3,
    /// The data directory cannot be used.
    Data = 4,
    /// `up -- PROGRAM`: the program cannot be run.
    CannotRun = 126,
    /// `up -- PROGRAM`: there is no such program.
    NotFound = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What went wrong, on what, and what to do next.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}
