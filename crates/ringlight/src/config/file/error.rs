//! What is wrong with a file of settings.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file of settings cannot be used. `Display` is one line, about the first problem.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// All that is wrong with it, at least one.
    pub problems: Vec<ConfigProblem>,
    /// What else is to be said of it, each with a hint where there is something to do.
    pub warnings: Vec<String>,
    /// The command that tells all of it, with the file as its argument.
    pub(in crate::config) checked_by: Option<&'static str>,
}

/// One thing that is wrong. No value is shown that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The line, from 1; `None` where it is about the file.
    pub line: Option<usize>,
    /// What is wrong: the key, the value, what is allowed.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Who names a file of settings.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct NamedBy {
    /// The variable that does; `None` for the program.
    pub(in crate::config) variable: Option<&'static str>,
    /// What to do where it cannot be read.
    pub(in crate::config) hint: &'static str,
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, named_by: NamedBy, reason: &str) -> Self {
        let by = named_by.variable;
        let by = by.map(|variable| format!(", which `{variable}` names,"));
        let problem = ConfigProblem {
            line: None,
            message: format!(
                "the configuration{} cannot be read: {reason}",
                by.unwrap_or_default()
            ),
            hint: named_by.hint.to_owned(),
        };
        Self::of_one(path, problem)
    }

    fn of_one(path: &Path, problem: ConfigProblem) -> Self {
        Self {
            path: path.to_owned(),
            problems: vec![problem],
            warnings: Vec::new(),
            checked_by: None,
        }
    }
}

impl ConfigError {
    /// A file that is not read for another reason.
    #[cfg(not(feature = "otel-config"))]
    pub(in crate::config) fn refused(path: &Path, message: String, hint: &str) -> Self {
        let problem = ConfigProblem {
            line: None,
            message,
            hint: hint.to_owned(),
        };
        Self::of_one(path, problem)
    }
}

impl ConfigProblem {
    /// The problem with the place it is at: `ringlight.toml:3: ...`.
    #[must_use]
    pub fn at(&self, path: &Path) -> String {
        let path = path.display();
        match self.line {
            Some(line) => format!("{path}:{line}: {}", self.message),
            None => format!("{path}: {}", self.message),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.problems.first() else {
            return write!(f, "{}: cannot be used", self.path.display());
        };
        f.write_str(&first.at(&self.path))?;
        let more = self.problems.len() - 1;
        match more {
            0 => {}
            1 => f.write_str(", and one more problem")?,
            more => write!(f, ", and {more} more problems")?,
        }
        if let Some(command) = self.checked_by.filter(|_| more > 0) {
            write!(f, ", which `{command} {}` tells", self.path.display())?;
        }
        write!(f, "; hint: {}", first.hint)
    }
}

impl std::error::Error for ConfigError {}
