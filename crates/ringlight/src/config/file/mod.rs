//! Settings in a file: `[telemetry]` of `ringlight.toml`, or of the application's own file.
//!
//! The file comes last, behind the command line, the code and all variables. What is wrong with it is an error, with its
//! line: unlike a variable, which may be there for somebody else, it was written for this program.

mod check;
mod error;
mod old;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ringlight_model::Value;

use super::environment::Environment;
use super::setting::{SETTINGS, Setting};
pub(super) use check::is_ours_alone;
pub(super) use error::NamedBy;
pub use error::{ConfigError, ConfigProblem};

/// Looked for where the process runs, if nothing names another.
const FILE_NAME: &str = "ringlight.toml";

/// Names a file, or `none`.
pub(super) const FILE_VARIABLE: &str = "RINGLIGHT_CONFIG_FILE";

const BY_PROGRAM: NamedBy = NamedBy {
    variable: None,
    hint: "name a file in TOML that this process may read",
};
const BY_VARIABLE: NamedBy = NamedBy {
    variable: Some(FILE_VARIABLE),
    hint: "set the variable to a file in TOML that this process may read, or to `none`",
};

/// What a file may hold at most: somebody named the wrong one.
const BYTES_MAX: u64 = 1 << 20;

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// Whether it has `[telemetry]`, or a section of an earlier version in its place.
    pub(super) has_section: bool,
    entries: Vec<Entry>,
    /// `resource_attributes`.
    pub(super) attributes: Vec<(String, Value<'static>)>,
    /// What a person should write otherwise.
    pub(super) warnings: Vec<String>,
    /// What is wrong with it, which is not among the entries.
    problems: Vec<ConfigProblem>,
}

/// One setting.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) setting: &'static Setting,
    /// As a variable would have it.
    pub(super) text: String,
    line: usize,
    /// What it is called there.
    name: String,
}

impl ConfigFile {
    /// The file that applies: the one the code names, the one the variable does, or the one that lies where the process
    /// runs, unless the environment is a fixed one, which stands for the process's surroundings. It may be
    /// [wrong](Self::refused) in places.
    ///
    /// # Errors
    /// A file that is named is not there, or cannot be read.
    pub(super) fn find(
        named: Option<&Path>,
        environment: &Environment,
    ) -> Result<Option<Self>, ConfigError> {
        if let Some(path) = named {
            return Self::read_as(path, BY_PROGRAM).map(Some);
        }
        match environment.get(FILE_VARIABLE).as_deref().map(str::trim) {
            Some("none") => return Ok(None),
            Some(path) => return Self::read_as(Path::new(path), BY_VARIABLE).map(Some),
            None => {}
        }
        let path = Path::new(FILE_NAME);
        if environment.is_fixed() || !path.exists() {
            return Ok(None);
        }
        Self::read_as(path, BY_PROGRAM).map(Some)
    }

    /// A file with which nothing is wrong.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = Self::read_as(path, BY_PROGRAM)?;
        file.refused().map_or(Ok(file), Err)
    }

    fn read_as(path: &Path, named_by: NamedBy) -> Result<Self, ConfigError> {
        Ok(check::file(path, &text_of(path, named_by)?))
    }

    /// What is wrong with it, if anything is.
    pub(super) fn refused(&self) -> Option<ConfigError> {
        (!self.problems.is_empty()).then(|| ConfigError {
            path: self.path.clone(),
            problems: self.problems.clone(),
            warnings: self.warnings.clone(),
            checked_by: Some("ringlight config check"),
        })
    }

    /// Its path, as it was named.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says in place of a variable, and where.
    pub(super) fn by_variable(&self, variable: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.setting.is_same && entry.setting.variable == Some(variable))
    }

    /// What the file says of a setting.
    pub(super) fn by_key(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.setting.key == key)
    }

    /// The settings that the two do not say the same of.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        let text = |file: &Self, key| file.by_key(key).map(|entry| entry.text.clone());
        let is_changed = |key| match key {
            "resource_attributes" => self.attributes != before.attributes,
            key => text(self, key) != text(before, key),
        };
        let keys = SETTINGS.iter().map(|setting| setting.key);
        keys.filter(|key| is_changed(key)).collect()
    }

    /// A setting with where it is: `sample_rate` in ringlight.toml:3.
    pub(super) fn place(&self, entry: &Entry) -> String {
        format!("`{}` in {}", entry.name, self.position(entry.line))
    }

    /// Where a setting is: ringlight.toml:3.
    fn position(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// Where an entry is.
    pub(super) fn position_of(&self, entry: &Entry) -> String {
        self.position(entry.line)
    }
}

/// The text of a file of settings.
///
/// # Errors
/// It cannot be read, or is too large to be one.
pub(super) fn text_of(path: &Path, named_by: NamedBy) -> Result<String, ConfigError> {
    let cannot = |reason: String| ConfigError::unreadable(path, named_by, &reason);
    let about = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    if !about.is_file() {
        return Err(cannot("it is not a file".to_owned()));
    }
    if about.len() > BYTES_MAX {
        return Err(cannot(format!(
            "it has {} bytes, which are more than the {BYTES_MAX} a configuration may have",
            about.len()
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        cannot(format!("line {line} is not UTF-8"))
    })
}
